//! The spaces of a fused search on a card, as `kernels/neighbours/topk_fused.cu` reads them.

use std::sync::Arc;

use bytemuck::Pod;

use super::driver::{Launch, Stream};
use super::launch::{Args, blocks};
use super::launch_fused::{FusedSize, PREPARE, depth};
use super::memory::{Card, CardMem};
use super::search_plan::SearchPlan;
use crate::device::spaces::{FusedRows, FusedSearch, FusedSpace, WeightLists};
use crate::error::{Error, Result};

const THREADS: usize = 256;

/// How large each space is.
pub(super) fn sizes(asked: &FusedSearch<'_>) -> Vec<FusedSize> {
    let size = |space: &FusedSpace<'_>| match (&space.queries, &space.lists) {
        (FusedRows::Sparse(_), Some([terms, lists])) => {
            let others = if space.gallery.is_some() {
                lists.numbers.len()
            } else {
                0
            };
            let values = values(&space.queries).max(terms.numbers.len());
            let count = lists.starts.len().saturating_sub(1);
            FusedSize::Sparse([values, others], count)
        }
        (FusedRows::Dense { dims, .. }, _) => FusedSize::Dense(*dims),
        (FusedRows::Sparse(_), None) => FusedSize::Sparse([values(&space.queries), 0], 0),
    };
    asked.spaces.iter().map(size).collect()
}

/// Values of distinct rows.
fn values(rows: &FusedRows<'_>) -> usize {
    match rows {
        FusedRows::Dense { .. } => 0,
        FusedRows::Sparse(x) => x.distinct.terms.len(),
    }
}

/// Memory that arrays are put into one after the other.
struct Arena<'a> {
    card: &'a Arc<Card>,
    memory: Arc<CardMem>,
    next: usize,
    stream: Stream,
}

impl Arena<'_> {
    /// The address of `bytes` bytes, aligned to 256.
    fn take(&mut self, bytes: usize) -> Result<u64> {
        let at = self.next;
        let end = at.saturating_add(bytes);
        if end > self.memory.size() {
            return Err(Error::internal("the spaces take more than was planned").op("topk"));
        }
        self.next = end.next_multiple_of(256);
        Ok(self.memory.at() + at as u64)
    }

    fn put<T: Pod>(&mut self, values: &[T]) -> Result<u64> {
        let at = self.next;
        let address = self.take(size_of_val(values))?;
        self.card.write_at(&self.memory, at, values, self.stream)?;
        Ok(address)
    }
}

/// One side of a space: the addresses of the kernel's `Side`.
#[derive(Clone, Copy, Default)]
struct Words {
    rows: u64,
    unit: u64,
    norms: u64,
    group_of: u64,
    starts: u64,
    columns: u64,
    values: u64,
}

/// One space.
struct Put {
    sides: [Words; 2],
    /// Term starts, terms, weights; list starts, list rows, list weights.
    lists: [u64; 6],
    cursors: u64,
    cursor_count: u64,
    /// Dimensions of a dense space, none of a sparse one.
    dims: Option<usize>,
    share: f32,
}

/// All spaces, on the card.
pub(super) struct Spaces {
    put: Vec<Put>,
    /// The memory that the addresses lead to.
    _memory: [Arc<CardMem>; 2],
}

impl Spaces {
    /// Words of 8 bytes of the kernel's `Space`.
    pub(super) const WORDS: usize = 24;

    /// Uploads both sides of every space and makes unit rows of the dense ones.
    pub(super) fn put(
        card: &Arc<Card>,
        plan: &SearchPlan,
        asked: &FusedSearch<'_>,
        stream: Stream,
    ) -> Result<Spaces> {
        let arena = |name: &str| -> Result<Arena<'_>> {
            Ok(Arena {
                card,
                memory: plan.memory(card, name)?,
                next: 0,
                stream,
            })
        };
        let (mut arena, mut cursors) = (arena("spaces")?, arena("cursors")?);
        let mut all = Vec::new();
        for space in &asked.spaces {
            let left = side(&mut arena, &space.queries, asked.rows())?;
            let right = match (&space.gallery, asked.others()) {
                (Some(gallery), Some(others)) => side(&mut arena, gallery, others)?,
                _ => left,
            };
            let mut put = Put {
                sides: [left, right],
                lists: [0; 6],
                cursors: 0,
                cursor_count: 0,
                dims: None,
                share: space.share,
            };
            if let FusedRows::Dense { dims, .. } = &space.queries {
                put.dims = Some(*dims);
            }
            if let Some([terms, lists]) = &space.lists {
                let count = terms.numbers.len();
                put.lists = put_lists(&mut arena, terms, lists)?;
                put.cursors = cursors.take(count * plan.chunks * 8)?;
                put.cursor_count = count as u64;
            }
            all.push(put);
        }
        Ok(Spaces {
            put: all,
            _memory: [arena.memory, cursors.memory],
        })
    }

    /// The kernels' table for the queries from `first` on.
    pub(super) fn table(&self, first: usize) -> Vec<u64> {
        let first = first as u64;
        let mut table = Vec::with_capacity(self.put.len() * Self::WORDS);
        for space in &self.put {
            let [left, right] = space.sides;
            let dims = space.dims.unwrap_or(0);
            let deep = depth(dims);
            match space.dims {
                Some(_) => table.extend([
                    left.rows + first * dims as u64 * 4,
                    left.unit + first * deep as u64 * 2,
                    left.norms + first * 8,
                ]),
                None => table.extend([0, 0, left.norms]),
            }
            table.extend([
                left.group_of + first * 4,
                left.starts,
                left.columns,
                left.values,
            ]);
            table.extend([right.rows, right.unit, right.norms]);
            table.extend([right.group_of, right.starts, right.columns, right.values]);
            let mut lists = space.lists;
            lists[0] += first * 8;
            table.extend(lists);
            table.extend([space.cursors, space.cursor_count]);
            let pair = |low: u32, high: u32| u64::from(low) | u64::from(high) << 32;
            table.push(pair(u32::from(space.dims.is_none()), dims as u32));
            table.push(pair(deep as u32, space.share.to_bits()));
        }
        table
    }
}

fn side(arena: &mut Arena<'_>, rows: &FusedRows<'_>, count: usize) -> Result<Words> {
    match rows {
        FusedRows::Dense { dims, rows, norms } => dense(arena, *dims, rows, norms, count),
        FusedRows::Sparse(x) => Ok(Words {
            norms: arena.put(&x.distinct.norms)?,
            group_of: arena.put(&x.group_of)?,
            starts: arena.put(&x.distinct.starts)?,
            columns: arena.put(&x.distinct.terms)?,
            values: arena.put(&x.distinct.values)?,
            ..Words::default()
        }),
    }
}

fn dense(
    arena: &mut Arena<'_>,
    dims: usize,
    values: &[f32],
    norms: &[f64],
    rows: usize,
) -> Result<Words> {
    let words = Words {
        rows: arena.put(values)?,
        norms: arena.put(norms)?,
        unit: arena.take(rows * depth(dims) * 2)?,
        ..Words::default()
    };
    let args = Args::default()
        .address(words.rows)
        .address(words.norms)
        .address(words.unit)
        .int(rows)?
        .int(dims)?
        .int(depth(dims))?;
    let how = Launch::linear(blocks(rows.div_ceil(THREADS / 32))?, THREADS as u32, 0);
    // SAFETY: the arguments are those of fused_prepare: rows x dims f32, an f64 a row, and rows x depth
    // halves.
    unsafe { arena.card.launch(PREPARE, &how, args, arena.stream) }?;
    Ok(words)
}

/// The terms of all queries, and the lists of the gallery.
fn put_lists(arena: &mut Arena<'_>, terms: &WeightLists, lists: &WeightLists) -> Result<[u64; 6]> {
    Ok([
        arena.put(&terms.starts)?,
        arena.put(&terms.numbers)?,
        arena.put(&terms.weights)?,
        arena.put(&lists.starts)?,
        arena.put(&lists.numbers)?,
        arena.put(&lists.weights)?,
    ])
}
