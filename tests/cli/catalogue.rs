//! `engine recipes`, and built-in recipes by name.

use doppel::embed::store::{self, NpyDtype};
use doppel::tensor::Matrix;
use serde_json::Value;

use crate::tools::{Bench, SMALL};

/// Rows of whole numbers from 1 up, different ones for each seed.
fn rows(bench: &Bench, name: &str, rows: usize, seed: u64) {
    let mut random = fastrand::Rng::with_seed(seed);
    let data = (0..rows * 4).map(|_| random.f32() + 0.1).collect();
    let x = Matrix::new(rows, 4, data).unwrap();
    store::write_npy(bench.path(name), &x, NpyDtype::F32).unwrap();
}

#[test]
fn the_list_has_every_recipe_with_its_score_and_what_it_needs() {
    let bench = Bench::new();
    let text = bench.engine("recipes").ends(0).out;
    let line = |name: &str| -> Vec<&str> {
        let lines = text
            .lines()
            .map(|l| l.split_whitespace().collect::<Vec<_>>());
        let found = lines
            .filter(|cells| cells.first() == Some(&name))
            .next_back();
        found.unwrap_or_else(|| panic!("{name} is not listed: {text}"))
    };
    assert_eq!(line("tan-final")[1], "0.744");
    assert!(line("tan-final").windows(2).any(|w| w == ["3i", "1t"]));
    assert!(line("default").contains(&"-"));
    assert_eq!(line("yang-text-ensemble")[1], "0.828340");
    assert!(line("place18").windows(2).any(|w| w == ["1i", "1t"]));
    let json = bench.engine("recipes --json").ends(0).json();
    let all = json.as_array().unwrap();
    assert!(all.len() > 80, "{}", all.len());
    let named = |name: &str| all.iter().find(|r| r["name"] == name).unwrap().clone();
    let best = named("yang-nfnet-sbert-ensemble-min2");
    assert_eq!(best["score"], 0.888967);
    let place = best["published"]["where"].as_str().unwrap();
    assert!(place.starts_with("Table 26, row nfnet sbert ensemble"));
    assert_eq!(best["published"]["listings"], 6851);
    assert_eq!(best["needs"][0]["name"], "timm/eca_nfnet_l0.ra2_in1k");
    assert_eq!(
        named("tan-final")["published"]["also"]["public leaderboard"],
        0.756
    );
    assert_eq!(named("place11")["given"], serde_json::json!(["photo"]));
    assert!(bench.engine("recipes --quiet").ends(0).out.is_empty());
    assert!(bench.names().is_empty());
}

#[test]
fn what_is_shown_is_a_recipe_file_with_what_to_download() {
    let bench = Bench::new();
    let shown = bench.engine("recipes show tan-final").ends(0).out;
    for words in [
        "# hf download timm/efficientnet_b3.ra2_in1k model.safetensors --local-dir b3",
        "# hf download sentence-transformers/paraphrase-xlm-r-multilingual-v1 ",
        "# F1 0.744 on the private leaderboard",
        "# engine match listings.csv --recipe tan-final --images photos/ --weights . --out matches.csv",
        "concat = { b3 = 0.7, b5 = 0.8, nfnet = 1.0 }",
    ] {
        assert!(shown.contains(words), "{words} is missing in:\n{shown}");
    }
    bench.write("mine.toml", &shown);
    let again = bench.engine("recipes show mine.toml --json").ends(0).json();
    let named = bench.engine("recipes show tan-final --json").ends(0).json();
    for key in ["name", "fusion", "published", "needs"] {
        assert_eq!(again[key], named[key], "{key}");
    }
    let given = bench.engine("recipes show place11").ends(0).out;
    assert!(given.contains("--embeddings photo=photo.npy"), "{given}");
    let none = bench.engine("recipes show yang-tfidf").ends(0).out;
    assert!(none.contains("# It needs no weights."), "{none}");
}

#[test]
fn a_name_is_a_recipe_unless_it_is_a_file() {
    let bench = Bench::new();
    bench.write("l.csv", SMALL);
    let run = |recipe: &str| {
        let line = format!("match l.csv --recipe {recipe} --out m.csv --json --no-work");
        bench.engine(&line)
    };
    assert_eq!(run("yang-tfidf").ends(0).json()["recipe"], "yang-tfidf");
    assert_eq!(run("default").ends(0).json()["recipe"], "default");
    let text = "name = \"mine\"\nfusion = \"t < .5\"\n[spaces.t]\ntfidf = {}\n";
    bench.write("default.toml", text);
    assert_eq!(run("default.toml").ends(0).json()["recipe"], "mine");
    assert_eq!(run("./default.toml").ends(0).json()["recipe"], "mine");
    run("yang-tfidff").fails_with(&["yang-tfidff", "did you mean yang-tfidf?", "engine recipes"]);
    run("nothing-like-it").fails_with(&["engine recipes", ".toml"]);
    run("gone.toml").fails_with(&["gone.toml"]);
    bench
        .engine("recipes show tan-finl")
        .fails_with(&["did you mean tan-final?"]);
    let recipe = format!("match l.csv --recipe default.toml --out {}", "default.toml");
    bench.engine(&recipe).fails_with(&["twice"]);
}

#[test]
fn a_recipe_without_its_weights_says_what_it_wants() {
    let bench = Bench::new();
    bench.write("l.csv", SMALL);
    rows(&bench, "p.npy", 6, 1);
    let line = "match l.csv --recipe yang-nfnet-sbert-union --out m.csv --embeddings photo=p.npy";
    bench.engine(line).fails_with(&["xlmr"]);
    rows(&bench, "t.npy", 6, 2);
    let ran = bench
        .engine(&format!("{line} --embeddings title=t.npy --json"))
        .ends(0);
    assert_eq!(ran.json()["sources"], serde_json::json!(["photo", "title"]));
    bench
        .engine("match l.csv --recipe place11 --out m.csv --embeddings title=t.npy")
        .fails_with(&["photo"]);
}

#[test]
fn text_recipes_run_on_seeded_weights_end_to_end() {
    let bench = Bench::new();
    crate::titles::copy(&bench, "bert", "weights/mbert");
    crate::titles::copy(&bench, "bert", "weights/bert");
    bench.write("l.csv", SMALL);
    for name in [
        "yang-mbert",
        "yang-mbert-min2",
        "yang-mbert-inb",
        "gupta-text",
    ] {
        // The small encoder has fewer positions; what `show` prints can be changed.
        let shown = bench.engine(&format!("recipes show {name}")).ends(0).out;
        bench.write(
            "r.toml",
            shown.replace("max_tokens = 128", "max_tokens = 64"),
        );
        let line = "match l.csv --recipe r.toml --weights weights --out m.csv --json";
        let ran = bench.engine(line).ends(0);
        assert_eq!(ran.json()["recipe"], name);
        let stages: Vec<Value> = ran.json()["stages"].as_array().unwrap().clone();
        assert!(stages.iter().any(|s| s["name"] == "titles"), "{stages:?}");
        assert_eq!(bench.read("m.csv").lines().count(), 7);
    }
}

#[test]
fn an_image_recipe_runs_on_seeded_weights_end_to_end() {
    let bench = Bench::new();
    let weights = std::fs::read(crate::embed::weights()).unwrap();
    bench.write("weights/resnet18/model.safetensors", weights);
    let demo = concat!(env!("CARGO_MANIFEST_DIR"), "/demo");
    let text = std::fs::read_to_string(format!("{demo}/listings.csv")).unwrap();
    let some: Vec<&str> = text.lines().take(5).collect();
    bench.write("l.csv", some.join("\n") + "\n");
    let images = format!("{demo}/images");
    let line = format!(
        "match l.csv --images {images} --recipe gupta-image --weights weights --out m.csv --json"
    );
    let ran = bench.engine(&line).ends(0);
    let stages: Vec<Value> = ran.json()["stages"].as_array().unwrap().clone();
    let embed = stages.iter().find(|s| s["name"] == "embed").unwrap();
    assert_eq!(embed["items"], 4);
    assert_eq!(bench.read("m.csv").lines().count(), 5);
}
