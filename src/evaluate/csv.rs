//! A small, strict reader of CSV records for `matches.csv`, in bounded memory.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use crate::error::{Error, Result};
use crate::limits::{MAX_COLUMNS, MAX_CSV_BYTES, MAX_FIELD_BYTES};

/// One record: its fields, and the line that it starts on (1 is the first).
pub(super) struct Record {
    pub(super) fields: Vec<String>,
    pub(super) line: u64,
}

/// Reads the records of `path` one by one. Lines without any character are passed over; a byte order
/// mark and CRLF are accepted.
pub(super) struct Reader<'a> {
    path: &'a Path,
    bytes: std::io::Bytes<BufReader<std::io::Take<std::fs::File>>>,
    read: u64,
    line: u64,
}

/// Where the reader stands within a field.
#[derive(Clone, Copy, PartialEq)]
enum State {
    /// Nothing of the field is read.
    Start,
    /// Within a field without quotes.
    Plain,
    /// Within quotes.
    Quoted,
    /// Behind a quote within quotes: the field's end, or the first half of a doubled quote.
    Quote,
}

impl<'a> Reader<'a> {
    pub(super) fn open(path: &'a Path) -> Result<Self> {
        let fail = |e| Error::io(e, path);
        let file = std::fs::File::open(path).map_err(fail)?;
        if file.metadata().map_err(fail)?.is_dir() {
            return Err(Error::input("is a folder").path(path).mend("name a file"));
        }
        let mut buffered = BufReader::with_capacity(1 << 18, file.take(MAX_CSV_BYTES + 1));
        let bom = buffered
            .fill_buf()
            .map_err(fail)?
            .starts_with(b"\xEF\xBB\xBF");
        if bom {
            buffered.consume(3);
        }
        Ok(Reader {
            path,
            bytes: buffered.bytes(),
            read: 0,
            line: 1,
        })
    }

    fn error(&self, line: u64, message: &str) -> Error {
        Error::input(message).path(self.path).line(line)
    }

    fn next_byte(&mut self) -> Result<Option<u8>> {
        let byte = self.bytes.next().transpose();
        let byte = byte.map_err(|e| Error::io(e, self.path))?;
        self.read += u64::from(byte.is_some());
        if self.read > MAX_CSV_BYTES {
            return Err(
                Error::limit(format!("is larger than {MAX_CSV_BYTES} bytes"))
                    .path(self.path)
                    .line(self.line),
            );
        }
        if byte == Some(b'\n') {
            self.line += 1;
        }
        Ok(byte)
    }

    /// The next record; none at the end of the file.
    pub(super) fn next_record(&mut self) -> Result<Option<Record>> {
        loop {
            let line = self.line;
            match self.fields(line)? {
                None => return Ok(None),
                Some(fields) if fields == [""] => continue,
                Some(fields) => return Ok(Some(Record { fields, line })),
            }
        }
    }

    fn fields(&mut self, line: u64) -> Result<Option<Vec<String>>> {
        let (mut fields, mut field, mut state) = (Vec::new(), Vec::new(), State::Start);
        let mut began = false;
        loop {
            let byte = self.next_byte()?;
            began |= byte.is_some();
            match (state, byte) {
                (State::Quoted, None) => {
                    return Err(self
                        .error(line, "a quote is opened and never closed")
                        .mend("close it, or double a quote that is part of an id"));
                }
                (_, None) if !began => return Ok(None),
                (State::Quoted, Some(b'"')) => state = State::Quote,
                (State::Quoted, Some(byte)) => field.push(byte),
                (State::Quote, Some(b'"')) => {
                    field.push(b'"');
                    state = State::Quoted;
                }
                (State::Start, Some(b'"')) => state = State::Quoted,
                (_, None | Some(b'\n')) => {
                    fields.push(self.text(line, field)?);
                    return Ok(Some(fields));
                }
                (_, Some(b'\r')) => {
                    if self.next_byte()? != Some(b'\n') {
                        return Err(self.error(line, "a carriage return does not end the line"));
                    }
                    fields.push(self.text(line, field)?);
                    return Ok(Some(fields));
                }
                (_, Some(b',')) => {
                    fields.push(self.text(line, std::mem::take(&mut field))?);
                    state = State::Start;
                    if fields.len() >= MAX_COLUMNS {
                        return Err(self.error(line, "the line has too many fields"));
                    }
                }
                (State::Quote, Some(_)) => {
                    return Err(self
                        .error(line, "text follows a closed quote")
                        .mend("double a quote that is part of an id"));
                }
                (State::Plain, Some(b'"')) => {
                    return Err(self
                        .error(line, "a quote stands within a field without quotes")
                        .mend("put the field in quotes and double the one inside"));
                }
                (State::Plain | State::Start, Some(byte)) => {
                    field.push(byte);
                    state = State::Plain;
                }
            }
            if field.len() > MAX_FIELD_BYTES {
                return Err(self.error(line, "a field is too long").mend(format!(
                    "a field may have {MAX_FIELD_BYTES} bytes; look for a quote that is not closed"
                )));
            }
        }
    }

    fn text(&self, line: u64, field: Vec<u8>) -> Result<String> {
        match String::from_utf8(field) {
            Ok(text) if !text.contains('\0') => Ok(text),
            Ok(_) => Err(self.error(line, "a field holds a NUL")),
            Err(_) => Err(self
                .error(line, "the text is not UTF-8")
                .mend("save the file as UTF-8")),
        }
    }
}
