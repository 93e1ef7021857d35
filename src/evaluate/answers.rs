//! Answers from a file: `matches.csv` read back and scored.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use super::csv::{Reader, Record};
use super::{Figures, score};
use crate::error::{Error, Result};
use crate::limits::MAX_ROWS;

/// What [`evaluate_file`] met on the way.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct Notes {
    /// Listings with a label that the file has no line for; each is scored as an empty answer, so 0.
    pub missing: usize,
    /// Ids in answers that are no listing's, each counted once an answer; wrong predictions.
    pub unknown_ids: usize,
    /// Lines for ids that are no listing's; not scored.
    pub unknown_listings: usize,
}

/// Reads `matches.csv`: each line's `posting_id` and the ids that match it, in the order of the file.
///
/// The header is `posting_id,matches`; ids in `matches` are separated by spaces. Fields may stand in
/// quotes; a byte order mark and CRLF are accepted.
///
/// # Errors
/// Another header; a line with another number of fields, without an id or with an id of an earlier
/// line; an unclosed or stray quote; text that is not UTF-8; a bound of [`crate::limits`]; what the
/// disk says. Each names the line and, behind the header, the row.
pub fn read_matches(path: impl AsRef<Path>) -> Result<Vec<(String, Vec<String>)>> {
    let path = path.as_ref();
    let mut reader = Reader::open(path)?;
    check_header(path, reader.next_record()?)?;
    let mut answers = Vec::new();
    let mut rows: HashMap<String, usize> = HashMap::new();
    loop {
        let row = answers.len() + 1;
        let record = reader.next_record().map_err(|e| e.row(row as u64))?;
        let Some(Record { fields, line }) = record else {
            return Ok(answers);
        };
        let wrong = |message: String| Error::input(message).path(path).row(row as u64).line(line);
        if row > MAX_ROWS {
            return Err(Error::limit(format!("more than {MAX_ROWS} rows")).path(path));
        }
        let fields: Result<[String; 2], _> = fields.try_into();
        let [id, matches] = fields.map_err(|fields| {
            wrong(format!("has {} fields, not 2", fields.len()))
                .mend("write posting_id,matches with the matches separated by spaces")
        })?;
        if id.is_empty() {
            return Err(wrong("has no id".into()).column("posting_id"));
        }
        if let Some(earlier) = rows.insert(id.clone(), row) {
            return Err(wrong(format!("the id {id} stands in row {earlier} too"))
                .column("posting_id")
                .mend("give each listing one line"));
        }
        let matches = matches.split(' ').filter(|m| !m.is_empty());
        let matches = matches.map(str::to_owned).collect();
        answers.push((id, matches));
    }
}

fn check_header(path: &Path, header: Option<Record>) -> Result<()> {
    match header {
        Some(header) if header.fields == ["posting_id", "matches"] => Ok(()),
        Some(_) => Err(Error::input("the header is not posting_id,matches")
            .path(path)
            .line(1)
            .mend("give a file of matches, with its header line")),
        None => Err(Error::input("is empty")
            .path(path)
            .mend("give a file of matches, with the header posting_id,matches")),
    }
}

/// Scores the answers of [`read_matches`] by `labels`, with `ids` saying which row each id is.
///
/// A labelled row without an answer scores as an empty answer. An id that is not in `ids` is a wrong
/// prediction where it is predicted, and a line for such an id is passed over.
///
/// # Errors
/// Two answers for one listing; an id whose row has no place in `labels`; no label at all.
pub fn evaluate_file(
    matches: &[(String, Vec<String>)],
    ids: &HashMap<&str, usize>,
    labels: &[Option<u32>],
) -> Result<(Figures, Notes)> {
    if ids.values().any(|&row| row >= labels.len()) {
        return Err(Error::internal("an id names a row without a label slot").op("evaluate"));
    }
    let mut notes = Notes::default();
    let mut answers: Vec<Option<(Vec<u32>, usize)>> = vec![None; labels.len()];
    for (line, (id, others)) in matches.iter().enumerate() {
        let Some(&row) = ids.get(id.as_str()) else {
            notes.unknown_listings += 1;
            continue;
        };
        if answers[row].is_some() {
            return Err(Error::input(format!("{id} has two answers"))
                .op("evaluate")
                .row(line as u64 + 1));
        }
        let mut rows = Vec::with_capacity(others.len());
        let mut unknown = HashSet::new();
        for other in others {
            match ids.get(other.as_str()) {
                Some(&row) => rows.push(row as u32),
                None => {
                    unknown.insert(other);
                }
            }
        }
        notes.unknown_ids += unknown.len();
        answers[row] = Some((rows, unknown.len()));
    }
    let labelled = labels.iter().zip(&answers);
    notes.missing = labelled
        .filter(|(label, answer)| label.is_some() && answer.is_none())
        .count();
    let figures = score(labels, |i| match &answers[i] {
        Some((rows, unknown)) => (rows, *unknown),
        None => (&[], 0),
    })?;
    Ok((figures, notes))
}
