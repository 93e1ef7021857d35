//! Cards: one engine over a driver's trait, the kernels that were built in, and whether there is a
//! card at all.
//!
//! A kernel, what launches it and what picks its tile are three places: `kernels/<family>/`, the
//! `launch_*` files here, and in each of those the function that is called `tile` or `chunks`. Only a
//! launcher knows grids and blocks.

pub mod driver;
#[cfg(feature = "cuda")]
mod driver_cuda;
pub mod driver_simt;
mod engine;
mod fused_spaces;
#[doc(hidden)]
pub mod heuristics_gemm;
mod host;
pub mod images;
mod launch;
mod launch_conv;
mod launch_conv_pack;
mod launch_conv_sm90;
mod launch_excite;
mod launch_expand;
mod launch_fused;
mod launch_fusion;
mod launch_fusion_dense;
mod launch_fusion_rule;
mod launch_fusion_sparse;
mod launch_gemm;
mod launch_hamming;
mod launch_image;
mod launch_margin;
mod launch_pointwise;
mod launch_preprocess;
mod launch_sparse;
mod launch_sweep;
mod launch_text;
mod launch_topk;
mod launch_topk_large;
mod memory;
mod probe;
mod search_plan;

#[cfg(feature = "cuda")]
pub use driver_cuda::CudaDriver;
pub use engine::GpuDevice;
pub use host::{HostBuf, Tape};
pub use launch_fused::{FusedSize, plan_fused};
pub use launch_fusion_rule::RuleTuning;
pub use launch_hamming::plan_hamming;
pub use launch_sparse::{SparseSize, SparseTuning, plan_sparse};
pub use launch_topk::TopKTuning;
pub use launch_topk_large::plan_dense;
pub use probe::{
    FamilyInfo, NoGpu, OLDEST_CARD, OLDEST_DRIVER, SWITCH, cards, describe, families, probe,
    probe_with,
};
pub use search_plan::SearchPlan;
