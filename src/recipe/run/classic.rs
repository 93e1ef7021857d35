//! The rows of the classical systems: word vectors, colours; and what a classifier of pairs judges.

use std::sync::Arc;

use rayon::prelude::*;
use serde_json::{Value, json};

use super::super::PairSpec;
use super::super::embed::reject;
use super::super::work::{Made, Told};
use super::gather::titles;
use super::{Data, Held, Run, Which, inputs};
use crate::embed::{normalize, store};
use crate::error::{Error, Result};
use crate::image::{COLOUR_DIMS, ImageFolder, Unique, decode_rgb, descriptor, palette};
use crate::listings::{IMAGE, Listing};
use crate::search::PairClassifier;
use crate::tensor::{Matrix, Rows};
use crate::text::word2vec::{Word2Vec, Word2VecOptions};

/// A side of the pairs that a classifier judges.
pub(super) struct Pairs {
    parts: Vec<Held>,
    pub classifier: PairClassifier,
    most: u64,
    /// The SHA-256 of the classifier's file, where results are kept.
    digest: Option<String>,
}

impl Pairs {
    /// What stands for it in a key.
    pub fn key(&self) -> Value {
        let parts: Vec<&str> = self.parts.iter().map(Held::digest).collect();
        json!({"pairs": parts, "classifier": self.digest})
    }

    /// The parts' rows side by side, each of unit length.
    pub fn rows(&self) -> Result<Matrix> {
        let mut parts = Vec::new();
        for held in &self.parts {
            parts.push(held.rows()?);
        }
        let dims = parts.iter().map(|rows| rows.dims()).sum();
        let count = parts.first().map_or(0, |rows| rows.rows());
        let mut joined = Matrix::zeros(count, dims);
        for i in 0..count {
            let mut at = 0;
            for part in &parts {
                let Rows::Dense(part) = &**part else {
                    return Err(Error::input("a classifier of pairs was given sparse rows")
                        .mend("make it of dense spaces, such as those of encoders"));
                };
                let out = &mut joined.row_mut(i)[at..at + part.dims()];
                out.copy_from_slice(part.row(i));
                normalize(out);
                at += part.dims();
            }
        }
        Ok(joined)
    }
}

impl Run<'_> {
    /// What a classifier judges of one side.
    pub(super) fn pairs(
        &mut self,
        which: Which,
        spaces: &[usize],
        spec: &PairSpec,
    ) -> Result<Data> {
        if spec.weights.as_os_str().is_empty() {
            return Err(Error::input("a classifier of pairs has no weights")
                .mend("name them in the recipe (weights = ...)"));
        }
        let parts = spaces.iter().map(|&space| self.held(space, which));
        let kept = !matches!(self.job.work, super::super::work::Work::Memory);
        let files = kept.then(|| crate::nn::weights::weight_files(&spec.weights));
        let digest = match files.transpose()? {
            Some(files) => {
                let sums = files.iter().map(store::sha256);
                Some(sums.collect::<Result<Vec<_>>>()?.join(" "))
            }
            None => None,
        };
        Ok(Data::Pairs(Arc::new(Pairs {
            parts: parts.collect::<Result<_>>()?,
            classifier: spec.open()?,
            most: spec.pairs,
            digest,
        })))
    }

    /// Says what judging all pairs costs, before it is done; refuses more than the recipe allows.
    pub(super) fn tell_cost(
        &mut self,
        pairs: &Pairs,
        label: &str,
        rows: usize,
        gallery: Option<usize>,
    ) -> Result<()> {
        let cost = pairs.classifier.cost(rows, gallery);
        let listings = match gallery {
            None => format!("{rows} listings"),
            Some(gallery) => format!("{rows} listings and a gallery of {gallery}"),
        };
        if cost.pairs > pairs.most {
            let message = format!(
                "{label}: {listings} make {} pairs, and the recipe lets its classifier judge {}",
                cost.pairs, pairs.most
            );
            return Err(Error::limit(message)
                .mend("match fewer listings, or raise `pairs` in the recipe and have patience"));
        }
        self.watch.tell(&format!(
            "{label}: every pair is judged: {listings}, {} pairs, {:.2e} multiplications",
            cost.pairs, cost.multiplications as f64
        ));
        Ok(())
    }

    /// The titles' sums of word vectors; rows of zeros where there is no title or no word is known. Against a
    /// gallery the vectors are learnt from the gallery's titles.
    pub(super) fn word_vectors(
        &mut self,
        space: usize,
        which: Which,
        options: &Word2VecOptions,
        decode: bool,
    ) -> Result<Data> {
        let rows = self.side(which).listings.items.len();
        let decode = (decode, &self.job.recipe.spaces[space].clean[..]);
        let against = self.job.against.is_some() && which == Which::Queries;
        // Words of a file are looked up for each side; learnt ones are the gallery's.
        let fitted = against && options.vectors.is_none();
        let key = self.key(|| {
            let column = |which| {
                let titles = titles(self.side(which), decode);
                inputs::column(titles.iter().map(|t| t.as_deref()))
            };
            let file = options.vectors.as_ref().map(store::sha256).transpose()?;
            Ok(json!({
                "stage": "word2vec",
                "options": options,
                "vectors_sha256": file,
                "titles": column(which),
                "fitted_on": fitted.then(|| column(Which::Gallery)),
            }))
        })?;
        let mut model = self.vectors.get(&space).cloned().filter(|_| fitted);
        let (own, gallery) = (self.side(which).clone(), self.side(Which::Gallery).clone());
        let (label, file) = (self.label(space, which), self.file(space, which));
        let learnt = &mut model;
        let kept = self.stage(("word2vec", &label), (&file, &key), rows, || {
            let mut told = Told {
                items: rows,
                ..Told::default()
            };
            let own = titles(&own, decode);
            let own: Vec<Option<&str>> = own.iter().map(|t| t.as_deref()).collect();
            if learnt.is_none() {
                let all = fitted.then(|| titles(&gallery, decode));
                let all: Option<Vec<Option<&str>>> = all
                    .as_ref()
                    .map(|all| all.iter().map(|t| t.as_deref()).collect());
                let fit = Word2Vec::fit(all.as_deref().unwrap_or(&own), options)?;
                if fit.words().is_empty() {
                    told.notes.push(format!(
                        "the titles give no evidence: word2vec knows none of their words \
                         (min_count is {})",
                        options.min_count
                    ));
                }
                *learnt = Some(Arc::new(fit));
            }
            match learnt.as_ref() {
                Some(model) => {
                    let made = model.rows(&own, options)?;
                    Ok((Made::Rows(Rows::Dense(made)), told))
                }
                None => Err(Error::internal("no word vectors were learnt")),
            }
        })?;
        if let Some(model) = model {
            self.vectors.insert(space, model);
        }
        self.heed(which, &kept.told);
        Ok(Data::Rows(Held::kept(kept)))
    }

    /// The colours of each listing's image.
    pub(super) fn colours(
        &mut self,
        space: usize,
        which: Which,
        clusters: usize,
        seed: u64,
    ) -> Result<Data> {
        let side = self.side(which).clone();
        let Some(folder) = side.images else {
            return Err(
                Error::input("a space of colours needs the folder of the images")
                    .mend("name it with --images DIR"),
            );
        };
        let folder = ImageFolder::open(folder)?;
        let items = &side.listings.items;
        let name = |l: &'_ Listing| !l.rejected;
        let names: Vec<Option<&str>> = items
            .iter()
            .map(|l| l.image.as_deref().filter(|_| name(l)))
            .collect();
        let key = self.key(|| {
            Ok(json!({
                "stage": "colours",
                "clusters": clusters,
                "seed": seed,
                "files": inputs::files(&folder, names.iter().copied()),
            }))
        })?;
        let count = names.iter().flatten().count();
        let (label, file) = (self.label(space, which), self.file(space, which));
        let kept = self.stage(("colours", &label), (&file, &key), count, || {
            let mut told = Told {
                items: count,
                ..Told::default()
            };
            let unique = Unique::of(&folder, &names);
            let of = |file: &crate::image::UniqueFile| -> Result<[f32; COLOUR_DIMS]> {
                let bytes = folder.read_resolved(&file.name, &file.file)?;
                let picture = decode_rgb(&bytes, false)?;
                Ok(descriptor(&palette(&picture, clusters, seed)))
            };
            let found: Vec<_> = unique.files.par_iter().map(of).collect();
            let mut rows = Matrix::zeros(items.len(), COLOUR_DIMS);
            for (number, (file, found)) in unique.files.iter().zip(found).enumerate() {
                match found {
                    Ok(values) => {
                        let same = file.rows.iter();
                        same.for_each(|&row| rows.row_mut(row).copy_from_slice(&values));
                    }
                    Err(error) => {
                        let errors = unique.errors(&folder, &names, number, &error);
                        let errors = errors.into_iter();
                        told.rejects
                            .extend(errors.map(|(row, e)| reject(&items[row], IMAGE, &e)));
                    }
                }
            }
            let unnamed = unique.failures.iter();
            told.rejects
                .extend(unnamed.map(|(row, e)| reject(&items[*row], IMAGE, e)));
            told.rejects.sort_by_key(|r| r.row);
            Ok((Made::Rows(Rows::Dense(rows)), told))
        })?;
        self.heed(which, &kept.told);
        Ok(Data::Rows(Held::kept(kept)))
    }
}
