//! `cargo xtask cuda-toolkit`: a private nvcc under `target/`, from NVIDIA's own wheels.
//!
//! No system-wide CUDA and no card is needed. A second call only checks what is there.

use std::fs;
use std::path::Path;
use std::process::{Command, ExitCode};
use std::time::{Duration, SystemTime};

use crate::nvcc;

/// Installs the toolkit if it is missing or mixed, and says where it is.
pub fn main() -> ExitCode {
    crate::told(install(&crate::root()))
}

fn install(root: &Path) -> Result<String, String> {
    let folder = root.join(nvcc::FOLDER);
    let path = folder.join(nvcc::IN_FOLDER);
    let before = if path.is_file() {
        nvcc::check(&path)
    } else {
        Err("not installed".into())
    };
    let found = match before {
        Ok(found) => {
            println!("already there");
            found
        }
        Err(reason) => {
            println!("{}: {reason}; installing {}", nvcc::FOLDER, nvcc::PACKAGE);
            let found = download(root, &folder, &path)?;
            touch(&root.join("build.rs"))?;
            found
        }
    };
    let said = format!("nvcc {} in {}", found.version, folder.display());
    let built_with = match nvcc::find(root, |name| std::env::var_os(name))? {
        Ok(chosen) if chosen.path == found.path => "The build finds it there by itself".into(),
        Ok(chosen) => format!("The build takes {} instead", chosen.path.display()),
        Err(reason) => return Err(reason),
    };
    Ok(format!(
        "{said}\n{built_with}: it looks at $DOPPEL_NVCC, {}, $CUDA_HOME, $CUDA_PATH, $PATH.",
        nvcc::FOLDER
    ))
}

/// Installs into a folder beside `folder`, checks it there, and gives it its name in one step.
fn download(root: &Path, folder: &Path, path: &Path) -> Result<nvcc::Nvcc, String> {
    if !crate::has("g++", "--version") {
        return Err("nvcc needs g++, which is not in PATH (Debian: apt-get install g++)".into());
    }
    let new = root.join(format!(
        "{}.{}.unfinished",
        nvcc::FOLDER,
        std::process::id()
    ));
    let checked =
        pip(&new, &[nvcc::PACKAGE]).and_then(|()| nvcc::check(&new.join(nvcc::IN_FOLDER)));
    if checked.is_err() {
        // What pip left is of no use; the error below says what went wrong.
        let _ = fs::remove_dir_all(&new);
    }
    let checked = checked?;
    if folder.symlink_metadata().is_ok_and(|m| m.is_symlink()) {
        fs::remove_file(folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    } else if folder.exists() {
        fs::remove_dir_all(folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    }
    fs::rename(&new, folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    Ok(nvcc::Nvcc {
        path: path.to_path_buf(),
        ..checked
    })
}

/// Installs wheels, and what they need, into the folder `to`.
pub fn pip(to: &Path, packages: &[&str]) -> Result<(), String> {
    let python = python()?;
    let arguments = [
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-input",
        "--disable-pip-version-check",
        "--root-user-action=ignore",
        "--only-binary=:all:",
        "--target",
    ];
    let status = Command::new(&python)
        .args(arguments)
        .arg(to)
        .args(packages)
        .status()
        .map_err(|e| format!("{python} did not start: {e}"))?;
    match status.success() {
        true => Ok(()),
        false => Err(format!(
            "`{python} -m pip install {}` failed ({status})",
            packages.join(" ")
        )),
    }
}

/// A Python with pip, or one line on what is missing.
pub fn python() -> Result<String, String> {
    let pythons: Vec<&str> = ["python3", "python"]
        .into_iter()
        .filter(|name| crate::has(name, "--version"))
        .collect();
    let with_pip = pythons.iter().find(|name| {
        let pip = Command::new(name).args(["-m", "pip", "--version"]).output();
        pip.is_ok_and(|out| out.status.success())
    });
    match (with_pip, pythons.first()) {
        (Some(name), _) => Ok(name.to_string()),
        (None, Some(name)) => Err(format!(
            "{name} has no pip (Debian: apt-get install python3-pip)"
        )),
        (None, None) => Err("python3 is not in PATH; Python 3.11 with pip is needed".into()),
    }
}

/// Makes cargo run the build script again, which was content without nvcc before.
fn touch(path: &Path) -> Result<(), String> {
    // The clocks of some file systems are coarse: a second ahead is newer for certain.
    let now = SystemTime::now() + Duration::from_secs(1);
    let file = fs::File::options().append(true).open(path);
    file.and_then(|file| file.set_modified(now))
        .map_err(|e| format!("{}: {e}", path.display()))
}
