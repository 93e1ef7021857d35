//! A device: where the operations of the catalogue run.

use std::any::Any;
use std::sync::Arc;

use super::desc::{Buf, Desc, Mem};
use super::fusion::Fusion;
use super::gpu::driver::Stream;
use super::lower::Precision;
use super::op::Op;
use super::pictures::Pictures;
use super::spaces::{FusedFound, FusedSearch, SparseSearch};
use super::streams::Streams;
use crate::error::{Error, Result};
use crate::limits::{MAX_SWEEP_STEPS, MIN_SWEEP_STEP};
use crate::lists::Lists;

/// What a device says of itself.
#[derive(Debug, Clone, PartialEq)]
pub struct DeviceInfo {
    /// `naive`, `cpu`, `cuda` or `simt`.
    pub kind: &'static str,
    /// The name for people.
    pub name: String,
}

impl DeviceInfo {
    /// Whether its memory is apart from the process's: a real card or the simulated one.
    pub fn is_card(&self) -> bool {
        matches!(self.kind, "cuda" | "simt")
    }
}

/// Whether a device runs an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Support {
    /// As it stands.
    Native,
    /// After [`Op::unfuse`].
    Unfuse,
    /// Not at all, and why.
    No(&'static str),
}

/// The distance thresholds of one swept modality: `min(low + t * step, high)` at step `t`
/// (Tan, section 3.3).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SweepSteps {
    /// The threshold of step 0.
    pub low: f64,
    /// What no step goes beyond.
    pub high: f64,
    /// How far a step moves; any number from 0 when `low` is `high`.
    pub step: f64,
}

impl SweepSteps {
    /// The threshold of step `t`.
    pub fn at(&self, t: u32) -> f64 {
        (self.low + f64::from(t) * self.step).min(self.high)
    }

    /// The thresholds of all steps, up to the first that is `high`. They never fall.
    ///
    /// # Errors
    /// [`Kind::Input`](crate::error::Kind::Input) for a threshold that is not finite or above
    /// `high`, and a step below [`MIN_SWEEP_STEP`] or too small to arrive within
    /// [`MAX_SWEEP_STEPS`].
    pub fn table(&self) -> Result<Vec<f64>> {
        let SweepSteps { low, high, step } = *self;
        let bad = |what: String| Err(Error::input(what).op("sweep"));
        if !(low.is_finite() && high.is_finite() && low <= high) {
            return bad(format!("a sweep goes from {low} to {high}"));
        }
        if !step.is_finite() || step < 0.0 {
            return bad(format!("a sweep's step is {step}"));
        }
        let far = step < MIN_SWEEP_STEP || (high - low) / step > f64::from(MAX_SWEEP_STEPS);
        if low < high && far {
            return bad(format!(
                "a sweep's step of {step} is too small to get from {low} to {high}"
            ));
        }
        let mut table = vec![self.at(0)];
        for t in 1..=MAX_SWEEP_STEPS.saturating_add(1) {
            if table.last().is_none_or(|&last| last >= high) {
                break;
            }
            table.push(self.at(t));
        }
        Ok(table)
    }
}

/// A neighbour that a sweep found near enough, and by which evidence.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Fired {
    /// The neighbour.
    pub row: u32,
    /// The place of the evidence among the sweep's modalities.
    pub source: u16,
    /// The similarity that the evidence gives the pair.
    pub score: f64,
    /// The similarity that had to be passed: 1 - the distance threshold of the last step.
    pub threshold: f64,
}

/// What a device chose for one operation on inputs of some shapes, so that its runs need not choose again.
#[derive(Clone, Default)]
pub struct Chosen {
    /// Bytes of scratch memory that its runs want.
    pub workspace: usize,
    /// What the device alone knows.
    pub(super) how: Option<Arc<dyn Any + Send + Sync>>,
}

/// Where arithmetic runs. Takes buffers and a stream, never host slices but to upload and download; what
/// searches and sweeps over lists, sparse rows and hashes read, they take as it stands on the host.
pub trait Device: Send + Sync {
    /// What it is.
    fn info(&self) -> &DeviceInfo;

    /// Whether it runs `op` on these inputs.
    fn supports(&self, op: &Op, ins: &[Desc]) -> Support;

    /// Allocates `bytes` of this device's memory, aligned to 256.
    ///
    /// # Errors
    /// [`Kind::Limit`](crate::error::Kind::Limit) when there is not so much left.
    fn alloc(&self, bytes: usize) -> Result<Arc<dyn Mem>>;

    /// Copies host bytes into a buffer of the same size.
    ///
    /// # Errors
    /// The sizes differ, the buffer is of another device, or the device fails.
    fn upload(&self, from: &[u8], to: &Buf, stream: Stream) -> Result<()>;

    /// Copies a buffer to host bytes of the same size, and waits for them.
    ///
    /// # Errors
    /// The sizes differ, the buffer is of another device, or the device fails.
    fn download(&self, from: &Buf, to: &mut [u8], stream: Stream) -> Result<()>;

    /// Bytes of scratch memory that `op` wants on these inputs.
    fn workspace(&self, _op: &Op, _ins: &[Desc]) -> usize {
        0
    }

    /// Bytes of weight `at` of `op` in this device's own layout, where it has one: see
    /// [`Device::pack`].
    fn packed(&self, _op: &Op, _ins: &[Desc], _at: usize) -> Option<usize> {
        None
    }

    /// Fills `to` ([`Buf::packed`](Buf::packed)) with weight `at` of `op` in this device's own layout.
    /// `row(i, out)` writes row i of the published weight: its first dimension; rows are asked for
    /// once each, in order, so that a whole second copy never stands in memory.
    ///
    /// # Errors
    /// What `row` fails with; [`Kind::Unsupported`](crate::error::Kind::Unsupported) where
    /// [`Device::packed`] gives nothing.
    fn pack(
        &self,
        op: &Op,
        _ins: &[Desc],
        _at: usize,
        _row: &mut dyn FnMut(usize, &mut [f32]) -> Result<()>,
        _to: &Buf,
    ) -> Result<()> {
        let name = &self.info().name;
        Err(Error::unsupported(format!("{name} has no layout of its own")).op(op.name()))
    }

    /// Runs one operation. Outputs overlap neither each other nor the inputs.
    ///
    /// # Errors
    /// What [`Op::infer`] says of the inputs; outputs of another shape; an operation that
    /// [`Device::supports`] does not call native; a failing device.
    fn run(
        &self,
        op: &Op,
        ins: &[&Buf],
        outs: &[&Buf],
        workspace: Option<&Buf>,
        stream: Stream,
    ) -> Result<()>;

    /// Chooses for all later runs of `op` on such inputs; `packed` says which of them are in this device's own
    /// layout ([`Device::pack`]).
    fn choose(&self, op: &Op, ins: &[Desc], _packed: &[bool]) -> Chosen {
        Chosen {
            workspace: self.workspace(op, ins),
            how: None,
        }
    }

    /// As [`Device::run`], by what [`Device::choose`] chose; on other inputs than it was asked for, as if it
    /// had not been asked.
    ///
    /// # Errors
    /// As [`Device::run`].
    fn run_chosen(
        &self,
        _chosen: &Chosen,
        op: &Op,
        ins: &[&Buf],
        outs: &[&Buf],
        workspace: Option<&Buf>,
        stream: Stream,
    ) -> Result<()> {
        self.run(op, ins, outs, workspace, stream)
    }

    /// For each row of `queries` its `k` best rows of `gallery` (without one, of `queries`, itself
    /// included) by cosine, best first. Both are f32 `[rows, dims]`, unit rows or not; rows of zeros
    /// have no neighbours and are nobody's. With `min_score`, only neighbours with at least that.
    ///
    /// The scores and the order are those of a brute force over all pairs in f64, with the dot
    /// product's additions in the order of `cpu::dot`: the same to the bit on every device.
    ///
    /// # Errors
    /// [`Kind::Input`](crate::error::Kind::Input) for `k` of 0, a `min_score` of NaN, and a NaN or an
    /// infinity in a row, which is named; [`Kind::Shape`](crate::error::Kind::Shape) when the
    /// dimensions differ; [`Kind::Unsupported`](crate::error::Kind::Unsupported) where the device has
    /// no such search, or none for so many neighbours.
    fn topk_dense(
        &self,
        _queries: &Buf,
        _gallery: Option<&Buf>,
        _k: usize,
        _min_score: Option<f64>,
        _stream: Stream,
    ) -> Result<Lists> {
        let name = &self.info().name;
        Err(Error::unsupported(format!("{name} has no dense search")).op("topk"))
    }

    /// For each query its `k` best rows of the gallery (without one, of the queries, itself included) by
    /// cosine, best first: higher score, then lower row. Pairs without a common term are never listed.
    /// Products of common terms are summed in ascending order in f64, divided by
    /// `sqrt(|a|^2 |b|^2)` and clamped to -1..=1: the same to the bit on every device.
    ///
    /// # Errors
    /// [`Kind::Input`](crate::error::Kind::Input) for `k` of 0 and a `min_score` of NaN;
    /// [`Kind::Unsupported`](crate::error::Kind::Unsupported) where the device has no such search, or
    /// none for so many neighbours; [`Kind::Internal`](crate::error::Kind::Internal) for rows whose
    /// parts do not go together.
    fn topk_sparse(&self, _search: &SparseSearch<'_>, _stream: Stream) -> Result<Lists> {
        let name = &self.info().name;
        Err(Error::unsupported(format!("{name} has no sparse search")).op("topk"))
    }

    /// For each hash of `queries` its `k` nearest hashes of `gallery` (without one, of `queries`, itself
    /// included), best first: higher score, then lower row. The score is `1 - different bits / 64`. What
    /// has no hash has no neighbours and is nobody's.
    ///
    /// # Errors
    /// [`Kind::Input`](crate::error::Kind::Input) for `k` of 0 and a `min_score` of NaN;
    /// [`Kind::Unsupported`](crate::error::Kind::Unsupported) where the device has no such search, or
    /// none for so many neighbours.
    fn topk_hamming(
        &self,
        _queries: &[Option<u64>],
        _gallery: Option<&[Option<u64>]>,
        _k: usize,
        _min_score: Option<f64>,
        _stream: Stream,
    ) -> Result<Lists> {
        let name = &self.info().name;
        Err(Error::unsupported(format!("{name} has no search of hashes")).op("topk"))
    }

    /// For each query all rows of the gallery (without one, of the queries) that can be among its `k`
    /// best by one score from several spaces, with their cosines in f64, which are the same to the bit on
    /// every device. `each` gets them for some queries at a time, in order; then those of them whose
    /// candidates were too many once more, with every row of the gallery in parts.
    ///
    /// # Errors
    /// As [`Device::topk_sparse`], and what `each` fails with.
    fn topk_fused(
        &self,
        _search: &FusedSearch<'_>,
        _each: &mut dyn FnMut(&FusedFound) -> Result<()>,
        _stream: Stream,
    ) -> Result<()> {
        let name = &self.info().name;
        Err(Error::unsupported(format!("{name} has no fused search")).op("topk"))
    }

    /// The dynamic threshold: for each row, the matches of the first step `t` at which any modality
    /// has a neighbour, the row itself left out, with `1 - score` below (strictly) its threshold of
    /// that step; none where no step has one. They stand modality by modality, each as in its list.
    ///
    /// `evidence[m]` has one list a row, as searches make them: finite scores, best first. `unable`
    /// marks rows that match nothing and stand in no match.
    ///
    /// # Errors
    /// As [`SweepSteps::table`]; [`Kind::Shape`](crate::error::Kind::Shape) when the lists, steps and
    /// marks do not go together; [`Kind::Unsupported`](crate::error::Kind::Unsupported) where the
    /// device has no sweep, or none over so many modalities.
    fn sweep(
        &self,
        _evidence: &[&Lists],
        _steps: &[SweepSteps],
        _unable: Option<&[bool]>,
        _stream: Stream,
    ) -> Result<Vec<Vec<Fired>>> {
        let name = &self.info().name;
        Err(Error::unsupported(format!("{name} has no sweep")).op("sweep"))
    }

    /// Makes decoded pictures an encoder's input: picture `i` becomes the square `i` of `out`, f16 or f32
    /// `[pictures, size, size, 3]`, resampled in whole numbers as the pictures' weights say, then
    /// normalised. `staging` takes [`Pictures::bytes`] bytes and is free again when the stream has run.
    ///
    /// # Errors
    /// [`Kind::Shape`](crate::error::Kind::Shape) for an `out` of another shape;
    /// [`Kind::Internal`](crate::error::Kind::Internal) for a `staging` that is too small;
    /// [`Kind::Unsupported`](crate::error::Kind::Unsupported) where the device does not prepare pictures:
    /// [`crate::image::prepare()`] does.
    fn preprocess(
        &self,
        _pictures: &Pictures,
        _staging: &Buf,
        _out: &Buf,
        _stream: Stream,
    ) -> Result<()> {
        let name = &self.info().name;
        Err(Error::unsupported(format!("{name} does not prepare pictures")).op("preprocess"))
    }

    /// Neighbour lists, refined rows and rules that stay in this device's memory.
    ///
    /// # Errors
    /// [`Kind::Unsupported`](crate::error::Kind::Unsupported) where the device has none of these.
    fn fusion(&self) -> Result<&dyn Fusion> {
        let name = &self.info().name;
        Err(Error::unsupported(format!("{name} keeps no lists")).op("fusion"))
    }

    /// Waits for all work of a stream.
    ///
    /// # Errors
    /// What the work failed with.
    fn sync(&self, stream: Stream) -> Result<()>;

    /// How encoders store values on it, where nobody says otherwise: a card's are in half precision.
    fn storage(&self) -> Precision {
        Precision::F32
    }

    /// Its streams, where work can be put ahead: a card's.
    fn streams(&self) -> Option<&dyn Streams> {
        None
    }
}

/// Allocates a buffer of `desc` on `device`.
///
/// # Errors
/// As [`Device::alloc`].
pub fn alloc(device: &dyn Device, desc: Desc) -> Result<Buf> {
    let mem = device.alloc(desc.bytes())?;
    Buf::new(desc, mem, 0)
}

/// The checks that every device makes before it runs an operation.
pub(super) fn check(op: &Op, ins: &[&Buf], outs: &[&Buf]) -> Result<()> {
    let descs: Vec<Desc> = ins.iter().map(|b| b.desc.clone()).collect();
    let wanted = op.infer(&descs)?;
    if wanted.len() != outs.len() {
        return Err(Error::internal(format!("gives {} outputs", wanted.len())).op(op.name()));
    }
    for (i, (want, out)) in wanted.iter().zip(outs).enumerate() {
        if *want != out.desc {
            return Err(Error::shape(op.name(), &want.dims, &out.desc.dims));
        }
        if ins
            .iter()
            .chain(&outs[..i])
            .any(|other| other.overlaps(out))
        {
            return Err(Error::internal("an output overlaps another buffer").op(op.name()));
        }
    }
    Ok(())
}
