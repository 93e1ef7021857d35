//! The hashes of a whole table of listings.

use std::sync::atomic::{AtomicUsize, Ordering};

use rayon::prelude::*;

use super::{ImageFolder, Unique, UniqueFile, phash};
use crate::error::Result;

/// The perceptual hash of each listing's image; `None` where a listing has none.
///
/// Works on rayon's pool. A file that several listings name, under whatever spelling, is read and
/// decoded once. The answers are in the order of `names` and the same whatever the thread count.
/// `progress` is called from the worker threads with the number of listings answered so far, the
/// last time with the number of all that have an image.
///
/// # Errors
/// Each listing has its own: those of [`ImageFolder::read`] and [`super::decode`], naming the file.
pub fn phash_many(
    folder: &ImageFolder,
    names: &[Option<&str>],
    progress: &(dyn Fn(usize) + Sync),
) -> Vec<Option<Result<u64>>> {
    let mut answers: Vec<Option<Result<u64>>> = names.iter().map(|_| None).collect();
    let mut take = |_, rows: Hashed| {
        for (row, answer) in rows {
            answers[row] = Some(answer);
        }
        Ok(())
    };
    // Nothing that is taken here ends in an error.
    let _ = phash_from(folder, names, (0, usize::MAX), &mut take, progress);
    answers
}

/// What became of some listings' images, by their rows.
pub type Hashed = Vec<(usize, Result<u64>)>;

/// As [`phash_many`], without the first `first` files that the listings name, and `some` files at a time:
/// after each lot `take` gets how many files are done and what became of the lot's listings, with the
/// last one also what became of those whose names are of no file.
///
/// # Errors
/// Those of `take`, which end the work.
pub fn phash_from(
    folder: &ImageFolder,
    names: &[Option<&str>],
    (first, some): (usize, usize),
    take: &mut dyn FnMut(usize, Hashed) -> Result<()>,
    progress: &(dyn Fn(usize) + Sync),
) -> Result<()> {
    let unique = Unique::of(folder, names);
    let first = first.min(unique.files.len());
    let earlier = unique.files[..first].iter().map(|f| f.rows.len()).sum();
    let done = AtomicUsize::new(earlier);
    let reached = |count| progress(done.fetch_add(count, Ordering::Relaxed) + count);
    let work = |unique: &UniqueFile| {
        let hash = hash_one(folder, unique);
        reached(unique.rows.len());
        hash
    };
    let mut number = first;
    for lot in unique.files[first..].chunks(some.max(1)) {
        let hashes: Vec<Result<u64>> = lot.par_iter().map(work).collect();
        let mut answers = Vec::new();
        for (file, hash) in lot.iter().zip(hashes) {
            match hash {
                Ok(hash) => answers.extend(file.rows.iter().map(|&row| (row, Ok(hash)))),
                Err(error) => {
                    let errors = unique.errors(folder, names, number, &error);
                    answers.extend(errors.into_iter().map(|(row, e)| (row, Err(e))));
                }
            }
            number += 1;
        }
        take(number, answers)?;
    }
    unique.failures.iter().for_each(|_| reached(1));
    let unnamed = unique.failures.into_iter();
    take(number, unnamed.map(|(row, e)| (row, Err(e))).collect())
}

fn hash_one(folder: &ImageFolder, unique: &UniqueFile) -> Result<u64> {
    phash(&folder.read_resolved(&unique.name, &unique.file)?)
}
