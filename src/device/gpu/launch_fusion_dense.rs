//! Expansion, blending and concatenation of dense rows: `kernels/fusion/refine_*.cu`.

use std::sync::Arc;

use bytemuck::{Pod, Zeroable};

use super::driver::{Kernel, Launch, Stream};
use super::launch::{Args, blocks};
use super::launch_fusion::{check_rows, kernel};
use super::memory::{Card, CardMem};
use crate::device::desc::{Buf, DType, Desc};
use crate::device::fusion::{CardLists, Mixing};
use crate::error::{Error, Result};
use crate::limits::MAX_DIMS;

const SCALE: Kernel = kernel("refine_scale");
const EXPAND: Kernel = kernel("refine_choose_expand");
const BLEND: Kernel = kernel("refine_choose_blend");
const MIX: Kernel = kernel("refine_mix");
const CONCAT: Kernel = kernel("refine_concat");
pub(super) const KERNELS: [Kernel; 5] = [SCALE, EXPAND, BLEND, MIX, CONCAT];

const THREADS: usize = 256;
/// Half a warp: `LANES` of the kernels.
const LANES: usize = 16;
/// `THREADS` and `CHUNK` of refine_dense.cu.
const MIX_THREADS: u32 = 128;
const CHUNK: usize = 4096;

/// What the kernels found wrong: the first row of each kind, or all ones.
pub(super) struct Faults(Arc<CardMem>);

/// Places in [`Faults`]: rows of the two sides with a NaN or an infinity, then those of refine_choose.cu.
const WORDS: usize = 5;
pub(super) const OWN: usize = 0;
pub(super) const OTHERS: usize = 1;
const LISTS: usize = 2;

impl Faults {
    pub(super) fn new(card: &Arc<Card>, stream: Stream) -> Result<Self> {
        Ok(Faults(card.array_of(&[u32::MAX; WORDS], stream)?))
    }

    pub(super) fn at(&self, word: usize) -> u64 {
        self.0.at() + 4 * word as u64
    }

    /// What there is to say of rows, then of lists; `names` are what the two sides are called.
    pub(super) fn check(
        &self,
        card: &Card,
        op: &'static str,
        names: [&str; 2],
        stream: Stream,
    ) -> Result<()> {
        let mut words = [0u32; WORDS];
        card.read(&self.0, &mut words, stream)?;
        let rows = names.iter().zip(&words);
        if let Some((name, &row)) = rows.into_iter().find(|(_, row)| **row != u32::MAX) {
            return Err(
                Error::input(format!("a value of {name} is NaN or infinite"))
                    .op(op)
                    .row(u64::from(row) + 1)
                    .mend("make every value a finite number"),
            );
        }
        let what = [
            "a score is not finite",
            "a neighbour lies outside the rows",
            "neighbours are not best first, ties by lower row",
        ];
        let found = words[LISTS..].iter().zip(what);
        match found.min_by_key(|(row, _)| **row) {
            Some((&row, what)) if row != u32::MAX => Err(Error::input(what)
                .op(op)
                .row(u64::from(row) + 1)
                .mend("give lists as doppel's searches make them")),
            _ => Ok(()),
        }
    }
}

/// The rows that are added to each row.
pub(super) struct Chosen {
    pub(super) rows: Arc<CardMem>,
    pub(super) weights: Arc<CardMem>,
    pub(super) counts: Arc<CardMem>,
    pub(super) totals: Arc<CardMem>,
    pub(super) width: usize,
}

/// Checks the shapes of a mix as `refine` does.
pub(super) fn check_shapes(
    op: &'static str,
    own: [usize; 2],
    others: [usize; 2],
    lists: &CardLists,
) -> Result<()> {
    check_rows(op, own[0].max(others[0]))?;
    if own[1] != others[1] {
        let error = Error::shape(op, &own, &others);
        return Err(error.mend("give queries and gallery rows of one space"));
    }
    if lists.len != own[0] {
        let error = Error::shape(op, &own, &[lists.len]);
        return Err(error.mend("give one list of neighbours for each row"));
    }
    Ok(())
}

/// Chooses what is added to each of `rows` rows, from `others` rows of which those are there that have a
/// number above 0 at `present`.
#[expect(
    clippy::too_many_arguments,
    reason = "the two sides, the lists and where it goes, of one launch"
)]
pub(super) fn choose(
    card: &Arc<Card>,
    lists: &CardLists,
    present: u64,
    [rows, others]: [usize; 2],
    same: bool,
    how: &Mixing,
    faults: &Faults,
    stream: Stream,
) -> Result<Chosen> {
    let width = match how {
        Mixing::Expand { most, .. } => lists.width.min(*most),
        Mixing::Blend { .. } => lists.width,
    };
    let chosen = Chosen {
        rows: card.array::<u32>(rows * width)?,
        weights: card.array::<f64>(rows * width)?,
        counts: card.array::<u32>(rows)?,
        totals: card.array::<f64>(rows)?,
        width,
    };
    let args = Args::default()
        .address(lists.rows.address())
        .address(lists.scores.address())
        .address(lists.starts.as_ref().map_or(0, |mem| mem.address()))
        .address(lists.counts.address())
        .long(lists.width)
        .address(present)
        .address(chosen.rows.at())
        .address(chosen.weights.at())
        .address(chosen.counts.at())
        .address(chosen.totals.at())
        .long(width)
        .address(faults.at(LISTS))
        .int(rows)?
        .int(others)?
        .int(usize::from(same))?;
    let (kernel, args) = match *how {
        Mixing::Expand { alpha, .. } => (EXPAND, args.int(width)?.double(alpha)),
        Mixing::Blend { distance, min2 } => {
            let min2 = min2.unwrap_or(f64::NEG_INFINITY);
            (BLEND, args.double(distance).double(min2))
        }
    };
    let how = Launch::linear(blocks(rows.div_ceil(THREADS))?, THREADS as u32, 0);
    // SAFETY: the arguments are those of refine_choose.cu: `CardLists` holds a list a row within its
    // memory, `present` has a number for each of the other rows, `chosen` has `width` places a row, which
    // is at least as many as a list has or as are taken, and `faults` three words from `LISTS` on.
    unsafe { card.launch(kernel, &how, args, stream) }?;
    Ok(chosen)
}

/// What makes each row of `x` a unit row.
fn scales(card: &Arc<Card>, x: &Buf, fault: u64, stream: Stream) -> Result<Arc<CardMem>> {
    let (rows, dims) = (x.desc.dims[0], x.desc.dims[1]);
    let scales = card.array::<f64>(rows)?;
    if rows > 0 {
        let args = Args::default()
            .address(x.address())
            .address(scales.at())
            .address(fault)
            .int(rows)?
            .int(dims)?;
        let how = Launch::linear(blocks((rows * LANES).div_ceil(THREADS))?, THREADS as u32, 0);
        // SAFETY: the arguments are those of refine_scale: rows x dims f32, a f64 a row, one word.
        unsafe { card.launch(SCALE, &how, args, stream) }?;
    }
    Ok(scales)
}

/// Refuses what is not a matrix of f32 on this card.
fn check_matrix(card: &Card, op: &'static str, x: &Buf) -> Result<()> {
    card.owns(x)?;
    let (_, dims) = x.desc.matrix(op)?;
    if x.desc.dtype != DType::F32 {
        return Err(Error::unsupported(format!("does not take {}", x.desc)).op(op));
    }
    match dims > MAX_DIMS {
        true => Err(Error::limit(format!("{} is too large", x.desc)).op(op)),
        false => Ok(()),
    }
}

/// As [`Fusion::mix`](crate::device::Fusion::mix).
pub(super) fn mix(
    card: &Arc<Card>,
    own: &Buf,
    others: Option<&Buf>,
    lists: &CardLists,
    how: &Mixing,
    stream: Stream,
) -> Result<Buf> {
    let op = how.name();
    let right = others.unwrap_or(own);
    check_matrix(card, op, own)?;
    check_matrix(card, op, right)?;
    let ([rows, dims], other_rows) = ([own.desc.dims[0], own.desc.dims[1]], right.desc.dims[0]);
    check_shapes(op, [rows, dims], [other_rows, right.desc.dims[1]], lists)?;
    let out = Buf::new(own.desc.clone(), card.array::<f32>(rows * dims)?, 0)?;
    if rows == 0 {
        return Ok(out);
    }
    let faults = Faults::new(card, stream)?;
    let left_scales = scales(card, own, faults.at(OWN), stream)?;
    let right_scales = match others {
        Some(others) => scales(card, others, faults.at(OTHERS), stream)?,
        None => Arc::clone(&left_scales),
    };
    let same = others.is_none();
    let sides = [rows, other_rows];
    let present = right_scales.at();
    let chosen = choose(card, lists, present, sides, same, how, &faults, stream)?;
    let args = Args::default()
        .address(own.address())
        .address(left_scales.at())
        .address(right.address())
        .address(right_scales.at())
        .address(chosen.rows.at())
        .address(chosen.weights.at())
        .address(chosen.counts.at())
        .address(chosen.totals.at())
        .long(chosen.width)
        .address(out.address())
        .int(dims)?;
    let launch = Launch::linear(blocks(rows)?, MIX_THREADS, 8 * (dims.min(CHUNK) + 1));
    // SAFETY: the arguments are those of refine_mix: rows x dims f32 of each side and a scale for each of
    // their rows, what `choose` left (neighbours within the other side alone), and room for the result.
    unsafe { card.launch(MIX, &launch, args, stream) }?;
    let names = match same {
        true => ["the rows", "the rows"],
        false => ["the queries", "the gallery"],
    };
    faults.check(card, op, names, stream)?;
    Ok(out)
}

/// `Part` of refine_dense.cu.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct Part {
    x: u64,
    scales: u64,
    weight: f64,
    dims: i32,
    unused: i32,
}

/// As [`Fusion::concat`](crate::device::Fusion::concat), of parts that [`check_parts`] let pass.
pub(super) fn concat(card: &Arc<Card>, parts: &[(&Buf, f64)], stream: Stream) -> Result<Buf> {
    let rows = parts.first().map_or(0, |(x, _)| x.desc.dims[0]);
    check_rows("concat", rows)?;
    let mut columns = 0usize;
    for (x, _) in parts {
        check_matrix(card, "concat", x)?;
        columns += x.desc.dims[1];
    }
    if columns > MAX_DIMS {
        let message = format!("{columns} columns are more than {MAX_DIMS}");
        return Err(Error::limit(message).op("concat"));
    }
    let desc = Desc::new(&[rows, columns], DType::F32);
    let out = Buf::new(desc, card.array::<f32>(rows * columns)?, 0)?;
    if rows == 0 {
        return Ok(out);
    }
    let (mut table, mut held) = (Vec::new(), Vec::new());
    for &(x, weight) in parts {
        let faults = Faults::new(card, stream)?;
        let scales = scales(card, x, faults.at(OWN), stream)?;
        table.push(Part {
            x: x.address(),
            scales: scales.at(),
            weight,
            dims: x.desc.dims[1] as i32,
            unused: 0,
        });
        held.push((faults, scales));
    }
    let parts = card.array_of(&table, stream)?;
    let args = Args::default()
        .address(parts.at())
        .address(out.address())
        .int(rows)?
        .int(table.len())?
        .int(columns)?;
    let how = Launch::linear(blocks(rows.div_ceil(THREADS / 32))?, THREADS as u32, 0);
    // SAFETY: the arguments are those of refine_concat: for each part its rows x dims f32 and a scale a
    // row, and room for all their columns.
    unsafe { card.launch(CONCAT, &how, args, stream) }?;
    for (m, (faults, _)) in held.iter().enumerate() {
        let name = format!("part {}", m + 1);
        faults.check(card, "concat", [&name, &name], stream)?;
    }
    Ok(out)
}
