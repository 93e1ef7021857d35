use super::*;

fn edge(a: u32, b: u32, weight: f64) -> Edge {
    Edge { a, b, weight }
}

/// All pairs of `rows`, each of this weight.
fn clique(rows: std::ops::Range<u32>, weight: f64) -> Vec<Edge> {
    let pairs = rows
        .clone()
        .flat_map(|a| (a + 1..rows.end).map(move |b| edge(a, b, weight)));
    pairs.collect()
}

fn sorted(mut edges: Vec<Edge>) -> Vec<Edge> {
    edges.sort_by_key(|e| (e.a, e.b));
    edges
}

/// Random edges over `rows` rows.
fn random(rows: u32, edges: usize, seed: u64) -> Vec<Edge> {
    let mut rng = fastrand::Rng::with_seed(seed);
    let pair = |_| {
        (
            rng.u32(0..rows),
            rng.u32(0..rows),
            f64::from(rng.u8(0..50)) / 50.0,
        )
    };
    undirected((0..edges).map(pair), false)
}

#[test]
fn edges_have_one_direction_and_the_higher_score() {
    let pairs = [
        (1, 0, 0.5),
        (0, 1, 0.7),
        (2, 1, 0.4),
        (3, 3, 1.0),
        (0, 1, 0.2),
    ];
    let all = undirected(pairs.into_iter(), false);
    assert_eq!(all, [edge(0, 1, 0.7), edge(1, 2, 0.4)]);
    let both = undirected(pairs.into_iter(), true);
    assert_eq!(both, [edge(0, 1, 0.7)]);
}

#[test]
fn betweenness_is_that_of_counted_paths() {
    // Two triangles with a bridge: 9 of 15 pairs go over it.
    let edges = [(0, 1), (0, 2), (1, 2), (2, 3), (3, 4), (3, 5), (4, 5)];
    let shares = edge_betweenness(6, &edges);
    assert!((shares[3] - 9.0 / 15.0).abs() < 1e-12, "{shares:?}");
    // 0 to 2 and those behind it.
    assert!((shares[1] - 4.0 / 15.0).abs() < 1e-12);
    assert!((shares[0] - 1.0 / 15.0).abs() < 1e-12);
    // A square: opposite corners have two paths.
    let square = edge_betweenness(4, &[(0, 1), (1, 2), (2, 3), (0, 3)]);
    assert!(
        square.iter().all(|s| (s - 2.0 / 6.0).abs() < 1e-12),
        "{square:?}"
    );
    // Pairs that no path joins count nothing.
    assert_eq!(edge_betweenness(4, &[(0, 1)]), [1.0 / 6.0]);
    assert_eq!(edge_betweenness(0, &[]), [] as [f64; 0]);
}

#[test]
fn weak_bridges_are_cut_and_strong_ones_not() {
    let two = |bridge: f64| {
        let mut edges = clique(0..4, 0.9);
        edges.extend(clique(4..8, 0.9));
        edges.push(edge(3, 4, bridge));
        sorted(edges)
    };
    let cut = |bridge, over| {
        let how = Grouping::Components(Cut {
            over,
            answer: Answer::Group,
            ..Cut::SECOND
        });
        group(8, &two(bridge), &how, 50).unwrap()
    };
    let apart = cut(0.1, 6);
    assert_eq!(apart.of, [0, 0, 0, 0, 4, 4, 4, 4]);
    assert_eq!(apart.edges.len(), 12);
    assert_eq!(apart.members(), [vec![0, 1, 2, 3], vec![4, 5, 6, 7]]);
    assert_eq!(cut(0.2, 6).of, [0; 8]);
    // As large as may be.
    assert_eq!(cut(0.1, 8).of, [0; 8]);
}

#[test]
fn cutting_goes_on_in_the_pieces() {
    // A chain of four cliques with weak bridges.
    let mut edges = Vec::new();
    for first in [0, 4, 8, 12] {
        edges.extend(clique(first..first + 4, 0.9));
    }
    edges.extend([edge(3, 4, 0.1), edge(7, 8, 0.05), edge(11, 12, 0.12)]);
    let groups = group(16, &sorted(edges), &Grouping::SECOND, 50).unwrap();
    assert_eq!(
        groups.members().iter().map(Vec::len).collect::<Vec<_>>(),
        [4, 4, 4, 4]
    );
}

#[test]
fn large_components_are_taken_apart_along_the_weakest_pairs() {
    let chain: Vec<Edge> = (0..999)
        .map(|a| edge(a, a + 1, if a == 499 { 0.2 } else { 0.9 }))
        .collect();
    let how = Grouping::Components(Cut {
        answer: Answer::Group,
        ..Cut::SECOND
    });
    let groups = group(1000, &chain, &how, 50).unwrap();
    assert!(groups.members().iter().all(|g| g.len() <= 50));
    assert_ne!(groups.of[499], groups.of[500]);
    // With neighbours alone a group may be larger.
    let neighbours = group(200, &chain[..199], &Grouping::SECOND, 50).unwrap();
    assert_eq!(neighbours.edges.len(), 199);
}

#[test]
fn floors_fall_with_size() {
    let how = Grouping::Agglomerate(Agglomerate::default());
    let of = |rows, edges: Vec<Edge>| group(rows, &sorted(edges), &how, 50).unwrap().of;
    assert_eq!(of(2, vec![edge(0, 1, 0.55)]), [0, 0]);
    assert_eq!(of(2, vec![edge(0, 1, 0.54)]), [0, 1]);
    // To a pair: .75 * .5 (one of two edges) * .75 + .25 * .75 = .47, above .45.
    assert_eq!(of(3, vec![edge(0, 1, 0.9), edge(1, 2, 0.75)]), [0, 0, 0]);
    assert_eq!(of(3, vec![edge(0, 1, 0.9), edge(1, 2, 0.7)]), [0, 0, 2]);
    // A single row of .40 with all of a cluster of five is above .35, and of four below .45.
    let star = |size: u32| {
        let mut edges = clique(0..size, 0.9);
        edges.extend((0..size).map(|a| edge(a, size, 0.40)));
        of(size as usize + 1, edges)
    };
    assert_eq!(star(5), [0; 6]);
    assert_eq!(star(4), [0, 0, 0, 0, 4]);
    let most = group(6, &clique(0..6, 0.9), &how, 4).unwrap();
    assert_eq!(most.members().iter().map(Vec::len).max(), Some(4));
}

/// Agglomeration with all scores worked out anew each time.
fn plainly(rows: usize, edges: &[Edge], how: &Agglomerate, most: usize) -> Vec<u32> {
    let mut clusters: Vec<Vec<u32>> = (0..rows as u32).map(|row| vec![row]).collect();
    let weight = |a: u32, b: u32| {
        let found = edges.iter().find(|e| (e.a, e.b) == (a.min(b), a.max(b)));
        found.map(|e| e.weight)
    };
    loop {
        let mut best: Option<(f64, usize, usize)> = None;
        for i in 0..clusters.len() {
            for j in i + 1..clusters.len() {
                let (x, y) = (&clusters[i], &clusters[j]);
                let pairs = x
                    .iter()
                    .flat_map(|&a| y.iter().filter_map(move |&b| weight(a, b)));
                let pairs: Vec<f64> = pairs.collect();
                if pairs.is_empty() || x.len() + y.len() > most {
                    continue;
                }
                let mean = pairs.iter().sum::<f64>() / (x.len() * y.len()) as f64;
                let top = pairs.iter().copied().fold(0.0, f64::max);
                let score = how.mean * mean + (1.0 - how.mean) * top;
                let larger = x.len().max(y.len());
                let floor = how
                    .floors
                    .iter()
                    .find(|f| larger < f.0)
                    .map_or(how.floor, |f| f.1);
                if score >= floor && best.is_none_or(|b| score > b.0 + 1e-12) {
                    best = Some((score, i, j));
                }
            }
        }
        let Some((_, i, j)) = best else { break };
        let gone = clusters.remove(j);
        clusters[i].extend(gone);
        clusters[i].sort_unstable();
    }
    let mut of = vec![0; rows];
    for cluster in &clusters {
        cluster
            .iter()
            .for_each(|&row| of[row as usize] = cluster[0]);
    }
    of
}

#[test]
fn agglomeration_is_that_of_scores_worked_out_anew() {
    let mut merged = 0;
    for seed in 0..40 {
        // Distinct weights, so that no tie hangs on how a sum was rounded.
        let mut edges = random(14, 40, seed);
        for (at, edge) in edges.iter_mut().enumerate() {
            edge.weight += at as f64 * 1e-5;
        }
        for most in [50, 4] {
            let how = Agglomerate {
                floor: 0.15,
                ..Agglomerate::default()
            };
            let of = agglomerate::run(14, &edges, &how, most);
            assert_eq!(of, plainly(14, &edges, &how, most), "{seed} {most}");
            merged += of
                .iter()
                .enumerate()
                .filter(|(i, g)| **g != *i as u32)
                .count();
        }
    }
    assert!(merged > 100, "{merged}");
}

#[test]
fn pairs_start_join_and_merge() {
    let of = |edges: Vec<Edge>| group(4, &sorted(edges), &Grouping::ATTACH, 50).unwrap().of;
    assert_eq!(of(vec![edge(0, 1, 0.31), edge(2, 3, 0.3)]), [0, 0, 2, 3]);
    assert_eq!(
        of(vec![edge(0, 1, 0.9), edge(1, 2, 0.71), edge(2, 3, 0.7)]),
        [0, 0, 0, 3]
    );
    let pairs = |between| of(vec![edge(0, 1, 0.95), edge(2, 3, 0.9), edge(0, 3, between)]);
    assert_eq!(pairs(0.81), [0; 4]);
    assert_eq!(pairs(0.8), [0, 0, 2, 2]);
    let small = group(4, &clique(0..4, 0.9), &Grouping::ATTACH, 2).unwrap();
    assert_eq!(small.of, [0, 0, 2, 2]);
}

#[test]
fn groups_are_bounded_and_hold_their_edges() {
    for seed in 0..20 {
        let edges = random(60, 150, seed);
        let all = Grouping::Components(Cut {
            answer: Answer::Group,
            ..Cut::SECOND
        });
        for how in [
            all,
            Grouping::SECOND,
            Grouping::Agglomerate(Agglomerate::default()),
            Grouping::ATTACH,
        ] {
            let groups = group(60, &edges, &how, 10).unwrap();
            let inside = |e: &Edge| groups.of[e.a as usize] == groups.of[e.b as usize];
            assert!(groups.edges.iter().all(inside));
            assert!(
                groups
                    .of
                    .iter()
                    .enumerate()
                    .all(|(row, &g)| g as usize <= row)
            );
            if how.answer() == Answer::Group {
                assert!(groups.members().iter().all(|g| g.len() <= 10), "{how:?}");
            }
        }
    }
}

#[test]
fn what_makes_no_sense_is_refused() {
    let refused = |edges: &[Edge], how: &Grouping, most| {
        assert!(group(3, edges, how, most).is_err(), "{edges:?} {how:?}");
    };
    let how = Grouping::ATTACH;
    refused(&[edge(1, 1, 0.5)], &how, 50);
    refused(&[edge(1, 3, 0.5)], &how, 50);
    refused(&[edge(0, 1, f64::NAN)], &how, 50);
    refused(&[edge(1, 2, 0.5), edge(0, 1, 0.5)], &how, 50);
    refused(&[], &how, 0);
    refused(
        &[],
        &Grouping::Components(Cut {
            betweenness: 2.0,
            ..Cut::SECOND
        }),
        50,
    );
    refused(
        &[],
        &Grouping::Attach(Attach {
            start: f64::NAN,
            ..Attach::FIFTH
        }),
        50,
    );
    let floors = |floors: Vec<(usize, f64)>| {
        Grouping::Agglomerate(Agglomerate {
            floors,
            ..Default::default()
        })
    };
    refused(&[], &floors(vec![(5, 0.1), (2, 0.1)]), 50);
    refused(&[], &floors((0..33).map(|i| (i, 0.1)).collect()), 50);
    refused(
        &[],
        &Grouping::Agglomerate(Agglomerate {
            mean: 1.5,
            ..Default::default()
        }),
        50,
    );
}
