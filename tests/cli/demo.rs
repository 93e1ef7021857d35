//! `engine demo`, the first thing that a newcomer runs.

use crate::tools::Bench;

#[test]
fn the_demo_matches_what_it_ships_and_says_what_to_try_next() {
    let bench = Bench::new();
    let ran = bench.engine("demo").ends(0);
    for word in [
        "148 listings",
        "F1 0.",
        "slowest stage: ",
        "engine match",
        "made-up titles",
    ] {
        assert!(ran.out.contains(word), "{word} is missing in: {}", ran.out);
    }
    let rows = bench.read("doppel-demo/matches.csv").lines().count();
    assert_eq!(rows, 149);
    assert!(bench.read("doppel-demo/pairs.csv").lines().count() > 100);
    assert!(bench.exists("doppel-demo/images"));
    // What it prints is what evaluate says of its files.
    let json = bench.engine("demo --json --quiet").ends(0).json();
    let score = bench
        .engine("evaluate doppel-demo/matches.csv doppel-demo/listings.csv --json")
        .ends(0)
        .json();
    assert_eq!(json["f1"], score["f1"]);
    assert!(
        ran.out
            .contains(&format!("F1 {:.3}", score["f1"].as_f64().unwrap()))
    );
    // Better than leaving every listing alone, which is what no evidence would give.
    let alone: String = std::iter::once("posting_id,matches\n".to_string())
        .chain(
            bench
                .column("doppel-demo/matches.csv", 0)
                .iter()
                .map(|id| format!("{id},{id}\n")),
        )
        .collect();
    bench.write("alone.csv", alone);
    let nothing = bench
        .engine("evaluate alone.csv doppel-demo/listings.csv --json")
        .ends(0)
        .json();
    assert!(
        score["f1"].as_f64() > nothing["f1"].as_f64(),
        "{score} {nothing}"
    );
}

#[test]
fn a_folder_that_cannot_be_made_is_one_line() {
    let bench = Bench::new();
    bench.write("taken", "a file");
    bench
        .engine("demo --out taken")
        .fails_with(&["taken", "--out"]);
}
