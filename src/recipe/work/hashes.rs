//! Hashes that come some at a time, and how far they have come when a run is cut off.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::folder::GROWING;
use super::forms::RejectFile;
use super::growing::Pace;
use super::{Kept, Key, Made, Told, Work, sealed};
use crate::error::Result;
use crate::files::beside;
use crate::listings::Reject;

/// Hashes that come some at a time; see [`Growing`](super::Growing). They stand in memory, and in the
/// note on how far they have come.
#[derive(Debug)]
pub struct GrowingHashes<'a> {
    work: &'a Work,
    name: String,
    key: Key,
    /// Row by row.
    pub hashes: Vec<Option<u64>>,
    /// How many items an earlier run had done.
    pub resumed: usize,
    /// What of those could not be used.
    pub earlier: Vec<Reject>,
    note: Option<PathBuf>,
    pace: Pace,
}

#[derive(Debug, Serialize, Deserialize)]
struct Note {
    doppel: String,
    key: String,
    done: usize,
    hashes: Vec<Option<u64>>,
    rejects: Vec<RejectFile>,
}

impl<'a> GrowingHashes<'a> {
    pub(super) fn begin(work: &'a Work, name: &str, key: &Key, rows: usize) -> Self {
        let note = match work {
            Work::Memory => None,
            Work::Folder(folder) => {
                let growing = folder.file(name, &format!(".csv{GROWING}"));
                Some(beside(growing, ".json"))
            }
        };
        let good = |n: &Note| {
            let same = n.doppel == env!("CARGO_PKG_VERSION") && n.key == key.digest();
            same && n.hashes.len() == rows
        };
        let earlier = note.as_deref().and_then(sealed::read::<Note>);
        let earlier = earlier.filter(good);
        let (hashes, resumed, rejects) = match earlier {
            Some(n) => (n.hashes, n.done, n.rejects),
            None => (vec![None; rows], 0, Vec::new()),
        };
        GrowingHashes {
            work,
            name: name.to_string(),
            key: key.clone(),
            hashes,
            resumed,
            earlier: rejects.into_iter().map(Reject::from).collect(),
            note,
            pace: Pace::new(),
        }
    }

    /// See [`Growing::checkpoint`](super::Growing::checkpoint).
    ///
    /// # Errors
    /// What the disk says.
    pub fn checkpoint(&mut self, done: usize, rejects: &[Reject]) -> Result<()> {
        let Some(path) = self.note.as_deref().filter(|_| self.pace.due()) else {
            return Ok(());
        };
        let note = Note {
            doppel: env!("CARGO_PKG_VERSION").into(),
            key: self.key.digest(),
            done,
            hashes: self.hashes.clone(),
            rejects: rejects.iter().map(RejectFile::from).collect(),
        };
        self.pace.pass(|| sealed::write(path, &note).map(|_| ()))
    }

    /// All hashes are there.
    ///
    /// # Errors
    /// What the disk says.
    pub fn finish(self, told: Told) -> Result<Kept> {
        let made = Made::Hashes(self.hashes);
        self.work.keep(&self.name, &self.key, made, told)
    }
}
