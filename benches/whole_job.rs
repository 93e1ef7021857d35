//! The whole job, timed stage by stage: a made-up market with photographs, three encoders of images side
//! by side, an encoder of titles and TF-IDF, one dynamic threshold over all, from files to matches.
//!
//! ```text
//! cargo bench --bench whole_job -- --engine target/release/engine [--listings 70000] [--pixels 640]
//!     [--size 512] [--device auto] [--archs eca_nfnet_l0,efficientnet_b3,efficientnet_b5] [--small] [--out FILE.json]
//! ```
//!
//! Weights are drawn at random: the job is timed, not scored. `--small` is a job for tests: the same
//! encoders over few listings and tiny pictures, titles of two narrow layers. `cargo test --bench whole_job`
//! runs that one on the CPU, and on the simulated card where `DOPPEL_SIMT` names one.

use std::fs;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::{SystemTime, UNIX_EPOCH};

use doppel::bench::spread;
use doppel::nn::text::{TextBuild, TextConfig, TextPool, text_graph};
use doppel::nn::{self, Build};
use serde_json::{Value, json};

/// What the command line asks for.
#[derive(Clone)]
struct Asked {
    engine: PathBuf,
    listings: usize,
    pixels: usize,
    size: usize,
    device: String,
    archs: Vec<String>,
    small: bool,
    /// Run as a test.
    test: bool,
    out: Option<PathBuf>,
}

impl Asked {
    /// Makes it a job of moments.
    fn shrink(&mut self) {
        self.small = true;
        (self.listings, self.pixels, self.size) = (6, 64, 32);
    }

    /// Hidden values, layers and heads of the encoder of titles.
    fn titles(&self) -> [usize; 3] {
        if self.small {
            [32, 2, 2]
        } else {
            [768, 12, 12]
        }
    }
}

type Outcome<T> = Result<T, String>;

fn asked() -> Outcome<Asked> {
    let mut a = Asked {
        engine: "target/release/engine".into(),
        listings: 70_000,
        pixels: 640,
        size: 512,
        device: "auto".into(),
        archs: ["eca_nfnet_l0", "efficientnet_b3", "efficientnet_b5"]
            .map(str::to_string)
            .into(),
        small: false,
        test: false,
        out: None,
    };
    // cargo adds --bench of its own; without it and without a word but those for every test's harness,
    // this is run as a test.
    let harness = ["--bench", "--show-output", "--nocapture"];
    let (own, words): (Vec<String>, Vec<String>) = std::env::args()
        .skip(1)
        .partition(|word| harness.contains(&word.as_str()));
    a.test = words.is_empty() && own.iter().all(|word| word != "--bench");
    let mut words = words.into_iter();
    if a.test {
        a.shrink();
        a.engine = option_env!("CARGO_BIN_EXE_engine")
            .unwrap_or("engine")
            .into();
    }
    while let Some(word) = words.next() {
        if word == "--small" {
            a.shrink();
            continue;
        }
        let value = words.next().ok_or(format!("{word} wants a value"))?;
        let number = || {
            value
                .parse::<usize>()
                .map_err(|e| format!("{word} {value}: {e}"))
        };
        match word.as_str() {
            "--engine" => a.engine = value.into(),
            "--listings" => a.listings = number()?,
            "--pixels" => a.pixels = number()?,
            "--size" => a.size = number()?,
            "--device" => a.device = value,
            "--archs" => a.archs = value.split(',').map(str::to_string).collect(),
            "--out" => a.out = Some(value.into()),
            _ => return Err(format!("{word} is no option")),
        }
    }
    Ok(a)
}

/// Writes tensors of random values as safetensors. Filters have a size that keeps values near 1; norms
/// do little.
fn write_weights(path: &Path, tensors: &[(String, Vec<usize>)]) -> Outcome<()> {
    let fault = |e: std::io::Error| format!("{}: {e}", path.display());
    let (mut header, mut at) = (serde_json::Map::new(), 0);
    for (key, dims) in tensors {
        let end = at + 4 * dims.iter().product::<usize>();
        header.insert(
            key.clone(),
            json!({"dtype": "F32", "shape": dims, "data_offsets": [at, end]}),
        );
        at = end;
    }
    let mut header = Value::Object(header).to_string();
    while !header.len().is_multiple_of(8) {
        header.push(' ');
    }
    let mut file = BufWriter::new(fs::File::create(path).map_err(fault)?);
    file.write_all(&(header.len() as u64).to_le_bytes())
        .map_err(fault)?;
    file.write_all(header.as_bytes()).map_err(fault)?;
    for (seed, (key, dims)) in tensors.iter().enumerate() {
        let depth: usize = dims[1..].iter().product();
        let (size, middle) = match dims.len() {
            1 if key.ends_with("bias") || key.ends_with("mean") => (0.1, 0.0),
            1 => (0.1, 1.0),
            _ => ((3.0 / depth as f32).sqrt(), 0.0),
        };
        for value in spread(dims.iter().product(), seed as u64) {
            file.write_all(&(middle + size * value).to_le_bytes())
                .map_err(fault)?;
        }
    }
    file.flush().map_err(fault)
}

/// A Hugging Face folder of BERT's sizes: its vocabulary is letters, so that every title has tokens.
fn write_titles(folder: &Path, a: &Asked) -> Outcome<()> {
    let [hidden, layers, heads] = a.titles();
    let mut vocabulary: Vec<String> = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
        .map(str::to_string)
        .into();
    for letter in ('a'..='z').chain('0'..='9') {
        vocabulary.extend([letter.to_string(), format!("##{letter}")]);
    }
    let words = if a.small { 100 } else { 30_522 };
    vocabulary.extend((vocabulary.len()..words).map(|n| format!("[unused{n}]")));
    let config = json!({"model_type": "bert", "hidden_size": hidden, "num_hidden_layers": layers,
        "num_attention_heads": heads, "intermediate_size": 4 * hidden, "hidden_act": "gelu",
        "layer_norm_eps": 1e-12, "max_position_embeddings": 512, "type_vocab_size": 2,
        "vocab_size": words, "pad_token_id": 0})
    .to_string();
    let fault = |e: std::io::Error| format!("{}: {e}", folder.display());
    fs::create_dir_all(folder).map_err(fault)?;
    fs::write(folder.join("config.json"), &config).map_err(fault)?;
    fs::write(folder.join("vocab.txt"), vocabulary.join("\n") + "\n").map_err(fault)?;
    let build = TextBuild {
        tokens: 1,
        titles: 1,
        pool: TextPool::Mean,
    };
    let config = TextConfig::parse(&config).map_err(|e| e.to_string())?;
    let graph = text_graph(&config, &build).map_err(|e| e.to_string())?;
    write_weights(&folder.join("model.safetensors"), &nn::params(&graph))
}

/// The recipe: all encoders of images side by side, words, and titles.
fn recipe(a: &Asked) -> String {
    let mut text = "name = \"whole-job\"\nneighbours = 50\nmatches = 50\n\
         fusion = \"sweep(photo < .24 to .50 by .01, words < .25 to .50 by .20, title < .08 to .30 by .01)\"\n"
        .to_string();
    for (at, arch) in a.archs.iter().enumerate() {
        text += &format!(
            "[spaces.net{at}]\nimage = \"timm:{arch}\"\nweights = \"{arch}.safetensors\"\nsize = {}\n",
            a.size
        );
    }
    let parts: Vec<String> = (0..a.archs.len())
        .map(|at| format!("net{at} = 1.0"))
        .collect();
    text += &format!(
        "[spaces.photo]\nconcat = {{ {} }}\nrefine = [{{ expand = {{ k = 2, alpha = 3 }} }}]\n\
         [spaces.words]\ntfidf = {{ stop_words = \"english\", max_features = 25000 }}\n\
         [spaces.title]\ntext = \"hf:\"\nweights = \"titles\"\npool = \"mean\"\n",
        parts.join(", ")
    );
    text
}

/// Runs the engine, and gives its JSON.
fn engine(a: &Asked, words: &[&str]) -> Outcome<Value> {
    let line = words.join(" ");
    let out = Command::new(&a.engine)
        .args(words)
        .args(["--json", "--quiet"])
        .output()
        .map_err(|e| format!("{} did not start: {e}", a.engine.display()))?;
    if out.status.code() != Some(0) {
        let said = String::from_utf8_lossy(&out.stderr).into_owned();
        return Err(format!("engine {line}: {} {}", out.status, said.trim()));
    }
    serde_json::from_slice(&out.stdout).map_err(|e| format!("engine {line}: {e}"))
}

fn run(a: &Asked) -> Outcome<Value> {
    let folder = tempfile::tempdir().map_err(|e| e.to_string())?;
    let at = |name: &str| folder.path().join(name).display().to_string();
    let (listings, pixels) = (a.listings.to_string(), a.pixels.to_string());
    let market = at("market");
    engine(
        a,
        &[
            "synth",
            "--listings",
            &listings,
            "--size",
            &pixels,
            "--out",
            &market,
        ],
    )?;
    for name in &a.archs {
        let arch = nn::arch(name).map_err(|e| e.to_string())?;
        let graph = nn::graph(arch, &Build::new(1, a.size)).map_err(|e| e.to_string())?;
        let path = folder.path().join(format!("{name}.safetensors"));
        write_weights(&path, &nn::params(&graph))?;
    }
    write_titles(&folder.path().join("titles"), a)?;
    let recipe_file = at("recipe.toml");
    fs::write(&recipe_file, recipe(a)).map_err(|e| format!("{recipe_file}: {e}"))?;
    let told = engine(
        a,
        &[
            "match",
            &at("market/listings.csv"),
            "--images",
            &at("market/images"),
            "--recipe",
            &recipe_file,
            "--out",
            &at("matches.csv"),
            "--device",
            &a.device,
        ],
    )?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let stages = told["stages"].as_array().into_iter().flatten();
    let sum: f64 = stages.filter_map(|stage| stage["seconds"].as_f64()).sum();
    let [hidden, layers, heads] = a.titles();
    let info = engine(a, &["info", "--device", &a.device])?;
    Ok(json!({
        "what": "whole job",
        "unix_seconds": now.map_or(0, |t| t.as_secs()),
        "version": env!("CARGO_PKG_VERSION"),
        "device": told["device"],
        "gpu": info["gpu"],
        "cpu": info["cpu"],
        "optimised": !cfg!(debug_assertions),
        "listings": a.listings,
        "pixels": a.pixels,
        "size": a.size,
        "encoders": a.archs,
        "titles": {"hidden": hidden, "layers": layers, "heads": heads},
        "seconds": told["seconds"],
        "stages": told["stages"],
        // What is no stage's: opening the device, and checks before the first.
        "seconds_between": told["seconds"].as_f64().map(|all| all - sum),
        "peak_memory_bytes": told["peak_memory_bytes"],
        "peak_device_memory_bytes": told["peak_device_memory_bytes"],
        "notes": told["notes"],
    }))
}

fn show(told: &Value) {
    for stage in told["stages"].as_array().into_iter().flatten() {
        let word = |key: &str| stage[key].as_str().unwrap_or("").to_string();
        let seconds = stage["seconds"].as_f64().unwrap_or(0.0);
        println!("{seconds:>10.3} s  {} {}", word("name"), word("space"));
    }
    let seconds = |key: &str| told[key].as_f64().unwrap_or(0.0);
    println!("{:>10.3} s  between the stages", seconds("seconds_between"));
    println!(
        "{:>10.3} s  in all on {}",
        seconds("seconds"),
        told["device"].as_str().unwrap_or("?")
    );
}

/// Says what is wrong with the record of a job.
fn check(a: &Asked, told: &Value) -> Outcome<()> {
    let wrong = |what: &str| Err(format!("{what}: {told:#}"));
    let stages: Vec<&Value> = told["stages"].as_array().into_iter().flatten().collect();
    let has = |name: &str, space: &str| {
        let found = stages
            .iter()
            .find(|s| s["name"] == name && s["space"] == space);
        found
            .is_some_and(|s| s["seconds"].as_f64().is_some_and(|t| t > 0.0) && s["reused"] == false)
    };
    let mut wanted: Vec<(&str, String)> = (0..a.archs.len())
        .flat_map(|at| ["weights", "embed"].map(|name| (name, format!("net{at}"))))
        .collect();
    for (name, space) in [
        ("concat", "photo"),
        ("expand", "photo"),
        ("search", "photo"),
        ("tfidf", "words"),
        ("search", "words"),
        ("weights", "title"),
        ("titles", "title"),
        ("search", "title"),
    ] {
        wanted.push((name, space.to_string()));
    }
    if let Some((name, space)) = wanted.iter().find(|(name, space)| !has(name, space)) {
        return wrong(&format!("no stage {name} {space}"));
    }
    let number = |key: &str| told[key].as_f64().unwrap_or(f64::NAN);
    let card = a.device != "cpu";
    match () {
        () if told["device"] != a.device.as_str() => wrong("another device"),
        () if card && told["notes"] != json!([]) => wrong("something ran elsewhere"),
        () if card != (number("peak_device_memory_bytes") > 0.0) => wrong("the card's memory"),
        () if !(0.0..=number("seconds") / 2.0).contains(&number("seconds_between")) => {
            wrong("seconds between the stages")
        }
        () => Ok(()),
    }
}

/// The small job on the CPU and on the simulated card.
fn test(a: &Asked) -> Outcome<()> {
    let card = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    let mut devices = vec!["cpu"];
    match card("DOPPEL_SIMT") {
        true => devices.push("simt"),
        false if card("DOPPEL_SIMT_REQUIRED") => return Err("no simulated card is here".into()),
        false => println!("not here: the simulated card (cargo xtask simt); the CPU is tested"),
    }
    for device in devices {
        let a = Asked {
            device: device.into(),
            ..a.clone()
        };
        let told = run(&a)?;
        show(&told);
        check(&a, &told)?;
    }
    Ok(())
}

fn main() -> ExitCode {
    let done = asked().and_then(|a| {
        if a.test {
            return test(&a);
        }
        let told = run(&a)?;
        show(&told);
        match &a.out {
            Some(path) => fs::write(path, format!("{told:#}\n"))
                .map_err(|e| format!("{}: {e}", path.display())),
            None => Ok(()),
        }
    });
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(2)
        }
    }
}
