//! Samples of colours at the picture's size.
//!
//! A component with half the samples across, down, or both is interpolated: a sample counts three
//! parts, its neighbour on the side of the pixel one part ("triangle" filter), and where both
//! directions are halved the same is done in both before anything is rounded. What comes between
//! two numbers is rounded by turns down and up, so that no direction is preferred. At the
//! picture's sides a sample is its own neighbour. Every other ratio repeats samples, and so does a
//! component two samples wide or less that is halved across.

/// The way from a component's samples to the picture's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Upsampling {
    /// They are the same.
    None,
    /// Interpolation across.
    Across,
    /// Interpolation down.
    Down,
    /// Interpolation in both directions.
    Both,
    /// Each sample so many times across and down.
    Repeat(usize, usize),
}

impl Upsampling {
    /// The way for a component `width` samples wide, whose samples stand for `across` by `down`
    /// pixels.
    pub(super) fn of(across: usize, down: usize, width: usize) -> Self {
        match (across, down) {
            (1, 1) => Upsampling::None,
            (2, 1) if width > 2 => Upsampling::Across,
            (1, 2) => Upsampling::Down,
            (2, 2) if width > 2 => Upsampling::Both,
            _ => Upsampling::Repeat(across, down),
        }
    }

    /// Whether a row of pixels may need the row of samples after its own.
    pub(super) fn looks_below(self) -> bool {
        matches!(self, Upsampling::Down | Upsampling::Both)
    }

    /// The length of a row of pixels made from `width` samples.
    pub(super) fn row_length(self, width: usize) -> usize {
        match self {
            Upsampling::None => 0,
            Upsampling::Down => width,
            Upsampling::Across | Upsampling::Both => 2 * width,
            Upsampling::Repeat(across, _) => across * width,
        }
    }

    /// The rows of samples, of `height`, that the row of pixels `y` lies in and next to.
    pub(super) fn rows(self, y: usize, height: usize) -> (usize, usize) {
        match self {
            Upsampling::None | Upsampling::Across => (y, y),
            Upsampling::Down | Upsampling::Both if y.is_multiple_of(2) => {
                (y / 2, (y / 2).saturating_sub(1))
            }
            Upsampling::Down | Upsampling::Both => (y / 2, (y / 2 + 1).min(height - 1)),
            Upsampling::Repeat(_, down) => (y / down, y / down),
        }
    }

    /// Makes the row of pixels `y` from the two rows of samples that [`Upsampling::rows`] names.
    #[inline(always)]
    pub(super) fn run(self, near: &[u8], far: &[u8], y: usize, out: &mut [u8]) {
        match self {
            Upsampling::None => {}
            Upsampling::Across => across(near, out),
            Upsampling::Down => {
                let bias = if y.is_multiple_of(2) { 1 } else { 2 };
                for ((to, near), far) in out.iter_mut().zip(near).zip(far) {
                    *to = ((3 * u16::from(*near) + u16::from(*far) + bias) >> 2) as u8;
                }
            }
            Upsampling::Both => both(near, far, out),
            Upsampling::Repeat(times, _) => {
                for (to, sample) in out.chunks_exact_mut(times).zip(near) {
                    to.fill(*sample);
                }
            }
        }
    }
}

/// Two pixels for each sample.
#[inline(always)]
fn across(samples: &[u8], out: &mut [u8]) {
    let weighted = |a: u8, b: u8, bias| ((3 * u16::from(a) + u16::from(b) + bias) >> 2) as u8;
    let (pairs, _) = out.as_chunks_mut::<2>();
    let (Some(first), Some(last)) = (samples.first(), samples.last()) else {
        return;
    };
    if let ([start, .., end], [_, second, ..], [.., before, _]) = (&mut *pairs, samples, samples) {
        *start = [*first, weighted(*first, *second, 2)];
        *end = [weighted(*last, *before, 1), *last];
        let inner = &mut pairs[1..samples.len() - 1];
        let neighbours = samples.iter().zip(&samples[1..]).zip(&samples[2..]);
        for (to, ((left, here), right)) in inner.iter_mut().zip(neighbours) {
            *to = [weighted(*here, *left, 1), weighted(*here, *right, 2)];
        }
    }
}

/// How many samples the sums of two rows are made for at a time; they stay on the stack.
const STRIP: usize = 256;

/// Two pixels for each sample, between two rows.
#[inline(always)]
fn both(near: &[u8], far: &[u8], out: &mut [u8]) {
    let width = near.len();
    let (pairs, _) = out.as_chunks_mut::<2>();
    // The strip's sums, with one more on each side.
    let mut sums = [0u16; STRIP + 2];
    let mut start = 0;
    while start < width {
        let end = (start + STRIP).min(width);
        let from = start.saturating_sub(1);
        let to = (end + 1).min(width);
        let place = 1 - (start - from);
        let given = near[from..to].iter().zip(&far[from..to]);
        for (sum, (near, far)) in sums[place..].iter_mut().zip(given) {
            *sum = 3 * u16::from(*near) + u16::from(*far);
        }
        let length = end - start;
        if start == 0 {
            sums[0] = sums[1];
        }
        if end == width {
            sums[length + 1] = sums[length];
        }
        let neighbours = sums[..length].iter().zip(&sums[1..]).zip(&sums[2..]);
        for (to, ((left, here), right)) in pairs[start..end].iter_mut().zip(neighbours) {
            *to = [
                ((3 * here + left + 8) >> 4) as u8,
                ((3 * here + right + 7) >> 4) as u8,
            ];
        }
        start = end;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Both directions from their definition, pixel by pixel.
    fn plain_both(near: &[u8], far: &[u8]) -> Vec<u8> {
        let sum = |x: usize| 3 * u32::from(near[x]) + u32::from(far[x]);
        let pixel = |p: usize| {
            let x = p / 2;
            let (next, bias) = if p.is_multiple_of(2) {
                (x.saturating_sub(1), 8)
            } else {
                ((x + 1).min(near.len() - 1), 7)
            };
            ((3 * sum(x) + sum(next) + bias) / 16) as u8
        };
        (0..2 * near.len()).map(pixel).collect()
    }

    fn made(upsampling: Upsampling, near: &[u8], far: &[u8], y: usize) -> Vec<u8> {
        let mut out = vec![0; upsampling.row_length(near.len())];
        upsampling.run(near, far, y, &mut out);
        out
    }

    #[test]
    fn both_directions_at_every_width() {
        let mut random = fastrand::Rng::with_seed(4);
        for width in (3..70).chain([255, 256, 257, 258, 511, 512, 513, 700]) {
            let mut row = || -> Vec<u8> { (0..width).map(|_| random.u8(..)).collect() };
            let (near, far) = (row(), row());
            assert_eq!(
                made(Upsampling::Both, &near, &far, 0),
                plain_both(&near, &far)
            );
        }
    }

    #[test]
    fn hand_worked_rows() {
        let near = [0, 100, 255];
        // 0; (300+0+1)/4 is for the next; (0+100+2)/4 = 25
        let across = [0, 25, 75, 139, 216, 255];
        assert_eq!(made(Upsampling::Across, &near, &near, 0), across);
        assert_eq!(made(Upsampling::Down, &[9, 10], &[12, 0], 0), [10, 7]);
        assert_eq!(made(Upsampling::Down, &[9, 10], &[12, 0], 1), [10, 8]);
        let repeated = [1, 1, 1, 2, 2, 2];
        assert_eq!(made(Upsampling::Repeat(3, 2), &[1, 2], &[], 1), repeated);
    }

    #[test]
    fn a_flat_row_stays_flat() {
        for value in 0..=255 {
            let row = [value; 40];
            for upsampling in [Upsampling::Across, Upsampling::Down, Upsampling::Both] {
                for y in 0..2 {
                    let out = made(upsampling, &row, &row, y);
                    assert!(out.iter().all(|v| *v == value));
                }
            }
        }
    }

    #[test]
    fn ways_and_rows() {
        assert_eq!(Upsampling::of(2, 2, 2), Upsampling::Repeat(2, 2));
        assert_eq!(Upsampling::of(2, 1, 2), Upsampling::Repeat(2, 1));
        assert_eq!(Upsampling::of(1, 2, 1), Upsampling::Down);
        assert_eq!(Upsampling::of(4, 1, 90), Upsampling::Repeat(4, 1));
        assert_eq!(Upsampling::Both.rows(0, 5), (0, 0));
        assert_eq!(Upsampling::Both.rows(1, 5), (0, 1));
        assert_eq!(Upsampling::Both.rows(2, 5), (1, 0));
        assert_eq!(Upsampling::Both.rows(9, 5), (4, 4));
        assert_eq!(Upsampling::Repeat(1, 4).rows(7, 2), (1, 1));
    }
}
