//! The search by Hamming distance: `kernels/neighbours/topk_hamming.cu`.

use std::sync::Arc;

use super::driver::{Kernel, Launch, Stream};
use super::launch::{Args, blocks};
use super::launch_topk::check_asked;
use super::memory::{Card, CardMem};
use super::search_plan::{SearchPlan, fitting, slab};
use crate::error::{Error, Result};
use crate::limits::MAX_CARD_SIDE;
use crate::lists::Lists;

pub(super) const KERNEL: Kernel = Kernel {
    family: "neighbours",
    symbol: "topk_hamming",
};

/// Bits of a hash.
const BITS: u32 = 64;
const THREADS: usize = 256;
/// A tile of 1,024 hashes, and a counter for each distance of each of 8 warps.
const SHARED: usize = 1024 * 8 + 8 * 65 * 4;
/// Queries of a block.
const QUERIES: usize = THREADS / 32;
/// Queries of a slab, and the most bytes of its lists.
const SLAB: usize = 65_536;
/// The queries of a slab that a search goes down to where memory is short.
const LEAST_SLAB: usize = 64;
const SLAB_BYTES: usize = 256 << 20;

/// What a search by Hamming distance of `queries` hashes takes, against `gallery` others or among
/// themselves.
pub fn plan_hamming(queries: usize, gallery: Option<usize>, k: usize) -> SearchPlan {
    plan_slabs(queries, gallery, k, SLAB)
}

fn plan_slabs(queries: usize, gallery: Option<usize>, k: usize, wanted: usize) -> SearchPlan {
    let k = k.min(gallery.unwrap_or(queries));
    let slab = slab(queries, wanted, k * 5 + 4, SLAB_BYTES, QUERIES);
    SearchPlan {
        rows: queries,
        slab,
        chunks: 1,
        launches: [0, 1],
        buffers: vec![
            ("queries", queries * 8),
            ("gallery", gallery.unwrap_or(0) * 8),
            ("rows", slab * k * 4),
            ("bits", slab * k),
            ("found", slab * 4),
        ],
    }
}

/// The hashes that are there, and whose they are.
struct Side {
    hashes: Vec<u64>,
    rows: Vec<u32>,
}

impl Side {
    fn new(all: &[Option<u64>]) -> Result<Side> {
        if all.len() > MAX_CARD_SIDE {
            return Err(Error::limit(format!("{} hashes are too many", all.len())).op("topk"));
        }
        let there = || {
            all.iter()
                .zip(0u32..)
                .filter_map(|(h, row)| Some(((*h)?, row)))
        };
        Ok(Side {
            hashes: there().map(|h| h.0).collect(),
            rows: there().map(|h| h.1).collect(),
        })
    }
}

/// The most bits that may differ for a score of at least `min_score`; none where no score is so high.
fn most_bits(min_score: Option<f64>) -> Option<u32> {
    let least = min_score.unwrap_or(f64::NEG_INFINITY);
    (0..=BITS).rev().find(|&bits| score(bits) >= least)
}

fn score(bits: u32) -> f64 {
    1.0 - f64::from(bits) / f64::from(BITS)
}

/// As [`Device::topk_hamming`](crate::device::Device::topk_hamming).
pub(super) fn topk(
    card: &Arc<Card>,
    queries: &[Option<u64>],
    gallery: Option<&[Option<u64>]>,
    k: usize,
    min_score: Option<f64>,
    stream: Stream,
) -> Result<Lists> {
    check_asked(k, min_score)?;
    let left = Side::new(queries)?;
    let right = gallery.map(Side::new).transpose()?;
    let others = right.as_ref().unwrap_or(&left);
    let mut found = match most_bits(min_score) {
        Some(most) if !left.hashes.is_empty() && !others.hashes.is_empty() => {
            search(card, &left, right.as_ref(), k, most, stream)?
        }
        _ => Lists::from_rows(left.rows.iter().map(|_| [])),
    };
    if left.rows.len() < queries.len() {
        let mut next = 0;
        let mut lists = Lists::with_capacity(queries.len(), 0);
        for hash in queries {
            match hash {
                None => lists.push([]),
                Some(_) => {
                    lists.push(found.row(next).iter());
                    next += 1;
                }
            }
        }
        found = lists;
    }
    Ok(found)
}

fn search(
    card: &Arc<Card>,
    left: &Side,
    right: Option<&Side>,
    k: usize,
    most: u32,
    stream: Stream,
) -> Result<Lists> {
    let others = right.unwrap_or(left);
    let plan = fitting(card.left()?, SLAB, LEAST_SLAB, |slab, _| {
        plan_slabs(left.hashes.len(), right.map(|r| r.hashes.len()), k, slab)
    });
    let k = k.min(others.hashes.len());
    let put = |name, side: &Side| -> Result<Arc<CardMem>> {
        let memory = plan.memory(card, name)?;
        card.write(&memory, &side.hashes, stream)?;
        Ok(memory)
    };
    let queries = put("queries", left)?;
    let gallery = right.map(|r| put("gallery", r)).transpose()?;
    let gallery = gallery.as_ref().unwrap_or(&queries);
    let [rows, bits, found] = ["rows", "bits", "found"].map(|name| plan.memory(card, name));
    let (rows, bits, found) = (rows?, bits?, found?);
    let mut lists = Lists::with_capacity(left.hashes.len(), k);
    for (first, count) in plan.cuts() {
        let args = Args::default()
            .address(queries.at() + (first * 8) as u64)
            .address(gallery.at())
            .address(rows.at())
            .address(bits.at())
            .address(found.at())
            .int(count)?
            .int(others.hashes.len())?
            .int(k)?
            .int(most as usize)?;
        let how = Launch::linear(blocks(count.div_ceil(QUERIES))?, THREADS as u32, SHARED);
        // SAFETY: the arguments are those of topk_hamming: `count` queries from `first`, the whole
        // gallery, and room for k neighbours of every query of a slab.
        unsafe { card.launch(KERNEL, &how, args, stream) }?;
        let (mut all_rows, mut all_bits) = (vec![0u32; count * k], vec![0u8; count * k]);
        let mut all_found = vec![0u32; count];
        card.read(&rows, &mut all_rows, stream)?;
        card.read(&bits, &mut all_bits, stream)?;
        card.read(&found, &mut all_found, stream)?;
        for (i, &found) in all_found.iter().enumerate() {
            let range = i * k..i * k + (found as usize).min(k);
            let list = all_rows[range.clone()].iter().zip(&all_bits[range]);
            lists.push(
                list.map(|(&row, &bits)| (others.rows[row as usize], score(u32::from(bits)))),
            );
        }
    }
    Ok(lists)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_score_is_a_number_of_bits() {
        assert_eq!(most_bits(None), Some(64));
        assert_eq!(most_bits(Some(0.0)), Some(64));
        assert_eq!(most_bits(Some(0.5)), Some(32));
        assert_eq!(most_bits(Some(0.5f64.next_up())), Some(31));
        assert_eq!(most_bits(Some(1.0)), Some(0));
        assert_eq!(most_bits(Some(1.5)), None);
    }
}
