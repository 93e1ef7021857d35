//! Who may use a folder of results.

use std::process::Command;

use crate::bench::{Bench, Event, Running};

fn signal(running: &Running, signal: &str) {
    let id = running.id().to_string();
    let done = Command::new("kill").args([signal, &id]).status().unwrap();
    assert!(done.success());
}

#[test]
fn two_runs_do_not_share_a_folder() {
    let bench = Bench::new();
    let mut first = Running::of(bench.command("work", "a"));
    assert!(first.reaches(|e| matches!(e, Event::Begins(_))));
    signal(&first, "-STOP");
    let second = bench.run("work", "b");
    signal(&first, "-CONT");
    second.fails_with(&["work", "another run", "--work"]);
    first.finish().ends(1);
    let again = bench.run("work", "b").ends(1);
    assert_eq!(again.stages().0, ["match", "write"]);
    assert!(bench.files("a") == bench.files("b"));
}

#[test]
fn a_killed_run_does_not_keep_its_folder() {
    let bench = Bench::new();
    let mut first = Running::of(bench.command("work", "a"));
    assert!(first.reaches(|e| matches!(e, Event::Begins(_))));
    first.kill();
    bench.write("work/.doppel-x.partial", "half");
    bench.run("work", "a").ends(1);
    assert!(!bench.path("work/.doppel-x.partial").exists());
}

#[test]
fn what_is_not_a_folder_of_results_is_left_alone() {
    let bench = Bench::new();
    bench.write("file", "mine");
    bench
        .run("file", "out")
        .fails_with(&["file", "not a folder", "--work"]);
    let before = bench.files("photos");
    bench
        .run("photos", "out")
        .fails_with(&["photos", "left alone", "--work"]);
    assert!(bench.files("photos") == before);
    bench.run("gone/work", "out").fails_with(&["gone/work"]);
    assert_eq!(std::fs::read(bench.path("file")).unwrap(), b"mine");
    assert!(bench.files("out").is_empty());
    std::fs::create_dir(bench.path("empty")).unwrap();
    bench.run("empty", "out").ends(1);
}

#[cfg(unix)]
#[test]
fn a_folder_that_may_not_be_written_is_one_line() {
    use std::os::unix::fs::PermissionsExt;
    use std::os::unix::process::CommandExt;
    let bench = Bench::new();
    bench.run("work", "out").ends(1);
    let mode = |name: &str, mode| {
        let path = bench.path(name);
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    for (name, bits) in [
        (".", 0o755),
        ("out", 0o777),
        ("work", 0o555),
        ("work/doppel-work", 0o444),
    ] {
        mode(name, bits);
    }
    let mut command = bench.command("work", "out");
    if std::fs::write(bench.path("work/probe"), "").is_ok() {
        // This user may write everywhere; nobody may not, if nobody may start the engine.
        command.uid(65_534).gid(65_534);
        let may = Command::new(env!("CARGO_BIN_EXE_engine"))
            .arg("info")
            .uid(65_534)
            .output();
        if !may.is_ok_and(|output| output.status.success()) {
            println!("skipped: this user may write everywhere");
            return;
        }
    }
    Running::of(command)
        .finish()
        .fails_with(&["work", "ermission denied", "--work"]);
    mode("work", 0o755);
}

#[test]
fn a_fresh_run_uses_nothing_of_an_earlier_one() {
    let bench = Bench::new();
    let (stages, _) = bench.run("work", "a").ends(1).stages();
    bench.write("work/mine.csv", "mine");
    let mut command = bench.command("work", "b");
    command.arg("--fresh");
    let (made, reused) = Running::of(command).finish().ends(1).stages();
    assert_eq!((made, reused.len()), (stages, 0));
    assert!(bench.files("a") == bench.files("b"));
    assert_eq!(std::fs::read(bench.path("work/mine.csv")).unwrap(), b"mine");
}

#[test]
fn progress_is_told_as_it_is_asked_for() {
    let bench = Bench::new();
    let words = bench.words("work", "out");
    let told = |how: &[&str]| {
        let mut words: Vec<&str> = words.iter().map(String::as_str).collect();
        let at = words.iter().position(|w| *w == "--progress").unwrap();
        words.splice(at..at + 2, how.iter().copied());
        let mut command = Command::new(env!("CARGO_BIN_EXE_engine"));
        command.args(words).current_dir(bench.path("."));
        Running::of(command).finish()
    };
    let lines = told(&["--progress", "lines"]).ends(1);
    assert!(matches!(&lines.said.events[0], Event::Begins(name) if name == "phash"));
    assert!(matches!(&lines.said.events[1], Event::Ended(name, _) if name == "phash"));
    // Neither a bar nor lines where nobody looks at a terminal.
    for how in [
        &["--progress", "auto"][..],
        &["--progress", "none"],
        &["--progress", "bar"],
        &[],
    ] {
        assert!(told(how).ends(1).said.events.is_empty(), "{how:?}");
    }
    let wrong = told(&["--progress", "dots"]).ends(2);
    assert!(
        wrong.said.other.join(" ").contains("dots"),
        "{:?}",
        wrong.said
    );
}
