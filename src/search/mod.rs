//! Exact top-k: dense, sparse, Hamming, combined.

mod options;
mod sparse;

pub use options::TopK;
pub use sparse::{sparse, sparse_against};
