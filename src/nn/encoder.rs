//! An encoder of images, ready to run.

use std::sync::{Arc, Mutex};

use super::catalogue::{Arch, arch};
use super::{Build, GlobalPool, Head, graph};
use crate::device::{Act, DType, Device, Lower, Plan, Precision, Source, Stream, alloc};
use crate::error::{Error, Result};

/// Which encoder, and how it is run.
#[derive(Debug, Clone, PartialEq)]
pub struct ImageOptions {
    /// timm's name.
    pub arch: String,
    /// Pixels on a side; the architecture's own by default.
    pub size: Option<usize>,
    /// Stands in for the backbone's own activation.
    pub activation: Option<Act>,
    /// How the features of all pixels become one.
    pub pool: GlobalPool,
    /// The pooled features, whatever head the weights have.
    pub raw: bool,
}

/// An encoder of images with its weights.
pub struct ImageEncoder {
    arch: &'static Arch,
    size: usize,
    dims: usize,
    device: Arc<dyn Device>,
    plan: Mutex<Plan>,
}

impl ImageEncoder {
    /// The encoder of `options` with published weights, on `device`.
    ///
    /// # Errors
    /// An unknown name, a size that it does not take, weights that are missing or wrong, and a device
    /// that cannot run it.
    pub fn new(
        options: &ImageOptions,
        weights: &dyn Source,
        device: Arc<dyn Device>,
    ) -> Result<Self> {
        let arch = arch(&options.arch)?;
        let size = options.size.unwrap_or(arch.size);
        let head = match weights.dims("embed.fc.weight") {
            Some(&[dims, _]) if !options.raw => Some(Head { dims }),
            _ => None,
        };
        let build = Build {
            activation: options.activation,
            pool: options.pool,
            head,
            ..Build::new(1, size)
        };
        let graph = graph(arch, &build)?;
        let how = Lower::Infer(Precision::F32);
        let plan = Plan::new(&graph, weights, Arc::clone(&device), how)?;
        let dims = plan.outputs()[0].dims[1];
        Ok(ImageEncoder {
            arch,
            size,
            dims,
            device,
            plan: Mutex::new(plan),
        })
    }

    /// What it is, and how images are prepared for it.
    pub fn arch(&self) -> &'static Arch {
        self.arch
    }

    /// Pixels on a side.
    pub fn size(&self) -> usize {
        self.size
    }

    /// Values of a vector.
    pub fn dims(&self) -> usize {
        self.dims
    }

    /// Encodes `images`, f32 `[n, size, size, 3]`, into `out`, `[n, dims]`.
    ///
    /// # Errors
    /// Lengths that do not go together, or a failing device.
    pub fn encode(&self, images: &[f32], out: &mut [f32]) -> Result<()> {
        let image = self.size * self.size * 3;
        let n = images.len() / image;
        if images.len() != n * image || out.len() != n * self.dims {
            return Err(Error::shape("encode", &[images.len()], &[out.len()]));
        }
        let plan = self.plan.lock().map_err(|_| Error::internal("poisoned"))?;
        let input = alloc(&*self.device, plan.inputs()[0].1.clone())?;
        let output = alloc(&*self.device, plan.outputs()[0].clone())?;
        debug_assert_eq!(output.desc.dtype, DType::F32);
        for (from, to) in images.chunks(image).zip(out.chunks_mut(self.dims)) {
            let stream = Stream::DEFAULT;
            self.device
                .upload(bytemuck::cast_slice(from), &input, stream)?;
            plan.run(&[&input], &[&output], stream)?;
            self.device
                .download(&output, bytemuck::cast_slice_mut(to), stream)?;
        }
        Ok(())
    }
}
