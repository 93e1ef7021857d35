//! From the text of a recipe file to a [`Recipe`].

use std::path::Path;

use toml::de::DeTable;

use super::after;
use super::check::{self, Place};
use super::expression::rule_from_text;
use super::published;
use super::space::{self, Names};
use super::table::{Table, Value, line_of};
use crate::error::{Error, Result};
use crate::limits::{MAX_MATCHES, MAX_SPACES};
use crate::recipe::{Of, Recipe, Space, Step, Tuned};

const KEYS: [&str; 13] = [
    "name",
    "about",
    "source",
    "neighbours",
    "matches",
    "fusion",
    "pair_model",
    "conflicts",
    "groups",
    "chisel",
    "spaces",
    "tuned",
    "published",
];

/// The recipe of `text`, with relative paths taken from `folder`.
pub fn recipe(text: &str, folder: &Path) -> Result<Recipe> {
    let parsed = DeTable::parse(text).map_err(|e| malformed(text, &e))?;
    let table = Table::whole(text, parsed.get_ref());
    table.only("", "a recipe", &KEYS)?;
    let needed = |key: &str, mend: &str| {
        let missing = || Error::input(format!("there is no {key}")).mend(mend.to_string());
        table.get("", key).ok_or_else(missing)
    };
    let optional = |key| -> Result<Option<String>> {
        let value = table.get("", key).map(|v| v.string());
        Ok(value.transpose()?.map(str::to_string))
    };
    let count = |key| table.get("", key).map_or(Ok(MAX_MATCHES), |v| v.count());

    let name = needed("name", "give the recipe one, as in name = \"mine\"")?.string()?;
    let section = needed(
        "spaces",
        "say what listings are compared in, as in [spaces.phash]",
    )?;
    let (spaces, lines) = spaces(&section, folder)?;
    let fusion = needed(
        "fusion",
        "say which neighbours match, as in fusion = \"words < .4\"",
    )?;
    let names: Vec<&str> = spaces.iter().map(|s| s.name.as_str()).collect();
    let rule = rule_from_text(fusion.string()?, &names);
    let recipe = Recipe {
        name: name.to_string(),
        about: optional("about")?,
        source: optional("source")?,
        neighbours: count("neighbours")?,
        matches: count("matches")?,
        fusion: rule.map_err(|e| e.line(fusion.line()))?,
        spaces,
        after: after::read(&table, folder)?,
        tuned: table.get("", "tuned").map(|v| tuned(&v)).transpose()?,
        published: table
            .get("", "published")
            .map(|v| published::read(&v))
            .transpose()?,
    };
    check::recipe(&recipe).map_err(|(place, error)| {
        let line = match place {
            Place::Key(key) => table.get("", key).map(|v| v.line()),
            Place::Space(i) => lines.get(i).map(|lines| lines.space),
            Place::Step(i, step) => lines.get(i).and_then(|l| l.steps.get(step).copied()),
        };
        match line {
            Some(line) => error.line(line),
            None => error,
        }
    })?;
    Ok(recipe)
}

/// Text that is not TOML.
fn malformed(text: &str, e: &toml::de::Error) -> Error {
    let said: String = e.message().chars().take(200).collect();
    let mut error = Error::input(format!("is not TOML: {said}"));
    let Some(span) = e.span() else { return error };
    error = error.line(line_of(text, span.start));
    // What TOML refuses though people write it.
    let from = text.get(..span.start).map_or(0, |before| {
        before.rfind(['=', ',', '[', '\n']).map_or(0, |at| at + 1)
    });
    let value = text.get(from..).unwrap_or("").trim_start();
    let mut characters = value.chars();
    match (characters.next(), characters.next()) {
        (Some('.'), Some(c)) if c.is_ascii_digit() => {
            error.mend("begin the number with a digit, as in 0.5")
        }
        _ => error,
    }
}

/// The lines that the parts of a space stand on.
struct Lines {
    space: u64,
    steps: Vec<u64>,
}

/// All spaces, each behind those that it is made of, else in the order of the file.
fn spaces(section: &Value<'_>, folder: &Path) -> Result<(Vec<Space>, Vec<Lines>)> {
    let entries = section.table()?.entries("spaces.");
    if entries.len() > MAX_SPACES {
        let message = format!("there are {} spaces", entries.len());
        let error = Error::limit(message).line(section.line());
        return Err(error.mend(format!("{MAX_SPACES} are the most")));
    }
    if entries.is_empty() {
        let mend = "say what listings are compared in, as in [spaces.phash]";
        return Err(section.wrong("is empty").mend(mend));
    }
    for (name, value) in &entries {
        check::name(name).map_err(|e| e.line(value.line()))?;
    }
    let names: Vec<&str> = entries.iter().map(|&(name, _)| name).collect();
    let names = Names {
        all: &names,
        folder,
    };
    let mut read = Vec::new();
    for (name, value) in &entries {
        let written = space::read(value, &names)?;
        let (refine, steps) = written.refine.into_iter().unzip();
        let lines = Lines {
            space: value.line(),
            steps,
        };
        let space = Space {
            name: (*name).to_string(),
            of: written.of,
            clean: written.clean,
            refine,
            euclidean: written.euclidean,
        };
        read.push((space, lines));
    }
    let order = order(&read)?;
    let mut places = vec![0; order.len()];
    for (place, &i) in order.iter().enumerate() {
        places[i] = place;
    }
    read.iter_mut().for_each(|(space, _)| {
        rests_on(space).for_each(|i| *i = places[*i]);
    });
    let mut read: Vec<Option<(Space, Lines)>> = read.into_iter().map(Some).collect();
    Ok(order.iter().filter_map(|&i| read[i].take()).unzip())
}

/// The places that a space names.
fn rests_on(space: &mut Space) -> impl Iterator<Item = &mut usize> {
    let (of, ranked) = match &mut space.of {
        Of::Concat(parts) | Of::Fused { spaces: parts, .. } => (&mut parts[..], None),
        Of::Ranked(place) => (&mut [][..], Some(place)),
        _ => (&mut [][..], None),
    };
    let steps = space.refine.iter_mut().filter_map(|step| match step {
        Step::Blend { by, .. } => by.as_mut(),
        Step::Expand(_) | Step::ExpandBy(_) => None,
    });
    let of = of.iter_mut().map(|(place, _)| place);
    of.chain(ranked).chain(steps)
}

/// The spaces in an order that has each behind those it rests on; the order of the file where there is a
/// choice.
fn order(read: &[(Space, Lines)]) -> Result<Vec<usize>> {
    let needs: Vec<Vec<usize>> = read
        .iter()
        .map(|(space, _)| rests_on(&mut space.clone()).map(|i| *i).collect())
        .collect();
    let mut walk = Walk {
        needs: &needs,
        open: Vec::new(),
        order: Vec::new(),
    };
    for i in 0..read.len() {
        walk.put(i).map_err(|cycle| {
            let name = |&i: &usize| read[i].0.name.as_str();
            let names: Vec<&str> = cycle.iter().map(name).collect();
            let first = &read[cycle[0]];
            let error = match names[..] {
                [one, _] => Error::input(format!("spaces.{one} rests on itself"))
                    .mend("a blend without `by` blends the space's own neighbours"),
                _ => Error::input(format!(
                    "the spaces rest on each other: {}",
                    names.join(" on ")
                ))
                .mend("make one of them of other spaces"),
            };
            error.line(first.1.space)
        })?;
    }
    Ok(walk.order)
}

/// A walk through the spaces, those that a space rests on first.
struct Walk<'a> {
    needs: &'a [Vec<usize>],
    open: Vec<usize>,
    order: Vec<usize>,
}

impl Walk<'_> {
    /// Puts space `i` behind those that it rests on; fails with the way from a space to itself.
    fn put(&mut self, i: usize) -> std::result::Result<(), Vec<usize>> {
        if self.order.contains(&i) {
            return Ok(());
        }
        if let Some(from) = self.open.iter().position(|&open| open == i) {
            let mut cycle = self.open[from..].to_vec();
            cycle.push(i);
            return Err(cycle);
        }
        self.open.push(i);
        for &needed in &self.needs[i] {
            self.put(needed)?;
        }
        self.open.pop();
        self.order.push(i);
        Ok(())
    }
}

fn tuned(value: &Value<'_>) -> Result<Tuned> {
    let table = value.table()?;
    table.only("tuned.", "tuned", &["listings", "f1"])?;
    let listings = table.get("tuned.", "listings").ok_or_else(|| {
        value
            .wrong("does not say on how many listings")
            .mend("give listings = 34250, say")
    })?;
    let f1 = table.get("tuned.", "f1");
    Ok(Tuned {
        listings: listings.count()?,
        f1: f1.map(|f1| f1.number()).transpose()?,
    })
}
