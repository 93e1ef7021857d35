//! `engine match` and `engine evaluate`.

use crate::tools::{Bench, SMALL};

#[test]
fn hashes_and_titles_match_and_the_rest_stay_alone() {
    let bench = Bench::new();
    bench.write("l.csv", SMALL);
    let ran = bench
        .engine("match l.csv --out m.csv --pairs p.csv")
        .ends(0);
    assert_eq!(
        bench.read("m.csv"),
        "posting_id,matches\na,a b\nb,b a\nc,c d\nd,d c\ne,e\nf,f\n"
    );
    assert!(ran.err.contains("image column is ignored"), "{}", ran.err);
    assert_eq!(ran.err.trim_end().lines().count(), 1, "{}", ran.err);
    let pairs = bench.read("p.csv");
    let lines: Vec<&str> = pairs.lines().collect();
    assert_eq!(lines[0], "from,to,score,source,threshold");
    assert_eq!(lines[1], "a,b,1,phash,1");
    assert!(
        lines[3].starts_with("c,d,0.") && lines[3].contains(",tfidf,0."),
        "{}",
        lines[3]
    );
    assert_eq!(lines.len(), 5);
    assert_eq!(bench.names(), ["l.csv", "m.csv", "m.csv.work", "p.csv"]);
}

#[test]
fn json_tells_the_run_and_quiet_says_nothing() {
    let bench = Bench::new();
    bench.write("l.csv", SMALL);
    let ran = bench
        .engine("match l.csv --out m.csv --json --quiet")
        .ends(0);
    assert!(ran.err.is_empty(), "{}", ran.err);
    let json = ran.json();
    assert_eq!(json["listings"], 6);
    assert_eq!(json["matched"], 4);
    assert_eq!(json["matched_pairs"], 4);
    assert_eq!(json["rejects"], 0);
    assert_eq!(json["device"], "cpu");
    assert!(json["peak_memory_bytes"].as_u64().unwrap() > 1 << 20);
    let names: Vec<&str> = json["stages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|s| s["name"].as_str().unwrap())
        .collect();
    assert_eq!(
        names,
        [
            "read", "phash", "tfidf", "search", "search", "match", "write"
        ]
    );
    let quiet = bench.engine("match l.csv --out m.csv --quiet").ends(0);
    assert!(quiet.out.is_empty() && quiet.err.is_empty());
}

#[test]
fn columns_in_any_order_with_extras_bom_and_crlf() {
    let bench = Bench::new();
    let text = "\u{feff}shop,title,posting_id\r\nx,kopi luwak arabika bubuk,1\r\ny,\"Kopi, Luwak Arabika Bubuk\",2\r\n";
    bench.write("l.csv", text);
    bench.engine("match l.csv --out m.csv").ends(0);
    assert_eq!(bench.read("m.csv"), "posting_id,matches\n1,1 2\n2,2 1\n");
}

#[test]
fn one_listing_matches_itself_and_none_give_a_header() {
    let bench = Bench::new();
    bench.write("one.csv", "posting_id,title\nonly,a thing to sell\n");
    bench.engine("match one.csv --out m.csv").ends(0);
    assert_eq!(bench.read("m.csv"), "posting_id,matches\nonly,only\n");
    bench.write("none.csv", "posting_id,title\n");
    bench
        .engine("match none.csv --out m.csv --pairs p.csv")
        .ends(0);
    assert_eq!(bench.read("m.csv"), "posting_id,matches\n");
    assert_eq!(bench.read("p.csv"), "from,to,score,source,threshold\n");
}

#[test]
fn no_more_than_fifty_matches_itself_included_and_first() {
    let bench = Bench::new();
    let mut text = String::from("posting_id,image_phash\n");
    for i in 0..60 {
        text.push_str(&format!("p{i},0123456789abcdef\n"));
    }
    bench.write("l.csv", text);
    bench.engine("match l.csv --out m.csv").ends(0);
    let matches = bench.read("m.csv");
    for (i, line) in matches.lines().skip(1).enumerate() {
        let ids: Vec<&str> = line.split_once(',').unwrap().1.split(' ').collect();
        assert_eq!(ids.len(), 50, "{line}");
        assert_eq!(ids[0], format!("p{i}"));
        let distinct: std::collections::HashSet<&&str> = ids.iter().collect();
        assert_eq!(distinct.len(), 50);
    }
}

#[test]
fn empty_hashes_are_computed_from_the_images() {
    let bench = Bench::new();
    let demo = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("demo/images");
    let mut images: Vec<_> = std::fs::read_dir(demo)
        .unwrap()
        .map(|e| e.unwrap().path())
        .collect();
    images.sort();
    bench.write("photos/one.jpg", std::fs::read(&images[0]).unwrap());
    bench.write("photos/two.jpg", std::fs::read(&images[0]).unwrap());
    bench.write("photos/other.jpg", std::fs::read(&images[7]).unwrap());
    bench.write(
        "l.csv",
        "posting_id,image\n1,one.jpg\n2,two.jpg\n3,other.jpg\n4,one.jpg\n",
    );
    let ran = bench
        .engine("match l.csv --images photos --out m.csv --json")
        .ends(0);
    assert_eq!(
        bench.read("m.csv"),
        "posting_id,matches\n1,1 2 4\n2,2 1 4\n3,3\n4,4 1 2\n"
    );
    assert_eq!(ran.json()["stages"][1]["name"], "phash");
    // A hash in the file is taken as it stands, and no image is opened for it.
    bench.write(
        "h.csv",
        "posting_id,image,image_phash\n1,one.jpg,0000000000000001\n2,gone.jpg,0000000000000001\n",
    );
    bench
        .engine("match h.csv --images photos --out m.csv")
        .ends(0);
    assert_eq!(bench.read("m.csv"), "posting_id,matches\n1,1 2\n2,2 1\n");
}

#[test]
fn the_same_bytes_whatever_the_thread_count() {
    let bench = Bench::new();
    let mut text = String::from("posting_id,title,image_phash\n");
    let words = [
        "kopi", "susu", "baju", "merah", "biru", "tas", "kulit", "mini", "set", "gula",
    ];
    for i in 0..700usize {
        let title: Vec<&str> = (0..5)
            .map(|j| words[(i * (j + 3) + i / 7 * j) % 10])
            .collect();
        text.push_str(&format!("p{i},{},{:016x}\n", title.join(" "), i as u64 / 3));
    }
    bench.write("l.csv", text);
    bench
        .engine("match l.csv --out m1.csv --pairs p1.csv --threads 1")
        .ends(0);
    bench
        .engine("match l.csv --out m3.csv --pairs p3.csv --threads 3")
        .ends(0);
    assert_eq!(bench.read("m1.csv"), bench.read("m3.csv"));
    assert_eq!(bench.read("p1.csv"), bench.read("p3.csv"));
    assert!(bench.read("p1.csv").lines().count() > 700);
}

#[test]
fn evaluate_gives_the_competitions_figures() {
    let bench = Bench::new();
    bench.write("l.csv", SMALL);
    bench.write(
        "m.csv",
        "posting_id,matches\na,a b\nb,b\nc,c d e\nd,d\ne,e f\nf,f e\n",
    );
    // F1 by hand: a 1, b 2/3, c 4/5, d 2/3, e 1, f 1.
    let f1 = (1.0 + 2.0 / 3.0 + 0.8 + 2.0 / 3.0 + 1.0 + 1.0) / 6.0;
    let json = bench.engine("evaluate m.csv l.csv --json").ends(0).json();
    assert!((json["f1"].as_f64().unwrap() - f1).abs() < 1e-12, "{json}");
    assert!((json["precision"].as_f64().unwrap() - (5.0 + 2.0 / 3.0) / 6.0).abs() < 1e-12);
    assert!((json["recall"].as_f64().unwrap() - 5.0 / 6.0).abs() < 1e-12);
    assert_eq!(json["listings"], 6);
    let text = bench.engine("evaluate m.csv l.csv").ends(0).out;
    assert!(text.starts_with("F1         0.8556"), "{text}");
}

#[test]
fn evaluate_counts_what_is_missing_and_what_is_unknown() {
    let bench = Bench::new();
    bench.write("l.csv", "posting_id,title,label_group\na,x,1\nb,y,1\n");
    bench.write("m.csv", "posting_id,matches\na,a b zz\n");
    let ran = bench.engine("evaluate m.csv l.csv --json").ends(0);
    let json = ran.json();
    assert_eq!(
        (json["missing"].as_u64(), json["unknown"].as_u64()),
        (Some(1), Some(1))
    );
    assert!((json["f1"].as_f64().unwrap() - 0.4).abs() < 1e-12, "{json}");
    bench.write("unlabelled.csv", "posting_id,title\na,x\n");
    bench
        .engine("evaluate m.csv unlabelled.csv")
        .fails_with(&["unlabelled.csv", "label_group"]);
}
