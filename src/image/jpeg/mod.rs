//! A JPEG decoder whose pixels equal libjpeg-turbo's, bit for bit.
//!
//! The standard (ITU T.81) leaves the rounding of the inverse DCT, of the upsampling of colours and
//! of their conversion to the decoder; a perceptual hash can turn on any of them. Pillow uses
//! libjpeg-turbo with its defaults, and `imagehash` uses Pillow, so this decoder takes the same
//! steps in the same integers:
//!
//! ```text
//! markers (frame, limits, end) -> header (tables, scans) -> bits, huffman
//!    one scan:    sequential -> idct -> upsample -> colour, a row of blocks at a time
//!    many scans:  sequential or progressive -> all coefficients -> the same
//! ```
//!
//! Read here: baseline, extended and progressive JPEG, Huffman-coded, of 8 bits; grey, YCbCr, RGB,
//! CMYK and YCCK, with any whole ratio of sampling factors. CMYK comes out as the RGB that Pillow
//! makes of it. What is neither an error nor any of these ([`decode`] gives `None`) is left to
//! another decoder.
//!
//! Two things differ from libjpeg on purpose. Coded data that are damaged (a code that does not
//! exist, data that end early, a restart marker that is missing) are an error, where libjpeg warns
//! and goes on with grey or displaced blocks. And a progressive file whose last scans were never
//! written is shown as it is, where libjpeg smooths its blocks.

mod bits;
mod colour;
#[cfg(target_arch = "x86_64")]
mod colour_avx2;
mod header;
mod huffman;
mod idct;
mod markers;
mod output;
mod progressive;
mod sequential;
mod upsample;

use image::DynamicImage;

use self::bits::Bits;
use self::header::{Picture, Scan, Tables};
use self::output::Output;
pub(super) use markers::{Frame, next_marker, segment, walk};

use super::decode::{AGAIN, check_memory};
use crate::error::{Error, Result};

/// The coefficients of a block, row by row of frequencies.
type Block = [i16; 64];

/// The coefficients of a component, while there are more scans to come.
struct Coefficients {
    blocks: Vec<Block>,
    /// For each block the AC coefficients that a progressive scan has set, a bit for each, in coded
    /// order; later scans of their lower bits step from one to the next.
    set: Vec<u64>,
}

impl Coefficients {
    /// The memory of a block.
    const BLOCK_BYTES: u64 = (size_of::<Block>() + size_of::<u64>()) as u64;

    fn new(blocks: usize) -> Self {
        Coefficients {
            blocks: vec![[0; 64]; blocks],
            set: vec![0; blocks],
        }
    }
}

/// What may be wrong with a file, small enough for inner loops.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Damage {
    Header,
    Table,
    NoTable,
    Code,
    Ends,
    Restart,
    Missing,
}

impl From<Damage> for Error {
    fn from(damage: Damage) -> Error {
        let what = match damage {
            Damage::Header => "a JPEG header contradicts itself",
            Damage::Table => "a JPEG table is not well formed",
            Damage::NoTable => "a JPEG table that it uses is missing",
            Damage::Code => "its coded JPEG data hold a code that does not exist",
            Damage::Ends => "its coded JPEG data end before the picture does",
            Damage::Restart => "a JPEG restart marker is missing or out of order",
            Damage::Missing => "one of its colours is in no JPEG scan",
        };
        Error::input(format!("is damaged: {what}")).mend(AGAIN)
    }
}

/// Decodes a file that [`walk`] has passed; `None` for a kind that is not read here.
///
/// # Errors
/// Headers, tables or coded data that are damaged, or more memory than the limit.
pub(super) fn decode(bytes: &[u8]) -> Result<Option<DynamicImage>> {
    let mut tables = Tables::default();
    let mut decoding: Option<Decoding> = None;
    let mut at = 2;
    loop {
        let marker = markers::next_marker(bytes, &mut at)?;
        match marker {
            0xD9 => break,
            0x01 | 0xD0..=0xD8 => continue,
            _ => {}
        }
        let segment = markers::segment(bytes, &mut at)?;
        match marker {
            0xC4 => tables.huffman(segment)?,
            0xDB => tables.quantisation(segment)?,
            0xDD => tables.restart_interval(segment)?,
            0xE0 => tables.jfif(segment),
            0xEE => tables.adobe(segment),
            0xC0..=0xCF if marker != 0xC8 && marker != 0xCC => {
                if decoding.is_some() {
                    return Err(Damage::Header.into());
                }
                match Picture::new(marker, segment)? {
                    Some(picture) => decoding = Some(Decoding::new(picture)),
                    None => return Ok(None),
                }
            }
            0xDA => {
                let decoding = decoding.as_mut().ok_or(Damage::Header)?;
                let scan = Scan::new(segment, &decoding.picture)?;
                if let Some(image) = decoding.scan(&scan, &tables, bytes, &mut at)? {
                    return Ok(Some(image));
                }
            }
            _ => {}
        }
    }
    let decoding = decoding.ok_or(Damage::Header)?;
    decoding.finish().map(Some)
}

/// A picture between its frame header and its end.
struct Decoding {
    picture: Picture,
    /// The quantisation of each component, from the start of its first scan.
    quantisation: Vec<Option<Block>>,
    /// All coefficients of each component, once there is a scan that is not the only one.
    coefficients: Vec<Coefficients>,
    colours: colour::Space,
}

impl Decoding {
    fn new(picture: Picture) -> Self {
        Decoding {
            quantisation: vec![None; picture.components.len()],
            coefficients: Vec::new(),
            colours: colour::Space::Grey,
            picture,
        }
    }

    /// Reads a scan. One that holds the whole picture gives it.
    fn scan(
        &mut self,
        scan: &Scan,
        tables: &Tables,
        bytes: &[u8],
        at: &mut usize,
    ) -> Result<Option<DynamicImage>> {
        let first = self.quantisation.iter().all(Option::is_none);
        if first {
            self.colours = colour::Space::of(&self.picture, tables);
        }
        for part in &scan.parts {
            let quantisation = &mut self.quantisation[part.component];
            if quantisation.is_none() {
                let number = self.picture.components[part.component].quantisation;
                let table = tables.quantisation.get(number).and_then(Option::as_ref);
                *quantisation = Some(*table.ok_or(Damage::NoTable)?);
            }
        }
        let mut bits = Bits::new(bytes, *at);
        let whole = scan.parts.len() == self.picture.components.len();
        if first && whole && !self.picture.progressive {
            let mut output = self.output(0)?;
            sequential::stream(&self.picture, scan, tables, &mut bits, &mut output)?;
            return Ok(Some(output.into_image()?));
        }
        if first {
            self.output_memory(self.picture.coefficient_bytes())?;
            let blocks = |c: &header::Component| Coefficients::new(c.stored_wide * c.stored_high);
            self.coefficients = self.picture.components.iter().map(blocks).collect();
        }
        let coefficients = &mut self.coefficients;
        if self.picture.progressive {
            progressive::scan(&self.picture, scan, tables, &mut bits, coefficients)?;
        } else {
            sequential::scan(&self.picture, scan, tables, &mut bits, coefficients)?;
        }
        *at = bits.place();
        markers::skip_coded_data(bytes, at);
        Ok(None)
    }

    /// Makes the picture of all the scans.
    fn finish(self) -> Result<DynamicImage> {
        let mut output = self.output(self.picture.coefficient_bytes())?;
        for row in 0..self.picture.mcus_high {
            for (number, component) in self.coefficients.iter().enumerate() {
                output.put_row_of_blocks(row, number, &component.blocks);
            }
            output.finish_row(row);
        }
        output.into_image()
    }

    /// The memory that goes into pixels, beside what is `held`.
    fn output_memory(&self, held: u64) -> Result<()> {
        check_memory(held + Output::memory(&self.picture, self.colours))
    }

    fn output(&self, held: u64) -> Result<Output> {
        self.output_memory(held)?;
        let quantisation: Option<Vec<Block>> = self.quantisation.iter().copied().collect();
        let quantisation = quantisation.ok_or(Damage::Missing)?;
        Ok(Output::new(&self.picture, quantisation, self.colours))
    }
}
