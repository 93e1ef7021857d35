//! robustness: store
