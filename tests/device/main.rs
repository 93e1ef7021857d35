//! Every operation of the catalogue on every device at hand, from one harness.

mod bounds;
mod card;
mod catalogue;
mod encoders;
mod engine;
mod engine_lanes;
mod harness;
mod images;
mod miniature;
mod modes;
mod neighbours;
mod preprocess;
mod sweep;
mod text;
mod text_cards;
mod text_plans;
