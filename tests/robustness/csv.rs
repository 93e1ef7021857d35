//! Every way in which a CSV of listings can be bad, and what must come of it.

use std::path::{Path, PathBuf};

use doppel::error::Kind;
use doppel::limits::{MAX_COLUMNS, MAX_FIELD_BYTES};
use doppel::listings::{Listings, Reject};

mod random;

/// A folder with one CSV in it.
struct Csv {
    _dir: tempfile::TempDir,
    path: PathBuf,
}

impl Csv {
    fn new(bytes: impl AsRef<[u8]>) -> Csv {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("l.csv");
        std::fs::write(&path, bytes).unwrap();
        Csv { _dir: dir, path }
    }

    fn read(&self) -> Listings {
        Listings::read(&self.path).unwrap()
    }

    fn error(&self) -> String {
        let error = Listings::read(&self.path).unwrap_err().to_string();
        assert!(
            error.contains("l.csv: ") && !error.contains('\n'),
            "{error}"
        );
        error
    }
}

fn read(bytes: impl AsRef<[u8]>) -> Listings {
    Csv::new(bytes).read()
}

fn error(bytes: impl AsRef<[u8]>) -> String {
    Csv::new(bytes).error()
}

fn ids(listings: &Listings) -> Vec<&str> {
    listings
        .items
        .iter()
        .map(|l| l.posting_id.as_str())
        .collect()
}

/// The ledger as `row line id column`, and the reasons.
fn ledger(listings: &Listings) -> (Vec<String>, Vec<&str>) {
    let place = |r: &Reject| format!("{} {} {} {}", r.row, r.line, r.posting_id, r.column);
    (
        listings.ledger.iter().map(place).collect(),
        listings.ledger.iter().map(|r| r.reason.as_str()).collect(),
    )
}

#[test]
fn columns_in_any_order_and_all_values() {
    let l = read(
        "price,title,label_group, posting_id ,image_phash,image\r\n\
         9,Monitor 24\" LED,g1,a,94974F937d4c2433,x.jpg\r\n\
         ,\"one, \"\"two\"\"\r\nthree\",,b,,\r\n",
    );
    assert_eq!(l.header[3], "posting_id");
    assert!(l.has_images() && l.has_titles() && l.has_phashes() && l.has_labels());
    assert!(l.ledger.is_empty() && l.require_labels().is_ok());
    let (a, b) = (&l.items[0], &l.items[1]);
    assert_eq!((a.row, a.line, b.row, b.line), (1, 2, 2, 3));
    assert_eq!(a.title.as_deref(), Some("Monitor 24\" LED"));
    assert_eq!(a.phash, Some(0x9497_4f93_7d4c_2433));
    assert_eq!(
        (a.image.as_deref(), a.label_group.as_deref()),
        (Some("x.jpg"), Some("g1"))
    );
    assert_eq!(b.title.as_deref(), Some("one, \"two\"\r\nthree"));
    assert_eq!((&b.image, &b.label_group, b.phash), (&None, &None, None));
    assert_eq!(l.index_by_id(), [("a", 0), ("b", 1)].into());
    assert_eq!(l.kept(), [0, 1]);
}

#[test]
fn titles_stand_as_they_are() {
    let l = read("posting_id,title\n1,  \\xe2\\x80 a \t\n2, \"x\" \n3,\"\"\n4,a\rb\n");
    let titles: Vec<_> = l.items.iter().map(|i| i.title.as_deref()).collect();
    let expected = [
        Some("  \\xe2\\x80 a \t"),
        Some(" \"x\" "),
        None,
        Some("a\rb"),
    ];
    assert_eq!(titles, expected);
    assert!(l.ledger.is_empty());
}

#[test]
fn a_byte_order_mark_blank_lines_and_a_missing_last_break_are_nothing() {
    let l = read("\u{feff}\n\"posting_id\",title\n\n\r\n1,a\n\n\n2,b\r\n\n3,c");
    assert_eq!(ids(&l), ["1", "2", "3"]);
    let lines: Vec<_> = l.items.iter().map(|i| (i.row, i.line)).collect();
    assert_eq!(lines, [(1, 5), (2, 8), (3, 10)]);
    assert!(l.ledger.is_empty());
    for empty in [
        "posting_id,title",
        "posting_id,title\n",
        "title,posting_id\r\n\r\n",
    ] {
        assert!(read(empty).items.is_empty());
    }
}

#[test]
fn no_header_line() {
    for text in ["", "\n\r\n", "\u{feff}"] {
        assert!(error(text).contains("no header line: the file is empty; "));
    }
    let text = error("train_1,a.jpg,Nice\ntrain_2,b.jpg,Good\n");
    assert!(text.contains("line 1: no header line: the first line is train_1, a.jpg, Nice; the"));
    assert!(
        text.contains("posting_id and at least one of image, image_phash, title"),
        "{text}"
    );
}

#[test]
fn no_usable_column() {
    let text = error("posting_id,name,label_group\n1,a,2\n");
    let expected = "no usable column: the columns are posting_id, name, label_group; \
        add one of image, image_phash, title";
    assert!(text.ends_with(expected), "{text}");
    let text = error("image,title\na,b\n");
    assert!(
        text.contains("no column posting_id: the columns are image, title; add"),
        "{text}"
    );
    let text = error("Posting_ID,title\na,b\n");
    assert!(text.contains("rename Posting_ID to posting_id"), "{text}");
    for (text, word) in [
        ("posting_id;title\n1;a\n", "separated by ';'"),
        ("posting_id\ttitle\n1\ta\n", "separated by '\\t'"),
        ("posting_id|title\r1|a\r", "separated by '|'"),
        ("posting_id\r1\r", "CR alone"),
    ] {
        assert!(error(text).contains(word), "{}", error(text));
    }
}

#[test]
fn a_header_that_cannot_be() {
    let text = error("posting_id,title, title\n1,a,b\n");
    assert!(
        text.contains("column title: stands twice in the header; "),
        "{text}"
    );
    assert!(error("posting_id,x,x,title\n").contains("column x"));
    assert!(error("posting_id,posting_id,title\n").contains("column posting_id"));
    assert_eq!(
        read("posting_id,,,title\n1,,,a\n").items.len(),
        1,
        "no names are no duplicates"
    );
    assert!(error("posting_id,\"title\n1,a\n").contains("unclosed quote in the header"));
    let wide = |n: usize| format!("posting_id,title{}\n", ",".repeat(n - 2));
    assert!(Listings::read(&Csv::new(wide(MAX_COLUMNS)).path).is_ok());
    let error = Listings::read(&Csv::new(wide(MAX_COLUMNS + 1)).path).unwrap_err();
    assert_eq!(error.kind(), Kind::Limit);
    let long = format!("posting_id,title,{}\n", "x".repeat(MAX_FIELD_BYTES + 1));
    assert_eq!(
        Listings::read(&Csv::new(long).path).unwrap_err().kind(),
        Kind::Limit
    );
    // A long first line is quoted in part.
    assert!(self::error("x".repeat(100_000)).len() < 500);
    assert!(self::error("x,".repeat(900)).contains("and 889 more"));
}

#[test]
fn other_encodings_of_the_whole_file() {
    let text = "posting_id,title\n1,caf\u{e9}\n";
    let utf16 =
        |order: fn(u16) -> [u8; 2]| -> Vec<u8> { text.encode_utf16().flat_map(order).collect() };
    let (le, be) = (utf16(u16::to_le_bytes), utf16(u16::to_be_bytes));
    for bytes in [
        [b"\xff\xfe", &le[..]].concat(),
        [b"\xfe\xff", &be[..]].concat(),
        le,
        be,
        b"\xff\xfe".to_vec(),
    ] {
        assert!(error(bytes).ends_with("is UTF-16; save it as UTF-8"));
    }
    assert!(error(b"PK\x03\x04....").contains("workbook"));
    assert!(error(b"\x1f\x8b\x08....").contains("gzip"));
}

#[test]
fn latin_1_costs_the_cell_or_the_row_of_an_id() {
    let l = read(
        b"posting_id,title,image,note,image_phash,label_group\n\
          1,caf\xe9,a.jpg,\xe9,,5\n\
          \xe9,caf,a.jpg,,,5\n\
          3,ok,\xff.jpg,,\xff,\xff\n",
    );
    assert_eq!(ids(&l), ["1", "", "3"]);
    let (places, reasons) = ledger(&l);
    assert_eq!(
        places,
        [
            "1 2 1 title",
            "2 3 \u{fffd} posting_id",
            "3 4 3 image",
            "3 4 3 label_group",
            "3 4 3 image_phash"
        ]
    );
    assert!(reasons.iter().all(|r| *r == "not UTF-8 (Latin-1?)"));
    assert_eq!((&l.items[0].title, l.items[0].rejected), (&None, false));
    assert_eq!(l.items[0].image.as_deref(), Some("a.jpg"));
    assert!(l.items[1].rejected && l.items[1].title.is_none());
    assert_eq!(l.items[2].title.as_deref(), Some("ok"));
}

#[test]
fn nul_costs_the_cell_or_the_row_of_an_id() {
    let l = read("posting_id,title,note\n1,a\0b,\n2\0,a,\n3,a,\0\0\n4,\"\0\",\n");
    assert_eq!(ids(&l), ["1", "", "3", "4"]);
    let (places, reasons) = ledger(&l);
    assert_eq!(places, ["1 2 1 title", "2 3 2  posting_id", "4 5 4 title"]);
    assert!(reasons.iter().all(|r| *r == "holds a NUL byte"));
    assert!(!l.items[0].rejected && l.items[0].title.is_none() && l.items[1].rejected);
}

#[test]
fn ragged_rows_are_rejected() {
    let l = read("posting_id,title,x\n1,a,\n2,b\n3,c,,\n4\n\"\"\n   \n5,e,f\n");
    assert_eq!(ids(&l), ["1", "", "", "", "", "", "5"]);
    let (places, reasons) = ledger(&l);
    assert_eq!(places, ["2 3 2 ", "3 4 3 ", "4 5 4 ", "5 6  ", "6 7     "]);
    assert_eq!(
        reasons[..2],
        [
            "2 fields, but the header has 3",
            "4 fields, but the header has 3"
        ]
    );
    assert_eq!(reasons[2], "1 field, but the header has 3");
    assert_eq!(l.kept(), [0, 6]);
    // Commas without end in one line.
    let l = read(format!(
        "posting_id,title\n1,{}\n2,b\n",
        ",".repeat(3_000_000)
    ));
    assert_eq!(ledger(&l).1, ["3000002 fields, but the header has 2"]);
    assert_eq!(ids(&l), ["", "2"]);
}

#[test]
fn ids_must_be_there_whole_and_unique() {
    let l = read(
        "title,posting_id,label_group\na,1,g\nb,,\nc,x y,\nd, 4,\ne,5\t,\nf,\"6\n6\",\n\
         g,1,h\nh,1,\ni,x\u{a0}y,\nj,\u{7}k,\nk,1 ,\nl,2,\n",
    );
    let (places, reasons) = ledger(&l);
    assert_eq!(
        places,
        [
            "2 3  posting_id",
            "3 4 x y posting_id",
            "4 5  4 posting_id",
            "5 6 5  posting_id",
            "6 7  posting_id",
            "7 8  ",
            "8 9 1 posting_id",
            "9 10 1 posting_id",
            "10 11 x\u{a0}y posting_id",
            "11 12  k posting_id",
            "12 13 1  posting_id"
        ]
    );
    assert_eq!(reasons[0], "empty");
    assert!(reasons[1..4].iter().all(|r| *r == "white space in the id"));
    assert!(
        reasons[4].starts_with("unclosed quote: "),
        "an id on two lines"
    );
    assert_eq!(reasons[6..8], ["duplicate of row 1"; 2]);
    assert_eq!(
        reasons[8..],
        [
            "white space in the id",
            "a control character in the id",
            "white space in the id"
        ]
    );
    assert_eq!(l.kept(), [0, 12]);
    assert_eq!(l.items[0].label_group.as_deref(), Some("g"));
    for i in l.items.iter().filter(|i| i.rejected) {
        assert!(!i.usable() && i.title.is_none() && i.label_group.is_none());
    }
}

#[test]
fn hashes_are_sixteen_hexadecimal_digits() {
    let l = read(
        "posting_id,image_phash\n1,0000000000000001\n2,8000000000000000\n3,abc\n\
         4,+000000000000001\n5,94974f937d4c24330\n6, 4974f937d4c2433\n7,94974f937d4c243g\n8,\n",
    );
    let hashes: Vec<_> = l.items.iter().map(|i| i.phash).collect();
    assert_eq!(hashes[..2], [Some(1), Some(1 << 63)]);
    assert!(hashes[2..].iter().all(Option::is_none));
    let (places, reasons) = ledger(&l);
    assert_eq!(
        places,
        (3..8)
            .map(|i| format!("{i} {} {i} image_phash", i + 1))
            .collect::<Vec<_>>()
    );
    assert_eq!(reasons[0], "not 16 hexadecimal digits: abc");
    assert!(l.items.iter().all(|i| !i.rejected));
}

#[test]
fn a_field_over_the_bound_rejects_its_row_and_keeps_its_id() {
    let long = "x".repeat(MAX_FIELD_BYTES + 1);
    let lines = "word word,\r\n".repeat(MAX_FIELD_BYTES / 12 + 1);
    let most = &long[1..];
    let l = read(format!(
        "title,posting_id,note\n{most},1,{most}\r\n{long},2,\na,3,\"{long}\"\na,{long},\n\
         \"{lines}\",5,\n\"{lines}\",5 5,\n\"{most}\"\"\",6,\n{long},1,\nlast,7,\n"
    ));
    assert!(ids(&l) == ["1", "2", "3", "", "5", "", "6", "", "7"]);
    assert_eq!(l.items[0].title.as_ref().unwrap().len(), MAX_FIELD_BYTES);
    assert_eq!(l.kept(), [0, 8]);
    assert!(
        l.items[1..8]
            .iter()
            .all(|i| i.title.is_none() && i.label_group.is_none())
    );
    let too_long: Vec<_> = l
        .ledger
        .iter()
        .filter(|r| r.reason == "longer than 1 MiB")
        .collect();
    let rows: Vec<_> = too_long
        .iter()
        .map(|r| (r.row, r.column.as_str()))
        .collect();
    let title = |row| (row, "title");
    let expected = [
        title(2),
        (3, "note"),
        (4, "posting_id"),
        title(5),
        title(7),
        title(8),
    ];
    assert_eq!(rows, expected);
    assert!(
        l.ledger
            .iter()
            .any(|r| r.row == 6 && r.reason == "white space in the id")
    );
    assert!(
        l.ledger
            .iter()
            .any(|r| r.row == 8 && r.reason == "duplicate of row 1")
    );
    assert!(
        l.ledger.iter().all(|r| r.posting_id.len() < 300),
        "the ledger quotes in part"
    );
}

#[test]
fn an_unclosed_quote_swallows_no_rows() {
    let rows = |from: usize, to: usize| -> String {
        (from..to)
            .map(|i| format!("id_{i},t{i}.jpg,Title {i},7\n"))
            .collect()
    };
    let head = "posting_id,image,title,label_group\n";
    let closers = [
        "",
        "id_50,a.jpg,\"Nice, good\",7\n",
        "id_50,a.jpg,Monitor 24\",7\n",
        "id_50,a.jpg,\"Again,7\n",
        "id_50,a.jpg,\"\",7\n",
        "id_50,\"a.jpg\",\"b\",\"7\"\n",
    ];
    for closer in closers {
        for opener in [
            "id_9,a.jpg,\"Bad,7\n",
            "id_9,a.jpg,\"Bad\n",
            "id_9,\"a.jpg,Bad,7\n",
        ] {
            let l = read(format!(
                "{head}{}{opener}{}{closer}{}",
                rows(0, 9),
                rows(10, 50),
                rows(51, 90)
            ));
            let text = format!("{opener:?} {closer:?} {:?}", l.ledger);
            assert_eq!(
                l.items.len(),
                89 + usize::from(!closer.is_empty()),
                "{text}"
            );
            let bad = &l.items[9];
            assert_eq!((bad.row, bad.line, bad.rejected), (10, 11, true), "{text}");
            let first = l.ledger.iter().next().unwrap();
            assert!(first.reason.starts_with("unclosed quote: "), "{text}");
            assert_eq!((first.row, first.posting_id.as_str()), (10, "id_9"));
            let lost = 1 + usize::from(closer.contains("\"Again"));
            assert_eq!(l.ledger.len(), lost, "{text}");
            assert_eq!(l.kept().len(), l.items.len() - lost);
        }
    }
    // In the last row, without a line break.
    let l = read(format!("{head}{}id_9,a.jpg,\"Bad,7", rows(0, 9)));
    assert_eq!((l.items.len(), l.kept().len()), (10, 9));
}

#[test]
fn a_hundred_thousand_unclosed_quotes() {
    let mut csv = String::from("posting_id,title\n");
    for i in 0..100_000 {
        csv += &format!("{i},\"title {i}\n");
    }
    csv += "last,title\n";
    let l = read(csv);
    assert_eq!((l.items.len(), l.ledger.len()), (100_001, 100_000));
    assert_eq!(l.kept(), [100_000]);
}

#[test]
fn what_is_no_file() {
    let dir = tempfile::tempdir().unwrap();
    let fails = |path: &Path| Listings::read(path).unwrap_err().to_string();
    assert!(fails(dir.path()).contains("is a folder; name a CSV file"));
    assert!(fails(&dir.path().join("none.csv")).contains("none.csv: No such file"));
    if cfg!(unix) {
        assert!(fails(Path::new("/dev/zero")).contains("/dev/zero: is a device"));
        assert!(fails(Path::new("/dev/null")).contains("is a device"));
    }
}

#[cfg(unix)]
#[test]
fn a_pipe_is_read_and_can_be_split() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("pipe.csv");
    let made = std::process::Command::new("mkfifo").arg(&path).status();
    if !made.is_ok_and(|s| s.success()) {
        println!("skipped: no mkfifo");
        return;
    }
    let to = path.clone();
    let writer = std::thread::spawn(move || std::fs::write(to, "posting_id,title\n1,a\n2,b\n"));
    let l = Listings::read(&path).unwrap();
    writer.join().unwrap().unwrap();
    assert_eq!(ids(&l), ["1", "2"]);
    let out = dir.path().join("out.csv");
    l.write_subset(&[1], &[], &out).unwrap();
    assert_eq!(std::fs::read(out).unwrap(), b"posting_id,title\n2,b\n");
}

#[test]
fn a_subset_keeps_extra_columns_bytes_and_line_ends() {
    let csv = Csv::new(
        b"\xef\xbb\xbf x,posting_id,\"title, as is\",title,image\r\n\
          \xe9\0,1,24\" LED,\"a\r\nb\",\r\n\
          ,1,duplicate,,\r\n\
          ragged\r\n\
          \"q\"\"\",2,\"plain\",c\rd,\xff\r\n",
    );
    let l = csv.read();
    let out = csv.path.with_file_name("out.csv");
    let folds = ["0".to_owned(), "a, b".to_owned()];
    l.write_subset(&[4, 0], &[("fold", &folds)], &out)
        .unwrap_err();
    l.write_subset(&[3, 0], &[("fold", &folds)], &out).unwrap();
    assert_eq!(
        std::fs::read(&out).unwrap(),
        b" x,posting_id,\"title, as is\",title,image,fold\r\n\
          \"q\"\"\",2,plain,\"c\rd\",\xff,0\r\n\
          \xe9\0,1,\"24\"\" LED\",\"a\r\nb\",,\"a, b\"\r\n"
    );
    let fails = |rows: &[usize], extra: &[(&str, &[String])]| {
        let path = csv.path.with_file_name("none.csv");
        let error = l.write_subset(rows, extra, &path).unwrap_err().to_string();
        assert!(!path.exists());
        error
    };
    assert!(fails(&[1], &[]).contains("row 2 (line 4): was rejected"));
    assert!(fails(&[9], &[]).contains("write_subset"));
    assert!(fails(&[0], &[("fold", &folds)]).contains("write_subset"));
    assert!(fails(&[0, 3], &[("x", &folds)]).contains("column x: the file has this column"));
    // A file that was changed since is not copied from.
    std::fs::write(&csv.path, "posting_id,title\n1,a\n").unwrap();
    assert!(fails(&[0], &[]).contains("was changed while it was in use"));
    // Nor when only the bytes are others.
    let csv = Csv::new("posting_id,title\n1,a\n2,b\n");
    let l = csv.read();
    std::thread::sleep(std::time::Duration::from_millis(20));
    std::fs::write(&csv.path, "posting_id,title\n1,x\n2,y\n").unwrap();
    let out = csv.path.with_file_name("out.csv");
    let error = l.write_subset(&[0], &[], &out).unwrap_err().to_string();
    assert!(error.contains("was changed while it was in use") && !out.exists());
}
