//! Passes over activations that touch every value once: activations, sums, gates, batch norms.
//!
//! Images are `[pixels, channels]`, channels last. Tasks are runs of pixels, and no value depends on
//! any other pixel's, so results do not depend on the number of threads.

use rayon::prelude::*;

use super::Kernel;
use super::lanes::{Job, Lanes, load_some, run, store_some};
use super::math::{activate, with_act};
use crate::device::op::Act;

/// Floats that a task handles at least, 64 KiB of them.
pub(super) const MIN_TASK: usize = 16 * 1024;

/// Pixels whose channels are done together, so that a channel's constants are loaded once for all.
const PIXELS: usize = 8;

/// `y = act(x)`.
///
/// # Panics
/// If the lengths differ.
pub fn activation(kernel: Kernel, act: Act, x: &[f32], y: &mut [f32]) {
    assert_eq!(x.len(), y.len(), "activation");
    y.par_chunks_mut(MIN_TASK)
        .zip(x.par_chunks(MIN_TASK))
        .for_each(|(y, x)| {
            let job = Flat {
                act,
                x,
                residual: None,
                y,
            };
            // SAFETY: the slices are of one length.
            unsafe { run(kernel, job) }
        });
}

/// `y = act(a + b)`.
///
/// # Panics
/// If the lengths differ.
pub fn add(kernel: Kernel, a: &[f32], b: &[f32], act: Act, y: &mut [f32]) {
    assert!(a.len() == y.len() && b.len() == y.len(), "add");
    y.par_chunks_mut(MIN_TASK)
        .zip(a.par_chunks(MIN_TASK).zip(b.par_chunks(MIN_TASK)))
        .for_each(|(y, (x, b))| {
            let job = Flat {
                act,
                x,
                residual: Some(b),
                y,
            };
            // SAFETY: the slices are of one length.
            unsafe { run(kernel, job) }
        });
}

/// Images side by side, then a batch norm: `y[p, :] = act(concat(parts)[p, :] * scale + bias)`.
///
/// Every part is an image of `y`'s pixels and its number of channels; `scale` and `bias` have one
/// value for each of all the channels.
///
/// # Panics
/// If a length does not fit.
pub fn affine(
    kernel: Kernel,
    parts: &[(&[f32], usize)],
    scale: &[f32],
    bias: &[f32],
    act: Act,
    y: &mut [f32],
) {
    let channels = check_parts(parts, y);
    assert!(scale.len() == channels && bias.len() == channels, "affine");
    blocks(channels, y, |first, y| {
        let job = Affine {
            parts,
            scale,
            bias,
            act,
            first,
            y,
        };
        // SAFETY: every part has the pixels of `y`, and the constants one value a channel.
        unsafe { run(kernel, job) }
    });
}

/// `y[p, :] = act(x[p, :] * scale + bias)`: [`affine`] with one part.
///
/// # Panics
/// If a length does not fit.
pub fn scale_bias(kernel: Kernel, x: &[f32], scale: &[f32], bias: &[f32], act: Act, y: &mut [f32]) {
    affine(kernel, &[(x, scale.len())], scale, bias, act, y);
}

/// Images side by side: `y[p, :] = concat(parts)[p, :]`.
///
/// # Panics
/// If a length does not fit.
pub fn concat(parts: &[(&[f32], usize)], y: &mut [f32]) {
    let channels = check_parts(parts, y);
    blocks(channels, y, |first, y| {
        for (i, mut pixel) in y.chunks_exact_mut(channels).enumerate() {
            for &(x, c) in parts {
                let (to, rest) = pixel.split_at_mut(c);
                to.copy_from_slice(&x[(first + i) * c..][..c]);
                pixel = rest;
            }
        }
    });
}

/// A gate: `y[p, c] = act(x[p, c] * gate[c] * factor + residual[p, c])`.
///
/// # Panics
/// If a length does not fit.
#[allow(clippy::too_many_arguments, reason = "one pass, and all that it reads")]
pub fn gated(
    kernel: Kernel,
    channels: usize,
    x: &[f32],
    gate: &[f32],
    factor: f32,
    residual: Option<&[f32]>,
    act: Act,
    y: &mut [f32],
) {
    check_gate(channels, gate, residual, y);
    assert_eq!(x.len(), y.len(), "gated");
    let gate: Vec<f32> = gate.iter().map(|g| g * factor).collect();
    blocks(channels, y, |first, y| {
        let job = Gated {
            x: x[first * channels..][..y.len()].as_ptr(),
            gate: &gate,
            residual: residual.map(|r| &r[first * channels..][..y.len()]),
            act,
            y: y.as_mut_ptr(),
            len: y.len(),
        };
        // SAFETY: image and residual are as long as `y`, which is whole pixels.
        unsafe { run(kernel, job) }
    });
}

/// [`gated`] with `x` for `y`: a third less traffic where the image is larger than the caches.
///
/// # Panics
/// If a length does not fit.
pub fn gated_in_place(
    kernel: Kernel,
    channels: usize,
    x: &mut [f32],
    gate: &[f32],
    factor: f32,
    residual: Option<&[f32]>,
    act: Act,
) {
    check_gate(channels, gate, residual, x);
    let gate: Vec<f32> = gate.iter().map(|g| g * factor).collect();
    blocks(channels, x, |first, y| {
        let len = y.len();
        let y = y.as_mut_ptr();
        let job = Gated {
            x: y,
            gate: &gate,
            residual: residual.map(|r| &r[first * channels..][..len]),
            act,
            y,
            len,
        };
        // SAFETY: every value is read before it is written, and the residual is as long as `y`.
        unsafe { run(kernel, job) }
    });
}

fn check_gate(channels: usize, gate: &[f32], residual: Option<&[f32]>, y: &[f32]) {
    assert_eq!(gate.len(), channels, "gate");
    assert!(channels > 0 || y.is_empty(), "channels");
    assert!(channels == 0 || y.len().is_multiple_of(channels), "pixels");
    assert!(residual.is_none_or(|r| r.len() == y.len()), "residual");
}

/// All parts' channels, and that every part has the pixels of `y`.
fn check_parts(parts: &[(&[f32], usize)], y: &[f32]) -> usize {
    let channels: usize = parts.iter().map(|p| p.1).sum();
    let pixels = y.len().checked_div(channels).unwrap_or(0);
    assert_eq!(pixels * channels, y.len(), "pixels");
    for (x, c) in parts {
        assert_eq!(x.len(), pixels * c, "part");
    }
    channels
}

/// Tasks of whole pixels: `f(first pixel, their values)`.
fn blocks(channels: usize, y: &mut [f32], f: impl Fn(usize, &mut [f32]) + Sync) {
    if channels == 0 {
        return;
    }
    let pixels = MIN_TASK.div_ceil(channels).next_multiple_of(PIXELS);
    y.par_chunks_mut(pixels * channels)
        .enumerate()
        .for_each(|(i, y)| f(i * pixels, y));
}

/// `y = act(x + residual)`, value by value.
struct Flat<'a> {
    act: Act,
    x: &'a [f32],
    residual: Option<&'a [f32]>,
    y: &'a mut [f32],
}

impl Job for Flat<'_> {
    #[inline(always)]
    unsafe fn run<L: Lanes>(self) {
        let (y, len) = (self.y.as_mut_ptr(), self.y.len());
        let residual = self.residual.map(|r| r.as_ptr());
        // SAFETY: the caller has the unit, and the slices are of one length.
        unsafe { flat::<L>(self.act, self.x.as_ptr(), residual, y, len) }
    }
}

/// `y = act(y + residual)` over `len` floats.
///
/// # Safety
/// The machine has the instructions of `L`; both are `len` floats long.
#[inline(always)]
pub(super) unsafe fn finish<L: Lanes>(
    act: Act,
    y: *mut f32,
    residual: Option<*const f32>,
    len: usize,
) {
    if act == Act::None && residual.is_none() {
        return;
    }
    // SAFETY: the caller's.
    unsafe { flat::<L>(act, y, residual, y, len) }
}

/// `y = act(x + residual)` over `len` floats; `x` may be `y`.
#[inline(always)]
unsafe fn flat<L: Lanes>(
    act: Act,
    x: *const f32,
    residual: Option<*const f32>,
    y: *mut f32,
    len: usize,
) {
    let whole = len - len % L::N;
    // SAFETY: the caller has the unit; all pointers are `len` floats long, and every value is read
    // before it is written.
    unsafe {
        with_act!(act, ACT => match residual {
            None => {
                for i in (0..whole).step_by(L::N) {
                    L::store(y.add(i), activate::<L>(ACT, L::load(x.add(i))));
                }
                if whole < len {
                    let v = L::load_n(x.add(whole), len - whole);
                    L::store_n(y.add(whole), len - whole, activate::<L>(ACT, v));
                }
            }
            Some(r) => {
                for i in (0..whole).step_by(L::N) {
                    let v = L::add(L::load(x.add(i)), L::load(r.add(i)));
                    L::store(y.add(i), activate::<L>(ACT, v));
                }
                if whole < len {
                    let n = len - whole;
                    let v = L::add(L::load_n(x.add(whole), n), L::load_n(r.add(whole), n));
                    L::store_n(y.add(whole), n, activate::<L>(ACT, v));
                }
            }
        });
    }
}

/// Pixels `first..` of [`affine`].
struct Affine<'a> {
    parts: &'a [(&'a [f32], usize)],
    scale: &'a [f32],
    bias: &'a [f32],
    act: Act,
    first: usize,
    y: &'a mut [f32],
}

impl Job for Affine<'_> {
    #[inline(always)]
    unsafe fn run<L: Lanes>(self) {
        let channels = self.scale.len();
        let act = self.act;
        for (block, y) in self.y.chunks_mut(PIXELS * channels).enumerate() {
            let (pixels, mut before) = (y.len() / channels, 0);
            for &(x, c) in self.parts {
                let from = (self.first + block * PIXELS) * c;
                let strip = Strip {
                    x: x[from..from + pixels * c].as_ptr(),
                    y: y[before..].as_mut_ptr(),
                    scale: self.scale[before..before + c].as_ptr(),
                    bias: self.bias[before..before + c].as_ptr(),
                    pixels,
                    channels: c,
                    step: channels,
                };
                // SAFETY: the caller has the unit; pixel `p` of the strip is the `c` floats from
                // `before` of pixel `p` of `y`, and the constants are theirs.
                unsafe { with_act!(act, ACT => strip.run::<L>(ACT)) }
                before += c;
            }
        }
    }
}

/// One part's channels of a few pixels.
#[derive(Clone, Copy)]
struct Strip {
    x: *const f32,
    y: *mut f32,
    scale: *const f32,
    bias: *const f32,
    pixels: usize,
    /// Of the part, and of `x` from pixel to pixel.
    channels: usize,
    /// Of `y` from pixel to pixel.
    step: usize,
}

impl Strip {
    #[inline(always)]
    unsafe fn run<L: Lanes>(self, act: Act) {
        let whole = self.channels - self.channels % L::N;
        // SAFETY: the caller has the unit and answers for the pointers.
        unsafe {
            for c in (0..whole).step_by(L::N) {
                let (scale, bias) = (L::load(self.scale.add(c)), L::load(self.bias.add(c)));
                for p in 0..self.pixels {
                    let v = L::load(self.x.add(p * self.channels + c));
                    let v = activate::<L>(act, L::fma(v, scale, bias));
                    L::store(self.y.add(p * self.step + c), v);
                }
            }
            if whole < self.channels {
                let n = self.channels - whole;
                let scale = L::load_n(self.scale.add(whole), n);
                let bias = L::load_n(self.bias.add(whole), n);
                for p in 0..self.pixels {
                    let v = L::load_n(self.x.add(p * self.channels + whole), n);
                    let v = activate::<L>(act, L::fma(v, scale, bias));
                    L::store_n(self.y.add(p * self.step + whole), n, v);
                }
            }
        }
    }
}

/// Pixels of [`gated`].
struct Gated<'a> {
    /// As long as `y`, and possibly `y` itself.
    x: *const f32,
    /// Times the factor; one a channel.
    gate: &'a [f32],
    residual: Option<&'a [f32]>,
    act: Act,
    y: *mut f32,
    /// Whole pixels.
    len: usize,
}

impl Job for Gated<'_> {
    #[inline(always)]
    unsafe fn run<L: Lanes>(self) {
        let channels = self.gate.len();
        let act = self.act;
        for first in (0..self.len).step_by(channels) {
            // SAFETY: the caller has the unit; a pixel's channels are within `x`, `y` and the
            // residual, and every value is read before it is written.
            unsafe {
                let (x, y) = (self.x.add(first), self.y.add(first));
                let gate = self.gate.as_ptr();
                match self.residual {
                    None => with_act!(act, ACT => for c in (0..channels).step_by(L::N) {
                        let n = L::N.min(channels - c);
                        let v = L::mul(load_some::<L>(x.add(c), n), load_some::<L>(gate.add(c), n));
                        store_some::<L>(y.add(c), n, activate::<L>(ACT, v));
                    }),
                    Some(r) => with_act!(act, ACT => for c in (0..channels).step_by(L::N) {
                        let n = L::N.min(channels - c);
                        let r = load_some::<L>(r.as_ptr().add(first + c), n);
                        let v = L::fma(load_some::<L>(x.add(c), n), load_some::<L>(gate.add(c), n), r);
                        store_some::<L>(y.add(c), n, activate::<L>(ACT, v));
                    }),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
