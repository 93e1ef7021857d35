//! Cards: their driver's trait, the kernels that were built in, and whether there is a card at all.

pub mod driver;
#[cfg(feature = "cuda")]
mod driver_cuda;
pub mod images;
mod probe;

#[cfg(feature = "cuda")]
pub use driver_cuda::CudaDriver;
pub use probe::{
    FamilyInfo, NoGpu, OLDEST_CARD, OLDEST_DRIVER, SWITCH, cards, describe, families, probe,
    probe_with,
};
