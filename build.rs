//! Compiles `kernels/` with nvcc to one fatbin a file and writes `images.rs`, which embeds them.
//!
//! Without nvcc the CPU engine is built, and one warning says so; `DOPPEL_REQUIRE_KERNELS=1` makes
//! that an error. What a file is compiled to, and what fails it, is in `xtask/src/kernel_build.rs` and
//! `xtask/src/ptxas.rs`. A compiled file is kept in `target/kernels`, so that other profiles need not
//! compile it again.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::{env, fs, io, thread};

#[path = "xtask/src/kernel_build.rs"]
#[allow(dead_code, reason = "what each kernel takes is for xtask alone")]
mod kernel_build;
#[path = "xtask/src/kernel_sources.rs"]
mod kernel_sources;
#[path = "xtask/src/nvcc.rs"]
#[allow(dead_code, reason = "what pip installs is for xtask alone")]
mod nvcc;
#[path = "xtask/src/ptxas.rs"]
#[allow(dead_code, reason = "what each kernel takes is for xtask alone")]
mod ptxas;

use kernel_build::{Compiled, compile};
use kernel_sources::Family;
use nvcc::Nvcc;

fn main() {
    let faults = match build() {
        Ok(()) => return,
        Err(faults) => faults,
    };
    for fault in faults.lines() {
        println!("cargo::error={fault}");
    }
}

fn build() -> Result<(), String> {
    let root = PathBuf::from(variable("CARGO_MANIFEST_DIR")?);
    let out = PathBuf::from(variable("OUT_DIR")?);
    for name in [
        "DOPPEL_NVCC",
        "DOPPEL_REQUIRE_KERNELS",
        "CUDA_HOME",
        "CUDA_PATH",
    ] {
        println!("cargo::rerun-if-env-changed={name}");
    }
    println!("cargo::rerun-if-changed=build.rs");
    if root.join("kernels").is_dir() {
        println!("cargo::rerun-if-changed=kernels");
    }
    let families = kernel_sources::families(&root).map_err(|e| format!("kernels: {e}"))?;
    if env::var_os("CARGO_FEATURE_CUDA").is_none() {
        return write(&out, &families, &[], "built without the feature `cuda`", "");
    }
    let nvcc = match nvcc::find(&root, |name| env::var_os(name))? {
        Ok(nvcc) => nvcc,
        Err(reason) if required() => {
            return Err(format!("DOPPEL_REQUIRE_KERNELS is set, and {reason}"));
        }
        Err(reason) => {
            if !families.is_empty() {
                println!("cargo::warning=no CUDA kernels, the CPU engine alone: {reason}");
            }
            return write(&out, &families, &[], "built without nvcc", "");
        }
    };
    println!("cargo::rerun-if-changed={}", nvcc.path.display());
    let compiled = compile_all(&root, &nvcc, &families)?;
    for file in &compiled {
        for warning in &file.warnings {
            println!("cargo::warning={}: {warning}", file.file.display());
        }
    }
    let reason = if compiled.is_empty() {
        "there are no kernels in this source tree"
    } else {
        ""
    };
    write(&out, &families, &compiled, reason, &nvcc.version)
}

fn variable(name: &str) -> Result<String, String> {
    env::var(name).map_err(|e| format!("{name}: {e}"))
}

/// Whether missing kernels are an error.
fn required() -> bool {
    env::var_os("DOPPEL_REQUIRE_KERNELS").is_some_and(|value| !value.is_empty() && value != "0")
}

/// Compiles all files, as many at a time as cargo has jobs.
fn compile_all(root: &Path, nvcc: &Nvcc, families: &[Family]) -> Result<Vec<Compiled>, String> {
    let files: Vec<(&str, &Path)> = families
        .iter()
        .flat_map(|f| {
            f.files
                .iter()
                .map(move |file| (f.name.as_str(), file.as_path()))
        })
        .collect();
    let jobs: usize = env::var("NUM_JOBS")
        .ok()
        .and_then(|n| n.parse().ok())
        .unwrap_or(1);
    let next = AtomicUsize::new(0);
    let work = || {
        let mut done = Vec::new();
        while let Some((family, file)) = files.get(next.fetch_add(1, Ordering::Relaxed)) {
            done.push((*file, compile(root, nvcc, family, file)));
        }
        done
    };
    let mut results: Vec<(&Path, Result<Compiled, String>)> = thread::scope(|scope| {
        let workers: Vec<_> = (0..jobs.clamp(1, files.len().max(1)))
            .map(|_| scope.spawn(work))
            .collect();
        workers
            .into_iter()
            .flat_map(|worker| worker.join().unwrap_or_default())
            .collect()
    });
    results.sort_by_key(|(file, _)| *file);
    if results.len() != files.len() {
        return Err("a worker that compiles kernels stopped".into());
    }
    let (good, bad): (Vec<_>, Vec<_>) = results
        .into_iter()
        .map(|(_, result)| result)
        .partition(Result::is_ok);
    if !bad.is_empty() {
        return Err(bad
            .into_iter()
            .filter_map(Result::err)
            .collect::<Vec<_>>()
            .join("\n"));
    }
    let compiled: Vec<Compiled> = good.into_iter().filter_map(Result::ok).collect();
    no_symbol_twice(&compiled)?;
    Ok(compiled)
}

/// A kernel is found by family and symbol, so these must be one of a kind.
fn no_symbol_twice(compiled: &[Compiled]) -> Result<(), String> {
    let mut seen = BTreeSet::new();
    for file in compiled {
        for kernel in &file.kernels {
            if !seen.insert((&file.family, kernel)) {
                let family = &file.family;
                return Err(format!(
                    "{}: {family} has {kernel} already",
                    file.file.display()
                ));
            }
        }
    }
    Ok(())
}

/// Writes `images.rs`, and copies what it embeds beside it.
fn write(
    out: &Path,
    families: &[Family],
    compiled: &[Compiled],
    reason: &str,
    version: &str,
) -> Result<(), String> {
    let fault = |error: io::Error| format!("{}: {error}", out.display());
    let mut text =
        String::from("/// The kernels, one image a file.\npub static IMAGES: &[Image] = &[\n");
    for (at, file) in compiled.iter().enumerate() {
        let name = format!("{at}.fatbin");
        fs::copy(&file.fatbin, out.join(&name)).map_err(fault)?;
        text += &format!(
            "    Image {{\n        family: {:?},\n        file: {:?},\n        archs: &{:?},\n        \
             kernels: &{:?},\n        bytes: &Aligned(*include_bytes!(concat!(env!(\"OUT_DIR\"), \
             \"/{name}\"))).0,\n    }},\n",
            file.family,
            file.file.display().to_string(),
            file.archs,
            file.kernels.iter().collect::<Vec<_>>(),
        );
    }
    text += "];\n\n/// The families of `kernels/`, built in or not.\n";
    text += "pub static FAMILIES: &[Family] = &[\n";
    for family in families {
        text += &format!(
            "    Family {{ name: {:?}, hash: {:?} }},\n",
            family.name, family.hash
        );
    }
    text += &format!(
        "];\n\n/// Why [`IMAGES`] is empty; empty itself when there are images.\n\
         pub const WHY_NONE: &str = {reason:?};\n\n\
         /// The version of nvcc that made [`IMAGES`]; empty without images.\n\
         pub const NVCC: &str = {version:?};\n"
    );
    let path = out.join("images.rs");
    if fs::read_to_string(&path).is_ok_and(|old| old == text) {
        return Ok(());
    }
    fs::write(path, text).map_err(fault)
}
