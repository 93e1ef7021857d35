//! Encoders: the graphs of published architectures and the weights that they are filled with.
//!
//! An architecture is a [`crate::device::Graph`] whose parameters carry the names that the published
//! files use; [`weights`] finds, checks and reads those files.

pub mod weights;
