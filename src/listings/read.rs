//! Records to listings: what each cell must be, and what happens when it is not.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::path::Path;

use super::cells::Cells;
use super::header::{IMAGE, IMAGE_PHASH, LABEL_GROUP, POSTING_ID, TITLE, read_header, text_start};
use super::ledger::{Ledger, Reject};
use super::scan::{Fault, Record, Scanner, Shape};
use super::source::Source;
use super::write::clip;
use super::{Columns, Listing, Listings};
use crate::error::{Error, Result};
use crate::limits::MAX_ROWS;

impl Listings {
    /// Reads a CSV of listings, by the rules in [the module's docs](crate::listings). A pipe is
    /// read too.
    ///
    /// # Errors
    /// No such file, a folder, a device, UTF-16; no header line, a column that stands twice,
    /// neither `posting_id` nor anything to match by; more than the bounds of
    /// [`crate::limits`] on bytes, columns and rows.
    pub fn read(path: &Path) -> Result<Listings> {
        let source = Source::open(path)?;
        let start = text_start(&source, path)?;
        let mut scanner = Scanner::new(&source, start, 1);
        let header = read_header(&mut scanner, path)?;
        let shape = Shape {
            columns: header.names.len(),
            id: header.columns.id,
        };
        let mut cells = Cells::new(Some(header.columns.known()));
        let mut rows = Rows {
            names: &header.names,
            columns: header.columns,
            items: Vec::new(),
            ledger: Ledger::new(),
        };
        let mut starts = Vec::new();
        while let Some(record) = scanner.row(&mut cells, shape)? {
            if record.blank {
                continue;
            }
            if rows.items.len() == MAX_ROWS {
                let message = format!("more than {MAX_ROWS} rows");
                return Err(Error::limit(message).path(path).mend("split the file"));
            }
            starts.push(record.start);
            rows.add(&record, &cells);
        }
        rows.reject_duplicates();
        let Rows { items, ledger, .. } = rows;
        Ok(Listings {
            path: path.to_path_buf(),
            items,
            ledger,
            columns: header.columns,
            header_start: header.record.start,
            crlf: header.record.crlf,
            header: header.names,
            starts,
            source,
        })
    }
}

/// The rows so far.
struct Rows<'a> {
    names: &'a [String],
    columns: Columns,
    items: Vec<Listing>,
    ledger: Ledger,
}

impl Rows<'_> {
    /// Adds a listing for a record, and entries for what is wrong with it.
    fn add(&mut self, record: &Record, cells: &Cells) {
        let mut listing = Listing {
            row: self.items.len() as u64 + 1,
            line: record.line,
            posting_id: String::new(),
            image: None,
            phash: None,
            title: None,
            label_group: None,
            rejected: false,
        };
        match self.fault(record, cells) {
            Some((column, reason)) => {
                listing.rejected = true;
                let whole = record.fault.is_none() && record.fields == self.names.len();
                if whole && record.oversize != Some(self.columns.id) {
                    listing.posting_id = checked_id(cells.get(self.columns.id)).unwrap_or_default();
                }
                let shown = self.readable_id(&listing, record, cells);
                self.note(&listing, shown, column, reason);
            }
            None => self.fill(&mut listing, cells),
        }
        self.items.push(listing);
    }

    /// Why a row as a whole cannot be used: the column to blame, and the reason.
    fn fault(&self, record: &Record, cells: &Cells) -> Option<(String, String)> {
        let name = |field: usize| self.names.get(field).map_or(String::new(), |n| clip(n));
        if let Some((fault, field)) = record.fault {
            return Some((name(field), unclosed(fault)));
        }
        if record.fields != self.names.len() {
            let (has, wants) = (record.fields, self.names.len());
            let fields = if has == 1 { "field" } else { "fields" };
            let reason = format!("{has} {fields}, but the header has {wants}");
            return Some((String::new(), reason));
        }
        let too_long = record
            .oversize
            .map(|i| (name(i), "longer than 1 MiB".into()));
        if record.oversize == Some(self.columns.id) {
            return too_long;
        }
        match checked_id(cells.get(self.columns.id)) {
            Err(reason) => Some((POSTING_ID.into(), reason.into())),
            Ok(_) => too_long,
        }
    }

    /// Takes the cells of a good row.
    fn fill(&mut self, listing: &mut Listing, cells: &Cells) {
        let Columns {
            id,
            image,
            phash,
            title,
            label,
        } = self.columns;
        listing.posting_id = checked_id(cells.get(id)).unwrap_or_default();
        listing.image = self.text(listing, cells, image, IMAGE);
        listing.title = self.text(listing, cells, title, TITLE);
        listing.label_group = self.text(listing, cells, label, LABEL_GROUP);
        let hash = self.text(listing, cells, phash, IMAGE_PHASH);
        listing.phash = hash.and_then(|text| {
            let parsed = parse_phash(&text);
            if parsed.is_none() {
                let reason = format!("not 16 hexadecimal digits: {}", clip(&text));
                self.note(
                    listing,
                    listing.posting_id.clone(),
                    IMAGE_PHASH.into(),
                    reason,
                );
            }
            parsed
        });
    }

    /// A cell that must be text; noted when it is not.
    fn text(
        &mut self,
        listing: &Listing,
        cells: &Cells,
        column: Option<usize>,
        name: &str,
    ) -> Option<String> {
        match checked_text(cells.get(column?)) {
            Ok("") => None,
            Ok(text) => Some(text.to_owned()),
            Err(reason) => {
                self.note(
                    listing,
                    listing.posting_id.clone(),
                    name.into(),
                    reason.into(),
                );
                None
            }
        }
    }

    fn note(&mut self, listing: &Listing, posting_id: String, column: String, reason: String) {
        self.ledger.push(Reject {
            row: listing.row,
            line: listing.line,
            posting_id,
            column,
            reason,
        });
    }

    /// The id of a rejected row, for the ledger: whole where the row keeps it, else clipped.
    /// Nothing where the trouble is before it in the row.
    fn readable_id(&self, listing: &Listing, record: &Record, cells: &Cells) -> String {
        if listing.usable() {
            return listing.posting_id.clone();
        }
        if record
            .fault
            .is_some_and(|(_, field)| field <= self.columns.id)
        {
            return String::new();
        }
        clip(&String::from_utf8_lossy(cells.get(self.columns.id)))
    }

    /// The first row keeps an id; later rows with the same id are rejected.
    fn reject_duplicates(&mut self) {
        let mut first: HashMap<&str, u64> = HashMap::with_capacity(self.items.len());
        let mut later = Vec::new();
        for (i, listing) in self.items.iter().enumerate().filter(|(_, l)| l.usable()) {
            match first.entry(&listing.posting_id) {
                Entry::Occupied(of) => later.push((i, *of.get())),
                Entry::Vacant(free) => _ = free.insert(listing.row),
            }
        }
        for (i, row) in later {
            let listing = &mut self.items[i];
            let (row_of, line) = (listing.row, listing.line);
            self.ledger.push(Reject {
                row: row_of,
                line,
                posting_id: std::mem::take(&mut listing.posting_id),
                column: POSTING_ID.into(),
                reason: format!("duplicate of row {row}"),
            });
            *listing = Listing {
                row: row_of,
                line,
                posting_id: String::new(),
                image: None,
                phash: None,
                title: None,
                label_group: None,
                rejected: true,
            };
        }
        self.ledger.sort();
    }
}

/// UTF-8 without NUL, or why not.
fn checked_text(bytes: &[u8]) -> Result<&str, &'static str> {
    if memchr::memchr(0, bytes).is_some() {
        return Err("holds a NUL byte");
    }
    std::str::from_utf8(bytes).map_err(|_| "not UTF-8 (Latin-1?)")
}

/// A usable id, or why not.
fn checked_id(bytes: &[u8]) -> Result<String, &'static str> {
    let text = checked_text(bytes)?;
    if text.is_empty() {
        return Err("empty");
    }
    if text.chars().any(char::is_whitespace) {
        return Err("white space in the id");
    }
    if text.chars().any(char::is_control) {
        return Err("a control character in the id");
    }
    Ok(text.to_owned())
}

/// Exactly 16 hexadecimal digits, the most significant first.
fn parse_phash(text: &str) -> Option<u64> {
    let right = text.len() == 16 && text.bytes().all(|b| b.is_ascii_hexdigit());
    right.then(|| u64::from_str_radix(text, 16).ok()).flatten()
}

fn unclosed(fault: Fault) -> String {
    let why = match fault {
        Fault::EndOfFile => "it runs to the end of the file",
        Fault::TextAfter => "text follows the closing quote (a quote inside must be doubled)",
        Fault::FieldCount => "closed on a later line, the row has the wrong number of fields",
        Fault::Rows => "the lines up to the next quote are rows",
        Fault::Id => "an id is on one line",
        Fault::Allowance => "too many in this file to look at later lines",
    };
    format!("unclosed quote: {why}")
}
