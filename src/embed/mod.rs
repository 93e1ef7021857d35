//! Embeddings on disk.

pub mod store;
