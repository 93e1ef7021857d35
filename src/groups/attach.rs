//! Groups along the pairs in the order of their scores.

use super::{Attach, Edge, Sets, strongest_first};

/// Each row's group.
pub(super) fn run(rows: usize, edges: &[Edge], how: &Attach, most: usize) -> Vec<u32> {
    let mut sets = Sets::new(rows);
    for at in strongest_first(edges) {
        let edge = edges[at];
        let (a, b) = (sets.find(edge.a), sets.find(edge.b));
        let sizes = (sets.size(a), sets.size(b));
        let floor = match sizes {
            (1, 1) => how.start,
            (1, _) | (_, 1) => how.attach,
            _ => how.merge,
        };
        if a != b && edge.weight > floor && sizes.0 + sizes.1 <= most {
            sets.join(a, b);
        }
    }
    sets.groups()
}
