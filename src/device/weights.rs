//! Where a plan finds published weights: by key, one piece at a time, so that no second copy of a
//! model stands in memory while it is packed.

use std::collections::HashMap;

use crate::error::{Error, Result};

/// Weights by published key: shape and values, row-major.
pub type Weights = HashMap<String, (Vec<usize>, Vec<f32>)>;

/// Published weights, read piece by piece while they are packed.
pub trait Source: Sync {
    /// The shape of the weight `key`, or `None` when there is no such weight.
    fn dims(&self, key: &str) -> Option<&[usize]>;

    /// Copies the elements from `from` on of weight `key` (row-major) into `out`, widened to f32.
    ///
    /// # Errors
    /// There is no such weight, or not so many elements; a value that is not finite; whatever the
    /// source fails with. The weight is named.
    fn read(&self, key: &str, from: usize, out: &mut [f32]) -> Result<()>;

    /// Called once everything has been read: whether what was read is still what was checked.
    ///
    /// # Errors
    /// A file that changed meanwhile, named.
    fn finish(&self) -> Result<()> {
        Ok(())
    }
}

impl Source for Weights {
    fn dims(&self, key: &str) -> Option<&[usize]> {
        self.get(key).map(|(dims, _)| &dims[..])
    }

    fn read(&self, key: &str, from: usize, out: &mut [f32]) -> Result<()> {
        let (dims, values) = self.get(key).ok_or_else(|| missing(key))?;
        let wrong = || Error::shape("weights", dims, &[values.len()]).column(key);
        if dims.iter().product::<usize>() != values.len() {
            return Err(wrong());
        }
        let end = from.checked_add(out.len()).ok_or_else(wrong)?;
        out.copy_from_slice(values.get(from..end).ok_or_else(wrong)?);
        Ok(())
    }
}

/// The error for a weight that is not there.
pub fn missing(key: &str) -> Error {
    Error::input("this weight is missing").column(key)
}
