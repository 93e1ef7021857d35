//! Takes what a run of the bundle on a real card measured into `kernels/VERIFIED.toml`.
//!
//! Nothing else writes figures there. The record must be committed as it is, of a bundle built for
//! release from committed sources, with all tests passed; a family is taken only while its sources are
//! those that ran.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;
use toml::Table;

use super::{FILE, NEVER};
use crate::kernel_sources::{self, Family};

/// What the run measured of one family.
#[derive(Debug, Clone, PartialEq)]
struct Figures {
    worst_error: f64,
    baseline: &'static str,
    ratio: f64,
}

/// Takes the record `file`, and says what of it was not taken.
pub fn take(root: &Path, file: &Path) -> Result<(), String> {
    let name = file.display();
    committed(root, file)?;
    let text = fs::read_to_string(root.join(file)).map_err(|e| format!("{name}: {e}"))?;
    let record: Value = serde_json::from_str(&text).map_err(|e| format!("{name}: {e}"))?;
    let families = kernel_sources::families(root).map_err(|e| format!("kernels: {e}"))?;
    let old = fs::read_to_string(root.join(FILE)).map_err(|e| format!("{FILE}: {e}"))?;
    let (new, notes) = written(&old, &record, &families).map_err(|e| format!("{name}: {e}"))?;
    fs::write(root.join(FILE), new).map_err(|e| format!("{FILE}: {e}"))?;
    notes.iter().for_each(|note| println!("note: {note}"));
    Ok(())
}

/// Gives every family of the sources an entry, and takes away those of families that are gone and
/// never ran.
pub fn update(root: &Path) -> Result<(), String> {
    let families = kernel_sources::families(root).map_err(|e| format!("kernels: {e}"))?;
    let old = fs::read_to_string(root.join(FILE)).map_err(|e| format!("{FILE}: {e}"))?;
    let new = text(&old, &families, &BTreeMap::new()).map_err(|e| format!("{FILE}: {e}"))?;
    fs::write(root.join(FILE), new).map_err(|e| format!("{FILE}: {e}"))
}

/// Refuses a file that git does not have as it stands.
fn committed(root: &Path, file: &Path) -> Result<(), String> {
    let git = |words: &[&str]| {
        let out = Command::new("git")
            .args(words)
            .arg("--")
            .arg(file)
            .current_dir(root)
            .output();
        out.is_ok_and(|out| out.status.success())
    };
    match git(&["ls-files", "--error-unmatch"]) && git(&["diff", "--quiet", "HEAD"]) {
        true => Ok(()),
        false => Err(format!("{}: commit it first, unchanged", file.display())),
    }
}

/// The new text of the file, and notes on what was not taken.
fn written(
    old: &str,
    record: &Value,
    families: &[Family],
) -> Result<(String, Vec<String>), String> {
    whole(record)?;
    let (card, date) = (word(record, "card")?, word(record, "date")?);
    let (mut taken, mut notes) = (BTreeMap::new(), Vec::new());
    for family in families {
        let name = &family.name;
        if ran(record, name) != Some(&family.hash) {
            notes.push(format!("{name}: its sources are not those that ran"));
            continue;
        }
        match figures(record, name) {
            Err(why) => notes.push(format!("{name}: {why}")),
            Ok(f) => {
                let entry = format!(
                    "state = \"ran\"\nhash = \"{}\"\ncard = \"{card}\"\ndate = {date}\nworst_error = {:e}\n\
                     baseline = \"{}\"\nratio = {:.3}\n",
                    family.hash, f.worst_error, f.baseline, f.ratio
                );
                taken.insert(name.clone(), entry);
            }
        }
    }
    if taken.is_empty() {
        return Err(format!("nothing of it can be taken: {}", notes.join("; ")));
    }
    if record["sanitizer"].is_null() {
        notes.push("compute-sanitizer was not there".into());
    }
    Ok((text(old, families, &taken)?, notes))
}

/// Refuses a record of a run that was not whole or did not pass.
fn whole(record: &Value) -> Result<(), String> {
    let manifest = &record["manifest"];
    if manifest["profile"] != "release" || manifest["changed"] != false {
        return Err("the bundle was not built for release from committed sources".into());
    }
    if record["info"]["gpu"]["available"] != true {
        return Err("there was no card".into());
    }
    for name in ["device", "gpu_probe"] {
        let tests = &record["tests"][name];
        if tests["exit"] != 0 || tests["failed"] != 0 || tests["passed"].as_u64().unwrap_or(0) == 0
        {
            return Err(format!("the tests {name} did not pass: {tests}"));
        }
    }
    if let Some(tools) = record["sanitizer"].as_object()
        && let Some((tool, found)) = tools.iter().find(|(_, found)| found["exit"] != 0)
    {
        return Err(format!("{tool} found something: {found}"));
    }
    Ok(())
}

/// A text of the record that a TOML file can hold as it is.
fn word<'a>(record: &'a Value, key: &str) -> Result<&'a str, String> {
    let word = record[key].as_str().filter(|word| !word.is_empty());
    let word = word.ok_or(format!("{key} is missing"))?;
    match word.contains(['"', '\\', '\n']) {
        true => Err(format!("{key} is no plain text: {word:?}")),
        false => Ok(word),
    }
}

/// The hash of a family's sources in the binary that ran.
fn ran<'a>(record: &'a Value, family: &str) -> Option<&'a str> {
    let all = record["info"]["kernels"].as_array()?;
    let entry = all.iter().find(|k| k["family"] == family)?;
    entry["sources_sha256"].as_str()
}

/// What was measured of a family, all its shapes together as often as the encoders use each.
fn figures(record: &Value, family: &str) -> Result<Figures, String> {
    let of = |part: &Value| -> Vec<Value> {
        let all = part.as_array().map(Vec::as_slice).unwrap_or_default();
        all.iter()
            .filter(|one| one["family"] == family)
            .cloned()
            .collect()
    };
    let checked = of(&record["checked"]["checked"]);
    let errors: Option<Vec<f64>> = checked.iter().map(|one| one["error"].as_f64()).collect();
    let worst_error = match errors {
        Some(errors) if !errors.is_empty() => errors.into_iter().fold(0.0, f64::max),
        Some(_) => return Err("it was not compared with the oracle".into()),
        None => return Err("a result is not finite".into()),
    };
    let sums = |all: &[Value], pair: &dyn Fn(&Value) -> Option<(f64, f64)>| {
        let pairs = all.iter().filter_map(pair);
        pairs.fold((0.0, 0.0), |sum, (a, b)| (sum.0 + a, sum.1 + b))
    };
    let (cublas, ours) = sums(&of(&record["cublas"]["results"]), &|one| {
        let times = one["uses"].as_f64()?;
        let theirs = one["cublas_microseconds"].as_f64()?;
        Some((times * theirs, times * one["ours_microseconds"].as_f64()?))
    });
    if ours > 0.0 {
        return Ok(Figures {
            worst_error,
            baseline: "cuBLAS",
            ratio: cublas / ours,
        });
    }
    let (floor, ours) = sums(&of(&record["bench"]["results"]), &|one| {
        let users = one["uses"].as_object()?.values().filter_map(Value::as_f64);
        let time = users.sum::<f64>() * one["microseconds"].as_f64()?;
        Some((time * one["floor_share"].as_f64()?, time))
    });
    match ours > 0.0 {
        true => Ok(Figures {
            worst_error,
            baseline: "the card's floor",
            ratio: floor / ours,
        }),
        false => Err("it was not timed".into()),
    }
}

/// The file: its comment as it is, then a table for each family of the sources, new, as before, or as
/// never run, and those of gone families that ran.
fn text(
    old: &str,
    families: &[Family],
    taken: &BTreeMap<String, String>,
) -> Result<String, String> {
    let before: Table = old
        .parse()
        .map_err(|e: toml::de::Error| e.message().to_string())?;
    let ran = |(_, entry): &(&String, &toml::Value)| {
        entry.get("state").and_then(toml::Value::as_str) != Some(NEVER)
    };
    let mut entries: BTreeMap<String, String> = families
        .iter()
        .map(|f| (f.name.clone(), format!("state = \"{NEVER}\"\n")))
        .collect();
    for (name, _) in before.iter().filter(ran) {
        entries.insert(name.clone(), own_lines(old, name));
    }
    entries.extend(taken.clone());
    let comment: Vec<&str> = old
        .lines()
        .take_while(|line| line.starts_with('#'))
        .collect();
    let tables = entries
        .iter()
        .map(|(name, lines)| format!("\n[{name}]\n{lines}"));
    Ok(format!(
        "{}\n{}",
        comment.join("\n"),
        tables.collect::<String>()
    ))
}

/// The lines of one table as they stand.
fn own_lines(text: &str, name: &str) -> String {
    let lines = text
        .lines()
        .skip_while(|line| *line != format!("[{name}]"))
        .skip(1);
    let own = lines
        .take_while(|line| !line.starts_with('['))
        .filter(|line| !line.is_empty());
    own.map(|line| format!("{line}\n")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const OLD: &str = "# What ran.\n#\n# More.\n\n[gemm]\nstate = \"never run\"\n\n[norm]\nstate = \"ran\"\n\
        hash = \"old\"\ncard = \"X\"\ndate = 2026-01-01\nworst_error = 1e-3\nbaseline = \"y\"\nratio = 1.0\n\
        \n[gone]\nstate = \"never run\"\n";

    fn families() -> Vec<Family> {
        let family = |(name, hash): (&str, &str)| Family {
            name: name.into(),
            files: Vec::new(),
            hash: hash.into(),
        };
        [("gemm", "g1"), ("norm", "n1"), ("pointwise", "p1")]
            .map(family)
            .into()
    }

    fn record() -> Value {
        let passed = json!({"exit": 0, "passed": 9, "failed": 0});
        json!({
            "date": "2026-12-01", "card": "NVIDIA H200",
            "manifest": {"profile": "release", "changed": false},
            "info": {"gpu": {"available": true}, "kernels": [
                {"family": "gemm", "sources_sha256": "g1"},
                {"family": "norm", "sources_sha256": "other"},
                {"family": "pointwise", "sources_sha256": "p1"}]},
            "tests": {"device": passed, "gpu_probe": passed},
            "checked": {"checked": [
                {"family": "gemm", "error": 1e-4}, {"family": "gemm", "error": 3e-4},
                {"family": "pointwise", "error": 0.0}]},
            "bench": {"results": [
                {"family": "gemm", "uses": {"a": 1}, "microseconds": 5.0, "floor_share": 0.1},
                {"family": "pointwise", "uses": {"a": 2, "b": 1}, "microseconds": 10.0, "floor_share": 0.5},
                {"family": "pointwise", "uses": {"a": 1}, "refused": "no"},
                {"family": "pointwise", "uses": {"a": 1}, "microseconds": 10.0, "floor_share": 0.9}]},
            "cublas": {"results": [
                {"family": "gemm", "uses": 3, "ours_microseconds": 10.0, "cublas_microseconds": 9.0},
                {"family": "gemm", "uses": 1, "ours_microseconds": 10.0, "cublas_microseconds": 5.0}]},
            "torch": null,
            "sanitizer": {"memcheck": passed},
        })
    }

    #[test]
    fn what_ran_as_it_stands_is_taken() {
        let (text, notes) = written(OLD, &record(), &families()).unwrap();
        assert_eq!(notes, ["norm: its sources are not those that ran"]);
        let table: Table = text.parse().unwrap();
        let number = |family: &str, key: &str| table[family][key].as_float().unwrap();
        assert_eq!(table["gemm"]["baseline"].as_str(), Some("cuBLAS"));
        assert_eq!(number("gemm", "worst_error"), 3e-4);
        assert_eq!(number("gemm", "ratio"), 0.8);
        assert_eq!(
            table["pointwise"]["baseline"].as_str(),
            Some("the card's floor")
        );
        assert_eq!(number("pointwise", "ratio"), 0.6);
        assert_eq!(table["norm"]["hash"].as_str(), Some("old"));
        assert!(!table.contains_key("gone"));
        assert!(
            text.starts_with("# What ran.\n#\n# More.\n\n[gemm]\n"),
            "{text}"
        );
        // What is written can be read by the command itself, and written again.
        assert_eq!(super::super::report(&text, &families()).unwrap().len(), 3);
        assert_eq!(written(&text, &record(), &families()).unwrap().0, text);
    }

    #[test]
    fn runs_that_prove_nothing_are_refused() {
        let refused = |change: &dyn Fn(&mut Value)| {
            let mut record = record();
            change(&mut record);
            written(OLD, &record, &families()).unwrap_err()
        };
        for (pointer, value, said) in [
            ("/manifest/profile", json!("dev"), "not built for release"),
            ("/manifest/changed", json!(true), "from committed sources"),
            ("/info/gpu/available", json!(false), "there was no card"),
            (
                "/tests/device/exit",
                json!(101),
                "the tests device did not pass",
            ),
            (
                "/tests/device/passed",
                json!(0),
                "the tests device did not pass",
            ),
            (
                "/tests/gpu_probe/failed",
                json!(1),
                "the tests gpu_probe did not pass",
            ),
            (
                "/sanitizer/memcheck/exit",
                json!(9),
                "memcheck found something",
            ),
            ("/card", json!("a\"b"), "card is no plain text"),
            ("/date", json!(""), "date is missing"),
            ("/info/kernels", json!([]), "nothing of it can be taken"),
        ] {
            let error = refused(&|record| *record.pointer_mut(pointer).unwrap() = value.clone());
            assert!(error.contains(said), "{pointer}: {error}");
        }
        let notes = |pointer: &str, value: Value| {
            let mut record = record();
            *record.pointer_mut(pointer).unwrap() = value;
            written(OLD, &record, &families()).unwrap().1.join("\n")
        };
        assert!(
            notes("/checked/checked/1/error", Value::Null).contains("gemm: a result is not finite")
        );
        assert!(notes("/bench/results", json!([])).contains("pointwise: it was not timed"));
        assert!(notes("/sanitizer", Value::Null).contains("compute-sanitizer was not there"));
    }

    #[test]
    fn a_file_that_git_does_not_have_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("a.json"), "{}").unwrap();
        let error = take(folder.path(), Path::new("a.json")).unwrap_err();
        assert_eq!(error, "a.json: commit it first, unchanged");
    }

    #[test]
    fn new_families_come_in_and_gone_ones_go() {
        let text = text(OLD, &families(), &BTreeMap::new()).unwrap();
        let table: Table = text.parse().unwrap();
        let names: Vec<&String> = table.keys().collect();
        assert_eq!(names, ["gemm", "norm", "pointwise"]);
        assert_eq!(table["pointwise"]["state"].as_str(), Some(NEVER));
        assert_eq!(table["norm"]["state"].as_str(), Some("ran"));
    }
}
