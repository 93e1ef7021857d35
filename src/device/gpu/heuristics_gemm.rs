//! How a product is cut into tiles on a Hopper card, and whether the card can take it that way.
//!
//! The choice rests on a model of one multiprocessor's clocks, made from the card's published rates; it
//! only has to put the candidates in order.

use super::driver::Kernel;
use crate::device::desc::DType;

/// A tile of `kernels/gemm/sm90_gemm.h`: `Hopper<M, N, STAGES, PANELS, ...>` there.
#[derive(Debug, PartialEq, Eq)]
pub struct Tile {
    /// The entry for f16, and the one for bf16.
    symbols: [&'static str; 2],
    m: usize,
    n: usize,
    stages: usize,
    panels: usize,
}

const fn tile(symbols: [&'static str; 2], n: usize, stages: usize, panels: usize) -> Tile {
    Tile {
        symbols,
        m: 128,
        n,
        stages,
        panels,
    }
}

/// All tiles of persistent blocks, the largest first.
pub const TILES: [Tile; 4] = [
    tile(
        ["sm90_f16_gemm_128x256", "sm90_bf16_gemm_128x256"],
        256,
        4,
        2,
    ),
    tile(
        ["sm90_f16_gemm_128x192", "sm90_bf16_gemm_128x192"],
        192,
        4,
        3,
    ),
    tile(
        ["sm90_f16_gemm_128x128", "sm90_bf16_gemm_128x128"],
        128,
        5,
        2,
    ),
    tile(["sm90_f16_gemm_128x64", "sm90_bf16_gemm_128x64"], 64, 6, 1),
];
/// The tile whose values of k are split among a cluster's blocks: `Part` of the kernels.
pub const SPLIT: Tile = Tile {
    symbols: ["sm90_f16_gemm_split", "sm90_bf16_gemm_split"],
    m: 64,
    n: 64,
    stages: 5,
    panels: 0,
};

/// Values of k in a stage, and bytes of a line of it: `DEPTH` and `LINE` of the kernels.
pub const DEPTH: usize = 64;
const LINE: usize = 2 * DEPTH;
/// Rows of a consumer, and columns of a panel.
pub const GROUP: usize = 64;
pub const PANEL: usize = 64;
/// Floats of a line of sums: `SUMS_LINE` of the kernels.
const SUMS_LINE: usize = 68;
/// The most blocks that share a tile's k: what every card's clusters may have.
const MOST_PARTS: usize = 8;

/// Multiply-adds of a multiprocessor in a clock.
const MATH: u64 = 2048;
/// Bytes that reach a multiprocessor from the L2 cache in a clock.
const FEED: u64 = 40;
/// Elements of the result that are finished in a clock.
const FINISHED: u64 = 16;
/// Clocks of a step that do not shrink with the tile: barriers, and the first product's way.
const STEP: u64 = 64;
/// Clocks before the first product of a launch, and those of an exchange within a cluster.
const START: u64 = 1500;
const EXCHANGE: u64 = 1000;

impl Tile {
    /// The kernel for factors of `dtype`, which is one of 16 bits.
    pub fn kernel(&self, dtype: DType) -> Kernel {
        let [f16, bf16] = self.symbols;
        Kernel {
            family: "gemm",
            symbol: if dtype == DType::BF16 { bf16 } else { f16 },
        }
    }

    /// Rows and columns.
    pub fn sides(&self) -> (usize, usize) {
        (self.m, self.n)
    }

    /// Threads of a block: a warpgroup that copies, and one for each 64 rows.
    pub fn threads(&self) -> u32 {
        128 * (self.m / GROUP + 1) as u32
    }

    /// Bytes of dynamic shared memory: the ring, then panels or sums, then two barriers a stage.
    pub fn shared(&self) -> usize {
        let ring = self.stages * (self.m + self.n) * LINE;
        let out = match self.panels {
            0 => self.m * SUMS_LINE * 4,
            panels => self.m * panels * PANEL * 2,
        };
        ring + out + 2 * self.stages * 8
    }

    /// Clocks of one step along k, where `cluster` blocks share the second factor.
    fn step(&self, cluster: u64) -> u64 {
        let (m, n) = (self.m as u64, self.n as u64);
        let math = m * n * DEPTH as u64 / MATH;
        let feed = (m + n / cluster) * LINE as u64 / FEED;
        STEP + math.max(feed)
    }
}

/// How one product is launched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GemmPlan {
    /// What a block computes.
    pub tile: &'static Tile,
    /// Blocks of a cluster: 1 or 2 one below the other, or for [`SPLIT`] the parts of k.
    pub cluster: usize,
    /// Blocks in all, whole clusters.
    pub grid: usize,
}

impl GemmPlan {
    /// For tiles that are no [`SPLIT`]: as many blocks as there are tiles, at most one for each
    /// multiprocessor.
    fn persistent(
        tile: &'static Tile,
        cluster: usize,
        m: usize,
        n: usize,
        multiprocessors: usize,
    ) -> Self {
        let tiles = m.div_ceil(tile.m * cluster) * n.div_ceil(tile.n);
        let clusters = tiles.min((multiprocessors / cluster).max(1));
        GemmPlan {
            tile,
            cluster,
            grid: clusters * cluster,
        }
    }

    fn split(parts: usize, m: usize, n: usize) -> Self {
        GemmPlan {
            tile: &SPLIT,
            cluster: parts,
            grid: m.div_ceil(SPLIT.m) * n.div_ceil(SPLIT.n) * parts,
        }
    }

    /// The model's clocks.
    fn clocks(&self, m: usize, n: usize, k: usize, multiprocessors: usize) -> u64 {
        let tile = self.tile;
        let steps = k.div_ceil(DEPTH);
        let finish = (tile.m * tile.n) as u64 / FINISHED;
        let (blocks, steps, share, exchange) = if *tile == SPLIT {
            let exchange = if self.cluster > 1 { EXCHANGE } else { 0 };
            (self.grid, steps.div_ceil(self.cluster), 1, exchange)
        } else {
            let blocks = m.div_ceil(tile.m * self.cluster) * self.cluster * n.div_ceil(tile.n);
            (blocks, steps, self.cluster as u64, 0)
        };
        let places = multiprocessors / self.cluster * self.cluster;
        let waves = blocks.div_ceil(places.max(1)) as u64;
        START + waves * (steps as u64 * tile.step(share) + finish + exchange)
    }
}

/// The plan with the fewest clocks for an `m` x `n` result and `k` products of each, all at least 1.
pub fn plan(m: usize, n: usize, k: usize, multiprocessors: usize) -> GemmPlan {
    let steps = k.div_ceil(DEPTH);
    let pairs = (1..=2).flat_map(|cluster| TILES.iter().map(move |tile| (tile, cluster)));
    let persistent = pairs
        .filter(|&(_, cluster)| cluster == 1 || multiprocessors >= cluster)
        .map(|(tile, cluster)| GemmPlan::persistent(tile, cluster, m, n, multiprocessors));
    let most = MOST_PARTS.min(steps).min(multiprocessors).max(1);
    let split = (1..=most).map(|parts| GemmPlan::split(parts, m, n));
    persistent
        .chain(split)
        .min_by_key(|plan| plan.clocks(m, n, k, multiprocessors))
        .unwrap_or_else(|| GemmPlan::persistent(&TILES[0], 1, m, n, multiprocessors))
}

/// The plan with the fewest clocks among persistent tiles whose columns `takes` accepts.
pub fn persistent_plan(
    m: usize,
    n: usize,
    k: usize,
    multiprocessors: usize,
    takes: &dyn Fn(usize) -> bool,
) -> Option<GemmPlan> {
    let tiles = TILES.iter().filter(|tile| takes(tile.n));
    let pairs = tiles.flat_map(|tile| (1..=2).map(move |cluster| (tile, cluster)));
    pairs
        .filter(|&(_, cluster)| cluster == 1 || multiprocessors >= cluster)
        .map(|(tile, cluster)| GemmPlan::persistent(tile, cluster, m, n, multiprocessors))
        .min_by_key(|plan| plan.clocks(m, n, k, multiprocessors))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The tile, cluster and grid for a card with 132 multiprocessors.
    fn chosen(m: usize, n: usize, k: usize) -> (usize, usize, usize) {
        let plan = plan(m, n, k, 132);
        (plan.tile.n, plan.cluster, plan.grid)
    }

    #[test]
    fn shared_memory_is_what_the_kernels_lay_out() {
        // A ring of 4 x 48 KiB, two panels of 8 KiB for each of two consumers, 8 barriers.
        assert_eq!(TILES[0].shared(), 4 * 49152 + 2 * 2 * 8192 + 64);
        assert_eq!(TILES[3].shared(), 6 * 24576 + 2 * 8192 + 96);
        assert_eq!(SPLIT.shared(), 5 * 16384 + 64 * 68 * 4 + 80);
        for tile in TILES.iter().chain([&SPLIT]) {
            assert!(tile.shared() <= 227 << 10, "{tile:?}");
            for (symbol, start) in tile
                .symbols
                .iter()
                .zip(["sm90_f16_gemm_", "sm90_bf16_gemm_"])
            {
                assert!(symbol.starts_with(start), "{tile:?}");
            }
        }
        assert_eq!((TILES[0].threads(), SPLIT.threads()), (384, 256));
    }

    #[test]
    fn products_of_the_encoders_fill_the_card() {
        // BERT-base over 4,096 packed tokens: 32 x 4 tiles of 128 x 192 are 128 blocks of 132.
        assert_eq!(chosen(4096, 768, 768), (192, 2, 128));
        assert_eq!(chosen(4096, 768, 3072), (192, 2, 128));
        assert_eq!(chosen(4096, 2304, 768), (192, 2, 132));
        assert_eq!(chosen(4096, 3072, 768).1, 2);
        assert!(chosen(4096, 3072, 768).0 >= 192);
        // Large and square.
        assert_eq!(chosen(8192, 8192, 8192).0, 256);
        assert_eq!(chosen(70_000, 1536, 1536).0, 256);
        // 1 x 1 convolutions of EfficientNets: many pixels, few channels.
        assert_eq!(chosen(64 * 256 * 256, 24, 144).0, 64);
        assert_eq!(chosen(64 * 128 * 128, 40, 240).0, 64);
    }

    #[test]
    fn thin_results_are_split_along_k() {
        for m in [8, 32, 64] {
            let plan = plan(m, 768, 768, 132);
            assert_eq!((plan.tile, plan.grid), (&SPLIT, 12 * plan.cluster), "{m}");
            assert!(plan.cluster >= 4, "{plan:?}");
        }
        // Few steps are not worth an exchange, many take all parts that there may be.
        assert_eq!(plan(8, 64, 100, 132).cluster, 1);
        assert_eq!(plan(8, 64, 4096, 132).cluster, MOST_PARTS);
        // A batch of features against 11,014 classes: tiles enough without splitting.
        assert_eq!(
            plan(64, 11_014, 512, 132).grid,
            plan(64, 11_014, 512, 132).cluster * 173
        );
    }

    #[test]
    fn every_plan_is_one_that_can_be_launched() {
        for multiprocessors in [1, 2, 3, 132] {
            for (m, n, k) in [
                (1, 2, 8),
                (64, 64, 64),
                (129, 258, 72),
                (1000, 6, 4096),
                (300_000, 16, 32),
            ] {
                let plan = plan(m, n, k, multiprocessors);
                assert!(
                    plan.grid > 0 && plan.grid.is_multiple_of(plan.cluster),
                    "{plan:?}"
                );
                assert!(
                    plan.cluster <= MOST_PARTS && plan.cluster <= multiprocessors,
                    "{plan:?}"
                );
                if *plan.tile == SPLIT {
                    assert!(plan.cluster <= k.div_ceil(DEPTH), "{plan:?}");
                } else {
                    assert!(
                        plan.cluster <= 2 && plan.grid <= multiprocessors,
                        "{plan:?}"
                    );
                }
            }
        }
    }
}
