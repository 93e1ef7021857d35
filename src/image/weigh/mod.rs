//! The inner loops of resampling: weighted sums along a row of RGB pixels and down its columns.
//!
//! All forms of a loop give the same bits: sums are of whole numbers, modulo 2^32, whatever the
//! order. Registers multiply 8 or 16 bits at a time, so weights are taken apart into digits of so
//! many bits, and the digits' sums are put together at the end.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;

use super::filter::{Side, Window, to_pixel};

/// What the machine can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    Portable,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    /// With byte permutations (VBMI) and sums of byte products (VNNI).
    #[cfg(target_arch = "x86_64")]
    Avx512,
}

impl Form {
    /// The best that this machine has.
    pub(super) fn best() -> Self {
        #[cfg(target_arch = "x86_64")]
        {
            if is_x86_feature_detected!("avx512f")
                && is_x86_feature_detected!("avx512bw")
                && is_x86_feature_detected!("avx512vbmi")
                && is_x86_feature_detected!("avx512vnni")
            {
                return Form::Avx512;
            }
            if is_x86_feature_detected!("avx2") {
                return Form::Avx2;
            }
        }
        Form::Portable
    }
}

/// Rows of samples that follow one another, from one row on; after the last comes the first.
#[derive(Clone, Copy)]
pub(super) struct Rows<'a> {
    samples: &'a [u8],
    /// From one row to the next, and the samples of a row.
    stride: usize,
    length: usize,
    /// The place where the first row starts, and where the last one ends.
    start: usize,
    end: usize,
}

impl<'a> Rows<'a> {
    /// Rows of `length` samples from place `start` of `samples`, `stride` from one to the next.
    pub(super) fn new(samples: &'a [u8], start: usize, stride: usize, length: usize) -> Self {
        Rows {
            samples,
            stride,
            length,
            start,
            end: usize::MAX,
        }
    }

    /// All rows of `samples`, from row `first` on; after the last comes row 0.
    pub(super) fn wrapped(samples: &'a [u8], length: usize, first: usize) -> Self {
        Rows {
            samples,
            stride: length,
            length,
            start: first * length,
            end: samples.len(),
        }
    }

    /// The first `count` rows.
    #[inline(always)]
    fn each(self, count: usize) -> impl Iterator<Item = &'a [u8]> {
        let mut next = self.start;
        (0..count).map(move |_| {
            let row = &self.samples[next..][..self.length];
            next += self.stride;
            if next >= self.end {
                next = 0;
            }
            row
        })
    }
}

/// Makes the row `out` of the sums of rows by their weights, one row for each.
pub(super) fn down(form: Form, rows: Rows<'_>, weights: &[i32], out: &mut [u8]) {
    match form {
        Form::Portable => portable_down(rows, weights, out, 0),
        #[cfg(target_arch = "x86_64")]
        // SAFETY: the form says that the machine has AVX2.
        Form::Avx2 => unsafe { avx2::down(rows, weights, out) },
        #[cfg(target_arch = "x86_64")]
        // SAFETY: the form says that the machine has these parts of AVX-512.
        Form::Avx512 => unsafe { avx512::down(rows, weights, out) },
    }
}

/// How many samples are summed at a time.
const STRIP: usize = 32;

/// [`down`] from place `start` of the rows on.
fn portable_down(rows: Rows<'_>, weights: &[i32], out: &mut [u8], start: usize) {
    let strips = out[start..].chunks_mut(STRIP).enumerate();
    for (number, strip) in strips {
        let place = start + number * STRIP;
        let mut sums = [0i32; STRIP];
        for (row, weight) in rows.each(weights.len()).zip(weights) {
            for (sum, sample) in sums.iter_mut().zip(&row[place..][..strip.len()]) {
                *sum = sum.wrapping_add(i32::from(*sample).wrapping_mul(*weight));
            }
        }
        for (to, sum) in strip.iter_mut().zip(sums) {
            *to = to_pixel(sum);
        }
    }
}

/// The sums along a row, made ready.
pub(super) struct Across {
    windows: Vec<Window>,
    #[cfg(target_arch = "x86_64")]
    fast: Fast,
}

#[cfg(target_arch = "x86_64")]
enum Fast {
    None,
    Avx2(avx2::Across),
    Avx512(avx512::Across),
}

impl Across {
    pub(super) fn new(form: Form, side: Side) -> Self {
        let windows = side.windows(1);
        #[cfg(target_arch = "x86_64")]
        let fast = match form {
            Form::Portable => Fast::None,
            Form::Avx2 => Fast::Avx2(avx2::Across::new(&windows)),
            Form::Avx512 => match avx512::Across::new(&windows) {
                Some(across) => Fast::Avx512(across),
                // Every machine with AVX-512 has AVX2.
                None => Fast::Avx2(avx2::Across::new(&windows)),
            },
        };
        #[cfg(not(target_arch = "x86_64"))]
        let Form::Portable = form;
        Across {
            windows,
            #[cfg(target_arch = "x86_64")]
            fast,
        }
    }

    /// Makes a row of pixels from a row; both are whole.
    pub(super) fn run(&self, row: &[u8], out: &mut [u8]) {
        #[cfg(target_arch = "x86_64")]
        let done = match &self.fast {
            Fast::None => 0,
            // SAFETY: the tables are made only where the machine has AVX2.
            Fast::Avx2(across) => unsafe { across.run(row, out) },
            // SAFETY: the tables are made only where the machine has these parts of AVX-512.
            Fast::Avx512(across) => unsafe { across.run(row, out) },
        };
        #[cfg(not(target_arch = "x86_64"))]
        let done = 0;
        self.portable(row, out, done);
    }

    /// Makes the pixels from number `start` on.
    fn portable(&self, row: &[u8], out: &mut [u8], start: usize) {
        let (pixels, _) = row.as_chunks::<3>();
        let (out, _) = out.as_chunks_mut::<3>();
        for (to, window) in out.iter_mut().zip(&self.windows).skip(start) {
            let under = &pixels[window.first..][..window.weights.len()];
            let mut sums = [0i32; 3];
            for (pixel, weight) in under.iter().zip(&window.weights) {
                for (sum, sample) in sums.iter_mut().zip(pixel) {
                    *sum = sum.wrapping_add(i32::from(*sample).wrapping_mul(*weight));
                }
            }
            *to = sums.map(to_pixel);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::filter::Filter;
    use super::*;

    const FILTERS: [Filter; 3] = [Filter::Bilinear, Filter::Bicubic, Filter::Lanczos];

    /// The forms that this machine has, the plain one left out.
    fn forms() -> Vec<Form> {
        #[cfg(target_arch = "x86_64")]
        {
            let mut forms = Vec::new();
            if is_x86_feature_detected!("avx2") {
                forms.push(Form::Avx2);
            }
            if Form::best() == Form::Avx512 {
                forms.push(Form::Avx512);
            }
            forms
        }
        #[cfg(not(target_arch = "x86_64"))]
        Vec::new()
    }

    /// Noise, with black and white in it.
    fn noise(random: &mut fastrand::Rng, length: usize) -> Vec<u8> {
        let sample = |random: &mut fastrand::Rng| match random.u8(0..4) {
            0 => 0,
            1 => 255,
            _ => random.u8(..),
        };
        (0..length).map(|_| sample(random)).collect()
    }

    #[test]
    fn all_forms_give_the_same_rows() {
        let mut random = fastrand::Rng::with_seed(5);
        for round in 0..400 {
            let from = random.usize(1..if round % 8 == 0 { 1500 } else { 130 });
            let to = random.usize(1..200);
            let filter = FILTERS[round % 3];
            let whole = Side::whole(filter, from, to);
            let start = random.usize(0..to);
            let side = Side {
                start,
                count: random.usize(1..=to - start),
                ..whole
            };
            // Nothing may be read past the row's end.
            let row = noise(&mut random, 3 * from).into_boxed_slice();
            let mut want = vec![0; 3 * side.count];
            Across::new(Form::Portable, side).run(&row, &mut want);
            for form in forms() {
                let mut got = vec![9; want.len()];
                Across::new(form, side).run(&row, &mut got);
                assert_eq!(got, want, "{form:?} {side:?}");
            }
        }
    }

    #[test]
    fn all_forms_give_the_same_columns() {
        let mut random = fastrand::Rng::with_seed(6);
        for round in 0..300 {
            let from = random.usize(1..if round % 8 == 0 { 500 } else { 40 });
            let to = random.usize(1..60);
            let length = random.usize(1..300);
            let samples = noise(&mut random, from * length).into_boxed_slice();
            let windows = Side::whole(FILTERS[round % 3], from, to).windows(1);
            for window in &windows {
                let rows = Rows::new(&samples, window.first * length, length, length);
                let mut want = vec![0; length];
                down(Form::Portable, rows, &window.weights, &mut want);
                // From the definition.
                let place = random.usize(0..length);
                let terms = window.weights.iter().zip(window.first..);
                let sum = terms.map(|(w, y)| w * i32::from(samples[y * length + place]));
                assert_eq!(want[place], to_pixel(sum.sum()));
                for form in forms() {
                    let mut got = vec![9; length];
                    down(form, rows, &window.weights, &mut got);
                    assert_eq!(got, want, "{form:?} {from} {to} {length}");
                    // The same rows, in a ring of as many.
                    let ring = Rows::wrapped(&samples[..from * length], length, window.first);
                    down(form, ring, &window.weights, &mut got);
                    assert_eq!(got, want, "{form:?} {from} {to} {length} in a ring");
                }
            }
        }
    }

    #[test]
    fn rings_go_on_at_their_start() {
        let samples = [1, 1, 2, 2, 3, 3];
        let rows = Rows::wrapped(&samples, 2, 2);
        let firsts: Vec<u8> = rows.each(4).map(|row| row[0]).collect();
        assert_eq!(firsts, [3, 1, 2, 3]);
    }
}
