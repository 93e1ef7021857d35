//! The bytes of a CSV: a file that is read by position, never as a whole.

use std::fs::{File, Metadata};
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::error::{Error, Result};
use crate::limits::MAX_CSV_BYTES;

/// An open CSV. The handle stays open, so that records can be read again by their offsets.
#[derive(Debug)]
pub(super) struct Source {
    file: File,
    path: PathBuf,
    len: u64,
    changed: Option<SystemTime>,
}

impl Source {
    /// Opens `path`; what comes through a pipe is first copied to an unnamed temporary file.
    pub(super) fn open(path: &Path) -> Result<Source> {
        let fail = |e: std::io::Error| Error::io(e, path).mend("name a CSV file that can be read");
        let kind = path.metadata().map_err(fail)?;
        refuse_special(&kind, path)?;
        let mut file = File::open(path).map_err(fail)?;
        let mut about = file.metadata().map_err(fail)?;
        refuse_special(&about, path)?;
        if !about.is_file() {
            file = spool(file).map_err(|e| Error::io(e, path))?;
            about = file.metadata().map_err(fail)?;
        }
        if about.len() > MAX_CSV_BYTES {
            return Err(too_large(path));
        }
        Ok(Source {
            file,
            path: path.to_path_buf(),
            len: about.len(),
            changed: about.modified().ok(),
        })
    }

    /// The same open file once more.
    pub(super) fn again(&self) -> Result<Source> {
        Ok(Source {
            file: self
                .file
                .try_clone()
                .map_err(|e| Error::io(e, &self.path))?,
            path: self.path.clone(),
            ..*self
        })
    }

    /// The length in bytes when the file was opened.
    pub(super) fn len(&self) -> u64 {
        self.len
    }

    /// Fills `buf` from byte `offset` on as far as the file goes in one read; 0 means its end.
    pub(super) fn read_at(&self, buf: &mut [u8], offset: u64) -> Result<usize> {
        if offset > MAX_CSV_BYTES {
            return Err(too_large(&self.path));
        }
        loop {
            match pread(&self.file, buf, offset) {
                Ok(n) => return Ok(n),
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) => return Err(Error::io(e, &self.path)),
            }
        }
    }

    /// Fails when the file was written to since it was opened.
    pub(super) fn check_unchanged(&self) -> Result<()> {
        let now = self.file.metadata().map_err(|e| Error::io(e, &self.path))?;
        if now.len() == self.len && now.modified().ok() == self.changed {
            return Ok(());
        }
        Err(Error::input("was changed while it was in use")
            .path(&self.path)
            .mend("run again when nothing writes to it"))
    }
}

#[cfg(unix)]
fn pread(file: &File, buf: &mut [u8], offset: u64) -> std::io::Result<usize> {
    std::os::unix::fs::FileExt::read_at(file, buf, offset)
}

#[cfg(windows)]
fn pread(file: &File, buf: &mut [u8], offset: u64) -> std::io::Result<usize> {
    std::os::windows::fs::FileExt::seek_read(file, buf, offset)
}

fn refuse_special(about: &Metadata, path: &Path) -> Result<()> {
    let what = if about.is_dir() {
        "is a folder"
    } else if is_device(about) {
        "is a device"
    } else {
        return Ok(());
    };
    Err(Error::input(what).path(path).mend("name a CSV file"))
}

#[cfg(unix)]
fn is_device(about: &Metadata) -> bool {
    use std::os::unix::fs::FileTypeExt;
    about.file_type().is_char_device() || about.file_type().is_block_device()
}

#[cfg(not(unix))]
fn is_device(_: &Metadata) -> bool {
    false
}

/// Copies a pipe to a temporary file without a name, one byte past the bound at most.
fn spool(pipe: File) -> std::io::Result<File> {
    let mut copy = tempfile::tempfile()?;
    std::io::copy(&mut pipe.take(MAX_CSV_BYTES + 1), &mut copy)?;
    Ok(copy)
}

fn too_large(path: &Path) -> Error {
    Error::limit(format!("is larger than {} GiB", MAX_CSV_BYTES >> 30))
        .path(path)
        .mend("split it into several files")
}
