//! Where the values under a filter are: pointers to runs of channels.

use super::super::shape::ConvShape;

/// The largest number of pixels of a tile.
pub(super) const MOST: usize = 16;

/// An image as the kernels walk through it: for every pixel of the result and every tap, a run of
/// consecutive floats.
#[derive(Debug, Clone, Copy)]
pub(super) struct View {
    /// The first float.
    base: *const f32,
    /// What stands in for a run outside the image: `channels` zeros.
    zeros: *const f32,
    /// Rows and columns that `base` has.
    size: [usize; 2],
    /// Floats from a row to the next, and from a pixel to the next.
    step: [usize; 2],
    /// Result row 0, column 0, tap 0 is row `-from[0]`, column `-from[1]`.
    from: [usize; 2],
    stride: [usize; 2],
    taps: [usize; 2],
    out_width: usize,
}

impl View {
    /// The image itself. `zeros` points to `channels` zeros where a tap can leave the image.
    pub(super) fn image(shape: &ConvShape, x: *const f32, zeros: *const f32) -> View {
        View {
            base: x,
            zeros,
            size: [shape.height, shape.width],
            step: [shape.width * shape.channels, shape.channels],
            from: shape.pad,
            stride: shape.stride,
            taps: shape.kernel,
            out_width: shape.out_width,
        }
    }

    /// A copy of some of its rows with the zeros around them (see [`Padded`]): a tap is a whole row
    /// of the filter.
    fn padded(shape: &ConvShape, strip: &[f32], first_row: usize) -> View {
        let line = Padded::columns(shape) * shape.channels;
        View {
            base: strip.as_ptr(),
            zeros: strip.as_ptr(),
            size: [strip.len() / line, Padded::columns(shape)],
            step: [line, shape.channels],
            from: [first_row * shape.stride[0], 0],
            stride: shape.stride,
            taps: [shape.kernel[0], 1],
            out_width: shape.out_width,
        }
    }

    /// Taps of a filter.
    pub(super) fn taps(&self) -> usize {
        self.taps[0] * self.taps[1]
    }

    /// Appends the pointers of `count <= MOST` pixels from `first` on: `[tap][pixel]`.
    pub(super) fn append(&self, first: usize, count: usize, to: &mut Vec<*const f32>) {
        let mut at = [[0usize; 2]; MOST];
        let (mut row, mut column) = (first / self.out_width, first % self.out_width);
        for at in &mut at[..count] {
            *at = [row * self.stride[0], column * self.stride[1]];
            column += 1;
            if column == self.out_width {
                (row, column) = (row + 1, 0);
            }
        }
        for i in 0..self.taps[0] {
            for j in 0..self.taps[1] {
                to.extend(at[..count].iter().map(|at| {
                    // Rows above the image wrap around to huge numbers.
                    let y = (at[0] + i).wrapping_sub(self.from[0]);
                    let x = (at[1] + j).wrapping_sub(self.from[1]);
                    if y < self.size[0] && x < self.size[1] {
                        self.base.wrapping_add(y * self.step[0] + x * self.step[1])
                    } else {
                        self.zeros
                    }
                }));
            }
        }
    }
}

/// Copies of strips of an image with few channels, with the zeros around them, so that a row of a
/// filter is one run.
pub(super) struct Padded;

impl Padded {
    /// Whether rows of a filter should be made one run: the runs would be short otherwise.
    pub(super) fn pays(shape: &ConvShape) -> bool {
        shape.groups <= 1 && shape.kernel[1] > 1 && shape.channels < 16
    }

    /// Columns of a strip.
    fn columns(shape: &ConvShape) -> usize {
        (shape.out_width - 1) * shape.stride[1] + shape.kernel[1]
    }

    /// Copies what the result's `rows` look at.
    pub(super) fn view(
        shape: &ConvShape,
        x: &[f32],
        rows: std::ops::Range<usize>,
        strip: &mut Vec<f32>,
    ) -> View {
        let line = Padded::columns(shape) * shape.channels;
        let lines = (rows.len() - 1) * shape.stride[0] + shape.kernel[0];
        strip.clear();
        strip.resize(lines * line, 0.0);
        let left = shape.pad[1] * shape.channels;
        let width = shape.width * shape.channels;
        let count = width.min(line.saturating_sub(left));
        for (l, to) in strip.chunks_exact_mut(line).enumerate() {
            let y = (rows.start * shape.stride[0] + l).wrapping_sub(shape.pad[0]);
            if y < shape.height && count > 0 {
                to[left..][..count].copy_from_slice(&x[y * width..][..count]);
            }
        }
        View::padded(shape, strip, rows.start)
    }
}
