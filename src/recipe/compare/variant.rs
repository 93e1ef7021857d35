//! Variants of a recipe: plain, with Min2, blended; and without one kind of evidence.

use std::path::Path;

use crate::matching::{Part, Rule};
use crate::recipe::{Of, Recipe, Step, catalogue};
use crate::refine::Blend;
use crate::search::Fuse;

/// How much looser Min2's threshold is than the loosest of its space, where a recipe does not say. In Yang's
/// 36 searched pairs of thresholds it is 1.02 to 1.34 times the first.
pub const MIN2: f64 = 1.2;

/// What thresholds are multiplied by behind a blend, where a recipe does not say: similarities rise. In
/// Yang's runs the thresholds behind a blend are 0.24 to 0.5 times those before.
pub const BLENDED: f64 = 0.3;

/// A form of a recipe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Variant {
    /// Without Min2 and without blending.
    Plain,
    /// With Min2, without blending.
    Min2,
    /// Blended once, with Min2.
    Inb,
}

impl Variant {
    /// All of them.
    pub const ALL: [Variant; 3] = [Variant::Plain, Variant::Min2, Variant::Inb];

    /// What it is called.
    pub fn name(self) -> &'static str {
        match self {
            Variant::Plain => "plain",
            Variant::Min2 => "Min2",
            Variant::Inb => "INB",
        }
    }

    /// The recipe in this form.
    ///
    /// A recipe that is written so is taken as it is. A built-in one that has a sibling (`NAME-min2`,
    /// `NAME-inb`) gives the sibling, whose thresholds belong to it. Else the form is derived: Min2 and the
    /// steps of blending are taken out; a listing that the whole rule leaves alone then takes its nearest
    /// neighbour in one of the rule's spaces, in their order, below [`MIN2`] times its loosest distance; and
    /// each space, or those that it fuses, is blended once by that distance, with the rule's distances there
    /// times [`BLENDED`]. Those are thresholds to start from, not chosen ones.
    #[must_use]
    pub fn of(self, recipe: &Recipe, folder: &Path) -> Recipe {
        let written = match (blends(recipe), has_min2(&recipe.fusion)) {
            (true, _) => Variant::Inb,
            (false, true) => Variant::Min2,
            (false, false) => Variant::Plain,
        };
        if self == written {
            return recipe.clone();
        }
        if let Some(sibling) = sibling(recipe, folder, self) {
            return sibling;
        }
        let plain = plain(recipe);
        match self {
            Variant::Plain => plain,
            Variant::Min2 => with_min2(plain),
            Variant::Inb => with_min2(blended(plain)),
        }
    }
}

/// The built-in recipe that is `recipe` in another form.
fn sibling(recipe: &Recipe, folder: &Path, variant: Variant) -> Option<Recipe> {
    let built_in = catalogue::parse(&recipe.name, folder).ok()?;
    let name = &recipe.name;
    let base = name.strip_suffix("-min2").or(name.strip_suffix("-inb"));
    let base = base.unwrap_or(name);
    let wanted = match variant {
        Variant::Plain => base.to_string(),
        Variant::Min2 => format!("{base}-min2"),
        Variant::Inb => format!("{base}-inb"),
    };
    let found = catalogue::parse(&wanted, folder).ok()?;
    (built_in == *recipe && found.name != recipe.name).then_some(found)
}

fn blends(recipe: &Recipe) -> bool {
    let mut steps = recipe.spaces.iter().flat_map(|space| &space.refine);
    steps.any(|step| matches!(step, Step::Blend { .. }))
}

fn has_min2(rule: &Rule) -> bool {
    match rule {
        Rule::Min2 { .. } => true,
        Rule::Union(rules) | Rule::Intersection(rules) => rules.iter().any(has_min2),
        Rule::Reciprocal(rule) => has_min2(rule),
        Rule::Sweep(parts) => parts
            .iter()
            .any(|part| matches!(part, Part::Fixed(rule) if has_min2(rule))),
        _ => false,
    }
}

/// Without Min2 and blending. What was published of the recipe is not of this form.
fn plain(recipe: &Recipe) -> Recipe {
    let mut plain = recipe.clone();
    plain.fusion = without_min2(&recipe.fusion);
    for space in &mut plain.spaces {
        space
            .refine
            .retain(|step| !matches!(step, Step::Blend { .. }));
    }
    plain.tuned = None;
    if let Some(published) = &mut plain.published {
        published.unscored();
    }
    plain
}

fn without_min2(rule: &Rule) -> Rule {
    match rule {
        Rule::Min2 { rule, .. } => without_min2(rule),
        Rule::Union(rules) => Rule::Union(rules.iter().map(without_min2).collect()),
        Rule::Intersection(rules) => Rule::Intersection(rules.iter().map(without_min2).collect()),
        Rule::Reciprocal(rule) => Rule::Reciprocal(Box::new(without_min2(rule))),
        Rule::Sweep(parts) => Rule::Sweep(
            parts
                .iter()
                .map(|part| match part {
                    Part::Fixed(rule) => Part::Fixed(without_min2(rule)),
                    swept => swept.clone(),
                })
                .collect(),
        ),
        other => other.clone(),
    }
}

/// The spaces that the rule compares distances in, each with the loosest of them.
fn reaches(recipe: &Recipe) -> Vec<(usize, f64)> {
    let rule = &recipe.fusion;
    let reach = |space: usize| Some((space, rule.reach(space)?.below?));
    rule.sources().into_iter().filter_map(reach).collect()
}

fn with_min2(mut recipe: Recipe) -> Recipe {
    for (space, distance) in reaches(&recipe) {
        recipe.fusion = recipe.fusion.min2(space, (distance * MIN2).min(2.0));
    }
    recipe
}

fn blended(mut recipe: Recipe) -> Recipe {
    let mut changed = Vec::new();
    for (space, distance) in reaches(&recipe) {
        let it = &recipe.spaces[space];
        let rows: Vec<usize> = match &it.of {
            Of::Fused { spaces, .. } => spaces.iter().map(|part| part.0).collect(),
            Of::Phash | Of::Pair { .. } | Of::Ranked(_) => continue,
            _ if it.euclidean.is_some() => continue,
            _ => vec![space],
        };
        for row in rows {
            let steps = &mut recipe.spaces[row].refine;
            if !steps.iter().any(|step| matches!(step, Step::Blend { .. })) {
                steps.push(Step::Blend {
                    blend: Blend {
                        distance,
                        min2: Some((distance * MIN2).min(2.0)),
                    },
                    by: None,
                    conflicts: recipe.after.conflicts,
                });
            }
        }
        changed.push(space);
    }
    let numbers = recipe.fusion.numbers();
    let numbers: Vec<f64> = numbers
        .iter()
        .map(|n| match changed.contains(&n.source) {
            true => n.value * BLENDED,
            false => n.value,
        })
        .collect();
    recipe.fusion = recipe.fusion.with_numbers(&numbers);
    recipe
}

/// The kinds of evidence that `recipe`'s rule rests on, in the order of its spaces: `hashes`, `words` (TF-IDF),
/// `images`, `titles`, and rows of a file or given ones under their own names.
pub fn modalities(recipe: &Recipe) -> Vec<String> {
    let mut names = Vec::new();
    for space in used(recipe) {
        let name = modality(recipe, space);
        if let Some(name) = name
            && !names.contains(&name)
        {
            names.push(name);
        }
    }
    names
}

/// The spaces that the rule rests on.
fn used(recipe: &Recipe) -> Vec<usize> {
    let mut seen = vec![false; recipe.spaces.len()];
    let mut open = recipe.fusion.sources();
    while let Some(space) = open.pop() {
        if std::mem::replace(&mut seen[space], true) {
            continue;
        }
        let it = &recipe.spaces[space];
        match &it.of {
            Of::Pair { spaces, .. } => open.extend(spaces),
            Of::Ranked(space) => open.push(*space),
            _ => {}
        }
        if let Of::Concat(parts) | Of::Fused { spaces: parts, .. } = &it.of {
            open.extend(parts.iter().map(|part| part.0));
        }
        open.extend(it.refine.iter().filter_map(|step| match step {
            Step::Blend { by, .. } => *by,
            Step::Expand(_) | Step::ExpandBy(_) => None,
        }));
    }
    (0..seen.len()).filter(|&space| seen[space]).collect()
}

fn modality(recipe: &Recipe, space: usize) -> Option<String> {
    let it = &recipe.spaces[space];
    Some(match it.of {
        Of::Phash => "hashes".into(),
        Of::Tfidf { .. } | Of::Word2Vec { .. } => "words".into(),
        Of::Image { .. } | Of::Colours { .. } => "images".into(),
        Of::Text { .. } => "titles".into(),
        Of::Concat(_) | Of::Fused { .. } | Of::Pair { .. } | Of::Ranked(_) => return None,
        _ => it.name.clone(),
    })
}

/// `recipe` without one of its [`modalities`]; none where nothing is left.
///
/// The spaces of that kind go. A concatenation or a fused space goes on with its other parts and their
/// weights, and goes too when it has none; a classifier of pairs and a
/// ranked space go with any part of theirs. A blend by a space that is gone is one by the space's own
/// neighbours. In the rule an expression about a space that is gone drops out: of `or` and `sweep` the
/// others are left, and of `and` too, so the condition is no longer asked; `reciprocal` and `min2` of nothing are
/// nothing; and `min2(a, NAME < D)` with NAME gone is `a`. Thresholds stay as they are; a model
/// of pairs, which was trained on all of the evidence, goes.
pub fn without(recipe: &Recipe, name: &str) -> Option<Recipe> {
    let mut less = recipe.clone();
    let mut gone = vec![false; less.spaces.len()];
    for (i, space) in less.spaces.iter_mut().enumerate() {
        gone[i] = modality(recipe, i).as_deref() == Some(name);
        let fuse = match &space.of {
            Of::Fused { by, .. } => Some(*by),
            _ => None,
        };
        gone[i] |= match &space.of {
            Of::Pair { spaces, .. } => spaces.iter().any(|&part| gone[part]),
            Of::Ranked(of) => gone[*of],
            _ => false,
        };
        if let Of::Concat(parts) | Of::Fused { spaces: parts, .. } = &mut space.of {
            let left: Vec<(usize, f64)> = parts.iter().copied().filter(|p| !gone[p.0]).collect();
            let some = left.iter().any(|part| part.1 > 0.0);
            match (some, fuse) {
                (false, _) => gone[i] = true,
                (true, None | Some(Fuse::Mean | Fuse::Either | Fuse::Power(_))) => *parts = left,
            }
        }
        for step in &mut space.refine {
            if let Step::Blend { by, .. } = step {
                *by = by.filter(|&by| !gone[by]);
            }
        }
    }
    less.fusion = reduced(&recipe.fusion, &gone)?;
    less.after.pair_model = None;
    less.tuned = None;
    if let Some(published) = &mut less.published {
        published.unscored();
    }
    Some(less)
}

fn reduced(rule: &Rule, gone: &[bool]) -> Option<Rule> {
    let all = |rules: &[Rule]| -> Vec<Rule> {
        let left = rules.iter().filter_map(|rule| reduced(rule, gone));
        left.collect()
    };
    match rule {
        Rule::Threshold { source, .. } | Rule::Equal { source } => {
            (!gone[*source]).then(|| rule.clone())
        }
        Rule::Union(rules) => Some(all(rules))
            .filter(|left| !left.is_empty())
            .map(Rule::Union),
        Rule::Intersection(rules) => Some(all(rules))
            .filter(|left| !left.is_empty())
            .map(Rule::Intersection),
        Rule::Reciprocal(rule) => Some(Rule::Reciprocal(Box::new(reduced(rule, gone)?))),
        Rule::Min2 {
            rule,
            source,
            distance,
        } => {
            let rule = reduced(rule, gone)?;
            Some(match gone[*source] {
                true => rule,
                false => rule.min2(*source, *distance),
            })
        }
        Rule::Sweep(parts) => {
            let left = parts.iter().filter_map(|part| match part {
                Part::Swept { source, .. } => (!gone[*source]).then(|| part.clone()),
                Part::Fixed(rule) => reduced(rule, gone).map(Part::Fixed),
            });
            let left: Vec<Part> = left.collect();
            (!left.is_empty()).then_some(Rule::Sweep(left))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recipe::rule_to_text;

    fn parse(text: &str) -> Recipe {
        Recipe::parse(text, Path::new("")).unwrap()
    }

    fn rule(recipe: &Recipe) -> String {
        let names: Vec<&str> = recipe.spaces.iter().map(|s| s.name.as_str()).collect();
        rule_to_text(&recipe.fusion, &names)
    }

    const THREE: &str = "name = 'x'\n\
        fusion = 'min2(equal(h) or sweep(p < .2 to .4 by .1, w < .3) or p < .5 and t < .1, b < .6)'\n\
        [spaces]\nh.phash = true\np.given = true\nw.tfidf = {}\nt.text = 'hf:'\n\
        b.fused = { p = 1, t = 2 }\n";

    #[test]
    fn without_a_modality_the_rest_of_the_rule_stays() {
        let recipe = parse(THREE);
        assert_eq!(modalities(&recipe), ["hashes", "p", "words", "titles"]);
        let less = |name| without(&recipe, name).map(|r| rule(&r)).unwrap();
        assert_eq!(
            less("hashes"),
            "min2(sweep(p < 0.2 to 0.4 by 0.1, w < 0.3) or p < 0.5 and t < 0.1, b < 0.6)"
        );
        assert_eq!(
            less("p"),
            "min2(equal(h) or sweep(w < 0.3) or t < 0.1, b < 0.6)"
        );
        assert_eq!(
            less("titles"),
            "min2(equal(h) or sweep(p < 0.2 to 0.4 by 0.1, w < 0.3) or p < 0.5, b < 0.6)"
        );
        let fused = without(&recipe, "titles").unwrap();
        let Of::Fused { spaces, .. } = &fused.spaces[4].of else {
            panic!("it stays fused");
        };
        assert_eq!(spaces, &[(1, 1.0)]);
        fused.check().unwrap();
        let one = parse("name = 'x'\nfusion = 'w < .3'\n[spaces]\nw.tfidf = {}\n");
        assert_eq!(without(&one, "words"), None);
    }

    #[test]
    fn derived_forms_have_what_their_names_say() {
        let recipe = parse(
            "name = 'x'\nfusion = 'p < .4 or w < .5'\n[spaces]\np.given = true\nw.tfidf = {}\n",
        );
        let of = |variant: Variant| variant.of(&recipe, Path::new(""));
        assert_eq!(of(Variant::Plain), recipe);
        assert_eq!(
            rule(&of(Variant::Min2)),
            "min2(min2(p < 0.4 or w < 0.5, p < 0.48), w < 0.6)"
        );
        let inb = of(Variant::Inb);
        assert_eq!(
            rule(&inb),
            "min2(min2(p < 0.12 or w < 0.15, p < 0.144), w < 0.18)"
        );
        let stage = |distance, min2| Step::Blend {
            blend: Blend {
                distance,
                min2: Some(min2),
            },
            by: None,
            conflicts: Default::default(),
        };
        assert_eq!(inb.spaces[0].refine, [stage(0.4, 0.48)]);
        inb.check().unwrap();
        let written = parse(THREE);
        assert_eq!(Variant::Min2.of(&written, Path::new("")), written);
        assert!(!rule(&Variant::Plain.of(&written, Path::new(""))).contains("min2"));
    }

    #[test]
    fn built_in_siblings_take_the_place_of_derived_forms() {
        let named = |name: &str| catalogue::parse(name, Path::new("")).unwrap();
        for (from, variant, to) in [
            ("yang-xlmr", Variant::Min2, "yang-xlmr-min2"),
            ("yang-xlmr", Variant::Inb, "yang-xlmr-inb"),
            ("yang-xlmr-inb", Variant::Plain, "yang-xlmr"),
        ] {
            assert_eq!(variant.of(&named(from), Path::new("")), named(to));
        }
        let mut changed = named("yang-xlmr");
        changed.matches = 7;
        assert_eq!(Variant::Min2.of(&changed, Path::new("")).matches, 7);
        // Each built-in recipe has all three, and loses any one kind of evidence.
        for name in catalogue::names() {
            let recipe = named(name);
            for variant in Variant::ALL {
                let made = variant.of(&recipe, Path::new(""));
                made.check()
                    .unwrap_or_else(|e| panic!("{name}, {}: {e}", variant.name()));
            }
            for modality in modalities(&recipe) {
                if let Some(less) = without(&recipe, &modality) {
                    less.check()
                        .unwrap_or_else(|e| panic!("{name} without {modality}: {e}"));
                }
            }
        }
    }
}
