//! Random CSVs: what is written reads back, and damaged files are read to the last line.

use doppel::listings::{Listings, Reject, write_row};

use super::Csv;

/// A random cell: often plain, sometimes with all that needs quoting.
fn cell(rng: &mut fastrand::Rng) -> String {
    const PARTS: [&str; 12] = [
        "a",
        "Tas",
        " ",
        "24\"",
        ",",
        "\"",
        "\n",
        "\r\n",
        "\r",
        "\u{e9}",
        "\u{1f45f}",
        "'",
    ];
    let most = if rng.bool() { 3 } else { PARTS.len() };
    (0..rng.usize(0..6))
        .map(|_| PARTS[rng.usize(0..most)])
        .collect()
}

#[test]
fn what_is_written_reads_back_the_same() {
    let mut rng = fastrand::Rng::with_seed(21);
    for round in 0..80 {
        let columns = rng.usize(2..8);
        let id_at = rng.usize(0..columns);
        let mut names: Vec<String> = (0..columns).map(|c| format!("extra, {c}")).collect();
        names[(id_at + 1) % columns] = "title".into();
        names[id_at] = "posting_id".into();
        let end: &[u8] = if round % 2 == 0 { b"\n" } else { b"\r\n" };
        let mut text = Vec::new();
        write_row(&mut text, names.iter().map(|n| n.as_bytes()), end).unwrap();
        let rows = rng.usize(0..30);
        let mut cells = Vec::new();
        for i in 0..rows {
            let mut row: Vec<String> = (0..columns).map(|_| cell(&mut rng)).collect();
            row[id_at] = format!("p-{}-{i}", rng.u32(..));
            write_row(&mut text, row.iter().map(|c| c.as_bytes()), end).unwrap();
            cells.push(row);
        }
        let csv = Csv::new(&text);
        let l = csv.read();
        assert!(l.ledger.is_empty(), "{:?}", l.ledger);
        assert_eq!(l.header, names);
        assert_eq!(l.items.len(), rows);
        for (item, row) in l.items.iter().zip(&cells) {
            assert_eq!(item.posting_id, row[id_at]);
            assert_eq!(
                item.title.as_deref().unwrap_or(""),
                row[(id_at + 1) % columns]
            );
        }
        let out = csv.path.with_file_name("out.csv");
        l.write_subset(&l.kept(), &[], &out).unwrap();
        assert_eq!(std::fs::read(&out).unwrap(), text, "the same bytes");
        // And any part of it, in any order.
        let mut part = l.kept();
        rng.shuffle(&mut part);
        part.truncate(rows / 2);
        l.write_subset(&part, &[], &out).unwrap();
        let again = Listings::read(&out).unwrap();
        assert!(again.ledger.is_empty());
        for (item, &i) in again.items.iter().zip(&part) {
            let was = &l.items[i];
            assert_eq!(
                (&item.posting_id, &item.title),
                (&was.posting_id, &was.title)
            );
        }
        assert_eq!(again.items.len(), part.len());
    }
}

#[test]
fn a_subset_of_a_damaged_file_reads_back_without_rejects() {
    let mut rng = fastrand::Rng::with_seed(22);
    let mut kept = 0;
    for _ in 0..150 {
        let csv = Csv::new(mutated(&mut rng));
        let Ok(l) = Listings::read(&csv.path) else {
            continue;
        };
        let out = csv.path.with_file_name("out.csv");
        l.write_subset(&l.kept(), &[], &out).unwrap();
        let again = Listings::read(&out).unwrap();
        let mut lost = again.ledger.iter();
        assert!(
            lost.all(|r| !again.items[r.row as usize - 1].rejected),
            "{:?}",
            again.ledger
        );
        assert_eq!(again.items.len(), l.kept().len());
        for (item, i) in again.items.iter().zip(l.kept()) {
            let was = &l.items[i];
            assert_eq!(
                (&item.posting_id, &item.title),
                (&was.posting_id, &was.title)
            );
            assert_eq!((&item.image, item.phash), (&was.image, was.phash));
            kept += 1;
        }
    }
    assert!(kept > 400, "dull: {kept}");
}

/// A good file of every feature, damaged in a few places.
fn mutated(rng: &mut fastrand::Rng) -> Vec<u8> {
    let mut text = b"posting_id,image,note,image_phash,title,label_group\r\n\
        t_1,a.jpg,,94974f937d4c2433,\"Sepatu, merah\",1\n\
        t_2,b.jpg,\"two\nlines, \"\"quoted\"\"\",,Monitor 24\" LED,1\r\n\
        \n\
        t_3,c.jpg,x,0000000000000000,caf\xc3\xa9,2\n\
        t_4,,,,\"\",\n"
        .to_vec();
    for i in 5..rng.usize(5..20) {
        text.extend(format!("t_{i},{i}.jpg,,,Title {i},{}\n", i / 2).bytes());
    }
    const BYTES: &[u8] = b"\"\"\"\",,\n\n\r\0\xff\xfe\xe9 aZ7_;\t\x1b";
    let start = if rng.u8(0..8) == 0 { 0 } else { 53 };
    for _ in 0..rng.usize(0..8) {
        if text.len() <= start {
            break;
        }
        let at = rng.usize(start..text.len());
        let byte = BYTES[rng.usize(0..BYTES.len())];
        match rng.u8(0..5) {
            0 => text[at] = byte,
            1 => text.insert(at, byte),
            2 => _ = text.remove(at),
            3 => {
                let from = rng.usize(start..text.len());
                let to = (from + rng.usize(0..60)).min(text.len());
                let piece = text[from..to].to_vec();
                text.splice(at..at, piece);
            }
            _ => text.truncate(at.max(54)),
        }
    }
    text
}

#[test]
fn any_bytes_are_read_without_panic_and_every_line_is_accounted_for() {
    let mut rng = fastrand::Rng::with_seed(23);
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("l.csv");
    let (mut read, mut refused) = (0, 0);
    for round in 0..6000 {
        let text = match round % 3 {
            0 => mutated(&mut rng),
            1 => {
                let head: &[u8] = b"title,posting_id\n";
                let body = (0..rng.usize(0..200)).map(|_| b"\",\n\r a1\0\xff"[rng.usize(0..9)]);
                head.iter().copied().chain(body).collect()
            }
            _ => (0..rng.usize(0..300)).map(|_| rng.u8(..)).collect(),
        };
        std::fs::write(&path, &text).unwrap();
        match Listings::read(&path) {
            Ok(listings) => {
                read += 1;
                account(&listings, &text);
            }
            Err(error) => {
                refused += 1;
                assert!(!error.to_string().contains('\n'));
            }
        }
    }
    assert!(read > 3000 && refused > 500, "{read} {refused}");
}

/// Checks that each line of `text` is in the header, in a row, or blank; and that each row says what
/// became of it.
fn account(listings: &Listings, text: &[u8]) {
    let lines: Vec<&[u8]> = text.split(|b| *b == b'\n').collect();
    let shown = || String::from_utf8_lossy(text);
    let items = &listings.items;
    for (i, item) in items.iter().enumerate() {
        assert_eq!(item.row, i as u64 + 1);
        let mut rejects = listings.ledger.iter().filter(|r| r.row == item.row);
        assert!(
            !item.rejected || rejects.any(|r| r.line == item.line),
            "{}",
            shown()
        );
        assert!(item.rejected || item.usable());
        // What lies between this row's first line and the next row is blank, or in a quoted field
        // of this row, which then has that many line breaks.
        let next = items.get(i + 1).map_or(lines.len() as u64 + 1, |n| n.line);
        assert!(item.line < next, "{}", shown());
        let first = item.line as usize - 1;
        assert!(!blank(lines[first]), "{}", shown());
        let rest = &lines[first + 1..next as usize - 1];
        let more = rest.iter().rposition(|l| !blank(l)).map_or(0, |n| n + 1);
        let unclosed = |r: &Reject| r.reason.starts_with("unclosed");
        let single = listings
            .ledger
            .iter()
            .any(|r| r.row == item.row && unclosed(r));
        assert!(
            more == 0 || (!single && lines[first].contains(&b'"')),
            "{}",
            shown()
        );
        // No line of a field that was taken whole is a row with an id like those of the file.
        let like =
            |l: &&&[u8]| l.starts_with(b"t_") && l.iter().filter(|b| **b == b',').count() == 5;
        let quoted = |l: &&&[u8]| like(l) && !l.contains(&b'"');
        assert!(
            2 * rest.iter().filter(quoted).count() <= more,
            "{}",
            shown()
        );
    }
    let known = listings
        .ledger
        .iter()
        .all(|r| r.row >= 1 && r.row <= items.len() as u64);
    assert!(known && listings.ledger.iter().is_sorted_by_key(|r| r.row));
    let unique: std::collections::HashSet<_> = items
        .iter()
        .filter(|i| i.usable())
        .map(|i| &i.posting_id)
        .collect();
    assert_eq!(unique.len(), items.iter().filter(|i| i.usable()).count());
}

fn blank(line: &[u8]) -> bool {
    line.is_empty() || line == b"\r"
}
