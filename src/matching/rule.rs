//! The rules: which neighbours match, as an expression over the sources.

mod numbers;

pub use numbers::{Number, Reach, What};

use crate::error::{Error, Result};
use crate::limits::{MAX_RULE_DEPTH, MAX_SWEEP_STEPS, MIN_SWEEP_STEP};

/// Which neighbours match: a relation between rows, built from the sources' neighbour lists.
///
/// Sources are named by their place in the slice that [`resolve`](super::resolve) gets. Distances
/// are `1 - score` and lie in `[0, 2]`. Every row matches itself under every rule.
#[derive(Debug, Clone, PartialEq)]
pub enum Rule {
    /// `j` matches `i` when `d < distance`.
    Threshold {
        /// The evidence.
        source: usize,
        /// The distance that a match stays below.
        distance: f64,
    },
    /// Every listed neighbour matches: the source's lists hold equal rows alone (equal hashes, say),
    /// each with a score of 1. Another score in them is an error, as the search was not one for
    /// equality. Reported with the score floor 1.
    Equal {
        /// The evidence.
        source: usize,
    },
    /// The dynamic threshold of Tan (section 3.3): thresholds loosen together, step by step, until
    /// the row has company.
    ///
    /// At step `t = 0, 1, 2, ...` every swept modality uses the threshold `min(L + t S, H)`, and the
    /// matches are the union over all parts, the fixed ones included. The first `t` with two or more
    /// members (the row itself counts as one) is the last; so is the `t` at which every modality has
    /// reached `H`. A fixed part that holds another sweep runs that one to its own end first.
    Sweep(Vec<Part>),
    /// `j` matches `i` when it does under any of the rules.
    Union(Vec<Rule>),
    /// `j` matches `i` when it does under all of the rules.
    Intersection(Vec<Rule>),
    /// `j` matches `i` when the rule has `i -> j` and `j -> i`.
    Reciprocal(Box<Rule>),
    /// A row left alone by `rule` takes its nearest neighbour in `source` (not itself; of equally
    /// near ones the lowest row) when `d < distance`.
    Min2 {
        /// The rule that may leave a row alone.
        rule: Box<Rule>,
        /// The evidence that says which neighbour is nearest.
        source: usize,
        /// The second, looser threshold.
        distance: f64,
    },
}

/// A part of a [`Rule::Sweep`].
#[derive(Debug, Clone, PartialEq)]
pub enum Part {
    /// A modality whose threshold loosens from step to step.
    Swept {
        /// The evidence.
        source: usize,
        /// Where its threshold starts and ends, and how fast it moves.
        steps: Steps,
    },
    /// A rule that stays as it is. Its matches count among the "two or more members", so a row that
    /// it finds company for ends the sweep at step 0.
    Fixed(Rule),
}

/// The distance thresholds of one swept modality: `min(low + t * step, high)` at step `t`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Steps {
    /// `L`, the threshold of step 0.
    pub low: f64,
    /// `H`, which no step goes beyond.
    pub high: f64,
    /// `S`, at least [`MIN_SWEEP_STEP`] and such that `high` is reached within [`MAX_SWEEP_STEPS`]; when `low` is
    /// `high`, any step from 0 up will do.
    pub step: f64,
}

impl Steps {
    /// Tan, table 1: image.
    pub const IMAGE: Steps = Steps::new(0.24, 0.50, 0.01);
    /// Tan, table 1: TF-IDF; so .25, .45, .50.
    pub const TFIDF: Steps = Steps::new(0.25, 0.50, 0.20);
    /// Tan, table 1: BERT.
    pub const BERT: Steps = Steps::new(0.08, 0.30, 0.01);

    /// From `low` to `high` by `step`.
    pub const fn new(low: f64, high: f64, step: f64) -> Self {
        Steps { low, high, step }
    }

    /// The threshold of step `t`: `min(low + t * step, high)`.
    pub fn at(&self, t: u32) -> f64 {
        (self.low + f64::from(t) * self.step).min(self.high)
    }

    /// The first step at which distance `d` lies below the threshold, found without walking the
    /// steps; none when `d` is not below `high`.
    ///
    /// The steps must have passed [`Rule::validate`].
    pub(super) fn first_below(&self, d: f64) -> Option<u32> {
        if d < self.at(0) {
            return Some(0);
        }
        // With `low == high` this returns, so `step` is positive below.
        if d >= self.high || d.is_nan() {
            return None;
        }
        // Rounding moves a threshold, and the quotient, by far less than a step (at least
        // MIN_SWEEP_STEP), so the walk starts at most two steps before the answer and never behind it.
        let steps = ((d - self.low) / self.step).min(f64::from(MAX_SWEEP_STEPS));
        let mut t = (steps as u32).saturating_sub(1);
        while d >= self.at(t) {
            t += 1;
        }
        Some(t)
    }

    fn validate(&self) -> Result<()> {
        let Steps { low, high, step } = *self;
        check_distance("a sweep's low", low)?;
        check_distance("a sweep's high", high)?;
        if low > high {
            return Err(broken(format!("a sweep goes from {low} down to {high}"))
                .mend("give a low that is not above the high"));
        }
        if !step.is_finite() || step < 0.0 {
            return Err(broken(format!("a sweep's step is {step}")).mend("give a positive step"));
        }
        let too_small = step < MIN_SWEEP_STEP || (high - low) / step > f64::from(MAX_SWEEP_STEPS);
        if low < high && too_small {
            return Err(broken(format!(
                "a sweep's step of {step} is too small to get from {low} to {high}"
            ))
            .mend("give a larger step"));
        }
        Ok(())
    }
}

/// Puts a [`Rule::Sweep`] together part by part.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct SweepBuilder {
    parts: Vec<Part>,
}

impl SweepBuilder {
    /// Adds a modality whose threshold loosens by `steps`.
    #[must_use]
    pub fn over(mut self, source: usize, steps: Steps) -> Self {
        self.parts.push(Part::Swept { source, steps });
        self
    }

    /// Adds a rule that stays as it is and counts for the two members.
    #[must_use]
    pub fn with(mut self, rule: Rule) -> Self {
        self.parts.push(Part::Fixed(rule));
        self
    }

    /// The sweep.
    pub fn rule(self) -> Rule {
        Rule::Sweep(self.parts)
    }
}

impl Rule {
    /// `d < distance` in `source`.
    pub fn threshold(source: usize, distance: f64) -> Rule {
        Rule::Threshold { source, distance }
    }

    /// An empty sweep to add parts to.
    pub fn sweep() -> SweepBuilder {
        SweepBuilder::default()
    }

    /// This rule, or `other`.
    #[must_use]
    pub fn or(self, other: Rule) -> Rule {
        Rule::Union(vec![self, other])
    }

    /// This rule, and `other` too.
    #[must_use]
    pub fn and(self, other: Rule) -> Rule {
        Rule::Intersection(vec![self, other])
    }

    /// This rule where it goes both ways.
    #[must_use]
    pub fn reciprocal(self) -> Rule {
        Rule::Reciprocal(Box::new(self))
    }

    /// This rule, and for a row left alone its nearest neighbour in `source` when `d < distance`.
    #[must_use]
    pub fn min2(self, source: usize, distance: f64) -> Rule {
        Rule::Min2 {
            rule: Box::new(self),
            source,
            distance,
        }
    }

    /// Tan's final system: one sweep over image, TF-IDF and BERT with the steps of table 1.
    pub fn tan_final(image: usize, tfidf: usize, bert: usize) -> Rule {
        Rule::sweep()
            .over(image, Steps::IMAGE)
            .over(tfidf, Steps::TFIDF)
            .over(bert, Steps::BERT)
            .rule()
    }

    /// What `match` does unless told otherwise: equal pHash, united with the TF-IDF sweep of Tan's
    /// table 1. The sweep does not see the hashes.
    pub fn default_text_phash(phash: usize, tfidf: usize) -> Rule {
        Rule::default_fusion(phash, tfidf, None, None)
    }

    /// What `match` does with encoders: equal pHash, united with one sweep over those of image, TF-IDF
    /// and title that there are, with the steps of Tan's table 1 (a title's are BERT's). With both it is
    /// `DT(image + TF-IDF + SBert) + pHash` in the notation of his ladder, the last row, whose sweep
    /// scored above `DT(image + TF-IDF) + SBert`: an encoder inside the sweep loosens with the
    /// others only until the row has company.
    pub fn default_fusion(
        phash: usize,
        tfidf: usize,
        image: Option<usize>,
        title: Option<usize>,
    ) -> Rule {
        let modalities = [
            (image, Steps::IMAGE),
            (Some(tfidf), Steps::TFIDF),
            (title, Steps::BERT),
        ];
        let sweep = modalities
            .into_iter()
            .filter_map(|(source, steps)| Some((source?, steps)))
            .fold(Rule::sweep(), |sweep, (source, steps)| {
                sweep.over(source, steps)
            });
        Rule::Equal { source: phash }.or(sweep.rule())
    }

    /// Checks the rule for use with `sources` sources.
    ///
    /// # Errors
    /// A source that is not there; a distance outside `[0, 2]` or NaN; a sweep with `low > high`,
    /// a negative or infinite step, or a step too small ([`MIN_SWEEP_STEP`], [`MAX_SWEEP_STEPS`]); a
    /// sweep, union or intersection of nothing; nesting beyond [`MAX_RULE_DEPTH`].
    pub fn validate(&self, sources: usize) -> Result<()> {
        self.validate_at(sources, 1)
    }

    fn validate_at(&self, sources: usize, depth: usize) -> Result<()> {
        if depth > MAX_RULE_DEPTH {
            return Err(
                Error::limit(format!("the rule nests deeper than {MAX_RULE_DEPTH}"))
                    .op("match")
                    .mend("write it with fewer levels"),
            );
        }
        match self {
            Rule::Threshold { source, distance } => {
                check_source(*source, sources)?;
                check_distance("a threshold", *distance)
            }
            Rule::Equal { source } => check_source(*source, sources),
            Rule::Sweep(parts) => {
                check_some("sweep", parts.len())?;
                parts.iter().try_for_each(|part| match part {
                    Part::Swept { source, steps } => {
                        check_source(*source, sources)?;
                        steps.validate()
                    }
                    Part::Fixed(rule) => rule.validate_at(sources, depth + 1),
                })
            }
            Rule::Union(rules) | Rule::Intersection(rules) => {
                check_some("union or intersection", rules.len())?;
                rules
                    .iter()
                    .try_for_each(|rule| rule.validate_at(sources, depth + 1))
            }
            Rule::Reciprocal(rule) => rule.validate_at(sources, depth + 1),
            Rule::Min2 {
                rule,
                source,
                distance,
            } => {
                check_source(*source, sources)?;
                check_distance("the threshold of Min2", *distance)?;
                rule.validate_at(sources, depth + 1)
            }
        }
    }
}

fn broken(message: String) -> Error {
    Error::input(message).op("match")
}

fn check_source(source: usize, sources: usize) -> Result<()> {
    if source < sources {
        return Ok(());
    }
    Err(
        broken(format!("the rule names source {source} of {sources}"))
            .mend("count the sources from 0"),
    )
}

fn check_distance(what: &str, distance: f64) -> Result<()> {
    if (0.0..=2.0).contains(&distance) {
        return Ok(());
    }
    Err(broken(format!("{what} is {distance}"))
        .mend("give a distance (1 - similarity) between 0 and 2"))
}

fn check_some(what: &str, parts: usize) -> Result<()> {
    if parts > 0 {
        return Ok(());
    }
    Err(broken(format!("a {what} of nothing")).mend("name what it is made of"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first step by walking all of them.
    fn walk(steps: &Steps, d: f64) -> Option<u32> {
        let mut t = 0;
        loop {
            let threshold = steps.at(t);
            if d < threshold {
                return Some(t);
            }
            if threshold >= steps.high {
                return None;
            }
            t += 1;
        }
    }

    #[test]
    fn tfidf_takes_three_thresholds() {
        let at: Vec<f64> = (0..4).map(|t| Steps::TFIDF.at(t)).collect();
        assert_eq!(at, [0.25, 0.45, 0.5, 0.5]);
    }

    #[test]
    fn with_both_encoders_the_sweep_is_tans_final_one() {
        let united = |sweep: Rule| Rule::Equal { source: 0 }.or(sweep);
        let both = Rule::default_fusion(0, 1, Some(2), Some(3));
        assert_eq!(both, united(Rule::tan_final(2, 1, 3)));
        let title = Rule::sweep().over(1, Steps::TFIDF).over(2, Steps::BERT);
        assert_eq!(
            Rule::default_fusion(0, 1, None, Some(2)),
            united(title.rule())
        );
        both.validate(4).unwrap();
    }

    #[test]
    fn the_first_step_is_the_one_that_walking_finds() {
        let mut random = fastrand::Rng::with_seed(5);
        let mut found = 0;
        for _ in 0..3000 {
            let (a, b) = (random.f64() * 2.0, random.f64() * 2.0);
            let steps = match random.u8(0..5) {
                0 => Steps::IMAGE,
                1 => Steps::TFIDF,
                2 => Steps::BERT,
                3 => Steps::new(a, a, 0.0),
                _ => Steps::new(a.min(b), a.max(b), 0.001 + random.f64() * 0.1),
            };
            let border = steps.at(random.u32(0..60));
            let near = [
                border,
                border.next_down(),
                border.next_up(),
                1.0 - (1.0 - border),
                random.f64() * 2.0,
                -1e-9,
                0.0,
                2.0,
            ];
            for d in near {
                let expected = walk(&steps, d);
                found += usize::from(expected.is_some_and(|t| t > 0));
                assert_eq!(steps.first_below(d), expected, "{steps:?} {d}");
            }
        }
        assert!(found > 1000, "{found} beyond step 0");
    }

    #[test]
    fn the_smallest_steps_are_found_too() {
        for steps in [
            Steps::new(1.0, 2.0, 1.0e-6),
            Steps::new(1.9999, 2.0, MIN_SWEEP_STEP),
        ] {
            steps.validate().unwrap();
            let middle = (steps.low + steps.high) / 2.0;
            let border = steps.at(12_345);
            for d in [
                steps.low,
                steps.low.next_up(),
                middle,
                border,
                border.next_down(),
            ] {
                assert_eq!(steps.first_below(d), walk(&steps, d), "{d}");
            }
            let last = steps.first_below(steps.high.next_down());
            assert_eq!(last, walk(&steps, steps.high.next_down()));
            assert_eq!(steps.first_below(steps.high), None);
        }
        assert!(Steps::new(1.0, 1.0 + 1e-9, 1e-10).validate().is_err());
    }
}
