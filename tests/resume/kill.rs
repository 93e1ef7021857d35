//! `kill -9` at random moments of every stage.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use fastrand::Rng;

use crate::bench::{Bench, Event, Ran, Running};

/// Moments a stage, in lots that threads share.
const LOTS: usize = 5;
const MOMENTS_PER_LOT: usize = 10;

/// A run waits for the disk for most of its time.
const THREADS: usize = 4;

/// A run that nothing disturbed.
struct Whole {
    /// The stages in order, and how long each took.
    stages: Vec<(String, f64)>,
    /// What the stages of these places keep: the names of their files begin so.
    files: Vec<String>,
    seconds: f64,
}

/// What the result of a stage is called: a space's rows by its name, those that its first step left by
/// `NAME.1`, the neighbours that this step looks at by `NAME.1.nn`, the space's own by `NAME.nn`.
fn result_of(stage: &str, stages: &[(String, f64)]) -> String {
    let words = |stage: &str| {
        let words: Vec<String> = stage.split(' ').map(str::to_string).collect();
        let space = words.get(1).unwrap_or(&words[0]).clone();
        let number: usize = words.get(2).map_or(1, |n| n.parse().unwrap());
        (words[0].clone(), space, number)
    };
    let (kind, space, number) = words(stage);
    let step = |s: &&(String, f64)| {
        let (kind, of, _) = words(&s.0);
        of == space && matches!(&kind[..], "expand" | "blend")
    };
    match &kind[..] {
        "expand" | "blend" => format!("{space}.{number}"),
        "search" if number <= stages.iter().filter(step).count() => format!("{space}.{number}.nn"),
        "search" => format!("{space}.nn"),
        _ => space,
    }
}

fn undisturbed(bench: &Bench) -> Whole {
    let start = std::time::Instant::now();
    let ran = bench.run("whole", "expected").ends(1);
    let seconds = start.elapsed().as_secs_f64();
    let mut stages = Vec::new();
    for event in &ran.said.events {
        if let Event::Ended(name, took) = event {
            stages.push((name.clone(), *took));
        }
    }
    // All but the last two keep what they make: match and write.
    let keeping = stages.iter().take(stages.len() - 2);
    let files: Vec<String> = keeping.map(|s| result_of(&s.0, &stages)).collect();
    for name in bench.files("whole").keys() {
        assert!(belongs(name, &files), "{name} is of no stage: {stages:?}");
    }
    assert_eq!(stages.last().unwrap().0, "write");
    let mut names: Vec<&String> = stages.iter().map(|s| &s.0).collect();
    names.sort();
    names.dedup();
    assert_eq!(names.len(), stages.len(), "{stages:?}");
    for word in [
        "phash",
        "tfidf words",
        "embed photo",
        "expand photo",
        "blend title",
        "match",
    ] {
        assert!(names.iter().any(|n| n.contains(word)), "{word}: {names:?}");
    }
    Whole {
        stages,
        files,
        seconds,
    }
}

/// Whether `name` is a file of the results called `stems`.
fn belongs(name: &str, stems: &[String]) -> bool {
    let rest = |stem: &String| name.strip_prefix(stem.as_str()).map(str::to_string);
    let ends = [
        ".npy",
        ".npz",
        ".csv",
        ".npy.json",
        ".npz.json",
        ".csv.json",
        ".told.json",
    ];
    stems
        .iter()
        .filter_map(rest)
        .any(|r| ends.contains(&&r[..]))
        || name == "doppel-work"
}

/// The stages that had ended: those before which that stood last.
fn over(ran: &Ran) -> Vec<String> {
    let (mut made, mut reused) = ran.stages();
    made.pop();
    made.append(&mut reused);
    made
}

/// Kills a run in stage `at`, in some rounds the next one too, and runs to the end.
fn round(
    bench: &Bench,
    whole: &Whole,
    (at, round): (usize, usize),
    thread: usize,
    random: &mut Rng,
) {
    let (work, out) = (format!("work{thread}"), format!("out{thread}"));
    let before = &whole.files[..at.min(whole.files.len())];
    bench.copy("whole", &work, &|name| belongs(name, before));
    let _ = std::fs::remove_dir_all(bench.path(&out));
    let (name, took) = &whole.stages[at];
    let mut running = Running::of(bench.command(&work, &out));
    let begins = |e: &Event| *e == Event::Begins(name.clone());
    assert!(running.reaches(begins), "{name}: {:#?}", running.said);
    std::thread::sleep(Duration::from_secs_f64(took * 1.5 * random.f64()));
    let mut ended = over(&running.kill());
    bench.no_half_outputs(&out);
    if round % 5 == 4 {
        let running = Running::of(bench.command(&work, &out));
        std::thread::sleep(Duration::from_secs_f64(whole.seconds * 0.5 * random.f64()));
        ended.extend(over(&running.kill()));
        bench.no_half_outputs(&out);
    }
    let last = bench.run(&work, &out).ends(1);
    let (made, reused) = last.stages();
    for (stage, _) in &whole.stages[..whole.files.len()] {
        let expected = ended.contains(stage);
        assert!(!expected || reused.contains(stage), "{stage} is made again");
        assert!(made.contains(stage) || reused.contains(stage), "{stage}");
    }
    bench.same_outputs(&out, &format!("{name}, round {round}"));
    for (file, bytes) in bench.files("whole") {
        let same = std::fs::read(bench.path(&work).join(&file)).unwrap();
        assert!(same == bytes, "{file} differs: {name}, round {round}");
    }
    assert_eq!(bench.files(&work).len(), bench.files("whole").len());
}

#[test]
fn a_kill_at_any_moment_of_any_stage_changes_nothing() {
    let bench = Bench::new();
    let whole = undisturbed(&bench);
    let next = AtomicUsize::new(0);
    let work = |thread: usize| {
        loop {
            let lot = next.fetch_add(1, Ordering::Relaxed);
            let at = lot / LOTS;
            if at >= whole.stages.len() {
                break;
            }
            let mut random = Rng::with_seed(lot as u64);
            for n in 0..MOMENTS_PER_LOT {
                round(
                    &bench,
                    &whole,
                    (at, lot * MOMENTS_PER_LOT + n),
                    thread,
                    &mut random,
                );
            }
        }
    };
    let work = &work;
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            scope.spawn(move || work(thread));
        }
    });
}
