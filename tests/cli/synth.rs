//! `engine synth`: a folder that the other verbs can work on, whole or not there.

use std::collections::HashSet;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use doppel::image::phash;
use doppel::listings::Listings;

use crate::tools::Bench;

/// The files of a folder with their bytes, by name.
fn files(bench: &Bench, folder: &str) -> Vec<(String, Vec<u8>)> {
    let entries = std::fs::read_dir(bench.path(folder)).unwrap();
    let mut files: Vec<(String, Vec<u8>)> = entries
        .map(|e| e.unwrap())
        .filter(|e| e.file_type().unwrap().is_file())
        .map(|e| {
            let name = e.file_name().into_string().unwrap();
            (name, std::fs::read(e.path()).unwrap())
        })
        .collect();
    files.sort();
    files
}

#[test]
fn a_market_without_pictures_is_matched_and_scored() {
    let bench = Bench::new();
    let json = bench
        .engine("synth --listings 600 --seed 3 --out m --no-images --json")
        .ends(0)
        .json();
    assert_eq!(json["listings"], 600);
    assert_eq!(json["images"], 0);
    let listings = Listings::read(&bench.path("m/listings.csv")).unwrap();
    assert!(listings.ledger.is_empty());
    assert_eq!(
        listings.header,
        ["posting_id", "image", "image_phash", "title", "label_group"]
    );
    assert_eq!(listings.items.len(), 600);
    let whole = |l: &&doppel::listings::Listing| {
        l.image.is_none() && l.phash.is_some() && l.title.is_some() && l.label_group.is_some()
    };
    assert_eq!(listings.items.iter().filter(whole).count(), 600);
    let groups: HashSet<_> = listings.labels().into_iter().collect();
    assert_eq!(json["groups"], groups.len());
    assert_eq!(files(&bench, "m").len(), 1, "one file and no other");
    assert!(!bench.exists("m/images"));

    bench
        .engine("match m/listings.csv --out matches.csv")
        .ends(0);
    let json = bench
        .engine("evaluate matches.csv m/listings.csv --json")
        .ends(0)
        .json();
    let f1 = json["f1"].as_f64().unwrap();
    assert!((0.6..0.95).contains(&f1), "{f1}");

    bench
        .engine("synth --listings 600 --seed 3 --out again --no-images --threads 1")
        .ends(0);
    assert_eq!(
        bench.read("m/listings.csv"),
        bench.read("again/listings.csv")
    );
    bench
        .engine("synth --listings 600 --seed 4 --out other --no-images --quiet")
        .ends(0);
    assert_ne!(
        bench.read("m/listings.csv"),
        bench.read("other/listings.csv")
    );
}

#[test]
fn pictures_are_there_and_hashed() {
    let bench = Bench::new();
    let json = bench
        .engine("synth --listings 120 --out m --size 48 --json")
        .ends(0)
        .json();
    let listings = Listings::read(&bench.path("m/listings.csv")).unwrap();
    let pictures = files(&bench, "m/images");
    let named: HashSet<&str> = listings
        .items
        .iter()
        .filter_map(|l| l.image.as_deref())
        .collect();
    assert_eq!(pictures.len(), named.len());
    assert_eq!(json["images"], named.len());
    assert!(named.len() < 120, "some listings show the very same file");
    let bytes: usize = pictures.iter().map(|p| p.1.len()).sum();
    assert_eq!(json["image_bytes"], bytes);
    for item in &listings.items {
        let name = item.image.as_deref().unwrap();
        let at = pictures
            .binary_search_by(|p| p.0.as_str().cmp(name))
            .unwrap();
        assert_eq!(
            phash(&pictures[at].1).unwrap(),
            item.phash.unwrap(),
            "{name}"
        );
    }
    let different: HashSet<&Vec<u8>> = pictures.iter().map(|p| &p.1).collect();
    assert!(different.len() < pictures.len(), "some files are copies");

    bench
        .engine("synth --listings 120 --out one --size 48 --threads 1")
        .ends(0);
    assert!(pictures == files(&bench, "one/images"));
    assert_eq!(bench.read("m/listings.csv"), bench.read("one/listings.csv"));
    // The words are the same whether pictures are drawn or not.
    bench
        .engine("synth --listings 120 --out words --no-images")
        .ends(0);
    assert_eq!(
        bench.column("m/listings.csv", 0),
        bench.column("words/listings.csv", 0)
    );
    let titles = |name: &str| -> Vec<_> {
        let listings = Listings::read(&bench.path(name)).unwrap();
        listings
            .items
            .into_iter()
            .map(|l| (l.title, l.label_group))
            .collect()
    };
    assert_eq!(titles("m/listings.csv"), titles("words/listings.csv"));
}

#[test]
fn what_is_there_is_kept() {
    let bench = Bench::new();
    bench.write("m/listings.csv", "mine");
    bench.write("m/notes.txt", "mine too");
    bench
        .engine("synth --listings 20 --out m --size 16")
        .fails_with(&["m/listings.csv", "there already", "--overwrite"]);
    assert_eq!(bench.read("m/listings.csv"), "mine");
    assert!(!bench.exists("m/images"));
    // Refused before anything is touched.
    bench
        .engine("synth --listings 20 --out m --size 0 --overwrite")
        .fails_with(&["0 pixels", "ask for"]);
    assert_eq!(bench.read("m/listings.csv"), "mine");
    bench
        .engine("synth --listings 20 --out m --size 16 --overwrite")
        .ends(0);
    assert_eq!(bench.read("m/listings.csv").lines().count(), 21);
    assert_eq!(bench.read("m/notes.txt"), "mine too");

    for (line, words) in [
        ("--listings 1 --out x", ["1 listings", "ask for 2 to"]),
        ("--listings 4000001 --out x", ["4000001", "ask for 2 to"]),
        (
            "--listings 20 --size 2049 --out x",
            ["2049 pixels", "ask for 1 to 2048"],
        ),
        (
            "--listings 20 --no-images --out m/notes.txt",
            ["m/notes.txt", "another place"],
        ),
    ] {
        bench.engine(&format!("synth {line}")).fails_with(&words);
        assert!(!bench.exists("x/listings.csv"));
    }
    bench.write("blocked/images", "a file, not a folder");
    bench
        .engine("synth --listings 20 --out blocked --size 16")
        .fails_with(&["blocked/images"]);
    assert!(!bench.exists("blocked/listings.csv"));
    assert_eq!(
        bench
            .engine("synth --listings 20 --out x --size 16 --no-images")
            .code,
        2
    );
}

#[cfg(unix)]
#[test]
fn a_run_that_was_killed_never_looks_whole_and_can_be_run_again() {
    let bench = Bench::new();
    let line = "synth --listings 400 --seed 5 --size 64 --out";
    bench.engine(&format!("{line} whole")).ends(0);
    let mut child = Command::new(env!("CARGO_BIN_EXE_engine"))
        .args(line.split(' '))
        .arg("cut")
        .current_dir(bench.folder())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let start = Instant::now();
    let some = || std::fs::read_dir(bench.path("cut/images")).is_ok_and(|d| d.count() > 5);
    while !some() && start.elapsed() < Duration::from_secs(60) {
        std::thread::sleep(Duration::from_millis(2));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    // A machine may be so fast that it was done by then; then it must be all there.
    if bench.exists("cut/listings.csv") {
        assert_eq!(
            bench.read("cut/listings.csv"),
            bench.read("whole/listings.csv")
        );
        std::fs::remove_file(bench.path("cut/listings.csv")).unwrap();
    }
    bench.engine(&format!("{line} cut")).ends(0);
    assert_eq!(
        bench.read("cut/listings.csv"),
        bench.read("whole/listings.csv")
    );
    assert!(files(&bench, "cut/images") == files(&bench, "whole/images"));
}
