//! What TF-IDF may be asked for, and whether it makes sense.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::limits::{MAX_FEATURES, MAX_NGRAM};

/// What a feature is made of: scikit-learn's `analyzer`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Analyzer {
    /// `'word'`: tokens, and tokens joined by one space.
    Word,
    /// `'char'`: characters, across words; runs of two or more white spaces count as one space.
    Char,
    /// `'char_wb'`: characters within one word that has a space put before and after it. A word
    /// (with its spaces) that is no longer than n gives itself once, and no longer n-gram.
    CharWb,
}

/// What a row is divided by: scikit-learn's `norm`. A row of zeros stays one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Norm {
    /// `'l2'`: the root of its sum of squares, so that a dot product is a cosine.
    L2,
    /// `'l1'`: its sum.
    L1,
    /// `None`: nothing.
    None,
}

/// Which tokens never count: scikit-learn's `stop_words`. Words only; characters ignore it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StopWords {
    /// `None`: none.
    None,
    /// `'english'`: the 318 words of scikit-learn's `ENGLISH_STOP_WORDS`.
    English,
    /// A list. Words are compared with tokens as those are after `lowercase` and `strip_accents`,
    /// so a list for lower case titles must be in lower case.
    List(Vec<String>),
}

/// A bound on the number of titles that hold a term: `min_df` and `max_df`, where Python's `int`
/// and `float` mean two things.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Df {
    /// An `int`, at least 1: so many titles.
    Count(u64),
    /// A `float` within 0 and 1: this share of the titles.
    Fraction(f64),
}

impl Df {
    /// The number of titles that this stands for among `titles`.
    pub(super) fn titles(self, titles: u64) -> f64 {
        match self {
            Df::Count(n) => n as f64,
            Df::Fraction(f) => f * titles as f64,
        }
    }
}

/// What becomes of accents: scikit-learn's `strip_accents`, after `lowercase`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StripAccents {
    /// `None`: they stay.
    None,
    /// `'ascii'`: form NFKD, and whatever is then not ASCII is dropped.
    Ascii,
    /// `'unicode'`: form NFKD less the combining characters.
    Unicode,
}

/// What a token is: scikit-learn's `token_pattern`. Words only; characters ignore it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TokenPattern {
    /// `r"(?u)\b\w\w+\b"`: runs of two or more word characters, in Python's meaning.
    Default,
    /// Another pattern. Those that are runs of `n` or more word characters (`\w+`, `\b\w+\b`,
    /// `(?u)\b\w\w\w+\b` and so on) keep Python's `\w`. All others are taken by the crate `regex`:
    /// there `\w`, `\d`, `\s` and `\b` have the meaning of Unicode's UTS 18 (so `\w` takes marks
    /// that Python's does not), there is no look-around and no back reference, and a match that is
    /// empty gives no token. With one group, the group is the token; two or more are an error.
    Regex(String),
}

/// The options of [`Tfidf`](super::Tfidf), by scikit-learn's names; [`Default`] has its defaults.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TfidfOptions {
    /// `analyzer`: words or characters.
    pub analyzer: Analyzer,
    /// `ngram_range`: the shortest and the longest n-gram, both included, within 1 and
    /// [`MAX_NGRAM`].
    pub ngram: (usize, usize),
    /// `stop_words`: the tokens that never count.
    pub stop_words: StopWords,
    /// `max_features`: only so many terms, those with the highest count over all titles (with
    /// `binary`, in the most titles). Of terms that tie at the cut, those that sort first stay;
    /// scikit-learn leaves that choice to NumPy's sort.
    pub max_features: Option<usize>,
    /// `min_df`: only terms in at least so many titles.
    pub min_df: Df,
    /// `max_df`: only terms in at most so many titles.
    pub max_df: Df,
    /// `binary`: a term counts once a title, however often it stands there.
    pub binary: bool,
    /// `sublinear_tf`: a term that stands `tf` times counts `1 + ln(tf)`.
    pub sublinear_tf: bool,
    /// `smooth_idf`: as if one more title held every term once.
    pub smooth_idf: bool,
    /// `use_idf`: counts are multiplied by the inverse document frequency.
    pub use_idf: bool,
    /// `norm`: what a row is divided by.
    pub norm: Norm,
    /// `lowercase`: `str.lower` first.
    pub lowercase: bool,
    /// `strip_accents`: what becomes of accents.
    pub strip_accents: StripAccents,
    /// `token_pattern`: what a token is.
    pub token_pattern: TokenPattern,
}

impl Default for TfidfOptions {
    fn default() -> Self {
        TfidfOptions {
            analyzer: Analyzer::Word,
            ngram: (1, 1),
            stop_words: StopWords::None,
            max_features: None,
            min_df: Df::Count(1),
            max_df: Df::Fraction(1.0),
            binary: false,
            sublinear_tf: false,
            smooth_idf: true,
            use_idf: true,
            norm: Norm::L2,
            lowercase: true,
            strip_accents: StripAccents::None,
            token_pattern: TokenPattern::Default,
        }
    }
}

impl TfidfOptions {
    /// Whether the options make sense, before any title is seen.
    ///
    /// # Errors
    /// [`Kind::Input`](crate::error::Kind::Input) (or [`Kind::Limit`](crate::error::Kind::Limit))
    /// naming the option: an n-gram range that is empty, starts at 0 or goes beyond [`MAX_NGRAM`]; no
    /// features, or more than [`MAX_FEATURES`]; a count of 0 titles; a share outside 0 and 1; a token
    /// pattern that is no pattern or has two groups.
    pub fn validate(&self) -> Result<()> {
        let (low, high) = self.ngram;
        if low == 0 || low > high {
            return Err(
                refused("ngram", format!("{low},{high} is not a range of lengths"))
                    .mend("give the shortest and the longest, 1,2 for instance"),
            );
        }
        if high > MAX_NGRAM {
            let error = Error::limit(format!("an n-gram of {high} is too long"));
            return Err(error
                .op("tfidf ngram")
                .mend(format!("{MAX_NGRAM} is the longest")));
        }
        match self.max_features {
            Some(0) => {
                let error = refused("max_features", "no features at all".into());
                return Err(error.mend("give 1 or more, or leave it out"));
            }
            Some(n) if n > MAX_FEATURES => {
                let error = Error::limit(format!("{n} features are too many"));
                let error = error.op("tfidf max_features");
                return Err(error.mend(format!("give {MAX_FEATURES} at most, or leave it out")));
            }
            _ => {}
        }
        check_df("min_df", self.min_df)?;
        check_df("max_df", self.max_df)?;
        super::analyze::Pattern::new(&self.token_pattern).map(drop)
    }
}

/// An option that does not hold what it should.
pub(super) fn refused(option: &'static str, message: String) -> Error {
    Error::input(format!("{option}: {message}")).op("tfidf")
}

fn check_df(option: &'static str, df: Df) -> Result<()> {
    let mend = "give a whole number from 1 (titles), or a share from 0.0 to 1.0";
    match df {
        Df::Count(0) => Err(refused(option, "0 titles mean nothing".into()).mend(mend)),
        Df::Fraction(f) if !(0.0..=1.0).contains(&f) => {
            Err(refused(option, format!("{f} is not a share of the titles")).mend(mend))
        }
        _ => Ok(()),
    }
}

/// Reads one of `names`.
fn one_of<T: Copy>(option: &'static str, text: &str, names: &[(&str, T)]) -> Result<T> {
    let found = names.iter().find(|(name, _)| *name == text);
    found.map(|&(_, value)| value).ok_or_else(|| {
        let list: Vec<&str> = names.iter().map(|&(name, _)| name).collect();
        refused(option, format!("there is no '{text}'"))
            .mend(format!("choose one of {}", list.join(", ")))
    })
}

impl FromStr for Analyzer {
    type Err = Error;

    /// Reads `word`, `char` or `char_wb`.
    fn from_str(text: &str) -> Result<Self> {
        let names = [
            ("word", Analyzer::Word),
            ("char", Analyzer::Char),
            ("char_wb", Analyzer::CharWb),
        ];
        one_of("analyzer", text, &names)
    }
}

impl FromStr for Norm {
    type Err = Error;

    /// Reads `l2`, `l1` or `none`.
    fn from_str(text: &str) -> Result<Self> {
        one_of(
            "norm",
            text,
            &[("l2", Norm::L2), ("l1", Norm::L1), ("none", Norm::None)],
        )
    }
}

impl FromStr for StripAccents {
    type Err = Error;

    /// Reads `none`, `ascii` or `unicode`.
    fn from_str(text: &str) -> Result<Self> {
        let names = [
            ("none", StripAccents::None),
            ("ascii", StripAccents::Ascii),
            ("unicode", StripAccents::Unicode),
        ];
        one_of("strip_accents", text, &names)
    }
}

impl FromStr for Df {
    type Err = Error;

    /// Reads a whole number as a count and any other number (`1.0`, `5e-3`) as a share, as Python
    /// tells `int` from `float`; both must be within their bounds.
    fn from_str(text: &str) -> Result<Self> {
        let df = match text.parse::<u64>() {
            Ok(count) => Df::Count(count),
            Err(_) => Df::Fraction(text.parse().map_err(|_| {
                refused("document frequency", format!("'{text}' is not a number"))
                    .mend("give a whole number of titles, or a share from 0.0 to 1.0")
            })?),
        };
        check_df("document frequency", df).map(|()| df)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn broken(change: impl FnOnce(&mut TfidfOptions)) -> String {
        let mut options = TfidfOptions::default();
        change(&mut options);
        options.validate().unwrap_err().to_string()
    }

    #[test]
    fn every_bound_is_named() {
        TfidfOptions::default().validate().unwrap();
        for (error, name) in [
            (broken(|o| o.ngram = (0, 1)), "ngram"),
            (broken(|o| o.ngram = (3, 2)), "ngram"),
            (broken(|o| o.ngram = (1, MAX_NGRAM + 1)), "ngram"),
            (broken(|o| o.max_features = Some(0)), "max_features"),
            (
                broken(|o| o.max_features = Some(MAX_FEATURES + 1)),
                "max_features",
            ),
            (broken(|o| o.min_df = Df::Count(0)), "min_df"),
            (broken(|o| o.max_df = Df::Fraction(1.5)), "max_df"),
            (broken(|o| o.max_df = Df::Fraction(f64::NAN)), "max_df"),
            (broken(|o| o.min_df = Df::Fraction(-0.1)), "min_df"),
            (
                broken(|o| o.token_pattern = TokenPattern::Regex("(a".into())),
                "token_pattern",
            ),
            (
                broken(|o| o.token_pattern = TokenPattern::Regex("(a)(b)".into())),
                "group",
            ),
        ] {
            assert!(error.contains(name), "{error}");
            assert!(error.contains(';'), "no mend: {error}");
        }
    }

    #[test]
    fn names_and_numbers_are_read_as_scikit_learn_reads_them() {
        assert_eq!("char_wb".parse::<Analyzer>().unwrap(), Analyzer::CharWb);
        assert_eq!("none".parse::<Norm>().unwrap(), Norm::None);
        assert_eq!(
            "unicode".parse::<StripAccents>().unwrap(),
            StripAccents::Unicode
        );
        assert_eq!("1".parse::<Df>().unwrap(), Df::Count(1));
        assert_eq!("1.0".parse::<Df>().unwrap(), Df::Fraction(1.0));
        assert_eq!("5e-1".parse::<Df>().unwrap(), Df::Fraction(0.5));
        for bad in ["0", "-1", "1.5", "nan", "inf", "", "two"] {
            assert!(bad.parse::<Df>().is_err(), "{bad}");
        }
        let error = "words".parse::<Analyzer>().unwrap_err().to_string();
        assert!(error.contains("word, char, char_wb"), "{error}");
    }

    #[test]
    fn options_pass_through_json() {
        let options = TfidfOptions {
            stop_words: StopWords::List(vec!["dan".into()]),
            min_df: Df::Count(2),
            ..TfidfOptions::default()
        };
        let text = serde_json::to_string(&options).unwrap();
        assert_eq!(
            serde_json::from_str::<TfidfOptions>(&text).unwrap(),
            options
        );
        assert!(serde_json::from_str::<TfidfOptions>(r#"{"analyser": "word"}"#).is_err());
    }
}
