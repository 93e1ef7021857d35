//! Recipes as files: TOML to [`Recipe`] and back. The format is described in `docs/recipes.md`.

mod after;
mod check;
mod classic;
mod expression;
mod print;
mod published;
mod read;
mod show;
mod space;
mod table;

use std::io::Read;
use std::path::Path;

pub use expression::{KEYWORDS, rule_from_text};
pub use show::rule_to_text;

use super::Recipe;
use crate::error::{Error, Kind, Result};
use crate::limits::MAX_RECIPE_BYTES;
use crate::nn;

impl Recipe {
    /// Reads the recipe file `path`. Relative paths in it are taken from the folder that the file stands in.
    ///
    /// # Errors
    /// A file that cannot be read, is no UTF-8 or has more than [`MAX_RECIPE_BYTES`]; as
    /// [`Recipe::parse`]. All name the file.
    pub fn read(path: &Path) -> Result<Recipe> {
        Recipe::read_with(path, path.parent().unwrap_or(Path::new("")))
    }

    /// As [`Recipe::read`], with relative paths taken from `folder`.
    ///
    /// # Errors
    /// As [`Recipe::read`].
    pub fn read_with(path: &Path, folder: &Path) -> Result<Recipe> {
        let io = |e| Error::io(e, path);
        if path.is_dir() {
            let error = Error::input("is a folder").path(path);
            return Err(error.mend("name a recipe file, such as recipe.toml"));
        }
        let file = std::fs::File::open(path).map_err(io)?;
        let mut bytes = Vec::new();
        let most = MAX_RECIPE_BYTES + 1;
        file.take(most).read_to_end(&mut bytes).map_err(io)?;
        if bytes.len() as u64 == most {
            return Err(too_large().path(path));
        }
        let text = String::from_utf8(bytes).map_err(|e| {
            let at = e.utf8_error().valid_up_to();
            let before = &e.as_bytes()[..at];
            let line = before.iter().filter(|&&byte| byte == b'\n').count() as u64 + 1;
            let error = Error::input("is not UTF-8").path(path).line(line);
            error.mend("save the recipe as UTF-8 text")
        })?;
        Recipe::parse(&text, folder).map_err(|e| e.path(path))
    }

    /// Reads a recipe from the text of a recipe file. Relative paths in it are taken from `folder`. A byte
    /// order mark and CRLF are accepted.
    ///
    /// # Errors
    /// [`Kind::Input`] naming line and key: what is not TOML; a key that is not known, with the near one; a
    /// value of another type; a space of two kinds or of none; a name that no space has; spaces that are
    /// made of each other; as [`rule_from_text`] and [`Recipe::check`]. [`Kind::Limit`] for more than
    /// [`MAX_RECIPE_BYTES`].
    pub fn parse(text: &str, folder: &Path) -> Result<Recipe> {
        if text.len() as u64 > MAX_RECIPE_BYTES {
            return Err(too_large());
        }
        read::recipe(text.strip_prefix('\u{feff}').unwrap_or(text), folder)
    }

    /// The recipe as the text of a recipe file: what is left at its default is left out, paths are written
    /// as they are.
    ///
    /// [`Recipe::parse`] reads an equal recipe from it, for recipes that pass [`Recipe::check`] and whose
    /// paths are absolute, or with an empty `folder`; but a union or an intersection of one rule comes back
    /// as that rule, an architecture under timm's own name, and a path that is not UTF-8 as far as it is.
    pub fn to_toml(&self) -> String {
        print::recipe(self)
    }

    /// Checks a recipe before anything runs. One that was read from a file has passed.
    ///
    /// # Errors
    /// [`Kind::Input`] or [`Kind::Limit`] naming the space: names that are empty, twice there, longer than
    /// [`MAX_SPACE_NAME`](crate::limits::MAX_SPACE_NAME), a word of the expression's ([`KEYWORDS`]) or other
    /// than letters, digits, `_` and `-` with a letter first; no spaces, or more than
    /// [`MAX_SPACES`](crate::limits::MAX_SPACES); a space that is made of a later one, or of nothing; hashes
    /// or fused spaces where rows are needed; weights and steps out of bounds; encoders and TF-IDF options
    /// that make no sense; a rule that [`Rule::validate`](crate::matching::Rule::validate) refuses, or that
    /// takes one space both by equality and by distance.
    pub fn check(&self) -> Result<()> {
        check::recipe(self).map_err(|(_, error)| error)
    }
}

fn too_large() -> Error {
    Error::new(Kind::Limit, "is too large for a recipe")
        .mend(format!("{MAX_RECIPE_BYTES} bytes are the most"))
}

/// The one of `known` that `word` is likely meant to be.
pub(super) fn near<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let close = (word.len() / 2).clamp(1, 3);
    let distances = known
        .into_iter()
        .map(|name| (nn::distance(word, name), name));
    let likely = |&(distance, name): &(usize, &str)| {
        let part = word.len() >= 3 && (word.starts_with(name) || name.starts_with(word));
        distance <= close && distance < name.len() || part
    };
    distances.filter(likely).min().map(|(_, name)| name)
}

/// `error` is about the name `word`, which no space of `names` has.
fn no_space(error: Error, word: &str, names: &[&str]) -> Error {
    match near(word, names.iter().copied()) {
        Some(meant) => error.mend(format!("did you mean {meant}?")),
        None => error.mend(match names.len() {
            0..=12 => format!("the spaces are {}", names.join(", ")),
            more => format!(
                "the spaces are {} and {} others",
                names[..12].join(", "),
                more - 12
            ),
        }),
    }
}
