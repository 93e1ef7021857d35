use std::io::Write;

use super::*;

/// One row as a test sees it: its line, and its cells or the fault.
type Row = (u64, Result<Vec<Vec<u8>>, ()>);

fn source(bytes: &[u8]) -> (tempfile::NamedTempFile, Source) {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(bytes).unwrap();
    let source = Source::open(file.path()).unwrap();
    (file, source)
}

/// All rows by the scanner with a buffer of `buffer` bytes, and its work.
fn scan(bytes: &[u8], shape: Shape, buffer: usize, allowance: Option<u64>) -> (Vec<Row>, u64) {
    let (_file, source) = source(bytes);
    let mut scanner = Scanner::new(&source, 0, 1);
    scanner.buf = vec![0; buffer];
    scanner.allowance = allowance.unwrap_or(scanner.allowance);
    let mut cells = Cells::new(None);
    let mut rows = Vec::new();
    while let Some(r) = scanner.row(&mut cells, shape).unwrap() {
        if r.blank {
            continue;
        }
        let all = (0..r.fields).map(|i| cells.get(i).to_vec()).collect();
        rows.push((r.line, if r.fault.is_some() { Err(()) } else { Ok(all) }));
    }
    (rows, scanner.work)
}

const THREE: Shape = Shape { columns: 3, id: 0 };

/// The same by a slow reader that sees the whole file and has no state but its position.
fn slow(bytes: &[u8], shape: Shape) -> Vec<Row> {
    let line_end = |at: usize| {
        bytes[at..]
            .iter()
            .position(|b| *b == b'\n')
            .map(|i| at + i + 1)
    };
    let (mut at, mut line, mut rows) = (0, 1, Vec::new());
    while at < bytes.len() {
        let whole = slow_record(&bytes[at..]);
        let first_end = line_end(at).unwrap_or(bytes.len());
        let (cells, len) = match &whole {
            Some((cells, len)) if at + len <= first_end => (Ok(cells.clone()), *len),
            Some((cells, len)) if slow_many(cells, &bytes[at..at + len], shape) => {
                (Ok(cells.clone()), *len)
            }
            _ => (Err(()), first_end - at),
        };
        let text = &bytes[at..at + len];
        if text != b"\n" && text != b"\r\n" && text != b"\r" {
            rows.push((line, cells));
        }
        line += text.iter().filter(|b| **b == b'\n').count() as u64;
        at += len;
    }
    rows
}

/// Whether the lines of `text` are one record with these cells.
fn slow_many(cells: &[Vec<u8>], text: &[u8], shape: Shape) -> bool {
    let broken = cells.iter().position(|c| c.contains(&b'\n')).unwrap();
    if cells.len() != shape.columns || broken == shape.id {
        return false;
    }
    let text = text.strip_suffix(b"\n").unwrap_or(text);
    let mut all: Vec<&[u8]> = text.split(|b| *b == b'\n').collect();
    if shape.id < broken {
        all.remove(0);
    }
    let mut lines = Lines::default();
    for line in all {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        lines.add(line, &cells[shape.id], shape.columns, shape.id);
    }
    !lines.are_rows()
}

/// The record that `text` begins with by RFC 4180 alone: its cells, and its length.
fn slow_record(text: &[u8]) -> Option<(Vec<Vec<u8>>, usize)> {
    let ends = |at: usize| match &text[at..] {
        [] | [b'\r'] => Some(text.len()),
        [b'\n', ..] => Some(at + 1),
        [b'\r', b'\n', ..] => Some(at + 2),
        _ => None,
    };
    let (mut at, mut cells) = (0, Vec::new());
    loop {
        let mut cell = Vec::new();
        if text.get(at) == Some(&b'"') {
            at += 1;
            loop {
                match (text.get(at)?, text.get(at + 1)) {
                    (b'"', Some(b'"')) => at += 1,
                    (b'"', _) => break,
                    _ => {}
                }
                cell.push(text[at]);
                at += 1;
            }
            at += 1;
            cells.push(cell);
        } else {
            while ends(at).is_none() && text[at] != b',' {
                cell.push(text[at]);
                at += 1;
            }
            cells.push(cell);
        }
        if let Some(end) = ends(at) {
            return Some((cells, end));
        }
        if text[at] != b',' {
            return None;
        }
        at += 1;
    }
}

/// Random text of the bytes and words that matter.
fn random(rng: &mut fastrand::Rng, words: usize) -> Vec<u8> {
    const WORDS: [&str; 14] = [
        "\"",
        "\"",
        "\"\"",
        ",",
        ",",
        "\n",
        "\n",
        "\r\n",
        "\r",
        "a",
        "b12,",
        "7",
        " ",
        "\n5,x,y\n",
    ];
    let mut text = Vec::new();
    for _ in 0..rng.usize(0..words) {
        text.extend_from_slice(WORDS[rng.usize(0..WORDS.len())].as_bytes());
    }
    text
}

#[test]
fn equal_to_a_slow_reader_on_random_text_whatever_the_buffer() {
    let mut rng = fastrand::Rng::with_seed(7);
    let (mut good, mut bad, mut many) = (0, 0, 0);
    for i in 0..6000 {
        let text = random(&mut rng, 8 + i % 60);
        let shape = Shape {
            columns: 2 + i % 3,
            id: i % 2,
        };
        let expected = slow(&text, shape);
        for buffer in [1, 1 + i % 7, BUFFER] {
            let (rows, _) = scan(&text, shape, buffer, None);
            assert_eq!(
                rows,
                expected,
                "{:?} {shape:?}",
                String::from_utf8_lossy(&text)
            );
        }
        let right = |r: &&Row| r.1.as_ref().is_ok_and(|c| c.len() == shape.columns);
        good += expected.iter().filter(right).count();
        bad += expected.iter().filter(|r| r.1.is_err()).count();
        let broken = |r: &&Row| r.1.iter().flatten().any(|c| c.contains(&b'\n'));
        many += expected.iter().filter(right).filter(broken).count();
    }
    assert!(
        good > 4000 && bad > 4000 && many > 100,
        "dull: {good} {bad} {many}"
    );
}

#[test]
fn each_byte_is_looked_at_at_most_once_a_column() {
    let hostile: [&[u8]; 9] = [
        b"a,\"b\n",
        b"a,\"b,c\n",
        b"a\",\"b\n",
        b"a,b\",\"c\n",
        b"\"\n",
        b"a,\"\"\"\n",
        b"a,\"\"b\"\"\n",
        b"\"\"\"\"\"\n",
        b",\",\",\"\n",
    ];
    for line in hostile {
        for columns in [2, 3, 5, 40] {
            for tail in [&b""[..], b"x,y\n", b"x,\"\"\n"] {
                let mut text = line.repeat(3000);
                text.extend(tail.repeat(3000));
                let (rows, work) = scan(&text, Shape { columns, id: 0 }, BUFFER, None);
                let bound = (columns as u64 + 3) * text.len() as u64;
                assert!(work <= bound, "{work} over {bound}: {line:?} {columns}");
                assert!(!rows.is_empty());
            }
        }
    }
}

#[test]
fn a_hundred_thousand_open_quotes_cost_one_line_each() {
    for line in [&b"12,\"title\n"[..], b"a\",\"b\n"] {
        let text = line.repeat(100_000);
        let (rows, work) = scan(&text, THREE, BUFFER, None);
        assert_eq!(rows.len(), 100_000);
        assert!(work <= 6 * text.len() as u64);
    }
}

#[test]
fn an_allowance_bounds_what_many_columns_cost() {
    // Every line reads on over a thousand lines, as each ends a field and begins another.
    let text = b"a\",\"b\n".repeat(40_000);
    let shape = Shape {
        columns: 1024,
        id: 0,
    };
    let allowance = 1 << 20;
    let (rows, work) = scan(&text, shape, BUFFER, Some(allowance));
    assert_eq!(rows.len(), 40_000);
    assert!(rows.iter().all(|r| r.1.is_err()));
    assert!(work <= allowance + 4 * text.len() as u64, "{work}");
    // The allowance changes nothing for what is good, and quotes may still close on their line.
    let mut text = b"a\",\"b\n".repeat(100);
    text.extend(b"7,\"x, y\",z\n8,a,b\n");
    let (rows, _) = scan(&text, THREE, BUFFER, Some(0));
    assert_eq!(rows.iter().filter(|r| r.1.is_ok()).count(), 2);
}

#[test]
fn an_unclosed_quote_costs_its_line() {
    let lines = |text: &str| {
        let (rows, _) = scan(text.as_bytes(), THREE, BUFFER, None);
        let bad = rows.iter().filter(|r| r.1.is_err());
        let good = rows.iter().filter(|r| r.1.is_ok());
        (
            bad.map(|r| r.0).collect::<Vec<_>>(),
            good.map(|r| r.0).collect::<Vec<_>>(),
        )
    };
    // To the end of the file; before a quoted field; on one line; in the last line.
    assert_eq!(lines("1,\"a,x\n2,b,x\n3,c,x\n"), (vec![1], vec![2, 3]));
    assert_eq!(lines("1,\"a,x\n2,\"b, c\",x\n3,c,x"), (vec![1], vec![2, 3]));
    assert_eq!(lines("1,\"a\" b,x\n2,b,x\n"), (vec![1], vec![2]));
    assert_eq!(lines("1,a,x\n2,\"b,x"), (vec![2], vec![1]));
    // The next quote is an inch mark many rows on, and RFC 4180 alone would lose them all.
    assert_eq!(
        lines("1,\"a,x\n2,b,x\n3,c,x\n4,TV 24\",x\n5,d,x\n"),
        (vec![1], vec![2, 3, 4, 5])
    );
    assert_eq!(lines("1,\"a,x\n2,TV 24\",x\n"), (vec![1], vec![2]));
    // Fields with line breaks are fields.
    assert_eq!(
        lines("1,\"a\nb\",x\n2,\"c,\r\n\r\nd, e\n\",\"\"\"\n\"\n3,c,x\n"),
        (vec![], vec![1, 3, 8])
    );
}

#[test]
fn the_same_where_the_id_comes_last() {
    let shape = Shape { columns: 2, id: 1 };
    let faults = |text: &str| {
        let (rows, _) = scan(text.as_bytes(), shape, BUFFER, None);
        rows.iter().map(|r| (r.0, r.1.is_err())).collect::<Vec<_>>()
    };
    let good = [(1, false), (4, false)];
    assert_eq!(faults("\"a\nb\nc\",1\nd,2\n"), good);
    let between = Shape { columns: 3, id: 1 };
    let (rows, _) = scan(b"\"a\nb\",1,\"c\nd\"\n", between, BUFFER, None);
    assert!(rows.len() == 1 && rows[0].1.is_ok());
    assert_eq!(faults("\"a, 9\nb, 8\nc,7\",1\nd,2\n"), good);
    assert_eq!(faults("\"a,1\nTV 24\",2\n"), [(1, true), (2, false)]);
    let many = faults("\"a,1\nb,2\nc\nTV 24\",4\n");
    assert_eq!(many, [(1, true), (2, false), (3, false), (4, false)]);
}
