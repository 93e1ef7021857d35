//! Convolutions and matrix products of the encoders: one image, channels last.
//!
//! A convolution is a product of the pixels' surroundings with the filters. Nothing is unfolded: a
//! tile of a few pixels reads its channels where they are, through one pointer a pixel and a tap
//! (implicit GEMM), and holds its sums in registers until they are complete; the epilogue follows
//! at once. Every value of a result is one chain of (fused) multiply-adds over taps, then channels,
//! so that neither the number of threads nor the division into tiles changes a bit.
//!
//! Filters are packed once, by [`pack`], in the order in which the kernel of that level reads them.

pub(super) mod layout;
pub(super) mod run;
#[cfg(test)]
mod tests;
pub(super) mod tile;
mod view;

use super::kernel::{Kernel, Level};
use super::lanes;
use super::shape::{ConvShape, Tail};
use crate::error::{Error, Result};
use layout::Layout;
use std::borrow::Cow;

/// Pixels below which a gate is applied to the image rather than to the filters.
const FEW_PIXELS: usize = 16;

/// The most rows or columns that a filter walks over.
const SIDE: usize = 1 << 24;

/// Floats of the packed filters of `shape` for `kernel`.
///
/// It depends on channels, filters, groups and the filters' size only: one packing serves images of
/// every size.
pub fn packed_len(kernel: Kernel, shape: &ConvShape) -> usize {
    Layout::new(kernel, shape).len()
}

/// Packs the filters of `shape` for `kernel` into `packed`, of [`packed_len`] floats.
///
/// `filters(o, row)` writes filter `o`, `[channels / groups][kernel height][kernel width]`; it is
/// called once for each filter, in ascending order. One filter at a time is held in memory.
///
/// The kernels are fastest when `packed` starts at a multiple of 64 bytes.
///
/// # Errors
/// What `filters` returns; a `packed` of another length, or groups that do not divide channels and
/// filters.
pub fn pack(
    kernel: Kernel,
    shape: &ConvShape,
    filters: &mut dyn FnMut(usize, &mut [f32]) -> Result<()>,
    packed: &mut [f32],
) -> Result<()> {
    let groups = shape.groups.max(1);
    if !shape.channels.is_multiple_of(groups) || !shape.filters.is_multiple_of(groups) {
        return Err(Error::shape(
            "conv",
            &[shape.channels, shape.filters],
            &[shape.groups],
        ));
    }
    let layout = Layout::new(kernel, shape);
    if packed.len() != layout.len() {
        return Err(Error::shape("conv", &[packed.len()], &[layout.len()]));
    }
    layout.pack(filters, packed)
}

/// The convolution of one image, with its epilogue.
///
/// - `x`: `[height, width, channels]`
/// - `packed`: the filters, packed by [`pack`] for the same `kernel`
/// - `gate`: a factor a channel of `x` (squeeze and excitation); only for filters of one pixel
///   without groups
/// - `y`: `[out_height, out_width, filters]`, written completely
///
/// Runs on rayon's current pool. The result's bits depend on `kernel` and the arguments only.
///
/// # Panics
/// When a slice does not have the length that `shape` gives it, or the shape is beyond all bounds
/// (a side of more than 2^24, a filter's side of more than 4096).
pub fn conv(
    kernel: Kernel,
    shape: &ConvShape,
    x: &[f32],
    packed: &[f32],
    gate: Option<&[f32]>,
    tail: &Tail<'_>,
    y: &mut [f32],
) {
    let layout = Layout::new(kernel, shape);
    check(shape, &layout, x, packed, gate, tail, y);
    let pixels = shape.out_height * shape.out_width;
    if pixels == 0 || shape.filters == 0 {
        return;
    }
    let (x, gate) = match gate {
        Some(gate) if pixels < FEW_PIXELS => (Cow::Owned(gated(x, gate)), None),
        gate => (Cow::Borrowed(x), gate),
    };
    let job = run::Job::new(shape, layout, &x, packed, gate, tail, y);
    match kernel.level() {
        Level::Portable => job.run::<lanes::Portable>(),
        #[cfg(target_arch = "x86_64")]
        Level::Avx2 => job.run::<lanes::Avx2>(),
        #[cfg(target_arch = "x86_64")]
        Level::Avx512 | Level::Avx512Vnni => job.run::<lanes::Avx512>(),
    }
}

/// Every pixel times `gate`.
fn gated(x: &[f32], gate: &[f32]) -> Vec<f32> {
    let pixels = x.chunks_exact(gate.len().max(1));
    pixels
        .flat_map(|p| p.iter().zip(gate).map(|(x, g)| x * g))
        .collect()
}

/// What makes the kernels' pointers valid.
fn check(
    shape: &ConvShape,
    layout: &Layout,
    x: &[f32],
    packed: &[f32],
    gate: Option<&[f32]>,
    tail: &Tail<'_>,
    y: &[f32],
) {
    assert!(
        sane(shape, layout),
        "conv: a shape beyond all bounds: {shape:?}"
    );
    let size = |sides: [usize; 3]| sides.into_iter().try_fold(1usize, usize::checked_mul);
    let groups = shape.groups.max(1);
    assert_eq!(
        Some(x.len()),
        size([shape.height, shape.width, shape.channels]),
        "conv: x"
    );
    let out = size([shape.out_height, shape.out_width, shape.filters]);
    assert_eq!(Some(y.len()), out, "conv: y");
    assert_eq!(packed.len(), layout.len(), "conv: packed filters");
    assert!(
        shape.channels.is_multiple_of(groups) && shape.filters.is_multiple_of(groups),
        "conv: groups"
    );
    assert!(
        tail.scale.is_none_or(|s| s.len() == shape.filters),
        "conv: scale"
    );
    assert!(
        tail.bias.is_none_or(|b| b.len() == shape.filters),
        "conv: bias"
    );
    assert!(
        tail.residual.is_none_or(|r| r.len() == y.len()),
        "conv: residual"
    );
    if let Some(gate) = gate {
        assert_eq!(gate.len(), shape.channels, "conv: gate");
        let plain = shape.kernel == [1, 1] && shape.pad == [0, 0] && groups == 1;
        assert!(plain, "conv: a gate asks for filters of one pixel");
    }
}

/// Whether no product of sides overflows where the kernels compute addresses.
fn sane(shape: &ConvShape, layout: &Layout) -> bool {
    let small = |d: usize| {
        let out = [shape.out_height, shape.out_width][d];
        let reach = out.checked_mul(shape.stride[d]).is_some_and(|r| r <= SIDE);
        reach && out <= SIDE && shape.pad[d] <= SIDE && shape.kernel[d] <= SIDE >> 12
    };
    let depth = shape.channels as u128 * (shape.kernel[0] * shape.kernel[1]).max(1) as u128;
    let filters = (shape.filters + layout.lanes * shape.groups.max(1)) as u128;
    small(0) && small(1) && shape.groups <= SIDE && depth * filters < 1 << 60
}
