//! Listings alone, looked at before anything is matched: what repeats, how groups are sized, what titles
//! and pictures are like, and maps of their vectors.
//!
//! [`explore`] takes the figures, [`write()`] makes the page of them: one HTML file as the
//! [report](crate::report) is.

mod colours;
mod figures;
mod images;
mod maps;
pub mod tsne;
mod words;

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::error::{Error, Result};
use crate::limits::{MAX_MAP_POINTS, MAX_REPORT_BYTES, MAX_ROWS};
use crate::listings::{Listings, folds};
use crate::report::{Asset, BASE_CSS, BASE_JS, Page, Pictures, Thumbs, Written, pictures};

/// What is looked at, and how.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// The folder of images; without it the image column is counted and no more.
    pub images: Option<PathBuf>,
    /// Rows of listings (`.npy`, `.npz`), each with a name: a map is made of each, and of all together.
    pub embeddings: Vec<(String, PathBuf)>,
    /// Folds to make of the labels; 0 for the column `fold`, where there is one.
    pub folds: usize,
    /// The groups on the maps, by their labels; without any the largest ones.
    pub groups: Vec<String>,
    /// The most listings on a map; 0 for no maps.
    pub map_points: usize,
    /// Another seed, another start of the maps.
    pub seed: u64,
}

/// The figures of some listings, and what the page shows beside them.
pub struct Explored {
    /// All figures, as `--json` prints them.
    pub figures: Value,
    pictures: Pictures,
    maps: Vec<maps::Drawn>,
    /// Listings in the order in which their pictures are wanted.
    order: Vec<u32>,
}

/// Looks at `listings`; `told` hears of each step, and of how many items it has.
///
/// # Errors
/// An image folder that cannot be opened, rows that are not one a listing, a label that no listing has,
/// folds that cannot be made.
pub fn explore(
    listings: &Listings,
    options: &Options,
    told: &dyn Fn(&str, usize),
) -> Result<Explored> {
    if options.map_points > MAX_MAP_POINTS {
        let message = format!("{} points are too many for a map", options.map_points);
        return Err(Error::limit(message).mend(format!("ask for at most {MAX_MAP_POINTS}")));
    }
    let items = &listings.items;
    if items.len() > MAX_ROWS {
        return Err(Error::limit(format!("more than {MAX_ROWS} listings")));
    }
    told("count", items.len());
    let pictures = match &options.images {
        Some(folder) => pictures(items, folder)?,
        None => Pictures::default(),
    };
    let labels = listings.labels();
    let groups = figures::groups(items, &labels);
    let fold = fold_of(listings, options)?;
    told("words", items.len());
    let words = words::words(items);
    told("images", pictures.files());
    let sizes = images::sizes(&pictures);
    told("hashes", pictures.files());
    let hashes = figures::all_hashes(items, &pictures);
    let order = figures::first_shown(items, &groups, &hashes);
    told("colours", pictures.files());
    let colours = colours::colours(&pictures, &order, options.seed);
    told("maps", options.map_points);
    let maps = maps::maps(listings, &groups, &pictures, options)?;
    let figures = json!({
        "listings": items.len(),
        "rejected": listings.ledger.len(),
        "columns": figures::columns(listings),
        "duplicates": figures::duplicates(listings)?,
        "groups": figures::sizes(&groups, &labels),
        "titles": figures::titles(items, &labels),
        "hashes": figures::hashes(&hashes, &labels),
        "words": words,
        "images": sizes,
        "colours": colours,
        "folds": fold.map(|(name, fold)| figures::folds(items, &labels, &name, &fold)),
        "maps": maps.iter().map(maps::Drawn::figures).collect::<Vec<_>>(),
    });
    Ok(Explored {
        figures,
        pictures,
        maps,
        order,
    })
}

/// The fold of each listing: made, or of the column.
fn fold_of(
    listings: &Listings,
    options: &Options,
) -> Result<Option<(String, Vec<Option<String>>)>> {
    if options.folds > 0 {
        listings.require_labels()?;
        let fold = folds::label_k_fold(listings, options.folds)?;
        let named = fold
            .iter()
            .map(|&f| (f != folds::NO_FOLD).then(|| f.to_string()));
        return Ok(Some((
            format!("{} folds by group", options.folds),
            named.collect(),
        )));
    }
    for name in ["fold", "folds"] {
        if listings.header.iter().any(|h| h == name) {
            return Ok(Some((format!("column {name}"), listings.column(name)?)));
        }
    }
    Ok(None)
}

/// Writes the page of `explored` to `path`.
///
/// # Errors
/// More than a page holds; what the disk says. The file is written whole or not at all.
pub fn write(path: &Path, listings: &Listings, explored: &Explored) -> Result<Written> {
    write_within(MAX_REPORT_BYTES, path, listings, explored)
}

/// [`write()`] with another bound on bytes.
///
/// # Errors
/// As [`write()`].
pub fn write_within(
    bytes: usize,
    path: &Path,
    listings: &Listings,
    explored: &Explored,
) -> Result<Written> {
    let mut page = Page::within(
        bytes,
        "doppel explore",
        include_str!("../report/assets/explore.html"),
        &[BASE_CSS, include_str!("../report/assets/explore.css")],
        &[
            Asset::new("base", BASE_JS),
            Asset::new("charts", include_str!("../report/assets/charts.js")),
            Asset::new("explore", include_str!("../report/assets/explore.js")),
        ],
    );
    let items = &listings.items;
    let ids: Vec<&str> = items.iter().map(|l| l.posting_id.as_str()).collect();
    let titles: Vec<Option<&str>> = items.iter().map(|l| l.title.as_deref()).collect();
    let labels = listings.labels();
    let mut names: Vec<&str> = Vec::new();
    for (item, label) in items.iter().zip(&labels) {
        if label.is_some_and(|l| l as usize == names.len()) {
            names.push(item.label_group.as_deref().unwrap_or_default());
        }
    }
    page.json(
        "listings",
        &json!({"id": ids, "title": titles, "labels": names}),
    )?;
    let label_of: Vec<u32> = labels.iter().map(|l| l.unwrap_or(u32::MAX)).collect();
    page.words("label-of", &label_of)?;
    let mut meta = explored.figures.clone();
    meta["version"] = json!(env!("CARGO_PKG_VERSION"));
    meta["file"] = json!(listings.path.file_name().map(|n| n.to_string_lossy()));
    page.json("meta", &meta)?;
    for (number, map) in explored.maps.iter().enumerate() {
        map.pack(&mut page, number)?;
    }
    explored.pictures.pack(&mut page, path)?;
    let thumbs = Thumbs::make(&explored.pictures, &explored.order, page.room());
    thumbs.pack(&mut page, &explored.pictures)?;
    let bytes = page.write(path)?;
    Ok(Written {
        bytes,
        embedded: thumbs.len(),
        linked: explored.pictures.files() - thumbs.len(),
        neighbours: 0,
    })
}
