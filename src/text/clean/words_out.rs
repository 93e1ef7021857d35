//! The steps of the five authors' two preprocessings: punctuation, special characters, stop words, white space,
//! short words.

use std::borrow::Cow;

use super::steps::words;
use crate::text::english_stop_words;

/// Without the 32 marks of ASCII, Python's `string.punctuation`; what stood on both sides of one stands together.
pub(super) fn punctuation(title: &str) -> String {
    title
        .chars()
        .filter(|c| !c.is_ascii_punctuation())
        .collect()
}

/// Every character that is no letter becomes a space: `✖`, `[`, and digits too.
pub(super) fn special(title: &str) -> String {
    let letter = |c: char| if c.is_alphabetic() { c } else { ' ' };
    title.chars().map(letter).collect()
}

/// Runs of white space become one space; none is left at the ends.
pub(super) fn whitespace(title: &str) -> String {
    let words: Vec<&str> = title.split_whitespace().collect();
    words.join(" ")
}

/// Without scikit-learn's English stop words, in any case.
pub(super) fn stop_words(title: &str) -> String {
    let stops: std::collections::HashSet<&str> = english_stop_words().collect();
    without(title, |word| stops.contains(&*word.to_lowercase()))
}

/// Without words of fewer than four characters.
pub(super) fn short_words(title: &str) -> String {
    without(title, |word| word.chars().count() < 4)
}

fn without(title: &str, goes: impl Fn(&str) -> bool) -> String {
    let kept = words(title, |word| match goes(word) && !word.is_empty() {
        true => None,
        false => Some(Cow::Borrowed(word)),
    });
    kept.trim_end().to_string()
}
