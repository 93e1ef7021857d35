//! Tests of the subject: encoders against timm, transformers and sentence-transformers.

mod common;
mod goldens;
mod minilm;
mod noise;
mod shapes;
mod text;
mod text_noise;
mod tiny;
