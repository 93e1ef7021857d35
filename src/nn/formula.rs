//! Seeded weights, images and titles for tests and benches: a counter-based formula, so that a test in another
//! language has the very same bits without any file of weights (tests/golden/models/formula.py).
//!
//! Value `i` of tensor `key` comes from 24 bits of a hash of both (SplitMix64's finaliser over FNV-1a
//! of the key, stepped by `i`), taken as an odd whole number `m` between -2^24 and 2^24; all that
//! follows is done in f64 in a fixed order and rounded to f32 once.
//!
//! | tensor | value, `u = m / 2^24` |
//! |---|---|
//! | filters, and matrices by row | `u` less its filter's mean, times `sqrt(3 gain / depth)` |
//! | attention's taps | `u / 2` |
//! | scales (batch norm's weight, gains) | `1 + u / 4` |
//! | biases | `1 / 2 + u / 5`; of convolutions `u / 2` |
//! | running mean | `mean + sigma u / 10`, by [`Stats`] |
//! | running variance | `sigma^2 (1 + u / 4)` |
//! | the power of the generalised mean | `3 + u / 4` |
//!
//! The gain is 2, and 16 in squeeze-excite, whose gates would hardly move otherwise. No tensor is all
//! zero. Batch norms' biases are positive, where SiLU is nearer to a line: around zero it would shrink
//! small signals layer after layer, until one image drowned the others.
//!
//! Text encoders have their own, [`Text`]:
//!
//! | tensor | value |
//! |---|---|
//! | tables of words, positions and types | `u / 20` |
//! | matrices | `u sqrt(3 gain / depth)` |
//! | layer norms' weights | `1 + u / 4` |
//! | biases | `u / 10`; of queries and keys `u / 2` |
//!
//! The gain is 3 for queries and keys, so that attention picks some tokens out of many, 1/4 for what
//! attention mixes, without which all tokens of a title would soon be one, and 1 elsewhere.

mod text;

use std::collections::HashMap;

pub use text::{TITLES, Text, title};

use super::params;
use crate::device::{Graph, Weights};
use crate::error::{Error, Result};

const STEP: u64 = 0x9E37_79B9_7F4A_7C15;
/// 2^24.
const ONE: f64 = 16_777_216.0;

/// What batch norms have seen in training: one mean and one deviation a layer, by the layer's key
/// without `.running_mean`. A layer that is not there has mean 0 and deviation 1.
#[derive(Debug, Clone, Default)]
pub struct Stats(HashMap<String, (f64, f64)>);

impl Stats {
    /// Reads lines of `key mean deviation`.
    ///
    /// # Errors
    /// A line of another form, or whose deviation is not positive.
    pub fn parse(text: &str) -> Result<Stats> {
        let mut all = HashMap::new();
        for (i, line) in text.lines().enumerate() {
            let mut words = line.split(' ');
            let key = words.next().unwrap_or("");
            let mut number = || words.next().and_then(|w| w.parse::<f64>().ok());
            match (number(), number()) {
                (Some(mean), Some(sigma)) if mean.is_finite() && sigma > 0.0 => {
                    all.insert(key.to_string(), (mean, sigma));
                }
                _ => {
                    return Err(Error::input("is not `key mean deviation`").line(i as u64 + 1));
                }
            }
        }
        Ok(Stats(all))
    }
}

/// All weights that `graph` wants.
pub fn weights(graph: &Graph, stats: &Stats) -> Weights {
    let one = |(key, dims): (String, Vec<usize>)| {
        let values = tensor(&key, &dims, stats);
        (key, (dims, values))
    };
    params(graph).into_iter().map(one).collect()
}

/// The values of one weight.
pub fn tensor(key: &str, dims: &[usize], stats: &Stats) -> Vec<f32> {
    let (layer, part) = key.rsplit_once('.').unwrap_or(("", key));
    let squeeze = key.contains(".se.");
    let len: usize = dims.iter().product();
    let seed = fnv(key);
    let each = |f: &dyn Fn(f64) -> f64| -> Vec<f32> {
        (0..len as u64)
            .map(|i| f(whole(seed, i) as f64 / ONE) as f32)
            .collect()
    };
    let (mean, sigma) = *stats.0.get(layer).unwrap_or(&(0.0, 1.0));
    match (part, dims.len()) {
        ("weight", 2 | 4) => filters(seed, dims, if squeeze { 16.0 } else { 2.0 }),
        ("weight", 3) => each(&|u| 0.5 * u),
        ("weight" | "gain", _) => each(&|u| 1.0 + 0.25 * u),
        ("bias", _) if layer.contains("conv") => each(&|u| 0.5 * u),
        ("bias", _) => each(&|u| 0.5 + 0.2 * u),
        ("running_mean", _) => each(&|u| mean + sigma * (0.1 * u)),
        ("running_var", _) => each(&|u| sigma * sigma * (1.0 + 0.25 * u)),
        ("p", _) => each(&|u| 3.0 + 0.25 * u),
        _ => each(&|u| u),
    }
}

/// Filters without a mean: subtracted as whole numbers, so that there is nothing to round.
fn filters(seed: u64, dims: &[usize], gain: f64) -> Vec<f32> {
    let depth = dims[1..].iter().product::<usize>().max(1);
    let by = (3.0 * gain / depth as f64).sqrt();
    let mut values = Vec::with_capacity(dims[0] * depth);
    for filter in 0..dims[0] {
        let at = |i: usize| whole(seed, (filter * depth + i) as u64);
        let sum: i64 = (0..depth).map(at).sum();
        // A filter of one value would vanish.
        let mean = if depth > 1 { sum } else { 0 };
        let one = |i: usize| {
            let off = (at(i) * depth as i64 - mean) as f64;
            (off / (depth as f64 * ONE) * by) as f32
        };
        values.extend((0..depth).map(one));
    }
    values
}

/// How many images of [`image()`] there are.
pub const IMAGES: usize = 6;

/// A prepared image, `[size, size, 3]`, numbered from 0 to 5, no two alike: a ramp with waves, noise,
/// small coloured blocks, slanted stripes that fade, coloured blobs under spikes, and a grey edge under
/// grey noise. All have fine texture, which filters without a mean let through.
pub fn image(which: usize, size: usize) -> Vec<f32> {
    let seed = fnv(&format!("image.{which}"));
    let noise = |c: usize, y: usize, x: usize| {
        let at = ((c * 65_536 + y) * 65_536 + x) as u64;
        whole(seed, at) as f64 / ONE
    };
    let mut values = Vec::with_capacity(size * size * 3);
    for y in 0..size {
        for x in 0..size {
            for c in 0..3 {
                let (v, u) = (
                    (y as f64 + 0.5) / size as f64,
                    (x as f64 + 0.5) / size as f64,
                );
                let (k, grain) = (c as f64, noise(c, y, x));
                let value = match which {
                    0 => {
                        let (x, y) = (x as f64, y as f64);
                        let waves = wave(x / 5.0 + y / 11.0 + 0.25 * k) * wave(y / 7.0);
                        0.5 * (u + v - 1.0) + 0.9 * waves + 0.3 * grain
                    }
                    1 => 1.2 * grain,
                    2 => 0.9 * noise(c, y / 3, x / 3) + (0.15 * k - 0.15),
                    3 => {
                        let far = (u - 0.5) * (u - 0.5) + (v - 0.5) * (v - 0.5);
                        let stripes = wave(x as f64 / 3.7 + y as f64 / 9.0 + 0.1 * k);
                        stripes * (1.2 - 1.5 * far) + 0.25 * grain
                    }
                    4 => {
                        let blob = wave(u + 0.2) * wave(3.0 * v);
                        0.6 * (blob * blob) + 1.6 * (grain * grain * grain) + [0.3, -0.1, -0.4][c]
                    }
                    _ => {
                        let edge = if u + 0.5 * v > 0.8 { 0.4 } else { -0.3 };
                        0.9 * noise(0, y, x) + edge
                    }
                };
                values.push(value as f32);
            }
        }
    }
    values
}

/// A triangle of period 1 between -1 and 1.
fn wave(t: f64) -> f64 {
    4.0 * (t - t.floor() - 0.5).abs() - 1.0
}

/// An odd whole number between -2^24 and 2^24.
fn whole(seed: u64, i: u64) -> i64 {
    let mut z = seed.wrapping_add(i.wrapping_add(1).wrapping_mul(STEP));
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^= z >> 31;
    2 * (z >> 40) as i64 + 1 - (1 << 24)
}

/// FNV-1a over the bytes of `key`.
fn fnv(key: &str) -> u64 {
    key.bytes().fold(0xCBF2_9CE4_8422_2325, |h, b| {
        (h ^ u64::from(b)).wrapping_mul(0x100_0000_01B3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_those_of_their_authors() {
        // FNV-1a of "" and "a" by its specification; SplitMix64 seeded with 0 starts so.
        assert_eq!(fnv(""), 0xCBF2_9CE4_8422_2325);
        assert_eq!(fnv("a"), 0xAF63_DC4C_8601_EC8C);
        assert_eq!(
            whole(0, 0),
            2 * (0xE220_A839_7B1D_CDAF_u64 >> 40) as i64 + 1 - (1 << 24)
        );
    }

    #[test]
    fn filters_have_no_mean_and_no_tensor_is_zero() {
        let stats = Stats::default();
        let dims = [5, 7, 3, 3];
        let values = tensor("a.weight", &dims, &stats);
        for filter in values.chunks(63) {
            let sum: f64 = filter.iter().map(|&x| f64::from(x)).sum();
            let size: f64 = filter.iter().map(|&x| f64::from(x).abs()).sum();
            assert!(sum.abs() < 1e-6 * size && size > 1.0, "{sum} of {size}");
        }
        for (key, dims) in [
            ("a.weight", &[3, 1, 1, 1][..]),
            ("a.weight", &[1, 1, 5]),
            ("a.weight", &[4]),
            ("a.bias", &[4]),
            ("a.running_mean", &[4]),
            ("a.running_var", &[4]),
            ("a.gain", &[4, 1, 1, 1]),
            ("embed.pool.p", &[1]),
            ("skipinit_gain", &[]),
        ] {
            let values = tensor(key, dims, &stats);
            assert_eq!(values.len(), dims.iter().product::<usize>());
            assert!(values.iter().all(|&x| x != 0.0), "{key}");
        }
    }

    #[test]
    fn statistics_are_read_and_bad_lines_are_named() {
        let stats = Stats::parse("bn1 0.5 2\nlayer1.0.bn1 -1 0.25\n").unwrap();
        let near = |values: Vec<f32>, x: f32, off: f32| {
            assert!(values.iter().all(|v| (v - x).abs() <= off), "{values:?}");
        };
        near(tensor("bn1.running_mean", &[9], &stats), 0.5, 0.2);
        near(tensor("bn1.running_var", &[9], &stats), 4.0, 1.0);
        near(
            tensor("layer1.0.bn1.running_mean", &[9], &stats),
            -1.0,
            0.025,
        );
        for bad in ["bn1", "bn1 x 1", "bn1 0 0", "bn1 0 NaN", "\n", "bn1 inf 1"] {
            assert!(Stats::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn images_are_unlike_each_other() {
        for a in 0..IMAGES {
            for b in 0..a {
                let off = image(a, 33)
                    .iter()
                    .zip(image(b, 33))
                    .map(|(x, y)| (x - y).abs())
                    .sum::<f32>();
                assert!(off / (33.0 * 33.0 * 3.0) > 0.2, "{a} {b} {off}");
            }
        }
    }
}
