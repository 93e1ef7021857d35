//! The CPU.

mod engine;
pub mod host;

pub use engine::CpuDevice;
