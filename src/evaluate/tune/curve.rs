//! One threshold over one set of lists: F1 at every distance there is.

use std::cmp::Ordering::Equal;

use rayon::prelude::*;

use super::place::place;
use super::{Options, truths};
use crate::error::{Error, Result};
use crate::limits::MAX_ROWS;
use crate::lists::Lists;

/// Figures at one threshold.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub struct Point {
    /// The threshold: `j` matches `i` when `d < distance`.
    pub distance: f64,
    /// As [`Figures::f1`](crate::evaluate::Figures::f1).
    pub f1: f64,
    /// As [`Figures::precision`](crate::evaluate::Figures::precision).
    pub precision: f64,
    /// As [`Figures::recall`](crate::evaluate::Figures::recall).
    pub recall: f64,
}

/// The best two thresholds of Min2.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub struct Second {
    /// The first threshold, and the figures with both.
    pub first: Point,
    /// A row left alone takes its nearest neighbour when `d < distance`; at least the first threshold.
    pub distance: f64,
}

/// F1 by threshold.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Curve {
    /// The threshold of the highest F1, of equal ones the lowest. It lies between two distances that
    /// occur, with the fewest digits that keep the matches the same.
    pub best: Point,
    /// The best two thresholds with Min2; of equal ones the lowest first, then the lowest second.
    pub min2: Second,
    /// Evenly spaced thresholds from 0 on, and the best one, by distance.
    pub points: Vec<Point>,
    /// How many pairs of a scored row and a neighbour were looked at.
    pub pairs: usize,
}

/// The exact mean F1 of `d < distance` in `lists` at every distance that occurs: the figures of
/// [`evaluate`](crate::evaluate::evaluate) on [`resolve_capped`](crate::matching::resolve_capped) with
/// [`Rule::Threshold`](crate::matching::Rule), and with [`Rule::Min2`](crate::matching::Rule) around it.
///
/// No threshold goes beyond `within`, the distance up to which the lists are whole (2 when they hold
/// neighbours at any distance). Sums are kept in whole numbers of 2^-60, so that the figures do not
/// depend on the order of the pairs. `O(P log P)` for `P` pairs.
///
/// # Errors
/// As many lists as labels there must be; lists that break the contract of [`Lists`]; a `within` below 0
/// or NaN; a cap of 0; no label at all.
pub fn curve(
    lists: &Lists,
    labels: &[Option<u32>],
    within: f64,
    opt: &Options<'_>,
) -> Result<Curve> {
    check(lists, labels, within, opt)?;
    check_lists(lists)?;
    let truth = truths(labels)?;
    let within = within.min(2.0);

    let (mut pairs, mut nearest) = gather(lists, labels, opt);
    pairs.par_sort_unstable_by(|a, b| a.distance.total_cmp(&b.distance));
    nearest.par_sort_unstable_by(|a, b| a.distance.total_cmp(&b.distance));

    let start = truth.iter().filter(|&&t| t > 0).map(|&t| values(1, 1, t));
    let mut walk = Walk {
        sums: start.fold(Sums::default(), Sums::plus),
        rows: vec![(1, 1); labels.len()],
        truth: &truth,
    };
    let scored = truth.iter().filter(|&&t| t > 0).count();
    let slack = SLACK * scored as i128;
    let second = Seconds::new(&nearest, &truth, within, slack);
    let plot = Plot::new(&pairs, within, opt.points);
    let mut points = Vec::with_capacity(plot.count + 1);

    let (mut best, mut best2): (Option<Found>, Option<Found2>) = (None, None);
    let (mut at, mut alone, mut after) = (0, 0, f64::NEG_INFINITY);
    loop {
        let until = pairs.get(at).map_or(f64::INFINITY, |p| p.distance);
        // Thresholds in (after, until] match the pairs before `at`.
        while points.len() < plot.count && plot.at(points.len()) <= until {
            points.push(walk.sums.point(plot.at(points.len()), scored));
        }
        if until >= 0.0 && after < within {
            let found = Found {
                sums: walk.sums,
                after,
                until,
            };
            if best.is_none_or(|b| found.sums.f1 > b.sums.f1 + slack) {
                best = Some(found);
            }
            while nearest.get(alone).is_some_and(|n| n.distance <= after) {
                alone += 1;
            }
            let (gain, place) = second.from(alone);
            let sums = walk.sums.plus(gain);
            if best2.is_none_or(|b| sums.f1 > b.sums.f1 + slack) {
                best2 = Some(Found2 { sums, found, place });
            }
        }
        if at == pairs.len() {
            break;
        }
        while pairs.get(at).is_some_and(|p| p.distance == until) {
            walk.add(&pairs[at]);
            at += 1;
        }
        after = until;
    }
    let none = || Error::internal("no threshold was looked at").op("tune");
    let (best, best2) = (best.ok_or_else(none)?, best2.ok_or_else(none)?);
    let best = best.sums.point(best.place(within), scored);
    let first = best2.sums.point(best2.found.place(within), scored);
    let at = points.partition_point(|p: &Point| p.distance < best.distance);
    if points.get(at).is_none_or(|p| p.distance != best.distance) {
        points.insert(at, best);
    }
    Ok(Curve {
        best,
        min2: Second {
            first,
            distance: best2
                .place
                .map_or(first.distance, |(after, until)| place(after, until, within)),
        },
        points,
        pairs: pairs.len(),
    })
}

fn check(lists: &Lists, labels: &[Option<u32>], within: f64, opt: &Options<'_>) -> Result<()> {
    let sizes = [Some(lists.len()), opt.unable.map(<[bool]>::len)];
    for size in sizes.into_iter().flatten() {
        if size != labels.len() {
            return Err(Error::shape("tune", &[labels.len()], &[size])
                .mend("give one list for each listing"));
        }
    }
    if labels.len() > MAX_ROWS {
        return Err(Error::limit(format!("more than {MAX_ROWS} listings")).op("tune"));
    }
    if within.is_nan() || within < 0.0 {
        return Err(
            Error::input(format!("lists that are whole up to the distance {within}")).op("tune"),
        );
    }
    if opt.cap == 0 {
        return Err(Error::input("0 matches a row are not even itself").op("tune"));
    }
    Ok(())
}

/// What the curve rests on: finite scores, best first, neighbours among the rows.
fn check_lists(lists: &Lists) -> Result<()> {
    let wrong = |i: usize| {
        let list = lists.row(i);
        let finite = list.scores.iter().all(|s| s.is_finite());
        let inside = list.rows.iter().all(|&j| (j as usize) < lists.len());
        (!finite || !inside || !list.scores.is_sorted_by(|a, b| a >= b)).then_some(i)
    };
    match (0..lists.len()).into_par_iter().find_map_first(wrong) {
        None => Ok(()),
        Some(i) => Err(Error::input(
            "the neighbours are not finite, among the rows and best first",
        )
        .op("tune")
        .row(i as u64 + 1)
        .mend("give lists as doppel's searches make them")),
    }
}

/// A neighbour of a scored row.
#[derive(Clone, Copy)]
struct Pair {
    distance: f64,
    row: u32,
    right: bool,
}

/// The pairs of all scored rows within the cap, and each scored row's nearest.
fn gather(lists: &Lists, labels: &[Option<u32>], opt: &Options<'_>) -> (Vec<Pair>, Vec<Pair>) {
    let unable = |i: usize| opt.unable.is_some_and(|u| u[i]);
    let of_row = |i: usize| -> (Vec<Pair>, Option<Pair>) {
        let Some(label) = labels[i].filter(|_| !unable(i)) else {
            return (Vec::new(), None);
        };
        let others = lists.row(i).iter();
        let others = others.filter(|&(j, _)| j as usize != i && !unable(j as usize));
        let mut others: Vec<(u32, f64)> = others.collect();
        let pair = |&(j, score): &(u32, f64)| Pair {
            distance: 1.0 - score,
            row: i as u32,
            right: labels[j as usize] == Some(label),
        };
        let mut nearest = others.first().map(pair);
        // A cap cuts ties by row; in lists, where the two zeros differ, they may stand by their bits.
        if !others.is_sorted_by(|a, b| a.1 > b.1 || a.0 < b.0) {
            others.sort_by(|a, b| b.1.partial_cmp(&a.1).unwrap_or(Equal).then(a.0.cmp(&b.0)));
        }
        others.truncate(opt.cap - 1);
        if others.is_empty() {
            nearest = None;
        }
        (others.iter().map(pair).collect(), nearest)
    };
    let rows: Vec<(Vec<Pair>, Option<Pair>)> = (0..lists.len())
        .into_par_iter()
        .with_min_len(256)
        .map(of_row)
        .collect();
    let nearest = rows.iter().filter_map(|row| row.1).collect();
    let pairs = rows.into_iter().flat_map(|row| row.0).collect();
    (pairs, nearest)
}

/// Sums over rows of F1, precision and recall, in units of 2^-60.
#[derive(Debug, Clone, Copy, Default)]
struct Sums {
    f1: i128,
    precision: i128,
    recall: i128,
}

const ONE: f64 = (1u64 << 60) as f64;

/// Means that differ by less than about 1e-12 are equal: thirds, say, add up to 1 but for their last digits.
const SLACK: i128 = 1 << 20;

/// What one row gives with `both` of its `predicted` rows true, of `truth` true ones.
fn values(both: u32, predicted: u32, truth: u32) -> Sums {
    let part = |a: u32, b: u32| (f64::from(a) / f64::from(b) * ONE) as i128;
    Sums {
        f1: part(2 * both, truth + predicted),
        precision: part(both, predicted),
        recall: part(both, truth),
    }
}

impl Sums {
    fn plus(self, other: Sums) -> Sums {
        Sums {
            f1: self.f1 + other.f1,
            precision: self.precision + other.precision,
            recall: self.recall + other.recall,
        }
    }

    fn minus(self, other: Sums) -> Sums {
        Sums {
            f1: self.f1 - other.f1,
            precision: self.precision - other.precision,
            recall: self.recall - other.recall,
        }
    }

    fn point(self, distance: f64, scored: usize) -> Point {
        let mean = |sum: i128| sum as f64 / ONE / scored as f64;
        Point {
            distance,
            f1: mean(self.f1),
            precision: mean(self.precision),
            recall: mean(self.recall),
        }
    }
}

/// The figures while pairs come in by distance: how many of each row's predicted rows are true, and how
/// many there are.
struct Walk<'a> {
    sums: Sums,
    rows: Vec<(u32, u32)>,
    truth: &'a [u32],
}

impl Walk<'_> {
    fn add(&mut self, pair: &Pair) {
        let row = pair.row as usize;
        let (both, predicted) = &mut self.rows[row];
        let before = values(*both, *predicted, self.truth[row]);
        *both += u32::from(pair.right);
        *predicted += 1;
        let now = values(*both, *predicted, self.truth[row]);
        self.sums = self.sums.minus(before).plus(now);
    }
}

/// What thresholds in `(after, until]` give.
#[derive(Clone, Copy)]
struct Found {
    sums: Sums,
    after: f64,
    until: f64,
}

impl Found {
    fn place(&self, within: f64) -> f64 {
        place(self.after, self.until, within)
    }
}

/// The best with Min2 so far: the sums with both, the first threshold, and where the second lies, if it
/// lies behind the first.
#[derive(Clone, Copy)]
struct Found2 {
    sums: Sums,
    found: Found,
    place: Option<(f64, f64)>,
}

/// What second thresholds give.
///
/// A row is left alone by the first threshold `a` when its nearest neighbour is at `a` or beyond, and
/// takes that one when it is nearer than the second, `b`. So the gain is `G(b) - G(a)`, where `G(x)` sums,
/// over the rows whose nearest is nearer than `x`, what that neighbour alone gives them: the best `b` for
/// every `a` is a maximum of `G` from `a` on.
struct Seconds<'a> {
    nearest: &'a [Pair],
    /// `G` with the first `j` of the nearest.
    gains: Vec<Sums>,
    /// For each `j` the place from there on with the highest gain, the first of equal ones.
    best: Vec<usize>,
}

impl<'a> Seconds<'a> {
    fn new(nearest: &'a [Pair], truth: &[u32], within: f64, slack: i128) -> Self {
        let mut gains = vec![Sums::default()];
        for pair in nearest {
            let truth = truth[pair.row as usize];
            let gain = values(1 + u32::from(pair.right), 2, truth).minus(values(1, 1, truth));
            gains.push(gains[gains.len() - 1].plus(gain));
        }
        // A threshold has all equal distances or none, and goes no further than it may.
        let may = |j: usize| {
            let before = j.checked_sub(1).map(|j| nearest[j].distance);
            let next = nearest.get(j).map(|n| n.distance);
            before.is_none_or(|b| b < within && next.is_none_or(|n| b < n))
        };
        let mut best: Vec<usize> = (0..gains.len()).collect();
        for j in (0..nearest.len()).rev() {
            let later = best[j + 1];
            if may(later) && (!may(j) || gains[later].f1 > gains[j].f1 + slack) {
                best[j] = later;
            }
        }
        Seconds {
            nearest,
            gains,
            best,
        }
    }

    /// The gain of the best second threshold behind a first one that has the first `j` of the nearest, and
    /// the distances that it lies between; none when no second threshold gives anything.
    fn from(&self, j: usize) -> (Sums, Option<(f64, f64)>) {
        let to = self.best[j];
        if to == j || self.gains[to].f1 <= self.gains[j].f1 {
            return (Sums::default(), None);
        }
        let until = self.nearest.get(to).map_or(f64::INFINITY, |n| n.distance);
        let place = (self.nearest[to - 1].distance, until);
        (self.gains[to].minus(self.gains[j]), Some(place))
    }
}

/// The thresholds that a curve is drawn at.
struct Plot {
    count: usize,
    end: f64,
}

impl Plot {
    fn new(pairs: &[Pair], within: f64, count: usize) -> Self {
        let last = pairs.last().map_or(0.0, |p| p.distance.max(0.0));
        let end = place(last, f64::INFINITY, within.max(last));
        Plot {
            count,
            end: end.min(within),
        }
    }

    fn at(&self, i: usize) -> f64 {
        self.end * i as f64 / (self.count.max(2) - 1) as f64
    }
}
