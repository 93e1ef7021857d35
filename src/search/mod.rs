//! Exact top-k: dense, sparse, Hamming, combined.
