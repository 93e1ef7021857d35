//! The fast pass over packed rows: integer dot products of a strip of rows with a group of
//! columns, compared with floors while they are still in registers.
//!
//! What leaves a tile is only the rare pair that reaches the row's or the column's floor, so the
//! matrix of scores is never stored. All forms return the same integers: a new form (AMX splits a
//! 16-bit integer into two bytes and loses nothing either) is one more arm of [`scan`] and needs
//! no change in the bound or in the search.

use super::kernel::{Kernel, Level};
use super::pack::{Line, PANEL};
use std::ops::Range;

/// Rows of a strip: half a panel.
pub const STRIP: usize = 8;
/// Columns of a group: three panels.
pub const GROUP: usize = 3 * PANEL;

/// A pair that reached a floor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hit {
    /// The row, as the caller of the scan counts them.
    pub row: u32,
    /// The column, as the caller of the scan counts them.
    pub col: u32,
    /// The integer score.
    pub dot: i32,
}

/// Rows to scan: packed panels of `depth` lines, and a floor for each row of those panels.
#[derive(Debug, Clone, Copy)]
pub struct Packed<'a> {
    /// `[panel][depth]`; see [`Line`].
    pub lines: &'a [Line],
    /// Lines of a panel.
    pub depth: usize,
}

impl<'a> Packed<'a> {
    /// The panels that hold `rows`; both ends must be multiples of [`PANEL`].
    fn panels(&self, rows: Range<usize>) -> &'a [Line] {
        &self.lines[rows.start / PANEL * self.depth..rows.end / PANEL * self.depth]
    }
}

/// Appends to `hits` every pair `(i, j)`, `i` in `rows`, `j` in `first_col..first_col + GROUP`,
/// with `<q_i, q_j> >= min(row_floors[i - rows.start], col_floors[j - first_col])`.
///
/// Rows come in ascending order, columns ascending within a row. `rows` starts at a multiple of
/// [`PANEL`] and spans a multiple of [`STRIP`]; `first_col` is a multiple of [`PANEL`]. Panics when
/// a range or a floor is missing, as indexing a slice does.
#[allow(clippy::too_many_arguments, reason = "two operands, three arrays each")]
pub fn scan(
    kernel: Kernel,
    left: Packed<'_>,
    rows: Range<usize>,
    row_floors: &[i32],
    right: Packed<'_>,
    first_col: usize,
    col_floors: &[i32],
    hits: &mut Vec<Hit>,
) {
    assert!(rows.start.is_multiple_of(PANEL) && rows.len().is_multiple_of(STRIP));
    assert!(first_col.is_multiple_of(PANEL) && left.depth == right.depth);
    assert!(row_floors.len() >= rows.len());
    let col_floors: &[i32; GROUP] = col_floors[..GROUP].try_into().expect("GROUP floors");
    let group = right.panels(first_col..first_col + GROUP);
    let end = rows.end.next_multiple_of(PANEL);
    let panels = left.panels(rows.start..end);
    assert!(left.depth > 0 && panels.len() == (end - rows.start) / PANEL * left.depth);
    assert!(group.len() == 3 * left.depth);
    for (strip, floors) in row_floors[..rows.len()].chunks_exact(STRIP).enumerate() {
        let tile = Tile {
            panel: &panels[strip / 2 * left.depth..][..left.depth],
            half: strip % 2,
            row_floors: floors.try_into().expect("STRIP floors"),
            group,
            col_floors,
            row: (rows.start + strip * STRIP) as u32,
            col: first_col as u32,
        };
        match kernel.level() {
            Level::Portable => tile.portable(hits),
            #[cfg(target_arch = "x86_64")]
            // SAFETY: a `Kernel` of this level exists only where the instructions were detected;
            // `group` is three panels of as many lines as `panel`.
            Level::Avx2 => unsafe { tile.avx2(hits) },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: as above.
            Level::Avx512 => unsafe { tile.avx512(hits) },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: as above.
            Level::Avx512Vnni => unsafe { tile.avx512_vnni(hits) },
        }
    }
}

/// One strip against one group: `STRIP x GROUP` dot products.
pub(super) struct Tile<'a> {
    /// The panel that the strip is a half of: `depth` lines.
    pub panel: &'a [Line],
    /// Which half: 0 or 1.
    pub half: usize,
    pub row_floors: &'a [i32; STRIP],
    /// Three panels of `depth` lines.
    pub group: &'a [Line],
    pub col_floors: &'a [i32; GROUP],
    /// The strip's first row and the group's first column, as hits name them.
    pub row: u32,
    pub col: u32,
}

impl Tile<'_> {
    /// Appends row `r`'s hits from `dots`, the products with the columns from `c` on.
    #[inline]
    pub(super) fn report(&self, r: usize, c: usize, dots: &[i32], hits: &mut Vec<Hit>) {
        let row_floor = self.row_floors[r];
        for (dot, (l, floor)) in dots.iter().zip(self.col_floors[c..].iter().enumerate()) {
            if *dot >= row_floor.min(*floor) {
                hits.push(Hit {
                    row: self.row + r as u32,
                    col: self.col + (c + l) as u32,
                    dot: *dot,
                });
            }
        }
    }

    fn portable(&self, hits: &mut Vec<Hit>) {
        let depth = self.panel.len();
        for r in 0..STRIP {
            for (p, panel) in self.group.chunks_exact(depth).enumerate() {
                let mut sums = [0i32; PANEL];
                for (a, b) in self.panel.iter().zip(panel) {
                    let at = 2 * (self.half * STRIP + r);
                    let (x, y) = (i32::from(a.0[at]), i32::from(a.0[at + 1]));
                    for (l, sum) in sums.iter_mut().enumerate() {
                        *sum += x * i32::from(b.0[2 * l]) + y * i32::from(b.0[2 * l + 1]);
                    }
                }
                self.report(r, p * PANEL, &sums, hits);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packed(rows: &[Vec<i16>], depth: usize) -> Vec<Line> {
        let mut lines = vec![Line([0; 32]); rows.len().div_ceil(PANEL) * depth];
        for (i, row) in rows.iter().enumerate() {
            let panel = &mut lines[i / PANEL * depth..][..depth];
            super::super::pack::place(row, i % PANEL, panel);
        }
        lines
    }

    #[test]
    fn every_form_finds_the_same_pairs_as_the_definition() {
        let mut rng = fastrand::Rng::with_seed(11);
        for depth in [1usize, 2, 7, 33] {
            let top = (32767.0 / (2.0 * depth as f64).sqrt()) as i16;
            let mut draw = |n: usize| -> Vec<Vec<i16>> {
                (0..n)
                    .map(|_| (0..2 * depth).map(|_| rng.i16(-top..=top)).collect())
                    .collect()
            };
            let (left, right) = (draw(32), draw(96));
            let dot = |i: usize, j: usize| -> i32 {
                (0..2 * depth)
                    .map(|t| left[i][t] as i32 * right[j][t] as i32)
                    .sum()
            };
            let (l, r) = (packed(&left, depth), packed(&right, depth));
            let l = Packed { lines: &l, depth };
            let r = Packed { lines: &r, depth };
            let cases: [(i32, i32); 5] = [
                (i32::MIN, i32::MAX),
                (i32::MAX, i32::MIN),
                (i32::MAX, i32::MAX),
                (1 << 28, i32::MAX),
                (0, 1 << 27),
            ];
            for (row_floor, col_floor) in cases {
                for (rows, first_col) in [(0..32, 48), (16..24, 0), (0..8, 16), (16..16, 0)] {
                    // Floors that differ from lane to lane, and one exactly met.
                    let mut row_floors: Vec<i32> = rows
                        .clone()
                        .map(|i| row_floor.saturating_add(i as i32 * 99))
                        .collect();
                    if row_floor == 1 << 28 && !rows.is_empty() {
                        row_floors[3] = dot(rows.start + 3, first_col + 17);
                    }
                    let col_floors: Vec<i32> =
                        (0..48).map(|j| col_floor.saturating_sub(j * 77)).collect();
                    let mut want = Vec::new();
                    for i in rows.clone() {
                        for j in first_col..first_col + GROUP {
                            let floor = row_floors[i - rows.start].min(col_floors[j - first_col]);
                            if dot(i, j) >= floor {
                                let (row, col) = (i as u32, j as u32);
                                want.push(Hit {
                                    row,
                                    col,
                                    dot: dot(i, j),
                                });
                            }
                        }
                    }
                    for kernel in Kernel::available() {
                        let mut hits = Vec::new();
                        scan(
                            kernel,
                            l,
                            rows.clone(),
                            &row_floors,
                            r,
                            first_col,
                            &col_floors,
                            &mut hits,
                        );
                        hits.sort_by_key(|h| (h.row, h.col));
                        assert_eq!(hits, want, "{kernel:?}, depth {depth}");
                    }
                }
            }
        }
    }

    #[test]
    fn the_longest_rows_do_not_overflow() {
        // All of the length in one dimension, and spread evenly over 64 Ki dimensions (where each
        // of them rounds up by almost a half: 127.996 -> 128).
        for (depth, value) in [(1usize, 32767i16), (32_768, 128)] {
            let mut rows = vec![vec![0i16; 2 * depth]; 48];
            rows[0][..if depth == 1 { 1 } else { 2 * depth }].fill(value);
            let lines = packed(&rows, depth);
            let packed = Packed {
                lines: &lines,
                depth,
            };
            let (rows_max, mut cols) = ([i32::MAX; 8], [i32::MAX; GROUP]);
            cols[0] = 1;
            for kernel in Kernel::available() {
                let mut hits = Vec::new();
                scan(kernel, packed, 0..8, &rows_max, packed, 0, &cols, &mut hits);
                let dot = if depth == 1 { 32767 * 32767 } else { 1 << 30 };
                assert_eq!(
                    hits,
                    [Hit {
                        row: 0,
                        col: 0,
                        dot
                    }],
                    "{kernel:?}"
                );
            }
        }
    }
}
