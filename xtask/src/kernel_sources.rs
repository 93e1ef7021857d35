//! The kernels' sources: families, what each file includes, and hashes. Shared by `build.rs` and
//! `cargo xtask`.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

/// Folders of `kernels/` that are no family: the device's primitives, and the simulated card.
const NO_FAMILY: [&str; 2] = ["common", "simt"];

/// One folder of `kernels/`.
#[derive(Debug, PartialEq, Eq)]
pub struct Family {
    /// The folder's name.
    pub name: String,
    /// Its `.cu` files, sorted, relative to the repository's root.
    pub files: Vec<PathBuf>,
    /// SHA-256 over all its sources, `kernels/common/` and what they include, in hexadecimal.
    pub hash: String,
}

/// All families with at least one `.cu` file, sorted by name. No `kernels/` is no families.
///
/// # Errors
/// What the operating system says.
pub fn families(root: &Path) -> io::Result<Vec<Family>> {
    let kernels = root.join("kernels");
    let mut found = Vec::new();
    if !kernels.is_dir() {
        return Ok(found);
    }
    let common = sources_under(root, Path::new("kernels/common"))?;
    for entry in std::fs::read_dir(&kernels)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if !entry.path().is_dir() || NO_FAMILY.contains(&name.as_str()) {
            continue;
        }
        let own = sources_under(root, &Path::new("kernels").join(&name))?;
        let files: Vec<PathBuf> = own.iter().filter(|path| is_cuda(path)).cloned().collect();
        if files.is_empty() {
            continue;
        }
        let mut all: BTreeSet<PathBuf> = common.iter().cloned().collect();
        for file in own {
            all.extend(closure(root, &file)?);
        }
        let hash = digest(root, &all)?;
        found.push(Family { name, files, hash });
    }
    found.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(found)
}

/// `file` and every file of `kernels/` that it includes between quotes, directly or not. The
/// simulated card's headers are left out: nvcc never reads them.
///
/// # Errors
/// What the operating system says.
pub fn closure(root: &Path, file: &Path) -> io::Result<BTreeSet<PathBuf>> {
    let mut found = BTreeSet::new();
    let mut open = vec![file.to_path_buf()];
    while let Some(file) = open.pop() {
        if !found.insert(file.clone()) {
            continue;
        }
        let text = String::from_utf8_lossy(&std::fs::read(root.join(&file))?).into_owned();
        for name in text.lines().filter_map(included) {
            // As the compiler looks: beside the file, then from kernels/.
            let beside = file.parent().unwrap_or(Path::new("")).join(name);
            let places = [beside, Path::new("kernels").join(name)];
            let hit = places
                .into_iter()
                .map(|path| plain(&path))
                .find(|path| path.starts_with("kernels") && root.join(path).is_file());
            open.extend(hit.filter(|path| !path.starts_with("kernels/simt")));
        }
    }
    Ok(found)
}

/// SHA-256 over files in order: each path, its length and its bytes; in hexadecimal.
///
/// # Errors
/// What the operating system says.
pub fn digest(root: &Path, files: &BTreeSet<PathBuf>) -> io::Result<String> {
    let mut hash = Sha256::new();
    for file in files {
        let bytes = std::fs::read(root.join(file))?;
        hash.update(file.to_string_lossy().as_bytes());
        hash.update([0]);
        hash.update((bytes.len() as u64).to_le_bytes());
        hash.update(&bytes);
    }
    Ok(hexadecimal(&hash.finalize()))
}

/// Bytes as lower-case hexadecimal digits.
pub fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The `x.h` of a line `#include "x.h"`.
fn included(line: &str) -> Option<&str> {
    let rest = line
        .trim_start()
        .strip_prefix('#')?
        .trim_start()
        .strip_prefix("include")?;
    rest.trim_start().strip_prefix('"')?.split('"').next()
}

/// `a/../b` as `b`, without asking the file system.
fn plain(path: &Path) -> PathBuf {
    let mut parts = PathBuf::new();
    for part in path.components() {
        match part {
            std::path::Component::ParentDir => {
                parts.pop();
            }
            std::path::Component::CurDir => {}
            other => parts.push(other),
        }
    }
    parts
}

fn is_cuda(path: &Path) -> bool {
    path.extension().is_some_and(|e| e == "cu")
}

/// The sources and headers under `folder`, sorted, relative to `root`.
fn sources_under(root: &Path, folder: &Path) -> io::Result<BTreeSet<PathBuf>> {
    let mut found = BTreeSet::new();
    if !root.join(folder).is_dir() {
        return Ok(found);
    }
    for entry in std::fs::read_dir(root.join(folder))? {
        let entry = entry?;
        let path = folder.join(entry.file_name());
        if entry.path().is_dir() {
            found.extend(sources_under(root, &path)?);
        } else if path
            .extension()
            .is_some_and(|e| ["cu", "cuh", "h"].iter().any(|x| e == *x))
        {
            found.insert(path);
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn tree(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        folder
    }

    fn hash_of(folder: &tempfile::TempDir, name: &str) -> String {
        let all = families(folder.path()).unwrap();
        all.into_iter()
            .find(|family| family.name == name)
            .unwrap()
            .hash
    }

    #[test]
    fn families_are_folders_with_kernels_and_no_others() {
        let folder = tree(&[
            ("kernels/norm/row.cu", ""),
            ("kernels/gemm/deep/sm90_a.cu", ""),
            ("kernels/gemm/b.cu", ""),
            ("kernels/gemm/notes.md", ""),
            ("kernels/headers/only.h", ""),
            ("kernels/common/x.cu", ""),
            ("kernels/simt/y.cu", ""),
            ("kernels/VERIFIED.toml", ""),
        ]);
        let found = families(folder.path()).unwrap();
        let names: Vec<&str> = found.iter().map(|family| family.name.as_str()).collect();
        assert_eq!(names, ["gemm", "norm"]);
        let files: Vec<_> = found[0]
            .files
            .iter()
            .map(|f| f.display().to_string())
            .collect();
        assert_eq!(files, ["kernels/gemm/b.cu", "kernels/gemm/deep/sm90_a.cu"]);
        assert!(
            families(&folder.path().join("kernels/gemm"))
                .unwrap()
                .is_empty()
        );
    }

    #[test]
    fn the_hash_follows_what_the_compiler_reads_and_nothing_else() {
        let files = [
            (
                "kernels/norm/row.cu",
                "#include \"common/device.h\"\n  # include \"../gemm/tile.h\"\n",
            ),
            ("kernels/norm/README.md", "a"),
            (
                "kernels/gemm/gemm.cu",
                "#include \"tile.h\"\n#include <cuda_fp16.h>\n",
            ),
            ("kernels/gemm/tile.h", "int a;"),
            ("kernels/common/device.h", "#include \"simt/simulated.h\"\n"),
            ("kernels/common/other.h", ""),
            ("kernels/simt/simulated.h", "x"),
            ("kernels/fusion/sweep.cu", ""),
        ];
        let first = tree(&files);
        let norm = hash_of(&first, "norm");
        assert_eq!(norm.len(), 64);
        assert_eq!(
            norm,
            hash_of(&tree(&files), "norm"),
            "another place, the same hash"
        );
        assert_ne!(norm, hash_of(&first, "gemm"));

        for (path, norm_changes, fusion_changes) in [
            ("kernels/norm/row.cu", true, false),
            ("kernels/gemm/tile.h", true, false),
            ("kernels/gemm/gemm.cu", false, false),
            ("kernels/common/other.h", true, true),
            ("kernels/norm/README.md", false, false),
            ("kernels/simt/simulated.h", false, false),
        ] {
            let other = tree(&files);
            let mut text = fs::read_to_string(other.path().join(path)).unwrap();
            text.push_str("// more\n");
            fs::write(other.path().join(path), text).unwrap();
            assert_eq!(hash_of(&other, "norm") != norm, norm_changes, "{path}");
            let fusion = hash_of(&first, "fusion");
            assert_eq!(
                hash_of(&other, "fusion") != fusion,
                fusion_changes,
                "{path}"
            );
        }
    }

    #[test]
    fn a_moved_byte_between_two_files_changes_the_hash() {
        let one = tree(&[("kernels/a/x.cu", "12"), ("kernels/a/y.cu", "3")]);
        let two = tree(&[("kernels/a/x.cu", "1"), ("kernels/a/y.cu", "23")]);
        assert_ne!(hash_of(&one, "a"), hash_of(&two, "a"));
    }

    #[test]
    fn includes_in_a_circle_end() {
        let folder = tree(&[
            ("kernels/a/x.cu", "#include \"y.h\"\n"),
            (
                "kernels/a/y.h",
                "#include \"x.cu\"\n#include \"missing.h\"\n",
            ),
        ]);
        let all = closure(folder.path(), Path::new("kernels/a/x.cu")).unwrap();
        assert_eq!(all.len(), 2);
    }
}
