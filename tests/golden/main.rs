//! Tests of the subject: golden.

mod folds;
mod jpeg;
mod phash;
mod prepare;
mod recipes;
mod store;
mod tfidf;
mod tokenize;
