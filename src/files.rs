//! Files are written whole or not at all: to a temporary file beside the target, flushed to the
//! disk, then renamed over it.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

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

/// A file on its way to its place: it grows without a name, or under a passing one, in the same
/// folder, and [`Partial::commit`] puts it there whole. Dropped before, it is gone; where it could
/// grow without a name (Linux), it is gone after `kill -9` too.
#[derive(Debug)]
pub struct Partial {
    growing: Growing,
    path: PathBuf,
}

#[derive(Debug)]
enum Growing {
    #[cfg(target_os = "linux")]
    Nameless(File),
    Named(NamedTempFile),
}

impl Partial {
    /// Begins the file that is to stand at `path`, so that a missing folder or one that may not be
    /// written shows at once.
    ///
    /// # Errors
    /// `path` is a folder, a pipe or a device, or [`crate::error::Kind::Io`]; all name it.
    pub fn create(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        if path.is_dir() {
            return Err(Error::input("is a folder").path(path).mend("name a file"));
        }
        if path.metadata().is_ok_and(|m| !m.is_file()) {
            return Err(Error::input("is not a regular file")
                .path(path)
                .mend("name a file"));
        }
        let growing = Growing::create(folder_of(path)).map_err(|e| failed(e, path))?;
        Ok(Partial {
            growing,
            path: path.to_path_buf(),
        })
    }

    /// The file as it stands so far.
    pub fn file(&self) -> &File {
        self.growing.file()
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
        let Partial { growing, path } = self;
        let fail = |e| failed(e, &path);
        // Before it has a name, so that a passing one stands there for a moment only.
        growing.file().sync_all().map_err(fail)?;
        let named = growing.name(folder_of(&path)).map_err(fail)?;
        named.persist(&path).map_err(|e| fail(e.error))?;
        Ok(())
    }
}

impl Write for Partial {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.file().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.file().flush()
    }
}

impl Growing {
    fn create(folder: &Path) -> std::io::Result<Self> {
        #[cfg(target_os = "linux")]
        if let Some(file) = nameless::create(folder) {
            return Ok(Growing::Nameless(file));
        }
        passing_names().tempfile_in(folder).map(Growing::Named)
    }

    fn file(&self) -> &File {
        match self {
            #[cfg(target_os = "linux")]
            Growing::Nameless(file) => file,
            Growing::Named(named) => named.as_file(),
        }
    }

    /// The same file under a passing name in `folder`.
    fn name(self, folder: &Path) -> std::io::Result<NamedTempFile> {
        match self {
            #[cfg(target_os = "linux")]
            Growing::Nameless(file) => nameless::name(file, folder),
            Growing::Named(named) => Ok(named),
        }
    }
}

/// The folder that `path` stands in.
fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

fn passing_names() -> tempfile::Builder<'static, 'static> {
    let mut names = tempfile::Builder::new();
    names
        .prefix(".doppel-")
        .suffix(".partial")
        .permissions(permissions());
    names
}

/// Linux's files without a name: open(2), `O_TMPFILE`.
#[cfg(target_os = "linux")]
mod nameless {
    use std::ffi::CString;
    use std::fs::File;
    use std::io::{Error, Result, Seek};
    use std::os::fd::AsRawFd;
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::fs::OpenOptionsExt;
    use std::path::Path;

    use tempfile::NamedTempFile;

    /// A file in `folder` that has no name; `None` where there is no such thing, or where it could
    /// not be given a name later.
    pub(super) fn create(folder: &Path) -> Option<File> {
        let mut options = File::options();
        options.read(true).write(true).mode(0o666);
        let file = options.custom_flags(libc::O_TMPFILE).open(folder).ok()?;
        let entry = entry_of(&file);
        Path::new(&entry).exists().then_some(file)
    }

    /// Gives `file` a passing name in `folder`; where the system refuses, to a copy of it.
    pub(super) fn name(mut file: File, folder: &Path) -> Result<NamedTempFile> {
        let linked = super::passing_names().make_in(folder, |path| {
            link(&file, path)?;
            file.try_clone()
        });
        if let Ok(named) = linked {
            return Ok(named);
        }
        let mut named = super::passing_names().tempfile_in(folder)?;
        file.rewind()?;
        std::io::copy(&mut file, named.as_file_mut())?;
        named.as_file().sync_all()?;
        Ok(named)
    }

    /// Where the process sees its own open file.
    fn entry_of(file: &File) -> String {
        format!("/proc/self/fd/{}", file.as_raw_fd())
    }

    fn link(file: &File, path: &Path) -> Result<()> {
        let from = CString::new(entry_of(file))?;
        let to = CString::new(path.as_os_str().as_bytes())?;
        let here = libc::AT_FDCWD;
        let follow = libc::AT_SYMLINK_FOLLOW;
        // SAFETY: both paths end with a NUL and live through the call, which only reads them.
        match unsafe { libc::linkat(here, from.as_ptr(), here, to.as_ptr(), follow) } {
            0 => Ok(()),
            _ => Err(Error::last_os_error()),
        }
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
    fn files_without_a_name_and_with_one_arrive_alike() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.csv");
        for (i, named) in [false, true].into_iter().enumerate() {
            let mut partial = Partial::create(&path).unwrap();
            if named {
                partial.growing = Growing::Named(passing_names().tempfile_in(dir.path()).unwrap());
            }
            partial.write_all(&vec![i as u8; 100_000]).unwrap();
            partial.commit().unwrap();
            assert!(std::fs::read(&path).unwrap() == vec![i as u8; 100_000]);
            assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
            #[cfg(unix)]
            {
                use std::os::unix::fs::PermissionsExt;
                let plain = dir.path().join("plain");
                std::fs::write(&plain, "").unwrap();
                let mode = |p: &Path| p.metadata().unwrap().permissions().mode();
                assert_eq!(mode(&path), mode(&plain));
                std::fs::remove_file(plain).unwrap();
            }
        }
        assert_eq!(folder_of(Path::new("a.csv")), Path::new("."));
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
