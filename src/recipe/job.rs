//! What a run is given, and what it gives.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::spec::Recipe;
use super::stages::Stage;
use super::work::Work;
use crate::device::Device;
use crate::listings::{Ledger, Listings};
use crate::matching::Matches;
use crate::tensor::Rows;

/// Listings to match, how, and with what.
#[derive(Clone)]
pub struct Job<'a> {
    /// The pipeline.
    pub recipe: &'a Recipe,
    /// The listings.
    pub side: Side<'a>,
    /// The gallery that the listings are answered from; they are answered from one another if there is
    /// none.
    pub against: Option<Side<'a>>,
    /// Where the encoders, the search over dense rows, the steps that refine rows and the rule run; the
    /// rest has no card form yet and runs on the CPU.
    pub device: Arc<dyn Device>,
    /// Whether an encoder or a dense search that the device has no form of is an error; else it runs on
    /// the CPU, with a note.
    pub insist: bool,
    /// Where what the stages make is kept.
    pub work: &'a Work,
}

/// Listings and what belongs to them.
#[derive(Clone)]
pub struct Side<'a> {
    /// The listings, as read from their CSV.
    pub listings: &'a Listings,
    /// The folder of images; `None` ignores the image column.
    pub images: Option<&'a Path>,
    /// Rows of spaces, by the spaces' names: they take the place of what the recipe says.
    pub given: Vec<(String, Given)>,
}

/// Rows that a run is given for a space, one a listing.
#[derive(Debug, Clone)]
pub enum Given {
    /// A `.npy` or a `.npz`.
    File(PathBuf),
    /// Rows in memory.
    Rows(Arc<Rows>),
}

impl<'a> Side<'a> {
    /// Listings by their titles and the hashes in the file alone.
    pub fn new(listings: &'a Listings) -> Self {
        Side {
            listings,
            images: None,
            given: Vec::new(),
        }
    }
}

impl<'a> Job<'a> {
    /// Matches `listings` with one another by `recipe`; nothing is kept on disk.
    pub fn new(listings: &'a Listings, recipe: &'a Recipe, device: Arc<dyn Device>) -> Self {
        Job {
            recipe,
            side: Side::new(listings),
            against: None,
            device,
            insist: false,
            work: &Work::Memory,
        }
    }

    /// The listings that answers are taken from.
    pub fn gallery(&self) -> &Side<'a> {
        self.against.as_ref().unwrap_or(&self.side)
    }
}

/// What a pipeline run gives.
pub struct Outcome {
    /// Each listing's matches, itself first; against a gallery, the gallery's rows.
    pub matches: Matches,
    /// The names of the evidence, as `pairs.csv` gives them.
    pub sources: Vec<String>,
    /// The listings' own rejects and those of this run (unreadable images), by row.
    pub ledger: Ledger,
    /// The same of the gallery.
    pub gallery_ledger: Ledger,
    /// The stages, in order.
    pub stages: Vec<Stage>,
    /// What the reader should know: evidence that was not used, and why. One line each.
    pub notes: Vec<String>,
}
