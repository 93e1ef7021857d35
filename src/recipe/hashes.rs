//! Listings' images to perceptual hashes, some at a time.

use super::embed::reject;
use super::stages::Watch;
use super::work::GrowingHashes;
use crate::error::Result;
use crate::image::{Hashed, ImageFolder, phash_from};
use crate::listings::{IMAGE, Listing, Reject};

/// How many files a thread hashes before it is noted how far the stage has come.
const LOT: usize = 64;

/// Hashes the images that the `wanted` names of `items` mean into `growing`, but for those that it has of
/// an earlier run. Gives what could not be used, by row.
///
/// # Errors
/// What the disk says.
pub(super) fn hash_images(
    items: &[Listing],
    (folder, wanted): (&ImageFolder, &[Option<&str>]),
    growing: &mut GrowingHashes<'_>,
    watch: &dyn Watch,
) -> Result<Vec<Reject>> {
    let mut rejects = growing.earlier.clone();
    let lot = LOT * rayon::current_num_threads();
    let from = (growing.resumed, lot);
    let mut take = |done: usize, answers: Hashed| {
        for (row, answer) in answers {
            match answer {
                Ok(hash) => growing.hashes[row] = Some(hash),
                Err(error) => rejects.push(reject(&items[row], IMAGE, &error)),
            }
        }
        growing.checkpoint(done, &rejects)
    };
    phash_from(folder, wanted, from, &mut take, &|done| watch.reached(done))?;
    rejects.sort_by_key(|r| r.row);
    // Names of no file are told by every run.
    rejects.dedup_by_key(|r| r.row);
    Ok(rejects)
}
