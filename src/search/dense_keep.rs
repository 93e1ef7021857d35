//! What a search keeps of each row while it runs: candidates, bounded, and the floor that a new
//! one must reach.

use super::dense_join::{Found, Source};
use crate::lists::best_first;
use std::sync::atomic::{AtomicI32, Ordering::Relaxed};

/// A candidate in one word: a greater word is a better candidate, by scan score and then by lower
/// column.
fn word(dot: i32, col: u32) -> u64 {
    u64::from(dot as u32 ^ 0x8000_0000) << 32 | u64::from(!col)
}

fn dot_of(word: u64) -> i32 {
    ((word >> 32) as u32 ^ 0x8000_0000) as i32
}

fn col_of(word: u64) -> u32 {
    !(word as u32)
}

/// The candidates of a block of rows.
///
/// For each row, at all times: every column seen so far that belongs to the row's true best `k`
/// is in `words` or in `settled`, or its score is below `min_score`. It holds because a column is
/// refused or dropped only when its word is under the row's least word (or when `k` settled
/// columns stand before it), and that word is raised only to where a proof says that `k` columns
/// seen so far stand before everything under it.
pub(super) struct Keep<'a> {
    first: usize,
    k: usize,
    min_score: f64,
    /// Candidates a row has room for.
    room: usize,
    /// Row -> the least scan score that is worth reporting. Shared with the scans, which may read
    /// an old value: floors only rise, so an old one only lets more through.
    floors: &'a [AtomicI32],
    rows: Vec<Row>,
    /// `[row][room]`.
    words: Vec<u64>,
    /// Row -> its best so far by exact score, once the scan scores could not tell them apart.
    settled: Vec<Vec<(u32, f64)>>,
}

#[derive(Clone, Copy)]
struct Row {
    /// What a new candidate's word must reach.
    least: u64,
    /// How many candidates the row has.
    count: u32,
}

impl<'a> Keep<'a> {
    /// `floors` are those of `min_score`, for the rows from `first` on.
    pub(super) fn new(
        first: usize,
        floors: &'a [AtomicI32],
        k: usize,
        min_score: f64,
        columns: usize,
    ) -> Self {
        Keep {
            first,
            k,
            min_score,
            room: (2 * k).max(k + 64).min(columns),
            floors,
            rows: Vec::new(),
            words: Vec::new(),
            settled: Vec::new(),
        }
    }

    /// Takes column `col` as a candidate of `row` if its scan score is good enough.
    #[inline]
    pub(super) fn add<S: Source>(&mut self, source: &S, row: usize, col: u32, dot: i32) {
        let i = row - self.first;
        let word = word(dot, col);
        if self.rows.is_empty() {
            self.open();
        }
        if word < self.rows[i].least {
            return;
        }
        if self.rows[i].count as usize == self.room {
            self.make_room(source, i);
            if word < self.rows[i].least {
                return;
            }
        }
        let count = self.rows[i].count as usize;
        self.words[i * self.room + count] = word;
        self.rows[i].count += 1;
    }

    /// Memory is taken when the first candidate comes.
    #[cold]
    fn open(&mut self) {
        let row = |floor: &AtomicI32| Row {
            least: word(floor.load(Relaxed), u32::MAX),
            count: 0,
        };
        self.rows = self.floors.iter().map(row).collect();
        self.words = vec![0; self.floors.len() * self.room];
        self.settled = vec![Vec::new(); self.floors.len()];
    }

    /// Drops what a full row can spare.
    #[cold]
    fn make_room<S: Source>(&mut self, source: &S, i: usize) {
        if self.settled[i].is_empty() {
            self.thin(source, i);
            // A quarter of the room beyond k must be won, or thinning would come too often.
            if self.rows[i].count as usize <= self.k + self.room.saturating_sub(self.k) * 3 / 4 {
                return;
            }
        }
        let mut best = std::mem::take(&mut self.settled[i]);
        self.settle(source, i, &mut best);
        self.settled[i] = best;
    }

    /// Drops the candidates of row `i` that cannot be among its best `k`, and raises its floor.
    fn thin<S: Source>(&mut self, source: &S, i: usize) {
        let count = self.rows[i].count as usize;
        if count <= self.k {
            return;
        }
        let words = &mut self.words[i * self.room..][..count];
        let (_, &mut kth, rest) = words.select_nth_unstable_by(self.k - 1, |a, b| b.cmp(a));
        if S::EXACT {
            self.rows[i].count = self.k as u32;
            self.raise(i, kth);
            return;
        }
        // k candidates have scan scores of at least kth, so exact scores of at least kth - slack;
        // a column that beats one of them has a scan score of at least kth - 2 slack.
        let slack = source.slack(self.first + i);
        let least = word(
            dot_of(kth).saturating_sub(slack.saturating_mul(2)),
            u32::MAX,
        );
        let mut kept = 0;
        for j in 0..rest.len() {
            let word = rest[j];
            rest[kept] = word;
            kept += usize::from(word >= least);
        }
        self.rows[i].count = (self.k + kept) as u32;
        self.raise(i, least);
    }

    /// Scores the candidates of row `i` exactly and leaves the best `k` of them and `best` there.
    fn settle<S: Source>(&mut self, source: &S, i: usize, best: &mut Vec<(u32, f64)>) {
        let row = self.first + i;
        let count = std::mem::take(&mut self.rows[i].count) as usize;
        let words = &self.words[i * self.room..][..count];
        best.reserve(count);
        source.score_all(row, words.iter().map(|&w| col_of(w)), self.min_score, best);
        best.sort_unstable_by(best_first);
        best.truncate(self.k);
        if best.len() == self.k {
            let floor = source.floor(row, best[self.k - 1].1);
            self.raise(i, word(floor, u32::MAX));
        }
    }

    /// From now on a candidate of row `i` must reach `least`; it only rises.
    fn raise(&mut self, i: usize, least: u64) {
        let row = &mut self.rows[i];
        row.least = row.least.max(least);
        self.floors[i].store(dot_of(row.least), Relaxed);
    }

    /// The best `k` of every row of the block.
    pub(super) fn finish<S: Source>(mut self, source: &S) -> Found {
        let mut found = Found::with_capacity(self.floors.len(), self.k.min(self.room));
        let mut best = Vec::new();
        for i in 0..self.floors.len() {
            best.clear();
            if !self.rows.is_empty() {
                best.append(&mut self.settled[i]);
                if best.is_empty() {
                    self.thin(source, i);
                }
                self.settle(source, i, &mut best);
            }
            found.push(&best);
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_order_by_score_then_by_lower_column() {
        let mut words = [
            word(-5, 1),
            word(3, 9),
            word(i32::MIN, 0),
            word(3, 2),
            word(i32::MAX, u32::MAX),
        ];
        words.sort_unstable_by(|a, b| b.cmp(a));
        let back: Vec<(i32, u32)> = words.iter().map(|&w| (dot_of(w), col_of(w))).collect();
        assert_eq!(
            back,
            [(i32::MAX, u32::MAX), (3, 2), (3, 9), (-5, 1), (i32::MIN, 0)]
        );
    }
}
