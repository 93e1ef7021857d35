//! The options that say which encoder, for all verbs that take one.

use std::path::PathBuf;
use std::sync::Arc;

use clap::{Args, ValueEnum};
use doppel::device::{Act, Device};
use doppel::error::{Error, Kind, Result};
use doppel::nn::{self, Arch, GlobalPool, ImageOptions};
use doppel::recipe::{EncoderSpec, Framing, ImageWork, OpenEncoder};

use crate::common::Common;

/// How an encoder is run. The verb itself has `--encoder`.
#[derive(Args)]
pub struct Settings {
    /// Its weights: a .safetensors file, an index of several, or a folder with model.safetensors
    #[arg(long, value_name = "FILE|DIR", requires = "encoder")]
    pub weights: Option<PathBuf>,
    /// Pixels on a side of what the encoder sees [default: the encoder's own]
    #[arg(long, value_name = "PX", requires = "encoder")]
    size: Option<usize>,
    /// Squash images to the square, or resize and crop as timm does for the encoder
    #[arg(long, value_enum, default_value = "squash", requires = "encoder")]
    crop: CropName,
    /// Another activation in the place of the encoder's own
    #[arg(long, value_enum, requires = "encoder")]
    activation: Option<ActivationName>,
    /// How the features of all pixels become one: the mean, or the generalised mean [default: as the
    /// weights have it, else the mean]
    #[arg(long, value_enum, requires = "encoder")]
    pool: Option<PoolName>,
    /// Read the weights instead of mapping them, as for network folders
    #[arg(long, requires = "encoder")]
    no_mmap: bool,
    /// Take images as they are stored, not turned as their EXIF says
    #[arg(long, requires = "encoder")]
    no_exif: bool,
    /// Images that are encoded together, fewer where they would take too much memory [default: one
    /// a thread, 8 to 64]
    #[arg(long, value_name = "N", requires = "encoder")]
    batch: Option<usize>,
}

#[derive(Clone, Copy, ValueEnum)]
enum CropName {
    Squash,
    Timm,
}

#[derive(Clone, Copy, ValueEnum)]
enum ActivationName {
    Mish,
}

#[derive(Clone, Copy, ValueEnum)]
enum PoolName {
    Avg,
    Gem,
}

impl Settings {
    /// The encoder `name` with these settings; nothing is opened.
    pub fn spec(&self, name: &str, raw: bool) -> Result<EncoderSpec> {
        let arch = architecture(name)?;
        let Some(weights) = self.weights.clone() else {
            let message = format!("--encoder {name} has no weights");
            return Err(Error::input(message).mend(format!(
                "give --weights FILE; published ones: hf download {} model.safetensors --local-dir \
                 weights/",
                arch.published
            )));
        };
        let spec = EncoderSpec {
            options: ImageOptions {
                arch: arch.name.to_string(),
                size: self.size,
                activation: self.activation.map(|ActivationName::Mish| Act::Mish),
                pool: self.pool.map(|name| match name {
                    PoolName::Avg => GlobalPool::Average,
                    PoolName::Gem => GlobalPool::Gem,
                }),
                raw,
            },
            weights,
            mmap: !self.no_mmap,
            framing: match self.crop {
                CropName::Squash => Framing::Squash,
                CropName::Timm => Framing::Timm,
            },
            orient: !self.no_exif,
        };
        spec.prepare()?;
        doppel::embed::batch_for(self.batch, 1)?;
        Ok(spec)
    }

    /// What `encoder` does with images: unit rows of float32.
    pub fn work<'a>(&self, open: &'a OpenEncoder) -> ImageWork<'a> {
        ImageWork {
            encoder: &open.encoder,
            prepare: open.prepare,
            orient: open.orient,
            raw: false,
            ceiling: f32::MAX,
            batch: self.batch,
        }
    }
}

/// The architecture that `--encoder` names.
fn architecture(name: &str) -> Result<&'static Arch> {
    let shown = || format!("--encoder {name}");
    match name.split_once(':') {
        Some(("timm", arch)) => nn::arch(arch),
        Some(("hf", _)) => Err(Error::unsupported(format!(
            "{}: text encoders are not there yet",
            shown()
        ))
        .mend("use timm:ARCH for images; titles match by TF-IDF")),
        Some((family, _)) => Err(Error::input(format!(
            "{}: {family} is not a family of encoders",
            shown()
        ))
        .mend("give timm:ARCH, as in timm:efficientnet_b0")),
        None => Err(Error::unsupported(format!(
            "{}: no encoder of that name is shipped yet",
            shown()
        ))
        .mend(match nn::arch(name) {
            Ok(arch) => format!("give timm:{} with --weights", arch.name),
            Err(_) => "give timm:ARCH with --weights; `engine info` lists them".to_string(),
        })),
    }
}

/// Opens the encoder on the device of the run; on the CPU where that was `auto` and the card has no
/// convolutions. Gives the kind of device that it is on.
pub fn open(spec: &EncoderSpec, common: &Common) -> Result<(OpenEncoder, &'static str)> {
    let device = common.shared_device()?;
    let (kind, card) = (device.info().kind, device.info().is_card());
    let (opened, kind) = match spec.open(device) {
        Err(e) if card && e.kind() == Kind::Unsupported => {
            if common.insists_on_card() {
                let message = format!("--device {}: {}", common.device, e.message());
                return Err(Error::unsupported(message)
                    .mend("use --device cpu: encoders have no card form in this version"));
            }
            common.note("encoders have no card form in this version: this one runs on the CPU");
            let cpu: Arc<dyn Device> = doppel::device::open("cpu")?;
            (spec.open(cpu)?, "cpu")
        }
        done => (done?, kind),
    };
    if !opened.ignored.is_empty() {
        common.note(&format!("{}: {}", spec.weights.display(), opened.ignored));
    }
    Ok((opened, kind))
}
