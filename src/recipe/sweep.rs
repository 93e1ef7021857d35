//! The sweep of a rule on a card.

use crate::device::{Device, Stream, SweepSteps};
use crate::error::Result;
use crate::lists::Lists;
use crate::matching::{Firing, Steps, Sweeper};

/// Runs sweeps on the device that it holds.
pub(crate) struct OnCard<'a>(pub &'a dyn Device);

impl Sweeper for OnCard<'_> {
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
        let firing = |f: crate::device::Fired| Firing {
            row: f.row,
            source: f.source,
            score: f.score,
            threshold: f.threshold,
        };
        Ok(fired
            .into_iter()
            .map(|row| row.into_iter().map(firing).collect())
            .collect())
    }
}
