//! `engine tfidf` and `engine search`.

use doppel::embed::store::{NpyDtype, read_npz, write_npy};
use doppel::tensor::Matrix;

use crate::tools::{Bench, SMALL};

/// Five rows in the plane; the last is zero.
fn plane() -> Matrix {
    Matrix::new(5, 2, vec![1.0, 0.0, 0.6, 0.8, 0.0, 1.0, 2.0, 0.0, 0.0, 0.0]).unwrap()
}

#[test]
fn dense_rows_find_their_neighbours_best_first() {
    let bench = Bench::new();
    write_npy(&bench.path("x.npy"), &plane(), NpyDtype::F32).unwrap();
    bench.engine("search x.npy -k 3 --out nn.csv").ends(0);
    let text = bench.read("nn.csv");
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[0], "row,neighbour,score");
    assert_eq!(&lines[1..3], ["0,0,1", "0,3,1"]);
    assert!(lines[3].starts_with("0,1,0.6"), "{}", lines[3]);
    assert!(
        !text.contains("\n4,") && !text.contains(",4,"),
        "the zero row has no neighbours"
    );
    bench
        .engine("search x.npy -k 50 --min-score 0.7 --out nn.csv")
        .ends(0);
    assert_eq!(
        bench.column("nn.csv", 0),
        ["0", "0", "1", "1", "2", "2", "3", "3"]
    );
}

#[test]
fn queries_are_answered_from_the_gallery() {
    let bench = Bench::new();
    write_npy(&bench.path("x.npy"), &plane(), NpyDtype::F32).unwrap();
    let q = Matrix::new(1, 2, vec![0.0, 3.0]).unwrap();
    write_npy(&bench.path("q.npy"), &q, NpyDtype::F16).unwrap();
    bench
        .engine("search x.npy --queries q.npy -k 2 --out nn.csv")
        .ends(0);
    assert_eq!(bench.column("nn.csv", 1), ["2", "1"]);
}

#[test]
fn titles_become_rows_that_search_reads() {
    let bench = Bench::new();
    bench.write("l.csv", SMALL);
    let ran = bench
        .engine("tfidf l.csv --stop-words english --vocabulary v.json --out x.npz --json")
        .ends(0);
    let matrix = read_npz(&bench.path("x.npz")).unwrap();
    assert_eq!(matrix.rows(), 6);
    assert_eq!(ran.json()["features"], matrix.cols() as u64);
    let words: Vec<String> = serde_json::from_str(&bench.read("v.json")).unwrap();
    assert_eq!(words.len(), matrix.cols());
    assert!(words.is_sorted() && words.contains(&"minyak".to_string()));
    let manifest: serde_json::Value = serde_json::from_str(&bench.read("x.npz.json")).unwrap();
    assert_eq!(manifest["rows"], 6);
    bench.engine("search x.npz -k 50 --out nn.csv").ends(0);
    let rows = bench.column("nn.csv", 0);
    assert!(
        !rows.contains(&"5".to_string()),
        "a title that is not there has no neighbours"
    );
    let pairs: Vec<(String, String)> = rows.into_iter().zip(bench.column("nn.csv", 1)).collect();
    assert!(pairs.contains(&("2".into(), "3".into())));
    assert!(
        !pairs.contains(&("0".into(), "4".into())),
        "no shared word, no neighbour"
    );
}

#[test]
fn escapes_are_decoded_when_asked() {
    let bench = Bench::new();
    bench.write("l.csv", "posting_id,title\n1,kaf\\xc3\\xa9 hitam\n");
    for (flag, word) in [("", "xc3"), ("--decode-escapes", "kafé")] {
        bench
            .engine(&format!(
                "tfidf l.csv {flag} --vocabulary v.json --out x.npz"
            ))
            .ends(0);
        assert!(
            bench.read("v.json").contains(&format!("\"{word}\"")),
            "{flag}"
        );
    }
}

#[test]
fn hashes_are_searched_by_hamming_distance() {
    let bench = Bench::new();
    bench.write(
        "h.csv",
        "posting_id,image_phash\na,0000000000000000\nb,000000000000000f\nc,\nd,ffffffffffffffff\n",
    );
    bench
        .engine("search h.csv -k 10 --min-score 0.9 --out nn.csv")
        .ends(0);
    let text = bench.read("nn.csv");
    assert_eq!(
        text,
        "row,neighbour,score\n0,0,1\n0,1,0.9375\n1,1,1\n1,0,0.9375\n3,3,1\n"
    );
}

#[test]
fn dense_and_sparse_are_combined_before_the_best_are_taken() {
    let bench = Bench::new();
    bench.write(
        "l.csv",
        "posting_id,title\n1,red bag\n2,blue bag\n3,green shoe\n4,red shoe\n5,hat\n",
    );
    bench.engine("tfidf l.csv --out t.npz").ends(0);
    write_npy(&bench.path("x.npy"), &plane(), NpyDtype::F32).unwrap();
    bench
        .engine("search x.npy t.npz --weights 0.5,0.5 -k 5 --out nn.csv")
        .ends(0);
    let both = bench.column("nn.csv", 2);
    assert_eq!(both[0], "1");
    // Row 4 is zero in one space alone, so it still finds itself, at half the score.
    assert_eq!(bench.column("nn.csv", 0).last().unwrap(), "4");
    assert_eq!(both.last().unwrap(), "0.5");
}

#[test]
fn wrong_requests_are_one_line() {
    let bench = Bench::new();
    write_npy(&bench.path("x.npy"), &plane(), NpyDtype::F32).unwrap();
    bench.write("h.csv", "posting_id,image_phash\na,0000000000000000\n");
    bench.write("x.txt", "1 2 3");
    bench
        .engine("search x.npy -k 0 --out nn.csv")
        .fails_with(&["k"]);
    bench
        .engine("search x.npy -k 1025 --out nn.csv")
        .fails_with(&["1024"]);
    bench
        .engine("search x.txt --out nn.csv")
        .fails_with(&["x.txt", ".npy"]);
    bench
        .engine("search gone.npy --out nn.csv")
        .fails_with(&["gone.npy"]);
    bench
        .engine("search x.npy h.csv --out nn.csv")
        .fails_with(&["h.csv"]);
    bench
        .engine("search x.npy --queries h.csv --out nn.csv")
        .fails_with(&["queries"]);
    bench
        .engine("search x.npy --weights 1,2 --out nn.csv")
        .fails_with(&["weights"]);
    bench
        .engine("search x.npy --out x.npy")
        .fails_with(&["x.npy", "twice"]);
    let q = Matrix::new(1, 3, vec![0.0, 3.0, 1.0]).unwrap();
    write_npy(&bench.path("q.npy"), &q, NpyDtype::F32).unwrap();
    bench
        .engine("search x.npy --queries q.npy --out nn.csv")
        .fails_with(&["[", "3", "2"]);
    let nan = Matrix::new(2, 2, vec![0.0, 3.0, f32::NAN, 1.0]).unwrap();
    write_npy(&bench.path("nan.npy"), &nan, NpyDtype::F32).unwrap();
    bench
        .engine("search nan.npy --out nn.csv")
        .fails_with(&["nan.npy", "row 2"]);
    assert!(!bench.exists("nn.csv"));
}

#[test]
fn a_changed_file_is_told_from_its_manifest() {
    let bench = Bench::new();
    bench.write("l.csv", SMALL);
    bench.engine("tfidf l.csv --out x.npz").ends(0);
    let mut bytes = std::fs::read(bench.path("x.npz")).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(bench.path("x.npz"), bytes).unwrap();
    bench
        .engine("search x.npz --out nn.csv")
        .fails_with(&["x.npz"]);
    std::fs::remove_file(bench.path("x.npz.json")).unwrap();
    bench.engine("tfidf l.csv --out y.npz").ends(0);
    std::fs::remove_file(bench.path("y.npz.json")).unwrap();
    bench.engine("search y.npz --out nn.csv").ends(0);
}
