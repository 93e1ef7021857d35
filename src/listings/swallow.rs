//! Tells a field that holds line breaks from an unclosed quote that swallowed rows.
//!
//! `5,a.jpg,"Bad title,100` (the quote never closed) and, rows later, `90,b.jpg,TV 24",100` make
//! together one well-formed record of four fields: RFC 4180 alone would lose all rows between.
//! The lines of such a record, each read alone, are rows; those of a title or a description with
//! line breaks are not. Left out are blank lines and the one that holds the record's own id: the
//! first, or where the id comes behind the field with line breaks, any with that very id. A line
//! counts as a row when it has the right number of fields, none of which begins with a space, and a
//! plausible id. The record is taken for an unclosed quote when at least half of its lines are rows
//! with an id that is built like the record's own, or at least half and no fewer than four are rows.

use memchr::memchr;

/// Lines longer than this are not taken for rows (bytes).
pub(super) const LONGEST_LINE: usize = 1 << 16;
/// So many lines that read as rows need no likeness of ids.
const ENOUGH: u64 = 4;
/// Ids of the same length must be this long to count as alike for that alone.
const LONG_ID: usize = 8;

/// Counts the lines of one record.
#[derive(Debug, Default)]
pub(super) struct Lines {
    all: u64,
    rows: u64,
    alike: u64,
}

impl Lines {
    /// Adds a line, without its line break.
    pub(super) fn add(&mut self, line: &[u8], own_id: &[u8], columns: usize, id_column: usize) {
        if line.is_empty() {
            return;
        }
        let id = id_of(line, columns, id_column);
        if id == Some(own_id) {
            return;
        }
        self.all += 1;
        if let Some(id) = id {
            self.rows += 1;
            self.alike += u64::from(alike(own_id, id));
        }
    }

    /// Adds a line that is too long to look at.
    pub(super) fn add_unread(&mut self) {
        self.all += 1;
    }

    /// Whether the lines are rows.
    pub(super) fn are_rows(&self) -> bool {
        let half = |n: u64| 2 * n >= self.all;
        (self.alike > 0 && half(self.alike)) || (self.rows >= ENOUGH && half(self.rows))
    }
}

/// The id of a line that reads as one row by itself.
fn id_of(line: &[u8], columns: usize, id_column: usize) -> Option<&[u8]> {
    let mut id = None;
    let mut rest = Some(line);
    let mut fields = 0;
    while let Some(text) = rest {
        if fields == columns || text.first() == Some(&b' ') {
            return None;
        }
        let (field, after) = field(text);
        if fields == id_column {
            id = Some(field);
        }
        fields += 1;
        rest = after;
    }
    let bad = |b: &u8| *b == b'"' || b.is_ascii_whitespace() || b.is_ascii_control();
    id.filter(|id| fields == columns && !id.is_empty() && !id.iter().any(bad))
}

/// The first field of `text` and what follows its comma. A quote that does not close as it should
/// is an ordinary character here.
fn field(text: &[u8]) -> (&[u8], Option<&[u8]>) {
    if text.first() == Some(&b'"') {
        let mut at = 1;
        while let Some(i) = memchr(b'"', &text[at..]) {
            let quote = at + i;
            match text.get(quote + 1) {
                Some(b'"') => at = quote + 2,
                Some(b',') => return (&text[1..quote], Some(&text[quote + 2..])),
                None => return (&text[1..quote], None),
                Some(_) => break,
            }
        }
    }
    match memchr(b',', text) {
        Some(i) => (&text[..i], Some(&text[i + 1..])),
        None => (text, None),
    }
}

/// Whether two ids are built alike: the same runs of letters, digits and signs (`train_12` and
/// `train_7`), or the same length with the same signs in the same places (hashes).
fn alike(a: &[u8], b: &[u8]) -> bool {
    fn runs(id: &[u8]) -> impl Iterator<Item = u8> {
        let mut last = None;
        id.iter()
            .map(|b| class(*b))
            .filter(move |c| last.replace(*c) != Some(*c))
    }
    let sign = |b: &u8| {
        let c = class(*b);
        if c == b'0' { b'a' } else { c }
    };
    runs(a).eq(runs(b))
        || (a.len() >= LONG_ID && a.len() == b.len() && a.iter().map(sign).eq(b.iter().map(sign)))
}

fn class(byte: u8) -> u8 {
    match byte {
        b'0'..=b'9' => b'0',
        b'a'..=b'z' | b'A'..=b'Z' | 0x80.. => b'a',
        sign => sign,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_alone_is_a_row_or_not() {
        assert_eq!(id_of(b"7,a.jpg,TV 24\",9", 4, 0), Some(&b"7"[..]));
        assert_eq!(id_of(b"a.jpg,7,\"x, y\",9", 4, 1), Some(&b"7"[..]));
        assert_eq!(id_of(b"\"7\",\"a \"\"b\"\"\"", 2, 0), Some(&b"7"[..]));
        assert_eq!(id_of(b"red, blue", 2, 0), None, "prose");
        assert_eq!(
            id_of(b"bright red,blue", 2, 0),
            None,
            "white space in the id"
        );
        assert_eq!(id_of(b"7,a,b", 2, 0), None);
        assert_eq!(id_of(b"7", 2, 0), None);
        assert_eq!(id_of(b",x", 2, 0), None, "no id");
        assert_eq!(id_of(b"\"\"k\"\":1,x", 2, 0), None, "quotes in the id");
    }

    #[test]
    fn ids_are_alike_by_their_runs_or_their_length() {
        assert!(alike(b"train_129225211", b"train_7"));
        assert!(alike(b"12", b"7"));
        assert!(alike(b"9f86d081884c7d65", b"e3b0c44298fc1c14"));
        assert!(!alike(b"123", b"red"));
        assert!(!alike(b"train_7", b"7"));
        assert!(!alike(b"ab-12345", b"ab123456"));
    }

    #[test]
    fn prose_is_not_rows_and_rows_are() {
        let count = |lines: &[&str]| {
            let mut all = Lines::default();
            for line in lines {
                all.add(line.as_bytes(), b"5", 3, 0);
            }
            all.are_rows()
        };
        assert!(count(&["6,a,b"]));
        assert!(count(&["6,a,b", "", "7,a,b", "ragged", "8,TV 24\",c"]));
        assert!(!count(&["Size: 3, weight: 2, red", "x\",9"]));
        assert!(
            !count(&["red,green,blue", "x\",9"]),
            "another kind of id, and few"
        );
        assert!(count(&["red,a,b", "green,a,b", "blue,a,b", "grey,a,b"]));
        assert!(!count(&["5,a,b", "prose"]), "the record's own id");
        assert!(!count(&[]));
    }
}
