//! From the file's colours to RGB.
//!
//! YCbCr is that of JFIF (ITU-R BT.601 at full range), in 16 fractional bits: red and blue are
//! rounded on their own, green after both of its parts are summed. CMYK is as Adobe writes it,
//! with 255 for no ink, and becomes RGB by Pillow's formula, `ink` being 255 less the sample:
//! `255 - K_ink - ink * (255 - K_ink) / 255`, its quotient rounded. YCCK is CMYK whose inks were
//! taken for RGB, and that for YCbCr.

use super::header::{Picture, Tables};

/// What the components mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Space {
    Grey,
    YCbCr,
    Rgb,
    Cmyk,
    Ycck,
}

impl Space {
    /// What the segments before the first scan say, in libjpeg's order: JFIF is always YCbCr; then
    /// an Adobe segment's transform; then the letters R, G, B for ids. Unknown transforms transform.
    pub(super) fn of(picture: &Picture, tables: &Tables) -> Self {
        let components = &picture.components;
        match (components.len(), tables.adobe) {
            (1, _) => Space::Grey,
            (3, Some(0)) if !tables.jfif => Space::Rgb,
            (3, None) if !tables.jfif && components.iter().map(|c| c.id).eq(*b"RGB") => Space::Rgb,
            (3, _) => Space::YCbCr,
            (_, Some(0) | None) => Space::Cmyk,
            (_, Some(_)) => Space::Ycck,
        }
    }

    /// Bytes of a pixel, as it leaves here.
    pub(super) fn bytes(self) -> usize {
        if self == Space::Grey { 1 } else { 3 }
    }
}

/// The fractional part of a factor, in 16 bits.
const fn fraction(x: f64) -> i32 {
    (x * 65536.0 + 0.5) as i32
}

const HALF: i32 = 1 << 15;
/// 1.402, 0.34414, 0.71414 and 1.772.
pub(super) const CR_TO_RED: i32 = fraction(1.402);
pub(super) const CB_TO_GREEN: i32 = -fraction(0.34414);
pub(super) const CR_TO_GREEN: i32 = -fraction(0.71414);
pub(super) const CB_TO_BLUE: i32 = fraction(1.772);

#[inline(always)]
fn cut(value: i32) -> u8 {
    value.clamp(0, 255) as u8
}

#[inline(always)]
fn ycbcr(y: u8, cb: u8, cr: u8) -> [u8; 3] {
    let y = i32::from(y);
    let (cb, cr) = (i32::from(cb) - 128, i32::from(cr) - 128);
    [
        cut(y + ((CR_TO_RED * cr + HALF) >> 16)),
        cut(y + ((CB_TO_GREEN * cb + CR_TO_GREEN * cr + HALF) >> 16)),
        cut(y + ((CB_TO_BLUE * cb + HALF) >> 16)),
    ]
}

/// The colour under an ink and black.
#[inline(always)]
fn inked(ink: u8, black_sample: u8) -> u8 {
    let product = u32::from(ink) * u32::from(black_sample) + 128;
    // The quotient by 255, rounded; it is not above the sample.
    let part = ((product >> 8) + product) >> 8;
    black_sample.saturating_sub(part as u8)
}

/// Makes a row of RGB pixels, from pixel `start` on, from the samples of three colours and of black.
#[inline(always)]
pub(super) fn to_rgb(
    space: Space,
    samples: [&[u8]; 3],
    black: &[u8],
    out: &mut [u8],
    start: usize,
) {
    let (pixels, _) = out.as_chunks_mut::<3>();
    let [a, b, c] = samples;
    let rows = a.iter().zip(b).zip(c).map(|((a, b), c)| (*a, *b, *c));
    let each = pixels.iter_mut().zip(rows).skip(start);
    match space {
        Space::YCbCr => each.for_each(|(pixel, (y, cb, cr))| *pixel = ycbcr(y, cb, cr)),
        Space::Rgb | Space::Grey => each.for_each(|(pixel, (r, g, b))| *pixel = [r, g, b]),
        Space::Cmyk => {
            let each = each.zip(black.iter().skip(start));
            each.for_each(|((pixel, (c, m, y)), k)| {
                *pixel = [c, m, y].map(|sample| inked(255 - sample, *k));
            });
        }
        Space::Ycck => {
            let each = each.zip(black.iter().skip(start));
            each.for_each(|((pixel, (y, cb, cr)), k)| {
                *pixel = ycbcr(y, cb, cr).map(|ink| inked(ink, *k));
            });
        }
    }
}

/// Makes the first pixels of a row of YCbCr, as many as the machine has registers for; how many.
#[inline(always)]
pub(super) fn quick_rgb(samples: [&[u8]; 3], out: &mut [u8]) -> usize {
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx2") {
        // SAFETY: the machine has just said that it has AVX2.
        return unsafe { super::colour_avx2::to_rgb(samples, out.as_chunks_mut().0) };
    }
    let _ = (samples, out);
    0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hand_worked_colours() {
        assert_eq!(ycbcr(0, 128, 128), [0, 0, 0]);
        assert_eq!(ycbcr(255, 128, 128), [255, 255, 255]);
        // Red: 76 + 1.402 * 127 = 254.05; 76 - 0.344 * -43 - 0.714 * 127 = 0.1; 76 - 76.2 = -0.2
        assert_eq!(ycbcr(76, 85, 255), [254, 0, 0]);
        // 100 - 1.402 * 1 = 98.6; 100 + 0.34414 + 0.71414 = 101.06; 100 - 1.772 = 98.2
        assert_eq!(ycbcr(100, 127, 127), [99, 101, 98]);
    }

    #[test]
    fn the_factors_are_those_of_the_tables() {
        let factors = [CR_TO_RED, -CB_TO_GREEN, -CR_TO_GREEN, CB_TO_BLUE];
        assert_eq!(factors, [91881, 22554, 46802, 116130]);
    }

    #[test]
    fn inks() {
        for sample in 0..=255 {
            // No ink leaves what black leaves; full ink or full black leaves nothing.
            assert_eq!(inked(0, sample), sample);
            assert_eq!(inked(255, sample), 0);
            assert_eq!(inked(sample, 0), 0);
            assert_eq!(inked(sample, 255), 255 - sample);
        }
        for ink in 0..=255u8 {
            for sample in 0..=255u8 {
                let part = (f64::from(ink) * f64::from(sample) / 255.0).round();
                assert_eq!(f64::from(inked(ink, sample)), f64::from(sample) - part);
            }
        }
    }
}
