//! The rule over the neighbours of all spaces.

use super::super::job::{Outcome, Side};
use super::super::program::program;
use super::super::sweep::{OnCard, firings};
use super::held::{Held, Keeper, with_room};
use super::{Evidence, Run, Which};
use crate::device::{CardLists, Stream};
use crate::error::{Kind, Result};
use crate::limits::{MAX_MATCHES, MAX_ROWS};
use crate::matching::{self, Matches, Rule, Source, Sweeper, Unable};

/// Who takes no part: of the listings, and of the gallery where that is another.
struct Marked {
    queries: Vec<bool>,
    gallery: Option<Vec<bool>>,
}

impl Run<'_> {
    /// The rule over the neighbours, and all that there is to say.
    pub(super) fn finish(
        mut self,
        used: &[usize],
        found: Vec<Held>,
        rule: &Rule,
        told: Option<(&mut Evidence, Vec<(usize, Source)>)>,
    ) -> Result<Outcome> {
        let job = self.job;
        let shown = told.is_some().then(|| found.clone());
        let names = used.iter().map(|&s| job.recipe.spaces[s].name.clone());
        let mut names: Vec<String> = names.collect();
        let rows = job.side.listings.items.len();
        let keeper = self.keeper.clone();
        let evidence = job.recipe.after.pair_model.as_ref().map(|_| found.clone());
        let matches = self.clock.run("match", rows, || {
            let marked = Marked {
                queries: unable(&job.side),
                gallery: job.against.as_ref().map(unable),
            };
            let cap = job.recipe.matches;
            if let Some(keeper) = keeper.as_deref() {
                let fired = || fire(keeper, &found, rule, &marked, cap);
                if let Some(matches) = with_room(Some(keeper), fired)? {
                    return Ok(matches);
                }
            }
            let named = names.iter().zip(found);
            let sources = named.map(|(name, held)| Ok(Source::new(name.as_str(), held.lists()?)));
            let sources = sources.collect::<Result<Vec<_>>>()?;
            let card = OnCard(&*job.device);
            let sweeper = job.device.info().is_card().then_some(&card as &dyn Sweeper);
            let queries = &marked.queries;
            match &marked.gallery {
                None => matching::resolve_with(&sources, rule, rows, Some(queries), cap, sweeper),
                Some(gallery) => {
                    let both = Unable { queries, gallery };
                    matching::resolve_against(&sources, rule, both, cap, sweeper)
                }
            }
        })?;
        let matches = self.judged(matches, (used, evidence), &mut names)?;
        let matches = self.after(matches, &mut names)?;
        if let (Some((told, wider)), Some(found)) = (told, shown) {
            let named = names.iter().zip(found);
            let sources = named.map(|(name, held)| Ok(Source::new(name.as_str(), held.lists()?)));
            let mut sources = sources.collect::<Result<Vec<_>>>()?;
            wider
                .into_iter()
                .for_each(|(place, source)| sources[place] = source);
            told.tell(&self, used, &matches, sources, rule)?;
        }
        Ok(Outcome {
            matches,
            sources: names,
            ledger: self.ledgers.remove(&Which::Queries).unwrap_or_default(),
            gallery_ledger: self.ledgers.remove(&Which::Gallery).unwrap_or_default(),
            stages: self.clock.stages,
            notes: self.notes,
        })
    }
}

/// The rows that take no part.
pub(in crate::recipe) fn unable(side: &Side<'_>) -> Vec<bool> {
    let items = side.listings.items.iter();
    items.map(|l| l.rejected || !l.usable()).collect()
}

/// The rule over lists that stay on the card, which our own searches made: they are sound. None where it
/// does not run there, or where there is an error to tell that the host tells.
fn fire(
    keeper: &Keeper,
    found: &[Held],
    rule: &Rule,
    marked: &Marked,
    cap: usize,
) -> Result<Option<Matches>> {
    let rows = marked.queries.len();
    let all = rows + marked.gallery.as_ref().map_or(0, Vec::len);
    // A space that is matched by equality is searched for equal rows alone, or else it is wrong.
    let mixed = |at: usize| {
        let reach = rule.reach(at);
        reach.is_some_and(|reach| reach.equal && reach.below.is_some())
    };
    let known = (1..=MAX_MATCHES).contains(&cap) && all <= MAX_ROWS;
    if !known || (0..found.len()).any(mixed) {
        return Ok(None);
    }
    let lists = found.iter().map(|held| keeper.lists(held));
    let lists = lists.collect::<Result<Vec<CardLists>>>()?;
    if lists.iter().any(|lists| lists.len() != rows) {
        return Ok(None);
    }
    let sources: Vec<&CardLists> = lists.iter().collect();
    let (card, program, queries) = (
        keeper.fusion()?,
        program(rule, found.len())?,
        &marked.queries,
    );
    let fired = match &marked.gallery {
        None => card.fire(&program, &sources, Some(queries), cap, Stream::DEFAULT),
        Some(gallery) => {
            let both = [&queries[..], &gallery[..]];
            card.fire_against(&program, &sources, both, cap, Stream::DEFAULT)
        }
    };
    match fired {
        Err(e) if e.kind() == Kind::Unsupported => Ok(None),
        fired => {
            let fired = fired?;
            let itself = marked.gallery.is_none();
            Ok(Some(Matches::of_fired(firings(&fired), itself)))
        }
    }
}
