//! Embeddings on disk: `.npy` for dense rows, SciPy's `.npz` for sparse ones, and a manifest beside
//! each.
//!
//! The formats are NumPy's (<https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html>)
//! and `scipy.sparse.save_npz`'s, so that either side reads what the other wrote. Files are written
//! whole or not at all. What is read may be hostile: sizes are compared with the file's length before
//! any memory is taken, and whatever is wrong is one error that names the file.

mod header;
mod manifest;
mod npy;
mod npz;
mod read;
mod rows;

use std::fs::File;
use std::path::Path;

use crate::error::{Error, Result};

pub use manifest::{Manifest, Shape, check, sha256};
pub use npy::{NpyDtype, read_npy, write_npy};
pub use npz::{read_npz, write_npz, write_npz_stored};
pub use rows::NpyRows;
pub(crate) use rows::allocate;

/// The bytes before the first row of a `.npy`.
pub(crate) fn npy_header(rows: usize, dims: usize, dtype: NpyDtype) -> Vec<u8> {
    header::Header::write(dtype.descr(), &[rows, dims])
}

/// Opens a regular file and says how long it is. A pipe or a device is refused, since it has no
/// length to compare with.
fn open(path: &Path) -> Result<(File, u64)> {
    let fail = |e| Error::io(e, path);
    let mend = "name a regular file";
    let metadata = path.metadata().map_err(fail)?;
    if metadata.is_dir() {
        return Err(Error::input("is a folder").path(path).mend(mend));
    }
    if !metadata.is_file() {
        return Err(Error::input("is not a regular file").path(path).mend(mend));
    }
    let file = File::open(path).map_err(fail)?;
    let length = file.metadata().map_err(fail)?.len();
    Ok((file, length))
}
