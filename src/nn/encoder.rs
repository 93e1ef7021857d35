//! An encoder of images, ready to run: a backbone's graph with its weights on a device.

use std::path::Path;
use std::sync::{Arc, Mutex};

use rayon::prelude::*;

use super::again::{Again, Reopen, overflown};
use super::build::{self, Build, known_extra};
use super::catalogue::{Arch, arch};
use super::head::{GlobalPool, Head};
use super::weights::{Extras, OpenOptions, WeightFile, check_against};
use crate::device::{
    Act, Buf, Device, Lower, Plan, Precision, Source, Stream, alloc, bytes_of, values_of,
};
use crate::error::{Error, Result};

/// Images of one run on a card; the CPU takes one at a time, so that an image's values stay in its
/// caches, and runs as many at once as it has threads.
const CARD_BATCH: usize = 16;

/// The power of generalised-mean pooling where the weights hold none (Radenovic et al. 2018).
const GEM_POWER: f32 = 3.0;

/// Which encoder, and what of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageOptions {
    /// timm's name, with or without the tag of its weights.
    pub arch: String,
    /// Height and width of the prepared images, in pixels; the weights' own size if none is given.
    pub size: Option<usize>,
    /// Stands in for the backbone's activation.
    pub activation: Option<Act>,
    /// How the features of all pixels become one; if it is not said, as the weights have it: the
    /// generalised mean where they hold its power, the mean elsewhere.
    pub pool: Option<GlobalPool>,
    /// The pooled features, before any head that the weights hold.
    pub raw: bool,
}

impl ImageOptions {
    /// An architecture with everything as its weights have it.
    pub fn new(arch: &str) -> Self {
        ImageOptions {
            arch: arch.to_owned(),
            size: None,
            activation: None,
            pool: None,
            raw: false,
        }
    }
}

/// An encoder of images with its weights on a device.
pub struct ImageEncoder {
    arch: &'static Arch,
    size: usize,
    dims: usize,
    pool: GlobalPool,
    build: Build,
    /// Plans that nobody is running; one more is made when all are.
    idle: Mutex<Vec<Worker>>,
    first: Plan,
    again: Again<ImageEncoder>,
}

/// A plan with the buffers that it reads and writes.
struct Worker {
    plan: Plan,
    input: Buf,
    output: Buf,
}

/// The weights of a source, and a power for the generalised mean where they hold none.
struct WithPower<'a>(&'a dyn Source);

const POWER: &str = "embed.pool.p";

impl Source for WithPower<'_> {
    fn dims(&self, key: &str) -> Option<&[usize]> {
        let own: Option<&[usize]> = if key == POWER { Some(&[1]) } else { None };
        self.0.dims(key).or(own)
    }

    fn read(&self, key: &str, from: usize, out: &mut [f32]) -> Result<()> {
        match (key == POWER && self.0.dims(key).is_none(), &mut *out) {
            (true, [one]) if from == 0 => {
                *one = GEM_POWER;
                Ok(())
            }
            _ => self.0.read(key, from, out),
        }
    }

    fn finish(&self) -> Result<()> {
        self.0.finish()
    }
}

impl ImageEncoder {
    /// Opens a file or folder of published weights and packs them for `device`; says which tensors of
    /// it were of no use.
    ///
    /// A prefix that all keys share (`backbone.`, `module.`) is taken off. Of the head's tensors
    /// (`embed.*`), those that the options have no use for are ignored.
    ///
    /// # Errors
    /// As [`ImageEncoder::new`], [`WeightFile::open`] and [`check_against`].
    pub fn open(
        options: &ImageOptions,
        weights: impl AsRef<Path>,
        how: OpenOptions,
        device: Arc<dyn Device>,
    ) -> Result<(Self, Extras)> {
        let weights = weights.as_ref().to_owned();
        let (file, extras) = weights_of(options, &weights, how)?;
        let encoder = ImageEncoder::new(options, &file, device)?;
        let options = options.clone();
        let reopen = move || {
            let (file, _) = weights_of(&options, &weights, how)?;
            Ok(Box::new(file) as Box<dyn Source>)
        };
        Ok((encoder.reopened_by(Box::new(reopen)), extras))
    }

    /// Packs the weights of `source` for `device`, to be stored as [`Device::storage`] says.
    ///
    /// # Errors
    /// An unknown architecture, a size that it does not take, a weight that is missing, has another
    /// shape or cannot be read (named), or a device that lacks an operation.
    pub fn new(
        options: &ImageOptions,
        source: &dyn Source,
        device: Arc<dyn Device>,
    ) -> Result<Self> {
        let arch = arch(&options.arch)?;
        let mut build = plan_for(arch, options, source)?;
        if device.info().is_card() {
            build.batch = CARD_BATCH;
        }
        let precision = device.storage();
        ImageEncoder::stored(arch, build, source, device, precision)
    }

    fn stored(
        arch: &'static Arch,
        build: Build,
        source: &dyn Source,
        device: Arc<dyn Device>,
        precision: Precision,
    ) -> Result<Self> {
        let graph = build::graph(arch, &build)?;
        let dims = graph.desc(graph.outputs()[0]).dims[1];
        let how = Lower::Infer(precision);
        let first = Plan::new(&graph, &WithPower(source), device, how)?;
        Ok(ImageEncoder {
            arch,
            size: build.size,
            dims,
            pool: build.pool,
            build,
            idle: Mutex::new(Vec::new()),
            first,
            again: Again::new(None),
        })
    }

    /// Lets embeddings that overflow half precision be made again in bf16, of the weights that `reopen`
    /// opens.
    pub fn reopened_by(self, reopen: Reopen) -> Self {
        ImageEncoder {
            again: Again::new(Some(reopen)),
            ..self
        }
    }

    /// A line that says how many embeddings were made again in bf16 since it was last asked for, or
    /// nothing.
    pub fn note(&self) -> Option<String> {
        self.again.note()
    }

    /// The same encoder in bf16, which makes `rows` embeddings again.
    pub(super) fn wide(&self, rows: usize) -> Result<Arc<ImageEncoder>> {
        let wide = self.again.get(|source| {
            let device = Arc::clone(self.first.device());
            ImageEncoder::stored(self.arch, self.build, source, device, Precision::BF16)
        })?;
        self.again.count(rows);
        Ok(wide)
    }

    /// The architecture, with what it expects of an image.
    pub fn arch(&self) -> &'static Arch {
        self.arch
    }

    /// Height and width of the prepared images, in pixels.
    pub fn size(&self) -> usize {
        self.size
    }

    /// Values of an embedding.
    pub fn dims(&self) -> usize {
        self.dims
    }

    /// How the features of all pixels become one.
    pub fn pool(&self) -> GlobalPool {
        self.pool
    }

    /// The plan that runs: its launches, shapes and cost, and the size of its packed weights.
    pub fn plan(&self) -> &Plan {
        &self.first
    }

    /// A plan over the same weights for so many images at a time; it has no memory yet.
    ///
    /// # Errors
    /// A device that lays weights out by the number of images.
    pub(super) fn sized(&self, batch: usize) -> Result<Plan> {
        let build = Build {
            batch,
            ..self.build
        };
        self.first.resized(&build::graph(self.arch, &build)?)
    }

    /// Embeds images: `images` is f32 `[n, size, size, 3]`, prepared as [`Arch`] says, `out` is
    /// `[n, dims]`. An image's embedding does not depend on its neighbours or on the threads.
    ///
    /// # Errors
    /// [`Kind::Shape`](crate::error::Kind::Shape) when the two have not the same number of images,
    /// too little memory, or a failing device;
    /// [`Kind::Unsupported`](crate::error::Kind::Unsupported) for values that overflow a card's half
    /// precision where the weights cannot be opened again ([`ImageEncoder::reopened_by`]).
    pub fn encode(&self, images: &[f32], out: &mut [f32]) -> Result<()> {
        let pixels = self.size * self.size * 3;
        if images.len() / pixels * self.dims != out.len() || !images.len().is_multiple_of(pixels) {
            let (have, to) = (
                [images.len() / pixels, pixels],
                [out.len() / self.dims, self.dims],
            );
            return Err(Error::shape("encode", &have, &to));
        }
        let step = |(from, to): (&[f32], &mut [f32])| {
            let mut worker = self.worker()?;
            worker.run(from, to)?;
            if let Ok(mut idle) = self.idle.lock() {
                idle.push(worker);
            }
            self.make_again(from, to)
        };
        let (from, to) = (pixels * self.build.batch, self.dims * self.build.batch);
        match self.first.device().info().is_card() {
            true => images
                .chunks(from)
                .zip(out.chunks_mut(to))
                .try_for_each(step),
            false => images
                .par_chunks(from)
                .zip(out.par_chunks_mut(to))
                .try_for_each(step),
        }
    }

    /// Makes embeddings that overflowed half precision again in bf16: `out` has those of `images`.
    fn make_again(&self, images: &[f32], out: &mut [f32]) -> Result<()> {
        let dims = self.dims;
        let bad = overflown(out, dims, self.first.outputs()[0].dtype);
        if bad.is_empty() {
            return Ok(());
        }
        let (wide, pixels) = (self.wide(bad.len())?, self.size * self.size * 3);
        let these = bad.iter().map(|&i| &images[i * pixels..(i + 1) * pixels]);
        let these: Vec<f32> = these.flatten().copied().collect();
        let mut made = vec![0.0; bad.len() * dims];
        wide.encode(&these, &mut made)?;
        for (&i, vector) in bad.iter().zip(made.chunks_exact(dims)) {
            out[i * dims..(i + 1) * dims].copy_from_slice(vector);
        }
        Ok(())
    }

    /// A plan that nobody is running.
    fn worker(&self) -> Result<Worker> {
        if let Some(worker) = self.idle.lock().ok().and_then(|mut idle| idle.pop()) {
            return Ok(worker);
        }
        let plan = self.first.twin()?;
        let device = Arc::clone(plan.device());
        let input = alloc(&*device, plan.inputs()[0].1.clone())?;
        let output = alloc(&*device, plan.outputs()[0].clone())?;
        Ok(Worker {
            plan,
            input,
            output,
        })
    }
}

impl Worker {
    /// Runs the plan on as many images as it takes, or fewer.
    fn run(&mut self, images: &[f32], out: &mut [f32]) -> Result<()> {
        let device = Arc::clone(self.plan.device());
        let stream = Stream::DEFAULT;
        let wanted = self.input.desc.bytes();
        let mut bytes = bytes_of(images, self.input.desc.dtype);
        bytes.resize(wanted, 0);
        device.upload(&bytes, &self.input, stream)?;
        self.plan.run(&[&self.input], &[&self.output], stream)?;
        let mut bytes = vec![0; self.output.desc.bytes()];
        device.download(&self.output, &mut bytes, stream)?;
        let values = values_of(&bytes, self.output.desc.dtype);
        out.copy_from_slice(&values[..out.len()]);
        Ok(())
    }
}

/// Published weights, and which tensors were of no use.
fn weights_of(
    options: &ImageOptions,
    weights: &Path,
    how: OpenOptions,
) -> Result<(WeightFile, Extras)> {
    let arch = arch(&options.arch)?;
    let plain = build::params(&build::graph(arch, &Build::new(1, arch.size))?);
    let file = WeightFile::open(weights, how)?.strip_prefix(&plain)?;
    let build = plan_for(arch, options, &file)?;
    let mut wanted = build::params(&build::graph(arch, &build)?);
    wanted.retain(|(key, _)| key != POWER || file.dims(POWER).is_some());
    let extra = |key: &str| known_extra(arch, key) || key.starts_with("embed.");
    let extras = check_against(&file, &wanted, &extra)?;
    Ok((file, extras))
}

/// What to build for the options, of weights that may hold a head.
fn plan_for(arch: &Arch, options: &ImageOptions, source: &dyn Source) -> Result<Build> {
    let head = match source.dims("embed.fc.weight") {
        Some(&[dims, _]) if !options.raw => Some(Head { dims }),
        _ => None,
    };
    let own = match source.dims(POWER) {
        Some(_) => GlobalPool::Gem,
        None => GlobalPool::Average,
    };
    Ok(Build {
        batch: 1,
        size: options.size.unwrap_or(arch.size),
        activation: options.activation,
        pool: options.pool.unwrap_or(own),
        head,
    })
}
