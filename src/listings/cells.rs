//! The cells of one record, each kept up to the bound on a field.

use crate::limits::{MAX_COLUMNS, MAX_FIELD_BYTES};

/// The decoded fields of the record that was read last. Memory: the wanted fields, each at most
/// one byte over [`MAX_FIELD_BYTES`], however long the field is in the file.
#[derive(Debug)]
pub(super) struct Cells {
    /// The fields to keep; `None` keeps all.
    wanted: Option<Vec<usize>>,
    bytes: Vec<u8>,
    /// Where each field stands in `bytes`.
    spans: Vec<(usize, usize)>,
    keep: bool,
    start: usize,
    len: u64,
    last: u8,
}

impl Cells {
    /// Keeps the `wanted` fields, or all.
    pub(super) fn new(wanted: Option<Vec<usize>>) -> Cells {
        Cells {
            wanted,
            bytes: Vec::new(),
            spans: Vec::new(),
            keep: false,
            start: 0,
            len: 0,
            last: 0,
        }
    }

    /// The bytes of a field; nothing where it is not there or not wanted.
    pub(super) fn get(&self, field: usize) -> &[u8] {
        match self.spans.get(field) {
            Some(&(from, to)) => &self.bytes[from..to],
            None => &[],
        }
    }

    /// Forgets the last record.
    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.spans.clear();
    }

    /// Begins field number `field`.
    pub(super) fn open(&mut self, field: usize) {
        self.keep = field < MAX_COLUMNS
            && match &self.wanted {
                Some(wanted) => wanted.contains(&field),
                None => true,
            };
        self.start = self.bytes.len();
        self.len = 0;
        self.last = 0;
    }

    /// Adds content to the open field.
    pub(super) fn push(&mut self, content: &[u8]) {
        let Some(last) = content.last() else { return };
        self.last = *last;
        self.len += content.len() as u64;
        if self.keep {
            let room = MAX_FIELD_BYTES + 1 - (self.bytes.len() - self.start);
            let kept = &content[..content.len().min(room)];
            self.bytes.extend_from_slice(kept);
        }
    }

    /// Takes a trailing carriage return off the open field: the line break was CRLF.
    pub(super) fn trim_return(&mut self) -> bool {
        if self.len == 0 || self.last != b'\r' {
            return false;
        }
        self.last = 0;
        self.len -= 1;
        let kept = (self.bytes.len() - self.start) as u64;
        if kept > self.len {
            self.bytes.pop();
        }
        true
    }

    /// Ends the open field; its length in bytes.
    pub(super) fn close(&mut self) -> u64 {
        if self.spans.len() < MAX_COLUMNS {
            self.spans.push((self.start, self.bytes.len()));
        }
        self.len
    }
}

/// Whether a field of `len` bytes is over the bound.
pub(super) fn oversize(len: u64) -> bool {
    len > MAX_FIELD_BYTES as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_kept_up_to_the_bound() {
        let mut cells = Cells::new(Some(vec![0]));
        let chunk = vec![b'x'; 300_000];
        for field in 0..2 {
            cells.open(field);
            for _ in 0..10 {
                cells.push(&chunk);
            }
            assert_eq!(cells.close(), 3_000_000);
        }
        assert_eq!(cells.get(0).len(), MAX_FIELD_BYTES + 1);
        assert!(cells.get(1).is_empty() && cells.get(2).is_empty());
        cells.clear();
        cells.open(0);
        cells.push(b"a\r");
        assert!(cells.trim_return() && !cells.trim_return());
        assert!(!oversize(cells.close()));
        assert_eq!(cells.get(0), b"a");
    }
}
