//! How groups are made.

use crate::error::{Error, Result};
use crate::limits::MAX_FLOORS;

/// How pairs become groups.
#[derive(Debug, Clone, PartialEq)]
pub enum Grouping {
    /// Connected components, large ones cut at weak bridges.
    Components(Cut),
    /// Clusters merge, the best pair of clusters first.
    Agglomerate(Agglomerate),
    /// Pairs in the order of their scores start, join and merge groups.
    Attach(Attach),
}

/// What a row of a group answers with.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Answer {
    /// The whole group, which is consistent.
    #[default]
    Group,
    /// Its direct neighbours in the group.
    Neighbours,
}

/// [`Grouping::Components`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Cut {
    /// Only edges that go both ways count.
    pub reciprocal: bool,
    /// Components of more rows than this are cut.
    pub over: usize,
    /// Edges of a weight below this may be cut.
    pub weak: f64,
    /// One is cut when its normalised betweenness is above this.
    pub betweenness: f64,
    /// What a row answers with.
    pub answer: Answer,
}

/// [`Grouping::Agglomerate`].
#[derive(Debug, Clone, PartialEq)]
pub struct Agglomerate {
    /// The share of the mean over all pairs of two clusters in their score, the rest is that of the best
    /// pair; a pair without an edge counts as 0.
    pub mean: f64,
    /// `(size, floor)`: what the score must reach while the larger cluster has fewer rows than `size`.
    pub floors: Vec<(usize, f64)>,
    /// What it must reach beyond.
    pub floor: f64,
}

/// [`Grouping::Attach`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Attach {
    /// Two single rows become a group above this score.
    pub start: f64,
    /// A single row joins a group above this.
    pub attach: f64,
    /// Two groups become one above this.
    pub merge: f64,
}

impl Cut {
    /// The second place's settings.
    pub const SECOND: Cut = Cut {
        reciprocal: true,
        over: 6,
        weak: 0.15780,
        betweenness: 0.11767,
        answer: Answer::Neighbours,
    };
}

impl Default for Agglomerate {
    /// The third place's settings.
    fn default() -> Self {
        Agglomerate {
            mean: 0.75,
            floors: vec![(2, 0.55), (5, 0.45), (10, 0.35)],
            floor: 0.25,
        }
    }
}

impl Attach {
    /// The fifth place's settings.
    pub const FIFTH: Attach = Attach {
        start: 0.3,
        attach: 0.7,
        merge: 0.8,
    };
}

impl Grouping {
    /// As the second place cut, and answered with neighbours.
    pub const SECOND: Grouping = Grouping::Components(Cut::SECOND);
    /// As the fifth place attached.
    pub const ATTACH: Grouping = Grouping::Attach(Attach::FIFTH);

    /// Whether edges count only when they go both ways.
    pub fn reciprocal(&self) -> bool {
        matches!(self, Grouping::Components(cut) if cut.reciprocal)
    }

    /// What a row answers with.
    pub fn answer(&self) -> Answer {
        match self {
            Grouping::Components(cut) => cut.answer,
            _ => Answer::Group,
        }
    }

    /// Checks all numbers.
    ///
    /// # Errors
    /// Scores and shares that are no finite numbers, shares outside 0 to 1, sizes of floors that do not rise,
    /// more than [`MAX_FLOORS`] floors.
    pub fn check(&self) -> Result<()> {
        let wrong =
            |message: String, mend: &str| Err(Error::input(message).op("groups").mend(mend));
        let scores: Vec<f64> = match self {
            Grouping::Components(c) => vec![c.weak, c.betweenness],
            Grouping::Agglomerate(a) => a.floors.iter().map(|f| f.1).chain([a.floor]).collect(),
            Grouping::Attach(a) => vec![a.start, a.attach, a.merge],
        };
        if let Some(score) = scores.iter().find(|s| !s.is_finite()) {
            return wrong(format!("a score is {score}"), "give a number such as 0.5");
        }
        match self {
            Grouping::Components(c) if !(0.0..=1.0).contains(&c.betweenness) => wrong(
                format!("the betweenness is {}", c.betweenness),
                "give a share of all pairs, from 0 to 1",
            ),
            Grouping::Agglomerate(a) if !(0.0..=1.0).contains(&a.mean) => wrong(
                format!("the share of the mean is {}", a.mean),
                "give a share from 0 to 1",
            ),
            Grouping::Agglomerate(a) if !a.floors.is_sorted_by(|x, y| x.0 < y.0) => wrong(
                "the sizes of the floors do not rise".to_string(),
                "give the floor of the smallest clusters first",
            ),
            Grouping::Agglomerate(a) if a.floors.len() > MAX_FLOORS => {
                let error = Error::limit(format!("there are {} floors", a.floors.len()));
                Err(error
                    .op("groups")
                    .mend(format!("{MAX_FLOORS} are the most")))
            }
            _ => Ok(()),
        }
    }
}
