//! The answer: each row's matches, and the evidence for them.

use std::cmp::Ordering;

/// The `source` of a row's match with itself, which needs no evidence.
pub const ITSELF: u16 = u16::MAX;

/// One match of a row, with the evidence for it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Match {
    /// The row that matches.
    pub row: u32,
    /// The similarity that `source` gives the pair.
    pub score: f64,
    /// The place of the evidence among the sources; [`ITSELF`] for the row itself.
    pub source: u16,
    /// The similarity that had to be passed: 1 - the distance threshold that fired.
    pub threshold: f64,
}

/// One piece of evidence for a pair: what fired, with which score and threshold.
pub type Firing = Match;

impl Match {
    /// The match of `row` with itself.
    pub(super) fn itself(row: u32) -> Match {
        Match {
            row,
            score: 1.0,
            source: ITSELF,
            threshold: 1.0,
        }
    }
}

/// Of two firings for one pair the stronger first: an equality (a floor of 1) before all others, then
/// the larger margin of score over threshold, the lower source, the higher threshold.
pub(super) fn strongest_first(a: &Firing, b: &Firing) -> Ordering {
    let equal = |f: &Firing| f.threshold >= 1.0;
    equal(b)
        .cmp(&equal(a))
        .then_with(|| larger_first(a.score - a.threshold, b.score - b.threshold))
        .then_with(|| a.source.cmp(&b.source))
        .then_with(|| larger_first(a.threshold, b.threshold))
}

/// The larger of two finite numbers first; the two zeros are one number.
pub(super) fn larger_first(a: f64, b: f64) -> Ordering {
    b.partial_cmp(&a).unwrap_or(Ordering::Equal)
}

/// Each row's matches: itself first, then higher score, then lower row.
///
/// Where several pieces of evidence fired for a pair, the [`Match`] carries the strongest of them and
/// [`Matches::firings`] has them all. Strongest is an equality (a floor of 1), then the largest margin
/// of score over threshold, then the lower source. When a row has more matches than the cap, those
/// with the highest score stay, and of equal scores those of the lowest rows.
#[derive(Debug, Clone, PartialEq)]
pub struct Matches {
    offsets: Vec<usize>,
    matches: Vec<Match>,
    firing_offsets: Vec<usize>,
    firings: Vec<Firing>,
}

impl Default for Matches {
    fn default() -> Self {
        Matches {
            offsets: vec![0],
            matches: Vec::new(),
            firing_offsets: vec![0],
            firings: Vec::new(),
        }
    }
}

impl Matches {
    /// How many rows there are.
    pub fn len(&self) -> usize {
        self.offsets.len() - 1
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many matches all rows have together, each row's match with itself included.
    pub fn pairs(&self) -> usize {
        self.matches.len()
    }

    /// The matches of row `i`. Panics when `i >= len()`, as indexing a slice does.
    pub fn row(&self, i: usize) -> &[Match] {
        &self.matches[self.offsets[i]..self.offsets[i + 1]]
    }

    /// The rows that match row `i`, itself first. Panics when `i >= len()`.
    pub fn rows(&self, i: usize) -> impl ExactSizeIterator<Item = u32> + '_ {
        self.row(i).iter().map(|m| m.row)
    }

    /// All evidence for the matches of row `i`: pair by pair in the order of [`Matches::row`] without
    /// the row itself, and for each pair the strongest first. Panics when `i >= len()`.
    pub fn firings(&self, i: usize) -> &[Firing] {
        &self.firings[self.firing_offsets[i]..self.firing_offsets[i + 1]]
    }

    /// All rows' matches, in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &[Match]> {
        (0..self.len()).map(|i| self.row(i))
    }

    /// Every row's matching rows, as [`evaluate`](crate::evaluate::evaluate) takes them.
    pub fn answers(&self) -> Vec<Vec<u32>> {
        (0..self.len()).map(|i| self.rows(i).collect()).collect()
    }

    /// The first `queries` rows' matches among the rows behind them, counted from the first of those; a
    /// row's match with itself is left out.
    pub(super) fn of_queries(&self, queries: usize) -> Matches {
        let mut kept = Matches::default();
        let among = |m: &Match| Match {
            row: m.row - queries as u32,
            ..*m
        };
        let behind = |m: &&Match| m.row as usize >= queries;
        for row in 0..queries {
            let matches = self.row(row).iter().filter(behind).map(among);
            kept.matches.extend(matches);
            kept.offsets.push(kept.matches.len());
            let firings = self.firings(row).iter().filter(behind).map(among);
            kept.firings.extend(firings);
            kept.firing_offsets.push(kept.firings.len());
        }
        kept
    }

    /// Appends the matches of `row`: itself and what `fired`, which is left in another order. Of all
    /// these at most `cap` stay.
    pub(super) fn push(
        &mut self,
        row: u32,
        fired: &mut [Firing],
        groups: &mut Vec<Group>,
        cap: usize,
    ) {
        self.matches.push(Match::itself(row));
        fired.sort_unstable_by(|a, b| a.row.cmp(&b.row).then_with(|| strongest_first(a, b)));
        groups.clear();
        for (at, firing) in fired.iter().enumerate() {
            match groups.last_mut() {
                Some(group) if group.row == firing.row => group.end = at + 1,
                _ => groups.push(Group {
                    score: firing.score,
                    row: firing.row,
                    start: at,
                    end: at + 1,
                }),
            }
        }
        groups.sort_unstable_by(|a, b| larger_first(a.score, b.score).then(a.row.cmp(&b.row)));
        groups.truncate(cap.saturating_sub(1));
        for group in groups.iter() {
            self.matches.push(fired[group.start]);
            let first = self.firings.len();
            for &firing in &fired[group.start..group.end] {
                // The same evidence by two ways (a rule that names it twice) is one piece.
                let same =
                    |f: &Firing| (f.source, f.threshold) == (firing.source, firing.threshold);
                if !self.firings[first..].iter().any(same) {
                    self.firings.push(firing);
                }
            }
        }
        self.offsets.push(self.matches.len());
        self.firing_offsets.push(self.firings.len());
    }

    /// Appends the matches of `row`: itself and those for which `fired` has the evidence, in the order of
    /// [`Matches::firings`].
    pub(super) fn push_ordered(&mut self, row: u32, fired: &[Firing]) {
        self.matches.push(Match::itself(row));
        self.push_others(fired);
    }

    /// As [`Matches::push_ordered`], of a row that is not among its own matches.
    fn push_others(&mut self, fired: &[Firing]) {
        self.matches
            .extend(fired.chunk_by(|a, b| a.row == b.row).map(|pair| pair[0]));
        self.firings.extend_from_slice(fired);
        self.offsets.push(self.matches.len());
        self.firing_offsets.push(self.firings.len());
    }

    /// Appends a row with these matches and their evidence, which stand in order.
    pub(super) fn push_as_they_are(&mut self, matches: &[Match], firings: &[Firing]) {
        self.matches.extend_from_slice(matches);
        self.firings.extend_from_slice(firings);
        self.offsets.push(self.matches.len());
        self.firing_offsets.push(self.firings.len());
    }

    /// Matches from each row's evidence, in the order of [`Matches::firings`]; `itself`: a row is the first of
    /// its own.
    pub(crate) fn of_fired(rows: impl Iterator<Item = Vec<Firing>>, itself: bool) -> Matches {
        let mut all = Matches::default();
        for fired in rows {
            match itself {
                true => all.push_ordered(all.len() as u32, &fired),
                false => all.push_others(&fired),
            }
        }
        all
    }

    /// Appends the rows of `next`.
    pub(super) fn append(&mut self, next: &Matches) {
        let (matches, firings) = (self.matches.len(), self.firings.len());
        self.offsets
            .extend(next.offsets[1..].iter().map(|o| matches + o));
        self.firing_offsets
            .extend(next.firing_offsets[1..].iter().map(|o| firings + o));
        self.matches.extend_from_slice(&next.matches);
        self.firings.extend_from_slice(&next.firings);
    }
}

/// The firings of one pair, while a row's matches are put in order.
pub(super) struct Group {
    score: f64,
    row: u32,
    start: usize,
    end: usize,
}
