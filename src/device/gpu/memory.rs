//! A card and its memory: allocations that free themselves within a limit, and copies that check their
//! bounds.

use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::ThreadId;

use bytemuck::Pod;

use super::driver::{Driver, Recording, Stream};
use crate::device::desc::{Buf, Home, Mem};
use crate::error::{Error, Result};

/// One opened card: its driver, its number in this process, and the streams that work was put on.
pub(super) struct Card {
    pub(super) driver: Arc<dyn Driver>,
    number: u64,
    streams: Mutex<HashSet<Stream>>,
    /// Bytes that are allocated, and how many may be.
    held: Mutex<Held>,
    captures: Mutex<Captures>,
}

struct Held {
    bytes: u64,
    most: u64,
    peak: u64,
}

/// Threads that capture work, and what has to be freed when none does.
#[derive(Default)]
struct Captures {
    threads: Vec<ThreadId>,
    late: Vec<(u64, usize)>,
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
            held: Mutex::new(Held {
                bytes: 0,
                most: u64::MAX,
                peak: 0,
            }),
            captures: Mutex::default(),
        })
    }

    pub(super) fn alloc(self: &Arc<Self>, bytes: usize) -> Result<Arc<CardMem>> {
        self.reserve(bytes)?;
        let address = self
            .driver
            .alloc(bytes)
            .inspect_err(|_| self.give_back(bytes))?;
        Ok(Arc::new(CardMem {
            card: Arc::clone(self),
            address,
            bytes,
        }))
    }

    /// Lets all allocations together have `most` bytes from now on.
    pub(super) fn limit(&self, most: u64) {
        lock(&self.held).most = most;
    }

    /// Bytes that can still be allocated: what is free, within the limit.
    pub(super) fn left(&self) -> Result<u64> {
        let (free, _) = self.driver.memory()?;
        let held = lock(&self.held);
        Ok(free.min(held.most.saturating_sub(held.bytes)))
    }

    /// The most bytes that were allocated at a time.
    pub(super) fn peak(&self) -> u64 {
        lock(&self.held).peak
    }

    /// Counts an allocation against the limit.
    fn reserve(&self, bytes: usize) -> Result<()> {
        let mut held = lock(&self.held);
        let after = held.bytes.saturating_add(bytes as u64);
        if after > held.most {
            let (have, most) = (held.bytes, held.most);
            let message = format!(
                "{bytes} bytes of the card's memory beside {have} are more than the limit of {most}"
            );
            return Err(Error::limit(message)
                .op("alloc")
                .mend("give a larger --device-memory, or use --device cpu"));
        }
        held.bytes = after;
        held.peak = held.peak.max(after);
        Ok(())
    }

    fn give_back(&self, bytes: usize) {
        let mut held = lock(&self.held);
        held.bytes = held.bytes.saturating_sub(bytes as u64);
    }

    /// Takes down the work that `work` puts on `stream`, and does not run it. No memory is freed
    /// meanwhile: that would wait for the stream.
    pub(super) fn capture(
        &self,
        stream: Stream,
        work: &mut dyn FnMut() -> Result<()>,
    ) -> Result<Recording> {
        let thread = std::thread::current().id();
        lock(&self.captures).threads.push(thread);
        let recording = self.driver.capture(stream).and_then(|()| {
            let done = work();
            // Ended whatever became of the work, whose error says more.
            let recording = self.driver.captured(stream);
            match done {
                Ok(()) => recording,
                Err(error) => {
                    if let Ok(recording) = recording {
                        let _ = self.driver.forget(recording);
                    }
                    Err(error)
                }
            }
        });
        let mut captures = lock(&self.captures);
        if let Some(at) = captures.threads.iter().position(|t| *t == thread) {
            captures.threads.swap_remove(at);
        }
        if captures.threads.is_empty() {
            let late = std::mem::take(&mut captures.late);
            late.into_iter()
                .for_each(|(at, bytes)| self.free(at, bytes));
        }
        recording
    }

    /// Whether this thread is inside [`Card::capture`].
    pub(super) fn captures(&self) -> bool {
        let captures = lock(&self.captures);
        captures.threads.contains(&std::thread::current().id())
    }

    /// Frees memory that nobody names any more, when the work on it is done.
    fn free(&self, address: u64, bytes: usize) {
        let used: Vec<Stream> = lock(&self.streams).iter().copied().collect();
        // What these calls could report, the next call that is not a drop reports too.
        for stream in used {
            let _ = self.driver.sync(stream);
        }
        // SAFETY: `alloc` gave the address to the one CardMem that asks for this, once, and all streams
        // that work was put on have just been waited for.
        let _ = unsafe { self.driver.free(address) };
        self.give_back(bytes);
    }

    /// Waits for a stream and gives it back.
    pub(super) fn destroy(&self, stream: Stream) -> Result<()> {
        lock(&self.streams).remove(&stream);
        self.driver.destroy(stream)
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
        lock(&self.streams).insert(stream);
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
        // Held while memory is freed, so that no capture begins meanwhile.
        let mut captures = lock(&self.card.captures);
        match captures.threads.is_empty() {
            true => self.card.free(self.address, self.bytes),
            false => captures.late.push((self.address, self.bytes)),
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What the locks guard is changed in single steps, so a panic elsewhere leaves it whole.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
