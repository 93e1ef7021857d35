//! Rules on a card.

use super::program::program;
use crate::device::{Device, Fired, FiredRows, Stream, SweepSteps};
use crate::error::{Kind, Result};
use crate::lists::Lists;
use crate::matching::{Firing, Rule, Steps, Sweeper};

/// Runs rules, and sweeps of those that it cannot run whole, on the device that it holds.
pub(crate) struct OnCard<'a>(pub &'a dyn Device);

impl Sweeper for OnCard<'_> {
    fn fire(
        &self,
        evidence: &[&Lists],
        rule: &Rule,
        unable: Option<&[bool]>,
        cap: usize,
        row: &mut dyn FnMut(&[Firing]),
    ) -> Result<bool> {
        let fired = || {
            let card = self.0.fusion()?;
            let program = program(rule, evidence.len())?;
            let lists = evidence.iter().map(|l| card.lists(l, Stream::DEFAULT));
            let lists = lists.collect::<Result<Vec<_>>>()?;
            let sources: Vec<_> = lists.iter().collect();
            card.fire(&program, &sources, unable, cap, Stream::DEFAULT)
        };
        let fired = match fired() {
            Err(e) if e.kind() == Kind::Unsupported => return Ok(false),
            fired => fired?,
        };
        firings(&fired).for_each(|fired| row(&fired));
        Ok(true)
    }

    fn sweep(
        &self,
        evidence: &[&Lists],
        steps: &[Steps],
        unable: Option<&[bool]>,
    ) -> Result<Vec<Vec<Firing>>> {
        let steps: Vec<SweepSteps> = steps
            .iter()
            .map(|s| SweepSteps {
                low: s.low,
                high: s.high,
                step: s.step,
            })
            .collect();
        let fired = self.0.sweep(evidence, &steps, unable, Stream::DEFAULT)?;
        Ok(fired
            .into_iter()
            .map(|row| row.into_iter().map(firing).collect())
            .collect())
    }
}

/// What a card fired, row by row.
pub(super) fn firings(fired: &FiredRows) -> impl Iterator<Item = Vec<Firing>> + '_ {
    let row = |i| fired.row(i).iter().map(|&f| firing(f)).collect();
    (0..fired.len()).map(row)
}

fn firing(f: Fired) -> Firing {
    Firing {
        row: f.row,
        source: f.source,
        score: f.score,
        threshold: f.threshold,
    }
}
