//! The transforms of tiles, a vector of channels (or filters) at a time.

use super::super::lanes::{Job, Lanes, load_some, store_some};
use super::super::math::{activate, with_act};
use super::super::shape::Tail;
use super::PAIRS;
use super::points::{self, POINTS, SIDE};
use crate::device::op::Act;

/// One tile of the image, taken to the pairs of points.
pub(super) struct Image<'a> {
    /// The 36 pixels under it, row by row: `channels` floats each.
    pub pixels: &'a [*const f32; PAIRS],
    pub channels: usize,
    /// Where its channels go at the first pair of points: room for whole vectors.
    pub to: *mut f32,
    /// Floats from a pair to the next.
    pub step: usize,
}

impl Job for Image<'_> {
    #[inline(always)]
    unsafe fn run<L: Lanes>(self) {
        let mut c = 0;
        while c < self.channels {
            let n = L::N.min(self.channels - c);
            // SAFETY: the fields' contract: `n` channels from `c` on are at every pixel, and there is
            // room for a vector at every pair.
            unsafe {
                let zero = L::splat(0.0);
                let mut half = [[zero; POINTS]; POINTS];
                for j in 0..POINTS {
                    let mut d = [zero; POINTS];
                    for (i, d) in d.iter_mut().enumerate() {
                        *d = load_some::<L>(self.pixels[i * POINTS + j].add(c), n);
                    }
                    let t = points::image::<L>(d);
                    for (row, v) in half.iter_mut().zip(t) {
                        row[j] = v;
                    }
                }
                for (i, row) in half.into_iter().enumerate() {
                    for (j, v) in points::image::<L>(row).into_iter().enumerate() {
                        L::store(self.to.add((i * POINTS + j) * self.step + c), v);
                    }
                }
            }
            c += L::N;
        }
    }
}

/// The products of one panel for some tiles, taken back, with the epilogue.
pub(super) struct Results<'a> {
    /// `[tile][lane]` at the first pair of points.
    pub from: *const f32,
    /// Floats from a pair to the next.
    pub step: usize,
    /// Floats of a tile's products: those of the panel's vectors.
    pub width: usize,
    /// The tiles.
    pub places: &'a [Place],
    /// The first filter, and how many.
    pub filter: usize,
    pub filters: usize,
    /// Floats of a pixel and of a row of the result.
    pub line: usize,
    pub row: usize,
    pub tail: &'a Tail<'a>,
    pub y: *mut f32,
}

/// Where a tile's results go.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    /// The first float of its first pixel.
    pub start: usize,
    /// Rows and columns of it that the result has.
    pub rows: usize,
    pub columns: usize,
}

impl Job for Results<'_> {
    #[inline(always)]
    unsafe fn run<L: Lanes>(self) {
        // SAFETY: the caller's.
        unsafe { with_act!(self.tail.act, ACT => self.all::<L>(ACT)) }
    }
}

impl Results<'_> {
    /// # Safety
    /// As [`Job::run`]: the panel's products are there, and the result's pixels are nobody else's for
    /// these filters.
    #[inline(always)]
    unsafe fn all<L: Lanes>(&self, act: Act) {
        let mut column = 0;
        while column < self.filters {
            let n = L::N.min(self.filters - column);
            let filter = self.filter + column;
            // SAFETY: the fields' contract: `n` filters from `filter` on have scale and bias, and the
            // pixels of the places hold them in the residual and in the result.
            unsafe {
                let mut scale = L::splat(1.0);
                if let Some(s) = self.tail.scale {
                    scale = load_some::<L>(s.as_ptr().add(filter), n);
                }
                let mut bias = L::splat(0.0);
                if let Some(b) = self.tail.bias {
                    bias = load_some::<L>(b.as_ptr().add(filter), n);
                }
                for (t, place) in self.places.iter().enumerate() {
                    let half = self.rows::<L>(t * self.width + column);
                    for (i, row) in half.into_iter().enumerate().take(place.rows) {
                        let sums = points::result::<L>(row);
                        let at = place.start + i * self.row + filter;
                        for (j, sum) in sums.into_iter().enumerate() {
                            if j < place.columns {
                                let at = at + j * self.line;
                                let mut v = L::fma(sum, scale, bias);
                                if let Some(r) = self.tail.residual {
                                    v = L::add(v, load_some::<L>(r.as_ptr().add(at), n));
                                }
                                store_some::<L>(self.y.add(at), n, activate::<L>(act, v));
                            }
                        }
                    }
                }
            }
            column += L::N;
        }
    }

    /// The products at `at` of every pair, taken back along columns.
    ///
    /// # Safety
    /// A vector is there at every pair.
    #[inline(always)]
    unsafe fn rows<L: Lanes>(&self, at: usize) -> [[L::V; POINTS]; SIDE] {
        // SAFETY: the caller's.
        unsafe {
            let zero = L::splat(0.0);
            let mut half = [[zero; POINTS]; SIDE];
            for j in 0..POINTS {
                let mut m = [zero; POINTS];
                for (i, m) in m.iter_mut().enumerate() {
                    *m = L::load(self.from.add((i * POINTS + j) * self.step + at));
                }
                let sums = points::result::<L>(m);
                for (row, v) in half.iter_mut().zip(sums) {
                    row[j] = v;
                }
            }
            half
        }
    }
}
