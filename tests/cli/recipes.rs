//! `engine match` with recipes, given rows, galleries and work folders.

use doppel::embed::store::{self, NpyDtype};
use doppel::lists::Lists;
use doppel::matching::{Rule, Source, Steps, resolve};
use doppel::refine::{self, Blend, Expand};
use doppel::search::{self, Fuse, Space, TopK};
use doppel::tensor::{Matrix, Rows};
use serde_json::json;

use crate::tools::{Bench, Ran, SMALL};

/// Rows around a few centres, in groups of three.
fn made(rows: usize, dims: usize, seed: u64) -> Matrix {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut centre = vec![0.0; dims];
    let mut x = Matrix::zeros(rows, dims);
    for i in 0..rows {
        if i % 3 == 0 {
            centre = (0..dims).map(|_| random.f32() - 0.5).collect();
        }
        for (value, c) in x.row_mut(i).iter_mut().zip(&centre) {
            *value = c + 0.25 * (random.f32() - 0.5);
        }
    }
    x
}

/// `rows` listings with an id alone and a title that says nothing twice.
fn listings(bench: &Bench, name: &str, from: usize, rows: usize) {
    let lines = (from..from + rows).map(|i| format!("p{i},title{i}\n"));
    let text = format!("posting_id,title\n{}", lines.collect::<String>());
    bench.write(name, text);
}

fn top(k: usize, below: f64) -> TopK {
    TopK {
        k,
        min_score: Some(1.0 - below),
    }
}

/// The lines of matches.csv that these lists and this rule give.
fn answers(lists: Vec<Lists>, rule: &Rule) -> Vec<String> {
    let rows = lists[0].len();
    let sources = lists.into_iter().map(|l| Source::new("x", l));
    let matches = resolve(&sources.collect::<Vec<_>>(), rule, rows).unwrap();
    let line = |i: usize| {
        let ids: Vec<String> = matches.rows(i).map(|j| format!("p{j}")).collect();
        format!("p{i},{}", ids.join(" "))
    };
    (0..rows).map(line).collect()
}

fn lines(bench: &Bench, name: &str) -> Vec<String> {
    bench
        .read(name)
        .lines()
        .skip(1)
        .map(str::to_string)
        .collect()
}

/// The stages of a run that were reused.
fn reused(ran: &Ran) -> Vec<String> {
    let stages = ran.json()["stages"].as_array().unwrap().clone();
    let name = |s: &serde_json::Value| {
        let (name, space) = (s["name"].as_str().unwrap(), s["space"].as_str());
        space.map_or(name.to_string(), |space| format!("{name} {space}"))
    };
    let reused = stages.iter().filter(|s| s["reused"] == json!(true));
    reused.map(name).collect()
}

#[test]
fn a_recipe_refines_and_fuses_as_its_parts_do_by_hand() {
    let bench = Bench::new();
    let rows = 90;
    listings(&bench, "l.csv", 0, rows);
    let (a, b) = (made(rows, 12, 1), made(rows, 8, 2));
    store::write_npy(bench.path("a.npy"), &a, NpyDtype::F32).unwrap();
    store::write_npy(bench.path("b.npy"), &b, NpyDtype::F32).unwrap();
    bench.write(
        "r.toml",
        r#"
name = "test"
neighbours = 20
fusion = "sweep(both < .05 to .2 by .05, fused < .1 to .3 by .1)"
[spaces.a]
file = "a.npy"
refine = [ { expand = { k = 2, alpha = 3.0 } } ]
[spaces.b]
given = true
[spaces.both]
concat = { a = 0.7, b = 1.0 }
refine = [
  { blend = { distance = 0.1, min2 = 0.3 } },
  { blend = { distance = 0.05, by = "fused" } },
]
[spaces.fused]
fused = { a = 0.5, b = 0.5 }
by = "mean"
"#,
    );
    let line = "match l.csv --recipe r.toml --embeddings b=b.npy --out m.csv --pairs p.csv --json";
    let ran = bench.engine(line).ends(0);
    assert_eq!(ran.json()["recipe"], "test");
    // `both` is made by way of `fused`, and stands behind it.
    assert_eq!(ran.json()["sources"], json!(["fused", "both"]));

    // The same by hand, step after step.
    let (a, b) = (Rows::Dense(a), Rows::Dense(b));
    let dense = |rows: &Rows, top: &TopK| match rows {
        Rows::Dense(x) => search::dense(x, top).unwrap(),
        Rows::Sparse(_) => panic!("dense rows stay dense"),
    };
    let all = TopK {
        k: 2,
        min_score: None,
    };
    let e = Expand { k: 2, alpha: 3.0 };
    let a = refine::expand(&a, &dense(&a, &all), &e).unwrap();
    let both = refine::concat(&[(&a, 0.7), (&b, 1.0)]).unwrap();
    let first = Blend {
        distance: 0.1,
        min2: Some(0.3),
    };
    let both = refine::blend(&both, &dense(&both, &top(20, 0.3)), &first).unwrap();
    let spaces: Vec<(Space<'_>, f64)> = [&a, &b]
        .into_iter()
        .map(|rows| match rows {
            Rows::Dense(x) => (Space::Dense(x), 0.5),
            Rows::Sparse(x) => (Space::Sparse(x), 0.5),
        })
        .collect();
    let fused = |below: f64| search::fused(&spaces, Fuse::Mean, &top(20, below)).unwrap();
    let second = Blend {
        distance: 0.05,
        min2: None,
    };
    let both = refine::blend(&both, &fused(0.05), &second).unwrap();
    let rule = Rule::sweep()
        .over(0, Steps::new(0.05, 0.2, 0.05))
        .over(1, Steps::new(0.1, 0.3, 0.1))
        .rule();
    let wanted = answers(vec![dense(&both, &top(20, 0.2)), fused(0.3)], &rule);
    assert_eq!(lines(&bench, "m.csv"), wanted);
    assert!(wanted.iter().any(|l| l.matches('p').count() > 2));
}

#[test]
fn vectors_that_embed_made_match_as_the_encoder_itself() {
    let bench = Bench::new();
    crate::titles::copy(&bench, "bert", "w");
    bench.write("l.csv", SMALL);
    bench
        .engine("match l.csv --encoder hf: --weights w --out m.csv --pairs p.csv")
        .ends(0);
    bench
        .engine("embed l.csv --encoder hf: --weights w --out x.npy")
        .ends(0);
    bench
        .engine("match l.csv --embeddings title=x.npy --out n.csv --pairs q.csv")
        .ends(0);
    assert_eq!(bench.read("m.csv"), bench.read("n.csv"));
    assert_eq!(bench.read("p.csv"), bench.read("q.csv"));
    assert!(bench.read("p.csv").contains(",title,"));
}

#[test]
fn rows_that_do_not_fit_are_one_line() {
    let bench = Bench::new();
    bench.write("l.csv", SMALL);
    store::write_npy(bench.path("x.npy"), &Matrix::zeros(5, 3), NpyDtype::F32).unwrap();
    let run = |more: &str| bench.engine(&format!("match l.csv --out m.csv {more}"));
    run("--embeddings title=x.npy").fails_with(&["x.npy", "5 rows", "6 listings"]);
    run("--embeddings photo=x.npy").fails_with(&["photo", "phash", "tfidf"]);
    run("--embeddings phash=x.npy").fails_with(&["phash", "no rows"]);
    run("--embeddings title=gone.npy").fails_with(&["gone.npy"]);
    run("--embeddings title=l.csv").fails_with(&["l.csv", ".npy"]);
    run("--embeddings title=x.npy --embeddings title=x.npy").fails_with(&["twice"]);
    assert!(
        run("--embeddings title")
            .ends(2)
            .err
            .contains("title=titles.npy")
    );
    run("--recipe gone.toml").fails_with(&["gone.toml"]);
    assert!(!bench.exists("m.csv"));
    bench.write(
        "r.toml",
        "name = \"n\"\nfusion = \"t < .5\"\n[spaces.t]\ngiven = true\n",
    );
    run("--recipe r.toml").fails_with(&["t", "--embeddings t=FILE"]);
    bench.write(
        "r.toml",
        "name = \"n\"\nfusion = \"t < .5\"\n[spaces.t]\ntext = \"hf:\"\n",
    );
    run("--recipe r.toml").fails_with(&["space t", "weights"]);
}

#[test]
fn new_listings_are_answered_from_a_gallery_alone() {
    let bench = Bench::new();
    let demo = concat!(env!("CARGO_MANIFEST_DIR"), "/demo/listings.csv");
    let text = std::fs::read_to_string(demo).unwrap();
    let all: Vec<&str> = text.lines().collect();
    // Every fourth listing is new.
    let part = |new: bool| {
        let rows = all[1..].iter().enumerate();
        let some = rows.filter(|(i, _)| (i % 4 == 0) == new).map(|(_, l)| *l);
        let lines: Vec<&str> = std::iter::once(all[0]).chain(some).collect();
        lines.join("\n") + "\n"
    };
    bench.write("new.csv", part(true));
    bench.write("old.csv", part(false));
    let line = "match new.csv --against old.csv --out m.csv --pairs p.csv --json";
    let ran = bench.engine(line).ends(0);
    let (new, old) = (bench.column("new.csv", 0), bench.column("old.csv", 0));
    let answers = lines(&bench, "m.csv");
    let ids: Vec<&str> = answers
        .iter()
        .map(|l| l.split(',').next().unwrap())
        .collect();
    assert_eq!(ids, new);
    let mut found = 0;
    for line in &answers {
        let matches = line.split(',').nth(1).unwrap();
        for id in matches.split_whitespace() {
            assert!(old.iter().any(|o| o == id), "{line}");
            found += 1;
        }
    }
    assert!(found > 10, "{found} answers");
    assert_eq!(ran.json()["matched_pairs"], found);
    for line in lines(&bench, "p.csv") {
        let cells: Vec<&str> = line.split(',').collect();
        assert!(new.iter().any(|id| id == cells[0]), "{line}");
        assert!(old.iter().any(|id| id == cells[1]), "{line}");
    }

    // A listing's answer does not depend on the other new listings.
    let one: Vec<&str> = all[..1].iter().chain(&all[5..6]).copied().collect();
    bench.write("one.csv", one.join("\n") + "\n");
    bench
        .engine("match one.csv --against old.csv --out one.m.csv")
        .ends(0);
    let id = bench.column("one.csv", 0).remove(0);
    let among = answers.iter().find(|l| l.starts_with(&format!("{id},")));
    assert_eq!(lines(&bench, "one.m.csv"), [among.unwrap().clone()]);

    // The gallery against itself finds each listing, as well as what it matches.
    bench
        .engine("match old.csv --against old.csv --out self.csv")
        .ends(0);
    bench.engine("match old.csv --out own.csv").ends(0);
    for (a, b) in lines(&bench, "self.csv")
        .iter()
        .zip(lines(&bench, "own.csv"))
    {
        let ids = |l: &str| -> Vec<String> {
            let cells = l.split(',').nth(1).unwrap();
            cells.split_whitespace().map(str::to_string).collect()
        };
        let (a, b) = (ids(a), ids(&b));
        // Itself is company enough for the sweep to stop at its first step.
        assert!(a.iter().all(|id| b.contains(id)), "{a:?} {b:?}");
        assert!(a.contains(&b[0]));
    }
}

#[test]
fn a_gallery_is_refined_in_itself_and_refines_the_new_listings() {
    let bench = Bench::new();
    let (x, y) = (made(60, 10, 5), made(60, 10, 5));
    let new: Vec<usize> = (0..60).filter(|i| i % 3 == 0).collect();
    let old: Vec<usize> = (0..60).filter(|i| i % 3 != 0).collect();
    let take = |from: &Matrix, rows: &[usize]| {
        let data = rows.iter().flat_map(|&i| from.row(i).to_vec()).collect();
        Matrix::new(rows.len(), 10, data).unwrap()
    };
    let (q, g) = (take(&x, &new), take(&y, &old));
    store::write_npy(bench.path("q.npy"), &q, NpyDtype::F32).unwrap();
    store::write_npy(bench.path("g.npy"), &g, NpyDtype::F32).unwrap();
    listings(&bench, "new.csv", 0, new.len());
    listings(&bench, "old.csv", 100, old.len());
    bench.write(
        "r.toml",
        "name = \"n\"\nfusion = \"x < .1\"\n[spaces.x]\ngiven = true\n\
         refine = [ { expand = { k = 2, alpha = 1 } }, { blend = { distance = 0.2 } } ]\n",
    );
    let line = "match new.csv --against old.csv --recipe r.toml --embeddings x=q.npy \
                --against-embeddings x=g.npy --out m.csv";
    bench.engine(line).ends(0);

    let (mut q, mut g) = (Rows::Dense(q), Rows::Dense(g));
    let find = |a: &Rows, b: &Rows, top: &TopK| match (a, b) {
        (Rows::Dense(a), Rows::Dense(b)) => search::dense_against(a, b, top).unwrap(),
        _ => panic!("dense rows stay dense"),
    };
    let e = Expand { k: 2, alpha: 1.0 };
    let all = TopK {
        k: 2,
        min_score: None,
    };
    (q, g) = (
        refine::expand_against(&q, &g, &find(&q, &g, &all), &e).unwrap(),
        refine::expand(&g, &find(&g, &g, &all), &e).unwrap(),
    );
    let b = Blend {
        distance: 0.2,
        min2: None,
    };
    (q, g) = (
        refine::blend_against(&q, &g, &find(&q, &g, &top(50, 0.2)), &b).unwrap(),
        refine::blend(&g, &find(&g, &g, &top(50, 0.2)), &b).unwrap(),
    );
    let lists = find(&q, &g, &top(50, 0.1));
    let wanted: Vec<String> = (0..new.len())
        .map(|i| {
            let row = lists.row(i);
            let near = row.iter().filter(|(_, s)| 1.0 - s < 0.1);
            let ids: Vec<String> = near.map(|(j, _)| format!("p{}", 100 + j)).collect();
            format!("p{i},{}", ids.join(" "))
        })
        .collect();
    assert_eq!(lines(&bench, "m.csv"), wanted);
    assert!(wanted.iter().filter(|l| l.contains("p1")).count() > 10);

    let refused =
        "match new.csv --against old.csv --recipe r.toml --embeddings x=q.npy --out m.csv";
    bench
        .engine(refused)
        .fails_with(&["gallery x", "--against-embeddings x=FILE"]);
    bench.write(
        "r.toml",
        "name = \"n\"\nfusion = \"reciprocal(x < .1)\"\n[spaces.x]\ngiven = true\n",
    );
    bench.engine(line).fails_with(&["reciprocal", "gallery"]);
}

#[test]
fn rejects_of_both_files_are_told_apart() {
    let bench = Bench::new();
    bench.write(
        "new.csv",
        "posting_id,title\nx,kopi luwak arabika\nx,again\n",
    );
    bench.write(
        "old.csv",
        "posting_id,title\na,kopi luwak arabika\n,no id\n",
    );
    bench
        .engine("match new.csv --against old.csv --out m.csv")
        .ends(1);
    assert_eq!(bench.read("m.csv"), "posting_id,matches\nx,a\n");
    assert_eq!(bench.read("m.csv.rejects.csv").lines().count(), 2);
    assert_eq!(bench.read("m.csv.gallery.rejects.csv").lines().count(), 2);
}

#[test]
fn a_later_run_goes_on_from_what_is_there() {
    let bench = Bench::new();
    bench.write("l.csv", SMALL);
    let run = |more: &str| {
        bench
            .engine(&format!("match l.csv --out m.csv --json --quiet {more}"))
            .ends(0)
    };
    let first = run("");
    assert!(reused(&first).is_empty());
    assert_eq!(first.json()["work"], "m.csv.work");
    let matches = bench.read("m.csv");
    let all = ["phash phash", "tfidf tfidf", "search phash", "search tfidf"];
    assert_eq!(reused(&run("")), all);
    assert_eq!(bench.read("m.csv"), matches);
    // Other titles, the same hashes.
    bench.write("l.csv", SMALL.replace("Beruang", "Kelinci"));
    assert_eq!(reused(&run("")), ["phash phash", "search phash"]);
    assert!(reused(&run("--fresh")).is_empty());
    let none = run("--no-work");
    assert!(reused(&none).is_empty());
    assert_eq!(none.json()["work"], serde_json::Value::Null);
    // Somewhere else.
    assert!(reused(&run("--work w")).is_empty());
    assert_eq!(reused(&run("--work w")), all);
    assert_eq!(bench.names(), ["l.csv", "m.csv", "m.csv.work", "w"]);
}

#[test]
fn thresholds_of_another_size_are_told() {
    let bench = Bench::new();
    bench.write("l.csv", SMALL);
    let recipe = |listings: usize| {
        let text = "fusion = \"t < .5\"\n[spaces.t]\ntfidf = {}\n[tuned]\nlistings = ";
        bench.write("r.toml", format!("name = \"mine\"\n{text}{listings}\n"));
        bench
            .engine("match l.csv --recipe r.toml --out m.csv")
            .ends(0)
            .err
    };
    let told = recipe(34_250);
    assert!(
        told.contains("mine") && told.contains("34250") && told.contains("--for-size 6"),
        "{told}"
    );
    assert!(recipe(6).is_empty());
}

#[test]
fn an_encoder_that_two_spaces_share_runs_once() {
    let bench = Bench::new();
    crate::titles::copy(&bench, "bert", "w");
    bench.write("l.csv", SMALL);
    bench.write(
        "r.toml",
        "name = \"n\"\nfusion = \"a < .01 or b < .01\"\n\
         [spaces.a]\ntext = \"hf:\"\nweights = \"w\"\n\
         refine = [ { blend = { distance = 0.02 } } ]\n\
         [spaces.b]\ntext = \"hf:\"\nweights = \"w\"\n",
    );
    let ran = bench
        .engine("match l.csv --recipe r.toml --out m.csv --json")
        .ends(0);
    let stages = ran.json()["stages"].as_array().unwrap().clone();
    let named = |name: &str| stages.iter().filter(|s| s["name"] == name).count();
    assert_eq!(
        (named("titles"), named("blend"), named("search")),
        (1, 1, 3)
    );
    assert_eq!(ran.json()["sources"], json!(["a", "b"]));
}
