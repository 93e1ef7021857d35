//! robustness: images
