//! Consistent groups: from pairs that match to sets of listings, in which all match one another.
//!
//! Neighbour rules answer row by row, so A may match B and C while B and C do not match. Here the pairs are
//! edges of a graph, weighted by their scores, and the graph is cut into groups:
//!
//! * [`Grouping::Components`]: connected components, and weak bridges of large ones cut by edge betweenness
//!   (the competition's second place);
//! * [`Grouping::Agglomerate`]: clusters merge, the best pair of clusters first, as long as their score passes
//!   a floor that falls with size (after the third place);
//! * [`Grouping::Attach`]: pairs in the order of their scores, with other floors for starting a group, for
//!   joining one and for merging two (the fifth place).
//!
//! All of it is sequential within a component and ordered by scores, then by rows, so the same edges give the
//! same groups.
//!
//! ```
//! use doppel::groups::{Edge, Grouping, group};
//!
//! let edge = |a, b, weight| Edge { a, b, weight };
//! let edges = [edge(0, 1, 0.9), edge(1, 2, 0.8), edge(3, 4, 0.2)];
//! let groups = group(5, &edges, &Grouping::ATTACH, 50)?;
//! // 2 joins the group of 0 and 1; 3 and 4 are not similar enough to start one.
//! assert_eq!(groups.of, [0, 0, 0, 3, 4]);
//! # Ok::<(), doppel::Error>(())
//! ```

mod agglomerate;
mod attach;
mod betweenness;
mod components;
mod options;

pub use betweenness::edge_betweenness;
pub use options::{Agglomerate, Answer, Attach, Cut, Grouping};

use std::collections::HashMap;

use crate::error::{Error, Result};
use crate::limits::MAX_ROWS;

/// A pair of rows that match, `a < b`, and how similar they are.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Edge {
    /// The lower row.
    pub a: u32,
    /// The higher row.
    pub b: u32,
    /// The score.
    pub weight: f64,
}

/// What became of the rows.
#[derive(Debug, Clone, PartialEq)]
pub struct Groups {
    /// Each row's group, by the lowest row that is in it.
    pub of: Vec<u32>,
    /// The edges that were left, within groups, in the order of their rows.
    pub edges: Vec<Edge>,
}

impl Groups {
    /// The rows of each group, in order; groups in the order of their lowest rows.
    pub fn members(&self) -> Vec<Vec<u32>> {
        let mut places: HashMap<u32, usize> = HashMap::new();
        let mut members: Vec<Vec<u32>> = Vec::new();
        for (row, &group) in self.of.iter().enumerate() {
            let place = *places.entry(group).or_insert_with(|| {
                members.push(Vec::new());
                members.len() - 1
            });
            members[place].push(row as u32);
        }
        members
    }
}

/// The undirected edges of directed pairs `(from, to, score)`, in the order of their rows; with `reciprocal`
/// those alone that go both ways. An edge has the higher of its two scores.
pub fn undirected(pairs: impl Iterator<Item = (u32, u32, f64)>, reciprocal: bool) -> Vec<Edge> {
    let pairs = pairs.filter(|(from, to, _)| from != to);
    let mut all: Vec<(u32, u32, bool, f64)> = pairs
        .map(|(from, to, score)| (from.min(to), from.max(to), from < to, score))
        .collect();
    all.sort_unstable_by(|x, y| {
        (x.0, x.1, x.2)
            .cmp(&(y.0, y.1, y.2))
            .then(y.3.total_cmp(&x.3))
    });
    let same = all.chunk_by(|x, y| (x.0, x.1) == (y.0, y.1));
    let both = |pair: &&[(u32, u32, bool, f64)]| {
        !reciprocal || pair.iter().any(|p| p.2) && pair.iter().any(|p| !p.2)
    };
    let edge = |pair: &[(u32, u32, bool, f64)]| Edge {
        a: pair[0].0,
        b: pair[0].1,
        weight: pair.iter().map(|p| p.3).fold(f64::NEG_INFINITY, f64::max),
    };
    same.filter(both).map(edge).collect()
}

/// Cuts the graph of `edges` over `rows` rows into groups of at most `most` rows; a group of
/// [`Answer::Neighbours`] may be larger, as its rows answer with their neighbours alone.
///
/// # Errors
/// What [`Grouping::check`] says; an edge that is not `a < b < rows` or has no finite weight, or stands behind
/// a later one; more than [`MAX_ROWS`] rows; `most` 0.
pub fn group(rows: usize, edges: &[Edge], how: &Grouping, most: usize) -> Result<Groups> {
    how.check()?;
    if rows > MAX_ROWS || most == 0 {
        let message = format!("{rows} rows in groups of at most {most}");
        return Err(Error::limit(message).op("groups"));
    }
    let good = |e: &Edge| e.a < e.b && (e.b as usize) < rows && e.weight.is_finite();
    if !edges.iter().all(good) || !edges.is_sorted_by(|x, y| (x.a, x.b) < (y.a, y.b)) {
        let error =
            Error::input("the edges are not pairs of rows in order, each once").op("groups");
        return Err(error.mend("make them with undirected"));
    }
    let (of, mut edges) = match how {
        Grouping::Components(cut) => components::run(rows, edges, cut, most),
        Grouping::Agglomerate(how) => (agglomerate::run(rows, edges, how, most), edges.to_vec()),
        Grouping::Attach(how) => (attach::run(rows, edges, how, most), edges.to_vec()),
    };
    edges.retain(|e| of[e.a as usize] == of[e.b as usize]);
    Ok(Groups { of, edges })
}

/// Sets of rows that grow together; a set is called by its lowest row.
struct Sets {
    parent: Vec<u32>,
    size: Vec<u32>,
}

impl Sets {
    fn new(rows: usize) -> Self {
        Sets {
            parent: (0..rows as u32).collect(),
            size: vec![1; rows],
        }
    }

    fn find(&mut self, row: u32) -> u32 {
        let mut root = row;
        while self.parent[root as usize] != root {
            root = self.parent[root as usize];
        }
        let mut at = row;
        while at != root {
            at = std::mem::replace(&mut self.parent[at as usize], root);
        }
        root
    }

    fn size(&self, root: u32) -> usize {
        self.size[root as usize] as usize
    }

    /// Makes two sets, by their lowest rows, one.
    fn join(&mut self, a: u32, b: u32) {
        let (low, high) = (a.min(b), a.max(b));
        if low != high {
            self.parent[high as usize] = low;
            self.size[low as usize] += self.size[high as usize];
        }
    }

    fn groups(mut self) -> Vec<u32> {
        (0..self.parent.len() as u32)
            .map(|row| self.find(row))
            .collect()
    }
}

/// The places of the edges, the highest weight first, then by rows.
fn strongest_first(edges: &[Edge]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..edges.len()).collect();
    order.sort_by(|&x, &y| edges[y].weight.total_cmp(&edges[x].weight));
    order
}

/// Sets that grow along the strongest edges first, as far as a set may have `most` rows.
fn grown(rows: usize, edges: &[Edge], most: usize) -> Sets {
    let mut sets = Sets::new(rows);
    for at in strongest_first(edges) {
        let (a, b) = (sets.find(edges[at].a), sets.find(edges[at].b));
        if a != b && sets.size(a) + sets.size(b) <= most {
            sets.join(a, b);
        }
    }
    sets
}

#[cfg(test)]
mod tests;
