//! The first pass of the dense search on a Hopper card: `kernels/neighbours/sm90_f16_topk_scan.cu` and
//! `sm90_f16_topk_wave.cu`.

use super::{Asked, CAPACITY, Side, TILE, kernel};
use crate::device::gpu::driver::{
    Kernel, Launch, Stream, Swizzle, TensorCopy, TensorMap, TensorShape,
};
use crate::device::gpu::launch::{Args, blocks};
use crate::device::gpu::memory::Card;
use crate::error::Result;

const SCAN: Kernel = kernel("sm90_f16_topk_scan");
const WAVE: Kernel = kernel("sm90_f16_topk_wave");
/// Rows of the gallery in a tile, and values of k in a step: `Tile` and `DEPTH` of the kernel.
pub(in crate::device::gpu) const WIDTH: usize = 256;
const DEPTH: usize = 64;
const STAGES: usize = 4;
/// A ring of tiles of both sides, and two barriers a stage.
const SHARED: usize = STAGES * (TILE + WIDTH) * DEPTH * 2 + STAGES * 16;
/// The same, and 160 staged candidates of 12 bytes for each of 8 warps.
const WAVE_SHARED: usize = SHARED + 8 * 160 * 12;
const THREADS: u32 = 384;
const _: () = assert!(CAPACITY >= 128, "a pruned buffer takes 64 candidates more");

/// Whether the card has the kernel and room for it.
pub(super) fn suits(card: &Card) -> bool {
    card.driver.has(SCAN) && SHARED <= card.driver.info().shared_per_block
}

/// The same of the kernel of waves.
pub(in crate::device::gpu) fn has_waves(card: &Card) -> bool {
    card.driver.has(WAVE) && WAVE_SHARED <= card.driver.info().shared_per_block
}

/// Blocks of a cluster, which share the gallery's tiles: two, unless the second would often be idle.
fn cluster(row_tiles: usize) -> usize {
    if row_tiles.is_multiple_of(2) || row_tiles > 8 {
        2
    } else {
        1
    }
}

/// A map of unit rows, copied by boxes of so many lines of [`DEPTH`] values.
fn unit_map(
    card: &Card,
    address: u64,
    rows: usize,
    depth: usize,
    lines: usize,
) -> Result<TensorMap> {
    card.driver.tensor_map(&TensorShape {
        address,
        element: 2,
        dims: vec![depth as u64, rows as u64],
        strides: vec![depth as u64 * 2],
        swizzle: Swizzle::B128,
        copy: TensorCopy::Tile(vec![DEPTH as u32, lines as u32]),
    })
}

/// Queues the scan for the queries `first .. first + count`, as `topk_scan`'s launch in the parent does.
#[expect(
    clippy::too_many_arguments,
    reason = "the sides, the part and the results of one scan, used once"
)]
pub(super) fn scan(
    card: &Card,
    left: &Side,
    first: usize,
    count: usize,
    right: &Side,
    asked: &Asked,
    [candidates, counts]: [u64; 2],
    chunks: usize,
    stream: Stream,
) -> Result<()> {
    let depth = asked.depth;
    let row_tiles = count.div_ceil(TILE);
    let cluster = cluster(row_tiles);
    let queries = left.unit.at() + (first * depth * 2) as u64;
    let args = Args::default()
        .map(&unit_map(card, queries, count, depth, TILE)?)
        .map(&unit_map(
            card,
            right.unit.at(),
            right.rows,
            depth,
            WIDTH / cluster,
        )?)
        .address(candidates)
        .address(counts)
        .int(count)?
        .int(right.rows)?
        .int(depth)?
        .int(asked.k)?
        .float(asked.slack())
        .float(asked.floor())
        .int(chunks)?;
    let clusters = row_tiles.div_ceil(cluster) * chunks;
    let how = Launch {
        cluster: [blocks(cluster)?, 1, 1],
        ..Launch::linear(blocks(clusters * cluster)?, THREADS, SHARED)
    };
    // SAFETY: the arguments are those of sm90_f16_topk_scan: maps of the unit rows of `count` queries
    // from `first` and of the gallery (memory is aligned to 256 bytes, lines of a multiple of 32 halves
    // to 64), and room for every query and chunk.
    unsafe { card.launch(SCAN, &how, args, stream) }
}

/// What the waves of a first pass share.
pub(in crate::device::gpu) struct Wave<'a> {
    /// Queries and gallery; the same for a join.
    pub(in crate::device::gpu) sides: [&'a Side; 2],
    /// Thresholds of both by place.
    pub(in crate::device::gpu) least: [u64; 2],
    pub(in crate::device::gpu) candidates: u64,
    pub(in crate::device::gpu) counts: u64,
    /// The first query and how many there are.
    pub(in crate::device::gpu) queries: (usize, usize),
    pub(in crate::device::gpu) capacity: usize,
    /// Squares of a join, or 0.
    pub(in crate::device::gpu) squares: usize,
}

impl Wave<'_> {
    /// Queues the tiles `wave` in so many parts.
    pub(in crate::device::gpu) fn queue(
        &self,
        card: &Card,
        depth: usize,
        wave: [usize; 2],
        parts: usize,
        stream: Stream,
    ) -> Result<()> {
        let ([left, right], (first, count)) = (self.sides, self.queries);
        let row_tiles = count.div_ceil(TILE);
        let cluster = if self.squares > 0 {
            2
        } else {
            cluster(row_tiles)
        };
        let queries = left.unit.at() + (first * depth * 2) as u64;
        let gallery = unit_map(card, right.unit.at(), right.rows, depth, WIDTH / cluster)?;
        let args = Args::default()
            .map(&unit_map(card, queries, count, depth, TILE)?)
            .map(&gallery)
            .address(self.least[0])
            .address(self.least[1])
            .address(self.candidates)
            .address(self.counts)
            .int(count)?
            .int(right.rows)?
            .int(depth)?
            .int(left.step)?
            .int(right.step)?
            .int(self.capacity)?
            .int(self.squares)?
            .int(wave[0])?
            .int(wave[1])?
            .int(parts)?;
        let clusters = row_tiles.div_ceil(cluster) * parts;
        let how = Launch {
            cluster: [blocks(cluster)?, 1, 1],
            ..Launch::linear(blocks(clusters * cluster)?, THREADS, WAVE_SHARED)
        };
        // SAFETY: the arguments are those of sm90_f16_topk_wave: maps of the unit rows of `count` queries
        // from `first` and of the gallery (memory is aligned to 256 bytes, lines of a multiple of 32
        // halves to 64), thresholds for every place of whole squares of queries, and a buffer and a count
        // for every query.
        unsafe { card.launch(WAVE, &how, args, stream) }
    }
}
