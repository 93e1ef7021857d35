//! What every verb has, and `split` and `info`.

use std::process::{Command, Stdio};

use crate::tools::{Bench, SMALL};

const VERBS: [&str; 14] = [
    "match", "embed", "tfidf", "search", "classify", "evaluate", "tune", "synth", "split", "info",
    "demo", "bench", "recipes", "compare",
];

#[test]
fn every_verb_has_help_with_an_example_and_the_common_options() {
    let bench = Bench::new();
    for verb in VERBS {
        let help = bench.engine(&format!("{verb} --help")).ends(0).out;
        for word in [
            "Example",
            "--device",
            "--threads",
            "--json",
            "--quiet",
            "engine ",
        ] {
            assert!(help.contains(word), "{verb}: {word} is missing in: {help}");
        }
    }
    let all = bench.engine("--help").ends(0).out;
    assert!(VERBS.iter().all(|verb| all.contains(verb)), "{all}");
    assert!(
        bench
            .engine("--version")
            .ends(0)
            .out
            .starts_with("engine 0.")
    );
}

#[test]
fn usage_errors_exit_with_two() {
    let bench = Bench::new();
    for line in [
        "",
        "nonsense",
        "match",
        "match l.csv",
        "search --out x",
        "info --threads many",
    ] {
        let ran = bench.engine(line);
        assert_eq!(ran.code, 2, "{line}: {}", ran.err);
        assert!(!ran.err.is_empty());
    }
}

#[test]
fn a_device_that_is_not_there_is_said_before_any_work() {
    let bench = Bench::new();
    bench.write("l.csv", SMALL);
    bench
        .engine("match l.csv --out m.csv --device cuda")
        .fails_with(&["cuda", "no GPU: ", "--device"]);
    bench
        .engine("match l.csv --out m.csv --device tpu")
        .fails_with(&["tpu", "auto"]);
    bench
        .engine("match l.csv --out m.csv --device cuda:x")
        .fails_with(&["cuda:x"]);
    bench
        .engine("match l.csv --out m.csv --threads 99999")
        .fails_with(&["99999"]);
    assert!(!bench.exists("m.csv"));
    bench.engine("match l.csv --out m.csv --device cpu").ends(0);
    bench
        .engine("match l.csv --out m.csv --device auto")
        .ends(0);
}

#[test]
fn info_says_what_there_is() {
    let bench = Bench::new();
    let json = bench.engine("info --json").ends(0).json();
    assert_eq!(json["device"], "cpu");
    assert_eq!(json["gpu"]["available"], false);
    let encoders = json["encoders"].as_array().unwrap();
    assert!(encoders.iter().any(|e| e["name"] == "timm:efficientnet_b0"));
    let forms = json["cpu"]["kernels"].as_array().unwrap();
    assert_eq!(forms.last().unwrap(), "portable");
    assert_eq!(
        bench.engine("info --json --threads 1").ends(0).json()["threads"],
        1
    );
    let text = bench.engine("info").ends(0).out;
    assert!(text.contains("no GPU: "), "{text}");
}

#[test]
fn folds_never_share_a_product() {
    let bench = Bench::new();
    let mut text = String::from("posting_id,title,label_group,shop\n");
    for i in 0..40 {
        text.push_str(&format!("p{i},\"thing, no {i}\",{},s{i}\n", i / 3));
    }
    bench.write("l.csv", text);
    let ran = bench
        .engine("split l.csv --folds 4 --by label_group --out folds --json")
        .ends(0);
    let sizes: Vec<u64> = ran.json()["sizes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|n| n.as_u64().unwrap())
        .collect();
    assert_eq!(sizes.iter().sum::<u64>(), 40);
    assert!(sizes.iter().all(|&n| (9..=12).contains(&n)), "{sizes:?}");
    let all = bench.read("folds/folds.csv");
    assert!(all.starts_with("posting_id,title,label_group,shop,fold\np0,\"thing, no 0\",0,s0,"));
    assert_eq!(all.lines().count(), 41);
    let mut fold_of = std::collections::HashMap::new();
    for line in all.lines().skip(1) {
        let fields: Vec<&str> = line.rsplitn(4, ',').collect();
        let (fold, label) = (fields[0], fields[2]);
        assert_eq!(
            *fold_of.entry(label).or_insert(fold),
            fold,
            "label {label} is split"
        );
    }
    for (k, &size) in sizes.iter().enumerate() {
        assert_eq!(
            bench.read(&format!("folds/fold-{k}.csv")).lines().count() as u64,
            size + 1
        );
    }
    bench
        .engine("split l.csv --folds 4 --linked --out linked")
        .ends(0);
    bench
        .engine("split l.csv --folds 1 --out f")
        .fails_with(&["fold"]);
    bench
        .engine("split l.csv --folds 50 --out f")
        .fails_with(&["50"]);
    bench.write("bare.csv", "posting_id,title\na,b\n");
    bench
        .engine("split bare.csv --out f")
        .fails_with(&["bare.csv", "label_group"]);
}

#[test]
fn a_closed_pipe_is_quiet() {
    let bench = Bench::new();
    let mut child = Command::new(env!("CARGO_BIN_EXE_engine"))
        .args(["info"])
        .current_dir(bench.folder())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert!(
        output.stderr.is_empty(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert_eq!(output.status.code(), Some(0));
}
