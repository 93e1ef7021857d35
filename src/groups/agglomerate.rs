//! Agglomeration with floors that fall with size.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BinaryHeap};

use super::{Agglomerate, Edge, Sets};

/// The edges between two clusters.
#[derive(Clone, Copy, Default)]
struct Between {
    sum: f64,
    best: f64,
}

/// Two clusters that might merge, as they were at some time.
struct Candidate {
    score: f64,
    low: u32,
    high: u32,
    /// The sizes of both then; clusters never shrink, so other sizes mean that it is out of date.
    sizes: (u32, u32),
}

impl Ord for Candidate {
    /// The best score is the greatest; of equal ones that of the lowest rows.
    fn cmp(&self, other: &Self) -> Ordering {
        self.score
            .total_cmp(&other.score)
            .then_with(|| (other.low, other.high).cmp(&(self.low, self.high)))
    }
}

impl PartialOrd for Candidate {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Candidate {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Candidate {}

struct State<'a> {
    how: &'a Agglomerate,
    most: usize,
    sets: Sets,
    /// For each cluster, by its lowest row, what lies between it and others.
    near: Vec<BTreeMap<u32, Between>>,
    heap: BinaryHeap<Candidate>,
}

/// Each row's group.
pub(super) fn run(rows: usize, edges: &[Edge], how: &Agglomerate, most: usize) -> Vec<u32> {
    let mut state = State {
        how,
        most,
        sets: Sets::new(rows),
        near: vec![BTreeMap::new(); rows],
        heap: BinaryHeap::new(),
    };
    for edge in edges {
        let between = Between {
            sum: edge.weight,
            best: edge.weight,
        };
        state.near[edge.a as usize].insert(edge.b, between);
        state.near[edge.b as usize].insert(edge.a, between);
        state.offer(edge.a, edge.b);
    }
    while let Some(next) = state.heap.pop() {
        let (low, high) = (next.low, next.high);
        let alive = state.sets.find(low) == low && state.sets.find(high) == high;
        if alive && next.sizes == state.sizes(low, high) {
            state.merge(low, high);
        }
    }
    state.sets.groups()
}

impl State<'_> {
    fn sizes(&self, a: u32, b: u32) -> (u32, u32) {
        (self.sets.size(a) as u32, self.sets.size(b) as u32)
    }

    /// Puts two clusters up for merging, if they may.
    fn offer(&mut self, a: u32, b: u32) {
        let (low, high) = (a.min(b), a.max(b));
        let Some(between) = self.near[low as usize].get(&high) else {
            return;
        };
        let sizes = self.sizes(low, high);
        let (x, y) = (sizes.0 as usize, sizes.1 as usize);
        let mean = between.sum / (x * y) as f64;
        let score = self.how.mean * mean + (1.0 - self.how.mean) * between.best;
        let larger = x.max(y);
        let floor = self.how.floors.iter().find(|(size, _)| larger < *size);
        let floor = floor.map_or(self.how.floor, |f| f.1);
        if score >= floor && x + y <= self.most {
            self.heap.push(Candidate {
                score,
                low,
                high,
                sizes,
            });
        }
    }

    /// Makes the cluster `high` part of `low`.
    fn merge(&mut self, low: u32, high: u32) {
        self.sets.join(low, high);
        let gone = std::mem::take(&mut self.near[high as usize]);
        self.near[low as usize].remove(&high);
        for (other, between) in gone {
            if other == low {
                continue;
            }
            self.near[other as usize].remove(&high);
            let joined = self.near[low as usize].entry(other).or_default();
            joined.sum += between.sum;
            joined.best = joined.best.max(between.best);
            let joined = *joined;
            self.near[other as usize].insert(low, joined);
        }
        let others: Vec<u32> = self.near[low as usize].keys().copied().collect();
        others.into_iter().for_each(|other| self.offer(low, other));
    }
}
