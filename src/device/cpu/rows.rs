//! Passes over rows, one vector a token: layer norms, lookups in tables, means of sequences.
//!
//! A row's values depend on no other row, and are summed in an order that its length alone decides, so
//! that neither its neighbours nor the number of threads change a bit.

use rayon::prelude::*;

use super::Kernel;
use super::lanes::{Job, Lanes, all, load_some, run, store_some};
use super::pointwise::MIN_TASK;
use super::pool::global_average;

/// Vectors that are summed side by side.
const SUMS: usize = 4;

/// The weights of a layer norm, and what is added to the variance.
pub type Norm<'a> = (&'a [f32], &'a [f32], f32);

/// `y = (x - mean) / sqrt(variance + eps) * gamma + beta` for each row (Ba et al. 2016), rows being as
/// long as `gamma`.
///
/// The mean is corrected by that of the differences from it, and the variance by its square (Chan,
/// Golub and LeVeque 1983, equation 1.7), so that a row of large values that hardly differ is right.
///
/// # Panics
/// If a length does not fit.
pub fn layer_norm(kernel: Kernel, x: &[f32], norm: Norm<'_>, y: &mut [f32]) {
    let n = norm.0.len();
    assert_eq!(x.len(), y.len(), "layer norm");
    check(norm, y);
    let task = MIN_TASK.div_ceil(n.max(1)) * n.max(1);
    y.par_chunks_mut(task)
        .zip(x.par_chunks(task))
        .for_each(|(y, x)| {
            let job = Plain { x, norm, y };
            // SAFETY: `x` and `y` are whole rows and of one length, gamma and beta as long as a row.
            unsafe { run(kernel, job) }
        });
}

/// [`layer_norm`] of the sum of one row of each table; tables come with the rows that are looked up.
///
/// # Panics
/// If a length does not fit, or a table does not have a row.
pub fn embed(kernel: Kernel, tables: &[(&[f32], &[u32])], norm: Norm<'_>, y: &mut [f32]) {
    let n = norm.0.len();
    check(norm, y);
    let count = y.len().checked_div(n).unwrap_or(0);
    for (table, rows) in tables {
        assert_eq!(rows.len(), count, "rows");
        within(n, table, rows);
    }
    let task = MIN_TASK.div_ceil(n.max(1));
    y.par_chunks_mut(task * n.max(1))
        .enumerate()
        .for_each(|(i, y)| {
            let job = Embedded {
                tables,
                first: i * task,
                norm,
                y,
            };
            // SAFETY: `y` is whole rows as long as gamma and beta, and every table has its rows.
            unsafe { run(kernel, job) }
        });
}

/// Row `i` of `y` is row `rows[i]` of the table, `n` values each.
///
/// # Panics
/// If a length does not fit, or the table does not have a row.
pub fn lookup(n: usize, table: &[f32], rows: &[u32], y: &mut [f32]) {
    assert_eq!(y.len(), rows.len() * n, "lookup");
    within(n, table, rows);
    if n == 0 {
        return;
    }
    let task = MIN_TASK.div_ceil(n);
    y.par_chunks_mut(task * n)
        .zip(rows.par_chunks(task))
        .for_each(|(y, rows)| {
            for (y, &row) in y.chunks_exact_mut(n).zip(rows) {
                y.copy_from_slice(&table[row as usize * n..][..n]);
            }
        });
}

/// The mean over the rows of each sequence, sequence `i` being the rows from `offsets[i]` to
/// `offsets[i + 1]`, `n` values each; zeros for one without rows.
///
/// # Panics
/// If a length does not fit, or the offsets do not rise within the rows.
pub fn segment_mean(kernel: Kernel, n: usize, x: &[f32], offsets: &[u32], y: &mut [f32]) {
    assert_eq!(y.len(), offsets.len().saturating_sub(1) * n, "segment mean");
    if n == 0 {
        return;
    }
    let mean = x.len().div_ceil(offsets.len()).max(1);
    y.par_chunks_mut(n)
        .zip(offsets.par_windows(2))
        .with_min_len(MIN_TASK.div_ceil(mean))
        .for_each(|(y, pair)| {
            let (from, to) = (pair[0] as usize, pair[1] as usize);
            global_average(kernel, to - from, n, &x[from * n..to * n], y);
        });
}

fn check((gamma, beta, _): Norm<'_>, y: &[f32]) {
    let n = gamma.len();
    assert_eq!(beta.len(), n, "layer norm");
    assert!(y.is_empty() || (n > 0 && y.len().is_multiple_of(n)), "rows");
}

/// Looks for rows that a table does not have.
fn within(n: usize, table: &[f32], rows: &[u32]) {
    if let Some(&most) = rows.iter().max() {
        assert!((most as usize + 1) * n <= table.len(), "row {most}");
    }
}

/// Rows of [`layer_norm`].
struct Plain<'a> {
    x: &'a [f32],
    norm: Norm<'a>,
    y: &'a mut [f32],
}

impl Job for Plain<'_> {
    #[inline(always)]
    unsafe fn run<L: Lanes>(self) {
        let n = self.norm.0.len();
        for (x, y) in self.x.chunks_exact(n).zip(self.y.chunks_exact_mut(n)) {
            let x = x.as_ptr();
            // SAFETY: the caller has the unit; `x` and `y` are a row, as are the weights.
            unsafe {
                let first = |c: usize, lanes: usize| load_some::<L>(x.add(c), lanes);
                normalize::<L>(first, x, self.norm, y.as_mut_ptr());
            }
        }
    }
}

/// Rows of [`embed`].
struct Embedded<'a> {
    tables: &'a [(&'a [f32], &'a [u32])],
    /// The first row.
    first: usize,
    norm: Norm<'a>,
    y: &'a mut [f32],
}

impl Job for Embedded<'_> {
    #[inline(always)]
    unsafe fn run<L: Lanes>(self) {
        let n = self.norm.0.len();
        for (i, y) in self.y.chunks_exact_mut(n).enumerate() {
            let y = y.as_mut_ptr();
            // SAFETY: the caller has the unit; every table has the row that is looked up, of `n`
            // values like `y` and the weights; a sum is written before it is read again.
            unsafe {
                let first = |c: usize, lanes: usize| {
                    let mut sum = L::splat(0.0);
                    for (t, (table, rows)) in self.tables.iter().enumerate() {
                        let row = *rows.get_unchecked(self.first + i) as usize;
                        let v = load_some::<L>(table.as_ptr().add(row * n + c), lanes);
                        sum = if t == 0 { v } else { L::add(sum, v) };
                    }
                    store_some::<L>(y.add(c), lanes, sum);
                    sum
                };
                normalize::<L>(first, y, self.norm, y);
            }
        }
    }
}

/// One row: `first(c, lanes)` gives the values from `c` on the first time, `x` has them afterwards and
/// may be `y`.
///
/// # Safety
/// The machine has the instructions of `L`; `x` and `y` have as many values as gamma and beta.
#[inline(always)]
unsafe fn normalize<L: Lanes>(
    first: impl Fn(usize, usize) -> L::V,
    x: *const f32,
    (gamma, beta, eps): Norm<'_>,
    y: *mut f32,
) {
    let n = gamma.len();
    // SAFETY: the caller's; vectors begin at `c < n` and have `lanes` values.
    unsafe {
        let mut sums = [L::splat(0.0); SUMS];
        each::<L>(n, |i, c, lanes| sums[i] = L::add(sums[i], first(c, lanes)));
        let one_nth = L::splat(1.0 / n as f32);
        let mean = L::mul(total::<L>(sums), one_nth);
        let (mut sums, mut squares) = ([L::splat(0.0); SUMS], [L::splat(0.0); SUMS]);
        each::<L>(n, |i, c, lanes| {
            let mut d = L::sub(load_some::<L>(x.add(c), lanes), mean);
            if lanes < L::N {
                d = kept::<L>(d, lanes);
            }
            sums[i] = L::add(sums[i], d);
            squares[i] = L::fma(d, d, squares[i]);
        });
        let more = L::mul(total::<L>(sums), one_nth);
        let square = L::mul(total::<L>(squares), one_nth);
        let variance = one::<L>(L::max(L::splat(0.0), L::sub(square, L::mul(more, more)))) + eps;
        if !(SMALLEST..=f32::MAX).contains(&variance) {
            return normalize_any(std::slice::from_raw_parts(x, n), (gamma, beta, eps), y);
        }
        let by = L::splat((1.0 / f64::from(variance).sqrt()) as f32);
        let (gamma, beta) = (gamma.as_ptr(), beta.as_ptr());
        each::<L>(n, |_, c, lanes| {
            let d = L::sub(load_some::<L>(x.add(c), lanes), mean);
            let v = L::mul(L::sub(d, more), by);
            let (g, b) = (
                load_some::<L>(gamma.add(c), lanes),
                load_some::<L>(beta.add(c), lanes),
            );
            store_some::<L>(y.add(c), lanes, L::fma(v, g, b));
        });
    }
}

/// Below this a sum of squares has lost what was too small for f32.
const SMALLEST: f32 = 1e-30;

/// [`normalize`] in f64, for rows whose squares f32 does not hold.
#[cold]
#[inline(never)]
unsafe fn normalize_any(x: &[f32], (gamma, beta, eps): Norm<'_>, y: *mut f32) {
    let n = x.len() as f64;
    let mean = x.iter().map(|&v| f64::from(v)).sum::<f64>() / n;
    let square = |&v: &f32| (f64::from(v) - mean).powi(2);
    let variance = x.iter().map(square).sum::<f64>() / n;
    let by = 1.0 / (variance + f64::from(eps)).sqrt();
    for (i, (g, b)) in gamma.iter().zip(beta).enumerate() {
        let v = (f64::from(x[i]) - mean) * by * f64::from(*g) + f64::from(*b);
        // SAFETY: the caller's: `y` has as many values as gamma; it may be `x`, of which no value
        // before this one is read again.
        unsafe { *y.add(i) = v as f32 }
    }
}

/// `f(sum, c, lanes)` for the vectors of a row of `n` values, `c` being the first value of one and
/// `sum < SUMS` what it goes to.
#[inline(always)]
unsafe fn each<L: Lanes>(n: usize, mut f: impl FnMut(usize, usize, usize)) {
    let mut c = 0;
    while c + SUMS * L::N <= n {
        for i in 0..SUMS {
            f(i, c + i * L::N, L::N);
        }
        c += SUMS * L::N;
    }
    while c + L::N <= n {
        f(0, c, L::N);
        c += L::N;
    }
    if c < n {
        f(1, c, n - c);
    }
}

/// The sum of all lanes, in each.
#[inline(always)]
unsafe fn total<L: Lanes>(sums: [L::V; SUMS]) -> L::V {
    // SAFETY: the caller has the unit.
    unsafe {
        let sum = L::add(L::add(sums[0], sums[1]), L::add(sums[2], sums[3]));
        all::<L>(sum, |a, b| L::add(a, b))
    }
}

/// The first `lanes` lanes, the rest zero.
#[inline(always)]
unsafe fn kept<L: Lanes>(v: L::V, lanes: usize) -> L::V {
    let mut room = [0.0f32; 16];
    // SAFETY: the caller has the unit; no unit has more than 16 lanes.
    unsafe {
        L::store(room.as_mut_ptr(), v);
        L::load_n(room.as_ptr(), lanes)
    }
}

/// The first lane.
#[inline(always)]
unsafe fn one<L: Lanes>(v: L::V) -> f32 {
    let mut room = [0.0f32; 16];
    // SAFETY: the caller has the unit; no unit has more than 16 lanes.
    unsafe { L::store(room.as_mut_ptr(), v) };
    room[0]
}
