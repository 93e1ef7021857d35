//! What a search on a card takes, worked out before anything is launched.

use std::sync::Arc;

use super::driver::Stream;
use super::memory::{Card, CardMem};
use crate::error::{Error, Result};
use crate::lists::Lists;

/// The slabs of a search and its memory on the card: what `plan_dense` and its like give, and what the
/// searches allocate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SearchPlan {
    /// How many queries there are.
    pub rows: usize,
    /// Queries that are searched at a time.
    pub slab: usize,
    /// Parts of the gallery that run side by side.
    pub chunks: usize,
    /// Launches that all slabs share, and those of each slab.
    pub launches: [usize; 2],
    /// Name and bytes of each buffer.
    pub buffers: Vec<(&'static str, usize)>,
}

/// What the caller has put on the card before.
const GIVEN: &str = "embeddings";

impl SearchPlan {
    /// How many slabs there are.
    pub fn slabs(&self) -> usize {
        self.rows.div_ceil(self.slab.max(1))
    }

    /// Bytes on the card, all buffers together.
    pub fn bytes(&self) -> usize {
        self.buffers.iter().map(|buffer| buffer.1).sum()
    }

    /// Bytes that the search allocates.
    pub fn needs(&self) -> usize {
        let own = self.buffers.iter().filter(|buffer| buffer.0 != GIVEN);
        own.map(|buffer| buffer.1).sum()
    }

    /// Whether each pair of rows is computed once, for both.
    pub fn joins(&self) -> bool {
        self.buffers.iter().any(|buffer| buffer.0 == "put")
    }

    /// Launches of the whole search.
    pub fn all_launches(&self) -> usize {
        self.launches[0] + self.launches[1] * self.slabs()
    }

    /// The slabs, as first query and count.
    pub(super) fn cuts(&self) -> impl Iterator<Item = (usize, usize)> + '_ {
        let cut = |first| (first, self.slab.min(self.rows - first));
        (0..self.rows).step_by(self.slab.max(1)).map(cut)
    }

    /// Allocates the buffer that is called `name`.
    pub(super) fn memory(&self, card: &Arc<Card>, name: &str) -> Result<Arc<CardMem>> {
        let planned = self.buffers.iter().find(|buffer| buffer.0 == name);
        let unknown = || Error::internal(format!("a search has no buffer {name}"));
        card.alloc(planned.ok_or_else(unknown)?.1)
    }
}

/// The plan whose slab is the largest that lets it fit `free` bytes: `make(slab, parts)` for `wanted`
/// queries, or half as many again and again, down to `least`; where that is too much still, the same with
/// a gallery in one part. A search that does not fit then fails.
pub(super) fn fitting(
    free: u64,
    wanted: usize,
    least: usize,
    make: impl Fn(usize, Option<usize>) -> SearchPlan,
) -> SearchPlan {
    let fit = |parts| {
        let mut plan = make(wanted, parts);
        while plan.needs() as u64 > free && plan.slab > least {
            plan = make((plan.slab / 2).max(least), parts);
        }
        plan
    };
    let plan = fit(None);
    match plan.needs() as u64 <= free {
        true => plan,
        false => fit(Some(1)),
    }
}

/// How many queries a slab holds: `wanted`, but no more than there are, and no more than fit `bytes`
/// with `each` bytes a query; a multiple of `tile`.
pub(super) fn slab(rows: usize, wanted: usize, each: usize, bytes: usize, tile: usize) -> usize {
    let most = (bytes / each.max(1) / tile * tile).max(tile);
    wanted
        .clamp(1, rows.max(1))
        .next_multiple_of(tile)
        .min(most)
}

/// The lists of a slab as kernels write them: `k` places a query, and how many are filled.
pub(super) struct Found {
    pub(super) rows: Arc<CardMem>,
    pub(super) scores: Arc<CardMem>,
    pub(super) found: Arc<CardMem>,
    pub(super) k: usize,
}

impl Found {
    /// Bytes a query: a row and an f64 for each place, and a count.
    pub(super) fn bytes(k: usize) -> usize {
        k * 12 + 4
    }

    /// The names and bytes of the three buffers.
    pub(super) fn buffers(slab: usize, k: usize) -> [(&'static str, usize); 3] {
        [
            ("rows", slab * k * 4),
            ("scores", slab * k * 8),
            ("found", slab * 4),
        ]
    }

    pub(super) fn new(plan: &SearchPlan, card: &Arc<Card>, k: usize) -> Result<Found> {
        Ok(Found {
            rows: plan.memory(card, "rows")?,
            scores: plan.memory(card, "scores")?,
            found: plan.memory(card, "found")?,
            k,
        })
    }

    /// Reads the lists of the slab's first `count` queries and appends them.
    pub(super) fn append(
        &self,
        card: &Arc<Card>,
        count: usize,
        stream: Stream,
        lists: &mut Lists,
    ) -> Result<()> {
        let k = self.k;
        let (mut rows, mut scores) = (vec![0u32; count * k], vec![0f64; count * k]);
        let mut found = vec![0u32; count];
        card.read(&self.rows, &mut rows, stream)?;
        card.read(&self.scores, &mut scores, stream)?;
        card.read(&self.found, &mut found, stream)?;
        for (i, &found) in found.iter().enumerate() {
            let range = i * k..i * k + (found as usize).min(k);
            let scores = scores[range.clone()].iter().copied();
            lists.push(rows[range].iter().copied().zip(scores));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slabs_are_as_large_as_memory_lets_them_be() {
        let make = |slab: usize, parts: Option<usize>| SearchPlan {
            rows: 1000,
            slab,
            chunks: parts.unwrap_or(4),
            launches: [0, 1],
            buffers: vec![
                ("embeddings", 1 << 30),
                ("fixed", 1000),
                ("candidates", slab * parts.unwrap_or(4) * 10),
            ],
        };
        for (free, slab, chunks) in [
            (u64::MAX, 800, 4),
            (33_000, 800, 4),
            (32_999, 400, 4),
            (5000, 100, 4),
            // The least slab, of 50 queries, in four parts is 3,000 bytes.
            (2999, 100, 1),
            (10, 50, 1),
        ] {
            let plan = fitting(free, 800, 50, make);
            assert_eq!((plan.slab, plan.chunks), (slab, chunks), "{free}");
        }
    }
}
