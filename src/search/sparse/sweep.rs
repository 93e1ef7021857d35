//! The part of a search that touches many rows: tile after tile of the gallery, so that a tile's
//! sums stay in the first-level cache while terms are added, scanned and reset.

use super::filter::{UNTOUCHED, add, scan};
use super::query::{Scratch, Search};

/// Groups of one tile: 32 KiB of sums.
const TILE: usize = 8192;

impl Search<'_> {
    /// Adds terms from `at` on to the sums, tile by tile, and scores exactly who can reach the
    /// floor of `s.best`. Which terms a tile needs is decided anew for each, for the floor rises.
    pub(super) fn sweep(&self, q: usize, s: &mut Scratch, at: usize, margin: f64) {
        s.cursors.clear();
        s.cursors.resize(s.terms.len(), 0);
        let groups = self.index.groups();
        let tiles = groups.div_ceil(TILE);
        for first in (0..groups).step_by(TILE) {
            let end = groups.min(first + TILE);
            let low = s.best.floor() - margin;
            let mut upto = at;
            while upto < s.terms.len() && s.terms[upto].rest >= low {
                upto = self.band(s, upto).0;
            }
            self.add_tile(s, at..upto, first..end);
            loop {
                s.survivors.clear();
                let reach = self.reach(s, upto);
                scan(
                    &s.sums[first..end],
                    first,
                    reach,
                    low as f32,
                    &mut s.survivors,
                );
                if upto == s.terms.len() {
                    break;
                }
                let (next, work) = self.band(s, upto);
                if s.survivors.len() * self.cost() <= work / tiles {
                    break;
                }
                self.add_tile(s, upto..next, first..end);
                upto = next;
            }
            self.score(q, s, upto, margin);
            s.best.shrink();
            s.sums[first..end].fill(UNTOUCHED);
        }
    }

    /// Adds the products of some terms to the sums of the groups of one tile.
    fn add_tile(
        &self,
        s: &mut Scratch,
        terms: std::ops::Range<usize>,
        tile: std::ops::Range<usize>,
    ) {
        let first = tile.start as u32;
        let sums = &mut s.sums[tile];
        for (term, cursor) in s.terms[terms.clone()].iter().zip(&mut s.cursors[terms]) {
            let mut list = &self.index.list(term.rank)[*cursor..];
            if list.first().is_some_and(|p| p.group < first) {
                let skip = list.partition_point(|p| p.group < first);
                *cursor += skip;
                list = &list[skip..];
            }
            for posting in list {
                let Some(sum) = sums.get_mut((posting.group - first) as usize) else {
                    break;
                };
                *sum = add(*sum, term.weight * posting.weight);
                *cursor += 1;
            }
        }
    }
}
