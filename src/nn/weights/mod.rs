//! Published weights, read straight out of their files.
//!
//! A [`WeightFile`] is a safetensors file (or several with an index), mapped read-only. Opening checks
//! the length, the header and where each tensor lies; [`check_against`] compares names and shapes with
//! what a model wants; packing reads each tensor once, piece by piece, through
//! [`Source`]; [`Source::finish`] says whether the file is still the one that was checked.
//! Then the `WeightFile` is dropped, and the map with it: no second copy of a model ever stands in
//! memory.
//!
//! ```
//! use doppel::device::Source;
//! use doppel::nn::weights::{OpenOptions, WeightFile, check_against};
//!
//! # fn main() -> doppel::Result<()> {
//! # let folder = tempfile::tempdir().map_err(|e| doppel::Error::io(e, "."))?;
//! # let path = folder.path().join("model.safetensors");
//! # let header = br#"{"fc.bias":{"dtype":"BF16","shape":[2],"data_offsets":[0,4]}}"#;
//! # let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
//! # bytes.extend(header);
//! # bytes.extend([0x80, 0x3F, 0x20, 0xC0]);
//! # std::fs::write(&path, bytes).map_err(|e| doppel::Error::io(e, &path))?;
//! let weights = WeightFile::open(&path, OpenOptions::default())?;
//! let wanted = [("fc.bias".to_string(), vec![2])];
//! let extras = check_against(&weights, &wanted, &|name| name.ends_with("num_batches_tracked"))?;
//! assert_eq!(extras.ignored.len(), 0);
//! let mut bias = [0.0; 2];
//! weights.read("fc.bias", 0, &mut bias)?;
//! assert_eq!(bias, [1.0, -2.5]);
//! weights.finish()?; // the file did not change meanwhile
//! # Ok(())
//! # }
//! ```
//!
//! **A map cannot kill the process quietly.** Somebody else may cut a file while it is mapped; touching
//! what is gone raises SIGBUS, which a library has no business to catch. [`live_map_at`] tells a
//! program's handler whose file it was; `engine` installs one that prints a line and ends with 2. With
//! [`OpenOptions::mmap`] off nothing is mapped, and a file that was cut is an ordinary error: for
//! network folders, and for programs without such a handler.

mod check;
mod file;
mod folder;
mod header;
mod live;
mod sniff;
mod widen;

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

pub use check::{Extras, check_against};
pub use live::{NAME_BYTES, live_map_at};

use crate::device::Source;
use crate::error::{Error, Result};
use file::Shard;
use folder::Files;
use header::{Dtype, Float, Tensor, tensor};

/// What to do about a damaged file.
const DAMAGED: &str = "fetch or write the file again";

/// How [`WeightFile::open`] goes about it.
#[derive(Debug, Clone, Copy)]
pub struct OpenOptions {
    /// Map the file; else it is read piece by piece, with the same results.
    pub mmap: bool,
}

impl Default for OpenOptions {
    /// Mapped.
    fn default() -> Self {
        OpenOptions { mmap: true }
    }
}

/// The safetensors files that `path` stands for, as [`WeightFile::open`] takes it: one, or all that an
/// index names, in order. None of them is opened.
///
/// # Errors
/// A folder without weights, an index that is damaged.
pub fn weight_files(path: impl AsRef<Path>) -> Result<Vec<PathBuf>> {
    Ok(match folder::files(path.as_ref())? {
        Files::One(file) => vec![file],
        Files::Several(_, parts) => parts.into_iter().map(|(file, _)| file).collect(),
    })
}

/// Where one tensor is.
struct Entry {
    shard: usize,
    dtype: Dtype,
    dims: Vec<usize>,
    count: usize,
    begin: u64,
    end: u64,
    /// How many elements have been given since the pages were last let go of.
    given: AtomicUsize,
}

/// Published weights in one safetensors file, or in several with an index.
///
/// F32 is read as it is; F16 and BF16 are widened, F64 is rounded to the nearest f32. Tensors of any
/// other type may be there; only asking for their values is an error.
pub struct WeightFile {
    path: PathBuf,
    shards: Vec<Shard>,
    entries: HashMap<String, Entry>,
}

impl WeightFile {
    /// Opens a `.safetensors` file, a `.safetensors.index.json`, or a folder that holds
    /// `model.safetensors` or `model.safetensors.index.json`, and checks all but the values.
    ///
    /// # Errors
    /// A file that is not there or is something else (what it is, and for PyTorch's own formats the
    /// command that converts it); one that is cut short, or whose header is not JSON, names a tensor
    /// twice, overlaps, leaves gaps, or claims what does not fit; a bound of [`crate::limits`].
    pub fn open(path: impl AsRef<Path>, options: OpenOptions) -> Result<WeightFile> {
        match folder::files(path.as_ref())? {
            Files::One(path) => {
                let (shard, tensors) = Shard::open(&path, options)?;
                let mut file = WeightFile::empty(path);
                file.add(shard, tensors, None)?;
                Ok(file)
            }
            Files::Several(index, parts) => {
                let mut file = WeightFile::empty(index);
                for (path, names) in parts {
                    let (shard, tensors) = Shard::open(&path, options)?;
                    file.add(shard, tensors, Some(names))?;
                }
                Ok(file)
            }
        }
    }

    fn empty(path: PathBuf) -> WeightFile {
        WeightFile {
            path,
            shards: Vec::new(),
            entries: HashMap::new(),
        }
    }

    /// Adds the tensors of `shard`, which must be those of `listed` where an index says so.
    fn add(
        &mut self,
        shard: Shard,
        tensors: Vec<Tensor>,
        listed: Option<BTreeSet<String>>,
    ) -> Result<()> {
        const MEND: &str = "fetch the index and all its files again";
        let wrong = |message: String| Error::input(message).path(shard.path()).mend(MEND);
        if let Some(mut left) = listed {
            for t in &tensors {
                if !left.remove(&t.name) {
                    let message =
                        format!("{}the index does not have it in this file", tensor(&t.name));
                    return Err(wrong(message));
                }
            }
            if let Some(name) = left.first() {
                let message = format!(
                    "{}the index has it in this file, but it is not",
                    tensor(name)
                );
                return Err(wrong(message));
            }
        }
        for t in tensors {
            let entry = Entry {
                shard: self.shards.len(),
                dtype: t.dtype,
                dims: t.dims,
                count: t.count,
                begin: t.begin,
                end: t.end,
                given: AtomicUsize::new(0),
            };
            self.entries.insert(t.name, entry);
        }
        self.shards.push(shard);
        Ok(())
    }

    /// The file, or the index of several.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// How many tensors there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is no tensor at all.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The names of all tensors, in no order.
    pub fn names(&self) -> impl Iterator<Item = &str> + Clone {
        self.entries.keys().map(|name| &name[..])
    }

    /// The format's name for the element type of tensor `name`, such as `F32` or `I64`.
    pub fn dtype(&self, name: &str) -> Option<&'static str> {
        Some(self.entry(name)?.dtype.name)
    }

    /// Whether every file is mapped; false where that was not wanted or is not possible.
    pub fn mapped(&self) -> bool {
        self.shards.iter().all(Shard::mapped)
    }

    /// These weights with the prefix taken off that all of `wanted` stand under (`module.`,
    /// `backbone.`, ...); as they are when `wanted` is there without one, or under none.
    ///
    /// Where not all of `wanted` is there but at least half stands under a prefix, that one is taken
    /// off, so that [`check_against`] can name what is missing.
    ///
    /// # Errors
    /// All of `wanted` stands there twice, under two prefixes; two names that become one.
    pub fn strip_prefix(self, wanted: &[(String, Vec<usize>)]) -> Result<WeightFile> {
        let prefix = self.prefix(wanted)?;
        if prefix.is_empty() {
            return Ok(self);
        }
        self.rename(&|name| name.strip_prefix(&prefix[..]).map(str::to_owned))
    }

    /// The prefix that [`WeightFile::strip_prefix`] takes off: empty, or ending with a dot.
    ///
    /// # Errors
    /// All of `wanted` stands there twice, under two prefixes.
    pub fn prefix(&self, wanted: &[(String, Vec<usize>)]) -> Result<String> {
        check::prefix(self.names(), wanted).map_err(|e| e.path(&self.path))
    }

    /// These weights under other names: `map` gives a tensor's new name, or `None` to keep its own.
    ///
    /// # Errors
    /// Two tensors that would have the same name.
    pub fn rename(mut self, map: &dyn Fn(&str) -> Option<String>) -> Result<WeightFile> {
        let mut entries: Vec<_> = self
            .entries
            .drain()
            .map(|(name, entry)| (map(&name), name, entry))
            .collect();
        // Those that keep their name come first, so that a message says which one would take it.
        entries.sort_by(|a, b| (a.0.is_some(), &a.1).cmp(&(b.0.is_some(), &b.1)));
        for (new, name, entry) in entries {
            let new = new.unwrap_or_else(|| name.clone());
            if self.entries.contains_key(&new) {
                let message = format!(
                    "{}another tensor is called {} too",
                    tensor(&name),
                    short(&new)
                );
                return Err(Error::input(message)
                    .path(&self.path)
                    .mend("write a file with one of the two"));
            }
            self.entries.insert(new, entry);
        }
        Ok(self)
    }

    fn entry(&self, name: &str) -> Option<&Entry> {
        self.entries.get(name)
    }

    /// The very file that tensor `name` is in.
    fn path_of(&self, name: &str) -> &Path {
        self.entry(name)
            .map_or(&self.path, |e| self.shards[e.shard].path())
    }

    /// The error for a tensor with a NaN or an infinity: the first in the tensor is named, whichever
    /// piece was being read.
    fn not_finite(&self, name: &str, entry: &Entry, float: Float, seen: usize) -> Error {
        let shard = &self.shards[entry.shard];
        let mut at = seen;
        let mut block = vec![0.0; 1 << 14];
        for from in (0..entry.count).step_by(block.len()) {
            let out = &mut block[..(entry.count - from).min(1 << 14)];
            match widen::widen(shard, entry.begin, float, from, out) {
                Ok(None) => {}
                Ok(Some(first)) => {
                    at = from + first;
                    break;
                }
                Err(error) => return error,
            }
        }
        let what = match float {
            Float::F64 => "NaN, infinite, or too large for f32",
            _ => "NaN or infinite",
        };
        let place = place(at, &entry.dims);
        Error::input(format!("{}the value at {place:?} is {what}", tensor(name)))
            .path(shard.path())
            .mend("fetch the file again, or take another checkpoint")
    }
}

impl Source for WeightFile {
    fn dims(&self, key: &str) -> Option<&[usize]> {
        self.entry(key).map(|e| &e.dims[..])
    }

    fn read(&self, key: &str, from: usize, out: &mut [f32]) -> Result<()> {
        let Some(entry) = self.entry(key) else {
            let message = format!("{}it is missing", tensor(key));
            return Err(Error::input(message).path(&self.path).mend(DAMAGED));
        };
        let Some(float) = entry.dtype.float else {
            return Err(no_float(self, key, entry));
        };
        let shard = &self.shards[entry.shard];
        if from
            .checked_add(out.len())
            .is_none_or(|end| end > entry.count)
        {
            let message = format!(
                "{}it has {} elements, not {} from {from} on",
                tensor(key),
                entry.count,
                out.len()
            );
            return Err(Error::input(message).path(shard.path()).mend(DAMAGED));
        }
        if let Some(first) = widen::widen(shard, entry.begin, float, from, out)? {
            return Err(self.not_finite(key, entry, float, from + first));
        }
        let given = entry.given.fetch_add(out.len(), Ordering::Relaxed) + out.len();
        if given >= entry.count {
            // Most likely packed, so its pages can go; if not, they come back from the file.
            entry.given.store(0, Ordering::Relaxed);
            shard.release(entry.begin, entry.end);
        }
        Ok(())
    }

    fn finish(&self) -> Result<()> {
        self.shards.iter().try_for_each(Shard::unchanged)
    }
}

/// The error for a tensor whose elements are no weights.
fn no_float(source: &WeightFile, name: &str, entry: &Entry) -> Error {
    let message = format!(
        "{}its elements are {}, which is no type for weights",
        tensor(name),
        entry.dtype.name
    );
    Error::unsupported(message)
        .path(source.path_of(name))
        .mend("save it as F32, F16 or BF16")
}

/// The place of element `at` of a tensor of shape `dims`.
fn place(mut at: usize, dims: &[usize]) -> Vec<usize> {
    let mut place: Vec<usize> = dims
        .iter()
        .rev()
        .map(|&d| {
            let d = d.max(1);
            let here = at % d;
            at /= d;
            here
        })
        .collect();
    place.reverse();
    place
}

/// At most so many characters of a name, for a message.
fn short(text: &str) -> String {
    const SHOWN: usize = 120;
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_count_the_last_dimension_first() {
        assert_eq!(place(0, &[]), [0; 0]);
        assert_eq!(place(5, &[7]), [5]);
        assert_eq!(place(23, &[2, 3, 4]), [1, 2, 3]);
        assert_eq!(place(4, &[2, 3, 4]), [0, 1, 0]);
    }

    #[test]
    fn long_names_are_cut_at_a_character() {
        assert_eq!(short("é".repeat(120).as_str()), "é".repeat(120));
        assert_eq!(short(&"é".repeat(121)), "é".repeat(120) + "...");
    }
}
