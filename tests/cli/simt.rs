//! The card's code path through the command line, on the simulated card.

use doppel::embed::store::{self, NpyDtype, write_npy, write_npz};
use doppel::tensor::{Csr, Matrix};

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

/// Writes rows of a sparse matrix as `.npz` and gives their number.
fn sparse_rows(bench: &Bench, name: &str) -> usize {
    let mut random = fastrand::Rng::with_seed(12);
    let (rows, cols) = (45, 30);
    let (mut starts, mut columns, mut values) = (vec![0], Vec::new(), Vec::new());
    for i in 0..rows {
        let mut some: Vec<u32> = (0..1 + i % 5).map(|_| random.u32(0..cols as u32)).collect();
        if i % 11 == 0 {
            some.clear();
        }
        some.sort_unstable();
        some.dedup();
        values.extend(some.iter().map(|_| f64::from(random.f32())));
        columns.extend(some);
        starts.push(columns.len());
    }
    let x = Csr::new(cols, starts, columns, values).unwrap();
    write_npz(bench.path(name), &x).unwrap();
    rows
}

#[test]
fn every_kind_of_search_on_the_card_gives_the_cpus_bytes() {
    if !card() {
        return;
    }
    let bench = Bench::new();
    let rows = sparse_rows(&bench, "t.npz");
    let mut random = fastrand::Rng::with_seed(13);
    let data: Vec<f32> = (0..rows * 7).map(|_| random.f32() - 0.4).collect();
    let x = Matrix::new(rows, 7, data).unwrap();
    write_npy(bench.path("x.npy"), &x, NpyDtype::F32).unwrap();
    let mut hashes = String::from("posting_id,image_phash\n");
    for i in 0..rows {
        match i % 9 {
            4 => hashes.push_str(&format!("p{i},\n")),
            near => hashes.push_str(&format!("p{i},{:016x}\n", random.u64(..) >> (5 * near))),
        }
    }
    bench.write("hashes.csv", hashes);
    for (n, line) in [
        "t.npz -k 9",
        "t.npz -k 44 --min-score 0.3",
        "t.npz --queries t.npz -k 3",
        "hashes.csv -k 12",
        "hashes.csv -k 30 --min-score 0.6",
        "hashes.csv --queries hashes.csv -k 2",
        "x.npy -k 45",
        "x.npy -k 100",
        "x.npy t.npz --weights 0.7,0.3 -k 11",
        "t.npz x.npy --queries t.npz x.npy -k 20",
    ]
    .iter()
    .enumerate()
    {
        let (cpu, card) = (format!("cpu{n}.csv"), format!("card{n}.csv"));
        bench
            .engine(&format!("search {line} --out {cpu} --device cpu"))
            .ends(0);
        let json = bench
            .engine(&format!("search {line} --out {card} --device simt --json"))
            .ends(0)
            .json();
        assert_eq!(json["device"], "simt", "{line}");
        assert_eq!(bench.read(&card), bench.read(&cpu), "{line}");
        assert!(bench.read(&cpu).lines().count() > 80, "{line}");
    }
}

#[test]
fn what_no_device_searches_is_one_line() {
    if !card() {
        return;
    }
    let bench = Bench::new();
    bench.write("h.csv", "posting_id,image_phash\na,0000000000000000\n");
    bench.write("i.csv", "posting_id,image_phash\na,0000000000000000\n");
    bench
        .engine("search h.csv i.csv --out nn.csv --device simt")
        .fails_with(&["h.csv", "search them alone"]);
    let json = bench.engine("info --device simt --json").ends(0).json();
    assert_eq!(json["device"], "simt");
}

/// The demo's photographs and made-up titles: pairs that share a photograph and most of a title.
fn market(bench: &Bench) {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("demo/images");
    let mut photographs: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|e| e.unwrap().path())
        .collect();
    photographs.sort();
    let words = [
        "phone", "case", "red", "blue", "shirt", "new", "large", "bag",
    ];
    let mut text = String::from("posting_id,image,title,label_group\n");
    for i in 0..8usize {
        let name = format!("{}.jpg", i / 2);
        let bytes = std::fs::read(&photographs[i / 2 * 17]).unwrap();
        bench.write(&format!("photos/{name}"), bytes);
        let title: Vec<&str> = (0..4)
            .map(|j| words[(i / 2 * 3 + j * (1 + i % 2)) % 8])
            .collect();
        text.push_str(&format!("p{i},{name},{},{}\n", title.join(" "), i / 2));
    }
    bench.write("l.csv", text);
}

fn bytes(bench: &Bench, name: &str) -> Vec<u8> {
    std::fs::read(bench.path(name)).unwrap()
}

/// The least cosine between the rows of two files.
fn least_cosine(bench: &Bench, one: &str, two: &str) -> f64 {
    let [a, b] = [one, two].map(|name| store::read_npy(bench.path(name)).unwrap());
    assert_eq!((a.rows(), a.dims()), (b.rows(), b.dims()));
    let dot = |x: &[f32], y: &[f32]| -> f64 {
        let products = x.iter().zip(y).map(|(a, b)| f64::from(*a) * f64::from(*b));
        products.sum()
    };
    let rows = (0..a.rows()).map(|i| (a.row(i), b.row(i)));
    let cosines = rows.map(|(x, y)| dot(x, y) / (dot(x, x) * dot(y, y)).sqrt());
    cosines.fold(f64::INFINITY, f64::min)
}

fn images() -> String {
    format!(
        "--images photos --encoder timm:resnet18 --weights {} --size 40",
        crate::embed::weights()
    )
}

/// As [`card`], for the tests of whole encoders: the race detector takes an hour for them.
fn quick_card() -> bool {
    let slow = |path: std::ffi::OsString| path.to_string_lossy().contains("tsan");
    match std::env::var_os("DOPPEL_SIMT").is_some_and(slow) {
        true => {
            println!("skipped: too slow with the race detector");
            false
        }
        false => card(),
    }
}

#[test]
fn images_are_embedded_on_the_card_as_on_the_cpu() {
    if !quick_card() {
        return;
    }
    let bench = Bench::new();
    market(&bench);
    let embed = |more: &str| {
        let line = format!("embed l.csv {} {more}", images());
        bench.engine(&line).ends(0)
    };
    embed("--out cpu.npy --device cpu");
    let json = embed("--out card.npy --device simt --threads 1 --json").json();
    assert_eq!(json["device"], "simt");
    let peak = json["peak_device_memory_bytes"].as_u64().unwrap();
    assert!(peak > 20 << 20, "{peak}");
    assert!(least_cosine(&bench, "cpu.npy", "card.npy") > 0.999);
    // Other threads change nothing, and another batch nothing but rounding.
    embed("--out two.npy --device simt --threads 2");
    assert_eq!(bytes(&bench, "card.npy"), bytes(&bench, "two.npy"));
    // Less memory is first less for pictures on their way, which changes nothing.
    let json = embed(&format!(
        "--out tight.npy --device simt --batch 4 --device-memory {peak} --json"
    ));
    let tight = json.json()["peak_device_memory_bytes"].as_u64().unwrap();
    assert!(tight < peak, "{tight} of {peak}");
    assert_eq!(bytes(&bench, "card.npy"), bytes(&bench, "tight.npy"));
    // Less memory than a batch takes, when no fewer pictures could be on their way, is a smaller batch and
    // a line.
    let mut held = tight;
    let smaller = (0..4).any(|_| {
        let less = held - held / 400;
        let ran = embed(&format!(
            "--out less.npy --device simt --batch 4 --device-memory {less} --json"
        ));
        held = ran.json()["peak_device_memory_bytes"].as_u64().unwrap();
        assert!(held <= less, "{held} of {less}");
        ran.err.contains("at a time")
    });
    assert!(smaller, "{held}");
    assert!(least_cosine(&bench, "less.npy", "card.npy") > 0.9999);
    let line = format!("embed l.csv {} --out none.npy", images());
    bench
        .engine(&format!("{line} --device simt --device-memory 1M"))
        .fails_with(&["1048576", "--device-memory"]);
    bench
        .engine(&format!("{line} --device simt --device-memory lots"))
        .fails_with(&["lots"]);
    let ran = bench
        .engine(&format!("{line} --device cpu --device-memory 1M"))
        .ends(0);
    assert!(ran.err.contains("on the CPU"), "{}", ran.err);
}

#[test]
fn a_whole_match_on_the_card_finds_the_cpus_pairs() {
    if !quick_card() {
        return;
    }
    let bench = Bench::new();
    market(&bench);
    crate::titles::copy(&bench, "bert", "w");
    let run = |device: &str, name: &str| {
        bench
            .engine(&format!(
                "match l.csv {} --encoder hf: --weights w --out {name}.csv --pairs {name}.pairs.csv \
                 --device {device} --json",
                images()
            ))
            .ends(0)
            .json()
    };
    let on_cpu = run("cpu", "cpu");
    let json = run("simt", "card");
    assert_eq!(json["device"], "simt");
    // Nothing is left to the CPU that would be told.
    assert_eq!(json["notes"], on_cpu["notes"]);
    let stages: Vec<&str> = json["stages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|s| s["name"].as_str().unwrap())
        .collect();
    for stage in ["embed", "titles", "tfidf", "search", "match"] {
        assert!(stages.iter().any(|s| s.starts_with(stage)), "{stages:?}");
    }
    // A pair that differs lies at its threshold; these lie far from theirs.
    assert_eq!(bench.read("card.csv"), bench.read("cpu.csv"));
    let pairs = |name: &str| -> Vec<(String, f64)> {
        let text = bench.read(name);
        let rows = text.lines().skip(1).map(|line| {
            let fields: Vec<&str> = line.split(',').collect();
            let key = [fields[0], fields[1], fields[3], fields[4]].join(" ");
            (key, fields[2].parse().unwrap())
        });
        let mut rows: Vec<(String, f64)> = rows.collect();
        rows.sort_by(|a, b| a.0.cmp(&b.0));
        rows
    };
    let (cpu, card) = (pairs("cpu.pairs.csv"), pairs("card.pairs.csv"));
    assert!(cpu.len() >= 8, "{cpu:?}");
    assert_eq!(cpu.len(), card.len());
    for ((a, x), (b, y)) in cpu.iter().zip(&card) {
        assert_eq!(a, b);
        assert!((x - y).abs() < 2e-3, "{a}: {x} and {y}");
    }
}

#[test]
fn titles_are_embedded_on_the_card_as_on_the_cpu() {
    if !card() {
        return;
    }
    let bench = Bench::new();
    market(&bench);
    crate::titles::copy(&bench, "bert", "w");
    let embed = |more: &str| {
        let line = format!("embed l.csv --encoder hf: --weights w {more}");
        bench.engine(&line).ends(0)
    };
    embed("--out cpu.npy --device cpu");
    let json = embed("--out card.npy --device simt --threads 1 --json").json();
    assert_eq!(json["device"], "simt");
    assert!(least_cosine(&bench, "cpu.npy", "card.npy") > 0.999);
    embed("--out two.npy --device simt --threads 2");
    assert_eq!(bytes(&bench, "card.npy"), bytes(&bench, "two.npy"));
    bench
        .engine(
            "embed l.csv --encoder hf: --weights w --out no.npy --device simt --device-memory 4k",
        )
        .fails_with(&["4096", "--device-memory"]);
    // What is wrong with the folder is told as on any device.
    for verb in ["embed l.csv --out x.npy", "match l.csv --out m.csv"] {
        bench
            .engine(&format!(
                "{verb} --encoder hf: --weights photos --device simt"
            ))
            .fails_with(&["config.json"]);
    }
}
