//! Matches as files: `matches.csv` and `pairs.csv`.

use std::borrow::Cow;
use std::path::Path;

use super::Matches;
use crate::error::{Error, Result};
use crate::files::write_whole;

/// The ids of the rows of [`Matches`]; an empty id marks a row that is not written, neither as a line
/// nor as a match of another.
#[derive(Debug, Clone, Copy)]
pub struct Ids<'a> {
    /// One id for each row.
    pub rows: &'a [&'a str],
    /// One id for each row that may be a match: the same, or the gallery's.
    pub others: &'a [&'a str],
}

impl<'a> Ids<'a> {
    /// Rows that match one another.
    pub fn of(ids: &'a [&'a str]) -> Self {
        Ids {
            rows: ids,
            others: ids,
        }
    }
}

/// Writes `posting_id,matches`: for each row its matches, separated by spaces, itself first (against a
/// gallery there is no such), rows in order. This is the competition's form.
///
/// # Errors
/// Another number of ids than rows; an id with white space, which the file could not tell from two;
/// what the disk says. The file is written whole or not at all.
pub fn write_matches(path: impl AsRef<Path>, ids: Ids<'_>, matches: &Matches) -> Result<()> {
    let path = path.as_ref();
    check_ids(path, ids, matches)?;
    write_whole(path, |out| {
        out.write_all(b"posting_id,matches\n")?;
        let mut line = String::new();
        for (id, row) in ids.rows.iter().zip(matches.iter()) {
            if id.is_empty() {
                continue;
            }
            line.clear();
            for m in row {
                let other = ids.others[m.row as usize];
                if !other.is_empty() {
                    if !line.is_empty() {
                        line.push(' ');
                    }
                    line.push_str(other);
                }
            }
            writeln!(out, "{},{}", field(id), field(&line))?;
        }
        Ok(())
    })
}

/// Writes `from,to,score,source,threshold`: one line for each piece of evidence that fired for a match
/// in `matches`, a row's matches with itself left out. Scores and thresholds are similarities, in the
/// fewest digits that read back as the same f64.
///
/// Lines stand in the order of the rows, of their matches, and of strength.
///
/// # Errors
/// As [`write_matches`]; a source without a name.
pub fn write_pairs(
    path: impl AsRef<Path>,
    ids: Ids<'_>,
    matches: &Matches,
    source_names: &[&str],
) -> Result<()> {
    let path = path.as_ref();
    check_ids(path, ids, matches)?;
    let unnamed = |i: usize| {
        let mut sources = matches.firings(i).iter().map(|f| usize::from(f.source));
        sources.any(|s| s >= source_names.len())
    };
    if let Some(i) = (0..matches.len()).find(|&i| unnamed(i)) {
        return Err(Error::input("a match rests on a source without a name")
            .path(path)
            .row(i as u64 + 1)
            .mend("give the names of all sources"));
    }
    let names: Vec<_> = source_names.iter().map(|name| field(name)).collect();
    write_whole(path, |out| {
        out.write_all(b"from,to,score,source,threshold\n")?;
        for (i, from) in ids.rows.iter().enumerate() {
            for firing in matches.firings(i) {
                let to = ids.others[firing.row as usize];
                if !from.is_empty() && !to.is_empty() {
                    let name = &names[usize::from(firing.source)];
                    let (from, to) = (field(from), field(to));
                    let (score, threshold) = (firing.score, firing.threshold);
                    writeln!(out, "{from},{to},{score},{name},{threshold}")?;
                }
            }
        }
        Ok(())
    })
}

fn check_ids(path: &Path, ids: Ids<'_>, matches: &Matches) -> Result<()> {
    if ids.rows.len() != matches.len() {
        let error = Error::shape("write matches", &[ids.rows.len()], &[matches.len()]);
        return Err(error.path(path).mend("give one id for each row"));
    }
    let beyond = matches.iter().flatten().map(|m| m.row as usize + 1).max();
    if let Some(rows) = beyond.filter(|&rows| rows > ids.others.len()) {
        let error = Error::shape("write matches", &[ids.others.len()], &[rows]);
        return Err(error
            .path(path)
            .mend("give one id for each row that matches"));
    }
    let spaced = |id: &&str| id.contains(|c: char| c.is_ascii_whitespace());
    let first = |ids: &[&str]| ids.iter().position(spaced);
    match first(ids.rows).or_else(|| first(ids.others)) {
        Some(i) => Err(Error::input(
            "the id holds white space, which separates ids in matches.csv",
        )
        .path(path)
        .row(i as u64 + 1)
        .column("posting_id")
        .mend("give the listing an id without white space")),
        None => Ok(()),
    }
}

/// `text` as a field of a CSV: in quotes when it holds a comma, a quote or a line break.
fn field(text: &str) -> Cow<'_, str> {
    if text.contains([',', '"', '\n', '\r']) {
        Cow::Owned(format!("\"{}\"", text.replace('"', "\"\"")))
    } else {
        Cow::Borrowed(text)
    }
}
