//! Bad input through the command line: one clear line each, the ledger, the exit code, and nothing
//! half-written. The rules themselves are tested in `tests/robustness`.

use crate::tools::{Bench, SMALL};

/// Runs `match` over `text` and gives the ledger's lines without its header.
fn rejects(text: impl AsRef<[u8]>) -> (Bench, Vec<String>) {
    let bench = Bench::new();
    bench.write("l.csv", text);
    let ran = bench
        .engine("match l.csv --out m.csv --pairs p.csv")
        .ends(1);
    let ledger = bench.read("m.csv.rejects.csv");
    let mut lines = ledger.lines().map(str::to_string);
    assert_eq!(
        lines.next().as_deref(),
        Some("row,posting_id,column,reason")
    );
    let lines: Vec<String> = lines.collect();
    assert!(!lines.is_empty());
    assert_eq!(
        ran.err
            .lines()
            .filter(|l| l.starts_with("rejected: "))
            .count(),
        lines.len(),
        "each reject is one line: {}",
        ran.err
    );
    (bench, lines)
}

#[test]
fn files_that_are_no_listings_stop_before_any_work() {
    let cases: [(&str, &[u8], &[&str]); 8] = [
        ("empty", b"", &["l.csv", "header"]),
        (
            "no header",
            b"1,a.jpg,title one\n2,b.jpg,title two\n",
            &["l.csv", "posting_id"],
        ),
        (
            "no evidence",
            b"posting_id,label_group\na,1\n",
            &["l.csv", "title"],
        ),
        (
            "twice",
            b"posting_id,title,title\na,b,c\n",
            &["l.csv", "title", "twice"],
        ),
        (
            "utf-16",
            b"\xff\xfep\0o\0s\0t\0",
            &["l.csv", "UTF-16", "UTF-8"],
        ),
        ("utf-16 be", b"\xfe\xff\0p\0o\0s", &["l.csv", "UTF-16"]),
        (
            "utf-16 bare",
            b"p\0o\0s\0t\0i\0n\0g\0_\0i\0d\0,\0t\0\n\0",
            &["l.csv", "UTF-8"],
        ),
        (
            "binary",
            &[0x89, 0x50, 0x4e, 0x47, 13, 10, 26, 10, 0, 0, 0],
            &["l.csv"],
        ),
    ];
    for (what, bytes, words) in cases {
        let bench = Bench::new();
        bench.write("l.csv", bytes);
        let ran = bench.engine("match l.csv --out m.csv").fails_with(words);
        assert_eq!(bench.names(), ["l.csv"], "{what}: {}", ran.err);
    }
    let bench = Bench::new();
    bench
        .engine("match gone.csv --out m.csv")
        .fails_with(&["gone.csv"]);
    bench.engine("match . --out m.csv").fails_with(&["folder"]);
    bench.write("l.csv", SMALL);
    bench
        .engine("match l.csv --out l.csv")
        .fails_with(&["l.csv", "twice"]);
    assert_eq!(bench.read("l.csv"), SMALL);
    bench
        .engine("match l.csv --images gone --out m.csv")
        .fails_with(&["gone"]);
    bench
        .engine("match l.csv --out gone/m.csv")
        .fails_with(&["gone/m.csv"]);
}

#[test]
fn an_unclosed_quote_swallows_no_row() {
    let (bench, lines) = rejects(
        "posting_id,title\na,\"Kopi Luwak Arabika\nb,Kopi Luwak Arabika Bubuk\nc,kopi luwak arabika bubuk\n",
    );
    assert_eq!(lines.len(), 1);
    assert!(
        lines[0].starts_with("1,") && lines[0].contains("quote"),
        "{}",
        lines[0]
    );
    assert_eq!(bench.read("m.csv"), "posting_id,matches\nb,b c\nc,c b\n");
}

#[test]
fn rows_that_are_wrong_are_listed_and_the_others_go_on() {
    let (bench, lines) = rejects(
        "posting_id,title,image_phash\na,susu bubuk anak\nb,susu bubuk anak,\nc,susu bubuk anak,,,\nb,susu bubuk,\n,x y,\nd,susu bubuk anak,zz\n",
    );
    assert_eq!(lines.len(), 5, "{lines:?}");
    assert_eq!(bench.read("m.csv"), "posting_id,matches\nb,b d\nd,d b\n");
    let rows: Vec<&str> = lines.iter().map(|l| l.split(',').next().unwrap()).collect();
    assert_eq!(rows, ["1", "3", "4", "5", "6"]);
    assert!(lines[4].starts_with("6,d,image_phash,"), "{}", lines[4]);
}

#[test]
fn latin_1_and_nul_lose_the_cell_and_not_the_listing() {
    let (bench, lines) = rejects(
        b"posting_id,title,image_phash\na,caf\xe9 noir,00000000000000aa\nb,x\0y,00000000000000aa\n",
    );
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert!(
        lines[0].starts_with("1,a,title,") && lines[0].contains("UTF-8"),
        "{}",
        lines[0]
    );
    assert_eq!(bench.read("m.csv"), "posting_id,matches\na,a b\nb,b a\n");
}

#[test]
fn a_field_over_the_bound_rejects_its_row() {
    let mut text = b"posting_id,title\na,".to_vec();
    text.resize(text.len() + (1 << 20) + 1, b'x');
    text.extend_from_slice(b"\nb,susu bubuk\nc,susu bubuk\n");
    let (bench, lines) = rejects(text);
    assert_eq!(lines.len(), 1);
    assert!(lines[0].starts_with("1,a,title,"), "{}", &lines[0][..60]);
    assert_eq!(
        bench.read("m.csv"),
        "posting_id,matches\na,a\nb,b c\nc,c b\n"
    );
}

#[test]
fn bad_images_lose_that_evidence_alone() {
    let bench = Bench::new();
    let demo = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("demo/images");
    let photo = std::fs::read_dir(demo)
        .unwrap()
        .next()
        .unwrap()
        .unwrap()
        .path();
    let photo = std::fs::read(photo).unwrap();
    bench.write("photos/good.jpg", &photo);
    bench.write("photos/cut.jpg", &photo[..photo.len() / 2]);
    bench.write("photos/page.jpg", "<!DOCTYPE html><html></html>");
    bench.write("photos/empty.jpg", "");
    bench.write("outside.jpg", &photo);
    std::fs::create_dir(bench.path("photos/folder.jpg")).unwrap();
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink(bench.path("outside.jpg"), bench.path("photos/link.jpg"))
            .unwrap();
        std::os::unix::fs::symlink("/dev/zero", bench.path("photos/device.jpg")).unwrap();
    }
    let names = [
        "good.jpg",
        "cut.jpg",
        "page.jpg",
        "empty.jpg",
        "../outside.jpg",
        "/etc/passwd",
        "folder.jpg",
        "link.jpg",
        "device.jpg",
        "gone.jpg",
    ];
    let mut text = String::from("posting_id,image,title\n");
    for (i, name) in names.iter().enumerate() {
        text.push_str(&format!("p{i},{name},same words in all\n"));
    }
    bench.write("l.csv", text);
    let ran = bench
        .engine("match l.csv --images photos --out m.csv")
        .ends(1);
    let ledger = bench.read("m.csv.rejects.csv");
    assert_eq!(ledger.lines().count(), names.len(), "{ledger}");
    for (i, name) in names.iter().enumerate().skip(1) {
        let line = ledger.lines().nth(i).unwrap();
        assert!(
            line.starts_with(&format!("{},p{i},image,", i + 1)),
            "{name}: {line}"
        );
    }
    assert_eq!(bench.read("m.csv").lines().count(), names.len() + 1);
    assert!(!ran.err.contains("panick"), "{}", ran.err);
    for line in bench.read("m.csv").lines().skip(1) {
        assert_eq!(
            line.split(' ').count(),
            names.len(),
            "titles still match: {line}"
        );
    }
}

#[test]
fn a_stale_ledger_does_not_outlive_a_clean_run() {
    let bench = Bench::new();
    bench.write("l.csv", "posting_id,title\na,b\na,c\n");
    bench.engine("match l.csv --out m.csv").ends(1);
    assert!(bench.exists("m.csv.rejects.csv"));
    bench.write("l.csv", "posting_id,title\na,b\n");
    bench.engine("match l.csv --out m.csv").ends(0);
    assert!(!bench.exists("m.csv.rejects.csv"));
}

#[test]
fn titles_without_a_word_are_no_error() {
    let bench = Bench::new();
    bench.write("l.csv", "posting_id,title\na,!\nb,?\nc,\n");
    let ran = bench.engine("match l.csv --out m.csv").ends(0);
    assert_eq!(bench.read("m.csv"), "posting_id,matches\na,a\nb,b\nc,c\n");
    assert!(ran.err.contains("titles give no evidence"), "{}", ran.err);
    bench
        .engine("tfidf l.csv --out x.npz")
        .fails_with(&["no title holds a term"]);
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_ends_with_one_line_and_keeps_the_old_answer() {
    let bench = Bench::new();
    bench.write("l.csv", SMALL);
    bench
        .engine("match l.csv --out /dev/full")
        .fails_with(&["/dev/full"]);
    // A file that may not grow stands for a disk that is full: the shell sets the bound.
    let mut text = String::from("posting_id,title\n");
    for i in 0..5000 {
        text.push_str(&format!("listing-number-{i},word{i} other{i}\n"));
    }
    bench.write("big.csv", text);
    bench.write("m.csv", "the old answer\n");
    let script = format!(
        "trap '' XFSZ; ulimit -f 8; exec {} match big.csv --out m.csv",
        env!("CARGO_BIN_EXE_engine")
    );
    let output = std::process::Command::new("bash")
        .args(["-c", &script])
        .current_dir(bench.folder())
        .output()
        .unwrap();
    crate::tools::Ran::of(output).fails_with(&["m.csv"]);
    assert_eq!(bench.read("m.csv"), "the old answer\n");
    assert_eq!(bench.names(), ["big.csv", "l.csv", "m.csv"]);
}
