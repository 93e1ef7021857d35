//! A space's steps, one after the other: each searches the rows as the step before left them.

use serde_json::json;

use super::super::after::quantities;
use super::super::spec::{Expansion, Step, Weight};
use super::super::work::Made;
use super::find::Search;
use super::held::Fresh;
use super::{Data, Held, Run, Which, inputs};
use crate::device::Mixing;
use crate::error::{Error, Result};
use crate::listings::Listing;
use crate::lists::{Lists, best_first};
use crate::refine::{self, Blend};
use crate::tensor::Rows;

impl Run<'_> {
    /// Runs the steps of `space`, whose own rows are there, on every side.
    ///
    /// Against a gallery, the gallery's rows are refined among themselves and the listings' by the
    /// gallery's rows as they were before the same step, under the same thresholds.
    pub(super) fn refine(&mut self, space: usize) -> Result<()> {
        let steps = &self.job.recipe.spaces[space].refine;
        for (at, step) in steps.iter().enumerate() {
            let before: Vec<(Which, Data)> = self
                .sides()
                .iter()
                .map(|&which| Ok((which, self.data_of(space, which)?)))
                .collect::<Result<_>>()?;
            let gallery = before.iter().find(|(which, _)| *which == Which::Gallery);
            let gallery = gallery.map(|(_, data)| data);
            for (which, data) in &before {
                let among = gallery.filter(|_| *which == Which::Queries);
                let after = self.step((space, at + 1, *which), step, data, among)?;
                self.data.insert((space, *which), after);
            }
        }
        Ok(())
    }

    /// One step of one side: `rows` by their neighbours among `gallery`, or among themselves.
    fn step(
        &mut self,
        (space, number, which): (usize, usize, Which),
        step: &Step,
        rows: &Data,
        gallery: Option<&Data>,
    ) -> Result<Data> {
        let file = format!("{}.{number}", self.file(space, which));
        let label = self.label(space, which);
        let near = self.near((space, number, which), step, rows, gallery)?;
        let (own, among) = (held(rows)?, gallery.map(held).transpose()?);
        let (name, settings) = match step {
            Step::Expand(e) => ("expand", json!({"k": e.k, "alpha": e.alpha})),
            Step::ExpandBy(Expansion {
                expand: e,
                weight,
                beside,
            }) => {
                let weight = format!("{weight:?}");
                let settings =
                    json!({"k": e.k, "alpha": e.alpha, "weight": weight, "beside": beside});
                ("expand", settings)
            }
            Step::Blend {
                blend, conflicts, ..
            } => {
                let mut settings = json!({"distance": blend.distance, "min2": blend.min2});
                if conflicts.units {
                    let sides = [Some(which), among.as_ref().map(|_| Which::Gallery)];
                    let sides = sides.into_iter().flatten().map(|w| self.titles_of(w));
                    settings["conflicts"] = json!({"units": sides.collect::<Vec<String>>()});
                }
                ("blend", settings)
            }
        };
        let key = self.key(|| {
            Ok(json!({
                "stage": name,
                "settings": settings,
                "of": own.digest(),
                "against": among.as_ref().map(|h| h.digest()),
                "neighbours": near.digest(),
            }))
        })?;
        let items = self.side(which).listings.items.len();
        let keeper = self.keeper.clone();
        let items_own = self.side(which).listings;
        let items_among = gallery.map(|_| self.side(Which::Gallery).listings);
        let done = self.stage_held((name, &label), (&file, &key), items, || {
            let how = match step {
                Step::Expand(e) => e.check().map(|()| Mixing::from(e))?,
                Step::ExpandBy(by) => by.expand.check().map(|()| Mixing::from(&by.expand))?,
                Step::Blend { blend, .. } => blend.check().map(|()| Mixing::from(blend))?,
            };
            if plain(step)
                && let Some(keeper) = keeper.as_deref()
                && let Some(rows) = keeper.mix(&own, among.as_ref(), &near, &how)?
            {
                return Ok(rows);
            }
            let (mut near, own) = (near.clone().lists()?, own.rows()?);
            let among = among.as_ref().map(Held::rows).transpose()?;
            match step {
                Step::Blend { conflicts, .. } if conflicts.units => {
                    near = apart(&near, &items_own.items, items_among.map(|l| &l.items[..]));
                }
                Step::ExpandBy(by) if by.weight == Weight::OnePlus => near = one_plus(&near),
                _ => {}
            }
            let rows = match (step, among.as_deref()) {
                (Step::Expand(e), None) => refine::expand(&own, &near, e)?,
                (Step::Expand(e), Some(among)) => refine::expand_against(&own, among, &near, e)?,
                (Step::ExpandBy(by), None) => {
                    beside(by, &own, refine::expand(&own, &near, &by.expand)?)?
                }
                (Step::ExpandBy(by), Some(among)) => {
                    let made = refine::expand_against(&own, among, &near, &by.expand)?;
                    beside(by, &own, made)?
                }
                (Step::Blend { blend, .. }, None) => refine::blend(&own, &near, blend)?,
                (Step::Blend { blend, .. }, Some(among)) => {
                    refine::blend_against(&own, among, &near, blend)?
                }
            };
            Ok(Fresh::Host(Made::Rows(rows)))
        })?;
        Ok(Data::Rows(done))
    }

    /// What stands for a side's titles in a key.
    fn titles_of(&self, which: Which) -> String {
        let items = self.side(which).listings.items.iter();
        inputs::column(items.map(|l| l.title.as_deref().filter(|_| !l.rejected)))
    }

    /// The neighbours that a step averages.
    fn near(
        &mut self,
        (space, number, which): (usize, usize, Which),
        step: &Step,
        rows: &Data,
        gallery: Option<&Data>,
    ) -> Result<Held> {
        let recipe = self.job.recipe;
        let (k, below, by) = match step {
            Step::Expand(e) => (e.k, f64::INFINITY, None),
            Step::ExpandBy(by) => (by.expand.k, f64::INFINITY, None),
            Step::Blend { blend, by, .. } => (recipe.neighbours, loosest(blend), *by),
        };
        let search = Search {
            label: self.label(space, which),
            file: format!("{}.{number}.nn", self.file(space, which)),
            k,
            below: Some(below),
        };
        match by {
            None => self.search(rows, gallery, &search),
            Some(other) => {
                let rows = self.data_of(other, which)?;
                let gallery = match gallery {
                    Some(_) => Some(self.data_of(other, Which::Gallery)?),
                    None => None,
                };
                self.search(&rows, gallery.as_ref(), &search)
            }
        }
    }
}

/// Whether a card has the step whole; else the host runs it.
fn plain(step: &Step) -> bool {
    match step {
        Step::Expand(_) => true,
        Step::ExpandBy(_) => false,
        Step::Blend { conflicts, .. } => conflicts.is_empty(),
    }
}

/// Expanded rows, beside the rows as they were where that is asked for.
fn beside(by: &Expansion, own: &Rows, made: Rows) -> Result<Rows> {
    match by.beside {
        true => refine::concat(&[(own, 1.0), (&made, 1.0)]),
        false => Ok(made),
    }
}

/// The neighbours of listings without those whose titles conflict with theirs in units and quantities; they
/// are `others`, or listings among themselves.
fn apart(near: &Lists, items: &[Listing], others: Option<&[Listing]>) -> Lists {
    let own = quantities(items);
    let others = others.map(quantities);
    let others = others.as_ref().unwrap_or(&own);
    let rows = near.iter().zip(&own).map(|(list, own)| {
        let agrees = |&(j, _): &(u32, f64)| !own.conflicts(&others[j as usize]);
        list.iter().filter(agrees).collect::<Vec<_>>()
    });
    Lists::from_rows(rows)
}

/// Neighbours with `(1 + s) / 2` in the place of each similarity `s`: powers of it weigh as those of `1 + s`.
fn one_plus(near: &Lists) -> Lists {
    Lists::from_rows(near.iter().map(|list| {
        let shifted = list.iter().map(|(row, score)| (row, (1.0 + score) / 2.0));
        let mut shifted: Vec<(u32, f64)> = shifted.collect();
        // Scores that differed by a rounding may be equal now.
        shifted.sort_by(best_first);
        shifted
    }))
}

/// The farthest that a blend looks.
fn loosest(blend: &Blend) -> f64 {
    blend.min2.unwrap_or(blend.distance).max(blend.distance)
}

fn held(data: &Data) -> Result<Held> {
    match data {
        Data::Rows(held) => Ok(held.clone()),
        _ => Err(Error::internal("a space without rows is refined")),
    }
}
