//! `cargo xtask verified`: which kernels ran on a real card as their sources stand now.

use std::path::Path;
use std::process::ExitCode;

use toml::{Table, Value};

mod record;

use crate::kernel_sources::{self, Family};

/// The record.
const FILE: &str = "kernels/VERIFIED.toml";
/// What a run records of a family; `date` may be TOML's own or text, numbers may be whole.
const TEXTS: [&str; 4] = ["hash", "card", "date", "baseline"];
const NUMBERS: [&str; 2] = ["worst_error", "ratio"];

/// What is done before the lines are printed.
pub enum First<'a> {
    Nothing,
    /// Every family gets an entry.
    Update,
    /// A run's record is taken in.
    Record(&'a Path),
}

/// Prints one line for each family; fails when a record is refused or the file cannot be read.
pub fn main(first: First) -> ExitCode {
    let root = crate::root();
    let done = match first {
        First::Nothing => Ok(()),
        First::Update => record::update(&root),
        First::Record(file) => record::take(&root, file),
    };
    match done.and_then(|()| lines(&root)) {
        Ok(lines) => {
            println!("{}", lines.join("\n"));
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(2)
        }
    }
}

fn lines(root: &Path) -> Result<Vec<String>, String> {
    let text = std::fs::read_to_string(root.join(FILE)).map_err(|e| format!("{FILE}: {e}"))?;
    let families = kernel_sources::families(root).map_err(|e| format!("kernels: {e}"))?;
    report(&text, &families).map_err(|e| format!("{FILE}: {e}"))
}

/// A line for each family of the sources or of the record, the same order every time.
fn report(text: &str, families: &[Family]) -> Result<Vec<String>, String> {
    let table: Table = text
        .parse()
        .map_err(|e: toml::de::Error| e.message().to_string())?;
    let mut lines = Vec::new();
    for family in families {
        let state = match table.get(&family.name) {
            None => "never run (no entry)".to_string(),
            Some(entry) => {
                state(entry, &family.hash).map_err(|e| format!("[{}]: {e}", family.name))?
            }
        };
        lines.push(format!(
            "{:<12} {} {state}",
            family.name,
            family.hash.get(..12).unwrap_or(&family.hash)
        ));
    }
    for (name, entry) in &table {
        if !families.iter().any(|family| family.name == *name) {
            // Checked all the same: a broken entry is an error wherever it stands.
            let known = state(entry, "").map_err(|e| format!("[{name}]: {e}"))?;
            let what = if known == NEVER {
                "no sources yet"
            } else {
                "its sources are gone"
            };
            lines.push(format!("{name:<12} {:<12} {what}", "-"));
        }
    }
    if lines.is_empty() {
        lines.push("no kernels".into());
    }
    Ok(lines)
}

const NEVER: &str = "never run";

/// What an entry says of sources with this hash.
fn state(entry: &Value, hash: &str) -> Result<String, String> {
    let entry = entry.as_table().ok_or("is no table")?;
    let allowed = |key: &str| key == "state" || TEXTS.contains(&key) || NUMBERS.contains(&key);
    if let Some(key) = entry.keys().find(|key| !allowed(key)) {
        return Err(format!("unknown key {key}"));
    }
    match entry.get("state").and_then(Value::as_str) {
        Some(NEVER) if entry.len() == 1 => return Ok(NEVER.into()),
        Some(NEVER) => return Err("a family that never ran has no figures".into()),
        Some("ran") => {}
        _ => return Err("state must be \"never run\" or \"ran\"".into()),
    }
    let mut texts = Vec::new();
    for key in TEXTS {
        let value = match entry.get(key) {
            Some(Value::String(text)) => text.clone(),
            Some(Value::Datetime(date)) if key == "date" => date.to_string(),
            _ => return Err(format!("{key} is missing or no text")),
        };
        texts.push(value);
    }
    let mut numbers = Vec::new();
    for key in NUMBERS {
        let value = entry
            .get(key)
            .and_then(|v| v.as_float().or(v.as_integer().map(|n| n as f64)));
        numbers.push(value.ok_or_else(|| format!("{key} is missing or no number"))?);
    }
    let [ran, card, date, baseline] = &texts[..] else {
        return Err("is incomplete".into());
    };
    let figures = format!(
        "{date} on {card}, worst error {:e}, {} of {baseline}",
        numbers[0], numbers[1]
    );
    let now = if ran == hash {
        "ran"
    } else {
        "STALE: its sources changed since it ran"
    };
    Ok(format!("{now} {figures}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const RAN: &str = "\
[norm]
state = \"ran\"
hash = \"aaaaaaaaaaaaaaaa\"
card = \"H200\"
date = 2026-11-20
worst_error = 1.5e-6
baseline = \"copy bandwidth\"
ratio = 1
[gemm]
state = \"never run\"
";

    fn family(name: &str, hash: &str) -> Family {
        Family {
            name: name.into(),
            files: Vec::new(),
            hash: hash.into(),
        }
    }

    #[test]
    fn fresh_stale_new_and_gone_families_are_told_apart() {
        let now = [
            family("fusion", "cccccccccccccccc"),
            family("norm", "aaaaaaaaaaaaaaaa"),
        ];
        let lines = report(RAN, &now).unwrap();
        assert_eq!(
            lines,
            [
                "fusion       cccccccccccc never run (no entry)",
                "norm         aaaaaaaaaaaa ran 2026-11-20 on H200, worst error 1.5e-6, 1 of copy \
                 bandwidth",
                "gemm         -            no sources yet",
            ]
        );
        let lines = report(RAN, &[family("norm", "bbbbbbbbbbbbbbbb")]).unwrap();
        assert!(
            lines[0].contains("STALE: its sources changed since it ran 2026-11-20"),
            "{lines:?}"
        );
        let lines = report(RAN, &[family("gemm", "bbbbbbbbbbbbbbbb")]).unwrap();
        assert_eq!(lines[0], "gemm         bbbbbbbbbbbb never run");
        assert_eq!(lines[1], "norm         -            its sources are gone");
        assert_eq!(report("", &[]).unwrap(), ["no kernels"]);
    }

    #[test]
    fn broken_records_are_refused_with_the_place() {
        let all = [family("norm", "aaaaaaaaaaaaaaaa")];
        for (text, message) in [
            ("norm = 3", "[norm]: is no table"),
            ("[norm]", "state must be"),
            ("[norm]\nstate = \"fine\"", "state must be"),
            (
                "[norm]\nstate = \"never run\"\nratio = 1.0",
                "never ran has no figures",
            ),
            ("[norm]\nstate = \"ran\"\nspeed = 1.0", "unknown key speed"),
            ("[other]\nstate = \"ran\"", "[other]: hash is missing"),
        ] {
            let error = report(text, &all).unwrap_err();
            assert!(error.contains(message), "{text}: {error}");
        }
        for key in TEXTS.iter().chain(&NUMBERS) {
            let lines: Vec<&str> = RAN.lines().filter(|line| !line.starts_with(key)).collect();
            let error = report(&lines.join("\n"), &all).unwrap_err();
            assert!(
                error.starts_with(&format!("[norm]: {key} is missing")),
                "{error}"
            );
        }
    }

    #[test]
    fn the_committed_record_is_of_the_families_that_there_are() {
        let root = crate::root();
        let lines = lines(&root).unwrap();
        let families = kernel_sources::families(&root).unwrap();
        let mend = "run: cargo xtask verified --update";
        assert_eq!(lines.len(), families.len(), "{mend}\n{lines:#?}");
        assert!(
            !lines.iter().any(|l| l.contains("no entry")),
            "{mend}\n{lines:#?}"
        );
    }
}
