//! Times of one device, with its caches overwritten before each round.

use std::sync::Arc;
use std::time::Instant;

use super::cases::{Case, Work};
use super::fill;
use super::floor::Floor;
use super::record::Measured;
use super::search::Ready;
use crate::device::gpu::driver::Driver;
use crate::device::{
    Act, Buf, CpuDevice, DType, Desc, Device, GpuDevice, Op, Precision, Stream, Support, alloc,
    bytes_of, open,
};
use crate::error::{Error, Kind, Result};
use crate::lists::Lists;

/// A device to measure.
pub struct Bench {
    /// The device.
    pub device: Arc<dyn Device>,
    /// The same, where it is a card.
    pub card: Option<Arc<GpuDevice>>,
    /// How often each case is timed.
    pub rounds: usize,
    /// How values are stored on it.
    pub precision: Precision,
    /// What is overwritten before each round, more than the caches hold; none on the simulated card.
    flush: Option<[Buf; 2]>,
}

/// Bytes that are overwritten: the second-level cache of an H200 has 50 MB, a large processor's
/// last-level cache some hundred.
const CARD_CACHE: usize = 256 << 20;
const CPU_CACHE: usize = 128 << 20;

impl Bench {
    /// Opens the device that `name` stands for, as [`open`] does: half precision on cards, single on
    /// the CPU.
    ///
    /// # Errors
    /// As [`open`]; too little memory.
    pub fn open(name: &str, rounds: usize) -> Result<Bench> {
        let card = card(name)?;
        let device: Arc<dyn Device> = match &card {
            Some(card) => card.clone(),
            None if name == "auto" => Arc::new(CpuDevice::default()),
            None => open(name)?,
        };
        let precision = device.storage();
        let bytes = match device.info().kind {
            "cuda" => CARD_CACHE,
            "simt" => 0,
            _ => CPU_CACHE,
        };
        let half = || alloc(&*device, Desc::new(&[bytes / 8], DType::F32));
        let flush = match bytes {
            0 => None,
            _ => Some([half()?, half()?]),
        };
        if let Some([from, _]) = &flush {
            let values: Vec<f32> = fill::spread(from.desc.len(), 9).collect();
            device.upload(&bytes_of(&values, DType::F32), from, Stream::DEFAULT)?;
        }
        Ok(Bench {
            device,
            card,
            rounds: rounds.max(1),
            precision,
            flush,
        })
    }

    /// Measures one case; `Err` inside says why this device does not run it.
    ///
    /// # Errors
    /// Too little memory, or a failing device.
    pub fn measure(&self, case: &Case) -> Result<Measured> {
        let floor = Floor::of(&self.device.info().name, self.precision);
        let mut measured = Measured::of(case, self, floor)?;
        let seconds = match &case.work {
            Work::Op(op, ins) => {
                if let Support::No(why) = self.device.supports(op, ins) {
                    measured.refused = Some(why.to_string());
                    return Ok(measured);
                }
                self.op(op, ins)?
            }
            &Work::TopK { rows, dims, k } => match self.topk(rows, dims, k) {
                Err(e) if e.kind() == Kind::Unsupported => {
                    measured.refused = Some(e.message().to_string());
                    return Ok(measured);
                }
                other => other?,
            },
            &Work::Search(search) => {
                let ready = Ready::new(search)?;
                let run = self.times(&mut || ready.run(&*self.device).map(|_| ()));
                match run {
                    Err(e) if e.kind() == Kind::Unsupported => {
                        measured.refused = Some(e.message().to_string());
                        return Ok(measured);
                    }
                    other => other?,
                }
            }
            &Work::Sweep { rows, spaces } => match self.sweep(rows, spaces) {
                Err(e) if e.kind() == Kind::Unsupported => {
                    measured.refused = Some(e.message().to_string());
                    return Ok(measured);
                }
                other => other?,
            },
        };
        measured.seconds = seconds;
        Ok(measured)
    }

    fn op(&self, op: &Op, ins: &[Desc]) -> Result<Vec<f64>> {
        let device = &*self.device;
        let from = fill::filled(device, op, ins)?;
        let to: Vec<Buf> = op
            .infer(ins)?
            .into_iter()
            .map(|desc| alloc(device, desc))
            .collect::<Result<_>>()?;
        let scratch = match device.workspace(op, ins) {
            0 => None,
            n => Some(alloc(device, Desc::new(&[n.div_ceil(4)], DType::F32))?),
        };
        let (from, to): (Vec<&Buf>, Vec<&Buf>) = (from.iter().collect(), to.iter().collect());
        self.times(&mut || device.run(op, &from, &to, scratch.as_ref(), Stream::DEFAULT))
    }

    fn topk(&self, rows: usize, dims: usize, k: usize) -> Result<Vec<f64>> {
        let x = alloc(&*self.device, Desc::new(&[rows, dims], DType::F32))?;
        let values: Vec<f32> = fill::spread(rows * dims, 5).collect();
        let bytes = bytes_of(&values, DType::F32);
        self.device.upload(&bytes, &x, Stream::DEFAULT)?;
        drop((values, bytes));
        self.times(&mut || {
            let found = self.device.topk_dense(&x, None, k, None, Stream::DEFAULT);
            found.map(|_| ())
        })
    }

    fn sweep(&self, rows: usize, spaces: usize) -> Result<Vec<f64>> {
        let (evidence, steps) = (fill::evidence(rows, spaces), fill::steps(spaces));
        let evidence: Vec<&Lists> = evidence.iter().collect();
        self.times(&mut || {
            let found = self.device.sweep(&evidence, &steps, None, Stream::DEFAULT);
            found.map(|_| ())
        })
    }

    /// The seconds of each round, after one that is not counted.
    ///
    /// # Errors
    /// What `work` fails with.
    pub fn times(&self, work: &mut dyn FnMut() -> Result<()>) -> Result<Vec<f64>> {
        work()?;
        self.device.sync(Stream::DEFAULT)?;
        let mut seconds = Vec::with_capacity(self.rounds);
        for _ in 0..self.rounds {
            self.overwrite()?;
            seconds.push(self.once(work)?);
        }
        Ok(seconds)
    }

    /// One round: from an idle device to an idle device, on the card's clock where it has one, else on
    /// the host's.
    fn once(&self, work: &mut dyn FnMut() -> Result<()>) -> Result<f64> {
        if let Some(streams) = self.device.streams() {
            return streams.time(Stream::DEFAULT, work);
        }
        let start = Instant::now();
        work()?;
        self.device.sync(Stream::DEFAULT)?;
        Ok(start.elapsed().as_secs_f64())
    }

    /// Reads and writes more than the caches hold.
    fn overwrite(&self) -> Result<()> {
        if let Some([from, to]) = &self.flush {
            let copy = Op::Activation(Act::None);
            self.device
                .run(&copy, &[from], &[to], None, Stream::DEFAULT)?;
        }
        self.device.sync(Stream::DEFAULT)
    }
}

/// The card that a name stands for; `auto` is the first, or none.
fn card(name: &str) -> Result<Option<Arc<GpuDevice>>> {
    let of = |driver: Arc<dyn Driver>| Arc::new(GpuDevice::new(driver));
    if name == "simt" {
        let driver = crate::device::gpu::driver_simt::SimtDriver::from_env()?;
        return Ok(driver.map(|driver| of(Arc::new(driver))));
    }
    real(name).map(|driver| driver.map(of))
}

#[cfg(feature = "cuda")]
fn real(name: &str) -> Result<Option<Arc<dyn Driver>>> {
    use crate::device::gpu::{CudaDriver, probe};
    let ordinal = match name.strip_prefix("cuda") {
        None if name == "auto" && probe(0).is_ok() => 0,
        None => return Ok(None),
        Some("") => 0,
        Some(rest) => match rest.strip_prefix(':').and_then(|n| n.parse().ok()) {
            Some(ordinal) => ordinal,
            // `open` says what is wrong with it.
            None => return Ok(None),
        },
    };
    probe(ordinal).map_err(|reason| {
        Error::unsupported(format!("--device {name}: {reason}"))
            .mend("use --device cpu, or auto for the best there is")
    })?;
    Ok(Some(Arc::new(CudaDriver::open(ordinal)?)))
}

#[cfg(not(feature = "cuda"))]
fn real(name: &str) -> Result<Option<Arc<dyn Driver>>> {
    match name.starts_with("cuda") {
        true => Err(Error::unsupported(format!(
            "--device {name}: this build knows no cards"
        ))),
        false => Ok(None),
    }
}

/// The middle of some times; of an even number the lower of the two. 0 for none.
pub fn median(times: &[f64]) -> f64 {
    let mut sorted = times.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len().saturating_sub(1) / 2;
    sorted.get(middle).copied().unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), 2.0);
        assert_eq!(median(&[]), 0.0);
    }
}
