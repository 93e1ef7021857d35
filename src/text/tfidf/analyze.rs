//! From a title to its terms: what scikit-learn calls the analyzer.

use regex::Regex;

use super::options::{Analyzer, StopWords, StripAccents, TfidfOptions, TokenPattern, refused};
use super::terms::{Key, Seed, Terms};
use crate::error::Result;
use crate::text::english_stop_words;
use crate::text::python::{is_space, is_word, lower_into, strip_ascii_into, strip_unicode_into};

/// What a token is.
#[derive(Debug)]
pub(super) enum Pattern {
    /// A run of at least so many word characters, as long as it goes.
    Runs(usize),
    /// Group `group` of each match.
    Regex { regex: Regex, group: usize },
}

impl Pattern {
    pub(super) fn new(pattern: &TokenPattern) -> Result<Self> {
        let text = match pattern {
            TokenPattern::Default => return Ok(Pattern::Runs(2)),
            TokenPattern::Regex(text) => text,
        };
        if let Some(least) = run_length(text) {
            return Ok(Pattern::Runs(least));
        }
        let regex = Regex::new(text).map_err(|e| {
            let reason = e.to_string();
            let reason = reason.lines().last().unwrap_or_default().to_string();
            refused(
                "token_pattern",
                format!("'{text}' is not a pattern: {reason}"),
            )
            .mend("write it as the Rust crate regex reads it, without look-around")
        })?;
        let groups = regex.captures_len() - 1;
        if groups > 1 {
            return Err(
                refused("token_pattern", format!("'{text}' has {groups} groups"))
                    .mend("keep one group at most, and write the others as (?:...)"),
            );
        }
        Ok(Pattern::Regex {
            regex,
            group: groups,
        })
    }

    /// Calls `each` with the tokens of `text`.
    fn each_token(&self, text: &str, mut each: impl FnMut(&str)) {
        match self {
            Pattern::Runs(least) if text.is_ascii() => ascii_runs(text, *least, each),
            Pattern::Runs(least) => runs(text, *least, each),
            Pattern::Regex { regex, group: 0 } => {
                let tokens = regex.find_iter(text).map(|m| m.as_str());
                tokens.filter(|t| !t.is_empty()).for_each(each);
            }
            Pattern::Regex { regex, group } => {
                for found in regex.captures_iter(text) {
                    if let Some(token) = found.get(*group).filter(|t| !t.is_empty()) {
                        each(token.as_str());
                    }
                }
            }
        }
    }
}

/// The least length of the runs of word characters that a pattern stands for, when it is of that
/// kind: `\w`s and a last `\w+`, with or without `\b` at both ends and `(?u)` before.
fn run_length(pattern: &str) -> Option<usize> {
    let core = pattern.strip_prefix("(?u)").unwrap_or(pattern);
    let core = core.strip_prefix(r"\b").unwrap_or(core);
    let core = core.strip_suffix(r"\b").unwrap_or(core).strip_suffix('+')?;
    let count = core.len() / 2;
    (count > 0 && core == r"\w".repeat(count)).then_some(count)
}

const ASCII_WORD: [bool; 256] = {
    let mut table = [false; 256];
    let mut b = 0;
    while b < 128 {
        table[b] = (b as u8).is_ascii_alphanumeric() || b as u8 == b'_';
        b += 1;
    }
    table
};

/// The runs of word characters of an ASCII text.
fn ascii_runs(text: &str, least: usize, mut each: impl FnMut(&str)) {
    let bytes = text.as_bytes();
    let is_word = |at: usize| bytes.get(at).is_some_and(|&b| ASCII_WORD[b as usize]);
    let mut at = 0;
    while at < bytes.len() {
        let start = at;
        while is_word(at) {
            at += 1;
        }
        if at - start >= least {
            each(&text[start..at]);
        }
        at += 1;
    }
}

/// The runs of word characters of any text.
fn runs(text: &str, least: usize, mut each: impl FnMut(&str)) {
    for run in text.split(|c| !is_word(c)) {
        if run.len() >= least && run.chars().take(least).count() == least {
            each(run);
        }
    }
}

/// A title's terms, by the options of one fit.
#[derive(Debug)]
pub(super) struct Analysis {
    analyzer: Analyzer,
    ngram: (usize, usize),
    lowercase: bool,
    strip_accents: StripAccents,
    pattern: Pattern,
    stop_words: Terms,
    seed: Seed,
}

/// Buffers that [`Analysis::each_term`] uses from title to title.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    lowered: String,
    stripped: String,
    joined: String,
    spans: Vec<(u32, u32)>,
    bounds: Vec<u32>,
}

impl Analysis {
    /// Takes options that were validated.
    pub(super) fn new(options: &TfidfOptions) -> Result<Self> {
        let seed = Seed::random();
        let mut stop_words = Terms::with_capacity(318);
        let mut stop = |word: &str| {
            stop_words.intern(&seed.key(word.as_bytes()), word.as_bytes());
        };
        match &options.stop_words {
            StopWords::None => {}
            StopWords::English => english_stop_words().for_each(&mut stop),
            StopWords::List(words) => words.iter().for_each(|w| stop(w)),
        }
        Ok(Analysis {
            analyzer: options.analyzer,
            ngram: options.ngram,
            lowercase: options.lowercase,
            strip_accents: options.strip_accents,
            pattern: Pattern::new(&options.token_pattern)?,
            stop_words,
            seed,
        })
    }

    #[inline]
    pub(super) fn key(&self, term: &[u8]) -> Key {
        self.seed.key(term)
    }

    /// Calls `sink` with each term of `title`, as often as it stands there, and its key.
    pub(super) fn each_term(
        &self,
        title: &str,
        scratch: &mut Scratch,
        sink: impl FnMut(&Key, &[u8]),
    ) {
        let Scratch {
            lowered,
            stripped,
            joined,
            spans,
            bounds,
        } = scratch;
        let text = self.preprocess(title, lowered, stripped);
        match self.analyzer {
            Analyzer::Word => self.words(text, joined, spans, sink),
            Analyzer::Char => self.chars(text, joined, bounds, sink),
            Analyzer::CharWb => self.chars_in_words(text, joined, bounds, sink),
        }
    }

    /// Lower case and accents.
    fn preprocess<'a>(
        &self,
        title: &'a str,
        lowered: &'a mut String,
        stripped: &'a mut String,
    ) -> &'a str {
        let ascii = title.is_ascii();
        let mut text = title;
        if self.lowercase {
            lowered.clear();
            if ascii {
                lowered.push_str(title);
                lowered.make_ascii_lowercase();
            } else {
                lower_into(title, lowered);
            }
            text = lowered;
        }
        if ascii || self.strip_accents == StripAccents::None {
            return text;
        }
        stripped.clear();
        match self.strip_accents {
            StripAccents::Ascii => strip_ascii_into(text, stripped),
            _ => strip_unicode_into(text, stripped),
        }
        stripped
    }

    /// Tokens that are no stop words, and runs of them joined by spaces.
    fn words(
        &self,
        text: &str,
        joined: &mut String,
        spans: &mut Vec<(u32, u32)>,
        mut sink: impl FnMut(&Key, &[u8]),
    ) {
        let (low, high) = self.ngram;
        let stopping = self.stop_words.len() > 0;
        joined.clear();
        spans.clear();
        self.pattern.each_token(text, |token| {
            let key = self.key(token.as_bytes());
            if stopping && self.stop_words.find(&key, token.as_bytes()).is_some() {
                return;
            }
            if low == 1 {
                sink(&key, token.as_bytes());
            }
            if high > 1 {
                let start = joined.len() as u32;
                joined.push_str(token);
                spans.push((start, joined.len() as u32));
                joined.push(' ');
            }
        });
        for n in low.max(2)..=high.min(spans.len()) {
            for run in spans.windows(n) {
                let term = &joined.as_bytes()[run[0].0 as usize..run[n - 1].1 as usize];
                sink(&self.key(term), term);
            }
        }
    }

    /// Runs of characters, with two or more white spaces as one space.
    fn chars(
        &self,
        text: &str,
        joined: &mut String,
        bounds: &mut Vec<u32>,
        mut sink: impl FnMut(&Key, &[u8]),
    ) {
        joined.clear();
        let mut rest = text.chars().peekable();
        while let Some(c) = rest.next() {
            let mut spaces = usize::from(is_space(c));
            while spaces > 0 && rest.next_if(|&c| is_space(c)).is_some() {
                spaces += 1;
            }
            joined.push(if spaces > 1 { ' ' } else { c });
        }
        boundaries(joined, bounds);
        let (low, high) = self.ngram;
        for n in low..=high.min(bounds.len() - 1) {
            self.grams(joined, bounds, n, &mut sink);
        }
    }

    /// Runs of characters within words that have a space put before and after them.
    fn chars_in_words(
        &self,
        text: &str,
        joined: &mut String,
        bounds: &mut Vec<u32>,
        mut sink: impl FnMut(&Key, &[u8]),
    ) {
        let (low, high) = self.ngram;
        for word in text.split(is_space).filter(|w| !w.is_empty()) {
            joined.clear();
            joined.push(' ');
            joined.push_str(word);
            joined.push(' ');
            boundaries(joined, bounds);
            let length = bounds.len() - 1;
            if length <= low {
                sink(&self.key(joined.as_bytes()), joined.as_bytes());
                continue;
            }
            for n in low..=high.min(length) {
                self.grams(joined, bounds, n, &mut sink);
            }
        }
    }

    /// The runs of `n` characters of `text`.
    fn grams(&self, text: &str, bounds: &[u32], n: usize, sink: &mut impl FnMut(&Key, &[u8])) {
        for (start, end) in bounds.iter().zip(&bounds[n..]) {
            let term = &text.as_bytes()[*start as usize..*end as usize];
            sink(&self.key(term), term);
        }
    }
}

/// Where each character of `text` starts, and where the last one ends.
fn boundaries(text: &str, bounds: &mut Vec<u32>) {
    bounds.clear();
    bounds.extend(text.char_indices().map(|(at, _)| at as u32));
    bounds.push(text.len() as u32);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn terms(options: TfidfOptions, title: &str) -> Vec<String> {
        let analysis = Analysis::new(&options).unwrap();
        let mut found = Vec::new();
        analysis.each_term(title, &mut Scratch::default(), |_, term| {
            found.push(String::from_utf8(term.to_vec()).unwrap());
        });
        found.sort();
        found
    }

    fn regex(pattern: &str) -> TfidfOptions {
        let token_pattern = TokenPattern::Regex(pattern.into());
        TfidfOptions {
            token_pattern,
            ..TfidfOptions::default()
        }
    }

    #[test]
    fn words_are_joined_after_stop_words_went() {
        let options = TfidfOptions {
            ngram: (1, 3),
            stop_words: StopWords::List(vec!["dan".into()]),
            ..TfidfOptions::default()
        };
        let found = terms(options, "Susu DAN Kopi, a 250ml");
        let expected = [
            "250ml",
            "kopi",
            "kopi 250ml",
            "susu",
            "susu kopi",
            "susu kopi 250ml",
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn characters_cross_words_and_white_space_shrinks() {
        let options = |ngram| TfidfOptions {
            analyzer: Analyzer::Char,
            ngram,
            ..TfidfOptions::default()
        };
        assert_eq!(terms(options((2, 3)), "A\t\u{3000}B"), [" b", "a ", "a b"]);
        // One white space stays what it is.
        assert_eq!(terms(options((3, 3)), "a\tb"), ["a\tb"]);
        assert!(terms(options((1, 2)), "").is_empty());
        assert!(terms(options((4, 5)), "abc").is_empty());
    }

    #[test]
    fn a_short_word_counts_once_at_its_borders() {
        let options = |ngram| TfidfOptions {
            analyzer: Analyzer::CharWb,
            ngram,
            ..TfidfOptions::default()
        };
        assert_eq!(
            terms(options((2, 4)), "ab c"),
            [" a", " ab", " ab ", " c", " c ", "ab", "ab ", "b ", "c "]
        );
        assert_eq!(
            terms(options((5, 7)), "ab abcd"),
            [" ab ", " abcd", " abcd ", "abcd "]
        );
        assert!(terms(options((1, 1)), " \n ").is_empty());
    }

    #[test]
    fn patterns_that_are_runs_keep_pythons_word() {
        assert_eq!(run_length(r"(?u)\b\w\w+\b"), Some(2));
        assert_eq!(run_length(r"\w+"), Some(1));
        assert_eq!(run_length(r"\b\w\w\w+"), Some(3));
        for other in [
            r"\w*", r"\w\w", "+", "", r"\b+\b", r"\W+", r"[\w]+", r"\w++",
        ] {
            assert_eq!(run_length(other), None, "{other}");
        }
        // Devanagari's vowel signs are marks: letters to the crate regex, not to Python.
        assert_eq!(terms(regex(r"(?u)\b\w+\b"), "हिन्दी"), ["द", "न", "ह"]);
        assert_eq!(terms(regex(r"\w{1,}"), "हिन्दी"), ["हिन्दी"]);
    }

    #[test]
    fn one_group_is_the_token_and_empty_matches_give_none() {
        assert_eq!(
            terms(regex("([a-z]+)-[0-9]+"), "ab-12 cd-x ef-3"),
            ["ab", "ef"]
        );
        assert_eq!(terms(regex("[0-9]*"), "a1b22"), ["1", "22"]);
        assert_eq!(terms(regex("(a)|b"), "abab"), ["a", "a"]);
        assert_eq!(terms(regex("(?:a)(b)"), "ab"), ["b"]);
    }
}
