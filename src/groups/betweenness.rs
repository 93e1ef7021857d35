//! Edge betweenness, after Brandes.

/// For each edge of an undirected graph over `nodes` nodes, the share of all pairs of nodes whose shortest
/// paths go along it; where a pair has several, each counts its part.
///
/// `edges` are pairs of nodes below `nodes`, each pair once; all edges are of one length. This is Brandes'
/// algorithm, `O(nodes * edges)`, normalised by `nodes (nodes - 1) / 2`.
///
/// ```
/// // A path of three: each edge is on 2 of the 3 shortest paths.
/// assert_eq!(doppel::groups::edge_betweenness(3, &[(0, 1), (1, 2)]), [2.0 / 3.0, 2.0 / 3.0]);
/// ```
pub fn edge_betweenness(nodes: usize, edges: &[(u32, u32)]) -> Vec<f64> {
    let mut near: Vec<Vec<(usize, usize)>> = vec![Vec::new(); nodes];
    for (at, &(a, b)) in edges.iter().enumerate() {
        near[a as usize].push((b as usize, at));
        near[b as usize].push((a as usize, at));
    }
    let mut share = vec![0.0; edges.len()];
    let mut order = Vec::with_capacity(nodes);
    let (mut paths, mut depth, mut load) = (vec![0.0; nodes], vec![0; nodes], vec![0.0; nodes]);
    for source in 0..nodes {
        order.clear();
        paths.fill(0.0);
        depth.fill(usize::MAX);
        load.fill(0.0);
        (paths[source], depth[source]) = (1.0, 0);
        order.push(source);
        let mut next = 0;
        while let Some(&node) = order.get(next) {
            next += 1;
            for &(other, _) in &near[node] {
                if depth[other] == usize::MAX {
                    depth[other] = depth[node] + 1;
                    order.push(other);
                }
                if depth[other] == depth[node] + 1 {
                    paths[other] += paths[node];
                }
            }
        }
        for &node in order.iter().rev() {
            for &(other, edge) in &near[node] {
                if depth[other] + 1 == depth[node] {
                    let part = paths[other] / paths[node] * (1.0 + load[node]);
                    share[edge] += part;
                    load[other] += part;
                }
            }
        }
    }
    // Each pair was counted from both of its ends.
    let pairs = (nodes * nodes.saturating_sub(1)).max(1) as f64;
    share.iter().map(|s| s / pairs).collect()
}
