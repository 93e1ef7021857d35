//! Columns of no meaning here, read when they are asked for.

use std::collections::HashMap;

use super::Listings;
use super::cells::Cells;
use super::header::POSTING_ID;
use super::scan::Scanner;
use crate::error::{Error, Result};

impl Listings {
    /// The cells of the column `name`, of whatever meaning: one for each item; none for a rejected one, and
    /// bytes that are not UTF-8 replaced.
    ///
    /// # Errors
    /// No such column; a file that was changed since it was read.
    pub fn column(&self, name: &str) -> Result<Vec<Option<String>>> {
        let Some(at) = self.header.iter().position(|h| h == name) else {
            let columns = super::header::list(&self.header);
            return Err(
                Error::input(format!("no column {name}: the columns are {columns}"))
                    .path(&self.path)
                    .mend("name one of them"),
            );
        };
        self.source.check_unchanged()?;
        let columns = self.header.len();
        let mut scanner = Scanner::new(&self.source, self.header_start, 1);
        let mut cells = Cells::new(Some(vec![at]));
        let mut column = Vec::with_capacity(self.items.len());
        for (item, &start) in self.items.iter().zip(&self.starts) {
            if item.rejected {
                column.push(None);
                continue;
            }
            scanner.seek(start);
            if scanner.record(&mut cells, Some(columns))?.is_none() {
                return Err(Error::input("was changed while it was in use").path(&self.path));
            }
            column.push(Some(String::from_utf8_lossy(cells.get(at)).into_owned()));
        }
        self.source.check_unchanged()?;
        Ok(column)
    }

    /// The rows whose ids stand in earlier rows: the item, that earlier item, and whether the two rows are
    /// equal cell by cell.
    ///
    /// # Errors
    /// A file that was changed since it was read.
    pub fn repeated_ids(&self) -> Result<Vec<(usize, usize, bool)>> {
        let mut first: HashMap<&str, usize> = HashMap::with_capacity(self.items.len());
        for (i, item) in self.items.iter().enumerate().filter(|(_, l)| l.usable()) {
            first.insert(&item.posting_id, i);
        }
        // A row that repeats an id is rejected for that alone; its id is in the ledger.
        let again = self.ledger.iter().filter_map(|r| {
            let item = usize::try_from(r.row).ok()?.checked_sub(1)?;
            let earlier = *first.get(r.posting_id.as_str()).filter(|&&e| e < item)?;
            (r.column == POSTING_ID && self.items.get(item)?.rejected).then_some((item, earlier))
        });
        self.source.check_unchanged()?;
        let columns = self.header.len();
        let mut scanner = Scanner::new(&self.source, self.header_start, 1);
        let (mut own, mut other) = (Cells::new(None), Cells::new(None));
        let mut found = Vec::new();
        for (item, earlier) in again {
            for (row, cells) in [(item, &mut own), (earlier, &mut other)] {
                scanner.seek(self.starts[row]);
                if scanner.record(cells, Some(columns))?.is_none() {
                    return Err(Error::input("was changed while it was in use").path(&self.path));
                }
            }
            let equal = (0..columns).all(|c| own.get(c) == other.get(c));
            found.push((item, earlier, equal));
        }
        self.source.check_unchanged()?;
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_column_of_no_meaning_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("l.csv");
        let text = "fold,posting_id,title\n1,a,x\n0,b,\"y,\nz\"\n5,a,again\n,c,w\n";
        std::fs::write(&path, text).unwrap();
        let listings = Listings::read(&path).unwrap();
        let folds = listings.column("fold").unwrap();
        let some = |s: &str| Some(s.to_string());
        assert_eq!(folds, [some("1"), some("0"), None, some("")]);
        let error = listings.column("folds").unwrap_err().to_string();
        assert!(error.contains("fold, posting_id"), "{error}");
    }

    #[test]
    fn rows_that_repeat_an_id_are_compared() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("l.csv");
        let text = "posting_id,title\na,x\nb,y\n\na,\"x\"\nb,z\n,y\nb,y\n";
        std::fs::write(&path, text).unwrap();
        let listings = Listings::read(&path).unwrap();
        let again = listings.repeated_ids().unwrap();
        assert_eq!(again, [(2, 0, true), (3, 1, false), (5, 1, true)]);
    }
}
