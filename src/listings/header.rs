//! The header line: which column is which, and clear words when it will not do.

use std::path::Path;

use super::cells::Cells;
use super::scan::{Record, Scanner};
use super::source::Source;
use super::write::clip;
use crate::error::{Error, Result};
use crate::limits::MAX_COLUMNS;

/// The column of ids.
pub const POSTING_ID: &str = "posting_id";
/// The column of image file names.
pub const IMAGE: &str = "image";
/// The column of perceptual hashes.
pub const IMAGE_PHASH: &str = "image_phash";
/// The column of titles.
pub const TITLE: &str = "title";
/// The column of the true groups.
pub const LABEL_GROUP: &str = "label_group";

const NEEDED: &str = "posting_id and at least one of image, image_phash, title";

/// Where the known columns stand.
#[derive(Debug, Clone, Copy)]
pub(super) struct Columns {
    pub(super) id: usize,
    pub(super) image: Option<usize>,
    pub(super) phash: Option<usize>,
    pub(super) title: Option<usize>,
    pub(super) label: Option<usize>,
}

impl Columns {
    /// The places of the columns that are there.
    pub(super) fn known(&self) -> Vec<usize> {
        let rest = [self.image, self.phash, self.title, self.label];
        rest.into_iter().flatten().chain([self.id]).collect()
    }
}

/// The header of a file.
#[derive(Debug)]
pub(super) struct Header {
    /// The names, surrounding white space trimmed.
    pub(super) names: Vec<String>,
    pub(super) columns: Columns,
    pub(super) record: Record,
}

/// Looks at the first bytes: the offset behind a byte order mark, or an error for what is no
/// UTF-8 text at all.
pub(super) fn text_start(source: &Source, path: &Path) -> Result<u64> {
    let mut head = [0; 512];
    let mut n = 0;
    while n < head.len() {
        match source.read_at(&mut head[n..], n as u64)? {
            0 => break,
            more => n += more,
        }
    }
    let head = &head[..n];
    let wrong = |what: &str, mend: &str| Err(Error::input(what).path(path).mend(mend));
    if head.starts_with(b"\xef\xbb\xbf") {
        return Ok(3);
    }
    // UTF-16 without a mark: its first line is riddled with NUL.
    let line = head.split(|b| *b == b'\n').next().unwrap_or(head);
    let nul = line.iter().filter(|b| **b == 0).count();
    let riddled = nul > 0 && nul * 4 >= line.len();
    if head.starts_with(b"\xff\xfe") || head.starts_with(b"\xfe\xff") || riddled {
        return wrong("is UTF-16", "save it as UTF-8");
    }
    if head.starts_with(b"PK\x03\x04") {
        return wrong("is a zip file or a workbook", "save it as CSV in UTF-8");
    }
    if head.starts_with(b"\x1f\x8b") {
        return wrong("is compressed by gzip", "unpack it first");
    }
    Ok(0)
}

/// Reads the header; the scanner then stands at the first data row.
pub(super) fn read_header(scanner: &mut Scanner<'_>, path: &Path) -> Result<Header> {
    let mut cells = Cells::new(None);
    let Some(record) = scanner.header(&mut cells)? else {
        return Err(Error::input("no header line: the file is empty")
            .path(path)
            .mend(format!("the first line must name the columns: {NEEDED}")));
    };
    let fail = |e: Error| e.path(path).line(record.line);
    if record.fields > MAX_COLUMNS {
        let message = format!("{} columns; at most {MAX_COLUMNS} can be", record.fields);
        return Err(fail(Error::limit(message)));
    }
    if record.oversize.is_some() {
        return Err(fail(Error::limit("a column name of over 1 MiB")));
    }
    if record.fault.is_some() {
        return Err(fail(
            Error::input("unclosed quote in the header line")
                .mend("close it, or double a quote that is part of a name"),
        ));
    }
    let names: Vec<String> = (0..record.fields)
        .map(|i| String::from_utf8_lossy(cells.get(i)).trim().to_owned())
        .collect();
    let columns = find_columns(&names).map_err(fail)?;
    Ok(Header {
        names,
        columns,
        record,
    })
}

fn find_columns(names: &[String]) -> Result<Columns> {
    let find = |name: &str| names.iter().position(|n| n == name);
    let Some(id) = find(POSTING_ID) else {
        return Err(no_id(names));
    };
    let mut sorted: Vec<&String> = names.iter().filter(|n| !n.is_empty()).collect();
    sorted.sort();
    if let Some(pair) = sorted.windows(2).find(|pair| pair[0] == pair[1]) {
        return Err(Error::input("stands twice in the header")
            .column(clip(pair[0]))
            .mend("give each column a name of its own"));
    }
    let columns = Columns {
        id,
        image: find(IMAGE),
        phash: find(IMAGE_PHASH),
        title: find(TITLE),
        label: find(LABEL_GROUP),
    };
    if columns.image.or(columns.phash).or(columns.title).is_none() {
        let message = format!("no usable column: the columns are {}", list(names));
        return Err(Error::input(message).mend("add one of image, image_phash, title"));
    }
    Ok(columns)
}

/// What to say when no column is called `posting_id`.
fn no_id(names: &[String]) -> Error {
    let known = [IMAGE, IMAGE_PHASH, TITLE, LABEL_GROUP];
    if let Some(near) = names.iter().find(|n| n.eq_ignore_ascii_case(POSTING_ID)) {
        return Error::input(format!(
            "no column posting_id: the columns are {}",
            list(names)
        ))
        .mend(format!("rename {near} to posting_id"));
    }
    if let [only] = names
        && let Some(c) = [';', '\t', '|', '\r']
            .into_iter()
            .find(|c| only.contains(*c))
    {
        let mend = match c {
            '\r' => "its lines end with CR alone; save it with LF or CRLF".into(),
            c => format!("its fields seem to be separated by {c:?}; separate them by commas"),
        };
        return Error::input(format!("no header line: the first line is {}", list(names)))
            .mend(mend);
    }
    if names.iter().any(|n| known.contains(&n.as_str())) {
        return Error::input(format!(
            "no column posting_id: the columns are {}",
            list(names)
        ))
        .mend("add a column posting_id with an id of its own for each listing");
    }
    Error::input(format!("no header line: the first line is {}", list(names)))
        .mend(format!("the first line must name the columns: {NEEDED}"))
}

/// Names for a message: a dozen at most, long ones cut.
pub(super) fn list(names: &[String]) -> String {
    const SHOWN: usize = 12;
    let mut text: Vec<String> = names.iter().take(SHOWN).map(|n| clip(n)).collect();
    if names.len() > SHOWN {
        text.push(format!("and {} more", names.len() - SHOWN));
    }
    text.join(", ")
}
