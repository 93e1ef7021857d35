//! Every operation of the catalogue on every device at hand, from one harness.

mod bounds;
mod card;
mod catalogue;
mod harness;
mod images;
mod miniature;
mod modes;
mod neighbours;
mod neighbours_fused;
mod neighbours_hamming;
mod neighbours_large;
mod neighbours_sparse;
mod sweep;
mod text;
mod text_plans;
