//! Better embeddings from their own neighbourhoods: embeddings and neighbour lists in, embeddings out.

mod options;

pub use options::{Blend, Expand};
