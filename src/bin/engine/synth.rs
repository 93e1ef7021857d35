//! `engine synth`.

use std::path::PathBuf;

use clap::Args;
use doppel::error::Result;
use doppel::listings::synth::SynthOptions;
use doppel::recipe::{SynthJob, synth};
use serde_json::json;

use crate::common::{Common, Done, Progress, peak_memory, seconds, stages_json};

#[derive(Args)]
#[command(
    after_help = "Example:\n  engine synth --listings 70000 --seed 7 --out market/\n  engine match \
    market/listings.csv --images market/images --out matches.csv\n\n\
    Writes DIR/images/*.jpg and then DIR/listings.csv, whose label_group says what is the same product. \
    Groups have the sizes of the competition's 34,250 listings, scaled. The same listings, seed and \
    size give the same bytes on every machine. A run that was stopped leaves no listings.csv and can \
    be started again; files of other names stay as they are."
)]
pub struct Arguments {
    /// How many listings
    #[arg(long, value_name = "N")]
    listings: usize,
    /// Another seed, another market
    #[arg(long, value_name = "SEED", default_value_t = 7)]
    seed: u64,
    /// The folder to write to; it is made when it is not there
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// The longer side of the pictures, in pixels
    #[arg(long, value_name = "PX", default_value_t = 256)]
    size: usize,
    /// Draw no pictures: the image column is empty, and image_phash is made up by the same plan
    #[arg(long, conflicts_with = "size")]
    no_images: bool,
    /// Write over a listings.csv that is in the folder
    #[arg(long)]
    overwrite: bool,
    #[command(flatten)]
    pub common: Common,
}

pub fn run(a: &Arguments) -> Result<Done> {
    let job = SynthJob {
        options: SynthOptions {
            listings: a.listings,
            seed: a.seed,
        },
        pictures: (!a.no_images).then_some(a.size),
        overwrite: a.overwrite,
    };
    let done = synth(&job, &a.out, &Progress::new(&a.common))?;
    let took: f64 = done.stages.iter().map(|s| s.seconds).sum();
    a.common.print(&format!(
        "{} listings of {} products, {} image files, {} ({})",
        done.listings,
        done.groups,
        done.images,
        seconds(took),
        a.out.display()
    ));
    a.common.result(&json!({
        "listings": done.listings,
        "groups": done.groups,
        "images": done.images,
        "image_bytes": done.image_bytes,
        "seed": a.seed,
        "size": job.pictures,
        "seconds": took,
        "peak_memory_bytes": peak_memory(),
        "stages": stages_json(&done.stages),
        "out": a.out,
    }));
    Ok(Done::Clean)
}
