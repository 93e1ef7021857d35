//! Batches of images and runs of titles on their way through a card.

use std::sync::Arc;

use doppel::device::GpuDevice;
use doppel::device::gpu::driver::Driver;
use doppel::device::gpu::driver_simt::{Order, SimtDriver};
use doppel::error::Kind;
use doppel::nn::text::{TextBuild, TextConfig, TextEncoder, TextPool, text_graph};
use doppel::nn::{self, ImageEncoder, ImageLanes, ImageOptions};

use crate::engine::simulated;
use crate::harness::{light, thin, values};

/// Made-up images of 32 pixels a side.
fn pictures(count: usize) -> Vec<f32> {
    values(count * 32 * 32 * 3, 3)
}

pub fn image_encoder(driver: &Arc<SimtDriver>) -> ImageEncoder {
    let options = ImageOptions {
        size: Some(32),
        ..ImageOptions::new("resnet18")
    };
    let graph = nn::graph(nn::arch("resnet18").unwrap(), &nn::Build::new(1, 32)).unwrap();
    let weights = nn::formula::weights(&graph, &nn::formula::Stats::default());
    let card = Arc::new(GpuDevice::new(Arc::clone(driver) as Arc<dyn Driver>));
    ImageEncoder::new(&options, &weights, card).unwrap()
}

/// Runs images through lanes as the pipeline does: two submitted at a time.
fn through(lanes: &mut ImageLanes, images: &[f32], dims: usize) -> Vec<f32> {
    let length = 32 * 32 * 3;
    let (count, batch) = (images.len() / length, lanes.batch);
    let mut out = vec![0.0; count * dims];
    let (batches, several) = (count.div_ceil(batch), lanes.lanes.len());
    for number in 0..=batches {
        if number < batches {
            let lane = &mut lanes.lanes[number % several];
            let first = number * batch;
            let load = |place: usize, to: &mut [f32]| {
                to.copy_from_slice(&images[(first + place) * length..][..length]);
            };
            lane.fill(batch.min(count - first), &load).unwrap();
            lane.submit().unwrap();
        }
        if let Some(before) = number.checked_sub(1) {
            let first = before * batch * dims;
            let rows = out.len().min(first + batch * dims);
            let lane = &mut lanes.lanes[before % several];
            lane.collect(&mut out[first..rows]).unwrap();
        }
    }
    assert!(lanes.lanes.iter().all(|lane| lane.is_taped()));
    out
}

/// The least cosine between rows of two matrices.
fn least_cosine(a: &[f32], b: &[f32], dims: usize) -> f64 {
    let dot = |x: &[f32], y: &[f32]| -> f64 {
        let products = x.iter().zip(y).map(|(a, b)| f64::from(*a) * f64::from(*b));
        products.sum()
    };
    let rows = a.chunks_exact(dims).zip(b.chunks_exact(dims));
    let cosines = rows.map(|(x, y)| dot(x, y) / (dot(x, x) * dot(y, y)).sqrt());
    cosines.fold(f64::INFINITY, f64::min)
}

#[test]
fn images_through_lanes_are_the_same_in_every_order_of_streams() {
    if light() {
        return;
    }
    let images = pictures(5);
    let mut first: Option<Vec<f32>> = None;
    for order in [Order::Forward, Order::Reverse, Order::Random(1)] {
        let Some(driver) = simulated(order) else {
            return;
        };
        let encoder = image_encoder(&driver);
        let dims = encoder.dims();
        let mut lanes = encoder.lanes(Some(2), 5).unwrap().unwrap();
        assert_eq!((lanes.batch, lanes.lanes.len(), &lanes.note), (2, 3, &None));
        let have = through(&mut lanes, &images, dims);
        match &first {
            None => {
                // Another batch moves embeddings by rounding alone, and so does a single image.
                let mut whole = encoder.lanes(None, 5).unwrap().unwrap();
                assert_eq!((whole.batch, whole.lanes.len()), (5, 1));
                let other = through(&mut whole, &images, dims);
                assert!(least_cosine(&have, &other, dims) > 0.9999);
                let mut one = vec![0.0; dims];
                encoder.encode(&images[..32 * 32 * 3], &mut one).unwrap();
                assert!(least_cosine(&have[..dims], &one, dims) > 0.9999);
                first = Some(have);
            }
            Some(first) => assert_eq!(&have, first, "{order:?}"),
        }
    }
}

#[test]
fn batches_fit_the_memory_and_shrink_when_the_card_has_no_room() {
    let Some(driver) = simulated(Order::Random(9)).filter(|_| !light()) else {
        return;
    };
    let encoder = image_encoder(&driver);
    let device = Arc::clone(encoder.plan().device());
    let streams = device.streams().unwrap();
    // A driver that refuses: half of it, and a line.
    driver.fail_allocation(Some(driver.allocations() + 1));
    let lanes = encoder.lanes(None, 8).unwrap().unwrap();
    assert_eq!(lanes.batch, 4);
    let note = lanes.note.unwrap();
    assert!(
        note.contains("no room") && note.contains("4 images"),
        "{note}"
    );
    drop(lanes.lanes);
    // A limit under what eight take: fewer, silently unless eight were asked for.
    driver.fail_allocation(None);
    let free = streams.memory_left().unwrap();
    let takes = [4, 8].map(|batch| {
        let lanes = encoder.lanes(Some(batch), 8).unwrap().unwrap();
        assert_eq!((lanes.batch, &lanes.note), (batch, &None));
        free - streams.memory_left().unwrap()
    });
    let total = driver.memory().unwrap().1;
    let used = total - free;
    // A tenth stays free.
    let room = takes[0] / 9 * 10 + (takes[1] - takes[0]) / 4;
    streams.limit_memory(used + room);
    let lanes = encoder.lanes(None, 8).unwrap().unwrap();
    assert_eq!((lanes.batch, &lanes.note), (4, &None));
    drop(lanes);
    let lanes = encoder.lanes(Some(8), 8).unwrap().unwrap();
    let note = lanes.note.unwrap();
    assert!(
        note.contains("do not fit") && note.contains("4 are taken"),
        "{note}"
    );
    drop(lanes.lanes);
    // No room at all is one line.
    streams.limit_memory(used);
    let error = encoder.lanes(None, 8).err().unwrap();
    assert_eq!(error.kind(), Kind::Limit);
    assert!(error.to_string().contains("--device-memory"), "{error}");
}

/// An encoder of titles of two small layers.
fn text_encoder(driver: &Arc<SimtDriver>, pool: TextPool) -> TextEncoder {
    let config = TextConfig::parse(
        r#"{"model_type": "bert", "hidden_size": 64, "num_hidden_layers": 2,
            "num_attention_heads": 2, "intermediate_size": 96, "vocab_size": 50,
            "max_position_embeddings": 40}"#,
    )
    .unwrap();
    let build = TextBuild {
        tokens: 1,
        titles: 1,
        pool,
    };
    let graph = text_graph(&config, &build).unwrap();
    let weights = nn::formula::Text::of(nn::params(&graph));
    let card = Arc::new(GpuDevice::new(Arc::clone(driver) as Arc<dyn Driver>));
    TextEncoder::new(&config, pool, &weights, card).unwrap()
}

#[test]
fn titles_through_lanes_are_the_same_in_every_order_of_streams() {
    // Runs of 1 to 30 titles of 1 to 40 tokens, the longest first.
    let title = |n: usize| -> Vec<u32> {
        let length = 40 - n * 37 % 40;
        (0..length).map(|i| ((n * 7 + i * 3) % 50) as u32).collect()
    };
    let titles: Vec<Vec<u32>> = (0..45).map(title).collect();
    let titles: Vec<&[u32]> = titles.iter().map(|t| &t[..]).collect();
    let runs = [
        &titles[..30],
        &titles[30..31],
        &titles[31..42],
        &titles[42..],
    ];
    for pool in thin(vec![TextPool::Mean, TextPool::Cls]) {
        let mut first: Option<Vec<Vec<f32>>> = None;
        for order in thin(vec![Order::Forward, Order::Reverse, Order::Random(4)]) {
            let Some(driver) = simulated(order) else {
                return;
            };
            let encoder = text_encoder(&driver, pool);
            let mut lanes = encoder.lanes(2000).unwrap().unwrap();
            assert_eq!(lanes.tokens, 2048);
            let mut have = Vec::new();
            for (run, lane) in runs.iter().zip(&mut lanes.lanes) {
                lane.submit(run).unwrap();
            }
            let allocations = driver.allocations();
            for (run, lane) in runs.iter().zip(&mut lanes.lanes) {
                let mut out = vec![0.0; run.len() * encoder.dims()];
                lane.collect(&mut out).unwrap();
                // Once more, by the tape.
                lane.submit(run).unwrap();
                let mut again = vec![0.0; out.len()];
                lane.collect(&mut again).unwrap();
                assert_eq!(out, again);
                assert!(lane.is_taped());
                have.push(out);
            }
            assert_eq!(driver.allocations(), allocations);
            let mut whole = vec![0.0; titles.len() * encoder.dims()];
            encoder.encode(&titles, &mut whole).unwrap();
            let least = least_cosine(&have.concat(), &whole, encoder.dims());
            assert!(least > 0.9999, "{pool:?}: {least}");
            match &first {
                None => first = Some(have),
                Some(first) => assert_eq!(&have, first, "{order:?}"),
            }
            let many = vec![titles[0]; lanes.titles + 1];
            let refused = lanes.lanes[0].submit(&many).unwrap_err();
            assert_eq!(refused.kind(), Kind::Limit);
            assert!(lanes.lanes[0].submit(&[&[50]]).is_err());
        }
    }
}
