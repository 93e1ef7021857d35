//! Decoded pictures on their way to a card, with the weights that they are resampled by.

use std::sync::Arc;

use crate::error::{Error, Result};

/// How one side of a picture is resampled: for each pixel that is made, the pixels under its window and
/// their weights, whole numbers with 22 fractional bits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taps {
    /// Three numbers a pixel that is made (the first pixel under it, how many, and where their weights
    /// begin), then weights.
    words: Vec<i32>,
    made: usize,
    side: usize,
}

impl Taps {
    /// The windows of a side of `side` pixels, each its first pixel and a weight for each pixel under it.
    ///
    /// # Errors
    /// [`Kind::Internal`](crate::error::Kind::Internal) for no windows, one that reaches over the side, or
    /// one that begins or ends before the one before it.
    pub fn new<'a>(
        side: usize,
        windows: impl ExactSizeIterator<Item = (usize, &'a [i32])> + Clone,
    ) -> Result<Taps> {
        let made = windows.len();
        let mut words = Vec::with_capacity(4 * made);
        let (mut begins, mut ends, mut at) = (0, 0, 3 * made);
        for (first, weights) in windows.clone() {
            let end = first + weights.len();
            if end > side || first < begins || end < ends || weights.is_empty() {
                let message = format!("a window from {first} to {end} of {side} pixels");
                return Err(Error::internal(message).op("preprocess"));
            }
            (begins, ends) = (first, end);
            words.extend([word(first)?, word(weights.len())?, word(at)?]);
            at += weights.len();
        }
        windows.for_each(|(_, weights)| words.extend_from_slice(weights));
        match made {
            0 => Err(Error::internal("no windows").op("preprocess")),
            _ => Ok(Taps { words, made, side }),
        }
    }

    /// How many pixels are made.
    pub fn made(&self) -> usize {
        self.made
    }

    pub(super) fn words(&self) -> &[i32] {
        &self.words
    }
}

/// A decoded picture and how it becomes a part of an encoder's square.
#[derive(Debug, Clone, Copy)]
pub struct Picture<'a> {
    /// Red, green and blue, pixel by pixel, row by row.
    pub pixels: &'a [u8],
    /// Pixels of a row.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// What the rows are resampled by.
    pub across: &'a Arc<Taps>,
    /// What the columns are resampled by.
    pub down: &'a Arc<Taps>,
    /// Whether columns are resampled before rows; the samples between the two are 8 bits.
    pub down_first: bool,
    /// The column and the row of the square where the result stands; the rest is black.
    pub at: [usize; 2],
}

impl Picture<'_> {
    /// Refuses one whose pixels, sides, weights and place in a square of `size` do not go together.
    pub(super) fn check(&self, size: usize) -> Result<()> {
        let Picture { width, height, .. } = *self;
        let (columns, rows) = (self.across.made, self.down.made);
        let [column, row] = self.at;
        let own = 3 * width * height == self.pixels.len()
            && (self.across.side, self.down.side) == (width, height);
        let fits = column + columns <= size && row + rows <= size;
        match own && fits && !self.pixels.is_empty() {
            true => Ok(()),
            false => {
                let (from, to) = ([height, width, 3], [row + rows, column + columns, 3]);
                Err(Error::shape("preprocess", &from, &to))
            }
        }
    }

    /// The record of a picture whose pixels and tables begin there.
    pub(super) fn record(&self, start: i32, across: i32, down: i32) -> Result<[i32; RECORD]> {
        Ok([
            start,
            word(self.width)?,
            across,
            down,
            word(self.across.made)?,
            word(self.down.made)?,
            word(self.at[0])?,
            word(self.at[1])?,
            i32::from(self.down_first),
            0,
        ])
    }
}

/// Pictures of several sizes that become one batch of squares. What a card reads is whole: records, tables
/// and pixels name nothing outside of them.
#[derive(Debug, Clone)]
pub struct Pictures {
    size: usize,
    mean: [f32; 3],
    std: [f32; 3],
    records: Vec<[i32; RECORD]>,
    tables: Vec<i32>,
    pixels: Vec<u8>,
    /// Where tables begin that pictures share.
    known: Vec<(Arc<Taps>, i32)>,
}

/// Words of a picture's record; see `kernels/preprocess/prepare.cu`.
pub(super) const RECORD: usize = 10;

/// A number as kernels read it.
pub(super) fn word(n: usize) -> Result<i32> {
    let many = |_| {
        let message = format!("{n} is beyond what one batch of pictures may hold");
        Error::limit(message).mend("stage fewer pictures at once")
    };
    i32::try_from(n).map_err(many)
}

impl Pictures {
    /// No pictures yet, for squares of `size` pixels, each sample `(sample / 255 - mean) / std`.
    pub fn new(size: usize, mean: [f32; 3], std: [f32; 3]) -> Self {
        Pictures {
            size,
            mean,
            std,
            records: Vec::new(),
            tables: Vec::new(),
            pixels: Vec::new(),
            known: Vec::new(),
        }
    }

    /// Adds a picture.
    ///
    /// # Errors
    /// [`Kind::Shape`](crate::error::Kind::Shape) when pixels, sides, weights and the place in the square
    /// do not go together; [`Kind::Limit`](crate::error::Kind::Limit) for more than 2 GB in one batch.
    pub fn push(&mut self, picture: &Picture<'_>) -> Result<()> {
        picture.check(self.size)?;
        let start = self.pixels.len().next_multiple_of(4);
        let after = word(start + picture.pixels.len() + 4)?;
        debug_assert!(after > 0);
        let (across, down) = (self.table(picture.across)?, self.table(picture.down)?);
        let record = picture.record(word(start)?, across, down)?;
        self.pixels.extend_from_slice(picture.pixels);
        self.pixels.resize(self.pixels.len().next_multiple_of(4), 0);
        self.records.push(record);
        Ok(())
    }

    /// Where the table of `taps` begins.
    fn table(&mut self, taps: &Arc<Taps>) -> Result<i32> {
        if let Some((_, at)) = self
            .known
            .iter()
            .find(|(known, _)| Arc::ptr_eq(known, taps))
        {
            return Ok(*at);
        }
        let at = word(self.tables.len())?;
        word(self.tables.len() + taps.words.len())?;
        self.tables.extend_from_slice(&taps.words);
        self.known.push((Arc::clone(taps), at));
        Ok(at)
    }

    /// Forgets all pictures, and keeps the memory for others.
    pub fn clear(&mut self) {
        self.records.clear();
        self.tables.clear();
        self.pixels.clear();
        self.known.clear();
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// Pixels on a side of the squares.
    pub fn size(&self) -> usize {
        self.size
    }

    /// Bytes of a staging buffer that holds them all; see
    /// [`Device::preprocess`](super::Device::preprocess).
    pub fn bytes(&self) -> usize {
        self.parts().iter().map(|part| part.len()).sum()
    }

    /// Records, tables and pixels, each of whole words.
    pub(super) fn parts(&self) -> [&[u8]; 3] {
        let records = bytemuck::cast_slice(&self.records);
        [records, bytemuck::cast_slice(&self.tables), &self.pixels]
    }

    /// Mean and deviation of each colour.
    pub(super) fn normal(&self) -> ([f32; 3], [f32; 3]) {
        (self.mean, self.std)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taps(side: usize, windows: &[(usize, &[i32])]) -> Result<Taps> {
        Taps::new(side, windows.iter().copied())
    }

    #[test]
    fn windows_stay_within_their_side_and_in_order() {
        let good = taps(4, &[(0, &[1, 2]), (0, &[3, 4, 5]), (3, &[6])]).unwrap();
        assert_eq!(good.words, [0, 2, 9, 0, 3, 11, 3, 1, 14, 1, 2, 3, 4, 5, 6]);
        assert_eq!(good.made(), 3);
        assert!(taps(4, &[(3, &[1, 2])]).is_err());
        assert!(taps(4, &[(1, &[1]), (0, &[1, 2])]).is_err());
        assert!(taps(4, &[(0, &[1, 2]), (0, &[1])]).is_err());
        assert!(taps(4, &[(0, &[])]).is_err());
        assert!(taps(4, &[]).is_err());
    }

    #[test]
    fn a_picture_that_does_not_fit_is_an_error() {
        let two = Arc::new(taps(2, &[(0, &[1]), (1, &[1])]).unwrap());
        let three = Arc::new(taps(3, &[(0, &[1, 1])]).unwrap());
        let pixels = [7; 18];
        let good = Picture {
            pixels: &pixels,
            width: 2,
            height: 3,
            across: &two,
            down: &three,
            down_first: false,
            at: [1, 2],
        };
        let mut all = Pictures::new(3, [0.0; 3], [1.0; 3]);
        all.push(&good).unwrap();
        all.push(&good).unwrap();
        // The tables are there once, the second picture's pixels at a multiple of four.
        assert_eq!(all.records[1][..4], [20, 2, 0, 8]);
        assert_eq!((all.len(), all.bytes()), (2, 2 * 40 + 4 * 13 + 40));
        for bad in [
            Picture { at: [2, 2], ..good },
            Picture { at: [1, 3], ..good },
            Picture { width: 3, ..good },
            Picture {
                pixels: &pixels[1..],
                ..good
            },
            Picture {
                across: &three,
                ..good
            },
            Picture {
                pixels: &[],
                width: 0,
                ..good
            },
        ] {
            assert!(all.push(&bad).is_err());
        }
        assert_eq!(all.len(), 2);
        all.clear();
        assert!(all.is_empty() && all.bytes() == 0 && all.size() == 3);
    }
}
