//! Tests of the subject: robustness.
mod csv;
mod images;
mod jpeg;
mod memory;
mod prepare;
mod recipes;
mod store;
mod text_folder;
mod tokenize;
mod weights;
