//! golden: phash
