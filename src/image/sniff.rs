//! What a file is, from its first bytes; its name says nothing.

use std::fmt;

use crate::error::{Error, Result};

/// The image formats that are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Format {
    /// JPEG: baseline, extended and progressive, Huffman-coded, 8 bits.
    Jpeg,
    /// PNG; of an animated one, the still picture.
    Png,
    /// WebP, lossy or not; of an animated one, the first frame.
    WebP,
    /// GIF, the first frame.
    Gif,
    /// Windows bitmap.
    Bmp,
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Format::Jpeg => "JPEG",
            Format::Png => "PNG",
            Format::WebP => "WebP",
            Format::Gif => "GIF",
            Format::Bmp => "BMP",
        })
    }
}

/// What to do about a file that cannot be read as a picture.
pub(super) const CONVERT: &str = "save it as JPEG, PNG, WebP, GIF or BMP";

/// The format of `bytes`.
///
/// # Errors
/// Says what the file is or begins with when it is none of [`Format`].
pub(super) fn sniff(bytes: &[u8]) -> Result<Format> {
    match bytes {
        [] => return Err(Error::input("is an empty file").mend("fetch it again")),
        [0xFF, 0xD8, 0xFF, ..] => return Ok(Format::Jpeg),
        [
            b'R',
            b'I',
            b'F',
            b'F',
            _,
            _,
            _,
            _,
            b'W',
            b'E',
            b'B',
            b'P',
            ..,
        ] => {
            return Ok(Format::WebP);
        }
        [b'B', b'M', ..] if bytes.len() > 25 && bmp_header(bytes) => return Ok(Format::Bmp),
        _ => {}
    }
    if bytes.starts_with(b"\x89PNG\r\n\x1a\n") {
        return Ok(Format::Png);
    }
    if bytes.starts_with(b"GIF87a") || bytes.starts_with(b"GIF89a") {
        return Ok(Format::Gif);
    }
    Err(match other_kind(bytes) {
        Some(kind) => Error::unsupported(format!("is {kind}, which is not read")).mend(CONVERT),
        None => Error::input(format!("is not an image: it begins with {}", start(bytes)))
            .mend("fetch the picture itself again"),
    })
}

/// The sides that the header of anything but a JPEG declares, as far as it can be read at a glance:
/// width and height. Decoders read it again; this is for refusing before they allocate.
pub(super) fn sides(bytes: &[u8], format: Format) -> Option<(u32, u32)> {
    let four = |at: usize| bytes.get(at..at + 4)?.try_into().ok();
    let little = |at: usize| four(at).map(u32::from_le_bytes);
    let short = |at: usize| Some(little(at)? & 0xFFFF);
    match format {
        Format::Png if bytes.get(12..16)? == b"IHDR" => {
            Some((u32::from_be_bytes(four(16)?), u32::from_be_bytes(four(20)?)))
        }
        Format::Gif => Some((short(6)?, short(8)?)),
        Format::Bmp if little(14)? == 12 => Some((short(18)?, short(20)?)),
        // Heights below zero are of pictures stored from the top.
        Format::Bmp => Some((little(18)?, (little(22)? as i32).unsigned_abs())),
        Format::WebP if bytes.get(12..16)? == b"VP8X" => {
            Some(((little(24)? & 0xFF_FFFF) + 1, (little(26)? >> 8) + 1))
        }
        _ => None,
    }
}

/// Whether a WebP file is shorter than it says, by more than the padding that some writers leave out.
///
/// Its decoder tells a stream that ends from a damaged one only at times.
pub(super) fn webp_cut_short(bytes: &[u8], format: Format) -> bool {
    let Some(&[a, b, c, d]) = bytes.get(4..8).and_then(|size| size.as_array()) else {
        return false;
    };
    let whole = u64::from(u32::from_le_bytes([a, b, c, d])) + 8;
    format == Format::WebP && whole > bytes.len() as u64 + 1
}

/// Whether the length of the header after the 14 bytes of a bitmap is one that exists.
fn bmp_header(bytes: &[u8]) -> bool {
    let length = u32::from_le_bytes([bytes[14], bytes[15], bytes[16], bytes[17]]);
    matches!(length, 12 | 16 | 40 | 52 | 56 | 64 | 108 | 124)
}

/// Formats that people have and this does not read.
fn other_kind(bytes: &[u8]) -> Option<&'static str> {
    const STARTS: [(&[u8], &str); 10] = [
        (b"II*\0", "a TIFF image"),
        (b"MM\0*", "a TIFF image"),
        (b"\0\0\x01\0", "a Windows icon"),
        (b"8BPS", "a Photoshop document"),
        (b"%PDF-", "a PDF document"),
        (b"<svg", "an SVG drawing"),
        (b"\xFF\x0A", "a JPEG XL image"),
        (b"\0\0\0\x0CJXL ", "a JPEG XL image"),
        (b"\0\0\0\x0CjP  ", "a JPEG 2000 image"),
        (b"\x1F\x8B", "gzip-compressed"),
    ];
    if bytes.len() >= 12 && &bytes[4..8] == b"ftyp" {
        return Some(match &bytes[8..12] {
            b"avif" | b"avis" => "an AVIF image",
            b"heic" | b"heix" | b"hevc" | b"mif1" => "a HEIC image",
            _ => "a video",
        });
    }
    let known = STARTS.iter().find(|(start, _)| bytes.starts_with(start));
    known.map(|(_, kind)| *kind)
}

/// The first bytes for a message: text as text, anything else in hexadecimal.
fn start(bytes: &[u8]) -> String {
    const SHOWN: usize = 24;
    let bytes = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
    let bytes = bytes.trim_ascii_start();
    let line = bytes.split(|b| matches!(b, b'\r' | b'\n')).next();
    let line = line.unwrap_or_default();
    let line = &line[..line.len().min(SHOWN)];
    if !line.is_empty() && line.iter().all(|b| (b' '..=b'~').contains(b)) {
        return format!("`{}`", String::from_utf8_lossy(line));
    }
    let hex: Vec<String> = bytes.iter().take(8).map(|b| format!("{b:02x}")).collect();
    if hex.is_empty() {
        "white space alone".to_owned()
    } else {
        format!("the bytes {}", hex.join(" "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(bytes: &[u8]) -> String {
        sniff(bytes).unwrap_err().to_string()
    }

    #[test]
    fn formats_by_content() {
        assert_eq!(sniff(b"\xFF\xD8\xFF\xE0").unwrap(), Format::Jpeg);
        assert_eq!(sniff(b"\x89PNG\r\n\x1a\n").unwrap(), Format::Png);
        assert_eq!(sniff(b"GIF89a").unwrap(), Format::Gif);
        assert_eq!(sniff(b"RIFF....WEBPVP8 ").unwrap(), Format::WebP);
    }

    #[test]
    fn what_is_no_image_is_quoted() {
        let html = b"\r\n  <!DOCTYPE html>\n<html><head>";
        assert!(said(html).contains("it begins with `<!DOCTYPE html>`"));
        assert!(said(b"BM is a shop, and this is its page").contains("`BM is a shop"));
        assert!(said(b"\x00\x01\xFE\xFF").contains("the bytes 00 01 fe ff"));
        assert!(said(b" \n ").contains("white space alone"));
        assert!(said(b"").contains("is an empty file"));
        assert!(said(b"\0\0\0\x20ftypavif\0\0\0\0").contains("an AVIF image"));
    }
}
