//! Tests of the subject: encoders against timm.

mod common;
mod goldens;
mod noise;
mod shapes;
