//! The folder of kept results.

use std::fs::{File, TryLockError};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use serde_json::Value;
use sha2::{Digest, Sha256};

use super::forms::{ENDINGS, Form, ToldFile};
use super::{Kept, Key, Made, Place, Told, hex, sealed};
use crate::embed::store::{Manifest, sha256};
use crate::error::{Error, Kind, Result};
use crate::files::{beside, failed, write_whole};
use crate::limits::{MAX_KEPT_NAME_BYTES, MAX_TOLD_BYTES};

/// The file that marks a folder of kept results; the run that uses the folder holds a lock on it.
const MARK: &str = "doppel-work";

const ABOUT: &str = "doppel keeps here what the stages of a run made, for later runs. \
                     The folder may be removed when no run uses it.\n";

/// A folder that results are kept in, which no other run may use meanwhile.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    /// Whether this run made it.
    made: bool,
    /// Locked while it is open, where the file system has locks; a killed process lets it go.
    lock: File,
}

/// A run that ended before it kept anything leaves no folder behind, if it had made it.
impl Drop for Folder {
    fn drop(&mut self) {
        if self.made && self.names() == [MARK] {
            let _ = std::fs::remove_file(self.path.join(MARK));
            let _ = std::fs::remove_dir(&self.path);
        }
        // Closing it would not do while a process that was just begun shares it.
        let _ = self.lock.unlock();
    }
}

/// How often a folder is opened that another run removes meanwhile.
const TRIES: usize = 20;

impl Folder {
    /// See [`Work::open`](super::Work::open).
    pub(super) fn open(path: &Path) -> Result<Self> {
        for _ in 0..TRIES {
            if let Some(folder) = Folder::try_open(path)? {
                folder.sweep();
                return Ok(folder);
            }
        }
        Err(in_use(path))
    }

    /// Opens the folder, unless another run removed it or its mark just then.
    fn try_open(path: &Path) -> Result<Option<Self>> {
        let fail = |e| Error::io(e, path).mend(ANOTHER);
        let gone = |e: &std::io::Error| e.kind() == ErrorKind::NotFound;
        let made = match std::fs::create_dir(path) {
            Err(e) if e.kind() == ErrorKind::AlreadyExists => false,
            done => done.map(|()| true).map_err(fail)?,
        };
        match path.metadata() {
            Err(e) if gone(&e) && path.symlink_metadata().is_err() => return Ok(None),
            found if found.as_ref().is_ok_and(|m| m.is_dir()) => {}
            found => {
                found.map_err(fail)?;
                let message = "is a file, not a folder for the stages' results";
                return Err(Error::input(message).path(path).mend(ANOTHER));
            }
        }
        let mark = path.join(MARK);
        let strange = |e: std::fs::DirEntry| e.file_name() != MARK;
        let entries = std::fs::read_dir(path);
        let mut entries = match entries {
            Err(e) if gone(&e) => return Ok(None),
            entries => entries.map_err(fail)?.filter_map(|e| e.ok()),
        };
        if !mark.is_file() && entries.any(strange) && !mark.is_file() {
            let message = "holds files that are not the stages' results, and is left alone";
            let mend = "choose an empty or a new folder with --work DIR";
            return Err(Error::input(message).path(path).mend(mend));
        }
        let mut options = File::options();
        let options = options.read(true).write(true).create(true).truncate(false);
        let lock = match options.open(&mark) {
            Err(e) if gone(&e) => return Ok(None),
            lock => lock.map_err(fail)?,
        };
        match lock.try_lock() {
            Err(TryLockError::WouldBlock) => return Err(in_use(path)),
            // A file system without locks.
            Ok(()) | Err(TryLockError::Error(_)) => {}
        }
        if !is_at(&lock, &mark) {
            return Ok(None);
        }
        if lock.metadata().map_err(fail)?.len() != ABOUT.len() as u64 {
            lock.set_len(0).map_err(fail)?;
            (&lock).write_all(ABOUT.as_bytes()).map_err(fail)?;
        }
        Ok(Some(Folder {
            path: path.to_path_buf(),
            made,
            lock,
        }))
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The file called `name` with this ending.
    pub(super) fn file(&self, name: &str, ending: &str) -> PathBuf {
        self.path.join(format!("{}{ending}", file_name(name)))
    }

    /// Removes what a killed run left under a passing name. What cannot be removed does no harm.
    fn sweep(&self) {
        for name in self.names() {
            if name.starts_with(".doppel-") && name.ends_with(".partial") {
                let _ = std::fs::remove_file(self.path.join(name));
            }
        }
    }

    /// The names of the files in the folder.
    fn names(&self) -> Vec<String> {
        let entries = std::fs::read_dir(&self.path).into_iter().flatten();
        let names = entries.filter_map(|e| e.ok()?.file_name().into_string().ok());
        names.collect()
    }

    /// See [`Work::clear`](super::Work::clear). Files that no manifest of a stage describes stay.
    pub(super) fn clear(&self) -> Result<()> {
        for name in self.names() {
            let path = self.path.join(&name);
            let Some(data) = name.strip_suffix(".json").map(|n| self.path.join(n)) else {
                continue;
            };
            let growing = name.ends_with(".growing.json");
            if growing || ours(&data) {
                remove(&data)?;
                remove(&path)?;
            }
        }
        Ok(())
    }

    /// Removes what a stage noted on its way to a result that is whole now.
    fn forget_growing(&self, name: &str) -> Result<()> {
        for ending in ENDINGS {
            let growing = self.file(name, &format!("{ending}{GROWING}"));
            remove(&beside(&growing, ".json"))?;
            remove(&growing)?;
        }
        Ok(())
    }

    /// See [`Work::find`](super::Work::find).
    pub(super) fn find(&self, name: &str, key: &Key) -> Option<Kept> {
        let found = self.whole(name, key)?;
        // A run may have been killed before it did so; if it cannot be done, it does no harm.
        let _ = self.forget_growing(name);
        Some(found)
    }

    fn whole(&self, name: &str, key: &Key) -> Option<Kept> {
        ENDINGS.iter().find_map(|ending| {
            let path = self.file(name, ending);
            let manifest = Manifest::read(&path).ok()??;
            let version = manifest.doppel == env!("CARGO_PKG_VERSION");
            let same = manifest.key == Some(key.digest()) && manifest.settings == shown(key);
            if !version || !same {
                return None;
            }
            let form = Form::told_by(&manifest, &path)?;
            if form.ending() != *ending {
                return None;
            }
            let told = sealed::bounded(&self.file(name, TOLD))?;
            if Some(hex(&Sha256::digest(&told))) != manifest.told_sha256 {
                return None;
            }
            let told: ToldFile = serde_json::from_slice(&told).ok()?;
            (sha256(&path).ok()? == manifest.sha256).then(|| Kept {
                digest: key.digest(),
                told: told.into(),
                place: Place::File(path, form),
            })
        })
    }

    /// See [`Work::keep`](super::Work::keep).
    pub(super) fn keep(&self, name: &str, key: &Key, made: &Made, told: Told) -> Result<Kept> {
        let form = Form::of(made)?;
        let path = self.file(name, form.ending());
        form.write(&path, made).map_err(room)?;
        let manifest = form.manifest(&path, key.settings.clone())?;
        self.describe(name, key, (form, manifest), told)
    }

    /// Writes what the stage said and the manifest of the file that stands there, and removes what
    /// stood under the name before.
    pub(super) fn describe(
        &self,
        name: &str,
        key: &Key,
        (form, manifest): (Form, Manifest),
        told: Told,
    ) -> Result<Kept> {
        let path = self.file(name, form.ending());
        let text = sealed::json(&ToldFile::from(&told))?;
        if text.len() as u64 <= MAX_TOLD_BYTES {
            write_whole(self.file(name, TOLD), |out| out.write_all(&text)).map_err(room)?;
            let manifest = Manifest {
                told_sha256: Some(hex(&Sha256::digest(&text))),
                key: Some(key.digest()),
                ..manifest
            };
            manifest.write(&path).map_err(room)?;
        } else {
            // Without a manifest the next run makes it anew.
            remove(&Manifest::path_for(&path))?;
        }
        for ending in ENDINGS.iter().filter(|e| **e != form.ending()) {
            let other = self.file(name, ending);
            // What is no result of ours stays.
            if ours(&other) {
                remove(&other)?;
                remove(&Manifest::path_for(&other))?;
            }
        }
        self.forget_growing(name)?;
        Ok(Kept {
            digest: key.digest(),
            told,
            place: Place::File(path, form),
        })
    }
}

/// The endings of what a stage said, and of a result that is not whole yet.
const TOLD: &str = ".told.json";
pub(super) const GROWING: &str = ".growing";

const ANOTHER: &str = "choose another folder with --work DIR";

fn in_use(path: &Path) -> Error {
    let mend = "wait for its end, or choose another folder with --work DIR";
    Error::input("is in use by another run")
        .path(path)
        .mend(mend)
}

/// Whether `file` is the one that stands at `path`.
#[cfg(unix)]
fn is_at(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let place = |m: std::io::Result<std::fs::Metadata>| m.ok().map(|m| (m.dev(), m.ino()));
    place(file.metadata()) == place(path.metadata())
}

#[cfg(not(unix))]
fn is_at(_: &File, path: &Path) -> bool {
    path.exists()
}

/// The error of a result that could not be written.
pub(super) fn room(error: Error) -> Error {
    match error.kind() {
        Kind::Io => error.mend(ROOM),
        _ => error,
    }
}

pub(super) const ROOM: &str = "free some space there and run again: it goes on from what is whole";

/// Whether a manifest of a stage describes the file at `path`.
fn ours(path: &Path) -> bool {
    Manifest::read(path).is_ok_and(|m| m.is_some_and(|m| m.key.is_some()))
}

/// Removes a file, if it is there.
pub(super) fn remove(path: &Path) -> Result<()> {
    match std::fs::remove_file(path) {
        Err(e) if e.kind() != ErrorKind::NotFound => Err(failed(e, path)),
        _ => Ok(()),
    }
}

/// The settings as a manifest that is read shows them: text may round their numbers.
fn shown(key: &Key) -> Value {
    serde_json::from_str(&key.settings.to_string()).unwrap_or(Value::Null)
}

/// `name` as a file may be called, another one for each name: letters, digits, `.`, `_` and `-` as they
/// stand, other bytes as `%XX`; a long one is cut, and its SHA-256 added.
fn file_name(name: &str) -> String {
    let mut safe = String::new();
    for (at, byte) in name.bytes().enumerate() {
        let plain = byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
        match plain || (byte == b'.' && at > 0) {
            true => safe.push(byte.into()),
            false => safe.push_str(&format!("%{byte:02x}")),
        }
    }
    if safe.is_empty() {
        return "%".into();
    }
    if safe.len() > MAX_KEPT_NAME_BYTES {
        safe.truncate(MAX_KEPT_NAME_BYTES - 66);
        safe.push_str("%%");
        safe.push_str(&hex(&Sha256::digest(name.as_bytes())));
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_has_a_file_of_its_own() {
        let long = |c: &str| c.repeat(1000);
        let names = [
            "",
            "%",
            "a",
            "A",
            "a.nn",
            ".a",
            "..",
            ".",
            "a/b",
            "a%2fb",
            "a%",
            "a%%",
            "\u{e9}",
            "e\u{301}",
            "a b",
            "a\0b",
            "%2e",
            &long("x"),
            &long("y"),
            &format!("{}y", long("x")),
        ];
        let mut files: Vec<String> = names.iter().map(|n| file_name(n)).collect();
        for file in &files {
            assert!(file.len() <= MAX_KEPT_NAME_BYTES, "{file}");
            let safe = |b: u8| b.is_ascii_alphanumeric() || b"._-%".contains(&b);
            assert!(file.bytes().all(safe) && !file.starts_with('.'), "{file}");
        }
        assert_eq!(file_name("gallery.photo_1-b"), "gallery.photo_1-b");
        files.sort();
        files.dedup();
        assert_eq!(files.len(), names.len());
    }
}
