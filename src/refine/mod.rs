//! Better embeddings from their own neighbourhoods: embeddings and neighbour lists in, embeddings out.
//!
//! ```text
//!  rows of a space --search--> lists --expand / blend--> rows --search--> lists ...
//!  rows of several spaces ----------------concat-------> rows
//! ```
//!
//! Rows are dense or sparse ([`Rows`](crate::tensor::Rows)) and count as unit rows; the rows that come back
//! are unit rows. A listing without evidence is a row of zeros: it stays one, and changes no other. Every
//! sum runs in `f64` in one fixed order, so the same input gives the same bytes whatever the number of
//! threads, and on a card (`*_on`) too.

mod blend;
mod concat;
mod expand;
mod mix;
mod on;
mod options;
mod power;
mod unit;

pub use blend::{blend, blend_against, blend_stages, neighbourhoods};
pub use concat::concat;
pub use expand::{expand, expand_against};
pub use on::{blend_on, blend_stages_kept, concat_on, expand_on};
pub use options::{Blend, Expand};
