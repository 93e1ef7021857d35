//! The best `k` of a stream of exactly scored rows, in `O(k)` memory.

use crate::lists::best_first;

/// Keeps the best `k` rows of those pushed, by [`best_first`]: the answer does not depend on the
/// order of the pushes.
pub(in crate::search) struct Best {
    k: usize,
    floor: f64,
    held: Vec<(u32, f64)>,
}

impl Best {
    /// Nothing held yet; scores below `floor` will be refused.
    pub fn new(k: usize, floor: f64) -> Self {
        Best {
            k,
            floor,
            held: Vec::new(),
        }
    }

    /// Forgets everything and starts again with another floor.
    pub fn restart(&mut self, floor: f64) {
        self.floor = floor;
        self.held.clear();
    }

    /// Offers a row that has not been offered before.
    pub fn push(&mut self, row: u32, score: f64) {
        if score < self.floor {
            return;
        }
        self.held.push((row, score));
        if self.held.len() >= 2 * self.k + 8 {
            self.shrink();
        }
    }

    /// No score below this can be among the best any more. It is the floor given, or a score that
    /// `k` of the held rows reach.
    pub fn floor(&self) -> f64 {
        self.floor
    }

    /// Raises the floor to a score that at least `k` rows are known to reach.
    pub fn raise(&mut self, floor: f64) {
        self.floor = self.floor.max(floor);
    }

    /// Drops all but the best `k`, which may raise the floor.
    pub fn shrink(&mut self) {
        if self.held.len() < self.k {
            return;
        }
        if self.held.len() > self.k {
            self.held.select_nth_unstable_by(self.k - 1, best_first);
            self.held.truncate(self.k);
        }
        // `select_nth` leaves the k-th best last; with exactly k held it is wherever it is.
        let worst = self.held.iter().map(|h| h.1).fold(f64::INFINITY, f64::min);
        self.floor = self.floor.max(worst);
    }

    /// The best rows held, best first; nothing is held afterwards.
    pub fn take(&mut self) -> Vec<(u32, f64)> {
        self.shrink();
        let mut held = std::mem::take(&mut self.held);
        held.sort_unstable_by(best_first);
        held
    }
}
