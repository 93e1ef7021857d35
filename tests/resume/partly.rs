//! Encoders that are cut off in the middle of their stage.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use doppel::embed::{Encode, EncodeTitles, Window};
use doppel::image::{Crop, Filter, Hashed, IMAGENET, ImageFolder, Prepare, phash_from, phash_many};
use doppel::listings::{Listings, Reject};
use doppel::recipe::work::{Key, Told, Work};
use doppel::recipe::{ImageWork, Quiet, TitleWork, embed_images_into, embed_titles_into};
use doppel::{Error, Result};
use serde_json::json;

use crate::bench::Bench;

const SIZE: usize = 8;

/// Gives sums of an item's values; breaks down at its `fail_at`-th call.
struct Sums {
    calls: AtomicUsize,
    fail_at: usize,
}

impl Sums {
    fn new(fail_at: usize) -> Self {
        Sums {
            calls: AtomicUsize::new(0),
            fail_at,
        }
    }

    /// Long enough for a checkpoint between two calls.
    fn call(&self) -> Result<()> {
        std::thread::sleep(Duration::from_millis(120));
        match self.calls.fetch_add(1, Ordering::SeqCst) + 1 == self.fail_at {
            true => Err(Error::internal("broken down")),
            false => Ok(()),
        }
    }
}

impl Encode for Sums {
    fn item_len(&self) -> usize {
        SIZE * SIZE * 3
    }

    fn dims(&self) -> usize {
        3
    }

    fn encode(&self, items: &[f32], out: &mut [f32]) -> Result<()> {
        self.call()?;
        let items = items.chunks_exact(self.item_len());
        for (item, out) in items.zip(out.chunks_exact_mut(3)) {
            out.copy_from_slice(&[item[0], item[1] - 0.5, item.iter().sum()]);
        }
        Ok(())
    }
}

impl EncodeTitles for Sums {
    fn dims(&self) -> usize {
        3
    }

    fn tokens(&self, titles: &[&str]) -> Vec<Result<Vec<u32>>> {
        let one = |title: &&str| match title.contains("7") {
            true => Err(Error::input("has a seven")),
            false => Ok(title.bytes().map(u32::from).collect()),
        };
        titles.iter().map(one).collect()
    }

    fn encode(&self, titles: &[&[u32]], out: &mut [f32]) -> Result<()> {
        self.call()?;
        for (title, out) in titles.iter().zip(out.chunks_exact_mut(3)) {
            let sum: u32 = title.iter().sum();
            out.copy_from_slice(&[sum as f32, title[0] as f32, title.len() as f32]);
        }
        Ok(())
    }
}

/// What a stage made: the file, its rejects, and how often it called its encoder.
type Made = (Vec<u8>, Vec<Reject>, usize);

fn images(bench: &Bench, work: &Path, fail_at: usize) -> Result<Made> {
    let listings = Listings::read(&bench.path("l.csv"))?;
    let folder = ImageFolder::open(bench.path("photos"))?;
    let work = Work::open(work)?;
    let sums = Sums::new(fail_at);
    let how = ImageWork {
        encoder: &sums,
        prepare: Prepare {
            size: SIZE,
            crop: Crop::Squash,
            filter: Filter::Bilinear,
            normal: IMAGENET,
        },
        orient: true,
        raw: false,
        ceiling: f32::MAX,
        batch: Some(4),
    };
    let key = Key::new(json!({"encoder": "sums"}));
    let mut growing = work.begin_rows("x", &key, listings.items.len(), 3)?;
    let done = embed_images_into(&listings, &folder, &how, &mut growing, &Quiet)?;
    let told = Told {
        items: done.images,
        rejects: done.rejects.clone(),
        notes: Vec::new(),
    };
    growing.finish(told)?;
    let file = std::fs::read(work.folder().unwrap().join("x.npy")).unwrap();
    Ok((file, done.rejects, sums.calls.into_inner()))
}

fn titles(bench: &Bench, work: &Path, fail_at: usize) -> Result<Made> {
    let listings = Listings::read(&bench.path("l.csv"))?;
    let work = Work::open(work)?;
    let sums = Sums::new(fail_at);
    let how = TitleWork {
        window: Window {
            titles: 25,
            bytes: 1 << 20,
            tokens: 100,
        },
        ..TitleWork::new(&sums)
    };
    let key = Key::new(json!({"encoder": "sums"}));
    let mut growing = work.begin_rows("x", &key, listings.items.len(), 3)?;
    let done = embed_titles_into(&listings, &how, &mut growing, &Quiet)?;
    let told = Told {
        items: done.titles,
        rejects: done.rejects.clone(),
        notes: Vec::new(),
    };
    growing.finish(told)?;
    let file = std::fs::read(work.folder().unwrap().join("x.npy")).unwrap();
    Ok((file, done.rejects, sums.calls.into_inner()))
}

/// Cuts a stage off at several calls, one after the other, and lets it come to its end.
fn cut_off(stage: fn(&Bench, &Path, usize) -> Result<Made>) {
    let bench = Bench::new();
    let (file, rejects, calls) = stage(&bench, &bench.path("whole"), 0).unwrap();
    assert!(calls > 6 && !rejects.is_empty(), "{calls}");
    let work = bench.path("work");
    // The second run begins at about the fourth call, the third a little later.
    assert!(stage(&bench, &work, 6).is_err());
    assert!(stage(&bench, &work, 2).is_err());
    let last = stage(&bench, &work, 0).unwrap();
    assert!(last.0 == file, "the rows differ");
    assert_eq!(last.1, rejects);
    assert!(last.2 + 2 <= calls, "{} calls of {calls}", last.2);
}

#[test]
fn images_go_on_at_the_one_where_they_were_cut_off() {
    cut_off(images);
}

#[test]
fn titles_go_on_at_the_one_where_they_were_cut_off() {
    cut_off(titles);
}

#[test]
fn hashes_come_in_lots_and_without_the_first_files() {
    let bench = Bench::new();
    let listings = Listings::read(&bench.path("l.csv")).unwrap();
    let folder = ImageFolder::open(bench.path("photos")).unwrap();
    let names: Vec<Option<&str>> = listings.items.iter().map(|l| l.image.as_deref()).collect();
    let text = |answer: &Result<u64>| match answer {
        Ok(hash) => format!("{hash:016x}"),
        Err(error) => error.to_string(),
    };
    let whole = phash_many(&folder, &names, &|_| {});
    let whole: Vec<Option<String>> = whole.iter().map(|a| a.as_ref().map(text)).collect();
    // 30 photographs and the one that is cut short; one name is of no file.
    for (first, lots) in [
        (0, vec![7, 14, 21, 28, 31, 31]),
        (20, vec![27, 31, 31]),
        (99, vec![31]),
    ] {
        let (mut found, mut dones) = (vec![None; names.len()], Vec::new());
        let mut take = |done: usize, answers: Hashed| {
            dones.push(done);
            for (row, answer) in &answers {
                assert_eq!(found[*row].replace(text(answer)), None);
            }
            Ok(())
        };
        phash_from(&folder, &names, (first, 7), &mut take, &|_| {}).unwrap();
        assert_eq!(dones, lots);
        for (row, answer) in found.iter().enumerate() {
            assert!(answer.is_none() || *answer == whole[row], "{row}");
            assert!(first > 0 || *answer == whole[row], "{row}");
        }
        assert!(found[11].is_some() && (first < 99 || found.iter().flatten().count() == 1));
    }
    let mut refuse = |_: usize, _: Hashed| Err(Error::internal("no more"));
    assert!(phash_from(&folder, &names, (0, 7), &mut refuse, &|_| {}).is_err());
}
