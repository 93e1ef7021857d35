//! `engine embed`, and image encoders in `match` and `demo`: whole runs with a small encoder of seeded
//! weights on the demo's photographs.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use doppel::device::Weights;
use doppel::embed::{normalize, store};
use doppel::image::{Crop, Filter, IMAGENET, ImageFolder, Prepare, decode_prepare};
use doppel::nn::weights::OpenOptions;
use doppel::nn::{self, Build, ImageEncoder, ImageOptions, formula};
use doppel::tensor::Matrix;
use half::f16;
use serde_json::json;

use crate::tools::{Bench, Ran};

/// Pixels on a side: the encoder works at any size, and tests need not wait.
const SIZE: usize = 40;

/// Writes weights as a safetensors file of float16.
fn write_safetensors(path: &Path, weights: &Weights) {
    let mut names: Vec<&String> = weights.keys().collect();
    names.sort();
    let (mut header, mut data) = (serde_json::Map::new(), Vec::new());
    for name in names {
        let (dims, values) = &weights[name];
        let begin = data.len();
        data.extend(values.iter().flat_map(|&x| f16::from_f32(x).to_le_bytes()));
        let entry = json!({"dtype": "F16", "shape": dims, "data_offsets": [begin, data.len()]});
        header.insert(name.clone(), entry);
    }
    let mut header = serde_json::Value::Object(header).to_string();
    while !header.len().is_multiple_of(8) {
        header.push(' ');
    }
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header.as_bytes());
    bytes.extend(data);
    std::fs::write(path, bytes).unwrap();
}

/// Seeded weights of ResNet-18, written once a test run.
pub fn weights() -> &'static str {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    let made = PATH.get_or_init(|| {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let path = folder.join("seeded-resnet18.safetensors");
        let graph = nn::graph(nn::arch("resnet18").unwrap(), &Build::new(1, SIZE)).unwrap();
        let mut weights = formula::weights(&graph, &formula::Stats::default());
        // What published files hold beyond the features.
        weights.insert("fc.weight".into(), (vec![2, 512], vec![0.0; 1024]));
        weights.insert("fc.bias".into(), (vec![2], vec![0.0; 2]));
        // Renamed, so that another run never sees half a file.
        let growing = folder.join(format!("seeded-resnet18-{}", std::process::id()));
        write_safetensors(&growing, &weights);
        std::fs::rename(&growing, &path).unwrap();
        path
    });
    made.to_str().unwrap()
}

/// The demo's photographs, in the order of their names.
fn photographs() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("demo/images");
    let mut found: Vec<PathBuf> = std::fs::read_dir(folder)
        .unwrap()
        .map(|e| e.unwrap().path())
        .collect();
    found.sort();
    found
}

/// Five photographs, seven listings: two of one file, two of equal bytes, in `l.csv` and `photos/`.
const NAMES: [&str; 7] = [
    "a.jpg", "b.jpg", "./a.jpg", "c.jpg", "copy.jpg", "d.jpg", "e.jpg",
];

fn bench() -> Bench {
    let bench = Bench::new();
    let photographs = photographs();
    let photo = |i: usize| std::fs::read(&photographs[i * 17]).unwrap();
    for (i, name) in ["a", "b", "c", "d", "e"].iter().enumerate() {
        bench.write(&format!("photos/{name}.jpg"), photo(i));
    }
    bench.write("photos/copy.jpg", photo(2));
    let line = |(i, name): (usize, &&str)| format!("p{i},{name}\n");
    let lines: String = NAMES.iter().enumerate().map(line).collect();
    bench.write("l.csv", format!("posting_id,image\n{lines}"));
    bench
}

/// Runs `embed l.csv` with the seeded encoder and `more`, into `out`.
fn embed(bench: &Bench, more: &str, out: &str) -> Ran {
    let line = format!("embed l.csv --images photos --size {SIZE} {more} --out {out}");
    let encoder = ["--encoder", "timm:resnet18", "--weights", weights()];
    bench.command(line.split_whitespace().chain(encoder))
}

fn rows(bench: &Bench, name: &str) -> Matrix {
    store::read_npy(bench.path(name)).unwrap()
}

/// The features that the library's own calls give, one image at a time.
fn expected(bench: &Bench, name: &str, crop: Crop) -> Vec<f32> {
    let options = ImageOptions {
        size: Some(SIZE),
        ..ImageOptions::new("resnet18")
    };
    let cpu = doppel::device::open("cpu").unwrap();
    let how = OpenOptions::default();
    let (encoder, _) = ImageEncoder::open(&options, weights(), how, cpu).unwrap();
    let folder = ImageFolder::open(bench.path("photos")).unwrap();
    let prepare = Prepare {
        size: SIZE,
        crop,
        filter: Filter::Bicubic,
        normal: IMAGENET,
    };
    let mut pixels = vec![0.0; SIZE * SIZE * 3];
    let file = folder.resolve(name).unwrap();
    decode_prepare(&folder, (name, &file), true, &prepare, &mut pixels).unwrap();
    let mut vector = vec![0.0; 512];
    encoder.encode(&pixels, &mut vector).unwrap();
    vector
}

#[test]
fn rows_are_those_of_the_librarys_own_calls() {
    let bench = bench();
    let ran = embed(&bench, "--json", "x.npy").ends(0);
    let x = rows(&bench, "x.npy");
    assert_eq!((x.rows(), x.dims()), (NAMES.len(), 512));
    for (i, name) in NAMES.iter().enumerate() {
        let mut vector = expected(&bench, name, Crop::Squash);
        normalize(&mut vector);
        assert_eq!(x.row(i), vector, "{name}");
        let length: f64 = x.row(i).iter().map(|&v| f64::from(v) * f64::from(v)).sum();
        assert!((length - 1.0).abs() < 1e-6, "{name}: {length}");
    }
    assert_eq!(x.row(0), x.row(2));
    assert_eq!(x.row(3), x.row(4));
    assert_ne!(x.row(0), x.row(1));
    let json = ran.json();
    for (key, value) in [
        ("listings", 7),
        ("images", 6),
        ("rows", 7),
        ("dims", 512),
        ("rejected", 0),
    ] {
        assert_eq!(json[key], value, "{key}");
    }
    assert!(json["images_per_second"].as_f64().unwrap() > 0.0);
    assert!(json["peak_memory_bytes"].as_u64().unwrap() > 1 << 20);
    assert_eq!(json["out"], "x.npy");
    let stages = json["stages"].as_array().unwrap();
    assert!(
        stages
            .iter()
            .any(|s| s["name"] == "embed" && s["items"] == 6)
    );
    // The classifier's two tensors are told, once.
    assert!(ran.err.contains("ignored 2 tensors"), "{}", ran.err);
    assert_eq!(bench.names(), ["l.csv", "photos", "x.npy", "x.npy.json"]);
}

#[test]
fn the_manifest_says_what_made_the_rows() {
    let bench = bench();
    embed(&bench, "--crop timm --quiet", "x.npy").ends(0);
    let manifest = store::check(bench.path("x.npy")).unwrap().unwrap();
    assert_eq!((manifest.rows, manifest.dims), (7, 512));
    let settings = &manifest.settings;
    let wanted = json!({
        "encoder": "timm:resnet18", "size": SIZE, "crop": {"timm": 0.95}, "filter": "bicubic",
        "mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225], "activation": null,
        "pool": "avg", "raw": false, "exif": true, "values": "unit", "listings": 7,
        "listings_sha256": store::sha256(bench.path("l.csv")).unwrap(),
        "weights_sha256": store::sha256(weights()).unwrap(),
    });
    assert_eq!(*settings, wanted);
    let crop_pct = 0.95;
    let mut vector = expected(&bench, "a.jpg", Crop::Timm { crop_pct });
    normalize(&mut vector);
    assert_eq!(rows(&bench, "x.npy").row(0), vector);
}

#[test]
fn the_same_bytes_whatever_the_batch_and_the_threads() {
    let bench = bench();
    embed(&bench, "--quiet", "x.npy").ends(0);
    let wanted = std::fs::read(bench.path("x.npy")).unwrap();
    for more in [
        "--batch 1 --threads 1",
        "--batch 3 --threads 2",
        "--batch 64 --threads 1",
        "--batch 1 --threads 3",
        "--no-mmap",
    ] {
        embed(&bench, &format!("{more} --quiet"), "y.npy").ends(0);
        assert!(
            wanted == std::fs::read(bench.path("y.npy")).unwrap(),
            "{more}"
        );
    }
    assert_eq!(bench.read("x.npy.json"), bench.read("y.npy.json"));
}

#[test]
fn raw_rows_and_halves() {
    let bench = bench();
    embed(&bench, "--raw", "raw.npy").ends(0);
    embed(&bench, "--raw --dtype f16", "half.npy").ends(0);
    embed(&bench, "--activation mish --raw", "mish.npy").ends(0);
    let (raw, half) = (rows(&bench, "raw.npy"), rows(&bench, "half.npy"));
    assert_eq!(raw.row(1), expected(&bench, "b.jpg", Crop::Squash));
    for (a, b) in raw.data().iter().zip(half.data()) {
        assert_eq!(f16::from_f32(*a).to_f32(), *b);
    }
    let mish = rows(&bench, "mish.npy");
    assert!(mish.row(1) != raw.row(1) && mish.row(0) == mish.row(2));
    let length = |name: &str| std::fs::metadata(bench.path(name)).unwrap().len();
    assert_eq!(
        (length("raw.npy"), length("half.npy")),
        (128 + 7 * 2048, 128 + 7 * 1024)
    );
    let manifest = store::Manifest::read(bench.path("half.npy"))
        .unwrap()
        .unwrap();
    assert_eq!(
        (&manifest.dtype[..], &manifest.settings["values"]),
        ("float16", &json!("raw"))
    );
}

#[test]
fn what_cannot_be_embedded_is_a_row_of_zeros_and_a_line() {
    let bench = bench();
    let whole = std::fs::read(bench.path("photos/a.jpg")).unwrap();
    bench.write("photos/cut.jpg", &whole[..100]);
    bench.write("photos/page.jpg", "<html>not found</html>");
    // A row with a field too many, an empty cell, and the same damage under two names.
    bench.write(
        "l.csv",
        "posting_id,image\np0,a.jpg\np1,gone.jpg\np2,cut.jpg\np3,a.jpg,x\np4,\np5,page.jpg\n\
         p6,./cut.jpg\np7,b.jpg\np8,../l.csv\n",
    );
    let ran = embed(&bench, "--json --batch 2", "x.npy").ends(1);
    let x = rows(&bench, "x.npy");
    assert_eq!(x.rows(), 9);
    for row in 0..9 {
        let zeros = x.row(row).iter().all(|&v| v == 0.0);
        assert_eq!(zeros, ![0, 7].contains(&row), "row {row}");
    }
    let ledger = bench.read("x.npy.rejects.csv");
    let lines: Vec<&str> = ledger.lines().collect();
    let starts = [
        "row,posting_id,column,reason",
        "2,p1,image,",
        "3,p2,image,",
        "4,",
        "6,p5,image,",
        "7,p6,image,",
        "9,p8,image,",
    ];
    assert_eq!(lines.len(), starts.len(), "{ledger}");
    for (line, start) in lines.iter().zip(starts) {
        assert!(line.starts_with(start), "{line}");
    }
    assert!(lines[1].contains("photos/gone.jpg") && lines[1].contains("no such file"));
    assert!(lines[2].contains("photos/cut.jpg: "), "{}", lines[2]);
    assert!(lines[5].contains("photos/./cut.jpg: "), "{}", lines[5]);
    let json = ran.json();
    assert_eq!(
        (&json["rejected"], &json["rows"], &json["images"]),
        (&json!(6), &json!(2), &json!(4))
    );
    assert!(ran.err.contains("1 listing names no image"), "{}", ran.err);
    assert_eq!(
        bench.names(),
        [
            "l.csv",
            "photos",
            "x.npy",
            "x.npy.json",
            "x.npy.rejects.csv"
        ]
    );
    // A later clean run leaves no old ledger.
    bench.write("l.csv", "posting_id,image\np0,a.jpg\n");
    embed(&bench, "", "x.npy").ends(0);
    assert!(!bench.exists("x.npy.rejects.csv"));
}

#[test]
fn no_listings_give_no_rows() {
    let bench = bench();
    bench.write("l.csv", "posting_id,image\n");
    let ran = embed(&bench, "--json", "x.npy").ends(0);
    assert_eq!(ran.json()["listings"], 0);
    let x = rows(&bench, "x.npy");
    assert_eq!((x.rows(), x.dims()), (0, 512));
    bench.engine("search x.npy --out nn.csv").ends(0);
}

#[test]
fn wrong_encoders_and_weights_are_one_line_and_nothing_is_written() {
    let bench = bench();
    bench.write("garbage.safetensors", "no tensors");
    bench.write("torch.pth", b"PK\x03\x04 archive/data.pkl");
    std::fs::create_dir(bench.path("empty")).unwrap();
    let before = bench.names();
    let cases: [(&str, &str, &[&str]); 14] = [
        (
            "timm:resnet18",
            "",
            &[
                "weights",
                "hf download timm/resnet18.a1_in1k model.safetensors",
            ],
        ),
        ("timm:resnet19", "--weights W", &["resnet19", "resnet18"]),
        (
            "timm:efficientnet_b0",
            "--weights W",
            &["another model", "seeded-resnet18"],
        ),
        (
            "timm:resnet50",
            "--weights W",
            &["seeded-resnet18.safetensors", "tensor"],
        ),
        (
            "hf:bert-base-uncased",
            "--weights W",
            &["l.csv", "no column title", "timm:ARCH"],
        ),
        ("resnet18", "--weights W", &["shipped", "timm:resnet18"]),
        ("torch:resnet18", "--weights W", &["torch", "timm:"]),
        (
            "timm:resnet18",
            "--weights gone.safetensors",
            &["gone.safetensors"],
        ),
        (
            "timm:resnet18",
            "--weights garbage.safetensors",
            &["garbage.safetensors"],
        ),
        (
            "timm:resnet18",
            "--weights torch.pth",
            &["torch.pth", "safetensors"],
        ),
        (
            "timm:resnet18",
            "--weights empty",
            &["empty", "safetensors"],
        ),
        ("timm:resnet18", "--weights W --size 0", &["0"]),
        ("timm:resnet18", "--weights W --size 100000", &["100000"]),
        ("timm:resnet18", "--weights W --batch 0", &["batch", "0"]),
    ];
    for (encoder, more, words) in cases {
        let line = format!("embed l.csv --images photos --encoder {encoder} {more} --out x.npy");
        let line = line.replace(" W", &format!(" {}", weights()));
        bench.engine(&line).fails_with(words);
        assert_eq!(bench.names(), before, "{line}");
    }
    for (out, words) in [
        ("gone/x.npy", ["gone/x.npy", "No such file"]),
        ("photos", ["photos", "is a folder"]),
        ("l.csv", ["l.csv", "twice"]),
        ("/dev/null", ["/dev/null", "regular"]),
    ] {
        embed(&bench, "", out).fails_with(&words);
    }
    let seeded = format!(
        "--encoder timm:resnet18 --weights {} --out x.npy",
        weights()
    );
    for (start, words) in [
        ("embed l.csv --images gone", ["gone", "folder"]),
        (
            "embed gone.csv --images photos",
            ["gone.csv", "No such file"],
        ),
        ("embed t.csv --images photos", ["t.csv", "no column image"]),
    ] {
        bench.write("t.csv", "posting_id,title\na,b\n");
        bench
            .engine(&format!("{start} {seeded}"))
            .fails_with(&words);
        std::fs::remove_file(bench.path("t.csv")).unwrap();
    }
    assert_eq!(bench.names(), before);
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_told_before_the_work_and_keeps_the_old_rows() {
    let bench = bench();
    bench.write("x.npy", "the old rows");
    // A file that may not grow stands for a disk that is full: the shell sets the bound.
    let script = format!(
        "trap '' XFSZ; ulimit -f 8; exec {} embed l.csv --images photos --size {SIZE} --encoder \
         timm:resnet18 --weights {} --out x.npy --quiet",
        env!("CARGO_BIN_EXE_engine"),
        weights()
    );
    let output = std::process::Command::new("bash")
        .args(["-c", &script])
        .current_dir(bench.folder())
        .output()
        .unwrap();
    Ran::of(output).fails_with(&["x.npy"]);
    assert_eq!(bench.read("x.npy"), "the old rows");
    assert_eq!(bench.names(), ["l.csv", "photos", "x.npy"]);
}

#[cfg(target_os = "linux")]
#[test]
fn a_run_that_is_killed_leaves_no_half_file() {
    use std::process::{Command, Stdio};
    let bench = bench();
    // At 1,200 pixels the run takes long enough to be killed in the middle of it.
    let mut text = String::from("posting_id,image\n");
    for i in 0..7 {
        let photo = std::fs::read(bench.path("photos/a.jpg")).unwrap();
        bench.write(&format!("photos/{i}.jpg"), photo);
        text.push_str(&format!("p{i},{i}.jpg\n"));
    }
    bench.write("l.csv", text);
    let mut child = Command::new(env!("CARGO_BIN_EXE_engine"))
        .args([
            "embed", "l.csv", "--images", "photos", "--size", "1200", "--out", "x.npy",
        ])
        .args(["--encoder", "timm:resnet18", "--weights", weights()])
        .current_dir(bench.folder())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // The note about the weights comes when they are packed, before the first image.
    let mut byte = [0];
    std::io::Read::read_exact(child.stderr.as_mut().unwrap(), &mut byte).unwrap();
    std::thread::sleep(std::time::Duration::from_millis(100));
    child.kill().unwrap();
    let killed = child.wait().unwrap();
    assert_eq!(killed.code(), None, "it was over before");
    // Where files cannot grow without a name, the passing one may stay.
    let mut names = bench.names();
    names.retain(|n| !n.starts_with(".doppel-"));
    assert_eq!(names, ["l.csv", "photos"]);
}

#[test]
fn an_encoder_is_evidence_in_match() {
    let bench = bench();
    // Hashes and titles that have nothing in common; p4 has the photograph of p3 in another file, and
    // p5's cannot be read.
    let words = [
        "kopi luwak",
        "susu bubuk",
        "minyak goreng",
        "sepatu pria",
        "boneka besar",
        "tas kulit",
    ];
    let mut text = String::from("posting_id,image,image_phash,title\n");
    for (i, name) in ["a.jpg", "b.jpg", "e.jpg", "c.jpg", "copy.jpg", "gone.jpg"]
        .iter()
        .enumerate()
    {
        text.push_str(&format!("p{i},{name},{:016x},{}\n", 1u64 << i, words[i]));
    }
    bench.write("l.csv", text);
    let plain = "match l.csv --images photos --out m.csv --pairs p.csv";
    bench.engine(plain).ends(0);
    assert!(bench.read("p.csv").lines().count() == 1);
    let line = format!(
        "{plain} --json --size {SIZE} --encoder timm:resnet18 --weights {}",
        weights()
    );
    let ran = bench.engine(&line).ends(1);
    let json = ran.json();
    assert_eq!(json["sources"], json!(["phash", "tfidf", "image"]));
    assert!(
        json["stages"]
            .as_array()
            .unwrap()
            .iter()
            .any(|s| s["name"] == "embed")
    );
    let pairs = bench.read("p.csv");
    let scores: HashMap<(&str, &str), f64> = pairs
        .lines()
        .skip(1)
        .map(|l| {
            let cells: Vec<&str> = l.split(',').collect();
            assert_eq!(cells[3], "image", "{l}");
            ((cells[0], cells[1]), cells[2].parse().unwrap())
        })
        .collect();
    assert_eq!(scores[&("p3", "p4")], 1.0);
    assert!(
        scores.keys().all(|(a, b)| *a != "p5" && *b != "p5"),
        "{pairs}"
    );
    let matches = bench.read("m.csv");
    assert!(matches.contains("\np3,p3 p4"), "{matches}");
    assert!(matches.contains("\np5,p5\n"), "{matches}");
    let ledger = bench.read("m.csv.rejects.csv");
    assert_eq!(ledger.lines().count(), 2, "{ledger}");
    assert!(ledger.contains("6,p5,image,"), "{ledger}");
    assert_eq!(
        bench.names(),
        [
            "l.csv",
            "m.csv",
            "m.csv.rejects.csv",
            "m.csv.work",
            "p.csv",
            "photos"
        ]
    );
}

#[test]
fn an_image_that_gives_neither_hash_nor_vector_is_rejected_once() {
    let bench = bench();
    bench.write(
        "l.csv",
        "posting_id,image\np0,a.jpg\np1,gone.jpg\np2,a.jpg\n",
    );
    let line = format!(
        "match l.csv --images photos --out m.csv --size {SIZE} --encoder timm:resnet18 --weights {}",
        weights()
    );
    bench.engine(&line).ends(1);
    assert_eq!(
        bench.read("m.csv"),
        "posting_id,matches\np0,p0 p2\np1,p1\np2,p2 p0\n"
    );
    assert_eq!(bench.read("m.csv.rejects.csv").lines().count(), 2);
}

#[test]
fn options_of_an_encoder_need_one() {
    let bench = bench();
    for line in [
        "match l.csv --out m.csv --images photos --size 64",
        "match l.csv --out m.csv --images photos --weights w",
        "demo --weights w",
    ] {
        let ran = bench.engine(line).ends(2);
        assert!(ran.err.contains("required"), "{line}: {}", ran.err);
    }
    for verb in ["match l.csv --out m.csv", "embed l.csv --out x.npy"] {
        let line = format!("{verb} --encoder timm:resnet18 --weights {}", weights());
        bench.engine(&line).fails_with(&["images", "--images DIR"]);
    }
    let line = "match l.csv --out m.csv --images photos --encoder timm:resnet18";
    bench
        .engine(line)
        .fails_with(&["--weights", "hf download timm/resnet18"]);
    assert!(!bench.exists("m.csv"));
}

#[test]
fn the_demo_has_a_place_for_an_encoder() {
    let bench = Bench::new();
    let plain = bench.engine("demo").ends(0).out;
    for word in [
        "hf download timm/efficientnet_b0",
        "--encoder timm:efficientnet_b0",
    ] {
        assert!(plain.contains(word), "{word} is missing in: {plain}");
    }
    let line = format!(
        "demo --size 32 --encoder timm:resnet18 --weights {}",
        weights()
    );
    let out = bench.engine(&line).ends(0).out;
    assert!(
        out.contains("148 listings") && !out.contains("hf download"),
        "{out}"
    );
    assert!(bench.read("doppel-demo/pairs.csv").contains(",image,"));
    bench
        .engine("demo --out other --encoder timm:resnet18")
        .fails_with(&["hf download"]);
    assert!(!bench.exists("other"));
}
