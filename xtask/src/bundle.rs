//! `cargo xtask gpu-bundle`: all that is to run on a real card, in one folder that needs only a driver.
//!
//! The binaries are for any x86-64 processor: built here, without the flags of this machine's
//! environment, stripped, with the kernels in them. `run.sh` runs them and writes one JSON, which
//! `cargo xtask verified --record` takes.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::kernel_sources;

const RUN: &str = include_str!("bundle/run.sh");
const PEER: &str = "benches/peers/torch_gpu.py";
/// The folder that is made, from the repository's root.
const FOLDER: &str = "target/gpu-bundle";
/// The tree and the archive that is carried with it share so much.
const MOST: u64 = 64 << 20;
/// What is built: cargo's words, and the executable's name.
const BUILT: [(&[&str], &str); 5] = [
    (&["build", "--bin", "engine"], "engine"),
    (&["test", "--no-run", "--test", "device"], "device"),
    (&["test", "--no-run", "--test", "gpu_probe"], "gpu_probe"),
    (&["test", "--no-run", "--bench", "cublas"], "cublas"),
    (&["test", "--no-run", "--bench", "whole_job"], "whole_job"),
];

/// `dev` builds in the quick profile: to try the bundle, not to measure with it.
pub fn main(dev: bool) -> ExitCode {
    crate::told(make(&crate::root(), dev))
}

fn make(root: &Path, dev: bool) -> Result<String, String> {
    let folder = root.join(FOLDER);
    let fault = |e: std::io::Error| format!("{FOLDER}: {e}");
    if folder.exists() {
        fs::remove_dir_all(&folder).map_err(fault)?;
    }
    fs::create_dir_all(folder.join("bin")).map_err(fault)?;
    for (words, name) in BUILT {
        let built = build(root, words, name, dev)?;
        let to = folder.join("bin").join(name);
        fs::copy(&built, &to).map_err(|e| format!("{}: {e}", built.display()))?;
        strip(&to)?;
    }
    fs::write(folder.join("run.sh"), RUN).map_err(fault)?;
    executable(&folder.join("run.sh")).map_err(fault)?;
    fs::copy(root.join(PEER), folder.join("torch_gpu.py")).map_err(fault)?;
    let manifest = manifest(root, &folder, dev)?;
    fs::write(folder.join("manifest.json"), format!("{manifest:#}\n")).map_err(fault)?;
    let archive = pack(root)?;
    let whole = size(&folder).map_err(fault)?;
    let tree = tree(root)?;
    if tree + archive > MOST {
        return Err(format!(
            "{FOLDER}.tar.gz has {}, the tree {}: together {} at most",
            mib(archive),
            mib(tree),
            mib(MOST)
        ));
    }
    Ok(format!(
        "{FOLDER}.tar.gz: {} (unpacked {}; the tree has {}, together {} at most)\nOn a machine with a \
         card: gpu-bundle/run.sh; then commit its JSON and run: cargo xtask verified --record FILE.json",
        mib(archive),
        mib(whole),
        mib(tree),
        mib(MOST)
    ))
}

/// Bytes of the files that git has.
fn tree(root: &Path) -> Result<u64, String> {
    let out = Command::new("git")
        .args(["ls-files", "-z"])
        .current_dir(root)
        .output()
        .map_err(|e| format!("git did not start: {e}"))?;
    let names = String::from_utf8_lossy(&out.stdout).into_owned();
    let sizes = names.split('\0').filter(|name| !name.is_empty());
    // A file that is gone and not yet committed has no bytes.
    Ok(sizes
        .map(|name| fs::metadata(root.join(name)).map_or(0, |m| m.len()))
        .sum())
}

/// Builds one target, and gives its executable. Flags of the environment are left out: they could
/// name this machine's own processor.
fn build(root: &Path, words: &[&str], name: &str, dev: bool) -> Result<PathBuf, String> {
    let mut command = Command::new("cargo");
    command
        .args(words)
        .args(["--features", "cublas", "--locked"]);
    if !dev {
        command.arg("--release");
    }
    println!("$ cargo {} --features cublas", words.join(" "));
    let out = command
        .arg("--message-format=json-render-diagnostics")
        .env("RUSTFLAGS", "")
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .env("DOPPEL_REQUIRE_KERNELS", "1")
        .stderr(Stdio::inherit())
        .current_dir(root)
        .output()
        .map_err(|e| format!("cargo did not start: {e}"))?;
    if !out.status.success() {
        return Err(format!("cargo {} failed ({})", words.join(" "), out.status));
    }
    executable_of(&String::from_utf8_lossy(&out.stdout), name)
        .ok_or_else(|| format!("cargo {} made no {name}", words.join(" ")))
}

/// The executable of target `name` in cargo's messages.
fn executable_of(messages: &str, name: &str) -> Option<PathBuf> {
    let messages = messages
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let mut all = messages.filter(|m| m["target"]["name"] == name);
    all.find_map(|m| m["executable"].as_str().map(PathBuf::from))
}

fn strip(path: &Path) -> Result<(), String> {
    match Command::new("strip").arg("--strip-all").arg(path).status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("strip failed ({status})")),
        Err(e) => Err(format!(
            "strip did not start (Debian: apt-get install binutils): {e}"
        )),
    }
}

fn executable(path: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(0o755))
}

/// What is in the bundle, and of which sources.
fn manifest(root: &Path, folder: &Path, dev: bool) -> Result<Value, String> {
    let git = |words: &[&str]| {
        let out = Command::new("git").args(words).current_dir(root).output();
        out.ok()
            .filter(|o| o.status.success())
            .map(|o| String::from_utf8_lossy(&o.stdout).trim().to_string())
    };
    let nvcc = crate::nvcc::find(root, |name| std::env::var_os(name))??;
    let families = kernel_sources::families(root).map_err(|e| format!("kernels: {e}"))?;
    let hashes: serde_json::Map<String, Value> = families
        .into_iter()
        .map(|f| (f.name, json!(f.hash)))
        .collect();
    let mut files = serde_json::Map::new();
    for path in files_of(folder).map_err(|e| format!("{FOLDER}: {e}"))? {
        let bytes = fs::read(&path).map_err(|e| format!("{}: {e}", path.display()))?;
        let name = path
            .strip_prefix(folder)
            .unwrap_or(&path)
            .display()
            .to_string();
        let hash = kernel_sources::hexadecimal(&Sha256::digest(&bytes));
        files.insert(name, json!({"bytes": bytes.len(), "sha256": hash}));
    }
    Ok(json!({
        "commit": git(&["rev-parse", "HEAD"]),
        "changed": git(&["status", "--porcelain"]).is_none_or(|said| !said.is_empty()),
        "profile": if dev { "dev" } else { "release" },
        "target": "x86_64, no flags",
        "nvcc": nvcc.version,
        "families": hashes,
        "files": files,
    }))
}

/// Packs the folder beside itself; gives the archive's bytes.
fn pack(root: &Path) -> Result<u64, String> {
    let archive = root.join(format!("{FOLDER}.tar.gz"));
    let status = Command::new("tar")
        .args(["--sort=name", "--owner=0", "--group=0", "-czf"])
        .arg(&archive)
        .args(["-C", "target", "gpu-bundle"])
        .current_dir(root)
        .status()
        .map_err(|e| format!("tar did not start: {e}"))?;
    if !status.success() {
        return Err(format!("tar failed ({status})"));
    }
    let found = fs::metadata(&archive).map_err(|e| format!("{}: {e}", archive.display()))?;
    Ok(found.len())
}

/// All files under `folder`, sorted.
fn files_of(folder: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            found.extend(files_of(&path)?);
        } else {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

fn size(folder: &Path) -> std::io::Result<u64> {
    let sizes = files_of(folder)?
        .into_iter()
        .map(|path| fs::metadata(path).map(|m| m.len()));
    sizes.sum()
}

fn mib(bytes: u64) -> String {
    format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20))
}

#[cfg(test)]
mod tests;
