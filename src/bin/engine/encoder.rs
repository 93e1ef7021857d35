//! The options that say which encoders, for all verbs that take one.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::{Args, ValueEnum};
use doppel::device::{Act, Device};
use doppel::error::{Error, Kind, Result};
use doppel::nn::text::TextPool;
use doppel::nn::{self, Arch, GlobalPool, ImageOptions};
use doppel::recipe::{
    EncoderSpec, Framing, ImageWork, NEEDED, Of, OpenEncoder, OpenText, ReadText, TextSpec,
    TitleWork,
};

use crate::common::Common;

/// Text encoders that `--encoder hf:` takes: what they are called, and a repository that has one.
pub const TEXT_ENCODERS: [(&str, &str); 7] = [
    ("bert", "google-bert/bert-base-uncased"),
    ("distilbert", "distilbert/distilbert-base-uncased"),
    ("roberta", "FacebookAI/roberta-base"),
    (
        "distilroberta",
        "sentence-transformers/all-distilroberta-v1",
    ),
    ("xlm-roberta", "FacebookAI/xlm-roberta-base"),
    ("camembert", "almanach/camembert-base"),
    ("minilm", MINILM),
];

/// A small text encoder that is good at similar sentences.
const MINILM: &str = "sentence-transformers/all-MiniLM-L6-v2";

/// How encoders are run. The verb itself has `--encoder`.
#[derive(Args)]
pub struct Settings {
    /// Its weights. For timm: a .safetensors file, an index of several, or a folder with
    /// model.safetensors; for hf: a Hugging Face folder. With a recipe: the folder that its weights are in
    /// [default: the recipe's own]
    #[arg(long, value_name = "FILE|DIR")]
    pub weights: Vec<PathBuf>,
    /// Images: pixels on a side of what the encoder sees [default: the encoder's own]
    #[arg(long, value_name = "PX", requires = "encoder")]
    size: Option<usize>,
    /// Images: squash them to the square, or resize and crop as timm does for the encoder [default:
    /// squash]
    #[arg(long, value_enum, requires = "encoder")]
    crop: Option<CropName>,
    /// Images: another activation in the place of the encoder's own
    #[arg(long, value_enum, requires = "encoder")]
    activation: Option<ActivationName>,
    /// How the features of all pixels (avg, gem) or all tokens (cls, mean) become one [default: as
    /// the weights have it, else the mean]
    #[arg(long, value_enum, requires = "encoder")]
    pool: Vec<PoolName>,
    /// Titles: tokens that a title is cut to, special ones included [default: as the folder says]
    #[arg(long, value_name = "N", requires = "encoder")]
    max_tokens: Option<usize>,
    /// Titles: turn literal \xNN escapes into text before they are encoded
    #[arg(long, requires = "encoder")]
    decode_escapes: bool,
    /// Read the weights instead of mapping them, as for network folders
    #[arg(long, requires = "encoder")]
    no_mmap: bool,
    /// Images: take them as they are stored, not turned as their EXIF says
    #[arg(long, requires = "encoder")]
    no_exif: bool,
    /// Images: how many are encoded together, fewer where they would take too much memory [default:
    /// one a thread, 8 to 64]
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

#[derive(Clone, Copy, PartialEq, ValueEnum)]
enum PoolName {
    Avg,
    Gem,
    Cls,
    Mean,
}

impl PoolName {
    fn of_images(self) -> bool {
        matches!(self, PoolName::Avg | PoolName::Gem)
    }

    fn shown(self) -> &'static str {
        match self {
            PoolName::Avg => "--pool avg",
            PoolName::Gem => "--pool gem",
            PoolName::Cls => "--pool cls",
            PoolName::Mean => "--pool mean",
        }
    }
}

/// The encoders of a run, at most one of each kind; nothing is opened.
#[derive(Default)]
pub struct Chosen {
    pub image: Option<EncoderSpec>,
    pub title: Option<TextSpec>,
}

impl Chosen {
    /// The encoders `names` with these settings; the first has the first weights, and so on.
    pub fn of(names: &[String], settings: &Settings, raw: bool) -> Result<Chosen> {
        let mut chosen = Chosen::default();
        for (at, name) in names.iter().enumerate() {
            let weights = settings.weights.get(at).map(PathBuf::as_path);
            match parse(name)? {
                Named::Image(arch) => {
                    once(chosen.image.is_some(), "timm:", "images")?;
                    chosen.image = Some(settings.image(name, arch, weights, raw)?);
                }
                Named::Title(repository) => {
                    once(chosen.title.is_some(), "hf:", "titles")?;
                    chosen.title = Some(settings.title(name, repository, weights, raw)?);
                }
            }
        }
        if settings.weights.len() > names.len() {
            let (weights, names) = (settings.weights.len(), names.len());
            let message = format!("--weights comes {weights} times, --encoder {names}");
            return Err(Error::input(message).mend("give each encoder its weights, in turn"));
        }
        settings.fit(&chosen)?;
        Ok(chosen)
    }
}

/// Refuses a second encoder of a kind.
fn once(again: bool, prefix: &str, of: &str) -> Result<()> {
    match again {
        true => Err(Error::input(format!("--encoder {prefix} comes twice"))
            .mend(format!("give one encoder of {of}"))),
        false => Ok(()),
    }
}

/// What `--encoder` names.
enum Named<'a> {
    /// An architecture of timm's.
    Image(&'static Arch),
    /// A repository of Hugging Face's, which may be left out: the weights say what they are.
    Title(&'a str),
}

fn parse(name: &str) -> Result<Named<'_>> {
    let shown = || format!("--encoder {name}");
    match name.split_once(':') {
        Some(("timm", arch)) => nn::arch(arch).map(Named::Image),
        Some(("hf", repository)) => Ok(Named::Title(repository.trim())),
        Some((family, _)) => Err(Error::input(format!(
            "{}: {family} is not a family of encoders",
            shown()
        ))
        .mend("give timm:ARCH for images, as in timm:efficientnet_b0, or hf: for titles")),
        None => Err(Error::unsupported(format!(
            "{}: no encoder of that name is shipped yet",
            shown()
        ))
        .mend(match nn::arch(name) {
            Ok(arch) => format!("give timm:{} with --weights", arch.name),
            Err(_) => {
                "give timm:ARCH for images (`engine info` lists them) or hf: for titles, with --weights"
                    .to_string()
            }
        })),
    }
}

impl Settings {
    /// The images' encoder.
    fn image(
        &self,
        name: &str,
        arch: &Arch,
        weights: Option<&Path>,
        raw: bool,
    ) -> Result<EncoderSpec> {
        let Some(weights) = weights else {
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
                pool: self.pool.iter().find_map(|name| match name {
                    PoolName::Avg => Some(GlobalPool::Average),
                    PoolName::Gem => Some(GlobalPool::Gem),
                    _ => None,
                }),
                raw,
            },
            weights: weights.to_path_buf(),
            mmap: !self.no_mmap,
            framing: match self.crop {
                Some(CropName::Timm) => Framing::Timm,
                _ => Framing::Squash,
            },
            orient: !self.no_exif,
        };
        spec.prepare()?;
        doppel::embed::batch_for(self.batch, 1)?;
        Ok(spec)
    }

    /// The titles' encoder.
    fn title(
        &self,
        name: &str,
        repository: &str,
        weights: Option<&Path>,
        raw: bool,
    ) -> Result<TextSpec> {
        let Some(weights) = weights else {
            let repository = if repository.is_empty() {
                MINILM
            } else {
                repository
            };
            let message = format!("--encoder {name} has no weights");
            return Err(Error::input(message).mend(format!(
                "give --weights DIR, a folder with {NEEDED}; published ones: hf download {repository} \
                 --local-dir weights/"
            )));
        };
        Ok(TextSpec {
            weights: weights.to_path_buf(),
            pool: self.pool.iter().find_map(|name| match name {
                PoolName::Cls => Some(TextPool::Cls),
                PoolName::Mean => Some(TextPool::Mean),
                _ => None,
            }),
            max_tokens: self.max_tokens,
            raw,
            mmap: !self.no_mmap,
        })
    }

    /// Refuses options that no encoder of the run has a use for, and two that say different things.
    fn fit(&self, chosen: &Chosen) -> Result<()> {
        let pool = |images: bool| {
            let mut given = self.pool.iter().filter(move |p| p.of_images() == images);
            (given.next(), given.next())
        };
        let (avg, cls) = (pool(true), pool(false));
        for (one, two) in [avg, cls] {
            if let (Some(one), Some(two)) = (one, two) {
                let message = format!("{} and {} together", one.shown(), two.shown());
                return Err(Error::input(message).mend("give one of them"));
            }
        }
        let shown = |pool: Option<&PoolName>| pool.map(|name| name.shown());
        let of_images = [
            self.size.map(|_| "--size"),
            self.crop.map(|_| "--crop"),
            self.activation.map(|_| "--activation"),
            self.no_exif.then_some("--no-exif"),
            self.batch.map(|_| "--batch"),
            shown(avg.0),
        ];
        let of_titles = [
            self.max_tokens.map(|_| "--max-tokens"),
            self.decode_escapes.then_some("--decode-escapes"),
            shown(cls.0),
        ];
        let refuse = |option: &str, of: &str, other: &str| {
            let message = format!("{option} is for encoders of {of} ({other})");
            Err(Error::input(message).mend("leave it out, or give such an encoder"))
        };
        match (
            of_images.into_iter().flatten().next(),
            of_titles.into_iter().flatten().next(),
        ) {
            (Some(option), _) if chosen.image.is_none() && chosen.title.is_some() => {
                refuse(option, "images", "timm:")
            }
            (_, Some(option)) if chosen.title.is_none() && chosen.image.is_some() => {
                refuse(option, "titles", "hf:")
            }
            _ => Ok(()),
        }
    }

    /// The encoders as spaces of a recipe.
    pub fn spaces(&self, chosen: Chosen) -> (Option<Of>, Option<Of>) {
        let image = chosen.image.map(|encoder| Of::Image {
            encoder,
            batch: self.batch,
        });
        let title = chosen.title.map(|encoder| Of::Text {
            encoder,
            decode_escapes: self.decode_escapes,
        });
        (image, title)
    }

    /// What `encoder` does with images: unit rows of float32.
    pub fn image_work<'a>(&self, open: &'a OpenEncoder) -> ImageWork<'a> {
        ImageWork {
            encoder: &open.encoder,
            prepare: open.prepare,
            orient: open.orient,
            raw: false,
            ceiling: f32::MAX,
            batch: self.batch,
        }
    }

    /// What `encoder` does with titles: unit rows of float32.
    pub fn title_work<'a>(&self, open: &'a OpenText) -> TitleWork<'a> {
        TitleWork {
            decode_escapes: self.decode_escapes,
            ..TitleWork::new(open)
        }
    }
}

/// The encoders of a run, ready, each with the kind of device that it is on.
pub struct Opened {
    pub image: Option<(OpenEncoder, &'static str)>,
    pub title: Option<(OpenText, &'static str)>,
}

/// Opens the encoders on the device of the run. What is quickly read is checked first; what there is to
/// say about the weights is said when nothing is wrong with any of them.
pub fn open(chosen: &Chosen, common: &Common) -> Result<Opened> {
    let read = chosen.title.as_ref().map(TextSpec::read).transpose()?;
    let image = |spec: &EncoderSpec| on_device(common, &|device| spec.open(device));
    let title = |read: ReadText| on_device(common, &|device| read.open(device));
    let opened = Opened {
        image: chosen.image.as_ref().map(image).transpose()?,
        title: read.map(title).transpose()?,
    };
    let note = |weights: &Path, ignored: &str| {
        if !ignored.is_empty() {
            common.note(&format!("{}: {ignored}", weights.display()));
        }
    };
    if let (Some(spec), Some((open, _))) = (&chosen.image, &opened.image) {
        note(&spec.weights, &open.ignored);
    }
    if let (Some(spec), Some((open, _))) = (&chosen.title, &opened.title) {
        note(&spec.weights, &open.ignored);
    }
    Ok(opened)
}

/// Opens an encoder on the device of the run; on the CPU where that was `auto` and the card lacks an
/// operation of it. Gives the kind of device that it is on.
fn on_device<T>(
    common: &Common,
    open: &dyn Fn(Arc<dyn Device>) -> Result<T>,
) -> Result<(T, &'static str)> {
    let device = common.shared_device()?;
    let (kind, card) = (device.info().kind, device.info().is_card());
    match open(device) {
        Err(e) if card && e.kind() == Kind::Unsupported => {
            // What is wrong with the weights themselves is told as on any device.
            let opened = open(doppel::device::open("cpu")?)?;
            if common.insists_on_card() {
                let message = format!("--device {}: {}", common.device, e.message());
                return Err(Error::unsupported(message).mend("use --device cpu"));
            }
            common.note(&format!("this encoder runs on the CPU: {}", e.message()));
            Ok((opened, "cpu"))
        }
        done => Ok((done?, kind)),
    }
}
