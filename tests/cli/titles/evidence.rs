//! Encoders of titles in `match`, alone and beside one of images, and in `demo`.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use serde_json::json;

use super::copy;
use crate::embed::weights;
use crate::tools::Bench;

/// Titles without a common word, two of which are the same but for accents, which BERT takes off; p3 has
/// none, and p4's row is rejected.
const ACCENTS: &str = "posting_id,image,title\n\
    p0,a.jpg,kopi luwak\np1,b.jpg,kópí lúwák\np2,a.jpg,\"phone case, leather\"\np3,c.jpg,\np4,d.jpg,x,y\n";

/// The pairs of a run, with their scores and sources.
fn pairs(bench: &Bench) -> HashMap<(String, String, String), f64> {
    let text = bench.read("p.csv");
    let cells = text
        .lines()
        .skip(1)
        .map(|l| l.split(',').collect::<Vec<_>>());
    cells
        .map(|c| {
            (
                (c[0].into(), c[1].into(), c[3].into()),
                c[2].parse().unwrap(),
            )
        })
        .collect()
}

#[test]
fn an_encoder_of_titles_is_evidence_in_match() {
    let bench = Bench::new();
    copy(&bench, "bert", "w");
    bench.write("l.csv", ACCENTS);
    let plain = "match l.csv --out m.csv --pairs p.csv";
    bench.engine(plain).ends(1);
    assert!(pairs(&bench).is_empty());
    let line = format!("{plain} --json --encoder hf: --weights w");
    let ran = bench.engine(&line).ends(1);
    let json = ran.json();
    assert_eq!(json["sources"], json!(["phash", "tfidf", "title"]));
    let stages: Vec<&str> = json["stages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|s| s["name"].as_str().unwrap())
        .collect();
    assert_eq!(
        stages,
        [
            "read", "weights", "phash", "tfidf", "titles", "search", "search", "search", "match",
            "write"
        ]
    );
    let found = pairs(&bench);
    let key = |a: &str, b: &str| (a.into(), b.into(), "title".into());
    assert!((found[&key("p0", "p1")] - 1.0).abs() < 1e-6, "{found:?}");
    assert!((found[&key("p1", "p0")] - 1.0).abs() < 1e-6, "{found:?}");
    let lonely = |(a, b, _): &(String, String, String)| a != "p3" && b != "p3";
    assert!(found.keys().all(lonely), "{found:?}");
    let matches = bench.read("m.csv");
    assert!(matches.contains("\np3,p3\n"), "{matches}");
    assert_eq!(bench.read("m.csv.rejects.csv").lines().count(), 2);
    // The files of earlier runs are there anew; nothing else is.
    assert_eq!(
        bench.names(),
        [
            "l.csv",
            "m.csv",
            "m.csv.rejects.csv",
            "m.csv.work",
            "p.csv",
            "w"
        ]
    );
    for threads in ["1", "3"] {
        bench.engine(&format!("{line} --threads {threads}")).ends(1);
        assert_eq!(bench.read("m.csv"), matches);
    }
}

#[test]
fn encoders_of_images_and_of_titles_work_together() {
    let bench = Bench::new();
    copy(&bench, "bert", "w");
    let demo = Path::new(env!("CARGO_MANIFEST_DIR")).join("demo/images");
    let mut photographs: Vec<PathBuf> = std::fs::read_dir(demo)
        .unwrap()
        .map(|e| e.unwrap().path())
        .collect();
    photographs.sort();
    for (name, i) in [("a", 0), ("b", 20), ("c", 0), ("d", 40)] {
        bench.write(
            &format!("photos/{name}.jpg"),
            std::fs::read(&photographs[i]).unwrap(),
        );
    }
    // Hashes that differ, so that equal photographs are found by their encoder.
    let mut text = String::from("posting_id,image,image_phash,title\n");
    for (i, line) in [
        "a.jpg|kopi luwak",
        "b.jpg|kópí lúwák",
        "c.jpg|phone case",
        "d.jpg|",
    ]
    .iter()
    .enumerate()
    {
        let (image, title) = line.split_once('|').unwrap();
        text.push_str(&format!("p{i},{image},{:016x},{title}\n", 1u64 << i));
    }
    bench.write("l.csv", text);
    let resnet = format!("--encoder timm:resnet18 --weights {}", weights());
    let start = "match l.csv --images photos --out m.csv --pairs p.csv --json --size 40 --pool cls --pool avg";
    let mut answers = Vec::new();
    // Each encoder has its own weights, whichever comes first.
    for encoders in [
        format!("{resnet} --encoder hf: --weights w"),
        format!("--encoder hf:x --weights w {resnet}"),
    ] {
        let json = bench.engine(&format!("{start} {encoders}")).ends(0).json();
        assert_eq!(json["sources"], json!(["phash", "tfidf", "image", "title"]));
        let found = pairs(&bench);
        let score =
            |a: &str, b: &str, source: &str| found.get(&(a.into(), b.into(), source.into()));
        assert!(
            score("p0", "p2", "image").is_some_and(|s| *s > 0.9999),
            "{found:?}"
        );
        assert!(
            score("p0", "p1", "title").is_some_and(|s| *s > 0.9999),
            "{found:?}"
        );
        assert!(
            !found
                .keys()
                .any(|(a, b, s)| s == "title" && (a == "p3" || b == "p3"))
        );
        answers.push((bench.read("m.csv"), bench.read("p.csv")));
    }
    assert_eq!(answers[0], answers[1]);
}

#[test]
fn the_demo_and_info_know_encoders_of_titles() {
    let bench = Bench::new();
    copy(&bench, "xlmr", "w");
    let out = bench.engine("demo --encoder hf: --weights w").ends(0).out;
    assert!(out.contains("148 listings"), "{out}");
    assert!(bench.read("doppel-demo/pairs.csv").contains(",title,"));
    bench
        .engine("demo --out other --encoder hf:")
        .fails_with(&["hf download"]);
    assert!(!bench.exists("other"));
    let json = bench.engine("info --json").ends(0).json();
    let names: Vec<&str> = json["encoders"]
        .as_array()
        .unwrap()
        .iter()
        .map(|e| e["name"].as_str().unwrap())
        .collect();
    for name in [
        "timm:resnet18",
        "hf:bert",
        "hf:distilbert",
        "hf:roberta",
        "hf:xlm-roberta",
        "hf:minilm",
    ] {
        assert!(names.contains(&name), "{name}");
    }
    assert_eq!(
        json["evidence"],
        json!(["phash", "tfidf", "image", "title"])
    );
    let plain = bench.engine("info").ends(0).out;
    assert!(
        plain.contains("of titles: hf:") && plain.contains("xlm-roberta"),
        "{plain}"
    );
}
