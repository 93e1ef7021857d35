//! Titles to tokens to vectors, a window of them at a time.
//!
//! A window's titles become tokens together, are sorted by length, the longest first, and are encoded
//! piece by piece; each piece's vectors go to the sink before the next one begins. So no more than one
//! window's tokens and one piece's vectors are held, however many titles there are. Tokenising takes
//! about a hundredth of the time that encoding does, so the two are not overlapped; each uses all of
//! rayon's threads by itself.

mod ahead;

use std::cmp::Reverse;
use std::ops::Range;

pub use self::ahead::{TitleLane, TitleLanes, TitlesAhead};
use super::flow::{Failure, Stopwatch};
use super::pipeline::{Plain, Sink};
use crate::error::{Error, Result};
use crate::limits::{MAX_WINDOW_BYTES, MAX_WINDOW_TITLES};

/// Tokens of one piece, for each thread: enough that threads seldom wait for each other, few enough
/// that progress is seen.
const PIECE_TOKENS: usize = 8192;

/// What turns titles into vectors.
pub trait EncodeTitles: Sync {
    /// How many values a vector has.
    fn dims(&self) -> usize;

    /// The tokens of each title, as [`EncodeTitles::encode`] takes them.
    ///
    /// An error is the title's own: the run goes on without it.
    fn tokens(&self, titles: &[&str]) -> Vec<Result<Vec<u32>>>;

    /// Encodes titles, given as tokens, into `out`, which is `[titles, dims]`. A title's vector does not
    /// depend on its neighbours.
    ///
    /// # Errors
    /// Any error ends the run.
    fn encode(&self, titles: &[&[u32]], out: &mut [f32]) -> Result<()>;

    /// What there is to say of what it encoded since this was last asked: a line, or nothing.
    fn note(&self) -> Option<String> {
        None
    }

    /// Itself, where it takes titles ahead of those that it works on: a card's.
    fn ahead(&self) -> Option<&dyn TitlesAhead> {
        None
    }
}

/// How much is held at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// Titles that are held as tokens.
    pub titles: usize,
    /// Bytes of their text; a single longer title is taken alone.
    pub bytes: usize,
    /// Tokens that are encoded in one call; a single longer title is taken alone.
    pub tokens: usize,
}

impl Default for Window {
    /// [`MAX_WINDOW_TITLES`], [`MAX_WINDOW_BYTES`], and 8,192 tokens for each of rayon's threads.
    fn default() -> Self {
        Window {
            titles: MAX_WINDOW_TITLES,
            bytes: MAX_WINDOW_BYTES,
            tokens: PIECE_TOKENS * rayon::current_num_threads(),
        }
    }
}

/// How a run over titles went.
#[derive(Debug, Default)]
pub struct TitleFlow {
    /// Titles that were encoded.
    pub encoded: usize,
    /// Their tokens, special ones included.
    pub tokens: u64,
    /// Titles that have no tokens, in their order.
    pub failures: Vec<Failure>,
    /// Seconds of tokenising.
    pub tokenise_seconds: f64,
    /// Seconds of encoding.
    pub encode_seconds: f64,
    /// Seconds of work in the sink.
    pub write_seconds: f64,
    /// Something about how it went that the user should know, or nothing.
    pub note: Option<String>,
}

/// Tokenises and encodes every title and hands each vector to `sink(title, vector)`: window after
/// window, in each the longest title first, of equally long ones the first. Titles that cannot be
/// tokenised are left out and told in [`TitleFlow::failures`].
///
/// Neither the order nor the vectors depend on the number of threads. `progress` is called with the
/// number of titles that are done, failed ones included.
///
/// # Errors
/// The first error of the encoder or the sink.
///
/// # Panics
/// When the encoder or the sink does.
pub fn stream_titles(
    titles: &[&str],
    encoder: &dyn EncodeTitles,
    window: Window,
    sink: &mut (dyn FnMut(usize, &mut [f32]) -> Result<()> + Send),
    progress: &(dyn Fn(usize) + Sync),
) -> Result<TitleFlow> {
    stream_titles_into(titles, encoder, (window, 0), &mut Plain(sink), progress)
}

/// As [`stream_titles`], without the first `skip` titles in the order of the run, into a sink that is told
/// how far the run has come: after tokenising a window, and after each piece of it. A window's titles
/// without tokens come first in that order, in their own; they may be told again after a skip.
///
/// The vectors do not depend on what is skipped.
///
/// # Errors
/// As [`stream_titles`].
///
/// # Panics
/// As [`stream_titles`].
pub fn stream_titles_into(
    titles: &[&str],
    encoder: &dyn EncodeTitles,
    (window, skip): (Window, usize),
    sink: &mut dyn Sink,
    progress: &(dyn Fn(usize) + Sync),
) -> Result<TitleFlow> {
    if let Some(ahead) = encoder.ahead() {
        return ahead::stream(titles, (encoder, ahead), (window, skip), sink, progress);
    }
    let (tokenising, encoding, writing) = <(Stopwatch, Stopwatch, Stopwatch)>::default();
    let mut flow = TitleFlow::default();
    let (dims, mut values, mut from) = (encoder.dims(), Vec::new(), 0);
    while from < titles.len() {
        let range = next_window(titles, from, window);
        let start = range.start;
        from = range.end;
        if skip >= from {
            continue;
        }
        let outcomes = tokenising.time(|| encoder.tokens(&titles[range.clone()]));
        let told = flow.failures.len();
        let tokens = keep(range, outcomes, &mut flow.failures)?;
        let mut done = start + flow.failures.len() - told;
        sink.reached(done.max(skip), &flow.failures[told..])?;
        progress(done.max(skip));
        for piece in pieces(&tokens, (window.tokens, usize::MAX)) {
            let skipped = skip.saturating_sub(done).min(piece.len());
            done += piece.len();
            let piece = &piece[skipped..];
            if piece.is_empty() {
                continue;
            }
            let these: Vec<&[u32]> = piece.iter().map(|(_, tokens)| &tokens[..]).collect();
            values.resize(these.len() * dims, 0.0);
            encoding.time(|| encoder.encode(&these, &mut values))?;
            writing.time(|| {
                let mut places = piece.iter().enumerate();
                places.try_for_each(|(at, (title, _))| {
                    sink.take(*title, &mut values[at * dims..(at + 1) * dims])
                })?;
                sink.reached(done, &[])
            })?;
            flow.encoded += piece.len();
            flow.tokens += these.iter().map(|t| t.len() as u64).sum::<u64>();
            progress(done);
        }
    }
    flow.note = encoder.note();
    flow.tokenise_seconds = tokenising.seconds();
    flow.encode_seconds = encoding.seconds();
    flow.write_seconds = writing.seconds();
    Ok(flow)
}

/// The titles from `from` that are tokenised together: one at least.
fn next_window(titles: &[&str], from: usize, window: Window) -> Range<usize> {
    let most = titles.len().min(from.saturating_add(window.titles.max(1)));
    let (mut to, mut bytes) = (from + 1, titles[from].len());
    while to < most && bytes + titles[to].len() <= window.bytes {
        bytes += titles[to].len();
        to += 1;
    }
    from..to
}

/// The titles of `range` that have tokens, the longest first; the others go to `failures`.
fn keep(
    range: Range<usize>,
    outcomes: Vec<Result<Vec<u32>>>,
    failures: &mut Vec<Failure>,
) -> Result<Vec<(usize, Vec<u32>)>> {
    if outcomes.len() != range.len() {
        return Err(Error::internal("titles were lost").op("tokenise"));
    }
    let mut kept = Vec::with_capacity(range.len());
    for (item, outcome) in range.zip(outcomes) {
        match outcome {
            Ok(tokens) if tokens.is_empty() => {
                let error = Error::input("holds nothing that the encoder has a token for");
                failures.push(Failure { item, error });
            }
            Ok(tokens) => kept.push((item, tokens)),
            Err(error) => failures.push(Failure { item, error }),
        }
    }
    kept.sort_by_key(|(item, tokens)| (Reverse(tokens.len()), *item));
    Ok(kept)
}

/// `titles` cut into pieces of at most so many tokens and titles, or of one title.
fn pieces(
    titles: &[(usize, Vec<u32>)],
    (most, count): (usize, usize),
) -> Vec<&[(usize, Vec<u32>)]> {
    let (mut pieces, mut from, mut held) = (Vec::new(), 0, 0);
    for (at, (_, tokens)) in titles.iter().enumerate() {
        if at > from && (held + tokens.len() > most || at - from >= count) {
            pieces.push(&titles[from..at]);
            (from, held) = (at, 0);
        }
        held += tokens.len();
    }
    if from < titles.len() {
        pieces.push(&titles[from..]);
    }
    pieces
}

#[cfg(test)]
mod tests;
