//! An image encoder as a run names it: architecture, weights, preparation.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::{Value, json};

use crate::device::Device;
use crate::embed::{Encode, EncodeAhead, Lane, Lanes, store};
use crate::error::{Error, Result};
use crate::image::{self, Crop, Filter, Prepare};
use crate::nn::weights::{OpenOptions, weight_files};
use crate::nn::{
    self, Arch, GlobalPool, ImageEncoder, ImageLane, ImageLanes, ImageOptions, LoadPicture, Normal,
};

/// What is done about an image's aspect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Framing {
    /// Both sides are resized to the square, as the competition's systems do.
    #[default]
    Squash,
    /// timm's resize and crop for the architecture.
    Timm,
}

/// An image encoder and all that its vectors depend on, but the images.
#[derive(Debug, Clone, PartialEq)]
pub struct EncoderSpec {
    /// Architecture, size, activation, pooling; `raw` leaves a head out that the weights have.
    pub options: ImageOptions,
    /// A safetensors file, an index of several, or a folder with either.
    pub weights: PathBuf,
    /// Map the weights; else they are read.
    pub mmap: bool,
    /// What is done about an image's aspect.
    pub framing: Framing,
    /// Turn images as their EXIF says.
    pub orient: bool,
}

/// An encoder that is ready to run.
pub struct OpenEncoder {
    /// The encoder.
    pub encoder: ImageEncoder,
    /// How images are prepared for it.
    pub prepare: Prepare,
    /// Turn images as their EXIF says.
    pub orient: bool,
    /// What the weights hold that was not used: a line, or nothing.
    pub ignored: String,
    spec: EncoderSpec,
}

impl EncoderSpec {
    /// How images are prepared.
    ///
    /// # Errors
    /// An architecture that is not known; a size that is out of bounds.
    pub fn prepare(&self) -> Result<Prepare> {
        let arch = nn::arch(&self.options.arch)?;
        let prepare = Prepare {
            size: self.options.size.unwrap_or(arch.size),
            crop: crop(arch, self.framing)?,
            filter: match arch.filter {
                "bilinear" => Filter::Bilinear,
                _ => Filter::Bicubic,
            },
            normal: image::Normal {
                mean: arch.mean,
                std: arch.std,
            },
        };
        prepare.check()?;
        Ok(prepare)
    }

    /// Opens, checks and packs the weights for `device`.
    ///
    /// # Errors
    /// An architecture that is not known, with near ones; a size that it does not take; whatever is
    /// wrong with the weights; [`Kind::Unsupported`](crate::error::Kind::Unsupported) for a device
    /// that has no convolutions.
    pub fn open(&self, device: Arc<dyn Device>) -> Result<OpenEncoder> {
        let prepare = self.prepare()?;
        let how = OpenOptions { mmap: self.mmap };
        let (encoder, extras) = ImageEncoder::open(&self.options, &self.weights, how, device)?;
        Ok(OpenEncoder {
            encoder,
            prepare,
            orient: self.orient,
            ignored: extras.to_string(),
            spec: self.clone(),
        })
    }
}

impl EncoderSpec {
    /// What makes the vectors, for a manifest. Reads all of the weights for their SHA-256. Without a
    /// `pool` it is the one that was asked for.
    ///
    /// # Errors
    /// An architecture that is not known; weights that cannot be read.
    pub fn settings(&self, pool: Option<GlobalPool>) -> Result<Value> {
        let (options, prepare) = (&self.options, self.prepare()?);
        let pool = pool.or(options.pool).map(|pool| match pool {
            GlobalPool::Average => "avg",
            GlobalPool::Gem => "gem",
        });
        Ok(json!({
            "encoder": format!("timm:{}", nn::arch(&options.arch)?.name),
            "weights_sha256": weights_sha256(&self.weights)?,
            "size": prepare.size,
            "crop": match prepare.crop {
                Crop::Squash => json!("squash"),
                Crop::Timm { crop_pct } => json!({"timm": crop_pct}),
            },
            "filter": format!("{:?}", prepare.filter).to_lowercase(),
            "mean": prepare.normal.mean.map(decimal),
            "std": prepare.normal.std.map(decimal),
            "activation": options.activation.map(|a| format!("{a:?}").to_lowercase()),
            "pool": pool,
            "raw": options.raw,
            "exif": self.orient,
        }))
    }
}

impl OpenEncoder {
    /// What made the vectors, for their manifest. Reads all of the weights for their SHA-256.
    ///
    /// # Errors
    /// Weights that cannot be read any more.
    pub fn settings(&self) -> Result<Value> {
        self.spec.settings(Some(self.encoder.pool()))
    }
}

/// The SHA-256 of the weights at `path`: of the one file, or of each by its name.
pub(super) fn weights_sha256(path: &Path) -> Result<Value> {
    let files = weight_files(path)?;
    if let [one] = &files[..] {
        return Ok(json!(store::sha256(one)?));
    }
    let named = |file: &PathBuf| -> Result<(String, Value)> {
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        Ok((name.into_owned(), json!(store::sha256(file)?)))
    };
    Ok(Value::Object(
        files.iter().map(named).collect::<Result<_>>()?,
    ))
}

/// The f64 with the same shortest decimal form: what the figure was meant to be.
fn decimal(x: f32) -> f64 {
    x.to_string().parse().unwrap_or(f64::from(x))
}

fn crop(arch: &Arch, framing: Framing) -> Result<Crop> {
    match framing {
        Framing::Squash => Ok(Crop::Squash),
        // timm's squash with nothing cropped off.
        Framing::Timm if arch.squash && arch.crop_pct == 1.0 => Ok(Crop::Squash),
        Framing::Timm if arch.squash => Err(Error::unsupported(format!(
            "{} wants images squashed, then cropped",
            arch.name
        ))
        .mend("use --crop squash")),
        Framing::Timm => Ok(Crop::Timm {
            crop_pct: decimal(arch.crop_pct),
        }),
    }
}

impl Encode for ImageEncoder {
    fn item_len(&self) -> usize {
        self.size() * self.size() * 3
    }

    fn dims(&self) -> usize {
        ImageEncoder::dims(self)
    }

    fn encode(&self, items: &[f32], out: &mut [f32]) -> Result<()> {
        ImageEncoder::encode(self, items, out)
    }

    fn note(&self) -> Option<String> {
        ImageEncoder::note(self)
    }

    fn ahead(&self) -> Option<&dyn EncodeAhead> {
        let streams = self.plan().device().streams();
        streams.map(|_| self as &dyn EncodeAhead)
    }
}

impl EncodeAhead for ImageEncoder {
    fn dims(&self) -> usize {
        ImageEncoder::dims(self)
    }

    fn note(&self) -> Option<String> {
        ImageEncoder::note(self)
    }

    fn lanes(&self, wanted: Option<usize>, items: usize) -> Result<Lanes<'_>> {
        let Some(made) = ImageEncoder::lanes(self, wanted, items)? else {
            return Err(Error::internal("the device has no streams").op("embed"));
        };
        Ok(lanes_of(made))
    }

    fn picture_lanes(
        &self,
        normal: Normal,
        wanted: Option<usize>,
        items: usize,
    ) -> Result<Option<Lanes<'_>>> {
        let made = ImageEncoder::picture_lanes(self, normal, wanted, items)?;
        Ok(made.map(lanes_of))
    }
}

fn lanes_of(made: ImageLanes<'_>) -> Lanes<'_> {
    let lanes = made.lanes.into_iter().map(|lane| Box::new(lane) as _);
    Lanes {
        batch: made.batch,
        lanes: lanes.collect(),
        note: made.note,
    }
}

impl Lane for ImageLane<'_> {
    fn fill(&mut self, count: usize, load: &(dyn Fn(usize, &mut [f32]) + Sync)) -> Result<()> {
        ImageLane::fill(self, count, load)
    }

    fn fill_pictures(&mut self, count: usize, load: &LoadPicture<'_>) -> Result<()> {
        ImageLane::fill_pictures(self, count, load)
    }

    fn submit(&mut self) -> Result<()> {
        ImageLane::submit(self)
    }

    fn collect(&mut self, out: &mut [f32]) -> Result<()> {
        ImageLane::collect(self, out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(arch: &str, size: Option<usize>, framing: Framing) -> EncoderSpec {
        EncoderSpec {
            options: ImageOptions {
                size,
                ..ImageOptions::new(arch)
            },
            weights: "gone.safetensors".into(),
            mmap: true,
            framing,
            orient: true,
        }
    }

    #[test]
    fn images_are_prepared_as_the_architecture_says() {
        let plain = spec("efficientnet_b0", None, Framing::Squash);
        let prepare = plain.prepare().unwrap();
        assert_eq!((prepare.size, prepare.crop), (224, Crop::Squash));
        assert_eq!(prepare.normal, crate::image::IMAGENET);
        let timm = spec("timm/efficientnet_b1", Some(512), Framing::Timm);
        assert!(timm.prepare().is_err());
        let timm = spec("efficientnet_b1", Some(512), Framing::Timm);
        let prepare = timm.prepare().unwrap();
        // 0.9 itself, not the f32 next to it.
        let crop_pct = 0.9;
        assert_eq!((prepare.size, prepare.crop), (512, Crop::Timm { crop_pct }));
        assert_eq!(prepare.normal, crate::image::INCEPTION);
        // Every architecture has a preparation of timm's.
        for arch in nn::architectures() {
            let prepare = spec(arch.name, None, Framing::Timm).prepare().unwrap();
            assert_eq!(prepare.size, arch.size);
        }
        assert!(
            spec("resnet18", Some(0), Framing::Squash)
                .prepare()
                .is_err()
        );
        assert!(
            spec("resnet18", Some(1 << 20), Framing::Squash)
                .prepare()
                .is_err()
        );
    }
}
