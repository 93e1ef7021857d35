//! A pipeline, from listings to matches: which evidence is gathered and how it is fused.
//!
//! So far there is one, [`text_phash`]: equal perceptual hashes united with the TF-IDF sweep of
//! Tan's Table 1. It needs no weights, so it is what `engine match` does unless told otherwise.

mod stages;
mod sweep;
mod text_phash;

pub use stages::{Quiet, Stage, Watch};
pub use text_phash::{Job, Outcome, text_phash, tfidf_options};
