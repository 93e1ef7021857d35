//! Exact top-k: dense, sparse, Hamming, combined.
//!
//! Every search gives [`Lists`](crate::lists::Lists): higher score first, then lower row, the same
//! whatever the number of threads, and equal to brute force over all pairs in f64.

mod classifier;
mod combined;
mod dense;
mod dense_join;
mod dense_keep;
mod dense_rows;
mod euclidean;
mod hamming;
mod on;
mod options;
mod output;
mod sparse;

pub use classifier::{PairClassifier, PairCost, classified, classified_on};
pub use combined::{Fuse, Space, combined, combined_against, fused, fused_against};
pub use dense::{cosine, dense, dense_against};
#[doc(hidden)]
pub use dense_join::Tuning;
pub use euclidean::euclidean;
pub use hamming::{equal_hashes, hamming, hamming_against};
pub use on::{dense_on, fused_on, hamming_on, sparse_on};
#[doc(hidden)]
pub use on::{fused_cut_on, sparse_cut_on};
pub use options::TopK;
pub use output::write_neighbours;
pub use sparse::{sparse, sparse_against};
#[doc(hidden)]
pub use {dense::dense_tuned, hamming::hamming_tuned};
