//! Tests of the subject: robustness.
mod csv;
mod images;
mod jpeg;
mod memory;
mod prepare;
mod store;
mod tokenize;
mod weights;
