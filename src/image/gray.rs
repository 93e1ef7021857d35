//! Grey images, and the way from colours to grey that Pillow's `convert("L")` takes.

use std::fmt;

use image::DynamicImage;

use super::Decoded;
use super::wide::widest;
use crate::error::{Error, Result};

/// A grey image of 8 bits a pixel, row by row from the top left.
#[derive(Clone, PartialEq, Eq)]
pub struct Gray {
    width: usize,
    height: usize,
    pixels: Vec<u8>,
}

/// Without the pixels: a picture has millions.
impl fmt::Debug for Gray {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gray")
            .field("width", &self.width)
            .field("height", &self.height)
            .finish_non_exhaustive()
    }
}

impl Gray {
    /// An image of `width` x `height` pixels.
    ///
    /// # Errors
    /// [`crate::error::Kind::Shape`] when there are not just as many `pixels`.
    pub fn new(width: usize, height: usize, pixels: Vec<u8>) -> Result<Self> {
        if width.checked_mul(height) == Some(pixels.len()) {
            Ok(Self::from_parts(width, height, pixels))
        } else {
            Err(Error::shape("Gray::new", &[height, width], &[pixels.len()]))
        }
    }

    /// As [`Gray::new`], for sides that are known to fit.
    pub(super) fn from_parts(width: usize, height: usize, pixels: Vec<u8>) -> Self {
        debug_assert_eq!(width * height, pixels.len());
        Gray {
            width,
            height,
            pixels,
        }
    }

    /// Pixels in a row.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Rows.
    pub fn height(&self) -> usize {
        self.height
    }

    /// The pixels, row by row.
    pub fn pixels(&self) -> &[u8] {
        &self.pixels
    }
}

/// The grey image that Pillow's `Image.convert("L")` makes of the same pixels.
///
/// Colours become `(19595 R + 38470 G + 7471 B + 32768) >> 16` (ITU-R BT.601). Alpha is dropped, not
/// blended. A 16-bit *colour* sample counts by its high byte; a 16-bit *grey* one is cut at 255, so
/// that most of a true 16-bit picture comes out white: that is what Pillow does with mode `I;16`,
/// and so what its hashes rest on.
pub fn luma(decoded: &Decoded) -> Gray {
    let image = decoded.image();
    let (width, height) = (image.width() as usize, image.height() as usize);
    let pixels = match image {
        DynamicImage::ImageLuma8(p) => p.as_raw().clone(),
        DynamicImage::ImageLumaA8(p) => every(p.as_raw(), |&[l, _]| l),
        DynamicImage::ImageRgb8(p) => every(p.as_raw(), |&[r, g, b]| grey(r, g, b)),
        DynamicImage::ImageRgba8(p) => every(p.as_raw(), |&[r, g, b, _]| grey(r, g, b)),
        DynamicImage::ImageLuma16(p) => every(p.as_raw(), |&[l]: &[u16; 1]| l.min(255) as u8),
        DynamicImage::ImageLumaA16(p) => every(p.as_raw(), |&[l, _]| high(l)),
        DynamicImage::ImageRgb16(p) => every(p.as_raw(), |c: &[u16; 3]| {
            let [r, g, b] = c.map(high);
            grey(r, g, b)
        }),
        DynamicImage::ImageRgba16(p) => every(p.as_raw(), |&[r, g, b, _]: &[u16; 4]| {
            grey(high(r), high(g), high(b))
        }),
        // No format read here has float samples; whatever comes is grey by the same weights.
        other => every(other.to_rgb8().as_raw(), |&[r, g, b]| grey(r, g, b)),
    };
    Gray::from_parts(width, height, pixels)
}

/// One grey value for every `N` samples.
fn every<T, const N: usize>(samples: &[T], to_grey: impl Fn(&[T; N]) -> u8) -> Vec<u8> {
    let pixels = samples.as_chunks().0;
    let mut out = vec![0; pixels.len()];
    widest(
        #[inline(always)]
        || {
            for (to, pixel) in out.iter_mut().zip(pixels) {
                *to = to_grey(pixel);
            }
        },
    );
    out
}

#[inline(always)]
fn grey(r: u8, g: u8, b: u8) -> u8 {
    let sum = 19595 * u32::from(r) + 38470 * u32::from(g) + 7471 * u32::from(b);
    ((sum + 0x8000) >> 16) as u8
}

fn high(sample: u16) -> u8 {
    (sample >> 8) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grey_of_hand_worked_colours() {
        assert_eq!(grey(255, 255, 255), 255);
        assert_eq!(grey(0, 0, 0), 0);
        // 19595 * 255 + 32768 = 5029493 = 76.74 * 65536
        assert_eq!(grey(255, 0, 0), 76);
        // 38470 * 255 + 32768 = 9842618 = 150.19 * 65536
        assert_eq!(grey(0, 255, 0), 150);
        // 7471 * 255 + 32768 = 1937873 = 29.57 * 65536
        assert_eq!(grey(0, 0, 255), 29);
        for v in 0..=255 {
            assert_eq!(grey(v, v, v), v);
        }
    }

    #[test]
    fn pixels_must_fill_the_sides() {
        assert!(Gray::new(2, 3, vec![0; 6]).is_ok());
        let error = Gray::new(2, 3, vec![0; 5]).unwrap_err();
        assert!(error.to_string().contains("Gray::new"), "{error}");
        assert!(Gray::new(usize::MAX, 2, vec![0; 5]).is_err());
    }
}
