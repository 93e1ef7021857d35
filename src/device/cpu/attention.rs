//! Self-attention over sequences of different lengths that stand one after the other.
//!
//! A head of a sequence is two products with a softmax between them, both by the tiles of the
//! convolutions: queries are the pixels, keys (transposed) and values the panels. Heads are brought
//! together in memory of the thread first, as many as a cache holds. A sequence is computed by itself,
//! in an order that its length alone decides, so that neither its neighbours nor the number of threads
//! change a bit.

use std::cell::RefCell;
use std::ops::Range;

use rayon::prelude::*;

use super::Kernel;
use super::conv::run::pieces;
use super::conv::tile::{Factors, Place, Unit, tile};
use super::kernel::Level;
use super::lanes::{self, Job, Lanes, all, load_some, run, store_some};
use super::math::exp;
use super::shape::Tail;
use crate::device::op::Act;

/// Multiply-adds that make a task worth its start.
const TASK: usize = 1_000_000;
/// Tasks of a thread, so that a thread that falls behind hands some over.
const TASKS: usize = 4;
/// Floats of the queries of a part, and of its keys and values as many: of all three, 384 KiB.
const PACKED: usize = 32 * 1024;
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
    /// `[head][row][value of the head]`
    queries: &'a mut [f32],
    /// `[head][panel][value of the head][row]`
    keys: &'a mut [f32],
    /// `[head][panel][row][value of the head]`
    values: &'a mut [f32],
    /// `[query][key]`
    scores: &'a mut [f32],
    /// For every key, padded to whole vectors: the scale, and 0, or negative infinity in the padding.
    scale: &'a mut [f32],
    bias: &'a mut [f32],
}

impl Room<'_> {
    fn cut(lines: &mut Vec<Line>, sizes: [usize; 6]) -> Room<'_> {
        let all: usize = sizes.iter().map(|n| n.next_multiple_of(16)).sum();
        if lines.len() * 16 < all {
            lines.resize(all / 16, Line([0.0; 16]));
        }
        // SAFETY: a line is sixteen floats and nothing else.
        let mut rest =
            unsafe { std::slice::from_raw_parts_mut(lines.as_mut_ptr().cast::<f32>(), all) };
        let [queries, keys, values, scores, scale, bias] = sizes.map(|n| {
            let (one, more) = std::mem::take(&mut rest).split_at_mut(n.next_multiple_of(16));
            rest = more;
            &mut one[..n]
        });
        Room {
            queries,
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
        let rows = |pair: &[u32]| (pair[1] - pair[0]) as usize;
        let all = offsets.windows(2).map(|pair| self.work(rows(pair), heads));
        let all = all.fold(0, usize::saturating_add);
        // The cut depends on the number of threads, the values do not.
        let tasks = (all / TASK).clamp(1, TASKS * rayon::current_num_threads());
        let parts = self.parts(heads, all / tasks, offsets);
        let tasks = self.tasks(all / tasks, &parts);
        let one = |parts: &[Part]| {
            SCRATCH.with_borrow_mut(|lines| parts.iter().for_each(|p| self.part::<U>(p, lines)));
        };
        match tasks[..] {
            [_] => one(&parts),
            _ => tasks
                .par_iter()
                .with_max_len(1)
                .for_each(|t| one(&parts[t.clone()])),
        }
    }

    /// Multiply-adds of heads of a sequence, and what packing them costs.
    fn work(&self, rows: usize, heads: usize) -> usize {
        (2 * rows + 32).saturating_mul(rows * heads * self.width)
    }

    /// Sequences that are not empty, whole or a few heads at a time: as many as a cache holds, and no
    /// more than a task should do.
    fn parts(&self, heads: usize, task: usize, offsets: &[u32]) -> Vec<Part> {
        let mut parts = Vec::with_capacity(offsets.len());
        for pair in offsets.windows(2) {
            let rows = pair[0] as usize..pair[1] as usize;
            if rows.is_empty() {
                continue;
            }
            let work = self.work(rows.len(), heads) / task;
            let floats = (rows.len() * heads * self.width).div_ceil(PACKED);
            let groups = work.max(floats).clamp(1, heads);
            parts.extend((0..groups).map(|i| Part {
                rows: rows.clone(),
                heads: i * heads / groups..(i + 1) * heads / groups,
            }));
        }
        parts
    }

    /// Runs of parts of about the work of a task.
    fn tasks(&self, task: usize, parts: &[Part]) -> Vec<Range<usize>> {
        let (mut tasks, mut start, mut sum) = (Vec::new(), 0, 0usize);
        for (i, part) in parts.iter().enumerate() {
            sum = sum.saturating_add(self.work(part.rows.len(), part.heads.len()));
            if sum >= task || i + 1 == parts.len() {
                tasks.push(start..i + 1);
                (start, sum) = (i + 1, 0);
            }
        }
        tasks
    }

    fn part<U: Unit>(&self, part: &Part, lines: &mut Vec<Line>) {
        let (rows, width, heads) = (part.rows.len(), self.width, part.heads.len());
        let (keys, values) = (rows.div_ceil(U::N), width.div_ceil(U::N));
        let line = keys * U::N;
        let sizes = [
            heads * rows * width,
            heads * line * width,
            heads * values * U::N * rows,
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
        let pack = Pack {
            from: self
                .from
                .map(|x| x[start + part.heads.start * width..].as_ptr()),
            step: self.columns,
            heads,
            rows,
            width,
            queries: room.queries.as_mut_ptr(),
            keys: room.keys.as_mut_ptr(),
            values: room.values.as_mut_ptr(),
        };
        // SAFETY: the heads are `rows` runs of `heads * width` floats, `step` apart, and the room was
        // cut for their panels.
        unsafe { run(self.kernel, pack) };
        let scores = room.scores.as_mut_ptr();
        let mut sums = Sums([0.0; 24 * 16]);
        let sums = sums.0.as_mut_ptr();
        for head in 0..heads {
            let shift = (part.heads.start + head) * width;
            let q = room.queries[head * rows * width..].as_ptr();
            let key_panels = &room.keys[head * line * width..][..line * width];
            let size = values * U::N * rows;
            let value_panels = &room.values[head * size..][..size];
            for queries in pieces(0..rows, QUERIES) {
                let count = queries.len();
                for (first, wide) in panels(keys) {
                    let place = Place {
                        sums,
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
                        shift: 0,
                        weights: key_panels[first * U::N * width..].as_ptr(),
                    };
                    let from = (q.wrapping_add(queries.start * width), width);
                    // SAFETY: the unit is that of the kernel's level; a query is `width` floats, the
                    // panel `width` times `wide` vectors, and the scores are `count` lines, like
                    // scale and bias as long as all panels.
                    unsafe { product::<U>(count, from, factors, place) };
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
                        sums,
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
                        weights: value_panels[first * U::N * rows..].as_ptr(),
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

/// Heads of a sequence, to be brought together: row by row, so that memory is read in its order.
struct Pack {
    /// q, k and v: the first row's first float.
    from: [*const f32; 3],
    /// Floats from a row to the next.
    step: usize,
    heads: usize,
    rows: usize,
    /// Floats of a head.
    width: usize,
    /// `[head][row][float]`
    queries: *mut f32,
    /// `[head][panel][float][row]`, zeros for rows that fill the last vector.
    keys: *mut f32,
    /// `[head][panel][row][float]`, zeros for floats that fill the last vector.
    values: *mut f32,
}

impl Job for Pack {
    #[inline(always)]
    unsafe fn run<L: Lanes>(self) {
        let [q, k, v] = self.from;
        let (rows, width) = (self.rows, self.width);
        // SAFETY: the caller has the unit; a row of the three is `heads * width` floats, and the
        // panels of a head hold its rows or floats as whole vectors.
        unsafe {
            for row in 0..rows {
                for head in 0..self.heads {
                    let from = q.add(row * self.step + head * width);
                    let to = self.queries.add((head * rows + row) * width);
                    for c in (0..width).step_by(L::N) {
                        let lanes = L::N.min(width - c);
                        store_some::<L>(to.add(c), lanes, load_some::<L>(from.add(c), lanes));
                    }
                }
            }
            let vectors = rows.div_ceil(L::N);
            for (first, wide) in panels(vectors) {
                for at in first..first + wide {
                    for head in 0..self.heads {
                        let from = k.add(at * L::N * self.step + head * width);
                        let panel = (head * vectors + first) * L::N * width;
                        let to = self.keys.add(panel + (at - first) * L::N);
                        for c in (0..width).step_by(L::N) {
                            let size = (L::N.min(rows - at * L::N), L::N.min(width - c));
                            let to = to.add(c * wide * L::N);
                            L::transpose(from.add(c), self.step, size, to, wide * L::N);
                        }
                    }
                }
            }
            let vectors = width.div_ceil(L::N);
            for row in 0..rows {
                for head in 0..self.heads {
                    let from = v.add(row * self.step + head * width);
                    for (first, wide) in panels(vectors) {
                        let panel = (head * vectors + first) * L::N * rows;
                        let to = self.values.add(panel + row * wide * L::N);
                        for at in first..first + wide {
                            let lanes = L::N.min(width - at * L::N);
                            let x = load_some::<L>(from.add(at * L::N), lanes);
                            L::store(to.add((at - first) * L::N), x);
                        }
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
