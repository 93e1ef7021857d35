//! Matches that were found, changed as a whole.

use rayon::prelude::*;

use super::matches::larger_first;
use super::{Firing, Matches};

/// How many rows are changed together.
const BLOCK: usize = 512;

impl Matches {
    /// The matches of `rows` rows for which `fired(row, out)` has the evidence, at most `cap` a row; every row
    /// matches itself besides.
    pub fn from_firings(
        rows: usize,
        cap: usize,
        fired: &(dyn Fn(usize, &mut Vec<Firing>) + Sync),
    ) -> Matches {
        let blocks: Vec<Matches> = (0..rows.div_ceil(BLOCK))
            .into_par_iter()
            .map(|b| {
                let (mut block, mut own, mut groups) = (Matches::default(), Vec::new(), Vec::new());
                for row in b * BLOCK..rows.min((b + 1) * BLOCK) {
                    own.clear();
                    fired(row, &mut own);
                    block.push(row as u32, &mut own, &mut groups, cap);
                }
                block
            })
            .collect();
        let mut all = Matches::default();
        blocks.iter().for_each(|block| all.append(block));
        all
    }

    /// The same without the pairs `(row, other)` that `keep` refuses. A row's match with itself stays, where
    /// it has one.
    #[must_use]
    pub fn keep_pairs(&self, keep: &(dyn Fn(u32, u32) -> bool + Sync)) -> Matches {
        let sizes: Vec<usize> = vec![usize::MAX; self.len()];
        self.cut(keep, &sizes)
    }

    /// The same with the first of each row's matches alone, itself included, as many as `sizes` says.
    #[must_use]
    pub fn cut_to(&self, sizes: &[usize]) -> Matches {
        self.cut(&|_, _| true, sizes)
    }

    fn cut(&self, keep: &(dyn Fn(u32, u32) -> bool + Sync), sizes: &[usize]) -> Matches {
        let mut kept = Matches::default();
        let mut firings: Vec<Firing> = Vec::new();
        let mut matches = Vec::new();
        for i in 0..self.len() {
            let row = i as u32;
            let most = sizes.get(i).copied().unwrap_or(usize::MAX);
            let stays = |m: &&super::Match| m.source == super::ITSELF || keep(row, m.row);
            matches.clear();
            matches.extend(self.row(i).iter().filter(stays).take(most).copied());
            firings.clear();
            let mut pairs = self.firings(i).chunk_by(|a, b| a.row == b.row);
            // Both stand in one order.
            for m in matches.iter().filter(|m| m.source != super::ITSELF) {
                let same = |pair: &&[Firing]| pair[0].row == m.row;
                firings.extend_from_slice(pairs.find(same).unwrap_or_default());
            }
            kept.push_as_they_are(&matches, &firings);
        }
        kept
    }

    /// Row `i` matches itself and `wanted[i]`, at most `cap` in all. The evidence for a pair is that of the
    /// row, else that of the other row for it, else `source` with `score(row)`, which it just passed.
    #[must_use]
    pub fn answering(
        &self,
        wanted: &[Vec<u32>],
        (source, score): (u16, &(dyn Fn(u32) -> f64 + Sync)),
        cap: usize,
    ) -> Matches {
        let evidence = |of: usize, other: u32| {
            let firings = self.firings(of).iter();
            firings.filter(move |f| f.row == other)
        };
        Matches::from_firings(self.len(), cap, &|row, out| {
            for &other in &wanted[row] {
                let before = out.len();
                out.extend(evidence(row, other));
                if out.len() == before {
                    let mirrored = evidence(other as usize, row as u32);
                    out.extend(mirrored.map(|f| Firing { row: other, ..*f }));
                }
                if out.len() == before {
                    let score = score(row as u32);
                    out.push(Firing {
                        row: other,
                        score,
                        source,
                        threshold: score,
                    });
                }
            }
        })
    }

    /// The sizes that rows' answers are cut to, so that groups have the sizes that are known beforehand:
    /// `shares` says of some sizes which share of all rows has so many matches, itself included.
    ///
    /// Sizes come in order. Where fewer rows than that have exactly `size` matches, those with more are cut to
    /// `size`, first those whose next match has the lowest score, then the lowest rows. Where more have, all
    /// stay. This is the eighteenth place's "chiselling"; it uses a prior that other listings need not share.
    pub fn chisel(&self, shares: &[(usize, f64)]) -> Vec<usize> {
        let rows = self.len();
        let mut sizes: Vec<usize> = (0..rows).map(|i| self.row(i).len()).collect();
        let mut shares = shares.to_vec();
        shares.sort_by_key(|s| s.0);
        for (size, share) in shares.into_iter().filter(|s| s.0 > 0) {
            let wanted = (share * rows as f64).round() as usize;
            let has = sizes.iter().filter(|&&s| s == size).count();
            let mut larger: Vec<usize> = (0..rows).filter(|&i| sizes[i] > size).collect();
            let next = |i: usize| self.row(i)[size].score;
            larger.sort_by(|&x, &y| larger_first(next(y), next(x)).then(x.cmp(&y)));
            for &row in larger.iter().take(wanted.saturating_sub(has)) {
                sizes[row] = size;
            }
        }
        sizes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lists::Lists;
    use crate::matching::{ITSELF, Rule, Source, resolve};

    fn found() -> Matches {
        let lists = Lists::from_rows([
            vec![(1, 0.9), (2, 0.8), (3, 0.7)],
            vec![(0, 0.9), (2, 0.6)],
            vec![(0, 0.8), (1, 0.6)],
            vec![],
        ]);
        let sources = [Source::new("a", lists.clone()), Source::new("b", lists)];
        let rule = Rule::threshold(0, 0.5).or(Rule::threshold(1, 0.15));
        resolve(&sources, &rule, 4).unwrap()
    }

    #[test]
    fn pairs_go_with_their_evidence() {
        let all = found();
        assert_eq!(all.keep_pairs(&|_, _| true), all);
        let kept = all.keep_pairs(&|a, b| a + b != 2);
        assert_eq!(
            kept.answers(),
            [vec![0, 1, 3], vec![1, 0, 2], vec![2, 1], vec![3]]
        );
        // Two spaces fired for 0 and 1.
        let sources: Vec<(u32, u16)> = kept.firings(0).iter().map(|f| (f.row, f.source)).collect();
        assert_eq!(sources, [(1, 0), (1, 1), (3, 0)]);
        let cut = all.cut_to(&[2, 1, 3, 1]);
        assert_eq!(cut.answers(), [vec![0, 1], vec![1], vec![2, 0, 1], vec![3]]);
        assert_eq!(cut.firings(0).len(), 2);
        assert!(cut.firings(1).is_empty());
    }

    #[test]
    fn answers_take_evidence_from_either_side() {
        let wanted = [vec![1, 3], vec![0, 3], vec![], vec![0, 1]];
        let made = found().answering(&wanted, (7, &|_| 0.25), 50);
        assert_eq!(
            made.answers(),
            [vec![0, 1, 3], vec![1, 0, 3], vec![2], vec![3, 0, 1]]
        );
        let last = made.row(3);
        // From 0's evidence for it, and from none.
        assert_eq!((last[1].score, last[1].source), (0.7, 0));
        assert_eq!((last[2].score, last[2].source), (0.25, 7));
        assert_eq!(last[0].source, ITSELF);
        let capped = found().answering(&wanted, (7, &|_| 0.25), 2);
        assert_eq!(
            capped.answers(),
            [vec![0, 1], vec![1, 0], vec![2], vec![3, 0]]
        );
    }

    #[test]
    fn chiselling_cuts_the_weakest_first() {
        let all = found();
        assert_eq!(all.chisel(&[]), [4, 3, 3, 1]);
        // Half shall have 2: those of the weakest third match, .6 of rows 1 and 2.
        assert_eq!(all.chisel(&[(2, 0.5)]), [4, 2, 2, 1]);
        assert_eq!(all.chisel(&[(2, 0.25)]), [4, 2, 3, 1]);
        assert_eq!(all.chisel(&[(2, 0.75)]), [2, 2, 2, 1]);
        // There is one alone already; three have 3 then.
        assert_eq!(all.chisel(&[(3, 0.75), (1, 0.25)]), [3, 3, 3, 1]);
        assert_eq!(all.chisel(&[(1, 1.0)]), [1; 4]);
        let none = Matches::default();
        assert!(none.chisel(&[(2, 0.5)]).is_empty());
    }
}
