//! `engine tune`: thresholds from labelled listings, as a recipe that `match` takes.

use crate::tools::{Bench, SMALL};

/// 120 listings of 40 products: their titles share words of the product, words of the seller, and words
/// that all sellers use.
fn labelled() -> String {
    let mut rng = fastrand::Rng::with_seed(6);
    let common = ["promo", "murah", "ready", "stock", "original", "gratis"];
    let mut text = String::from("posting_id,image,image_phash,title,label_group\n");
    for i in 0..120 {
        let product = i % 40;
        let mut words = vec![format!("kategori{}", product % 8)];
        for part in ["merk", "tipe", "warna"] {
            if rng.u32(0..4) > 0 {
                words.push(format!("{part}{product}"));
            }
        }
        words.push(common[rng.usize(0..6)].to_string());
        words.push(common[rng.usize(0..6)].to_string());
        words.push(format!("toko{}", rng.u32(0..30)));
        rng.shuffle(&mut words);
        text += &format!("p{i},,,{},{product}\n", words.join(" "));
    }
    text
}

#[test]
fn the_printed_recipe_gives_the_f1_that_it_tells() {
    let bench = Bench::new();
    bench.write("l.csv", labelled());
    let line = "tune l.csv --folds 4 --out tuned.toml --curve curve.csv --json";
    let found = bench.engine(line).ends(0).json();
    let (before, after) = (&found["before"]["f1"], &found["after"]["f1"]);
    assert!(after.as_f64() > before.as_f64(), "{before} {after}");
    assert_eq!(found["listings"], 120);
    let folds = found["folds"]["folds"].as_array().unwrap();
    assert_eq!(folds.len(), 4);
    assert!(folds.iter().all(|f| f["listings"] == 30), "{folds:?}");
    let recipe = bench.read("tuned.toml");
    assert_eq!(found["recipe"], recipe.as_str());
    assert!(
        recipe.contains("[tuned]") && recipe.contains("listings = 120"),
        "{recipe}"
    );

    for (recipe, figures) in [
        ("--recipe tuned.toml", &found["after"]),
        ("", &found["before"]),
    ] {
        bench
            .engine(&format!(
                "match l.csv {recipe} --out m.csv --no-work --quiet"
            ))
            .ends(0);
        let scored = bench.engine("evaluate m.csv l.csv --json").ends(0).json();
        assert_eq!(scored["f1"], figures["f1"], "{recipe}");
    }
    let curve = bench.read("curve.csv");
    assert!(
        curve.starts_with("source,distance,f1,precision,recall\ntfidf,0,"),
        "{curve}"
    );
    assert!(curve.lines().count() > 200);
    let best = &found["curves"][0]["curve"]["best"];
    let row = format!("tfidf,{},{},", best["distance"], best["f1"]);
    assert!(curve.contains(&row), "{row}");
    assert_eq!(bench.names(), ["curve.csv", "l.csv", "m.csv", "tuned.toml"]);
}

#[test]
fn without_out_the_recipe_stands_on_stdout_whatever_the_threads() {
    let bench = Bench::new();
    bench.write("l.csv", labelled());
    let ran = bench.engine("tune l.csv --threads 1").ends(0);
    assert!(
        ran.out.starts_with("# default on 120 listings: F1 0."),
        "{}",
        ran.out
    );
    for part in [
        "as written",
        "# tfidf alone: F1 0.",
        "▇",
        "\nfusion = ",
        "[spaces.tfidf]",
    ] {
        assert!(ran.out.contains(part), "{part}: {}", ran.out);
    }
    assert_eq!(ran.out, bench.engine("tune l.csv --threads 3").ends(0).out);
    bench.write("tuned.toml", &ran.out);
    // A recipe that is tuned already stays: nothing rises.
    let again = bench
        .engine("tune l.csv --recipe tuned.toml --json")
        .ends(0)
        .json();
    assert_eq!(again["before"], again["after"]);
}

#[test]
fn one_space_alone_may_change() {
    let bench = Bench::new();
    bench.write("l.csv", labelled());
    bench.write(
        "two.toml",
        "name = \"two\"\nfusion = \"words < .3 or letters < .3\"\n[spaces.words]\ntfidf = {}\n\
         [spaces.letters]\ntfidf = { analyzer = \"char\", ngram = [3, 3] }\n",
    );
    let ran = bench
        .engine("tune l.csv --recipe two.toml --only letters")
        .ends(0);
    let fusion = ran.out.lines().find(|l| l.starts_with("fusion")).unwrap();
    assert!(fusion.contains("words < 0.3 "), "{fusion}");
    assert!(!fusion.contains("letters < 0.3\""), "{fusion}");
}

#[test]
fn thresholds_for_another_size_say_what_they_rest_on() {
    let bench = Bench::new();
    bench.write("l.csv", labelled());
    bench.write(
        "one.toml",
        "name = \"one\"\nfusion = \"words < .3\"\n[spaces.words]\ntfidf = {}\n",
    );
    let found = bench
        .engine("tune l.csv --recipe one.toml --for-size 1000 --json")
        .ends(0)
        .json();
    let sizes = &found["sizes"];
    assert_eq!(sizes["listings"], 1000);
    assert_eq!(sizes["from"].as_array().unwrap().len(), 2, "{sizes}");
    assert_eq!(sizes["from"][1], 120);
    let fit = &sizes["fits"][0];
    assert_eq!(fit["name"], "words threshold");
    let (a, b) = (
        fit["chosen"][0].as_f64().unwrap(),
        fit["chosen"][1].as_f64().unwrap(),
    );
    let (x, y) = ((sizes["from"][0].as_f64().unwrap()).ln(), 120f64.ln());
    let line = a + (b - a) / (y - x) * (1000f64.ln() - x);
    let at = fit["distance"].as_f64().unwrap();
    assert!((at - line.clamp(0.0, 2.0)).abs() < 1e-4, "{line} {fit}");
    let recipe = found["recipe"].as_str().unwrap();
    assert!(
        recipe.contains("# the thresholds below are extrapolated to 1000 listings from "),
        "{recipe}"
    );
    assert!(
        recipe.contains("listings = 1000") && recipe.contains(&format!("words < {at}")),
        "{recipe}"
    );
}

#[test]
fn blending_is_tuned_stage_by_stage_and_written_down() {
    let bench = Bench::new();
    bench.write("l.csv", labelled());
    bench.write(
        "inb.toml",
        "name = \"inb\"\nfusion = \"min2(words < .3, words < .5)\"\n[spaces.words]\ntfidf = {}\n\
         refine = [{ blend = { distance = 0.1, min2 = 0.2 } }, { blend = { distance = 0.1 } }]\n",
    );
    let found = bench
        .engine("tune l.csv --recipe inb.toml --out tuned.toml --json --folds 2")
        .ends(0)
        .json();
    let stages = found["blends"].as_array().unwrap();
    assert_eq!(stages.len(), 2);
    assert_eq!(
        (&stages[0]["step"], &stages[1]["step"]),
        (&1.into(), &2.into())
    );
    bench
        .engine("match l.csv --recipe tuned.toml --out m.csv --no-work")
        .ends(0);
    let scored = bench.engine("evaluate m.csv l.csv --json").ends(0).json();
    assert_eq!(scored["f1"], found["after"]["f1"]);
    assert!(found["after"]["f1"].as_f64() > found["before"]["f1"].as_f64());
}

#[test]
fn what_cannot_be_tuned_is_refused_in_one_line() {
    let bench = Bench::new();
    bench.write("l.csv", SMALL);
    bench.write("bare.csv", "posting_id,title\na,x\nb,y\n");
    bench.write("empty.csv", "posting_id,title,label_group\na,x,\nb,y,\n");
    bench.write("one.csv", "posting_id,title,label_group\na,x,1\nb,y,1\n");
    bench.write("all.csv", "posting_id,title,label_group\na,x,1\nb,y,2\n");
    for (line, words) in [
        ("tune bare.csv", &["bare.csv", "label_group"][..]),
        ("tune empty.csv", &["empty.csv", "no listing has a label"]),
        ("tune one.csv", &["one.csv", "one group"]),
        ("tune all.csv", &["all.csv", "no two listings"]),
        ("tune l.csv --folds 4", &["l.csv", "4 folds of 3 groups"]),
        ("tune l.csv --folds 1", &["1 folds"]),
        ("tune l.csv --only words", &["words", "phash, tfidf"]),
        ("tune l.csv --for-size 100", &["l.csv", "too few"]),
        ("tune l.csv --for-size 0", &["0 listings"]),
        ("tune l.csv --out l.csv", &["l.csv", "twice"]),
        ("tune l.csv --curve l.csv", &["l.csv", "twice"]),
        ("tune l.csv --embeddings photo=p.npy", &["photo"]),
        ("tune none.csv", &["none.csv"]),
    ] {
        bench.engine(line).fails_with(words);
    }
    let names = bench.names();
    assert_eq!(
        names,
        ["all.csv", "bare.csv", "empty.csv", "l.csv", "one.csv"]
    );
    assert_eq!(bench.read("l.csv"), SMALL);
}

#[test]
fn rejected_rows_take_no_part() {
    let bench = Bench::new();
    bench.write("l.csv", labelled());
    let odd = labelled() + "p0,,,kategori1 merk1,1\np200,,,\n";
    bench.write("odd.csv", odd);
    let clean = bench.engine("tune l.csv --json").ends(0).json();
    let ran = bench.engine("tune odd.csv --json").ends(1);
    let found = ran.json();
    assert_eq!(found["after"], clean["after"]);
    assert_eq!(
        (&found["listings"], &found["rejects"]),
        (&120.into(), &2.into())
    );
    assert!(ran.err.contains("row 121"), "{}", ran.err);
}
