//! CSV out: quoting, and subsets of a file's own records.

use std::io::{self, Write};
use std::path::Path;

use memchr::memchr3;

use super::Listings;
use super::cells::Cells;
use super::scan::Scanner;
use crate::error::{Error, Result};
use crate::files;

/// Writes one cell, quoted where it holds a comma, a quote or a line break (RFC 4180).
///
/// # Errors
/// What `out` returns.
pub fn write_cell(out: &mut (impl Write + ?Sized), cell: &[u8]) -> io::Result<()> {
    if memchr3(b',', b'"', b'\n', cell).is_none() && !cell.contains(&b'\r') {
        return out.write_all(cell);
    }
    out.write_all(b"\"")?;
    for (i, part) in cell.split(|b| *b == b'"').enumerate() {
        if i > 0 {
            out.write_all(b"\"\"")?;
        }
        out.write_all(part)?;
    }
    out.write_all(b"\"")
}

/// Writes one row: the cells, commas between them, and `end`.
///
/// # Errors
/// What `out` returns.
pub fn write_row<'a>(
    out: &mut (impl Write + ?Sized),
    cells: impl IntoIterator<Item = &'a [u8]>,
    end: &[u8],
) -> io::Result<()> {
    for (i, cell) in cells.into_iter().enumerate() {
        if i > 0 {
            out.write_all(b",")?;
        }
        write_cell(out, cell)?;
    }
    out.write_all(end)
}

impl Listings {
    /// Writes the header and the data rows `rows` (indices into [`Listings::items`]) as they stand
    /// in the file, columns of no meaning here and bytes that are not UTF-8 included; quoting is
    /// made regular, and lines end as the header's does. `extra` adds columns at the end: a name,
    /// and one value for each of `rows`.
    ///
    /// # Errors
    /// A rejected row or one that is not there, an extra column of another length or with the name
    /// of a column that is there, a file that was changed since it was read, and what
    /// [`files::write_whole`] returns.
    pub fn write_subset(
        &self,
        rows: &[usize],
        extra: &[(&str, &[String])],
        path: &Path,
    ) -> Result<()> {
        for (name, values) in extra {
            if values.len() != rows.len() {
                return Err(Error::shape("write_subset", &[values.len()], &[rows.len()]));
            }
            if self.header.iter().any(|h| h == name) {
                let error = Error::input("the file has this column already").column(*name);
                return Err(error.path(&self.path).mend("rename or remove it"));
            }
        }
        self.source.check_unchanged()?;
        let mut failed = None;
        let written = files::write_whole(path, |out| {
            self.copy(rows, extra, out).map_err(|e| match e {
                Stop::Write(e) => e,
                Stop::Read(e) => {
                    failed = Some(e);
                    io::Error::other("the listings could not be read again")
                }
            })
        });
        match failed {
            Some(error) => Err(error),
            None => written,
        }
    }

    /// Copies the header and `rows` to `out`.
    fn copy(
        &self,
        rows: &[usize],
        extra: &[(&str, &[String])],
        out: &mut dyn Write,
    ) -> Result<(), Stop> {
        let end: &[u8] = if self.crlf { b"\r\n" } else { b"\n" };
        let columns = self.header.len();
        let mut scanner = Scanner::new(&self.source, self.header_start, 1);
        let mut cells = Cells::new(None);
        scanner.record(&mut cells, None).map_err(Stop::Read)?;
        let own = (0..columns).map(|c| cells.get(c));
        write_row(out, own.chain(extra.iter().map(|e| e.0.as_bytes())), end)
            .map_err(Stop::Write)?;
        for (i, &row) in rows.iter().enumerate() {
            scanner.seek(self.start_of(row).map_err(Stop::Read)?);
            let record = scanner
                .record(&mut cells, Some(columns))
                .map_err(Stop::Read)?;
            if record.is_none_or(|r| r.fields != columns || r.fault.is_some()) {
                let e = Error::input("was changed while it was in use").path(&self.path);
                return Err(Stop::Read(e));
            }
            let own = (0..columns).map(|c| cells.get(c));
            let added = extra.iter().map(|e| e.1[i].as_bytes());
            write_row(out, own.chain(added), end).map_err(Stop::Write)?;
        }
        self.source.check_unchanged().map_err(Stop::Read)
    }

    /// Where a row that was not rejected starts in the file.
    fn start_of(&self, row: usize) -> Result<u64> {
        let (Some(item), Some(start)) = (self.items.get(row), self.starts.get(row)) else {
            return Err(Error::shape("write_subset", &[row], &[self.items.len()]));
        };
        if item.rejected {
            let error = Error::input("was rejected and cannot be written");
            return Err(error.path(&self.path).row(item.row).line(item.line));
        }
        Ok(*start)
    }
}

/// Which side of a copy failed.
enum Stop {
    Read(Error),
    Write(io::Error),
}

/// `text` on one line, and cut to 80 characters.
pub(super) fn clip(text: &str) -> String {
    const SHOWN: usize = 80;
    let space = |c: char| if c.is_control() { ' ' } else { c };
    let mut short: String = text.chars().take(SHOWN).map(space).collect();
    if text.chars().nth(SHOWN).is_some() {
        short.push('…');
    }
    short
}
