//! Measures a device on the engine's own shapes: every operation that a plan of each encoder lists,
//! packed BERT, the searches and the losses.
//!
//! Data are random (a card that multiplies zeros draws less power and runs faster), caches are
//! overwritten before each round, and what is reported is the median round. Beside the time stand the
//! rates and the share of the card's floor: the time in which the operation's arithmetic or its
//! traffic, each value once, could be done at best ([`Floor`]).

mod cases;
mod check;
mod fill;
mod floor;
mod record;
mod search;
mod time;

pub use cases::{BERT_TOKENS, Case, Search, Sizes, Work, cases};
pub use check::{Checked, check};
pub use fill::{filled, spread};
pub use floor::Floor;
pub use record::{Measured, family};
pub use time::{Bench, median};
