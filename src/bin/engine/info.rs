//! `engine info`.

use clap::Args;
use doppel::device;
use doppel::error::Result;
use serde_json::json;

use crate::common::{Common, Done};

#[derive(Args)]
#[command(after_help = "Example:\n  engine info --json")]
pub struct Arguments {
    #[command(flatten)]
    pub common: Common,
}

pub fn run(a: &Arguments) -> Result<Done> {
    let info = device::cpu_info();
    let chosen = device::select(&a.common.device)?;
    a.common.print(&format!(
        "doppel     {}\ndevice     {}: {} threads, {}\ngpu        {}\nencoders   none yet: titles by \
         TF-IDF, images by perceptual hash",
        env!("CARGO_PKG_VERSION"),
        chosen,
        rayon::current_num_threads(),
        info.features.join(" "),
        device::no_gpu_reason()
    ));
    a.common.result(&json!({
        "version": env!("CARGO_PKG_VERSION"),
        "device": chosen,
        "threads": rayon::current_num_threads(),
        "cpu": {"features": info.features},
        "gpu": {"available": false, "reason": device::no_gpu_reason()},
        "encoders": [],
        "evidence": ["phash", "tfidf"],
    }));
    Ok(Done::Clean)
}
