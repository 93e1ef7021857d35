//! The colours of the pictures.

use std::collections::BTreeMap;

use rayon::prelude::*;
use serde_json::{Value, json};

use crate::image::{Rgb8, Share, palette};
use crate::report::Pictures;

/// The longer side of the pictures that are clustered, in pixels.
const SIDE: usize = 32;
/// The most pictures.
const FILES: usize = 600;
/// The numbers of clusters.
const CLUSTERS: [usize; 3] = [2, 3, 5];
/// The colours of all pictures together.
const TOGETHER: usize = 12;
/// What stands for a picture among all: so many pixels of its colours.
const PIXELS: f64 = 20.0;

/// The palettes of the pictures that `order` wants first, and one of them all.
pub(super) fn colours(pictures: &Pictures, order: &[u32], seed: u64) -> Option<Value> {
    let mut seen = vec![false; pictures.files()];
    let files = order.iter().filter_map(|&row| pictures.file(row as usize));
    let new = |file: &usize| !std::mem::replace(&mut seen[*file], true);
    let files: Vec<usize> = files.filter(new).take(FILES).collect();
    let made: Vec<Option<Vec<Vec<Share>>>> = files
        .par_iter()
        .map(|&file| {
            let small = pictures.pixels(file, SIDE)?;
            Some(CLUSTERS.iter().map(|&k| palette(&small, k, seed)).collect())
        })
        .collect();
    let mut all: Vec<u8> = Vec::new();
    let mut of_file = BTreeMap::new();
    for (file, palettes) in files.iter().zip(made) {
        let Some(palettes) = palettes else { continue };
        for (colour, share) in palettes.last().into_iter().flatten() {
            let count = (share * PIXELS).round() as usize;
            (0..count).for_each(|_| all.extend(colour));
        }
        let coded = |set: &Vec<Share>| set.iter().map(coded).collect::<Vec<_>>();
        of_file.insert(
            file.to_string(),
            palettes.iter().map(coded).collect::<Vec<_>>(),
        );
    }
    let together = Rgb8::new(all.len() / 3, 1, all).ok()?;
    let together = palette(&together, TOGETHER, seed);
    (!together.is_empty()).then(|| {
        json!({
            "pictures": of_file.len(),
            "clusters": CLUSTERS,
            "together": together.iter().map(coded).collect::<Vec<_>>(),
            "of_file": of_file,
        })
    })
}

/// `#rrggbb` and a share.
fn coded((c, share): &Share) -> Value {
    let share = (share * 1000.0).round() / 1000.0;
    json!([format!("#{:02x}{:02x}{:02x}", c[0], c[1], c[2]), share])
}
