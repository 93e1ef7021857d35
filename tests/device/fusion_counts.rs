//! What refining and matching ask of a card: how many launches, and what goes to the host between them.

use std::ffi::c_void;
use std::path::Path;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use doppel::device::gpu::driver::{
    CardInfo, Driver, Event, Kernel, Launch, Recording, TensorMap, TensorShape,
};
use doppel::device::gpu::driver_simt::SimtDriver;
use doppel::device::{CardLists, Device, Fusion, GpuDevice, Mixing, Stream};
use doppel::error::{Kind, Result};
use doppel::listings::Listings;
use doppel::matching::{Matches, Rule, Steps};
use doppel::recipe::work::Work;
use doppel::recipe::{self, Given, Job, Quiet, Recipe, Side, program};
use doppel::tensor::Rows;

use crate::fusion::{rows, sparse_rows};
use crate::harness::simulated_driver;

/// What a driver was asked for, in order.
#[derive(Debug, Clone, PartialEq)]
pub enum Asked {
    Launch(&'static str),
    Upload(usize),
    Download(usize),
}

/// The simulated card, with a list of what it was asked for.
pub struct Counting {
    inner: Arc<SimtDriver>,
    asked: Mutex<Vec<Asked>>,
    looked: AtomicUsize,
}

impl Counting {
    fn card() -> Option<(Arc<Counting>, GpuDevice)> {
        simulated_driver().map(Counting::over)
    }

    pub fn over(inner: Arc<SimtDriver>) -> (Arc<Counting>, GpuDevice) {
        let counting = Arc::new(Counting {
            inner,
            asked: Mutex::default(),
            looked: AtomicUsize::new(0),
        });
        let card = GpuDevice::new(Arc::clone(&counting) as Arc<dyn Driver>);
        (counting, card)
    }

    /// How often it was asked whether there is a kernel, since the last time.
    pub fn looked(&self) -> usize {
        self.looked.swap(0, Ordering::Relaxed)
    }

    fn note(&self, what: Asked) {
        self.asked.lock().unwrap().push(what);
    }

    /// What was asked since the last time.
    pub fn taken(&self) -> Vec<Asked> {
        std::mem::take(&mut self.asked.lock().unwrap())
    }
}

impl Driver for Counting {
    fn info(&self) -> &CardInfo {
        self.inner.info()
    }
    fn has(&self, kernel: Kernel) -> bool {
        self.looked.fetch_add(1, Ordering::Relaxed);
        self.inner.has(kernel)
    }
    fn alloc(&self, bytes: usize) -> Result<u64> {
        self.inner.alloc(bytes)
    }
    unsafe fn free(&self, address: u64) -> Result<()> {
        // SAFETY: the caller's promise, here and below.
        unsafe { self.inner.free(address) }
    }
    fn memory(&self) -> Result<(u64, u64)> {
        self.inner.memory()
    }
    fn host_alloc(&self, bytes: usize) -> Result<NonNull<u8>> {
        self.inner.host_alloc(bytes)
    }
    unsafe fn host_free(&self, at: NonNull<u8>) -> Result<()> {
        // SAFETY: as above.
        unsafe { self.inner.host_free(at) }
    }
    unsafe fn upload_locked(
        &self,
        to: u64,
        from: NonNull<u8>,
        bytes: usize,
        stream: Stream,
    ) -> Result<()> {
        self.note(Asked::Upload(bytes));
        // SAFETY: as above.
        unsafe { self.inner.upload_locked(to, from, bytes, stream) }
    }
    unsafe fn download_locked(
        &self,
        from: u64,
        to: NonNull<u8>,
        bytes: usize,
        stream: Stream,
    ) -> Result<()> {
        self.note(Asked::Download(bytes));
        // SAFETY: as above.
        unsafe { self.inner.download_locked(from, to, bytes, stream) }
    }
    unsafe fn upload(&self, to: u64, from: &[u8], stream: Stream) -> Result<()> {
        self.note(Asked::Upload(from.len()));
        // SAFETY: as above.
        unsafe { self.inner.upload(to, from, stream) }
    }
    unsafe fn download(&self, from: u64, to: &mut [u8], stream: Stream) -> Result<()> {
        self.note(Asked::Download(to.len()));
        // SAFETY: as above.
        unsafe { self.inner.download(from, to, stream) }
    }
    unsafe fn copy(&self, to: u64, from: u64, bytes: usize, stream: Stream) -> Result<()> {
        // SAFETY: as above.
        unsafe { self.inner.copy(to, from, bytes, stream) }
    }
    unsafe fn fill(&self, to: u64, value: u8, bytes: usize, stream: Stream) -> Result<()> {
        // SAFETY: as above.
        unsafe { self.inner.fill(to, value, bytes, stream) }
    }
    unsafe fn launch(
        &self,
        kernel: Kernel,
        how: &Launch,
        args: &mut [*mut c_void],
        stream: Stream,
    ) -> Result<()> {
        self.note(Asked::Launch(kernel.symbol));
        // SAFETY: as above.
        unsafe { self.inner.launch(kernel, how, args, stream) }
    }
    fn stream(&self) -> Result<Stream> {
        self.inner.stream()
    }
    fn destroy(&self, stream: Stream) -> Result<()> {
        self.inner.destroy(stream)
    }
    fn record(&self, stream: Stream) -> Result<Event> {
        self.inner.record(stream)
    }
    fn record_timed(&self, stream: Stream) -> Result<Event> {
        self.inner.record_timed(stream)
    }
    fn elapsed(&self, from: Event, to: Event) -> Result<f64> {
        self.inner.elapsed(from, to)
    }
    fn release(&self, event: Event) -> Result<()> {
        self.inner.release(event)
    }
    fn wait(&self, stream: Stream, event: Event) -> Result<()> {
        self.inner.wait(stream, event)
    }
    fn reach(&self, event: Event) -> Result<()> {
        self.inner.reach(event)
    }
    fn capture(&self, stream: Stream) -> Result<()> {
        self.inner.capture(stream)
    }
    fn captured(&self, stream: Stream) -> Result<Recording> {
        self.inner.captured(stream)
    }
    unsafe fn replay(&self, recording: Recording, stream: Stream) -> Result<()> {
        // SAFETY: as above.
        unsafe { self.inner.replay(recording, stream) }
    }
    fn forget(&self, recording: Recording) -> Result<()> {
        self.inner.forget(recording)
    }
    fn tensor_map(&self, shape: &TensorShape) -> Result<TensorMap> {
        self.inner.tensor_map(shape)
    }
    fn sync(&self, stream: Stream) -> Result<()> {
        self.inner.sync(stream)
    }
}

const BLEND: Mixing = Mixing::Blend {
    distance: 0.5,
    min2: Some(0.8),
};
const EXPAND: Mixing = Mixing::Expand {
    most: 2,
    alpha: 3.0,
};

/// Search, blend, search, expand, search: the neighbours, which stay on the card.
fn refine(card: &dyn Fusion, x: &Rows) -> CardLists {
    let mut x = card.rows(x, Stream::DEFAULT).unwrap();
    for how in [BLEND, EXPAND] {
        let near = card.near(&x, None, 9, None, Stream::DEFAULT).unwrap();
        x = card.mix(&x, None, &near, &how, Stream::DEFAULT).unwrap();
    }
    card.near(&x, None, 9, Some(0.2), Stream::DEFAULT).unwrap()
}

/// Tan's final sweep over two kinds of evidence, where it goes both ways, with Min2.
fn rule() -> Rule {
    let sweep = Rule::sweep().over(0, Steps::IMAGE).over(1, Steps::TFIDF);
    let fixed = Rule::threshold(0, 0.2).and(Rule::threshold(1, 0.3));
    sweep.with(fixed).rule().reciprocal().min2(1, 0.6)
}

#[test]
fn launches_do_not_depend_on_the_number_of_rows() {
    let Some((counting, card)) = Counting::card() else {
        return;
    };
    let fusion = card.fusion().unwrap();
    let mut seen: Vec<[Vec<Asked>; 2]> = Vec::new();
    for count in [40, 131] {
        let (a, b) = (rows(count, 12, 1), rows(count, 9, 2));
        counting.taken();
        let lists = [refine(fusion, &a), refine(fusion, &b)];
        let refined = counting.taken();
        let sources = [&lists[0], &lists[1]];
        let program = program(&rule(), 2).unwrap();
        let fired = fusion.fire(&program, &sources, None, 50, Stream::DEFAULT);
        assert!((0..count).any(|i| !fired.as_ref().unwrap().row(i).is_empty()));
        let matched = counting.taken();

        // Rows go to the card once; back come words that say whether they were sound.
        let large = |asked: &&Asked| match asked {
            Asked::Launch(_) => false,
            Asked::Upload(bytes) | Asked::Download(bytes) => *bytes > 20,
        };
        let large: Vec<&Asked> = refined.iter().filter(large).collect();
        let dense = |dims: usize| Asked::Upload(count * dims * 4);
        assert_eq!(large, [&dense(12), &dense(9)]);
        // Of matching there is nothing to see before the answer, of which there is one of each.
        let last = matched.iter().rposition(|a| matches!(a, Asked::Launch(_)));
        let (before, answer) = matched.split_at(last.unwrap());
        assert!(!before.iter().any(|a| matches!(a, Asked::Download(_))));
        assert_eq!(answer.len(), 5, "{answer:?}");
        let launches = |asked: Vec<Asked>| {
            let kept = asked.into_iter().filter(|a| matches!(a, Asked::Launch(_)));
            kept.collect::<Vec<_>>()
        };
        seen.push([launches(refined), launches(matched)]);
    }
    assert_eq!(seen[0], seen[1]);
    assert_eq!(
        seen[0][1],
        [Asked::Launch("rule_fire"), Asked::Launch("rule_fire")]
    );
    // Twice: three searches of four kernels and two mixes of three.
    assert_eq!(seen[0][0].len(), 2 * (3 * 4 + 2 * 3));
}

#[test]
fn sparse_rows_take_as_many_launches_whatever_their_number() {
    let Some((counting, card)) = Counting::card() else {
        return;
    };
    let fusion = card.fusion().unwrap();
    let mut seen = Vec::new();
    for count in [15, 70] {
        let x = fusion
            .rows(&sparse_rows(count, 20, 1), Stream::DEFAULT)
            .unwrap();
        let near = crate::fusion::lists(count, count, 6, 2);
        let near = fusion.lists(&near, Stream::DEFAULT).unwrap();
        counting.taken();
        let once = fusion
            .mix(&x, None, &near, &BLEND, Stream::DEFAULT)
            .unwrap();
        let twice = fusion
            .mix(&once, None, &near, &EXPAND, Stream::DEFAULT)
            .unwrap();
        let parts = [(&once, 1.0), (&twice, 0.5)];
        fusion.concat(&parts, Stream::DEFAULT).unwrap();
        let asked = counting.taken();
        // Whether the rows were sound, and how many values the next ones may have.
        let downloads = |a: &Asked| matches!(a, Asked::Download(bytes) if *bytes > 20);
        assert!(!asked.iter().any(downloads), "{asked:?}");
        let launches = asked.into_iter().filter(|a| matches!(a, Asked::Launch(_)));
        seen.push(launches.collect::<Vec<_>>());
    }
    assert_eq!(seen[0], seen[1]);
    assert_eq!(seen[0].len(), 2 * 4 + 3);
}

/// A recipe with every kind of step.
const RECIPE: &str = r#"
name = "test"
neighbours = 9
fusion = "reciprocal(sweep(both < .1 to .6 by .1, words < .3 to .6 by .1)) or a < .3"
[spaces.a]
given = true
refine = [ { expand = { k = 3, alpha = 2.5 } } ]
[spaces.b]
given = true
[spaces.both]
concat = { a = 0.7, b = 1.0 }
refine = [ { blend = { distance = 0.4, min2 = 0.6 } } ]
[spaces.words]
given = true
refine = [ { blend = { distance = 0.5, by = "both" } } ]
"#;

/// Listings of a file, which have nothing but their numbers.
fn listings(rows: usize) -> Listings {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("listings.csv");
    let lines: Vec<String> = (0..rows).map(|i| format!("p{i},\n")).collect();
    std::fs::write(&path, format!("posting_id,title\n{}", lines.concat())).unwrap();
    Listings::read(&path).unwrap()
}

fn given(name: &str, rows: Rows) -> (String, Given) {
    (name.to_string(), Given::Rows(Arc::new(rows)))
}

#[test]
fn a_recipe_refines_joins_and_matches_on_the_card() {
    let Some((counting, card)) = Counting::card() else {
        return;
    };
    let listings = listings(30);
    let recipe = Recipe::parse(RECIPE, Path::new("")).unwrap();
    let side = Side {
        given: vec![
            given("a", rows(30, 7, 1)),
            given("b", rows(30, 5, 2)),
            given("words", sparse_rows(30, 20, 3)),
        ],
        ..Side::new(&listings)
    };
    let run = |device: Arc<dyn Device>| {
        let job = Job {
            side: side.clone(),
            ..Job::new(&listings, &recipe, device)
        };
        recipe::run(&job, &Quiet).unwrap().matches
    };
    let want = run(doppel::device::open("cpu").unwrap());
    assert!((0..30).map(|i| want.firings(i).len()).sum::<usize>() > 20);
    counting.taken();
    assert_eq!(run(Arc::new(card)), want);
    let asked = counting.taken();
    for kernel in [
        "refine_choose_expand",
        "refine_choose_blend",
        "refine_mix",
        "refine_mix_sparse",
        "refine_concat",
        "rule_fire",
    ] {
        assert!(asked.contains(&Asked::Launch(kernel)), "{kernel}");
    }
    assert!(!asked.contains(&Asked::Launch("threshold_sweep")));
}

/// Dense spaces: joined, refined twice, and matched.
const DENSE: &str = r#"
name = "test"
neighbours = 9
fusion = "min2(sweep(both < .1 to .6 by .1, a < .1 to .3 by .1), both < .7)"
[spaces.a]
given = true
refine = [ { expand = { k = 3, alpha = 2.5 } } ]
[spaces.b]
given = true
[spaces.both]
concat = { a = 0.7, b = 1.0 }
refine = [ { blend = { distance = 0.4, min2 = 0.6 } }, { blend = { distance = 0.3, by = "b" } } ]
"#;

const MANY: usize = 130;

/// What stands in the way of a test of a few words: rows, lists and what fired are larger.
const SMALL: usize = 1000;

/// A market of rows, and another one to match it against.
struct Market {
    recipe: Recipe,
    listings: [Listings; 2],
    given: [Vec<(String, Given)>; 2],
}

impl Market {
    fn new() -> Market {
        let side = |seed| {
            let (a, b) = (rows(MANY, 7, seed), rows(MANY, 5, seed + 1));
            vec![given("a", a), given("b", b)]
        };
        Market {
            recipe: Recipe::parse(DENSE, Path::new("")).unwrap(),
            listings: [listings(MANY), listings(MANY)],
            given: [side(1), side(3)],
        }
    }

    fn run(&self, device: Arc<dyn Device>, against: bool, work: &Work) -> Result<Matches> {
        let side = |at: usize| Side {
            given: self.given[at].clone(),
            ..Side::new(&self.listings[at])
        };
        let job = Job {
            side: side(0),
            against: against.then(|| side(1)),
            work,
            ..Job::new(&self.listings[0], &self.recipe, device)
        };
        recipe::run(&job, &Quiet).map(|outcome| outcome.matches)
    }

    /// What the CPU says, which is more than every listing's own match.
    fn wanted(&self, against: bool) -> Matches {
        let cpu = doppel::device::open("cpu").unwrap();
        let want = self.run(cpu, against, &Work::Memory).unwrap();
        assert!((0..MANY).map(|i| want.firings(i).len()).sum::<usize>() > MANY);
        want
    }
}

/// Large copies to the card, and how many came back before the answer was there.
fn large(asked: &[Asked]) -> (Vec<usize>, usize) {
    let last = asked.iter().rposition(|a| matches!(a, Asked::Launch(_)));
    let ups = asked.iter().filter_map(|a| match a {
        Asked::Upload(bytes) if *bytes > SMALL => Some(*bytes),
        _ => None,
    });
    let back = |a: &&Asked| matches!(a, Asked::Download(bytes) if *bytes > 20);
    let downs = asked[..last.unwrap()].iter().filter(back).count();
    (ups.collect(), downs)
}

#[test]
fn rows_and_lists_of_a_recipe_stay_on_the_card() {
    let Some((counting, card)) = Counting::card() else {
        return;
    };
    let (market, card) = (Market::new(), Arc::new(card));
    let (a, b) = (MANY * 7 * 4, MANY * 5 * 4);
    for against in [false, true] {
        let want = market.wanted(against);
        counting.taken();
        let have = market.run(card.clone(), against, &Work::Memory).unwrap();
        assert_eq!(have, want, "against: {against}");
        let asked = counting.taken();
        let (mut ups, downs) = large(&asked);
        // The given rows of each side go up once, and nothing comes back before the rule has run.
        ups.sort_unstable();
        let sides = 1 + usize::from(against);
        assert_eq!(ups, [vec![b; sides], vec![a; sides]].concat());
        assert_eq!(downs, 0, "against: {against}");
        assert!(asked.contains(&Asked::Launch("rule_fire")));

        // What a folder keeps is written once, and is not read again on the way.
        let folder = tempfile::tempdir().unwrap();
        let work = Work::open(folder.path().join("work")).unwrap();
        let have = market.run(card.clone(), against, &work).unwrap();
        assert_eq!(have, want, "against: {against}, in a folder");
        let (mut kept, downs) = large(&counting.taken());
        kept.sort_unstable();
        assert_eq!(kept, ups);
        assert!(downs > 0);
        // What stands there is taken to the card by whoever wants it: the lists of the rule alone.
        let have = market.run(card.clone(), against, &work).unwrap();
        assert_eq!(have, want, "against: {against}, from a folder");
        let asked = counting.taken();
        let launches = asked.iter().filter(|a| matches!(a, Asked::Launch(_)));
        assert_eq!(launches.count(), 1, "{asked:?}");
        assert_eq!(large(&asked).1, 0);
    }
}

#[test]
fn a_full_card_lets_go_of_what_it_keeps() {
    let Some((counting, card)) = Counting::card() else {
        return;
    };
    let (market, card) = (Market::new(), Arc::new(card));
    let streams = card.streams().unwrap();
    for against in [false, true] {
        let want = market.wanted(against);
        market.run(card.clone(), against, &Work::Memory).unwrap();
        let peak = streams.memory_peak();
        let (mut tight, mut ended) = (0, false);
        for share in (1..24).rev() {
            streams.limit_memory(peak * share / 24);
            counting.taken();
            match market.run(card.clone(), against, &Work::Memory) {
                Ok(have) => {
                    assert_eq!(have, want, "{share} of 24");
                    tight += usize::from(large(&counting.taken()).1 > 0);
                }
                // Now a stage alone has too little.
                Err(e) => {
                    assert_eq!(e.kind(), Kind::Limit, "{e}");
                    ended = true;
                    break;
                }
            }
        }
        streams.limit_memory(u64::MAX);
        assert!(tight > 0 && ended, "against: {against}: {tight}");
    }
}
