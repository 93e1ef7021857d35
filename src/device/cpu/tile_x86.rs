//! The tile kernel in AVX-512 (with and without VNNI) and in AVX2.
//!
//! A line of a panel is one 512-bit register: 16 columns of two 16-bit integers each. A step loads
//! the three lines of the group, broadcasts each row's pair of integers from the strip's line, and
//! adds the 8 x 3 pairwise products to 24 accumulators of 16 columns each. The broadcast side is
//! the same packed panel seen through its other axis, so that a self-join packs its rows once.

use super::pack::PANEL;
use super::tile::{Hit, STRIP, Tile};
use std::arch::x86_64::*;

/// Registers of a row: the group's three panels.
const WIDE: usize = 3;

impl Tile<'_> {
    /// The tile with `vpdpwssd`.
    #[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
    pub(super) fn avx512_vnni(&self, hits: &mut Vec<Hit>) {
        let sums = self.sums512(|sum, a, b| _mm512_dpwssd_epi32(sum, a, b));
        self.sift512(&sums, hits);
    }

    /// The tile with `vpmaddwd` and an addition.
    #[target_feature(enable = "avx512f,avx512bw")]
    pub(super) fn avx512(&self, hits: &mut Vec<Hit>) {
        let sums = self.sums512(|sum, a, b| _mm512_add_epi32(sum, _mm512_madd_epi16(a, b)));
        self.sift512(&sums, hits);
    }

    /// All dot products of the tile; `step` adds the pairwise products of two registers.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw")]
    fn sums512(
        &self,
        step: impl Fn(__m512i, __m512i, __m512i) -> __m512i,
    ) -> [[__m512i; WIDE]; STRIP] {
        let depth = self.panel.len();
        assert!(self.group.len() == WIDE * depth && self.half < 2);
        let left = self.panel.as_ptr().cast::<i32>();
        let right = self.group.as_ptr().cast::<__m512i>();
        let mut sums = [[_mm512_setzero_si512(); WIDE]; STRIP];
        for t in 0..depth {
            // SAFETY: `right` has WIDE * depth lines of 64 bytes, aligned to 64; t < depth.
            let b: [__m512i; WIDE] = unsafe {
                [
                    _mm512_load_si512(right.add(t)),
                    _mm512_load_si512(right.add(depth + t)),
                    _mm512_load_si512(right.add(2 * depth + t)),
                ]
            };
            for (r, sum) in sums.iter_mut().enumerate() {
                // SAFETY: `left` has depth lines of 16 pairs; t < depth, half < 2 and r < 8.
                let pair = unsafe { *left.add(t * PANEL + self.half * STRIP + r) };
                let a = _mm512_set1_epi32(pair);
                for p in 0..WIDE {
                    sum[p] = step(sum[p], a, b[p]);
                }
            }
        }
        sums
    }

    /// Reports the sums that reach their floor.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw")]
    fn sift512(&self, sums: &[[__m512i; WIDE]; STRIP], hits: &mut Vec<Hit>) {
        // SAFETY: `col_floors` has WIDE * 16 elements.
        let floors: [__m512i; WIDE] = unsafe {
            let at = self.col_floors.as_ptr().cast::<__m512i>();
            [
                _mm512_loadu_si512(at),
                _mm512_loadu_si512(at.add(1)),
                _mm512_loadu_si512(at.add(2)),
            ]
        };
        let mut masks = [[0u16; WIDE]; STRIP];
        let mut any = 0u16;
        for r in 0..STRIP {
            let floor = _mm512_set1_epi32(self.row_floors[r]);
            for p in 0..WIDE {
                masks[r][p] =
                    _mm512_cmpge_epi32_mask(sums[r][p], _mm512_min_epi32(floor, floors[p]));
                any |= masks[r][p];
            }
        }
        if any != 0 {
            self.append512(sums, &masks, hits);
        }
    }

    #[inline(never)]
    #[target_feature(enable = "avx512f,avx512bw")]
    fn append512(
        &self,
        sums: &[[__m512i; WIDE]; STRIP],
        masks: &[[u16; WIDE]; STRIP],
        hits: &mut Vec<Hit>,
    ) {
        for r in 0..STRIP {
            for p in 0..WIDE {
                let mut mask = masks[r][p];
                if mask == 0 {
                    continue;
                }
                let mut dots = [0i32; PANEL];
                // SAFETY: `dots` is 64 bytes.
                unsafe { _mm512_storeu_si512(dots.as_mut_ptr().cast(), sums[r][p]) };
                while mask != 0 {
                    let l = mask.trailing_zeros() as usize;
                    mask &= mask - 1;
                    hits.push(Hit {
                        row: self.row + r as u32,
                        col: self.col + (p * PANEL + l) as u32,
                        dot: dots[l % PANEL],
                    });
                }
            }
        }
    }

    /// The tile in 256-bit registers: four rows and one panel at a time.
    #[target_feature(enable = "avx2,fma")]
    pub(super) fn avx2(&self, hits: &mut Vec<Hit>) {
        const ROWS: usize = 4;
        let depth = self.panel.len();
        assert!(self.group.len() == WIDE * depth && self.half < 2);
        let left = self.panel.as_ptr().cast::<i32>();
        for first in (0..STRIP).step_by(ROWS) {
            for (p, panel) in self.group.chunks_exact(depth).enumerate() {
                let mut sums = [[_mm256_setzero_si256(); 2]; ROWS];
                for (t, line) in panel.iter().enumerate() {
                    let right = line.0.as_ptr().cast::<__m256i>();
                    // SAFETY: a line is two registers of 32 bytes, aligned to 64.
                    let b = unsafe { [_mm256_load_si256(right), _mm256_load_si256(right.add(1))] };
                    for (r, sum) in sums.iter_mut().enumerate() {
                        // SAFETY: `left` has depth lines of 16 pairs; t < depth, half < 2 and
                        // first + r < 8.
                        let pair = unsafe { *left.add(t * PANEL + self.half * STRIP + first + r) };
                        let a = _mm256_set1_epi32(pair);
                        for h in 0..2 {
                            sum[h] = _mm256_add_epi32(sum[h], _mm256_madd_epi16(a, b[h]));
                        }
                    }
                }
                for (r, sum) in sums.iter().enumerate() {
                    let mut dots = [0i32; PANEL];
                    // SAFETY: `dots` is two registers of 32 bytes.
                    unsafe {
                        _mm256_storeu_si256(dots.as_mut_ptr().cast(), sum[0]);
                        _mm256_storeu_si256(dots.as_mut_ptr().cast::<__m256i>().add(1), sum[1]);
                    }
                    self.report(first + r, p * PANEL, &dots, hits);
                }
            }
        }
    }
}
