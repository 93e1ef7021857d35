//! Exact top-k: dense, sparse, Hamming, combined.

mod combined;
mod options;
mod sparse;

pub use combined::{Space, combined, combined_against};
pub use options::TopK;
pub use sparse::{sparse, sparse_against};
