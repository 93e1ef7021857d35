//! The card's code path through the command line, on the simulated card.

use doppel::embed::store::{NpyDtype, write_npy};
use doppel::tensor::Matrix;

use crate::tools::{Bench, SMALL};

/// Whether this run has a simulated card; says so when it has none.
fn card() -> bool {
    let there = std::env::var_os("DOPPEL_SIMT").is_some_and(|path| !path.is_empty());
    if !there {
        assert!(
            std::env::var_os("DOPPEL_SIMT_REQUIRED").is_none(),
            "the simulated card is missing"
        );
        println!("skipped: no simulated card (cargo xtask simt test)");
    }
    there
}

#[test]
fn search_on_the_card_gives_the_cpus_bytes() {
    if !card() {
        return;
    }
    let bench = Bench::new();
    let mut random = fastrand::Rng::with_seed(11);
    let (rows, dims) = (45, 19);
    let mut data: Vec<f32> = (0..rows * dims).map(|_| random.f32() - 0.5).collect();
    data.copy_within(0..dims, 7 * dims); // two equal rows
    data[3 * dims..4 * dims].fill(0.0); // and one of zeros
    let x = Matrix::new(rows, dims, data).unwrap();
    write_npy(bench.path("x.npy"), &x, NpyDtype::F32).unwrap();
    bench
        .engine("search x.npy -k 9 --out cpu.csv --device cpu")
        .ends(0);
    let json = bench
        .engine("search x.npy -k 9 --out card.csv --device simt --json")
        .ends(0)
        .json();
    assert_eq!(json["device"], "simt");
    assert_eq!(bench.read("card.csv"), bench.read("cpu.csv"));
    assert!(bench.read("cpu.csv").lines().count() > 300);
}

#[test]
fn the_sweep_of_match_on_the_card_gives_the_cpus_bytes() {
    if !card() {
        return;
    }
    let bench = Bench::new();
    let mut text = String::from(SMALL);
    let words = [
        "kopi", "susu", "baju", "merah", "biru", "tas", "kulit", "mini", "gula", "teh",
    ];
    for i in 0..60usize {
        let title: Vec<&str> = (0..4)
            .map(|j| words[(i * (j + 3) + i / 7 * j) % 10])
            .collect();
        text.push_str(&format!(
            "p{i},,{:016x},{},{}\n",
            i / 2,
            title.join(" "),
            i / 3
        ));
    }
    bench.write("l.csv", text);
    bench
        .engine("match l.csv --out m1.csv --pairs p1.csv --device cpu")
        .ends(0);
    let ran = bench
        .engine("match l.csv --out m2.csv --pairs p2.csv --device simt --json")
        .ends(0);
    assert_eq!(ran.json()["device"], "simt");
    assert_eq!(bench.read("m1.csv"), bench.read("m2.csv"));
    assert_eq!(bench.read("p1.csv"), bench.read("p2.csv"));
    assert!(bench.read("p1.csv").contains(",tfidf,"));
}

/// Rows in little groups, some equal, some of zeros.
fn made(rows: usize, dims: usize, seed: u64) -> Matrix {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut x = Matrix::zeros(rows, dims);
    let mut centre = vec![0f32; dims];
    for i in 0..rows {
        if i % 4 == 0 {
            centre.iter_mut().for_each(|v| *v = random.f32() - 0.5);
        }
        let row = x.row_mut(i);
        for (v, c) in row.iter_mut().zip(&centre) {
            *v = c + 0.3 * (random.f32() - 0.5);
        }
        if i % 17 == 5 {
            row.fill(0.0);
        }
    }
    x
}

/// Every kind of step and of rule.
const RECIPE: &str = r#"
name = "test"
neighbours = 20
matches = 7
fusion = "min2(sweep(both < .1 to .4 by .05, words < .3 to .6 by .1, both < .2 and words < .7), b < .3)"
[spaces.a]
given = true
refine = [ { expand = { k = 3, alpha = 2.5 } } ]
[spaces.b]
given = true
[spaces.both]
concat = { a = 0.7, b = 1.0 }
refine = [
  { blend = { distance = 0.2, min2 = 0.4 } },
  { blend = { distance = 0.1 } },
]
[spaces.words]
tfidf = {}
refine = [ { blend = { distance = 0.3, by = "both" } } ]
"#;

#[test]
fn a_recipe_that_refines_gives_the_cpus_bytes_on_the_card() {
    if !card() {
        return;
    }
    let bench = Bench::new();
    let words = [
        "kopi", "susu", "baju", "merah", "biru", "tas", "kulit", "mini",
    ];
    let mut random = fastrand::Rng::with_seed(3);
    for (name, rows, seed) in [("new", 37, 1), ("old", 45, 3)] {
        let mut text = String::from("posting_id,image_phash,title\n");
        for i in 0..rows {
            let title: Vec<&str> = (0..4)
                .map(|_| words[random.usize(0..words.len())])
                .collect();
            text.push_str(&format!("{name}{i},{:016x},{}\n", i / 2, title.join(" ")));
        }
        bench.write(&format!("{name}.csv"), text);
        for (space, dims) in [("a", 12), ("b", 9)] {
            let x = made(rows, dims, seed + dims as u64);
            write_npy(
                bench.path(&format!("{name}.{space}.npy")),
                &x,
                NpyDtype::F32,
            )
            .unwrap();
        }
    }
    for (out, rule) in [
        ("plain", RECIPE.to_string()),
        (
            "both",
            RECIPE
                .replace("sweep(", "reciprocal(sweep(")
                .replace("words < .7)", "words < .7))"),
        ),
        ("against", RECIPE.to_string()),
    ] {
        bench.write("r.toml", rule);
        for device in ["cpu", "simt"] {
            let against = match out {
                "against" => {
                    " --against old.csv --against-embeddings a=old.a.npy --against-embeddings b=old.b.npy"
                }
                _ => "",
            };
            let line = format!(
                "match new.csv --recipe r.toml --embeddings a=new.a.npy --embeddings b=new.b.npy{against} \
                 --out {out}.{device}.csv --pairs {out}.{device}.pairs --device {device} --json"
            );
            assert_eq!(bench.engine(&line).ends(0).json()["device"], device);
        }
        let files = |end: &str| ["cpu", "simt"].map(|d| bench.read(&format!("{out}.{d}.{end}")));
        for end in ["csv", "pairs"] {
            let [cpu, card] = files(end);
            assert_eq!(cpu, card, "{out} {end}");
            assert!(cpu.lines().count() > 20, "{out} {end}: {cpu}");
        }
    }
}

#[test]
fn what_the_card_has_no_form_of_is_one_line() {
    if !card() {
        return;
    }
    let bench = Bench::new();
    bench.write("h.csv", "posting_id,image_phash\na,0000000000000000\n");
    bench
        .engine("search h.csv --out nn.csv --device simt")
        .fails_with(&["simt", "--device cpu"]);
    let json = bench.engine("info --device simt --json").ends(0).json();
    assert_eq!(json["device"], "simt");
}

#[test]
fn an_encoder_that_the_card_cannot_run_is_one_line() {
    if !card() {
        return;
    }
    let bench = Bench::new();
    bench.write("l.csv", "posting_id,image\na,a.jpg\n");
    bench.write("photos/a.jpg", "");
    let line = format!(
        "embed l.csv --images photos --encoder timm:resnet18 --weights {} --size 40 --out x.npy \
         --device simt",
        crate::embed::weights()
    );
    bench
        .engine(&line)
        .fails_with(&["--device simt", "--device cpu"]);
    assert_eq!(bench.names(), ["l.csv", "photos"]);
    crate::titles::copy(&bench, "bert", "w");
    bench.write("l.csv", "posting_id,title\na,phone case\n");
    for verb in ["embed l.csv --out x.npy", "match l.csv --out m.csv"] {
        bench
            .engine(&format!("{verb} --encoder hf: --weights w --device simt"))
            .fails_with(&["--device simt", "--device cpu"]);
        // What is wrong with the folder is told as on any device.
        bench
            .engine(&format!(
                "{verb} --encoder hf: --weights photos --device simt"
            ))
            .fails_with(&["config.json"]);
    }
    assert_eq!(bench.names(), ["l.csv", "photos", "w"]);
}
