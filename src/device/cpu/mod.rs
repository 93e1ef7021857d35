//! The CPU: a device for the operations of the catalogue, and the kernels behind search.
//!
//! The kernels see raw slices and shapes only: no file, no listing, no matrix. Every one has a
//! portable form, and forms for the vector units that a run finds itself on. All forms of one
//! kernel return the same bits, so an answer does not depend on the machine.

pub mod bits;
pub mod conv;
pub mod dot;
mod engine;
pub mod host;
mod kernel;
#[allow(dead_code, reason = "filled in as the kernels arrive")]
pub(crate) mod lanes;
#[allow(dead_code, reason = "filled in as the kernels arrive")]
pub(crate) mod math;
pub mod pack;
#[allow(dead_code, reason = "filled in as the kernels arrive")]
pub mod shape;
pub mod tile;
#[cfg(target_arch = "x86_64")]
mod tile_x86;

pub use engine::CpuDevice;
pub use kernel::Kernel;
