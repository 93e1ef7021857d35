//! Shapes and epilogues as the convolution kernels of the CPU take them: one image, channels last.

use crate::device::op::Act;

/// One convolution over one image.
///
/// The image is `[height, width, channels]`, the result `[out_height, out_width, filters]`. Published
/// filters are `[filters, channels / groups, kernel_height, kernel_width]`, row-major.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ConvShape {
    /// Rows of the image.
    pub height: usize,
    /// Columns of the image.
    pub width: usize,
    /// Channels of the image.
    pub channels: usize,
    /// Rows of the result.
    pub out_height: usize,
    /// Columns of the result.
    pub out_width: usize,
    /// Channels of the result.
    pub filters: usize,
    /// Rows and columns of a filter.
    pub kernel: [usize; 2],
    /// Steps down and right.
    pub stride: [usize; 2],
    /// Zeros above and left of the image; below and to the right as many as the result asks for.
    pub pad: [usize; 2],
    /// Groups; both channels and filters are multiples of it.
    pub groups: usize,
}

impl ConvShape {
    /// Values of one filter: `channels / groups * kernel_height * kernel_width`.
    pub fn depth(&self) -> usize {
        self.channels / self.groups.max(1) * self.kernel[0] * self.kernel[1]
    }

    /// Whether every channel has its own filter and no other.
    pub fn is_depthwise(&self) -> bool {
        self.groups > 1 && self.groups == self.channels && self.groups == self.filters
    }

    /// A matrix product as a convolution: `[rows, depth] x [columns, depth]^T`.
    pub fn product(rows: usize, depth: usize, columns: usize) -> Self {
        ConvShape {
            height: 1,
            width: rows,
            channels: depth,
            out_height: 1,
            out_width: rows,
            filters: columns,
            kernel: [1, 1],
            stride: [1, 1],
            pad: [0, 0],
            groups: 1,
        }
    }
}

/// What is done with an accumulator before it is stored: `act(acc * scale[n] + bias[n] + residual)`.
#[derive(Debug, Clone, Copy)]
pub struct Tail<'a> {
    /// One value a filter.
    pub scale: Option<&'a [f32]>,
    /// One value a filter.
    pub bias: Option<&'a [f32]>,
    /// As large as the result.
    pub residual: Option<&'a [f32]>,
    /// Applied last.
    pub act: Act,
}

impl Tail<'_> {
    /// Nothing.
    pub const NONE: Tail<'static> = Tail {
        scale: None,
        bias: None,
        residual: None,
        act: Act::None,
    };
}
