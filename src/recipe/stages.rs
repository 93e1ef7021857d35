//! How a pipeline tells what it is doing and how long each stage took.

use std::time::Instant;

use serde::Serialize;

/// Watches a pipeline run: a progress bar, a log, or nothing ([`Quiet`]).
pub trait Watch: Sync {
    /// Stage `name` begins; it has `total` items, or 0 when that is not known.
    fn begin(&self, name: &str, total: usize);
    /// `done` items of the stage are done by now. Called from worker threads.
    fn reached(&self, done: usize);
    /// The stage has ended.
    fn end(&self);
    /// Something that is worth knowing before the next stage begins.
    fn tell(&self, line: &str) {
        let _ = line;
    }
    /// Stage `name` is not run, since what it made in an earlier run is still good.
    fn reused(&self, name: &str) {
        let _ = name;
    }
}

/// A [`Watch`] that says nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Quiet;

impl Watch for Quiet {
    fn begin(&self, _: &str, _: usize) {}
    fn reached(&self, _: usize) {}
    fn end(&self) {}
}

/// Adds to each stage's name whose it is.
pub(super) struct Of<'a> {
    pub watch: &'a dyn Watch,
    pub space: &'a str,
}

impl Watch for Of<'_> {
    fn begin(&self, name: &str, total: usize) {
        self.watch.begin(&label(name, Some(self.space)), total);
    }

    fn reached(&self, done: usize) {
        self.watch.reached(done);
    }

    fn end(&self) {
        self.watch.end();
    }

    fn tell(&self, line: &str) {
        self.watch.tell(line);
    }

    fn reused(&self, name: &str) {
        self.watch.reused(&label(name, Some(self.space)));
    }
}

/// One finished stage.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Stage {
    /// What it did.
    pub name: &'static str,
    /// The space that it worked on, where a recipe has spaces.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub space: Option<String>,
    /// Wall-clock seconds.
    pub seconds: f64,
    /// How many items it worked on.
    pub items: usize,
    /// Whether it was not run, since its result of an earlier run is still good.
    pub reused: bool,
}

impl Stage {
    /// A stage that ran, of no space.
    pub fn new(name: &'static str, seconds: f64, items: usize) -> Self {
        Stage {
            name,
            space: None,
            seconds,
            items,
            reused: false,
        }
    }

    /// `embed photo`: what it did, and to which space.
    pub fn label(&self) -> String {
        label(self.name, self.space.as_deref())
    }
}

fn label(name: &str, space: Option<&str>) -> String {
    match space {
        Some(space) if space != name => format!("{name} {space}"),
        _ => name.to_string(),
    }
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
        self.note_of(name, None, items);
    }

    /// As [`Clock::note`], of a space.
    pub fn note_of(&mut self, name: &'static str, space: Option<&str>, items: usize) {
        let seconds = self.last.elapsed().as_secs_f64();
        self.stages.push(Stage {
            space: space.map(str::to_string),
            ..Stage::new(name, seconds, items)
        });
        self.last = Instant::now();
    }

    /// The next stage that is noted begins now.
    pub fn begin(&mut self) {
        self.last = Instant::now();
    }

    /// Notes that the stage `name` was not run, and tells the watcher.
    pub fn reused(&mut self, name: &'static str, space: Option<&str>, items: usize) {
        self.watch.reused(&label(name, space));
        self.note_of(name, space, items);
        if let Some(stage) = self.stages.last_mut() {
            stage.reused = true;
        }
    }

    /// Runs `work` as stage `name` over `items` items.
    pub fn run<T>(&mut self, name: &'static str, items: usize, work: impl FnOnce() -> T) -> T {
        self.run_of(name, None, items, work)
    }

    /// As [`Clock::run`], of a space.
    pub fn run_of<T>(
        &mut self,
        name: &'static str,
        space: Option<&str>,
        items: usize,
        work: impl FnOnce() -> T,
    ) -> T {
        self.watch.begin(&label(name, space), items);
        self.last = Instant::now();
        let result = work();
        self.note_of(name, space, items);
        self.watch.end();
        result
    }

    /// Seconds since the clock started.
    pub fn seconds(&self) -> f64 {
        self.start.elapsed().as_secs_f64()
    }
}
