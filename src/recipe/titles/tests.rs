use std::path::Path;
use std::sync::Mutex;

use super::*;
use crate::recipe::Quiet;

/// A vector is `[letters, capitals]`; titles with `!` cannot be tokenised, those with `?` give NaN, and
/// those with `#` a value that float16 cannot hold.
#[derive(Default)]
struct Letters {
    seen: Mutex<Vec<String>>,
}

impl EncodeTitles for Letters {
    fn dims(&self) -> usize {
        2
    }

    fn tokens(&self, titles: &[&str]) -> Vec<Result<Vec<u32>>> {
        let mut seen = self.seen.lock().unwrap();
        seen.extend(titles.iter().map(|t| t.to_string()));
        let one = |title: &&str| match title.contains('!') {
            true => Err(Error::input("is too loud")),
            false => Ok(title.chars().map(u32::from).collect()),
        };
        titles.iter().map(one).collect()
    }

    fn encode(&self, titles: &[&[u32]], out: &mut [f32]) -> Result<()> {
        for (title, out) in titles.iter().zip(out.chunks_mut(2)) {
            let has = |c: char| title.contains(&u32::from(c));
            let capital = |id: &&u32| char::from_u32(**id).is_some_and(char::is_uppercase);
            out[0] = match (has('?'), has('#')) {
                (true, _) => f32::NAN,
                (_, true) => 70_000.0,
                _ => title.len() as f32,
            };
            out[1] = title.iter().filter(capital).count() as f32;
        }
        Ok(())
    }
}

fn listings(folder: &Path, text: &str) -> Listings {
    let path = folder.join("l.csv");
    std::fs::write(&path, text).unwrap();
    Listings::read(&path).unwrap()
}

type Rows = Vec<(usize, Vec<f32>)>;

/// The rows in the order in which they came, and the titles that were tokenised.
fn embed(text: &str, change: impl FnOnce(&mut TitleWork)) -> (Rows, EmbeddedTitles, Vec<String>) {
    let folder = tempfile::tempdir().unwrap();
    let listings = listings(folder.path(), text);
    let encoder = Letters::default();
    let mut work = TitleWork::new(&encoder);
    work.raw = true;
    work.window = Window {
        titles: 3,
        bytes: 1000,
        tokens: 8,
    };
    change(&mut work);
    let mut rows = Vec::new();
    let mut sink = |row: usize, vector: &[f32]| {
        rows.push((row, vector.to_vec()));
        Ok(())
    };
    let embedded = embed_titles(&listings, &work, &mut sink, &Quiet).unwrap();
    let seen = encoder.seen.into_inner().unwrap();
    (rows, embedded, seen)
}

/// A row with a field too many, no title, one of white space, and the same titles again.
const TABLE: &str = "posting_id,title\n\
    p0,Ab\np1,long title\np2,Ab\np3,\np4,   \np5,x,y\np6,loud!\np7,C\np8,Ab\np9,loud!\np10,what?\n";

#[test]
fn equal_titles_are_encoded_once_and_every_row_is_accounted_for() {
    let (rows, embedded, seen) = embed(TABLE, |_| {});
    assert_eq!(seen, ["Ab", "long title", "loud!", "C", "what?"]);
    // Window by window, the longest title first, its rows in order.
    let wanted = [
        (1, vec![10.0, 0.0]),
        (0, vec![2.0, 1.0]),
        (2, vec![2.0, 1.0]),
        (8, vec![2.0, 1.0]),
        (7, vec![1.0, 1.0]),
    ];
    assert_eq!(rows, wanted);
    assert_eq!(
        (embedded.titles, embedded.rows, embedded.without),
        (5, 5, 2)
    );
    assert_eq!((embedded.flow.encoded, embedded.flow.tokens), (4, 18));
    let rejects: Vec<(u64, &str, &str)> = embedded
        .rejects
        .iter()
        .map(|r| (r.row, &r.posting_id[..], &r.column[..]))
        .collect();
    assert_eq!(
        rejects,
        [
            (7, "p6", "title"),
            (10, "p9", "title"),
            (11, "p10", "title")
        ]
    );
    assert_eq!(embedded.rejects[0].reason, "is too loud");
    assert!(embedded.rejects[2].reason.contains("not finite"));
}

#[test]
fn rows_have_unit_length_unless_raw_and_fit_their_type() {
    let text = "posting_id,title\np0,ABCd\np1,#\n";
    let (rows, ..) = embed(text, |work| work.raw = false);
    assert_eq!(rows, [(0, vec![0.8, 0.6]), (1, vec![1.0, 0.0])]);
    let (rows, embedded, _) = embed(text, |work| work.ceiling = 65_504.0);
    assert_eq!(rows, [(0, vec![4.0, 3.0])]);
    let reason = &embedded.rejects[0].reason;
    assert!(
        reason.contains("70000") && reason.contains("--dtype f32"),
        "{reason}"
    );
}

#[test]
fn escapes_become_text_before_titles_are_compared() {
    let text = "posting_id,title\np0,Caf\\xc3\\xa9\np1,Café\np2,\\x20\n";
    let (.., seen) = embed(text, |_| {});
    assert_eq!(seen, ["Caf\\xc3\\xa9", "Café", "\\x20"]);
    let (rows, embedded, seen) = embed(text, |work| work.decode_escapes = true);
    assert_eq!(seen, ["Café"]);
    assert_eq!((rows.len(), embedded.titles, embedded.without), (2, 1, 1));
}

#[test]
fn no_titles_are_no_rows() {
    let (rows, embedded, _) = embed("posting_id,title\n", |_| {});
    assert!(rows.is_empty() && embedded.titles == 0 && embedded.without == 0);
    let (rows, embedded, seen) = embed("posting_id,image\np0,a.jpg\n", |_| {});
    assert!(rows.is_empty() && seen.is_empty() && embedded.without == 1);
}
