//! The dense search: `kernels/neighbours/`.

pub(super) mod join;
mod search;
pub(super) mod sm90;

use std::sync::Arc;

use super::driver::{Kernel, Launch, Stream};
use super::launch::{Args, blocks};
use super::launch_topk_large as large;
use super::memory::{Card, CardMem};
use super::search_plan::Found;
use crate::device::desc::{Buf, DType};
use crate::error::{Error, Result};
use crate::limits::{MAX_CARD_K, MAX_CARD_SIDE, MAX_DIMS};
use crate::lists::Lists;

pub(super) use search::LEAST_SLAB;

/// How a search is cut; no setting changes a result. [`Default`] is what everybody but a test wants.
#[derive(Debug, Clone)]
pub struct TopKTuning {
    /// Queries that are searched at a time, rounded up to whole tiles.
    pub slab: usize,
    /// Parts of the gallery that run side by side, 1 to 8; none to fill the card.
    pub chunks: Option<usize>,
    /// Whether rows meet themselves by the join, which computes each pair once; none where it pays.
    pub join: Option<bool>,
}

impl Default for TopKTuning {
    fn default() -> Self {
        TopKTuning {
            slab: 32_768,
            chunks: None,
            join: None,
        }
    }
}

/// Rows of a tile, values of k in a step, candidates that a buffer holds, and the most parts of a
/// gallery: `Shape`, `DEPTH`, `CAPACITY` and `MOST_CHUNKS` of the kernels.
pub(super) const TILE: usize = 128;
pub(super) const DEPTH: usize = 32;
pub(super) const CAPACITY: usize = 256;
const MOST_CHUNKS: usize = 8;
/// The most neighbours of these kernels, `MOST_K`; `launch_topk_large` finds more.
pub(super) const MOST_K: usize = 64;
/// Three stages of two tiles of 128 lines of 40 halves; a threshold and a count for each of 128 rows.
const SHARED: usize = 3 * 2 * 128 * 40 * 2 + 128 * 8;
pub(super) const THREADS: usize = 256;

pub(super) const fn kernel(symbol: &'static str) -> Kernel {
    Kernel {
        family: "neighbours",
        symbol,
    }
}
pub(super) const PREPARE: Kernel = kernel("topk_prepare");
const SCAN: Kernel = kernel("topk_scan");
const JOIN: Kernel = kernel("topk_join");
pub(super) const START: Kernel = kernel("topk_wave_start");
const SETTLE: Kernel = kernel("topk_wave_settle");
const RESCORE: Kernel = kernel("topk_rescore");
const BRUTE: Kernel = kernel("topk_brute");
pub(super) const KERNELS: [Kernel; 7] = [PREPARE, SCAN, JOIN, START, SETTLE, RESCORE, BRUTE];

/// The proven bound on how far an approximate score may be from the one that rows are ranked by, for
/// rows of `dims`; `kernels/neighbours/topk_scan.cu` has the proof.
pub fn score_bound(dims: usize) -> f64 {
    let d = dims as f64;
    let e = 2f64.powi(-11) + 2f64.powi(-23) + d.sqrt() * 2f64.powi(-25);
    let sums = 1.05 * 1.25 * d * 2f64.powi(-22) * (1.0 + e) * (1.0 + e);
    2.0 * e + e * e + sums + 2f64.powi(-24)
}

/// The largest f32 that is not above `x`.
pub(super) fn round_down(x: f64) -> f32 {
    let near = x as f32;
    if f64::from(near) > x {
        near.next_down()
    } else {
        near
    }
}

/// One side of a search on the card.
pub(super) struct Side {
    pub(super) rows: usize,
    pub(super) raw: u64,
    pub(super) unit: Arc<CardMem>,
    pub(super) norms: Arc<CardMem>,
    /// Unit row p is that of row p * `step` modulo all rows.
    pub(super) step: usize,
}

/// What a search is asked for.
pub(super) struct Asked {
    pub(super) dims: usize,
    pub(super) depth: usize,
    pub(super) k: usize,
    pub(super) min_score: f64,
}

impl Asked {
    /// Twice the bound, rounded up, with room for the rounding of a threshold less the slack.
    pub(super) fn slack(&self) -> f32 {
        -round_down(-(2.0 * score_bound(self.dims) + 2f64.powi(-22)))
    }

    /// What an approximate score must reach for the pair to be asked for.
    pub(super) fn floor(&self) -> f32 {
        round_down(self.min_score - score_bound(self.dims))
    }
}

/// As [`Device::topk_dense`](crate::device::Device::topk_dense).
pub(super) fn topk(
    card: &Arc<Card>,
    queries: &Buf,
    gallery: Option<&Buf>,
    k: usize,
    min_score: Option<f64>,
    tuning: &TopKTuning,
    stream: Stream,
) -> Result<Lists> {
    let asked = check(queries, gallery, k, min_score)?;
    let rows = queries.desc.dims[0];
    let others = gallery.map_or(rows, |g| g.desc.dims[0]);
    if rows == 0 || others == 0 || asked.dims == 0 {
        return Ok(Lists::from_rows((0..rows).map(|_| [])));
    }
    if k > MOST_K {
        return large::search(card, queries, gallery, &asked, tuning, stream);
    }
    let mut lists = Lists::with_capacity(rows, k.min(others));
    let mut each = |_, count, found: &Found| found.append(card, count, stream, &mut lists);
    search::run(card, queries, gallery, &asked, tuning, &mut each, stream)?;
    Ok(lists)
}

/// Lists that stay on the card: `k` places a row, in the order of the queries, of which the first `counts`
/// hold neighbours.
pub(super) struct Kept {
    pub(super) rows: Arc<CardMem>,
    pub(super) scores: Arc<CardMem>,
    pub(super) counts: Arc<CardMem>,
}

/// As [`topk`], with lists that stay on the card.
pub(super) fn topk_kept(
    card: &Arc<Card>,
    queries: &Buf,
    gallery: Option<&Buf>,
    k: usize,
    min_score: Option<f64>,
    tuning: &TopKTuning,
    stream: Stream,
) -> Result<Kept> {
    let asked = check(queries, gallery, k, min_score)?;
    let rows = queries.desc.dims[0];
    let others = gallery.map_or(rows, |g| g.desc.dims[0]);
    let all = Kept {
        rows: card.array::<u32>(rows * k)?,
        scores: card.array::<f64>(rows * k)?,
        counts: card.array::<u32>(rows)?,
    };
    if rows == 0 || others == 0 || asked.dims == 0 {
        card.use_stream(stream);
        // SAFETY: `counts` is one allocation of this driver, of a u32 a row.
        unsafe { card.driver.fill(all.counts.at(), 0, rows * 4, stream) }?;
        return Ok(all);
    }
    let mut each = |first: usize, count: usize, found: &Found| {
        for (to, from, bytes) in [
            (&all.rows, &found.rows, 4 * k),
            (&all.scores, &found.scores, 8 * k),
            (&all.counts, &found.found, 4),
        ] {
            let at = to.at() + (first * bytes) as u64;
            // SAFETY: `from` has `count` rows of `bytes`, and `to` has `rows`, of which `first` stand
            // before; they are two allocations of this driver.
            unsafe { card.driver.copy(at, from.at(), count * bytes, stream) }?;
        }
        Ok(())
    };
    search::run(card, queries, gallery, &asked, tuning, &mut each, stream)?;
    Ok(all)
}

fn check(queries: &Buf, gallery: Option<&Buf>, k: usize, min_score: Option<f64>) -> Result<Asked> {
    let (_, dims) = queries.desc.matrix("topk")?;
    for buf in [queries].into_iter().chain(gallery) {
        let (rows, other) = buf.desc.matrix("topk")?;
        if other != dims {
            return Err(Error::shape("topk", &queries.desc.dims, &buf.desc.dims));
        }
        if buf.desc.dtype != DType::F32 {
            return Err(Error::unsupported(format!("does not take {}", buf.desc)).op("topk"));
        }
        if rows > MAX_CARD_SIDE || dims > MAX_DIMS {
            return Err(Error::limit(format!("{} is too large", buf.desc)).op("topk"));
        }
    }
    check_asked(k, min_score)?;
    Ok(Asked {
        dims,
        depth: dims.next_multiple_of(DEPTH),
        k,
        min_score: min_score.unwrap_or(f64::NEG_INFINITY),
    })
}

/// What every search on a card is asked for.
pub(super) fn check_asked(k: usize, min_score: Option<f64>) -> Result<()> {
    let mend = format!("ask for 1 to {MAX_CARD_K} neighbours");
    if k == 0 {
        return Err(Error::input("no neighbours asked for (k = 0)")
            .op("topk")
            .mend(mend));
    }
    if k > MAX_CARD_K {
        let message = format!("k = {k} is more than a search on a card gives");
        return Err(Error::unsupported(message)
            .op("topk")
            .mend(mend + ", or use the CPU"));
    }
    if min_score.is_some_and(f64::is_nan) {
        return Err(Error::input("the lowest score is not a number").op("topk"));
    }
    Ok(())
}

/// Unit rows in half precision and squared norms of `x`, which `what` names in an error; unit row p is
/// that of row p * `step` modulo all rows.
pub(super) fn prepare(
    card: &Arc<Card>,
    x: &Buf,
    asked: &Asked,
    step: usize,
    what: &str,
    stream: Stream,
) -> Result<Side> {
    card.owns(x)?;
    let rows = x.desc.dims[0];
    let unit = card.array::<u16>(rows * asked.depth)?;
    let norms = card.array::<f64>(rows)?;
    let bad = card.array_of(&[u32::MAX], stream)?;
    let args = Args::default()
        .address(x.address())
        .address(unit.at())
        .address(norms.at())
        .address(bad.at())
        .int(rows)?
        .int(asked.dims)?
        .int(asked.depth)?
        .int(step)?;
    let how = Launch::linear(blocks(rows.div_ceil(THREADS / 32))?, THREADS as u32, 0);
    // SAFETY: the arguments are those of topk_prepare: `x` has rows x dims f32, `unit` rows x depth
    // halves, `norms` a f64 a row, `bad` one u32 of all ones; `step` has no common divisor with rows.
    unsafe { card.launch(PREPARE, &how, args, stream) }?;
    let mut lowest = [0u32];
    card.read(&bad, &mut lowest, stream)?;
    if lowest[0] != u32::MAX {
        return Err(Error::input(format!("{what} holds a NaN or an infinity"))
            .op("topk")
            .row(u64::from(lowest[0]) + 1)
            .mend("leave the row out, or set it to zeros to give it no neighbours"));
    }
    Ok(Side {
        rows,
        raw: x.address(),
        unit,
        norms,
        step,
    })
}

/// How many parts of the gallery run side by side: enough blocks for some waves of the card.
pub(super) fn chunks(
    row_tiles: usize,
    gallery_tiles: usize,
    multiprocessors: u32,
    asked: Option<usize>,
) -> usize {
    let wanted = (multiprocessors as usize * 4).div_ceil(row_tiles);
    asked
        .unwrap_or(wanted)
        .clamp(1, MOST_CHUNKS.min(gallery_tiles))
}

#[cfg(test)]
mod tests {
    use super::*;
    use half::f16;

    /// `depth` products of halves added one after the other in f32, as the kernel's comment allows.
    fn approximate(a: &[f16], b: &[f16]) -> f64 {
        let products = a.iter().zip(b).map(|(x, y)| x.to_f32() * y.to_f32());
        f64::from(products.fold(0f32, |sum, p| sum + p))
    }

    /// The same by steps of `block` products, each addend cut below `bits` bits under the leading bit of the
    /// largest, and sums cut likewise: the tensor cores that the proof allows for.
    fn by_steps(a: &[f16], b: &[f16], block: usize, bits: i32) -> f64 {
        let cut = |x: f64, unit: f64| (x / unit).trunc() * unit;
        let unit = |most: f64, bits: i32| 2f64.powi(most.log2().floor() as i32 - bits);
        let mut sum = 0f64;
        for (a, b) in a.chunks(block).zip(b.chunks(block)) {
            let mut addends = vec![sum];
            addends.extend(a.iter().zip(b).map(|(x, y)| x.to_f64() * y.to_f64()));
            let most = addends.iter().fold(0f64, |most, x| most.max(x.abs()));
            if most == 0.0 {
                continue;
            }
            let whole: f64 = addends.iter().map(|&x| cut(x, unit(most, bits))).sum();
            sum = match whole {
                0.0 => 0.0,
                whole => cut(whole, unit(whole.abs(), bits)),
            };
        }
        sum
    }

    fn unit(x: &[f64]) -> (Vec<f64>, Vec<f16>) {
        let norm = x.iter().map(|v| v * v).sum::<f64>().sqrt();
        let exact: Vec<f64> = x.iter().map(|v| v / norm).collect();
        let halves = exact.iter().map(|&v| f16::from_f32(v as f32)).collect();
        (exact, halves)
    }

    #[test]
    fn scores_stay_within_the_bound_that_is_proved() {
        let mut state = 1u64;
        let mut next = || {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            (state >> 33) as f64 / f64::from(1u32 << 31) - 0.5
        };
        let mut worst: f64 = 0.0;
        for dims in [1, 2, 33, 512, 4096] {
            for kind in 0..4 {
                // Random; near-equal; a value that halves round by the most; one large among tiny ones.
                let base: Vec<f64> = (0..dims).map(|_| next()).collect();
                let other: Vec<f64> = match kind {
                    0 => (0..dims).map(|_| next()).collect(),
                    1 => base.iter().map(|v| v + 1e-3 * next()).collect(),
                    2 => vec![1.0 + 2f64.powi(-11); dims],
                    _ => (0..dims).map(|i| if i == 0 { 1.0 } else { 1e-6 }).collect(),
                };
                let ((a, ha), (b, hb)) = (unit(&base), unit(&other));
                let exact: f64 = a.iter().zip(&b).map(|(x, y)| x * y).sum();
                let sums = [
                    approximate(&ha, &hb),
                    by_steps(&ha, &hb, 2, 23),
                    by_steps(&ha, &hb, 4, 23),
                    by_steps(&ha, &hb, 8, 22),
                    by_steps(&ha, &hb, 16, 22),
                ];
                for sum in sums {
                    let error = (sum - exact).abs();
                    assert!(error <= score_bound(dims), "{dims} {kind}: {error:e}");
                    worst = worst.max(error / score_bound(dims));
                }
            }
        }
        assert!(
            worst > 0.05,
            "the bound is far from anything that happens: {worst}"
        );
        assert!(score_bound(1536) < 1.5e-3, "{}", score_bound(1536));
    }

    #[test]
    fn slack_and_floor_are_rounded_away_from_losing_anything() {
        for (dims, min_score) in [(1, 0.1), (512, -0.3), (1537, 0.999_999)] {
            let asked = Asked {
                dims,
                depth: 0,
                k: 1,
                min_score,
            };
            assert!(f64::from(asked.slack()) >= 2.0 * score_bound(dims) + 2f64.powi(-22));
            assert!(f64::from(asked.floor()) <= min_score - score_bound(dims));
        }
        let asked = Asked {
            dims: 1,
            depth: 0,
            k: 1,
            min_score: f64::NEG_INFINITY,
        };
        assert_eq!(asked.floor(), f32::NEG_INFINITY);
    }

    #[test]
    fn galleries_are_cut_to_fill_the_card() {
        assert_eq!(chunks(256, 547, 132, None), 3);
        assert_eq!(chunks(1, 547, 132, None), 8);
        assert_eq!(chunks(1, 2, 132, None), 2);
        assert_eq!(chunks(4, 4, 1, None), 1);
        assert_eq!(chunks(4, 4, 1, Some(9)), 4);
    }
}
