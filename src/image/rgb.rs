//! RGB pictures, and the way from what a file holds to RGB that Pillow's `convert("RGB")` takes.

use std::fmt;

use image::DynamicImage;

use super::orient::Orientation;
use super::wide::widest;
use super::{Decoded, decode, luma, phash_gray};
use crate::error::{Error, Result};

/// Red, green, blue.
pub(super) type Pixel = [u8; 3];

/// A picture of 8 bits for each of red, green and blue, pixel by pixel, row by row from the top left.
#[derive(Clone, PartialEq, Eq)]
pub struct Rgb8 {
    width: usize,
    height: usize,
    pixels: Vec<u8>,
}

/// Without the pixels: a picture has millions.
impl fmt::Debug for Rgb8 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rgb8")
            .field("width", &self.width)
            .field("height", &self.height)
            .finish_non_exhaustive()
    }
}

impl Rgb8 {
    /// A picture of `width` x `height` pixels, three bytes each.
    ///
    /// # Errors
    /// [`crate::error::Kind::Shape`] when there are not just as many bytes.
    pub fn new(width: usize, height: usize, pixels: Vec<u8>) -> Result<Self> {
        let bytes = width.checked_mul(height).and_then(|n| n.checked_mul(3));
        if bytes == Some(pixels.len()) {
            Ok(Self::from_parts(width, height, pixels))
        } else {
            Err(Error::shape(
                "Rgb8::new",
                &[height, width, 3],
                &[pixels.len()],
            ))
        }
    }

    /// As [`Rgb8::new`], for sides that are known to fit.
    pub(super) fn from_parts(width: usize, height: usize, pixels: Vec<u8>) -> Self {
        debug_assert_eq!(3 * width * height, pixels.len());
        Rgb8 {
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

    /// The samples `[height, width, 3]`.
    pub fn pixels(&self) -> &[u8] {
        &self.pixels
    }

    /// The samples, for keeps.
    pub fn into_pixels(self) -> Vec<u8> {
        self.pixels
    }
}

/// Decodes the bytes of an image file to RGB; with `orient`, turned upright as its EXIF (or XMP)
/// says.
///
/// Equal to Pillow's `Image.open(file).convert("RGB")`, after `ImageOps.exif_transpose` where
/// `orient` is set, for what [`decode`] reads as Pillow does. See [`to_rgb`] for the colours. EXIF
/// that cannot be read is as good as none.
///
/// # Errors
/// Those of [`decode`].
pub fn decode_rgb(bytes: &[u8], orient: bool) -> Result<Rgb8> {
    let decoded = decode(bytes)?;
    let format = decoded.format();
    let rgb = to_rgb(decoded);
    Ok(if orient {
        Orientation::of(bytes, format).apply(rgb)
    } else {
        rgb
    })
}

/// A picture as [`decode_rgb`] gives it, turned upright, and its [perceptual hash](super::phash), which is of
/// the pixels as they are stored; decoded once.
///
/// # Errors
/// As [`decode_rgb`].
pub fn decode_rgb_phash(bytes: &[u8]) -> Result<(Rgb8, u64)> {
    let decoded = decode(bytes)?;
    let (format, hash) = (decoded.format(), phash_gray(&luma(&decoded)));
    let rgb = to_rgb(decoded);
    Ok((Orientation::of(bytes, format).apply(rgb), hash))
}

/// The RGB picture that Pillow's `Image.convert("RGB")` makes of the same pixels.
///
/// Grey is repeated, alpha is dropped and not blended, CMYK was converted when it was decoded, and
/// a palette was looked up. A 16-bit sample counts by its high byte. For grey ones Pillow (mode
/// `I;16`) cuts at 255 instead, so that most of a true 16-bit picture comes out white.
pub fn to_rgb(decoded: Decoded) -> Rgb8 {
    let image = decoded.into_image();
    let (width, height) = (image.width() as usize, image.height() as usize);
    let pixels = match image {
        DynamicImage::ImageRgb8(p) => p.into_raw(),
        DynamicImage::ImageLuma8(p) => every(p.as_raw(), |&[l]| [l; 3]),
        DynamicImage::ImageLumaA8(p) => every(p.as_raw(), |&[l, _]| [l; 3]),
        DynamicImage::ImageRgba8(p) => every(p.as_raw(), |&[r, g, b, _]| [r, g, b]),
        DynamicImage::ImageLuma16(p) => every(p.as_raw(), |&[l]| [high(l); 3]),
        DynamicImage::ImageLumaA16(p) => every(p.as_raw(), |&[l, _]| [high(l); 3]),
        DynamicImage::ImageRgb16(p) => every(p.as_raw(), |rgb: &[u16; 3]| rgb.map(high)),
        DynamicImage::ImageRgba16(p) => {
            every(p.as_raw(), |&[r, g, b, _]: &[u16; 4]| [r, g, b].map(high))
        }
        // No format read here has float samples.
        other => other.into_rgb8().into_raw(),
    };
    Rgb8::from_parts(width, height, pixels)
}

/// One pixel for every `N` samples.
fn every<T, const N: usize>(samples: &[T], to_pixel: impl Fn(&[T; N]) -> Pixel) -> Vec<u8> {
    let samples = samples.as_chunks().0;
    let mut out = vec![[0; 3]; samples.len()];
    widest(
        #[inline(always)]
        || {
            for (to, samples) in out.iter_mut().zip(samples) {
                *to = to_pixel(samples);
            }
        },
    );
    out.into_flattened()
}

#[inline(always)]
fn high(sample: u16) -> u8 {
    (sample >> 8) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_must_fill_the_sides() {
        assert!(Rgb8::new(2, 3, vec![0; 18]).is_ok());
        let error = Rgb8::new(2, 3, vec![0; 17]).unwrap_err();
        assert!(error.to_string().contains("Rgb8::new"), "{error}");
        assert!(Rgb8::new(usize::MAX, 2, vec![0; 5]).is_err());
        assert!(Rgb8::new(0, 7, vec![]).is_ok());
    }
}
