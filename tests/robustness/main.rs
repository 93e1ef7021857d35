//! Tests of the subject: robustness.
mod csv;
mod images;
mod jpeg;
mod memory;
mod store;
mod weights;
