//! What query expansion and blending may be asked for.

/// Query expansion: each row becomes the normalised, weighted mean of the rows nearest to it, itself
/// among them (`alpha QE`; with `alpha` 0 it is average query expansion, AQE).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Expand {
    /// How many rows are averaged, the row itself included; Tan takes 2.
    pub k: usize,
    /// The power of a neighbour's similarity that is its weight; Tan takes 3.
    pub alpha: f64,
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
