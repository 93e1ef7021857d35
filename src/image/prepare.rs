//! From a picture to an encoder's input: resized, cropped, normalised.

use std::path::Path;

use super::filter::Filter;
use super::resample::{Part, resample_rows};
use super::wide::widest;
use super::{ImageFolder, Rgb8, decode_rgb};
use crate::error::{Error, Result};
use crate::limits::{MAX_IMAGE_PIXELS, MAX_IMAGE_SIDE};

/// What a picture's sides have to do with the encoder's square.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Crop {
    /// Both sides are resized to the square, whatever the aspect.
    Squash,
    /// As timm evaluates: the shorter side is resized to `floor(size / crop_pct)`, the longer one in
    /// proportion, and the middle is cut out; where that is smaller than the square (`crop_pct`
    /// above 1), it stands in the middle of black.
    Timm {
        /// How much of the resized picture's shorter side is kept, above 0; usually 0.875 to 1.
        crop_pct: f64,
    },
}

/// The mean and the standard deviation of each colour, of samples from 0 to 1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Normal {
    /// Of red, green and blue.
    pub mean: [f32; 3],
    /// Of red, green and blue; none is zero.
    pub std: [f32; 3],
}

/// Of the pictures of ImageNet: what most published encoders were trained with.
pub const IMAGENET: Normal = Normal {
    mean: [0.485, 0.456, 0.406],
    std: [0.229, 0.224, 0.225],
};

/// From -1 to 1: what encoders ported from TensorFlow were trained with.
pub const INCEPTION: Normal = Normal {
    mean: [0.5; 3],
    std: [0.5; 3],
};

/// How pictures are made an encoder's input.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Prepare {
    /// Pixels on a side of the square, at least 1.
    pub size: usize,
    /// What is done about the aspect.
    pub crop: Crop,
    /// What the picture is resized with.
    pub filter: Filter,
    /// What is taken off each sample, and what it is divided by.
    pub normal: Normal,
}

impl Prepare {
    /// The length of the output: `size * size * 3`.
    ///
    /// # Errors
    /// Those of [`Prepare::check`].
    pub fn values(&self) -> Result<usize> {
        self.check()?;
        Ok(3 * self.size * self.size)
    }

    /// Refuses what no picture can be prepared with.
    ///
    /// # Errors
    /// A size of zero or above [`crate::limits`], a `crop_pct` that is not above zero or asks for
    /// more than the limits, a mean that is not finite, a deviation that is zero or not finite.
    pub fn check(&self) -> Result<()> {
        let size = self.size;
        let pixels = (size as u64).saturating_mul(size as u64);
        if size == 0 {
            return Err(
                Error::input("pictures cannot be prepared at 0 pixels on a side")
                    .mend("ask for a size of at least 1"),
            );
        }
        if size as u64 > u64::from(MAX_IMAGE_SIDE) || pixels > MAX_IMAGE_PIXELS {
            return Err(Error::limit(format!(
                "pictures cannot be prepared at {size} pixels on a side"
            ))
            .mend("ask for a smaller size"));
        }
        if let Crop::Timm { crop_pct } = self.crop {
            let scaled = size as f64 / crop_pct;
            if !(crop_pct > 0.0 && (1.0..=f64::from(MAX_IMAGE_SIDE)).contains(&scaled)) {
                return Err(Error::input(format!(
                    "a crop of {crop_pct} cannot be taken at {size} pixels on a side"
                ))
                .mend("ask for a crop between 0.5 and 1"));
            }
        }
        let Normal { mean, std } = self.normal;
        if !mean.iter().all(|m| m.is_finite()) || !std.iter().all(|s| s.is_finite() && *s != 0.0) {
            return Err(
                Error::input("means must be finite, and deviations finite and not zero")
                    .mend("use those that the encoder was trained with"),
            );
        }
        Ok(())
    }

    /// The part of the resized picture that is wanted, and the square's column and row where it
    /// stands.
    pub(super) fn part(&self, width: usize, height: usize) -> (Part, usize, usize) {
        let size = self.size;
        let Crop::Timm { crop_pct } = self.crop else {
            return (Part::whole(size, size), 0, 0);
        };
        let shorter = (size as f64 / crop_pct) as usize;
        // As torchvision's Resize: the quotient of whole numbers, cut.
        let longer = |long: usize, short: usize| ((shorter * long) as f64 / short as f64) as usize;
        let (wide, high) = if width <= height {
            (shorter, longer(height, width))
        } else {
            (longer(width, height), shorter)
        };
        let (left, columns, column) = centred(wide, size);
        let (top, rows, row) = centred(high, size);
        let part = Part {
            width: wide,
            height: high,
            left,
            top,
            columns,
            rows,
        };
        (part, column, row)
    }
}

/// Of a side of `side` pixels, the first that is kept and how many of them, and the first of `size`
/// that they are for; as torchvision's CenterCrop rounds.
fn centred(side: usize, size: usize) -> (usize, usize, usize) {
    if side < size {
        return (0, side, (size - side) / 2);
    }
    let off = side - size;
    // Half of it; what lies between two numbers goes to the even one.
    let half = off / 2 + usize::from(off % 4 == 3);
    (half, size, 0)
}

/// Makes a picture an encoder's input: `out` is `[size, size, 3]`, each sample
/// `(sample / 255 - mean) / std`.
///
/// Equal to Pillow's resize, torchvision's crop and torch's arithmetic, bit for bit.
///
/// # Errors
/// Those of [`Prepare::check`], a picture without pixels, or an `out` of another length.
pub fn prepare(rgb: &Rgb8, how: &Prepare, out: &mut [f32]) -> Result<()> {
    if how.values()? != out.len() || rgb.pixels().is_empty() {
        let sides = [rgb.height(), rgb.width(), 3];
        return Err(Error::shape("prepare", &sides, &[out.len()]));
    }
    let size = how.size;
    let (part, column, row) = how.part(rgb.width(), rgb.height());
    if (part.columns, part.rows) != (size, size) {
        normalise_black(how.normal, out);
    }
    resample_rows(rgb, how.filter, part, |y, samples| {
        let start = 3 * (size * (row + y) + column);
        normalise(samples, how.normal, &mut out[start..][..samples.len()]);
    });
    Ok(())
}

fn normalise_black(normal: Normal, out: &mut [f32]) {
    let (pixels, _) = out.as_chunks_mut::<3>();
    let mut black = [0.0; 3];
    normalise(&[0; 3], normal, &mut black);
    pixels.fill(black);
}

/// Pixels that are normalised at a time.
const PIXELS: usize = 16;

fn normalise(samples: &[u8], normal: Normal, out: &mut [f32]) {
    let mean: [f32; 3 * PIXELS] = std::array::from_fn(|i| normal.mean[i % 3]);
    let std: [f32; 3 * PIXELS] = std::array::from_fn(|i| normal.std[i % 3]);
    widest(
        #[inline(always)]
        || {
            let (groups, last) = samples.as_chunks::<{ 3 * PIXELS }>();
            let (outs, last_out) = out.as_chunks_mut::<{ 3 * PIXELS }>();
            for (samples, out) in groups.iter().zip(outs) {
                for i in 0..3 * PIXELS {
                    out[i] = (f32::from(samples[i]) / 255.0 - mean[i]) / std[i];
                }
            }
            for (i, (sample, to)) in last.iter().zip(last_out).enumerate() {
                *to = (f32::from(*sample) / 255.0 - mean[i]) / std[i];
            }
        },
    );
}

/// Reads, decodes and prepares a file of the folder: `file` is what [`ImageFolder::resolve`] gave
/// for `name`.
///
/// # Errors
/// Those of [`ImageFolder::read`], [`decode_rgb`] and [`prepare`]; each names the file.
pub fn decode_prepare(
    folder: &ImageFolder,
    (name, file): (&str, &Path),
    orient: bool,
    how: &Prepare,
    out: &mut [f32],
) -> Result<()> {
    let bytes = folder.read_resolved(name, file)?;
    let prepared = decode_rgb(&bytes, orient).and_then(|rgb| prepare(&rgb, how, out));
    prepared.map_err(|error| error.path(folder.named(name)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_go_to_the_even_number() {
        // torchvision: round((side - size) / 2), which takes 0.5 to 0, 1.5 to 2 and 2.5 to 2.
        let firsts = [0, 0, 1, 2, 2, 2, 3, 4, 4];
        for (off, first) in firsts.into_iter().enumerate() {
            assert_eq!(centred(100 + off, 100), (first, 100, 0), "{off}");
        }
        assert_eq!(centred(97, 100), (0, 97, 1));
        assert_eq!(centred(1, 100), (0, 1, 49));
    }
}
