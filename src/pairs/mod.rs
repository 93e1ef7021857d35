//! A model of pairs: do two listings sell the same thing, from features of the pair.
//!
//! [`Boosted`] is gradient boosting over histograms with the logistic loss: small, and the same trees whatever
//! the number of threads or the memory of the machine, which the libraries at hand do not promise.
//! [`PairModel`] is one, or two whose probabilities are averaged (the second sees the percentiles of the
//! features, which keep when a gallery grows), with the names of the features that they expect.

mod boost;
mod grow;
mod model;
mod table;

pub use boost::{BoostOptions, Boosted};
pub use model::{PairModel, calibrated};
pub use table::Table;

#[cfg(test)]
mod tests;
