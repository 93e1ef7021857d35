//! Where arithmetic runs: operations as data, graphs of them, and devices to run them on.

mod api;
pub mod cpu;
mod desc;
pub mod gpu;
mod grad;
mod graph;
mod lower;
pub mod naive;
mod op;
mod plan;

pub use api::{Device, DeviceInfo, Fired, Support, SweepSteps, alloc};
pub use cpu::CpuDevice;
pub use desc::{Buf, DType, Desc, Home, Mem};
pub use gpu::GpuDevice;
pub use gpu::driver::{Event, Stream};
pub use graph::{Graph, Node, Origin, Value};
pub use lower::{Lower, Precision};
pub use naive::NaiveDevice;
pub use op::{Act, Cost, Epilogue, Op};
pub use plan::{Plan, Weights, bytes_of, values_of};
