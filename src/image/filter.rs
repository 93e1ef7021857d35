//! The filters of resampling, and the weights that they make, as Pillow computes them.
//!
//! Each output pixel is a weighted sum of the input pixels under a window around its place. The
//! window is as wide as the filter, and wider by the reduction factor where the picture gets
//! smaller ("antialiased"). Weights are computed in f64, divided by their sum, and rounded to
//! [`FRACTION_BITS`] fractional bits; sums are of 32-bit integers.

use std::cell::RefCell;
use std::rc::Rc;

/// Fractional bits of a weight: 32 less the 8 of a pixel and 2 for the overshoot of the window.
pub(super) const FRACTION_BITS: u32 = 22;

/// A filter of resampling.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Filter {
    /// A triangle, one pixel to each side.
    Bilinear,
    /// Piecewise cubic with a = -0.5, two pixels to each side.
    Bicubic,
    /// Lanczos with three lobes to each side.
    Lanczos,
}

impl Filter {
    /// Pixels to each side, at the same size.
    fn support(self) -> f64 {
        match self {
            Filter::Bilinear => 1.0,
            Filter::Bicubic => 2.0,
            Filter::Lanczos => 3.0,
        }
    }

    fn at(self, x: f64) -> f64 {
        match self {
            Filter::Bilinear => (1.0 - x.abs()).max(0.0),
            Filter::Bicubic => cubic(x.abs()),
            Filter::Lanczos if (-3.0..3.0).contains(&x) => sinc(x) * sinc(x / 3.0),
            Filter::Lanczos => 0.0,
        }
    }
}

/// R. Keys, "Cubic convolution interpolation for digital image processing" (1981), with a = -0.5.
fn cubic(x: f64) -> f64 {
    const A: f64 = -0.5;
    if x < 1.0 {
        ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0
    } else if x < 2.0 {
        (((x - 5.0) * x + 8.0) * x - 4.0) * A
    } else {
        0.0
    }
}

fn sinc(x: f64) -> f64 {
    if x == 0.0 {
        return 1.0;
    }
    let x = x * std::f64::consts::PI;
    x.sin() / x
}

/// The rounded 8-bit value of a weighted sum.
#[inline(always)]
pub(super) fn to_pixel(sum: i32) -> u8 {
    (sum.wrapping_add(1 << (FRACTION_BITS - 1)) >> FRACTION_BITS).clamp(0, 255) as u8
}

/// The weights that make one output pixel, and the first input pixel that they fall on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Window {
    pub(super) first: usize,
    pub(super) weights: Vec<i32>,
}

/// Some output pixels of a side that is resampled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Side {
    pub(super) filter: Filter,
    /// Pixels before and after.
    pub(super) from: usize,
    pub(super) to: usize,
    /// Those of the `to` that are wanted: the first, and how many.
    pub(super) start: usize,
    pub(super) count: usize,
}

impl Side {
    /// All pixels of a side.
    pub(super) fn whole(filter: Filter, from: usize, to: usize) -> Self {
        Side {
            filter,
            from,
            to,
            start: 0,
            count: to,
        }
    }

    /// One window for each output pixel, padded with zeros to whole groups of `group` weights as
    /// far as the side has room. All lie within the side.
    pub(super) fn windows(self, group: usize) -> Vec<Window> {
        let scale = self.from as f64 / self.to as f64;
        let stretch = scale.max(1.0);
        let support = self.filter.support() * stretch;
        let step = 1.0 / stretch;
        let one = f64::from(1u32 << FRACTION_BITS);
        let window = |place: usize| {
            let centre = (place as f64 + 0.5) * scale;
            // Casts cut towards zero, and below zero to zero.
            let first = (centre - support + 0.5) as usize;
            let end = ((centre + support + 0.5) as usize).min(self.from);
            let mut exact: Vec<f64> = (first..end)
                .map(|x| self.filter.at((x as f64 - centre + 0.5) * step))
                .collect();
            let sum: f64 = exact.iter().fold(0.0, |sum, w| sum + w);
            if sum != 0.0 {
                exact.iter_mut().for_each(|w| *w /= sum);
            }
            let rounded = |w: f64| (w * one + 0.5f64.copysign(w)) as i32;
            let weights = exact.into_iter().map(rounded).collect();
            padded(first, weights, self.from, group)
        };
        (self.start..self.start + self.count).map(window).collect()
    }
}

/// The window with zeros around it, to whole groups when that many pixels are there.
fn padded(first: usize, weights: Vec<i32>, from: usize, group: usize) -> Window {
    let length = weights.len().next_multiple_of(group);
    if length > from {
        return Window { first, weights };
    }
    let start = first.min(from - length);
    let mut wide = vec![0; length];
    wide[first - start..][..weights.len()].copy_from_slice(&weights);
    Window {
        first: start,
        weights: wide,
    }
}

/// What was made for the sides used last, the latest first: most pictures of a shop are of a few
/// sizes, and the weights may take longer than the sums. One for each thread.
pub(super) struct Kept<T: ?Sized>(RefCell<Vec<(Side, Rc<T>)>>);

impl<T: ?Sized> Kept<T> {
    /// How many sides are kept.
    const SIDES: usize = 8;

    pub(super) const fn new() -> Self {
        Kept(RefCell::new(Vec::new()))
    }

    /// What belongs to `side`, made when it is not kept.
    pub(super) fn get(&self, side: Side, make: impl FnOnce(Side) -> Rc<T>) -> Rc<T> {
        let mut kept = self.0.borrow_mut();
        let entry = match kept.iter().position(|(known, _)| *known == side) {
            Some(place) => kept.remove(place),
            None => (side, make(side)),
        };
        let found = Rc::clone(&entry.1);
        kept.truncate(Self::SIDES - 1);
        kept.insert(0, entry);
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILTERS: [Filter; 3] = [Filter::Bilinear, Filter::Bicubic, Filter::Lanczos];

    #[test]
    fn hand_worked_weights() {
        // Halving by triangles four wide: distances 0.75, 0.25 in both directions.
        let halves = Side::whole(Filter::Bilinear, 8, 4).windows(1);
        let eighth = 1 << (FRACTION_BITS - 3);
        assert_eq!(halves[1].first, 1);
        assert_eq!(halves[1].weights, [1, 3, 3, 1].map(|w| w * eighth));
        // Doubling by cubics: distances 1.25, 0.25, 0.75, 1.75.
        let cubic = Side::whole(Filter::Bicubic, 8, 16).windows(1);
        let exact = [-0.0703125, 0.8671875, 0.2265625, -0.0234375];
        let want = exact.map(|w| (w * f64::from(1 << FRACTION_BITS)) as i32);
        assert_eq!(cubic[7].first, 2);
        // 7: centre 3.75, so pixels 2 to 5 are 1.25, 0.25, 0.75 and 1.75 away.
        assert_eq!(cubic[7].weights, want);
    }

    #[test]
    fn weights_sum_to_one_and_windows_stay_inside() {
        for filter in FILTERS {
            for (from, to) in [
                (1, 1),
                (1, 9),
                (9, 1),
                (3, 224),
                (10_000, 7),
                (640, 512),
                (2, 3),
            ] {
                for group in [1, 4, 8] {
                    let windows = Side::whole(filter, from, to).windows(group);
                    assert_eq!(windows.len(), to);
                    for window in windows {
                        assert!(window.first + window.weights.len() <= from);
                        let sum: i64 = window.weights.iter().map(|w| i64::from(*w)).sum();
                        let off = sum - (1 << FRACTION_BITS);
                        assert!(off.unsigned_abs() <= window.weights.len() as u64, "{off}");
                    }
                }
            }
        }
    }

    #[test]
    fn a_part_of_a_side_has_the_same_windows() {
        for filter in FILTERS {
            let whole = Side::whole(filter, 100, 37);
            let part = Side {
                start: 5,
                count: 20,
                ..whole
            };
            assert_eq!(part.windows(1), whole.windows(1)[5..25]);
        }
    }

    #[test]
    fn kept_sides_are_the_latest() {
        let kept: Kept<usize> = Kept::new();
        let side = |to| Side::whole(Filter::Lanczos, 9, to);
        for to in 1..=9 {
            assert_eq!(*kept.get(side(to), |_| Rc::new(to)), to);
        }
        assert_eq!(*kept.get(side(9), |_| Rc::new(0)), 9);
        assert_eq!(*kept.get(side(1), |_| Rc::new(0)), 0);
    }
}
