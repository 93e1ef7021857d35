//! A card as a device: checks, early returns, then a launcher for each family of kernels.

use std::sync::Arc;

use super::driver::{CardInfo, Driver, Kernel, Stream};
use super::heuristics_gemm::GemmPlan;
use super::launch::{Call, Family};
use super::launch_topk::{self, TopKTuning};
use super::memory::Card;
use super::{
    launch_conv, launch_excite, launch_expand, launch_fused, launch_gemm, launch_hamming,
    launch_image, launch_margin, launch_pointwise, launch_preprocess, launch_sparse, launch_sweep,
    launch_text, launch_topk_large,
};
use crate::device::api::{Chosen, Device, DeviceInfo, Fired, Support, SweepSteps, check};
use crate::device::desc::{Buf, DType, Desc, Mem};
use crate::device::fusion::Fusion;
use crate::device::lower::Precision;
use crate::device::op::Op;
use crate::device::pictures::Pictures;
use crate::device::spaces::{FusedFound, FusedSearch, SparseSearch};
use crate::device::streams::Streams;
use crate::error::{Error, Result};
use crate::limits::MAX_CARD_SIDE;
use crate::lists::Lists;

/// Every family of operations; each operation is one family's.
const FAMILIES: &[&dyn Family] = &[
    &launch_gemm::Gemm,
    &launch_pointwise::Pointwise,
    &launch_margin::Losses,
    &launch_conv::Convolutions,
    &launch_expand::Expansions,
    &launch_excite::Excites,
    &launch_image::Images,
    &launch_text::Text,
];

/// What was chosen for an operation, and for which inputs.
struct Choice {
    family: &'static dyn Family,
    tile: Option<GemmPlan>,
    op: Op,
    ins: Vec<Desc>,
    packed: Vec<bool>,
}

impl Choice {
    /// Whether it was chosen for such a run: how much scratch memory that wants depends on it.
    fn is_for(&self, op: &Op, ins: &[&Buf]) -> bool {
        let all = self.ins.iter().zip(&self.packed);
        let same = |((desc, &packed), buf): ((&Desc, &bool), &&Buf)| {
            *desc == buf.desc && packed == buf.is_packed()
        };
        let known = self.op == *op && self.ins.len() == ins.len();
        known && self.packed.len() == ins.len() && all.zip(ins).all(same)
    }
}

/// A card behind a driver: a real one, or the simulated one of the tests.
pub struct GpuDevice {
    info: DeviceInfo,
    storage: Precision,
    pub(super) card: Arc<Card>,
}

impl GpuDevice {
    /// The card that `driver` opened.
    pub fn new(driver: Arc<dyn Driver>) -> Self {
        let card = driver.info();
        GpuDevice {
            info: DeviceInfo {
                kind: card.driver,
                name: card.name.clone(),
            },
            storage: Precision::F16,
            card: Card::new(driver),
        }
    }

    /// The same, whose encoders store values in `storage`.
    pub fn storing(self, storage: Precision) -> Self {
        GpuDevice { storage, ..self }
    }

    /// What its driver says of it.
    pub fn card(&self) -> &CardInfo {
        self.card.driver.info()
    }

    /// The driver that it works through: for streams, events, and memory of the caller's own.
    pub fn driver(&self) -> &Arc<dyn Driver> {
        &self.card.driver
    }

    /// The kernels that run `op` on these inputs; none where this build or card has none for it.
    pub fn kernels(&self, op: &Op, ins: &[Desc]) -> Vec<Kernel> {
        self.family(op, ins).map(|(_, all)| all).unwrap_or_default()
    }

    /// [`Device::topk_dense`] with a tuning.
    #[doc(hidden)]
    pub fn topk_tuned(
        &self,
        queries: &Buf,
        gallery: Option<&Buf>,
        k: usize,
        min_score: Option<f64>,
        tuning: &TopKTuning,
    ) -> Result<Lists> {
        self.search(queries, gallery, k, min_score, tuning, Stream::DEFAULT)
    }

    /// An `Op::Gemm` by Hopper's kernel, on a plan in place of the one that is chosen for it.
    #[doc(hidden)]
    pub fn gemm_planned(&self, op: &Op, ins: &[&Buf], out: &Buf, plan: &GemmPlan) -> Result<()> {
        check(op, ins, &[out])?;
        let all = ins.iter().copied().chain([out]);
        all.into_iter().try_for_each(|buf| self.card.owns(buf))?;
        launch_gemm::planned(&self.card, op, ins, out, plan, Stream::DEFAULT)
    }

    /// An `Op::Conv` by Hopper's kernel, on a plan in place of the one that is chosen for it; `workspace`
    /// as for [`Device::run`].
    #[doc(hidden)]
    pub fn conv_planned(
        &self,
        op: &Op,
        ins: &[&Buf],
        out: &Buf,
        workspace: Option<&Buf>,
        plan: &GemmPlan,
    ) -> Result<()> {
        check(op, ins, &[out])?;
        let all = ins.iter().copied().chain([out]);
        all.into_iter().try_for_each(|buf| self.card.owns(buf))?;
        let descs: Vec<Desc> = ins.iter().map(|b| b.desc.clone()).collect();
        let call = Call {
            card: &self.card,
            op,
            ins,
            descs: &descs,
            outs: &[out],
            scratch: self.scratch(op, self.workspace(op, &descs), workspace)?,
            tile: None,
            stream: Stream::DEFAULT,
        };
        launch_conv::planned(&call, plan)
    }

    fn search(
        &self,
        queries: &Buf,
        gallery: Option<&Buf>,
        k: usize,
        min_score: Option<f64>,
        tuning: &TopKTuning,
        stream: Stream,
    ) -> Result<Lists> {
        let kernels: &[Kernel] = match k > launch_topk::MOST_K {
            true => &launch_topk_large::KERNELS,
            false => &launch_topk::KERNELS,
        };
        self.needs(kernels, "topk")?;
        [queries]
            .into_iter()
            .chain(gallery)
            .try_for_each(|buf| self.card.owns(buf))?;
        launch_topk::topk(&self.card, queries, gallery, k, min_score, tuning, stream)
    }

    /// The family that `op` is of, and the kernels that run it on these inputs.
    fn family(&self, op: &Op, ins: &[Desc]) -> Option<(&'static dyn Family, Vec<Kernel>)> {
        let has = |kernel| self.card.driver.has(kernel);
        FAMILIES.iter().find_map(|&family| {
            let kernels = family.kernels(op, ins, self.card(), &has)?;
            Some((family, kernels))
        })
    }

    pub(super) fn has(&self, kernels: &[Kernel]) -> bool {
        !kernels.is_empty() && kernels.iter().all(|&k| self.card.driver.has(k))
    }

    pub(super) fn needs(&self, kernels: &[Kernel], op: &'static str) -> Result<()> {
        match self.has(kernels) {
            true => Ok(()),
            false => {
                let message = format!("{}: this build lacks its kernels", self.info.name);
                Err(Error::unsupported(message).op(op))
            }
        }
    }

    /// The scratch memory that `op` wants, checked.
    fn scratch(&self, op: &Op, wanted: usize, given: Option<&Buf>) -> Result<u64> {
        if wanted == 0 {
            return Ok(0);
        }
        let have = given.map_or(0, |buf| buf.desc.bytes());
        let Some(buf) = given.filter(|_| have >= wanted) else {
            let message = format!("wants {wanted} bytes of scratch memory, not {have}");
            return Err(Error::internal(message).op(op.name()));
        };
        self.card.owns(buf)?;
        Ok(buf.address())
    }
}

impl Device for GpuDevice {
    fn info(&self) -> &DeviceInfo {
        &self.info
    }

    fn supports(&self, op: &Op, ins: &[Desc]) -> Support {
        if op.infer(ins).is_err() {
            return Support::No("the shapes or types do not go together");
        }
        let Some((family, kernels)) = self.family(op, ins) else {
            return match op {
                Op::ConvAverage { .. } | Op::ExpandDepthwise { .. } | Op::SqueezeExcite { .. } => {
                    Support::Unfuse
                }
                _ => Support::No("this build lacks its kernels"),
            };
        };
        let floats = ins.iter().filter(|d| d.dtype != DType::U32);
        if !family.mixed() && floats.into_iter().any(|d| d.dtype != ins[0].dtype) {
            return Support::No("a card's kernels take inputs of one type");
        }
        if ins.iter().flat_map(|d| &d.dims).any(|&n| n > MAX_CARD_SIDE) {
            return Support::No("a card's kernels take sides below 2^31");
        }
        match self.has(&kernels) {
            true => Support::Native,
            false => Support::No("this build lacks its kernels"),
        }
    }

    fn alloc(&self, bytes: usize) -> Result<Arc<dyn Mem>> {
        Ok(self.card.alloc(bytes)?)
    }

    fn upload(&self, from: &[u8], to: &Buf, stream: Stream) -> Result<()> {
        self.card.upload(from, to, stream)
    }

    fn download(&self, from: &Buf, to: &mut [u8], stream: Stream) -> Result<()> {
        self.card.download(from, to, stream)
    }

    fn workspace(&self, op: &Op, ins: &[Desc]) -> usize {
        let family = self.family(op, ins);
        family.map_or(0, |(family, _)| family.workspace(op, ins, self.card()))
    }

    fn packed(&self, op: &Op, ins: &[Desc], at: usize) -> Option<usize> {
        let (family, _) = self.family(op, ins)?;
        family.packed(op, ins, at, self.card())
    }

    fn pack(
        &self,
        op: &Op,
        ins: &[Desc],
        at: usize,
        row: &mut dyn FnMut(usize, &mut [f32]) -> Result<()>,
        to: &Buf,
    ) -> Result<()> {
        self.card.owns(to)?;
        let (family, _) = self
            .family(op, ins)
            .ok_or_else(|| Error::unsupported("this build lacks its kernels").op(op.name()))?;
        let bytes = family.pack(op, ins, at, row)?;
        self.card.fill_memory(&bytes, to, Stream::DEFAULT)
    }

    fn run(
        &self,
        op: &Op,
        ins: &[&Buf],
        outs: &[&Buf],
        workspace: Option<&Buf>,
        stream: Stream,
    ) -> Result<()> {
        check(op, ins, outs)?;
        ins.iter()
            .chain(outs)
            .try_for_each(|buf| self.card.owns(buf))?;
        let descs: Vec<Desc> = ins.iter().map(|b| b.desc.clone()).collect();
        if let Support::No(why) = self.supports(op, &descs) {
            let message = format!("{}: {why}", self.info.name);
            return Err(Error::unsupported(message).op(op.name()));
        }
        let scratch = self.scratch(op, self.workspace(op, &descs), workspace)?;
        let (family, _) = self
            .family(op, &descs)
            .ok_or_else(|| Error::internal("has no kernel").op(op.name()))?;
        family.run(&Call {
            card: &self.card,
            op,
            ins,
            descs: &descs,
            outs,
            scratch,
            tile: None,
            stream,
        })
    }

    fn choose(&self, op: &Op, ins: &[Desc], packed: &[bool]) -> Chosen {
        let native = self.supports(op, ins) == Support::Native;
        let Some((family, _)) = self.family(op, ins).filter(|_| native) else {
            return Chosen::default();
        };
        let has = |kernel| self.card.driver.has(kernel);
        let all = family.workspace(op, ins, self.card());
        let spared = (0..ins.len()).filter(|&at| packed.get(at) == Some(&true));
        let spared: usize = spared
            .map(|at| family.spared(op, ins, at, self.card()))
            .sum();
        Chosen {
            workspace: all.saturating_sub(spared),
            how: Some(Arc::new(Choice {
                family,
                tile: family.tile(op, ins, self.card(), &has),
                op: *op,
                ins: ins.to_vec(),
                packed: packed.to_vec(),
            })),
        }
    }

    fn run_chosen(
        &self,
        chosen: &Chosen,
        op: &Op,
        ins: &[&Buf],
        outs: &[&Buf],
        workspace: Option<&Buf>,
        stream: Stream,
    ) -> Result<()> {
        let choice = chosen.how.as_ref();
        let choice = choice.and_then(|how| how.downcast_ref::<Choice>());
        let Some(choice) = choice.filter(|choice| choice.is_for(op, ins)) else {
            return self.run(op, ins, outs, workspace, stream);
        };
        check(op, ins, outs)?;
        ins.iter()
            .chain(outs)
            .try_for_each(|buf| self.card.owns(buf))?;
        choice.family.run(&Call {
            card: &self.card,
            op,
            ins,
            descs: &choice.ins,
            outs,
            scratch: self.scratch(op, chosen.workspace, workspace)?,
            tile: Some(choice.tile),
            stream,
        })
    }

    fn topk_dense(
        &self,
        queries: &Buf,
        gallery: Option<&Buf>,
        k: usize,
        min_score: Option<f64>,
        stream: Stream,
    ) -> Result<Lists> {
        self.search(
            queries,
            gallery,
            k,
            min_score,
            &TopKTuning::default(),
            stream,
        )
    }

    fn topk_sparse(&self, search: &SparseSearch<'_>, stream: Stream) -> Result<Lists> {
        self.needs(&[launch_sparse::KERNEL], "topk")?;
        launch_sparse::topk(&self.card, search, stream)
    }

    fn topk_hamming(
        &self,
        queries: &[Option<u64>],
        gallery: Option<&[Option<u64>]>,
        k: usize,
        min_score: Option<f64>,
        stream: Stream,
    ) -> Result<Lists> {
        self.needs(&[launch_hamming::KERNEL], "topk")?;
        launch_hamming::topk(&self.card, queries, gallery, k, min_score, stream)
    }

    fn topk_fused(
        &self,
        search: &FusedSearch<'_>,
        each: &mut dyn FnMut(&FusedFound) -> Result<()>,
        stream: Stream,
    ) -> Result<()> {
        self.needs(&launch_fused::KERNELS, "topk")?;
        launch_fused::topk(&self.card, search, each, stream)
    }

    fn sweep(
        &self,
        evidence: &[&Lists],
        steps: &[SweepSteps],
        unable: Option<&[bool]>,
        stream: Stream,
    ) -> Result<Vec<Vec<Fired>>> {
        self.needs(&[launch_sweep::KERNEL], "sweep")?;
        launch_sweep::sweep(&self.card, evidence, steps, unable, stream)
    }

    fn preprocess(
        &self,
        pictures: &Pictures,
        staging: &Buf,
        out: &Buf,
        stream: Stream,
    ) -> Result<()> {
        self.needs(&[launch_preprocess::kernel(out.desc.dtype)], "preprocess")?;
        [staging, out]
            .into_iter()
            .try_for_each(|buf| self.card.owns(buf))?;
        launch_preprocess::preprocess(&self.card, pictures, staging, out, stream)
    }

    fn fusion(&self) -> Result<&dyn Fusion> {
        Ok(self)
    }

    fn sync(&self, stream: Stream) -> Result<()> {
        self.card.driver.sync(stream)
    }

    fn storage(&self) -> Precision {
        self.storage
    }

    fn streams(&self) -> Option<&dyn Streams> {
        Some(self)
    }
}
