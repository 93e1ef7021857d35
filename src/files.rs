//! Files are written whole or not at all: to a temporary file beside the target, flushed to the
//! disk, then renamed over it.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

/// Writes `path` through `fill`, whole or not at all.
///
/// The bytes go to a temporary file in the same folder, which is flushed, synced and renamed to
/// `path`. When `fill` or the disk fails, the temporary file is removed and an older file at `path`
/// stays as it was. A target that is not a regular file (a pipe, `/dev/stdout`) is written straight.
///
/// # Errors
/// What `fill` returns, or [`crate::error::Kind::Io`] naming `path`.
pub fn write_whole(
    path: impl AsRef<Path>,
    fill: impl FnOnce(&mut dyn Write) -> std::io::Result<()>,
) -> Result<()> {
    let path = path.as_ref();
    let fail = |e| failed(e, path);
    let special = path.metadata().is_ok_and(|m| !m.is_file() && !m.is_dir());
    if special {
        let mut out = BufWriter::new(File::options().write(true).open(path).map_err(fail)?);
        return fill(&mut out).and_then(|()| out.flush()).map_err(fail);
    }
    let partial = Partial::create(path)?;
    let mut out = BufWriter::with_capacity(1 << 18, partial);
    fill(&mut out).and_then(|()| out.flush()).map_err(fail)?;
    let partial = out.into_inner().map_err(|e| fail(e.into_error()))?;
    partial.commit()
}

/// A file on its way to its place: it grows under a passing name in the same folder, and
/// [`Partial::commit`] puts it there whole. Dropped before, it is removed.
#[derive(Debug)]
pub struct Partial {
    temporary: tempfile::NamedTempFile,
    path: PathBuf,
}

impl Partial {
    /// Begins the file that is to stand at `path`, so that a missing folder or one that may not be
    /// written shows at once.
    ///
    /// # Errors
    /// `path` is a folder, or [`crate::error::Kind::Io`]; both name it.
    pub fn create(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        if path.is_dir() {
            return Err(Error::input("is a folder").path(path).mend("name a file"));
        }
        let folder = match path.parent() {
            Some(p) if !p.as_os_str().is_empty() => p,
            _ => Path::new("."),
        };
        let temporary = tempfile::Builder::new()
            .prefix(".doppel-")
            .suffix(".partial")
            .permissions(permissions())
            .tempfile_in(folder)
            .map_err(|e| failed(e, path))?;
        Ok(Partial {
            temporary,
            path: path.to_path_buf(),
        })
    }

    /// The file as it stands so far.
    pub fn file(&self) -> &File {
        self.temporary.as_file()
    }

    /// Where it will stand.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Flushes it to the disk and renames it over whatever stands in its place.
    ///
    /// # Errors
    /// [`crate::error::Kind::Io`] naming the place; what stood there stays as it was.
    pub fn commit(self) -> Result<()> {
        let fail = |e| failed(e, &self.path);
        self.temporary.as_file().sync_all().map_err(fail)?;
        self.temporary
            .persist(&self.path)
            .map_err(|e| fail(e.error))?;
        Ok(())
    }
}

impl Write for Partial {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.temporary.write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.temporary.flush()
    }
}

/// The error of a file at `path` that could not be written.
pub(crate) fn failed(error: std::io::Error, path: &Path) -> Error {
    Error::io(error, path).mend(mend_for(path))
}

/// What a new file may be used for: read and write for all, less the process's umask.
#[cfg(unix)]
fn permissions() -> std::fs::Permissions {
    use std::os::unix::fs::PermissionsExt;
    std::fs::Permissions::from_mode(0o666)
}

fn mend_for(path: &Path) -> String {
    format!(
        "nothing was written there; free some space or choose another place than {}",
        path.display()
    )
}

/// `path` with `suffix` added to its whole name: `matches.csv` and `.rejects.csv` give
/// `matches.csv.rejects.csv`.
pub fn beside(path: impl AsRef<Path>, suffix: &str) -> PathBuf {
    let mut name = path.as_ref().as_os_str().to_os_string();
    name.push(suffix);
    PathBuf::from(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failing_write_leaves_the_old_file_and_no_other() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.csv");
        write_whole(&path, |w| w.write_all(b"old")).unwrap();
        let error = write_whole(&path, |w| {
            w.write_all(b"new")?;
            Err(std::io::Error::from(std::io::ErrorKind::StorageFull))
        })
        .unwrap_err();
        assert!(error.to_string().contains("a.csv"), "{error}");
        assert_eq!(std::fs::read(&path).unwrap(), b"old");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_full_device_is_one_line() {
        let error = write_whole("/dev/full", |w| w.write_all(&[0; 1 << 20])).unwrap_err();
        assert!(error.to_string().starts_with("/dev/full: "), "{error}");
    }

    #[test]
    fn beside_keeps_the_whole_name() {
        assert_eq!(
            beside("x/m.csv", ".rejects.csv"),
            Path::new("x/m.csv.rejects.csv")
        );
    }
}
