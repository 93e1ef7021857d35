//! Load, encode and write, all at once.
//!
//! A batch is a task on rayon's pool: its items are loaded, each a task of its own, then encoded. A
//! few batches are under way, so that one loads while another is encoded and no thread is idle at the
//! end of either, and no more threads run than the pool has, on 2 cores as on 64. A thread of its own
//! takes the vectors to the sink, in order. At most [`MAX_LIVE_BATCHES`] batches are live: the next
//! one is begun when the oldest is done.

use std::collections::BTreeMap;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, channel, sync_channel};
use std::time::Duration;

use rayon::prelude::*;

use super::ahead::EncodeAhead;
use super::flow::{Failure, Flow, Stopwatch};
use crate::error::{Error, Result};
use crate::limits::{MAX_BATCH, MAX_LIVE_BATCHES, MAX_PREPARED_BYTES};
use crate::nn::{Normal, Picture};

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

    /// Mean and standard deviation of each colour, where the items are pictures that a card may prepare:
    /// then [`Items::picture`] is called instead of [`Items::load`] by an encoder that does so.
    fn normal(&self) -> Option<Normal> {
        None
    }

    /// Decodes item `item` and hands it to `put`, with how it becomes what [`Items::load`] makes of it;
    /// where that answers that there is no room for it, hands it over resized. Called as
    /// [`Items::load`].
    ///
    /// # Errors
    /// The item's own, and what `put` fails with: the run goes on without it. A panic counts as one.
    fn picture(
        &self,
        item: usize,
        put: &mut dyn FnMut(&Picture<'_>) -> Result<bool>,
    ) -> Result<()> {
        let _ = (item, put);
        Err(Error::internal("the items are no pictures").op("embed"))
    }
}

/// What turns prepared items into vectors.
pub trait Encode: Sync {
    /// How many values a prepared item has.
    fn item_len(&self) -> usize;

    /// How many values a vector has.
    fn dims(&self) -> usize;

    /// Encodes the items that stand one after the other in `items` into `out`, in the same order. An
    /// item's vector does not depend on its neighbours. Called from threads of rayon's pool, for several
    /// batches at a time.
    ///
    /// # Errors
    /// Any error ends the run.
    fn encode(&self, items: &[f32], out: &mut [f32]) -> Result<()>;

    /// What there is to say of what it encoded since this was last asked: a line, or nothing.
    fn note(&self) -> Option<String> {
        None
    }

    /// Itself, where it takes batches ahead of the one that it works on: see
    /// [`stream_ahead`](super::stream_ahead).
    fn ahead(&self) -> Option<&dyn EncodeAhead> {
        None
    }
}

/// Takes the vectors of a run, and what became of the other items.
pub trait Sink: Send {
    /// The vector of item `item`. Vectors come in the order of the run.
    ///
    /// # Errors
    /// Any error ends the run.
    fn take(&mut self, item: usize, vector: &mut [f32]) -> Result<()>;

    /// The first `done` items, in the order of the run, were taken by now or have failed; `failures` are
    /// those that were not told before.
    ///
    /// # Errors
    /// Any error ends the run.
    fn reached(&mut self, done: usize, failures: &[Failure]) -> Result<()> {
        let _ = (done, failures);
        Ok(())
    }
}

/// A sink that does not ask how far the run has come.
pub(super) struct Plain<F>(pub F);

impl<F: FnMut(usize, &mut [f32]) -> Result<()> + Send> Sink for Plain<F> {
    fn take(&mut self, item: usize, vector: &mut [f32]) -> Result<()> {
        (self.0)(item, vector)
    }
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
    stream_into(items, encoder, batch, &mut Plain(sink), progress)
}

/// As [`stream`], into a sink that is told, after each batch, how far the run has come.
///
/// # Errors
/// As [`stream`].
///
/// # Panics
/// As [`stream`].
pub fn stream_into(
    items: &dyn Items,
    encoder: &dyn Encode,
    batch: usize,
    sink: &mut dyn Sink,
    progress: &(dyn Fn(usize) + Sync),
) -> Result<Flow> {
    let (loading, writing) = (Stopwatch::default(), Stopwatch::default());
    let (to_sink, vectors) = sync_channel::<Vectors>(1);
    let run = Run {
        items,
        encoder,
        batch: batch.max(1),
        loading: &loading,
        over: &AtomicBool::new(false),
        progress,
    };
    let mut flow = std::thread::scope(|threads| {
        let written = threads.spawn(|| write(vectors, encoder.dims(), sink, &writing));
        let encoded = run.all(to_sink);
        // The sink's error comes first: it is why nobody took any more vectors.
        match written.join() {
            Ok(result) => {
                let failures = result?;
                encoded.map(|flow| Flow { failures, ..flow })
            }
            Err(panic) => resume_unwind(panic),
        }
    })?;
    flow.load_seconds = loading.seconds();
    flow.write_seconds = writing.seconds();
    flow.note = encoder.note();
    Ok(flow)
}

/// The vectors of a batch's items, one after the other.
pub(super) struct Vectors {
    pub(super) items: Vec<usize>,
    pub(super) values: Vec<f32>,
    pub(super) failures: Vec<Failure>,
    /// The first item after the batch.
    pub(super) end: usize,
}

/// A batch that was loaded: the items that could be, one after the other.
struct Loaded {
    items: Vec<usize>,
    values: Vec<f32>,
    failures: Vec<Failure>,
    end: usize,
}

/// A batch that is done, and the memory that its items stood in.
struct Done {
    vectors: Vectors,
    buffer: Vec<f32>,
}

/// What became of a batch: done, an error, or a panic.
type Outcome<T> = std::thread::Result<Result<T>>;

/// A batch's number, and what became of it.
pub(super) type Message<T> = (usize, Outcome<T>);

/// What all batches share.
struct Run<'a> {
    items: &'a dyn Items,
    encoder: &'a dyn Encode,
    batch: usize,
    loading: &'a Stopwatch,
    /// Set when nothing more is wanted.
    over: &'a AtomicBool,
    progress: &'a (dyn Fn(usize) + Sync),
}

/// Sets a flag when it is dropped, by an error or a panic too.
pub(super) struct Stop<'a>(pub(super) &'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Run<'_> {
    /// Hands out the batches, and passes their vectors on in order.
    fn all(&self, to_sink: SyncSender<Vectors>) -> Result<Flow> {
        let count = self.items.count().div_ceil(self.batch);
        let mut flow = Flow::default();
        rayon::in_place_scope_fifo(|scope| {
            let _stop = Stop(self.over);
            let (done, batches) = channel::<Message<Done>>();
            let begin = |number: usize, buffer: Vec<f32>| {
                let done = done.clone();
                scope.spawn_fifo(move |_| {
                    // Unwind safety: the panic goes on in the thread that waits for this batch.
                    let outcome = catch_unwind(AssertUnwindSafe(|| self.one(number, buffer)));
                    // Nobody listens any more after an error.
                    let _ = done.send((number, outcome));
                });
            };
            (0..count.min(MAX_LIVE_BATCHES)).for_each(|number| begin(number, Vec::new()));
            let mut early = BTreeMap::new();
            for number in 0..count {
                let batch = in_turn(number, &batches, &mut early)?;
                flow.encoded += batch.vectors.items.len();
                let done = batch.vectors.end;
                if to_sink.send(batch.vectors).is_err() {
                    return Err(Error::internal("the vectors were not taken").op("embed"));
                }
                (self.progress)(done);
                if number + MAX_LIVE_BATCHES < count {
                    begin(number + MAX_LIVE_BATCHES, batch.buffer);
                }
            }
            Ok(flow)
        })
    }

    /// Loads and encodes batch `number`.
    fn one(&self, number: usize, buffer: Vec<f32>) -> Result<Done> {
        let loaded = self.load(number, buffer);
        let mut values = vec![0.0; loaded.items.len() * self.encoder.dims()];
        if !loaded.items.is_empty() {
            self.go_on()?;
            self.encoder.encode(&loaded.values, &mut values)?;
        }
        Ok(Done {
            vectors: Vectors {
                items: loaded.items,
                values,
                failures: loaded.failures,
                end: loaded.end,
            },
            buffer: loaded.values,
        })
    }

    /// Loads batch `number` into `buffer`.
    fn load(&self, number: usize, buffer: Vec<f32>) -> Loaded {
        let first = number * self.batch;
        let range = first..(first + self.batch).min(self.items.count());
        let mut values = buffer;
        let length = self.encoder.item_len();
        values.resize(range.len() * length, 0.0);
        let outcomes: Vec<Result<()>> = if length == 0 {
            range.clone().map(|i| self.load_one(i, &mut [])).collect()
        } else {
            let places = values.par_chunks_exact_mut(length).with_max_len(1);
            let one = |(place, out): (usize, &mut [f32])| self.load_one(first + place, out);
            places.enumerate().map(one).collect()
        };
        keep(range, length, values, outcomes)
    }

    fn load_one(&self, item: usize, out: &mut [f32]) -> Result<()> {
        self.go_on()?;
        self.loading.time(|| guarded(|| self.items.load(item, out)))
    }

    /// An error when nothing more is wanted; nobody sees it.
    fn go_on(&self) -> Result<()> {
        match self.over.load(Ordering::Relaxed) {
            true => Err(Error::internal("stopped").op("embed")),
            false => Ok(()),
        }
    }
}

/// Loads an item; a panic is an error of its own.
pub(super) fn guarded(load: impl FnOnce() -> Result<()>) -> Result<()> {
    // Unwind safety: what a panic leaves half-written is not used.
    catch_unwind(AssertUnwindSafe(load)).unwrap_or_else(|_| {
        Err(Error::internal("could not be read: its decoder broke down")
            .mend("fetch it again, or save it anew"))
    })
}

/// Moves the items that were loaded together and sorts out the others.
fn keep(
    range: Range<usize>,
    length: usize,
    mut values: Vec<f32>,
    outcomes: Vec<Result<()>>,
) -> Loaded {
    let (mut items, mut failures) = (Vec::with_capacity(range.len()), Vec::new());
    let end = range.end;
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
        items,
        values,
        failures,
        end,
    }
}

/// The batch `number`; what becomes of others before it waits in `early`.
pub(super) fn in_turn<T>(
    number: usize,
    batches: &Receiver<Message<T>>,
    early: &mut BTreeMap<usize, Outcome<T>>,
) -> Result<T> {
    loop {
        match early.remove(&number) {
            Some(Ok(outcome)) => return outcome,
            Some(Err(panic)) => resume_unwind(panic),
            None => {}
        }
        match receive(batches) {
            Some((other, outcome)) => early.insert(other, outcome),
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

/// Hands the vectors to the sink until there are no more, and gathers the failures.
pub(super) fn write(
    vectors: Receiver<Vectors>,
    dims: usize,
    sink: &mut dyn Sink,
    writing: &Stopwatch,
) -> Result<Vec<Failure>> {
    let mut failures = Vec::new();
    for mut batch in vectors {
        writing.time(|| {
            let mut places = batch.items.iter().enumerate();
            places.try_for_each(|(at, &item)| {
                sink.take(item, &mut batch.values[at * dims..(at + 1) * dims])
            })?;
            sink.reached(batch.end, &batch.failures)
        })?;
        failures.extend(batch.failures);
    }
    Ok(failures)
}

#[cfg(test)]
mod tests;
