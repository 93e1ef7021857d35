//! TF-IDF beside scikit-learn's outputs, and Python's idea of text beside CPython's.
//!
//! `scripts/tfidf_goldens.py` wrote everything under `data/tfidf`.

use std::collections::HashMap;
use std::io::Read;
use std::path::{Path, PathBuf};

use doppel::embed::store::read_npz;
use doppel::tensor::Csr;
use doppel::text::python;
use doppel::text::tfidf::{
    Analyzer, Df, Norm, StopWords, StripAccents, Tfidf, TfidfOptions, TokenPattern,
};
use serde_json::Value;
use sha2::{Digest, Sha256};

const SETS: [&str; 5] = [
    "abt-buy",
    "amazon-google",
    "grocery",
    "generated",
    "unicode",
];
/// Every value is this close to scikit-learn's; the contract asks for 1e-6.
const TOLERANCE: f64 = 1e-12;

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/golden/data/tfidf")
        .join(name)
}

fn json(name: &str) -> Value {
    serde_json::from_slice(&std::fs::read(data(name)).unwrap()).unwrap()
}

fn strings(value: &Value) -> Vec<String> {
    value
        .as_array()
        .unwrap()
        .iter()
        .map(|s| s.as_str().unwrap().to_string())
        .collect()
}

fn titles(set: &str) -> Vec<String> {
    strings(&json(&format!("titles-{set}.json")))
}

fn given(titles: &[String]) -> Vec<Option<&str>> {
    titles.iter().map(|t| Some(t.as_str())).collect()
}

/// One call of scikit-learn and what it returned.
struct Case {
    name: String,
    set: &'static str,
    titles: Vec<String>,
    options: TfidfOptions,
    /// Vocabulary, matrix and the sum of the idf (with `use_idf`), or the message of the error.
    expected: Result<(Vec<String>, Csr, Option<f64>), String>,
    /// The first 40 titles of another set, transformed.
    transformed: Option<(Vec<String>, Csr)>,
}

/// scikit-learn's keyword arguments as options.
fn options(value: &Value) -> TfidfOptions {
    let mut o = TfidfOptions::default();
    for (name, value) in value.as_object().unwrap() {
        let text = || value.as_str().unwrap();
        let truth = || value.as_bool().unwrap();
        let df = || match value.as_u64() {
            Some(n) => Df::Count(n),
            None => Df::Fraction(value.as_f64().unwrap()),
        };
        let number = |v: &Value| v.as_u64().unwrap() as usize;
        match name.as_str() {
            "analyzer" => o.analyzer = text().parse().unwrap(),
            "ngram_range" => o.ngram = (number(&value[0]), number(&value[1])),
            "stop_words" if value.is_array() => o.stop_words = StopWords::List(strings(value)),
            "stop_words" => {
                assert_eq!(text(), "english");
                o.stop_words = StopWords::English;
            }
            "max_features" => o.max_features = Some(number(value)),
            "min_df" => o.min_df = df(),
            "max_df" => o.max_df = df(),
            "binary" => o.binary = truth(),
            "sublinear_tf" => o.sublinear_tf = truth(),
            "smooth_idf" => o.smooth_idf = truth(),
            "use_idf" => o.use_idf = truth(),
            "norm" => o.norm = value.as_str().unwrap_or("none").parse().unwrap(),
            "lowercase" => o.lowercase = truth(),
            "strip_accents" => o.strip_accents = text().parse().unwrap(),
            "token_pattern" => o.token_pattern = TokenPattern::Regex(text().into()),
            other => panic!("unknown option {other}"),
        }
    }
    o
}

/// The matrices of a set's archive, by name.
fn matrices(set: &str) -> HashMap<String, Csr> {
    let folder = tempfile::tempdir().unwrap();
    let file = std::fs::File::open(data(&format!("values-{set}.zip"))).unwrap();
    let mut zip = zip::ZipArchive::new(file).unwrap();
    (0..zip.len())
        .map(|i| {
            let mut member = zip.by_index(i).unwrap();
            let mut bytes = Vec::new();
            member.read_to_end(&mut bytes).unwrap();
            let path = folder.path().join("m.npz");
            std::fs::write(&path, bytes).unwrap();
            (member.name().unwrap().to_string(), read_npz(&path).unwrap())
        })
        .collect()
}

fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for (at, set) in SETS.iter().enumerate() {
        let file = json(&format!("cases-{set}.json"));
        let matrices = matrices(set);
        let all = titles(set);
        let others = &titles(SETS[(at + SETS.len() - 1) % SETS.len()])[..40];
        for case in file["cases"].as_array().unwrap() {
            let expected = match case["error"].as_str() {
                Some(message) => Err(message.to_string()),
                None => Ok((
                    strings(&file["vocabularies"][case["vocabulary"].as_u64().unwrap() as usize]),
                    matrices[case["values"].as_str().unwrap()].clone(),
                    case["idf_sum"].as_f64(),
                )),
            };
            let transformed = case["transformed"].as_str();
            cases.push(Case {
                name: format!("{set}/{}", case["case"].as_str().unwrap()),
                set,
                titles: all[..case["titles"].as_u64().unwrap() as usize].to_vec(),
                options: options(&case["options"]),
                expected,
                transformed: transformed.map(|name| (others.to_vec(), matrices[name].clone())),
            });
        }
    }
    cases
}

/// What first parts two matrices; every value is compared.
fn difference(ours: &Csr, theirs: &Csr) -> Option<String> {
    if (ours.rows(), ours.cols()) != (theirs.rows(), theirs.cols()) {
        return Some(format!("{:?} rows", (ours.rows(), theirs.rows())));
    }
    for i in 0..ours.rows() {
        let ((columns, values), (their_columns, their_values)) = (ours.row(i), theirs.row(i));
        if columns != their_columns {
            return Some(format!(
                "row {i}: columns {columns:?} and {their_columns:?}"
            ));
        }
        for (ours, theirs) in values.iter().zip(their_values) {
            if (ours - theirs).abs() > TOLERANCE || ours.is_nan() || theirs.is_nan() {
                return Some(format!("row {i}: {ours} and {theirs}"));
            }
        }
    }
    None
}

/// What first parts our answer to a case, under `options`, from scikit-learn's.
fn parted(case: &Case, options: &TfidfOptions) -> Option<String> {
    let ours = Tfidf::fit_transform(&given(&case.titles), options);
    match (ours, &case.expected) {
        (Ok((tfidf, matrix)), Ok((vocabulary, theirs, idf))) => {
            if tfidf.vocabulary() != vocabulary {
                return Some("the vocabularies differ".into());
            }
            let sum: f64 = tfidf.idf().iter().sum();
            if idf.is_some_and(|idf| (sum - idf).abs() > 1e-12 * sum) {
                return Some(format!("the idf sums are {sum} and {idf:?}"));
            }
            difference(&matrix, theirs)
        }
        (Err(_), Err(_)) => None,
        (ours, _) => Some(format!("one is an error: {:?}", ours.map(|_| ()))),
    }
}

#[test]
fn every_case_is_scikit_learns() {
    let cases = cases();
    assert_eq!(cases.len(), 160);
    let mut compared = 0;
    for case in &cases {
        assert_eq!(parted(case, &case.options), None, "{}", case.name);
        compared += case
            .expected
            .as_ref()
            .map_or(0, |(_, matrix, _)| matrix.nnz());
    }
    assert!(compared > 130_000, "only {compared} values were compared");
}

#[test]
fn errors_are_those_of_scikit_learn() {
    let mut kinds = [0; 2];
    for case in cases() {
        let Err(theirs) = &case.expected else {
            continue;
        };
        let ours = Tfidf::fit_transform(&given(&case.titles), &case.options).unwrap_err();
        let (kind, message) = if theirs.contains("max_df corresponds to") {
            (0, "fewer titles than min_df")
        } else {
            assert!(theirs.contains("After pruning"), "{theirs}");
            (1, "no term is left")
        };
        kinds[kind] += 1;
        assert!(ours.to_string().contains(message), "{}: {ours}", case.name);
        let (tfidf, matrix) =
            Tfidf::fit_transform_or_empty(&given(&case.titles), &case.options).unwrap();
        assert!(tfidf.vocabulary().is_empty());
        assert_eq!(
            (matrix.rows(), matrix.cols(), matrix.nnz()),
            (case.titles.len(), 0, 0)
        );
    }
    assert!(kinds[0] >= 2 && kinds[1] >= 2, "{kinds:?}");
}

#[test]
fn other_titles_are_transformed_as_scikit_learn_does() {
    let mut compared = 0;
    for case in cases() {
        let Some((others, theirs)) = &case.transformed else {
            continue;
        };
        let (tfidf, matrix) = Tfidf::fit_transform(&given(&case.titles), &case.options).unwrap();
        let ours = tfidf.transform(&given(others)).unwrap();
        assert_eq!(difference(&ours, theirs), None, "{}", case.name);
        // What was fitted gives itself back, bit for bit.
        assert_eq!(
            tfidf.transform(&given(&case.titles)).unwrap(),
            matrix,
            "{}",
            case.name
        );
        compared += theirs.nnz();
    }
    assert!(compared > 1_000, "only {compared} values were compared");
}

#[test]
fn missing_titles_are_rows_of_zeros_and_no_documents() {
    let cases = cases();
    for case in cases
        .iter()
        .filter(|c| c.name.ends_with("/default") || c.name.ends_with("/rare"))
    {
        let (vocabulary, theirs, _) = case.expected.as_ref().unwrap();
        let mut gaps = Vec::new();
        for title in &case.titles {
            gaps.extend([None, Some(title.as_str()), None]);
        }
        let (tfidf, matrix) = Tfidf::fit_transform(&gaps, &case.options).unwrap();
        assert_eq!(tfidf.vocabulary(), vocabulary);
        assert_eq!(matrix.rows(), theirs.rows() * 3);
        for i in 0..theirs.rows() {
            let (columns, values) = matrix.row(3 * i + 1);
            assert_eq!(columns, theirs.row(i).0, "{}", case.name);
            let pairs = values.iter().zip(theirs.row(i).1);
            assert!(pairs.into_iter().all(|(a, b)| (a - b).abs() <= TOLERANCE));
            assert!(matrix.row(3 * i).0.is_empty() && matrix.row(3 * i + 2).0.is_empty());
        }
    }
}

/// A change to one option, by its name.
type Sabotage = (&'static str, fn(&mut TfidfOptions));

const SABOTAGES: [Sabotage; 17] = [
    ("analyzer to char_wb", |o| {
        o.analyzer = match o.analyzer {
            Analyzer::CharWb => Analyzer::Char,
            _ => Analyzer::CharWb,
        }
    }),
    ("ngram longer", |o| o.ngram.1 += 1),
    ("ngram from 2", |o| o.ngram = (2, o.ngram.1.max(2))),
    ("stop words", |o| {
        o.stop_words = match o.stop_words {
            StopWords::None => StopWords::English,
            _ => StopWords::None,
        }
    }),
    ("one stop word more", |o| {
        if let StopWords::List(words) = &mut o.stop_words {
            words.push("250ml".into());
            words.push("black2".into());
            words.push("kg".into());
        }
    }),
    ("max_features", |o| {
        o.max_features = o.max_features.map(|n| n - 1)
    }),
    ("min_df", |o| {
        o.min_df = match o.min_df {
            Df::Count(n) => Df::Count(n + 1),
            Df::Fraction(f) => Df::Fraction(f + 0.01),
        }
    }),
    ("max_df", |o| {
        o.max_df = match o.max_df {
            Df::Count(n) => Df::Count(n - 1),
            Df::Fraction(f) => Df::Fraction(f * 0.5),
        }
    }),
    // A share of 1 is all titles, a count of 1 is one.
    ("max_df of another type", |o| o.max_df = Df::Count(1)),
    ("binary", |o| o.binary = !o.binary),
    ("sublinear_tf", |o| o.sublinear_tf = !o.sublinear_tf),
    ("smooth_idf", |o| o.smooth_idf = !o.smooth_idf),
    ("use_idf", |o| o.use_idf = !o.use_idf),
    ("norm", |o| {
        o.norm = match o.norm {
            Norm::L2 => Norm::L1,
            Norm::L1 => Norm::None,
            Norm::None => Norm::L2,
        }
    }),
    ("lowercase", |o| o.lowercase = !o.lowercase),
    ("strip_accents", |o| {
        o.strip_accents = match o.strip_accents {
            StripAccents::None => StripAccents::Unicode,
            StripAccents::Ascii => StripAccents::Unicode,
            StripAccents::Unicode => StripAccents::Ascii,
        }
    }),
    ("token_pattern", |o| {
        o.token_pattern = TokenPattern::Regex(r"\w\w\w+".into())
    }),
];

#[test]
fn changing_any_one_option_breaks_the_comparison() {
    let cases = cases();
    for (name, change) in SABOTAGES {
        let mut broken = Vec::new();
        for case in &cases {
            let mut options = case.options.clone();
            change(&mut options);
            if options != case.options && parted(case, &options).is_some() {
                broken.push(case.set);
            }
        }
        let all = broken.len();
        broken.dedup();
        assert!(all >= 2, "{name} broke {all} cases");
        if name != "strip_accents" && name != "one stop word more" {
            assert!(broken.len() >= 4, "{name} broke {broken:?} alone");
        }
    }
}

#[test]
fn one_value_changed_a_little_breaks_the_comparison() {
    let case = cases()
        .into_iter()
        .find(|c| c.name == "abt-buy/bigrams")
        .unwrap();
    let (_, theirs, _) = case.expected.as_ref().unwrap();
    for at in [0, theirs.nnz() / 2, theirs.nnz() - 1] {
        let mut values = theirs.values().to_vec();
        values[at] += 1e-11;
        let (indptr, indices) = (theirs.indptr().to_vec(), theirs.indices().to_vec());
        let changed = Csr::new(theirs.cols(), indptr, indices, values).unwrap();
        assert!(difference(&changed, theirs).is_some());
    }
    assert_eq!(difference(theirs, theirs), None);
}

#[test]
fn every_option_stands_in_two_cases_at_least() {
    let mut seen: HashMap<String, usize> = HashMap::new();
    for set in SETS {
        for case in json(&format!("cases-{set}.json"))["cases"]
            .as_array()
            .unwrap()
        {
            for (name, value) in case["options"].as_object().unwrap() {
                *seen.entry(format!("{name}={value}")).or_default() += 1;
                *seen.entry(name.clone()).or_default() += 1;
            }
        }
    }
    let names = "analyzer ngram_range stop_words max_features min_df max_df binary sublinear_tf \
                 smooth_idf use_idf norm lowercase strip_accents token_pattern";
    for name in names.split_whitespace() {
        assert!(seen.get(name).is_some_and(|&n| n >= 2), "{name}");
    }
    for value in [
        "analyzer=\"char\"",
        "analyzer=\"char_wb\"",
        "norm=\"l1\"",
        "norm=null",
    ] {
        assert!(seen.get(value).is_some_and(|&n| n >= 2), "{value}");
    }
}

#[test]
fn the_answer_does_not_depend_on_the_number_of_threads() {
    let mut all = Vec::new();
    for set in SETS {
        all.extend(titles(set));
    }
    // Enough rows for several chunks, with repeats and gaps.
    let rows: Vec<Option<&str>> = (0..6_000)
        .map(|i| (i % 11 != 0).then(|| all[i * 7 % all.len()].as_str()))
        .collect();
    let competition = TfidfOptions {
        stop_words: StopWords::English,
        binary: true,
        max_features: Some(700),
        ..TfidfOptions::default()
    };
    let grams = TfidfOptions {
        analyzer: Analyzer::CharWb,
        ngram: (2, 3),
        max_features: Some(1_000),
        min_df: Df::Count(2),
        strip_accents: StripAccents::Unicode,
        ..TfidfOptions::default()
    };
    for options in [competition, grams, TfidfOptions::default()] {
        let run = |threads| {
            let pool = rayon::ThreadPoolBuilder::new()
                .num_threads(threads)
                .build()
                .unwrap();
            pool.install(|| {
                let (tfidf, matrix) = Tfidf::fit_transform(&rows, &options).unwrap();
                let again = tfidf.transform(&rows).unwrap();
                (
                    tfidf.vocabulary().to_vec(),
                    tfidf.idf().to_vec(),
                    matrix,
                    again,
                )
            })
        };
        let one = run(1);
        assert_eq!(one.2, one.3);
        for threads in [2, 3, 7] {
            assert!(run(threads) == one, "{threads} threads");
        }
    }
}

#[test]
fn small_and_empty_inputs() {
    let options = TfidfOptions::default();
    for none in [&[][..], &[None, None, None]] {
        let (tfidf, matrix) = Tfidf::fit_transform(none, &options).unwrap();
        assert_eq!((matrix.rows(), matrix.cols()), (none.len(), 0));
        assert!(tfidf.vocabulary().is_empty() && tfidf.idf().is_empty());
        assert_eq!(
            tfidf.transform(&[Some("any thing"), None]).unwrap().nnz(),
            0
        );
    }
    let error = Tfidf::fit_transform(&[Some(""), Some("a !")], &options)
        .unwrap_err()
        .to_string();
    assert!(error.contains("no title holds a term"), "{error}");
    let (_, matrix) = Tfidf::fit_transform_or_empty(&[Some("")], &options).unwrap();
    assert_eq!((matrix.rows(), matrix.cols()), (1, 0));
    let (tfidf, matrix) = Tfidf::fit_transform(&[Some("one one two"), Some("")], &options).unwrap();
    // By hand: n = 2, df = 1 for both, idf = ln(3 / 2) + 1 for both, counts 2 and 1.
    assert_eq!(tfidf.vocabulary(), ["one", "two"]);
    assert!((tfidf.idf()[0] - (1.5f64.ln() + 1.0)).abs() < 1e-15);
    assert!((matrix.row(0).1[0] - 2.0 / 5f64.sqrt()).abs() < 1e-15);
    assert!((matrix.row(0).1[1] - 1.0 / 5f64.sqrt()).abs() < 1e-15);
    assert!(matrix.row(1).0.is_empty());
}

#[test]
fn ties_at_the_cut_go_to_the_term_that_sorts_first() {
    let options = |n| TfidfOptions {
        max_features: Some(n),
        ..TfidfOptions::default()
    };
    let rows = [Some("dd cc bb aa"), Some("dd ee"), Some("zz zz zz")];
    for (n, kept) in [
        (1, &["zz"][..]),
        (2, &["dd", "zz"]),
        (3, &["aa", "dd", "zz"]),
        (5, &["aa", "bb", "cc", "dd", "zz"]),
        (6, &["aa", "bb", "cc", "dd", "ee", "zz"]),
        (7, &["aa", "bb", "cc", "dd", "ee", "zz"]),
    ] {
        assert_eq!(
            Tfidf::fit_transform(&rows, &options(n))
                .unwrap()
                .0
                .vocabulary(),
            kept
        );
    }
    // Binary ranks by titles: dd stands in two, zz in one, and ties again by order.
    let binary = TfidfOptions {
        binary: true,
        ..options(2)
    };
    assert_eq!(
        Tfidf::fit_transform(&rows, &binary).unwrap().0.vocabulary(),
        ["aa", "dd"]
    );
}

#[test]
fn a_title_that_is_too_long_is_named() {
    let long = "a".repeat((1 << 20) + 1);
    let rows = [Some("fine title"), Some(long.as_str())];
    let error = Tfidf::fit_transform(&rows, &TfidfOptions::default())
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("row 2") && error.contains("1048577 bytes"),
        "{error}"
    );
    let (tfidf, _) = Tfidf::fit_transform(&rows[..1], &TfidfOptions::default()).unwrap();
    assert!(
        tfidf
            .transform(&rows)
            .unwrap_err()
            .to_string()
            .contains("row 2")
    );
}

fn made(text: &str, by: fn(&str, &mut String)) -> String {
    let mut out = String::new();
    by(text, &mut out);
    out
}

#[test]
fn every_code_point_is_pythons() {
    let python_text = json("python_text.json");
    let yes = |b: bool| if b { "1" } else { "0" }.to_string();
    let lower = |s: String| made(&s, python::lower_into);
    let views: [&dyn Fn(char) -> String; 6] = [
        &|c| lower(c.into()),
        &|c| made(&c.to_string(), python::strip_unicode_into),
        &|c| made(&c.to_string(), python::strip_ascii_into),
        &|c| yes(python::is_word(c)),
        &|c| yes(python::is_space(c)),
        &|c| {
            let sigmas = [
                format!("{c}Σ"),
                format!("A{c}Σ"),
                format!("AΣ{c}"),
                format!("AΣ{c}b"),
            ];
            sigmas.map(lower).concat()
        },
    ];
    for (block, digests) in python_text["blocks"].as_array().unwrap().iter().enumerate() {
        let first = block as u32 * 4096;
        for (view, digest) in views.iter().zip(strings(digests)) {
            let mut hasher = Sha256::new();
            for c in (first..first + 4096).filter_map(char::from_u32) {
                hasher.update(view(c).as_bytes());
                hasher.update(b"\0");
            }
            let ours: String = hasher
                .finalize()
                .iter()
                .map(|b| format!("{b:02x}"))
                .collect();
            assert_eq!(ours[..16], digest, "code points from {first:#x}");
        }
    }
    assert_eq!(python_text["blocks"].as_array().unwrap().len(), 0x110);
}

#[test]
fn strings_are_lowered_and_stripped_as_python_does() {
    let python_text = json("python_text.json");
    let rows = python_text["strings"].as_array().unwrap();
    assert!(rows.len() > 400);
    for row in rows {
        let row = strings(row);
        assert_eq!(
            made(&row[0], python::lower_into),
            row[1],
            "lower of {:?}",
            row[0]
        );
        assert_eq!(
            made(&row[0], python::strip_unicode_into),
            row[2],
            "{:?}",
            row[0]
        );
        assert_eq!(
            made(&row[0], python::strip_ascii_into),
            row[3],
            "{:?}",
            row[0]
        );
    }
}
