//! The 32-point DCT-II, with the operations of SciPy's `fftpack.dct` in the order that SciPy does
//! them, so that the rounding noise is the same too.
//!
//! A perceptual hash compares coefficients with their median. In a flat or symmetric image most
//! coefficients are zero but for rounding noise, and then the *sign of the noise* is the hash. An
//! exact cosine sum would be as good a transform and give other bits. So this is the transform that
//! SciPy has: a DCT-II through a real FFT of the same length (Makhoul, "A fast cosine transform in
//! one and two dimensions", 1980) and the real backward FFT by steps of 2, 4 and 4 on half-complex
//! data (Swarztrauber, "Vectorizing the FFTs", 1982), every sum and product as two operands in
//! double precision, never fused.

use std::ops::{Add, Mul, Sub};
use std::sync::LazyLock;

/// The length of the transform.
pub(super) const POINTS: usize = 32;

/// `out[k] = 2 * sum_n x[n] * cos(pi * k * (2n + 1) / 64)`, in place.
pub(super) fn dct2(x: &mut [f64; POINTS]) {
    let tables = &*TABLES;
    x[0] *= 2.0;
    x[POINTS - 1] *= 2.0;
    for k in (1..POINTS - 1).step_by(2) {
        let (a, b) = (x[k], x[k + 1]);
        x[k + 1] = b - a;
        x[k] = a + b;
    }
    backward_real_fft(x, tables);
    let turn = &tables.quarter;
    for k in 1..POINTS / 2 {
        let back = POINTS - k;
        let sum = turn[k - 1] * x[back] + turn[back - 1] * x[k];
        let difference = turn[k - 1] * x[k] - turn[back - 1] * x[back];
        x[k] = 0.5 * (sum + difference);
        x[back] = 0.5 * (sum - difference);
    }
    x[POINTS / 2] *= turn[POINTS / 2 - 1];
}

/// The backward FFT of a half-complex line `r0, r1, i1, ... r15, i15, r16` to 32 real values.
fn backward_real_fft(x: &mut [f64; POINTS], tables: &Tables) {
    let mut other = [0.0; POINTS];
    by_two(x, &mut other, tables);
    by_four(&other, x, 4, 2, tables);
    by_four(x, &mut other, 1, 8, tables);
    *x = other;
}

/// The first step: one block of two lines of 16 becomes two blocks of one line.
fn by_two(from: &[f64; POINTS], to: &mut [f64; POINTS], tables: &Tables) {
    const LINE: usize = POINTS / 2;
    let (low, high) = from.split_at(LINE);
    let (even, odd) = to.split_at_mut(LINE);
    even[0] = low[0] + high[LINE - 1];
    odd[0] = low[0] - high[LINE - 1];
    even[LINE - 1] = 2.0 * low[LINE - 1];
    odd[LINE - 1] = -2.0 * high[0];
    for i in 1..LINE / 2 {
        let a = Complex::at(low, i);
        let b = Complex::at(high, LINE / 2 - i).conjugate();
        (a + b).put(even, i);
        (tables.roots[i] * (a - b)).put(odd, i);
    }
}

/// A step by four: `blocks` blocks of four lines of `line` values become four times as many blocks.
fn by_four(
    from: &[f64; POINTS],
    to: &mut [f64; POINTS],
    line: usize,
    blocks: usize,
    tables: &Tables,
) {
    for k in 0..blocks {
        let input: [&[f64]; 4] = std::array::from_fn(|j| &from[line * (j + 4 * k)..][..line]);
        let mut output = [[0.0; 4]; 4];
        four_ends(input, &mut output, line);
        for i in 1..line.div_ceil(2) {
            let a = Complex::at(input[0], i);
            let b = Complex::at(input[1], line / 2 - i).conjugate();
            let c = Complex::at(input[2], i);
            let d = Complex::at(input[3], line / 2 - i).conjugate();
            let (sum, difference) = (a + d, a - d);
            let (inner, turned) = (c + b, (c - b).quarter_turn());
            (sum + inner).put(&mut output[0], i);
            (tables.roots[i * blocks] * (difference + turned)).put(&mut output[1], i);
            (tables.roots[2 * i * blocks] * (sum - inner)).put(&mut output[2], i);
            (tables.roots[3 * i * blocks] * (difference - turned)).put(&mut output[3], i);
        }
        for (j, values) in output.iter().enumerate() {
            to[line * (k + blocks * j)..][..line].copy_from_slice(&values[..line]);
        }
    }
}

/// The first value of each line, and the last one where lines have even length: both are real.
fn four_ends(input: [&[f64]; 4], output: &mut [[f64; 4]; 4], line: usize) {
    let [a, b, c, d] = input;
    let last = line - 1;
    let (sum, difference) = (a[0] + d[last], a[0] - d[last]);
    let (twice_b, twice_c) = (2.0 * b[last], 2.0 * c[0]);
    output[0][0] = sum + twice_b;
    output[2][0] = sum - twice_b;
    output[3][0] = difference + twice_c;
    output[1][0] = difference - twice_c;
    if line.is_multiple_of(2) {
        let (im_sum, im_difference) = (d[0] + b[0], d[0] - b[0]);
        let (re_sum, re_difference) = (a[last] + c[last], a[last] - c[last]);
        output[0][last] = re_sum + re_sum;
        output[1][last] = std::f64::consts::SQRT_2 * (re_difference - im_sum);
        output[2][last] = im_difference + im_difference;
        output[3][last] = -std::f64::consts::SQRT_2 * (re_difference + im_sum);
    }
}

#[derive(Clone, Copy)]
struct Complex {
    re: f64,
    im: f64,
}

impl Complex {
    /// The `i`-th (from 1) complex value of a half-complex line.
    fn at(line: &[f64], i: usize) -> Self {
        Complex {
            re: line[2 * i - 1],
            im: line[2 * i],
        }
    }

    fn put(self, line: &mut [f64], i: usize) {
        line[2 * i - 1] = self.re;
        line[2 * i] = self.im;
    }

    fn conjugate(self) -> Self {
        Complex {
            re: self.re,
            im: -self.im,
        }
    }

    /// Times the imaginary unit.
    fn quarter_turn(self) -> Self {
        Complex {
            re: -self.im,
            im: self.re,
        }
    }
}

impl Add for Complex {
    type Output = Complex;
    fn add(self, other: Self) -> Self {
        Complex {
            re: self.re + other.re,
            im: self.im + other.im,
        }
    }
}

impl Sub for Complex {
    type Output = Complex;
    fn sub(self, other: Self) -> Self {
        Complex {
            re: self.re - other.re,
            im: self.im - other.im,
        }
    }
}

impl Mul for Complex {
    type Output = Complex;
    fn mul(self, other: Self) -> Self {
        Complex {
            re: self.re * other.re - self.im * other.im,
            im: self.re * other.im + self.im * other.re,
        }
    }
}

/// Roots of unity, rounded as SciPy rounds them.
struct Tables {
    /// `cos(2 pi (k + 1) / 128)` for the last step of the DCT.
    quarter: [f64; POINTS],
    /// `exp(2 pi i k / 32)`.
    roots: [Complex; POINTS / 4],
}

static TABLES: LazyLock<Tables> = LazyLock::new(|| {
    let fine = Roots::new(4 * POINTS);
    let coarse = Roots::new(POINTS);
    Tables {
        quarter: std::array::from_fn(|k| fine.get(k + 1).re),
        roots: std::array::from_fn(|k| coarse.get(k)),
    }
});

/// The roots of unity of order `n` as products of two shorter tables, which rounds each of them
/// once more: `root(k) = low(k mod m) * high(k / m)`.
struct Roots {
    mask: usize,
    shift: u32,
    low: Vec<Complex>,
    high: Vec<Complex>,
}

impl Roots {
    fn new(n: usize) -> Self {
        let wanted = (n + 2) / 2;
        let mut shift = 1;
        while (1usize << (2 * shift)) < wanted {
            shift += 1;
        }
        let mask = (1usize << shift) - 1;
        Roots {
            mask,
            shift,
            low: (0..=mask).map(|k| unit_root(k, n)).collect(),
            high: (0..(wanted + mask) / (mask + 1))
                .map(|k| unit_root(k * (mask + 1), n))
                .collect(),
        }
    }

    fn get(&self, k: usize) -> Complex {
        self.low[k & self.mask] * self.high[k >> self.shift]
    }
}

/// `exp(2 pi i k / n)` for `k <= n / 2`, its angle brought into the first eighth of the circle.
fn unit_root(k: usize, n: usize) -> Complex {
    let eighth = 0.25 * std::f64::consts::PI / n as f64;
    let angle = |steps: usize| steps as f64 * eighth;
    let (steps, mirrored) = if 8 * k < 2 * n {
        (8 * k, false)
    } else {
        (8 * k - 2 * n, true)
    };
    let (sin, cos) = if steps < n {
        angle(steps).sin_cos()
    } else {
        let (sin, cos) = angle(2 * n - steps).sin_cos();
        (cos, sin)
    };
    if mirrored {
        Complex { re: -sin, im: cos }
    } else {
        Complex { re: cos, im: sin }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cosine_sum(x: &[f64; POINTS], k: usize) -> f64 {
        let step = std::f64::consts::PI / (2 * POINTS) as f64;
        let terms = x.iter().enumerate();
        2.0 * terms
            .map(|(n, v)| v * ((k * (2 * n + 1) % (4 * POINTS)) as f64 * step).cos())
            .sum::<f64>()
    }

    #[test]
    fn equals_the_cosine_sum() {
        let mut random = fastrand::Rng::with_seed(5);
        for scale in [1e-6, 1.0, 255.0, 1e9] {
            let line: [f64; POINTS] = std::array::from_fn(|_| (random.f64() - 0.3) * scale);
            let mut out = line;
            dct2(&mut out);
            for (k, got) in out.iter().enumerate() {
                let want = cosine_sum(&line, k);
                assert!(
                    (got - want).abs() <= 1e-12 * scale * 64.0,
                    "{k}: {got} {want}"
                );
            }
        }
    }

    #[test]
    fn one_pixel_gives_one_cosine_each() {
        for place in 0..POINTS {
            let mut line = [0.0; POINTS];
            line[place] = 1.0;
            let before = line;
            dct2(&mut line);
            for (k, got) in line.iter().enumerate() {
                assert!((got - cosine_sum(&before, k)).abs() < 1e-14);
            }
        }
    }

    #[test]
    fn zeros_stay_zeros() {
        let mut line = [0.0; POINTS];
        dct2(&mut line);
        assert!(line.iter().all(|v| *v == 0.0));
    }
}
