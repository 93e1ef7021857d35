//! Depthwise convolution of one image: every channel has its own filter.
//!
//! Blocks of eight pixels of an output row times one vector of channels stay in registers while
//! the taps pass; a block is stored for all channels, and then finished while it is in the first
//! cache (residual, activation, sums for squeeze-excitation). Columns outside of the image are
//! read from a row of zeros, rows outside of it are left out, so that a pixel's value does not
//! depend on the block it falls in.

use rayon::prelude::*;

use super::Kernel;
use super::lanes::{Job, Lanes, run};
use super::pointwise::{MIN_TASK, finish};
use super::pool::{add_pixels, mean_of_rows};
use super::shape::{ConvShape, Tail};
use crate::error::Result;

/// Pixels of a block.
const BLOCK: usize = 8;

/// Columns that the widest block reads: eight pixels, two apart, of seven taps.
const COLUMNS: usize = (BLOCK - 1) * 2 + 7;

/// Floats of a line of memory.
const LINE: usize = 16;

/// Floats of the packed filters.
pub fn packed_len(shape: &ConvShape) -> usize {
    shape.kernel[0] * shape.kernel[1] * shape.channels
}

/// Packs filters for [`depthwise`] as `[tap][channel]`: `filters(o, row)` writes the taps of filter
/// `o`, row-major, to `row`.
///
/// # Errors
/// Those of `filters`.
///
/// # Panics
/// If `packed` is not [`packed_len`] long.
pub fn pack(
    shape: &ConvShape,
    filters: &mut dyn FnMut(usize, &mut [f32]) -> Result<()>,
    packed: &mut [f32],
) -> Result<()> {
    assert_eq!(packed.len(), packed_len(shape), "packed filters");
    let mut row = vec![0.0; shape.kernel[0] * shape.kernel[1]];
    for o in 0..shape.channels {
        filters(o, &mut row)?;
        for (tap, &value) in row.iter().enumerate() {
            packed[tap * shape.channels + o] = value;
        }
    }
    Ok(())
}

/// Convolves `x`, `[height, width, channels]`, with packed filters, into `y`, `[out_height,
/// out_width, channels]`, with the tail. Any kernel, stride and padding; 3x3, 5x5 and 7x7 with
/// strides 1 and 2 have code of their own.
///
/// `pooled`, one value a channel, receives the mean over the output's pixels after the activation.
/// Results do not depend on the number of threads.
///
/// # Panics
/// If the shape is not depthwise (as many groups as channels and filters, strides of at least one),
/// or a slice is not as long as the shape says.
pub fn depthwise(
    kernel: Kernel,
    shape: &ConvShape,
    x: &[f32],
    packed: &[f32],
    tail: &Tail,
    y: &mut [f32],
    pooled: Option<&mut [f32]>,
) {
    check(shape, x, packed, tail, y, pooled.as_deref());
    let row = shape.out_width * shape.channels;
    if shape.channels == 0 {
        return;
    }
    let zeros = vec![0.0; shape.channels];
    let at_once = MIN_TASK.div_ceil(row.max(1));
    let one = |oy: usize, y: &mut [f32], sums: Option<&mut [f32]>| {
        let job = Row {
            shape,
            x,
            packed,
            tail,
            zeros: &zeros,
            oy,
            y,
            sums,
        };
        // SAFETY: `check` found every slice as long as the shape says; `y` is one row of the
        // result, and `sums` and `zeros` have one value a channel.
        unsafe { run(kernel, job) }
    };
    let Some(pooled) = pooled else {
        if row > 0 {
            let rows = y.par_chunks_mut(row).with_min_len(at_once).enumerate();
            rows.for_each(|(oy, y)| one(oy, y, None));
        }
        return;
    };
    let mut sums = vec![0.0f32; shape.out_height * shape.channels];
    if row > 0 {
        let rows = y.par_chunks_mut(row).with_min_len(at_once);
        let sums = sums.par_chunks_mut(shape.channels);
        rows.zip(sums)
            .enumerate()
            .for_each(|(oy, (y, sums))| one(oy, y, Some(sums)));
    }
    mean_of_rows(&sums, shape.out_height * shape.out_width, pooled);
}

fn check(
    shape: &ConvShape,
    x: &[f32],
    packed: &[f32],
    tail: &Tail,
    y: &[f32],
    pooled: Option<&[f32]>,
) {
    let c = shape.channels;
    assert!(
        shape.groups == c && shape.filters == c,
        "not depthwise: {shape:?}"
    );
    assert!(shape.stride[0] > 0 && shape.stride[1] > 0, "stride of zero");
    assert!(shape.kernel[0] > 0 && shape.kernel[1] > 0, "kernel of zero");
    assert_eq!(x.len(), shape.height * shape.width * c, "image");
    assert_eq!(packed.len(), packed_len(shape), "packed filters");
    assert_eq!(y.len(), shape.out_height * shape.out_width * c, "result");
    assert!(tail.scale.is_none_or(|s| s.len() == c), "scale");
    assert!(tail.bias.is_none_or(|b| b.len() == c), "bias");
    assert!(tail.residual.is_none_or(|r| r.len() == y.len()), "residual");
    assert!(pooled.is_none_or(|p| p.len() == c), "pooled");
}

/// One row of the result.
struct Row<'a> {
    shape: &'a ConvShape,
    x: &'a [f32],
    packed: &'a [f32],
    tail: &'a Tail<'a>,
    /// One a channel.
    zeros: &'a [f32],
    oy: usize,
    y: &'a mut [f32],
    /// Sums over the row's pixels, one a channel; zero before.
    sums: Option<&'a mut [f32]>,
}

impl Job for Row<'_> {
    #[inline(always)]
    unsafe fn run<L: Lanes>(self) {
        let Row { shape, .. } = self;
        // SAFETY: the caller has the unit, and the fields fit together as `depthwise` found them.
        unsafe {
            match (shape.kernel, shape.stride[1]) {
                ([3, 3], 1) => self.walk::<L, 3, 1>(),
                ([3, 3], 2) => self.walk::<L, 3, 2>(),
                ([5, 5], 1) => self.walk::<L, 5, 1>(),
                ([5, 5], 2) => self.walk::<L, 5, 2>(),
                ([7, 7], 1) => self.walk::<L, 7, 1>(),
                ([7, 7], 2) => self.walk::<L, 7, 2>(),
                _ => self.walk_any::<L>(),
            }
        }
    }
}

/// Where a block reads, and which of its vectors.
#[derive(Clone, Copy)]
struct Taps<'a, const K: usize> {
    /// The first row of taps within the image, and the one after the last.
    ky: (usize, usize),
    /// Inside of the image: the first column at `ky.0`; rows are `row` floats apart.
    first: *const f32,
    row: usize,
    /// The rows that the next row of the result needs and this one does not, at the block's column;
    /// an address to fetch ahead from, valid or not.
    ahead: *const f32,
    /// At an edge: every column at every `ky`.
    edge: &'a [[*const f32; COLUMNS]; K],
}

impl Row<'_> {
    /// The rows of taps within the image, and the image's row of tap 0, which may be outside.
    #[inline(always)]
    fn rows(&self) -> (usize, usize, isize) {
        let top = (self.oy * self.shape.stride[0]) as isize - self.shape.pad[0] as isize;
        let first = (-top).clamp(0, self.shape.kernel[0] as isize);
        let end = (self.shape.height as isize - top).clamp(first, self.shape.kernel[0] as isize);
        (first as usize, end as usize, top)
    }

    /// All blocks of a row, for a `K` x `K` kernel and steps of `S` to the right.
    #[inline(always)]
    unsafe fn walk<L: Lanes, const K: usize, const S: usize>(mut self) {
        let shape = self.shape;
        let (c, width) = (shape.channels, shape.width as isize);
        let (first, end, top) = self.rows();
        let columns = (BLOCK - 1) * S + K;
        let mut edge = [[self.zeros.as_ptr(); COLUMNS]; K];
        for ox in (0..shape.out_width).step_by(BLOCK) {
            let pixels = BLOCK.min(shape.out_width - ox);
            let left = (ox * S) as isize - shape.pad[1] as isize;
            let inside = pixels == BLOCK && left >= 0 && left + columns as isize <= width;
            // SAFETY: `walk`'s caller has the unit. Image rows `top + first..top + end` and
            // columns `left..left + columns` of an inside block are within the image; at an edge,
            // columns outside of it point at `zeros`, which has as many channels.
            unsafe {
                let at = |ky: usize, i: usize| {
                    let y = (top + ky as isize) as usize;
                    let x = (left + i as isize) as usize;
                    self.x.as_ptr().add((y * shape.width + x) * c)
                };
                for ky in if inside { 0..0 } else { first..end } {
                    for (i, column) in edge[ky][..columns].iter_mut().enumerate() {
                        let x = left + i as isize;
                        *column = match x >= 0 && x < width {
                            true => at(ky, i),
                            false => self.zeros.as_ptr(),
                        };
                    }
                }
                let taps = Taps {
                    ky: (first, end),
                    first: match inside && first < end {
                        true => at(first, 0),
                        false => self.x.as_ptr(),
                    },
                    row: shape.width * c,
                    ahead: {
                        let next = (top + K as isize) * width + left;
                        self.x.as_ptr().wrapping_offset(next * c as isize)
                    },
                    edge: &edge,
                };
                match inside {
                    true => self.block::<L, K, S, false>(ox, pixels, taps),
                    false => self.block::<L, K, S, true>(ox, pixels, taps),
                }
                self.finish_block::<L>(ox, pixels);
            }
        }
    }

    /// One block for all channels, before residual and activation.
    #[inline(always)]
    unsafe fn block<L: Lanes, const K: usize, const S: usize, const EDGE: bool>(
        &mut self,
        ox: usize,
        pixels: usize,
        taps: Taps<'_, K>,
    ) {
        let channels = self.shape.channels;
        let full = channels - channels % L::N;
        // SAFETY: the caller's; vectors end at the last channel.
        unsafe {
            for c in (0..full).step_by(L::N) {
                self.vector::<L, K, S, EDGE, true>(ox, pixels, taps, c);
            }
            if full < channels {
                self.vector::<L, K, S, EDGE, false>(ox, pixels, taps, full);
            }
        }
    }

    /// One block for one vector of channels; `WHOLE` if all of its lanes are channels.
    #[inline(always)]
    unsafe fn vector<
        L: Lanes,
        const K: usize,
        const S: usize,
        const EDGE: bool,
        const WHOLE: bool,
    >(
        &mut self,
        ox: usize,
        pixels: usize,
        taps: Taps<'_, K>,
        c: usize,
    ) {
        let channels = self.shape.channels;
        let lanes = channels - c;
        // SAFETY: the caller has the unit and answers for the pointers of `taps`; `lanes` channels
        // follow `c` wherever `WHOLE` does not say that there are `L::N`.
        unsafe {
            for down in 0..S {
                // The block's share of those rows is one stretch of memory, and this vector's share
                // of it the lines from here on.
                for line in 0..BLOCK * S * L::N / LINE {
                    let at = down * taps.row + c * BLOCK * S + line * LINE;
                    fetch_ahead(taps.ahead.wrapping_add(at));
                }
            }
            let mut acc = [L::splat(0.0); BLOCK];
            for ky in taps.ky.0..taps.ky.1 {
                let w = self.packed.as_ptr().add(ky * K * channels + c);
                let mut weights = [L::splat(0.0); K];
                for (kx, weight) in weights.iter_mut().enumerate() {
                    *weight = load::<L, WHOLE>(w.add(kx * channels), lanes);
                }
                let row = taps.first.wrapping_add((ky - taps.ky.0) * taps.row + c);
                // For every tap all pixels: two short loops with nothing to decide, which are
                // unrolled, so that a column is loaded once for all of its taps.
                for (kx, &weight) in weights.iter().enumerate() {
                    for (p, acc) in acc.iter_mut().enumerate() {
                        let i = p * S + kx;
                        let v = match EDGE {
                            true => load::<L, WHOLE>(taps.edge[ky][i].add(c), lanes),
                            false => load::<L, WHOLE>(row.add(i * channels), lanes),
                        };
                        *acc = L::fma(v, weight, *acc);
                    }
                }
            }
            let scale = match self.tail.scale {
                Some(s) => load::<L, WHOLE>(s.as_ptr().add(c), lanes),
                None => L::splat(1.0),
            };
            let bias = match self.tail.bias {
                Some(b) => load::<L, WHOLE>(b.as_ptr().add(c), lanes),
                None => L::splat(0.0),
            };
            let y = self.y.as_mut_ptr().add(ox * channels + c);
            for (p, acc) in acc.into_iter().enumerate() {
                if EDGE && p >= pixels {
                    break;
                }
                let v = L::fma(acc, scale, bias);
                match WHOLE {
                    true => L::store(y.add(p * channels), v),
                    false => L::store_n(y.add(p * channels), lanes, v),
                }
            }
        }
    }

    /// Residual, activation and sums of a block.
    #[inline(always)]
    unsafe fn finish_block<L: Lanes>(&mut self, ox: usize, pixels: usize) {
        let c = self.shape.channels;
        let (from, len) = (ox * c, pixels * c);
        let residual = self.tail.residual.map(|r| {
            let from = self.oy * self.shape.out_width * c + from;
            r[from..from + len].as_ptr()
        });
        // SAFETY: the caller has the unit; the block is within the row.
        unsafe {
            let y = self.y[from..from + len].as_mut_ptr();
            finish::<L>(self.tail.act, y, residual, len);
            if let Some(sums) = &mut self.sums {
                add_pixels::<L>(y, pixels, sums);
            }
        }
    }

    /// Any kernel: pixel by pixel, four vectors of channels at once.
    #[inline(always)]
    unsafe fn walk_any<L: Lanes>(mut self) {
        const AT_ONCE: usize = 4;
        let shape = self.shape;
        let (first, end, top) = self.rows();
        for ox in 0..shape.out_width {
            let left = (ox * shape.stride[1]) as isize - shape.pad[1] as isize;
            let kx = (-left).clamp(0, shape.kernel[1] as isize);
            let to = (shape.width as isize - left).clamp(kx, shape.kernel[1] as isize);
            let at = Window {
                ky: (first, end),
                kx: (kx as usize, to as usize),
                corner: (top * shape.width as isize + left) * shape.channels as isize,
            };
            // SAFETY: the caller's: taps `first..end` and `kx..to` are within the image, and
            // vectors end at the last channel.
            unsafe {
                let whole = shape.channels - shape.channels % (AT_ONCE * L::N);
                for c in (0..whole).step_by(AT_ONCE * L::N) {
                    self.pixel::<L, AT_ONCE>(ox, at, c, L::N);
                }
                for c in (whole..shape.channels).step_by(L::N) {
                    self.pixel::<L, 1>(ox, at, c, L::N.min(shape.channels - c));
                }
                if (ox + 1).is_multiple_of(BLOCK) || ox + 1 == shape.out_width {
                    let from = ox - ox % BLOCK;
                    self.finish_block::<L>(from, ox + 1 - from);
                }
            }
        }
    }

    /// One pixel for `M` vectors of channels, of which the last has `lanes`.
    #[inline(always)]
    unsafe fn pixel<L: Lanes, const M: usize>(
        &mut self,
        ox: usize,
        at: Window,
        c: usize,
        lanes: usize,
    ) {
        let (shape, channels) = (self.shape, self.shape.channels);
        // SAFETY: the caller has the unit; the window's taps are within the image, and `lanes`
        // channels follow `c + (M - 1) * L::N`.
        unsafe {
            let mut acc = [L::splat(0.0); M];
            for ky in at.ky.0..at.ky.1 {
                for kx in at.kx.0..at.kx.1 {
                    let x = at.corner + ((ky * shape.width + kx) * channels + c) as isize;
                    let x = self.x.as_ptr().offset(x);
                    let w = (ky * shape.kernel[1] + kx) * channels + c;
                    let w = self.packed.as_ptr().add(w);
                    for (m, acc) in acc.iter_mut().enumerate() {
                        let x = L::load_n(x.add(m * L::N), lanes);
                        *acc = L::fma(x, L::load_n(w.add(m * L::N), lanes), *acc);
                    }
                }
            }
            let y = self.y.as_mut_ptr().add(ox * channels + c);
            for (m, acc) in acc.into_iter().enumerate() {
                let scale = match self.tail.scale {
                    Some(s) => L::load_n(s.as_ptr().add(c + m * L::N), lanes),
                    None => L::splat(1.0),
                };
                let bias = match self.tail.bias {
                    Some(b) => L::load_n(b.as_ptr().add(c + m * L::N), lanes),
                    None => L::splat(0.0),
                };
                L::store_n(y.add(m * L::N), lanes, L::fma(acc, scale, bias));
            }
        }
    }
}

/// Asks for a line of memory to be brought into the second cache; any address will do.
#[inline(always)]
fn fetch_ahead(p: *const f32) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a hint, which touches nothing.
    unsafe {
        use std::arch::x86_64::{_MM_HINT_T1, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_T1>(p.cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = p;
}

/// A vector, or the first `lanes` of one.
#[inline(always)]
unsafe fn load<L: Lanes, const WHOLE: bool>(p: *const f32, lanes: usize) -> L::V {
    // SAFETY: the caller has the unit, and answers for a whole vector or for `lanes` floats.
    unsafe {
        match WHOLE {
            true => L::load(p),
            false => L::load_n(p, lanes),
        }
    }
}

/// The taps of a pixel that are within the image.
#[derive(Clone, Copy)]
struct Window {
    ky: (usize, usize),
    kx: (usize, usize),
    /// Of tap 0, 0, in floats from the image's first; it may be outside.
    corner: isize,
}

#[cfg(test)]
mod tests;
