//! A combined search on a card: what the card reads, and scores from what it finds.

use rayon::prelude::*;

use super::fuse::By;
use super::side::{Ready, Side};
use super::{Fuse, Prepared, Space};
use crate::device::{
    Device, FusedFound, FusedRows, FusedSearch, FusedSpace, FusedSparse, Stream, Strength,
    WeightLists,
};
use crate::error::Result;
use crate::lists::{Lists, best_first};
use crate::search::TopK;

/// The search on `device`, which gives candidates; their scores are made here.
pub(in crate::search) fn on_card(
    device: &dyn Device,
    queries: &[(Space<'_>, f64)],
    gallery: Option<&[Space<'_>]>,
    by: Option<Fuse>,
    opt: &TopK,
    slab: Option<usize>,
) -> Result<Lists> {
    opt.check()?;
    let prepared = Prepared::fused(queries, gallery, by)?;
    let fusion = &prepared.fusion;
    let asked = FusedSearch {
        spaces: spaces(&prepared),
        there: [
            there(&prepared.queries),
            prepared.gallery.as_ref().map(there).unwrap_or_default(),
        ],
        by: match fusion.by() {
            By::Sum | By::Fuse(Fuse::Mean) => Strength::Mean,
            By::Fuse(Fuse::Either) => Strength::Either,
            By::Fuse(Fuse::Power(p)) => Strength::Power(p),
        },
        bar: fusion.bar(opt.floor()),
        sure: fusion.sure(),
        k: opt.k,
        slab,
    };
    let mut lists: Vec<Vec<(u32, f64)>> = Vec::with_capacity(prepared.queries.rows());
    let mut each = |found: &FusedFound| {
        for (query, list) in (found.first..).zip(finish(&prepared, found, opt)) {
            match lists.get_mut(query) {
                // A further part of a query's candidates.
                Some(known) => {
                    known.extend(list);
                    known.sort_unstable_by(best_first);
                    known.truncate(opt.k);
                }
                None => lists.push(list),
            }
        }
        Ok(())
    };
    device.topk_fused(&asked, &mut each, Stream::DEFAULT)?;
    Ok(Lists::from_rows(lists))
}

/// A byte a row: whether it is not all zeros in every space.
fn there(side: &Side) -> Vec<u8> {
    (0..side.rows()).map(|i| u8::from(side.has(i))).collect()
}

fn spaces<'a>(prepared: &'a Prepared<'_>) -> Vec<FusedSpace<'a>> {
    let postings = prepared.gallery().index();
    let space = |(m, space): (usize, &'a Ready)| {
        let lists = match space {
            Ready::Dense(_) => None,
            Ready::Sparse(x) => {
                let (terms, starts, entries) = postings[m].lists();
                let mut own = WeightLists {
                    starts: vec![0],
                    ..WeightLists::default()
                };
                for i in 0..prepared.queries.rows() {
                    for (column, weight) in x.unit_row(i) {
                        if let Some(term) = terms.of(column) {
                            own.numbers.push(term);
                            own.weights.push(weight);
                        }
                    }
                    own.starts.push(own.numbers.len() as u64);
                }
                let (numbers, weights) = entries.iter().copied().unzip();
                let others = WeightLists {
                    starts: starts.iter().map(|&s| s as u64).collect(),
                    numbers,
                    weights,
                };
                Some([own, others])
            }
        };
        FusedSpace {
            queries: rows(space),
            gallery: prepared.gallery.as_ref().map(|side| rows(&side.spaces[m])),
            lists,
            share: prepared.fusion.share(m),
        }
    };
    let all = prepared.queries.spaces.iter().enumerate();
    all.map(space).collect()
}

fn rows<'a>(space: &'a Ready) -> FusedRows<'a> {
    match space {
        Ready::Dense(x) => {
            let (matrix, norms) = x.rows();
            FusedRows::Dense {
                dims: matrix.dims(),
                rows: matrix.data(),
                norms,
            }
        }
        Ready::Sparse(x) => FusedRows::Sparse(FusedSparse {
            distinct: x.distinct().pack(),
            group_of: x.distinct().group_of().to_vec(),
        }),
    }
}

/// The lists of the queries that were found something for.
fn finish(prepared: &Prepared, found: &FusedFound, opt: &TopK) -> Vec<Vec<(u32, f64)>> {
    let one = |i| list(prepared, found, i, opt);
    (0..found.found.len()).into_par_iter().map(one).collect()
}

/// The list of query `i` of those found; empty where its candidates did not fit.
fn list(prepared: &Prepared, found: &FusedFound, i: usize, opt: &TopK) -> Vec<(u32, f64)> {
    let count = found.found[i].unwrap_or(0);
    let (at, spaces) = (i * found.room, prepared.queries.spaces.len());
    let rows = &found.rows[at..at + count];
    let cosines = &found.cosines[at * spaces..(at + count) * spaces];
    let score = |cosines: &[f64]| prepared.fusion.score(cosines.iter().copied());
    let scored = rows.iter().zip(cosines.chunks_exact(spaces));
    let mut list: Vec<(u32, f64)> = scored
        .map(|(&row, cosines)| (row, score(cosines)))
        .filter(|pair| pair.1 >= opt.floor())
        .collect();
    list.sort_unstable_by(best_first);
    list.truncate(opt.k);
    list
}
