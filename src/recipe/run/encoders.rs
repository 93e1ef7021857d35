//! The encoders of a run: what there is for them to do, and each opened when its turn comes.

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::Arc;

use serde_json::{Value, json};

use super::super::spec::Of;
use super::super::work::{Kept, Key};
use super::super::{EncoderSpec, OpenEncoder, OpenText, ReadText, TextSpec};
use super::{Run, Which, inputs};
use crate::device::{self, Device};
use crate::error::{Error, Kind, Result};
use crate::image::ImageFolder;
use crate::listings::Listing;

/// What is to be done for one space of one side.
#[derive(Clone)]
pub(super) struct Planned {
    pub key: Key,
    /// What an earlier run made.
    pub found: Option<Kept>,
}

/// Encoders that are open, by their spaces.
#[derive(Default)]
pub(super) struct Encoders {
    planned: HashMap<(usize, Which), Planned>,
    images: HashMap<usize, OpenEncoder>,
    titles: HashMap<usize, OpenText>,
}

/// How many encoders of a run are held open at a time; of more each is opened to be checked, and again
/// when its turn comes.
const OPEN: usize = 2;

impl Run<'_> {
    /// Finds out what the encoders behind `used` spaces have to do, and opens those that have to do
    /// something, so that what is wrong with one shows before hours of work.
    ///
    /// # Errors
    /// Whatever is wrong with an encoder; no images for one of images.
    pub fn plan(&mut self, used: &[usize]) -> Result<()> {
        let mut wanted: Vec<usize> = Vec::new();
        let mut open: Vec<usize> = used.to_vec();
        let mut seen = HashSet::new();
        while let Some(space) = open.pop() {
            if seen.insert(space) {
                wanted.push(self.like(space));
                open.extend(self.made_of(space));
            }
        }
        wanted.sort_unstable();
        wanted.dedup();
        let mut pending = Vec::new();
        for space in wanted {
            let mut needed = false;
            for &which in self.sides() {
                if self.given(space, which).is_some() {
                    continue;
                }
                let Some(key) = self.encoder_key(space, which)? else {
                    continue;
                };
                let file = self.file(space, which);
                let found = self.job.work.find(&file, &key)?;
                needed |= found.is_none();
                let planned = Planned { key, found };
                self.encoders.planned.insert((space, which), planned);
            }
            if needed {
                pending.push(space);
            }
        }
        let recipe = self.job.recipe;
        // What is quickly read is checked first.
        for &space in &pending {
            if let Of::Text { encoder, .. } = &recipe.spaces[space].of {
                encoder.read()?;
            }
        }
        let few = pending.len() <= OPEN;
        for &space in &pending {
            match &recipe.spaces[space].of {
                Of::Image { encoder, .. } => {
                    let open = self.open_image(space, encoder)?;
                    self.note_ignored(&encoder.weights, &open.ignored);
                    if few {
                        self.encoders.images.insert(space, open);
                    }
                }
                Of::Text { encoder, .. } => {
                    let open = self.open_text(space, encoder)?;
                    self.note_ignored(&encoder.weights, &open.ignored);
                    if few {
                        self.encoders.titles.insert(space, open);
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// What was planned for a space; it is made up for when [`Run::plan`] did not see the space.
    pub(super) fn planned(&mut self, space: usize, which: Which) -> Result<Planned> {
        if let Some(planned) = self.encoders.planned.get(&(space, which)) {
            return Ok(planned.clone());
        }
        let key = self
            .encoder_key(space, which)?
            .ok_or_else(|| Error::internal("the space has no encoder"))?;
        let found = self.job.work.find(&self.file(space, which), &key)?;
        Ok(Planned { key, found })
    }

    /// The key of what a space's encoder makes of a side; none for a space without an encoder.
    fn encoder_key(&self, space: usize, which: Which) -> Result<Option<Key>> {
        let name = &self.job.recipe.spaces[space].name;
        let clean = self.job.recipe.spaces[space].clean.iter();
        let clean: Vec<&str> = clean.map(|step| step.name()).collect();
        let side = self.side(which);
        let items = &side.listings.items;
        let kind = self.job.device.info().kind;
        // Rows that are not of unit length are others.
        let raw = self.job.recipe.spaces[space].euclidean.is_some();
        let lengths = |mut key: Value| {
            if raw {
                key["raw"] = json!(true);
            }
            key
        };
        match &self.job.recipe.spaces[space].of {
            Of::Image { encoder, .. } => {
                has_weights(name, &encoder.weights)?;
                let folder = ImageFolder::open(side.images.ok_or_else(no_folder)?)?;
                let image = |l: &Listing| !l.rejected;
                let names = || {
                    items
                        .iter()
                        .map(|l| l.image.as_deref().filter(|_| image(l)))
                };
                let key = self.key(|| {
                    Ok(lengths(json!({
                        "stage": "embed",
                        "encoder": encoder.settings(None)?,
                        "files": inputs::files(&folder, names()),
                        "device": kind,
                    })))
                });
                key.map(Some)
            }
            Of::Text {
                encoder,
                decode_escapes,
            } => {
                has_weights(name, &encoder.weights)?;
                let title = |l: &Listing| !l.rejected;
                let titles = || {
                    items
                        .iter()
                        .map(|l| l.title.as_deref().filter(|_| title(l)))
                };
                let key = self.key(|| {
                    Ok(lengths(json!({
                        "stage": "titles",
                        "encoder": encoder.read()?.settings()?,
                        "titles": inputs::column(titles()),
                        "decode_escapes": decode_escapes,
                        "clean": clean,
                        "device": kind,
                    })))
                });
                key.map(Some)
            }
            _ => Ok(None),
        }
    }

    /// The encoder of an image space.
    pub(super) fn image_encoder(&mut self, space: usize) -> Result<OpenEncoder> {
        if let Some(open) = self.encoders.images.remove(&space) {
            return Ok(open);
        }
        match &self.job.recipe.spaces[space].of {
            Of::Image { encoder, .. } => self.open_image(space, encoder),
            _ => Err(Error::internal("the space has no encoder of images")),
        }
    }

    /// The encoder of a text space.
    pub(super) fn title_encoder(&mut self, space: usize) -> Result<OpenText> {
        if let Some(open) = self.encoders.titles.remove(&space) {
            return Ok(open);
        }
        match &self.job.recipe.spaces[space].of {
            Of::Text { encoder, .. } => self.open_text(space, encoder),
            _ => Err(Error::internal("the space has no encoder of titles")),
        }
    }

    /// Keeps an encoder for the side that comes next.
    pub(super) fn done_with(&mut self, space: usize, open: OpenEncoder, which: Which) {
        if which == Which::Gallery {
            self.encoders.images.insert(space, open);
        }
    }

    /// As [`Run::done_with`], of titles.
    pub(super) fn done_with_titles(&mut self, space: usize, open: OpenText, which: Which) {
        if which == Which::Gallery {
            self.encoders.titles.insert(space, open);
        }
    }

    fn open_image(&mut self, space: usize, spec: &EncoderSpec) -> Result<OpenEncoder> {
        self.opening(space, |run| run.on_device(&|device| spec.open(device)))
    }

    fn open_text(&mut self, space: usize, spec: &TextSpec) -> Result<OpenText> {
        self.opening(space, |run| {
            let read: ReadText = spec.read()?;
            run.on_device(&|device| read.open(device))
        })
    }

    /// Times the reading of an encoder's weights, which the watcher is not told of.
    fn opening<T>(&mut self, space: usize, open: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        self.clock.begin();
        let opened = open(self)?;
        let name = &self.job.recipe.spaces[space].name;
        self.clock.note_of("weights", Some(name), 1);
        Ok(opened)
    }

    /// Opens an encoder on the device of the run; on the CPU where nobody insists on the card and the
    /// card lacks an operation of it.
    fn on_device<T>(&mut self, open: &dyn Fn(Arc<dyn Device>) -> Result<T>) -> Result<T> {
        let device = Arc::clone(&self.job.device);
        let (card, kind) = (device.info().is_card(), device.info().kind);
        match open(device) {
            Err(e) if card && e.kind() == Kind::Unsupported => {
                // What is wrong with the weights themselves is told as on any device.
                let opened = open(device::open("cpu")?)?;
                if self.job.insist {
                    let message = format!("--device {kind}: {}", e.message());
                    return Err(Error::unsupported(message).mend("use --device cpu"));
                }
                self.note(format!("an encoder runs on the CPU: {}", e.message()));
                Ok(opened)
            }
            done => done,
        }
    }

    fn note_ignored(&mut self, weights: &Path, ignored: &str) {
        if !ignored.is_empty() {
            self.notes.push(format!("{}: {ignored}", weights.display()));
        }
    }
}

/// Refuses a space whose encoder nobody gave weights for.
fn has_weights(name: &str, weights: &Path) -> Result<()> {
    if !weights.as_os_str().is_empty() {
        return Ok(());
    }
    Err(
        Error::input(format!("the space {name} has no weights")).mend(format!(
            "name them in the recipe (weights = ...), or give --embeddings {name}=FILE"
        )),
    )
}

pub(super) fn no_folder() -> Error {
    Error::input("an encoder of images (timm:) needs their folder")
        .mend("name it with --images DIR")
}
