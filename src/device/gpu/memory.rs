//! A card and its memory: allocations that free themselves, and copies that check their bounds.

use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bytemuck::Pod;

use super::driver::{Driver, Stream};
use crate::device::desc::{Buf, Home, Mem};
use crate::error::{Error, Result};

/// One opened card: its driver, its number in this process, and the streams that work was put on.
pub(super) struct Card {
    pub(super) driver: Arc<dyn Driver>,
    number: u64,
    streams: Mutex<HashSet<Stream>>,
}

/// Memory of a card, freed with the last that holds it.
pub(super) struct CardMem {
    card: Arc<Card>,
    address: u64,
    bytes: usize,
}

impl Card {
    pub(super) fn new(driver: Arc<dyn Driver>) -> Arc<Card> {
        static CARDS: AtomicU64 = AtomicU64::new(0);
        Arc::new(Card {
            driver,
            number: CARDS.fetch_add(1, Ordering::Relaxed),
            streams: Mutex::default(),
        })
    }

    pub(super) fn alloc(self: &Arc<Self>, bytes: usize) -> Result<Arc<CardMem>> {
        let address = self.driver.alloc(bytes)?;
        Ok(Arc::new(CardMem {
            card: Arc::clone(self),
            address,
            bytes,
        }))
    }

    /// Memory for `count` values of `T`.
    pub(super) fn array<T: Pod>(self: &Arc<Self>, count: usize) -> Result<Arc<CardMem>> {
        let bytes = count.checked_mul(size_of::<T>());
        let many = || Error::limit(format!("{count} values do not fit a card")).op("alloc");
        self.alloc(bytes.ok_or_else(many)?)
    }

    /// Memory that holds `values`.
    pub(super) fn array_of<T: Pod>(
        self: &Arc<Self>,
        values: &[T],
        stream: Stream,
    ) -> Result<Arc<CardMem>> {
        let mem = self.array::<T>(values.len())?;
        self.use_stream(stream);
        // SAFETY: `mem` is one allocation of this driver, of just these bytes.
        unsafe {
            self.driver
                .upload(mem.address, bytemuck::cast_slice(values), stream)
        }?;
        Ok(mem)
    }

    /// Writes `values` to the front of `mem`.
    pub(super) fn write<T: Pod>(&self, mem: &CardMem, values: &[T], stream: Stream) -> Result<()> {
        self.write_at(mem, 0, values, stream)
    }

    /// Writes `values` to `mem` from byte `at` on.
    pub(super) fn write_at<T: Pod>(
        &self,
        mem: &CardMem,
        at: usize,
        values: &[T],
        stream: Stream,
    ) -> Result<()> {
        self.own(mem, at.saturating_add(size_of_val(values)))?;
        self.use_stream(stream);
        // SAFETY: `own` checked that the range lies within this allocation of this driver.
        unsafe {
            self.driver.upload(
                mem.address + at as u64,
                bytemuck::cast_slice(values),
                stream,
            )
        }
    }

    /// The first `to.len()` values of `mem`.
    pub(super) fn read<T: Pod>(&self, mem: &CardMem, to: &mut [T], stream: Stream) -> Result<()> {
        self.own(mem, size_of_val(to))?;
        // SAFETY: `own` checked that the range lies within this allocation of this driver.
        unsafe {
            self.driver
                .download(mem.address, bytemuck::cast_slice_mut(to), stream)
        }
    }

    pub(super) fn upload(&self, from: &[u8], to: &Buf, stream: Stream) -> Result<()> {
        self.owns(to)?;
        if from.len() != to.desc.bytes() {
            return Err(Error::shape("upload", &[from.len()], &[to.desc.bytes()]));
        }
        self.use_stream(stream);
        // SAFETY: `Buf::new` checked the range against its memory, which `owns` found to be this
        // driver's, and which `to` keeps from being freed.
        unsafe { self.driver.upload(to.address(), from, stream) }
    }

    /// Fills the memory of a packed weight, which `bytes` may be shorter than.
    pub(super) fn fill_memory(&self, bytes: &[u8], to: &Buf, stream: Stream) -> Result<()> {
        self.owns(to)?;
        if !to.is_packed() || bytes.len() > to.mem.bytes() {
            return Err(Error::shape("pack", &[to.mem.bytes()], &[bytes.len()]));
        }
        self.use_stream(stream);
        // SAFETY: the memory is this driver's, has at least so many bytes, and `to` keeps it.
        unsafe { self.driver.upload(to.mem.address(), bytes, stream) }
    }

    pub(super) fn download(&self, from: &Buf, to: &mut [u8], stream: Stream) -> Result<()> {
        self.owns(from)?;
        if to.len() != from.desc.bytes() {
            return Err(Error::shape("download", &[from.desc.bytes()], &[to.len()]));
        }
        // SAFETY: as in `upload`.
        unsafe { self.driver.download(from.address(), to, stream) }
    }

    /// Refuses a buffer of another device.
    pub(super) fn owns(&self, buf: &Buf) -> Result<()> {
        match buf.mem.home() {
            Home::Card(number) if number == self.number => Ok(()),
            _ => Err(Error::internal(format!("{buf:?} is another device's"))),
        }
    }

    /// Notes that work was put on `stream`, so that memory is not freed under it.
    pub(super) fn use_stream(&self, stream: Stream) {
        let mut streams = self.streams.lock().unwrap_or_else(PoisonError::into_inner);
        streams.insert(stream);
    }

    fn own(&self, mem: &CardMem, bytes: usize) -> Result<()> {
        match mem.card.number == self.number && bytes <= mem.bytes {
            true => Ok(()),
            false => Err(Error::internal(format!(
                "{bytes} bytes are not within {}",
                mem.bytes
            ))),
        }
    }
}

impl CardMem {
    pub(super) fn at(&self) -> u64 {
        self.address
    }

    pub(super) fn size(&self) -> usize {
        self.bytes
    }
}

// SAFETY: the driver's allocation is aligned to 256, has `bytes` bytes and is freed by Drop alone.
unsafe impl Mem for CardMem {
    fn address(&self) -> u64 {
        self.address
    }

    fn bytes(&self) -> usize {
        self.bytes
    }

    fn home(&self) -> Home {
        Home::Card(self.card.number)
    }
}

impl Drop for CardMem {
    fn drop(&mut self) {
        let streams = &self.card.streams;
        let used: Vec<Stream> = {
            let streams = streams.lock().unwrap_or_else(PoisonError::into_inner);
            streams.iter().copied().collect()
        };
        // What these calls could report, the next call that is not a drop reports too.
        for stream in used {
            let _ = self.card.driver.sync(stream);
        }
        // SAFETY: `alloc` gave the address, this is its only owner, and all streams that work was put
        // on have just been waited for.
        let _ = unsafe { self.card.driver.free(self.address) };
    }
}
