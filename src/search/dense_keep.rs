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
/// refused or dropped only when its scan score is under the row's floor (or when `k` settled
/// columns stand before it), and a floor is raised only to where a proof says that `k` columns
/// seen so far stand before everything under it.
pub(super) struct Keep<'a> {
    first: usize,
    k: usize,
    min_score: f64,
    /// Candidates a row has room for.
    room: usize,
    /// Row -> the least scan score that a new candidate must have. Shared with the scans, which
    /// may read an old value: floors only rise, so an old one only lets more through.
    floors: &'a [AtomicI32],
    words: Vec<u64>,
    counts: Vec<u32>,
    /// Row -> its best so far by exact score, once the scan scores could not tell them apart.
    settled: Vec<Vec<(u32, f64)>>,
}

impl<'a> Keep<'a> {
    pub(super) fn new(
        first: usize,
        floors: &'a [AtomicI32],
        k: usize,
        min_score: f64,
        columns: usize,
    ) -> Self {
        let room = (2 * k).max(k + 64).min(columns);
        Keep {
            first,
            k,
            min_score,
            room,
            floors,
            words: Vec::new(),
            counts: Vec::new(),
            settled: Vec::new(),
        }
    }

    /// Takes column `col` as a candidate of `row` if its scan score reaches the row's floor.
    #[inline]
    pub(super) fn add<S: Source>(&mut self, source: &S, row: usize, col: u32, dot: i32) {
        let i = row - self.first;
        if dot < self.floors[i].load(Relaxed) {
            return;
        }
        if self.counts.is_empty() {
            self.words = vec![0; self.floors.len() * self.room];
            self.counts = vec![0; self.floors.len()];
            self.settled = vec![Vec::new(); self.floors.len()];
        }
        if self.counts[i] as usize == self.room {
            self.make_room(source, i);
            if dot < self.floors[i].load(Relaxed) {
                return;
            }
        }
        let count = self.counts[i] as usize;
        self.words[i * self.room + count] = word(dot, col);
        self.counts[i] += 1;
    }

    /// Drops what a full row can spare.
    #[cold]
    fn make_room<S: Source>(&mut self, source: &S, i: usize) {
        if self.settled[i].is_empty() {
            let kept = self.thin(source, i);
            self.counts[i] = kept as u32;
            // A quarter of the room beyond k must be won, or thinning would come too often.
            if kept <= self.k + (self.room - self.k) * 3 / 4 {
                return;
            }
        }
        self.settle(source, i);
    }

    /// Moves the candidates of row `i` that may still be among its best `k` to the front, raises
    /// its floor, and returns how many they are.
    fn thin<S: Source>(&mut self, source: &S, i: usize) -> usize {
        let count = self.counts[i] as usize;
        let words = &mut self.words[i * self.room..][..count];
        if count <= self.k {
            return count;
        }
        let (_, &mut kth, rest) = words.select_nth_unstable_by(self.k - 1, |a, b| b.cmp(a));
        if S::EXACT {
            raise(&self.floors[i], dot_of(kth));
            return self.k;
        }
        // k candidates have scan scores of at least kth, so exact scores of at least kth - slack;
        // a column that beats one of them has a scan score of at least kth - 2 slack.
        let slack = source.slack(self.first + i);
        let floor = dot_of(kth).saturating_sub(slack.saturating_mul(2));
        raise(&self.floors[i], floor);
        let mut kept = 0;
        for j in 0..rest.len() {
            let word = rest[j];
            rest[kept] = word;
            kept += usize::from(dot_of(word) >= floor);
        }
        self.k + kept
    }

    /// Scores the candidates of row `i` exactly and keeps the best `k`.
    fn settle<S: Source>(&mut self, source: &S, i: usize) {
        let row = self.first + i;
        let count = std::mem::take(&mut self.counts[i]) as usize;
        let words = &self.words[i * self.room..][..count];
        let settled = &mut self.settled[i];
        source.score_all(
            row,
            words.iter().map(|&w| col_of(w)),
            self.min_score,
            settled,
        );
        settled.sort_unstable_by(best_first);
        settled.truncate(self.k);
        if settled.len() == self.k {
            raise(&self.floors[i], source.floor(row, settled[self.k - 1].1));
        }
    }

    /// The best `k` of every row of the block.
    pub(super) fn finish<S: Source>(mut self, source: &S, rows: usize) -> Found {
        let mut found = Found::with_capacity(rows, self.k.min(self.room));
        if self.counts.is_empty() {
            (0..rows).for_each(|_| found.push(&[]));
            return found;
        }
        for i in 0..rows {
            if self.settled[i].is_empty() {
                self.counts[i] = self.thin(source, i) as u32;
            }
            self.settle(source, i);
            found.push(&std::mem::take(&mut self.settled[i]));
        }
        found
    }
}

/// Floors only rise.
fn raise(floor: &AtomicI32, to: i32) {
    floor.fetch_max(to, Relaxed);
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
