//! The inner loops of resampling: weighted sums along a row of RGB pixels and down its columns.

use super::filter::{Side, Window, to_pixel};
use super::wide::widest;

/// Rows of samples that follow one another, from one row on; after the last comes the first.
#[derive(Clone, Copy)]
pub(super) struct Rows<'a> {
    samples: &'a [u8],
    stride: usize,
    /// The place where the first row starts, and where the last one ends.
    start: usize,
    end: usize,
}

impl<'a> Rows<'a> {
    /// Rows of `stride` samples from the start of `samples`.
    pub(super) fn new(samples: &'a [u8], stride: usize) -> Self {
        Rows {
            samples,
            stride,
            start: 0,
            end: usize::MAX,
        }
    }

    /// All rows of `samples`, from row `first` on; after the last comes row 0.
    pub(super) fn wrapped(samples: &'a [u8], stride: usize, first: usize) -> Self {
        Rows {
            samples,
            stride,
            start: first * stride,
            end: samples.len(),
        }
    }

    /// The places of the rows' starts.
    #[inline(always)]
    fn starts(self) -> impl Iterator<Item = usize> {
        let mut next = self.start;
        std::iter::repeat_with(move || {
            let place = next;
            next += self.stride;
            if next >= self.end {
                next = 0;
            }
            place
        })
    }
}

/// How many samples are summed at a time; the sums stay in registers.
const STRIP: usize = 32;

/// Makes the row `out` of the sums of rows by their weights, one row for each.
pub(super) fn down(rows: Rows<'_>, weights: &[i32], out: &mut [u8]) {
    widest(
        #[inline(always)]
        || {
            let (strips, rest) = out.as_chunks_mut::<STRIP>();
            let after = strips.len() * STRIP;
            for (number, strip) in strips.iter_mut().enumerate() {
                *strip = down_strip(rows, weights, number * STRIP);
            }
            for (place, to) in rest.iter_mut().enumerate() {
                let each = rows.starts().zip(weights);
                let terms = each
                    .map(|(at, w)| i32::from(rows.samples[at + after + place]).wrapping_mul(*w));
                *to = to_pixel(terms.fold(0, i32::wrapping_add));
            }
        },
    );
}

#[inline(always)]
fn down_strip(rows: Rows<'_>, weights: &[i32], place: usize) -> [u8; STRIP] {
    let mut sums = [0i32; STRIP];
    for (at, weight) in rows.starts().zip(weights) {
        let samples = &rows.samples[at + place..][..STRIP];
        for (sum, sample) in sums.iter_mut().zip(samples) {
            *sum = sum.wrapping_add(i32::from(*sample).wrapping_mul(*weight));
        }
    }
    sums.map(to_pixel)
}

/// The sums along a row.
pub(super) struct Across {
    windows: Vec<Window>,
}

impl Across {
    pub(super) fn new(side: Side) -> Self {
        Across {
            windows: side.windows(1),
        }
    }

    /// Makes a row of pixels from a row; both are whole.
    pub(super) fn run(&self, row: &[u8], out: &mut [u8]) {
        let (pixels, _) = row.as_chunks::<3>();
        let (out, _) = out.as_chunks_mut::<3>();
        widest(
            #[inline(always)]
            || {
                for (to, window) in out.iter_mut().zip(&self.windows) {
                    let under = &pixels[window.first..][..window.weights.len()];
                    let mut sums = [0i32; 3];
                    for (pixel, weight) in under.iter().zip(&window.weights) {
                        for (sum, sample) in sums.iter_mut().zip(pixel) {
                            *sum = sum.wrapping_add(i32::from(*sample).wrapping_mul(*weight));
                        }
                    }
                    *to = sums.map(to_pixel);
                }
            },
        );
    }
}
