//! Small files that show by themselves whether they are whole: the SHA-256 of the rest, a line break,
//! and the rest.

use std::io::Read;
use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};

use super::folder::room;
use super::hex;
use crate::error::{Error, Result};
use crate::files::write_whole;
use crate::limits::MAX_TOLD_BYTES;

/// The bytes of the regular file at `path`, if it is one of at most [`MAX_TOLD_BYTES`].
pub(super) fn bounded(path: &Path) -> Option<Vec<u8>> {
    let metadata = path.metadata().ok()?;
    if !metadata.is_file() || metadata.len() > MAX_TOLD_BYTES {
        return None;
    }
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).ok()?;
    file.take(MAX_TOLD_BYTES).read_to_end(&mut bytes).ok()?;
    Some(bytes)
}

/// `value` as JSON.
pub(super) fn json(value: &impl Serialize) -> Result<Vec<u8>> {
    serde_json::to_vec(value)
        .map_err(|e| Error::internal(format!("a note cannot be written as JSON: {e}")))
}

/// Writes `value`, whole or not at all. Says whether it was short enough to be written.
pub(super) fn write(path: &Path, value: &impl Serialize) -> Result<bool> {
    let rest = json(value)?;
    if rest.len() as u64 + 65 > MAX_TOLD_BYTES {
        return Ok(false);
    }
    write_whole(path, |out| {
        writeln!(out, "{}", hex(&Sha256::digest(&rest)))?;
        out.write_all(&rest)
    })
    .map_err(room)?;
    Ok(true)
}

/// What [`write`] wrote, if all of it is there.
pub(super) fn read<T: DeserializeOwned>(path: &Path) -> Option<T> {
    let bytes = bounded(path)?;
    let (seal, rest) = bytes.split_at_checked(65)?;
    let whole = seal.strip_suffix(b"\n")? == hex(&Sha256::digest(rest)).as_bytes();
    whole.then(|| serde_json::from_slice(rest).ok())?
}
