//! Listings: CSV in, validation, the reject ledger, folds.
//!
//! [`Listings::read`] reads the competition's CSV: columns in any order, extra columns kept;
//! `posting_id` and at least one of `image`, `image_phash`, `title` are required. What cannot be
//! used gets an entry in the [`Ledger`] and the run goes on; where going on would be wrong, there
//! is one [`Error`].
//!
//! - A byte order mark and CRLF are accepted; empty lines are skipped and are no rows. Header names
//!   count without surrounding white space.
//! - A **row** is rejected when it has another number of fields than the header, a field over
//!   [`MAX_FIELD_BYTES`](crate::limits::MAX_FIELD_BYTES), or an id that is empty, not UTF-8, holds
//!   white space or control characters (in `matches.csv` spaces separate ids), or stood in an
//!   earlier row. Only a row with a field that is too long keeps its id: it is listed alone.
//! - A **cell** is lost, and its listing stays, when it is not UTF-8, holds a NUL, or is an
//!   `image_phash` of anything but 16 hexadecimal digits. Columns of no meaning here may hold what
//!   they like. An empty cell is a missing value. Cells are taken as they stand, spaces included.
//! - Quotes are those of RFC 4180; inside a field that does not begin with one, a quote is an
//!   ordinary character (`Monitor 24" LED`). **An unclosed quote costs one line, never the rows
//!   after it**: see `scan.rs` and `swallow.rs`.
//!
//! Memory: what [`Listings::items`] holds, and a few MiB however long a field is; extra columns stay
//! in the file, which is kept open for [`Listings::write_subset`]. Time is linear in the file.

mod cells;
mod column;
pub mod folds;
mod header;
mod ledger;
mod read;
mod scan;
mod source;
mod swallow;
pub mod synth;
mod write;

use std::collections::HashMap;
use std::path::PathBuf;

pub use header::{IMAGE, IMAGE_PHASH, LABEL_GROUP, POSTING_ID, TITLE};
pub use ledger::{Ledger, Reject};
pub use write::{write_cell, write_row};

use crate::error::{Error, Result};
use header::Columns;
use source::Source;

/// One data row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listing {
    /// The data row, from 1; rejected rows count, empty lines do not.
    pub row: u64,
    /// The line of the file that the row starts on, from 1.
    pub line: u64,
    /// The id; empty when there is none that can be used. Ids that are not empty are unique.
    pub posting_id: String,
    /// The name of the image file.
    pub image: Option<String>,
    /// imagehash's 8 x 8 pHash: the first hexadecimal digit is the most significant.
    pub phash: Option<u64>,
    /// The title as it stands.
    pub title: Option<String>,
    /// The true group.
    pub label_group: Option<String>,
    /// A rejected row never matches: it has no image, hash, title or label.
    pub rejected: bool,
}

impl Listing {
    /// Whether the listing has an id, and so a line in `matches.csv`.
    pub fn usable(&self) -> bool {
        !self.posting_id.is_empty()
    }
}

/// A CSV of listings.
#[derive(Debug)]
pub struct Listings {
    /// Where it was read from.
    pub path: PathBuf,
    /// The names of all columns, surrounding white space trimmed.
    pub header: Vec<String>,
    /// Each data row, rejected ones too, in the order of the file.
    pub items: Vec<Listing>,
    /// What was rejected, by row.
    pub ledger: Ledger,
    columns: Columns,
    source: Source,
    header_start: u64,
    crlf: bool,
    /// The offset of each item's record.
    starts: Vec<u64>,
}

impl Listings {
    /// Whether there is a column `image`.
    pub fn has_images(&self) -> bool {
        self.columns.image.is_some()
    }

    /// Whether there is a column `title`.
    pub fn has_titles(&self) -> bool {
        self.columns.title.is_some()
    }

    /// Whether there is a column `image_phash`.
    pub fn has_phashes(&self) -> bool {
        self.columns.phash.is_some()
    }

    /// Whether there is a column `label_group`.
    pub fn has_labels(&self) -> bool {
        self.columns.label.is_some()
    }

    /// For what cannot do without true groups.
    ///
    /// # Errors
    /// One that names the missing column `label_group`.
    pub fn require_labels(&self) -> Result<()> {
        if self.has_labels() {
            return Ok(());
        }
        let columns = header::list(&self.header);
        let message = format!("no column label_group: the columns are {columns}");
        Err(Error::input(message)
            .path(&self.path)
            .mend("add it: the same value for listings of the same product"))
    }

    /// The index of the item with each usable id.
    pub fn index_by_id(&self) -> HashMap<&str, usize> {
        let usable = self.items.iter().enumerate().filter(|(_, l)| l.usable());
        usable.map(|(i, l)| (l.posting_id.as_str(), i)).collect()
    }

    /// The true group of each item as a number, in the order in which the groups first appear; `None`
    /// for an item without a label, or one that was rejected.
    pub fn labels(&self) -> Vec<Option<u32>> {
        let mut numbers: HashMap<&str, u32> = HashMap::new();
        self.items
            .iter()
            .map(|l| {
                let label = l.label_group.as_deref().filter(|_| !l.rejected)?;
                let next = numbers.len() as u32;
                Some(*numbers.entry(label).or_insert(next))
            })
            .collect()
    }

    /// The listings of some rows, in that order, as if the file held no others; they keep the numbers of
    /// their rows and lines. The ledger stays behind.
    ///
    /// # Errors
    /// A row that is not there; what the system says of the open file.
    pub fn select(&self, rows: &[usize]) -> Result<Listings> {
        if rows.iter().any(|&i| i >= self.items.len()) {
            return Err(Error::internal("a row is selected that is not there").path(&self.path));
        }
        Ok(Listings {
            path: self.path.clone(),
            header: self.header.clone(),
            items: rows.iter().map(|&i| self.items[i].clone()).collect(),
            ledger: Ledger::new(),
            columns: self.columns,
            source: self.source.again()?,
            header_start: self.header_start,
            crlf: self.crlf,
            starts: rows.iter().map(|&i| self.starts[i]).collect(),
        })
    }

    /// The indices of the items that were not rejected.
    pub fn kept(&self) -> Vec<usize> {
        let kept = |i: &usize| !self.items[*i].rejected;
        (0..self.items.len()).filter(kept).collect()
    }
}
