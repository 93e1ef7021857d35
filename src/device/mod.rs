//! Where arithmetic runs.

pub mod cpu;
