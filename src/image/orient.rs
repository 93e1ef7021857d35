//! Which way up a picture is: the orientation that its file notes, and turning it so.
//!
//! The note is EXIF tag 274 in a JPEG's APP1 segment, a PNG's `eXIf` chunk or a WebP's `EXIF` chunk
//! (a TIFF directory each; CIPA DC-008, 4.6), or where EXIF says nothing, `tiff:Orientation` in XMP.
//! Cameras and editors get these wrong in every way, and a picture is a picture without: what cannot
//! be read counts as no note.

use super::jpeg;
use super::sniff::Format;
use super::{Rgb8, rgb::Pixel};

/// How a picture as stored is to be shown (EXIF 4.6.4, tag 274).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Orientation(u8);

impl Orientation {
    /// As stored.
    pub(super) const UPRIGHT: Orientation = Orientation(1);

    /// What the file notes; upright where it notes nothing that can be read.
    pub(super) fn of(bytes: &[u8], format: Format) -> Self {
        let Notes { exif, xmp } = match format {
            Format::Jpeg => in_jpeg(bytes),
            Format::Png => in_png(bytes),
            Format::WebP => in_webp(bytes),
            Format::Gif | Format::Bmp => Notes::default(),
        };
        let noted = exif_orientation(&exif).or_else(|| xmp_orientation(xmp));
        match noted {
            Some(number @ 2..=8) => Orientation(number as u8),
            _ => Self::UPRIGHT,
        }
    }

    /// The picture turned and mirrored to be upright.
    pub(super) fn apply(self, rgb: Rgb8) -> Rgb8 {
        let (width, height) = (rgb.width(), rgb.height());
        if self == Self::UPRIGHT || rgb.pixels().is_empty() {
            return rgb;
        }
        let (w, h) = (width as isize, height as isize);
        // Where the first pixel comes from, and the steps there for one across and one down.
        let (first, across, down) = match self.0 {
            2 => (w - 1, -1, w),
            3 => (w * h - 1, -1, -w),
            4 => (w * (h - 1), 1, -w),
            5 => (0, w, 1),
            6 => (w * (h - 1), -w, 1),
            7 => (w * h - 1, -w, -1),
            _ => (w - 1, w, -1),
        };
        let (out_width, out_height) = if self.0 < 5 {
            (width, height)
        } else {
            (height, width)
        };
        let (from, _) = rgb.pixels().as_chunks::<3>();
        let mut out: Vec<Pixel> = vec![[0; 3]; from.len()];
        // A few rows at a time, so that a column of the source is used while it is in the cache.
        for (band, rows) in out.chunks_mut(BAND * out_width).enumerate() {
            for x in 0..out_width {
                let top = first + across * x as isize + down * (BAND * band) as isize;
                for y in 0..rows.len() / out_width {
                    rows[y * out_width + x] = from[(top + down * y as isize) as usize];
                }
            }
        }
        Rgb8::from_parts(out_width, out_height, out.into_flattened())
    }
}

/// Rows that are turned at a time.
const BAND: usize = 16;

/// What a file holds that may note its orientation.
#[derive(Default)]
struct Notes<'a> {
    /// A TIFF directory and what it points to.
    exif: Vec<u8>,
    xmp: &'a [u8],
}

fn in_jpeg(bytes: &[u8]) -> Notes<'_> {
    let mut notes = Notes::default();
    let mut at = 2;
    while let Ok(marker) = jpeg::next_marker(bytes, &mut at) {
        match marker {
            0x01 | 0xD0..=0xD8 => continue,
            // The notes stand before the first scan.
            0xD9 | 0xDA => break,
            _ => {}
        }
        let Ok(segment) = jpeg::segment(bytes, &mut at) else {
            break;
        };
        if marker != 0xE1 {
            continue;
        }
        if let Some(exif) = segment.strip_prefix(b"Exif\0\0") {
            // Some writers split what is longer than a segment.
            notes.exif.extend_from_slice(exif);
        } else if let Some(xmp) = segment.strip_prefix(b"http://ns.adobe.com/xap/1.0/\0") {
            notes.xmp = xmp;
        }
    }
    notes
}

fn in_png(bytes: &[u8]) -> Notes<'_> {
    let mut notes = Notes::default();
    let mut rest = bytes.get(8..).unwrap_or_default();
    while let Some((&[a, b, c, d, kind @ ..], after)) = rest.split_first_chunk::<8>() {
        let length = u32::from_be_bytes([a, b, c, d]) as usize;
        let Some((content, after)) = after.split_at_checked(length) else {
            break;
        };
        match &kind {
            b"eXIf" => notes.exif = content.to_vec(),
            // Keyword, two bytes for "not compressed", language and translated keyword, all ended
            // by zeros; then the text.
            b"iTXt" => {
                if let Some(text) = content.strip_prefix(b"XML:com.adobe.xmp\0\0\0") {
                    let mut parts = text.splitn(3, |byte| *byte == 0);
                    notes.xmp = parts.nth(2).unwrap_or_default();
                }
            }
            b"IEND" => break,
            _ => {}
        }
        // The check sum.
        rest = after.get(4..).unwrap_or_default();
    }
    notes
}

fn in_webp(bytes: &[u8]) -> Notes<'_> {
    let mut notes = Notes::default();
    let mut rest = bytes.get(12..).unwrap_or_default();
    while let Some((&[kind @ .., a, b, c, d], after)) = rest.split_first_chunk::<8>() {
        let length = u32::from_le_bytes([a, b, c, d]) as usize;
        let Some(content) = after.get(..length) else {
            break;
        };
        match &kind {
            b"EXIF" => notes.exif = content.to_vec(),
            b"XMP " => notes.xmp = content,
            _ => {}
        }
        // To an even length.
        rest = after.get(length + length % 2..).unwrap_or_default();
    }
    notes
}

/// Tag 274 of the first directory.
fn exif_orientation(exif: &[u8]) -> Option<u32> {
    // Within a PNG or WebP the JPEG's own prefix does no harm.
    let mut exif = exif;
    while let Some(rest) = exif.strip_prefix(b"Exif\0\0") {
        exif = rest;
    }
    let little = match exif.get(..4)? {
        b"II*\0" => true,
        b"MM\0*" => false,
        _ => return None,
    };
    let short = |at: usize| -> Option<u32> {
        let bytes = exif.get(at..)?.first_chunk()?;
        Some(u32::from(if little {
            u16::from_le_bytes(*bytes)
        } else {
            u16::from_be_bytes(*bytes)
        }))
    };
    let long = |at: usize| -> Option<u32> {
        let bytes = exif.get(at..)?.first_chunk()?;
        Some(if little {
            u32::from_le_bytes(*bytes)
        } else {
            u32::from_be_bytes(*bytes)
        })
    };
    let directory = long(4)? as usize;
    for entry in 0..short(directory)? as usize {
        let at = directory.checked_add(2 + 12 * entry)?;
        let (tag, kind, count) = (short(at)?, short(at + 2)?, long(at + 4)?);
        if tag == 274 {
            return match (kind, count) {
                // Shorts and longs, signed or not.
                (3 | 8, 1) => short(at + 8),
                (4 | 9, 1) => long(at + 8),
                _ => None,
            };
        }
    }
    None
}

/// The digit of `tiff:Orientation="6"` or `<tiff:Orientation>6`.
fn xmp_orientation(xmp: &[u8]) -> Option<u32> {
    const NAME: &[u8] = b"tiff:Orientation";
    let mut places = memchr::memmem::find_iter(xmp, NAME);
    places.find_map(|place| {
        let rest = &xmp[place + NAME.len()..];
        let rest = rest.strip_prefix(b"=\"").or(rest.strip_prefix(b">"))?;
        let digit = rest.first().filter(|byte| byte.is_ascii_digit())?;
        Some(u32::from(digit - b'0'))
    })
}
