//! The model as a file.

use std::io::Read;
use std::path::Path;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::{BoostOptions, Boosted, Table};
use crate::error::{Error, Result};
use crate::files::write_whole;
use crate::limits::{MAX_PAIR_FEATURES, MAX_PAIR_MODEL_BYTES};

/// A model of pairs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PairModel {
    /// The names of the features, in the order of the columns.
    pub features: Vec<String>,
    /// The probability above which pairs match, chosen with the model.
    pub above: f32,
    /// Over the features.
    raw: Boosted,
    /// Over their percentiles among all candidates of a run; the probabilities of both are averaged.
    ranked: Option<Boosted>,
}

/// The probability where positive pairs are half as many: `p / (p + 2 (1 - p))`, the third place's shift from
/// its training candidates to those of the test.
pub fn calibrated(p: f64) -> f64 {
    p / (p + 2.0 * (1.0 - p))
}

impl PairModel {
    /// A model of pairs with these features, positive where both are of one group; with a `twin` over
    /// percentiles.
    ///
    /// # Errors
    /// As [`Boosted::fit`]; another number of names than columns.
    pub fn fit(
        features: Vec<String>,
        rows: &Table,
        positive: &[bool],
        (o, twin): (&BoostOptions, bool),
    ) -> Result<PairModel> {
        if features.len() != rows.columns() {
            return Err(Error::shape(
                "pair model",
                &[features.len()],
                &[rows.columns()],
            ));
        }
        let ranked = twin.then(|| Boosted::fit(&rows.percentiles(), positive, o));
        Ok(PairModel {
            features,
            above: 0.5,
            raw: Boosted::fit(rows, positive, o)?,
            ranked: ranked.transpose()?,
        })
    }

    /// The probability of each pair; percentiles are those among `rows`.
    ///
    /// # Errors
    /// Another number of columns than features.
    pub fn probabilities(&self, rows: &Table) -> Result<Vec<f64>> {
        if rows.columns() != self.features.len() {
            return Err(Error::shape(
                "pair model",
                &[rows.columns()],
                &[self.features.len()],
            ));
        }
        let of = |model: &Boosted, rows: &Table| -> Vec<f64> {
            let rows = (0..rows.rows())
                .into_par_iter()
                .map(|i| model.probability(rows.row(i)));
            rows.collect()
        };
        let mut all = of(&self.raw, rows);
        if let Some(ranked) = &self.ranked {
            let twin = of(ranked, &rows.percentiles());
            all.iter_mut()
                .zip(twin)
                .for_each(|(p, q)| *p = (*p + q) / 2.0);
        }
        Ok(all)
    }

    /// Writes the model as JSON, whole or not at all.
    ///
    /// # Errors
    /// What the disk says.
    pub fn write(&self, path: &Path) -> Result<()> {
        let text = serde_json::to_string(self).map_err(|e| Error::internal(e.to_string()))?;
        write_whole(path, |file| {
            file.write_all(text.as_bytes())?;
            file.write_all(b"\n")
        })
    }

    /// Reads a model and checks it.
    ///
    /// # Errors
    /// What the disk says; what is no model; trees that lead nowhere; more than [`MAX_PAIR_MODEL_BYTES`].
    pub fn read(path: &Path) -> Result<PairModel> {
        let io = |e| Error::io(e, path);
        let file = std::fs::File::open(path).map_err(io)?;
        let mut bytes = Vec::new();
        file.take(MAX_PAIR_MODEL_BYTES + 1)
            .read_to_end(&mut bytes)
            .map_err(io)?;
        if bytes.len() as u64 > MAX_PAIR_MODEL_BYTES {
            let error = Error::limit("is too large for a pair model").path(path);
            return Err(error.mend(format!("{MAX_PAIR_MODEL_BYTES} bytes are the most")));
        }
        let model: PairModel = serde_json::from_slice(&bytes).map_err(|e| {
            let said: String = e.to_string().chars().take(200).collect();
            let error = Error::input(format!("is no pair model: {said}")).path(path);
            error.mend("train one with engine tune --pair-model")
        })?;
        let columns = model.features.len();
        if columns == 0 || columns > MAX_PAIR_FEATURES || !(0.0..=1.0).contains(&model.above) {
            let error = Error::input(format!(
                "has {columns} features and the threshold {}",
                model.above
            ));
            return Err(error.path(path).mend("train the model anew"));
        }
        for boosted in [Some(&model.raw), model.ranked.as_ref()]
            .into_iter()
            .flatten()
        {
            boosted.check(columns).map_err(|e| e.path(path))?;
        }
        Ok(model)
    }
}
