//! Every operation of the catalogue on every device at hand, from one harness.

mod catalogue;
mod harness;
mod miniature;
mod neighbours;
mod sweep;
