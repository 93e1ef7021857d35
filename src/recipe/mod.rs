//! A pipeline, from listings to matches: which evidence is gathered and how it is fused.
//!
//! [`text_phash`] is what `engine match` does unless told otherwise, since it needs no weights: equal
//! perceptual hashes united with the TF-IDF sweep of Tan's Table 1. [`image_text_phash`] adds an image
//! encoder to the sweep. [`embed_images`] makes an encoder's vectors of listings.

mod embed;
mod encoder;
mod stages;
mod sweep;
mod text_phash;

pub use embed::{Embedded, ImageWork, embed_images};
pub use encoder::{EncoderSpec, Framing, OpenEncoder};
pub use stages::{Quiet, Stage, Watch};
pub use text_phash::{Job, Outcome, image_text_phash, text_phash, tfidf_options};
