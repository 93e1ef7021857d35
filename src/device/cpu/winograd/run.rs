//! How the tiles of some images are cut into tasks and blocks.

use super::super::conv::run::pieces;
use super::super::conv::tile::{Factors, Place as TilePlace, Unit, tile};
use super::super::kernel::Kernel;
use super::super::lanes;
use super::super::shape::{ConvShape, Tail};
use super::points::{POINTS, SIDE};
use super::transform::{Image, Place, Results};
use super::{Layout, PAIRS, WIDE};
use rayon::prelude::*;
use std::cell::RefCell;
use std::ops::Range;

/// Floats of transformed tiles and their products that a block holds: most of a second-level cache.
const BLOCK: usize = 128 * 1024;
/// Tiles of a block, at least: every weight that is read serves so many.
const FEWEST: usize = 24;
/// Tiles of a block whose filters are beyond a second-level cache.
const LARGE: usize = 48;
/// Floats of filters that stay in a second-level cache.
const SMALL: usize = 192 * 1024;
/// Tasks of a thread, so that a thread that falls behind hands some over.
const TASKS: usize = 4;

/// The result, written by tasks that share no value of it.
#[derive(Clone, Copy)]
struct Out(*mut f32);
// SAFETY: tasks write disjoint tiles or filters; see `Job::parts`.
unsafe impl Send for Out {}
// SAFETY: as above.
unsafe impl Sync for Out {}

/// A vector's worth of floats, at a cache line's start.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct Line([f32; LINE]);

const LINE: usize = 16;

/// Memory of a task, kept by its thread.
#[derive(Default)]
struct Scratch {
    image: Vec<Line>,
    products: Vec<Line>,
    rows: Vec<*const f32>,
    places: Vec<Place>,
}

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

/// A part of the work: some tiles, some panels of filters.
struct Part {
    tiles: Range<usize>,
    panels: Range<usize>,
}

/// Room for `floats`, kept.
fn room(lines: &mut Vec<Line>, floats: usize) -> *mut f32 {
    let need = floats.div_ceil(LINE);
    if lines.len() < need {
        lines.resize(need, Line([0.0; LINE]));
    }
    lines.as_mut_ptr().cast()
}

/// The convolution of some images with all that it needs.
pub(super) struct Job<'a> {
    kernel: Kernel,
    shape: &'a ConvShape,
    layout: Layout,
    images: usize,
    x: &'a [f32],
    packed: &'a [f32],
    tail: &'a Tail<'a>,
    y: Out,
    zeros: Vec<f32>,
    life: std::marker::PhantomData<&'a mut [f32]>,
}

impl<'a> Job<'a> {
    /// The slices have the lengths that `shape`, `images` and `layout` give them.
    #[allow(clippy::too_many_arguments, reason = "what a convolution is made of")]
    pub(super) fn new(
        kernel: Kernel,
        shape: &'a ConvShape,
        layout: Layout,
        images: usize,
        x: &'a [f32],
        packed: &'a [f32],
        tail: &'a Tail<'a>,
        y: &'a mut [f32],
    ) -> Job<'a> {
        Job {
            kernel,
            shape,
            layout,
            images,
            x,
            packed,
            tail,
            y: Out(y.as_mut_ptr()),
            zeros: vec![0.0; shape.channels],
            life: std::marker::PhantomData,
        }
    }

    /// Runs all of it.
    pub(super) fn run<U: Unit>(&self) {
        let block = self.block();
        let one = |part: &Part| {
            SCRATCH.with_borrow_mut(|scratch| {
                for tiles in pieces(part.tiles.clone(), block) {
                    self.one::<U>(tiles, part.panels.clone(), scratch);
                }
            });
        };
        match self.parts(block).as_slice() {
            [part] => one(part),
            parts => parts.par_iter().with_max_len(1).for_each(one),
        }
    }

    /// Rows and columns of tiles of an image.
    fn grid(&self) -> [usize; 2] {
        let s = self.shape;
        [s.out_height.div_ceil(SIDE), s.out_width.div_ceil(SIDE)]
    }

    /// Tiles of a block.
    fn block(&self) -> usize {
        let floats = PAIRS * (self.layout.channels + self.layout.filters);
        match self.layout.len() <= SMALL {
            true => (BLOCK / floats).clamp(FEWEST, 96) / 12 * 12,
            false => LARGE,
        }
    }

    /// Cuts the work: by tiles while there are enough of them, then by panels too. The cut depends on
    /// the number of threads, the values do not.
    fn parts(&self, block: usize) -> Vec<Part> {
        let [down, across] = self.grid();
        let (tiles, panels) = (self.images * down * across, self.layout.panels());
        let threads = rayon::current_num_threads();
        // A block a task at least, or the threads would read the filters more often.
        let rows = tiles.div_ceil(block).min(TASKS * threads);
        let columns = match rows >= threads {
            true => 1,
            false => threads.div_ceil(rows).min(panels),
        };
        let cut = |n: usize, parts: usize, i: usize| i * n / parts..(i + 1) * n / parts;
        (0..rows * columns)
            .map(|i| Part {
                tiles: cut(tiles, rows, i / columns),
                panels: cut(panels, columns, i % columns),
            })
            .collect()
    }

    /// One block: there, products, and back.
    fn one<U: Unit>(&self, tiles: Range<usize>, panels: Range<usize>, scratch: &mut Scratch) {
        let count = tiles.len();
        let line = self.shape.channels.next_multiple_of(U::N);
        // A line more, or the 36 places of a tile would fall onto each other in a cache.
        let step = count * line + LINE;
        let image = room(&mut scratch.image, PAIRS * step);
        scratch.places.clear();
        for (t, at) in tiles.enumerate() {
            let (pixels, place) = self.tile(at);
            scratch.places.push(place);
            let job = Image {
                pixels: &pixels,
                channels: self.shape.channels,
                to: image.wrapping_add(t * line),
                step,
            };
            // SAFETY: every pixel is one of the image or the zeros, `channels` long; `image` has
            // `count` lines of whole vectors at every pair of points.
            unsafe { lanes::run(self.kernel, job) };
        }
        let widths = count * WIDE * U::N;
        let stride = panels.len() * widths + LINE;
        let products = room(&mut scratch.products, PAIRS * stride);
        for pair in 0..PAIRS {
            scratch.rows.clear();
            let first = image.wrapping_add(pair * step).cast_const();
            let rows = (0..count).map(|t| first.wrapping_add(t * line));
            scratch.rows.extend(rows);
            for (i, p) in panels.clone().enumerate() {
                let to = products.wrapping_add(pair * stride + i * widths);
                self.product::<U>(pair, p, &scratch.rows, to);
            }
        }
        for (i, p) in panels.enumerate() {
            let (wide, filter) = (self.layout.wide(p), p * WIDE * U::N);
            let job = Results {
                from: products.wrapping_add(i * widths),
                step: stride,
                width: wide * U::N,
                places: &scratch.places,
                filter,
                filters: (wide * U::N).min(self.shape.filters - filter),
                line: self.shape.filters,
                row: self.shape.filters * self.shape.out_width,
                tail: self.tail,
                y: self.y.0,
            };
            // SAFETY: the products of this panel were written just now for all of the places, which
            // are within the result; no other part has these tiles and these filters.
            unsafe { lanes::run(self.kernel, job) };
        }
    }

    /// The products of some tiles at one pair of points with one panel: `[tile][lane]`.
    fn product<U: Unit>(&self, pair: usize, p: usize, rows: &[*const f32], to: *mut f32) {
        let wide = self.layout.wide(p);
        let start = pair * self.layout.pair() + self.layout.panel(p);
        let mut done = 0;
        for group in pieces(0..rows.len(), U::PIXELS[wide - 1]) {
            let factors = Factors {
                runs: rows[done..].as_ptr(),
                taps: 1,
                run: self.layout.channels,
                shift: 0,
                weights: self.packed[start..].as_ptr(),
            };
            let place = TilePlace {
                sums: to.wrapping_add(done * wide * U::N),
                width: wide * U::N,
                pixels: group.len(),
                filter: 0,
                columns: 0,
                simple: false,
                start: 0,
                line: 0,
                tail: self.tail,
                y: self.y.0,
            };
            // SAFETY: the unit is that of the kernel's level; each of the rows holds `channels`
            // floats, the panel as many times `wide` vectors, and `to` has room for the rows' sums;
            // a place that is not simple asks for nothing else.
            unsafe { tile::<U>(wide, group.len(), &factors, &place) };
            done += group.len();
        }
    }

    /// The 36 pixels under tile `at` of all images, and where its results go.
    fn tile(&self, at: usize) -> ([*const f32; PAIRS], Place) {
        let s = self.shape;
        let [down, across] = self.grid();
        let (image, at) = (at / (down * across), at % (down * across));
        let (row, column) = (at / across * SIDE, at % across * SIDE);
        let place = Place {
            start: ((image * s.out_height + row) * s.out_width + column) * s.filters,
            rows: SIDE.min(s.out_height - row),
            columns: SIDE.min(s.out_width - column),
        };
        let x = &self.x[image * s.height * s.width * s.channels..];
        let mut pixels = [self.zeros.as_ptr(); PAIRS];
        for i in 0..POINTS {
            // Rows above the image and columns left of it wrap around to huge numbers.
            let y = (row + i).wrapping_sub(s.pad[0]);
            if y >= s.height {
                continue;
            }
            for j in 0..POINTS {
                let across = (column + j).wrapping_sub(s.pad[1]);
                if across < s.width {
                    let pixel = (y * s.width + across) * s.channels;
                    pixels[i * POINTS + j] = x.as_ptr().wrapping_add(pixel);
                }
            }
        }
        (pixels, place)
    }
}
