//! golden: store
