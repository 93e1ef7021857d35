//! The formula's weights of text encoders, made as they are read, and titles as token ids.

use std::collections::HashMap;

use super::{ONE, fnv, whole};
use crate::device::{Source, missing};
use crate::error::{Error, Result};

/// Seeded weights of a text encoder; none is held: they are made as they are read.
#[derive(Debug, Clone)]
pub struct Text(HashMap<String, Vec<usize>>);

impl Text {
    /// Weights of these keys and shapes; see [`crate::nn::params`].
    pub fn of(weights: impl IntoIterator<Item = (String, Vec<usize>)>) -> Text {
        Text(weights.into_iter().collect())
    }
}

impl Source for Text {
    fn dims(&self, key: &str) -> Option<&[usize]> {
        self.0.get(key).map(|dims| &dims[..])
    }

    fn read(&self, key: &str, from: usize, out: &mut [f32]) -> Result<()> {
        let dims = self.0.get(key).ok_or_else(|| missing(key))?;
        let len: usize = dims.iter().product();
        if from.checked_add(out.len()).is_none_or(|end| end > len) {
            return Err(Error::shape("weights", dims, &[from, out.len()]).column(key));
        }
        let (first, by) = law(key, dims);
        let seed = fnv(key);
        for (value, i) in out.iter_mut().zip(from as u64..) {
            *value = (first + by * (whole(seed, i) as f64 / ONE)) as f32;
        }
        Ok(())
    }
}

/// `a` and `b` of the values `a + b u`.
fn law(key: &str, dims: &[usize]) -> (f64, f64) {
    let (layer, part) = key.rsplit_once('.').unwrap_or(("", key));
    let ends = |with: &[&str]| with.iter().any(|end| layer.ends_with(end));
    let meets = ends(&[".query", ".key", ".q_lin", ".k_lin"]);
    let mixes = ends(&[".value", ".v_lin", ".attention.output.dense", ".out_lin"]);
    match dims {
        [_, _] if layer.starts_with("embeddings.") => (0.0, 0.05),
        [_, depth] => {
            let gain = match (meets, mixes) {
                (true, _) => 3.0,
                (_, true) => 0.25,
                _ => 1.0,
            };
            (0.0, (3.0 * gain / *depth as f64).sqrt())
        }
        _ if part == "weight" => (1.0, 0.25),
        _ if meets => (0.0, 0.5),
        _ => (0.0, 0.1),
    }
}

/// How many tokens each of [`title()`] has.
pub const TITLES: [usize; 6] = [3, 7, 16, 17, 33, 61];

/// The token ids of a title, numbered from 0 to 5: between a first and a last token that all titles
/// share, any of the vocabulary but the first four, which published vocabularies give to padding and
/// the like.
pub fn title(which: usize, vocabulary: usize) -> Vec<u32> {
    let seed = fnv(&format!("title.{which}"));
    let one = |i: u64| {
        let m = (whole(seed, i) + (1 << 24)) / 2;
        (5 + ((m * (vocabulary as i64 - 6)) >> 24)) as u32
    };
    let inner = (1..TITLES[which] as u64 - 1).map(one);
    [4].into_iter()
        .chain(inner)
        .chain([vocabulary as u32 - 1])
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_are_the_same_however_they_are_read() {
        let key = "encoder.layer.0.output.dense.weight".to_string();
        let text = Text::of([(key.clone(), vec![5, 7])]);
        let mut whole = vec![0.0; 35];
        text.read(&key, 0, &mut whole).unwrap();
        assert!(whole.iter().all(|&x| x != 0.0));
        for (from, len) in [(0, 1), (3, 9), (34, 1), (35, 0)] {
            let mut piece = vec![0.0; len];
            text.read(&key, from, &mut piece).unwrap();
            assert_eq!(piece, whole[from..from + len]);
        }
        for (from, len) in [(35, 1), (0, 36), (usize::MAX, 2)] {
            assert!(text.read(&key, from, &mut vec![0.0; len]).is_err());
        }
        assert!(text.read("elsewhere", 0, &mut []).is_err());
    }

    #[test]
    fn titles_keep_within_the_vocabulary() {
        for vocabulary in [7, 30_522, 250_002] {
            for (which, count) in TITLES.into_iter().enumerate() {
                let ids = title(which, vocabulary);
                assert_eq!(ids.len(), count);
                let inner = &ids[1..count - 1];
                assert!(inner.iter().all(|&id| id > 4 && id < ids[count - 1]));
            }
        }
    }
}
