//! `engine compare`.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::tools::Bench;

/// Labelled listings whose titles nearly say what they are.
fn listings(bench: &Bench) {
    let mut text = String::from("posting_id,title,label_group\n");
    let mut random = fastrand::Rng::with_seed(8);
    for group in 0..30 {
        for copy in 0..(2 + group % 3) {
            let noise: Vec<String> = (0..2).map(|_| format!("w{}", random.u8(0..12))).collect();
            text.push_str(&format!(
                "p{group}-{copy},thing{group} kind{} {},{group}\n",
                group % 7,
                noise.join(" ")
            ));
        }
    }
    bench.write("l.csv", text);
}

fn lines(value: &Value) -> Vec<(String, String, f64)> {
    let lines = value["lines"].as_array().unwrap().iter();
    let text = |v: &Value| v.as_str().unwrap().to_string();
    lines
        .map(|l| {
            let f1 = l["figures"]["f1"].as_f64().unwrap();
            (text(&l["recipe"]), text(&l["variant"]), f1)
        })
        .collect()
}

#[test]
fn each_form_scores_as_match_and_evaluate_do() {
    let bench = Bench::new();
    listings(&bench);
    let ran = bench
        .engine("compare l.csv --recipe yang-tfidf --recipe default --json")
        .ends(0);
    let lines = lines(&ran.json());
    let forms: Vec<(&str, &str)> = lines.iter().map(|l| (&l.0[..], &l.1[..])).collect();
    let all = ["plain", "Min2", "INB"];
    let wanted: Vec<(&str, &str)> = ["yang-tfidf", "default"]
        .into_iter()
        .flat_map(|name| all.map(|form| (name, form)))
        .collect();
    assert_eq!(forms, wanted);
    for (recipe, form, name) in [
        ("yang-tfidf", "plain", "yang-tfidf"),
        ("yang-tfidf", "Min2", "yang-tfidf-min2"),
        ("default", "plain", "default"),
    ] {
        let line = format!("match l.csv --recipe {name} --out m.csv --no-work");
        bench.engine(&line).ends(0);
        let figures = bench.engine("evaluate m.csv l.csv --json").ends(0).json();
        let found = lines.iter().find(|l| l.0 == recipe && l.1 == form).unwrap();
        assert_eq!(json!(found.2), figures["f1"], "{name}");
    }
    // They do differ, and Min2 alone adds matches.
    let scores: BTreeSet<u64> = lines.iter().map(|l| l.2.to_bits()).collect();
    assert!(scores.len() > 3, "{lines:?}");
    // The published score stands with the form that it is of.
    let of = |i: usize| ran.json()["lines"][i]["published"].clone();
    assert_eq!(
        (of(0), of(1), of(2)),
        (json!(0.78322), json!(0.789865), Value::Null)
    );
}

#[test]
fn ablation_leaves_out_one_kind_after_the_other() {
    let bench = Bench::new();
    listings(&bench);
    bench.write(
        "r.toml",
        "name = \"r\"\nfusion = \"a < .3 or b < .4\"\n[spaces.a]\ntfidf = {}\n\
         [spaces.b]\ngiven = true\n",
    );
    let rows = bench.read("l.csv").lines().count() - 1;
    let eye = (0..rows * rows).map(|i| f32::from(u8::from(i % (rows + 1) == 0)));
    let eye = doppel::tensor::Matrix::new(rows, rows, eye.collect()).unwrap();
    let npy = doppel::embed::store::NpyDtype::F32;
    doppel::embed::store::write_npy(bench.path("b.npy"), &eye, npy).unwrap();
    let line = "compare l.csv --recipe r.toml --forms plain --ablation --embeddings b=b.npy --json";
    let lines = lines(&bench.engine(line).ends(0).json());
    let forms: Vec<&str> = lines.iter().map(|l| &l.1[..]).collect();
    assert_eq!(forms, ["plain", "without words", "without b"]);
    // `b` finds nothing, so it is words alone that score.
    assert_eq!(lines[0].2, lines[2].2);
    assert!(lines[1].2 < lines[0].2, "{lines:?}");
    bench
        .engine("compare l.csv --recipe r.toml --embeddings c=b.npy")
        .fails_with(&["c", "no recipe"]);
}

#[test]
fn folds_score_thresholds_that_were_chosen_elsewhere() {
    let bench = Bench::new();
    listings(&bench);
    let line = "compare l.csv --recipe yang-tfidf --forms plain,min2 --folds 3 --json";
    let json = bench.engine(line).ends(0).json();
    for line in json["lines"].as_array().unwrap() {
        let held = line["held"]["f1"].as_f64().unwrap();
        assert!((0.3..=1.0).contains(&held), "{line}");
    }
    // As `tune` says it of the same recipe.
    let tuned = bench
        .engine("tune l.csv --recipe yang-tfidf --folds 3 --json")
        .ends(0)
        .json();
    assert_eq!(json["lines"][0]["held"], tuned["folds"]["whole"]);
}

#[test]
fn a_chart_is_written_whole_or_not_at_all() {
    let bench = Bench::new();
    listings(&bench);
    bench.write(
        "r.toml",
        "name = \"a <b> & \\\"c\\\"\"\nfusion = \"a < .3\"\n[spaces.a]\ntfidf = {}\n",
    );
    let run = |out: &str| bench.engine(&format!("compare l.csv --recipe r.toml --out {out}"));
    let ran = run("c.html").ends(0);
    assert!(
        ran.out.contains("recipe") && ran.out.contains("INB"),
        "{}",
        ran.out
    );
    let page = bench.read("c.html");
    assert!(page.contains("a &lt;b&gt; &amp; &quot;c&quot;") && !page.contains("<b>"));
    assert_eq!(page.matches("<tr>").count(), 4);
    run("c.svg").ends(0);
    let svg = bench.read("c.svg");
    assert!(svg.starts_with("<svg ") && svg.trim_end().ends_with("</svg>"));
    assert_eq!(svg.matches("<rect ").count(), 3);
    run("c.pdf").fails_with(&["c.pdf", ".html"]);
    run("l.csv").fails_with(&["l.csv"]);
    bench
        .engine("compare l.csv --recipe r.toml --recipe r.toml")
        .fails_with(&["two of the recipes"]);
    bench.write("bare.csv", "posting_id,title\na,b\n");
    bench
        .engine("compare bare.csv --recipe default")
        .fails_with(&["bare.csv", "label_group"]);
    assert_eq!(
        bench.names(),
        ["bare.csv", "c.html", "c.svg", "l.csv", "r.toml"]
    );
}
