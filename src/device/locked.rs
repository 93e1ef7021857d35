//! Decoded pictures in page-locked memory: threads put them there, and one copy brings them to a card.

use std::sync::{Arc, Mutex, PoisonError};

use super::gpu::HostBuf;
use super::pictures::{Picture, RECORD, Taps, word};
use crate::error::{Error, Result};

/// Bytes of a picture's record.
const RECORD_BYTES: usize = RECORD * size_of::<i32>();

/// A batch of pictures on its way to a card: a record for each place, then tables and pixels as they
/// came. A place without a picture becomes a black square. What a card reads is whole, as in
/// [`Pictures`](super::Pictures).
pub struct LockedPictures {
    size: usize,
    normal: ([f32; 3], [f32; 3]),
    places: usize,
    host: HostBuf,
    used: usize,
}

/// The pictures of a batch while it is filled, from any threads.
pub struct Room<'a>(Mutex<Free<'a>>);

struct Free<'a> {
    size: usize,
    records: &'a mut [[i32; RECORD]],
    rest: &'a mut [u8],
    /// Bytes from the first table or pixel to `rest`.
    at: usize,
    /// Bytes that pictures may take beside what is kept for each place.
    spare: usize,
    used: &'a mut usize,
    /// Tables that pictures share, and the words where they begin.
    known: Vec<(Arc<Taps>, i32)>,
}

/// Bytes that are kept for each place: those of a picture that is as large as its square.
fn kept(size: usize) -> usize {
    // Three words and a weight for each pixel of a side.
    (3 * size * size).next_multiple_of(4) + 2 * size * 4 * size_of::<i32>()
}

impl LockedPictures {
    /// The bytes that a batch of squares of `size` pixels takes at least. So many hold pictures that are
    /// no larger than their squares.
    pub fn least(places: usize, size: usize) -> usize {
        places * (RECORD_BYTES + kept(size))
    }

    /// No pictures yet, for `places` squares of `size` pixels, each sample
    /// `(sample / 255 - mean) / std`; in `host`, of at least [`LockedPictures::least`] bytes.
    ///
    /// # Errors
    /// [`Kind::Internal`](crate::error::Kind::Internal) for less memory, or more than 2 GB.
    pub fn new(
        host: HostBuf,
        places: usize,
        size: usize,
        normal: ([f32; 3], [f32; 3]),
    ) -> Result<Self> {
        let (bytes, least) = (host.len(), LockedPictures::least(places, size));
        if bytes < least || bytes % 4 != 0 || i32::try_from(bytes).is_err() {
            let message = format!("{places} pictures take {least} bytes up to 2 GB, not {bytes}");
            return Err(Error::internal(message).op("preprocess"));
        }
        let used = places * RECORD_BYTES;
        Ok(LockedPictures {
            size,
            normal,
            places,
            host,
            used,
        })
    }

    /// Forgets all pictures, and gives their room when their last copy is done.
    ///
    /// # Errors
    /// What the card failed with.
    pub fn room(&mut self) -> Result<Room<'_>> {
        let (records, rest) = self.host.bytes()?.split_at_mut(self.places * RECORD_BYTES);
        let unfit = |e| Error::internal(format!("staging memory: {e}")).op("preprocess");
        let records: &mut [[i32; RECORD]] = bytemuck::try_cast_slice_mut(records).map_err(unfit)?;
        records.fill([0; RECORD]);
        self.used = self.places * RECORD_BYTES;
        Ok(Room(Mutex::new(Free {
            size: self.size,
            spare: rest.len() - self.places * kept(self.size),
            records,
            rest,
            at: 0,
            used: &mut self.used,
            known: Vec::new(),
        })))
    }

    /// How many squares there are.
    pub fn places(&self) -> usize {
        self.places
    }

    /// Pixels on a side of the squares.
    pub fn size(&self) -> usize {
        self.size
    }

    /// Bytes of a buffer on the card that holds any batch.
    pub fn bytes(&self) -> usize {
        self.host.len()
    }

    /// Bytes of this batch, whole words.
    pub(super) fn used(&self) -> usize {
        self.used
    }

    /// Where tables and pixels begin, in bytes.
    pub(super) fn begin(&self) -> usize {
        self.places * RECORD_BYTES
    }

    /// Mean and deviation of each colour.
    pub(super) fn normal(&self) -> ([f32; 3], [f32; 3]) {
        self.normal
    }

    pub(super) fn host(&mut self) -> &mut HostBuf {
        &mut self.host
    }
}

impl Room<'_> {
    /// Puts a picture at a place, once; false when there is no room for it. There always is for one
    /// that is no larger than its square and stays as it is.
    ///
    /// # Errors
    /// As [`Pictures::push`](super::Pictures::push); no such place, or one that is taken.
    pub fn put(&self, place: usize, picture: &Picture<'_>) -> Result<bool> {
        let mut free = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        picture.check(free.size)?;
        let Some(pixels) = free.take(place, picture)? else {
            return Ok(false);
        };
        // Other threads go on while the pixels are copied.
        drop(free);
        let (own, pad) = pixels.split_at_mut(picture.pixels.len());
        own.copy_from_slice(picture.pixels);
        pad.fill(0);
        Ok(true)
    }
}

impl<'a> Free<'a> {
    /// Writes the record and the tables of a picture; gives the room for its pixels.
    fn take(&mut self, place: usize, picture: &Picture<'_>) -> Result<Option<&'a mut [u8]>> {
        match self.records.get(place) {
            Some(record) if record.iter().all(|&word| word == 0) => {}
            _ => return Err(Error::internal(format!("place {place} is not free")).op("preprocess")),
        }
        let pixels = picture.pixels.len().next_multiple_of(4);
        let needs = pixels + self.extra(picture.across) + self.extra(picture.down);
        let beyond = needs.saturating_sub(kept(self.size));
        if beyond > self.spare || needs > self.rest.len() {
            return Ok(None);
        }
        self.spare -= beyond;
        let (across, down) = (self.table(picture.across)?, self.table(picture.down)?);
        let start = word(self.at)?;
        self.records[place] = picture.record(start, across, down)?;
        Ok(Some(self.cut(pixels)))
    }

    /// The next bytes.
    fn cut(&mut self, bytes: usize) -> &'a mut [u8] {
        let rest = std::mem::take(&mut self.rest);
        let (first, rest) = rest.split_at_mut(bytes.min(rest.len()));
        self.rest = rest;
        self.at += first.len();
        *self.used += first.len();
        first
    }

    fn place_of(&self, taps: &Taps) -> Option<i32> {
        let known = self.known.iter().find(|(known, _)| **known == *taps);
        known.map(|(_, at)| *at)
    }

    /// Bytes that a table takes here.
    fn extra(&self, taps: &Taps) -> usize {
        match self.place_of(taps) {
            Some(_) => 0,
            None => size_of_val(taps.words()),
        }
    }

    /// The word where the table of `taps` begins.
    fn table(&mut self, taps: &Arc<Taps>) -> Result<i32> {
        if let Some(at) = self.place_of(taps) {
            return Ok(at);
        }
        let at = word(self.at / size_of::<i32>())?;
        let bytes: &[u8] = bytemuck::cast_slice(taps.words());
        self.cut(bytes.len()).copy_from_slice(bytes);
        self.known.push((Arc::clone(taps), at));
        Ok(at)
    }
}
