//! Recipe files and expressions from anywhere: what is read comes back from what is printed, and what is
//! refused is one line.

use std::path::Path;

use doppel::Error;
use doppel::limits::{MAX_EXPRESSION_BYTES, MAX_RECIPE_BYTES};
use doppel::recipe::{Recipe, rule_from_text, rule_to_text};

const RECIPES: [&str; 4] = [
    include_str!("../../recipes/default.toml"),
    include_str!("../../recipes/tan-final.toml"),
    include_str!("../../recipes/inb.toml"),
    include_str!("../../recipes/joint.toml"),
];

const EXPRESSIONS: [&str; 5] = [
    "equal(phash) or sweep(photo < .24 to .50 by .01, words < .25 to .50 by .20, title < .08)",
    "min2(reciprocal(photo < .3 and (words < .4 or title > .2)), photo < .6)",
    "sweep(sweep(photo < 1e-3 to 2 by .1), equal(words)) and title < 0.75",
    "photo < .24 or words < .25 or title < .08 or phash < .2",
    "reciprocal(min2(sweep(words < .1 to .1 by 0, equal(phash)), title > .5))",
];

const NAMES: [&str; 4] = ["phash", "photo", "words", "title"];

/// Pieces that files are made of, and some that they should not be.
const PIECES: [&str; 46] = [
    "[",
    "]",
    "{",
    "}",
    "=",
    "\"",
    "'",
    "\"\"\"",
    "'''",
    ",",
    ".",
    "#",
    "\n",
    "\r\n",
    "\r",
    "\\",
    "\0",
    "\u{feff}",
    "é",
    "写",
    "-",
    "1",
    "1e400",
    "nan",
    "-inf",
    "0x7fffffffffffffff",
    "99999999999999999999",
    "1979-05-27T07:32:00Z",
    "true",
    "[spaces.x]",
    "spaces.photo.given = true",
    "[[spaces.a]]",
    "[tuned]",
    "by = \"power\"",
    "refine = [",
    "(",
    ")",
    "<",
    ">",
    " or ",
    " and ",
    "sweep(",
    "min2(",
    " to ",
    " by ",
    "photo",
];

#[track_caller]
fn one_line(error: &Error) {
    let shown = error.to_string();
    let start: String = shown.chars().take(200).collect();
    assert!(shown.len() < 1500, "{} bytes: {start}", shown.len());
    assert_eq!(shown.lines().count(), 1, "{shown:?}");
    assert!(!shown.chars().any(char::is_control), "{shown:?}");
}

/// Reads `text`; what is read passes its check and comes back from its own file.
#[track_caller]
fn read(text: &str) -> bool {
    match Recipe::parse(text, Path::new("")) {
        Ok(recipe) => {
            recipe.check().unwrap();
            let printed = recipe.to_toml();
            let again = Recipe::parse(&printed, Path::new(""));
            let again = again.unwrap_or_else(|e| panic!("{e}\n{printed}\n{text}"));
            assert_eq!(again, recipe, "{printed}");
            true
        }
        Err(error) => {
            one_line(&error);
            false
        }
    }
}

/// A few changes of the bytes of `text`: replaced, removed, doubled, or pieces put in.
fn mutated(random: &mut fastrand::Rng, text: &str) -> Vec<u8> {
    let mut bytes = text.as_bytes().to_vec();
    for _ in 0..random.usize(1..4) {
        let at = random.usize(0..=bytes.len());
        let end = bytes.len().min(at + random.usize(0..12));
        match random.u8(0..6) {
            0 if at < bytes.len() => bytes[at] = random.u8(..),
            1 => drop(bytes.drain(at..end)),
            2 => {
                let twice = bytes[at..end].to_vec();
                bytes.splice(at..at, twice);
            }
            3 => {
                let other = random.usize(0..=bytes.len());
                let moved: Vec<u8> = bytes[at..end].to_vec();
                bytes.splice(other..other, moved);
            }
            4 => bytes.truncate(at.max(1)),
            _ => {
                let piece = random.choice(PIECES).unwrap();
                bytes.splice(at..end, piece.bytes());
            }
        }
    }
    bytes
}

#[test]
fn mutated_recipes_are_read_or_refused_in_one_line() {
    let mut random = fastrand::Rng::with_seed(3);
    let (mut read_well, mut refused) = (0, 0);
    for _ in 0..3000 {
        // Without comments, in which most changes would change nothing.
        let text = *random.choice(RECIPES.iter()).unwrap();
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        let text = lines.collect::<Vec<_>>().join("\n");
        let bytes = mutated(&mut random, &text);
        match read(&String::from_utf8_lossy(&bytes)) {
            true => read_well += 1,
            false => refused += 1,
        }
    }
    assert!(read_well > 100 && refused > 1000, "{read_well}, {refused}");
}

#[test]
fn mutated_files_are_read_or_refused_in_one_line_that_names_them() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mutated.toml");
    let mut random = fastrand::Rng::with_seed(4);
    let mut no_text = 0;
    for _ in 0..500 {
        let text = *random.choice(RECIPES.iter()).unwrap();
        std::fs::write(&path, mutated(&mut random, text)).unwrap();
        if let Err(error) = Recipe::read(&path) {
            one_line(&error);
            let shown = error.to_string();
            assert!(shown.contains("mutated.toml: "), "{shown}");
            no_text += usize::from(shown.contains("is not UTF-8"));
        }
    }
    assert!(no_text > 20, "{no_text}");
}

#[test]
fn mutated_expressions_are_read_or_refused_in_one_line() {
    let mut random = fastrand::Rng::with_seed(5);
    let (mut read_well, mut refused) = (0, 0);
    for _ in 0..5000 {
        let text = *random.choice(EXPRESSIONS.iter()).unwrap();
        let bytes = mutated(&mut random, text);
        match rule_from_text(&String::from_utf8_lossy(&bytes), &NAMES) {
            Ok(rule) => {
                rule.validate(NAMES.len()).unwrap();
                let printed = rule_to_text(&rule, &NAMES);
                let again = rule_from_text(&printed, &NAMES);
                assert_eq!(again.unwrap_or_else(|e| panic!("{e}\n{printed}")), rule);
                read_well += 1;
            }
            Err(error) => {
                one_line(&error);
                refused += 1;
            }
        }
    }
    assert!(read_well > 100 && refused > 1000, "{read_well}, {refused}");
}

/// A recipe of one space, with something put behind.
fn with(lines: &str) -> String {
    format!("name = 'x'\nfusion = 'a < .1'\nspaces.a.given = true\n{lines}\n")
}

#[test]
fn deep_nesting_is_refused() {
    let deep = 50_000;
    for text in [
        with(&format!("about = {}", "[".repeat(deep))),
        with(&format!("about = {}{}", "[".repeat(deep), "]".repeat(deep))),
        with(&format!("about = {}", "{a=".repeat(deep))),
        with(&format!(
            "about = {}1{}",
            "{a=".repeat(deep),
            "}".repeat(deep)
        )),
        with(&format!("about{} = 1", ".a".repeat(deep))),
        with(&format!("[spaces.b{}]", ".a".repeat(deep))),
        with(&format!("[[spaces.b{}]]", ".a".repeat(deep))),
        with(&format!("about = {{ b{} = 1 }}", ".a".repeat(deep))),
        with(&format!("about = {}", "[{a=".repeat(deep))),
    ] {
        assert!(!read(&text), "{}", &text[..80]);
    }
    for text in [
        "(".repeat(MAX_EXPRESSION_BYTES),
        "reciprocal(".repeat(5000),
        "sweep(".repeat(5000),
        "min2(".repeat(5000),
    ] {
        one_line(&rule_from_text(&text, &NAMES).unwrap_err());
    }
}

#[test]
fn large_files_are_refused() {
    let most = MAX_RECIPE_BYTES as usize;
    let comment = |length: usize| with(&format!("# {}", "x".repeat(length)));
    assert!(read(&comment(most - 100)));
    assert!(!read(&comment(most)));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("large.toml");
    std::fs::write(&path, comment(most)).unwrap();
    let error = Recipe::read(&path).unwrap_err();
    one_line(&error);
    assert!(
        error.to_string().contains("large.toml: is too large"),
        "{error}"
    );

    // Large in one respect each, within the bytes.
    let long = "y".repeat(most / 2);
    for text in [
        with(&format!("{long} = 1")),
        with(&format!("about = {{ {long} = 1 }}")),
        with(&format!("spaces.{long}.given = true")),
        with(&format!("spaces.b.image = 'timm:{long}'")),
        with(&format!("spaces.b.text = '{long}'")),
        with(&format!("spaces.b.concat.{long} = 1")),
        with(&format!("[spaces.b]\nfused.a = 1\nby = '{long}'")),
        with(&format!("spaces.b.tfidf.token_pattern = '({long}'")),
        with(&format!("'{}", "\\n".repeat(most / 3))),
        with(&format!("neighbours = {}", "9".repeat(most / 2))),
        with(&format!("neighbours = {}.5", "9".repeat(most / 2))),
        with(&"spaces.b.given = true\n".repeat(10_000)),
        with(
            &(0..10_000)
                .map(|i| format!("k{i} = 1\n"))
                .collect::<String>(),
        ),
        with(
            &(0..9_000)
                .map(|i| format!("spaces.s{i}.given = true\n"))
                .collect::<String>(),
        ),
        with(&format!(
            "spaces.b.given = true\nspaces.b.refine = [{}]",
            "{blend={distance=0.1}},".repeat(10_000)
        )),
        with(&format!(
            "spaces.b.tfidf.ngram = [{}]",
            "1,".repeat(100_000)
        )),
        with(&format!(
            "spaces.b.tfidf.stop_words = [{}]",
            "1,".repeat(100_000)
        )),
    ] {
        assert!(!read(&text), "{}", &text[..80]);
    }
    // Many stop words are well.
    let words: String = (0..20_000).map(|i| format!("'w{i}',")).collect();
    assert!(read(&with(&format!(
        "spaces.b.tfidf.stop_words = [{words}]"
    ))));
}

#[test]
fn absurd_numbers_are_refused() {
    let numbers = [
        "nan",
        "-nan",
        "inf",
        "-inf",
        "1e400",
        "-1e400",
        "-1",
        "-0.1",
        "3",
        "1e300",
        "99999999999999999999999999999999999999999",
        "0x8000000000000000",
        "-9223372036854775809",
    ];
    for number in numbers {
        for text in [
            with(&format!("neighbours = {number}")).replace("neighbours = 3", "neighbours = 3.5"),
            with(&format!("[tuned]\nlistings = 1\nf1 = {number}")),
            with(&format!(
                "[spaces.b]\ngiven = true\nrefine = [{{blend = {{distance = {number}}}}}]"
            )),
            with(&format!(
                "[spaces.b]\ngiven = true\nrefine = [{{blend = {{distance = 0.1, min2 = {number}}}}}]"
            )),
        ] {
            assert!(!read(&text), "{text}");
        }
        for expression in [
            format!("title < {number}"),
            format!("sweep(title < .1 to {number} by .1)"),
            format!("sweep(title < {number} to .5 by .1)"),
            format!("min2(title < .1, title < {number})"),
        ] {
            let error = rule_from_text(&expression, &NAMES).unwrap_err();
            one_line(&error);
        }
    }
    for number in ["nan", "inf", "-1", "-inf", "1e400"] {
        let error = rule_from_text(&format!("sweep(title < .1 to .2 by {number})"), &NAMES);
        one_line(&error.unwrap_err());
    }
}

#[test]
fn what_is_no_file_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    for path in [folder.path(), &folder.path().join("gone.toml")] {
        let error = Recipe::read(path).unwrap_err();
        one_line(&error);
        assert!(
            error.to_string().starts_with(path.to_str().unwrap()),
            "{error}"
        );
    }
    let bytes = folder.path().join("bytes.toml");
    std::fs::write(&bytes, b"name = 'x'\nabout = '\xff\xfe'\n").unwrap();
    let error = Recipe::read(&bytes).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("bytes.toml: line 2: is not UTF-8"),
        "{error}"
    );
    std::fs::write(
        &bytes,
        "name = 'x'"
            .encode_utf16()
            .flat_map(u16::to_le_bytes)
            .collect::<Vec<_>>(),
    )
    .unwrap();
    one_line(&Recipe::read(&bytes).unwrap_err());
}
