//! The design's invariants, checked over the sources as text.

use std::fs;
use std::path::{Path, PathBuf};

/// Which modules of the library a module may name. A file outside this table may name none.
const MAY_NAME: &[(&str, &[&str])] = &[
    ("error", &[]),
    ("limits", &[]),
    ("lists", &["error", "limits"]),
    ("files", &["error", "limits"]),
    ("quiet", &[]),
    ("random", &[]),
    ("tensor", BASE),
    ("device", &["error", "limits", "lists", "files", "tensor"]),
    // Encoders: graphs for a device and the files that their weights come from.
    (
        "nn",
        &["error", "limits", "lists", "files", "tensor", "device"],
    ),
    // What is measured: the shapes of encoders and searches, on a device.
    (
        "bench",
        &[
            "error", "limits", "lists", "tensor", "device", "nn", "search",
        ],
    ),
    ("listings", &["error", "limits", "lists", "files", "random"]),
    // What a card needs to prepare pictures: their pixels and weights.
    (
        "image",
        &[
            "error", "limits", "lists", "files", "quiet", "random", "device",
        ],
    ),
    (
        "text",
        &[
            "error", "limits", "lists", "files", "quiet", "random", "tensor",
        ],
    ),
    (
        "embed",
        &["error", "limits", "lists", "files", "tensor", "nn"],
    ),
    (
        "search",
        &["error", "limits", "lists", "files", "tensor", "device"],
    ),
    // Embeddings and neighbour lists in, embeddings out; as search, on a device that the caller opened.
    (
        "refine",
        &["error", "limits", "lists", "files", "tensor", "device"],
    ),
    // Rows and labels in, how often the nearest rows' labels are right out.
    (
        "classify",
        &["error", "limits", "lists", "files", "tensor", "random"],
    ),
    // Matching works on (row, row, score) alone: no tensor, no device.
    ("matching", BASE),
    ("groups", BASE),
    ("pairs", BASE),
    (
        "evaluate",
        &["error", "limits", "lists", "files", "matching"],
    ),
    (
        "recipe",
        &[
            "error", "limits", "lists", "files", "tensor", "device", "listings", "image", "text",
            "embed", "search", "refine", "matching", "groups", "pairs", "evaluate", "nn",
        ],
    ),
    // Pages to look at: of a run, and of listings alone.
    (
        "report",
        &[
            "error", "limits", "lists", "files", "listings", "image", "matching", "groups",
            "evaluate", "recipe",
        ],
    ),
    (
        "explore",
        &[
            "error", "limits", "lists", "files", "tensor", "listings", "image", "text", "embed",
            "report",
        ],
    ),
];
const BASE: &[&str] = &["error", "limits", "lists", "files"];

/// The longest source file, in lines.
const LONGEST: usize = 700;

/// Files that may name the CUDA driver's crate.
const CUDA_FILES: &[&str] = &["src/device/gpu/driver_cuda.rs", "benches/cublas.rs"];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// All files with one of the endings under `folder`, relative to the root.
fn files(folder: &str, endings: &[&str]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut open = vec![root().join(folder)];
    while let Some(dir) = open.pop() {
        let Ok(entries) = fs::read_dir(&dir) else {
            continue;
        };
        for entry in entries {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else if endings
                .iter()
                .any(|e| path.extension().is_some_and(|x| x == *e))
            {
                found.push(path.strip_prefix(root()).unwrap().to_path_buf());
            }
        }
    }
    found.sort();
    found
}

fn sources() -> Vec<(PathBuf, String)> {
    [
        "src",
        "tests",
        "benches",
        "examples",
        "xtask/src",
        "kernels",
    ]
    .iter()
    .flat_map(|folder| files(folder, &["rs", "cu", "cuh", "h", "cpp", "py"]))
    .chain(
        root()
            .join("build.rs")
            .exists()
            .then(|| PathBuf::from("build.rs")),
    )
    .map(|path| {
        let text = fs::read_to_string(root().join(&path)).unwrap();
        (path, text)
    })
    .collect()
}

/// The library's modules that `text` names, as `crate::NAME`.
fn named(text: &str) -> Vec<String> {
    let code: String = text
        .lines()
        .map(|l| l.split("//").next().unwrap_or(""))
        .collect::<Vec<_>>()
        .join("\n");
    let mut names: Vec<String> = code
        .match_indices("crate::")
        .flat_map(|(at, prefix)| {
            let rest = &code[at + prefix.len()..];
            let list = rest
                .strip_prefix('{')
                .map(|r| r.split('}').next().unwrap_or(""));
            match list {
                Some(inside) => inside.split(',').map(|n| first_word(n.trim())).collect(),
                None => vec![first_word(rest)],
            }
        })
        .filter(|name| MAY_NAME.iter().any(|(module, _)| module == name))
        .collect();
    names.sort();
    names.dedup();
    names
}

fn first_word(text: &str) -> String {
    text.chars()
        .take_while(|c| c.is_alphanumeric() || *c == '_')
        .collect()
}

/// What is wrong with the imports of `text`, a file of `module`.
fn import_faults(module: &str, text: &str) -> Vec<String> {
    let Some((_, allowed)) = MAY_NAME.iter().find(|(m, _)| *m == module) else {
        return vec![format!(
            "module {module} is not in the table of tests/tidy.rs"
        )];
    };
    named(text)
        .into_iter()
        .filter(|name| name != module && !allowed.contains(&name.as_str()))
        .map(|name| format!("{module} names {name}"))
        .collect()
}

#[test]
fn imports_run_one_way() {
    let mut faults = Vec::new();
    let mut seen = 0;
    for path in files("src", &["rs"]) {
        let inner = path.strip_prefix("src").unwrap();
        let first = inner.iter().next().unwrap().to_str().unwrap();
        if first == "bin" || first == "lib.rs" {
            continue;
        }
        seen += 1;
        let module = first.strip_suffix(".rs").unwrap_or(first);
        let text = fs::read_to_string(root().join(&path)).unwrap();
        for fault in import_faults(module, &text) {
            faults.push(format!("{}: {fault}", path.display()));
        }
    }
    assert!(seen > 15, "only {seen} library files were found");
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn the_import_check_sees_what_it_should() {
    assert_eq!(
        import_faults("matching", "use crate::tensor::Csr;"),
        ["matching names tensor"]
    );
    assert_eq!(
        import_faults("device", "fn f(x: &crate::listings::Listing) {}").len(),
        1
    );
    assert_eq!(
        import_faults("search", "use crate::{error::Error, matching::Rule};").len(),
        1
    );
    assert!(import_faults("search", "use crate::tensor::Csr; // crate::listings").is_empty());
    assert!(!import_faults("elsewhere", "").is_empty());
}

#[test]
fn one_file_alone_names_the_cuda_driver() {
    // Split, so that this file does not name it.
    let name = ["cuda", "rc"].concat();
    for (path, text) in sources() {
        let may = CUDA_FILES.iter().any(|f| path == Path::new(f));
        assert!(
            may || !text.contains(&name),
            "{} names {name}",
            path.display()
        );
    }
}

#[test]
fn files_are_short_enough_to_read() {
    let long: Vec<String> = sources()
        .iter()
        .filter(|(path, text)| {
            path.extension().is_some_and(|e| e != "py") && text.lines().count() > LONGEST
        })
        .map(|(path, text)| format!("{}: {} lines", path.display(), text.lines().count()))
        .collect();
    assert!(long.is_empty(), "over {LONGEST} lines: {long:?}");
}

#[test]
fn every_bound_stands_in_the_table_of_limits() {
    let bound = |l: &&str| l.contains("pub const MAX_");
    let elsewhere: Vec<String> = sources()
        .iter()
        .filter(|(path, _)| path.starts_with("src") && path != Path::new("src/limits.rs"))
        .flat_map(|(path, text)| {
            let found = text.lines().filter(bound);
            found
                .map(|l| format!("{}: {}", path.display(), l.trim()))
                .collect::<Vec<_>>()
        })
        .collect();
    assert!(
        elsewhere.is_empty(),
        "these belong in src/limits.rs: {elsewhere:?}"
    );
}

#[test]
fn nothing_is_left_undone_or_muted() {
    let marks = [
        ["to", "do!("],
        ["unimple", "mented!("],
        ["#[ign", "ore"],
        ["db", "g!("],
    ];
    for (path, text) in sources() {
        for mark in marks.map(|halves| halves.concat()) {
            assert!(!text.contains(&mark), "{} has {mark}", path.display());
        }
    }
}

#[test]
fn no_file_names_a_place_outside_the_project() {
    let mut texts = sources();
    for path in [
        "README.md",
        "Cargo.toml",
        "xtask/Cargo.toml",
        "deny.toml",
        ".ci/run",
    ] {
        texts.push((path.into(), fs::read_to_string(root().join(path)).unwrap()));
    }
    for folder in ["demo", "docs", "benches", "weights", "tests"] {
        for path in files(folder, &["md", "json", "toml", "svg"]) {
            let text = fs::read_to_string(root().join(&path)).unwrap();
            texts.push((path, text));
        }
    }
    let forbidden = [["/wo", "rk/"], ["/ro", "ot/"], ["shared/", "data"]].map(|h| h.concat());
    for (path, text) in texts {
        for place in &forbidden {
            assert!(
                !text.contains(place.as_str()),
                "{} names {place}",
                path.display()
            );
        }
    }
}

#[test]
fn the_demo_is_small_and_licensed() {
    let mut bytes = 0;
    let mut images = 0;
    for path in files("demo", &["jpg", "csv", "md"]) {
        bytes += fs::metadata(root().join(&path)).unwrap().len();
        images += usize::from(path.extension().is_some_and(|e| e == "jpg"));
    }
    assert!(images >= 140, "{images} photographs");
    assert!(bytes <= 4 << 20, "{bytes} bytes");
    assert!(
        fs::read_to_string(root().join("demo/LICENSE"))
            .unwrap()
            .contains("MIT License")
    );
}
