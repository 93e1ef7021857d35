//! The colours of pictures: k-means over their pixels.

use std::collections::HashMap;

use rayon::prelude::*;
use serde_json::{Value, json};

use crate::report::{Pictures, shrink};

/// The longer side of the pictures that are clustered, in pixels.
const SIDE: usize = 32;
/// The most pictures.
const FILES: usize = 600;
/// The numbers of clusters.
const CLUSTERS: [usize; 3] = [2, 3, 5];
/// The colours of all pictures together.
const TOGETHER: usize = 12;
const ROUNDS: usize = 30;

/// A colour, and its share of the pixels.
type Swatch = ([u8; 3], f64);

/// The palettes of the pictures that `order` wants first, and one of them all.
pub(super) fn colours(pictures: &Pictures, order: &[u32]) -> Option<Value> {
    let mut seen = vec![false; pictures.files()];
    let files = order.iter().filter_map(|&row| pictures.file(row as usize));
    let files: Vec<usize> = files
        .filter(|&f| !std::mem::replace(&mut seen[f], true))
        .take(FILES)
        .collect();
    let made: Vec<Option<Vec<Vec<Swatch>>>> = files
        .par_iter()
        .map(|&file| {
            let small = shrink(&pictures.read(file)?, SIDE)?;
            let pixels = small.pixels().chunks_exact(3);
            let pixels: Vec<([f64; 3], f64)> = pixels
                .map(|p| ([p[0].into(), p[1].into(), p[2].into()], 1.0))
                .collect();
            Some(CLUSTERS.iter().map(|&k| clusters(&pixels, k)).collect())
        })
        .collect();
    let mut all: Vec<([f64; 3], f64)> = Vec::new();
    let mut palettes = HashMap::new();
    for (file, palette) in files.iter().zip(made) {
        let Some(palette) = palette else { continue };
        all.extend(
            palette[2]
                .iter()
                .map(|(c, share)| (c.map(f64::from), *share)),
        );
        let coded = |set: &Vec<Swatch>| set.iter().map(coded).collect::<Vec<_>>();
        palettes.insert(
            file.to_string(),
            palette.iter().map(coded).collect::<Vec<_>>(),
        );
    }
    if all.is_empty() {
        return None;
    }
    let sorted: std::collections::BTreeMap<_, _> = palettes.into_iter().collect();
    Some(json!({
        "pictures": sorted.len(),
        "clusters": CLUSTERS,
        "together": clusters(&all, TOGETHER).iter().map(coded).collect::<Vec<_>>(),
        "of_file": sorted,
    }))
}

/// `#rrggbb` and a share.
fn coded((c, share): &Swatch) -> Value {
    json!([
        format!("#{:02x}{:02x}{:02x}", c[0], c[1], c[2]),
        (share * 1000.0).round() / 1000.0
    ])
}

/// Lloyd's k-means over weighted colours, the largest share first. It starts from the mean and takes, each
/// time, the colour that is farthest from all centres so far.
fn clusters(pixels: &[([f64; 3], f64)], k: usize) -> Vec<Swatch> {
    let square = |a: &[f64; 3], b: &[f64; 3]| -> f64 {
        a.iter().zip(b).map(|(x, y)| (x - y) * (x - y)).sum()
    };
    let total: f64 = pixels.iter().map(|p| p.1).sum();
    let mut mean = [0.0; 3];
    for (pixel, weight) in pixels {
        (0..3).for_each(|c| mean[c] += pixel[c] * weight / total);
    }
    let mut centres = vec![mean];
    let mut apart: Vec<f64> = pixels.iter().map(|(p, _)| square(p, &mean)).collect();
    while centres.len() < k {
        let farthest =
            (0..pixels.len()).max_by(|&a, &b| apart[a].total_cmp(&apart[b]).then(b.cmp(&a)));
        let Some(far) = farthest.filter(|&far| apart[far] > 0.0) else {
            break;
        };
        let centre = pixels[far].0;
        centres.push(centre);
        apart
            .iter_mut()
            .zip(pixels)
            .for_each(|(a, (p, _))| *a = a.min(square(p, &centre)));
    }
    let mut shares = vec![0.0; centres.len()];
    for _ in 0..ROUNDS {
        let mut sums = vec![[0.0; 3]; centres.len()];
        shares.fill(0.0);
        for (pixel, weight) in pixels {
            let near = (0..centres.len())
                .min_by(|&a, &b| square(pixel, &centres[a]).total_cmp(&square(pixel, &centres[b])))
                .unwrap_or(0);
            (0..3).for_each(|c| sums[near][c] += pixel[c] * weight);
            shares[near] += weight;
        }
        let mut moved = 0.0;
        for (i, sum) in sums.iter().enumerate() {
            if shares[i] > 0.0 {
                let next = [sum[0] / shares[i], sum[1] / shares[i], sum[2] / shares[i]];
                moved += square(&next, &centres[i]);
                centres[i] = next;
            }
        }
        if moved < 0.01 {
            break;
        }
    }
    let byte = |x: f64| x.round().clamp(0.0, 255.0) as u8;
    let mut made: Vec<Swatch> = centres
        .iter()
        .zip(&shares)
        .filter(|(_, share)| **share > 0.0)
        .map(|(c, share)| ([byte(c[0]), byte(c[1]), byte(c[2])], share / total))
        .collect();
    made.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    made
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_colours_are_found_with_their_shares() {
        let mut pixels = vec![([250.0, 10.0, 10.0], 1.0); 30];
        pixels.extend(vec![([10.0, 10.0, 240.0], 1.0); 10]);
        for k in [2, 3, 5] {
            let found = clusters(&pixels, k);
            assert_eq!(found, [([250, 10, 10], 0.75), ([10, 10, 240], 0.25)], "{k}");
        }
        assert_eq!(clusters(&pixels[..30], 3), [([250, 10, 10], 1.0)]);
    }
}
