//! Expansion, blending and concatenation of sparse rows: `kernels/fusion/refine_sparse.cu`.

use std::sync::Arc;

use bytemuck::{Pod, Zeroable};

use super::driver::{Kernel, Launch, Stream};
use super::launch::{Args, blocks};
use super::launch_fusion::{check_rows, kernel, owns, read};
use super::launch_fusion_dense::{Faults, OTHERS, OWN, check_shapes, choose};
use super::memory::{Card, CardMem};
use crate::device::fusion::{CardLists, CardSparse, Mixing};
use crate::error::{Error, Result};
use crate::limits::MAX_FEATURES;
use crate::tensor::Csr;

const LENGTHS: Kernel = kernel("refine_lengths");
const TERMS: Kernel = kernel("refine_terms");
const MIX: Kernel = kernel("refine_mix_sparse");
const CONCAT: Kernel = kernel("refine_concat_sparse");
pub(super) const KERNELS: [Kernel; 4] = [LENGTHS, TERMS, MIX, CONCAT];

const THREADS: usize = 256;
/// `WARPS` of refine_sparse.cu.
const WARPS: usize = 4;
/// Bytes of a term, and what all warps of a launch may work in.
const TERM: usize = 12;
const SCRATCH: usize = 1 << 28;

/// `Sparse` of refine_sparse.cu.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct Side {
    starts: u64,
    counts: u64,
    columns: u64,
    values: u64,
    most: u64,
    lengths: u64,
}

/// `Part` of refine_sparse.cu.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct Part {
    x: Side,
    weight: f64,
    before: i64,
}

/// What makes unit rows of sparse ones.
struct Lengths {
    most: Arc<CardMem>,
    lengths: Arc<CardMem>,
}

/// Takes `x` over.
pub(super) fn put(card: &Arc<Card>, x: &Csr, stream: Stream) -> Result<CardSparse> {
    let starts: Vec<u64> = x.indptr()[..x.rows()].iter().map(|&s| s as u64).collect();
    let counts: Vec<u32> = x
        .indptr()
        .windows(2)
        .map(|w| (w[1] - w[0]) as u32)
        .collect();
    Ok(CardSparse {
        starts: card.array_of(&starts, stream)?,
        counts: card.array_of(&counts, stream)?,
        columns: card.array_of(x.indices(), stream)?,
        values: card.array_of(x.values(), stream)?,
        rows: x.rows(),
        dims: x.cols(),
        stored: x.nnz(),
    })
}

/// Gives `x` back, its rows in order.
pub(super) fn get(card: &Card, x: &CardSparse, stream: Stream) -> Result<Csr> {
    let starts: Vec<u64> = read(card, &x.starts, x.rows, stream)?;
    let counts: Vec<u32> = read(card, &x.counts, x.rows, stream)?;
    let range = |i: usize| starts[i] as usize..starts[i] as usize + counts[i] as usize;
    let stored = (0..x.rows).map(|i| range(i).end).max().unwrap_or(0);
    let columns: Vec<u32> = read(card, &x.columns, stored, stream)?;
    let values: Vec<f64> = read(card, &x.values, stored, stream)?;
    let (mut indptr, mut indices, mut all) = (vec![0], Vec::new(), Vec::new());
    for i in 0..x.rows {
        indices.extend_from_slice(&columns[range(i)]);
        all.extend_from_slice(&values[range(i)]);
        indptr.push(indices.len());
    }
    Csr::new(x.dims, indptr, indices, all)
}

fn check(card: &Card, x: &CardSparse) -> Result<()> {
    owns(card, &x.starts, x.rows * 8)?;
    owns(card, &x.counts, x.rows * 4)?;
    owns(card, &x.columns, x.stored * 4)?;
    owns(card, &x.values, x.stored * 8)
}

fn side(x: &CardSparse, unit: &Lengths) -> Side {
    Side {
        starts: x.starts.address(),
        counts: x.counts.address(),
        columns: x.columns.address(),
        values: x.values.address(),
        most: unit.most.at(),
        lengths: unit.lengths.at(),
    }
}

fn lengths(card: &Arc<Card>, x: &CardSparse, fault: u64, stream: Stream) -> Result<Lengths> {
    let unit = Lengths {
        most: card.array::<f64>(x.rows)?,
        lengths: card.array::<f64>(x.rows)?,
    };
    if x.rows > 0 {
        let args = Args::default()
            .address(x.starts.address())
            .address(x.counts.address())
            .address(x.values.address())
            .address(unit.most.at())
            .address(unit.lengths.at())
            .address(fault)
            .int(x.rows)?;
        let how = Launch::linear(blocks(x.rows.div_ceil(THREADS))?, THREADS as u32, 0);
        // SAFETY: the arguments are those of refine_lengths: `CardSparse` holds its rows within its memory,
        // and there are two f64 a row and one word.
        unsafe { card.launch(LENGTHS, &how, args, stream) }?;
    }
    Ok(unit)
}

/// Room for the results of a launch, and the arguments that name it.
struct Results {
    rows: CardSparse,
    cursor: Arc<CardMem>,
}

impl Results {
    fn new(card: &Arc<Card>, [rows, dims, stored]: [usize; 3], stream: Stream) -> Result<Self> {
        Ok(Results {
            rows: CardSparse {
                starts: card.array::<u64>(rows)?,
                counts: card.array::<u32>(rows)?,
                columns: card.array::<u32>(stored)?,
                values: card.array::<f64>(stored)?,
                rows,
                dims,
                stored,
            },
            cursor: card.array_of(&[0u64], stream)?,
        })
    }

    fn add_to(&self, args: Args) -> Result<Args> {
        args.address(self.rows.starts.address())
            .address(self.rows.counts.address())
            .address(self.rows.columns.address())
            .address(self.rows.values.address())
            .address(self.cursor.at())
            .int(self.rows.rows)
    }
}

/// Blocks of warps that take row after row.
fn grid(card: &Card, rows: usize, most: usize) -> usize {
    let fill = card.driver.info().multiprocessors as usize * 8;
    fill.min(most).clamp(1, rows.div_ceil(WARPS))
}

/// As [`Fusion::mix`](crate::device::Fusion::mix).
pub(super) fn mix(
    card: &Arc<Card>,
    own: &CardSparse,
    others: Option<&CardSparse>,
    lists: &CardLists,
    how: &Mixing,
    stream: Stream,
) -> Result<CardSparse> {
    let op = how.name();
    let right = others.unwrap_or(own);
    check(card, own)?;
    check(card, right)?;
    check_shapes(op, [own.rows, own.dims], [right.rows, right.dims], lists)?;
    if own.rows == 0 {
        return Ok(Results::new(card, [0, own.dims, 0], stream)?.rows);
    }
    let faults = Faults::new(card, stream)?;
    let left_unit = lengths(card, own, faults.at(OWN), stream)?;
    let right_unit = others
        .map(|others| lengths(card, others, faults.at(OTHERS), stream))
        .transpose()?;
    let right_unit = right_unit.as_ref().unwrap_or(&left_unit);
    let (same, sides) = (others.is_none(), [own.rows, right.rows]);
    let present = right_unit.most.at();
    let chosen = choose(card, lists, present, sides, same, how, &faults, stream)?;
    let totals = card.array_of(&[0u64; 2], stream)?;
    let args = Args::default()
        .address(own.counts.address())
        .address(left_unit.most.at())
        .address(right.counts.address())
        .address(chosen.rows.at())
        .address(chosen.counts.at())
        .long(chosen.width)
        .address(totals.at())
        .int(own.rows)?;
    let each = Launch::linear(blocks(own.rows.div_ceil(THREADS))?, THREADS as u32, 0);
    // SAFETY: the arguments are those of refine_terms: counts and largest values of both sides, what
    // `choose` left (neighbours within the other side alone), and two numbers.
    unsafe { card.launch(TERMS, &each, args, stream) }?;
    let names = match same {
        true => ["the rows", "the rows"],
        false => ["the queries", "the gallery"],
    };
    faults.check(card, op, names, stream)?;
    let mut terms = [0u64; 2];
    card.read(&totals, &mut terms, stream)?;

    let [stored, room] = terms.map(|n| n as usize);
    let out = Results::new(card, [own.rows, own.dims, stored], stream)?;
    let grid = grid(card, own.rows, SCRATCH / (WARPS * TERM * room.max(1)));
    let columns = card.array::<u32>(grid * WARPS * room)?;
    let values = card.array::<f64>(grid * WARPS * room)?;
    let table = [side(own, &left_unit), side(right, right_unit)];
    let table = card.array_of(&table, stream)?;
    let args = Args::default()
        .address(table.at())
        .address(chosen.rows.at())
        .address(chosen.weights.at())
        .address(chosen.counts.at())
        .address(chosen.totals.at())
        .long(chosen.width)
        .address(columns.at())
        .address(values.at())
        .long(room);
    let how = Launch::linear(blocks(grid)?, 32 * WARPS as u32, 0);
    // SAFETY: the arguments are those of refine_mix_sparse: both sides with their lengths, what `choose`
    // left, room for the longest row's terms for each warp, and for all rows' terms in the result.
    unsafe { card.launch(MIX, &how, out.add_to(args)?, stream) }?;
    Ok(out.rows)
}

/// As [`Fusion::concat`](crate::device::Fusion::concat).
pub(super) fn concat(
    card: &Arc<Card>,
    parts: &[(&CardSparse, f64)],
    stream: Stream,
) -> Result<CardSparse> {
    let rows = parts.first().map_or(0, |(x, _)| x.rows);
    check_rows("concat", rows)?;
    let columns = parts
        .iter()
        .fold(0usize, |sum, (x, _)| sum.saturating_add(x.dims));
    if columns > MAX_FEATURES {
        let message = format!("{columns} columns are more than {MAX_FEATURES}");
        return Err(Error::limit(message).op("concat"));
    }
    let (mut table, mut held, mut before) = (Vec::new(), Vec::new(), 0);
    for &(x, weight) in parts {
        check(card, x)?;
        let faults = Faults::new(card, stream)?;
        let unit = lengths(card, x, faults.at(OWN), stream)?;
        table.push(Part {
            x: side(x, &unit),
            weight,
            before,
        });
        before += x.dims as i64;
        held.push((faults, unit));
    }
    let stored = parts.iter().map(|(x, _)| x.stored).sum();
    let out = Results::new(card, [rows, columns, stored], stream)?;
    if rows > 0 {
        let parts = card.array_of(&table, stream)?;
        let args = Args::default().address(parts.at()).int(table.len())?;
        let grid = grid(card, rows, usize::MAX);
        let how = Launch::linear(blocks(grid)?, 32 * WARPS as u32, 0);
        // SAFETY: the arguments are those of refine_concat_sparse: each part's rows with their lengths, and
        // room for all their values.
        unsafe { card.launch(CONCAT, &how, out.add_to(args)?, stream) }?;
    }
    for (m, (faults, _)) in held.iter().enumerate() {
        let name = format!("part {}", m + 1);
        faults.check(card, "concat", [&name, &name], stream)?;
    }
    Ok(out.rows)
}
