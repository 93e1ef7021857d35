//! What is done to matches behind the fusion rule: options beyond the papers.

use super::pairs::PairRule;
use crate::error::{Error, Result};
use crate::groups::{self, Answer, Grouping};
use crate::listings::Listing;
use crate::matching::Matches;
use crate::text::units::Quantities;

/// What is done to the matches that the rule finds, in this order.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct After {
    /// Pairs are judged by a model.
    pub pair_model: Option<PairRule>,
    /// Pairs that conflict go.
    pub conflicts: Conflicts,
    /// Matches become consistent groups.
    pub groups: Option<Grouping>,
    /// `(size, share)`: which share of the listings has so many matches, itself included; see
    /// [`Matches::chisel`]. Nothing is cut where there are none.
    pub chisel: Vec<(usize, f64)>,
}

/// What makes two listings differ, whatever their vectors say.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Conflicts {
    /// Units and quantities of their titles: 200 g is not 500 g; see [`Quantities::conflicts`].
    pub units: bool,
}

/// The name of the evidence for pairs that are of one group, and that no rule matched.
pub const GROUP: &str = "group";

impl Conflicts {
    /// Whether nothing conflicts.
    pub fn is_empty(&self) -> bool {
        *self == Conflicts::default()
    }
}

impl After {
    /// Whether matches stay as the rule finds them.
    pub fn is_empty(&self) -> bool {
        *self == After::default()
    }

    /// Refuses what has no meaning against a gallery, whose listings are not answered.
    ///
    /// # Errors
    /// Groups, and sizes of groups.
    pub fn check_against_gallery(&self) -> Result<()> {
        let what = match self {
            _ if self.pair_model.is_some() => "a pair model has",
            _ if self.groups.is_some() => "groups have",
            _ if !self.chisel.is_empty() => "chisel has",
            _ => return Ok(()),
        };
        Err(Error::input(format!("{what} no meaning against a gallery"))
            .mend("leave it out of the recipe, or match all listings in one file"))
    }

    /// The matches of listings among one another after all that is asked but the model, at most `cap` a listing. Evidence
    /// that is a group's own has the number `source`.
    ///
    /// # Errors
    /// As [`groups::group`].
    pub fn apply(
        &self,
        matches: Matches,
        items: &[Listing],
        source: u16,
        cap: usize,
    ) -> Result<Matches> {
        let mut matches = self.without_conflicts(matches, items, items);
        if let Some(how) = &self.groups {
            matches = grouped(&matches, how, source, cap)?;
        }
        if !self.chisel.is_empty() {
            let sizes = matches.chisel(&self.chisel);
            matches = matches.cut_to(&sizes);
        }
        Ok(matches)
    }

    /// The matches without the pairs of a listing and another that conflict.
    pub fn without_conflicts(
        &self,
        matches: Matches,
        items: &[Listing],
        others: &[Listing],
    ) -> Matches {
        if !self.conflicts.units {
            return matches;
        }
        let own = quantities(items);
        let same = std::ptr::eq(items, others);
        let others = (!same).then(|| quantities(others));
        let others = others.as_ref().unwrap_or(&own);
        matches.keep_pairs(&|row, other| !own[row as usize].conflicts(&others[other as usize]))
    }
}

/// The quantities of listings' titles.
pub(super) fn quantities(items: &[Listing]) -> Vec<Quantities> {
    use rayon::prelude::*;
    let of = |l: &Listing| match l.title.as_deref().filter(|_| !l.rejected) {
        Some(title) => Quantities::of(title),
        None => Quantities::default(),
    };
    items.par_iter().map(of).collect()
}

/// Matches as groups.
fn grouped(matches: &Matches, how: &Grouping, source: u16, cap: usize) -> Result<Matches> {
    let rows = matches.len();
    let pairs = matches.iter().enumerate();
    let pairs = pairs.flat_map(|(i, row)| row.iter().map(move |m| (i as u32, m.row, m.score)));
    let edges = groups::undirected(pairs, how.reciprocal());
    let groups = groups::group(rows, &edges, how, cap)?;
    let mut wanted: Vec<Vec<u32>> = vec![Vec::new(); rows];
    match how.answer() {
        Answer::Neighbours => {
            for edge in &groups.edges {
                wanted[edge.a as usize].push(edge.b);
                wanted[edge.b as usize].push(edge.a);
            }
        }
        Answer::Group => {
            for members in groups.members().iter().filter(|m| m.len() > 1) {
                for &row in members {
                    let others = members.iter().copied().filter(|&other| other != row);
                    wanted[row as usize] = others.collect();
                }
            }
        }
    }
    // The weakest pair of each group, by the group's lowest row.
    let mut weakest = vec![f64::INFINITY; rows];
    for edge in &groups.edges {
        let least = &mut weakest[groups.of[edge.a as usize] as usize];
        *least = least.min(edge.weight);
    }
    let score = |row: u32| match weakest[groups.of[row as usize] as usize] {
        least if least.is_finite() => least,
        _ => 0.0,
    };
    Ok(matches.answering(&wanted, (source, &score), cap))
}
