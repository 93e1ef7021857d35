//! Embeddings: the streaming pipelines that make them, and how they stand on disk.
//!
//! ```text
//!   Items  --load, in parallel-->  batches of prepared items  --Encode-->  vectors  --sink-->  NpyRows
//!          (at most MAX_LIVE_BATCHES of them, in order)               (a thread of its own)
//!
//!   on a card: a lane is filled from items, in parallel, while others are uploaded, encoded, downloaded
//!          (EncodeAhead; one thread submits and collects, in order); pictures go up as they were decoded,
//!          and the card prepares them, where it can
//!
//!   titles  --tokens, in parallel-->  a window, sorted by length  --EncodeTitles-->  vectors  --sink-->  NpyRows
//!           (at most MAX_WINDOW_TITLES of them)                    (piece by piece)
//! ```

mod ahead;
mod flow;
mod pipeline;
pub mod store;
mod titles;
mod unit;

pub use ahead::{EncodeAhead, Lane, Lanes, stream_ahead};
pub use flow::{Failure, Flow};
pub use pipeline::{Encode, Items, Sink, batch_for, stream, stream_into};
pub use titles::{
    EncodeTitles, TitleFlow, TitleLane, TitleLanes, TitlesAhead, Window, stream_titles,
    stream_titles_into,
};
pub use unit::normalize;
