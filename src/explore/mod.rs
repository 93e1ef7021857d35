//! Listings alone, looked at.
pub mod tsne;
