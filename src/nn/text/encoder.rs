//! An encoder of titles, ready to run: a transformer's graph with its weights on a device.
//!
//! Cards compute in half precision, whose largest number is 65,504. What grows in these transformers does
//! not get there: scores, softmax, the statistics of layer norms, activations and all sums are f32 in
//! registers; what is stored between two operations is a layer norm's result, a product of one, or the
//! sum of the two right before the next layer norm, since these families normalise behind each residual
//! (`build.rs`), so that nothing adds up over the layers. Weights that overflow nevertheless give
//! infinities, which end as NaN: an embedding that is not finite is made again in bf16 (`nn/again.rs`).

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use rayon::prelude::*;

use super::build::{TextBuild, text_graph};
use super::config::TextConfig;
use super::folder::{TextFolder, TextPool};
use super::keys::{extra_beside, modern};
use crate::device::{Buf, Device, Lower, Plan, Precision, Source, Stream, alloc, values_of};
use crate::error::{Error, Result};
use crate::nn::again::{Again, Reopen, overflown};
use crate::nn::params;
use crate::nn::weights::{Extras, OpenOptions, WeightFile, check_against};

/// Tokens of one run: enough that a product's weights are read once for many rows, few enough that the
/// rows stay in a cache.
const RUN_TOKENS: usize = 512;
/// Tokens of one run on a card: enough rows for all of its multiprocessors.
const CARD_TOKENS: usize = 16_384;
/// Tokens below which a run is not made smaller to keep all threads busy.
const LEAST_TOKENS: usize = 64;

/// An encoder of titles with its weights on a device.
///
/// Beside its packed weights it holds a plan for each thread that ever ran one at the same time as others,
/// each with the values of one run: about `4 * tokens * (inner + 6 * hidden)` bytes for its 512 tokens, or
/// for its longest title where that has more. These are 8 MB for MiniLM and 21 MB for BERT-large.
pub struct TextEncoder {
    config: TextConfig,
    pool: TextPool,
    first: Plan,
    /// Plans that nobody is running.
    idle: Mutex<Vec<Worker>>,
    again: Again<TextEncoder>,
}

/// A plan with the buffers that it reads and writes.
struct Worker {
    build: TextBuild,
    plan: Plan,
    inputs: Vec<Buf>,
    output: Buf,
}

impl TextEncoder {
    /// Opens the weights of a folder and packs them for `device`; says which tensors were of no use.
    ///
    /// A prefix that all keys share (`bert.`, `roberta.`, `0.auto_model.`) is taken off, and the older
    /// names of layer norms' weights are read; the pooler and the heads of other tasks are ignored.
    ///
    /// # Errors
    /// As [`TextEncoder::new`], [`WeightFile::open`] and [`check_against`]; [`TextFolder::refused`].
    pub fn open(
        folder: &TextFolder,
        pool: TextPool,
        how: OpenOptions,
        device: Arc<dyn Device>,
    ) -> Result<(Self, Extras)> {
        if let Some(line) = &folder.refused {
            let mend = "ask for raw vectors, which are those before it, or take another encoder";
            return Err(Error::unsupported(line).mend(mend));
        }
        let (file, extras) = weights_of(folder, pool, how)?;
        let encoder = TextEncoder::new(&folder.config, pool, &file, device)?;
        let folder = folder.clone();
        let reopen = move || {
            let (file, _) = weights_of(&folder, pool, how)?;
            Ok(Box::new(file) as Box<dyn Source>)
        };
        Ok((encoder.reopened_by(Box::new(reopen)), extras))
    }

    /// Packs the weights of `source` for `device`, to be stored as [`Device::storage`] says.
    ///
    /// # Errors
    /// A weight that is missing, has another shape or cannot be read (named), or a device that lacks an
    /// operation.
    pub fn new(
        config: &TextConfig,
        pool: TextPool,
        source: &dyn Source,
        device: Arc<dyn Device>,
    ) -> Result<Self> {
        let precision = device.storage();
        TextEncoder::stored(config, pool, source, device, precision)
    }

    fn stored(
        config: &TextConfig,
        pool: TextPool,
        source: &dyn Source,
        device: Arc<dyn Device>,
        precision: Precision,
    ) -> Result<Self> {
        let graph = text_graph(config, &one(pool))?;
        let first = Plan::new(&graph, source, device, Lower::Infer(precision))?;
        Ok(TextEncoder {
            config: config.clone(),
            pool,
            first,
            idle: Mutex::new(Vec::new()),
            again: Again::new(None),
        })
    }

    /// Lets embeddings that overflow half precision be made again in bf16, of the weights that `reopen`
    /// opens.
    pub fn reopened_by(self, reopen: Reopen) -> Self {
        TextEncoder {
            again: Again::new(Some(reopen)),
            ..self
        }
    }

    /// A line that says how many embeddings were made again in bf16 since it was last asked for, or
    /// nothing.
    pub fn note(&self) -> Option<String> {
        self.again.note()
    }

    /// The encoder's sizes.
    pub fn config(&self) -> &TextConfig {
        &self.config
    }

    /// How a title's tokens become one vector.
    pub fn pool(&self) -> TextPool {
        self.pool
    }

    /// Values of an embedding.
    pub fn dims(&self) -> usize {
        self.config.hidden
    }

    /// A plan over one token: its packed weights, and what each token costs but for attention.
    pub fn plan(&self) -> &Plan {
        &self.first
    }

    /// Embeds titles, given as token ids: `out` is `[titles, dims]`, pooled and not normalised. They run
    /// sorted by length, many in one run, none padded. A title's embedding does not depend on its
    /// neighbours or on the threads; on a card, it does within rounding, where products of other sizes
    /// add in another order.
    ///
    /// # Errors
    /// [`Kind::Shape`](crate::error::Kind::Shape) when `out` has another length;
    /// [`Kind::Input`](crate::error::Kind::Input) for a title without tokens, with more than
    /// [`TextConfig::max_tokens`], or with an id beyond the vocabulary;
    /// [`Kind::Unsupported`](crate::error::Kind::Unsupported) for weights whose values overflow a card's
    /// half precision and cannot be opened again ([`TextEncoder::reopened_by`]); a failing device.
    pub fn encode(&self, titles: &[&[u32]], out: &mut [f32]) -> Result<()> {
        let dims = self.dims();
        if out.len() != titles.len() * dims {
            let (have, to) = ([titles.len(), dims], [out.len() / dims, dims]);
            return Err(Error::shape("encode", &have, &to));
        }
        titles.iter().try_for_each(|title| self.check(title))?;
        let mut order: Vec<usize> = (0..titles.len()).collect();
        // Longest first: the last runs are short ones, so no thread waits long at the end.
        order.sort_by_key(|&i| (std::cmp::Reverse(titles[i].len()), i));
        let total: usize = titles.iter().map(|t| t.len()).sum();
        let (threads, largest) = match self.first.device().info().is_card() {
            true => (1, CARD_TOKENS),
            false => (rayon::current_num_threads(), RUN_TOKENS),
        };
        let most = total.div_ceil(threads).clamp(LEAST_TOKENS, largest);
        let runs = cut(&order, titles, most);
        let (next, out) = (AtomicUsize::new(0), Mutex::new(out));
        // As many workers as threads, each taking run after run. Runs that rayon spreads would not do: a
        // thread that waits for the parts of an operation begins another run, in memory of its own, and
        // within that one the next.
        let work = |_: usize| -> Result<()> {
            while let Some(run) = runs.get(next.fetch_add(1, Ordering::Relaxed)) {
                let these: Vec<&[u32]> = run.iter().map(|&i| titles[i]).collect();
                // After an error no further run is begun.
                let stop = |_: &Error| next.store(runs.len(), Ordering::Relaxed);
                let vectors = self.run(&these).inspect_err(stop)?;
                let mut out = out.lock().unwrap_or_else(|e| e.into_inner());
                for (&i, vector) in run.iter().zip(vectors.chunks_exact(dims)) {
                    out[i * dims..(i + 1) * dims].copy_from_slice(vector);
                }
            }
            Ok(())
        };
        match threads.min(runs.len()) {
            0 | 1 => work(0),
            workers => (0..workers)
                .into_par_iter()
                .with_max_len(1)
                .try_for_each(work),
        }
    }

    pub(super) fn check(&self, title: &[u32]) -> Result<()> {
        let most = self.config.max_tokens();
        if title.is_empty() || title.len() > most {
            let message = format!("a title of {} tokens", title.len());
            return Err(Error::input(message).mend(format!("give 1 to {most}")));
        }
        match title
            .iter()
            .find(|&&id| id as usize >= self.config.vocabulary)
        {
            Some(id) => Err(Error::input(format!(
                "token {id} is beyond the encoder's {} embeddings",
                self.config.vocabulary
            ))),
            None => Ok(()),
        }
    }

    /// Embeds titles in one run.
    fn run(&self, titles: &[&[u32]]) -> Result<Vec<f32>> {
        let build = TextBuild {
            tokens: titles.iter().map(|t| t.len()).sum(),
            titles: titles.len(),
            pool: self.pool,
        };
        let worker = self.worker(build)?;
        let device = worker.plan.device();
        for ((name, _), buf) in worker.plan.inputs().iter().zip(&worker.inputs) {
            let rows = self.input(name, titles);
            device.upload(bytemuck::cast_slice(&rows), buf, Stream::DEFAULT)?;
        }
        let ins: Vec<&Buf> = worker.inputs.iter().collect();
        worker.plan.run(&ins, &[&worker.output], Stream::DEFAULT)?;
        let mut bytes = vec![0; worker.output.desc.bytes()];
        device.download(&worker.output, &mut bytes, Stream::DEFAULT)?;
        let mut out = values_of(&bytes, worker.output.desc.dtype);
        if let Ok(mut idle) = self.idle.lock() {
            idle.push(worker);
        }
        self.make_again(titles, &mut out)?;
        Ok(out)
    }

    /// Makes embeddings that overflowed half precision again in bf16: `out` has those of `titles`.
    pub(super) fn make_again(&self, titles: &[&[u32]], out: &mut [f32]) -> Result<()> {
        let dims = self.dims();
        let bad = overflown(out, dims, self.first.outputs()[0].dtype);
        if bad.is_empty() {
            return Ok(());
        }
        let wide = self.again.get(|source| {
            let device = Arc::clone(self.first.device());
            TextEncoder::stored(&self.config, self.pool, source, device, Precision::BF16)
        })?;
        let these: Vec<&[u32]> = bad.iter().map(|&i| titles[i]).collect();
        let mut made = vec![0.0; these.len() * dims];
        wide.encode(&these, &mut made)?;
        for (&i, vector) in bad.iter().zip(made.chunks_exact(dims)) {
            out[i * dims..(i + 1) * dims].copy_from_slice(vector);
        }
        self.again.count(bad.len());
        Ok(())
    }

    /// The values of an input of the graph.
    pub(super) fn input(&self, name: &str, titles: &[&[u32]]) -> Vec<u32> {
        let starts = titles.iter().scan(0, |at, t| {
            let start = *at;
            *at += t.len() as u32;
            Some(start)
        });
        match name {
            "words" => titles.concat(),
            "positions" => titles
                .iter()
                .flat_map(|t| positions(&self.config, t))
                .collect(),
            "offsets" => {
                let end = titles.iter().map(|t| t.len() as u32).sum();
                starts.chain([end]).collect()
            }
            "starts" => starts.collect(),
            _ => vec![0; titles.iter().map(|t| t.len()).sum()],
        }
    }

    /// A plan of these sizes that nobody is running: one that was kept, or one in the memory of another.
    fn worker(&self, build: TextBuild) -> Result<Worker> {
        let found = self.idle.lock().ok().and_then(|mut idle| {
            let at = idle.iter().position(|w| w.build == build);
            let at = at.or(idle.len().checked_sub(1))?;
            Some(idle.swap_remove(at))
        });
        let spare = match found {
            Some(worker) if worker.build == build => return Ok(worker),
            other => other.map(|worker| worker.plan),
        };
        let graph = text_graph(&self.config, &build)?;
        let plan = self.first.resized_in(&graph, spare)?;
        let device = Arc::clone(plan.device());
        let inputs = plan
            .inputs()
            .iter()
            .map(|(_, d)| alloc(&*device, d.clone()));
        Ok(Worker {
            build,
            inputs: inputs.collect::<Result<_>>()?,
            output: alloc(&*device, plan.outputs()[0].clone())?,
            plan,
        })
    }
}

/// The positions of a title's tokens. RoBERTa's padding, which may stand in a title's text by name, is
/// at its own id's position and not counted, as transformers has it.
fn positions(config: &TextConfig, title: &[u32]) -> impl Iterator<Item = u32> {
    let first = config.first_position as u32;
    let padding = first.checked_sub(1);
    title.iter().scan(first, move |next, &id| {
        if padding == Some(id) {
            return Some(id);
        }
        *next += 1;
        Some(*next - 1)
    })
}

/// The weights of a folder, and which tensors were of no use.
fn weights_of(
    folder: &TextFolder,
    pool: TextPool,
    how: OpenOptions,
) -> Result<(WeightFile, Extras)> {
    let family = folder.config.family;
    let wanted = params(&text_graph(&folder.config, &one(pool))?);
    let file = WeightFile::open(&folder.path, how)?.rename(&modern)?;
    let prefix = file.prefix(&wanted)?;
    let file = file.strip_prefix(&wanted)?;
    let extra = |key: &str| extra_beside(family, &prefix, key);
    let extras = check_against(&file, &wanted, &extra)?;
    Ok((file, extras))
}

/// The least run: what a first plan is made for.
fn one(pool: TextPool) -> TextBuild {
    TextBuild {
        tokens: 1,
        titles: 1,
        pool,
    }
}

/// Runs of at most `most` tokens, or of one title.
fn cut<'a>(order: &'a [usize], titles: &[&[u32]], most: usize) -> Vec<&'a [usize]> {
    let (mut runs, mut from, mut tokens) = (Vec::new(), 0, 0);
    for (at, &i) in order.iter().enumerate() {
        if at > from && tokens + titles[i].len() > most {
            runs.push(&order[from..at]);
            (from, tokens) = (at, 0);
        }
        tokens += titles[i].len();
    }
    if from < order.len() {
        runs.push(&order[from..]);
    }
    runs
}

#[cfg(test)]
mod tests;
