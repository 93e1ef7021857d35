//! How a pipeline tells what it is doing and how long each stage took.

use std::time::Instant;

use serde::Serialize;

/// Watches a pipeline run: a progress bar, a log, or nothing ([`Quiet`]).
pub trait Watch: Sync {
    /// Stage `name` begins; it has `total` items, or 0 when that is not known.
    fn begin(&self, name: &'static str, total: usize);
    /// `done` items of the stage are done by now. Called from worker threads.
    fn reached(&self, done: usize);
    /// The stage has ended.
    fn end(&self);
}

/// A [`Watch`] that says nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Quiet;

impl Watch for Quiet {
    fn begin(&self, _: &'static str, _: usize) {}
    fn reached(&self, _: usize) {}
    fn end(&self) {}
}

/// One finished stage.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Stage {
    /// What it did.
    pub name: &'static str,
    /// Wall-clock seconds.
    pub seconds: f64,
    /// How many items it worked on.
    pub items: usize,
}

/// Times stages as they run, and tells the watcher.
pub struct Clock<'a> {
    watch: &'a dyn Watch,
    start: Instant,
    last: Instant,
    /// The stages so far.
    pub stages: Vec<Stage>,
}

impl<'a> Clock<'a> {
    /// A clock that starts now.
    pub fn new(watch: &'a dyn Watch) -> Self {
        let start = Instant::now();
        Clock {
            watch,
            start,
            last: start,
            stages: Vec::new(),
        }
    }

    /// Notes stage `name`, which began where the one before ended, and told the watcher itself.
    pub fn note(&mut self, name: &'static str, items: usize) {
        self.stages.push(Stage {
            name,
            seconds: self.last.elapsed().as_secs_f64(),
            items,
        });
        self.last = Instant::now();
    }

    /// Runs `work` as stage `name` over `items` items.
    pub fn run<T>(&mut self, name: &'static str, items: usize, work: impl FnOnce() -> T) -> T {
        self.watch.begin(name, items);
        self.last = Instant::now();
        let result = work();
        self.note(name, items);
        self.watch.end();
        result
    }

    /// Seconds since the clock started.
    pub fn seconds(&self) -> f64 {
        self.start.elapsed().as_secs_f64()
    }
}
