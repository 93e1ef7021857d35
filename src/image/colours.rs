//! The colours of a picture: k-means over its pixels.

use super::Rgb8;
use super::rgb::Pixel;
use crate::limits::{MAX_COLOUR_PIXELS, MAX_COLOURS};
use crate::random::Rng;

/// Starts of k-means, of which the best is kept.
const STARTS: u64 = 4;
/// The most rounds of one start; pictures settle after ten or twenty.
const ROUNDS: usize = 100;
/// Steps of a descriptor's grid on a side of the colour cube.
const GRID: usize = 4;

/// The values of a picture's [`descriptor`].
pub const COLOUR_DIMS: usize = GRID * GRID * GRID;

/// A colour that stands for some of a picture's pixels, and the share of those.
pub type Share = ([u8; 3], f64);

/// The `clusters` colours that a picture is made of, the one with most pixels first: the centres of k-means
/// over its RGB values, and the shares of the pixels that are nearest to each, which sum to 1.
///
/// At most [`MAX_COLOUR_PIXELS`] pixels are looked at, on an even grid. Starts are drawn as k-means++ has
/// it (each next centre with a chance that grows with the squared distance to those before), then rounds of
/// Lloyd's follow until nothing moves; of four starts the one with the least sum of squared distances is
/// kept. The same picture and seed give the same answer everywhere. A picture with fewer colours than
/// `clusters` gives those alone, and one without pixels none. `clusters` counts as 1 to [`MAX_COLOURS`].
pub fn palette(rgb: &Rgb8, clusters: usize, seed: u64) -> Vec<Share> {
    let (colours, counts) = distinct(sampled(rgb));
    let clusters = clusters.clamp(1, MAX_COLOURS).min(colours.len());
    if clusters == 0 {
        return Vec::new();
    }
    let starts = (0..STARTS).map(|start| {
        let mut rng = Rng::of(seed, 0x636f_6c6f_7572, start);
        lloyd(
            &colours,
            &counts,
            plus_plus(&colours, &counts, clusters, &mut rng),
        )
    });
    let best = starts.min_by(|a, b| a.error.total_cmp(&b.error));
    let total: f64 = counts.iter().sum();
    let mut shares: Vec<Share> = best
        .into_iter()
        .flat_map(|found| found.centres.into_iter().zip(found.weights))
        .filter(|&(_, weight)| weight > 0.0)
        .map(|(centre, weight)| (centre.map(|x| x.round() as u8), weight / total))
        .collect();
    shares.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    shares
}

/// A palette as a vector, by which pictures are compared: each colour's share goes to the eight nearest
/// points of a 4 x 4 x 4 grid over the colour cube, the nearer ones more, and each value is the root of what
/// it got. Of unit length, so that the cosine of two is their Bhattacharyya coefficient; zeros for an empty
/// palette.
pub fn descriptor(palette: &[Share]) -> [f32; COLOUR_DIMS] {
    let mut points = [0.0f64; COLOUR_DIMS];
    for &(colour, share) in palette {
        let place = colour.map(|x| f64::from(x) / 255.0 * (GRID - 1) as f64);
        for corner in 0..8 {
            let (mut at, mut part) = (0, share);
            for (axis, x) in place.into_iter().enumerate() {
                let low = (x.floor() as usize).min(GRID - 2);
                let high = corner >> axis & 1;
                let above = x - low as f64;
                part *= if high == 1 { above } else { 1.0 - above };
                at = at * GRID + low + high;
            }
            points[at] += part;
        }
    }
    let total: f64 = points.iter().sum();
    let scale = if total > 0.0 { total } else { 1.0 };
    points.map(|x| (x / scale).sqrt() as f32)
}

/// Pixels on an even grid, at most [`MAX_COLOUR_PIXELS`].
fn sampled(rgb: &Rgb8) -> Vec<Pixel> {
    let (width, height) = (rgb.width(), rgb.height());
    let mut step = 1;
    while width.div_ceil(step) * height.div_ceil(step) > MAX_COLOUR_PIXELS {
        step += 1;
    }
    let pixels = rgb.pixels().as_chunks::<3>().0;
    let first = |side: usize| (side % step / 2).min(step / 2);
    let rows = (first(height)..height).step_by(step);
    rows.flat_map(|y| {
        (first(width)..width)
            .step_by(step)
            .map(move |x| y * width + x)
    })
    .filter_map(|at| pixels.get(at).copied())
    .collect()
}

/// The different colours in ascending order, and how many pixels have each.
fn distinct(mut pixels: Vec<Pixel>) -> (Vec<[f64; 3]>, Vec<f64>) {
    pixels.sort_unstable();
    let same = pixels.chunk_by(|a, b| a == b);
    same.map(|run| (run[0].map(f64::from), run.len() as f64))
        .unzip()
}

fn squared(a: &[f64; 3], b: &[f64; 3]) -> f64 {
    let [x, y, z] = [a[0] - b[0], a[1] - b[1], a[2] - b[2]];
    x * x + y * y + z * z
}

/// `clusters` different colours to start from; there are at least as many.
fn plus_plus(
    colours: &[[f64; 3]],
    counts: &[f64],
    clusters: usize,
    rng: &mut Rng,
) -> Vec<[f64; 3]> {
    let mut far: Vec<f64> = counts.to_vec();
    let mut centres = Vec::with_capacity(clusters);
    while centres.len() < clusters {
        let mut left = rng.unit() * far.iter().sum::<f64>();
        let drawn = far.iter().position(|&x| {
            left -= x;
            left < 0.0 && x > 0.0
        });
        let last = far.iter().rposition(|&x| x > 0.0).unwrap_or(0);
        let centre = colours[drawn.unwrap_or(last)];
        for ((far, colour), count) in far.iter_mut().zip(colours).zip(counts) {
            let now = count * squared(colour, &centre);
            *far = if centres.is_empty() {
                now
            } else {
                far.min(now)
            };
        }
        centres.push(centre);
    }
    centres
}

struct Found {
    centres: Vec<[f64; 3]>,
    /// Pixels of each.
    weights: Vec<f64>,
    error: f64,
}

fn lloyd(colours: &[[f64; 3]], counts: &[f64], mut centres: Vec<[f64; 3]>) -> Found {
    let mut of = vec![usize::MAX; colours.len()];
    let mut weights = vec![0.0; centres.len()];
    let mut error = 0.0;
    for _ in 0..ROUNDS {
        let mut sums = vec![[0.0; 3]; centres.len()];
        weights.fill(0.0);
        error = 0.0;
        let mut moved = false;
        for ((colour, count), of) in colours.iter().zip(counts).zip(&mut of) {
            let (nearest, distance) = nearest(colour, &centres);
            moved |= std::mem::replace(of, nearest) != nearest;
            weights[nearest] += count;
            error += count * distance;
            for (sum, x) in sums[nearest].iter_mut().zip(colour) {
                *sum += count * x;
            }
        }
        if !moved {
            break;
        }
        // A centre that lost its pixels stays where it is.
        for ((centre, sum), &weight) in centres.iter_mut().zip(sums).zip(&weights) {
            if weight > 0.0 {
                *centre = sum.map(|x| x / weight);
            }
        }
    }
    Found {
        centres,
        weights,
        error,
    }
}

/// The first of the nearest centres, and the squared distance to it.
fn nearest(colour: &[f64; 3], centres: &[[f64; 3]]) -> (usize, f64) {
    let mut best = (0, f64::INFINITY);
    for (i, centre) in centres.iter().enumerate() {
        let distance = squared(colour, centre);
        if distance < best.1 {
            best = (i, distance);
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A picture of bands: each colour, give or take `noise`, on so many rows of ten pixels.
    fn bands(bands: &[(Pixel, usize)], noise: usize) -> Rgb8 {
        let mut rng = Rng::of(5, 0, 0);
        let mut pixels = Vec::new();
        for &(colour, rows) in bands {
            for _ in 0..rows * 10 {
                let near = |x: u8| x.saturating_add(rng.below(noise + 1) as u8);
                pixels.extend(colour.map(near));
            }
        }
        Rgb8::new(10, pixels.len() / 30, pixels).unwrap()
    }

    const RED: Pixel = [200, 20, 10];
    const GREEN: Pixel = [20, 180, 40];
    const BLUE: Pixel = [10, 30, 220];

    #[test]
    fn flat_colours_are_found_as_they_are() {
        let picture = bands(&[(GREEN, 3), (RED, 5), (BLUE, 2)], 0);
        let found = palette(&picture, 3, 0);
        assert_eq!(found, [(RED, 0.5), (GREEN, 0.3), (BLUE, 0.2)]);
        assert_eq!(palette(&picture, 5, 0), found, "there are three colours");
        let mean = |i: usize| {
            (5.0 * f64::from(RED[i]) + 3.0 * f64::from(GREEN[i]) + 2.0 * f64::from(BLUE[i])) / 10.0
        };
        let one = palette(&picture, 1, 0);
        assert_eq!(one, [([0, 1, 2].map(|i| mean(i).round() as u8), 1.0)]);
    }

    #[test]
    fn noise_is_averaged_and_every_seed_finds_the_same() {
        let picture = bands(&[(RED, 50), (GREEN, 30), (BLUE, 20)], 20);
        for seed in 0..8 {
            let found = palette(&picture, 3, seed);
            let shares: Vec<f64> = found.iter().map(|s| s.1).collect();
            assert_eq!(shares, [0.5, 0.3, 0.2]);
            for ((colour, _), flat) in found.iter().zip([RED, GREEN, BLUE]) {
                for (x, y) in colour.iter().zip(flat) {
                    assert!(x.abs_diff(y + 10) <= 1, "{colour:?} for {flat:?}");
                }
            }
        }
        let five = palette(&picture, 5, 1);
        assert_eq!(five.len(), 5);
        assert!((five.iter().map(|s| s.1).sum::<f64>() - 1.0).abs() < 1e-12);
    }

    #[test]
    fn a_centre_is_the_mean_of_its_pixels() {
        // Where k-means has come to rest, by definition.
        let picture = bands(&[([0, 0, 0], 40), ([90, 90, 90], 40)], 120);
        let (colours, counts) = distinct(sampled(&picture));
        let mut rng = Rng::of(1, 2, 3);
        let found = lloyd(&colours, &counts, plus_plus(&colours, &counts, 4, &mut rng));
        for (i, centre) in found.centres.iter().enumerate() {
            let (mut sum, mut weight) = ([0.0; 3], 0.0);
            for (colour, count) in colours.iter().zip(&counts) {
                if nearest(colour, &found.centres).0 == i {
                    weight += count;
                    (0..3).for_each(|c| sum[c] += count * colour[c]);
                }
            }
            assert_eq!(weight, found.weights[i]);
            assert!((0..3).all(|c| (sum[c] / weight - centre[c]).abs() < 1e-9));
        }
    }

    #[test]
    fn large_pictures_are_looked_at_on_a_grid() {
        let tall = bands(&[(RED, 3000), (BLUE, 1000)], 0);
        assert!(sampled(&tall).len() <= MAX_COLOUR_PIXELS);
        assert!(sampled(&tall).len() > MAX_COLOUR_PIXELS / 4);
        let found = palette(&tall, 2, 0);
        assert_eq!((found[0].0, found[1].0), (RED, BLUE));
        assert!((found[0].1 - 0.75).abs() < 0.01, "{found:?}");
        assert!(palette(&Rgb8::new(0, 7, vec![]).unwrap(), 3, 0).is_empty());
    }

    #[test]
    fn descriptors_are_alike_where_palettes_are() {
        let of = |bands_: &[(Pixel, usize)]| descriptor(&palette(&bands(bands_, 0), 3, 0));
        let cosine = |a: &[f32; COLOUR_DIMS], b: &[f32; COLOUR_DIMS]| -> f32 {
            a.iter().zip(b).map(|(x, y)| x * y).sum()
        };
        let one = of(&[(RED, 5), (GREEN, 3), (BLUE, 2)]);
        assert!((cosine(&one, &one) - 1.0).abs() < 1e-6);
        let shade = of(&[([190, 25, 20], 5), ([30, 170, 50], 3), (BLUE, 2)]);
        let other = of(&[([250, 250, 20], 8), ([250, 250, 250], 2)]);
        assert!(cosine(&one, &shade) > 0.95, "{}", cosine(&one, &shade));
        assert!(cosine(&one, &other) < 0.4, "{}", cosine(&one, &other));
        assert_eq!(descriptor(&[]), [0.0; COLOUR_DIMS]);
        let white = descriptor(&[([255; 3], 1.0)]);
        assert_eq!(white[COLOUR_DIMS - 1], 1.0);
    }
}
