//! What a run of the pipeline tells when it is over.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::error::Error;

/// An item that has no vector, and why.
#[derive(Debug)]
pub struct Failure {
    /// The item.
    pub item: usize,
    /// What it failed with.
    pub error: Error,
}

/// How a run of the pipeline went.
#[derive(Debug, Default)]
pub struct Flow {
    /// Items that were encoded.
    pub encoded: usize,
    /// Items that could not be loaded, in their order.
    pub failures: Vec<Failure>,
    /// Seconds of work in loading, over all threads.
    pub load_seconds: f64,
    /// Seconds of work in the sink.
    pub write_seconds: f64,
    /// Something about how it went that the user should know, or nothing.
    pub note: Option<String>,
}

/// Two notes as one line.
pub(super) fn joined(first: Option<String>, second: Option<String>) -> Option<String> {
    match (first, second) {
        (Some(a), Some(b)) => Some(format!("{a}; {b}")),
        (a, b) => a.or(b),
    }
}

/// Seconds that several threads add to.
#[derive(Debug, Default)]
pub(super) struct Stopwatch(AtomicU64);

impl Stopwatch {
    /// Runs `work` and adds the time that it took.
    pub(super) fn time<T>(&self, work: impl FnOnce() -> T) -> T {
        let start = Instant::now();
        let result = work();
        let nanos = u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.0.fetch_add(nanos, Ordering::Relaxed);
        result
    }

    pub(super) fn seconds(&self) -> f64 {
        Duration::from_nanos(self.0.load(Ordering::Relaxed)).as_secs_f64()
    }
}
