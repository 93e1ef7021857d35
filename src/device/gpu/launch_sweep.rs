//! The threshold sweep: `kernels/fusion/threshold_sweep.cu`.

use std::sync::Arc;

use super::driver::{Kernel, Launch, Stream};
use super::launch::{Args, blocks};
use super::memory::Card;
use crate::device::api::{Fired, SweepSteps};
use crate::error::{Error, Result};
use crate::limits::MAX_CARD_SWEEP;
use crate::lists::Lists;

pub(super) const KERNEL: Kernel = Kernel {
    family: "fusion",
    symbol: "threshold_sweep",
};

/// What the kernel writes for a row that no step has a match for.
const NEVER: u32 = u32::MAX;

const THREADS: usize = 256;

/// The lists of all modalities one after the other, as the kernel reads them, without the rows that
/// may not match.
struct Packed {
    offsets: Vec<u64>,
    rows: Vec<u32>,
    scores: Vec<f64>,
}

/// The tables of all modalities one after the other, and where each starts.
struct Tables {
    thresholds: Vec<f64>,
    starts: Vec<i32>,
}

/// As [`Device::sweep`](crate::device::Device::sweep).
pub(super) fn sweep(
    card: &Arc<Card>,
    evidence: &[&Lists],
    steps: &[SweepSteps],
    unable: Option<&[bool]>,
    stream: Stream,
) -> Result<Vec<Vec<Fired>>> {
    let rows = check(evidence, steps, unable)?;
    let tables = tables(steps)?;
    if rows == 0 {
        return Ok(Vec::new());
    }
    let packed = pack(evidence, unable, rows);
    let (ends, last) = run(card, &packed, &tables, rows, evidence.len(), stream)?;
    Ok((0..rows)
        .map(|row| match last[row] {
            NEVER => Vec::new(),
            step => packed.fired(
                row,
                rows,
                &ends[row * steps.len()..][..steps.len()],
                steps,
                step,
            ),
        })
        .collect())
}

/// Checks that everything goes together; gives the number of rows.
fn check(evidence: &[&Lists], steps: &[SweepSteps], unable: Option<&[bool]>) -> Result<usize> {
    if evidence.len() != steps.len() {
        return Err(Error::shape("sweep", &[evidence.len()], &[steps.len()])
            .mend("give steps for each modality"));
    }
    if evidence.is_empty() || evidence.len() > MAX_CARD_SWEEP {
        let message = format!(
            "{} modalities are not 1 to {MAX_CARD_SWEEP}",
            evidence.len()
        );
        return Err(Error::unsupported(message).op("sweep"));
    }
    let rows = evidence[0].len();
    let lengths = evidence.iter().map(|lists| lists.len());
    match lengths
        .chain(unable.map(<[bool]>::len))
        .find(|&n| n != rows)
    {
        Some(other) => Err(Error::shape("sweep", &[rows], &[other])),
        None => Ok(rows),
    }
}

fn tables(steps: &[SweepSteps]) -> Result<Tables> {
    let (mut thresholds, mut starts) = (Vec::new(), vec![0]);
    for steps in steps {
        thresholds.extend(steps.table()?);
        // At most MAX_CARD_SWEEP tables of MAX_SWEEP_STEPS and two more.
        starts.push(thresholds.len() as i32);
    }
    Ok(Tables { thresholds, starts })
}

fn pack(evidence: &[&Lists], unable: Option<&[bool]>, rows: usize) -> Packed {
    let pairs = evidence.iter().map(|lists| lists.pairs()).sum();
    let mut packed = Packed {
        offsets: Vec::with_capacity(evidence.len() * (rows + 1)),
        rows: Vec::with_capacity(pairs),
        scores: Vec::with_capacity(pairs),
    };
    let able = |row: usize| unable.is_none_or(|unable| unable.get(row) != Some(&true));
    for lists in evidence {
        packed.offsets.push(packed.rows.len() as u64);
        for (i, list) in lists.iter().enumerate() {
            if able(i) {
                for (row, score) in list.iter().filter(|&(row, _)| able(row as usize)) {
                    packed.rows.push(row);
                    packed.scores.push(score);
                }
            }
            packed.offsets.push(packed.rows.len() as u64);
        }
    }
    packed
}

impl Packed {
    /// The first `ends[m]` neighbours of each list of `row`, but for the row itself.
    fn fired(
        &self,
        row: usize,
        rows: usize,
        ends: &[u32],
        steps: &[SweepSteps],
        step: u32,
    ) -> Vec<Fired> {
        let mut fired = Vec::new();
        for (m, (&end, steps)) in ends.iter().zip(steps).enumerate() {
            let start = self.offsets[m * (rows + 1) + row] as usize;
            let threshold = 1.0 - steps.at(step);
            for i in (start..start + end as usize).filter(|&i| self.rows[i] as usize != row) {
                fired.push(Fired {
                    row: self.rows[i],
                    source: m as u16,
                    score: self.scores[i],
                    threshold,
                });
            }
        }
        fired
    }
}

/// How far each row's matches reach in each list, and at which step each row's sweep ended.
fn run(
    card: &Arc<Card>,
    packed: &Packed,
    tables: &Tables,
    rows: usize,
    modalities: usize,
    stream: Stream,
) -> Result<(Vec<u32>, Vec<u32>)> {
    let offsets = card.array_of(&packed.offsets, stream)?;
    let neighbours = card.array_of(&packed.rows, stream)?;
    let scores = card.array_of(&packed.scores, stream)?;
    let thresholds = card.array_of(&tables.thresholds, stream)?;
    let starts = card.array_of(&tables.starts, stream)?;
    let (ends, last) = (
        card.array::<u32>(rows * modalities)?,
        card.array::<u32>(rows)?,
    );
    let args = [
        &offsets,
        &neighbours,
        &scores,
        &thresholds,
        &starts,
        &ends,
        &last,
    ]
    .iter()
    .fold(Args::default(), |args, array| args.address(array.at()))
    .int(rows)?
    .int(modalities)?;
    let how = Launch::linear(blocks(rows.div_ceil(THREADS / 32))?, THREADS as u32, 0);
    // SAFETY: the arguments are those of kernels/fusion/threshold_sweep.cu; `pack` made rows + 1
    // ascending offsets for each modality, the last of each at most the number of neighbours and
    // scores, `tables` one ascending table each, and the results have rows x modalities and rows u32.
    unsafe { card.launch(KERNEL, &how, args, stream) }?;
    let (mut all_ends, mut all_last) = (vec![0u32; rows * modalities], vec![0u32; rows]);
    card.read(&ends, &mut all_ends, stream)?;
    card.read(&last, &mut all_last, stream)?;
    Ok((all_ends, all_last))
}
