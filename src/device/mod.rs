//! Where arithmetic runs.

pub mod gpu;
