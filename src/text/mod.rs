//! Titles: clean, tokenise, TF-IDF, word2vec.

pub mod clean;
pub mod python;
pub mod tfidf;
pub mod tokenize;
pub mod units;
pub mod word2vec;

/// The 318 English stop words of scikit-learn's `ENGLISH_STOP_WORDS`, sorted.
pub fn english_stop_words() -> impl Iterator<Item = &'static str> {
    include_str!("stop_words_english.txt").lines()
}
