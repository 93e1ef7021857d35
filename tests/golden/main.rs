//! Tests of the subject: golden.
mod phash;
mod store;
mod tfidf;
