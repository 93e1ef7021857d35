//! What a GIF's canvas shows where its first frame does not.

use image::DynamicImage;

/// Gives the colour that Pillow shows to the pixels that the first frame leaves free or transparent:
/// that of the transparent index, or of index 0 where there is none.
///
/// A file whose palette cannot be found is left as it is.
pub(super) fn fill_canvas(bytes: &[u8], image: &mut DynamicImage) {
    let (DynamicImage::ImageRgba8(pixels), Some(colour)) = (image, canvas_colour(bytes)) else {
        return;
    };
    for pixel in pixels.pixels_mut().filter(|pixel| pixel.0[3] == 0) {
        pixel.0[..3].copy_from_slice(&colour);
    }
}

/// The colour of the canvas before the first frame.
fn canvas_colour(bytes: &[u8]) -> Option<[u8; 3]> {
    let flags = *bytes.get(10)?;
    let mut at = 13;
    let mut palette = table(bytes, &mut at, flags)?;
    let mut index = 0;
    loop {
        match bytes.get(at)? {
            0x21 => {
                // A graphic control block: four bytes, the last of them the transparent index.
                let block = bytes.get(at + 1..at + 7)?;
                if block[0] == 0xF9 && block[1] == 4 && block[2] & 1 == 1 {
                    index = usize::from(block[5]);
                }
                at += 2;
                // Blocks by their lengths, to one of length 0.
                while let length @ 1.. = usize::from(*bytes.get(at)?) {
                    at += 1 + length;
                }
                at += 1;
            }
            0x2C => {
                let flags = *bytes.get(at + 9)?;
                at += 10;
                let own = table(bytes, &mut at, flags)?;
                if !own.is_empty() {
                    palette = own;
                }
                return palette.as_chunks::<3>().0.get(index).copied();
            }
            _ => return None,
        }
    }
}

/// The colour table at `at`, which moves past it; empty where the flags say that there is none.
fn table<'a>(bytes: &'a [u8], at: &mut usize, flags: u8) -> Option<&'a [u8]> {
    let colours = if flags & 0x80 == 0 {
        0
    } else {
        2 << (flags & 7)
    };
    let table = bytes.get(*at..*at + 3 * colours)?;
    *at += table.len();
    Some(table)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &[u8] = b"GIF89a\x02\0\x02\0\x80\0\0\x01\x02\x03\x04\x05\x06";
    const FRAME: &[u8] = b",\0\0\0\0\x01\0\x01\0\0";

    #[test]
    fn the_canvas_has_the_first_or_the_transparent_colour() {
        let colour = |parts: &[&[u8]]| canvas_colour(&parts.concat());
        let control: &[u8] = b"\x21\xF9\x04\x01\0\0\x01\0";
        let opaque: &[u8] = b"\x21\xF9\x04\0\0\0\x01\0";
        let comment: &[u8] = b"\x21\xFE\x03abc\x02de\0";
        let own: &[u8] = b",\0\0\0\0\x01\0\x01\0\x80\x07\x08\x09\x0A\x0B\x0C";
        assert_eq!(colour(&[HEAD, FRAME]), Some([1, 2, 3]));
        assert_eq!(colour(&[HEAD, comment, control, FRAME]), Some([4, 5, 6]));
        assert_eq!(colour(&[HEAD, opaque, comment, FRAME]), Some([1, 2, 3]));
        assert_eq!(colour(&[HEAD, control, own]), Some([10, 11, 12]));
        let far: &[u8] = b"\x21\xF9\x04\x01\0\0\x09\0";
        assert_eq!(colour(&[HEAD, far, FRAME]), None);
        let whole = [HEAD, comment, control, own].concat();
        for length in 0..whole.len() {
            assert_eq!(canvas_colour(&whole[..length]), None, "{length}");
        }
    }
}
