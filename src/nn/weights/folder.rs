//! Which files a model's weights are in: one, or several with an index.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::io::Read;
use std::path::{Component, Path, PathBuf};

use serde::Deserialize;
use serde::de::{Deserializer, Error as _, IgnoredAny, MapAccess, Visitor};

use super::{DAMAGED, short, sniff};
use crate::error::{Error, Result};
use crate::limits::{MAX_WEIGHT_HEADER_BYTES, MAX_WEIGHT_SHARDS};

/// The one file of a folder.
const WHOLE: &str = "model.safetensors";
/// The index of a folder whose weights are in several files.
const INDEX: &str = "model.safetensors.index.json";

/// The files to open.
pub(super) enum Files {
    One(PathBuf),
    /// The index, and the files that it names, in order, each with the tensors that must be in it.
    Several(PathBuf, Vec<(PathBuf, BTreeSet<String>)>),
}

/// The files that `path` stands for: itself, or what a model's folder holds.
pub(super) fn files(path: &Path) -> Result<Files> {
    if path.is_dir() {
        if path.join(WHOLE).exists() {
            return Ok(Files::One(path.join(WHOLE)));
        }
        if path.join(INDEX).exists() {
            return index(&path.join(INDEX));
        }
        return Err(nothing_in(path));
    }
    let name = path.file_name().and_then(|n| n.to_str()).unwrap_or("");
    if name.ends_with(".index.json") {
        return index(path);
    }
    Ok(Files::One(path.to_path_buf()))
}

/// The error for a folder without weights, with what it has instead.
fn nothing_in(folder: &Path) -> Error {
    for other in ["pytorch_model.bin", "pytorch_model.pth", "model.pth"] {
        let path = folder.join(other);
        if path.is_file() {
            let what = format!("holds no {WHOLE}; its {other} is a pickle, which is not read");
            return Error::unsupported(what)
                .path(folder)
                .mend(sniff::conversion(&path, &folder.join(WHOLE)));
        }
    }
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let names = entries.filter_map(|e| e.file_name().into_string().ok());
    // The first by name, so that the message does not depend on the disk's order.
    let other = names.filter(|n| n.ends_with(".safetensors")).min();
    let error = Error::input(format!("holds no {WHOLE}")).path(folder);
    match other {
        Some(name) => error.mend(format!("name the file itself, such as {}", short(&name))),
        None => error.mend(format!("fetch it with `hf download REPOSITORY {WHOLE}`")),
    }
}

/// The weight map of an index; unlike a map, it sees a key that comes twice.
struct WeightMap(HashMap<String, String>);

impl<'de> Deserialize<'de> for WeightMap {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Pairs;
        impl<'de> Visitor<'de> for Pairs {
            type Value = WeightMap;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object that maps tensors to files")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<WeightMap, A::Error> {
                let mut pairs = HashMap::new();
                while let Some((key, file)) = map.next_entry::<String, String>()? {
                    if pairs.contains_key(&key) {
                        return Err(A::Error::custom(format_args!(
                            "tensor {} comes twice",
                            short(&key)
                        )));
                    }
                    pairs.insert(key, file);
                }
                Ok(WeightMap(pairs))
            }
        }
        from.deserialize_map(Pairs)
    }
}

/// An index file.
#[derive(Deserialize)]
struct Index {
    weight_map: WeightMap,
    #[serde(flatten)]
    _rest: HashMap<String, IgnoredAny>,
}

fn index(path: &Path) -> Result<Files> {
    let told = |e| Error::io(e, path).mend("name a file that can be read");
    let wrong = |message: String| Error::input(message).path(path).mend(DAMAGED);
    if !path.metadata().map_err(told)?.is_file() {
        return Err(wrong("is not a regular file".into()));
    }
    let mut text = Vec::new();
    let file = std::fs::File::open(path).map_err(told)?;
    file.take(MAX_WEIGHT_HEADER_BYTES + 1)
        .read_to_end(&mut text)
        .map_err(told)?;
    if text.len() as u64 > MAX_WEIGHT_HEADER_BYTES {
        let message = format!("this index has over {MAX_WEIGHT_HEADER_BYTES} bytes");
        return Err(Error::limit(message).path(path).mend(DAMAGED));
    }
    let index: Index = serde_json::from_slice(&text)
        .map_err(|e| wrong(format!("is no index of weights: {}", short(&e.to_string()))))?;
    let mut files: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (key, file) in index.weight_map.0 {
        // A plain name: an index must not make doppel read elsewhere.
        let mut parts = Path::new(&file).components();
        if !matches!(
            (parts.next(), parts.next()),
            (Some(Component::Normal(_)), None)
        ) {
            return Err(wrong(format!(
                "it names a file outside its folder: {}",
                short(&file)
            )));
        }
        files.entry(file).or_default().insert(key);
    }
    if files.is_empty() {
        return Err(wrong("this index names no file".into()));
    }
    if files.len() > MAX_WEIGHT_SHARDS {
        let message = format!("names {} files, over {MAX_WEIGHT_SHARDS}", files.len());
        return Err(Error::limit(message).path(path).mend(DAMAGED));
    }
    let folder = path.parent().unwrap_or(Path::new(""));
    let files = files
        .into_iter()
        .map(|(file, keys)| (folder.join(file), keys));
    Ok(Files::Several(path.to_path_buf(), files.collect()))
}
