//! Compiles one file of `kernels/` with nvcc and keeps the result. Shared by `build.rs` and
//! `cargo xtask`.
//!
//! `sm90_*.cu` become `sm_90a` machine code alone; every other file becomes `sm_80` machine code and
//! `compute_80` PTX. A compiled file is kept under the hash of all that went into it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{fs, io};

use super::kernel_sources;
use super::nvcc::{self, Nvcc};
use super::ptxas;

/// What every file is compiled with. Unused and shadowed names are errors, as in Rust's lints.
const FLAGS: &[&str] = &[
    "-O3",
    "-std=c++17",
    "-Ikernels",
    "-Werror=all-warnings",
    "-Xptxas=-v",
    "--compress-mode=size",
    "-fatbin",
];
/// Where compiled files are kept, from the repository's root.
const KEPT: &str = "target/kernels";

/// One compiled file.
pub struct Compiled {
    /// The folder of `kernels/` that it stands in.
    pub family: String,
    /// Its path from the repository's root.
    pub file: PathBuf,
    /// The image that nvcc made of it.
    pub fatbin: PathBuf,
    /// What the image holds code for.
    pub archs: &'static [&'static str],
    /// Its entry points.
    pub kernels: BTreeSet<String>,
    /// What each kernel takes, a line for each architecture.
    pub used: Vec<ptxas::Used>,
    /// Local memory that the file says is meant.
    pub warnings: Vec<String>,
}

/// Compiles one file, or takes what was kept of it.
///
/// # Errors
/// What nvcc says; wgmma instructions that run one after the other; local memory that the file does
/// not say is meant; a file without a kernel; a kernel with a mangled name.
pub fn compile(root: &Path, nvcc: &Nvcc, family: &str, file: &Path) -> Result<Compiled, String> {
    let stem = file.file_stem().unwrap_or_default().to_string_lossy();
    let hopper = stem.starts_with("sm90_");
    let archs: &[&str] = if hopper {
        &["sm_90a"]
    } else {
        &["sm_80", "compute_80"]
    };
    let generate = if hopper {
        "-gencode=arch=compute_90a,code=sm_90a"
    } else {
        "-gencode=arch=compute_80,code=[sm_80,compute_80]"
    };
    let fault = |error: io::Error| format!("{}: {error}", file.display());
    let sources = kernel_sources::closure(root, file).map_err(fault)?;
    let digest = kernel_sources::digest(root, &sources).map_err(fault)?;
    let key = format!("{} {generate} {} {digest}", nvcc.version, FLAGS.join(" "));
    let short = kernel_sources::hexadecimal(&hash(key.as_bytes())[..16]);
    let kept = root.join(KEPT).join(format!("{family}-{stem}-{short}"));
    let (fatbin, log) = (kept.join("fatbin"), kept.join("log"));
    if !(fatbin.is_file() && log.is_file()) {
        run(root, nvcc, file, generate, &kept)?;
    }
    let report = ptxas::read(&fs::read_to_string(&log).map_err(fault)?);
    let source = fs::read_to_string(root.join(file)).map_err(fault)?;
    let warnings = ptxas::check(&report, &stem, &source)
        .map_err(|error| format!("{}: {error}", file.display()))?;
    Ok(Compiled {
        family: family.into(),
        file: file.into(),
        fatbin,
        archs,
        kernels: report.kernels,
        used: report.used,
        warnings,
    })
}

fn hash(bytes: &[u8]) -> [u8; 32] {
    use sha2::Digest;
    sha2::Sha256::digest(bytes).into()
}

/// Runs nvcc into a folder of its own, which then takes the name `kept` in one step.
fn run(root: &Path, nvcc: &Nvcc, file: &Path, generate: &str, kept: &Path) -> Result<(), String> {
    let fault = |error: io::Error| format!("{}: {error}", kept.display());
    let unfinished = kept.with_extension(format!("{}.unfinished", std::process::id()));
    fs::create_dir_all(&unfinished).map_err(fault)?;
    let out = Command::new(&nvcc.path)
        .args(FLAGS)
        .args([generate, "-o"])
        .arg(unfinished.join("fatbin"))
        .arg(file)
        .current_dir(root)
        .output()
        .map_err(|e| format!("{} did not start: {e}", nvcc.path.display()))?;
    let mut log = String::from_utf8_lossy(&out.stderr).into_owned();
    log.push_str(&String::from_utf8_lossy(&out.stdout));
    if !out.status.success() {
        // Nothing depends on a folder that could not be removed.
        let _ = fs::remove_dir_all(&unfinished);
        return Err(refusal(file, &log));
    }
    fs::write(unfinished.join("log"), log).map_err(fault)?;
    let renamed = fs::rename(&unfinished, kept);
    if kept.join("fatbin").is_file() {
        // Another build may have been first; its files are the same.
        let _ = fs::remove_dir_all(&unfinished);
        return Ok(());
    }
    renamed.map_err(fault)
}

/// nvcc's complaint, with what to do where the cause is known.
fn refusal(file: &Path, log: &str) -> String {
    let lines: Vec<&str> = log
        .lines()
        .filter(|line| !line.trim().is_empty() && !line.contains("ptxas info"))
        .collect();
    let mend = if log.contains("Unsupported .version") {
        format!(
            "the toolkit is mixed: ptxas is older than nvvm; {}",
            nvcc::MEND
        )
    } else if log.contains("host compiler") || log.contains("cc1plus") || log.contains("gcc: not") {
        "nvcc needs a working g++".into()
    } else {
        "nvcc refused it".into()
    };
    format!("{}: {mend}\n{}", file.display(), lines.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A tree with one kernel, and what the build says of it; nothing where there is no nvcc.
    fn built(name: &str, text: &str) -> Option<Result<Compiled, String>> {
        let found = nvcc::find(&crate::root(), |name| std::env::var_os(name));
        let Ok(Ok(nvcc)) = found else {
            println!("skipped: no nvcc");
            return None;
        };
        let folder = tempfile::tempdir().unwrap();
        let file = Path::new("kernels/made_up").join(name);
        fs::create_dir_all(folder.path().join("kernels/made_up")).unwrap();
        fs::write(folder.path().join(&file), text).unwrap();
        Some(compile(folder.path(), &nvcc, "made_up", &file))
    }

    #[test]
    fn a_stack_frame_fails_the_build_unless_it_is_meant() {
        let kernel = "extern \"C\" __global__ void made_up(int* to, int at, int of) {\n\
                      int own[64];\n\
                      for (int i = 0; i < 64; ++i) own[to[i] & 63] = i;\n\
                      to[at] = own[of];\n}\n";
        let Some(refused) = built("a.cu", kernel) else {
            return;
        };
        let said = refused.err().unwrap_or_default();
        let start = "kernels/made_up/a.cu: made_up for sm_80 uses local memory: 256 bytes of stack";
        assert!(said.starts_with(start) && !said.contains('\n'), "{said}");
        let meant = format!("{}the list is long\n{kernel}", ptxas::MEANT);
        let warnings = |c: Compiled| c.warnings.len();
        assert_eq!(built("a.cu", &meant).unwrap().map(warnings), Ok(1));
        let said = built("sm90_a.cu", &meant)
            .unwrap()
            .err()
            .unwrap_or_default();
        assert!(
            said.contains("for sm_90a") && said.ends_with("a tuned kernel may use none"),
            "{said}"
        );
    }

    #[test]
    fn a_mixed_toolkit_is_named_with_its_mend() {
        let log = "ptxas fatal   : Unsupported .version 9.5; current version is '9.0'\n";
        let said = refusal(Path::new("kernels/a/b.cu"), log);
        assert!(
            said.contains(
                "the toolkit is mixed: ptxas is older than nvvm; run: cargo xtask cuda-toolkit"
            ),
            "{said}"
        );
    }
}
