//! Titles and files made by chance, and titles made to take long.

use std::time::Instant;

use doppel::text::tokenize::{TokenizeOptions, Tokenizer};

use super::{LONG, OPTIONS, TRAINED, one_line, trained};

#[test]
fn hostile_titles_end() {
    let hostile: Vec<String> = [
        "a",
        " ",
        "<mask>",
        "[SEP] ",
        "</s>",
        "正",
        "\u{301}",
        "é",
        "👨‍👩‍👧",
        "!",
        "a!",
        "ﷺ",
        "\0",
    ]
    .iter()
    .map(|piece| piece.repeat(100_000 / piece.len()))
    .collect();
    for name in TRAINED {
        let options = TokenizeOptions {
            max_tokens: 512,
            ..OPTIONS
        };
        let tokenizer = Tokenizer::open(trained(name), &options).unwrap();
        for text in &hostile {
            let began = Instant::now();
            let ids = tokenizer.encode(text).unwrap();
            assert!(ids.len() <= 512);
            let took = began.elapsed();
            let piece: String = text.chars().take(8).collect();
            assert!(took < LONG / 4, "{name}: {piece:?} took {took:?}");
        }
    }
}

/// A string of random characters of all planes, with what tokenizers take special notice of.
fn random_text(rng: &mut fastrand::Rng) -> String {
    let special = [
        "[SEP]", "</s>", "<mask>", " ", "\n", "a", "##", "▁", "\u{301}", "9", "\u{200d}",
    ];
    let mut text = String::new();
    for _ in 0..rng.usize(..60) {
        match rng.u8(..4) {
            0 => text.push_str(special[rng.usize(..special.len())]),
            1 => text.push(rng.char('\0'..='\u{ff}')),
            2 => text.push(rng.char('\0'..='\u{3fff}')),
            _ => text.push(rng.char(..)),
        }
    }
    text
}

#[test]
fn any_text_has_ids_whatever_the_threads() {
    fn shared<T: Send + Sync>(value: T) -> T {
        value
    }
    let mut rng = fastrand::Rng::with_seed(5);
    let texts: Vec<String> = (0..1500).map(|_| random_text(&mut rng)).collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    for name in TRAINED {
        let tokenizer = shared(Tokenizer::open(trained(name), &OPTIONS).unwrap());
        let many = tokenizer.encode_many(&texts);
        for (text, ids) in texts.iter().zip(&many) {
            let ids = ids.as_deref().unwrap();
            assert_eq!(ids, tokenizer.encode(text).unwrap(), "{text:?}");
            assert!(ids.len() >= 2 && ids.len() <= 128);
            assert!(ids.iter().all(|id| (*id as usize) < tokenizer.ids()));
        }
    }
}

/// One mutation of a file: bytes changed, taken away, doubled, or numbers made large.
fn mutate(bytes: &mut Vec<u8>, rng: &mut fastrand::Rng) {
    let at = rng.usize(..bytes.len());
    let to = (at + rng.usize(1..40)).min(bytes.len());
    match rng.u8(..8) {
        0 => bytes.truncate(at),
        1 => drop(bytes.drain(at..to)),
        2 => {
            let piece = bytes[at..to].to_vec();
            let place = rng.usize(..bytes.len());
            bytes.splice(place..place, piece);
        }
        3 => bytes[at] = rng.u8(..),
        4 => {
            let swaps: [(&str, &str); 10] = [
                ("true", "false"),
                ("false", "true"),
                ("null", "0"),
                ("WordPiece", "BPE"),
                ("Unigram", "WordLevel"),
                ("[UNK]", "[CLS]"),
                ("<unk>", ""),
                ("Metaspace", "Digits"),
                ("ByteLevel", "Whitespace"),
                ("Sequence", "Split"),
            ];
            let (from, into) = swaps[rng.usize(..swaps.len())];
            *bytes = String::from_utf8_lossy(bytes)
                .replacen(from, into, 1)
                .into_bytes();
        }
        5 => {
            let digits = b"0123456789-.e";
            if let Some(digit) = bytes[at..].iter_mut().find(|b| b.is_ascii_digit()) {
                *digit = digits[rng.usize(..digits.len())];
            }
        }
        6 => {
            let marks = b"\"{}[],:\\ ";
            bytes[at] = marks[rng.usize(..marks.len())];
        }
        _ => {
            let letters: &[u8] = "aé#▁\u{120}".as_bytes();
            let n = rng.usize(..letters.len());
            bytes.splice(at..at, letters[n..].iter().copied());
        }
    }
    if bytes.is_empty() {
        bytes.push(b'{');
    }
}

#[test]
fn broken_files_are_answers_or_lines() {
    let mut rng = fastrand::Rng::with_seed(7);
    let place = tempfile::tempdir().unwrap();
    let (mut opened, mut refused) = (0, 0);
    for (name, file) in [
        ("wordpiece-uncased", "tokenizer.json"),
        ("wordpiece-uncased", "vocab.txt"),
        ("bytebpe", "tokenizer.json"),
        ("bytebpe", "vocab.json"),
        ("bytebpe", "merges.txt"),
        ("unigram", "tokenizer.json"),
    ] {
        let folder = place.path().join(format!("{name}-{file}"));
        std::fs::create_dir(&folder).unwrap();
        if file.contains("merges") || file == "vocab.json" {
            for file in ["vocab.json", "merges.txt"] {
                std::fs::copy(trained(name).join(file), folder.join(file)).unwrap();
            }
        }
        let whole = std::fs::read(trained(name).join(file)).unwrap();
        for round in 0..400 {
            let mut bytes = whole.clone();
            // The settings before the vocabulary, and what comes after it, are most of the danger.
            let head = bytes.len().min(2000);
            let mut part = match round % 2 {
                0 => bytes.drain(..head).collect(),
                _ => std::mem::take(&mut bytes),
            };
            for _ in 0..rng.usize(1..4) {
                mutate(&mut part, &mut rng);
            }
            part.extend(bytes);
            std::fs::write(folder.join(file), &part).unwrap();
            match Tokenizer::open(&folder, &OPTIONS) {
                Ok(tokenizer) => {
                    opened += 1;
                    for _ in 0..3 {
                        let ids = tokenizer.encode(&random_text(&mut rng));
                        assert!(!ids.is_ok_and(|ids| ids.len() > 128));
                    }
                }
                Err(error) => {
                    refused += 1;
                    assert!(!one_line(&error).contains("internal"));
                }
            }
        }
    }
    assert!(
        opened > 300 && refused > 300,
        "{opened} opened, {refused} refused"
    );
}
