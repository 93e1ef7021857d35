//! Finds nvcc, and checks that its parts are one version. Shared by `build.rs` and `cargo xtask`.
//!
//! Kernels are built with CUDA 13.0 exactly: a newer compiler writes PTX that a 13.0 driver refuses.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The one release of CUDA that kernels are built with.
pub const RELEASE: &str = "13.0";
/// What pip installs: this name alone pins nvcc, nvvm, crt and the runtime's headers together.
pub const PACKAGE: &str = "cuda-toolkit[nvcc,cccl]==13.0.3.0";
/// The private folder of `cargo xtask cuda-toolkit`, from the repository's root.
pub const FOLDER: &str = "target/cuda-toolkit";
/// Where nvcc is within that folder.
pub const IN_FOLDER: &str = "nvidia/cu13/bin/nvcc";
/// The command that mends a missing or mixed toolkit.
pub const MEND: &str = "run: cargo xtask cuda-toolkit";

/// An nvcc whose parts were seen to belong together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Nvcc {
    /// The compiler.
    pub path: PathBuf,
    /// Its full version, like `13.0.88`.
    pub version: String,
}

/// Looks for nvcc 13.0: `$DOPPEL_NVCC`, the private folder under `root`, `$CUDA_HOME/bin`,
/// `$CUDA_PATH/bin`, then `$PATH`.
///
/// `Ok(Err(reason))` says that there is none. The first two places are the developer's own choice,
/// so another release there is an error; elsewhere it is passed over and named in the reason.
///
/// # Errors
/// One line: a chosen nvcc that is missing or of another release, or parts that do not agree.
pub fn find(
    root: &Path,
    variable: impl Fn(&str) -> Option<OsString>,
) -> Result<Result<Nvcc, String>, String> {
    let set = |name: &str| variable(name).filter(|value| !value.is_empty());
    if let Some(path) = set("DOPPEL_NVCC").map(PathBuf::from) {
        if !path.is_file() {
            return Err(format!(
                "DOPPEL_NVCC names {}, which is no file",
                path.display()
            ));
        }
        return check(&path)
            .map(Ok)
            .map_err(|e| format!("{e}; mend or unset DOPPEL_NVCC"));
    }
    let mend = |error: String| format!("{error}; {MEND}");
    let own = root.join(FOLDER).join(IN_FOLDER);
    if own.is_file() {
        return check(&own).map(Ok).map_err(mend);
    }
    let mut places: Vec<PathBuf> = Vec::new();
    for name in ["CUDA_HOME", "CUDA_PATH"] {
        places.extend(set(name).map(|folder| PathBuf::from(folder).join("bin")));
    }
    places.extend(set("PATH").iter().flat_map(std::env::split_paths));
    let mut passed = String::new();
    for path in places
        .iter()
        .map(|folder| folder.join("nvcc"))
        .filter(|path| path.is_file())
    {
        let release = release(&version_of(&path)?).to_string();
        if release == RELEASE {
            return check(&path).map(Ok).map_err(mend);
        }
        if passed.is_empty() {
            passed = format!(" ({} is {release})", path.display());
        }
    }
    Ok(Err(format!("nvcc {RELEASE} was not found{passed}; {MEND}")))
}

/// Checks that nvcc, ptxas, nvvm, crt and the headers are one release of CUDA 13.0.
///
/// # Errors
/// One line that names the two parts that differ.
pub fn check(nvcc: &Path) -> Result<Nvcc, String> {
    // A symbolic link in PATH has no ptxas beside it; the file itself has.
    let real = nvcc
        .canonicalize()
        .map_err(|e| format!("{}: {e}", nvcc.display()))?;
    let version = version_of(&real)?;
    let wanted = release(&version);
    if wanted != RELEASE {
        return Err(format!(
            "{} is {version}, kernels need {RELEASE}",
            nvcc.display()
        ));
    }
    let ptxas = version_of(&real.with_file_name("ptxas"))?;
    if ptxas != version {
        return Err(mixed(&version, &format!("ptxas {ptxas}")));
    }
    if let Some(site) = real.ancestors().nth(4) {
        for name in wheels(site) {
            for part in ["nvidia_nvvm-", "nvidia_cuda_crt-", "nvidia_cuda_nvcc-"] {
                // cicc has no --version: its wheel's name tells it.
                match name.strip_prefix(part) {
                    Some(other) if other != version => {
                        let part = part.trim_end_matches('-');
                        return Err(mixed(&version, &format!("{part} {other}")));
                    }
                    _ => {}
                }
            }
        }
    }
    let header = real
        .ancestors()
        .nth(2)
        .map(|top| top.join("include/cuda_runtime_api.h"));
    if let Some(other) = header.and_then(|path| header_release(&path))
        && other != wanted
    {
        return Err(mixed(&version, &format!("headers of CUDA {other}")));
    }
    Ok(Nvcc {
        path: nvcc.to_path_buf(),
        version,
    })
}

fn mixed(version: &str, other: &str) -> String {
    format!("mixed CUDA parts: nvcc {version} with {other}")
}

/// The names of the wheels installed in `site`, like `nvidia_nvvm-13.0.88`.
fn wheels(site: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(site).into_iter().flatten().flatten();
    let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
    names
        .filter_map(|name| name.strip_suffix(".dist-info").map(str::to_string))
        .collect()
}

/// The release that `CUDART_VERSION` of a header gives: 13000 is 13.0.
fn header_release(path: &Path) -> Option<String> {
    let text = std::fs::read_to_string(path).ok()?;
    let line = text
        .lines()
        .find(|line| line.starts_with("#define CUDART_VERSION"))?;
    let number: u32 = line.split_whitespace().nth(2)?.parse().ok()?;
    Some(format!("{}.{}", number / 1000, number % 1000 / 10))
}

/// `13.0` of `13.0.88`.
fn release(version: &str) -> &str {
    version
        .match_indices('.')
        .nth(1)
        .map_or(version, |(at, _)| &version[..at])
}

/// What `tool --version` says: the `13.0.88` of its `V13.0.88`.
fn version_of(tool: &Path) -> Result<String, String> {
    let out = Command::new(tool)
        .arg("--version")
        .output()
        .map_err(|e| format!("{} did not start: {e}", tool.display()))?;
    let text = String::from_utf8_lossy(&out.stdout).into_owned();
    text.split_whitespace()
        .filter_map(|word| word.strip_prefix('V'))
        .find(|word| word.starts_with(|c: char| c.is_ascii_digit()))
        .map(str::to_string)
        .ok_or_else(|| format!("{} --version names no version", tool.display()))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;
    use std::sync::{Mutex, MutexGuard, PoisonError};

    use super::*;

    /// A folder with made-up tools: shell scripts that print a version. One test at a time has one:
    /// a child just forked elsewhere would hold a script open for writing, and it could not start.
    struct Fake(
        tempfile::TempDir,
        #[expect(dead_code, reason = "held")] MutexGuard<'static, ()>,
    );

    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

    impl Fake {
        fn new() -> Self {
            let turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
            Fake(tempfile::tempdir().unwrap(), turn)
        }

        fn tool(&self, path: &str, version: &str) -> PathBuf {
            let path = self.0.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            let release = version.rsplit_once('.').unwrap().0;
            let text = format!("#!/bin/sh\necho 'Cuda tools, release {release}, V{version}'\n");
            fs::write(&path, text).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
            path
        }

        fn pair(&self, folder: &str, nvcc: &str, ptxas: &str) -> PathBuf {
            self.tool(&format!("{folder}/ptxas"), ptxas);
            self.tool(&format!("{folder}/nvcc"), nvcc)
        }

        fn find(&self, set: &[(&str, PathBuf)]) -> Result<Result<Nvcc, String>, String> {
            find(self.0.path(), |name| {
                let value = set.iter().find(|(key, _)| *key == name);
                value.map(|(_, value)| value.clone().into_os_string())
            })
        }
    }

    #[test]
    fn the_private_folder_comes_before_the_paths_and_the_variable_before_both() {
        let fake = Fake::new();
        let chosen = fake.pair("chosen", "13.0.88", "13.0.88");
        let home = fake.pair("home/bin", "13.0.48", "13.0.48");
        let path = fake.pair("path", "13.0.50", "13.0.50");
        let set = [
            ("CUDA_HOME", fake.0.path().join("home")),
            ("PATH", path.parent().unwrap().to_path_buf()),
        ];
        assert_eq!(fake.find(&set[1..]).unwrap().unwrap().path, path);
        assert_eq!(fake.find(&set).unwrap().unwrap().path, home);
        let own = fake.pair("target/cuda-toolkit/nvidia/cu13/bin", "13.0.88", "13.0.88");
        assert_eq!(fake.find(&set).unwrap().unwrap().path, own);
        let with = [set[0].clone(), ("DOPPEL_NVCC", chosen.clone())];
        assert_eq!(fake.find(&with).unwrap().unwrap().path, chosen);
        assert_eq!(fake.find(&with).unwrap().unwrap().version, "13.0.88");
    }

    #[test]
    fn none_and_another_release_are_reasons_with_the_mend() {
        let fake = Fake::new();
        let none = fake.find(&[]).unwrap().unwrap_err();
        assert_eq!(
            none,
            "nvcc 13.0 was not found; run: cargo xtask cuda-toolkit"
        );
        fake.pair("old", "12.4.99", "12.4.99");
        let old = fake
            .find(&[("PATH", fake.0.path().join("old"))])
            .unwrap()
            .unwrap_err();
        assert!(old.contains("old/nvcc is 12.4); run: cargo xtask"), "{old}");
        // An empty variable is no choice.
        assert!(
            fake.find(&[("DOPPEL_NVCC", PathBuf::new())])
                .unwrap()
                .is_err()
        );
    }

    #[test]
    fn a_chosen_compiler_must_be_there_and_of_the_right_release() {
        let fake = Fake::new();
        let missing = fake
            .find(&[("DOPPEL_NVCC", fake.0.path().join("none"))])
            .unwrap_err();
        assert!(missing.contains("which is no file"), "{missing}");
        let new = fake.pair("new", "13.2.10", "13.2.10");
        let error = fake.find(&[("DOPPEL_NVCC", new)]).unwrap_err();
        assert!(
            error.contains("is 13.2.10, kernels need 13.0; mend or unset DOPPEL_NVCC"),
            "{error}"
        );
    }

    #[test]
    fn parts_of_several_versions_are_named() {
        let fake = Fake::new();
        let nvcc = fake.pair("site/nvidia/cu13/bin", "13.0.88", "13.0.89");
        let error = check(&nvcc).unwrap_err();
        assert!(error.contains("nvcc 13.0.88 with ptxas 13.0.89"), "{error}");
        fake.tool("site/nvidia/cu13/bin/ptxas", "13.0.88");
        assert_eq!(check(&nvcc).unwrap().version, "13.0.88");

        let wheel = fake.0.path().join("site/nvidia_nvvm-13.5.37.dist-info");
        fs::create_dir(&wheel).unwrap();
        let error = check(&nvcc).unwrap_err();
        assert!(
            error.contains("nvcc 13.0.88 with nvidia_nvvm 13.5.37"),
            "{error}"
        );
        fs::rename(
            &wheel,
            fake.0.path().join("site/nvidia_nvvm-13.0.88.dist-info"),
        )
        .unwrap();
        assert!(check(&nvcc).is_ok());

        let include = fake.0.path().join("site/nvidia/cu13/include");
        fs::create_dir(&include).unwrap();
        fs::write(
            include.join("cuda_runtime_api.h"),
            "#define CUDART_VERSION  12080\n",
        )
        .unwrap();
        let error = check(&nvcc).unwrap_err();
        assert!(error.contains("with headers of CUDA 12.8"), "{error}");
        let error = fake
            .find(&[("PATH", nvcc.parent().unwrap().into())])
            .unwrap_err();
        assert!(error.ends_with("with headers of CUDA 12.8; run: cargo xtask cuda-toolkit"));
    }

    #[test]
    fn a_link_is_followed_to_the_parts_beside_the_real_file() {
        let fake = Fake::new();
        let real = fake.pair("real", "13.0.88", "13.0.88");
        let link = fake.0.path().join("nvcc");
        std::os::unix::fs::symlink(real, &link).unwrap();
        assert_eq!(check(&link).unwrap().path, link);
    }
}
