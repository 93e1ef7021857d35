//! What a recipe does to the matches of its rule.

use super::super::after::GROUP;
use super::super::pairs::{self, PAIRS};
use super::Run;
use super::held::Held;
use crate::error::Result;
use crate::listings::Listing;
use crate::lists::Lists;
use crate::matching::Matches;

impl<'a> Run<'a> {
    /// The matches of the rule as the recipe's model of pairs sees them, where there is one; `evidence` are the
    /// neighbours in the spaces `used`.
    pub(super) fn judged(
        &mut self,
        matches: Matches,
        (used, evidence): (&[usize], Option<Vec<Held>>),
        names: &mut Vec<String>,
    ) -> Result<Matches> {
        let recipe = self.job.recipe;
        let (Some(rule), Some(evidence)) = (&recipe.after.pair_model, evidence) else {
            return Ok(matches);
        };
        let source = names.len() as u16;
        names.push(PAIRS.to_string());
        self.clock.begin();
        let lists = evidence.into_iter().map(Held::lists);
        let lists = lists.collect::<Result<Vec<Lists>>>()?;
        let how = (rule, source, recipe.matches);
        let judged = pairs::judge(self, (used, lists), &matches, how)?;
        self.clock.note("pairs", matches.len());
        Ok(judged)
    }

    /// The matches with all else that the recipe asks.
    pub(super) fn after(&mut self, matches: Matches, names: &mut Vec<String>) -> Result<Matches> {
        let (job, after) = (self.job, &self.job.recipe.after);
        if after.is_empty() {
            return Ok(matches);
        }
        let items = &job.side.listings.items;
        self.clock.run("group", items.len(), || match &job.against {
            Some(gallery) => Ok(after.without_conflicts(matches, items, &gallery.listings.items)),
            None => {
                let source = names.len() as u16;
                if after.groups.is_some() {
                    names.push(GROUP.to_string());
                }
                after.apply(matches, items, source, job.recipe.matches)
            }
        })
    }

    /// The listings that are matched.
    pub(in crate::recipe) fn listings(&self) -> &'a [Listing] {
        &self.job.side.listings.items
    }

    /// What a space is called.
    pub(in crate::recipe) fn name(&self, space: usize) -> &'a str {
        &self.job.recipe.spaces[space].name
    }
}
