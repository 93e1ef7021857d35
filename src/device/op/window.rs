//! The parameters of operations on images.

use crate::error::{Error, Result};

/// A constant of an operation: an f32 that can be compared and hashed by its bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Scalar(u32);

impl Scalar {
    /// The constant `x`.
    pub const fn new(x: f32) -> Self {
        Scalar(x.to_bits())
    }

    /// Its value.
    pub const fn get(self) -> f32 {
        f32::from_bits(self.0)
    }
}

/// A window that slides over an image: of a convolution or a pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Window {
    /// Rows and columns.
    pub kernel: [usize; 2],
    /// Steps down and right.
    pub stride: [usize; 2],
    /// Padding above, left, below and right.
    pub pad: [usize; 4],
}

impl Window {
    /// A square window, padded alike on all sides (PyTorch's `padding=pad`).
    pub const fn square(kernel: usize, stride: usize, pad: usize) -> Self {
        Window {
            kernel: [kernel; 2],
            stride: [stride; 2],
            pad: [pad; 4],
        }
    }

    /// A square window with TensorFlow's "same" padding on an image of `height x width`: the result
    /// has `ceil(side / stride)` rows and columns, and the odd pixel goes below and to the right.
    pub fn same(kernel: usize, stride: usize, height: usize, width: usize) -> Self {
        let total = |side: usize| {
            let out = side.div_ceil(stride.max(1));
            (out.saturating_sub(1) * stride + kernel).saturating_sub(side)
        };
        let (down, right) = (total(height), total(width));
        Window {
            kernel: [kernel; 2],
            stride: [stride; 2],
            pad: [down / 2, right / 2, down - down / 2, right - right / 2],
        }
    }

    /// A square window without padding but for what makes the last, partial window count (PyTorch's
    /// `ceil_mode=True`).
    pub fn ceil(kernel: usize, stride: usize, height: usize, width: usize) -> Self {
        let extra = |side: usize| {
            // A window begins inside the image.
            let most = side.saturating_sub(1) / stride.max(1);
            let steps = side
                .saturating_sub(kernel)
                .div_ceil(stride.max(1))
                .min(most);
            (steps * stride + kernel).saturating_sub(side)
        };
        Window {
            kernel: [kernel; 2],
            stride: [stride; 2],
            pad: [0, 0, extra(height), extra(width)],
        }
    }

    /// Rows and columns of the result on an image of `height x width`.
    ///
    /// # Errors
    /// [`Kind::Shape`](crate::error::Kind::Shape), naming `op`, for a window or step of 0, one that is
    /// larger than the padded image, and padding as large as the window.
    pub fn out(&self, op: &'static str, height: usize, width: usize) -> Result<(usize, usize)> {
        let side = |n: usize, i: usize| {
            let padded = n.checked_add(self.pad[i])?.checked_add(self.pad[i + 2])?;
            let fits = self.kernel[i] > 0 && self.stride[i] > 0 && n > 0;
            let thin = self.pad[i] < self.kernel[i] && self.pad[i + 2] < self.kernel[i];
            (fits && thin && padded >= self.kernel[i])
                .then(|| (padded - self.kernel[i]) / self.stride[i] + 1)
        };
        match (side(height, 0), side(width, 1)) {
            (Some(h), Some(w)) => Ok((h, w)),
            _ => Err(Error::shape(op, &[height, width], &self.kernel)
                .mend("the window does not fit the image; use a larger one")),
        }
    }
}

/// What a pool keeps of its window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PoolKind {
    /// The largest value; padding is never it.
    Max,
    /// The mean of the values; padding does not count.
    Average,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_have_the_sizes_of_pytorch_and_tensorflow() {
        let out = |w: Window, n: usize| w.out("pool", n, n).map(|(h, _)| h);
        assert_eq!(out(Window::square(7, 2, 3), 224).unwrap(), 112);
        assert_eq!(out(Window::square(3, 1, 1), 7).unwrap(), 7);
        for n in 1..40 {
            for stride in 1..4 {
                for kernel in [1, 2, 3, 5] {
                    let same = Window::same(kernel, stride, n, n);
                    assert_eq!(
                        out(same, n).unwrap(),
                        n.div_ceil(stride),
                        "{n} {stride} {kernel}"
                    );
                    assert!(same.pad[2] - same.pad[0] <= 1);
                }
                if n >= 2 {
                    let ceil = Window::ceil(2, stride, n, n);
                    // PyTorch: rounded up, less one where the last window would begin outside.
                    let up = (n - 2).div_ceil(stride);
                    let steps = if up * stride >= n { up - 1 } else { up };
                    assert_eq!(out(ceil, n).unwrap(), steps + 1, "{n} {stride}");
                }
            }
        }
        assert!(out(Window::square(3, 1, 0), 2).is_err());
        assert!(out(Window::square(3, 0, 1), 2).is_err());
        assert!(out(Window::square(3, 1, 3), 2).is_err());
        assert!(Window::square(3, 1, 1).out("pool", 0, 4).is_err());
    }
}
