//! Tokenizers from files that nobody vouches for: an answer or one line, never a panic.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use doppel::Error;
use doppel::text::tokenize::{TokenizeOptions, Tokenizer};
use serde_json::{Value, json};

mod fuzz;

const OPTIONS: TokenizeOptions = TokenizeOptions {
    max_tokens: 128,
    lowercase: false,
};
const TRAINED: [&str; 4] = ["wordpiece-uncased", "wordpiece-cased", "bytebpe", "unigram"];
/// No text may take longer, on a slow machine and without optimisation.
const LONG: Duration = Duration::from_secs(60);

fn trained(name: &str) -> PathBuf {
    let goldens = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/tokenize");
    goldens.join(name)
}

/// A folder with these files.
fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    folder
}

fn of_json(tokenizer: &Value) -> tempfile::TempDir {
    folder(&[("tokenizer.json", &tokenizer.to_string())])
}

fn tokenizer_json(model: Value) -> Value {
    json!({"version": "1.0", "added_tokens": [], "model": model})
}

fn wordpiece(vocab: Value) -> Value {
    tokenizer_json(json!({"type": "WordPiece", "unk_token": "[UNK]",
        "continuing_subword_prefix": "##", "max_input_chars_per_word": 100, "vocab": vocab}))
}

fn bpe(vocab: Value, merges: Value) -> Value {
    tokenizer_json(json!({"type": "BPE", "vocab": vocab, "merges": merges}))
}

/// A tokenizer whose pre-tokenizer splits at matches of `pattern`.
fn split_at(pattern: &str) -> Value {
    let mut tokenizer = wordpiece(json!({"[UNK]": 0, "a": 1, "##a": 2}));
    tokenizer["pre_tokenizer"] = json!({"type": "Sequence", "pretokenizers": [
        {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Removed", "invert": false}]});
    tokenizer
}

fn one_line(error: &Error) -> String {
    let line = error.to_string();
    assert!(!line.contains('\n') && line.len() < 700, "{line}");
    line
}

/// The one line that opening gives; it holds all of `parts`.
fn refused(folder: &Path, parts: &[&str]) {
    let error = Tokenizer::open(folder, &OPTIONS).map(|t| t.ids());
    let line = one_line(&error.expect_err(&parts.join(", ")));
    for part in parts {
        assert!(line.contains(part), "{line} has no {part}");
    }
}

#[test]
fn folders_without_a_tokenizer_say_what_to_fetch() {
    refused(
        Path::new("no/such/folder"),
        &["no/such/folder", "fetch", "tokenizer.json"],
    );
    refused(
        folder(&[]).path(),
        &["holds no tokenizer", "vocab.txt", "merges.txt"],
    );
    refused(
        folder(&[("vocab.json", "{}")]).path(),
        &["holds no tokenizer"],
    );
    for name in ["sentencepiece.bpe.model", "spiece.model", "tokenizer.model"] {
        let parts = [
            name,
            "AutoTokenizer.from_pretrained(FOLDER).save_pretrained(FOLDER)",
        ];
        refused(folder(&[(name, "x")]).path(), &parts);
    }
    let directory = tempfile::tempdir().unwrap();
    std::fs::create_dir(directory.path().join("tokenizer.json")).unwrap();
    refused(directory.path(), &["tokenizer.json", "not a regular file"]);
}

#[test]
fn what_is_no_tokenizer_is_refused() {
    for (text, part) in [
        ("", "is not JSON"),
        ("hello", "is not JSON"),
        (
            "{\"model\": {\"type\": \"WordPiece\", \"vocab\": {\"a\"",
            "is not JSON",
        ),
        ("[]", "is not a tokenizer"),
        ("{}", "has no \"model\""),
        ("{\"model\": null}", "has no \"model\""),
        ("{\"model\": 7}", "is not a tokenizer"),
        (
            "{\"model\": {\"type\": \"BPE\", \"vocab\": {}}}",
            "no \"merges\"",
        ),
        ("{\"model\": {\"type\": \"WordPiece\"}}", "no \"vocab\""),
        (
            "{\"model\": {\"type\": \"WordPiece\", \"vocab\": []}}",
            "another kind's form",
        ),
        (
            "{\"model\": {\"type\": \"Unigram\", \"vocab\": {}}}",
            "another kind's form",
        ),
        (
            "{\"model\": {\"type\": \"Neural\", \"vocab\": {}}}",
            "\"Neural\", is none of BPE",
        ),
    ] {
        refused(
            folder(&[("tokenizer.json", text)]).path(),
            &["tokenizer.json", part],
        );
    }
    let deep = "[".repeat(100_000);
    refused(
        folder(&[("tokenizer.json", &deep)]).path(),
        &["tokenizer.json"],
    );
    let folder = folder(&[]);
    std::fs::write(folder.path().join("tokenizer.json"), b"\xff\xfe{").unwrap();
    refused(folder.path(), &["tokenizer.json", "UTF-8"]);
    let mut version = wordpiece(json!({"[UNK]": 0}));
    version["version"] = json!("2.0");
    refused(of_json(&version).path(), &["version '2.0'"]);
}

#[test]
fn a_vocabulary_knows_what_it_does_not_know() {
    let parts = ["tokenizer.json", "has no [UNK]", "must hold the token"];
    refused(of_json(&wordpiece(json!({"a": 0}))).path(), &parts);
    let level = tokenizer_json(json!({"type": "WordLevel", "unk_token": "<u>", "vocab": {"a": 0}}));
    refused(of_json(&level).path(), &["has no <u>"]);
    let mut tokens = bpe(json!({"a": 0}), json!([]));
    assert!(Tokenizer::open(of_json(&tokens).path(), &OPTIONS).is_ok());
    tokens["model"]["unk_token"] = json!("<unk>");
    refused(of_json(&tokens).path(), &["has no <unk>"]);
    let unigram = |unk: Value, vocab: Value| {
        of_json(&tokenizer_json(
            json!({"type": "Unigram", "unk_id": unk, "vocab": vocab}),
        ))
    };
    refused(
        unigram(Value::Null, json!([["a", -1.0]])).path(),
        &["no unk_id"],
    );
    refused(
        unigram(json!(1), json!([["a", -1.0]])).path(),
        &["unk_id is 1"],
    );
    refused(unigram(json!(0), json!([])).path(), &["unk_id is 0"]);
    refused(
        unigram(json!(-1), json!([["a", -1.0]])).path(),
        &["not a tokenizer"],
    );
    assert!(Tokenizer::open(unigram(json!(0), json!([["a", -1.0]])).path(), &OPTIONS).is_ok());

    refused(
        folder(&[("vocab.txt", "[CLS]\n[SEP]\na\n")]).path(),
        &["vocab.txt", "has no [UNK]"],
    );
    let named = json!({"tokenizer_class": "BertTokenizer", "unk_token": "<what>"}).to_string();
    let files = [
        ("vocab.txt", "[CLS]\n[SEP]\n[UNK]\n"),
        ("tokenizer_config.json", &named),
    ];
    refused(folder(&files).path(), &["has no <what>"]);
}

#[test]
fn ids_are_numbers_of_32_bits() {
    for id in [
        "-1",
        "4294967295",
        "4294967296",
        "1e30",
        "0.5",
        "\"7\"",
        "null",
    ] {
        let text = wordpiece(json!({"[UNK]": 0, "a": 11})).to_string();
        let text = text.replace("11", id);
        refused(
            folder(&[("tokenizer.json", &text)]).path(),
            &["tokenizer.json"],
        );
        let merges = [
            ("vocab.json", format!("{{\"a\": {id}}}")),
            ("merges.txt", String::new()),
        ];
        let merges = merges.each_ref().map(|(name, text)| (*name, text.as_str()));
        refused(
            folder(&merges).path(),
            &["vocab.json", "not a token's number"],
        );
        let added = format!("{{\"model\": {{}}, \"added_tokens\": [{{\"id\": {id}}}]}}");
        refused(
            folder(&[("tokenizer.json", &added)]).path(),
            &["tokenizer.json"],
        );
    }
    let huge = of_json(&wordpiece(json!({"[UNK]": 0, "a": 4_294_967_294u32})));
    let huge = Tokenizer::open(huge.path(), &OPTIONS).unwrap();
    assert_eq!(huge.ids(), 4_294_967_295);
    assert_eq!(huge.encode("a").unwrap(), [4_294_967_294]);
    // A post-processor names ids by itself.
    let mut ends = wordpiece(json!({"[UNK]": 0, "a": 1}));
    ends["post_processor"] =
        json!({"type": "BertProcessing", "sep": ["x", 70_000], "cls": ["y", 9]});
    let ends = Tokenizer::open(of_json(&ends).path(), &OPTIONS).unwrap();
    assert_eq!(ends.ids(), 70_001);
    assert_eq!(ends.encode("a").unwrap(), [9, 1, 70_000]);
}

#[test]
fn sizes_are_bounded_before_anything_is_built() {
    let large = folder(&[("tokenizer.json", "{")]);
    let file = std::fs::File::options()
        .write(true)
        .open(large.path().join("tokenizer.json"))
        .unwrap();
    file.set_len((256 << 20) + 1).unwrap();
    refused(large.path(), &["tokenizer.json", "larger than"]);
    let long = "a".repeat(5000);
    refused(
        of_json(&wordpiece(json!({"[UNK]": 0, long: 1}))).path(),
        &["5000 bytes"],
    );
    let mut words = wordpiece(json!({"[UNK]": 0}));
    words["model"]["max_input_chars_per_word"] = json!(1_000_000);
    refused(
        of_json(&words).path(),
        &["max_input_chars_per_word is 1000000"],
    );
    let mut grows = wordpiece(json!({"[UNK]": 0}));
    let step = json!({"type": "Replace", "pattern": {"String": "a"}, "content": "aa"});
    grows["normalizer"] = json!({"type": "Sequence", "normalizers": vec![step.clone(); 60]});
    let grows = Tokenizer::open(of_json(&grows).path(), &OPTIONS).unwrap();
    let line = one_line(&grows.encode("a").unwrap_err());
    assert!(line.contains("normalized it takes over"), "{line}");
    assert_eq!(grows.encode("b").unwrap(), [0]);
    let mut puts_in = wordpiece(json!({"[UNK]": 0}));
    puts_in["normalizer"] = step;
    puts_in["normalizer"]["content"] = json!("a".repeat(1000));
    refused(of_json(&puts_in).path(), &["puts in 1000 bytes"]);
}

#[test]
fn merges_that_do_not_fit_are_refused() {
    let abc = || json!({"a": 0, "b": 1, "ab": 2});
    assert!(Tokenizer::open(of_json(&bpe(abc(), json!(["a b"]))).path(), &OPTIONS).is_ok());
    refused(
        of_json(&bpe(abc(), json!(["a c"]))).path(),
        &["tokenizer.json", "c"],
    );
    refused(
        of_json(&bpe(abc(), json!([["ab", "ab"]]))).path(),
        &["tokenizer.json"],
    );
    refused(of_json(&bpe(abc(), json!([7]))).path(), &["tokenizer.json"]);
    // The prefix would be cut off in the middle of a character.
    let mut cut = bpe(json!({"a": 0, "é": 1, "aé": 2}), json!([["a", "é"]]));
    cut["model"]["continuing_subword_prefix"] = json!("#");
    refused(
        of_json(&cut).path(),
        &["does not begin with the prefix \"#\""],
    );
    let vocab = "{\"<s>\": 0, \"</s>\": 1, \"a\": 2, \"b\": 3}";
    for (merges, part) in [
        ("#version: 0.2\na b c\n", "line 2: is not two tokens"),
        ("a\n", "line 1"),
        ("a b\n", "merges.txt"),
        ("a x\n", "merges.txt"),
    ] {
        refused(
            folder(&[("vocab.json", vocab), ("merges.txt", merges)]).path(),
            &[part],
        );
    }
}

#[test]
fn settings_that_make_no_sense_are_refused() {
    let vocab = ("vocab.txt", "[UNK]\n[CLS]\n[SEP]\na\n");
    for (file, text, part) in [
        ("tokenizer_config.json", "{", "is not JSON"),
        ("tokenizer_config.json", "[]", "is not a JSON object"),
        (
            "tokenizer_config.json",
            r#"{"truncation_side": "up"}"#,
            "truncation_side",
        ),
        (
            "tokenizer_config.json",
            r#"{"cls_token": 7}"#,
            "special token",
        ),
        (
            "tokenizer_config.json",
            r#"{"added_tokens_decoder": {"x": {"content": "y"}}}"#,
            "number",
        ),
        (
            "tokenizer_config.json",
            r#"{"tokenizer_class": "MPNetTokenizer"}"#,
            "MPNetTokenizer",
        ),
        (
            "tokenizer_config.json",
            r#"{"tokenizer_class": "RobertaTokenizer"}"#,
            "Roberta",
        ),
        ("special_tokens_map.json", "{", "special_tokens_map.json"),
        ("added_tokens.json", r#"{"x": -1}"#, "added_tokens.json"),
        ("config.json", "nonsense", "config.json"),
    ] {
        refused(folder(&[vocab, (file, text)]).path(), &[part]);
    }
    let plain = folder(&[vocab]);
    for max_tokens in [0, 1] {
        let options = TokenizeOptions {
            max_tokens,
            ..OPTIONS
        };
        let line = one_line(&Tokenizer::open(plain.path(), &options).unwrap_err());
        assert!(
            line.contains("the special ones alone are 2; allow 3 or more"),
            "{line}"
        );
    }
    let options = TokenizeOptions {
        max_tokens: 2,
        ..OPTIONS
    };
    let ends = Tokenizer::open(plain.path(), &options).unwrap();
    assert_eq!(ends.encode("a a a").unwrap(), [1, 2]);
    // A template that holds the text twice would pass the bound.
    let mut twice = wordpiece(json!({"[UNK]": 0, "a": 1}));
    let text = json!({"Sequence": {"id": "A", "type_id": 0}});
    twice["post_processor"] = json!({"type": "TemplateProcessing", "single": [text, text],
        "pair": [], "special_tokens": {}});
    if let Ok(twice) = Tokenizer::open(of_json(&twice).path(), &options) {
        assert!(!twice.encode("a a a").is_ok_and(|ids| ids.len() > 2));
    }
}

#[test]
fn what_breaks_the_reader_is_one_line() {
    for (key, value) in [
        (
            "normalizer",
            json!({"type": "Precompiled", "precompiled_charsmap": "AAAA"}),
        ),
        ("normalizer", json!({"type": "Precompiled"})),
        ("normalizer", json!({"type": "Unheard"})),
        (
            "normalizer",
            json!({"type": "Replace", "pattern": {"Regex": "(a"}, "content": ""}),
        ),
        (
            "pre_tokenizer",
            json!({"type": "Split", "pattern": {"Regex": "(a"},
            "behavior": "Removed", "invert": false}),
        ),
        (
            "pre_tokenizer",
            json!({"type": "Split", "behavior": "Removed", "invert": false}),
        ),
        ("pre_tokenizer", json!({"type": "Unheard"})),
        (
            "post_processor",
            json!({"type": "BertProcessing", "sep": 7}),
        ),
        ("added_tokens", json!([{"id": 1}])),
    ] {
        let mut tokenizer = wordpiece(json!({"[UNK]": 0}));
        tokenizer[key] = value;
        refused(of_json(&tokenizer).path(), &["tokenizer.json"]);
    }
    refused(of_json(&split_at("(a+")).path(), &["the pattern `(a+`"]);
}

#[test]
fn patterns_without_end_are_errors_of_their_text() {
    let long = "a".repeat(100_000);
    // No nesting of repeats harms a pattern that an automaton can do.
    let plain = Tokenizer::open(of_json(&split_at("(a+)+$")).path(), &OPTIONS).unwrap();
    let began = Instant::now();
    assert!(plain.encode(&long).unwrap().is_empty());
    assert_eq!(plain.encode("a b").unwrap(), [0]);
    // A look-ahead makes it one that goes back and forth.
    let nested = split_at("((?=a)a+)+!");
    let mut replaces = wordpiece(json!({"[UNK]": 0, "a": 1, "##a": 2}));
    replaces["normalizer"] = json!({"type": "Replace", "content": "",
        "pattern": {"Regex": "((?=a)a+)+!"}});
    for tokenizer in [nested, replaces] {
        let tokenizer = Tokenizer::open(of_json(&tokenizer).path(), &OPTIONS).unwrap();
        let line = one_line(&tokenizer.encode(&long).unwrap_err());
        assert!(
            line.contains("cannot tokenise the title: the pattern"),
            "{line}"
        );
        // The next text knows nothing of it, nor do neighbours.
        assert_eq!(tokenizer.encode("aa").unwrap(), [1, 2]);
        let many = tokenizer.encode_many(&["a", &long, "aa"]);
        assert_eq!(many[0].as_deref().unwrap(), [1]);
        assert!(many[1].is_err());
        assert_eq!(many[2].as_deref().unwrap(), [1, 2]);
    }
    assert!(began.elapsed() < LONG, "{:?}", began.elapsed());
    // A pattern that goes far for each of many matches is stopped by the clock.
    let slow = split_at("((?=a)a{1,700}){2}!|a");
    let slow = Tokenizer::open(of_json(&slow).path(), &OPTIONS).unwrap();
    let began = Instant::now();
    let line = one_line(&slow.encode(&long).unwrap_err());
    assert!(line.contains("took 5 s"), "{line}");
    assert!(began.elapsed() < LONG, "{:?}", began.elapsed());
}

#[test]
fn long_titles_are_cut_at_the_end_that_truncation_cuts() {
    let vocab = ("vocab.txt", "[UNK]\n[CLS]\n[SEP]\na\n");
    let options = TokenizeOptions {
        max_tokens: 3,
        ..OPTIONS
    };
    let spaces = " ".repeat(3 * 250);
    let right = folder(&[vocab]);
    let right = Tokenizer::open(right.path(), &options).unwrap();
    assert_eq!(right.encode(&format!("{spaces}a")).unwrap(), [1, 2]);
    assert_eq!(
        right.encode(&format!("{}a", &spaces[1..])).unwrap(),
        [1, 3, 2]
    );
    assert_eq!(
        right.encode(&format!("é{}a", &spaces[2..])).unwrap(),
        [1, 0, 2]
    );
    let left = folder(&[
        vocab,
        ("tokenizer_config.json", r#"{"truncation_side": "left"}"#),
    ]);
    let left = Tokenizer::open(left.path(), &options).unwrap();
    assert_eq!(left.encode(&format!("{spaces}a")).unwrap(), [1, 3, 2]);
    assert_eq!(left.encode(&format!("a{spaces}")).unwrap(), [1, 2]);
    assert_eq!(
        left.encode(&format!("é{}a", &spaces[2..])).unwrap(),
        [1, 3, 2]
    );
}

/// As in transformers 5: of these classes' `tokenizer.json`, the vocabulary alone counts.
#[test]
fn classes_have_settings_of_their_own() {
    let of_class = |tokenizer: &Value, class: &str| {
        let config = json!({"tokenizer_class": class}).to_string();
        let files = [
            ("tokenizer.json", tokenizer.to_string()),
            ("tokenizer_config.json", config),
        ];
        let files = files.each_ref().map(|(name, text)| (*name, text.as_str()));
        Tokenizer::open(folder(&files).path(), &OPTIONS).unwrap()
    };
    let mut pieces = wordpiece(json!({"[UNK]": 0, "[CLS]": 1, "[SEP]": 2, "a": 3, "##a": 4}));
    pieces["model"]["max_input_chars_per_word"] = json!(1);
    let own = of_class(&pieces, "TokenizersBackend");
    assert_eq!(own.encode("aa A").unwrap(), [0]);
    let bert = of_class(&pieces, "BertTokenizer");
    assert_eq!(bert.encode("aa A").unwrap(), [1, 3, 4, 3, 2]);
    // [PAD] and [MASK], which the vocabulary lacks, are added to it.
    assert_eq!((own.ids(), bert.ids()), (5, 7));

    let vocab = json!([
        ["<s>", 0],
        ["<pad>", 0],
        ["</s>", 0],
        ["<unk>", 0],
        ["▁a", -1]
    ]);
    let model = json!({"type": "Unigram", "unk_id": 0, "vocab": vocab});
    let unigram = tokenizer_json(model);
    let own = of_class(&unigram, "PreTrainedTokenizerFast");
    assert_eq!(own.encode("b").unwrap(), [0]);
    let xlm = of_class(&unigram, "XLMRobertaTokenizer");
    assert_eq!(xlm.encode("a b").unwrap(), [0, 4, 3, 2]);

    let vocab = json!({"<s>": 0, "</s>": 1, "<unk>": 2, "a": 3, "b": 4, "ab": 5});
    let mut merged = bpe(vocab, json!(["a b"]));
    merged["model"]["dropout"] = json!(1.0);
    merged["model"]["unk_token"] = json!("<unk>");
    let own = of_class(&merged, "PreTrainedTokenizerFast");
    assert_eq!(own.encode("abc").unwrap(), [5, 2]);
    let roberta = of_class(&merged, "RobertaTokenizerFast");
    assert_eq!(roberta.encode("abc").unwrap(), [0, 5, 1]);
}

#[test]
fn dropout_is_off() {
    let vocab = json!({"a": 0, "b": 1, "ab": 2, "abab": 3});
    let mut tokenizer = bpe(vocab, json!(["a b", "ab ab"]));
    tokenizer["model"]["dropout"] = json!(0.9);
    let tokenizer = Tokenizer::open(of_json(&tokenizer).path(), &OPTIONS).unwrap();
    for _ in 0..50 {
        assert_eq!(tokenizer.encode("ababab").unwrap(), [3, 2]);
    }
}
