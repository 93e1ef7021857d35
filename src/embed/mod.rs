//! Embeddings: the streaming pipeline that makes them, and how they stand on disk.
//!
//! ```text
//!   Items  --load, in parallel-->  batches of prepared items  --Encode-->  vectors  --sink-->  NpyRows
//!          (at most MAX_LIVE_BATCHES of them, in order)               (a thread of its own)
//! ```

mod flow;
mod pipeline;
pub mod store;
mod unit;

pub use flow::{Failure, Flow};
pub use pipeline::{Encode, Items, batch_for, stream};
pub use unit::normalize;
