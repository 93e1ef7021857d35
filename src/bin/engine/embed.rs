//! `engine embed`.

use std::path::PathBuf;
use std::time::Instant;

use clap::{Args, ValueEnum};
use doppel::embed::store::{self, Manifest, NpyDtype, NpyRows};
use doppel::error::{Error, Result};
use doppel::files::Partial;
use doppel::image::ImageFolder;
use doppel::listings::Listings;
use doppel::recipe::{self, Embedded, ImageWork, OpenEncoder, Stage};
use serde_json::{Value, json};

use crate::common::{Common, Done, Progress, peak_memory, seconds, stages_json};
use crate::encoder::{self, Settings};
use crate::matching::different;

#[derive(Args)]
#[command(
    after_help = "Example:\n  hf download timm/efficientnet_b0.ra_in1k model.safetensors --local-dir \
    weights/\n  engine embed listings.csv --images photos/ --encoder timm:efficientnet_b0 --weights \
    weights/ --out photos.npy\n  engine search photos.npy -k 50 --out nn.csv\n\nnumpy.load reads the \
    result: one row a listing, in input order, of length 1 unless --raw. Rows without a usable image \
    are zeros. photos.npy.json says what made it."
)]
pub struct Arguments {
    /// The listings; their image column is used
    #[arg(value_name = "LISTINGS.csv")]
    listings: PathBuf,
    /// The folder that the image column's names are in
    #[arg(long, value_name = "DIR")]
    images: PathBuf,
    /// Which encoder: timm:ARCH (`engine info` lists them)
    #[arg(long, value_name = "NAME")]
    encoder: String,
    #[command(flatten)]
    settings: Settings,
    /// The pooled features as they come, before any head or normalisation
    #[arg(long)]
    raw: bool,
    /// What the rows are written as
    #[arg(long, value_enum, default_value = "f32")]
    dtype: DtypeName,
    /// Where the rows go
    #[arg(long, value_name = "X.npy")]
    out: PathBuf,
    #[command(flatten)]
    pub common: Common,
}

#[derive(Clone, Copy, PartialEq, ValueEnum)]
enum DtypeName {
    F32,
    F16,
}

impl DtypeName {
    fn npy(self) -> NpyDtype {
        match self {
            DtypeName::F32 => NpyDtype::F32,
            DtypeName::F16 => NpyDtype::F16,
        }
    }

    /// The largest value that rows can hold.
    fn ceiling(self) -> f32 {
        match self {
            DtypeName::F32 => f32::MAX,
            DtypeName::F16 => 65504.0,
        }
    }
}

pub fn run(a: &Arguments) -> Result<Done> {
    different(&[Some(&a.listings), Some(&a.out), a.settings.weights.as_ref()])?;
    let mut stages = Stages::new();
    let spec = a.settings.spec(&a.encoder, a.raw)?;
    // Before any work: whether the rows can stand where they are wanted.
    drop(Partial::create(&a.out)?);
    let mut listings = Listings::read(&a.listings)?;
    if !listings.has_images() {
        return Err(Error::input("has no column image")
            .path(&a.listings)
            .mend("embed works on images: add that column"));
    }
    let folder = ImageFolder::open(&a.images)?;
    let count = listings.items.len();
    stages.end("read", count);
    let (open, device) = encoder::open(&spec, &a.common)?;
    stages.end("weights", 1);
    let embedded = embed(a, &listings, &folder, &open)?;
    stages.end("embed", embedded.images);
    Manifest::of(&a.out, settings(a, &open, count))?.write(&a.out)?;
    stages.end("manifest", 1);
    match embedded.without {
        0 => {}
        1 => a.common.note("1 listing names no image: a row of zeros"),
        n => a
            .common
            .note(&format!("{n} listings name no image: rows of zeros")),
    }
    let mut report = Report {
        stages,
        embedded,
        device,
        dims: open.encoder.dims(),
        rejected: 0,
    };
    for reject in report.embedded.rejects.drain(..) {
        listings.ledger.push(reject);
    }
    listings.ledger.sort();
    report.rejected = listings.ledger.len();
    let done = a.common.ledger(&mut listings.ledger, &a.out)?;
    report.tell(a, count);
    Ok(done)
}

/// Embeds the images into the file.
fn embed(
    a: &Arguments,
    listings: &Listings,
    folder: &ImageFolder,
    open: &OpenEncoder,
) -> Result<Embedded> {
    let work = ImageWork {
        raw: a.raw,
        ceiling: a.dtype.ceiling(),
        ..a.settings.work(open)
    };
    let dims = open.encoder.dims();
    let mut rows = NpyRows::create(&a.out, listings.items.len(), dims, a.dtype.npy())?;
    let progress = Progress::new(&a.common);
    let mut sink = |row: usize, vector: &[f32]| rows.put(row, vector);
    let embedded = recipe::embed_images(listings, folder, &work, &mut sink, &progress)?;
    rows.finish()?;
    Ok(embedded)
}

/// What made the rows, for their manifest.
fn settings(a: &Arguments, open: &OpenEncoder, count: usize) -> Value {
    let mut settings = open.settings.clone();
    settings["values"] = json!(if a.raw { "raw" } else { "unit" });
    settings["listings"] = json!(count);
    // Listings from a pipe cannot be read again.
    settings["listings_sha256"] = json!(store::sha256(&a.listings).ok());
    settings
}

/// The stages so far, each from the end of the one before.
struct Stages {
    start: Instant,
    last: Instant,
    done: Vec<Stage>,
}

impl Stages {
    fn new() -> Self {
        let start = Instant::now();
        Stages {
            start,
            last: start,
            done: Vec::new(),
        }
    }

    fn end(&mut self, name: &'static str, items: usize) {
        self.done.push(Stage {
            name,
            seconds: self.last.elapsed().as_secs_f64(),
            items,
        });
        self.last = Instant::now();
    }
}

/// What a finished run tells.
struct Report {
    stages: Stages,
    embedded: Embedded,
    device: &'static str,
    dims: usize,
    rejected: usize,
}

impl Report {
    fn tell(&self, a: &Arguments, count: usize) {
        let took = self.stages.start.elapsed().as_secs_f64();
        let e = &self.embedded;
        let embedding = self.stages.done.iter().find(|s| s.name == "embed");
        let rate = embedding.map_or(0.0, |s| s.items as f64 / s.seconds.max(1e-9));
        a.common.print(&format!(
            "{count} rows of {} values, {} images, {rate:.1} images/s, {} ({})",
            self.dims,
            e.images,
            seconds(took),
            a.out.display()
        ));
        a.common.result(&json!({
            "listings": count,
            "images": e.images,
            "rows": e.rows,
            "dims": self.dims,
            "rejected": self.rejected,
            "seconds": took,
            "images_per_second": rate,
            "stages": stages_json(&self.stages.done),
            "overlap": {
                "decode_thread_seconds": e.flow.load_seconds,
                "write_seconds": e.flow.write_seconds,
            },
            "peak_memory_bytes": peak_memory(),
            "device": self.device,
            "out": a.out,
        }));
    }
}
