//! Self-attention over sequences of different lengths that stand one after the other.
//!
//! A head of a sequence is two products with a softmax between them, both by the tiles of the
//! convolutions: queries are the pixels, keys (transposed) and values the panels, packed for that head
//! into memory of the thread. A sequence is computed by itself, in an order that its length alone
//! decides, so that neither its neighbours nor the number of threads change a bit.

use std::cell::RefCell;
use std::ops::Range;

use rayon::prelude::*;

use super::Kernel;
use super::conv::run::pieces;
use super::conv::tile::{Factors, Place, Unit, tile};
use super::kernel::Level;
use super::lanes::{self, Job, Lanes, all, load_some, run};
use super::math::exp;
use super::shape::Tail;
use crate::device::op::Act;

/// Multiply-adds that make a task worth its start.
const TASK: usize = 1_000_000;
/// Tasks of a thread, so that a thread that falls behind hands some over.
const TASKS: usize = 4;
/// Queries whose scores are kept at once: of 512 keys, 96 KiB.
const QUERIES: usize = 48;
/// The most queries of a tile.
const MOST: usize = 14;

/// `softmax(q k^T * scale) v` within each sequence, sequence `i` being the rows from `offsets[i]` to
/// `offsets[i + 1]`, for each of `heads` runs of columns by itself (Vaswani et al. 2017, equation 1).
///
/// - `q`, `k`, `v` and `y`: `[rows, columns]`
///
/// # Panics
/// If a length does not fit, `heads` do not divide the columns, or the offsets do not rise from 0 to
/// the number of rows.
pub fn attention(
    kernel: Kernel,
    heads: usize,
    scale: f32,
    [q, k, v]: [&[f32]; 3],
    columns: usize,
    offsets: &[u32],
    y: &mut [f32],
) {
    assert!(heads > 0 && columns.is_multiple_of(heads), "heads");
    let same = [q, k, v].iter().all(|x| x.len() == y.len());
    let rows = offsets.last().map_or(0, |&end| end as usize);
    assert!(same && rows * columns == y.len(), "attention");
    assert!(
        offsets.is_sorted() && offsets.first() == Some(&0),
        "offsets"
    );
    if y.is_empty() {
        return;
    }
    let all = Attention {
        kernel,
        scale,
        columns,
        width: columns / heads,
        from: [q, k, v],
        y: Out(y.as_mut_ptr()),
        life: std::marker::PhantomData,
    };
    match kernel.level() {
        Level::Portable => all.run::<lanes::Portable>(heads, offsets),
        #[cfg(target_arch = "x86_64")]
        Level::Avx2 => all.run::<lanes::Avx2>(heads, offsets),
        #[cfg(target_arch = "x86_64")]
        Level::Avx512 | Level::Avx512Vnni => all.run::<lanes::Avx512>(heads, offsets),
    }
}

/// The result, written by tasks that share no value of it.
#[derive(Clone, Copy)]
struct Out(*mut f32);
// SAFETY: tasks write disjoint rows or columns; see `Attention::run`.
unsafe impl Send for Out {}
// SAFETY: as above.
unsafe impl Sync for Out {}

struct Attention<'a> {
    kernel: Kernel,
    scale: f32,
    /// Floats of a row.
    columns: usize,
    /// Floats of a head.
    width: usize,
    from: [&'a [f32]; 3],
    y: Out,
    life: std::marker::PhantomData<&'a mut [f32]>,
}

/// Some heads of a sequence.
struct Part {
    rows: Range<usize>,
    heads: Range<usize>,
}

/// Floats at multiples of 64 bytes.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct Line([f32; 16]);

thread_local! {
    /// Memory of a task, kept by its thread.
    static SCRATCH: RefCell<Vec<Line>> = const { RefCell::new(Vec::new()) };
}

/// Sums of a tile that is not written at once: at most 14 x 1, 12 x 2, 8 x 3 vectors of 16 floats.
#[repr(align(64))]
struct Sums([f32; 24 * 16]);

/// The memory of a task, cut.
struct Room<'a> {
    /// `[panel][value of the head][key]`
    keys: &'a mut [f32],
    /// `[panel][key][value of the head]`
    values: &'a mut [f32],
    /// `[query][key]`
    scores: &'a mut [f32],
    /// For every key, padded to whole vectors: the scale, and 0, or negative infinity in the padding.
    scale: &'a mut [f32],
    bias: &'a mut [f32],
}

impl Room<'_> {
    fn cut(lines: &mut Vec<Line>, sizes: [usize; 5]) -> Room<'_> {
        let sizes = sizes.map(|n| n.next_multiple_of(16));
        let all: usize = sizes.iter().sum();
        if lines.len() * 16 < all {
            lines.resize(all / 16, Line([0.0; 16]));
        }
        // SAFETY: a line is sixteen floats and nothing else.
        let mut rest =
            unsafe { std::slice::from_raw_parts_mut(lines.as_mut_ptr().cast::<f32>(), all) };
        let [keys, values, scores, scale, bias] = sizes.map(|n| {
            let (one, more) = std::mem::take(&mut rest).split_at_mut(n);
            rest = more;
            one
        });
        Room {
            keys,
            values,
            scores,
            scale,
            bias,
        }
    }
}

impl Attention<'_> {
    fn run<U: Unit>(&self, heads: usize, offsets: &[u32]) {
        let parts = self.parts(heads, offsets);
        let tasks = self.tasks(&parts);
        let one = |task: &[Part]| {
            SCRATCH.with_borrow_mut(|lines| task.iter().for_each(|p| self.part::<U>(p, lines)));
        };
        match tasks[..] {
            [_] => one(&parts),
            _ => tasks
                .par_iter()
                .with_max_len(1)
                .for_each(|t| one(&parts[t.clone()])),
        }
    }

    /// Multiply-adds of a head of a sequence, and what packing it costs.
    fn work(&self, rows: usize) -> usize {
        (2 * rows + 32).saturating_mul(rows * self.width)
    }

    /// Sequences that are not empty, the heads of long ones apart.
    fn parts(&self, heads: usize, offsets: &[u32]) -> Vec<Part> {
        let mut parts = Vec::with_capacity(offsets.len());
        for pair in offsets.windows(2) {
            let rows = pair[0] as usize..pair[1] as usize;
            if rows.is_empty() {
                continue;
            }
            let groups = (self.work(rows.len()).saturating_mul(heads) / TASK).clamp(1, heads);
            parts.extend((0..groups).map(|i| Part {
                rows: rows.clone(),
                heads: i * heads / groups..(i + 1) * heads / groups,
            }));
        }
        parts
    }

    /// Runs of parts of about the same work. The cut depends on the number of threads, the values do
    /// not.
    fn tasks(&self, parts: &[Part]) -> Vec<Range<usize>> {
        let work = |p: &Part| self.work(p.rows.len()).saturating_mul(p.heads.len());
        let all = parts.iter().map(work).fold(0, usize::saturating_add);
        let most = TASKS * rayon::current_num_threads();
        let each = all / (all / TASK).clamp(1, most);
        let (mut tasks, mut start, mut sum) = (Vec::new(), 0, 0usize);
        for (i, part) in parts.iter().enumerate() {
            sum = sum.saturating_add(work(part));
            if sum >= each || i + 1 == parts.len() {
                tasks.push(start..i + 1);
                (start, sum) = (i + 1, 0);
            }
        }
        tasks
    }

    fn part<U: Unit>(&self, part: &Part, lines: &mut Vec<Line>) {
        let (rows, width) = (part.rows.len(), self.width);
        let (keys, values) = (rows.div_ceil(U::N), width.div_ceil(U::N));
        let line = keys * U::N;
        let sizes = [
            line * width,
            values * U::N * rows,
            QUERIES.min(rows) * line,
            line,
            line,
        ];
        let room = Room::cut(lines, sizes);
        room.scale.fill(self.scale);
        room.bias[..rows].fill(0.0);
        room.bias[rows..].fill(f32::NEG_INFINITY);
        let masked = Tail {
            scale: Some(room.scale),
            bias: Some(room.bias),
            residual: None,
            act: Act::None,
        };
        let start = part.rows.start * self.columns;
        let [q, k, v] = self.from.map(|x| x[start..].as_ptr());
        let scores = room.scores.as_mut_ptr();
        let mut sums = Sums([0.0; 24 * 16]);
        for head in part.heads.clone() {
            let shift = head * width;
            let pack = |from: *const f32, to: &mut [f32]| Pack {
                from: from.wrapping_add(shift),
                step: self.columns,
                rows,
                width,
                to: to.as_mut_ptr(),
            };
            // SAFETY: a head of the sequence is `rows` runs of `width` floats from `shift` on, and the
            // room was cut for its panels.
            unsafe {
                run(self.kernel, Keys(pack(k, room.keys)));
                run(self.kernel, Values(pack(v, room.values)));
            }
            for queries in pieces(0..rows, QUERIES) {
                let (count, q) = (queries.len(), q.wrapping_add(queries.start * self.columns));
                for (first, wide) in panels(keys) {
                    let weights = room.keys[first * U::N * width..].as_ptr();
                    let place = Place {
                        sums: sums.0.as_mut_ptr(),
                        width: wide * U::N,
                        pixels: 0,
                        filter: first * U::N,
                        columns: wide * U::N,
                        simple: true,
                        start: 0,
                        line,
                        tail: &masked,
                        y: scores,
                    };
                    let factors = Factors {
                        runs: std::ptr::null(),
                        taps: 1,
                        run: width,
                        shift,
                        weights,
                    };
                    // SAFETY: the unit is that of the kernel's level; a query is `width` floats from
                    // `shift` on in its row, the panel `width` times `wide` vectors, and the scores
                    // are `count` lines, like scale and bias as long as all panels.
                    unsafe { product::<U>(count, (q, self.columns), factors, place) };
                }
                let softmax = Softmax {
                    scores,
                    rows: count,
                    line,
                };
                // SAFETY: the scores are `count` lines of whole vectors.
                unsafe { run(self.kernel, softmax) };
                for (first, wide) in panels(values) {
                    let columns = (wide * U::N).min(width - first * U::N);
                    let place = Place {
                        sums: sums.0.as_mut_ptr(),
                        width: wide * U::N,
                        pixels: 0,
                        filter: shift + first * U::N,
                        columns,
                        simple: columns == wide * U::N,
                        start: start + queries.start * self.columns,
                        line: self.columns,
                        tail: &Tail::NONE,
                        y: self.y.0,
                    };
                    let factors = Factors {
                        runs: std::ptr::null(),
                        taps: 1,
                        run: rows,
                        shift: 0,
                        weights: room.values[first * U::N * rows..].as_ptr(),
                    };
                    // SAFETY: as above: a line of scores has `rows` weights, the panel as many times
                    // `wide` vectors; the rows and columns are those of this sequence's head, which
                    // no other part has.
                    unsafe { product::<U>(count, (scores, line), factors, place) };
                }
            }
        }
    }
}

/// The product of `count` runs, `step` floats apart, with one panel. `place` is that of the first run.
///
/// # Safety
/// As [`tile`], for every run and its line of the result.
unsafe fn product<U: Unit>(
    count: usize,
    (from, step): (*const f32, usize),
    factors: Factors,
    place: Place<'_>,
) {
    let wide = place.width / U::N;
    for t in pieces(0..count, U::PIXELS[wide - 1].min(MOST)) {
        let mut runs = [from; MOST];
        for (run, i) in runs.iter_mut().zip(t.clone()) {
            *run = from.wrapping_add(i * step);
        }
        let factors = Factors {
            runs: runs.as_ptr(),
            ..factors
        };
        let place = Place {
            pixels: t.len(),
            start: place.start + t.start * place.line,
            ..place
        };
        // SAFETY: the caller's.
        unsafe {
            tile::<U>(wide, t.len(), &factors, &place);
            if !place.simple {
                U::finish(&place);
            }
        }
    }
}

/// Panels of two vectors, `(first, vectors)`; the last one has up to three.
fn panels(vectors: usize) -> impl Iterator<Item = (usize, usize)> {
    let count = (vectors / 2).max(1);
    (0..count).map(move |i| match i + 1 == count {
        true => (2 * i, vectors - 2 * i),
        false => (2 * i, 2),
    })
}

/// A head of a sequence, to be packed into panels.
struct Pack {
    /// The first row's first float.
    from: *const f32,
    /// Floats from a row to the next.
    step: usize,
    rows: usize,
    /// Floats of a row.
    width: usize,
    to: *mut f32,
}

/// `[panel][float of a row][row]`, zeros for rows that fill the last vector.
struct Keys(Pack);

impl Job for Keys {
    #[inline(always)]
    unsafe fn run<L: Lanes>(self) {
        let p = self.0;
        for (first, wide) in panels(p.rows.div_ceil(L::N)) {
            for v in first..first + wide {
                for c in (0..p.width).step_by(L::N) {
                    let size = (L::N.min(p.rows - v * L::N), L::N.min(p.width - c));
                    // SAFETY: the caller has the unit; the block is within the rows, and the panel
                    // has `wide` vectors for each of their floats.
                    unsafe {
                        let from = p.from.add(v * L::N * p.step + c);
                        let at = first * L::N * p.width + (c * wide + v - first) * L::N;
                        L::transpose(from, p.step, size, p.to.add(at), wide * L::N);
                    }
                }
            }
        }
    }
}

/// `[panel][row][float of a row]`, zeros for floats that fill the last vector.
struct Values(Pack);

impl Job for Values {
    #[inline(always)]
    unsafe fn run<L: Lanes>(self) {
        let p = self.0;
        for (first, wide) in panels(p.width.div_ceil(L::N)) {
            for row in 0..p.rows {
                for v in first..first + wide {
                    let lanes = L::N.min(p.width - v * L::N);
                    // SAFETY: the caller has the unit; `lanes` floats of the row are there, and the
                    // panel has `wide` vectors for each row.
                    unsafe {
                        let x = load_some::<L>(p.from.add(row * p.step + v * L::N), lanes);
                        let at = first * L::N * p.rows + (row * wide + v - first) * L::N;
                        L::store(p.to.add(at), x);
                    }
                }
            }
        }
    }
}

/// Lines of scores, to be made weights that add to one.
struct Softmax {
    scores: *mut f32,
    rows: usize,
    /// Floats of a line: whole vectors, the last one filled with negative infinity.
    line: usize,
}

impl Job for Softmax {
    #[inline(always)]
    unsafe fn run<L: Lanes>(self) {
        for row in 0..self.rows {
            // SAFETY: the caller has the unit; a line is whole vectors, at least one.
            unsafe {
                let line = self.scores.add(row * self.line);
                let mut most = L::load(line);
                for c in (L::N..self.line).step_by(L::N) {
                    most = L::max(most, L::load(line.add(c)));
                }
                let most = all::<L>(most, |a, b| L::max(a, b));
                let mut sum = L::splat(0.0);
                for c in (0..self.line).step_by(L::N) {
                    let weight = exp::<L>(L::sub(L::load(line.add(c)), most));
                    sum = L::add(sum, weight);
                    L::store(line.add(c), weight);
                }
                let by = L::div(L::splat(1.0), all::<L>(sum, |a, b| L::add(a, b)));
                for c in (0..self.line).step_by(L::N) {
                    L::store(line.add(c), L::mul(L::load(line.add(c)), by));
                }
            }
        }
    }
}
