//! A made-up marketplace as a folder: `listings.csv` and `images/`.

use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use rayon::prelude::*;

use super::stages::{Clock, Stage, Watch};
use crate::error::{Error, Result};
use crate::files::{failed, write_whole};
use crate::image;
use crate::listings::synth::{Market, SynthOptions, market};
use crate::listings::{IMAGE, IMAGE_PHASH, LABEL_GROUP, POSTING_ID, TITLE, write_row};

/// What to write, and how.
#[derive(Debug, Clone, Copy)]
pub struct SynthJob {
    /// The market.
    pub options: SynthOptions,
    /// Pixels of the pictures' longer side; `None` draws none.
    pub pictures: Option<usize>,
    /// Write over a market that is in the folder.
    pub overwrite: bool,
}

/// What was written.
#[derive(Debug)]
pub struct Synthesised {
    /// How many listings.
    pub listings: usize,
    /// How many groups of them.
    pub groups: usize,
    /// How many image files; listings may share one.
    pub images: usize,
    /// The bytes of all image files.
    pub image_bytes: u64,
    /// How it went.
    pub stages: Vec<Stage>,
}

/// The file of the listings, written last, and the folder of the pictures beside it.
const LISTINGS: &str = "listings.csv";
const IMAGES: &str = "images";

/// Makes a market and writes it to `folder`, which is made when it is not there.
///
/// The pictures come first and `listings.csv` last and whole, so a folder without it is not done. With
/// pictures `image_phash` is [`image::phash`] of the file; without, `image` is empty and the hash is
/// made up by the same plan ([`planned_hash`](crate::listings::synth::Made::planned_hash)). Files of other names stay as they are.
///
/// # Errors
/// A folder with a `listings.csv`, unless it may be overwritten; the limits of [`market`] and
/// [`Market::draw`]; what the disk says.
pub fn synth(job: &SynthJob, folder: &Path, watch: &dyn Watch) -> Result<Synthesised> {
    let csv = folder.join(LISTINGS);
    if csv.exists() && !job.overwrite {
        return Err(Error::input("is there already")
            .path(&csv)
            .mend("name another folder, or write over it with --overwrite"));
    }
    let mut clock = Clock::new(watch);
    let listings = job.options.listings;
    let market = clock.run("market", listings, || market(job.options))?;
    if let Some(size) = job.pictures {
        // A size that cannot be drawn is told before anything is made or removed.
        market.draw(&market.listings[0], size)?;
    }
    fs::create_dir_all(folder).map_err(|e| failed(e, folder))?;
    let drawn = match job.pictures {
        None => None,
        Some(size) => Some(clock.run("pictures", listings, || {
            draw(&market, size, folder, &csv, watch)
        })?),
    };
    clock.run("write", listings, || write(&market, drawn.as_ref(), &csv))?;
    Ok(Synthesised {
        listings,
        groups: market.groups(),
        images: drawn.as_ref().map_or(0, |d| d.files),
        image_bytes: drawn.as_ref().map_or(0, |d| d.bytes),
        stages: clock.stages,
    })
}

/// The pictures that were drawn.
struct Drawn {
    /// The hash of each listing's picture.
    hashes: Vec<u64>,
    files: usize,
    bytes: u64,
}

/// Draws each picture once and writes it under all its names. An older `listings.csv` goes first, for
/// it would speak of other pictures.
fn draw(
    market: &Market,
    size: usize,
    folder: &Path,
    csv: &Path,
    watch: &dyn Watch,
) -> Result<Drawn> {
    if csv.exists() {
        fs::remove_file(csv).map_err(|e| Error::io(e, csv))?;
    }
    let images = folder.join(IMAGES);
    fs::create_dir_all(&images).map_err(|e| failed(e, &images))?;
    let mut place: HashMap<u64, usize> = HashMap::new();
    let mut pictures: Vec<Vec<usize>> = Vec::new();
    for (row, made) in market.listings.iter().enumerate() {
        let at = *place.entry(made.picture()).or_insert(pictures.len());
        if at == pictures.len() {
            pictures.push(Vec::new());
        }
        pictures[at].push(row);
    }
    let done = AtomicUsize::new(0);
    let one = |rows: &Vec<usize>| -> Result<(u64, usize, u64)> {
        let bytes = market.draw(&market.listings[rows[0]], size)?;
        let hash = image::phash(&bytes)?;
        let mut names: Vec<String> = rows.iter().map(|&r| market.listings[r].image()).collect();
        names.sort_unstable();
        names.dedup();
        for name in &names {
            let path = images.join(name);
            fs::write(&path, &bytes).map_err(|e| failed(e, &path))?;
        }
        let before = done.fetch_add(rows.len(), Ordering::Relaxed);
        watch.reached(before + rows.len());
        Ok((hash, names.len(), (names.len() * bytes.len()) as u64))
    };
    let made: Vec<(u64, usize, u64)> = pictures.par_iter().map(one).collect::<Result<_>>()?;
    let mut hashes = vec![0; market.listings.len()];
    for (rows, (hash, ..)) in pictures.iter().zip(&made) {
        rows.iter().for_each(|&row| hashes[row] = *hash);
    }
    Ok(Drawn {
        hashes,
        files: made.iter().map(|m| m.1).sum(),
        bytes: made.iter().map(|m| m.2).sum(),
    })
}

fn write(market: &Market, drawn: Option<&Drawn>, csv: &Path) -> Result<()> {
    write_whole(csv, |out| {
        let header = [POSTING_ID, IMAGE, IMAGE_PHASH, TITLE, LABEL_GROUP];
        write_row(out, header.map(str::as_bytes), b"\n")?;
        for (row, made) in market.listings.iter().enumerate() {
            let (image, hash) = match drawn {
                Some(drawn) => (made.image(), drawn.hashes[row]),
                None => (String::new(), made.planned_hash()),
            };
            let cells = [
                format!("synth_{}", row + 1),
                image,
                format!("{hash:016x}"),
                made.title.clone(),
                made.label.to_string(),
            ];
            write_row(out, cells.iter().map(String::as_bytes), b"\n")?;
        }
        Ok(())
    })
}
