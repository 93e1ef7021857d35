//! What query expansion and blending may be asked for.

use crate::error::{Error, Result};
use crate::limits::{MAX_K, MAX_POWER};

/// Query expansion: each row becomes the normalised, weighted mean of the rows nearest to it, itself
/// among them (`alpha QE`; with `alpha` 0 it is average query expansion, AQE).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Expand {
    /// How many rows are averaged, the row itself included; Tan takes 2.
    pub k: usize,
    /// The power of a neighbour's similarity that is its weight; Tan takes 3.
    pub alpha: f64,
}

impl Expand {
    /// Tan, section 4.2: the nearest other row, by the third power of its similarity.
    pub const TAN: Expand = Expand { k: 2, alpha: 3.0 };

    /// Checks both fields.
    ///
    /// # Errors
    /// [`Kind::Input`](crate::error::Kind::Input) when `k` is 0 or `alpha` is negative or not finite,
    /// [`Kind::Limit`](crate::error::Kind::Limit) when `k` is above [`MAX_K`] or `alpha` above
    /// [`MAX_POWER`].
    pub fn check(&self) -> Result<()> {
        let mend = format!("average 1 to {MAX_K} rows");
        if self.k == 0 {
            return Err(Error::input("k is 0").op("expand").mend(mend));
        }
        if self.k > MAX_K {
            let error = Error::limit(format!("k is {}", self.k));
            return Err(error.op("expand").mend(mend));
        }
        let what = format!("alpha is {}", self.alpha);
        let mend = format!("give a power from 0 (the plain mean) to {MAX_POWER}");
        if !self.alpha.is_finite() || self.alpha < 0.0 {
            return Err(Error::input(what).op("expand").mend(mend));
        }
        if self.alpha > MAX_POWER {
            return Err(Error::limit(what).op("expand").mend(mend));
        }
        Ok(())
    }
}

/// One stage of neighbourhood blending: each row becomes the normalised sum of its neighbours, weighted by
/// their similarities, itself among them with weight 1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Blend {
    /// Neighbours are nearer than this cosine distance.
    pub distance: f64,
    /// A row left alone takes its nearest neighbour when that is nearer than this, the looser threshold.
    pub min2: Option<f64>,
}

impl Blend {
    /// Checks both fields.
    ///
    /// # Errors
    /// [`Kind::Input`](crate::error::Kind::Input) for a distance outside `[0, 2]`, and for a `min2` that
    /// is below `distance`, as it could never take a neighbour.
    pub fn check(&self) -> Result<()> {
        let distances = [("distance", Some(self.distance)), ("min2", self.min2)];
        for (name, distance) in distances {
            if let Some(d) = distance.filter(|d| !(0.0..=2.0).contains(d)) {
                return Err(Error::input(format!("{name} is {d}"))
                    .op("blend")
                    .mend("give a cosine distance (1 - similarity) between 0 and 2"));
            }
        }
        match self.min2 {
            Some(min2) if min2 < self.distance => Err(Error::input(format!(
                "min2 is {min2}, below the distance {}",
                self.distance
            ))
            .op("blend")
            .mend("give a looser min2, or none")),
            _ => Ok(()),
        }
    }
}
