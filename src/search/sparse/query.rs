//! One row's search through the index.
//!
//! Partial cosines are summed in `f32` from the row's rarest term on. As soon as the terms left are
//! too light to bring a new row to the floor (the lowest score asked for, or a score that `k` rows
//! are known to reach), and few enough rows can still reach it, those rows are scored exactly and
//! the search ends. While few rows have been touched they are listed; a search that touches more
//! goes on in [`sweep`](super::sweep). The sums only decide who is scored exactly.

use super::best::Best;
use super::filter::{Reach, SCORED, UNTOUCHED, add, is_untouched, kth_highest, margin};
use super::index::{Index, unit};
use super::rows::Rows;

/// Touched groups are listed while they are fewer than one of this many groups.
const FEW: usize = 16;
/// Looking whether to stop pays when the next lists are at least this long.
const LOOK: usize = 512;

/// A term of the query.
pub(super) struct Term {
    pub rank: u32,
    pub weight: f32,
    /// The norm of the unit query over this term and those after it.
    pub rest: f64,
}

/// What one search needs to write on; every search leaves it as it found it.
pub(super) struct Scratch {
    /// The sum of each group, [`UNTOUCHED`] between searches.
    pub sums: Vec<f32>,
    /// The groups that the lists brought up.
    touched: Vec<u32>,
    /// The query's values by term, 0 elsewhere.
    query: Vec<f64>,
    /// The query's terms, rarest first.
    pub terms: Vec<Term>,
    /// The groups that are scored exactly.
    pub survivors: Vec<u32>,
    pub high: Vec<f32>,
    /// How far each term's list has been worked off.
    pub cursors: Vec<usize>,
    pub best: Best,
}

/// A query against a gallery: everything that stays the same between queries.
pub(super) struct Search<'a> {
    pub queries: &'a Rows,
    pub gallery: &'a Rows,
    pub index: &'a Index,
    pub terms: usize,
    pub k: usize,
    pub floor: f64,
    /// Whether any value is negative, so that a sum may fall again.
    pub signed: bool,
}

impl Search<'_> {
    /// Something to write on, for one thread.
    pub fn scratch(&self) -> Scratch {
        Scratch {
            sums: vec![UNTOUCHED; self.index.groups()],
            touched: Vec::new(),
            query: vec![0.0; self.terms],
            terms: Vec::new(),
            survivors: Vec::new(),
            high: Vec::new(),
            cursors: Vec::new(),
            best: Best::new(self.k, self.floor),
        }
    }

    /// The best groups for query group `q`, best first.
    pub fn run(&self, q: usize, s: &mut Scratch) -> Vec<(u32, f64)> {
        self.load(q, s);
        let margin = margin(s.terms.len());
        let few = self.index.groups() / FEW;
        let mut floor = self.floor;
        let mut at = 0;
        let mut sweeps = false;
        while at < s.terms.len() {
            let (end, work) = self.band(s, at);
            if work >= LOOK {
                let rest = s.terms[at].rest;
                if rest >= floor - margin {
                    floor = floor.max(self.reached(s, at, margin));
                }
                if rest < floor - margin {
                    let survivors = self.estimate(s, at, floor - margin);
                    if survivors.saturating_mul(self.cost()) <= work {
                        break;
                    }
                }
            }
            sweeps = s.touched.len() + work > few;
            if sweeps {
                break;
            }
            self.accumulate(s, at, end);
            at = end;
        }
        s.best.restart(floor);
        if sweeps {
            self.seed(q, s, at);
            self.sweep(q, s, at, margin);
        } else {
            let low = (s.best.floor() - margin) as f32;
            let reach = self.reach(s, at);
            let most = |&&g: &&u32| reach.most(g as usize, s.sums[g as usize]) >= low;
            s.survivors.clear();
            s.survivors.extend(s.touched.iter().filter(most));
            self.score(q, s, at, margin);
            for &g in &s.touched {
                s.sums[g as usize] = UNTOUCHED;
            }
        }
        s.touched.clear();
        for &t in self.queries.row(q).0 {
            s.query[t as usize] = 0.0;
        }
        s.best.take()
    }

    /// What one exact score costs, in units of one addition to a sum.
    pub fn cost(&self) -> usize {
        8 + 2 * self.gallery.nnz() / self.gallery.len().max(1)
    }

    /// Spreads the query out, its terms rarest first.
    fn load(&self, q: usize, s: &mut Scratch) {
        let (terms, values) = self.queries.row(q);
        let norm = self.queries.norm(q);
        s.terms.clear();
        for (&t, &v) in terms.iter().zip(values) {
            s.query[t as usize] = v;
            s.terms.push(Term {
                rank: self.index.rank(t),
                weight: unit(v, norm),
                rest: v * v / norm,
            });
        }
        s.terms.sort_unstable_by_key(|t| std::cmp::Reverse(t.rank));
        let mut squares = 0.0;
        for term in s.terms.iter_mut().rev() {
            squares += term.rest;
            term.rest = squares.sqrt() * (1.0 + 1e-9);
        }
    }

    /// Where the band of term `at` ends among the query's terms, and how long its lists are.
    pub fn band(&self, s: &Scratch, at: usize) -> (usize, usize) {
        let band = self.index.band(s.terms[at].rank);
        let mut work = 0;
        for (i, term) in s.terms.iter().enumerate().skip(at) {
            if self.index.band(term.rank) != band {
                return (i, work);
            }
            work += self.index.list(term.rank).len();
        }
        (s.terms.len(), work)
    }

    /// Adds the products of terms `at..end` to the sums and lists the groups touched.
    fn accumulate(&self, s: &mut Scratch, at: usize, end: usize) {
        for term in &s.terms[at..end] {
            let list = self.index.list(term.rank);
            let mut count = s.touched.len();
            s.touched.resize(count + list.len(), 0);
            for posting in list {
                let sum = &mut s.sums[posting.group as usize];
                s.touched[count] = posting.group;
                count += usize::from(is_untouched(*sum));
                *sum = add(*sum, term.weight * posting.weight);
            }
            s.touched.truncate(count);
        }
    }

    /// The cosine of query group `q`, which is spread out, and gallery group `g`: the products of
    /// common columns summed in ascending order, over the root of the product of the sums of
    /// squares. Terms that only `g` has add an exact zero.
    fn exact(&self, q: usize, g: u32, query: &[f64]) -> f64 {
        let (terms, values) = self.gallery.row(g as usize);
        let mut dot = 0.0;
        for (&t, &v) in terms.iter().zip(values) {
            dot += query[t as usize] * v;
        }
        super::cosine(dot, self.queries.norm(q), self.gallery.norm(g as usize))
    }

    /// A score that at least `k` groups reach when terms `at..` are left, or minus infinity: the
    /// k-th highest sum of the groups touched first (they share the rarest terms), less what the
    /// terms left can take away again.
    fn reached(&self, s: &mut Scratch, at: usize, margin: f64) -> f64 {
        let some = s.touched.len().min(8 * self.k + 512);
        let sums = s.touched[..some].iter().map(|&g| s.sums[g as usize]);
        let kth = kth_highest(sums, self.k, &mut s.high);
        self.lower(kth, s, at, margin)
    }

    /// What a sum comes to at least when terms `at..` are left.
    fn lower(&self, sum: f32, s: &Scratch, at: usize, margin: f64) -> f64 {
        let rest = s.terms.get(at).map_or(0.0, |t| t.rest);
        f64::from(sum) - if self.signed { rest } else { 0.0 } - margin
    }

    /// Scores some of the touched groups with the highest sums exactly and takes them out of the
    /// sums, for a floor to start with, unless that promises no better floor.
    fn seed(&self, q: usize, s: &mut Scratch, at: usize) {
        let some = s.touched.len().min(8 * self.k + 512);
        let sums = s.touched[..some].iter().map(|&g| s.sums[g as usize]);
        let kth = kth_highest(sums, self.k, &mut s.high);
        let rest = s.terms.get(at).map_or(0.0, |t| t.rest);
        if f64::from(kth) + rest * rest < s.best.floor() {
            return;
        }
        let enough = self.k + self.k / 4;
        let mut seeds = 0;
        for &g in &s.touched[..some] {
            let sum = &mut s.sums[g as usize];
            if *sum >= kth && seeds < enough {
                *sum = SCORED;
                seeds += 1;
                s.best.push(g, self.exact(q, g, &s.query));
            }
        }
        s.best.shrink();
    }

    /// About how many groups can still reach `low` when terms `at..` are left: from a sample.
    fn estimate(&self, s: &Scratch, at: usize, low: f64) -> usize {
        let (reach, low) = (self.reach(s, at), low as f32);
        let each = s.touched.len() / 512 + 1;
        let sample = s.touched.iter().step_by(each);
        each * sample
            .filter(|&&g| reach.most(g as usize, s.sums[g as usize]) >= low)
            .count()
    }

    /// What terms `at..` can add to each sum.
    pub fn reach(&self, s: &Scratch, at: usize) -> Reach<'_> {
        match s.terms.get(at) {
            Some(term) => Reach::new(term.rest, self.index, self.index.band(term.rank)),
            None => Reach::nothing(),
        }
    }

    /// Scores the survivors exactly, terms `at..` having been left out of their sums, and keeps the
    /// best.
    pub fn score(&self, q: usize, s: &mut Scratch, at: usize, margin: f64) {
        if s.survivors.len() > self.k + self.k / 2 {
            let sums = s.survivors.iter().map(|&g| s.sums[g as usize]);
            let kth = kth_highest(sums, self.k, &mut s.high);
            s.best.raise(self.lower(kth, s, at, margin));
        }
        let reach = self.reach(s, at);
        let mut low = (s.best.floor() - margin) as f32;
        for &g in &s.survivors {
            if reach.most(g as usize, s.sums[g as usize]) >= low {
                s.best.push(g, self.exact(q, g, &s.query));
                low = (s.best.floor() - margin) as f32;
            }
        }
    }
}
