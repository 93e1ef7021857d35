//! A space's rows as their source has them.

use std::sync::Arc;

use serde_json::json;

use super::super::embed::{ImageWork, embed_images_into};
use super::super::hashes::hash_images;
use super::super::job::{Given, Side};
use super::super::spec::Of as Source;
use super::super::stages::Of;
use super::super::titles::{TitleWork, embed_titles_into};
use super::super::work::{Kept, Made, Told};
use super::held::Fresh;
use super::{Data, Held, Run, Which, inputs};
use crate::embed::store;
use crate::error::{Error, Kind, Result};
use crate::image::ImageFolder;
use crate::listings::Listing;
use crate::tensor::{Csr, Rows};
use crate::text::clean::{CleanStep, clean, decode_escapes};
use crate::text::tfidf::{Tfidf, TfidfOptions};

impl Run<'_> {
    /// Makes the rows of `space`, and of all that it is made of, on every side; they are there once.
    ///
    /// # Errors
    /// As [`run`](super::run).
    pub fn gather(&mut self, space: usize) -> Result<()> {
        if self.data.contains_key(&(space, Which::Queries)) {
            return Ok(());
        }
        for other in self.made_of(space) {
            self.gather(other)?;
        }
        for &which in self.sides() {
            let data = match self.base.get(&(self.like(space), which)) {
                Some(data) => data.clone(),
                None => self.base(self.like(space), which)?,
            };
            self.base.insert((self.like(space), which), data.clone());
            let data = match (self.job.recipe.spaces[space].euclidean, data) {
                (Some(scale), Data::Rows(held)) => Data::Euclidean(held, scale),
                (_, data) => data,
            };
            self.data.insert((space, which), data);
        }
        self.refine(space)
    }

    /// The first space whose rows have the same source, so that none is made twice.
    pub(super) fn like(&self, space: usize) -> usize {
        let spaces = &self.job.recipe.spaces;
        let given = |space: usize| self.sides().iter().any(|&w| self.given(space, w).is_some());
        let made = matches!(
            spaces[space].of,
            Source::Phash
                | Source::Tfidf { .. }
                | Source::Word2Vec { .. }
                | Source::Colours { .. }
                | Source::Image { .. }
                | Source::Text { .. }
        );
        if !made || given(space) {
            return space;
        }
        let source = |space: usize| {
            let it = &spaces[space];
            (&it.of, &it.clean, it.euclidean.is_some())
        };
        let same = |&other: &usize| source(other) == source(space) && !given(other);
        (0..space).find(same).unwrap_or(space)
    }

    /// The spaces that `space` is made of.
    pub(super) fn made_of(&self, space: usize) -> Vec<usize> {
        use super::super::spec::Step;
        let it = &self.job.recipe.spaces[space];
        let given = self.sides().iter().all(|&w| self.given(space, w).is_some());
        let mut of: Vec<usize> = match &it.of {
            Source::Concat(parts) if !given => parts.iter().map(|p| p.0).collect(),
            Source::Fused { spaces, .. } => spaces.iter().map(|p| p.0).collect(),
            Source::Ranked(of) => vec![*of],
            Source::Pair { spaces, .. } => spaces.clone(),
            _ => Vec::new(),
        };
        let by = it.refine.iter().filter_map(|step| match step {
            Step::Blend { by, .. } => *by,
            Step::Expand(_) | Step::ExpandBy(_) => None,
        });
        of.extend(by);
        of
    }

    /// The rows that this side was given for a space.
    pub(super) fn given(&self, space: usize, which: Which) -> Option<&Given> {
        let name = &self.job.recipe.spaces[space].name;
        let mut given = self.side(which).given.iter();
        given.find(|(n, _)| n == name).map(|(_, rows)| rows)
    }

    /// The final rows of a space.
    pub(super) fn held(&self, space: usize, which: Which) -> Result<Held> {
        match self.data.get(&(space, which)) {
            Some(Data::Rows(held)) => Ok(held.clone()),
            _ => Err(Error::internal("a space has no rows to be made of")),
        }
    }

    /// A space's rows before its steps.
    fn base(&mut self, space: usize, which: Which) -> Result<Data> {
        let recipe = self.job.recipe;
        let it = &recipe.spaces[space];
        if let Some(given) = self.given(space, which) {
            if matches!(it.of, Source::Phash) || it.of.is_scores() {
                let message = format!("the space {} has no rows that could be given", it.name);
                return Err(Error::input(message).mend("leave it out of --embeddings"));
            }
            let given = given.clone();
            return self.checked(space, which, given).map(Data::Rows);
        }
        match &it.of {
            Source::Phash => self.hashes(space, which).map(Data::Hashes),
            Source::Tfidf {
                options,
                decode_escapes,
            } => self.words(space, which, options, *decode_escapes),
            Source::Word2Vec {
                options,
                decode_escapes,
            } => self.word_vectors(space, which, options, *decode_escapes),
            Source::Colours { clusters, seed } => self.colours(space, which, *clusters, *seed),
            Source::Image { encoder, batch } => self.images(space, which, encoder, *batch),
            Source::Text { decode_escapes, .. } => self.titles(space, which, *decode_escapes),
            Source::File(path) if self.job.against.is_none() || which == Which::Gallery => {
                let file = Given::File(path.clone());
                self.checked(space, which, file).map(Data::Rows)
            }
            Source::File(_) | Source::Given => Err(Error::input(format!(
                "no rows were given for {}",
                self.label(space, which)
            ))
            .mend(match which {
                Which::Queries => format!("give --embeddings {}=FILE", it.name),
                Which::Gallery => format!("give --against-embeddings {}=FILE", it.name),
            })),
            Source::Concat(parts) => self.concat(space, which, parts),
            Source::Ranked(of) => Ok(Data::Ranked(Box::new(self.data_of(*of, which)?))),
            Source::Fused { spaces, by } => {
                let held = spaces.iter().map(|&(s, w)| Ok((self.held(s, which)?, w)));
                Ok(Data::Fused(held.collect::<Result<_>>()?, *by))
            }
            Source::Pair { spaces, classifier } => self.pairs(which, spaces, classifier),
        }
    }

    /// Given rows, if there is one a listing.
    fn checked(&self, space: usize, which: Which, given: Given) -> Result<Held> {
        let wanted = self.side(which).listings.items.len();
        let wrong = |rows: usize| {
            let message = format!(
                "has {rows} rows, and there are {wanted} listings ({})",
                self.label(space, which)
            );
            Error::input(message)
                .mend("give one row for each data row of the CSV, rejected ones too")
        };
        match given {
            Given::Rows(rows) if rows.rows() == wanted => Ok(Held::shared(rows)),
            Given::Rows(rows) => Err(wrong(rows.rows())),
            Given::File(path) => {
                let manifest = match store::check(&path)? {
                    Some(manifest) => manifest,
                    None => store::Manifest::of(&path, serde_json::Value::Null)?,
                };
                match manifest.rows as usize == wanted {
                    true => Ok(Held::file(path, manifest.sha256)),
                    false => Err(wrong(manifest.rows as usize).path(path)),
                }
            }
        }
    }

    fn concat(&mut self, space: usize, which: Which, parts: &[(usize, f64)]) -> Result<Data> {
        let held = parts.iter().map(|&(s, w)| Ok((self.held(s, which)?, w)));
        let held: Vec<(Held, f64)> = held.collect::<Result<_>>()?;
        let key = self.key(|| {
            let of: Vec<_> = held.iter().map(|(h, w)| json!([h.digest(), w])).collect();
            Ok(json!({"stage": "concat", "of": of}))
        })?;
        let items = self.side(which).listings.items.len();
        let (label, file) = (self.label(space, which), self.file(space, which));
        let keeper = self.keeper.clone();
        let joined = self.stage_held(("concat", &label), (&file, &key), items, || {
            if let Some(keeper) = keeper.as_deref()
                && let Some(rows) = keeper.concat(&held)?
            {
                return Ok(rows);
            }
            let rows = held.iter().map(|(h, w)| Ok((h.rows()?, *w)));
            let rows: Vec<(Arc<Rows>, f64)> = rows.collect::<Result<_>>()?;
            let parts: Vec<(&Rows, f64)> = rows.iter().map(|(r, w)| (&**r, *w)).collect();
            Ok(Fresh::Host(Made::Rows(crate::refine::concat(&parts)?)))
        })?;
        Ok(Data::Rows(joined))
    }

    /// Each row's hash: from its cell, else from its image.
    fn hashes(&mut self, space: usize, which: Which) -> Result<Kept> {
        let side = self.side(which).clone();
        let items = &side.listings.items;
        let known = |l: &Listing| if l.rejected { None } else { l.phash };
        let folder = side.images.map(ImageFolder::open).transpose()?;
        let wants = |l: &Listing| !l.rejected && l.phash.is_none() && folder.is_some();
        let wanted: Vec<Option<&str>> = items
            .iter()
            .map(|l| l.image.as_deref().filter(|_| wants(l)))
            .collect();
        let key = self.key(|| {
            let cells: Vec<Option<String>> = items
                .iter()
                .map(|l| known(l).map(|h| format!("{h:016x}")))
                .collect();
            Ok(json!({
                "stage": "phash",
                "hashes": inputs::column(cells.iter().map(|c| c.as_deref())),
                "files": folder.as_ref().map(|f| inputs::files(f, wanted.iter().copied())),
            }))
        })?;
        let count = wanted.iter().flatten().count();
        let (label, file) = (self.label(space, which), self.file(space, which));
        let (watch, work) = (self.watch, self.job.work);
        let kept = self.stage(("phash", &label), (&file, &key), count, || {
            let mut told = Told {
                items: count,
                ..Told::default()
            };
            let Some(folder) = &folder else {
                if items.iter().any(|l| l.image.is_some()) {
                    let note = "the image column is ignored: no --images folder was given";
                    told.notes.push(note.into());
                }
                return Ok((Made::Hashes(items.iter().map(known).collect()), told));
            };
            let mut growing = work.begin_hashes(&file, &key, items.len())?;
            told.rejects = hash_images(items, (folder, &wanted), &mut growing, watch)?;
            let mut hashes = growing.hashes;
            for (hash, item) in hashes.iter_mut().zip(items) {
                *hash = known(item).or(*hash);
            }
            Ok((Made::Hashes(hashes), told))
        })?;
        self.heed(which, &kept.told);
        Ok(kept)
    }

    /// The titles' TF-IDF rows; rows of zeros where there is no title or nothing is left of it. Against a
    /// gallery the terms and their weights are the gallery's, so that a listing's answer does not depend
    /// on the other listings.
    fn words(
        &mut self,
        space: usize,
        which: Which,
        options: &TfidfOptions,
        decode: bool,
    ) -> Result<Data> {
        let rows = self.side(which).listings.items.len();
        let decode = (decode, &self.job.recipe.spaces[space].clean[..]);
        let key = self.key(|| {
            let column = |which| {
                let titles = titles(self.side(which), decode);
                inputs::column(titles.iter().map(|t| t.as_deref()))
            };
            let fitted = self.job.against.is_some() && which == Which::Queries;
            Ok(json!({
                "stage": "tfidf",
                "options": options,
                "titles": column(which),
                "fitted_on": fitted.then(|| column(Which::Gallery)),
            }))
        })?;
        let against = self.job.against.is_some();
        let mut model = self.words.get(&space).cloned();
        let (own, gallery) = (self.side(which).clone(), self.side(Which::Gallery).clone());
        let (label, file) = (self.label(space, which), self.file(space, which));
        let fitted = &mut model;
        let kept = self.stage(("tfidf", &label), (&file, &key), rows, || {
            let mut told = Told {
                items: rows,
                ..Told::default()
            };
            let own = titles(&own, decode);
            let own: Vec<Option<&str>> = own.iter().map(|t| t.as_deref()).collect();
            let made = match against && which == Which::Queries {
                false => {
                    let (learnt, matrix) = learn(&own, options, &mut told)?;
                    *fitted = Some(Arc::new(learnt));
                    matrix
                }
                true => {
                    if fitted.is_none() {
                        let gallery = titles(&gallery, decode);
                        let all: Vec<Option<&str>> = gallery.iter().map(|t| t.as_deref()).collect();
                        let (learnt, _) = learn(&all, options, &mut Told::default())?;
                        *fitted = Some(Arc::new(learnt));
                    }
                    match fitted.as_ref() {
                        Some(model) => model.transform(&own)?,
                        None => return Err(Error::internal("no vocabulary was learnt")),
                    }
                }
            };
            Ok((Made::Rows(Rows::Sparse(made)), told))
        })?;
        if let Some(model) = model {
            self.words.insert(space, model);
        }
        self.heed(which, &kept.told);
        Ok(Data::Rows(Held::kept(kept)))
    }

    fn images(
        &mut self,
        space: usize,
        which: Which,
        _spec: &super::super::EncoderSpec,
        batch: Option<usize>,
    ) -> Result<Data> {
        let planned = self.planned(space, which)?;
        let (label, file) = (self.label(space, which), self.file(space, which));
        if let Some(kept) = planned.found {
            self.clock.begin();
            self.clock.reused("embed", Some(&label), kept.told.items);
            return Ok(self.encoded(which, kept));
        }
        let side = self.side(which).clone();
        let Some(folder) = side.images else {
            return Err(super::encoders::no_folder());
        };
        let folder = ImageFolder::open(folder)?;
        self.make_room()?;
        let open = self.image_encoder(space)?;
        let work = ImageWork {
            encoder: &open.encoder,
            prepare: open.prepare,
            orient: open.orient,
            raw: self.job.recipe.spaces[space].euclidean.is_some(),
            ceiling: f32::MAX,
            batch,
        };
        let (rows, dims) = (side.listings.items.len(), open.encoder.dims());
        self.clock.begin();
        let mut growing = self.job.work.begin_rows(&file, &planned.key, rows, dims)?;
        let watch = Of {
            watch: self.watch,
            space: &label,
        };
        let embedded = embed_images_into(side.listings, &folder, &work, &mut growing, &watch)?;
        embedded.flow.note.into_iter().for_each(|n| self.note(n));
        let told = Told {
            items: embedded.images,
            rejects: embedded.rejects,
            notes: Vec::new(),
        };
        let kept = growing.finish(told)?;
        self.clock.note_of("embed", Some(&label), embedded.images);
        self.done_with(space, open, which);
        Ok(self.encoded(which, kept))
    }

    fn titles(&mut self, space: usize, which: Which, decode_escapes: bool) -> Result<Data> {
        let planned = self.planned(space, which)?;
        let (label, file) = (self.label(space, which), self.file(space, which));
        if let Some(kept) = planned.found {
            self.clock.begin();
            self.clock.reused("titles", Some(&label), kept.told.items);
            return Ok(self.encoded(which, kept));
        }
        let side = self.side(which).clone();
        self.make_room()?;
        let open = self.title_encoder(space)?;
        let work = TitleWork {
            decode_escapes,
            raw: self.job.recipe.spaces[space].euclidean.is_some(),
            clean: &self.job.recipe.spaces[space].clean,
            ..TitleWork::new(&open)
        };
        let (rows, dims) = (side.listings.items.len(), open.encoder.dims());
        self.clock.begin();
        let mut growing = self.job.work.begin_rows(&file, &planned.key, rows, dims)?;
        let watch = Of {
            watch: self.watch,
            space: &label,
        };
        let embedded = embed_titles_into(side.listings, &work, &mut growing, &watch)?;
        embedded.flow.note.into_iter().for_each(|n| self.note(n));
        let told = Told {
            items: embedded.titles,
            rejects: embedded.rejects,
            notes: Vec::new(),
        };
        let kept = growing.finish(told)?;
        self.clock.note_of("titles", Some(&label), embedded.titles);
        self.done_with_titles(space, open, which);
        Ok(self.encoded(which, kept))
    }

    /// Frees the card's memory for an encoder, where that is little.
    fn make_room(&self) -> Result<()> {
        self.keeper
            .as_ref()
            .map_or(Ok(()), |keeper| keeper.make_room())
    }

    /// What an encoder made, now or in an earlier run.
    fn encoded(&mut self, which: Which, kept: Kept) -> Data {
        self.heed(which, &kept.told);
        Data::Rows(Held::kept(kept))
    }
}

/// A side's titles as they are read, of listings that were not rejected: whether escapes are decoded, and how
/// titles are cleaned.
pub(super) fn titles<'a>(
    side: &Side<'a>,
    (decode, steps): (bool, &[CleanStep]),
) -> Vec<Option<std::borrow::Cow<'a, str>>> {
    use std::borrow::Cow;
    let title = |l: &'a Listing| {
        let title = l.title.as_deref().filter(|_| !l.rejected)?;
        let title = match decode {
            true => Cow::Owned(decode_escapes(title)),
            false => Cow::Borrowed(title),
        };
        Some(match steps.is_empty() {
            true => title,
            false => Cow::Owned(clean(&title, steps).into_owned()),
        })
    };
    side.listings.items.iter().map(title).collect()
}

/// A vocabulary and its rows; one of no terms, and a note, where the titles hold none.
fn learn(titles: &[Option<&str>], options: &TfidfOptions, told: &mut Told) -> Result<(Tfidf, Csr)> {
    match Tfidf::fit_transform(titles, options) {
        Err(error) if error.kind() == Kind::Input => {
            options.validate()?;
            told.notes
                .push(format!("the titles give no evidence: {error}"));
            Tfidf::fit_transform_or_empty(titles, options)
        }
        done => done,
    }
}
