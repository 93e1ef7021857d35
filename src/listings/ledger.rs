//! The reject ledger: what could not be used, where, and why.

use std::fmt;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::write::write_row;
use crate::error::{Error, Result};
use crate::files;

/// Something in a CSV (or behind it: an image file) that could not be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reject {
    /// The data row, from 1; the header and empty lines do not count.
    pub row: u64,
    /// The line of the file that the row starts on, from 1.
    pub line: u64,
    /// The id in that row as far as it could be read; it may be empty, unusable, or not unique.
    pub posting_id: String,
    /// The column that is to blame; empty when it is the row as a whole.
    pub column: String,
    /// Why, in a few words.
    pub reason: String,
}

/// One line: `row 7 (line 9), a_12: column title: not UTF-8 (Latin-1?)`.
impl fmt::Display for Reject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "row {} (line {})", self.row, self.line)?;
        if !self.posting_id.is_empty() {
            write!(f, ", {}", plain(&self.posting_id))?;
        }
        if !self.column.is_empty() {
            write!(f, ": column {}", plain(&self.column))?;
        }
        write!(f, ": {}", plain(&self.reason))
    }
}

/// Control characters as spaces, so that a line stays a line.
fn plain(text: &str) -> String {
    let space = |c: char| if c.is_control() { ' ' } else { c };
    text.chars().map(space).collect()
}

/// All [`Reject`]s of a run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ledger {
    rejects: Vec<Reject>,
}

impl Ledger {
    /// An empty ledger.
    pub fn new() -> Ledger {
        Ledger::default()
    }

    /// Adds an entry.
    pub fn push(&mut self, reject: Reject) {
        self.rejects.push(reject);
    }

    /// Adds all entries of `other`.
    pub fn merge(&mut self, other: Ledger) {
        self.rejects.extend(other.rejects);
    }

    /// The entries in the order that they were added in, or by row after [`Ledger::sort`].
    pub fn iter(&self) -> std::slice::Iter<'_, Reject> {
        self.rejects.iter()
    }

    /// The number of entries.
    pub fn len(&self) -> usize {
        self.rejects.len()
    }

    /// Whether nothing was rejected.
    pub fn is_empty(&self) -> bool {
        self.rejects.is_empty()
    }

    /// Sorts by row; entries of one row keep their order.
    pub fn sort(&mut self) {
        self.rejects.sort_by_key(|r| r.row);
    }

    /// Writes the entries by row as the CSV `row,posting_id,column,reason`, whole or not at all.
    ///
    /// # Errors
    /// What [`files::write_whole`] returns.
    pub fn write(&self, out: &Path) -> Result<()> {
        let mut by_row: Vec<&Reject> = self.rejects.iter().collect();
        by_row.sort_by_key(|r| r.row);
        files::write_whole(out, |w| {
            w.write_all(b"row,posting_id,column,reason\n")?;
            for r in by_row {
                let row = r.row.to_string();
                let cells = [&row, &r.posting_id, &r.column, &r.reason];
                write_row(w, cells.map(|c| c.as_bytes()), b"\n")?;
            }
            Ok(())
        })
    }

    /// Writes the ledger that belongs to the output `out`: `matches.csv.rejects.csv` beside
    /// `matches.csv`. An empty ledger is not written, and one of an earlier run is removed. Beside
    /// an output that is no file (a pipe, `/dev/stdout`) nothing is written. Returns what was
    /// written.
    ///
    /// # Errors
    /// What [`Ledger::write`] returns, or [`crate::error::Kind::Io`] when an old ledger cannot be
    /// removed.
    pub fn write_beside(&self, out: &Path) -> Result<Option<PathBuf>> {
        if out.metadata().is_ok_and(|m| !m.is_file() && !m.is_dir()) {
            return Ok(None);
        }
        let path = files::beside(out, ".rejects.csv");
        if !self.is_empty() {
            self.write(&path)?;
            return Ok(Some(path));
        }
        match std::fs::remove_file(&path) {
            Err(e) if e.kind() != ErrorKind::NotFound => {
                Err(Error::io(e, &path).mend("it is of an earlier run: remove it"))
            }
            _ => Ok(None),
        }
    }
}

impl<'a> IntoIterator for &'a Ledger {
    type Item = &'a Reject;
    type IntoIter = std::slice::Iter<'a, Reject>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reject(row: u64, id: &str, column: &str, reason: &str) -> Reject {
        Reject {
            row,
            line: row + 1,
            posting_id: id.into(),
            column: column.into(),
            reason: reason.into(),
        }
    }

    fn ledger() -> Ledger {
        let mut ledger = Ledger::new();
        ledger.push(reject(9, "b", "title", "not UTF-8 (Latin-1?)"));
        ledger.push(reject(2, "a, \"b\"\n", "", "3 fields"));
        let mut other = Ledger::new();
        other.push(reject(9, "b", "image", "cut short"));
        other.push(reject(1, "", "posting_id", "empty"));
        ledger.merge(other);
        ledger
    }

    #[test]
    fn it_is_written_by_row_and_quoted() {
        let dir = tempfile::tempdir().unwrap();
        let out = dir.path().join("matches.csv");
        let path = ledger().write_beside(&out).unwrap().unwrap();
        assert_eq!(path, dir.path().join("matches.csv.rejects.csv"));
        assert_eq!(
            std::fs::read_to_string(&path).unwrap(),
            "row,posting_id,column,reason\n\
             1,,posting_id,empty\n\
             2,\"a, \"\"b\"\"\n\",,3 fields\n\
             9,b,title,not UTF-8 (Latin-1?)\n\
             9,b,image,cut short\n"
        );
        let mut sorted = ledger();
        sorted.sort();
        assert_eq!(
            sorted.iter().map(|r| r.row).collect::<Vec<_>>(),
            [1, 2, 9, 9]
        );
        assert_eq!(sorted.iter().nth(2).unwrap().column, "title");
    }

    #[test]
    fn an_empty_ledger_removes_an_old_one() {
        let dir = tempfile::tempdir().unwrap();
        let out = dir.path().join("m.csv");
        let path = ledger().write_beside(&out).unwrap().unwrap();
        assert_eq!(Ledger::new().write_beside(&out).unwrap(), None);
        assert!(!path.exists());
        assert_eq!(Ledger::new().write_beside(&out).unwrap(), None);
        assert_eq!(ledger().write_beside(Path::new("/dev/null")).unwrap(), None);
        std::fs::create_dir(&path).unwrap();
        assert!(ledger().write_beside(&out).is_err());
        assert!(Ledger::new().write_beside(&out).is_err());
    }

    #[test]
    fn an_entry_prints_as_one_line() {
        let entries = ledger();
        let lines: Vec<_> = entries.iter().map(ToString::to_string).collect();
        assert_eq!(
            lines[0],
            "row 9 (line 10), b: column title: not UTF-8 (Latin-1?)"
        );
        assert_eq!(lines[1], "row 2 (line 3), a, \"b\" : 3 fields");
        assert_eq!(lines[3], "row 1 (line 2): column posting_id: empty");
    }
}
