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
    let bench = Bench::new();
    bench.run("work", "out").ends(1);
    let mode = |name: &str, mode| {
        let path = bench.path(name);
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    mode("work", 0o555);
    mode("work/doppel-work", 0o444);
    let free = std::fs::write(bench.path("work/probe"), "").is_ok();
    if free {
        println!("skipped: this user may write everywhere");
    } else {
        bench.run("work", "out").fails_with(&["work", "--work"]);
    }
    mode("work", 0o755);
}
