//! Thousands of random changes to a folder's files, and files that are as large as they may be: a folder or
//! one clear line, and little memory.

use super::*;
use crate::memory;
use crate::weights::live::{child, rerun};

const SENTENCE: &str = r#"{"max_seq_length": 48, "do_lower_case": false}"#;
const TOKENIZER: &str = r#"{"model_max_length": 512, "unk_token": "[UNK]"}"#;
const PROMPTS: &str =
    r#"{"__version__": {"pytorch": "2.0"}, "prompts": {"query": ""}, "default_prompt_name": null}"#;
const DISTIL: &str = r#"{"model_type": "distilbert", "dim": 24, "n_layers": 2, "n_heads": 2,
    "hidden_dim": 40, "vocab_size": 90, "max_position_embeddings": 64, "activation": "gelu",
    "sinusoidal_pos_embds": false}"#;

const FILES: [(&str, &str); 9] = [
    ("config.json", CONFIG),
    ("config.json", ROBERTA),
    ("config.json", DISTIL),
    ("modules.json", MODULES),
    ("1_Pooling/config.json", POOLING),
    (
        "1_Pooling/config.json",
        r#"{"embedding_dimension": 24, "pooling_mode": ["cls"]}"#,
    ),
    ("sentence_bert_config.json", SENTENCE),
    ("tokenizer_config.json", TOKENIZER),
    ("config_sentence_transformers.json", PROMPTS),
];

const PARTS: [&str; 16] = [
    "\"", "{", "}", "[", "]", ",", ":", "0", "9", "-", ".5", "e9", "null", "true", "\\u0000", "é",
];

fn change(bytes: &mut Vec<u8>, random: &mut fastrand::Rng) {
    let at = random.usize(..bytes.len());
    let part = PARTS[random.usize(..PARTS.len())].bytes();
    match random.u8(..5) {
        0 => drop(bytes.splice(at..at, part)),
        1 => {
            let end = (at + random.usize(..12)).min(bytes.len());
            drop(bytes.splice(at..end, part));
        }
        2 => bytes.truncate(at),
        3 => bytes[at] = random.u8(..),
        // What stands from here to there once more, somewhere else.
        _ => {
            let end = (at + random.usize(..40)).min(bytes.len());
            let piece = bytes[at..end].to_vec();
            let to = random.usize(..=bytes.len());
            drop(bytes.splice(to..to, piece));
        }
    }
    if bytes.is_empty() {
        bytes.push(b' ');
    }
}

/// Opens the folder; whether there was one.
fn open(folder: &Folder, what: &[u8]) -> bool {
    match TextFolder::open(folder.path()) {
        Ok(_) => true,
        Err(error) => {
            let line = error.to_string();
            let shown = String::from_utf8_lossy(what);
            assert_eq!(line.lines().count(), 1, "{line}\n{shown}");
            assert!(
                line.len() < 700 && error.mending().is_some(),
                "{line}\n{shown}"
            );
            assert!(error.kind() != Kind::Internal, "{line}\n{shown}");
            false
        }
    }
}

fn changes() {
    let mut random = fastrand::Rng::with_seed(20);
    for (name, text) in FILES {
        let mut folder = Folder::sentence();
        let (mut whole, mut errors) = (0, 0);
        for _ in 0..500 {
            let mut bytes = text.as_bytes().to_vec();
            for _ in 0..random.usize(1..4) {
                change(&mut bytes, &mut random);
            }
            folder = folder.with(name, &bytes);
            match open(&folder, &bytes) {
                true => whole += 1,
                false => errors += 1,
            }
        }
        println!("{name}: {whole} opened, {errors} did not");
        assert!(errors > 100, "{name}: {errors}");
    }
}

/// Files of the largest size that is read.
fn hostile() {
    let most = MAX_CONFIG_BYTES as usize;
    let fill = |start: &str, part: &str, end: &str| {
        let times = (most - start.len() - end.len()) / part.len();
        format!("{start}{}{end}", part.repeat(times))
    };
    let keys: Vec<String> = (0..80_000).map(|i| format!("\"{i}\":[]")).collect();
    for text in [
        fill("{\"hidden_size\":[0", ",0", "]}"),
        fill("{\"model_type\":\"", "y", "\"}"),
        fill("{\"hidden_size\":", "[", ""),
        fill("[{}", ",{}", "]"),
        format!("{{{}}}", keys.join(",")),
    ] {
        for (name, _) in FILES {
            let folder = Folder::sentence().with(name, &text);
            open(&folder, &text.as_bytes()[..80]);
        }
    }
}

#[test]
fn changed_files_give_a_folder_or_one_line_in_little_memory() {
    const NAME: &str =
        "text_folder::fuzz::changed_files_give_a_folder_or_one_line_in_little_memory";
    if child().is_some() {
        for (what, work) in [("changes", changes as fn()), ("hostile", hostile as fn())] {
            let ((), grown) = memory::peak_growth(work);
            println!("\n{what} grown {}", grown.unwrap_or(0));
        }
        return;
    }
    let place = tempfile::tempdir().unwrap();
    let output = rerun(NAME, place.path());
    let text = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}{errors}");
    let grown = |what: &str| -> u64 {
        let start = format!("{what} grown ");
        let line = text.lines().find_map(|l| l.strip_prefix(&start[..]));
        line.unwrap().parse().unwrap()
    };
    let (small, large) = (grown("changes"), grown("hostile"));
    println!("{small} bytes for small files, {large} for the largest");
    assert!(small < 4 << 20, "{small}");
    assert!(large < 64 << 20, "{large}");
}
