//! Every operation of the catalogue on every device at hand, from one harness.

mod bounds;
mod card;
mod catalogue;
mod fusion;
mod fusion_counts;
mod fusion_rules;
mod harness;
mod images;
mod miniature;
mod modes;
mod neighbours;
mod sweep;
mod text;
mod text_plans;
