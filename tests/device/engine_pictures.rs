//! Decoded pictures through a card's lanes against prepared ones: equal to the bit.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use doppel::device::gpu::driver::Driver;
use doppel::device::gpu::driver_simt::{Order, SimtDriver};
use doppel::device::{
    DType, Desc, Device, GpuDevice, LockedPictures, Pictures, Stream, alloc, values_of,
};
use doppel::embed::{Items, stream_ahead};
use doppel::error::{Error, Kind, Result};
use doppel::image::{Crop, Filter, IMAGENET, Prepare, Rgb8, prepare, stage, stage_into, staging};
use doppel::nn::{ImageEncoder, Normal, Picture};

use crate::engine::simulated;
use crate::engine_lanes::image_encoder;
use crate::harness::{cards, light, thin};
use crate::preprocess::picture;

pub fn how(size: usize, crop: Crop) -> Prepare {
    Prepare {
        size,
        crop,
        filter: Filter::Bicubic,
        normal: IMAGENET,
    }
}

/// Pictures, of which some cannot be decoded.
struct Photos {
    all: Vec<Option<Rgb8>>,
    how: Prepare,
    /// Whether they are handed over decoded.
    decoded: bool,
    handed: AtomicUsize,
    refused: AtomicUsize,
}

impl Photos {
    fn get(&self, item: usize) -> Result<&Rgb8> {
        let damaged = || Error::input(format!("picture {item} is damaged"));
        self.all[item].as_ref().ok_or_else(damaged)
    }
}

impl Items for Photos {
    fn count(&self) -> usize {
        self.all.len()
    }

    fn load(&self, item: usize, out: &mut [f32]) -> Result<()> {
        prepare(self.get(item)?, &self.how, out)
    }

    fn normal(&self) -> Option<Normal> {
        self.decoded
            .then_some((self.how.normal.mean, self.how.normal.std))
    }

    fn picture(
        &self,
        item: usize,
        put: &mut dyn FnMut(&Picture<'_>) -> Result<bool>,
    ) -> Result<()> {
        stage_into(self.get(item)?, &self.how, &mut |picture| {
            let there = put(picture)?;
            let count = if there { &self.handed } else { &self.refused };
            count.fetch_add(1, Ordering::SeqCst);
            Ok(there)
        })
    }
}

/// What a run gives: vectors by item, and the items that failed.
type Outcome = (Vec<(usize, Vec<u32>)>, Vec<usize>);

fn run(encoder: &ImageEncoder, photos: &Photos, threads: usize) -> Outcome {
    let mut taken = Taken(Vec::new());
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads);
    let pool = pool.build().unwrap();
    let flow = pool.install(|| stream_ahead(photos, encoder, Some(3), &mut taken, &|_| {}));
    let flow = flow.unwrap();
    assert_eq!(flow.note, None);
    let failed = flow.failures.iter().map(|f| f.item).collect();
    (taken.0, failed)
}

struct Taken(Vec<(usize, Vec<u32>)>);

impl doppel::embed::Sink for Taken {
    fn take(&mut self, item: usize, vector: &mut [f32]) -> Result<()> {
        let bits = vector.iter().map(|x| x.to_bits()).collect();
        self.0.push((item, bits));
        Ok(())
    }
}

/// Odd sides, one that fails in the middle, and one above the bound of a batch.
fn photos(how: Prepare, decoded: bool) -> Photos {
    let sides = [
        (33, 47),
        (1, 1),
        (32, 32),
        (90, 31),
        (0, 0),
        (900, 700),
        (40, 200),
        (57, 57),
    ];
    let one = |(i, (w, h)): (usize, (usize, usize))| (w > 0).then(|| picture(w, h, i as u64));
    Photos {
        all: sides.into_iter().enumerate().map(one).collect(),
        how,
        decoded,
        handed: AtomicUsize::new(0),
        refused: AtomicUsize::new(0),
    }
}

/// Leaves the card so much memory that a lane's pictures have about a megabyte.
fn tight(driver: &Arc<SimtDriver>) -> ImageEncoder {
    let encoder = image_encoder(driver);
    let streams = encoder.plan().device().streams().unwrap();
    let (free, total) = driver.memory().unwrap();
    let used = total - free + (40 << 20);
    streams.limit_memory(used);
    encoder
}

#[test]
fn decoded_pictures_give_the_vectors_of_prepared_ones() {
    if light() {
        return;
    }
    for crop in [Crop::Squash, Crop::Timm { crop_pct: 1.3 }] {
        let mut first: Option<Outcome> = None;
        for (order, threads) in thin(vec![
            (Order::Forward, 1),
            (Order::Reverse, 3),
            (Order::Random(5), 3),
        ]) {
            let Some(driver) = simulated(order) else {
                return;
            };
            let encoder = tight(&driver);
            if first.is_none() {
                let prepared = photos(how(32, crop), false);
                let want = run(&encoder, &prepared, threads);
                assert_eq!(prepared.handed.into_inner(), 0);
                assert_eq!((want.0.len(), &want.1[..]), (7, &[4][..]));
                first = Some(want);
            }
            let decoded = photos(how(32, crop), true);
            let have = run(&encoder, &decoded, threads);
            // The large one was refused, and came again as its square.
            let counts = (decoded.handed.into_inner(), decoded.refused.into_inner());
            assert_eq!(counts, (7, 1));
            assert_eq!(Some(have), first, "{crop:?}, {order:?}, {threads} threads");
        }
    }
}

#[test]
fn lanes_of_pictures_allocate_nothing_after_the_first_batch() {
    let Some(driver) = simulated(Order::Random(2)).filter(|_| !light()) else {
        return;
    };
    let encoder = image_encoder(&driver);
    let how = how(32, Crop::Squash);
    let normal = (how.normal.mean, how.normal.std);
    let lanes = encoder.picture_lanes(normal, Some(2), 2).unwrap().unwrap();
    let mut lanes = lanes.lanes;
    let all = [picture(50, 41, 1), picture(31, 90, 2), picture(64, 64, 3)];
    let lane = &mut lanes[0];
    let mut batch = |of: [usize; 2]| {
        let load = |place: usize, put: &mut dyn FnMut(&Picture<'_>) -> Result<bool>| {
            stage_into(&all[of[place]], &how, put).unwrap();
        };
        lane.fill_pictures(2, &load).unwrap();
        lane.submit().unwrap();
        let mut out = vec![0.0; 2 * encoder.dims()];
        lane.collect(&mut out).unwrap();
        out
    };
    let first = batch([0, 1]);
    let allocations = driver.allocations();
    let (other, again) = (batch([2, 0]), batch([0, 1]));
    assert_eq!(driver.allocations(), allocations);
    assert!(first == again && first != other);
    assert!(lane.is_taped());
    assert!(lane.fill(1, &|_, _| {}).is_err());
}

/// The squares of a batch in page-locked memory.
fn squares(card: &GpuDevice, batch: &mut LockedPictures, dtype: DType) -> Vec<f32> {
    let streams = Device::streams(card).unwrap();
    assert!(streams.prepares(dtype));
    let size = batch.size();
    let to = alloc(card, Desc::new(&[batch.places(), size, size, 3], dtype)).unwrap();
    let staging = alloc(card, Desc::new(&[batch.bytes() / 4], DType::U32)).unwrap();
    let [up, compute] = [(); 2].map(|()| streams.stream().unwrap());
    streams
        .prepare_from(batch, &staging, &to, up, compute)
        .unwrap();
    let mut bytes = vec![0; to.desc.bytes()];
    card.download(&to, &mut bytes, compute).unwrap();
    // What does not go together is refused.
    let short = alloc(card, Desc::new(&[batch.bytes() / 4 - 1], DType::U32)).unwrap();
    let error = streams.prepare_from(batch, &short, &to, up, compute);
    assert_eq!(error.unwrap_err().kind(), Kind::Internal);
    let error = streams.prepare_from(batch, &staging, &staging, up, compute);
    assert_eq!(error.unwrap_err().kind(), Kind::Shape);
    [up, compute]
        .into_iter()
        .for_each(|stream| streams.destroy(stream).unwrap());
    values_of(&bytes, dtype)
}

#[test]
fn the_least_memory_holds_every_square_and_places_without_a_picture_are_black() {
    let how = how(37, Crop::Squash);
    let normal = (how.normal.mean, how.normal.std);
    let all = [picture(37, 37, 1), picture(70, 39, 2), picture(20, 91, 3)];
    let mut want = vec![0.0; 5 * how.values().unwrap()];
    let squares_of = want.chunks_mut(how.values().unwrap());
    let black = Rgb8::new(1, 1, vec![0; 3]).unwrap();
    let order = [&all[1], &black, &all[0], &all[2], &black];
    for (rgb, square) in order.into_iter().zip(squares_of) {
        prepare(rgb, &how, square).unwrap();
    }
    for card in cards() {
        let streams = Device::streams(&*card).unwrap();
        let least = LockedPictures::least(5, 37);
        let host = |bytes| streams.host(bytes).unwrap();
        assert!(LockedPictures::new(host(least - 4), 5, 37, normal).is_err());
        let mut batch = LockedPictures::new(host(least), 5, 37, normal).unwrap();
        for _ in 0..2 {
            let room = batch.room().unwrap();
            let refused = AtomicUsize::new(0);
            for (place, rgb) in [(3, &all[2]), (0, &all[1]), (2, &all[0])] {
                let mut put = |picture: &Picture<'_>| {
                    let there = room.put(place, picture)?;
                    refused.fetch_add(usize::from(!there), Ordering::SeqCst);
                    Ok(there)
                };
                stage_into(rgb, &how, &mut put).unwrap();
            }
            assert_eq!(refused.into_inner(), 2);
            // A place that is taken, and none.
            for place in [2, 5] {
                let mut put = |picture: &Picture<'_>| room.put(place, picture);
                let error = stage_into(&all[0], &how, &mut put).unwrap_err();
                assert_eq!(error.kind(), Kind::Internal);
            }
            let have = squares(&card, &mut batch, DType::F32);
            assert!(have == want, "five squares of 37 pixels");
        }
    }
}

#[test]
fn a_batch_in_page_locked_memory_is_a_batch_of_pictures() {
    let how = how(40, Crop::Timm { crop_pct: 0.9 });
    let normal = (how.normal.mean, how.normal.std);
    let all = [(33, 47), (90, 31), (33, 47), (150, 151)].map(|(w, h)| picture(w, h, w as u64));
    let mut plain: Pictures = staging(&how).unwrap();
    all.iter()
        .for_each(|rgb| stage(rgb, &how, &mut plain).unwrap());
    for card in cards() {
        let streams = Device::streams(&*card).unwrap();
        let host = streams.host(1 << 18).unwrap();
        let mut batch = LockedPictures::new(host, 4, 40, normal).unwrap();
        let room = batch.room().unwrap();
        for (place, rgb) in all.iter().enumerate() {
            let mut put = |picture: &Picture<'_>| room.put(place, picture);
            stage_into(rgb, &how, &mut put).unwrap();
        }
        for dtype in [DType::F32, DType::F16] {
            let to = alloc(&*card, Desc::new(&[4, 40, 40, 3], dtype)).unwrap();
            let words = Desc::new(&[plain.bytes() / 4], DType::U32);
            let staging = alloc(&*card, words).unwrap();
            let stream = Stream::DEFAULT;
            card.preprocess(&plain, &staging, &to, stream).unwrap();
            let mut bytes = vec![0; to.desc.bytes()];
            card.download(&to, &mut bytes, stream).unwrap();
            let have = squares(&card, &mut batch, dtype);
            assert!(have == values_of(&bytes, dtype), "{dtype}");
        }
    }
}
