//! A quadtree over points of the plane, for the repulsion of far ones.

/// No node.
const NONE: u32 = u32::MAX;
/// Points that lie closer than the root's width by this many halvings are one.
const DEEPEST: u32 = 48;

/// A square: how many points it holds, where they are on average, and its four quarters.
struct Node {
    middle: [f64; 2],
    half: f64,
    mass: [f64; 2],
    points: u32,
    quarters: [u32; 4],
}

/// The tree; its root is node 0.
pub(super) struct Tree {
    nodes: Vec<Node>,
}

impl Tree {
    pub(super) fn of(points: &[[f64; 2]]) -> Tree {
        let (mut low, mut high) = ([f64::INFINITY; 2], [f64::NEG_INFINITY; 2]);
        for p in points {
            for c in 0..2 {
                low[c] = low[c].min(p[c]);
                high[c] = high[c].max(p[c]);
            }
        }
        let half = ((high[0] - low[0]).max(high[1] - low[1]) / 2.0).max(f64::MIN_POSITIVE);
        let middle = [(low[0] + high[0]) / 2.0, (low[1] + high[1]) / 2.0];
        let mut tree = Tree {
            nodes: Vec::with_capacity(points.len() * 2),
        };
        tree.add(middle, half * 1.001);
        points.iter().for_each(|&p| tree.insert(p));
        for node in &mut tree.nodes {
            let count = f64::from(node.points.max(1));
            node.mass = [node.mass[0] / count, node.mass[1] / count];
        }
        tree
    }

    fn add(&mut self, middle: [f64; 2], half: f64) -> u32 {
        self.nodes.push(Node {
            middle,
            half,
            mass: [0.0; 2],
            points: 0,
            quarters: [NONE; 4],
        });
        self.nodes.len() as u32 - 1
    }

    /// While the tree grows, `mass` is the sum of the points.
    fn insert(&mut self, p: [f64; 2]) {
        let (mut at, mut depth) = (0, 0);
        loop {
            let node = &mut self.nodes[at];
            let (before, leaf) = (node.points, node.quarters == [NONE; 4]);
            let sum = node.mass;
            node.mass = [sum[0] + p[0], sum[1] + p[1]];
            node.points += 1;
            if before == 0 || depth == DEEPEST {
                return;
            }
            if leaf {
                // It held one point, or several equal ones, which move a level down.
                let count = f64::from(before);
                let own = [sum[0] / count, sum[1] / count];
                if own == p {
                    return;
                }
                let down = self.quarter(at, own);
                self.nodes[down].mass = sum;
                self.nodes[down].points = before;
            }
            at = self.quarter(at, p);
            depth += 1;
        }
    }

    /// The quarter of node `at` that `p` lies in, made when it is not there.
    fn quarter(&mut self, at: usize, p: [f64; 2]) -> usize {
        let Node {
            middle,
            half,
            quarters,
            ..
        } = self.nodes[at];
        let (right, upper) = (p[0] > middle[0], p[1] > middle[1]);
        let which = usize::from(right) + 2 * usize::from(upper);
        if quarters[which] == NONE {
            let half = half / 2.0;
            let side = |upper: bool| if upper { half } else { -half };
            let middle = [middle[0] + side(right), middle[1] + side(upper)];
            let made = self.add(middle, half);
            self.nodes[at].quarters[which] = made;
            return made as usize;
        }
        quarters[which] as usize
    }

    /// What all points do to `p`: the sum of `(p - x) / (1 + |p - x|^2)^2`, and the sum of
    /// `1 / (1 + |p - x|^2)`; a square that looks smaller than `theta` counts as one place.
    pub(super) fn forces(&self, p: [f64; 2], theta: f64, open: &mut Vec<u32>) -> ([f64; 2], f64) {
        let (mut force, mut z) = ([0.0; 2], 0.0);
        open.clear();
        open.push(0);
        while let Some(at) = open.pop() {
            let node = &self.nodes[at as usize];
            let d = [p[0] - node.mass[0], p[1] - node.mass[1]];
            let square = d[0] * d[0] + d[1] * d[1];
            let width = 2.0 * node.half;
            let leaf = node.quarters == [NONE; 4];
            if leaf && square == 0.0 {
                // The point itself does nothing to it; others at its place do not push, but count.
                z += f64::from(node.points - 1);
            } else if leaf || width * width < theta * theta * square {
                let q = 1.0 / (1.0 + square);
                let count = f64::from(node.points);
                z += count * q;
                force = [
                    force[0] + count * q * q * d[0],
                    force[1] + count * q * q * d[1],
                ];
            } else {
                open.extend(node.quarters.iter().filter(|&&q| q != NONE));
            }
        }
        (force, z)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn brute(points: &[[f64; 2]], i: usize) -> ([f64; 2], f64) {
        let (mut force, mut z) = ([0.0; 2], 0.0);
        for (j, x) in points.iter().enumerate().filter(|(j, _)| *j != i) {
            let _ = j;
            let d = [points[i][0] - x[0], points[i][1] - x[1]];
            let q = 1.0 / (1.0 + d[0] * d[0] + d[1] * d[1]);
            z += q;
            force = [force[0] + q * q * d[0], force[1] + q * q * d[1]];
        }
        (force, z)
    }

    #[test]
    fn without_an_angle_the_forces_are_exact() {
        let mut random = fastrand::Rng::with_seed(3);
        let mut points: Vec<[f64; 2]> = (0..200)
            .map(|_| [random.f64() * 8.0, random.f64() * 3.0])
            .collect();
        // Equal points, and points on a line.
        points.extend([[1.0, 1.0]; 5]);
        points.extend((0..10).map(|i| [f64::from(i), 0.0]));
        let tree = Tree::of(&points);
        for i in 0..points.len() {
            let (force, z) = tree.forces(points[i], 0.0, &mut Vec::new());
            let (wanted, sum) = brute(&points, i);
            assert!((z - sum).abs() < 1e-9, "{i}: {z} {sum}");
            for c in 0..2 {
                assert!(
                    (force[c] - wanted[c]).abs() < 1e-9,
                    "{i}: {force:?} {wanted:?}"
                );
            }
            let (_, near) = tree.forces(points[i], 0.5, &mut Vec::new());
            assert!((near / sum - 1.0).abs() < 0.03, "{i}: {near} {sum}");
        }
    }

    #[test]
    fn equal_points_alone_make_a_tree() {
        let tree = Tree::of(&[[2.0, 2.0]; 4]);
        let (force, z) = tree.forces([2.0, 2.0], 0.5, &mut Vec::new());
        assert_eq!((force, z), ([0.0; 2], 3.0));
    }
}
