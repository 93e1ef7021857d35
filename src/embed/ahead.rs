//! The pipeline of an encoder that takes batches ahead of the one that it works on: a card.
//!
//! A lane is a batch on its way. It is filled by tasks on rayon's pool, submitted and collected by the
//! calling thread, in the order of the items; two lanes are on the card while the others are filled. An
//! item's place in its batch depends on its number alone, so that the vectors do not depend on the
//! threads; the place of an item that could not be loaded stays empty.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{SyncSender, channel, sync_channel};

use super::flow::{Failure, Flow, Stopwatch, joined};
use super::pipeline::{Items, Message, Sink, Stop, Vectors, guarded, in_turn, write};
use crate::error::{Error, Result};
use crate::nn::{LoadPicture, Normal};

/// Lanes that are submitted and not collected: one that is computed, and the next.
const SUBMITTED: usize = 2;

/// An encoder that takes batches ahead.
pub trait EncodeAhead: Sync {
    /// How many values a vector has.
    fn dims(&self) -> usize;

    /// What there is to say of what it encoded since this was last asked: a line, or nothing.
    fn note(&self) -> Option<String> {
        None
    }

    /// Lanes for `items` items, `wanted` a lane, or as many as are good.
    ///
    /// # Errors
    /// Any error ends the run.
    fn lanes(&self, wanted: Option<usize>, items: usize) -> Result<Lanes<'_>>;

    /// As [`EncodeAhead::lanes`], of lanes that take decoded pictures: [`Lane::fill_pictures`]. None where
    /// there are no such.
    ///
    /// # Errors
    /// Any error ends the run.
    fn picture_lanes(
        &self,
        normal: Normal,
        wanted: Option<usize>,
        items: usize,
    ) -> Result<Option<Lanes<'_>>> {
        let _ = (normal, wanted, items);
        Ok(None)
    }
}

/// What a run needs of such an encoder.
pub struct Lanes<'a> {
    /// Items of a lane.
    pub batch: usize,
    /// At least one.
    pub lanes: Vec<Box<dyn Lane + 'a>>,
    /// What there is to say of the batch: a line, or nothing.
    pub note: Option<String>,
}

/// A batch on its way: filled, submitted and collected, over and over.
pub trait Lane: Send {
    /// Calls `load(place, out)` for each place below `count`, from threads of rayon's pool, where `out`
    /// has room for an item as the encoder wants it.
    ///
    /// # Errors
    /// Any error ends the run.
    fn fill(&mut self, count: usize, load: &(dyn Fn(usize, &mut [f32]) + Sync)) -> Result<()>;

    /// As [`Lane::fill`], with decoded pictures, which the encoder prepares.
    ///
    /// # Errors
    /// Any error ends the run.
    fn fill_pictures(&mut self, count: usize, load: &LoadPicture<'_>) -> Result<()> {
        let _ = (count, load);
        Err(Error::internal("this lane takes no pictures").op("embed"))
    }

    /// Begins to encode what was filled, and does not wait. Lanes are submitted by one thread.
    ///
    /// # Errors
    /// Any error ends the run.
    fn submit(&mut self) -> Result<()>;

    /// Waits for the vectors of the first places.
    ///
    /// # Errors
    /// Any error ends the run.
    fn collect(&mut self, out: &mut [f32]) -> Result<()>;
}

/// As [`stream_into`](super::stream_into), through the lanes of `encoder`, with `wanted` items in each.
///
/// # Errors
/// The first error of the encoder or the sink; everything has stopped when it is returned.
///
/// # Panics
/// When the encoder or the sink does, and everything has stopped.
pub fn stream_ahead(
    items: &dyn Items,
    encoder: &dyn EncodeAhead,
    wanted: Option<usize>,
    sink: &mut dyn Sink,
    progress: &(dyn Fn(usize) + Sync),
) -> Result<Flow> {
    if items.count() == 0 {
        return Ok(Flow::default());
    }
    let prepared = match items.normal() {
        Some(normal) => encoder.picture_lanes(normal, wanted, items.count())?,
        None => None,
    };
    let pictures = prepared.is_some();
    let lanes = match prepared {
        Some(lanes) => lanes,
        None => encoder.lanes(wanted, items.count())?,
    };
    let (loading, writing) = (Stopwatch::default(), Stopwatch::default());
    let (to_sink, vectors) = sync_channel::<Vectors>(1);
    let run = Run {
        items,
        pictures,
        dims: encoder.dims(),
        batch: lanes.batch.max(1),
        loading: &loading,
        over: &AtomicBool::new(false),
        progress,
    };
    let note = lanes.note;
    let mut flow = std::thread::scope(|threads| {
        let written = threads.spawn(|| write(vectors, run.dims, sink, &writing));
        let encoded = run.all(lanes.lanes, to_sink);
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
    flow.note = joined(note, encoder.note());
    Ok(flow)
}

/// A lane that was filled.
struct Filled<'a> {
    lane: Box<dyn Lane + 'a>,
    range: Range<usize>,
    /// What became of each item, by its place.
    outcomes: Vec<Result<()>>,
}

impl Filled<'_> {
    fn any(&self) -> bool {
        self.outcomes.iter().any(Result::is_ok)
    }
}

/// What all batches share.
struct Run<'a> {
    items: &'a dyn Items,
    /// Whether the lanes take decoded pictures.
    pictures: bool,
    dims: usize,
    batch: usize,
    loading: &'a Stopwatch,
    /// Set when nothing more is wanted.
    over: &'a AtomicBool,
    progress: &'a (dyn Fn(usize) + Sync),
}

impl Run<'_> {
    /// Hands out the batches, submits and collects them in order, and passes their vectors on.
    fn all<'l>(
        &self,
        lanes: Vec<Box<dyn Lane + 'l>>,
        to_sink: SyncSender<Vectors>,
    ) -> Result<Flow> {
        let count = self.items.count().div_ceil(self.batch);
        // A lane is left to be filled, but where there is one alone.
        let most = SUBMITTED.min(lanes.len());
        let mut flow = Flow::default();
        rayon::in_place_scope_fifo(|scope| {
            let _stop = Stop(self.over);
            let (done, batches) = channel::<Message<Filled<'l>>>();
            let mut next = 0;
            let mut begin = |lane: Box<dyn Lane + 'l>| {
                if next == count {
                    return;
                }
                let (number, done) = (next, done.clone());
                next += 1;
                scope.spawn_fifo(move |_| {
                    // Unwind safety: the panic goes on in the thread that waits for this batch.
                    let outcome = catch_unwind(AssertUnwindSafe(|| self.fill(number, lane)));
                    // Nobody listens any more after an error.
                    let _ = done.send((number, outcome));
                });
            };
            lanes.into_iter().for_each(&mut begin);
            let (mut early, mut submitted) = (BTreeMap::new(), VecDeque::new());
            for number in 0..count {
                let mut filled = in_turn(number, &batches, &mut early)?;
                if filled.any() {
                    filled.lane.submit()?;
                }
                submitted.push_back(filled);
                let last = number + 1 == count;
                while submitted.len() >= most || last {
                    let Some(filled) = submitted.pop_front() else {
                        break;
                    };
                    begin(self.land(filled, &mut flow, &to_sink)?);
                }
            }
            Ok(flow)
        })
    }

    /// Loads batch `number` into a lane.
    fn fill<'l>(&self, number: usize, mut lane: Box<dyn Lane + 'l>) -> Result<Filled<'l>> {
        let first = number * self.batch;
        let range = first..(first + self.batch).min(self.items.count());
        let outcomes: Vec<Mutex<Result<()>>> =
            range.clone().map(|_| Mutex::new(self.go_on())).collect();
        let one = |place: usize, load: &mut dyn FnMut() -> Result<()>| {
            let Some(outcome) = outcomes.get(place) else {
                return;
            };
            let mut outcome = outcome.lock().unwrap_or_else(|e| e.into_inner());
            let load = || self.loading.time(|| guarded(load));
            *outcome = self.go_on().and_then(|()| load());
        };
        let items = self.items;
        match self.pictures {
            true => lane.fill_pictures(range.len(), &|place, put| {
                one(place, &mut || items.picture(first + place, put));
            }),
            false => lane.fill(range.len(), &|place, out| {
                one(place, &mut || items.load(first + place, out));
            }),
        }?;
        let outcomes = outcomes.into_iter();
        let outcomes = outcomes.map(|o| o.into_inner().unwrap_or_else(|e| e.into_inner()));
        Ok(Filled {
            lane,
            range,
            outcomes: outcomes.collect(),
        })
    }

    /// Waits for a batch's vectors and passes them on; gives the lane back.
    fn land<'l>(
        &self,
        mut filled: Filled<'l>,
        flow: &mut Flow,
        to_sink: &SyncSender<Vectors>,
    ) -> Result<Box<dyn Lane + 'l>> {
        let (any, end) = (filled.any(), filled.range.end);
        let mut values = vec![0.0; filled.range.len() * self.dims];
        if any {
            filled.lane.collect(&mut values)?;
        }
        let (mut items, mut failures) = (Vec::new(), Vec::new());
        for (place, (item, outcome)) in filled.range.zip(filled.outcomes).enumerate() {
            match outcome {
                Ok(()) => {
                    let from = place * self.dims;
                    values.copy_within(from..from + self.dims, items.len() * self.dims);
                    items.push(item);
                }
                Err(error) => failures.push(Failure { item, error }),
            }
        }
        values.truncate(items.len() * self.dims);
        flow.encoded += items.len();
        let vectors = Vectors {
            items,
            values,
            failures,
            end,
        };
        if to_sink.send(vectors).is_err() {
            return Err(Error::internal("the vectors were not taken").op("embed"));
        }
        (self.progress)(end);
        Ok(filled.lane)
    }

    /// An error when nothing more is wanted; nobody sees it.
    fn go_on(&self) -> Result<()> {
        match self.over.load(Ordering::Relaxed) {
            true => Err(Error::internal("stopped").op("embed")),
            false => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests;
