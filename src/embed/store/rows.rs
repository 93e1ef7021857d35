//! A `.npy` that grows row by row, in any order.

use std::io::{Seek, SeekFrom, Write};
use std::path::Path;

use half::f16;

use super::NpyDtype;
use super::header::Header;
use crate::error::{Error, Result};
use crate::files::{Partial, failed};
use crate::limits::{MAX_DIMS, MAX_ROWS};

/// Writes a `.npy` row by row, so that the matrix never stands in memory. Rows that are not written
/// are zeros.
///
/// The bytes are those of [`write_npy`](super::write_npy). The file takes its place in
/// [`NpyRows::finish`], whole; dropped before, nothing stays behind.
///
/// ```
/// use doppel::embed::store::{NpyDtype, NpyRows, read_npy};
///
/// # let dir = tempfile::tempdir().map_err(|e| doppel::Error::io(e, "."))?;
/// # let path = dir.path().join("x.npy");
/// let mut rows = NpyRows::create(&path, 3, 2, NpyDtype::F32)?;
/// rows.put(2, &[3.0, 4.0])?;
/// rows.put(0, &[1.0, 2.0])?;
/// rows.finish()?;
/// assert_eq!(read_npy(&path)?.data(), [1.0, 2.0, 0.0, 0.0, 3.0, 4.0]);
/// # Ok::<(), doppel::Error>(())
/// ```
#[derive(Debug)]
pub struct NpyRows {
    partial: Partial,
    rows: usize,
    dims: usize,
    dtype: NpyDtype,
    /// Bytes before the first row.
    before: u64,
    /// Where the file's cursor stands.
    at: u64,
    bytes: Vec<u8>,
    halves: Vec<f16>,
}

impl NpyRows {
    /// Begins `rows` rows of `dims` values at `path`. The room is taken at once where the file system
    /// can do that, so that a full disk shows before the work and not after it.
    ///
    /// # Errors
    /// [`Kind::Limit`](crate::error::Kind::Limit) beyond [`crate::limits`];
    /// [`Kind::Input`](crate::error::Kind::Input) for a target that is there and no regular file;
    /// [`Kind::Io`](crate::error::Kind::Io) naming `path`.
    pub fn create(
        path: impl AsRef<Path>,
        rows: usize,
        dims: usize,
        dtype: NpyDtype,
    ) -> Result<Self> {
        let path = path.as_ref();
        if rows > MAX_ROWS || dims > MAX_DIMS {
            let message = format!("{rows} rows of {dims} columns are more than a .npy may hold");
            return Err(Error::limit(message).path(path));
        }
        let header = Header::write(dtype.descr(), &[rows, dims]);
        let before = header.len() as u64;
        let mut written = NpyRows {
            partial: Partial::create(path)?,
            rows,
            dims,
            dtype,
            before,
            at: before,
            bytes: Vec::new(),
            halves: Vec::new(),
        };
        written.reserve(before + rows as u64 * written.row_bytes())?;
        written.write(&header)?;
        Ok(written)
    }

    /// Writes row `row`, counted from 0.
    ///
    /// # Errors
    /// [`Kind::Shape`](crate::error::Kind::Shape) for a row that is not there or has another length;
    /// [`Kind::Io`](crate::error::Kind::Io).
    pub fn put(&mut self, row: usize, values: &[f32]) -> Result<()> {
        if row >= self.rows || values.len() != self.dims {
            let wanted = [self.rows, self.dims];
            return Err(
                Error::shape("npy", &wanted, &[row, values.len()]).path(self.partial.path())
            );
        }
        let mut bytes = std::mem::take(&mut self.bytes);
        bytes.clear();
        self.dtype.encode(values, &mut self.halves, &mut bytes);
        let place = self.before + row as u64 * self.row_bytes();
        let done = self.seek(place).and_then(|()| self.write(&bytes));
        self.at = place + bytes.len() as u64;
        self.bytes = bytes;
        done
    }

    /// Puts the file in its place.
    ///
    /// # Errors
    /// [`Kind::Io`](crate::error::Kind::Io) naming the file; what stood there stays as it was.
    pub fn finish(self) -> Result<()> {
        self.partial.commit()
    }

    fn row_bytes(&self) -> u64 {
        self.dims as u64 * self.dtype.bytes()
    }

    fn seek(&mut self, place: u64) -> Result<()> {
        if place == self.at {
            return Ok(());
        }
        let to = SeekFrom::Start(place);
        match self.partial.file().seek(to) {
            Ok(_) => Ok(()),
            Err(e) => Err(self.failed(e)),
        }
    }

    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.partial.write_all(bytes).map_err(|e| self.failed(e))
    }

    fn failed(&self, error: std::io::Error) -> Error {
        failed(error, self.partial.path())
    }

    /// Makes the file `length` bytes of zeros.
    fn reserve(&self, length: u64) -> Result<()> {
        let file = self.partial.file();
        allocate(file, length)
            .and_then(|()| file.set_len(length))
            .map_err(|e| self.failed(e))
    }
}

/// Takes `length` bytes of the disk for `file`; does nothing on a file system that cannot.
#[cfg(target_os = "linux")]
pub(crate) fn allocate(file: &std::fs::File, length: u64) -> std::io::Result<()> {
    use std::os::fd::AsRawFd;
    let too_long = |_| std::io::Error::from(std::io::ErrorKind::FileTooLarge);
    let length = libc::off_t::try_from(length).map_err(too_long)?;
    loop {
        // SAFETY: the descriptor is that of `file`, open through the call; no memory is passed.
        if unsafe { libc::fallocate(file.as_raw_fd(), 0, 0, length) } == 0 {
            return Ok(());
        }
        let error = std::io::Error::last_os_error();
        match error.raw_os_error() {
            Some(libc::EINTR) => {}
            Some(libc::EOPNOTSUPP | libc::ENOSYS) => return Ok(()),
            _ => return Err(error),
        }
    }
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn allocate(_: &std::fs::File, _: u64) -> std::io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::embed::store::{read_npy, write_npy};
    use crate::tensor::Matrix;

    #[test]
    fn rows_in_any_order_are_the_bytes_of_the_whole_matrix() {
        let dir = tempfile::tempdir().unwrap();
        let (whole, rows) = (dir.path().join("whole.npy"), dir.path().join("rows.npy"));
        let mut random = fastrand::Rng::with_seed(3);
        for dtype in [NpyDtype::F32, NpyDtype::F16] {
            for (n, dims) in [(0, 3), (1, 1), (7, 5), (40, 33), (3, 0)] {
                let mut matrix = Matrix::zeros(n, dims);
                let mut order: Vec<usize> = (0..n).collect();
                random.shuffle(&mut order);
                let mut written = NpyRows::create(&rows, n, dims, dtype).unwrap();
                for &row in order.iter().skip(n / 5) {
                    let values: Vec<f32> = (0..dims).map(|_| random.f32() * 1e3 - 5e2).collect();
                    matrix.row_mut(row).copy_from_slice(&values);
                    written.put(row, &values).unwrap();
                }
                written.finish().unwrap();
                write_npy(&whole, &matrix, dtype).unwrap();
                let (a, b) = (
                    std::fs::read(&whole).unwrap(),
                    std::fs::read(&rows).unwrap(),
                );
                assert!(a == b, "{dtype:?} {n} x {dims}");
                assert_eq!(read_npy(&rows).unwrap().rows(), n);
            }
        }
    }

    #[test]
    fn what_is_not_finished_leaves_the_old_file_and_no_other() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.npy");
        std::fs::write(&path, "old").unwrap();
        let mut rows = NpyRows::create(&path, 4, 2, NpyDtype::F32).unwrap();
        rows.put(1, &[1.0, 2.0]).unwrap();
        drop(rows);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
        assert_eq!(std::fs::read(&path).unwrap(), b"old");
    }

    #[test]
    fn wrong_rows_and_places_are_errors() {
        let dir = tempfile::tempdir().unwrap();
        let create = |path: &Path, rows, dims| NpyRows::create(path, rows, dims, NpyDtype::F16);
        let mut rows = create(&dir.path().join("x.npy"), 2, 2).unwrap();
        assert!(rows.put(2, &[0.0; 2]).is_err());
        assert!(rows.put(0, &[0.0; 3]).is_err());
        for (path, rows, dims, word) in [
            (dir.path().join("gone/x.npy"), 1, 1, "gone/x.npy"),
            (dir.path().to_path_buf(), 1, 1, "folder"),
            (dir.path().join("y.npy"), MAX_ROWS + 1, 1, "rows"),
            (dir.path().join("y.npy"), 1, MAX_DIMS + 1, "columns"),
        ] {
            let error = create(&path, rows, dims).unwrap_err().to_string();
            assert!(error.contains(word), "{error}");
        }
        #[cfg(unix)]
        {
            let error = create(Path::new("/dev/null"), 1, 1).unwrap_err();
            assert!(error.to_string().contains("not a regular file"), "{error}");
        }
    }
}
