//! The simulated card: what its primitives do, what it catches, and kernels on it.
//!
//! `cargo xtask simt test` runs these on the plain library and on those with sanitizers. Without a
//! library each test says that it is skipped.
mod card;
mod copies;
mod floats;
mod hopper;
mod hopper_planted;
mod launches;
mod matrices;
mod memory;
mod planted;
mod row_normalize;
mod tensors;
mod warps;
mod wgmma;
