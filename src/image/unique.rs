//! The files that a table of listings names, each once.

use std::collections::HashMap;
use std::path::PathBuf;

use rayon::prelude::*;

use super::ImageFolder;
use crate::error::{Error, Result};

/// A file of the folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UniqueFile {
    /// The first name that a listing has for it.
    pub name: String,
    /// The regular file, free of links, as [`ImageFolder::resolve`] gives it.
    pub file: PathBuf,
    /// The rows that name it, in order, under whatever spelling.
    pub rows: Vec<usize>,
}

/// The files that a table names, and the rows whose names are of no file.
#[derive(Debug)]
pub struct Unique {
    /// The files, in the order of their first rows.
    pub files: Vec<UniqueFile>,
    /// The rows whose names cannot be resolved, in order; each error names the file.
    pub failures: Vec<(usize, Error)>,
}

impl Unique {
    /// Looks up the rows' names; `None` is a row without an image. Nothing is opened. Works on
    /// rayon's pool; the answer is the same whatever the thread count.
    pub fn of(folder: &ImageFolder, names: &[Option<&str>]) -> Unique {
        let (spellings, place_of_row) = spellings(names);
        let found: Vec<Result<PathBuf>> = spellings
            .par_iter()
            .map(|name| folder.resolve(name))
            .collect();
        let mut files: Vec<UniqueFile> = Vec::new();
        let mut by_file: HashMap<&PathBuf, usize> = HashMap::new();
        let mut failures = Vec::new();
        for (row, place) in place_of_row.into_iter().enumerate() {
            let Some(place) = place else { continue };
            match &found[place] {
                Ok(file) => {
                    let number = *by_file.entry(file).or_insert(files.len());
                    if number == files.len() {
                        files.push(UniqueFile {
                            name: spellings[place].to_owned(),
                            file: file.clone(),
                            rows: Vec::new(),
                        });
                    }
                    files[number].rows.push(row);
                }
                Err(error) => failures.push((row, copy(error, folder, spellings[place]))),
            }
        }
        Unique { files, failures }
    }

    /// The errors of the rows of file number `number`, from the one that its decoding ended with.
    /// Each names the file as its own row does, by `names`, with which this was made.
    ///
    /// A number or a row that does not exist has no errors.
    pub fn errors(
        &self,
        folder: &ImageFolder,
        names: &[Option<&str>],
        number: usize,
        error: &Error,
    ) -> Vec<(usize, Error)> {
        let rows = self.files.get(number).map_or(&[][..], |file| &file.rows);
        let of_row = |row: &usize| {
            let name = names.get(*row).copied().flatten()?;
            Some((*row, copy(error, folder, name)))
        };
        rows.iter().filter_map(of_row).collect()
    }
}

/// The different names, in the order of their first rows, and for each row the place of its name.
fn spellings<'a>(names: &[Option<&'a str>]) -> (Vec<&'a str>, Vec<Option<usize>>) {
    let mut places: HashMap<&str, usize> = HashMap::new();
    let mut different = Vec::new();
    let place = |name: &Option<&'a str>| {
        name.map(|name| {
            *places.entry(name).or_insert_with(|| {
                different.push(name);
                different.len() - 1
            })
        })
    };
    let of_rows = names.iter().map(place).collect();
    (different, of_rows)
}

/// An error with the same kind, message and mend, about the file that is called `name`.
pub(super) fn copy(error: &Error, folder: &ImageFolder, name: &str) -> Error {
    let copy = Error::new(error.kind(), error.message()).path(folder.named(name));
    match error.mending() {
        Some(mend) => copy.mend(mend),
        None => copy,
    }
}
