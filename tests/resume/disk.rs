//! A disk that is full.

use std::process::Command;

use crate::bench::{Bench, Event, Ran, Running};

/// A run of the engine by `sh`, which sets its bounds first.
fn by_shell(bench: &Bench, before: &str, work: &str, out: &str) -> Command {
    let words = bench.words(work, out).join(" ");
    let script = format!("{before}; exec {} {words}", env!("CARGO_BIN_EXE_engine"));
    let mut command = Command::new("bash");
    command.args(["-c", &script]).current_dir(bench.path("."));
    command
}

fn no_file_is_half_written(bench: &Bench, work: &str, ran: &Ran) {
    let whole = bench.files("whole");
    // A run that could not keep anything has removed its folder.
    if !bench.path(work).exists() {
        return;
    }
    for (name, bytes) in bench.files(work) {
        // The mark is no result; it is filled by the next run.
        let passing = name.starts_with(".doppel-") || name == "doppel-work";
        let growing = name.contains(".growing") || passing;
        let said = &ran.said;
        assert!(growing || whole[&name] == bytes, "{name}: {said:#?}");
    }
}

/// A file that may not grow stands for a disk that is full: the shell sets the bound.
#[test]
fn a_run_goes_on_when_there_is_room_again() {
    let bench = Bench::new();
    bench.run("whole", "expected").ends(1);
    // Bounds just below the size of each file that a run writes; nothing at all among them.
    let mut sizes: Vec<u64> = [bench.files("whole"), bench.files("expected")]
        .iter()
        .flatten()
        .filter(|(name, _)| !name.ends_with(".json") && *name != "doppel-work")
        .map(|(_, bytes)| (bytes.len() as u64).saturating_sub(1) / 1024)
        .collect();
    sizes.sort_unstable();
    sizes.dedup();
    assert!(sizes.len() >= 4, "{sizes:?}");
    let mut stopped = Vec::new();
    for blocks in sizes.iter().rev() {
        let (work, out) = (format!("work{blocks}"), format!("out{blocks}"));
        let bound = format!("trap '' XFSZ; ulimit -f {blocks}");
        let ran = Running::of(by_shell(&bench, &bound, &work, &out)).finish();
        let ran = ran.fails_with(&["File too large"]);
        no_file_is_half_written(&bench, &work, &ran);
        bench.no_half_outputs(&out);
        let (made, _) = ran.stages();
        stopped.push(made.last().cloned().unwrap_or_default());
        let again = bench.run(&work, &out).ends(1);
        // All but the stage that failed are reused.
        let reused = again.stages().1;
        for stage in made.iter().rev().skip(1) {
            assert!(
                stage == "match" || reused.contains(stage),
                "{blocks}: {stage}"
            );
        }
        bench.same_outputs(&out, &format!("{blocks}"));
        assert!(bench.files(&work) == bench.files("whole"), "{blocks}");
    }
    stopped.sort();
    stopped.dedup();
    assert!(stopped.len() >= 4, "the same stages failed: {stopped:?}");
}

/// Every stage in its turn is the one that finds no room.
#[test]
fn every_stage_says_that_there_is_no_room() {
    let bench = Bench::new();
    let (stages, _) = bench.run("whole", "expected").ends(1).stages();
    for stage in stages.iter().filter(|s| *s != "match") {
        // A run that was cut off when this stage began.
        let _ = std::fs::remove_dir_all(bench.path("work"));
        let mut running = Running::of(bench.command("work", "gone"));
        assert!(running.reaches(|e| *e == Event::Begins(stage.clone())));
        running.kill();
        let bound = "trap '' XFSZ; ulimit -f 0";
        let ran = Running::of(by_shell(&bench, bound, "work", "out")).finish();
        let ran = ran.fails_with(&["File too large"]);
        let (made, reused) = ran.stages();
        let next = stages.iter().position(|s| s == stage).unwrap();
        for earlier in stages[..next].iter().filter(|s| *s != "match") {
            assert!(reused.contains(earlier), "{stage}: {earlier} is made again");
        }
        // It may have come to its end before the signal did; rows of encoders fail before they begin.
        let last = made.last().unwrap_or(stage);
        assert!(stages[next..].contains(last), "{stage}: {made:?}");
        no_file_is_half_written(&bench, "work", &ran);
        bench.no_half_outputs("out");
        bench.run("work", "out").ends(1);
        bench.same_outputs("out", stage);
        std::fs::remove_dir_all(bench.path("out")).unwrap();
    }
}

/// A file system of a few pages, where this machine lets a test mount one.
#[test]
fn a_small_file_system_fills_up() {
    let bench = Bench::new();
    bench.run("whole", "expected").ends(1);
    let whole: usize = bench.files("whole").values().map(Vec::len).sum();
    std::fs::create_dir(bench.path("small")).unwrap();
    let engine = format!(
        "{} {}",
        env!("CARGO_BIN_EXE_engine"),
        bench.words("small/work", "out").join(" ")
    );
    // In turn: nothing fits; some stages' results do; all do.
    let script = format!(
        "mount -t tmpfs -o size=64k doppel small || exit 42\n\
         {engine} 2> err0; echo $? > code0\n\
         mount -o remount,size={}k small || exit 42\n\
         {engine} 2> err1; echo $? > code1\n\
         mount -o remount,size=64m small || exit 42\n\
         {engine} 2> err2; echo $? > code2\n\
         ls -A small/work > names\n",
        whole / 2048
    );
    let status = Command::new("unshare")
        .args(["-rm", "bash", "-c", &script])
        .current_dir(bench.path("."))
        .status();
    if !status.is_ok_and(|s| s.success()) {
        println!("skipped: this test may not mount a file system");
        return;
    }
    let read = |name: &str| std::fs::read_to_string(bench.path(name)).unwrap();
    for n in [0, 1] {
        assert_eq!(
            read(&format!("code{n}")),
            "2\n",
            "{}",
            read(&format!("err{n}"))
        );
        let err = read(&format!("err{n}"));
        let errors: Vec<&str> = err.lines().filter(|l| l.starts_with("error: ")).collect();
        assert_eq!(errors.len(), 1, "{err}");
        assert!(
            errors[0].contains("No space left") && errors[0].contains("small/work"),
            "{err}"
        );
    }
    assert_eq!(read("code2"), "1\n", "{}", read("err2"));
    assert!(read("err2").contains(" reused"), "{}", read("err2"));
    bench.same_outputs("out", "a small file system");
    let mut names: Vec<String> = bench.files("whole").into_keys().collect();
    names.sort();
    let mut found: Vec<String> = read("names").lines().map(str::to_string).collect();
    found.sort();
    assert_eq!(found, names);
}
