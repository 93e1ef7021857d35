//! The sizes of image files.

use std::collections::BTreeMap;

use rayon::prelude::*;
use serde_json::{Value, json};

use crate::report::Pictures;

/// The most sizes that are listed.
const SIZES: usize = 400;

/// Width, height and bytes of each file, by its header alone.
pub(super) fn sizes(pictures: &Pictures) -> Option<Value> {
    if pictures.files() == 0 {
        return None;
    }
    let read: Vec<Option<(u32, u32, u64)>> = (0..pictures.files())
        .into_par_iter()
        .map(|f| pictures.size(f))
        .collect();
    let mut counts: BTreeMap<(u32, u32), usize> = BTreeMap::new();
    let mut bytes: BTreeMap<u64, usize> = BTreeMap::new();
    for &(width, height, length) in read.iter().flatten() {
        *counts.entry((width, height)).or_default() += 1;
        // In steps of a tenth of a power of ten.
        *bytes
            .entry((((length.max(1)) as f64).log10() * 10.0) as u64)
            .or_default() += 1;
    }
    let known = read.iter().flatten().count();
    let sum: u64 = read.iter().flatten().map(|r| r.2).sum();
    let distinct = counts.len();
    let mut most: Vec<(u32, u32, usize)> = counts
        .into_iter()
        .map(|((w, h), count)| (w, h, count))
        .collect();
    most.sort_by(|a, b| b.2.cmp(&a.2).then(a.cmp(b)));
    most.truncate(SIZES);
    Some(json!({
        "files": pictures.files(),
        "unreadable": pictures.files() - known,
        "bytes": sum,
        "distinct": distinct,
        "sizes": most,
        "log_bytes": bytes.into_iter().collect::<Vec<_>>(),
    }))
}
