//! What stands for a stage's inputs in its key.

use std::path::Path;

use sha2::{Digest, Sha256};

use crate::image::ImageFolder;

/// The SHA-256 of a column: of each cell's length and bytes, or of the fact that there is none.
pub(super) fn column<'a>(cells: impl Iterator<Item = Option<&'a str>>) -> String {
    let mut hasher = Sha256::new();
    for cell in cells {
        match cell {
            None => hasher.update([0]),
            Some(text) => {
                hasher.update([1]);
                hasher.update((text.len() as u64).to_le_bytes());
                hasher.update(text.as_bytes());
            }
        }
    }
    hex(&hasher.finalize())
}

/// The SHA-256 of the named files' names, lengths and times of change. As with make, a file that changed
/// and has kept its length and its time goes unnoticed.
pub(super) fn files<'a>(
    folder: &ImageFolder,
    names: impl Iterator<Item = Option<&'a str>>,
) -> String {
    let mut hasher = Sha256::new();
    for name in names {
        let Some(name) = name else {
            hasher.update([0]);
            continue;
        };
        hasher.update([1]);
        hasher.update((name.len() as u64).to_le_bytes());
        hasher.update(name.as_bytes());
        match folder.resolve(name).ok().and_then(|file| stamp(&file)) {
            None => hasher.update([0]),
            Some((length, time)) => {
                hasher.update([1]);
                hasher.update(length.to_le_bytes());
                hasher.update(time.to_le_bytes());
            }
        }
    }
    hex(&hasher.finalize())
}

/// A file's length, and when it was changed, in nanoseconds.
fn stamp(file: &Path) -> Option<(u64, u128)> {
    let metadata = file.metadata().ok()?;
    let since = metadata
        .modified()
        .ok()?
        .duration_since(std::time::UNIX_EPOCH);
    Some((metadata.len(), since.map_or(0, |d| d.as_nanos())))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
