//! The options that say which pipeline runs over which rows, for all verbs that run one.

use std::path::{Path, PathBuf};

use clap::Args;
use doppel::error::{Error, Result};
use doppel::recipe::{Given, Of, Recipe, catalogue, work::Work};

use crate::encoder::{Chosen, Settings};

/// Which pipeline, and what it is given.
#[derive(Args)]
pub struct Pipeline {
    /// The pipeline: a built-in recipe (`engine recipes` lists them) or a TOML file (docs/recipes.md)
    /// [default: equal hashes united with Tan's sweep]
    #[arg(long, value_name = "NAME|FILE.toml", conflicts_with = "encoder")]
    pub recipe: Option<String>,
    /// An encoder whose vectors are evidence too: timm:ARCH of the images (`engine info` lists them),
    /// hf: or hf:NAME of the titles; may be given once for each
    #[arg(long, value_name = "NAME")]
    pub encoder: Vec<String>,
    #[command(flatten)]
    pub settings: Settings,
    /// Rows (.npy, .npz) for a space of the recipe, one a listing, in the place of what the recipe says;
    /// without a recipe the spaces are tfidf, image and title
    #[arg(long, value_name = "NAME=FILE", value_parser = named)]
    pub embeddings: Vec<(String, PathBuf)>,
}

/// Where what the stages make is kept.
#[derive(Args)]
pub struct Keep {
    /// Where the stages' results are kept: a later run with the same settings goes on from them
    /// [default: OUT.work]
    #[arg(long, value_name = "DIR")]
    pub work: Option<PathBuf>,
    /// Keep nothing; all stands in memory
    #[arg(long, conflicts_with_all = ["work", "fresh"])]
    pub no_work: bool,
    /// Use nothing of an earlier run
    #[arg(long)]
    pub fresh: bool,
}

/// `NAME=FILE`.
pub fn named(text: &str) -> std::result::Result<(String, PathBuf), String> {
    match text.split_once('=') {
        Some((name, file)) if !name.trim().is_empty() && !file.is_empty() => {
            Ok((name.trim().to_string(), PathBuf::from(file)))
        }
        _ => Err("give a space and a file, as in title=titles.npy".to_string()),
    }
}

impl Pipeline {
    /// The recipe: that of the file, or the default one with what encoders and rows there are.
    pub fn recipe(&self) -> Result<Recipe> {
        let Some(named) = &self.recipe else {
            if self.encoder.is_empty() && !self.settings.weights.is_empty() {
                return Err(
                    Error::input("--weights: --encoder or --recipe is required too")
                        .mend("name what the weights are for"),
                );
            }
            let chosen = Chosen::of(&self.encoder, &self.settings, false)?;
            return Ok(self.default_recipe(chosen));
        };
        match &self.settings.weights[..] {
            [] => read(named, None),
            [folder] => read(named, Some(folder)),
            _ => Err(Error::input("--weights comes twice, with one recipe")
                .mend("give the one folder that the recipe's weights are in")),
        }
    }

    /// The default recipe over `chosen` encoders and the rows that are given.
    pub fn default_recipe(&self, chosen: Chosen) -> Recipe {
        let given = |name: &str| self.embeddings.iter().any(|(n, _)| n == name);
        let (image, title) = self.settings.spaces(chosen);
        let image = image.or(given("image").then_some(Of::Given));
        let title = title.or(given("title").then_some(Of::Given));
        Recipe::default_with(image, title)
    }

    /// The rows that are given, by space.
    pub fn given(&self) -> Vec<(String, Given)> {
        given(&self.embeddings)
    }

    /// The files that are read.
    pub fn files(&self) -> Vec<PathBuf> {
        let given = self.embeddings.iter().map(|(_, file)| file);
        let recipe = self.recipe.iter().filter(|named| catalogue::is_file(named));
        given
            .chain(&self.settings.weights)
            .cloned()
            .chain(recipe.map(PathBuf::from))
            .collect()
    }
}

/// The recipe that `named` names: a file where it ends in .toml or has a slash, else a built-in one.
/// Relative paths in it are taken from `folder`, without one from the folder of the file, or where the run
/// stands.
pub fn read(named: &str, folder: Option<&Path>) -> Result<Recipe> {
    let path = Path::new(named);
    match (catalogue::is_file(named), folder) {
        (true, None) => Recipe::read(path),
        (true, Some(folder)) => Recipe::read_with(path, folder),
        (false, folder) => catalogue::parse(named, folder.unwrap_or(Path::new(""))),
    }
}

/// Rows that are given, each for a space once.
pub fn given(embeddings: &[(String, PathBuf)]) -> Vec<(String, Given)> {
    let file = |(name, file): &(String, PathBuf)| (name.clone(), Given::File(file.clone()));
    embeddings.iter().map(file).collect()
}

/// Refuses rows that are given for one space twice.
pub fn once(embeddings: &[(String, PathBuf)]) -> Result<()> {
    for (at, (name, file)) in embeddings.iter().enumerate() {
        if embeddings[..at].iter().any(|(n, _)| n == name) {
            let message = format!("rows for {name} are given twice");
            return Err(Error::input(message).path(file).mend("give them once"));
        }
    }
    Ok(())
}

impl Keep {
    /// The place for the results of a run that writes `out`.
    pub fn open(&self, out: &Path) -> Result<Work> {
        let special = out.metadata().is_ok_and(|m| !m.is_file());
        let folder = match &self.work {
            Some(folder) => folder.clone(),
            None if self.no_work || special => return Ok(Work::Memory),
            None => doppel::files::beside(out, ".work"),
        };
        let work = Work::open(&folder)?;
        if self.fresh {
            work.clear()?;
        }
        Ok(work)
    }
}
