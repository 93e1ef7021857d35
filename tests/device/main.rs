//! Every operation of the catalogue on every device at hand, from one harness.

mod bounds;
mod card;
mod catalogue;
mod encoders;
mod harness;
mod images;
mod images_half;
mod miniature;
mod modes;
mod neighbours;
mod sweep;
mod text;
mod text_plans;
