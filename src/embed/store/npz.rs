//! Sparse embeddings: SciPy's `.npz` of a CSR matrix, a zip archive of five `.npy` members.

use std::fs::File;
use std::io::{BufReader, Read, Write};
use std::path::Path;

use zip::result::ZipError;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, ZipArchive, ZipWriter};

use super::header::{Header, Item};
use super::open;
use super::read::{blocks, finish, numbers};
use crate::error::{Error, Result};
use crate::files::write_whole;
use crate::limits::{MAX_DECODE_BYTES, MAX_FEATURES, MAX_NPZ_EXPANSION, MAX_ROWS};
use crate::tensor::Csr;

/// The members, in the order in which SciPy writes them.
const INDICES: &str = "indices.npy";
const INDPTR: &str = "indptr.npy";
const FORMAT: &str = "format.npy";
const SHAPE: &str = "shape.npy";
const DATA: &str = "data.npy";

/// What any `.npz` may unpack to.
const EXPANSION_FLOOR: u64 = MAX_DECODE_BYTES;

const SAVE_IT: &str = "write it with scipy.sparse.save_npz(path, X.tocsr())";

/// An archive that was opened: its members' sizes are within bounds.
pub(super) struct Archive {
    zip: ZipArchive<BufReader<File>>,
}

fn unpacked(error: ZipError) -> Error {
    match error {
        ZipError::FileNotFound => Error::input("a member is missing").mend(SAVE_IT),
        ZipError::UnsupportedArchive(why) => {
            Error::unsupported(format!("the archive is of a kind that is not read ({why})"))
                .mend("write it without a password, stored or deflated")
        }
        other => Error::input(format!("is not a whole .npz archive ({other})")).mend(SAVE_IT),
    }
}

impl Archive {
    pub(super) fn open(path: &Path) -> Result<Self> {
        let (file, length) = open(path)?;
        let mut zip = ZipArchive::new(BufReader::new(file)).map_err(unpacked)?;
        if zip.has_duplicate_names() {
            return Err(Error::input("a member stands in the archive twice").mend(SAVE_IT));
        }
        let mut total = 0u64;
        for name in [INDICES, INDPTR, FORMAT, SHAPE, DATA] {
            if let Some(at) = zip.index_for_name(name) {
                let member = zip.by_index_raw(at).map_err(unpacked)?;
                total = total.saturating_add(member.size());
            }
        }
        if total > EXPANSION_FLOOR.max(length.saturating_mul(MAX_NPZ_EXPANSION)) {
            let message = format!("unpacks from {length} bytes to {total}");
            return Err(Error::limit(message).mend("that is no matrix of titles; write it anew"));
        }
        Ok(Archive { zip })
    }

    /// Reads member `name` through `take`, which gets its header and its data.
    fn member<T>(
        &mut self,
        name: &'static str,
        take: impl FnOnce(&Header, usize, &mut dyn Read) -> Result<T>,
    ) -> Result<T> {
        let at = self.zip.index_for_name(name).ok_or_else(|| {
            Error::input("the archive has no such member")
                .op(name)
                .mend(SAVE_IT)
        })?;
        let read = || {
            let mut member = self.zip.by_index(at).map_err(unpacked)?;
            let size = member.size();
            let header = Header::read(&mut member, size)?;
            let expected = header
                .data_bytes()
                .and_then(|b| b.checked_add(header.bytes));
            if header.item.bytes().is_some() && expected != Some(size) {
                let message = format!("{:?} items do not make {size} bytes", header.shape);
                return Err(Error::input(message).mend(SAVE_IT));
            }
            let count = header
                .shape
                .iter()
                .fold(1, |n: u64, &m| n.saturating_mul(m)) as usize;
            let taken = take(&header, count, &mut member)?;
            finish(&mut member)?;
            Ok(taken)
        };
        read().map_err(|e| e.op(name))
    }

    /// The matrix's form, as SciPy names it: `csr` and others.
    fn format(&mut self) -> Result<String> {
        self.member(FORMAT, |header, count, mut from| {
            let width = match header.item {
                Item::Bytes(n @ 1..=16) => n,
                Item::Chars(n @ 1..=16) => n * 4,
                _ => 0,
            };
            if width == 0 || !header.shape.is_empty() {
                return Err(Error::input("does not name the matrix's form").mend(SAVE_IT));
            }
            let mut name = String::new();
            blocks(&mut from, count, width, |bytes| {
                name = bytes
                    .iter()
                    .filter(|b| **b != 0)
                    .map(|b| char::from(*b))
                    .collect();
            })?;
            Ok(name)
        })
    }

    /// Rows and columns, once it is known that the matrix is CSR.
    pub(super) fn shape(&mut self) -> Result<(usize, usize)> {
        let format = self.format()?;
        if format != "csr" {
            let message = format!("the matrix is in SciPy's form '{format}', not 'csr'");
            return Err(Error::unsupported(message).mend(SAVE_IT));
        }
        let shape = self.integers(SHAPE)?;
        let &[rows, cols] = shape.as_slice() else {
            let message = format!("{} dimensions are not rows and columns", shape.len());
            return Err(Error::input(message).op(SHAPE).mend(SAVE_IT));
        };
        let fits = |n: i64, most: usize| usize::try_from(n).ok().filter(|n| *n <= most);
        match (fits(rows, MAX_ROWS - 1), fits(cols, MAX_FEATURES)) {
            (Some(rows), Some(cols)) => Ok((rows, cols)),
            _ => Err(
                Error::limit(format!("claims {rows} rows of {cols} columns"))
                    .op(SHAPE)
                    .mend(format!(
                        "{MAX_ROWS} rows of {MAX_FEATURES} columns are the most"
                    )),
            ),
        }
    }

    /// A one-dimensional member of whole numbers.
    fn integers(&mut self, name: &'static str) -> Result<Vec<i64>> {
        self.member(name, |header, count, mut from| {
            match (&header.item, header.shape.len()) {
                (Item::I32, 1) => numbers(&mut from, count, |b| i64::from(i32::from_le_bytes(b))),
                (Item::I64, 1) => numbers(&mut from, count, i64::from_le_bytes),
                (item, _) => Err(refused(item, header, "int32 or int64")),
            }
        })
    }

    /// NumPy's name for the values' type.
    pub(super) fn value_type(&mut self) -> Result<String> {
        self.member(DATA, |header, count, mut from| {
            let size = value_size(header)?;
            blocks(&mut from, count, size, |_| {}).map(|()| header.item.name())
        })
    }

    fn values(&mut self) -> Result<Vec<f64>> {
        self.member(DATA, |header, count, mut from| match value_size(header)? {
            4 => numbers(&mut from, count, |b| f64::from(f32::from_le_bytes(b))),
            _ => numbers(&mut from, count, f64::from_le_bytes),
        })
    }
}

/// How many bytes a value of `data.npy` has.
fn value_size(header: &Header) -> Result<usize> {
    match (&header.item, header.shape.len()) {
        (Item::F32, 1) => Ok(4),
        (Item::F64, 1) => Ok(8),
        (item, _) => Err(refused(item, header, "float32 or float64")),
    }
}

/// A member of another type or shape.
fn refused(item: &Item, header: &Header, wanted: &str) -> Error {
    let (name, dims) = (item.name(), header.shape.len());
    Error::unsupported(format!(
        "holds {name} in {dims} dimensions, not a list of {wanted}"
    ))
    .mend("save X.tocsr().astype('float64') with scipy.sparse.save_npz")
}

/// Reads a CSR matrix as `scipy.sparse.save_npz` writes it, compressed or not: indices of `int32` or
/// `int64`, values of `float32` or `float64`. Columns that stand out of order within a row are
/// sorted and those that repeat are summed, as SciPy's `sum_duplicates` does. NaN and infinities are
/// read as they stand.
///
/// # Errors
/// [`Kind::Input`](crate::error::Kind::Input) for a file that is no such archive, is damaged or whose
/// arrays do not go together; [`Kind::Unsupported`](crate::error::Kind::Unsupported) for other forms
/// (CSC, COO, ...), types and compressions, and for passwords;
/// [`Kind::Limit`](crate::error::Kind::Limit) beyond [`crate::limits`] and for an archive that unpacks
/// to far more than its length. All name the file.
pub fn read_npz(path: impl AsRef<Path>) -> Result<Csr> {
    let path = path.as_ref();
    let read = || {
        let mut archive = Archive::open(path)?;
        let (rows, cols) = archive.shape()?;
        let indptr = archive.integers(INDPTR)?;
        if indptr.len() != rows + 1 {
            let message = format!("{} row pointers for {rows} rows", indptr.len());
            return Err(Error::input(message).op(INDPTR).mend(SAVE_IT));
        }
        if indptr[0] != 0 || indptr.windows(2).any(|w| w[0] > w[1]) {
            let message = "row pointers do not ascend from 0";
            return Err(Error::input(message).op(INDPTR).mend(SAVE_IT));
        }
        let indices = archive.integers(INDICES)?;
        let values = archive.values()?;
        let stored = indptr[rows] as u64;
        if indices.len() as u64 != stored || values.len() as u64 != stored {
            let message = format!(
                "{stored} values by the row pointers, {} columns and {} values",
                indices.len(),
                values.len()
            );
            return Err(Error::input(message).mend(SAVE_IT));
        }
        assemble(cols, &indptr, &indices, values)
    };
    read().map_err(|e| e.path(path))
}

/// The matrix of arrays whose lengths go together and whose row pointers ascend.
fn assemble(cols: usize, pointers: &[i64], columns: &[i64], values: Vec<f64>) -> Result<Csr> {
    let mut indices = Vec::with_capacity(columns.len());
    let mut indptr = Vec::with_capacity(pointers.len());
    indptr.push(0);
    let mut values = values;
    let mut row: Vec<(u32, f64)> = Vec::new();
    for (i, w) in pointers.windows(2).enumerate() {
        let (from, to) = (w[0] as usize, w[1] as usize);
        if columns[from..to].iter().any(|&c| c < 0 || c >= cols as i64) {
            return Err(
                Error::input(format!("a column lies outside the {cols} columns"))
                    .op(INDICES)
                    .row(i as u64 + 1)
                    .mend(SAVE_IT),
            );
        }
        let start = indices.len();
        if columns[from..to].windows(2).all(|w| w[0] < w[1]) {
            indices.extend(columns[from..to].iter().map(|&c| c as u32));
            values.copy_within(from..to, start);
        } else {
            row.clear();
            row.extend(
                columns[from..to]
                    .iter()
                    .map(|&c| c as u32)
                    .zip(values[from..to].iter().copied()),
            );
            row.sort_by_key(|&(column, _)| column);
            for same in row.chunk_by(|a, b| a.0 == b.0) {
                values[indices.len()] = same.iter().map(|&(_, value)| value).sum();
                indices.push(same[0].0);
            }
        }
        indptr.push(indices.len());
    }
    values.truncate(indices.len());
    Csr::new(cols, indptr, indices, values)
}

/// Writes `matrix` so that `scipy.sparse.load_npz` reads it: `float64` values, `int32` indices (or
/// `int64`, when there are more values than those can count), deflated. The same matrix gives the
/// same bytes. Written whole or not at all.
///
/// # Errors
/// [`Kind::Io`](crate::error::Kind::Io) naming `path`.
pub fn write_npz(path: impl AsRef<Path>, matrix: &Csr) -> Result<()> {
    write_npz_by(path, matrix, CompressionMethod::Deflated)
}

/// As [`write_npz`], but stored as it stands: quick to write and to read.
///
/// # Errors
/// Those of [`write_npz`].
pub fn write_npz_stored(path: impl AsRef<Path>, matrix: &Csr) -> Result<()> {
    write_npz_by(path, matrix, CompressionMethod::Stored)
}

fn write_npz_by(path: impl AsRef<Path>, matrix: &Csr, method: CompressionMethod) -> Result<()> {
    let narrow = i32::try_from(matrix.nnz()).is_ok();
    let index = if narrow { "<i4" } else { "<i8" };
    let whole = |out: &mut Vec<u8>, n: usize| match narrow {
        true => out.extend_from_slice(&(n as i32).to_le_bytes()),
        false => out.extend_from_slice(&(n as i64).to_le_bytes()),
    };
    write_whole(path, |out| {
        let mut zip = ZipWriter::new_stream(out);
        let lengths = [matrix.nnz()];
        let start = |zip: &mut _, name: &str, descr: &str, shape: &[usize]| {
            start(zip, name, descr, shape, method)
        };
        start(&mut zip, INDICES, index, &lengths)?;
        put(&mut zip, matrix.indices(), |out, &n| whole(out, n as usize))?;
        start(&mut zip, INDPTR, index, &[matrix.rows() + 1])?;
        put(&mut zip, matrix.indptr(), |out, &n| whole(out, n))?;
        start(&mut zip, FORMAT, "|S3", &[])?;
        zip.write_all(b"csr")?;
        start(&mut zip, SHAPE, "<i8", &[2])?;
        let shape = [matrix.rows() as i64, matrix.cols() as i64];
        put(&mut zip, &shape, |out, n| {
            out.extend_from_slice(&n.to_le_bytes())
        })?;
        start(&mut zip, DATA, "<f8", &lengths)?;
        put(&mut zip, matrix.values(), |out, x| {
            out.extend_from_slice(&x.to_le_bytes())
        })?;
        zip.finish()?;
        Ok(())
    })
}

/// Begins a member with the fixed date of 1980 and its `.npy` header.
fn start<W: Write>(
    zip: &mut ZipWriter<zip::write::StreamWriter<W>>,
    name: &str,
    descr: &str,
    shape: &[usize],
    method: CompressionMethod,
) -> std::io::Result<()> {
    let bytes = shape.iter().product::<usize>().saturating_mul(8);
    let options = SimpleFileOptions::default()
        .compression_method(method)
        .last_modified_time(DateTime::default())
        .unix_permissions(0o644)
        .large_file(bytes > u32::MAX as usize / 2);
    zip.start_file(name, options)?;
    zip.write_all(&Header::write(descr, shape))
}

/// Writes `items` as `bytes_of` gives them, a block at a time.
fn put<T>(
    out: &mut impl Write,
    items: &[T],
    bytes_of: impl Fn(&mut Vec<u8>, &T),
) -> std::io::Result<()> {
    let mut bytes = Vec::new();
    for block in items.chunks(1 << 15) {
        bytes.clear();
        block.iter().for_each(|item| bytes_of(&mut bytes, item));
        out.write_all(&bytes)?;
    }
    Ok(())
}
