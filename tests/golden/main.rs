//! Tests of the subject: golden.

mod folds;
mod jpeg;
mod pair;
mod phash;
mod prepare;
mod recipes;
mod store;
mod tfidf;
mod tokenize;
