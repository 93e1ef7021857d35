//! Embeddings on disk.
