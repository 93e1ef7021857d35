//! Resampling of RGB pictures, bit for bit as Pillow does it.
//!
//! Pillow's `Image.resize` on 8-bit pixels: a pass along the rows and a pass down the columns, with
//! the weights of [`super::filter`] and sums rounded to 8 bits between the passes. A pass that would
//! not change its side is left out; columns come first where Pillow takes them first.
//!
//! Rows stream: a row of the picture is squeezed when the first output row needs it, and kept until
//! the last one did. So a part of a picture (a crop) costs what the part costs, whatever the size of
//! the whole would be.

use std::rc::Rc;

use super::Rgb8;
use super::filter::{Filter, Kept, Side, Window};
use super::resize::{check_sides, columns_first};
use super::weigh::{Across, Form, Rows, down};
use crate::error::{Error, Result};

/// The picture at `width` x `height` pixels, resampled in Pillow's arithmetic: equal to
/// `Image.resize((width, height), filter)` of an RGB image in Pillow 13, bit for bit.
///
/// # Errors
/// A side of zero in the picture or asked for, or more pixels asked for than [`crate::limits`]
/// allows.
pub fn resize_rgb(rgb: &Rgb8, width: usize, height: usize, filter: Filter) -> Result<Rgb8> {
    if rgb.pixels().is_empty() || width == 0 || height == 0 {
        let sides = [[rgb.height(), rgb.width()], [height, width]];
        return Err(Error::shape("resize_rgb", &sides[0], &sides[1]));
    }
    check_sides(width, height)?;
    let mut out = Vec::with_capacity(3 * width * height);
    let whole = Part::whole(width, height);
    resample_rows(rgb, filter, whole, |_, row| out.extend_from_slice(row));
    Ok(Rgb8::from_parts(width, height, out))
}

/// A part of a picture `width` x `height` in size: the pixels of `columns` x `rows` from the column
/// `left` and the row `top` on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) width: usize,
    pub(super) height: usize,
    pub(super) left: usize,
    pub(super) top: usize,
    pub(super) columns: usize,
    pub(super) rows: usize,
}

impl Part {
    pub(super) fn whole(width: usize, height: usize) -> Self {
        Part {
            width,
            height,
            left: 0,
            top: 0,
            columns: width,
            rows: height,
        }
    }
}

thread_local! {
    static ACROSS: Kept<Across> = const { Kept::new() };
    static DOWN: Kept<[Window]> = const { Kept::new() };
}

/// Gives the rows of a `part` of the resampled picture to `sink`, each with its number in the part.
///
/// The picture has pixels, and the part lies inside its whole and is not empty.
pub(super) fn resample_rows(
    rgb: &Rgb8,
    filter: Filter,
    part: Part,
    mut sink: impl FnMut(usize, &[u8]),
) {
    let form = Form::best();
    let (width, height) = (rgb.width(), rgb.height());
    let row = |y: usize| &rgb.pixels()[3 * width * y..][..3 * width];
    let across = (part.width != width).then(|| {
        let side = Side {
            filter,
            from: width,
            to: part.width,
            start: part.left,
            count: part.columns,
        };
        ACROSS.with(|kept| kept.get(side, |side| Rc::new(Across::new(form, side))))
    });
    let windows = (part.height != height).then(|| {
        let side = Side {
            filter,
            from: height,
            to: part.height,
            start: part.top,
            count: part.rows,
        };
        DOWN.with(|kept| kept.get(side, |side| side.windows(1).into()))
    });
    let mut line = vec![0; 3 * part.columns];
    match (across, windows) {
        (None, None) => {
            for y in 0..part.rows {
                sink(y, &row(part.top + y)[3 * part.left..][..line.len()]);
            }
        }
        (Some(across), None) => {
            for y in 0..part.rows {
                across.run(row(part.top + y), &mut line);
                sink(y, &line);
            }
        }
        (None, Some(windows)) => {
            for (y, window) in windows.iter().enumerate() {
                let from = 3 * (window.first * width + part.left);
                let rows = Rows::new(rgb.pixels(), from, 3 * width, line.len());
                down(form, rows, &window.weights, &mut line);
                sink(y, &line);
            }
        }
        (Some(across), Some(windows))
            if columns_first((width, height), (part.width, part.height)) =>
        {
            let mut wide = vec![0; 3 * width];
            for (y, window) in windows.iter().enumerate() {
                let from = 3 * window.first * width;
                let rows = Rows::new(rgb.pixels(), from, 3 * width, wide.len());
                down(form, rows, &window.weights, &mut wide);
                across.run(&wide, &mut line);
                sink(y, &line);
            }
        }
        (Some(across), Some(windows)) => {
            let mut ring = Ring::new(&windows, line.len());
            for (y, window) in windows.iter().enumerate() {
                ring.fill(window, |y, to| across.run(row(y), to));
                down(form, ring.rows(window), &window.weights, &mut line);
                sink(y, &line);
            }
        }
    }
}

/// The squeezed rows that are still needed.
struct Ring {
    samples: Vec<u8>,
    /// Bytes of a row.
    length: usize,
    /// How many rows there is room for; row `y` is at place `y % rows`.
    rows: usize,
    /// The next row to be made.
    next: usize,
}

impl Ring {
    fn new(windows: &[Window], length: usize) -> Self {
        let rows = windows
            .iter()
            .map(|w| w.weights.len())
            .max()
            .unwrap_or(0)
            .max(1);
        Ring {
            samples: vec![0; rows * length],
            length,
            rows,
            next: 0,
        }
    }

    /// Sees to it that the rows of a window are there; windows come in order.
    fn fill(&mut self, window: &Window, make: impl Fn(usize, &mut [u8])) {
        self.next = self.next.max(window.first);
        while self.next < window.first + window.weights.len() {
            let place = self.next % self.rows * self.length;
            make(self.next, &mut self.samples[place..][..self.length]);
            self.next += 1;
        }
    }

    fn rows(&self, window: &Window) -> Rows<'_> {
        Rows::wrapped(&self.samples, self.length, window.first % self.rows)
    }
}
