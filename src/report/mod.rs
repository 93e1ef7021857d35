//! A run as one HTML file to look at: the groups with their pictures and titles, why each pair matched,
//! what only just did not, and sliders that cut the groups anew.
//!
//! ```text
//!   Outcome, Evidence --[data]--> packed arrays --+
//!   images            --[thumbs]--> small JPEGs --+--[page]--> one file, no server, no network
//!   assets/*.{html,css,js} ----------------------+
//! ```
//!
//! The file holds all that it shows, as gzip in base64, but for pictures beyond its bound on bytes: those
//! are linked by their paths from where it stands. Nothing of a listing is ever read as HTML: the arrays
//! are in an alphabet without `<`, and the page puts texts into its tree as texts. A policy in its head
//! lets no script run but its own, and nothing be fetched.

mod data;
mod page;
mod rule;
mod thumbs;

use std::path::Path;

use crate::error::Result;
use crate::limits::MAX_REPORT_BYTES;
use crate::recipe::{Evidence, Job, Outcome};

pub use page::{Asset, Page, relative};
pub use thumbs::{Pictures, Thumbs, pictures};

/// How much farther away than the rule looks the neighbours of a report reach, as a cosine distance.
pub const BEYOND: f64 = 0.1;

/// What every page has.
pub const BASE_CSS: &str = include_str!("assets/base.css");
/// What every page has: unpacking, texts, pictures, keys.
pub const BASE_JS: &str = include_str!("assets/base.js");

/// What a written report is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct Written {
    /// The bytes of the file.
    pub bytes: usize,
    /// Pictures that stand in it.
    pub embedded: usize,
    /// Pictures that it links to.
    pub linked: usize,
    /// Neighbours that it can cut anew.
    pub neighbours: usize,
}

/// Writes the report of a finished run to `path`.
///
/// # Errors
/// More listings than [`MAX_REPORT_BYTES`] hold; what the disk says. The
/// file is written whole or not at all.
pub fn write(
    path: &Path,
    job: &Job<'_>,
    outcome: &Outcome,
    evidence: &Evidence,
) -> Result<Written> {
    write_within(MAX_REPORT_BYTES, path, job, outcome, evidence)
}

/// [`write()`] with another bound on bytes.
///
/// # Errors
/// As [`write()`].
pub fn write_within(
    bytes: usize,
    path: &Path,
    job: &Job<'_>,
    outcome: &Outcome,
    evidence: &Evidence,
) -> Result<Written> {
    let mut page = Page::within(
        bytes,
        "doppel report",
        include_str!("assets/report.html"),
        &[BASE_CSS, include_str!("assets/report.css")],
        &[
            Asset::new("base", BASE_JS),
            Asset::new("rule", include_str!("assets/rule.js")),
            Asset::new("report", include_str!("assets/report.js")),
            Asset::new("curves", include_str!("assets/curves.js")),
        ],
    );
    let data = data::Data::of(job, outcome, evidence)?;
    let neighbours = data.pack(&mut page)?;
    let items = &job.side.listings.items;
    let pictures = match job.side.images {
        Some(folder) => pictures(items, folder)?,
        None => Pictures::default(),
    };
    page.json("meta", &data.meta(&pictures))?;
    pictures.pack(&mut page, path)?;
    let thumbs = Thumbs::make(&pictures, &data.first_shown(), page.room());
    thumbs.pack(&mut page, &pictures)?;
    let bytes = page.write(path)?;
    Ok(Written {
        bytes,
        embedded: thumbs.len(),
        linked: pictures.files() - thumbs.len(),
        neighbours,
    })
}
