//! A classifier of pairs as a recipe names it: its weights, and how many pairs it may judge.

use std::path::PathBuf;

use crate::device::Source;
use crate::error::{Error, Result};
use crate::nn::weights::{OpenOptions, WeightFile, check_against};
use crate::search::PairClassifier;
use crate::tensor::Matrix;

/// The tensors of a classifier's weights: the first layer `[inner, dims]`, the second one `[1, inner]` (log
/// odds) or `[2, inner]` (no match, match).
pub const PAIR_TENSORS: [&str; 4] = ["fc1.weight", "fc1.bias", "fc2.weight", "fc2.bias"];

/// A classifier of pairs.
#[derive(Debug, Clone, PartialEq)]
pub struct PairSpec {
    /// A .safetensors file with [`PAIR_TENSORS`], or a folder with model.safetensors.
    pub weights: PathBuf,
    /// The most pairs that it judges in one run.
    pub pairs: u64,
}

/// What a recipe that does not say has for [`PairSpec::pairs`].
pub const DEFAULT_PAIRS: u64 = 100_000_000;

impl PairSpec {
    /// Reads the weights.
    ///
    /// # Errors
    /// Whatever is wrong with the file; a tensor that is missing, or of a shape that does not go with the
    /// others.
    pub fn open(&self) -> Result<PairClassifier> {
        let file = WeightFile::open(&self.weights, OpenOptions { mmap: false })?;
        let [first, _, last, _] = PAIR_TENSORS;
        let (inner, dims) = two(&file, first)?;
        let (classes, _) = two(&file, last)?;
        let shapes = [
            vec![inner, dims],
            vec![inner],
            vec![classes, inner],
            vec![classes],
        ];
        let names = PAIR_TENSORS.map(str::to_string);
        let wanted: Vec<_> = names.into_iter().zip(shapes).collect();
        check_against(&file, &wanted, &|_| false)?;
        let mut read = Vec::new();
        for (name, shape) in &wanted {
            let mut values = vec![0.0; shape.iter().product()];
            file.read(name, 0, &mut values)?;
            read.push(values);
        }
        file.finish()?;
        let [weight, bias, last, last_bias] = &read[..] else {
            return Err(Error::internal("a classifier has four tensors"));
        };
        let weight = Matrix::new(inner, dims, weight.clone())?;
        let last = Matrix::new(classes, inner, last.clone())?;
        PairClassifier::new((&weight, bias), (&last, last_bias)).map_err(|e| e.path(&self.weights))
    }
}

/// The two dimensions of a layer.
fn two(file: &WeightFile, name: &str) -> Result<(usize, usize)> {
    match file.dims(name) {
        Some(&[rows, columns]) => Ok((rows, columns)),
        found => {
            let message = match found {
                Some(shape) => format!("tensor {name} has the shape {shape:?}"),
                None => format!("tensor {name} is missing"),
            };
            Err(Error::input(message)
                .path(file.path())
                .mend(format!("a pair classifier has {}", PAIR_TENSORS.join(", "))))
        }
    }
}
