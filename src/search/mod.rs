//! Exact top-k: dense, sparse, Hamming, combined.

mod dense;
mod dense_join;
mod dense_keep;
mod dense_rows;
mod hamming;

pub use dense::{cosine, dense, dense_against};
#[doc(hidden)]
pub use dense_join::Tuning;
pub use hamming::{equal_hashes, hamming, hamming_against};
#[doc(hidden)]
pub use {dense::dense_tuned, hamming::hamming_tuned};

mod options;
mod output;
mod sparse;

pub use options::TopK;
pub use output::write_neighbours;
mod combined;
mod options;
mod sparse;

pub use combined::{Space, combined, combined_against};
pub use options::TopK;
pub use sparse::{sparse, sparse_against};
