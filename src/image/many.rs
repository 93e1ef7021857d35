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
    let done = AtomicUsize::new(0);
    let reached = |count| progress(done.fetch_add(count, Ordering::Relaxed) + count);
    let unique = Unique::of(folder, names);
    let work = |unique: &UniqueFile| {
        let hash = hash_one(folder, unique);
        reached(unique.rows.len());
        hash
    };
    let hashes: Vec<Result<u64>> = unique.files.par_iter().map(work).collect();
    unique.failures.iter().for_each(|_| reached(1));
    let mut answers: Vec<Option<Result<u64>>> = names.iter().map(|_| None).collect();
    for (number, (unique_file, hash)) in unique.files.iter().zip(hashes).enumerate() {
        match hash {
            Ok(hash) => {
                for &row in &unique_file.rows {
                    answers[row] = Some(Ok(hash));
                }
            }
            Err(error) => {
                for (row, error) in unique.errors(folder, names, number, &error) {
                    answers[row] = Some(Err(error));
                }
            }
        }
    }
    for (row, error) in unique.failures {
        answers[row] = Some(Err(error));
    }
    answers
}

fn hash_one(folder: &ImageFolder, unique: &UniqueFile) -> Result<u64> {
    phash(&folder.read_resolved(&unique.name, &unique.file)?)
}
