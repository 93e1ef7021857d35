//! Pools over windows and over whole images, and the channel convolution of ECA.
//!
//! Images are `[height, width, channels]`. Sums are taken in a fixed order, so that results do not
//! depend on the number of threads: eight pixels, then eight such sums, then the rest in f64.

use rayon::prelude::*;

use super::Kernel;
use super::lanes::{Job, Lanes, load_some, run, store_some};
use super::math::pow;
use super::pointwise::MIN_TASK;

/// A pool of windows over one image, channels last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PoolShape {
    /// Rows of the image.
    pub height: usize,
    /// Columns of the image.
    pub width: usize,
    /// Channels of the image and of the result.
    pub channels: usize,
    /// Rows of the result.
    pub out_height: usize,
    /// Columns of the result.
    pub out_width: usize,
    /// Rows and columns of a window.
    pub kernel: [usize; 2],
    /// Steps down and right.
    pub stride: [usize; 2],
    /// Rows above and columns left of the image that windows may cover; below and to the right as
    /// many as the result asks for.
    pub pad: [usize; 2],
}

/// The largest value of every window; padding does not count, and a window of nothing but padding
/// gives negative infinity. NaN gives NaN.
///
/// # Panics
/// If a slice is not as long as the shape says, or a stride is zero.
pub fn max_pool(kernel: Kernel, shape: &PoolShape, x: &[f32], y: &mut [f32]) {
    windows::<true>(kernel, shape, x, y);
}

/// The mean of every window; padding does not count, and a window of nothing but padding gives zero.
///
/// # Panics
/// If a slice is not as long as the shape says, or a stride is zero.
pub fn average_pool(kernel: Kernel, shape: &PoolShape, x: &[f32], y: &mut [f32]) {
    windows::<false>(kernel, shape, x, y);
}

fn windows<const MAX: bool>(kernel: Kernel, shape: &PoolShape, x: &[f32], y: &mut [f32]) {
    let row = shape.out_width * shape.channels;
    assert!(shape.stride[0] > 0 && shape.stride[1] > 0, "stride of zero");
    assert_eq!(
        x.len(),
        shape.height * shape.width * shape.channels,
        "image"
    );
    assert_eq!(y.len(), shape.out_height * row, "result");
    if row == 0 {
        return;
    }
    let rows = y.par_chunks_mut(row).with_min_len(MIN_TASK.div_ceil(row));
    rows.enumerate().for_each(|(oy, y)| {
        let job = Windows::<MAX> { shape, x, oy, y };
        // SAFETY: the image is as long as the shape says, and `y` is one row of the result.
        unsafe { run(kernel, job) }
    });
}

/// The mean over all pixels of `x`, `[pixels, channels]`, into `y`, one value a channel; zero
/// without pixels.
///
/// # Panics
/// If a slice is not as long as that.
pub fn global_average(kernel: Kernel, pixels: usize, channels: usize, x: &[f32], y: &mut [f32]) {
    global::<PLAIN>(kernel, (pixels, channels), (1.0, 0.0), x, y);
}

/// The generalized mean over all pixels (Radenovic et al. 2017): `mean(max(x, eps)^p)^(1/p)`, into
/// `y`, one value a channel. NaN gives NaN. Powers beyond `f32::MAX` are infinite.
///
/// # Panics
/// If a slice is not as long as `pixels` and `channels` say.
pub fn global_gem(
    kernel: Kernel,
    pixels: usize,
    channels: usize,
    p: f32,
    eps: f32,
    x: &[f32],
    y: &mut [f32],
) {
    let eps = eps.max(f32::MIN_POSITIVE);
    let size = (pixels, channels);
    if p == 3.0 {
        global::<CUBE>(kernel, size, (p, eps), x, y);
    } else {
        global::<POWER>(kernel, size, (p, eps), x, y);
    }
    for y in y {
        *y = f64::from(*y).powf(1.0 / f64::from(p)) as f32;
    }
}

/// ECA's convolution over the vector of channels (Wang et al. 2019), zeros beyond both ends:
/// `y[c] = sum over j of w[j] * x[c + j - (k - 1) / 2]`, `k` being the odd length of `w`.
///
/// # Panics
/// If `x` and `y` are not `channels` long, or the length of `w` is even.
pub fn channel_conv(channels: usize, x: &[f32], w: &[f32], y: &mut [f32]) {
    assert!(x.len() == channels && y.len() == channels, "channels");
    assert!(w.len() % 2 == 1, "an odd kernel");
    let reach = w.len() / 2;
    for (c, y) in y.iter_mut().enumerate() {
        let first = reach.saturating_sub(c);
        let end = w.len().min(channels + reach - c);
        let inside = x[(c + first).saturating_sub(reach)..].iter();
        let terms = w[first..end].iter().zip(inside);
        *y = terms
            .map(|(w, x)| f64::from(*w) * f64::from(*x))
            .sum::<f64>() as f32;
    }
}

/// One row of windows.
struct Windows<'a, const MAX: bool> {
    shape: &'a PoolShape,
    x: &'a [f32],
    oy: usize,
    y: &'a mut [f32],
}

/// The part of a window, `k` long, at `o` steps less the padding, that is within `0..size`.
fn within(o: usize, stride: usize, pad: usize, k: usize, size: usize) -> (usize, usize) {
    let from = (o * stride).saturating_sub(pad).min(size);
    let to = (o * stride + k).saturating_sub(pad).clamp(from, size);
    (from, to)
}

impl<const MAX: bool> Job for Windows<'_, MAX> {
    #[inline(always)]
    unsafe fn run<L: Lanes>(self) {
        let (s, channels) = (self.shape, self.shape.channels);
        let rows = within(self.oy, s.stride[0], s.pad[0], s.kernel[0], s.height);
        for ox in 0..s.out_width {
            let columns = within(ox, s.stride[1], s.pad[1], s.kernel[1], s.width);
            let counted = ((rows.1 - rows.0) * (columns.1 - columns.0)).max(1) as f32;
            for c in (0..channels).step_by(L::N) {
                let lanes = L::N.min(channels - c);
                // SAFETY: the caller has the unit; `rows` and `columns` are within the image, and
                // `lanes` channels follow `c`.
                unsafe {
                    let y = self.y.as_mut_ptr().add(ox * channels + c);
                    let mut all = L::splat(if MAX { f32::NEG_INFINITY } else { 0.0 });
                    for iy in rows.0..rows.1 {
                        let row = self.x.as_ptr().add(iy * s.width * channels + c);
                        let mut line = L::splat(if MAX { f32::NEG_INFINITY } else { 0.0 });
                        for ix in columns.0..columns.1 {
                            let v = load_some::<L>(row.add(ix * channels), lanes);
                            line = join::<L, MAX>(line, v);
                        }
                        all = join::<L, MAX>(all, line);
                    }
                    if !MAX {
                        all = L::div(all, L::splat(counted));
                    }
                    store_some::<L>(y, lanes, all);
                }
            }
        }
    }
}

#[inline(always)]
unsafe fn join<L: Lanes, const MAX: bool>(a: L::V, b: L::V) -> L::V {
    // SAFETY: the caller has the unit.
    unsafe {
        match MAX {
            true => L::max_nan(a, b),
            false => L::add(a, b),
        }
    }
}

/// What is summed: the values, the cubes of what is at least `eps`, or any power of that.
const PLAIN: u8 = 0;
const CUBE: u8 = 1;
const POWER: u8 = 2;

/// Pixels whose sum is taken in f32.
const SUMMED: usize = 64;

/// Of those, pixels added at once.
const ADDED: usize = 8;

/// The mean over all pixels of what `WHAT` says.
fn global<const WHAT: u8>(
    kernel: Kernel,
    (pixels, channels): (usize, usize),
    (p, eps): (f32, f32),
    x: &[f32],
    y: &mut [f32],
) {
    assert_eq!(x.len(), pixels * channels, "image");
    assert_eq!(y.len(), channels, "channels");
    if channels == 0 {
        return;
    }
    let block = SUMMED * channels;
    let mut sums = vec![0.0f32; pixels.div_ceil(SUMMED) * channels];
    sums.par_chunks_mut(channels)
        .with_min_len(MIN_TASK.div_ceil(block))
        .zip(x.par_chunks(block))
        .for_each(|(sums, x)| {
            let job = Sum::<WHAT> { x, sums, p, eps };
            // SAFETY: `x` is whole pixels of as many channels as `sums` has.
            unsafe { run(kernel, job) }
        });
    mean_of_rows(&sums, pixels, y);
}

/// Sums of a block's pixels.
struct Sum<'a, const WHAT: u8> {
    x: &'a [f32],
    sums: &'a mut [f32],
    p: f32,
    eps: f32,
}

impl<const WHAT: u8> Job for Sum<'_, WHAT> {
    #[inline(always)]
    unsafe fn run<L: Lanes>(self) {
        let channels = self.sums.len();
        for x in self.x.chunks(ADDED * channels) {
            let pixels = x.len() / channels;
            // SAFETY: the caller has the unit; the chunk is whole pixels.
            unsafe { add_powers::<L, WHAT>(x.as_ptr(), pixels, (self.p, self.eps), self.sums) }
        }
    }
}

/// Adds a few pixels to the sums of channels: the pixels first, then the sum.
///
/// # Safety
/// The machine has the instructions of `L`; at `x` are `pixels` pixels of `sums.len()` channels.
#[inline(always)]
pub(super) unsafe fn add_pixels<L: Lanes>(x: *const f32, pixels: usize, sums: &mut [f32]) {
    // SAFETY: the caller's.
    unsafe { add_powers::<L, PLAIN>(x, pixels, (1.0, 0.0), sums) }
}

/// [`add_pixels`] of what `WHAT` says.
#[inline(always)]
unsafe fn add_powers<L: Lanes, const WHAT: u8>(
    x: *const f32,
    pixels: usize,
    (p, eps): (f32, f32),
    sums: &mut [f32],
) {
    let channels = sums.len();
    for c in (0..channels).step_by(L::N) {
        let lanes = L::N.min(channels - c);
        // SAFETY: the caller has the unit, and answers for `x`.
        unsafe {
            let (p, eps) = (L::splat(p), L::splat(eps));
            let mut sum = L::splat(0.0);
            for i in 0..pixels {
                let v = load_some::<L>(x.add(i * channels + c), lanes);
                sum = L::add(sum, power::<L, WHAT>(v, p, eps));
            }
            let total = sums.as_mut_ptr().add(c);
            store_some::<L>(total, lanes, L::add(load_some::<L>(total, lanes), sum));
        }
    }
}

#[inline(always)]
unsafe fn power<L: Lanes, const WHAT: u8>(v: L::V, p: L::V, eps: L::V) -> L::V {
    // SAFETY: the caller has the unit.
    unsafe {
        if WHAT == PLAIN {
            return v;
        }
        // In this order a NaN comes back.
        let v = L::max(eps, v);
        match WHAT {
            CUBE => L::mul(v, L::mul(v, v)),
            _ => pow::<L>(v, p),
        }
    }
}

/// The sums of blocks of pixels, one row a block, added in f64 from the first on, over the number of
/// pixels.
pub(super) fn mean_of_rows(sums: &[f32], pixels: usize, means: &mut [f32]) {
    let mut totals = vec![0.0f64; means.len()];
    for row in sums.chunks_exact(means.len().max(1)) {
        for (total, &sum) in totals.iter_mut().zip(row) {
            *total += f64::from(sum);
        }
    }
    for (mean, total) in means.iter_mut().zip(totals) {
        *mean = (total / pixels.max(1) as f64) as f32;
    }
}

#[cfg(test)]
mod tests;
