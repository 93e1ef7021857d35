//! The built-in recipes: the published systems, and what `match` does by itself.
//!
//! Each is a file of the folder `recipes/` that the library carries as text. [`parse`] gives the recipe of
//! a name, [`needs`] what its encoders want downloaded.

mod files;

use std::path::{Path, PathBuf};

use super::{Of, Recipe, near};
use crate::error::{Error, Result};

/// The names, in order.
pub fn names() -> impl Iterator<Item = &'static str> {
    files::FILES.iter().map(|&(name, _)| name)
}

/// The text of the built-in recipe `name`.
pub fn text(name: &str) -> Option<&'static str> {
    let found = files::FILES.iter().find(|&&(other, _)| other == name);
    found.map(|&(_, text)| text)
}

/// The built-in recipe `name`, with relative paths taken from `folder`.
///
/// # Errors
/// [`Kind::Input`](crate::error::Kind::Input) for a name that no built-in recipe has, with the near one.
pub fn parse(name: &str, folder: &Path) -> Result<Recipe> {
    match text(name) {
        Some(text) => Recipe::parse(text, folder),
        None => Err(unknown(name)),
    }
}

/// There is no recipe `name`.
pub fn unknown(name: &str) -> Error {
    let shown: String = name.chars().take(60).collect();
    let error = Error::input(format!("there is no recipe {shown:?}"));
    let list = "engine recipes lists them; a file's name ends in .toml or has a slash";
    error.mend(match near(&shown, names()) {
        Some(meant) => format!("did you mean {meant}? {list}"),
        None => list.to_string(),
    })
}

/// Whether `text` names a file rather than a built-in recipe: it ends in `.toml` or has a slash.
pub fn is_file(text: &str) -> bool {
    let ending = Path::new(text).extension();
    ending.is_some_and(|e| e.eq_ignore_ascii_case("toml")) || text.contains(['/', '\\'])
}

/// What an encoder of a recipe needs.
#[derive(Debug, Clone, PartialEq)]
pub struct Need {
    /// The space.
    pub space: String,
    /// `timm:ARCH` or `hf:`.
    pub encoder: String,
    /// Where the recipe looks for the weights; empty where it does not say.
    pub weights: PathBuf,
    /// Under which name they were published, when the recipe says.
    pub name: Option<String>,
    /// How they were trained further, where the published ones alone do not give the score.
    pub trained: Option<String>,
}

impl Need {
    /// The command that puts the published weights where the recipe looks for them.
    pub fn command(&self) -> Option<String> {
        let name = self.name.as_ref()?;
        let to = match self.weights.as_os_str().is_empty() {
            true => PathBuf::from(&self.space),
            false => self.weights.clone(),
        };
        let files = match self.encoder.starts_with("timm:") {
            true => "model.safetensors",
            false => "--include '*.json' '*.txt' 'model.safetensors'",
        };
        Some(format!(
            "hf download {name} {files} --local-dir {}",
            to.display()
        ))
    }
}

/// What the encoders of `recipe` need, in the order of its spaces.
pub fn needs(recipe: &Recipe) -> Vec<Need> {
    let need = |space: &super::Space| {
        let (encoder, weights) = match &space.of {
            Of::Image { encoder, .. } => {
                let arch = format!("timm:{}", encoder.options.arch);
                (arch, encoder.weights.clone())
            }
            Of::Text { encoder, .. } => ("hf:".to_string(), encoder.weights.clone()),
            _ => return None,
        };
        let published = recipe.published.as_ref();
        let published = published.and_then(|p| p.weights_of(&space.name));
        Some(Need {
            space: space.name.clone(),
            encoder,
            weights,
            name: published.map(|p| p.name.clone()),
            trained: published.and_then(|p| p.trained.clone()),
        })
    };
    recipe.spaces.iter().filter_map(need).collect()
}

/// The spaces of `recipe` whose rows the run must be given (`--embeddings NAME=FILE`).
pub fn given(recipe: &Recipe) -> Vec<&str> {
    let spaces = recipe.spaces.iter();
    let given = spaces.filter(|space| matches!(space.of, Of::Given));
    given.map(|space| space.name.as_str()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_of_the_folder_is_built_in_and_called_as_it_says() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("recipes");
        let stem = |file: String| file.strip_suffix(".toml").map(str::to_string);
        let mut found: Vec<String> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .map(|file| stem(file).expect("recipes alone are in the folder"))
            .collect();
        found.sort();
        let listed: Vec<String> = names().map(str::to_string).collect();
        assert_eq!(listed, found);
        for name in names() {
            let recipe = parse(name, Path::new("")).unwrap_or_else(|e| panic!("{name}: {e}"));
            assert_eq!(recipe.name, name);
        }
    }

    #[test]
    fn a_near_name_is_suggested() {
        let message = unknown("tan-finl").to_string();
        assert!(message.contains("did you mean tan-final?"), "{message}");
        assert!(is_file("x.toml") && is_file("./x") && !is_file("tan-final"));
    }
}
