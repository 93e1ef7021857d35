//! Batches of images on their way through a card.

use std::sync::{Arc, Mutex, PoisonError};

use half::slice::{HalfBitsSliceExt, HalfFloatSliceExt};
use half::{bf16, f16};
use rayon::prelude::*;

use super::{Belt, LANES, budget, largest, of};
use crate::device::{
    Buf, DType, Desc, HostBuf, LockedPictures, Picture, Plan, Runner, alloc, bytes_of, values_of,
};
use crate::error::{Error, Result};
use crate::limits::{MAX_BATCH, MAX_PREPARED_BYTES, MAX_STAGED_BYTES};
use crate::nn::ImageEncoder;
use crate::nn::again::overflown;

/// Images of a run, where nobody says and there is room.
const BATCH: usize = 64;

/// Bytes of a decoded picture that a batch has room for on average: 1024 x 1024 pixels.
const PICTURE: usize = 3 << 20;

/// What part of a card's memory the pictures of a lane may take.
const PICTURES_SHARE: u64 = 32;

/// Mean and standard deviation of each colour of what an encoder takes.
pub type Normal = ([f32; 3], [f32; 3]);

/// What loads a place of a batch of pictures: it calls its last argument, which says whether there was
/// room for the picture.
pub type LoadPicture<'a> = dyn Fn(usize, &mut dyn FnMut(&Picture<'_>) -> Result<bool>) + Sync + 'a;

/// What a run over many images needs.
pub struct ImageLanes<'a> {
    /// Images of a lane.
    pub batch: usize,
    /// Lanes that may be under way together.
    pub lanes: Vec<ImageLane<'a>>,
    /// Why the batch is smaller than it might be: a line, or nothing.
    pub note: Option<String>,
}

/// A batch on its way: filled, submitted, collected, over and over.
pub struct ImageLane<'a> {
    encoder: &'a ImageEncoder,
    belt: Arc<Belt>,
    runner: Runner,
    /// The same run in bf16, of all lanes, once a batch has overflowed half precision.
    wide: Arc<Mutex<Option<Runner>>>,
    input: Input,
    output: HostBuf,
    item_len: usize,
    dims: usize,
}

/// What a lane takes.
enum Input {
    /// Values as the encoder wants them.
    Prepared([HostBuf; 1]),
    /// Decoded pictures, which the card prepares, and where they stand on the card.
    Pictures(LockedPictures, Buf),
}

/// What all lanes of a run have in common.
struct Shared {
    plan: Arc<Plan>,
    belt: Arc<Belt>,
    wide: Arc<Mutex<Option<Runner>>>,
    /// Of lanes that take decoded pictures: how they are normalised, and the bytes that they take.
    pictures: Option<(Normal, usize)>,
}

impl ImageEncoder {
    /// Lanes for `items` images, `wanted` at a time or as many as are good and fit the card's memory;
    /// none where the device is no card.
    ///
    /// # Errors
    /// [`Kind::Limit`](crate::error::Kind::Limit) where not even one image fits; a failing device.
    pub fn lanes(&self, wanted: Option<usize>, items: usize) -> Result<Option<ImageLanes<'_>>> {
        match self.plan().device().streams() {
            Some(_) => self.lanes_of(None, wanted, items).map(Some),
            None => Ok(None),
        }
    }

    /// As [`ImageEncoder::lanes`], of lanes that take decoded pictures; none where the device does not
    /// prepare them.
    ///
    /// # Errors
    /// As [`ImageEncoder::lanes`].
    pub fn picture_lanes(
        &self,
        normal: Normal,
        wanted: Option<usize>,
        items: usize,
    ) -> Result<Option<ImageLanes<'_>>> {
        let dtype = self.plan().inputs()[0].1.dtype;
        match self.plan().device().streams() {
            Some(streams) if streams.prepares(dtype) => {
                self.lanes_of(Some(normal), wanted, items).map(Some)
            }
            _ => Ok(None),
        }
    }

    fn lanes_of(
        &self,
        normal: Option<Normal>,
        wanted: Option<usize>,
        items: usize,
    ) -> Result<ImageLanes<'_>> {
        let [input, output] = [&self.plan().inputs()[0].1, &self.plan().outputs()[0]];
        let per_item = input.bytes() / input.dims[0].max(1);
        let staged = MAX_PREPARED_BYTES / LANES / per_item.max(1);
        let most = wanted.unwrap_or(BATCH).min(items).min(staged);
        let most = most.clamp(1, MAX_BATCH);
        let ends = per_item + output.bytes() / output.dims[0].max(1);
        let room = budget(&**self.plan().device())?;
        let several = |batch: usize| LANES.min(items.div_ceil(batch).max(1));
        let pictures =
            |batch: usize| normal.map(|normal| (normal, staging(batch, self.size(), room)));
        let fits = |batch: usize| -> Result<bool> {
            let needs = self.sized(batch)?.needs() as u64;
            let staged = batch * ends + pictures(batch).map_or(0, |(_, bytes)| bytes);
            Ok(needs.saturating_add((several(batch) * staged) as u64) <= room)
        };
        let asked = wanted.is_some();
        let mut make = |batch: usize| self.make(batch, several(batch), pictures(batch));
        let (lanes, batch, note) = largest((most, asked, "images"), &fits, &mut make)?;
        Ok(ImageLanes { batch, lanes, note })
    }

    fn make(
        &self,
        batch: usize,
        lanes: usize,
        pictures: Option<(Normal, usize)>,
    ) -> Result<Vec<ImageLane<'_>>> {
        let plan = Arc::new(self.sized(batch)?);
        let shared = Shared {
            belt: Belt::new(plan.device())?,
            plan,
            wide: Arc::default(),
            pictures,
        };
        (0..lanes).map(|_| self.lane(&shared)).collect()
    }

    /// A run of `batch` images with buffers of its own.
    fn runner(&self, batch: usize) -> Result<Runner> {
        let plan = self.sized(batch)?;
        let device = &**plan.device();
        let ins = vec![alloc(device, plan.inputs()[0].1.clone())?];
        let outs = vec![alloc(device, plan.outputs()[0].clone())?];
        Runner::new(Arc::new(plan), ins, outs)
    }

    fn lane(&self, shared: &Shared) -> Result<ImageLane<'_>> {
        let plan = &shared.plan;
        let device = &**plan.device();
        let streams = of(device)?;
        let (from, to) = (&plan.inputs()[0].1, &plan.outputs()[0]);
        let ins = vec![alloc(device, from.clone())?];
        let outs = vec![alloc(device, to.clone())?];
        let input = match shared.pictures {
            None => Input::Prepared([streams.host(from.bytes())?]),
            Some((normal, bytes)) => {
                let staging = alloc(device, Desc::new(&[bytes / 4], DType::U32))?;
                let host = streams.host(bytes)?;
                let places = from.dims[0];
                let pictures = LockedPictures::new(host, places, self.size(), normal)?;
                Input::Pictures(pictures, staging)
            }
        };
        Ok(ImageLane {
            encoder: self,
            wide: Arc::clone(&shared.wide),
            belt: Arc::clone(&shared.belt),
            runner: Runner::new(Arc::clone(plan), ins, outs)?,
            input,
            output: streams.host(to.bytes())?,
            item_len: self.size() * self.size() * 3,
            dims: self.dims(),
        })
    }
}

/// Bytes for the decoded pictures of a batch, on a card with `room` bytes.
fn staging(batch: usize, size: usize, room: u64) -> usize {
    let least = LockedPictures::least(batch, size);
    let share = usize::try_from(room / PICTURES_SHARE).unwrap_or(usize::MAX);
    let good = batch.saturating_mul(PICTURE).min(MAX_STAGED_BYTES / LANES);
    good.min(share).max(least).next_multiple_of(4)
}

/// Fills the first `count` items of `values`, of `length` each, with what `load` gives for them.
fn rounded<T: Send>(
    values: &mut [T],
    length: usize,
    count: usize,
    load: &(dyn Fn(usize, &mut [f32]) + Sync),
) where
    [T]: HalfFloatSliceExt,
{
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

impl ImageLane<'_> {
    /// Prepares the first `count` images of the batch: `load` fills one, f32 `[size, size, 3]`, on any
    /// thread of rayon's pool. Images beyond hold anything, and so do their embeddings.
    ///
    /// # Errors
    /// What the card failed with; a lane that takes decoded pictures.
    pub fn fill(&mut self, count: usize, load: &(dyn Fn(usize, &mut [f32]) + Sync)) -> Result<()> {
        let (dtype, length) = (self.runner.ins()[0].desc.dtype, self.item_len);
        let Input::Prepared([input]) = &mut self.input else {
            return Err(Error::internal("this lane takes decoded pictures").op("embed"));
        };
        let bytes = input.bytes()?;
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
                rounded(values, length, count, load);
            }
            DType::BF16 => {
                let bits: &mut [u16] = bytemuck::try_cast_slice_mut(bytes).map_err(cut)?;
                let values: &mut [bf16] = bits.reinterpret_cast_mut();
                rounded(values, length, count, load);
            }
            DType::U32 => return Err(Error::internal("images are no words").op("embed")),
        }
        Ok(())
    }

    /// Takes the first `count` pictures of the batch, each from one call of `load` on any thread of rayon's
    /// pool. A place that gets none is black.
    ///
    /// # Errors
    /// What the card failed with; a lane that takes prepared images.
    pub fn fill_pictures(&mut self, count: usize, load: &LoadPicture<'_>) -> Result<()> {
        let Input::Pictures(pictures, _) = &mut self.input else {
            return Err(Error::internal("this lane takes prepared images").op("embed"));
        };
        let count = count.min(pictures.places());
        let room = pictures.room()?;
        let places = (0..count).into_par_iter().with_max_len(1);
        places.for_each(|place| load(place, &mut |picture| room.put(place, picture)));
        Ok(())
    }

    /// Puts the batch on the card's streams.
    ///
    /// # Errors
    /// What the card failed with.
    pub fn submit(&mut self) -> Result<()> {
        let (belt, runner, output) = (&self.belt, &mut self.runner, &mut self.output);
        match &mut self.input {
            Input::Prepared(input) => belt.send(input, runner, output),
            Input::Pictures(pictures, staging) => {
                belt.send_pictures(pictures, staging, runner, output)
            }
        }
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
        let bad = overflown(out, dims, dtype);
        match bad.is_empty() {
            true => Ok(()),
            false => self.make_again(&bad, out),
        }
    }

    /// Puts the batch on the card's streams in bf16, and takes the embeddings of the images `bad` from it.
    fn make_again(&mut self, bad: &[usize], out: &mut [f32]) -> Result<()> {
        let wide = self.encoder.wide(bad.len())?;
        let mut runner = self.wide.lock().unwrap_or_else(PoisonError::into_inner);
        let runner = match &mut *runner {
            Some(runner) => runner,
            none => none.insert(wide.runner(self.runner.ins()[0].desc.dims[0])?),
        };
        let (belt, output) = (&self.belt, &mut self.output);
        match &mut self.input {
            Input::Prepared(input) => {
                let bytes = input[0].bytes()?;
                let values = values_of(bytes, DType::F16);
                bytes.copy_from_slice(&bytes_of(&values, DType::BF16));
                belt.send(input, runner, output)?;
            }
            Input::Pictures(pictures, staging) => {
                belt.send_pictures(pictures, staging, runner, output)?;
            }
        }
        let values = values_of(output.bytes()?, DType::BF16);
        for &i in bad {
            let row = i * self.dims..(i + 1) * self.dims;
            out[row.clone()].copy_from_slice(&values[row]);
        }
        Ok(())
    }

    /// Whether its launches were taken down, so that a batch is one call.
    pub fn is_taped(&self) -> bool {
        self.runner.is_taped()
    }
}
