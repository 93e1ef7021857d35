//! What a card can do beside [`Device`](super::Device): several streams, copies that run beside other
//! work, and work that is taken down once and put on a stream again as a whole.

use std::sync::Arc;

use super::desc::{Buf, DType, Mem};
use super::gpu::driver::{Event, Stream};
use super::gpu::{HostBuf, Tape};
use super::locked::LockedPictures;
use crate::error::Result;

/// Streams, page-locked memory and recordings of a card.
///
/// Work of one stream runs in its order; work of two in any order that events do not forbid. Nobody
/// frees a buffer under queued work: memory waits for all streams when it is dropped.
///
/// # Errors
/// Each method fails with what its driver says, the call named.
pub trait Streams: Send + Sync {
    /// A new stream.
    fn stream(&self) -> Result<Stream>;

    /// Waits for a stream and gives it back.
    fn destroy(&self, stream: Stream) -> Result<()>;

    /// Marks the present end of a stream.
    fn record(&self, stream: Stream) -> Result<Event>;

    /// Makes later work of `stream` wait for `event`.
    fn wait(&self, stream: Stream, event: Event) -> Result<()>;

    /// Waits on the host until all work before `event` is done.
    fn reach(&self, event: Event) -> Result<()>;

    /// Seconds of the card for what `work` puts on `stream`; waits for it.
    fn time(&self, stream: Stream, work: &mut dyn FnMut() -> Result<()>) -> Result<f64>;

    /// Page-locked memory of `bytes` zeros.
    fn host(&self, bytes: usize) -> Result<HostBuf>;

    /// Queues a copy of the first bytes of `from` that fills `to`.
    fn upload_from(&self, from: &mut HostBuf, to: &Buf, stream: Stream) -> Result<()>;

    /// Queues a copy of `from` to the first bytes of `to`.
    fn download_to(&self, from: &Buf, to: &mut HostBuf, stream: Stream) -> Result<()>;

    /// Whether [`Streams::prepare_from`] makes squares of `dtype`.
    fn prepares(&self, dtype: DType) -> bool;

    /// As [`Device::preprocess`](super::Device::preprocess), of pictures in page-locked memory, each at
    /// its place: queues their copy to `staging`, of [`LockedPictures::bytes`] bytes, on `up`, and the
    /// kernel behind it on `compute`.
    fn prepare_from(
        &self,
        pictures: &mut LockedPictures,
        staging: &Buf,
        out: &Buf,
        up: Stream,
        compute: Stream,
    ) -> Result<()>;

    /// Takes down what `work` puts on `stream`, without running it. It may launch kernels that were
    /// launched before, and neither allocate nor wait. `holds` is the memory that it reads and writes.
    fn tape(
        &self,
        stream: Stream,
        holds: Vec<Arc<dyn Mem>>,
        work: &mut dyn FnMut() -> Result<()>,
    ) -> Result<Tape>;

    /// Queues the work of a tape.
    fn play(&self, tape: &Tape, stream: Stream) -> Result<()>;

    /// Bytes that can still be allocated: what is free, within the limit.
    fn memory_left(&self) -> Result<u64>;

    /// The most bytes that this device had allocated at a time.
    fn memory_peak(&self) -> u64;

    /// Lets all allocations of this device together have `most` bytes.
    fn limit_memory(&self, most: u64);
}
