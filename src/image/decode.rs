//! Decoding under limits.

use std::fmt;
use std::io::Cursor;

use image::{DynamicImage, ImageDecoder, ImageError, ImageFormat, ImageReader, Limits};

use super::sniff::{self, CONVERT, Format, sniff};
use super::{gif, jpeg};
use crate::error::{Error, Result};
use crate::limits::{MAX_DECODE_BYTES, MAX_IMAGE_BYTES, MAX_IMAGE_PIXELS, MAX_IMAGE_SIDE};
use crate::quiet::quietly;

/// A picture as its file has it: its own samples (grey or colour, alpha, 8 or 16 bits; a palette is
/// looked up), not turned by EXIF.
#[derive(Clone)]
pub struct Decoded {
    format: Format,
    image: DynamicImage,
}

/// Without the pixels: a picture has millions.
impl fmt::Debug for Decoded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Decoded")
            .field("format", &self.format)
            .field("width", &self.image.width())
            .field("height", &self.image.height())
            .field("color", &self.image.color())
            .finish_non_exhaustive()
    }
}

impl Decoded {
    /// What the file is.
    pub fn format(&self) -> Format {
        self.format
    }

    /// The pixels.
    pub fn image(&self) -> &DynamicImage {
        &self.image
    }

    /// The pixels, for keeps.
    pub fn into_image(self) -> DynamicImage {
        self.image
    }
}

/// Decodes the bytes of an image file.
///
/// The format comes from the content alone. Sides, pixels and memory are checked against
/// [`crate::limits`] before anything of the picture's size is allocated; a decoder that panics is
/// caught, and prints nothing. A JPEG's pixels equal those that Pillow reads, bit for bit (CMYK as
/// Pillow's RGB); arithmetic-coded and other rare kinds are left to the `image` crate.
///
/// # Errors
/// One [`Error`] without a path (the caller knows the file): an empty file, something that is not an
/// image, a format that is not read, a file cut short or damaged ([`crate::error::Kind::Input`],
/// [`crate::error::Kind::Unsupported`]), or a limit ([`crate::error::Kind::Limit`]).
pub fn decode(bytes: &[u8]) -> Result<Decoded> {
    if bytes.len() as u64 > MAX_IMAGE_BYTES {
        return Err(too_long(bytes.len() as u64));
    }
    let format = sniff(bytes)?;
    if sniff::webp_cut_short(bytes, format) {
        return Err(cut_short(format));
    }
    if format == Format::Jpeg {
        check_frame(jpeg::walk(bytes)?)?;
        if let Some(image) = guarded(format, || jpeg::decode(bytes))? {
            return Ok(Decoded { format, image });
        }
    } else if let Some((width, height)) = sniff::sides(bytes, format) {
        check_sides(width, height)?;
    }
    let mut image = guarded(format, || decode_as(bytes, format))?;
    if format == Format::Gif {
        gif::fill_canvas(bytes, &mut image);
    }
    Ok(Decoded { format, image })
}

/// Runs a decoder; a panic in it is an error like any other.
fn guarded<T>(format: Format, decoder: impl FnOnce() -> Result<T>) -> Result<T> {
    quietly(decoder).unwrap_or_else(|panic| {
        let message = format!("is damaged: the {format} decoder gave up on it ({panic})");
        Err(Error::input(message).mend(AGAIN))
    })
}

pub(super) const AGAIN: &str = "fetch it again, or save it anew from an image editor";

/// The error for a file of `length` bytes.
pub(super) fn too_long(length: u64) -> Error {
    Error::limit(format!(
        "has {length} bytes, more than the {MAX_IMAGE_BYTES} that an image file may have"
    ))
    .mend("make the picture smaller")
}

/// Checks sides and the memory that the decoder will take for its coefficients and pixels.
fn check_frame(frame: jpeg::Frame) -> Result<()> {
    let (width, height) = (u32::from(frame.width), u32::from(frame.height));
    check_sides(width, height)?;
    // Two bytes a coefficient are held until the last scan; pixels leave as grey or as RGB.
    let kept = if frame.progressive {
        2 * u64::from(frame.components)
    } else {
        0
    };
    let left = if frame.components == 1 { 1 } else { 3 };
    check_memory(u64::from(width) * u64::from(height) * (kept + left))
}

fn check_sides(width: u32, height: u32) -> Result<()> {
    let sides = format!("{width} x {height} pixels");
    if width == 0 || height == 0 {
        return Err(Error::input(format!("declares {sides}: there is no picture")).mend(AGAIN));
    }
    let most = if width > MAX_IMAGE_SIDE || height > MAX_IMAGE_SIDE {
        format!("{MAX_IMAGE_SIDE} on a side")
    } else if u64::from(width) * u64::from(height) > MAX_IMAGE_PIXELS {
        format!("{MAX_IMAGE_PIXELS} in all")
    } else {
        return Ok(());
    };
    let message = format!("declares {sides}, more than {most}");
    Err(Error::limit(message).mend("make the picture smaller"))
}

/// Refuses what would take more than the limit.
pub(super) fn check_memory(bytes: u64) -> Result<()> {
    if bytes <= MAX_DECODE_BYTES {
        return Ok(());
    }
    let message =
        format!("would take {bytes} bytes to decode, more than the {MAX_DECODE_BYTES} allowed");
    Err(Error::limit(message).mend("make the picture smaller"))
}

/// Reads the header, checks what it declares, then decodes.
fn decode_as(bytes: &[u8], format: Format) -> Result<DynamicImage> {
    let kind = match format {
        Format::Jpeg => ImageFormat::Jpeg,
        Format::Png => ImageFormat::Png,
        Format::WebP => ImageFormat::WebP,
        Format::Gif => ImageFormat::Gif,
        Format::Bmp => ImageFormat::Bmp,
    };
    let told = |error| explain(error, format);
    let mut reader = ImageReader::with_format(Cursor::new(bytes), kind);
    // The sides are checked below, with a message that names them.
    let mut limits = Limits::no_limits();
    limits.max_alloc = Some(MAX_DECODE_BYTES);
    reader.limits(limits.clone());
    let mut decoder = reader.into_decoder().map_err(told)?;
    let (width, height) = decoder.dimensions();
    check_sides(width, height)?;
    check_memory(decoder.total_bytes())?;
    limits.reserve(decoder.total_bytes()).map_err(told)?;
    decoder.set_limits(limits).map_err(told)?;
    DynamicImage::from_decoder(decoder).map_err(told)
}

/// What a decoder said, as one of ours.
fn explain(error: ImageError, format: Format) -> Error {
    match error {
        ImageError::Limits(e) => Error::limit(format!(
            "cannot be decoded as {format} within the limits: {e}"
        ))
        .mend("make the picture smaller"),
        ImageError::Unsupported(e) => {
            let message = format!("is a kind of {format} that is not read: {e}");
            Error::unsupported(message).mend(CONVERT)
        }
        error if ends_early(&error) => cut_short(format),
        error => Error::input(format!("is damaged: {error}")).mend(AGAIN),
    }
}

fn cut_short(format: Format) -> Error {
    Error::input(format!(
        "is cut short: the {format} ends before its picture does"
    ))
    .mend("fetch the whole file again")
}

/// Whether the decoder ran out of bytes: by its cause, or where it keeps none, by its words.
fn ends_early(error: &ImageError) -> bool {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(e) = cause {
        if let Some(io) = e.downcast_ref::<std::io::Error>() {
            return io.kind() == std::io::ErrorKind::UnexpectedEof;
        }
        cause = e.source();
    }
    let words = error.to_string().to_ascii_lowercase();
    [
        "unexpected end",
        "unexpected eof",
        "failed to fill whole buffer",
    ]
    .iter()
    .any(|end| words.contains(end))
}
