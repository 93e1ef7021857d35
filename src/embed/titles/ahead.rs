//! Titles through an encoder that takes them ahead of those that it works on: a card.
//!
//! While a window's titles are encoded, the next one's become tokens. Lanes are submitted and collected
//! in the order of the titles, a few under way at a time.

use std::collections::VecDeque;
use std::panic::resume_unwind;

use super::super::flow::{Failure, Stopwatch, joined};
use super::super::pipeline::Sink;
use super::{EncodeTitles, TitleFlow, Window, keep, next_window, pieces};
use crate::error::{Error, Result};

/// Titles whose tokens are made together.
const WINDOW: usize = 8192;
/// Tokens that a title is taken to have before anybody counted.
const TITLE_TOKENS: usize = 32;

/// An encoder that takes titles ahead.
pub trait TitlesAhead: Sync {
    /// Lanes for titles of about `tokens` tokens in all.
    ///
    /// # Errors
    /// Any error ends the run.
    fn lanes(&self, tokens: usize) -> Result<TitleLanes<'_>>;
}

/// What a run needs of such an encoder.
pub struct TitleLanes<'a> {
    /// Tokens that a lane takes: enough for the longest title.
    pub tokens: usize,
    /// Titles that a lane takes.
    pub titles: usize,
    /// At least one.
    pub lanes: Vec<Box<dyn TitleLane + 'a>>,
    /// What there is to say of them: a line, or nothing.
    pub note: Option<String>,
}

/// Titles on their way.
pub trait TitleLane {
    /// Begins to encode titles, given as tokens, and does not wait.
    ///
    /// # Errors
    /// Any error ends the run.
    fn submit(&mut self, titles: &[&[u32]]) -> Result<()>;

    /// Waits for their vectors.
    ///
    /// # Errors
    /// Any error ends the run.
    fn collect(&mut self, out: &mut [f32]) -> Result<()>;
}

/// A title's place among all, and its tokens.
type Title = (usize, Vec<u32>);

/// A window as tokens: the titles that have some, the longest first, and the others.
struct Tokens {
    start: usize,
    end: usize,
    kept: Vec<Title>,
    failures: Vec<Failure>,
}

/// A lane under way, with its titles and how many of all are done when they are.
struct Flight<'p, 'l> {
    lane: Box<dyn TitleLane + 'l>,
    titles: &'p [Title],
    skipped: usize,
    done: usize,
}

/// As [`stream_titles_into`](super::stream_titles_into).
pub(super) fn stream(
    titles: &[&str],
    (encoder, ahead): (&dyn EncodeTitles, &dyn TitlesAhead),
    (window, skip): (Window, usize),
    sink: &mut dyn Sink,
    progress: &(dyn Fn(usize) + Sync),
) -> Result<TitleFlow> {
    if skip >= titles.len() {
        return Ok(TitleFlow::default());
    }
    let window = Window {
        titles: window.titles.min(WINDOW),
        ..window
    };
    let (tokenising, encoding, writing) = <(Stopwatch, Stopwatch, Stopwatch)>::default();
    let lanes = ahead.lanes(titles.len().saturating_mul(TITLE_TOKENS))?;
    let mut run = Run {
        lanes: lanes.lanes,
        // Not the window's: that depends on the threads.
        most: (lanes.tokens, lanes.titles),
        dims: encoder.dims(),
        skip,
        flow: TitleFlow {
            note: lanes.note,
            ..TitleFlow::default()
        },
        writing: &writing,
        progress,
    };
    let tokens = |from: usize| -> Option<Result<Tokens>> {
        let mut from = from;
        while from < titles.len() {
            let range = next_window(titles, from, window);
            from = range.end;
            if skip >= from {
                continue;
            }
            let (start, end) = (range.start, range.end);
            let outcomes = tokenising.time(|| encoder.tokens(&titles[range.clone()]));
            let mut failures = Vec::new();
            let kept = keep(range, outcomes, &mut failures);
            return Some(kept.map(|kept| Tokens {
                start,
                end,
                kept,
                failures,
            }));
        }
        None
    };
    let mut next = tokens(0);
    while let Some(now) = next.take() {
        let now = now?;
        let end = now.end;
        next = std::thread::scope(|threads| {
            let later = threads.spawn(|| tokens(end));
            let encoded = encoding.time(|| run.window(now, sink));
            let later = later.join().unwrap_or_else(|panic| resume_unwind(panic));
            encoded.map(|()| later)
        })?;
    }
    let mut flow = run.flow;
    flow.note = joined(flow.note, encoder.note());
    flow.tokenise_seconds = tokenising.seconds();
    flow.encode_seconds = encoding.seconds() - writing.seconds();
    flow.write_seconds = writing.seconds();
    Ok(flow)
}

/// What all windows share.
struct Run<'l, 'r> {
    lanes: Vec<Box<dyn TitleLane + 'l>>,
    /// Tokens and titles of a lane.
    most: (usize, usize),
    dims: usize,
    skip: usize,
    flow: TitleFlow,
    writing: &'r Stopwatch,
    progress: &'r (dyn Fn(usize) + Sync),
}

impl<'l> Run<'l, '_> {
    /// Encodes a window, all of it before this returns.
    fn window(&mut self, now: Tokens, sink: &mut dyn Sink) -> Result<()> {
        let mut done = now.start + now.failures.len();
        sink.reached(done.max(self.skip), &now.failures)?;
        (self.progress)(done.max(self.skip));
        self.flow.failures.extend(now.failures);
        let mut flights = VecDeque::new();
        for piece in pieces(&now.kept, self.most) {
            let skipped = self.skip.saturating_sub(done).min(piece.len());
            done += piece.len();
            if skipped == piece.len() {
                continue;
            }
            if self.lanes.is_empty() {
                self.land(&mut flights, sink)?;
            }
            let Some(mut lane) = self.lanes.pop() else {
                return Err(Error::internal("the encoder has no lanes").op("embed"));
            };
            // The whole piece, so that what is skipped changes no vector.
            let these: Vec<&[u32]> = piece.iter().map(|(_, tokens)| &tokens[..]).collect();
            lane.submit(&these)?;
            flights.push_back(Flight {
                lane,
                titles: piece,
                skipped,
                done,
            });
        }
        while !flights.is_empty() {
            self.land(&mut flights, sink)?;
        }
        Ok(())
    }

    /// Waits for the oldest flight, and hands its vectors over.
    fn land(&mut self, flights: &mut VecDeque<Flight<'_, 'l>>, sink: &mut dyn Sink) -> Result<()> {
        let Some(mut flight) = flights.pop_front() else {
            return Ok(());
        };
        let dims = self.dims;
        let mut values = vec![0.0; flight.titles.len() * dims];
        flight.lane.collect(&mut values)?;
        self.lanes.push(flight.lane);
        let places = flight.titles.iter().enumerate().skip(flight.skipped);
        self.writing.time(|| {
            for (at, (title, _)) in places.clone() {
                sink.take(*title, &mut values[at * dims..(at + 1) * dims])?;
            }
            sink.reached(flight.done, &[])
        })?;
        self.flow.encoded += flight.titles.len() - flight.skipped;
        self.flow.tokens += places.map(|(_, (_, t))| t.len() as u64).sum::<u64>();
        (self.progress)(flight.done);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
