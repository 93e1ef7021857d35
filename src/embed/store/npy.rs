//! Dense embeddings: NumPy's `.npy`.

use std::io::BufReader;
use std::path::Path;

use half::f16;
use half::slice::HalfFloatSliceExt;

use super::header::{Header, Item, WRITE_IT};
use super::open;
use super::read::{blocks, numbers};
use crate::error::{Error, Result};
use crate::files::write_whole;
use crate::limits::{MAX_DIMS, MAX_ROWS};
use crate::tensor::Matrix;

/// What a written `.npy` holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NpyDtype {
    /// `float32`: exactly the matrix.
    F32,
    /// `float16`: rounded to the nearest, ties to even, as NumPy rounds; what is too large becomes
    /// infinite.
    F16,
}

impl NpyDtype {
    /// NumPy's short name.
    pub(super) fn descr(self) -> &'static str {
        match self {
            NpyDtype::F32 => "<f4",
            NpyDtype::F16 => "<f2",
        }
    }

    /// How many bytes a value has.
    pub(super) fn bytes(self) -> u64 {
        match self {
            NpyDtype::F32 => 4,
            NpyDtype::F16 => 2,
        }
    }

    /// Appends the bytes of `values` to `out`; `halves` is scratch.
    pub(super) fn encode(self, values: &[f32], halves: &mut Vec<f16>, out: &mut Vec<u8>) {
        match self {
            NpyDtype::F32 => out.extend(values.iter().flat_map(|x| x.to_le_bytes())),
            NpyDtype::F16 => {
                halves.resize(values.len(), f16::ZERO);
                halves.convert_from_f32_slice(values);
                out.extend(halves.iter().flat_map(|x| x.to_le_bytes()));
            }
        }
    }
}

/// The header of a dense matrix in `length` bytes: rows, columns and what they hold.
///
/// Everything is checked here that can be checked before memory is taken.
pub(super) fn matrix_header(
    from: &mut impl std::io::Read,
    length: u64,
) -> Result<(usize, usize, Item)> {
    let header = Header::read(from, length)?;
    if !matches!(header.item, Item::F16 | Item::F32 | Item::F64) {
        let name = header.item.name();
        let message = format!("holds {name}, not little-endian float16, float32 or float64");
        return Err(Error::unsupported(message).mend("save X.astype('<f4')"));
    }
    let &[rows, dims] = header.shape.as_slice() else {
        let message = format!(
            "has {} dimensions, not rows and columns",
            header.shape.len()
        );
        return Err(Error::input(message).mend("save X.reshape(number_of_rows, -1)"));
    };
    if header.fortran {
        return Err(Error::unsupported("is stored by columns (Fortran order)")
            .mend("save numpy.ascontiguousarray(X)"));
    }
    if rows > MAX_ROWS as u64 || dims > MAX_DIMS as u64 {
        let message = format!("claims {rows} rows of {dims} columns");
        return Err(Error::limit(message).mend(format!(
            "{MAX_ROWS} rows of {MAX_DIMS} columns are the most"
        )));
    }
    let expected = header
        .data_bytes()
        .and_then(|bytes| bytes.checked_add(header.bytes));
    if expected != Some(length) {
        let message = format!(
            "{rows} rows of {dims} {} do not make the file's {length} bytes",
            header.item.name()
        );
        return Err(Error::input(message).mend(format!("the file was cut or joined; {WRITE_IT}")));
    }
    Ok((rows as usize, dims as usize, header.item))
}

/// Reads a `.npy` of `float16`, `float32` or `float64`: two dimensions, C order, little endian,
/// versions 1 to 3 of the format. `float64` is rounded to `f32`. NaN and infinities are read as they
/// stand; a search refuses them.
///
/// # Errors
/// [`Kind::Input`](crate::error::Kind::Input) for a file that is not a `.npy`, is cut, holds more or
/// less than its header says or has other than two dimensions;
/// [`Kind::Unsupported`](crate::error::Kind::Unsupported) for other types, byte orders and Fortran
/// order; [`Kind::Limit`](crate::error::Kind::Limit) beyond [`crate::limits`];
/// [`Kind::Io`](crate::error::Kind::Io). All name the file.
pub fn read_npy(path: impl AsRef<Path>) -> Result<Matrix> {
    let path = path.as_ref();
    let (file, length) = open(path)?;
    let mut from = BufReader::new(file);
    let mut read = || {
        let (rows, dims, item) = matrix_header(&mut from, length)?;
        let count = rows * dims;
        let data = match item {
            Item::F16 => halves(&mut from, count)?,
            Item::F32 => numbers(&mut from, count, f32::from_le_bytes)?,
            _ => numbers(&mut from, count, |b| f64::from_le_bytes(b) as f32)?,
        };
        Matrix::new(rows, dims, data)
    };
    read().map_err(|e| e.path(path))
}

/// Reads `count` values of `float16`.
fn halves(from: &mut impl std::io::Read, count: usize) -> Result<Vec<f32>> {
    let mut data = vec![0.0; count];
    let (mut at, mut items) = (0, Vec::new());
    blocks(from, count, 2, |bytes| {
        items.clear();
        items.extend(bytes.as_chunks().0.iter().map(|b| f16::from_le_bytes(*b)));
        items.convert_to_f32_slice(&mut data[at..at + items.len()]);
        at += items.len();
    })?;
    Ok(data)
}

/// Writes `matrix` as a `.npy`, byte for byte as `numpy.save` writes such an array; whole or not at
/// all.
///
/// # Errors
/// [`Kind::Io`](crate::error::Kind::Io) naming `path`.
pub fn write_npy(path: impl AsRef<Path>, matrix: &Matrix, dtype: NpyDtype) -> Result<()> {
    write_whole(path, |out| {
        out.write_all(&Header::write(
            dtype.descr(),
            &[matrix.rows(), matrix.dims()],
        ))?;
        let (mut bytes, mut halves) = (Vec::new(), Vec::new());
        for block in matrix.data().chunks(1 << 16) {
            bytes.clear();
            dtype.encode(block, &mut halves, &mut bytes);
            out.write_all(&bytes)?;
        }
        Ok(())
    })
}
