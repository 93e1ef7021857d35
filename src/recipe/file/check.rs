//! Whether a recipe makes sense, before anything runs.

use super::{KEYWORDS, after, classic, expression, rule_to_text};
use crate::embed;
use crate::error::{Error, Result};
use crate::limits::{
    MAX_CLEAN_STEPS, MAX_COLOURS, MAX_EXPRESSION_BYTES, MAX_K, MAX_MATCHES, MAX_POSITIONS,
    MAX_ROWS, MAX_SPACE_NAME, MAX_SPACES, MAX_STEPS,
};
use crate::recipe::{Of, Recipe, Space, Step};
use crate::search::Fuse;

/// What of a recipe is wrong.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Place {
    /// Something that has a key of its own.
    Key(&'static str),
    /// The space of this place.
    Space(usize),
    /// A space's step.
    Step(usize, usize),
}

type Checked = std::result::Result<(), (Place, Error)>;

/// Checks everything; the first fault comes with its place.
pub fn recipe(recipe: &Recipe) -> Checked {
    let key = |key: &'static str, checked: Result<()>| checked.map_err(|e| (Place::Key(key), e));
    key("name", title(&recipe.name))?;
    let neighbours = recipe.neighbours;
    key("neighbours", within("neighbours", neighbours, 2, MAX_K))?;
    key("matches", within("matches", recipe.matches, 1, MAX_MATCHES))?;
    key(
        "spaces",
        within("spaces", recipe.spaces.len(), 1, MAX_SPACES),
    )?;
    for (i, space) in recipe.spaces.iter().enumerate() {
        let told = |e: Error| (Place::Space(i), of_space(space, &e));
        name(&space.name).map_err(|e| (Place::Space(i), e))?;
        let before = &recipe.spaces[..i];
        if before.iter().any(|other| other.name == space.name) {
            let error = Error::input(format!("two spaces are called {}", space.name));
            return Err((Place::Space(i), error.mend("give each a name of its own")));
        }
        of(space, i, &recipe.spaces).map_err(told)?;
        euclidean(space).map_err(told)?;
        clean(space).map_err(told)?;
        steps(space, i).map_err(|(place, e)| (place, of_space(space, &e)))?;
    }
    key("fusion", fusion(recipe))?;
    if let Some(rule) = &recipe.after.pair_model {
        key("pair_model", after::check_pair_model(rule))?;
    }
    if let Some(groups) = &recipe.after.groups {
        key("groups", groups.check())?;
    }
    key("chisel", after::check_chisel(&recipe.after.chisel))?;
    key("tuned", tuned(recipe))?;
    key("published", super::published::check(recipe))
}

/// Checks how a space's rows are compared.
fn euclidean(space: &Space) -> Result<()> {
    let Some(scale) = space.euclidean else {
        return Ok(());
    };
    if !scale.is_finite() || scale <= 0.0 {
        return Err(Error::input(format!("euclidean is {scale}"))
            .mend("give a number above 0, by which distances are divided"));
    }
    let rows = matches!(
        space.of,
        Of::Image { .. } | Of::Text { .. } | Of::File(_) | Of::Given
    );
    if !rows || !space.refine.is_empty() {
        let mend = "compare the rows of an encoder or a file, as they stand";
        let why = match rows {
            true => "steps refine rows of unit length, and it is compared by Euclidean distance",
            false => "it has no rows of its own to compare by Euclidean distance",
        };
        return Err(Error::input(why).mend(mend));
    }
    Ok(())
}

/// An error of a space, with its name.
fn of_space(space: &Space, e: &Error) -> Error {
    let error = Error::new(e.kind(), format!("space {}: {}", space.name, e.message()));
    match e.mending() {
        Some(mend) => error.mend(mend),
        None => error,
    }
}

fn title(name: &str) -> Result<()> {
    match name.trim().is_empty() || name.chars().any(char::is_control) {
        true => Err(Error::input(format!("the recipe's name is {name:?}"))
            .mend("give it a name of one line")),
        false => Ok(()),
    }
}

fn within(what: &str, found: usize, least: usize, most: usize) -> Result<()> {
    match (least..=most).contains(&found) {
        true => Ok(()),
        false => {
            Err(Error::limit(format!("{found} {what}")).mend(format!("give {least} to {most}")))
        }
    }
}

/// Checks what a space is called.
pub fn name(name: &str) -> Result<()> {
    let shown: String = name.chars().take(MAX_SPACE_NAME).collect();
    let begins = name.starts_with(|c: char| c.is_ascii_alphabetic());
    if !begins || !name.chars().all(expression::named) {
        return Err(Error::input(format!("a space is called {shown:?}"))
            .mend("use letters (a to z), digits, _ and -, with a letter first"));
    }
    if name.len() > MAX_SPACE_NAME {
        let error = Error::limit(format!("the name of the space {shown}... is long"));
        return Err(error.mend(format!("{MAX_SPACE_NAME} characters are the most")));
    }
    if KEYWORDS.contains(&name) {
        let message = format!("a space is called {name}, a word of the fusion expression");
        return Err(Error::input(message).mend("call it otherwise"));
    }
    Ok(())
}

fn of(space: &Space, i: usize, spaces: &[Space]) -> Result<()> {
    match &space.of {
        Of::Phash | Of::Given => Ok(()),
        Of::Tfidf { options, .. } => options.validate(),
        Of::Word2Vec { options, .. } => classic::check_word2vec(options),
        Of::Colours { clusters, .. } => within("clusters of colours", *clusters, 1, MAX_COLOURS),
        Of::Image { encoder, batch } => {
            embed::batch_for(*batch, 1)?;
            encoder.prepare().map(drop)
        }
        Of::Text { encoder, .. } => match encoder.max_tokens {
            Some(tokens) => within("tokens (max_tokens)", tokens, 1, MAX_POSITIONS),
            None => Ok(()),
        },
        Of::File(path) if path.as_os_str().is_empty() => {
            Err(Error::input("the file has no name").mend("give an .npy or .npz file"))
        }
        Of::File(_) => Ok(()),
        Of::Concat(parts) => {
            members(parts, i, spaces)?;
            if let Some((_, weight)) = parts.iter().find(|(_, w)| !w.is_finite() || *w <= 0.0) {
                return Err(Error::input(format!("a weight is {weight}"))
                    .mend("give a weight above 0, such as 1"));
            }
            parts
                .iter()
                .try_for_each(|&(part, _)| match &spaces[part].of {
                    _ if spaces[part].euclidean.is_some() => Err(not_unit(&spaces[part])),
                    Of::Phash => Err(no_rows(&spaces[part], "holds hashes, no rows")),
                    Of::Fused { .. } => Err(no_rows(&spaces[part], "is fused, and has no rows")),
                    Of::Ranked(_) => Err(no_rows(&spaces[part], "is ranked, and has no rows")),
                    Of::Pair { .. } => Err(no_rows(&spaces[part], "judges pairs, and has no rows")),
                    _ => Ok(()),
                })
        }
        Of::Ranked(part) => {
            earlier(*part, i)?;
            match &spaces[*part].of {
                Of::Ranked(_) => {
                    let error = format!("it ranks {}, which is ranked itself", spaces[*part].name);
                    Err(Error::input(error).mend("rank the space that this one ranks"))
                }
                _ => Ok(()),
            }
        }
        Of::Fused { spaces: parts, by } => {
            members(parts, i, spaces)?;
            fused(parts, *by, spaces)?;
            parts
                .iter()
                .try_for_each(|&(part, _)| match &spaces[part].of {
                    _ if spaces[part].euclidean.is_some() => Err(not_unit(&spaces[part])),
                    Of::Phash => Err(no_rows(&spaces[part], "holds hashes, no rows")),
                    Of::Fused { .. } => Err(no_rows(&spaces[part], "is fused itself")),
                    Of::Ranked(_) => Err(no_rows(&spaces[part], "is ranked, and has no rows")),
                    Of::Pair { .. } => Err(no_rows(&spaces[part], "judges pairs, and has no rows")),
                    _ => Ok(()),
                })
        }
        Of::Pair {
            spaces: parts,
            classifier,
        } => {
            let weighted: Vec<(usize, f64)> = parts.iter().map(|&part| (part, 1.0)).collect();
            members(&weighted, i, spaces)?;
            classic::check_pairs(classifier)?;
            parts.iter().try_for_each(|&part| match &spaces[part].of {
                Of::Phash => Err(no_rows(&spaces[part], "holds hashes, no rows")),
                Of::Tfidf { .. } => Err(no_rows(&spaces[part], "has sparse rows")),
                of if of.is_scores() => Err(no_rows(&spaces[part], "has no rows")),
                _ => Ok(()),
            })
        }
    }
}

fn clean(space: &Space) -> Result<()> {
    if !space.clean.is_empty() && !space.of.reads_titles() {
        let error = Error::input("it is cleaned, and does not read titles");
        return Err(error.mend("clean spaces of titles alone"));
    }
    within("steps of cleaning", space.clean.len(), 0, MAX_CLEAN_STEPS)
}

/// What [`Fuse::check`] says, with the part's name where it is about one weight.
fn fused(parts: &[(usize, f64)], by: Fuse, spaces: &[Space]) -> Result<()> {
    by.check(&[1.0])?;
    for &(part, weight) in parts.iter().filter(|&&(_, weight)| weight != 0.0) {
        by.check(&[weight]).map_err(|e| {
            let message = format!("the weight of {} is {weight}", spaces[part].name);
            Error::new(e.kind(), message).mend(e.mending().unwrap_or_default())
        })?;
    }
    let weights: Vec<f64> = parts.iter().map(|&(_, weight)| weight).collect();
    by.check(&weights)
}

fn not_unit(part: &Space) -> Error {
    no_rows(
        part,
        "is compared by Euclidean distance, and its rows are not of unit length",
    )
}

fn no_rows(part: &Space, why: &str) -> Error {
    Error::input(format!("its part {} {why}", part.name)).mend("make it of spaces of rows")
}

/// Checks what a space is made of: earlier spaces, each once.
fn members(parts: &[(usize, f64)], i: usize, spaces: &[Space]) -> Result<()> {
    if parts.is_empty() {
        return Err(Error::input("it is made of no spaces").mend("name some, with their weights"));
    }
    for (at, &(part, _)) in parts.iter().enumerate() {
        earlier(part, i)?;
        if parts[..at].iter().any(|&(other, _)| other == part) {
            let message = format!("it is made of {} twice", spaces[part].name);
            return Err(Error::input(message).mend("name it once, with one weight"));
        }
    }
    Ok(())
}

fn earlier(part: usize, i: usize) -> Result<()> {
    match part < i {
        true => Ok(()),
        false => Err(Error::input(format!(
            "it stands at place {i} and rests on the space at place {part}"
        ))
        .mend("put what a space rests on before it")),
    }
}

fn steps(space: &Space, i: usize) -> Checked {
    let none = match space.of {
        Of::Phash => Some("hashes are not rows, which alone can be refined"),
        Of::Fused { .. } => Some("a fused space has no rows to refine"),
        Of::Ranked(_) => Some("a ranked space has no rows to refine"),
        Of::Pair { .. } => Some("a classifier of pairs has no rows to refine"),
        _ => None,
    };
    match none {
        Some(why) if !space.refine.is_empty() => {
            let error = Error::input(why).mend("refine the spaces that it is made of, or none");
            return Err((Place::Step(i, 0), error));
        }
        _ => {}
    }
    within("steps", space.refine.len(), 0, MAX_STEPS).map_err(|e| (Place::Space(i), e))?;
    for (at, one) in space.refine.iter().enumerate() {
        let checked = match *one {
            Step::Expand(expand) => expand.check(),
            Step::ExpandBy(by) => by.expand.check(),
            Step::Blend { blend, by, .. } => blend
                .check()
                .and_then(|()| by.map_or(Ok(()), |by| earlier(by, i))),
        };
        checked.map_err(|e| (Place::Step(i, at), e))?;
    }
    Ok(())
}

fn fusion(recipe: &Recipe) -> Result<()> {
    let rule = &recipe.fusion;
    rule.validate(recipe.spaces.len())?;
    for source in rule.sources() {
        let Some(reach) = rule.reach(source) else {
            continue;
        };
        if reach.equal && reach.below.is_some() {
            let name = &recipe.spaces[source].name;
            let message = format!("the rule takes {name} both by equality and by distance");
            return Err(Error::input(message).mend(format!(
                "write a small distance for equality, as in `{name} < .001`"
            )));
        }
    }
    let names: Vec<&str> = recipe.spaces.iter().map(|s| s.name.as_str()).collect();
    let length = rule_to_text(rule, &names).len();
    match length > MAX_EXPRESSION_BYTES {
        true => Err(
            Error::limit(format!("the rule takes {length} bytes as an expression"))
                .mend(format!("{MAX_EXPRESSION_BYTES} are the most")),
        ),
        false => Ok(()),
    }
}

fn tuned(recipe: &Recipe) -> Result<()> {
    let Some(tuned) = &recipe.tuned else {
        return Ok(());
    };
    within("listings (tuned)", tuned.listings, 1, MAX_ROWS)?;
    match tuned.f1 {
        Some(f1) if !(0.0..=1.0).contains(&f1) => {
            Err(Error::input(format!("the tuned F1 is {f1}")).mend("give a number from 0 to 1"))
        }
        _ => Ok(()),
    }
}
