//! Page-locked memory of the host, recordings, and the streams of a card.

use std::ptr::NonNull;
use std::sync::Arc;

use super::driver::{Event, Recording, Stream};
use super::engine::GpuDevice;
use super::launch_preprocess;
use super::memory::Card;
use crate::device::desc::{Buf, DType, Desc, Mem};
use crate::device::locked::LockedPictures;
use crate::device::streams::Streams;
use crate::error::{Error, Result};

/// Page-locked memory of the host, which a card reads and writes beside its other work. Whoever wants
/// the bytes waits for the last copy.
pub struct HostBuf {
    card: Arc<Card>,
    at: NonNull<u8>,
    bytes: usize,
    /// After each copy that was not waited for.
    busy: Vec<Event>,
}

// SAFETY: the memory is this value's alone, but for copies that `busy` stands for.
unsafe impl Send for HostBuf {}
// SAFETY: shared access gives its length alone.
unsafe impl Sync for HostBuf {}

impl HostBuf {
    fn new(card: &Arc<Card>, bytes: usize) -> Result<HostBuf> {
        let at = card.driver.host_alloc(bytes)?;
        // A driver's memory holds anything at first.
        // SAFETY: the allocation has so many bytes, and nobody else knows of it yet.
        unsafe { at.as_ptr().write_bytes(0, bytes) };
        Ok(HostBuf {
            card: Arc::clone(card),
            at,
            bytes,
            busy: Vec::new(),
        })
    }

    /// How many bytes it has.
    pub fn len(&self) -> usize {
        self.bytes
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.bytes == 0
    }

    /// The bytes, when the last copy from or to them is done.
    ///
    /// # Errors
    /// What work before the copy failed with.
    pub fn bytes(&mut self) -> Result<&mut [u8]> {
        while let Some(&event) = self.busy.last() {
            self.card.driver.reach(event)?;
            self.busy.pop();
        }
        // SAFETY: the allocation has so many bytes and was filled by `new`; no copy is under way, and
        // none begins while the slice borrows this value.
        Ok(unsafe { std::slice::from_raw_parts_mut(self.at.as_ptr(), self.bytes) })
    }

    /// Notes a copy that was just queued on `stream`.
    fn copied(&mut self, stream: Stream) -> Result<()> {
        let event = self.card.driver.record(stream).inspect_err(|_| {
            // Nothing marks the end of this copy: wait for it.
            let _ = self.card.driver.sync(stream);
        })?;
        self.busy.push(event);
        Ok(())
    }
}

impl Drop for HostBuf {
    fn drop(&mut self) {
        if self.bytes().is_err() {
            // Work before a copy failed, and the copy may yet come: the memory stays.
            return;
        }
        // SAFETY: allocated by `new`, freed here alone, and no copy is under way.
        let _ = unsafe { self.card.driver.host_free(self.at) };
    }
}

/// Work that was taken down from a stream; see [`Streams::tape`].
pub struct Tape {
    card: Arc<Card>,
    recording: Recording,
    /// What its work reads and writes.
    _holds: Vec<Arc<dyn Mem>>,
}

impl Drop for Tape {
    fn drop(&mut self) {
        // A refusal has nobody to go to.
        let _ = self.card.driver.forget(self.recording);
    }
}

impl GpuDevice {
    /// Bytes of a buffer that a copy of `bytes` from or to page-locked memory fits.
    fn fits(&self, buf: &Buf, host: &HostBuf, op: &'static str) -> Result<usize> {
        self.card.owns(buf)?;
        if self.card.captures() {
            // Its events would mark nothing.
            return Err(Error::internal("not inside a capture").op(op));
        }
        let bytes = buf.desc.bytes();
        match Arc::ptr_eq(&self.card, &host.card) && bytes <= host.bytes {
            true => Ok(bytes),
            false => Err(Error::shape(op, &[host.bytes], &[bytes])),
        }
    }
}

impl Streams for GpuDevice {
    fn stream(&self) -> Result<Stream> {
        self.card.driver.stream()
    }

    fn destroy(&self, stream: Stream) -> Result<()> {
        self.card.destroy(stream)
    }

    fn record(&self, stream: Stream) -> Result<Event> {
        self.card.driver.record(stream)
    }

    fn wait(&self, stream: Stream, event: Event) -> Result<()> {
        self.card.driver.wait(stream, event)
    }

    fn reach(&self, event: Event) -> Result<()> {
        self.card.driver.reach(event)
    }

    fn time(&self, stream: Stream, work: &mut dyn FnMut() -> Result<()>) -> Result<f64> {
        let driver = &self.card.driver;
        let from = driver.record_timed(stream)?;
        let done = work().and_then(|()| driver.record_timed(stream));
        let seconds = done.and_then(|to| {
            let seconds = driver.elapsed(from, to);
            driver.release(to).and(seconds)
        });
        driver.release(from).and(seconds)
    }

    fn host(&self, bytes: usize) -> Result<HostBuf> {
        HostBuf::new(&self.card, bytes)
    }

    fn upload_from(&self, from: &mut HostBuf, to: &Buf, stream: Stream) -> Result<()> {
        let bytes = self.fits(to, from, "upload")?;
        self.card.use_stream(stream);
        // SAFETY: `fits` checked both ranges; `to` keeps its memory, which is freed after the streams
        // are waited for; the host's bytes are given out after `busy` alone.
        unsafe {
            self.card
                .driver
                .upload_locked(to.address(), from.at, bytes, stream)
        }?;
        from.copied(stream)
    }

    fn download_to(&self, from: &Buf, to: &mut HostBuf, stream: Stream) -> Result<()> {
        let bytes = self.fits(from, to, "download")?;
        self.card.use_stream(stream);
        // SAFETY: as in `upload_from`.
        unsafe {
            self.card
                .driver
                .download_locked(from.address(), to.at, bytes, stream)
        }?;
        to.copied(stream)
    }

    fn prepares(&self, dtype: DType) -> bool {
        self.has(&[launch_preprocess::kernel(dtype)])
    }

    fn prepare_from(
        &self,
        pictures: &mut LockedPictures,
        staging: &Buf,
        out: &Buf,
        up: Stream,
        compute: Stream,
    ) -> Result<()> {
        self.needs(&[launch_preprocess::kernel(out.desc.dtype)], "preprocess")?;
        self.card.owns(out)?;
        launch_preprocess::check_locked(pictures, staging, out)?;
        if out.desc.is_empty() {
            return Ok(());
        }
        let used = Desc::new(&[pictures.used() / 4], DType::U32);
        let to = Buf::new(used, Arc::clone(&staging.mem), staging.at)?;
        self.upload_from(pictures.host(), &to, up)?;
        self.wait(compute, self.record(up)?)?;
        self.card.use_stream(compute);
        let begin = to.address() + pictures.begin() as u64;
        let from = [to.address(), begin, begin];
        // SAFETY: a `LockedPictures` has a record for each place, and its records and tables name bytes
        // that are in use alone, or nothing; the copy of all of these was queued right before, and
        // `compute` waits for it; `check_locked` saw to shapes and overlap, `owns` to the card, and
        // memory is freed after the streams are waited for.
        unsafe { launch_preprocess::launch(&self.card, from, pictures.normal(), out, compute) }
    }

    fn tape(
        &self,
        stream: Stream,
        holds: Vec<Arc<dyn Mem>>,
        work: &mut dyn FnMut() -> Result<()>,
    ) -> Result<Tape> {
        Ok(Tape {
            recording: self.card.capture(stream, work)?,
            card: Arc::clone(&self.card),
            _holds: holds,
        })
    }

    fn play(&self, tape: &Tape, stream: Stream) -> Result<()> {
        if !Arc::ptr_eq(&self.card, &tape.card) {
            return Err(Error::internal("a recording is another device's"));
        }
        self.card.use_stream(stream);
        // SAFETY: the tape holds the memory of its work, which is freed after all streams were waited
        // for.
        unsafe { self.card.driver.replay(tape.recording, stream) }
    }

    fn memory_left(&self) -> Result<u64> {
        self.card.left()
    }

    fn memory_peak(&self) -> u64 {
        self.card.peak()
    }

    fn limit_memory(&self, most: u64) {
        self.card.limit(most);
    }
}
