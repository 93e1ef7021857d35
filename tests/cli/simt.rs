//! The card's code path through the command line, on the simulated card.

use doppel::embed::store::{NpyDtype, write_npy, write_npz};
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
