//! Tests of the subject: golden.
mod folds;
mod phash;
mod store;
mod tfidf;
