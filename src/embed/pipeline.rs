//! Load, encode and write, all at once.
//!
//! Batches are loaded on rayon's pool, each item a task, while the batch before is encoded on the
//! same pool: no thread is idle as long as there is either kind of work, and no more threads run than
//! the pool has, on 2 cores as on 64. A thread of its own takes the vectors to the sink. At most
//! [`MAX_LIVE_BATCHES`] batches are live; the next one is begun when one has been encoded.

use std::collections::BTreeMap;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, SyncSender, TryRecvError, channel, sync_channel};
use std::time::Duration;

use rayon::prelude::*;

use super::flow::{Failure, Flow, Stopwatch};
use crate::error::{Error, Result};
use crate::limits::{MAX_BATCH, MAX_LIVE_BATCHES, MAX_PREPARED_BYTES};

/// What is to be embedded.
pub trait Items: Sync {
    /// How many there are.
    fn count(&self) -> usize;

    /// Fills `out`, of [`Encode::item_len`] values, with item `item` as the encoder wants it. Called
    /// from many threads, about in order, once for each item.
    ///
    /// # Errors
    /// The item's own: the run goes on without it. A panic counts as one.
    fn load(&self, item: usize, out: &mut [f32]) -> Result<()>;
}

/// What turns prepared items into vectors.
pub trait Encode: Sync {
    /// How many values a prepared item has.
    fn item_len(&self) -> usize;

    /// How many values a vector has.
    fn dims(&self) -> usize;

    /// Encodes the items that stand one after the other in `items` into `out`, in the same order. An
    /// item's vector does not depend on its neighbours. It may work on rayon's pool.
    ///
    /// # Errors
    /// Any error ends the run.
    fn encode(&self, items: &[f32], out: &mut [f32]) -> Result<()>;
}

/// The batch size for items of `item_len` values: `wanted`, or by default one that keeps every thread
/// busy; never so many that the live batches pass [`MAX_PREPARED_BYTES`].
///
/// # Errors
/// [`Kind::Limit`](crate::error::Kind::Limit) for a `wanted` of 0 or above [`MAX_BATCH`].
pub fn batch_for(wanted: Option<usize>, item_len: usize) -> Result<usize> {
    if wanted.is_some_and(|n| n == 0 || n > MAX_BATCH) {
        return Err(
            Error::limit(format!("a batch of {} items", wanted.unwrap_or(0)))
                .mend(format!("give 1 to {MAX_BATCH}")),
        );
    }
    let batch = wanted.unwrap_or_else(|| rayon::current_num_threads().clamp(8, 64));
    let bytes = item_len.max(1).saturating_mul(size_of::<f32>());
    let room = MAX_PREPARED_BYTES / MAX_LIVE_BATCHES / bytes;
    Ok(batch.min(room).max(1))
}

/// Loads and encodes every item of `items` in batches of `batch` and hands each vector to
/// `sink(item, vector)`, in the order of the items, from another thread. Items that cannot be loaded
/// are left out and told in [`Flow::failures`].
///
/// The vectors do not depend on the number of threads. `progress` is called with the number of items
/// that are done, failed ones included.
///
/// # Errors
/// The first error of the encoder or the sink; everything has stopped when it is returned.
///
/// # Panics
/// When the encoder or the sink does, and everything has stopped.
pub fn stream(
    items: &dyn Items,
    encoder: &dyn Encode,
    batch: usize,
    sink: &mut (dyn FnMut(usize, &mut [f32]) -> Result<()> + Send),
    progress: &(dyn Fn(usize) + Sync),
) -> Result<Flow> {
    let (encoding, writing) = (Stopwatch::default(), Stopwatch::default());
    let (to_sink, vectors) = sync_channel::<Encoded>(1);
    let mut flow = std::thread::scope(|threads| {
        let written = threads.spawn(|| write(vectors, encoder.dims(), sink, &writing));
        let stage = Encoding {
            items,
            encoder,
            batch: batch.max(1),
            encoding: &encoding,
            progress,
        };
        let encoded = stage.run(to_sink);
        let written = written.join();
        // The sink's error comes first: it is why the encoder found nobody to take its vectors.
        match written {
            Ok(result) => result.and(encoded),
            Err(panic) => std::panic::resume_unwind(panic),
        }
    })?;
    flow.encode_seconds = encoding.seconds();
    flow.write_seconds = writing.seconds();
    Ok(flow)
}

/// A batch that was loaded: the items that could be, one after the other.
struct Loaded {
    number: usize,
    items: Vec<usize>,
    values: Vec<f32>,
    failures: Vec<Failure>,
}

/// A loaded batch, or the panic that it ended in.
type Message = std::thread::Result<Loaded>;

/// The vectors of a batch.
struct Encoded {
    items: Vec<usize>,
    values: Vec<f32>,
}

/// The middle of the pipeline: hands out the batches and encodes them in order.
struct Encoding<'a> {
    items: &'a dyn Items,
    encoder: &'a dyn Encode,
    batch: usize,
    encoding: &'a Stopwatch,
    progress: &'a (dyn Fn(usize) + Sync),
}

/// Sets a flag when it is dropped, by an error or a panic too.
struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Encoding<'_> {
    fn run(&self, to_sink: SyncSender<Encoded>) -> Result<Flow> {
        let (loading, waiting) = (Stopwatch::default(), Stopwatch::default());
        let over = AtomicBool::new(false);
        let count = self.items.count().div_ceil(self.batch);
        let mut flow = Flow::default();
        let outcome = rayon::in_place_scope(|scope| {
            // Batches that are still to be loaded when this ends are not.
            let _stop = Stop(&over);
            let (done, loaded) = channel();
            let begin = |number: usize, buffer: Vec<f32>, done: Sender<Message>| {
                let (loading, over) = (&loading, &over);
                scope.spawn(move |_| {
                    let work = || self.load(number, buffer, loading, over);
                    // Unwind safety: the panic goes on in the thread that waits for this batch.
                    // Nobody listens any more after an error.
                    let _ = done.send(catch_unwind(AssertUnwindSafe(work)));
                });
            };
            for number in 0..count.min(MAX_LIVE_BATCHES) {
                begin(number, Vec::new(), done.clone());
            }
            let mut early = BTreeMap::new();
            for number in 0..count {
                let batch = waiting.time(|| in_turn(number, &loaded, &mut early))?;
                let buffer = self.take(batch, &to_sink, &mut flow)?;
                if number + MAX_LIVE_BATCHES < count {
                    begin(number + MAX_LIVE_BATCHES, buffer, done.clone());
                }
            }
            Ok(())
        });
        flow.load_seconds = loading.seconds();
        flow.wait_seconds = waiting.seconds();
        outcome.map(|()| flow)
    }

    /// Encodes a batch and sends its vectors on; gives the buffer back.
    fn take(
        &self,
        batch: Loaded,
        to_sink: &SyncSender<Encoded>,
        flow: &mut Flow,
    ) -> Result<Vec<f32>> {
        let mut vectors = vec![0.0; batch.items.len() * self.encoder.dims()];
        if !batch.items.is_empty() {
            // Inside the pool, so that the encoder's own parallel parts begin without a wait.
            let encode = || rayon::scope(|_| self.encoder.encode(&batch.values, &mut vectors));
            self.encoding.time(encode)?;
        }
        flow.encoded += batch.items.len();
        flow.failures.extend(batch.failures);
        let encoded = Encoded {
            items: batch.items,
            values: vectors,
        };
        if to_sink.send(encoded).is_err() {
            return Err(Error::internal("the vectors were not taken").op("embed"));
        }
        (self.progress)(flow.encoded + flow.failures.len());
        Ok(batch.values)
    }

    /// Loads batch `number` into `buffer`.
    fn load(
        &self,
        number: usize,
        buffer: Vec<f32>,
        loading: &Stopwatch,
        over: &AtomicBool,
    ) -> Loaded {
        let first = number * self.batch;
        let range = first..(first + self.batch).min(self.items.count());
        let mut values = buffer;
        let length = self.encoder.item_len();
        values.resize(range.len() * length, 0.0);
        let outcomes: Vec<Result<()>> = if length == 0 {
            range.clone().map(|i| self.load_one(i, &mut [])).collect()
        } else {
            let places = values.par_chunks_exact_mut(length).with_max_len(1);
            let one = |(place, out): (usize, &mut [f32])| {
                if over.load(Ordering::Relaxed) {
                    return Err(Error::internal("stopped").op("embed"));
                }
                loading.time(|| self.load_one(first + place, out))
            };
            places.enumerate().map(one).collect()
        };
        keep(number, range, length, values, outcomes)
    }

    fn load_one(&self, item: usize, out: &mut [f32]) -> Result<()> {
        // Unwind safety: what a panic leaves half-written in `out` is not used.
        catch_unwind(AssertUnwindSafe(|| self.items.load(item, out))).unwrap_or_else(|_| {
            Err(Error::internal("could not be read: its decoder broke down")
                .mend("fetch it again, or save it anew"))
        })
    }
}

/// Moves the items that were loaded together and sorts out the others.
fn keep(
    number: usize,
    range: Range<usize>,
    length: usize,
    mut values: Vec<f32>,
    outcomes: Vec<Result<()>>,
) -> Loaded {
    let (mut items, mut failures) = (Vec::with_capacity(range.len()), Vec::new());
    for (place, (item, outcome)) in range.zip(outcomes).enumerate() {
        match outcome {
            Ok(()) => {
                if items.len() < place {
                    let from = place * length;
                    values.copy_within(from..from + length, items.len() * length);
                }
                items.push(item);
            }
            Err(error) => failures.push(Failure { item, error }),
        }
    }
    values.truncate(items.len() * length);
    Loaded {
        number,
        items,
        values,
        failures,
    }
}

/// The batch `number`; those that are loaded before it wait in `early`.
fn in_turn(
    number: usize,
    loaded: &Receiver<Message>,
    early: &mut BTreeMap<usize, Loaded>,
) -> Result<Loaded> {
    loop {
        if let Some(batch) = early.remove(&number) {
            return Ok(batch);
        }
        match receive(loaded) {
            Some(Ok(batch)) => early.insert(batch.number, batch),
            Some(Err(panic)) => std::panic::resume_unwind(panic),
            None => return Err(Error::internal("a batch was lost").op("embed")),
        };
    }
}

/// Waits for a message. A thread of the pool works on meanwhile: it may be the only one.
fn receive<T>(from: &Receiver<T>) -> Option<T> {
    loop {
        match from.try_recv() {
            Ok(message) => return Some(message),
            Err(TryRecvError::Disconnected) => return None,
            Err(TryRecvError::Empty) => {}
        }
        match rayon::yield_now() {
            None => return from.recv().ok(),
            Some(rayon::Yield::Executed) => {}
            Some(rayon::Yield::Idle) => {
                if let Ok(message) = from.recv_timeout(Duration::from_millis(1)) {
                    return Some(message);
                }
            }
        }
    }
}

/// Hands the vectors to the sink until there are no more.
fn write(
    vectors: Receiver<Encoded>,
    dims: usize,
    sink: &mut (dyn FnMut(usize, &mut [f32]) -> Result<()> + Send),
    writing: &Stopwatch,
) -> Result<()> {
    for mut batch in vectors {
        writing.time(|| {
            let mut places = batch.items.iter().enumerate();
            places.try_for_each(|(at, &item)| {
                sink(item, &mut batch.values[at * dims..(at + 1) * dims])
            })
        })?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
