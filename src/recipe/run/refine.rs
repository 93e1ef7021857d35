//! A space's steps, one after the other: each searches the rows as the step before left them.

use serde_json::json;

use super::super::spec::Step;
use super::super::work::Made;
use super::find::Search;
use super::held::Fresh;
use super::{Data, Held, Run, Which};
use crate::device::Mixing;
use crate::error::{Error, Result};
use crate::refine::{self, Blend};

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
            Step::Blend { blend, .. } => (
                "blend",
                json!({"distance": blend.distance, "min2": blend.min2}),
            ),
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
        let done = self.stage_held((name, &label), (&file, &key), items, || {
            let how = match step {
                Step::Expand(e) => e.check().map(|()| Mixing::from(e))?,
                Step::Blend { blend, .. } => blend.check().map(|()| Mixing::from(blend))?,
            };
            if let Some(keeper) = keeper.as_deref()
                && let Some(rows) = keeper.mix(&own, among.as_ref(), &near, &how)?
            {
                return Ok(rows);
            }
            let (near, own) = (near.clone().lists()?, own.rows()?);
            let among = among.as_ref().map(Held::rows).transpose()?;
            let rows = match (step, among.as_deref()) {
                (Step::Expand(e), None) => refine::expand(&own, &near, e)?,
                (Step::Expand(e), Some(among)) => refine::expand_against(&own, among, &near, e)?,
                (Step::Blend { blend, .. }, None) => refine::blend(&own, &near, blend)?,
                (Step::Blend { blend, .. }, Some(among)) => {
                    refine::blend_against(&own, among, &near, blend)?
                }
            };
            Ok(Fresh::Host(Made::Rows(rows)))
        })?;
        Ok(Data::Rows(done))
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
            Step::Blend { blend, by } => (recipe.neighbours, loosest(blend), *by),
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
