//! How a convolution is cut into tasks, blocks and tiles.

use super::super::shape::{ConvShape, Tail};
use super::layout::{Form, Layout, Panel};
use super::tile::{Factors, Place, Unit, cross, tile};
use super::view::{MOST, Padded, View};
use crate::device::op::Act;
use rayon::prelude::*;
use std::cell::RefCell;
use std::ops::Range;

/// Multiply-adds that make a task worth its start.
const TASK: usize = 2_000_000;
/// Tasks of a thread, so that a thread that falls behind hands some over.
const TASKS: usize = 4;
/// Floats of the image that a block of pixels looks at: half of a small second-level cache.
const BLOCK: usize = 96 * 1024;

/// Floats of packed filters that stay in a second-level cache: a few tiles take all panels in turn,
/// so that their results are written at once.
const SMALL: usize = 64 * 1024;

/// The result, written by tasks that share no value of it.
#[derive(Clone, Copy)]
struct Out(*mut f32);
// SAFETY: tasks write disjoint pixels or filters; see `Job::run`.
unsafe impl Send for Out {}
// SAFETY: as above.
unsafe impl Sync for Out {}

/// One convolution with all that it needs.
pub(super) struct Job<'a> {
    shape: &'a ConvShape,
    layout: Layout,
    x: &'a [f32],
    packed: &'a [f32],
    gate: Option<&'a [f32]>,
    tail: &'a Tail<'a>,
    y: Out,
    zeros: Vec<f32>,
    life: std::marker::PhantomData<&'a mut [f32]>,
}

/// Memory of a task, kept by its thread.
#[derive(Default)]
struct Scratch {
    /// By the panel's vectors.
    runs: [Vec<*const f32>; 3],
    strip: Vec<f32>,
    weights: Vec<f32>,
}

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

/// Sums of a tile: at most 14 x 1, 12 x 2, 8 x 3 vectors of at most 16 floats.
#[repr(align(64))]
struct Sums([f32; 24 * 16]);

/// A part of the work: some pixels, some panels (or vectors of the crossed form).
struct Part {
    pixels: Range<usize>,
    panels: Range<usize>,
}

impl<'a> Job<'a> {
    /// The slices have the lengths that `shape` and `layout` give them.
    pub(super) fn new(
        shape: &'a ConvShape,
        layout: Layout,
        x: &'a [f32],
        packed: &'a [f32],
        gate: Option<&'a [f32]>,
        tail: &'a Tail<'a>,
        y: &'a mut [f32],
    ) -> Job<'a> {
        Job {
            shape,
            layout,
            x,
            packed,
            gate,
            tail,
            y: Out(y.as_mut_ptr()),
            zeros: vec![0.0; shape.channels],
            life: std::marker::PhantomData,
        }
    }

    /// Runs all of it.
    pub(super) fn run<U: Unit>(&self) {
        let parts = self.parts();
        let one = |part: &Part| {
            SCRATCH.with_borrow_mut(|scratch| match self.layout.form {
                Form::Dense => self.dense::<U>(part, scratch),
                Form::Crossed { bits } => self.crossed::<U>(bits, part, scratch),
            });
        };
        match parts.as_slice() {
            [part] => one(part),
            parts => parts.par_iter().with_max_len(1).for_each(one),
        }
    }

    /// Pixels of the result.
    fn pixels(&self) -> usize {
        self.shape.out_height * self.shape.out_width
    }

    /// Panels, or vectors of the crossed form.
    fn panels(&self) -> usize {
        match self.layout.form {
            Form::Dense => self.layout.groups * self.layout.panels(),
            Form::Crossed { .. } => self.layout.crossed(),
        }
    }

    /// Pixels of a block: what they look at stays in cache while panel after panel passes.
    fn block(&self) -> usize {
        let s = self.shape;
        if self.packed.len() <= SMALL && self.gate.is_none() {
            return 48;
        }
        let floats = (s.channels * s.stride[0] * s.stride[1]).max(1);
        (BLOCK / floats).clamp(96, 480)
    }

    /// Cuts the work: by pixels while there are enough of them, then by panels too. The cut depends
    /// on the number of threads, the values do not.
    fn parts(&self) -> Vec<Part> {
        let (pixels, panels) = (self.pixels(), self.panels());
        let work = self.packed.len().saturating_mul(pixels.max(8)) / TASK;
        let tasks = work.clamp(1, TASKS * rayon::current_num_threads());
        let rows = tasks.min(pixels.div_ceil(self.block()));
        let columns = tasks.div_ceil(rows).min(panels);
        let cut = |n: usize, parts: usize, i: usize| i * n / parts..(i + 1) * n / parts;
        (0..rows * columns)
            .map(|i| Part {
                pixels: cut(pixels, rows, i / columns),
                panels: cut(panels, columns, i % columns),
            })
            .collect()
    }

    /// The image as a part sees it, and the floats of a run.
    fn view(&self, part: &Part, strip: &mut Vec<f32>) -> (View, usize) {
        let s = self.shape;
        if Padded::pays(s) {
            let rows = part.pixels.start / s.out_width..part.pixels.end.div_ceil(s.out_width);
            (
                Padded::view(s, self.x, rows, strip),
                s.kernel[1] * s.channels,
            )
        } else {
            let view = View::image(s, self.x.as_ptr(), self.zeros.as_ptr());
            (view, self.layout.channels)
        }
    }

    /// Panel after panel over block after block.
    fn dense<U: Unit>(&self, part: &Part, scratch: &mut Scratch) {
        let Scratch {
            runs,
            strip,
            weights,
        } = scratch;
        let (view, run) = self.view(part, strip);
        for pixels in pieces(part.pixels.clone(), self.block()) {
            runs.iter_mut().for_each(Vec::clear);
            for p in part.panels.clone() {
                let panel = self.layout.panel(p);
                let most = U::PIXELS[panel.wide - 1];
                let runs = &mut runs[panel.wide - 1];
                if runs.is_empty() {
                    tiles(&pixels, most).for_each(|t| view.append(t.start, t.len(), runs));
                }
                let weights = self.weights::<U>(&panel, weights);
                let mut sums = Sums([0.0; 24 * 16]);
                let width = panel.wide * U::N;
                let mut at = runs.as_slice();
                for t in tiles(&pixels, most) {
                    let (these, rest) = at.split_at(t.len() * view.taps());
                    at = rest;
                    let factors = Factors {
                        runs: these.as_ptr(),
                        taps: view.taps(),
                        run,
                        shift: panel.channel,
                        weights,
                    };
                    let place = self.place(&mut sums, width, t, panel.filter, panel.columns);
                    // SAFETY: the unit is that of the kernel's level. `view` points to runs within
                    // the image, its strip, or the zeros, each long enough for this group's
                    // channels; the panel has as many vectors as a filter has values; `sums` has
                    // room for the largest tile.
                    unsafe { tile::<U>(panel.wide, place.pixels, &factors, &place) };
                    self.finish::<U>(&place);
                }
            }
        }
    }

    /// The panel's weights, times the gate if there is one.
    fn weights<U: Unit>(&self, panel: &Panel, room: &mut Vec<f32>) -> *const f32 {
        let len = panel.wide * U::N * self.layout.depth();
        let weights = &self.packed[panel.start..][..len];
        let Some(gate) = self.gate else {
            return weights.as_ptr();
        };
        if room.len() < len {
            room.resize(len, 0.0);
        }
        // SAFETY: the unit is that of the kernel's level; with a gate, a filter has as many values
        // as the gate, and both sides hold `wide` vectors for each.
        unsafe { U::gated(panel.wide, gate, weights.as_ptr(), room.as_mut_ptr()) };
        room.as_ptr()
    }

    /// Vector of channels after vector of channels for each tile.
    fn crossed<U: Unit>(&self, bits: u32, part: &Part, scratch: &mut Scratch) {
        let view = View::image(self.shape, self.x.as_ptr(), self.zeros.as_ptr());
        let runs = &mut scratch.runs[0];
        let mut sums = Sums([0.0; 24 * 16]);
        for t in tiles(&part.pixels, U::CROSSED[bits as usize - 1]) {
            runs.clear();
            view.append(t.start, t.len(), runs);
            for v in part.panels.clone() {
                let first = v * U::N;
                let live = U::N.min(self.shape.channels - first);
                let factors = Factors {
                    runs: runs.as_ptr(),
                    taps: view.taps(),
                    run: live,
                    shift: first,
                    weights: self.packed[first * self.layout.depth()..].as_ptr(),
                };
                let place = self.place(&mut sums, U::N, t.clone(), first, live);
                // SAFETY: as in `dense`; the vector's `live` channels are within the run, and its
                // weights are `depth` vectors.
                unsafe { cross::<U>(bits, place.pixels, &factors, &place) };
                self.finish::<U>(&place);
            }
        }
    }

    /// Where a tile's results go.
    fn place(
        &self,
        sums: &mut Sums,
        width: usize,
        pixels: Range<usize>,
        filter: usize,
        columns: usize,
    ) -> Place<'_> {
        Place {
            sums: sums.0.as_mut_ptr(),
            width,
            pixels: pixels.len(),
            filter,
            columns,
            simple: columns == width && matches!(self.tail.act, Act::None | Act::Relu),
            start: pixels.start * self.shape.filters,
            line: self.shape.filters,
            tail: self.tail,
            y: self.y.0,
        }
    }

    /// The epilogue of a tile, unless the tile did it.
    fn finish<U: Unit>(&self, place: &Place<'_>) {
        if !place.simple {
            // SAFETY: the unit is that of the kernel's level; `pixels` and filters are within the
            // result, whose length was checked, as were those of scale, bias and residual; no
            // other part has these pixels and these filters.
            unsafe { U::finish(place) }
        }
    }
}

/// `range` in pieces that a tile takes.
fn tiles(range: &Range<usize>, most: usize) -> impl Iterator<Item = Range<usize>> + use<> {
    pieces(range.clone(), most.min(MOST))
}

/// `range` in pieces of nearly the same size, `most` at most.
pub(in super::super) fn pieces(
    range: Range<usize>,
    most: usize,
) -> impl Iterator<Item = Range<usize>> {
    let (start, n) = (range.start, range.len());
    let count = n.div_ceil(most);
    (0..count).map(move |i| start + i * n / count..start + (i + 1) * n / count)
}
