//! Small pictures for a page.

use std::borrow::Cow;
use std::path::Path;
use std::sync::OnceLock;

use ::image::ExtendedColorType;
use ::image::codecs::jpeg::JpegEncoder;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rayon::prelude::*;

use super::{Page, relative};
use crate::error::Result;
use crate::image::{
    Filter, ImageFolder, Rgb8, Unique, decode_rgb, decode_rgb_phash, phash, resize_rgb,
};
use crate::listings::Listing;

/// The longer side of a small picture, in pixels.
const SIDE: usize = 112;
/// JPEG quality.
const QUALITY: u8 = 62;
/// Pictures that are made together, before it is asked whether there is room for more.
const BLOCK: usize = 256;
/// Files whose small pictures are kept once they are made, about 4 kB each.
const KEPT: usize = 16_384;
/// No file.
const NONE: u32 = u32::MAX;

/// The image files that listings name.
#[derive(Debug, Default)]
pub struct Pictures {
    folder: Option<ImageFolder>,
    unique: Option<Unique>,
    /// The file of each listing.
    of_row: Vec<u32>,
    /// The small pictures that were made of the first [`KEPT`] files.
    small: Vec<OnceLock<Option<Vec<u8>>>>,
}

/// Looks up the images that `items` name in `folder`.
///
/// # Errors
/// The folder cannot be opened. A name without a file is one picture less.
pub fn pictures(items: &[Listing], folder: &Path) -> Result<Pictures> {
    let folder = ImageFolder::open(folder)?;
    let name = |l: &'_ Listing| -> Option<String> { l.image.clone().filter(|_| !l.rejected) };
    let names: Vec<Option<String>> = items.iter().map(name).collect();
    let names: Vec<Option<&str>> = names.iter().map(|n| n.as_deref()).collect();
    let unique = Unique::of(&folder, &names);
    let mut of_row = vec![NONE; items.len()];
    for (number, file) in unique.files.iter().enumerate() {
        file.rows
            .iter()
            .for_each(|&row| of_row[row] = number as u32);
    }
    let small = unique.files.iter().take(KEPT).map(|_| OnceLock::new());
    Ok(Pictures {
        small: small.collect(),
        folder: Some(folder),
        unique: Some(unique),
        of_row,
    })
}

impl Pictures {
    /// How many files there are.
    pub fn files(&self) -> usize {
        self.unique.as_ref().map_or(0, |u| u.files.len())
    }

    /// The file of listing `row`.
    pub fn file(&self, row: usize) -> Option<usize> {
        let file = self.of_row.get(row).copied().filter(|&f| f != NONE);
        file.map(|f| f as usize)
    }

    fn bytes(&self, number: usize) -> Option<Vec<u8>> {
        let (folder, unique) = (self.folder.as_ref()?, self.unique.as_ref()?);
        folder.read(&unique.files.get(number)?.name).ok()
    }

    /// The small picture of file `number`, as JPEG; none where it cannot be read.
    pub fn small(&self, number: usize) -> Option<Cow<'_, [u8]>> {
        let make = || jpeg(&decode_rgb(&self.bytes(number)?, true).ok()?);
        match self.small.get(number) {
            Some(kept) => kept.get_or_init(make).as_deref().map(Cow::Borrowed),
            None => make().map(Cow::Owned),
        }
    }

    /// The small picture of file `number`, of which no side has more than `side` pixels; none where it cannot
    /// be read.
    pub fn pixels(&self, number: usize, side: usize) -> Option<Rgb8> {
        shrink(&decode_rgb(&self.small(number)?, false).ok()?, side)
    }

    /// Width, height and bytes of file `number`, by its header; none where it cannot be read.
    pub fn size(&self, number: usize) -> Option<(u32, u32, u64)> {
        let bytes = self.bytes(number)?;
        let reader = ::image::ImageReader::new(std::io::Cursor::new(&bytes));
        let (width, height) = reader.with_guessed_format().ok()?.into_dimensions().ok()?;
        Some((width, height, bytes.len() as u64))
    }

    /// The perceptual hash of file `number`; none where it cannot be read. Its small picture is made on the
    /// way.
    pub fn hash(&self, number: usize) -> Option<u64> {
        let bytes = self.bytes(number)?;
        let Some(kept) = self.small.get(number) else {
            return phash(&bytes).ok();
        };
        let (rgb, hash) = decode_rgb_phash(&bytes).ok()?;
        kept.get_or_init(|| jpeg(&rgb));
        Some(hash)
    }

    /// Adds the names of all files to `page`, which is to stand at `path`.
    ///
    /// # Errors
    /// As [`Page::bytes`].
    pub fn pack(&self, page: &mut Page, path: &Path) -> Result<()> {
        let names: Vec<&str> = (0..self.files()).map(|f| self.name(f)).collect();
        let folder = self.folder.as_ref().map(|f| relative(path, f.path()));
        page.json(
            "files",
            &serde_json::json!({"folder": folder, "names": names}),
        )?;
        page.words("file-of", &self.of_row)
    }

    /// The name of file `number`.
    pub fn name(&self, number: usize) -> &str {
        let file = self.unique.as_ref().and_then(|u| u.files.get(number));
        file.map_or("", |f| f.name.as_str())
    }
}

/// The longer side at most `side` pixels, the shape kept.
fn shrink(rgb: &Rgb8, side: usize) -> Option<Rgb8> {
    let longer = rgb.width().max(rgb.height());
    if longer <= side {
        return Rgb8::new(rgb.width(), rgb.height(), rgb.pixels().to_vec()).ok();
    }
    let scaled = |length: usize| ((length * side).div_euclid(longer)).max(1);
    resize_rgb(
        rgb,
        scaled(rgb.width()),
        scaled(rgb.height()),
        Filter::Bilinear,
    )
    .ok()
}

/// Small pictures, as base64 of JPEG.
#[derive(Debug, Default)]
pub struct Thumbs {
    /// The files that they are of, in order.
    files: Vec<usize>,
    /// Where each begins in `text`, and the end.
    starts: Vec<u32>,
    text: String,
}

impl Thumbs {
    /// Small pictures of the listings in `order`, as many as there is `room` for in bytes of text.
    pub fn make(pictures: &Pictures, order: &[u32], room: usize) -> Thumbs {
        let mut thumbs = Thumbs {
            starts: vec![0],
            ..Thumbs::default()
        };
        let mut seen = vec![false; pictures.files()];
        let mut wanted = order.iter().filter_map(|&row| pictures.file(row as usize));
        loop {
            let mut block = Vec::with_capacity(BLOCK);
            for file in wanted.by_ref() {
                if !std::mem::replace(&mut seen[file], true) {
                    block.push(file);
                }
                if block.len() == BLOCK {
                    break;
                }
            }
            if block.is_empty() {
                return thumbs;
            }
            let made: Vec<Option<String>> = block
                .par_iter()
                .map(|&file| Some(STANDARD.encode(pictures.small(file)?)))
                .collect();
            for (file, made) in block.into_iter().zip(made) {
                let Some(made) = made else { continue };
                if thumbs.text.len() + made.len() > room {
                    return thumbs;
                }
                thumbs.text.push_str(&made);
                thumbs.files.push(file);
                thumbs.starts.push(thumbs.text.len() as u32);
            }
        }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.files.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// Adds them to `page`.
    ///
    /// # Errors
    /// As [`Page::bytes`].
    pub fn pack(&self, page: &mut Page, pictures: &Pictures) -> Result<()> {
        let mut place = vec![NONE; pictures.files()];
        for (at, &file) in self.files.iter().enumerate() {
            place[file] = at as u32;
        }
        page.words("thumb-of", &place)?;
        page.words("thumb-at", &self.starts)?;
        page.text("thumbs", &self.text);
        Ok(())
    }
}

/// A small picture as JPEG.
fn jpeg(rgb: &Rgb8) -> Option<Vec<u8>> {
    let small = shrink(rgb, SIDE)?;
    let (width, height) = (small.width() as u32, small.height() as u32);
    let mut jpeg = Vec::new();
    JpegEncoder::new_with_quality(&mut jpeg, QUALITY)
        .encode(small.pixels(), width, height, ExtendedColorType::Rgb8)
        .ok()?;
    Some(jpeg)
}
