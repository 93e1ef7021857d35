//! Tests of the subject: golden.
mod jpeg;
mod phash;
mod store;
mod tfidf;
