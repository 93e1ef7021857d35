//! Rows made ready for a search: checked, equal rows folded into one, packed for the fast pass.

use crate::device::cpu::Kernel;
use crate::device::cpu::dot::dot;
use crate::device::cpu::pack::{self, Line, PANEL};
use crate::device::cpu::tile::GROUP;
use crate::error::{Error, Result};
use crate::lists::Lists;
use crate::tensor::Matrix;
use rayon::prelude::*;
use std::mem::MaybeUninit;

/// Marks a row that takes no part in a search.
const NONE: u32 = u32::MAX;

/// Rows that are the same, folded into classes. Classes are numbered by their lowest row, so the
/// order of classes is the order of their first rows.
pub(super) struct Classes {
    /// Row -> class, or [`NONE`].
    class_of: Vec<u32>,
    /// Class -> its lowest row.
    firsts: Vec<u32>,
    /// Class -> its rows, ascending: `members[offsets[c]..offsets[c + 1]]`. Empty where every
    /// class has one row.
    offsets: Vec<usize>,
    members: Vec<u32>,
}

impl Classes {
    /// Folds rows with a key (the others take no part): two rows are one class when their keys are
    /// equal and `same` holds for them. `O(n log n)`, and a `same` for each row that is not alone.
    pub(super) fn fold(keys: &[Option<u64>], same: impl Fn(usize, usize) -> bool) -> Classes {
        let mut order: Vec<(u64, u32)> = (0u32..)
            .zip(keys)
            .filter_map(|(i, key)| key.map(|key| (key, i)))
            .collect();
        order.par_sort_unstable();
        // First the lowest row of each row's class, then the classes' numbers.
        let mut class_of = vec![NONE; keys.len()];
        let mut firsts = Vec::new();
        for run in order.chunk_by(|a, b| a.0 == b.0) {
            firsts.clear();
            for &(_, i) in run {
                let known = firsts.iter().find(|&&f| same(f as usize, i as usize));
                class_of[i as usize] = known.copied().unwrap_or(i);
                if known.is_none() {
                    firsts.push(i);
                }
            }
        }
        firsts.clear();
        for i in 0..keys.len() {
            let first = class_of[i];
            if first == i as u32 {
                class_of[i] = firsts.len() as u32;
                firsts.push(i as u32);
            } else if first != NONE {
                class_of[i] = class_of[first as usize];
            }
        }
        let (mut offsets, mut members) = (Vec::new(), Vec::new());
        if firsts.len() < order.len() {
            offsets = vec![0; firsts.len() + 1];
            for &class in class_of.iter().filter(|&&c| c != NONE) {
                offsets[class as usize + 1] += 1;
            }
            for c in 0..firsts.len() {
                offsets[c + 1] += offsets[c];
            }
            let mut next = offsets.clone();
            members = vec![0; order.len()];
            for (i, &class) in class_of.iter().enumerate().filter(|(_, c)| **c != NONE) {
                members[next[class as usize]] = i as u32;
                next[class as usize] += 1;
            }
        }
        Classes {
            class_of,
            firsts,
            offsets,
            members,
        }
    }

    /// How many classes there are.
    pub(super) fn len(&self) -> usize {
        self.firsts.len()
    }

    /// The lowest row of each class.
    pub(super) fn firsts(&self) -> &[u32] {
        &self.firsts
    }

    fn members(&self, class: usize) -> &[u32] {
        if self.offsets.is_empty() {
            std::slice::from_ref(&self.firsts[class])
        } else {
            &self.members[self.offsets[class]..self.offsets[class + 1]]
        }
    }

    /// From the best `k` classes of each class of `self` (by score, then by class) to the best `k`
    /// rows of each row.
    ///
    /// The best `k` classes are enough. If a row is among the best `k`, then so is the first row
    /// of its class, which has the same score and is not higher; and every class ahead of that
    /// class has its own first row ahead of that one, so fewer than `k` classes are.
    pub(super) fn unfold<'a>(
        &self,
        best: impl Fn(usize) -> &'a [(u32, f64)],
        gallery: &Classes,
        k: usize,
    ) -> Lists {
        let size = |class: u32| -> usize {
            let best = if class == NONE {
                &[]
            } else {
                best(class as usize)
            };
            best.iter()
                .map(|&(c, _)| gallery.members(c as usize).len())
                .sum::<usize>()
                .min(k)
        };
        let pairs: usize = self.class_of.iter().map(|&class| size(class)).sum();
        let each = pairs.div_ceil(self.class_of.len().max(1));
        let mut lists = Lists::with_capacity(self.class_of.len(), each);
        let mut row = Vec::new();
        let mut ties: Vec<u32> = Vec::new();
        for &class in &self.class_of {
            row.clear();
            let best = if class == NONE {
                &[]
            } else {
                best(class as usize)
            };
            for run in best.chunk_by(|a, b| a.1 == b.1) {
                ties.clear();
                for &(other, _) in run {
                    let members = gallery.members(other as usize);
                    ties.extend(&members[..members.len().min(k)]);
                }
                if run.len() > 1 {
                    ties.sort_unstable();
                }
                row.extend(ties.iter().take(k - row.len()).map(|&i| (i, run[0].1)));
                if row.len() == k {
                    break;
                }
            }
            lists.push(row.iter().copied());
        }
        lists
    }
}

/// The rows of a matrix, ready to be searched.
pub(super) struct Rows<'a> {
    x: &'a Matrix,
    pub(super) classes: Classes,
    /// Class -> `|a|^2`.
    norms: Vec<f64>,
    /// Class -> the bound `e` of [`pack::quantise`].
    errors: Vec<f64>,
    /// The classes' rows packed, padded with zeros to whole groups.
    lines: Vec<Line>,
}

impl<'a> Rows<'a> {
    /// Checks, folds and packs `x`; `what` names it in an error.
    pub(super) fn new(x: &'a Matrix, kernel: Kernel, what: &str) -> Result<Self> {
        let (norms, keys): (Vec<f64>, Vec<Option<u64>>) = (0..x.rows())
            .into_par_iter()
            .with_min_len(64)
            .map(|i| {
                let norm = dot(kernel, x.row(i), x.row(i));
                (norm, (norm > 0.0).then(|| key(x.row(i))))
            })
            .unzip();
        // A sum of squares of finite f32 is finite in f64.
        if let Some(i) = norms.iter().position(|n| !n.is_finite()) {
            return Err(Error::input(format!("{what} holds a NaN or an infinity"))
                .op("topk")
                .row(i as u64 + 1)
                .mend("leave the row out, or set it to zeros to give it no neighbours"));
        }
        let classes = Classes::fold(&keys, |i, j| {
            bytemuck::cast_slice::<f32, u32>(x.row(i)) == bytemuck::cast_slice::<f32, u32>(x.row(j))
        });
        let norms: Vec<f64> = classes.firsts.iter().map(|&i| norms[i as usize]).collect();
        let (lines, errors) = packed(x, &classes, &norms);
        Ok(Rows {
            x,
            classes,
            norms,
            errors,
            lines,
        })
    }

    pub(super) fn depth(&self) -> usize {
        pack::depth(self.x.dims())
    }

    pub(super) fn lines(&self) -> &[Line] {
        &self.lines
    }

    pub(super) fn row(&self, class: usize) -> &[f32] {
        self.x.row(self.classes.firsts[class] as usize)
    }

    pub(super) fn norm2(&self, class: usize) -> f64 {
        self.norms[class]
    }

    pub(super) fn error(&self, class: usize) -> f64 {
        self.errors[class]
    }

    /// The largest error of all rows.
    pub(super) fn worst(&self) -> f64 {
        self.errors.iter().copied().fold(0.0, f64::max)
    }
}

/// A 64-bit digest of a row's bits.
fn key(row: &[f32]) -> u64 {
    const ODD: u64 = 0x9e37_79b9_7f4a_7c15;
    let mut lanes = [1u64, 2, 3, 4, 5, 6, 7, 8];
    for chunk in row.chunks(8) {
        for (lane, x) in lanes.iter_mut().zip(chunk) {
            *lane = (*lane ^ u64::from(x.to_bits()))
                .wrapping_mul(ODD)
                .rotate_left(29);
        }
    }
    lanes.iter().fold(row.len() as u64, |all, lane| {
        (all ^ lane).wrapping_mul(ODD).rotate_left(32)
    })
}

/// The classes' rows as packed panels, and each row's rounding error.
fn packed(x: &Matrix, classes: &Classes, norms: &[f64]) -> (Vec<Line>, Vec<f64>) {
    let depth = pack::depth(x.dims());
    let panels = classes.len().next_multiple_of(GROUP) / PANEL;
    let mut lines: Vec<Line> = Vec::with_capacity(panels * depth);
    let mut errors = vec![0f64; panels * PANEL];
    let write = |(p, (panel, errors)): (usize, (&mut [MaybeUninit<Line>], &mut [f64]))| {
        for line in panel.iter_mut() {
            line.write(Line([0; 2 * PANEL]));
        }
        // SAFETY: every line of the panel was written just now, and `MaybeUninit<Line>` has the
        // layout of `Line`.
        let panel = unsafe { &mut *(std::ptr::from_mut(panel) as *mut [Line]) };
        let mut q = vec![0i16; 2 * depth];
        let first = (p * PANEL).min(classes.len());
        let last = (first + PANEL).min(classes.len());
        for (r, class) in (first..last).enumerate() {
            let row = x.row(classes.firsts[class] as usize);
            errors[r] = pack::quantise(row, norms[class], &mut q);
            pack::place(&q, r, panel);
        }
    };
    if panels * depth > 0 {
        lines.spare_capacity_mut()[..panels * depth]
            .par_chunks_exact_mut(depth)
            .zip(errors.par_chunks_exact_mut(PANEL))
            .enumerate()
            .for_each(write);
        // SAFETY: the loop above wrote all of the first `panels * depth` lines.
        unsafe { lines.set_len(panels * depth) };
    }
    errors.truncate(classes.len());
    (lines, errors)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_rows_fold_even_where_keys_collide() {
        let rows = [5, 7, 5, 0, 9, 7, 5];
        for collide in [false, true] {
            let keys: Vec<Option<u64>> = rows
                .iter()
                .map(|&r| (r != 0).then_some(if collide { 1 } else { r }))
                .collect();
            let classes = Classes::fold(&keys, |i, j| rows[i] == rows[j]);
            assert_eq!(classes.class_of, [0, 1, 0, NONE, 2, 1, 0]);
            assert_eq!(classes.firsts, [0, 1, 4]);
            assert_eq!(classes.members(0), [0, 2, 6]);
            assert_eq!(classes.members(1), [1, 5]);
            assert_eq!(classes.members(2), [4]);
        }
    }

    #[test]
    fn ties_between_classes_unfold_in_row_order() {
        let keys = [1u64, 2, 1, 2, 3].map(Some);
        let classes = Classes::fold(&keys, |_, _| true);
        let best = [(0u32, 0.5), (1, 0.5), (2, 0.25)];
        let lists = classes.unfold(|_| &best[..], &classes, 4);
        assert_eq!(lists.row(4).rows, [0, 1, 2, 3]);
        let lists = classes.unfold(|_| &best[..], &classes, 9);
        assert_eq!(lists.row(0).rows, [0, 1, 2, 3, 4]);
        assert_eq!(lists.row(0).scores, [0.5, 0.5, 0.5, 0.5, 0.25]);
    }

    #[test]
    fn rows_that_differ_in_one_bit_have_different_keys() {
        let a = [1.0f32, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0];
        let mut b = a;
        b[8] = f32::from_bits(9f32.to_bits() + 1);
        assert_ne!(key(&a), key(&b));
        assert_ne!(key(&a[..8]), key(&a));
        b = a;
        b.swap(0, 8);
        assert_ne!(key(&a), key(&b));
    }
}
