//! `cargo xtask sass`: what machine code nvcc made of the kernels, checked and tabled.
//!
//! Disassembles every compiled image, holds each kernel against the rules of [`rules`], and compares
//! the table of registers, shared memory and instructions with the committed one, `docs/kernels.md`.
//! It shows what the compiler made, not that it runs: for that see `cargo xtask verified`.

mod dump;
mod rules;
mod table;

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::{fs, thread};

use crate::kernel_build::{self, Compiled};
use crate::nvcc::Nvcc;
use crate::{cuda_toolkit, kernel_sources, nvcc, ptxas};
use table::Row;

/// Where the disassembler is kept, from the repository's root.
const FOLDER: &str = "target/cuda-tools";
/// The oldest that PyPI has are of 13.2; these read the images of 13.0.
const PACKAGES: [&str; 2] = [
    "nvidia-cuda-cuobjdump==13.5.37",
    "nvidia-cuda-nvdisasm==13.5.37",
];
const IN_FOLDER: &str = "nvidia/cu13/bin/cuobjdump";
/// The committed table.
const TABLE: &str = "docs/kernels.md";

/// `write` makes the committed table anew instead of comparing it.
pub fn main(write: bool) -> ExitCode {
    crate::told(check(&crate::root(), write))
}

/// Whether there is a compiler whose code can be looked at.
pub fn possible(root: &Path) -> bool {
    matches!(nvcc::find(root, |name| std::env::var_os(name)), Ok(Ok(_)))
}

fn check(root: &Path, write: bool) -> Result<String, String> {
    let nvcc = nvcc::find(root, |name| std::env::var_os(name))??;
    let tool = disassembler(root)?;
    let families = kernel_sources::families(root).map_err(|e| format!("kernels: {e}"))?;
    let files: Vec<(&str, &Path)> = families
        .iter()
        .flat_map(|f| f.files.iter().map(|file| (f.name.as_str(), file.as_path())))
        .collect();
    let mut rows = Vec::new();
    let mut faults = Vec::new();
    for looked in look(root, &nvcc, &tool, &files) {
        match looked {
            Ok(found) => rows.extend(found),
            Err(fault) => faults.push(fault),
        }
    }
    rows.sort();
    faults.extend(rows.iter().flat_map(rules::faults));
    if !faults.is_empty() {
        faults.sort();
        return Err(faults.join("\nerror: "));
    }
    let text = table::text(&rows, &nvcc.version);
    let path = root.join(TABLE);
    if write {
        fs::write(&path, text).map_err(|e| format!("{TABLE}: {e}"))?;
        return Ok(format!("{} kernels; {TABLE} is written", rows.len()));
    }
    let have = fs::read_to_string(&path).unwrap_or_default();
    if have == text {
        return Ok(format!("{} kernels are as {TABLE} says", rows.len()));
    }
    let first = table::first_difference(&have, &text);
    Err(format!(
        "{TABLE} is not of these kernels; run: cargo xtask sass --write\n{first}"
    ))
}

/// Compiles and disassembles every file, as many at a time as there are cores.
fn look(
    root: &Path,
    nvcc: &Nvcc,
    tool: &Path,
    files: &[(&str, &Path)],
) -> Vec<Result<Vec<Row>, String>> {
    let (next, done) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let work = || {
        while let Some((family, file)) = files.get(next.fetch_add(1, Ordering::Relaxed)) {
            let found = kernel_build::compile(root, nvcc, family, file)
                .and_then(|compiled| rows_of(root, tool, &compiled));
            if let Ok(mut done) = done.lock() {
                done.push(found);
            }
        }
    };
    let workers = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(work);
        }
    });
    done.into_inner().unwrap_or_default()
}

/// A row for each kernel and architecture of one image.
fn rows_of(root: &Path, tool: &Path, compiled: &Compiled) -> Result<Vec<Row>, String> {
    let file = compiled.file.display();
    let out = Command::new(tool)
        .arg("-sass")
        .arg(&compiled.fatbin)
        .output()
        .map_err(|e| format!("{} did not start: {e}", tool.display()))?;
    if !out.status.success() {
        let said = String::from_utf8_lossy(&out.stderr).into_owned();
        return Err(format!("{file}: cuobjdump failed: {}", said.trim()));
    }
    let source =
        fs::read_to_string(root.join(&compiled.file)).map_err(|e| format!("{file}: {e}"))?;
    let meant = source.lines().any(|line| line.starts_with(ptxas::MEANT));
    let mut codes = dump::read(&String::from_utf8_lossy(&out.stdout));
    let mut rows = Vec::new();
    for used in &compiled.used {
        let at = codes
            .iter()
            .position(|c| c.kernel == used.kernel && c.arch == used.arch)
            .ok_or_else(|| {
                format!(
                    "{file}: no machine code of {} for {}",
                    used.kernel, used.arch
                )
            })?;
        rows.push(Row {
            family: compiled.family.clone(),
            used: used.clone(),
            meant,
            code: codes.swap_remove(at),
        });
    }
    match codes.first() {
        Some(more) => Err(format!("{file}: ptxas said nothing of {}", more.kernel)),
        None => Ok(rows),
    }
}

/// The pinned cuobjdump with nvdisasm beside it, installed where it is missing.
fn disassembler(root: &Path) -> Result<PathBuf, String> {
    let folder = root.join(FOLDER);
    let tool = folder.join(IN_FOLDER);
    let there = |dist: &str| folder.join(dist).is_dir();
    let dists = PACKAGES.map(|p| p.replace('-', "_").replace("==", "-") + ".dist-info");
    if tool.is_file() && dists.iter().all(|dist| there(dist)) {
        return Ok(tool);
    }
    println!("{FOLDER}: installing {}", PACKAGES.join(" "));
    let new = root.join(format!("{FOLDER}.{}.unfinished", std::process::id()));
    let installed = cuda_toolkit::pip(&new, &PACKAGES).and_then(|()| {
        if folder.exists() {
            fs::remove_dir_all(&folder).map_err(|e| format!("{}: {e}", folder.display()))?;
        }
        fs::rename(&new, &folder).map_err(|e| format!("{}: {e}", folder.display()))
    });
    if installed.is_err() {
        // What pip left is of no use; the error says what went wrong.
        let _ = fs::remove_dir_all(&new);
    }
    installed.map(|()| tool)
}
