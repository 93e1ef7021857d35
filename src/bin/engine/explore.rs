//! `engine explore`.

use std::path::PathBuf;
use std::time::Instant;

use clap::Args;
use doppel::error::Result;
use doppel::explore::{self, Options};
use doppel::listings::Listings;
use doppel::recipe::Watch;
use serde_json::json;

use crate::common::{Common, Done, Progress, peak_memory, seconds};
use crate::matching::different;
use crate::pipeline;

#[derive(Args)]
#[command(
    after_help = "Examples:\n  engine explore listings.csv --images photos/ --out explore.html\n  engine \
    explore listings.csv --embeddings image=X.npy --embeddings text=T.npy --groups 1042 1051 --out \
    explore.html\n\nThe page needs no server and no network. --json prints all of its figures."
)]
pub struct Arguments {
    /// The listings
    #[arg(value_name = "LISTINGS.csv")]
    listings: PathBuf,
    /// The folder that the image column's names are in
    #[arg(long, value_name = "DIR")]
    images: Option<PathBuf>,
    /// Rows (.npy), one a listing: a map of each, and of all of them together
    #[arg(long, value_name = "NAME=FILE.npy", value_parser = pipeline::named)]
    embeddings: Vec<(String, PathBuf)>,
    /// Show this many folds that share no group [default: the column fold, where there is one]
    #[arg(long, value_name = "K", default_value_t = 0)]
    folds: usize,
    /// The groups on the maps, by their labels [default: the largest]
    #[arg(long, value_name = "LABEL", num_args = 1..)]
    groups: Vec<String>,
    /// The most listings on a map; 0 draws none
    #[arg(long, value_name = "N", default_value_t = 1200)]
    map_points: usize,
    /// Another seed, another start of the maps
    #[arg(long, value_name = "SEED", default_value_t = 0)]
    seed: u64,
    /// Where the page goes
    #[arg(long, value_name = "FILE.html")]
    out: PathBuf,
    #[command(flatten)]
    pub common: Common,
}

pub fn run(a: &Arguments) -> Result<Done> {
    for file in a.embeddings.iter().map(|e| &e.1).chain([&a.listings]) {
        different(&[Some(file), Some(&a.out)])?;
    }
    pipeline::once(&a.embeddings)?;
    let start = Instant::now();
    let mut listings = Listings::read(&a.listings)?;
    let options = Options {
        images: a.images.clone(),
        embeddings: a.embeddings.clone(),
        folds: a.folds,
        groups: a.groups.clone(),
        map_points: a.map_points,
        seed: a.seed,
    };
    let progress = Progress::new(&a.common);
    let began = std::cell::Cell::new(false);
    let told = |name: &str, items: usize| {
        if began.replace(true) {
            progress.end();
        }
        progress.begin(name, items);
    };
    let explored = explore::explore(&listings, &options, &told)?;
    told("page", listings.items.len());
    let written = explore::write(&a.out, &listings, &explored)?;
    progress.end();
    let done = a.common.ledger(&mut listings.ledger, &a.out)?;
    let took = start.elapsed().as_secs_f64();
    a.common.print(&format!(
        "{} listings, {} maps, {:.1} MB, {} ({})",
        listings.items.len(),
        explored.figures["maps"].as_array().map_or(0, Vec::len),
        written.bytes as f64 / 1e6,
        seconds(took),
        a.out.display()
    ));
    let mut value = explored.figures;
    value["out"] = json!(a.out);
    value["page"] = json!(written);
    value["seconds"] = json!(took);
    value["peak_memory_bytes"] = json!(peak_memory());
    a.common.result(&value);
    Ok(done)
}
