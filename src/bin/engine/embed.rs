//! `engine embed`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use doppel::embed::store::{self, Manifest, NpyDtype, NpyRows};
use doppel::error::{Error, Result};
use doppel::files::Partial;
use doppel::image::ImageFolder;
use doppel::listings::{Listings, Reject};
use doppel::recipe::{self, Clock, ImageWork, Quiet, TitleWork};
use serde_json::{Value, json};

use crate::common::{Common, Done, Progress, peak_memory, seconds, stages_json};
use crate::encoder::{self, Chosen, Settings};
use crate::matching::different;

#[derive(Args)]
#[command(
    after_help = "Examples:\n  hf download timm/efficientnet_b0.ra_in1k model.safetensors --local-dir \
    weights/\n  engine embed listings.csv --images photos/ --encoder timm:efficientnet_b0 --weights \
    weights/ --out photos.npy\n  engine search photos.npy -k 50 --out nn.csv\n\n  hf download \
    sentence-transformers/all-MiniLM-L6-v2 --local-dir minilm/\n  engine embed listings.csv --encoder \
    hf: --weights minilm/ --out titles.npy\n\nnumpy.load reads the result: one row a listing, in \
    input order, of length 1 unless --raw. Rows without a usable image or title are zeros. \
    photos.npy.json says what made it."
)]
pub struct Arguments {
    /// The listings; their image column is used, or with hf: their title column
    #[arg(value_name = "LISTINGS.csv")]
    listings: PathBuf,
    /// The folder that the image column's names are in, for an encoder of images
    #[arg(long, value_name = "DIR")]
    images: Option<PathBuf>,
    /// Which encoder: timm:ARCH for images (`engine info` lists them), hf: or hf:NAME for titles
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
    let mut clock = Clock::new(&Quiet);
    let chosen = Chosen::of(std::slice::from_ref(&a.encoder), &a.settings, a.raw)?;
    let named = [Some(&a.listings), Some(&a.out)];
    let weights = a.settings.weights.iter().map(Some);
    different(&named.into_iter().chain(weights).collect::<Vec<_>>())?;
    // Before any work: whether the rows can stand where they are wanted.
    drop(Partial::create(&a.out)?);
    let mut listings = Listings::read(&a.listings)?;
    let count = listings.items.len();
    let mut made = match chosen.title {
        None => images(a, &chosen, &listings, &mut clock)?,
        Some(_) => titles(a, &chosen, &listings, &mut clock)?,
    };
    Manifest::of(&a.out, made.settings.take())?.write(&a.out)?;
    clock.note("manifest", 1);
    match made.without {
        0 => {}
        1 => a
            .common
            .note(&format!("1 listing {}: a row of zeros", made.lack.0)),
        n => a
            .common
            .note(&format!("{n} listings {}: rows of zeros", made.lack.1)),
    }
    made.rejects.drain(..).for_each(|r| listings.ledger.push(r));
    listings.ledger.sort();
    let done = a.common.ledger(&mut listings.ledger, &a.out)?;
    tell(a, &clock, &made, (count, listings.ledger.len()));
    Ok(done)
}

/// What an encoder made of the listings.
struct Made {
    /// What was encoded: `images` or `titles`.
    what: &'static str,
    /// Different ones.
    different: usize,
    rows: usize,
    dims: usize,
    without: usize,
    /// What listings without a row lack, of one and of several.
    lack: (&'static str, &'static str),
    rejects: Vec<Reject>,
    device: &'static str,
    /// For the manifest.
    settings: Value,
    /// More figures for `--json`.
    figures: Value,
}

/// Embeds the images into the file.
fn images(
    a: &Arguments,
    chosen: &Chosen,
    listings: &Listings,
    clock: &mut Clock<'_>,
) -> Result<Made> {
    let Some(folder) = &a.images else {
        let message = format!("--encoder {} looks at images", a.encoder);
        return Err(Error::input(message).mend("name their folder with --images DIR"));
    };
    if !listings.has_images() {
        return Err(Error::input("has no column image")
            .path(&a.listings)
            .mend("add that column, or embed the titles with --encoder hf:"));
    }
    let folder = ImageFolder::open(folder)?;
    clock.note("read", listings.items.len());
    let Some((open, device)) = encoder::open(chosen, &a.common)?.image else {
        return Err(Error::internal("no encoder of images was opened"));
    };
    clock.note("weights", 1);
    let work = ImageWork {
        raw: a.raw,
        ceiling: a.dtype.ceiling(),
        ..a.settings.image_work(&open)
    };
    let dims = open.encoder.dims();
    let mut rows = NpyRows::create(&a.out, listings.items.len(), dims, a.dtype.npy())?;
    let progress = Progress::new(&a.common);
    let mut sink = |row: usize, vector: &[f32]| rows.put(row, vector);
    let embedded = recipe::embed_images(listings, &folder, &work, &mut sink, &progress)?;
    clock.note("embed", embedded.images);
    embedded.flow.note.iter().for_each(|n| a.common.note(n));
    let made_by = settings(a, open.settings()?, listings.items.len());
    rows.finish()?;
    Ok(Made {
        what: "images",
        different: embedded.images,
        rows: embedded.rows,
        dims,
        without: embedded.without,
        lack: ("names no image", "name no image"),
        rejects: embedded.rejects,
        device,
        settings: made_by,
        figures: json!({
            "overlap": {
                "decode_thread_seconds": embedded.flow.load_seconds,
                "write_seconds": embedded.flow.write_seconds,
            },
        }),
    })
}

/// Embeds the titles into the file.
fn titles(
    a: &Arguments,
    chosen: &Chosen,
    listings: &Listings,
    clock: &mut Clock<'_>,
) -> Result<Made> {
    if !listings.has_titles() {
        return Err(Error::input("has no column title")
            .path(&a.listings)
            .mend("add that column, or embed the images with --encoder timm:ARCH"));
    }
    clock.note("read", listings.items.len());
    let Some((open, device)) = encoder::open(chosen, &a.common)?.title else {
        return Err(Error::internal("no encoder of titles was opened"));
    };
    if a.images.is_some() {
        a.common
            .note("--images is ignored: this encoder reads titles");
    }
    clock.note("weights", 1);
    let work = TitleWork {
        raw: a.raw,
        ceiling: a.dtype.ceiling(),
        ..a.settings.title_work(&open)
    };
    let dims = open.encoder.dims();
    let mut rows = NpyRows::create(&a.out, listings.items.len(), dims, a.dtype.npy())?;
    let progress = Progress::new(&a.common);
    let mut sink = |row: usize, vector: &[f32]| rows.put(row, vector);
    let embedded = recipe::embed_titles(listings, &work, &mut sink, &progress)?;
    clock.note("embed", embedded.titles);
    embedded.flow.note.iter().for_each(|n| a.common.note(n));
    let mut made_by = settings(a, open.settings()?, listings.items.len());
    made_by["decode_escapes"] = json!(work.decode_escapes);
    rows.finish()?;
    Ok(Made {
        what: "titles",
        different: embedded.titles,
        rows: embedded.rows,
        dims,
        without: embedded.without,
        lack: ("has no title", "have no title"),
        rejects: embedded.rejects,
        device,
        settings: made_by,
        figures: json!({
            "tokens": embedded.flow.tokens,
            "tokenise_seconds": embedded.flow.tokenise_seconds,
            "encode_seconds": embedded.flow.encode_seconds,
            "write_seconds": embedded.flow.write_seconds,
        }),
    })
}

/// What made the rows, for their manifest.
fn settings(a: &Arguments, encoder: Value, count: usize) -> Value {
    let mut settings = encoder;
    settings["values"] = json!(if a.raw { "raw" } else { "unit" });
    settings["listings"] = json!(count);
    // Listings from a pipe cannot be read again.
    settings["listings_sha256"] = json!(store::sha256(&a.listings).ok());
    settings
}

/// What a finished run tells.
fn tell(a: &Arguments, clock: &Clock<'_>, made: &Made, (count, rejected): (usize, usize)) {
    let (took, what) = (clock.seconds(), made.what);
    let embedding = clock.stages.iter().find(|s| s.name == "embed");
    let rate = embedding.map_or(0.0, |s| s.items as f64 / s.seconds.max(1e-9));
    a.common.print(&format!(
        "{count} rows of {} values, {} {what}, {rate:.1} {what}/s, {} ({})",
        made.dims,
        made.different,
        seconds(took),
        a.out.display()
    ));
    let mut result = json!({
        "listings": count,
        what: made.different,
        "rows": made.rows,
        "dims": made.dims,
        "rejected": rejected,
        "seconds": took,
        (format!("{what}_per_second")): rate,
        "stages": stages_json(&clock.stages),
        "peak_memory_bytes": peak_memory(),
        "peak_device_memory_bytes": a.common.peak_device_memory(),
        "device": made.device,
        "out": a.out,
    });
    if let (Value::Object(result), Value::Object(more)) = (&mut result, &made.figures) {
        result.extend(more.clone());
    }
    a.common.result(&result);
}
