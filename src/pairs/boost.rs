//! Gradient boosting: trees, one after the other, each fitted to what those before leave.

use serde::{Deserialize, Serialize};

use super::Table;
use super::grow::{Bins, grow};
use crate::error::{Error, Result};
use crate::limits::{MAX_PAIR_FEATURES, MAX_TREE_NODES, MAX_TREES};

/// How trees are fitted.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BoostOptions {
    /// How many trees.
    pub trees: usize,
    /// How many questions a tree asks of a row at most.
    pub depth: usize,
    /// The share of each tree's answer that counts.
    pub rate: f64,
    /// What is added to the second derivatives of a leaf: larger makes smaller answers.
    pub lambda: f64,
    /// The least sum of second derivatives of a leaf.
    pub least: f64,
    /// How many values a feature is told apart in, at most 256.
    pub bins: usize,
}

impl Default for BoostOptions {
    fn default() -> Self {
        BoostOptions {
            trees: 120,
            depth: 4,
            rate: 0.1,
            lambda: 1.0,
            least: 2.0,
            bins: 64,
        }
    }
}

/// A sum of trees: the log odds that a row is positive.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Boosted {
    /// The log odds before any tree.
    pub(super) base: f32,
    pub(super) trees: Vec<Vec<Node>>,
}

/// A question, or an answer where both ways are 0; the first node of a tree is its root.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(super) struct Node {
    /// The column that is asked for.
    pub feature: u32,
    /// Rows whose value is above this go to `right`, the others to `left`.
    pub above: f32,
    /// Places in the tree, behind the node's own.
    pub left: u32,
    pub right: u32,
    /// The answer.
    pub value: f32,
}

impl Boosted {
    /// Trees for rows that are positive or not.
    ///
    /// # Errors
    /// Another number of answers than rows; rows of one kind alone; options out of bounds.
    pub fn fit(rows: &Table, positive: &[bool], o: &BoostOptions) -> Result<Boosted> {
        if positive.len() != rows.rows() {
            return Err(Error::shape(
                "pair model",
                &[positive.len()],
                &[rows.rows()],
            ));
        }
        let count = positive.iter().filter(|p| **p).count();
        if count == 0 || count == positive.len() {
            let error = Error::input(format!(
                "{count} of {} pairs are of one group",
                positive.len()
            ));
            return Err(error
                .op("pair model")
                .mend("give candidates of both kinds: a looser rule, say"));
        }
        let sound = (1..=MAX_TREES).contains(&o.trees)
            && (1..=12).contains(&o.depth)
            && (2..=256).contains(&o.bins)
            && [o.rate, o.lambda, o.least]
                .iter()
                .all(|x| x.is_finite() && *x >= 0.0);
        if !sound || rows.columns() > MAX_PAIR_FEATURES {
            return Err(
                Error::limit(format!("{o:?} over {} features", rows.columns())).op("pair model"),
            );
        }
        let share = count as f64 / positive.len() as f64;
        let base = (share / (1.0 - share)).ln() as f32;
        let bins = Bins::of(rows, o.bins);
        let mut odds = vec![f64::from(base); positive.len()];
        let mut trees = Vec::with_capacity(o.trees);
        let mut slopes = vec![(0.0, 0.0); positive.len()];
        for _ in 0..o.trees {
            for ((slope, &odds), &positive) in slopes.iter_mut().zip(&odds).zip(positive) {
                let p = probability(odds);
                *slope = (p - f64::from(u8::from(positive)), p * (1.0 - p));
            }
            let (tree, leaf) = grow(&bins, &slopes, o);
            for (odds, &leaf) in odds.iter_mut().zip(&leaf) {
                *odds += f64::from(tree[leaf as usize].value);
            }
            trees.push(tree);
        }
        Ok(Boosted { base, trees })
    }

    /// The probability that a row is positive. The row has as many values as the rows that the trees were
    /// fitted on.
    pub fn probability(&self, row: &[f32]) -> f64 {
        let answer = |tree: &Vec<Node>| {
            let mut node = tree[0];
            while node.left != 0 {
                let right = row[node.feature as usize] > node.above;
                node = tree[if right { node.right } else { node.left } as usize];
            }
            f64::from(node.value)
        };
        probability(f64::from(self.base) + self.trees.iter().map(answer).sum::<f64>())
    }

    /// Checks trees that were read: every way leads on and ends, every column is there.
    pub(super) fn check(&self, columns: usize) -> Result<()> {
        let wrong = |what: String| {
            Err(Error::input(what)
                .op("pair model")
                .mend("train the model anew"))
        };
        if self.trees.len() > MAX_TREES || !self.base.is_finite() {
            return wrong(format!(
                "it has {} trees and the base {}",
                self.trees.len(),
                self.base
            ));
        }
        for (number, tree) in self.trees.iter().enumerate() {
            let fits = |(at, node): (usize, &Node)| {
                let leads = |to: u32| (to as usize) > at && (to as usize) < tree.len();
                let leaf = node.left == 0 && node.right == 0;
                (node.feature as usize) < columns
                    && node.above.is_finite()
                    && node.value.is_finite()
                    && (leaf || leads(node.left) && leads(node.right))
            };
            let sized = (1..=MAX_TREE_NODES).contains(&tree.len());
            if !sized || !tree.iter().enumerate().all(fits) {
                return wrong(format!(
                    "tree {} is no tree over {columns} features",
                    number + 1
                ));
            }
        }
        Ok(())
    }
}

fn probability(odds: f64) -> f64 {
    1.0 / (1.0 + (-odds).exp())
}
