//! Tests of the subject: robustness.
mod csv;
mod images;
mod jpeg;
mod prepare;
mod store;
