//! `engine classify`, and `match` with the classical systems' spaces.

use std::path::Path;

use doppel::embed::store::{self, NpyDtype};
use doppel::tensor::Matrix;

use crate::tools::{Bench, SMALL};

const LABELLED: &str = "\
posting_id,title,label_group
a,red lamp small,1
b,red lamp,1
c,blue chair,2
d,blue chair wood,2
e,green table wood,3
f,,3
g,red chair,
";

#[test]
fn a_curve_says_how_often_the_nearest_labels_are_right() {
    let bench = Bench::new();
    bench.write("l.csv", LABELLED);
    let line = "classify l.csv --space counts -k 1..3 --out c.csv --chart c.svg --json";
    let json = bench.engine(line).ends(0).json();
    // e has its nearest one in d; f has no title, and all are equally far from it.
    assert_eq!(json["rows"], 6);
    assert_eq!(json["answerable"], 6);
    assert_eq!(
        (&json["best"]["k"], &json["best"]["right"]),
        (&1.into(), &4.into())
    );
    let curve = bench.read("c.csv");
    assert_eq!(curve.lines().next(), Some("k,right,accuracy"));
    assert!(curve.contains("\n1,4,0.6666666666666666\n"), "{curve}");
    assert_eq!(curve.lines().count(), 4);
    let svg = bench.read("c.svg");
    assert!(
        svg.starts_with("<svg") && svg.contains("k = 1: 66.67 %"),
        "{svg}"
    );
    let said = bench
        .engine("classify l.csv -k 2 --metric euclidean --out c.csv")
        .ends(0);
    assert!(said.out.starts_with("best k 2: accuracy"), "{}", said.out);
    // The same whatever the number of threads.
    let one = bench.read("c.csv");
    bench
        .engine("classify l.csv -k 2 --metric euclidean --out c.csv --threads 1")
        .ends(0);
    assert_eq!(bench.read("c.csv"), one);
}

#[test]
fn any_space_can_be_classified_by() {
    let bench = Bench::new();
    bench.write("l.csv", LABELLED);
    let x = Matrix::new(7, 1, vec![1.0, 1.1, 5.0, 5.1, 9.0, 9.1, 1.0]).unwrap();
    store::write_npy(bench.path("x.npy"), &x, NpyDtype::F32).unwrap();
    let line =
        "classify l.csv --space x --embeddings x=x.npy --metric euclidean -k 1 --out c.csv --json";
    let json = bench.engine(line).ends(0).json();
    assert_eq!(json["best"]["accuracy"], 1.0);
    bench.write(
        "r.toml",
        "name = 'w'\nfusion = 'w < .5'\n[spaces.w]\nclean = ['special', 'lower']\n\
         word2vec = { size = 8, min_count = 1, epochs = 3 }\n[spaces.p]\nphash = true\n",
    );
    let line = "classify l.csv --recipe r.toml --space w -k 1..2 --out c.csv --json";
    let json = bench.engine(line).ends(0).json();
    assert_eq!(json["points"].as_array().unwrap().len(), 2);
    for (line, said) in [
        ("classify l.csv --space y --out c.csv", "--space y"),
        (
            "classify l.csv --recipe r.toml --space y --out c.csv",
            "no space y",
        ),
        (
            "classify l.csv --recipe r.toml --space p --out c.csv",
            "no rows",
        ),
        ("classify l.csv -k 0..3 --out c.csv", "k from 0 to 3"),
        ("classify l.csv -k 1..6 --out c.csv", "6 rows have a label"),
        ("classify l.csv --out l.csv", "l.csv"),
    ] {
        bench.engine(line).fails_with(&[said]);
    }
}

#[test]
fn word_vectors_match_and_are_kept() {
    let bench = Bench::new();
    bench.write("l.csv", SMALL);
    bench.write(
        "v.txt",
        "4 2\nminyak 1 0\ngoreng 1 0.1\nboneka 0 1\nkopi -1 0.2\n",
    );
    bench.write(
        "r.toml",
        "name = 'w'\nfusion = 'w < .1'\n[spaces.w]\nword2vec = { vectors = 'v.txt' }\n",
    );
    let line = "match l.csv --recipe r.toml --out m.csv --json";
    bench.engine(line).ends(0);
    assert_eq!(bench.column("m.csv", 1), ["a", "b", "c d", "d c", "e", "f"]);
    let stages = |json: serde_json::Value| -> Vec<bool> {
        let stages = json["stages"].as_array().unwrap().clone();
        let of = stages.iter().filter(|s| s["name"] == "word2vec");
        of.map(|s| s["reused"] == true).collect()
    };
    assert_eq!(stages(bench.engine(line).ends(0).json()), [true]);
    // Another file under the same name is another input.
    bench.write("v.txt", "2 2\nminyak 1 0\nkopi 1 0.1\n");
    assert_eq!(stages(bench.engine(line).ends(0).json()), [false]);
    assert_eq!(
        bench.column("m.csv", 1),
        ["a c d", "b", "c d a", "d c a", "e", "f"]
    );
    bench.write(
        "t.toml",
        "name = 't'\nfusion = 'w < .9'\n[spaces.w]\nword2vec = { min_count = 1, epochs = 20 }\n",
    );
    // Learnt on the gallery: a listing's answer does not depend on the other listings.
    bench.write("one.csv", "posting_id,title\nx,minyak goreng\n");
    bench.write(
        "two.csv",
        "posting_id,title\nx,minyak goreng\ny,sepatu pria sepatu pria\n",
    );
    for list in ["one", "two"] {
        let line =
            format!("match {list}.csv --against l.csv --recipe t.toml --out {list}.m --no-work");
        bench.engine(&line).ends(0);
    }
    let first = |name: &str| bench.read(name).lines().nth(1).unwrap().to_string();
    assert_eq!(first("one.m"), first("two.m"));
    assert!(first("one.m").contains('c'), "{}", first("one.m"));
}

#[test]
fn pictures_match_by_their_colours() {
    let bench = Bench::new();
    std::fs::create_dir(bench.path("photos")).unwrap();
    let picture = |name: &str, colours: [[u8; 3]; 2]| {
        let mut pixels = Vec::new();
        for i in 0..64 {
            pixels.extend(colours[usize::from(i % 4 == 0)]);
        }
        // A BMP: 24 bits, rows from below, blue first.
        let mut bytes = b"BM".to_vec();
        let put = |bytes: &mut Vec<u8>, values: &[u32]| {
            values.iter().for_each(|v| bytes.extend(v.to_le_bytes()));
        };
        put(&mut bytes, &[54 + 192, 0, 54, 40, 8, 8]);
        bytes.extend([1, 0, 24, 0]);
        put(&mut bytes, &[0, 192, 2835, 2835, 0, 0]);
        for pixel in pixels.chunks(3) {
            bytes.extend([pixel[2], pixel[1], pixel[0]]);
        }
        std::fs::write(bench.path("photos").join(name), bytes).unwrap();
    };
    picture("a.bmp", [[200, 20, 10], [250, 250, 250]]);
    picture("b.bmp", [[195, 25, 12], [245, 250, 248]]);
    picture("c.bmp", [[10, 30, 220], [250, 250, 250]]);
    std::fs::write(bench.path("photos").join("d.bmp"), "no picture").unwrap();
    bench.write(
        "l.csv",
        "posting_id,image\na,a.bmp\nb,b.bmp\nc,c.bmp\nd,d.bmp\ne,\n",
    );
    bench.write(
        "r.toml",
        "name = 'c'\nfusion = 'c < .1'\n[spaces.c]\ncolours = { clusters = 2 }\n",
    );
    let line = "match l.csv --images photos --recipe r.toml --out m.csv";
    let ran = bench.engine(line).ends(1);
    assert!(ran.err.contains("d.bmp"), "{}", ran.err);
    assert_eq!(bench.column("m.csv", 1), ["a b", "b a", "c", "d", "e"]);
    bench
        .engine("match l.csv --recipe r.toml --out m.csv")
        .fails_with(&["--images"]);
    assert!(Path::new(&bench.path("m.csv")).exists());
}

#[test]
fn the_cost_of_judging_every_pair_is_told_first() {
    let bench = Bench::new();
    bench.write("l.csv", SMALL);
    let x = Matrix::new(
        6,
        2,
        vec![1.0, 0.0, 0.9, 0.1, 0.0, 1.0, 0.1, 1.0, -1.0, 0.2, 0.0, 0.0],
    )
    .unwrap();
    store::write_npy(bench.path("x.npy"), &x, NpyDtype::F32).unwrap();
    // Two values: |x| of the first difference, by two ReLUs; far apart is no match.
    let header = br#"{"fc1.weight":{"dtype":"F32","shape":[2,2],"data_offsets":[0,16]},"fc1.bias":{"dtype":"F32","shape":[2],"data_offsets":[16,24]},"fc2.weight":{"dtype":"F32","shape":[1,2],"data_offsets":[24,32]},"fc2.bias":{"dtype":"F32","shape":[1],"data_offsets":[32,36]}}"#;
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header);
    for value in [1.0f32, 0.0, -1.0, 0.0, 0.0, 0.0, -10.0, -10.0, 2.0] {
        bytes.extend(value.to_le_bytes());
    }
    bench.write("w.safetensors", bytes);
    let recipe = |pairs: usize| {
        let text = format!(
            "name = 'p'\nfusion = 'same > .5'\n[spaces]\nx.given = true\n\
             same = {{ pair = ['x'], weights = 'w.safetensors', pairs = {pairs} }}\n"
        );
        bench.write("r.toml", text);
    };
    recipe(15);
    let line = "match l.csv --recipe r.toml --embeddings x=x.npy --out m.csv";
    let ran = bench.engine(line).ends(0);
    let cost = "same: every pair is judged: 6 listings, 15 pairs, 5.40e1 multiplications";
    assert!(ran.err.contains(cost), "{}", ran.err);
    // f is a row of zeros: it has no evidence.
    assert_eq!(
        bench.column("m.csv", 1),
        ["a b", "b a", "c d", "d c", "e", "f"]
    );
    assert!(
        bench
            .engine(&format!("{line} --quiet --fresh"))
            .ends(0)
            .err
            .is_empty()
    );
    recipe(14);
    bench
        .engine(line)
        .fails_with(&["6 listings make 15 pairs", "judge 14"]);
}
