//! Every operation of the catalogue on every device at hand, from one harness.

mod bounds;
mod card;
mod catalogue;
mod gemm_sm90;
mod harness;
mod images;
mod miniature;
mod modes;
mod neighbours;
mod sweep;
mod text;
mod text_plans;
