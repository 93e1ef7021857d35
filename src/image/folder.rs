//! The folder that holds the listings' images, and what a listing's name may reach in it.

use std::fs::{File, Metadata};
use std::io::Read;
use std::path::{Component, Path, PathBuf};

use super::decode::too_long;
use crate::error::{Error, Result};
use crate::limits::MAX_IMAGE_BYTES;

/// A folder of images. A name from a listing reaches regular files inside it and nothing else.
#[derive(Debug, Clone)]
pub struct ImageFolder {
    /// As the user named it, for messages.
    given: PathBuf,
    /// Without links and dots.
    real: PathBuf,
}

impl ImageFolder {
    /// The folder at `dir`.
    ///
    /// # Errors
    /// It is missing, not a folder, or cannot be read.
    pub fn open(dir: impl AsRef<Path>) -> Result<Self> {
        let dir = dir.as_ref();
        let mend = "name the folder that holds the listings' images";
        let real = dir
            .canonicalize()
            .map_err(|e| Error::io(e, dir).mend(mend))?;
        if !real.is_dir() {
            return Err(Error::input("is not a folder").path(dir).mend(mend));
        }
        Ok(ImageFolder {
            given: dir.to_path_buf(),
            real,
        })
    }

    /// The folder, as it was named.
    pub fn path(&self) -> &Path {
        &self.given
    }

    /// The regular file that a listing's image `name` means, free of links.
    ///
    /// The name is relative, has no `..` and may go through folders and links, as long as it ends
    /// inside the folder. Nothing is opened.
    ///
    /// # Errors
    /// An empty name, one with a NUL, an absolute one, one with `..`, a missing file, a link that
    /// leads out of the folder, a folder, a device, a pipe or a socket; each names the file.
    pub fn resolve(&self, name: &str) -> Result<PathBuf> {
        let relative = check_name(name)?;
        let path = self.given.join(relative);
        let real = self.real.join(relative).canonicalize().map_err(|e| {
            let error = match e.kind() {
                std::io::ErrorKind::NotFound => Error::input("there is no such file").path(&path),
                _ => Error::io(e, &path),
            };
            error.mend("put the image there, or correct its name in the listing")
        })?;
        if !real.starts_with(&self.real) {
            return Err(Error::input("is a link that leads out of the image folder")
                .path(&path)
                .mend("copy the file into the folder"));
        }
        let metadata = real.metadata().map_err(|e| Error::io(e, &path))?;
        check_regular(&metadata).map_err(|e| e.path(&path))?;
        Ok(real)
    }

    /// The bytes of a listing's image.
    ///
    /// # Errors
    /// Those of [`ImageFolder::resolve`], a file above [`MAX_IMAGE_BYTES`], or what the operating
    /// system says; each names the file.
    pub fn read(&self, name: &str) -> Result<Vec<u8>> {
        let real = self.resolve(name)?;
        self.read_resolved(name, &real)
    }

    /// The bytes of `real`, which [`ImageFolder::resolve`] gave for `name`.
    pub(crate) fn read_resolved(&self, name: &str, real: &Path) -> Result<Vec<u8>> {
        read_regular(real).map_err(|e| e.path(self.named(name)))
    }

    /// The path that messages about `name` show.
    pub(super) fn named(&self, name: &str) -> PathBuf {
        self.given.join(name)
    }
}

/// The name as a path, when it cannot leave the folder by its spelling.
fn check_name(name: &str) -> Result<&Path> {
    let refuse = |message: &str| {
        Err(Error::input(message)
            .path(name)
            .mend("name the image by its path inside the image folder"))
    };
    if name.trim().is_empty() {
        return Err(Error::input("the name of the image is empty")
            .mend("leave the image column out, or name a file"));
    }
    if name.contains('\0') {
        return refuse("the name of the image has a NUL in it");
    }
    let path = Path::new(name);
    for part in path.components() {
        match part {
            Component::Prefix(_) | Component::RootDir => {
                return refuse("the name of the image is an absolute path");
            }
            Component::ParentDir => {
                return refuse("the name of the image leaves the folder by `..`");
            }
            Component::CurDir | Component::Normal(_) => {}
        }
    }
    Ok(path)
}

fn check_regular(metadata: &Metadata) -> Result<()> {
    let mend = "name an image file";
    if metadata.is_dir() {
        Err(Error::input("is a folder").mend(mend))
    } else if metadata.is_file() {
        Ok(())
    } else {
        Err(Error::input("is not a regular file but a device, a pipe or a socket").mend(mend))
    }
}

/// Reads a file that was regular a moment ago; should it have been swapped for a pipe or a link
/// since, the open neither waits nor follows.
fn read_regular(path: &Path) -> Result<Vec<u8>> {
    let file = open(path).map_err(told)?;
    let metadata = file.metadata().map_err(told)?;
    check_regular(&metadata)?;
    if metadata.len() > MAX_IMAGE_BYTES {
        return Err(too_long(metadata.len()));
    }
    let mut bytes = Vec::with_capacity(metadata.len() as usize + 1);
    file.take(MAX_IMAGE_BYTES + 1)
        .read_to_end(&mut bytes)
        .map_err(told)?;
    if bytes.len() as u64 > MAX_IMAGE_BYTES {
        return Err(too_long(bytes.len() as u64));
    }
    Ok(bytes)
}

/// What the operating system said; the caller adds the path as the user knows it.
fn told(error: std::io::Error) -> Error {
    Error::io(error, "").mend("make the file readable")
}

#[cfg(unix)]
fn open(path: &Path) -> std::io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt;
    File::options()
        .read(true)
        .custom_flags(libc::O_NONBLOCK | libc::O_NOFOLLOW | libc::O_NOCTTY)
        .open(path)
}

#[cfg(not(unix))]
fn open(path: &Path) -> std::io::Result<File> {
    File::open(path)
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use std::ffi::CString;
    use std::os::unix::ffi::OsStrExt;

    /// What stands at the path when it is opened counts, whatever stood there when it was resolved.
    #[test]
    fn a_file_swapped_after_its_check_neither_blocks_nor_is_followed() {
        let dir = tempfile::tempdir().unwrap();
        let pipe = dir.path().join("pipe");
        let name = CString::new(pipe.as_os_str().as_bytes()).unwrap();
        // SAFETY: `name` is a NUL-terminated path that lives through the call.
        assert_eq!(unsafe { libc::mkfifo(name.as_ptr(), 0o600) }, 0);
        let error = read_regular(&pipe).unwrap_err();
        assert!(error.to_string().contains("a pipe"), "{error}");

        let file = dir.path().join("file");
        std::fs::write(&file, b"here").unwrap();
        assert_eq!(read_regular(&file).unwrap(), b"here");
        let link = dir.path().join("link");
        std::os::unix::fs::symlink(&file, &link).unwrap();
        assert!(read_regular(&link).is_err());
        assert!(read_regular(dir.path()).is_err());
    }
}
