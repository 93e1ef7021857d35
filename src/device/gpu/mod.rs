//! Cards: one engine over a driver's trait.

pub mod driver;
