//! What fusion keeps in a device's memory: neighbour lists, rows, and rules as programs.
//!
//! ```text
//!   rows --[near]--> lists --[mix]--> rows --[near]--> lists --[fire]--> matches
//! ```
//!
//! Nothing of this goes to the host between the steps but a few words that say whether rows and lists were
//! sound, and, for sparse rows, how many values the next ones may have.

use std::sync::Arc;

use super::api::Fired;
use super::desc::{Buf, Mem};
use super::gpu::driver::Stream;
use crate::error::Result;
use crate::lists::Lists;
use crate::tensor::Rows;

/// Neighbour lists in a device's memory.
#[derive(Clone)]
pub struct CardLists {
    /// u32, and f64 beside them.
    pub(super) rows: Arc<dyn Mem>,
    pub(super) scores: Arc<dyn Mem>,
    /// u64: where each row's list starts; row `i` at `i * width` where there are none.
    pub(super) starts: Option<Arc<dyn Mem>>,
    /// u32: how many neighbours each row has.
    pub(super) counts: Arc<dyn Mem>,
    pub(super) len: usize,
    pub(super) width: usize,
}

impl CardLists {
    /// How many rows have a list.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// No list is longer.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Bytes of the device's memory.
    pub fn bytes(&self) -> u64 {
        let starts = self.starts.as_ref().map_or(0, |starts| starts.bytes());
        let parts = [&self.rows, &self.scores, &self.counts].map(|part| part.bytes());
        (parts.iter().sum::<usize>() + starts) as u64
    }
}

/// Sparse rows in a device's memory. Unlike those of a [`Csr`](crate::tensor::Csr), one row's values need
/// not stand behind those of the row before.
#[derive(Clone)]
pub struct CardSparse {
    /// u64 and u32: where each row's values start, and how many there are.
    pub(super) starts: Arc<dyn Mem>,
    pub(super) counts: Arc<dyn Mem>,
    /// u32, ascending in each row, and f64 beside them.
    pub(super) columns: Arc<dyn Mem>,
    pub(super) values: Arc<dyn Mem>,
    pub(super) rows: usize,
    pub(super) dims: usize,
    /// No more values are stored than these.
    pub(super) stored: usize,
}

/// Rows of either kind in a device's memory.
#[derive(Clone)]
pub enum CardRows {
    /// f32 `[rows, dims]`.
    Dense(Buf),
    /// f64 values.
    Sparse(CardSparse),
}

impl CardRows {
    /// Rows and columns.
    pub fn shape(&self) -> [usize; 2] {
        match self {
            CardRows::Dense(x) => [0, 1].map(|d| x.desc.dims.get(d).copied().unwrap_or(1)),
            CardRows::Sparse(x) => [x.rows, x.dims],
        }
    }

    /// Bytes of the device's memory.
    pub fn bytes(&self) -> u64 {
        match self {
            CardRows::Dense(x) => x.desc.bytes() as u64,
            CardRows::Sparse(x) => {
                let parts = [&x.starts, &x.counts, &x.columns, &x.values];
                parts.map(|part| part.bytes()).iter().sum::<usize>() as u64
            }
        }
    }
}

/// Which neighbours are added to a row, and by what weights; see [`refine`](crate::refine).
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Mixing {
    /// The best `most` others, by their scores to the power `alpha`.
    Expand {
        /// How many others at most.
        most: usize,
        /// The power.
        alpha: f64,
    },
    /// The others nearer than `distance`, or the nearest alone where it is nearer than `min2`, by their
    /// scores.
    Blend {
        /// The distance that neighbours stay below.
        distance: f64,
        /// The looser one for a row left alone.
        min2: Option<f64>,
    },
}

impl Mixing {
    /// What an error calls it.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Mixing::Expand { .. } => "expand",
            Mixing::Blend { .. } => "blend",
        }
    }
}

/// One operation of a rule that was compiled to postfix form. A row's evaluation keeps what has fired so
/// far, and a stack of marks: how much had fired when each was set.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum RuleOp {
    /// Sets a mark.
    Mark,
    /// Fires for the neighbours of `source` with `d < distance`.
    Threshold {
        /// The place among the sources.
        source: usize,
        /// The distance.
        distance: f64,
    },
    /// Fires for all neighbours of `source`.
    Equal {
        /// The place among the sources.
        source: usize,
    },
    /// Takes a mark; what has fired since is what the sweep's fixed parts have. The next `parts`
    /// operations, [`RuleOp::Swept`], loosen together until one fires, or once where there is something
    /// already.
    Sweep {
        /// How many modalities follow.
        parts: usize,
    },
    /// A modality of a sweep: `min(low + t * step, high)` at step `t`.
    Swept {
        /// The place among the sources.
        source: usize,
        /// The threshold of step 0.
        low: f64,
        /// What no step goes beyond.
        high: f64,
        /// How far a step moves.
        step: f64,
        /// The first step whose threshold is `high`.
        last: u32,
    },
    /// Takes `parts` marks, one before each part, and keeps what fired for rows that every part fired for.
    Intersect {
        /// How many parts.
        parts: usize,
    },
    /// Takes a mark; where nothing has fired since, fires for the nearest neighbour of `source` if that has
    /// `d < distance`.
    Min2 {
        /// The place among the sources.
        source: usize,
        /// The distance.
        distance: f64,
    },
    /// Fires what relation number `relation` has for the row, where that goes both ways.
    Both {
        /// Which one.
        relation: usize,
    },
}

/// A rule as programs: those of the relations that must be known for all rows first, in the order in which
/// they need each other, and that of the answer.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RuleProgram {
    /// Run over all rows one after the other.
    pub relations: Vec<Vec<RuleOp>>,
    /// The answer.
    pub answer: Vec<RuleOp>,
}

/// What fired, row by row.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct FiredRows {
    pub(super) offsets: Vec<(usize, usize)>,
    pub(super) fired: Vec<Fired>,
}

impl FiredRows {
    /// How many rows.
    pub fn len(&self) -> usize {
        self.offsets.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.offsets.is_empty()
    }

    /// Row `i`'s firings. Panics when `i >= len()`, as indexing a slice does.
    pub fn row(&self, i: usize) -> &[Fired] {
        let (start, count) = self.offsets[i];
        &self.fired[start..start + count]
    }
}

/// Search results, refined rows and matches that stay in a device's memory.
///
/// # Errors
/// Of every method: what the device says; [`Kind::Internal`](crate::error::Kind::Internal) for what another
/// device made; [`Kind::Unsupported`](crate::error::Kind::Unsupported) beyond the bounds of its kernels.
pub trait Fusion: Send + Sync {
    /// Takes lists over.
    fn lists(&self, lists: &Lists, stream: Stream) -> Result<CardLists>;

    /// Gives lists back.
    fn lists_to_host(&self, lists: &CardLists, stream: Stream) -> Result<Lists>;

    /// Takes rows over.
    fn rows(&self, rows: &Rows, stream: Stream) -> Result<CardRows>;

    /// Gives rows back.
    fn rows_to_host(&self, rows: &CardRows, stream: Stream) -> Result<Rows>;

    /// As [`Device::topk_dense`](super::Device::topk_dense), of dense rows, with lists that stay: of 64
    /// neighbours at most.
    fn near(
        &self,
        queries: &CardRows,
        gallery: Option<&CardRows>,
        k: usize,
        min_score: Option<f64>,
        stream: Stream,
    ) -> Result<CardLists>;

    /// Each row of `own` and the rows of `others` that its list names, mixed and of unit length: as
    /// [`expand`](crate::refine::expand) and [`blend`](crate::refine::blend), to the bit. Without `others`
    /// the two sides are the same rows.
    fn mix(
        &self,
        own: &CardRows,
        others: Option<&CardRows>,
        lists: &CardLists,
        how: &Mixing,
        stream: Stream,
    ) -> Result<CardRows>;

    /// As [`concat`](crate::refine::concat), to the bit.
    fn concat(&self, parts: &[(&CardRows, f64)], stream: Stream) -> Result<CardRows>;

    /// What a rule fires: row by row the evidence for at most `cap - 1` neighbours, the highest score
    /// first and of equal ones the lowest row, and for each neighbour the strongest evidence first
    /// (see [`Matches::firings`](crate::matching::Matches::firings)). `unable` marks rows that match
    /// nothing and stand in no match. Lists are as searches make them.
    fn fire(
        &self,
        rule: &RuleProgram,
        sources: &[&CardLists],
        unable: Option<&[bool]>,
        cap: usize,
        stream: Stream,
    ) -> Result<FiredRows>;

    /// As [`Fusion::fire`], of queries that are answered from a gallery: each source has a list a query, of
    /// rows of the gallery, and no relation runs. `unable` marks queries and rows of the gallery; there is
    /// evidence for at most `cap` of these a query.
    fn fire_against(
        &self,
        rule: &RuleProgram,
        sources: &[&CardLists],
        unable: [&[bool]; 2],
        cap: usize,
        stream: Stream,
    ) -> Result<FiredRows>;
}
