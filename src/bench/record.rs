//! One measured case, and the rates that follow from its time.

use super::cases::{Case, Work};
use super::floor::Floor;
use super::time::{Bench, median};
use crate::device::gpu::driver::Kernel;
use crate::device::{GpuDevice, Op};
use crate::error::Result;

/// What was measured of a case.
#[derive(Debug, Clone, PartialEq)]
pub struct Measured {
    /// As [`Case::name`].
    pub name: String,
    /// The family of kernels that ran, as the folder of `kernels/` is called; on the CPU the
    /// operation's name.
    pub family: String,
    /// The kernels that ran, where the device tells.
    pub kernels: Vec<&'static str>,
    /// Who asks for it, and how often in one run.
    pub uses: Vec<(String, usize)>,
    /// Floating-point operations.
    pub flops: u64,
    /// Bytes, each value once.
    pub bytes: u64,
    /// Of each round.
    pub seconds: Vec<f64>,
    /// The least time on this card, where that is known.
    pub floor: Option<f64>,
    /// Why this device does not run it.
    pub refused: Option<String>,
}

impl Measured {
    /// A case that is to be measured.
    pub(super) fn of(case: &Case, bench: &Bench, floor: Option<Floor>) -> Result<Measured> {
        let (flops, bytes) = case.work.cost()?;
        let card = bench.card.as_deref();
        let kernels = kernels(card, &case.work);
        Ok(Measured {
            name: case.name.clone(),
            family: family(card, &case.work).to_string(),
            kernels: kernels.iter().map(|kernel| kernel.symbol).collect(),
            uses: case.uses.clone(),
            flops,
            bytes,
            seconds: Vec::new(),
            floor: floor.map(|floor| floor.seconds(flops, bytes)),
            refused: None,
        })
    }

    /// Microseconds of the median round.
    pub fn microseconds(&self) -> f64 {
        1e6 * median(&self.seconds)
    }

    /// Tera floating-point operations a second.
    pub fn tflops(&self) -> f64 {
        rate(self.flops, median(&self.seconds)) / 1e12
    }

    /// Gigabytes a second.
    pub fn gbps(&self) -> f64 {
        rate(self.bytes, median(&self.seconds)) / 1e9
    }

    /// The floor's time over the time: 1 is as fast as the card could be.
    pub fn share(&self) -> Option<f64> {
        let time = median(&self.seconds);
        self.floor.filter(|_| time > 0.0).map(|floor| floor / time)
    }
}

fn rate(count: u64, seconds: f64) -> f64 {
    if seconds > 0.0 {
        count as f64 / seconds
    } else {
        0.0
    }
}

/// The kernels that run a piece of work on a card.
fn kernels(card: Option<&GpuDevice>, work: &Work) -> Vec<Kernel> {
    match (card, work) {
        (Some(card), Work::Op(op, ins)) => card.kernels(op, ins),
        _ => Vec::new(),
    }
}

/// The family of kernels that runs a piece of work; without a card, or where it has none for it, the
/// name of the operation.
pub fn family(card: Option<&GpuDevice>, work: &Work) -> &'static str {
    match work {
        Work::TopK { .. } | Work::Search(_) => "neighbours",
        Work::Sweep { .. } => "fusion",
        Work::Op(op, _) => kernels(card, work)
            .first()
            .map_or_else(|| Op::name(op), |kernel| kernel.family),
    }
}
