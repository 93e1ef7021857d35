//! What stages made: held in memory, or kept in a folder from run to run.
//!
//! ```text
//!   stage --put--> NAME.npy.growing, NAME.npy.growing.json      (dense rows: how far it has come)
//!         --keep-> NAME.npy | NAME.npz | NAME.csv               (the result, whole or not at all)
//!                  NAME.told.json                               (its rejects and notes)
//!                  NAME.npy.json                                (the manifest, last)
//! ```
//!
//! A result is reused when its manifest has the same key and version and the files are, to the last bit,
//! those that the manifest describes. Anything else is not found and made anew: a run that was killed, or
//! whose disk was full, goes on from what is whole.

mod folder;
mod forms;
mod growing;
mod hashes;
mod sealed;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::error::{Error, Result};
use crate::listings::Reject;
use crate::lists::Lists;
use crate::tensor::{Matrix, Rows};

pub use folder::Folder;
pub use growing::{Collect, Growing};
pub use hashes::GrowingHashes;

/// Where the results of stages are.
#[derive(Debug)]
pub enum Work {
    /// In memory; a later run begins anew.
    Memory,
    /// In a folder of their own; a later run goes on from them.
    Folder(Folder),
}

/// All that a stage's result depends on: its settings, and the keys or the SHA-256 of what it reads.
#[derive(Debug, Clone, PartialEq)]
pub struct Key {
    /// The settings, as the manifest shows them.
    pub settings: Value,
}

impl Key {
    /// The key of a stage with these settings.
    pub fn new(settings: Value) -> Self {
        Key { settings }
    }

    /// The SHA-256 of the settings, for the keys of the stages that read this one's result.
    pub fn digest(&self) -> String {
        hex(&Sha256::digest(self.settings.to_string().as_bytes()))
    }
}

/// What a stage said beside its result; a run that reuses the result says it again.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Told {
    /// How many items the stage worked on.
    pub items: usize,
    /// What could not be used.
    pub rejects: Vec<Reject>,
    /// What the reader should know; one line each.
    pub notes: Vec<String>,
}

/// A stage's result.
#[derive(Debug, Clone, PartialEq)]
pub enum Made {
    /// Rows of a space.
    Rows(Rows),
    /// A perceptual hash a listing, where it has one.
    Hashes(Vec<Option<u64>>),
    /// Neighbours.
    Lists(Lists),
}

/// A result that is there to be read.
#[derive(Debug, Clone)]
pub struct Kept {
    /// [`Key::digest`] of the key that it was made under.
    pub digest: String,
    /// What the stage said.
    pub told: Told,
    place: Place,
}

#[derive(Debug, Clone)]
enum Place {
    Memory(Arc<Made>),
    File(PathBuf, forms::Form),
}

impl Work {
    /// Results in `folder`, which is made if it is not there. No other run may use it meanwhile. What a
    /// killed run left half-written is removed.
    ///
    /// # Errors
    /// A file, or a folder with other things in it; one that another run is using, or that cannot be
    /// written; all name it.
    pub fn open(folder: impl AsRef<Path>) -> Result<Self> {
        Folder::open(folder.as_ref()).map(Work::Folder)
    }

    /// The folder that results are kept in.
    pub fn folder(&self) -> Option<&Path> {
        match self {
            Work::Memory => None,
            Work::Folder(folder) => Some(folder.path()),
        }
    }

    /// Forgets all results, so that a run makes them anew.
    ///
    /// # Errors
    /// A file that cannot be removed.
    pub fn clear(&self) -> Result<()> {
        match self {
            Work::Memory => Ok(()),
            Work::Folder(folder) => folder.clear(),
        }
    }

    /// The result called `name`, if it is there, whole, and was made under `key`. What is there and is
    /// not that, damaged or cut or of other settings, counts as not there.
    ///
    /// # Errors
    /// None in this version.
    pub fn find(&self, name: &str, key: &Key) -> Result<Option<Kept>> {
        match self {
            Work::Memory => Ok(None),
            Work::Folder(folder) => Ok(folder.find(name, key)),
        }
    }

    /// Keeps a result under `name`, in the place of one of another key.
    ///
    /// # Errors
    /// What the disk says.
    pub fn keep(&self, name: &str, key: &Key, made: Made, told: Told) -> Result<Kept> {
        match self {
            Work::Memory => Ok(Kept::in_memory(key, made, told)),
            Work::Folder(folder) => folder.keep(name, key, &made, told),
        }
    }

    /// Begins dense rows that come one by one, or goes on where an earlier run with the same key was cut
    /// off; see [`Growing::resumed`].
    ///
    /// # Errors
    /// What the disk says.
    pub fn begin_rows(
        &self,
        name: &str,
        key: &Key,
        rows: usize,
        dims: usize,
    ) -> Result<Growing<'_>> {
        match self {
            Work::Memory => Ok(Growing::in_memory(key, Matrix::zeros(rows, dims))),
            Work::Folder(folder) => Growing::in_folder(folder, name, key, [rows, dims]),
        }
    }

    /// Begins hashes of `rows` rows, or goes on where an earlier run with the same key was cut off.
    ///
    /// # Errors
    /// None in this version.
    pub fn begin_hashes(&self, name: &str, key: &Key, rows: usize) -> Result<GrowingHashes<'_>> {
        Ok(GrowingHashes::begin(self, name, key, rows))
    }
}

impl Kept {
    fn in_memory(key: &Key, made: Made, told: Told) -> Self {
        Kept {
            digest: key.digest(),
            told,
            place: Place::Memory(Arc::new(made)),
        }
    }

    /// The result, read if it is not in memory. Nothing is held on to: each call reads it again.
    ///
    /// # Errors
    /// A file that cannot be read any more.
    pub fn read(&self) -> Result<Arc<Made>> {
        match &self.place {
            Place::Memory(made) => Ok(Arc::clone(made)),
            Place::File(path, form) => form.read(path).map(Arc::new),
        }
    }
}

/// In lower case hexadecimal.
fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A row that is not there, or is of another length.
fn check_row([rows, dims]: [usize; 2], row: usize, values: &[f32]) -> Result<()> {
    match row < rows && values.len() == dims {
        true => Ok(()),
        false => Err(Error::shape("rows", &[rows, dims], &[row, values.len()])),
    }
}

#[cfg(test)]
mod tests;
