//! Connected components, cut at weak bridges.

use rayon::prelude::*;

use super::{Answer, Cut, Edge, Sets, edge_betweenness, grown};
use crate::limits::{MAX_CUT_NODES, MAX_CUT_WORK};

/// Each row's group, and the edges that were not cut.
///
/// A component of more than [`MAX_CUT_NODES`] rows is first taken apart: sets grow along its strongest edges
/// first, up to that many rows, and the edges between them go. One whose betweenness would take more than
/// [`MAX_CUT_WORK`] steps in all is cut no further. Where rows answer with their groups, those of more than
/// `most` rows are taken apart in the same way, into sets of at most `most`.
pub(super) fn run(rows: usize, edges: &[Edge], cut: &Cut, most: usize) -> (Vec<u32>, Vec<Edge>) {
    let whole = components(rows, edges.iter());
    let mut parts: Vec<Vec<Edge>> = split(&whole, edges);
    parts.par_iter_mut().for_each(|part| {
        let nodes = Nodes::of(part);
        let taken = if nodes.count() > MAX_CUT_NODES {
            within(part, MAX_CUT_NODES)
        } else {
            std::mem::take(part)
        };
        let mut kept = bridges(taken, cut);
        if cut.answer == Answer::Group && Nodes::of(&kept).count() > most {
            kept = within(&kept, most);
        }
        *part = kept;
    });
    let mut kept = parts.concat();
    kept.sort_unstable_by_key(|e| (e.a, e.b));
    (components(rows, kept.iter()), kept)
}

/// Each row's component, by its lowest row.
fn components<'a>(rows: usize, edges: impl Iterator<Item = &'a Edge>) -> Vec<u32> {
    let mut sets = Sets::new(rows);
    for edge in edges {
        let (a, b) = (sets.find(edge.a), sets.find(edge.b));
        sets.join(a, b);
    }
    sets.groups()
}

/// The edges of each component, by `of`, in order.
fn split(of: &[u32], edges: &[Edge]) -> Vec<Vec<Edge>> {
    let mut sorted: Vec<&Edge> = edges.iter().collect();
    sorted.sort_by_key(|e| of[e.a as usize]);
    let same = sorted.chunk_by(|x, y| of[x.a as usize] == of[y.a as usize]);
    same.map(|part| part.iter().map(|e| **e).collect())
        .collect()
}

/// The rows of some edges as the numbers from 0 up.
struct Nodes(Vec<u32>);

impl Nodes {
    fn of(edges: &[Edge]) -> Self {
        let mut rows: Vec<u32> = edges.iter().flat_map(|e| [e.a, e.b]).collect();
        rows.sort_unstable();
        rows.dedup();
        Nodes(rows)
    }

    fn count(&self) -> usize {
        self.0.len()
    }

    fn place(&self, row: u32) -> u32 {
        self.0.binary_search(&row).unwrap_or(0) as u32
    }

    fn numbered(&self, edges: &[Edge]) -> Vec<Edge> {
        let number = |e: &Edge| Edge {
            a: self.place(e.a),
            b: self.place(e.b),
            weight: e.weight,
        };
        edges.iter().map(number).collect()
    }
}

/// The edges inside sets of at most `most` rows that grow along the strongest edges first.
fn within(edges: &[Edge], most: usize) -> Vec<Edge> {
    let nodes = Nodes::of(edges);
    let numbered = nodes.numbered(edges);
    let of = grown(nodes.count(), &numbered, most).groups();
    let inside = numbered.iter().zip(edges);
    let inside = inside.filter(|(e, _)| of[e.a as usize] == of[e.b as usize]);
    inside.map(|(_, edge)| *edge).collect()
}

/// What is left of a component's edges when its weak bridges are cut: in each piece of more than
/// [`Cut::over`] rows the weak edge of the highest betweenness, if that is above the limit, and so on in the
/// pieces that are left.
fn bridges(edges: Vec<Edge>, cut: &Cut) -> Vec<Edge> {
    let (mut open, mut kept, mut work) = (vec![edges], Vec::new(), 0usize);
    while let Some(mut piece) = open.pop() {
        let nodes = Nodes::of(&piece);
        if nodes.count() <= cut.over || !piece.iter().any(|e| e.weight < cut.weak) {
            kept.append(&mut piece);
            continue;
        }
        work = work.saturating_add(nodes.count() * piece.len());
        if work > MAX_CUT_WORK {
            kept.append(&mut piece);
            continue;
        }
        let numbered = nodes.numbered(&piece);
        let pairs: Vec<(u32, u32)> = numbered.iter().map(|e| (e.a, e.b)).collect();
        let shares = edge_betweenness(nodes.count(), &pairs);
        let weak = (0..piece.len()).filter(|&at| piece[at].weight < cut.weak);
        // Of equal ones the first.
        let worst = weak.reduce(|x, y| if shares[y] > shares[x] { y } else { x });
        match worst.filter(|&at| shares[at] > cut.betweenness) {
            None => kept.append(&mut piece),
            Some(at) => {
                let mut rest = numbered;
                rest.remove(at);
                piece.remove(at);
                let of = components(nodes.count(), rest.iter());
                let mut pieces = vec![Vec::new(), Vec::new()];
                for (edge, original) in rest.iter().zip(piece) {
                    // One edge less makes two pieces at most.
                    pieces[usize::from(of[edge.a as usize] != 0)].push(original);
                }
                open.extend(pieces.into_iter().filter(|p| !p.is_empty()));
            }
        }
    }
    kept
}
