//! Every operation of the catalogue on every device at hand, from one harness.

mod bounds;
mod card;
mod catalogue;
mod conv_sm90;
mod encoders;
mod engine;
mod engine_lanes;
mod fusion;
mod fusion_counts;
mod fusion_rules;
mod gemm_sm90;
mod harness;
mod images;
mod margin;
mod miniature;
mod modes;
mod neighbours;
mod neighbours_fused;
mod neighbours_hamming;
mod neighbours_large;
mod neighbours_sparse;
mod preprocess;
mod sweep;
mod text;
mod text_cards;
mod text_plans;
