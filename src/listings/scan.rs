//! The scanner: bytes to records, after RFC 4180, with a rule against swallowed rows.
//!
//! Beyond the standard: LF and CRLF end a line; a quote inside a field that does not begin with
//! one is an ordinary character; a lone carriage return is too. **A quote that is not closed as it
//! should be costs one line**: where a quoted field runs to the end of the file, where anything but
//! a comma or a line end follows its closing quote, or where a record of several lines has the
//! wrong number of fields or holds lines that are rows themselves (see [`super::swallow`]), the
//! line that the record starts on is given up and reading goes on at the next line.
//!
//! Looking ahead so costs at most (number of columns) times the length of the file: a line on
//! which a quote stays open also closes the quotes that were opened on lines before it, so each
//! look-ahead gains a field on each such line and ends at the last column. Files with many columns
//! that are made to exploit this run out of an allowance, after which a quote must close on the
//! line that it is opened on.

use memchr::{memchr, memchr_iter, memchr2};

use super::cells::{Cells, oversize};
use super::source::Source;
use super::swallow::{LONGEST_LINE, Lines};
use crate::error::Result;

/// How many bytes are read at once.
const BUFFER: usize = 1 << 18;
/// Look-ahead that came to nothing may cost so many times the file's length ...
const ALLOWED_TIMES: u64 = 8;
/// ... and so many bytes.
const ALLOWED_BYTES: u64 = 64 << 20;

/// Why a quote counts as unclosed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// The field runs to the end of the file.
    EndOfFile,
    /// Something other than a comma or a line end follows the closing quote.
    TextAfter,
    /// The record has several lines and another number of fields than the header.
    FieldCount,
    /// The lines of the field are rows.
    Rows,
    /// The field is the id, which cannot hold a line break.
    Id,
    /// The allowance for looking ahead is used up.
    Allowance,
}

/// What the records of a file look like.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shape {
    /// The number of columns.
    pub(super) columns: usize,
    /// The column of the id.
    pub(super) id: usize,
}

/// One record. Its cells are in the [`Cells`] that were read into.
#[derive(Debug)]
pub(super) struct Record {
    /// The offset of its first byte.
    pub(super) start: u64,
    /// The line that it starts on, from 1.
    pub(super) line: u64,
    /// The number of fields.
    pub(super) fields: usize,
    /// An empty line.
    pub(super) blank: bool,
    /// Ended by CRLF.
    pub(super) crlf: bool,
    /// The first field over the bound on fields.
    pub(super) oversize: Option<usize>,
    /// The quote that counts as unclosed: why, and the field that it opens.
    pub(super) fault: Option<(Fault, usize)>,
    /// The first field with a line break, and the offset behind that break.
    broken: Option<(usize, u64)>,
    /// The number of line breaks inside fields.
    breaks: u64,
}

/// What ended a field.
enum End {
    Comma,
    Line,
    Fault(Fault),
}

/// Reads records one after another.
pub(super) struct Scanner<'a> {
    source: &'a Source,
    buf: Vec<u8>,
    base: u64,
    pos: usize,
    filled: usize,
    line: u64,
    wasted: u64,
    allowance: u64,
    work: u64,
}

impl<'a> Scanner<'a> {
    /// A scanner at byte `offset`, which is the start of line number `line`.
    pub(super) fn new(source: &'a Source, offset: u64, line: u64) -> Scanner<'a> {
        Scanner {
            source,
            buf: vec![0; BUFFER],
            base: offset,
            pos: 0,
            filled: 0,
            line,
            wasted: 0,
            allowance: source.len().saturating_mul(ALLOWED_TIMES) + ALLOWED_BYTES,
            work: 0,
        }
    }

    /// The next record of a file of this `shape`; `None` at the end. When the record has a fault,
    /// the scanner stands at the line after the one that the record starts on.
    pub(super) fn row(&mut self, cells: &mut Cells, shape: Shape) -> Result<Option<Record>> {
        let Some(mut record) = self.record(cells, Some(shape.columns))? else {
            return Ok(None);
        };
        let next = self.offset();
        if let (None, Some((field, behind))) = (record.fault, record.broken) {
            if field == shape.id {
                record.fault = Some((Fault::Id, field));
            } else if self.holds_rows(&record, behind, cells.get(shape.id), shape)? {
                record.fault = Some((Fault::Rows, field));
            }
        }
        if record.fault.is_none() {
            self.seek(next);
            self.line += 1 + record.breaks;
            return Ok(Some(record));
        }
        match record.broken {
            Some((_, behind)) => {
                self.wasted += next.saturating_sub(behind);
                self.seek(behind);
            }
            None => self.read_line(None)?,
        }
        self.line += 1;
        Ok(Some(record))
    }

    /// The first record that is not an empty line, for a header.
    pub(super) fn header(&mut self, cells: &mut Cells) -> Result<Option<Record>> {
        loop {
            let Some(record) = self.record(cells, None)? else {
                return Ok(None);
            };
            self.line += 1 + record.breaks;
            if !record.blank {
                return Ok(Some(record));
            }
        }
    }

    /// The next record as it stands; `columns` says where a record of several lines must end.
    pub(super) fn record(
        &mut self,
        cells: &mut Cells,
        columns: Option<usize>,
    ) -> Result<Option<Record>> {
        cells.clear();
        let Some(mut first) = self.peek()? else {
            return Ok(None);
        };
        let mut record = Record {
            start: self.offset(),
            line: self.line,
            fields: 0,
            blank: false,
            crlf: false,
            oversize: None,
            fault: None,
            broken: None,
            breaks: 0,
        };
        loop {
            let field = record.fields;
            cells.open(field);
            let end = if first == b'"' {
                self.pos += 1;
                self.quoted(cells, &mut record)?
            } else {
                self.unquoted(cells, &mut record)?
            };
            let len = cells.close();
            record.fields += 1;
            if oversize(len) {
                record.oversize.get_or_insert(field);
            }
            if let End::Fault(fault) = end {
                record.fault = Some((fault, field));
                break;
            }
            let more = matches!(end, End::Comma);
            if let (Some((broken, _)), Some(columns)) = (record.broken, columns)
                && (record.fields + usize::from(more) > columns
                    || (!more && record.fields != columns))
            {
                record.fault = Some((Fault::FieldCount, broken));
                break;
            }
            if !more {
                record.blank = field == 0 && len == 0 && first != b'"';
                break;
            }
            // Behind a comma the file may end: one more empty field.
            first = self.peek()?.unwrap_or(b'\n');
        }
        self.work += self.offset() - record.start;
        Ok(Some(record))
    }

    /// The offset of the next byte.
    pub(super) fn offset(&self) -> u64 {
        self.base + self.pos as u64
    }

    /// Goes to byte `offset`.
    pub(super) fn seek(&mut self, offset: u64) {
        if (self.base..=self.base + self.filled as u64).contains(&offset) {
            self.pos = (offset - self.base) as usize;
        } else {
            self.base = offset;
            self.pos = 0;
            self.filled = 0;
        }
    }

    /// Reads an unquoted field.
    fn unquoted(&mut self, cells: &mut Cells, record: &mut Record) -> Result<End> {
        while self.fill()? {
            let chunk = &self.buf[self.pos..self.filled];
            let Some(i) = memchr2(b',', b'\n', chunk) else {
                cells.push(chunk);
                self.pos = self.filled;
                continue;
            };
            cells.push(&chunk[..i]);
            self.pos += i + 1;
            if chunk[i] == b',' {
                return Ok(End::Comma);
            }
            break;
        }
        record.crlf = cells.trim_return();
        Ok(End::Line)
    }

    /// Reads a quoted field from behind its opening quote.
    fn quoted(&mut self, cells: &mut Cells, record: &mut Record) -> Result<End> {
        while self.fill()? {
            let chunk = &self.buf[self.pos..self.filled];
            let quote = memchr(b'"', chunk);
            let content = &chunk[..quote.unwrap_or(chunk.len())];
            if let Some(i) = memchr(b'\n', content) {
                let behind = self.base + (self.pos + i + 1) as u64;
                record.broken.get_or_insert((record.fields, behind));
                record.breaks += memchr_iter(b'\n', &content[i..]).count() as u64;
                if self.wasted > self.allowance {
                    return Ok(End::Fault(Fault::Allowance));
                }
            }
            cells.push(content);
            self.pos += content.len();
            if quote.is_none() {
                continue;
            }
            self.pos += 1;
            match self.peek()? {
                Some(b'"') => {
                    cells.push(b"\"");
                    self.pos += 1;
                }
                other => return self.behind_quote(other, record),
            }
        }
        Ok(End::Fault(Fault::EndOfFile))
    }

    /// What follows a closing quote; `next` has been seen and not passed.
    fn behind_quote(&mut self, next: Option<u8>, record: &mut Record) -> Result<End> {
        let mut next = next;
        if next == Some(b'\r') {
            self.pos += 1;
            next = match self.peek()? {
                Some(b'\n') => Some(b'\n'),
                None => None,
                Some(_) => return Ok(End::Fault(Fault::TextAfter)),
            };
            record.crlf = true;
        }
        Ok(match next {
            None => End::Line,
            Some(b'\n') => {
                self.pos += 1;
                End::Line
            }
            Some(b',') => {
                self.pos += 1;
                End::Comma
            }
            Some(_) => End::Fault(Fault::TextAfter),
        })
    }

    /// Whether lines of a record of several lines are rows; `behind` is the start of its second,
    /// and the scanner stands at the record's end.
    fn holds_rows(
        &mut self,
        record: &Record,
        behind: u64,
        id: &[u8],
        shape: Shape,
    ) -> Result<bool> {
        let end = self.offset();
        let id_first = record.broken.is_some_and(|(field, _)| shape.id < field);
        let mut lines = Lines::default();
        let mut line = Vec::new();
        self.seek(if id_first { behind } else { record.start });
        while self.offset() < end {
            self.read_line(Some(&mut line))?;
            if line.len() > LONGEST_LINE {
                lines.add_unread();
            } else {
                let end = line.len() - usize::from(line.ends_with(b"\r"));
                lines.add(&line[..end], id, shape.columns, shape.id);
            }
        }
        Ok(lines.are_rows())
    }

    /// Passes the rest of the line; keeps it without its LF, and not much over [`LONGEST_LINE`].
    fn read_line(&mut self, mut into: Option<&mut Vec<u8>>) -> Result<()> {
        if let Some(line) = &mut into {
            line.clear();
        }
        while self.fill()? {
            let chunk = &self.buf[self.pos..self.filled];
            let end = memchr(b'\n', chunk);
            let content = &chunk[..end.unwrap_or(chunk.len())];
            if let Some(line) = &mut into
                && line.len() <= LONGEST_LINE
            {
                let room = LONGEST_LINE + 1 - line.len();
                line.extend_from_slice(&content[..content.len().min(room)]);
            }
            self.pos += content.len();
            self.work += content.len() as u64;
            if end.is_some() {
                self.pos += 1;
                break;
            }
        }
        Ok(())
    }

    /// The next byte, if there is one.
    fn peek(&mut self) -> Result<Option<u8>> {
        Ok(if self.fill()? {
            Some(self.buf[self.pos])
        } else {
            None
        })
    }

    /// Makes sure that there are bytes in the buffer; false at the end of the file.
    fn fill(&mut self) -> Result<bool> {
        if self.pos == self.filled {
            self.base += self.filled as u64;
            self.pos = 0;
            self.filled = 0;
            self.filled = self.source.read_at(&mut self.buf, self.base)?;
        }
        Ok(self.filled > 0)
    }
}

#[cfg(test)]
mod tests;
