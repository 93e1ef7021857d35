//! `engine embed --encoder hf:`, and encoders of titles in `match` and `demo`: whole runs with the small
//! folders of tests/golden/text, whose vectors are sentence-transformers'.

use std::path::{Path, PathBuf};

use doppel::embed::store;
use doppel::tensor::Matrix;
use half::f16;
use serde_json::json;

use crate::tools::{Bench, Ran, Value};

mod evidence;
mod refusals;

const FOLDERS: [&str; 4] = ["bert", "distil", "roberta", "xlmr"];

/// A committed folder.
fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/golden/text/tiny")
        .join(name)
}

fn json_of(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

/// A copy of a committed folder, called `to` in the bench.
pub fn copy(bench: &Bench, name: &str, to: &str) {
    for folder in ["", "1_Pooling"] {
        for entry in std::fs::read_dir(golden(name).join(folder)).unwrap() {
            let path = entry.unwrap().path();
            if path.is_file() {
                let file = path.file_name().unwrap().to_str().unwrap();
                let to = Path::new(to).join(folder).join(file);
                bench.write(to.to_str().unwrap(), std::fs::read(&path).unwrap());
            }
        }
    }
}

/// Writes listings with these titles, `p0` first.
fn write_titles<T: AsRef<str>>(bench: &Bench, name: &str, titles: impl IntoIterator<Item = T>) {
    let mut text = String::from("posting_id,title\n");
    for (i, title) in titles.into_iter().enumerate() {
        let quoted = title.as_ref().replace('"', "\"\"");
        text.push_str(&format!("p{i},\"{quoted}\"\n"));
    }
    bench.write(name, text);
}

/// Runs `embed l.csv` with a folder and `more`, into `out`.
fn embed(bench: &Bench, folder: &str, more: &str, out: &str) -> Ran {
    let line = format!("embed l.csv --encoder hf: --weights {folder} {more} --out {out}");
    bench.engine(&line)
}

fn rows(bench: &Bench, name: &str) -> Matrix {
    store::read_npy(bench.path(name)).unwrap()
}

fn zeros(row: &[f32]) -> bool {
    row.iter().all(|&v| v == 0.0)
}

/// How far two rows are apart at most.
fn apart(row: &[f32], wanted: impl IntoIterator<Item = f64>) -> f64 {
    let far = |(&a, b): (&f32, f64)| (f64::from(a) - b).abs();
    row.iter().zip(wanted).map(far).fold(0.0, f64::max)
}

fn numbers(value: &Value) -> impl Iterator<Item = f64> + '_ {
    value
        .as_array()
        .unwrap()
        .iter()
        .map(|v| v.as_f64().unwrap())
}

#[test]
fn rows_are_those_of_sentence_transformers() {
    for name in FOLDERS {
        let bench = Bench::new();
        copy(&bench, name, "w");
        let expected = json_of(&golden(name).join("expected.json"));
        let titles: Vec<&str> = expected["titles"]
            .as_array()
            .unwrap()
            .iter()
            .map(|t| t.as_str().unwrap())
            .collect();
        write_titles(&bench, "l.csv", &titles);
        let ran = embed(&bench, "w", "--json", "unit.npy").ends(0);
        embed(&bench, "w", "--raw --quiet", "raw.npy").ends(0);
        // Titles of nothing are none, here.
        let blank = |title: &str| title.trim().is_empty();
        for (file, key) in [("unit.npy", "unit"), ("raw.npy", "raw")] {
            let x = rows(&bench, file);
            assert_eq!((x.rows(), x.dims()), (titles.len(), 32));
            for (i, title) in titles.iter().enumerate() {
                if blank(title) {
                    assert!(zeros(x.row(i)), "{name}: {title:?}");
                    continue;
                }
                let wanted = expected[key][i].as_array().unwrap();
                assert_eq!(wanted.len(), 32);
                let far = apart(x.row(i), numbers(&expected[key][i]));
                assert!(far < 1e-5, "{name} {key}, {title:?}: {far}");
            }
        }
        let result = ran.json();
        let kept = (0..titles.len()).filter(|&i| !blank(titles[i]));
        let ids: usize = kept
            .clone()
            .map(|i| expected["ids"][i].as_array().unwrap().len())
            .sum();
        for (key, value) in [
            ("listings", titles.len()),
            ("titles", kept.clone().count()),
            ("rows", kept.count()),
            ("tokens", ids),
            ("dims", 32),
            ("rejected", 0),
        ] {
            assert_eq!(result[key], value, "{name}: {key}");
        }
        assert_eq!(result["device"], "cpu");
        assert_eq!(result["out"], "unit.npy");
        for key in [
            "titles_per_second",
            "seconds",
            "tokenise_seconds",
            "encode_seconds",
        ] {
            assert!(result[key].as_f64().unwrap() > 0.0, "{key}");
        }
        assert!(result["peak_memory_bytes"].as_u64().unwrap() > 1 << 20);
        let stages: Vec<&str> = result["stages"]
            .as_array()
            .unwrap()
            .iter()
            .map(|s| s["name"].as_str().unwrap())
            .collect();
        assert_eq!(stages, ["read", "weights", "embed", "manifest"]);
        assert!(ran.err.contains("2 listings have no title"), "{}", ran.err);
    }
}

#[test]
fn the_same_bytes_whatever_the_threads() {
    let words = [
        "kopi",
        "susu",
        "phone case",
        "baju anak",
        "leather",
        "2in1",
        "xl",
        "gula",
    ];
    let titles: Vec<String> = (0..700usize)
        .map(|i| {
            let few = (0..1 + i % 9).map(|j| words[(i * (j + 3) + i / 7 * j) % words.len()]);
            few.collect::<Vec<_>>().join(" ")
        })
        .collect();
    for name in ["bert", "roberta"] {
        let bench = Bench::new();
        copy(&bench, name, "w");
        write_titles(&bench, "l.csv", &titles);
        embed(&bench, "w", "--quiet --threads 1", "x.npy").ends(0);
        let wanted = std::fs::read(bench.path("x.npy")).unwrap();
        for more in ["--threads 2", "--threads 3", "--no-mmap"] {
            embed(&bench, "w", &format!("--quiet {more}"), "y.npy").ends(0);
            let same = wanted == std::fs::read(bench.path("y.npy")).unwrap();
            assert!(same, "{name} {more}");
        }
        assert_eq!(bench.read("x.npy.json"), bench.read("y.npy.json"));
    }
}

#[test]
fn rows_without_a_title_are_zeros_and_rejected_ones_are_told() {
    let bench = Bench::new();
    copy(&bench, "bert", "w");
    // Equal titles, none, one of white space, a row with a field too many, and one that is not UTF-8.
    bench.write(
        "l.csv",
        b"posting_id,title\np0,phone case\np1,\np2,  \np3,phone case\np4,a,b\np5,kopi\np6,caf\xe9\n",
    );
    let ran = embed(&bench, "w", "--json", "x.npy").ends(1);
    let x = rows(&bench, "x.npy");
    assert_eq!(x.rows(), 7);
    for row in 0..7 {
        assert_eq!(zeros(x.row(row)), ![0, 3, 5].contains(&row), "row {row}");
    }
    assert_eq!(x.row(0), x.row(3));
    assert_ne!(x.row(0), x.row(5));
    let json = ran.json();
    assert_eq!(
        (&json["titles"], &json["rows"], &json["rejected"]),
        (&json!(2), &json!(3), &json!(2))
    );
    let ledger = bench.read("x.npy.rejects.csv");
    let lines: Vec<&str> = ledger.lines().collect();
    assert_eq!(lines.len(), 3, "{ledger}");
    assert!(
        lines[1].starts_with("5,") && lines[2].starts_with("7,p6,title,"),
        "{ledger}"
    );
    // The lost title of p6 leaves it without one too.
    assert!(
        ran.err.contains("3 listings have no title: rows of zeros"),
        "{}",
        ran.err
    );
    // A later clean run leaves no old ledger; no listings give no rows.
    bench.write("l.csv", "posting_id,title\n");
    let ran = embed(&bench, "w", "--json", "x.npy").ends(0);
    assert_eq!(ran.json()["listings"], 0);
    assert_eq!(rows(&bench, "x.npy").rows(), 0);
    assert_eq!(bench.names(), ["l.csv", "w", "x.npy", "x.npy.json"]);
}

#[test]
fn the_manifest_says_what_made_the_rows() {
    let bench = Bench::new();
    copy(&bench, "bert", "w");
    write_titles(&bench, "l.csv", ["phone case", "kopi luwak"]);
    embed(&bench, "w", "--quiet", "x.npy").ends(0);
    let manifest = store::check(bench.path("x.npy")).unwrap().unwrap();
    assert_eq!((manifest.rows, manifest.dims), (2, 32));
    let sha256 = |name: &str| store::sha256(bench.path(name)).unwrap();
    let wanted = json!({
        "encoder": "hf:bert", "layers": 2, "pool": "mean", "lowercase": false,
        "max_tokens": json_of(&golden("bert").join("sentence_bert_config.json"))["max_seq_length"],
        "decode_escapes": false, "values": "unit", "listings": 2,
        "listings_sha256": sha256("l.csv"),
        "weights_sha256": sha256("w/model.safetensors"),
        "tokenizer_sha256": sha256("w/tokenizer.json"),
        "tokenizer_config_sha256": sha256("w/tokenizer_config.json"),
        "config_sha256": sha256("w/config.json"),
        "special_tokens_sha256": null, "merges_sha256": null,
    });
    assert_eq!(manifest.settings, wanted);
    let more = "--quiet --raw --dtype f16 --pool cls --max-tokens 9 --decode-escapes";
    embed(&bench, "w", more, "y.npy").ends(0);
    let manifest = store::check(bench.path("y.npy")).unwrap().unwrap();
    assert_eq!(manifest.dtype, "float16");
    let settings = &manifest.settings;
    let told = ["pool", "max_tokens", "decode_escapes", "values"].map(|key| settings[key].clone());
    assert_eq!(told, [json!("cls"), json!(9), json!(true), json!("raw")]);
}

#[test]
fn weights_in_several_files_are_hashed_one_by_one() {
    use safetensors::SafeTensors;
    let bench = Bench::new();
    copy(&bench, "bert", "w");
    write_titles(&bench, "l.csv", ["phone case", "kopi luwak"]);
    embed(&bench, "w", "--quiet", "whole.npy").ends(0);
    let whole = std::fs::read(bench.path("w/model.safetensors")).unwrap();
    std::fs::remove_file(bench.path("w/model.safetensors")).unwrap();
    let tensors = SafeTensors::deserialize(&whole).unwrap();
    let mut map = serde_json::Map::new();
    for (part, file) in ["one.safetensors", "two.safetensors"].iter().enumerate() {
        let mine = |(name, _): &(String, _)| usize::from(name.len() % 2 == 0) == part;
        let some: Vec<_> = tensors.tensors().into_iter().filter(mine).collect();
        assert!(!some.is_empty());
        for (name, _) in &some {
            map.insert(name.clone(), json!(file));
        }
        bench.write(
            &format!("w/{file}"),
            safetensors::serialize(some, None).unwrap(),
        );
    }
    let index = json!({"metadata": {}, "weight_map": map}).to_string();
    bench.write("w/model.safetensors.index.json", index);
    embed(&bench, "w", "--quiet", "parts.npy").ends(0);
    assert_eq!(
        rows(&bench, "whole.npy").data(),
        rows(&bench, "parts.npy").data()
    );
    let manifest = store::check(bench.path("parts.npy")).unwrap().unwrap();
    let sha256 = |name: &str| store::sha256(bench.path(name)).unwrap();
    let wanted = json!({
        "one.safetensors": sha256("w/one.safetensors"),
        "two.safetensors": sha256("w/two.safetensors"),
    });
    assert_eq!(manifest.settings["weights_sha256"], wanted);
}

#[test]
fn halves_pools_escapes_and_cuts() {
    let bench = Bench::new();
    copy(&bench, "bert", "w");
    let titles = [
        "a b c d e",
        "a b c x y",
        r"caf\xc3\xa9",
        "café",
        r"\x20",
        "kopi luwak",
    ];
    write_titles(&bench, "l.csv", titles);
    embed(&bench, "w", "--raw", "raw.npy").ends(0);
    let raw = rows(&bench, "raw.npy");
    assert!(raw.row(0) != raw.row(1) && raw.row(2) != raw.row(3) && !zeros(raw.row(4)));
    // Three tokens, between the two special ones.
    embed(&bench, "w", "--raw --max-tokens 5", "cut.npy").ends(0);
    let cut = rows(&bench, "cut.npy");
    assert_eq!(cut.row(0), cut.row(1));
    assert_ne!(cut.row(0), raw.row(0));
    embed(&bench, "w", "--raw --decode-escapes", "text.npy").ends(0);
    let text = rows(&bench, "text.npy");
    assert_eq!(text.row(2), raw.row(3));
    assert!(zeros(text.row(4)));
    embed(&bench, "w", "--raw --pool cls", "cls.npy").ends(0);
    embed(&bench, "w", "--raw --pool mean", "mean.npy").ends(0);
    assert_ne!(rows(&bench, "cls.npy").row(0), raw.row(0));
    assert_eq!(rows(&bench, "mean.npy").data(), raw.data());
    embed(&bench, "w", "--raw --dtype f16", "half.npy").ends(0);
    for (a, b) in raw.data().iter().zip(rows(&bench, "half.npy").data()) {
        assert_eq!(f16::from_f32(*a).to_f32(), *b);
    }
    // The folder of images is not needed, and a name is a label.
    let line = "embed l.csv --images gone --encoder hf:any/name --weights w --out named.npy --raw";
    let ran = bench.engine(line).ends(0);
    assert!(ran.err.contains("--images is ignored"), "{}", ran.err);
    assert_eq!(bench.read("named.npy.json"), bench.read("raw.npy.json"));
}

#[test]
fn hostile_titles_do_not_stop_a_run() {
    for name in FOLDERS {
        let bench = Bench::new();
        copy(&bench, name, "w");
        let long = "a".repeat((1 << 20) - 8);
        let controls: String = (1u8..32).chain([127]).map(char::from).collect();
        let bomb = "a".repeat(3000) + "!";
        let marks = "\u{301}".repeat(5000);
        let joined = "👨\u{200d}".repeat(3000);
        let spaces = format!("a{}b", " ".repeat(60_000));
        let wide = "\u{fdfa}".repeat(4000);
        let special = "[CLS] [SEP] [UNK] [PAD] <s> </s> <unk> <pad> <mask> ##a ▁a";
        let titles = [
            "kopi luwak",
            &long,
            &controls,
            &bomb,
            &marks,
            &joined,
            &spaces,
            &wide,
            special,
            "\u{feff}\u{202e}\u{e000}\u{10ffff}",
            "kopi luwak",
        ];
        write_titles(&bench, "l.csv", titles);
        let ran = embed(&bench, "w", "--json", "x.npy");
        assert!(
            ran.code == 0 || ran.code == 1,
            "{name}: {} {}",
            ran.code,
            ran.err
        );
        let x = rows(&bench, "x.npy");
        assert!(x.data().iter().all(|v| v.is_finite()), "{name}");
        assert!(!zeros(x.row(0)) && x.row(0) == x.row(10), "{name}");
        // Each title has a vector, or an entry in the ledger.
        let lost = match ran.code {
            0 => 0,
            _ => bench.read("x.npy.rejects.csv").lines().count() - 1,
        };
        let without = (0..titles.len()).filter(|&i| zeros(x.row(i))).count();
        assert_eq!(
            (lost, ran.json()["rejected"].as_u64()),
            (without, Some(lost as u64)),
            "{name}"
        );
        // Alone, the first title has the same vector.
        write_titles(&bench, "l.csv", ["kopi luwak"]);
        embed(&bench, "w", "--quiet", "y.npy").ends(0);
        let far = apart(
            rows(&bench, "y.npy").row(0),
            x.row(0).iter().map(|&v| f64::from(v)),
        );
        assert!(far < 1e-6, "{name}: {far}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_run_that_is_killed_leaves_no_half_file() {
    use std::process::{Command, Stdio};
    let bench = Bench::new();
    copy(&bench, "bert", "w");
    let titles = (0..60_000).map(|i| format!("phone case {i} kopi luwak {}", i * 7));
    write_titles(&bench, "l.csv", titles);
    let mut child = Command::new(env!("CARGO_BIN_EXE_engine"))
        .args([
            "embed",
            "l.csv",
            "--encoder",
            "hf:",
            "--weights",
            "w",
            "--out",
            "x.npy",
        ])
        .current_dir(bench.folder())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // The note about the weights comes when they are packed, before the first title.
    let mut byte = [0];
    std::io::Read::read_exact(child.stderr.as_mut().unwrap(), &mut byte).unwrap();
    std::thread::sleep(std::time::Duration::from_millis(100));
    child.kill().unwrap();
    let killed = child.wait().unwrap();
    assert_eq!(killed.code(), None, "it was over before");
    // Where files cannot grow without a name, the passing one may stay.
    let mut names = bench.names();
    names.retain(|n| !n.starts_with(".doppel-"));
    assert_eq!(names, ["l.csv", "w"]);
}
