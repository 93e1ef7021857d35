//! Titles on their way through a card, many in a run.
//!
//! A run's shape is rounded up, so that a few recordings serve all runs: tokens and titles beyond those
//! that there are belong to no title or are titles of no tokens. The kernels of attention and of means
//! pass over both; what products make of such rows nobody reads.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::build::{TextBuild, text_graph};
use super::encoder::TextEncoder;
use crate::device::{Buf, Desc, HostBuf, Mem, Plan, Runner, values_of};
use crate::error::{Error, Result};
use crate::nn::again::overflown;
use crate::nn::ahead::{Belt, LANES, budget, largest, of};

/// Tokens of a run, where there is room.
const TOKENS: usize = 16_384;
/// The most titles of a run.
const TITLES: usize = 2048;
/// The least tokens and titles that a run is rounded up to.
const LEAST: (usize, usize) = (64, 16);

/// What a run over many titles needs.
pub struct TitleLanes<'a> {
    /// Tokens that a lane takes; a title of more is refused.
    pub tokens: usize,
    /// Titles that a lane takes.
    pub titles: usize,
    /// Lanes that may be under way together.
    pub lanes: Vec<TitleLane<'a>>,
    /// Why they take less than they might: a line, or nothing.
    pub note: Option<String>,
}

/// The plans that all lanes share, by their shape; their memory is that of the largest.
struct Plans {
    most: Plan,
    made: Mutex<HashMap<(usize, usize), Arc<Plan>>>,
}

/// A run on its way: submitted, collected, over and over.
pub struct TitleLane<'a> {
    encoder: &'a TextEncoder,
    belt: Arc<Belt>,
    plans: Arc<Plans>,
    /// Room on the card for the largest run's inputs and output.
    ins: Vec<Arc<dyn Mem>>,
    out: Arc<dyn Mem>,
    /// The same of the host.
    from: Vec<HostBuf>,
    to: HostBuf,
    runners: HashMap<(usize, usize), Runner>,
    /// The shape of the run that is under way.
    shape: (usize, usize),
}

impl TextEncoder {
    /// Lanes for titles of `tokens` tokens in all; none where the device is no card.
    ///
    /// # Errors
    /// [`Kind::Limit`](crate::error::Kind::Limit) where there is not even room for the longest title; a
    /// failing device.
    pub fn lanes(&self, tokens: usize) -> Result<Option<TitleLanes<'_>>> {
        let device = &**self.plan().device();
        if device.streams().is_none() {
            return Ok(None);
        }
        let room = budget(device)?;
        let longest = self.config().max_tokens();
        let most = tokens.clamp(LEAST.0, TOKENS).next_power_of_two();
        let shape = |size: usize| {
            let tokens = size.max(longest).next_power_of_two();
            (tokens, TITLES.min(tokens))
        };
        let fits = |size: usize| -> Result<bool> {
            let plan = self.plan().resized(&self.graph_of(shape(size))?)?;
            let ends = plan.inputs().iter().map(|(_, desc)| desc);
            let ends: usize = ends.chain(plan.outputs()).map(Desc::bytes).sum();
            Ok((plan.needs() + LANES * ends) as u64 <= room)
        };
        let mut make = |size: usize| self.make(shape(size));
        let (lanes, size, note) = largest((most, false, "tokens"), &fits, &mut make)?;
        let (tokens, titles) = shape(size);
        Ok(Some(TitleLanes {
            tokens,
            titles,
            lanes,
            note,
        }))
    }

    fn graph_of(&self, (tokens, titles): (usize, usize)) -> Result<crate::device::Graph> {
        let pool = self.pool();
        let build = TextBuild {
            tokens,
            titles,
            pool,
        };
        text_graph(self.config(), &build)
    }

    fn make(&self, shape: (usize, usize)) -> Result<Vec<TitleLane<'_>>> {
        let most = self.plan().resized(&self.graph_of(shape)?)?;
        most.reserve()?;
        let belt = Belt::new(most.device())?;
        let plans = Arc::new(Plans {
            most,
            made: Mutex::default(),
        });
        (0..LANES).map(|_| self.lane(&plans, &belt)).collect()
    }

    fn lane(&self, plans: &Arc<Plans>, belt: &Arc<Belt>) -> Result<TitleLane<'_>> {
        let device = &**plans.most.device();
        let streams = of(device)?;
        let ins = plans.most.inputs().iter().map(|(_, desc)| desc.bytes());
        let out = plans.most.outputs()[0].bytes();
        Ok(TitleLane {
            encoder: self,
            belt: Arc::clone(belt),
            plans: Arc::clone(plans),
            ins: ins
                .clone()
                .map(|n| device.alloc(n))
                .collect::<Result<_>>()?,
            out: device.alloc(out)?,
            from: ins.map(|n| streams.host(n)).collect::<Result<_>>()?,
            to: streams.host(out)?,
            runners: HashMap::new(),
            shape: (0, 0),
        })
    }
}

impl TitleLane<'_> {
    /// Puts titles, given as token ids, on the card's streams.
    ///
    /// # Errors
    /// As [`TextEncoder::encode`]; more than the lane takes.
    pub fn submit(&mut self, titles: &[&[u32]]) -> Result<()> {
        titles
            .iter()
            .try_for_each(|title| self.encoder.check(title))?;
        let tokens: usize = titles.iter().map(|title| title.len()).sum();
        self.shape = self.rounded(tokens, titles.len())?;
        let plan = self.plan()?;
        for ((name, desc), host) in plan.inputs().iter().zip(&mut self.from) {
            let mut values = self.encoder.input(name, titles);
            // Titles of no tokens begin and end behind the last; rows of no title hold token 0.
            let beyond = match name.as_str() {
                "offsets" => tokens as u32,
                _ => 0,
            };
            values.resize(desc.len(), beyond);
            let bytes = host.bytes()?;
            let Some(to) = bytes.get_mut(..values.len() * 4) else {
                return Err(Error::internal("a run is larger than its lane").op("encode"));
            };
            to.copy_from_slice(bytemuck::cast_slice(&values));
        }
        let runner = match self.runners.remove(&self.shape) {
            Some(runner) => runner,
            None => self.runner(plan)?,
        };
        let runner = self.runners.entry(self.shape).or_insert(runner);
        self.belt.send(&mut self.from, runner, &mut self.to)
    }

    /// Waits for the embeddings and writes them, `[titles, dims]`.
    ///
    /// # Errors
    /// What the card failed with.
    pub fn collect(&mut self, out: &mut [f32]) -> Result<()> {
        let dtype = self.plans.most.outputs()[0].dtype;
        let dims = self.encoder.dims();
        let bytes = self.to.bytes()?;
        match bytes.get(..out.len() * dtype.size()) {
            Some(bytes) => out.copy_from_slice(&values_of(bytes, dtype)),
            None => return Err(Error::shape("encode", &[bytes.len()], &[out.len()])),
        }
        if overflown(out, dims, dtype).is_empty() {
            return Ok(());
        }
        let words = self.uploaded("words")?;
        let offsets = self.uploaded("offsets")?;
        let ends = offsets.windows(2).take(out.len() / dims);
        let titles: Option<Vec<&[u32]>> = ends
            .map(|pair| words.get(pair[0] as usize..pair[1] as usize))
            .collect();
        let lost = || Error::internal("a run's titles are lost").op("encode");
        self.encoder.make_again(&titles.ok_or_else(lost)?, out)
    }

    /// What was put on the card for the input `name`.
    fn uploaded(&mut self, name: &str) -> Result<Vec<u32>> {
        let inputs = self.plans.most.inputs();
        let at = inputs.iter().position(|(own, _)| own == name);
        let missing = || Error::internal(format!("no input is {name}")).op("encode");
        let bytes = self.from[at.ok_or_else(missing)?].bytes()?;
        Ok(bytemuck::pod_collect_to_vec(bytes))
    }

    /// The shape that a run is rounded up to.
    fn rounded(&self, tokens: usize, titles: usize) -> Result<(usize, usize)> {
        let (words, offsets) = (
            &self.plans.most.inputs()[0].1,
            &self.plans.most.outputs()[0],
        );
        let most = (words.dims[0], offsets.dims[0]);
        if tokens > most.0 || titles > most.1 {
            let message = format!("{titles} titles of {tokens} tokens in one run");
            let mend = format!("give at most {} titles of {} tokens", most.1, most.0);
            return Err(Error::limit(message).op("encode").mend(mend));
        }
        let up = |n: usize, least: usize, most: usize| n.max(least).next_power_of_two().min(most);
        Ok((up(tokens, LEAST.0, most.0), up(titles, LEAST.1, most.1)))
    }

    fn plan(&self) -> Result<Arc<Plan>> {
        let Plans { most, made } = &*self.plans;
        let mut made = made.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(plan) = made.get(&self.shape) {
            return Ok(Arc::clone(plan));
        }
        let graph = self.encoder.graph_of(self.shape)?;
        let plan = Arc::new(most.resized_beside(&graph, most)?);
        made.insert(self.shape, Arc::clone(&plan));
        Ok(plan)
    }

    fn runner(&self, plan: Arc<Plan>) -> Result<Runner> {
        let inputs = plan.inputs().iter().zip(&self.ins);
        let ins = inputs.map(|((_, desc), mem)| Buf::new(desc.clone(), Arc::clone(mem), 0));
        let ins = ins.collect::<Result<_>>()?;
        let out = Buf::new(plan.outputs()[0].clone(), Arc::clone(&self.out), 0)?;
        Runner::new(plan, ins, vec![out])
    }

    /// Whether every shape that was run was taken down, so that a run is one call.
    pub fn is_taped(&self) -> bool {
        self.runners.values().all(Runner::is_taped)
    }
}
