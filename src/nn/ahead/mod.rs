//! How batches reach a card: page-locked memory, three streams, and a few batches under way.
//!
//! ```text
//!   lane 0   fill ---> upload -> arithmetic -> download ---> collect, fill ...
//!   lane 1     fill ---> upload ------> arithmetic -> download ---> collect ...
//! ```
//!
//! Uploads, arithmetic and downloads have a stream each, so that one batch's copies run beside another's
//! arithmetic; events order the three steps of a batch. A lane has buffers of its own on both sides, and
//! all lanes share one plan's memory, since their arithmetic is on one stream.
//!
//! Images go up prepared, or as decoded pictures, which a kernel ahead of the encoder prepares.

mod images;

use std::sync::Arc;

use crate::device::{Buf, Device, HostBuf, LockedPictures, Runner, Stream, Streams};
use crate::error::{Error, Kind, Result};

pub use images::{ImageLane, ImageLanes, LoadPicture, Normal};

/// Batches that there are at a time: two on the card, the others being filled.
pub(super) const LANES: usize = 4;

/// The streams of a card that batches go through.
pub(super) struct Belt {
    device: Arc<dyn Device>,
    up: Stream,
    compute: Stream,
    down: Stream,
}

impl Belt {
    /// New streams; work that was put on the default one before, as of weights, is done.
    pub(super) fn new(device: &Arc<dyn Device>) -> Result<Arc<Belt>> {
        let streams = of(&**device)?;
        device.sync(Stream::DEFAULT)?;
        // Made in one go: a stream that is made while a later one fails lives as long as the device.
        Ok(Arc::new(Belt {
            up: streams.stream()?,
            compute: streams.stream()?,
            down: streams.stream()?,
            device: Arc::clone(device),
        }))
    }

    /// Queues a batch: its inputs, a run, its output.
    pub(super) fn send(
        &self,
        inputs: &mut [HostBuf],
        runner: &mut Runner,
        output: &mut HostBuf,
    ) -> Result<()> {
        let streams = of(&*self.device)?;
        for (from, to) in inputs.iter_mut().zip(runner.ins()) {
            streams.upload_from(from, to, self.up)?;
        }
        streams.wait(self.compute, streams.record(self.up)?)?;
        self.finish(runner, output)
    }

    /// Queues a batch of pictures: their copy, their preparation, a run, its output.
    fn send_pictures(
        &self,
        pictures: &mut LockedPictures,
        staging: &Buf,
        runner: &mut Runner,
        output: &mut HostBuf,
    ) -> Result<()> {
        let streams = of(&*self.device)?;
        let to = &runner.ins()[0];
        streams.prepare_from(pictures, staging, to, self.up, self.compute)?;
        self.finish(runner, output)
    }

    /// Queues a run and its output.
    fn finish(&self, runner: &mut Runner, output: &mut HostBuf) -> Result<()> {
        let streams = of(&*self.device)?;
        runner.run(self.compute)?;
        streams.wait(self.down, streams.record(self.compute)?)?;
        streams.download_to(&runner.outs()[0], output, self.down)
    }
}

impl Drop for Belt {
    fn drop(&mut self) {
        if let Some(streams) = self.device.streams() {
            for stream in [self.up, self.compute, self.down] {
                // What its work failed with was told to whoever waited for a batch.
                let _ = streams.destroy(stream);
            }
        }
    }
}

/// The streams of a device that has some.
pub(super) fn of(device: &dyn Device) -> Result<&dyn Streams> {
    let name = &device.info().name;
    let none = || Error::unsupported(format!("{name} has no streams"));
    device.streams().ok_or_else(none)
}

/// Memory of a card that may be planned for: most of what is left, the rest being the driver's own.
pub(super) fn budget(device: &dyn Device) -> Result<u64> {
    Ok(of(device)?.memory_left()? / 10 * 9)
}

/// The largest of `most`, half of it, and so on to 1 that `make` succeeds with: `fits` says which are
/// worth a try, and a card without room for one goes on to the next. Gives a line where that happened,
/// or where it is less than what was asked for.
pub(super) fn largest<T>(
    (most, asked, what): (usize, bool, &str),
    fits: &dyn Fn(usize) -> Result<bool>,
    make: &mut dyn FnMut(usize) -> Result<T>,
) -> Result<(T, usize, Option<String>)> {
    let (mut size, mut refused) = (most.max(1), None);
    loop {
        if size > 1 && !fits(size)? {
            size /= 2;
            continue;
        }
        match make(size) {
            Err(e) if e.kind() == Kind::Limit && size > 1 => {
                refused.get_or_insert(e);
                size /= 2;
            }
            Err(e) => return Err(e),
            Ok(made) => {
                let less = asked && size < most;
                let note = match refused {
                    Some(e) => Some(format!(
                        "the card has no room for more: {size} {what} at a time ({})",
                        e.message()
                    )),
                    None if less => Some(format!(
                        "{most} {what} at a time do not fit the card's memory: {size} are taken"
                    )),
                    None => None,
                };
                return Ok((made, size, note));
            }
        }
    }
}
