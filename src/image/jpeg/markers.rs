//! The frame of a JPEG file, walked without decoding: sizes before anything is allocated, and an
//! end before anything is believed.
//!
//! Decoders fill in what is missing of a JPEG that was cut short and report no error, for a
//! progressive one even with most of its scans gone. A whole file has its end marker after its last
//! scan; so the segments are walked by their lengths (a thumbnail inside one, with an end marker of
//! its own, is stepped over) and the coded data by its rule that a byte FF in it is followed by 00
//! or a restart marker. What follows the end marker (padding, a second picture) does not matter.

use crate::error::{Error, Result};
use crate::limits::MAX_JPEG_SCANS;

/// What the frame header says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::image) struct Frame {
    /// The marker's code: what way of coding it is.
    pub(in crate::image) marker: u8,
    pub(in crate::image) width: u16,
    pub(in crate::image) height: u16,
    pub(in crate::image) components: u8,
    pub(in crate::image) progressive: bool,
}

/// Walks a whole file, from its start marker to its end marker.
///
/// # Errors
/// The file ends before its end marker, a segment has no room for its own length, there is no
/// frame or no scan, or there are more than [`MAX_JPEG_SCANS`].
pub(in crate::image) fn walk(bytes: &[u8]) -> Result<Frame> {
    let mut frame = None;
    let mut scans = 0usize;
    let mut at = 2;
    loop {
        let marker = next_marker(bytes, &mut at)?;
        match marker {
            0xD9 => break,
            // Start of image, temporary and restart markers stand alone.
            0x01 | 0xD0..=0xD8 => continue,
            _ => {}
        }
        let segment = segment(bytes, &mut at)?;
        match marker {
            0xC0..=0xCF if !matches!(marker, 0xC4 | 0xC8 | 0xCC) => {
                frame = frame.or(Some(frame_header(marker, segment)?));
            }
            0xDA => {
                scans += 1;
                if scans > MAX_JPEG_SCANS {
                    let message = format!("has more than {MAX_JPEG_SCANS} scans");
                    return Err(Error::limit(message).mend("save it anew from an image editor"));
                }
                skip_coded_data(bytes, &mut at);
            }
            _ => {}
        }
    }
    match frame {
        Some(frame) if scans > 0 => Ok(frame),
        _ => Err(Error::input("is a JPEG file with no picture in it").mend("fetch it again")),
    }
}

fn cut_short() -> Error {
    Error::input("is cut short: the JPEG has no end marker").mend("fetch the whole file again")
}

/// The code of the next marker; `at` moves past it. Stray bytes before it are stepped over.
pub(in crate::image) fn next_marker(bytes: &[u8], at: &mut usize) -> Result<u8> {
    let mut previous = 0;
    for (i, byte) in bytes.iter().enumerate().skip(*at) {
        if previous == 0xFF && !matches!(byte, 0x00 | 0xFF) {
            *at = i + 1;
            return Ok(*byte);
        }
        previous = *byte;
    }
    Err(cut_short())
}

/// The content of the segment at `at`, which moves past it.
pub(in crate::image) fn segment<'a>(bytes: &'a [u8], at: &mut usize) -> Result<&'a [u8]> {
    let rest = &bytes[*at..];
    let Some((length, _)) = rest.split_first_chunk::<2>() else {
        return Err(cut_short());
    };
    let length = usize::from(u16::from_be_bytes(*length));
    if length < 2 {
        return Err(
            Error::input("is damaged: a JPEG segment is shorter than its own length")
                .mend("fetch the file again"),
        );
    }
    let content = rest.get(2..length).ok_or_else(cut_short)?;
    *at += length;
    Ok(content)
}

/// Moves `at` to the marker that ends a scan's coded data, or to the end of the file.
pub(super) fn skip_coded_data(bytes: &[u8], at: &mut usize) {
    loop {
        *at = next_ff(bytes, *at);
        match bytes.get(*at + 1) {
            Some(0x00 | 0xD0..=0xD7) => *at += 2,
            Some(0xFF) => *at += 1,
            Some(_) => return,
            None => {
                *at = bytes.len();
                return;
            }
        }
    }
}

/// The place of the first byte FF from `at` on, or the length.
pub(super) fn next_ff(bytes: &[u8], at: usize) -> usize {
    const STEP: usize = 32;
    let rest = bytes.get(at..).unwrap_or_default();
    let (blocks, _) = rest.as_chunks::<STEP>();
    // Whole blocks without one are passed over at a time.
    let clear = blocks
        .iter()
        .take_while(|block| !block.iter().fold(false, |found, b| found | (*b == 0xFF)));
    let from = clear.count() * STEP;
    let found = rest[from..].iter().position(|b| *b == 0xFF);
    at + found.map_or(rest.len(), |place| from + place)
}

fn frame_header(marker: u8, segment: &[u8]) -> Result<Frame> {
    let &[_, h1, h0, w1, w0, components, ..] = segment else {
        return Err(
            Error::input("is damaged: its JPEG frame header is too short")
                .mend("fetch the file again"),
        );
    };
    Ok(Frame {
        marker,
        width: u16::from_be_bytes([w1, w0]),
        height: u16::from_be_bytes([h1, h0]),
        components,
        progressive: matches!(marker, 0xC2 | 0xC6 | 0xCA | 0xCE),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const FRAME: &[u8] = &[0xFF, 0xC0, 0, 11, 8, 0, 7, 0, 5, 1, 1, 0x11, 0];
    const SCAN: &[u8] = &[0xFF, 0xDA, 0, 8, 1, 1, 0, 0, 63, 0];
    const END: &[u8] = &[0xFF, 0xD9];

    fn file(parts: &[&[u8]]) -> Vec<u8> {
        let mut bytes = vec![0xFF, 0xD8];
        bytes.extend(parts.concat());
        bytes
    }

    #[test]
    fn a_whole_file_has_a_frame() {
        let want = Frame {
            marker: 0xC0,
            width: 5,
            height: 7,
            components: 1,
            progressive: false,
        };
        assert_eq!(walk(&file(&[FRAME, SCAN, &[1, 2], END])).unwrap(), want);
    }

    #[test]
    fn stuffing_restarts_fill_bytes_and_more_scans_are_walked_over() {
        let coded: &[u8] = &[1, 0xFF, 0, 2, 0xFF, 0xD0, 3, 0xFF, 0xFF, 0xD7, 0xFF, 0xFF];
        let bytes = file(&[FRAME, SCAN, coded, SCAN, &[9], END, b"padding"]);
        assert!(walk(&bytes).is_ok());
        let stray = file(&[&[0, 0, 7], FRAME, &[0xFF, 0xFF], SCAN, END]);
        assert!(walk(&stray).is_ok());
    }

    #[test]
    fn the_end_marker_of_a_thumbnail_is_not_the_end() {
        let mut thumbnail = vec![0xFF, 0xE1, 0, 8];
        thumbnail.extend([0xFF, 0xD8, 7, 7, 0xFF, 0xD9]);
        assert!(walk(&file(&[&thumbnail, FRAME, SCAN, END])).is_ok());
        assert!(walk(&file(&[&thumbnail, FRAME, SCAN, &[1, 2]])).is_err());
    }

    #[test]
    fn every_cut_is_told() {
        let whole = file(&[
            &[0xFF, 0xE0, 0, 4, 9, 9],
            FRAME,
            SCAN,
            &[1, 0xFF, 0, 4],
            END,
        ]);
        for length in 2..whole.len() {
            let error = walk(&whole[..length]).unwrap_err().to_string();
            assert!(error.contains("cut short"), "{length}: {error}");
        }
    }

    #[test]
    fn no_picture_and_impossible_lengths() {
        let said = |bytes: &[u8]| walk(bytes).unwrap_err().to_string();
        assert!(said(&file(&[END])).contains("no picture"));
        assert!(said(&file(&[FRAME, END])).contains("no picture"));
        assert!(said(&file(&[SCAN, END])).contains("no picture"));
        assert!(said(&file(&[&[0xFF, 0xE0, 0, 1, 0], END])).contains("damaged"));
        assert!(said(&file(&[&[0xFF, 0xC0, 0, 3, 0], SCAN, END])).contains("damaged"));
    }
}
