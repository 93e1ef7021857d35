//! Encoders as graphs: the backbones with the keys that timm publishes their weights under, the head
//! of an embedding learner, the files that published weights come in, and seeded weights for tests
//! and benches.
//!
//! ```
//! use doppel::nn::{self, Build};
//!
//! # fn main() -> doppel::Result<()> {
//! let arch = nn::arch("resnet18")?;
//! let graph = nn::graph(arch, &Build::new(2, 96))?;
//! assert_eq!(graph.desc(graph.outputs()[0]).dims, [2, arch.width]);
//! assert!(nn::params(&graph).contains(&("conv1.weight".into(), vec![64, 3, 7, 7])));
//! # Ok(())
//! # }
//! ```

mod again;
mod ahead;
mod build;
mod catalogue;
mod densenet;
mod efficientnet;
mod encoder;
pub mod formula;
mod head;
mod layers;
mod nfnet;
mod resnet;
pub mod text;
pub mod weights;

pub use crate::device::Picture;
pub use again::Reopen;
pub use ahead::{ImageLane, ImageLanes, LoadPicture, Normal};
pub use build::{Build, graph, known_extra, params};
pub(crate) use catalogue::distance;
pub use catalogue::{Arch, arch, architectures};
pub use encoder::{ImageEncoder, ImageOptions};
pub use head::{GlobalPool, Head};
