//! The hashes of a whole table of listings.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};

use rayon::prelude::*;

use super::{ImageFolder, phash};
use crate::error::{Error, Result};

/// One file, the name it was first seen under, and the listings that name it.
struct Job<'a> {
    name: &'a str,
    file: Result<PathBuf>,
    listings: Vec<usize>,
}

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
    let work = |job: &Job<'_>| {
        let hash = hash_one(folder, job);
        let count = job.listings.len();
        progress(done.fetch_add(count, Ordering::Relaxed) + count);
        hash
    };
    let jobs = jobs(folder, names);
    let hashes: Vec<Result<u64>> = jobs.par_iter().map(work).collect();
    let mut answers: Vec<Option<Result<u64>>> = names.iter().map(|_| None).collect();
    for (job, hash) in jobs.iter().zip(hashes) {
        for &listing in &job.listings {
            let name = names[listing].unwrap_or_default();
            answers[listing] = Some(again(&hash, folder, name));
        }
    }
    answers
}

/// The files to hash, in the order of their first listings.
fn jobs<'a>(folder: &ImageFolder, names: &[Option<&'a str>]) -> Vec<Job<'a>> {
    let mut by_name: HashMap<&str, usize> = HashMap::new();
    let mut unique: Vec<Job<'a>> = Vec::new();
    for (listing, name) in names.iter().enumerate() {
        let Some(name) = *name else { continue };
        let place = *by_name.entry(name).or_insert(unique.len());
        if place == unique.len() {
            unique.push(Job {
                name,
                file: Err(Error::internal("not looked up")),
                listings: Vec::new(),
            });
        }
        unique[place].listings.push(listing);
    }
    unique
        .par_iter_mut()
        .for_each(|job| job.file = folder.resolve(job.name));
    let mut by_file: HashMap<PathBuf, usize> = HashMap::new();
    let mut jobs: Vec<Job<'a>> = Vec::with_capacity(unique.len());
    for job in unique {
        if let Ok(file) = &job.file {
            let place = *by_file.entry(file.clone()).or_insert(jobs.len());
            if place < jobs.len() {
                jobs[place].listings.extend(job.listings);
                continue;
            }
        }
        jobs.push(job);
    }
    jobs
}

fn hash_one(folder: &ImageFolder, job: &Job<'_>) -> Result<u64> {
    match &job.file {
        Ok(file) => phash(&folder.read_resolved(job.name, file)?),
        Err(error) => Err(copy(error)),
    }
}

/// The outcome of a file for one of the listings that name it.
fn again(hash: &Result<u64>, folder: &ImageFolder, name: &str) -> Result<u64> {
    match hash {
        Ok(hash) => Ok(*hash),
        Err(error) => Err(copy(error).path(folder.named(name))),
    }
}

/// An error with the same kind, message and mend.
fn copy(error: &Error) -> Error {
    let copy = Error::new(error.kind(), error.message());
    match error.mending() {
        Some(mend) => copy.mend(mend),
        None => copy,
    }
}
