//! Streams of the simulated card: lines of work that is run when somebody waits for it, or earlier.
//!
//! A real card may run the work of different streams in any order that stream order and events allow.
//! So does this one: [`Lines`] holds work back and picks among the streams by an [`Order`], so that an
//! event that is missing shows. Page-locked memory is read and written when a copy is run, not when it
//! is asked for. Where there is but the default stream, work is run when it is asked for: no order
//! could differ.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::ffi::c_void;
use std::ptr::NonNull;
use std::sync::Arc;
use std::thread::ThreadId;
use std::time::Instant;

use super::super::driver::{Event, Recording, Stream};
use super::{Api, Order, RawSchedule, RawShape, call};
use crate::error::{Error, Result};

/// An address of page-locked memory.
#[derive(Clone, Copy)]
pub(super) struct Host(pub(super) NonNull<u8>);

// SAFETY: whoever queued the copy promised that the memory stays as long as the copy does.
unsafe impl Send for Host {}

/// Room for an argument, aligned as a tensor map is.
#[derive(Clone, Copy)]
#[repr(C, align(128))]
struct Slot([u8; 128]);

/// A launch with its arguments' values.
pub(super) struct Launched {
    kernel: usize,
    shape: RawShape,
    values: Vec<(usize, Vec<Slot>)>,
    schedule: RawSchedule,
}

impl Launched {
    /// Copies the values of `args`, of `sizes` bytes each.
    ///
    /// # Safety
    /// `args` point to values of these sizes.
    pub(super) unsafe fn new(
        kernel: usize,
        shape: RawShape,
        (args, sizes): (&[*mut c_void], &[usize]),
        schedule: RawSchedule,
    ) -> Launched {
        let value = |(&from, &bytes): (&*mut c_void, &usize)| {
            let mut slots = vec![Slot([0; 128]); bytes.div_ceil(128)];
            // SAFETY: the caller promises so many bytes at `from`, and the slots have room for them.
            unsafe {
                let to = slots.as_mut_ptr().cast::<u8>();
                std::ptr::copy_nonoverlapping(from.cast::<u8>().cast_const(), to, bytes);
            }
            (bytes, slots)
        };
        Launched {
            kernel,
            shape,
            values: args.iter().zip(sizes).map(value).collect(),
            schedule,
        }
    }

    fn run(&self, api: &Api) -> Result<()> {
        let mut values: Vec<Vec<Slot>> = self.values.iter().map(|(_, v)| v.clone()).collect();
        let mut args: Vec<*mut c_void> = values.iter_mut().map(|v| v.as_mut_ptr().cast()).collect();
        // SAFETY: shape and schedule live through the call, `args` has as many pointers as is said; who
        // queued the launch promised that they match the kernel's parameters.
        call("launch", |message, n| unsafe {
            (api.launch)(
                self.kernel,
                &self.shape,
                args.as_mut_ptr(),
                args.len(),
                &self.schedule,
                message,
                n,
            )
        })
    }

    /// Whether an argument is an address in this memory.
    fn names(&self, from: u64, bytes: u64) -> bool {
        self.values.iter().any(|(size, slots)| {
            let bytes_of = slots.iter().flat_map(|slot| slot.0);
            let value: Vec<u8> = bytes_of.take(*size).collect();
            value.chunks_exact(8).any(|word| {
                let at = word.iter().rev().fold(0, |at, b| at << 8 | u64::from(*b));
                within(at, from, bytes)
            })
        })
    }
}

fn within(at: u64, from: u64, bytes: u64) -> bool {
    at >= from && at - from < bytes.max(1)
}

/// Where an upload's bytes are.
#[derive(Clone)]
pub(super) enum Source {
    Own(Arc<[u8]>),
    Locked(Host, usize),
}

/// A piece of work on a stream.
#[derive(Clone)]
pub(super) enum Work {
    Upload(u64, Source),
    Download(u64, Host, usize),
    Copy(u64, u64, usize),
    Fill(u64, u8, usize),
    Launch(Arc<Launched>),
    Mark(u64),
    Wait(u64),
}

impl Work {
    fn run(&self, api: &Api) -> Result<()> {
        match *self {
            Work::Upload(to, ref source) => {
                let (from, bytes) = match source {
                    Source::Own(own) => (own.as_ptr(), own.len()),
                    Source::Locked(at, bytes) => (at.0.as_ptr().cast_const(), *bytes),
                };
                // SAFETY: the source holds the bytes; the library checks that they fit one buffer.
                call("upload", |message, n| unsafe {
                    (api.upload)(to, from.cast(), bytes, message, n)
                })
            }
            // SAFETY: the target has room for the bytes; the library checks that one buffer holds them.
            Work::Download(from, to, bytes) => call("download", |message, n| unsafe {
                (api.download)(from, to.0.as_ptr().cast(), bytes, message, n)
            }),
            // SAFETY: the library checks both ranges.
            Work::Copy(to, from, bytes) => call("copy", |message, n| unsafe {
                (api.copy)(to, from, bytes, message, n)
            }),
            // SAFETY: the library checks the range.
            Work::Fill(to, value, bytes) => call("fill", |message, n| unsafe {
                (api.fill)(to, value, bytes, message, n)
            }),
            Work::Launch(ref launched) => launched.run(api),
            Work::Mark(_) | Work::Wait(_) => Ok(()),
        }
    }

    /// Whether it uses device memory of this range.
    fn names(&self, from: u64, bytes: u64) -> bool {
        match self {
            Work::Upload(at, _) | Work::Download(at, ..) | Work::Fill(at, ..) => {
                within(*at, from, bytes)
            }
            Work::Copy(to, at, _) => within(*to, from, bytes) || within(*at, from, bytes),
            Work::Launch(launched) => launched.names(from, bytes),
            Work::Mark(_) | Work::Wait(_) => false,
        }
    }

    /// Whether it uses page-locked memory of this range.
    fn touches(&self, from: u64, bytes: u64) -> bool {
        match self {
            Work::Upload(_, Source::Locked(at, _)) | Work::Download(_, at, _) => {
                within(at.0.as_ptr() as u64, from, bytes)
            }
            _ => false,
        }
    }

    fn is_locked(&self) -> bool {
        matches!(
            self,
            Work::Upload(_, Source::Locked(..)) | Work::Download(..)
        )
    }
}

/// What a stream's work is taken down into instead of run.
struct Capture {
    work: Vec<Work>,
    thread: ThreadId,
    broken: Option<&'static str>,
}

/// What is waited for.
#[derive(Clone, Copy)]
pub(super) enum Until {
    Stream(Stream),
    Event(Event),
}

/// All streams, events, recordings and memory of a driver.
pub(super) struct Lines {
    /// In which order work is picked; none runs it when it is asked for.
    order: Option<Order>,
    dice: u64,
    /// By stream: work and when it was asked for.
    lines: BTreeMap<u64, VecDeque<(u64, Work)>>,
    tickets: u64,
    streams: u64,
    events: u64,
    /// Events that have not been reached.
    open: BTreeSet<u64>,
    times: HashMap<u64, Option<Instant>>,
    captures: HashMap<u64, Capture>,
    recordings: HashMap<u64, Vec<Work>>,
    recorded: u64,
    /// What queued work failed with, until somebody is told.
    fault: Option<Error>,
    /// Kernels that were run.
    pub(super) launched: u64,
    pub(super) memory: Memory,
}

/// What a driver allocated.
#[derive(Default)]
pub(super) struct Memory {
    /// Bytes by address, of the card and of the host.
    pub(super) card: BTreeMap<u64, u64>,
    pub(super) host: BTreeMap<u64, u64>,
    /// Allocations so far, of the card.
    pub(super) made: u64,
    /// The allocation that fails, counted from 1.
    pub(super) fail: Option<u64>,
}

impl Lines {
    pub(super) fn new(order: Option<Order>) -> Lines {
        let mut lines = Lines {
            order: None,
            dice: 0,
            lines: BTreeMap::from([(0, VecDeque::new())]),
            tickets: 0,
            streams: 1,
            events: 0,
            open: BTreeSet::new(),
            times: HashMap::new(),
            captures: HashMap::new(),
            recordings: HashMap::new(),
            recorded: 0,
            fault: None,
            launched: 0,
            memory: Memory::default(),
        };
        lines.set_order(order);
        lines
    }

    pub(super) fn set_order(&mut self, order: Option<Order>) {
        self.order = order;
        self.dice = match order {
            Some(Order::Random(seed)) => seed.wrapping_mul(2).wrapping_add(1),
            _ => 1,
        };
    }

    /// Refuses what may not be done inside a capture of this thread, and breaks the capture.
    pub(super) fn outside(&mut self, op: &'static str) -> Result<()> {
        let thread = std::thread::current().id();
        match self.captures.values_mut().find(|c| c.thread == thread) {
            None => Ok(()),
            Some(capture) => {
                capture.broken = Some(op);
                let message = "simulated card: not inside a capture";
                Err(Error::internal(message).op(op))
            }
        }
    }

    pub(super) fn know(&self, stream: Stream, op: &'static str) -> Result<()> {
        if self.lines.contains_key(&stream.0) {
            return Ok(());
        }
        Err(Error::internal(format!("stream {} was never made", stream.0)).op(op))
    }

    /// Puts work on a stream; runs it where no order could differ.
    pub(super) fn submit(&mut self, api: &Api, stream: Stream, work: Work) -> Result<()> {
        if let Some(capture) = self.captures.get_mut(&stream.0) {
            capture.work.push(work);
            return Ok(());
        }
        let only = self.lines.len() == 1 && !work.is_locked();
        let idle = self.lines.values().all(VecDeque::is_empty);
        if idle && (self.order.is_none() || only) {
            return self.run(api, &work);
        }
        self.tickets += 1;
        let entry = (self.tickets, work);
        if let Some(line) = self.lines.get_mut(&stream.0) {
            line.push_back(entry);
        }
        if let Some(Order::Random(_)) = self.order {
            // Some work early, some late.
            for _ in 0..self.roll(3) {
                self.step(api);
            }
        }
        Ok(())
    }

    fn run(&mut self, api: &Api, work: &Work) -> Result<()> {
        if let Work::Mark(event) = work {
            self.open.remove(event);
            if let Some(time) = self.times.get_mut(event) {
                *time = Some(Instant::now());
            }
        }
        self.launched += u64::from(matches!(work, Work::Launch(_)));
        work.run(api)
    }

    /// Runs one piece of work; gives whether there was any that could be run.
    fn step(&mut self, api: &Api) -> bool {
        let ready = |line: &VecDeque<(u64, Work)>| match line.front() {
            None => false,
            Some((_, Work::Wait(event))) => !self.open.contains(event),
            Some(_) => true,
        };
        let ready: Vec<(u64, u64)> = self
            .lines
            .iter()
            .filter(|(_, line)| ready(line))
            .filter_map(|(&stream, line)| Some((stream, line.front()?.0)))
            .collect();
        let picked = match self.order {
            _ if ready.is_empty() => return false,
            Some(Order::Reverse) => ready.last().copied(),
            Some(Order::Random(_)) => {
                let at = self.roll(ready.len() as u64) as usize;
                ready.get(at).copied()
            }
            _ => ready.iter().min_by_key(|(_, ticket)| *ticket).copied(),
        };
        let line = picked.and_then(|(stream, _)| self.lines.get_mut(&stream));
        let Some((_, work)) = line.and_then(VecDeque::pop_front) else {
            return false;
        };
        if let Err(fault) = self.run(api, &work) {
            self.fault.get_or_insert(fault);
        }
        true
    }

    /// Runs work until what is waited for is done, and tells what any work failed with.
    pub(super) fn wait(&mut self, api: &Api, until: Until) -> Result<()> {
        loop {
            let done = match until {
                Until::Stream(stream) => self.lines.get(&stream.0).is_none_or(VecDeque::is_empty),
                Until::Event(event) => !self.open.contains(&event.0),
            };
            if done {
                break;
            }
            if !self.step(api) {
                return Err(Error::internal(
                    "simulated card: its streams wait for each other",
                ));
            }
        }
        self.fault.take().map_or(Ok(()), Err)
    }

    fn roll(&mut self, below: u64) -> u64 {
        // SplitMix64 (Steele et al., 2014).
        self.dice = self.dice.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.dice;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % below.max(1)
    }

    // --- Streams and events ---

    pub(super) fn stream(&mut self) -> Stream {
        self.lines.insert(self.streams, VecDeque::new());
        self.streams += 1;
        Stream(self.streams - 1)
    }

    pub(super) fn destroy(&mut self, api: &Api, stream: Stream) -> Result<()> {
        self.know(stream, "destroy")?;
        if stream == Stream::DEFAULT || self.captures.contains_key(&stream.0) {
            return Err(Error::internal("a stream that is still needed").op("destroy"));
        }
        let waited = self.wait(api, Until::Stream(stream));
        self.lines.remove(&stream.0);
        waited
    }

    pub(super) fn record(&mut self, api: &Api, stream: Stream, timed: bool) -> Result<Event> {
        self.know(stream, "record")?;
        let event = self.events;
        self.events += 1;
        self.open.insert(event);
        if timed {
            self.times.insert(event, None);
        }
        self.submit(api, stream, Work::Mark(event))?;
        Ok(Event(event))
    }

    pub(super) fn recorded(&self, event: Event, op: &'static str) -> Result<()> {
        match event.0 < self.events {
            true => Ok(()),
            false => {
                let message = format!("event {} was never recorded", event.0);
                Err(Error::internal(message).op(op))
            }
        }
    }

    pub(super) fn elapsed(&mut self, api: &Api, from: Event, to: Event) -> Result<f64> {
        let mut times = [None, None];
        for (event, time) in [from, to].into_iter().zip(&mut times) {
            self.recorded(event, "elapsed")?;
            self.wait(api, Until::Event(event))?;
            *time = self.times.get(&event.0).copied().flatten();
        }
        match times {
            [Some(from), Some(to)] => {
                let back = from.saturating_duration_since(to).as_secs_f64();
                Ok(to.saturating_duration_since(from).as_secs_f64() - back)
            }
            _ => Err(Error::internal("an event has no time").op("elapsed")),
        }
    }

    pub(super) fn release(&mut self, event: Event) -> Result<()> {
        match self.times.remove(&event.0) {
            Some(_) => Ok(()),
            None => Err(Error::internal("an event has no time").op("release")),
        }
    }

    // --- Captures ---

    pub(super) fn capture(&mut self, stream: Stream) -> Result<()> {
        self.know(stream, "capture")?;
        let capture = Capture {
            work: Vec::new(),
            thread: std::thread::current().id(),
            broken: None,
        };
        match self.captures.insert(stream.0, capture) {
            None => Ok(()),
            Some(_) => Err(Error::internal("a stream is captured already").op("capture")),
        }
    }

    pub(super) fn captured(&mut self, stream: Stream) -> Result<Recording> {
        let Some(capture) = self.captures.remove(&stream.0) else {
            return Err(Error::internal("the stream is not captured").op("captured"));
        };
        if let Some(op) = capture.broken {
            let message = format!("simulated card: {op} broke the capture");
            return Err(Error::internal(message).op("captured"));
        }
        self.recorded += 1;
        self.recordings.insert(self.recorded, capture.work);
        Ok(Recording(self.recorded))
    }

    pub(super) fn replay(&mut self, api: &Api, recording: Recording, stream: Stream) -> Result<()> {
        self.know(stream, "replay")?;
        let Some(work) = self.recordings.get(&recording.0).cloned() else {
            let message = format!("recording {} is not there", recording.0);
            return Err(Error::internal(message).op("replay"));
        };
        work.into_iter()
            .try_for_each(|work| self.submit(api, stream, work))
    }

    pub(super) fn forget(&mut self, recording: Recording) -> Result<()> {
        match self.recordings.remove(&recording.0) {
            Some(_) => Ok(()),
            None => Err(Error::internal("the recording is not there").op("forget")),
        }
    }

    // --- Memory ---

    /// Takes an allocation of the card out, if no queued work uses it.
    pub(super) fn freed(&mut self, address: u64) -> Result<()> {
        let bytes = self.memory.card.get(&address).copied().unwrap_or(0);
        if self.queued().any(|work| work.names(address, bytes)) {
            let message = "simulated card: queued work uses the memory";
            return Err(Error::internal(message).op("free"));
        }
        self.memory.card.remove(&address);
        Ok(())
    }

    /// Takes an allocation of the host out, if no queued copy uses it; gives its bytes.
    pub(super) fn host_freed(&mut self, address: u64) -> Result<u64> {
        let Some(&bytes) = self.memory.host.get(&address) else {
            let message = "simulated card: is no page-locked memory";
            return Err(Error::internal(message).op("host_free"));
        };
        if self.queued().any(|work| work.touches(address, bytes)) {
            let message = "simulated card: a queued copy uses the memory";
            return Err(Error::internal(message).op("host_free"));
        }
        self.memory.host.remove(&address);
        Ok(bytes)
    }

    /// Refuses host memory that is not page-locked.
    pub(super) fn locked(&self, at: Host, bytes: usize, op: &'static str) -> Result<()> {
        let at = at.0.as_ptr() as u64;
        let before = self.memory.host.range(..=at).next_back();
        match before.is_some_and(|(from, have)| at - from + bytes as u64 <= *have) {
            true => Ok(()),
            false => Err(Error::internal("simulated card: memory is not page-locked").op(op)),
        }
    }

    fn queued(&self) -> impl Iterator<Item = &Work> {
        self.lines.values().flatten().map(|(_, work)| work)
    }
}
