//! Published weights that are damaged, misnamed, or changed under our hands: one clear line, and the
//! right values from all that is sound.

#[cfg(unix)]
mod encoder;
mod faults;
mod fuzz;
mod golden;
mod kinds;
pub mod live;
mod names;
mod shards;
#[cfg(unix)]
mod text;

use std::path::{Path, PathBuf};

use doppel::Error;
use doppel::device::Source;
use doppel::error::Kind;
use doppel::nn::weights::{OpenOptions, WeightFile};
use tempfile::TempDir;

const MAP: OpenOptions = OpenOptions { mmap: true };
const READ: OpenOptions = OpenOptions { mmap: false };

/// A folder to put files in.
struct Place(TempDir);

impl Place {
    fn new() -> Self {
        Place(tempfile::tempdir().unwrap())
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn put(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.0.path().join(name);
        let _ = std::fs::remove_file(&path);
        std::fs::write(&path, bytes).unwrap();
        path
    }

    /// Opens these bytes as `w.safetensors`, both ways, which must agree.
    fn open(&self, bytes: &[u8]) -> Result<WeightFile, Error> {
        let path = self.put("w.safetensors", bytes);
        let (mapped, read) = (WeightFile::open(&path, MAP), WeightFile::open(&path, READ));
        match (mapped, read) {
            (Ok(mapped), Ok(read)) => {
                assert!(mapped.mapped() && !read.mapped());
                assert_eq!(mapped.len(), read.len());
                Ok(mapped)
            }
            (Err(mapped), Err(read)) => {
                assert_eq!(mapped.to_string(), read.to_string());
                Err(mapped)
            }
            (mapped, read) => panic!("mapped {:?}, read {:?}", mapped.err(), read.err()),
        }
    }
}

/// A file of this header and these data.
fn raw(header: &str, data: &[u8]) -> Vec<u8> {
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header.as_bytes());
    bytes.extend(data);
    bytes
}

/// A tensor's entry in a header.
fn entry(name: &str, dtype: &str, dims: &[u64], begin: u64, end: u64) -> String {
    format!(
        "\"{name}\":{{\"dtype\":\"{dtype}\",\"shape\":{dims:?},\"data_offsets\":[{begin},{end}]}}"
    )
}

/// A file of f32 tensors, one after the other.
fn file(tensors: &[(&str, &[usize], &[f32])]) -> Vec<u8> {
    let mut data = Vec::new();
    let mut entries = Vec::new();
    for (name, dims, values) in tensors {
        let begin = data.len() as u64;
        data.extend(values.iter().flat_map(|x| x.to_le_bytes()));
        let dims: Vec<u64> = dims.iter().map(|&d| d as u64).collect();
        entries.push(entry(name, "F32", &dims, begin, data.len() as u64));
    }
    raw(&format!("{{{}}}", entries.join(",")), &data)
}

/// All values of tensor `name`.
fn values(weights: &WeightFile, name: &str) -> Result<Vec<f32>, Error> {
    let count = weights.dims(name).expect("there").iter().product();
    let mut out = vec![0.0; count];
    weights.read(name, 0, &mut out)?;
    Ok(out)
}

/// That an error is one line of bearable length, names the file and says how to mend it.
#[track_caller]
fn clear(error: &Error, file: &str) -> String {
    let line = error.to_string();
    assert_eq!(line.lines().count(), 1, "{line}");
    assert!(line.len() < 900, "{line}");
    assert!(line.contains(file), "{line}");
    assert!(error.kind() != Kind::Internal, "{line}");
    assert!(error.mending().is_some(), "{line}");
    line
}

/// The same, and that the line has `words`; the error's kind.
#[track_caller]
fn says<T>(result: Result<T, Error>, file: &str, words: &str) -> Kind {
    let error = result.err().expect("an error");
    let line = clear(&error, file);
    assert!(line.contains(words), "{words:?} is not in: {line}");
    error.kind()
}

/// Names and shapes as an architecture would list them.
fn wanted(list: &[(&str, &[usize])]) -> Vec<(String, Vec<usize>)> {
    list.iter()
        .map(|(n, d)| (n.to_string(), d.to_vec()))
        .collect()
}
