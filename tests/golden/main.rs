//! Tests of the subject: golden.

mod folds;
mod jpeg;
mod phash;
mod store;
mod tfidf;
