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
        let (row, column) = (first / self.out_width, first % self.out_width);
        // Rows above the image and columns left of it wrap around to huge numbers.
        let y = (row * self.stride[0]).wrapping_sub(self.from[0]);
        let x = (column * self.stride[1]).wrapping_sub(self.from[1]);
        let width = (count - 1) * self.stride[1] + self.taps[1];
        let inside = column + count <= self.out_width
            && (y < self.size[0] && y + self.taps[0] <= self.size[0])
            && (x < self.size[1] && x + width <= self.size[1]);
        if !inside {
            return self.append_any(row, column, count, to);
        }
        let (start, step) = (self.pointer(y, x), self.stride[1] * self.step[1]);
        for i in 0..self.taps[0] {
            for j in 0..self.taps[1] {
                let tap = start.wrapping_add(i * self.step[0] + j * self.step[1]);
                to.extend((0..count).map(|r| tap.wrapping_add(r * step)));
            }
        }
    }

    /// [`View::append`] for pixels of several rows, or at the image's edge.
    fn append_any(&self, row: usize, column: usize, count: usize, to: &mut Vec<*const f32>) {
        let mut at = [[0usize; 2]; MOST];
        let (mut row, mut column) = (row, column);
        for at in &mut at[..count] {
            let y = (row * self.stride[0]).wrapping_sub(self.from[0]);
            let x = (column * self.stride[1]).wrapping_sub(self.from[1]);
            *at = [y, x];
            column += 1;
            if column == self.out_width {
                (row, column) = (row + 1, 0);
            }
        }
        for i in 0..self.taps[0] {
            for j in 0..self.taps[1] {
                to.extend(at[..count].iter().map(|at| {
                    let (y, x) = (at[0].wrapping_add(i), at[1].wrapping_add(j));
                    let there = y < self.size[0] && x < self.size[1];
                    if there {
                        self.pointer(y, x)
                    } else {
                        self.zeros
                    }
                }));
            }
        }
    }

    fn pointer(&self, y: usize, x: usize) -> *const f32 {
        let floats = y
            .wrapping_mul(self.step[0])
            .wrapping_add(x.wrapping_mul(self.step[1]));
        self.base.wrapping_add(floats)
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
        strip.resize(lines * line, 0.0);
        let left = shape.pad[1] * shape.channels;
        let width = shape.width * shape.channels;
        let count = width.min(line.saturating_sub(left));
        for (l, to) in strip.chunks_exact_mut(line).enumerate() {
            let y = (rows.start * shape.stride[0] + l).wrapping_sub(shape.pad[0]);
            if y < shape.height && count > 0 {
                to[..left].fill(0.0);
                to[left..][..count].copy_from_slice(&x[y * width..][..count]);
                to[left + count..].fill(0.0);
            } else {
                to.fill(0.0);
            }
        }
        View::padded(shape, strip, rows.start)
    }
}
