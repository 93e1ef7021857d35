//! Every operation of the catalogue on every device at hand, from one harness.

mod bounds;
mod card;
mod catalogue;
mod conv_sm90;
mod encoders;
mod engine;
mod fusion;
mod fusion_rules;
mod gemm_sm90;
mod harness;
mod images;
mod margin;
mod miniature;
mod modes;
mod neighbours;
mod preprocess;
mod sweep;
mod text;
mod text_cards;
mod text_plans;
