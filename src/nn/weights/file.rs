//! One weight file: opened, mapped or read in place, and compared with itself afterwards.

use std::fs::{File, Metadata};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use memmap2::{Advice, Mmap, MmapOptions, UncheckedAdvice};

use super::header::{self, Tensor};
use super::live::Registered;
use super::{DAMAGED, OpenOptions, sniff};
use crate::error::{Error, Result};
use crate::limits::MAX_WEIGHT_HEADER_BYTES;

/// How many bytes stand before the header.
const BEFORE: u64 = 8;
/// The least page size; where pages are larger, `memmap2` begins at the page.
const PAGE: u64 = 4096;

/// What is compared before and after: a file that was written to has another size or time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Fingerprint {
    bytes: u64,
    modified: SystemTime,
}

impl Fingerprint {
    fn of(metadata: &Metadata) -> std::io::Result<Fingerprint> {
        Ok(Fingerprint {
            bytes: metadata.len(),
            modified: metadata.modified()?,
        })
    }
}

/// An open weight file.
pub(super) struct Shard {
    path: PathBuf,
    file: File,
    found: Fingerprint,
    map: Option<Map>,
    /// Where the tensors begin.
    data: u64,
}

impl Shard {
    /// Opens `path`, checks its header and maps it when that is wanted and possible.
    pub(super) fn open(path: &Path, options: OpenOptions) -> Result<(Shard, Vec<Tensor>)> {
        let told = |e| Error::io(e, path).mend(FIND);
        // Without O_NONBLOCK, opening a pipe would wait for its other end.
        let file = File::options()
            .read(true)
            .custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY)
            .open(path)
            .map_err(told)?;
        let metadata = file.metadata().map_err(told)?;
        if !metadata.is_file() {
            let what = if metadata.is_dir() {
                "is a folder, not a file of weights"
            } else {
                "is not a regular file"
            };
            return Err(Error::input(what).path(path).mend(FIND));
        }
        let mut shard = Shard {
            path: path.to_path_buf(),
            found: Fingerprint::of(&metadata).map_err(told)?,
            file,
            map: None,
            data: 0,
        };
        let tensors = shard.header().map_err(|e| e.path(path))?;
        if options.mmap {
            shard.map = Map::new(&shard.file, shard.found.bytes, path);
        }
        Ok((shard, tensors))
    }

    fn header(&mut self) -> Result<Vec<Tensor>> {
        let whole = self.found.bytes;
        let mut start = vec![0; whole.min(sniff::START as u64) as usize];
        self.read_at(0, &mut start)?;
        let length = sniff::header_length(&start, whole, &self.path)?;
        let data = BEFORE + length;
        if length > MAX_WEIGHT_HEADER_BYTES || data > whole {
            let message =
                format!("the file is cut short: it has {whole} bytes, the header {length}");
            return Err(Error::input(message).mend(DAMAGED));
        }
        let mut text = vec![0; length as usize];
        self.read_at(BEFORE, &mut text)?;
        let tensors = header::parse(&text, whole - data)?;
        self.data = data;
        Ok(tensors)
    }

    /// Where this file is.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Whether the file is mapped.
    pub(super) fn mapped(&self) -> bool {
        self.map.is_some()
    }

    /// Copies the bytes from `at` of the tensors' part on.
    pub(super) fn bytes(&self, at: u64, out: &mut [u8]) -> Result<()> {
        let Some(at) = self.data.checked_add(at) else {
            return Err(Error::internal("a tensor outside its file").path(&self.path));
        };
        match &self.map {
            Some(map) => map.copy(at, out),
            None => self.read_at(at, out),
        }
        .map_err(|e| e.path(&self.path))
    }

    /// The pages of these bytes of the tensors' part are not needed any more.
    pub(super) fn release(&self, begin: u64, end: u64) {
        if let Some(map) = &self.map {
            map.release(self.data + begin, self.data + end);
        }
    }

    fn read_at(&self, at: u64, out: &mut [u8]) -> Result<()> {
        self.file.read_exact_at(out, at).map_err(|e| {
            if e.kind() == std::io::ErrorKind::UnexpectedEof {
                self.changed("ended early: somebody cut it while it was loaded".to_owned())
            } else {
                Error::io(e, &self.path).mend("read it again, or from another disk")
            }
        })
    }

    /// Whether the file is still what it was when it was opened.
    pub(super) fn unchanged(&self) -> Result<()> {
        let now = self.file.metadata().and_then(|m| Fingerprint::of(&m));
        let now = now.map_err(|e| Error::io(e, &self.path).mend(AGAIN))?;
        if now == self.found {
            return Ok(());
        }
        let what = if now.bytes == self.found.bytes {
            "changed while it was loaded".to_owned()
        } else {
            format!(
                "changed while it was loaded: from {} bytes to {}",
                self.found.bytes, now.bytes
            )
        };
        Err(self.changed(what))
    }

    fn changed(&self, what: String) -> Error {
        Error::input(what).path(&self.path).mend(AGAIN)
    }
}

/// What to do about a file that is not there.
const FIND: &str = "name a .safetensors file or a folder with model.safetensors, as \
    `hf download REPOSITORY model.safetensors` fetches it";
/// What to do about a file that changed.
const AGAIN: &str = "start again when nothing writes to the file";

/// A read-only map of a whole file, known to [`super::live_map_at`] as long as it lives.
struct Map {
    // Dropped in this order: the slot is given back before its addresses may be used again.
    _slot: Registered,
    map: Mmap,
}

impl Map {
    /// Maps the file; `None` where that cannot be done, and reading serves as well.
    fn new(file: &File, bytes: u64, path: &Path) -> Option<Map> {
        let bytes = usize::try_from(bytes).ok()?;
        // SAFETY: the map is shared and read-only. Others may still write to the file or cut it; so no
        // reference to its bytes is ever formed, they are only copied out (see `copy`), every bit
        // pattern of a copy is a valid byte, and `Shard::unchanged` tells afterwards.
        let map = unsafe { MmapOptions::new().len(bytes).map(file) }.ok()?;
        let start = map.as_ptr() as usize;
        let slot = Registered::new(start, start + bytes, &path.to_string_lossy())?;
        // The disk is asked for all of it, in order; that it may refuse does no harm.
        let _ = map.advise(Advice::WillNeed);
        Some(Map { _slot: slot, map })
    }

    fn copy(&self, at: u64, out: &mut [u8]) -> Result<()> {
        let end = at.checked_add(out.len() as u64);
        if end.is_none_or(|end| end > self.map.len() as u64) {
            return Err(Error::internal("a tensor outside its map"));
        }
        // SAFETY: `at..end` lies inside the map, as was just checked, and the map lives as long as
        // `self`; `out` is memory of our own, which the map cannot overlap. Bytes need no alignment.
        unsafe {
            let from = self.map.as_ptr().add(at as usize);
            std::ptr::copy_nonoverlapping(from, out.as_mut_ptr(), out.len());
        }
        Ok(())
    }

    /// Lets go of the whole pages within these bytes of the file.
    fn release(&self, begin: u64, end: u64) {
        let begin = begin.next_multiple_of(PAGE);
        let end = end.min(self.map.len() as u64) / PAGE * PAGE;
        if begin < end {
            let (at, length) = (begin as usize, (end - begin) as usize);
            // SAFETY: the map is shared, read-only and of a file, so that a page which is dropped comes
            // back with the file's bytes when it is touched again; no reference into it exists.
            let _ = unsafe {
                self.map
                    .unchecked_advise_range(UncheckedAdvice::DontNeed, at, length)
            };
        }
    }
}
