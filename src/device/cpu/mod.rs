//! The CPU: a device for the operations of the catalogue, and the kernels behind search.
//!
//! The kernels see raw slices and shapes only: no file, no listing, no matrix. Every one has a
//! portable form, and forms for the vector units that a run finds itself on. All forms of a kernel of
//! search return the same bits, so an answer does not depend on the machine; the forms of an
//! encoder's kernels ([`conv`], [`depthwise`], [`pointwise`], [`pool`], [`rows`], [`attention`]) agree up
//! to rounding, and each returns the same bits whatever the number of threads.

pub mod attention;
pub mod bits;
pub mod conv;
pub mod depthwise;
pub mod dot;
mod engine;
pub mod host;
mod images;
mod kernel;
pub(crate) mod lanes;
mod margin;
pub(crate) mod math;
pub mod pack;
pub mod pointwise;
pub mod pool;
pub mod rows;
pub mod shape;
mod text;
pub mod tile;
#[cfg(target_arch = "x86_64")]
mod tile_x86;
pub mod winograd;

pub use engine::CpuDevice;
pub use kernel::Kernel;
