//! Convolutions with dense filters of 3 by 3 at stride 1, by Winograd's algorithm F(4 x 4, 3 x 3).
//!
//! Sixteen values of a result take 36 products a channel and a filter rather than 144. The image is cut
//! into tiles of 6 by 6 that overlap by two; every tile is taken to 36 pairs of points, where the
//! convolution is a product of matrices `[tiles, channels] x [channels, filters]` (the tiles of
//! [`super::conv`] do it), and the products are taken back. Blocks of tiles pass through all three steps
//! while they are in cache.
//!
//! Every value is one chain of operations that depends on its place in its tile only: neither the number
//! of threads nor that of the images changes a bit. Errors are about twice those of the direct sum at 64
//! channels and more (the transforms cancel; the chains are shorter by a factor of nine). An infinity
//! or a NaN reaches every value of its tile.

mod points;
mod run;
#[cfg(test)]
mod tests;
mod transform;

use super::conv::layout::lanes;
use super::kernel::{Kernel, Level};
use super::lanes::{self as units};
use super::shape::{ConvShape, Tail};
use crate::error::{Error, Result};
use points::POINTS;

/// Pairs of points.
const PAIRS: usize = POINTS * POINTS;
/// Vectors of a panel of filters.
const WIDE: usize = 2;
/// The most rows or columns of an image, and the most channels and filters.
const MOST: usize = 1 << 20;

/// Whether this algorithm computes convolutions of `shape`.
pub fn runs(shape: &ConvShape) -> bool {
    let sides = [shape.height, shape.width, shape.out_height, shape.out_width];
    shape.kernel == [3, 3]
        && shape.stride == [1, 1]
        && shape.groups <= 1
        && shape.pad.iter().all(|&p| p <= 2)
        && sides.iter().all(|&s| s <= MOST)
        && (1..=MOST).contains(&shape.channels)
        && (1..=MOST).contains(&shape.filters)
}

/// Whether it is faster than [`super::conv`] and as good: enough channels for the products to outweigh
/// the transforms and for the sums to outweigh their errors, enough tiles an image to be worth reading
/// filters that are four times as large. A matter of the shape alone.
pub fn pays(shape: &ConvShape) -> bool {
    let tiles = shape.out_height.div_ceil(points::SIDE) * shape.out_width.div_ceil(points::SIDE);
    runs(shape)
        && shape.channels >= 32
        && shape.filters >= 32
        && shape.out_height.min(shape.out_width) >= 7
        && tiles.saturating_mul(1 << 14) >= shape.channels * shape.filters
}

/// The panels of filters: `[pair of points][panel][channel][lane]`.
#[derive(Debug, Clone, Copy)]
struct Layout {
    lanes: usize,
    channels: usize,
    filters: usize,
}

impl Layout {
    fn new(kernel: Kernel, shape: &ConvShape) -> Layout {
        Layout {
            lanes: lanes(kernel),
            channels: shape.channels,
            filters: shape.filters,
        }
    }

    /// Vectors of filters.
    fn vectors(&self) -> usize {
        self.filters.div_ceil(self.lanes)
    }

    /// Panels of two vectors; the last one may have one.
    fn panels(&self) -> usize {
        self.vectors().div_ceil(WIDE)
    }

    /// Vectors of panel `p`.
    fn wide(&self, p: usize) -> usize {
        (self.vectors() - WIDE * p).min(WIDE)
    }

    /// Floats of the filters at one pair of points.
    fn pair(&self) -> usize {
        self.vectors() * self.lanes * self.channels
    }

    /// Where panel `p` starts within them.
    fn panel(&self, p: usize) -> usize {
        p * WIDE * self.lanes * self.channels
    }

    fn len(&self) -> usize {
        PAIRS * self.pair()
    }
}

/// Floats of the packed filters of `shape` for `kernel`: four times those of the direct form.
pub fn packed_len(kernel: Kernel, shape: &ConvShape) -> usize {
    Layout::new(kernel, shape).len()
}

/// Packs the filters of `shape` for `kernel` into `packed`, of [`packed_len`] floats.
///
/// `filters(o, row)` writes filter `o`, `[channels][3][3]`; it is called once for each filter, in
/// ascending order.
///
/// # Errors
/// What `filters` returns; a `packed` of another length, or a shape that [`runs`] says no to.
pub fn pack(
    kernel: Kernel,
    shape: &ConvShape,
    filters: &mut dyn FnMut(usize, &mut [f32]) -> Result<()>,
    packed: &mut [f32],
) -> Result<()> {
    if !runs(shape) {
        return Err(Error::shape(
            "conv",
            &[shape.channels, shape.filters],
            &shape.kernel,
        ));
    }
    let layout = Layout::new(kernel, shape);
    if packed.len() != layout.len() {
        return Err(Error::shape("conv", &[packed.len()], &[layout.len()]));
    }
    packed.fill(0.0);
    let mut row = vec![0.0; 9 * shape.channels];
    for o in 0..shape.filters {
        filters(o, &mut row)?;
        let p = o / (WIDE * layout.lanes);
        let width = layout.wide(p) * layout.lanes;
        let start = layout.panel(p) + o % (WIDE * layout.lanes);
        for (c, taps) in row.chunks_exact(9).enumerate() {
            for (pair, value) in points::filter(taps).into_iter().enumerate() {
                packed[pair * layout.pair() + start + c * width] = value;
            }
        }
    }
    Ok(())
}

/// The convolution of some images, with its epilogue.
///
/// - `x`: `[images, height, width, channels]`
/// - `packed`: the filters, packed by [`pack`] for the same `kernel`
/// - `tail`: its residual is as large as the result
/// - `y`: `[images, out_height, out_width, filters]`, written completely
///
/// Runs on rayon's current pool. The result's bits depend on `kernel` and the arguments only, those of an
/// image not on the others.
///
/// # Panics
/// When [`runs`] says no to `shape`, or a slice does not have the length that `shape` gives it.
pub fn winograd(
    kernel: Kernel,
    shape: &ConvShape,
    images: usize,
    x: &[f32],
    packed: &[f32],
    tail: &Tail<'_>,
    y: &mut [f32],
) {
    let layout = Layout::new(kernel, shape);
    check(shape, &layout, images, x, packed, tail, y);
    if y.is_empty() {
        return;
    }
    let job = run::Job::new(kernel, shape, layout, images, x, packed, tail, y);
    match kernel.level() {
        Level::Portable => job.run::<units::Portable>(),
        #[cfg(target_arch = "x86_64")]
        Level::Avx2 => job.run::<units::Avx2>(),
        #[cfg(target_arch = "x86_64")]
        Level::Avx512 | Level::Avx512Vnni => job.run::<units::Avx512>(),
    }
}

/// What makes the kernels' pointers valid.
fn check(
    shape: &ConvShape,
    layout: &Layout,
    images: usize,
    x: &[f32],
    packed: &[f32],
    tail: &Tail<'_>,
    y: &[f32],
) {
    assert!(runs(shape), "winograd: not for {shape:?}");
    let size = |sides: [usize; 4]| sides.into_iter().try_fold(1usize, usize::checked_mul);
    let (from, to) = (
        size([images, shape.height, shape.width, shape.channels]),
        size([images, shape.out_height, shape.out_width, shape.filters]),
    );
    assert_eq!(Some(x.len()), from, "winograd: x");
    assert_eq!(Some(y.len()), to, "winograd: y");
    assert_eq!(packed.len(), layout.len(), "winograd: packed filters");
    let fits = |v: Option<&[f32]>, n: usize| v.is_none_or(|v| v.len() == n);
    assert!(fits(tail.scale, shape.filters), "winograd: scale");
    assert!(fits(tail.bias, shape.filters), "winograd: bias");
    assert!(fits(tail.residual, y.len()), "winograd: residual");
}
