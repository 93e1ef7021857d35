//! Where arithmetic runs: operations as data, graphs of them, and devices to run them on.
//!
//! ```text
//!   Graph    an architecture, written once: operations (Op) over named inputs and weights
//!     |  backward(loss)   the tape: gradients as more operations
//!     v  lower
//!   Plan     folded and fused for inference, plain for training; one arena, a list of launches
//!     |  run(inputs, outputs, stream)
//!     v
//!   Device   naive (the oracle, f64) | cpu | a card, over a Driver: the CUDA driver or the simulated card
//! ```
//!
//! A card has more: several streams, page-locked memory, and work that is taken down once and put on a
//! stream as one ([`Streams`], by [`Device::streams`]); a [`Runner`] is a plan over buffers that stay.
//!
//! Nothing above this module knows which device it is on, and this module never sees a file or a
//! listing.

mod api;
pub mod cpu;
mod desc;
mod foreign;
mod fusion;
pub mod gpu;
mod grad;
mod graph;
mod locked;
mod lower;
pub mod naive;
mod op;
mod pictures;
mod plan;
mod runner;
mod select;
mod spaces;
mod streams;
mod weights;

pub use api::{Chosen, Device, DeviceInfo, Fired, Support, SweepSteps, alloc};
pub use cpu::CpuDevice;
pub use desc::{Buf, DType, Desc, Home, Mem};
pub use foreign::{foreign_memory, foreign_stream};
pub use fusion::{CardLists, CardRows, CardSparse, FiredRows, Fusion, Mixing, RuleOp, RuleProgram};
pub use gpu::GpuDevice;
pub use gpu::driver::{Event, Stream};
pub use gpu::{HostBuf, Tape};
pub use graph::{Graph, Node, Origin, Value};
pub use locked::{LockedPictures, Room};
pub use lower::{Lower, Precision};
pub use naive::NaiveDevice;
pub use op::{Act, Cost, Epilogue, Margin, MarginKind, Op, PoolKind, Scalar, Window};
pub use pictures::{Picture, Pictures, Taps};
pub use plan::{Plan, bytes_of, values_of};
pub use runner::Runner;
pub use select::{MemoryLimit, cpu_kernels, limit_memory, open, open_storing};
pub use spaces::{
    FusedFound, FusedRows, FusedSearch, FusedSpace, FusedSparse, NO_GROUP, SparseRows,
    SparseSearch, Strength, WeightLists,
};
pub use streams::Streams;
pub use weights::{Source, Weights, missing};
