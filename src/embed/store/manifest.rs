//! What made an embedding file, beside it: `X.npy` has `X.npy.json`.

use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::npz::Archive;
use super::open;
use crate::error::{Error, Result};
use crate::files::{beside, write_whole};
use crate::limits::MAX_FIELD_BYTES;

/// What a `.npy`, a `.npz` or another result of a stage holds and what made it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// `dense` (`.npy`), `sparse` (`.npz`), `neighbours` (`.npz`: scores by row and neighbour; best first
    /// they stand as [`best_first`](crate::lists::best_first) has them), `neighbours, one zero` (the
    /// same, but 0 and -0 are equal scores) or `hashes` (`.csv`).
    pub kind: String,
    /// How many rows: one for each data row of the listings.
    pub rows: u64,
    /// How many columns.
    pub dims: u64,
    /// NumPy's name of the values' type, `float32` for instance.
    pub dtype: String,
    /// The SHA-256 of the whole file, in lower case hexadecimal.
    pub sha256: String,
    /// The SHA-256 of what the stage said beside its result, where that is kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub told_sha256: Option<String>,
    /// The SHA-256 of the settings as the stage had them; text may round their numbers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// The version of doppel that wrote it.
    pub doppel: String,
    /// The settings that made it; whoever reuses the file compares them.
    pub settings: serde_json::Value,
}

/// What a file holds, without its contents.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shape {
    /// As [`Manifest::kind`].
    pub kind: &'static str,
    /// How many rows.
    pub rows: usize,
    /// How many columns.
    pub dims: usize,
    /// NumPy's name of the values' type.
    pub dtype: String,
}

impl Shape {
    /// What the file at `path` holds, a `.npy` or a `.npz`, told apart by its first bytes.
    ///
    /// # Errors
    /// As [`Manifest::of`].
    pub fn of(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        shape_of(path).map_err(|e| e.path(path))
    }

    /// The manifest of a file of this shape at `path`, which `settings` made.
    ///
    /// # Errors
    /// Those of [`sha256`].
    pub fn manifest(self, path: impl AsRef<Path>, settings: serde_json::Value) -> Result<Manifest> {
        Ok(Manifest {
            kind: self.kind.into(),
            rows: self.rows as u64,
            dims: self.dims as u64,
            dtype: self.dtype,
            sha256: sha256(path)?,
            told_sha256: None,
            key: None,
            doppel: env!("CARGO_PKG_VERSION").into(),
            settings,
        })
    }

    /// Whether `manifest` is of a file of this shape.
    pub fn is_of(&self, manifest: &Manifest) -> bool {
        let Manifest {
            kind,
            rows,
            dims,
            dtype,
            ..
        } = manifest;
        (kind.as_str(), *rows, *dims, dtype)
            == (self.kind, self.rows as u64, self.dims as u64, &self.dtype)
    }
}

impl Manifest {
    /// The manifest of the file at `path` (a `.npy` or a `.npz`, told apart by its first bytes), which
    /// `settings` made.
    ///
    /// # Errors
    /// Those of [`read_npy`](super::read_npy) and [`read_npz`](super::read_npz), as far as the headers
    /// show them.
    pub fn of(path: impl AsRef<Path>, settings: serde_json::Value) -> Result<Self> {
        Shape::of(&path)?.manifest(path, settings)
    }

    /// Where the manifest of the file at `path` stands.
    pub fn path_for(path: impl AsRef<Path>) -> PathBuf {
        beside(path, ".json")
    }

    /// Writes the manifest beside the file at `path`, whole or not at all. The data is written
    /// first: a file whose manifest is older fails its [`check`] rather than pass for another.
    ///
    /// # Errors
    /// [`Kind::Io`](crate::error::Kind::Io) naming the manifest.
    pub fn write(&self, path: impl AsRef<Path>) -> Result<()> {
        let beside = Self::path_for(path);
        let text = serde_json::to_string_pretty(self).map_err(|e| {
            Error::internal(format!("a manifest cannot be written as JSON: {e}")).path(&beside)
        })?;
        write_whole(&beside, |out| {
            out.write_all(text.as_bytes())?;
            out.write_all(b"\n")
        })
    }

    /// The manifest beside the file at `path`, when there is one.
    ///
    /// # Errors
    /// [`Kind::Input`](crate::error::Kind::Input) naming a manifest that is not one;
    /// [`Kind::Limit`](crate::error::Kind::Limit) for one that is far too long;
    /// [`Kind::Io`](crate::error::Kind::Io).
    pub fn read(path: impl AsRef<Path>) -> Result<Option<Self>> {
        let beside = Self::path_for(path);
        if matches!(beside.symlink_metadata(), Err(e) if e.kind() == std::io::ErrorKind::NotFound) {
            return Ok(None);
        }
        let (file, length) = open(&beside)?;
        let mend = "remove it, or write the data again";
        if length > MAX_FIELD_BYTES as u64 {
            let message = format!("a manifest of {length} bytes");
            return Err(Error::limit(message).path(&beside).mend(mend));
        }
        let mut text = Vec::new();
        let most = MAX_FIELD_BYTES as u64;
        file.take(most)
            .read_to_end(&mut text)
            .map_err(|e| Error::io(e, &beside))?;
        serde_json::from_slice(&text).map(Some).map_err(|e| {
            Error::input(format!("is not a manifest: {e}"))
                .path(&beside)
                .mend(mend)
        })
    }

    /// Whether the file at `path` is the one that this manifest describes, to the last bit.
    ///
    /// # Errors
    /// [`Kind::Input`](crate::error::Kind::Input) naming the file and what differs, and those of
    /// [`Manifest::of`].
    pub fn check(&self, path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref();
        let found = Manifest::of(path, serde_json::Value::Null)?;
        let differs = [
            ("kind", self.kind != found.kind),
            ("rows", self.rows != found.rows),
            ("dims", self.dims != found.dims),
            ("dtype", self.dtype != found.dtype),
            ("sha256", !self.sha256.eq_ignore_ascii_case(&found.sha256)),
        ];
        match differs.iter().find(|(_, differs)| *differs) {
            None => Ok(()),
            Some((field, _)) => {
                let manifest = Self::path_for(path);
                let name = manifest.file_name().unwrap_or_default().to_string_lossy();
                let message = format!("is not the file that {name} describes: {field} differs");
                let mend = format!("write it again, or remove {name}");
                Err(Error::input(message).path(path).mend(mend))
            }
        }
    }
}

/// Checks the file at `path` against the manifest beside it and returns that; a file without a
/// manifest is accepted.
///
/// # Errors
/// Those of [`Manifest::read`] and [`Manifest::check`].
pub fn check(path: impl AsRef<Path>) -> Result<Option<Manifest>> {
    let manifest = Manifest::read(&path)?;
    if let Some(manifest) = &manifest {
        manifest.check(&path)?;
    }
    Ok(manifest)
}

fn shape_of(path: &Path) -> Result<Shape> {
    let (file, length) = open(path)?;
    let mut from = BufReader::new(file);
    let mut first = [0; 2];
    let zip = from.read_exact(&mut first).is_ok() && first == *b"PK";
    drop(from);
    if zip {
        let mut archive = Archive::open(path)?;
        let (rows, dims) = archive.shape()?;
        return Ok(Shape {
            kind: "sparse",
            rows,
            dims,
            dtype: archive.value_type()?,
        });
    }
    let (file, _) = open(path)?;
    let (rows, dims, item) = super::npy::matrix_header(&mut BufReader::new(file), length)?;
    Ok(Shape {
        kind: "dense",
        rows,
        dims,
        dtype: item.name(),
    })
}

/// The SHA-256 of the whole file at `path`, in lower case hexadecimal, as manifests give it.
///
/// # Errors
/// [`Kind::Input`](crate::error::Kind::Input) for what is no regular file,
/// [`Kind::Io`](crate::error::Kind::Io); both name it.
pub fn sha256(path: impl AsRef<Path>) -> Result<String> {
    let path = path.as_ref();
    let (mut file, _) = open(path)?;
    let mut hasher = Sha256::new();
    let mut block = vec![0; 1 << 18];
    loop {
        let read = match file.read(&mut block) {
            Ok(0) => break,
            Ok(n) => n,
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(e) => return Err(Error::io(e, path)),
        };
        hasher.update(&block[..read]);
    }
    Ok(hasher
        .finalize()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect())
}
