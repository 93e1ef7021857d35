//! What a file holds against what a model wants: names, shapes and types, before any value is read.

use std::collections::{HashMap, HashSet};
use std::fmt;

use super::{WeightFile, short};
use crate::error::{Error, Kind, Result};

/// What a file holds beyond what was wanted, and may: classifier heads, counters.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Extras {
    /// The names of the tensors that were ignored, sorted.
    pub ignored: Vec<String>,
}

impl fmt::Display for Extras {
    /// `ignored 3 tensors that the model has no place for (fc.bias, fc.weight, ...)`, or nothing.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.ignored[..] {
            [] => Ok(()),
            [one] => write!(
                f,
                "ignored 1 tensor that the model has no place for ({})",
                short(one)
            ),
            all => write!(
                f,
                "ignored {} tensors that the model has no place for ({})",
                all.len(),
                few(all, 2)
            ),
        }
    }
}

/// The first `shown` names, and dots when there are more.
fn few(names: &[String], shown: usize) -> String {
    let mut list: Vec<String> = names.iter().take(shown).map(|n| short(n)).collect();
    if names.len() > shown {
        list.push("...".into());
    }
    list.join(", ")
}

/// `" (and N more)"`, or nothing.
fn and_more(count: usize) -> String {
    match count {
        0 | 1 => String::new(),
        n => format!(" (and {} more)", n - 1),
    }
}

/// What to do about weights of another model.
const ANOTHER: &str = "fetch the weights of the encoder that was asked for, or ask for the encoder \
    that these weights are of";

/// Checks that `source` holds every tensor of `wanted` (name and shape) as floating-point numbers, and
/// nothing else but what `known_extra` says yes to.
///
/// No shape is bent to fit: `[8, 4, 1, 1]` is not `[8, 4]`.
///
/// # Errors
/// A missing tensor, a shape or an element type that is not what was wanted, or a tensor that nobody
/// asked for; the file and the first such tensor are named, with how many more there are.
pub fn check_against(
    source: &WeightFile,
    wanted: &[(String, Vec<usize>)],
    known_extra: &dyn Fn(&str) -> bool,
) -> Result<Extras> {
    missing(source, wanted)?;
    shapes(source, wanted)?;
    let names: HashSet<&str> = wanted.iter().map(|(name, _)| &name[..]).collect();
    let mut extras: Vec<String> = source.names().map(str::to_owned).collect();
    extras.retain(|name| !names.contains(&name[..]));
    extras.sort();
    let (ignored, strange): (Vec<String>, _) = extras.into_iter().partition(|n| known_extra(n));
    if let Some(first) = strange.first() {
        let message = format!(
            "tensor {}{}: the model has no place for it",
            short(first),
            and_more(strange.len())
        );
        return Err(Error::input(message)
            .path(source.path_of(first))
            .mend(ANOTHER));
    }
    Ok(Extras { ignored })
}

fn missing(source: &WeightFile, wanted: &[(String, Vec<usize>)]) -> Result<()> {
    let absent: Vec<&String> = wanted
        .iter()
        .map(|(name, _)| name)
        .filter(|name| source.entry(name).is_none())
        .collect();
    let Some(first) = absent.first() else {
        return Ok(());
    };
    // More than half is not a damaged file: these are the weights of something else.
    if absent.len() * 2 > wanted.len() {
        let message = format!(
            "holds the weights of another model: {} of {} tensors are missing, the first is {}{}",
            absent.len(),
            wanted.len(),
            short(first),
            match source.names().min() {
                Some(name) => format!("; there is {}", short(name)),
                None => "; it holds none at all".to_owned(),
            }
        );
        return Err(Error::input(message).path(source.path()).mend(ANOTHER));
    }
    let message = format!(
        "tensor {}{}: it is missing",
        short(first),
        and_more(absent.len())
    );
    Err(Error::input(message).path(source.path()).mend(ANOTHER))
}

fn shapes(source: &WeightFile, wanted: &[(String, Vec<usize>)]) -> Result<()> {
    let mut wrong = Vec::new();
    for (name, dims) in wanted {
        let Some(entry) = source.entry(name) else {
            continue;
        };
        if entry.dtype.float.is_none() {
            return Err(super::no_float(source, name, entry));
        }
        if entry.dims != *dims {
            wrong.push((name, &entry.dims, dims));
        }
    }
    let Some((name, found, dims)) = wrong.first() else {
        return Ok(());
    };
    let message = format!(
        "tensor {}{}: its shape is {found:?}, the model's {dims:?}",
        short(name),
        and_more(wrong.len())
    );
    Err(Error::new(Kind::Shape, message)
        .path(source.path_of(name))
        .mend(ANOTHER))
}

/// The prefix under which all of `wanted` stand in a file with these `names`: the empty one, or one that
/// ends with a dot. Without such a prefix, the one with the most of them, when these are at least half.
///
/// # Errors
/// Two prefixes that both have all of them; the caller names the file.
pub(super) fn prefix<'a>(
    names: impl Iterator<Item = &'a str> + Clone,
    wanted: &[(String, Vec<usize>)],
) -> Result<String> {
    /// How many parts a prefix may have; published ones have one to three.
    const PARTS: usize = 6;
    let wanted: HashSet<&str> = wanted.iter().map(|(name, _)| &name[..]).collect();
    let plain = names.clone().filter(|name| wanted.contains(name)).count();
    if plain == wanted.len() {
        return Ok(String::new());
    }
    let mut found: HashMap<&str, usize> = HashMap::new();
    for name in names {
        for (dot, _) in name.match_indices('.').take(PARTS) {
            let (prefix, rest) = name.split_at(dot + 1);
            if wanted.contains(rest) {
                *found.entry(prefix).or_default() += 1;
            }
        }
    }
    let mut found: Vec<(&str, usize)> = found.into_iter().collect();
    found.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(b.0)));
    if let [(first, a), (second, b), ..] = found[..]
        && a == wanted.len()
        && b == a
    {
        let message = format!(
            "holds the model twice, under {} and under {}",
            short(first),
            short(second)
        );
        return Err(Error::input(message).mend("write a file with one of the two"));
    }
    match found.first() {
        Some(&(first, count)) if count > plain && count * 2 >= wanted.len() => Ok(first.to_owned()),
        _ => Ok(String::new()),
    }
}
