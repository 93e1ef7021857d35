//! Arithmetic on a card, whichever driver it has.

pub mod driver;
pub mod driver_simt;
