//! Every operation of the catalogue on every device at hand, from one harness.

mod card;
mod catalogue;
mod harness;
mod miniature;
mod modes;
mod neighbours;
mod sweep;
