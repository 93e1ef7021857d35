//! The part of a search that touches many rows: tile after tile of the gallery, so that a tile's
//! sums stay in the first-level cache while terms are added, scanned and reset.

use std::ops::Range;

use super::filter::{UNTOUCHED, add, scan};
use super::query::{Scratch, Search};

/// Groups of one tile: 32 KiB of sums.
const TILE: usize = 8192;
/// One of so many groups is looked at to guess how many are left.
const SAMPLE: usize = 32;

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
            while upto < s.terms.len() {
                let (next, work) = self.band(s, upto);
                if self.estimate_tile(s, upto, first..end, low) * self.cost() <= work / tiles {
                    break;
                }
                self.add_tile(s, upto..next, first..end);
                upto = next;
            }
            s.survivors.clear();
            let reach = self.reach(s, upto);
            scan(
                &s.sums[first..end],
                first,
                reach,
                low as f32,
                &mut s.survivors,
            );
            self.score(q, s, upto, margin);
            s.best.shrink();
            s.sums[first..end].fill(UNTOUCHED);
        }
    }

    /// About how many groups of a tile can still reach `low` when terms `at..` are left.
    fn estimate_tile(&self, s: &Scratch, at: usize, tile: Range<usize>, low: f64) -> usize {
        let (reach, low) = (self.reach(s, at), low as f32);
        let sample = tile.step_by(SAMPLE);
        SAMPLE * sample.filter(|&g| reach.most(g, s.sums[g]) >= low).count()
    }

    /// Adds the products of some terms to the sums of the groups of one tile.
    fn add_tile(&self, s: &mut Scratch, terms: Range<usize>, tile: Range<usize>) {
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
