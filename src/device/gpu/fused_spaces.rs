//! The spaces of a fused search on a card, as `kernels/neighbours/topk_fused.cu` reads them.

use std::sync::Arc;

use bytemuck::Pod;

use super::driver::{Launch, Stream};
use super::launch::{Args, blocks};
use super::launch_fused::{FusedSize, PREPARE, depth};
use super::memory::{Card, CardMem};
use super::search_plan::SearchPlan;
use crate::error::{Error, Result};
use crate::search::combined::Prepared;
use crate::search::combined::dense::Dense;
use crate::search::combined::side::{Ready, Side};
use crate::search::combined::sparse::{Postings, Sparse};
use crate::search::sparse::rows::Rows;

const THREADS: usize = 256;

/// How large each space is.
pub(super) fn sizes(prepared: &Prepared) -> Vec<FusedSize> {
    let postings = prepared.gallery().index();
    let gallery = prepared.gallery.as_ref();
    let others = |m: usize| gallery.map_or(0, |side| values(&side.spaces[m]));
    let size = |(m, space): (usize, &Ready)| match space {
        Ready::Dense(x) => FusedSize::Dense(x.dims()),
        Ready::Sparse(_) => {
            FusedSize::Sparse([values(space), others(m)], postings[m].lists().0.len())
        }
    };
    let spaces = prepared.queries.spaces.iter().enumerate();
    spaces.map(size).collect()
}

/// Values of a sparse space, each row's own.
fn values(space: &Ready) -> usize {
    match space {
        Ready::Dense(_) => 0,
        Ready::Sparse(x) => (0..x.distinct().group_of().len()).map(|i| x.terms(i)).sum(),
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
        prepared: &Prepared,
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
        let postings = prepared.gallery().index();
        let mut all = Vec::new();
        for (m, space) in prepared.queries.spaces.iter().enumerate() {
            let left = side(&mut arena, space)?;
            let right = match &prepared.gallery {
                None => left,
                Some(gallery) => side(&mut arena, &gallery.spaces[m])?,
            };
            let mut put = Put {
                sides: [left, right],
                lists: [0; 6],
                cursors: 0,
                cursor_count: 0,
                dims: None,
                share: prepared.fusion.share(m),
            };
            match space {
                Ready::Dense(x) => put.dims = Some(x.dims()),
                Ready::Sparse(x) => {
                    let (lists, count) = lists(&mut arena, &prepared.queries, x, &postings[m])?;
                    put.lists = lists;
                    put.cursors = cursors.take(count * plan.chunks * 8)?;
                    put.cursor_count = count as u64;
                }
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

fn side(arena: &mut Arena<'_>, space: &Ready) -> Result<Words> {
    match space {
        Ready::Dense(x) => dense(arena, x),
        Ready::Sparse(x) => distinct(arena, x.distinct()),
    }
}

fn dense(arena: &mut Arena<'_>, x: &Dense) -> Result<Words> {
    let (matrix, norms) = x.rows();
    let (rows, dims) = (matrix.rows(), matrix.dims());
    let words = Words {
        rows: arena.put(matrix.data())?,
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

fn distinct(arena: &mut Arena<'_>, rows: &Rows) -> Result<Words> {
    let mut starts = vec![0u64];
    let (mut columns, mut values) = (Vec::new(), Vec::new());
    for g in 0..rows.len() {
        let (some, weights) = rows.row(g);
        columns.extend_from_slice(some);
        values.extend_from_slice(weights);
        starts.push(columns.len() as u64);
    }
    let norms: Vec<f64> = (0..rows.len()).map(|g| rows.norm(g)).collect();
    Ok(Words {
        norms: arena.put(&norms)?,
        group_of: arena.put(rows.group_of())?,
        starts: arena.put(&starts)?,
        columns: arena.put(&columns)?,
        values: arena.put(&values)?,
        ..Words::default()
    })
}

/// The terms of all queries, and the lists of the gallery; how many terms of queries there are.
fn lists(
    arena: &mut Arena<'_>,
    queries: &Side,
    x: &Sparse,
    postings: &Postings,
) -> Result<([u64; 6], usize)> {
    let (terms, list_starts, entries) = postings.lists();
    let mut starts = vec![0u64];
    let (mut numbers, mut weights) = (Vec::new(), Vec::new());
    for i in 0..queries.rows() {
        for (column, weight) in x.unit_row(i) {
            if let Some(term) = terms.of(column) {
                numbers.push(term);
                weights.push(weight);
            }
        }
        starts.push(numbers.len() as u64);
    }
    let list_starts: Vec<u64> = list_starts.iter().map(|&s| s as u64).collect();
    let (rows, values): (Vec<u32>, Vec<f32>) = entries.iter().copied().unzip();
    let addresses = [
        arena.put(&starts)?,
        arena.put(&numbers)?,
        arena.put(&weights)?,
        arena.put(&list_starts)?,
        arena.put(&rows)?,
        arena.put(&values)?,
    ];
    Ok((addresses, numbers.len()))
}
