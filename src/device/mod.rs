//! Where arithmetic runs.

pub mod cpu;
mod select;

pub use select::{CpuInfo, cpu_info, no_gpu_reason, select};
