//! Batches of images on their way through a card.

use std::sync::Arc;

use half::f16;
use half::slice::{HalfBitsSliceExt, HalfFloatSliceExt};
use rayon::prelude::*;

use super::{Belt, LANES, budget, largest, of};
use crate::device::{DType, HostBuf, Plan, Runner, alloc, values_of};
use crate::error::{Error, Result};
use crate::limits::{MAX_BATCH, MAX_PREPARED_BYTES};
use crate::nn::ImageEncoder;

/// Images of a run, where nobody says and there is room.
const BATCH: usize = 64;

/// What a run over many images needs.
pub struct ImageLanes {
    /// Images of a lane.
    pub batch: usize,
    /// Lanes that may be under way together.
    pub lanes: Vec<ImageLane>,
    /// Why the batch is smaller than it might be: a line, or nothing.
    pub note: Option<String>,
}

/// A batch on its way: filled, submitted, collected, over and over.
pub struct ImageLane {
    belt: Arc<Belt>,
    runner: Runner,
    input: [HostBuf; 1],
    output: HostBuf,
    item_len: usize,
    dims: usize,
}

impl ImageEncoder {
    /// Lanes for `items` images, `wanted` at a time or as many as are good and fit the card's memory;
    /// none where the device is no card.
    ///
    /// # Errors
    /// [`Kind::Limit`](crate::error::Kind::Limit) where not even one image fits; a failing device.
    pub fn lanes(&self, wanted: Option<usize>, items: usize) -> Result<Option<ImageLanes>> {
        let device = self.plan().device();
        if device.streams().is_none() {
            return Ok(None);
        }
        let [input, output] = [&self.plan().inputs()[0].1, &self.plan().outputs()[0]];
        let per_item = input.bytes() / input.dims[0].max(1);
        let staged = MAX_PREPARED_BYTES / LANES / per_item.max(1);
        let most = wanted.unwrap_or(BATCH).min(items).min(staged);
        let most = most.clamp(1, MAX_BATCH);
        let ends = per_item + output.bytes() / output.dims[0].max(1);
        let room = budget(&**device)?;
        let several = |batch: usize| LANES.min(items.div_ceil(batch).max(1));
        let fits = |batch: usize| -> Result<bool> {
            let needs = self.sized(batch)?.needs() as u64;
            let staged = batch * several(batch) * ends;
            Ok(needs.saturating_add(staged as u64) <= room)
        };
        let asked = wanted.is_some();
        let mut make = |batch: usize| self.make(batch, several(batch));
        let (lanes, batch, note) = largest((most, asked, "images"), &fits, &mut make)?;
        Ok(Some(ImageLanes { batch, lanes, note }))
    }

    fn make(&self, batch: usize, lanes: usize) -> Result<Vec<ImageLane>> {
        let plan = Arc::new(self.sized(batch)?);
        let belt = Belt::new(plan.device())?;
        (0..lanes).map(|_| self.lane(&plan, &belt)).collect()
    }

    fn lane(&self, plan: &Arc<Plan>, belt: &Arc<Belt>) -> Result<ImageLane> {
        let device = &**plan.device();
        let streams = of(device)?;
        let (from, to) = (&plan.inputs()[0].1, &plan.outputs()[0]);
        let ins = vec![alloc(device, from.clone())?];
        let outs = vec![alloc(device, to.clone())?];
        Ok(ImageLane {
            belt: Arc::clone(belt),
            runner: Runner::new(Arc::clone(plan), ins, outs)?,
            input: [streams.host(from.bytes())?],
            output: streams.host(to.bytes())?,
            item_len: self.size() * self.size() * 3,
            dims: self.dims(),
        })
    }
}

impl ImageLane {
    /// Prepares the first `count` images of the batch: `load` fills one, f32 `[size, size, 3]`, on any
    /// thread of rayon's pool. Images beyond hold anything, and so do their embeddings.
    ///
    /// # Errors
    /// What the card failed with.
    pub fn fill(&mut self, count: usize, load: &(dyn Fn(usize, &mut [f32]) + Sync)) -> Result<()> {
        let (dtype, length) = (self.runner.ins()[0].desc.dtype, self.item_len);
        let bytes = self.input[0].bytes()?;
        let cut = |e| Error::internal(format!("staging memory: {e}")).op("embed");
        match dtype {
            DType::F32 => {
                let values: &mut [f32] = bytemuck::try_cast_slice_mut(bytes).map_err(cut)?;
                let places = values.par_chunks_exact_mut(length).take(count);
                let places = places.with_max_len(1).enumerate();
                places.for_each(|(place, out)| load(place, out));
            }
            DType::F16 => {
                let bits: &mut [u16] = bytemuck::try_cast_slice_mut(bytes).map_err(cut)?;
                let values: &mut [f16] = bits.reinterpret_cast_mut();
                let places = values.par_chunks_exact_mut(length).take(count);
                let places = places.with_max_len(1).enumerate();
                places.for_each_init(
                    || vec![0.0; length],
                    |image, (place, out)| {
                        load(place, image);
                        out.convert_from_f32_slice(image);
                    },
                );
            }
            DType::U32 => return Err(Error::internal("images are no words").op("embed")),
        }
        Ok(())
    }

    /// Puts the batch on the card's streams.
    ///
    /// # Errors
    /// What the card failed with.
    pub fn submit(&mut self) -> Result<()> {
        self.belt
            .send(&mut self.input, &mut self.runner, &mut self.output)
    }

    /// Waits for the embeddings of the first images and writes them, `[images, dims]`.
    ///
    /// # Errors
    /// What the card failed with.
    pub fn collect(&mut self, out: &mut [f32]) -> Result<()> {
        let desc = &self.runner.outs()[0].desc;
        let (dtype, dims) = (desc.dtype, self.dims);
        let bytes = self.output.bytes()?;
        let Some(bytes) = bytes.get(..out.len() * dtype.size()) else {
            let rows = [out.len() / dims.max(1), dims];
            return Err(Error::shape("encode", &desc.dims, &rows));
        };
        out.copy_from_slice(&values_of(bytes, dtype));
        Ok(())
    }

    /// Whether its launches were taken down, so that a batch is one call.
    pub fn is_taped(&self) -> bool {
        self.runner.is_taped()
    }
}
