//! `engine info`.

use clap::Args;
use doppel::device::{self, gpu};
use doppel::error::Result;
use doppel::nn;
use serde_json::{Value, json};

use crate::common::{Common, Done};
use crate::encoder::TEXT_ENCODERS;

#[derive(Args)]
#[command(after_help = "Example:\n  engine info --json")]
pub struct Arguments {
    #[command(flatten)]
    pub common: Common,
}

pub fn run(a: &Arguments) -> Result<Done> {
    let cpu = device::cpu_kernels();
    let device = a.common.device()?;
    let (chosen, left) = (device.info(), device.streams().map(|s| s.memory_left()));
    let left = left.transpose()?;
    let names: Vec<&str> = nn::architectures().iter().map(|e| e.name).collect();
    let lines: Vec<String> = names.chunks(5).map(|few| few.join(" ")).collect();
    a.common.print(&format!(
        "doppel     {}\ndevice     {}\ncpu        {} threads, kernels {}\nencoders   of images: timm:ARCH with \
         --weights; ARCH is one of\n           {}\n           of titles: hf: with --weights DIR, a Hugging Face \
         folder of one of\n           {}\nevidence   perceptual hashes, TF-IDF of titles, encoders of \
         images and titles\n{}",
        env!("CARGO_PKG_VERSION"),
        match left {
            Some(bytes) => format!("{} ({} MiB of its memory to be had)", chosen.name, bytes >> 20),
            None => chosen.name.clone(),
        },
        rayon::current_num_threads(),
        cpu.join(" "),
        lines.join("\n           "),
        TEXT_ENCODERS.map(|(name, _)| name).join(" "),
        gpu::describe()
    ));
    a.common.result(&json!({
        "version": env!("CARGO_PKG_VERSION"),
        "device": chosen.kind,
        "device_memory_bytes": left,
        "threads": rayon::current_num_threads(),
        "cpu": {"kernels": cpu},
        "gpu": cards(),
        "kernels": kernels(),
        "encoders": encoders(),
        "evidence": ["phash", "tfidf", "image", "title"],
    }));
    Ok(Done::Clean)
}

/// The architectures and the kinds of text encoders that `--encoder` takes with `--weights`.
fn encoders() -> Vec<Value> {
    let encoder = |e: &nn::Arch| {
        json!({
            "name": format!("timm:{}", e.name),
            "kind": "image",
            "size": e.size,
            "dims": e.width,
            "weights": e.published,
        })
    };
    let text = |(name, weights): (&str, &str)| json!({"name": format!("hf:{name}"), "kind": "title", "weights": weights});
    let images = nn::architectures().iter().map(encoder);
    images.chain(TEXT_ENCODERS.map(text)).collect()
}

/// The cards, or why there is none.
fn cards() -> Value {
    let card = |c: &gpu::driver::CardInfo| {
        json!({
            "name": c.name,
            "compute_capability": c.arch,
            "multiprocessors": c.multiprocessors,
            "memory_bytes": c.memory,
        })
    };
    match gpu::probe(0) {
        Ok(_) => {
            json!({"available": true, "cards": gpu::cards().iter().map(card).collect::<Vec<_>>()})
        }
        Err(reason) => json!({"available": false, "reason": reason.to_string(), "cards": []}),
    }
}

/// The families of kernels, and what of them was built in.
fn kernels() -> Vec<Value> {
    let family = |f: gpu::FamilyInfo| json!({"family": f.name, "sources_sha256": f.hash, "architectures": f.archs, "kernels": f.kernels});
    gpu::families().into_iter().map(family).collect()
}
