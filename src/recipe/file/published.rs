//! The `[published]` of a recipe file: read, checked and printed.

use super::print::{Lines, float, key, quoted};
use super::table::Value;
use crate::error::{Error, Result};
use crate::limits::MAX_ROWS;
use crate::recipe::{Published, PublishedWeights, Recipe};

const KEYS: [&str; 10] = [
    "system", "paper", "where", "metric", "score", "split", "listings", "also", "notes", "weights",
];

/// The section at `value`.
pub fn read(value: &Value<'_>) -> Result<Published> {
    let table = value.table()?;
    table.only("published.", "published", &KEYS)?;
    let get = |key: &str| table.get("published.", key);
    let text = |key: &str| -> Result<Option<String>> {
        let text = get(key).map(|v| v.string()).transpose()?;
        Ok(text.map(str::to_string))
    };
    let needed = |key: &str, mend: &str| -> Result<String> {
        text(key)?.ok_or_else(|| {
            let message = format!("does not say {key}");
            value.wrong(&message).mend(mend)
        })
    };
    let also = get("also").map(|v| v.table()).transpose()?;
    let also = also.map(|table| table.entries("published.also."));
    let notes = get("notes").map(|v| v.list()).transpose()?;
    let weights = get("weights").map(|v| v.table()).transpose()?;
    let weights = weights.map(|table| table.entries("published.weights."));
    Ok(Published {
        system: needed("system", "give system = \"Tan\", say")?,
        paper: needed("paper", "name the paper or the page")?,
        place: needed("where", "give the place in it: where = \"Table 2, row 1\"")?,
        metric: text("metric")?.unwrap_or_else(|| "F1".to_string()),
        score: get("score").map(|v| v.number()).transpose()?,
        split: text("split")?,
        listings: get("listings").map(|v| v.count()).transpose()?,
        also: also
            .unwrap_or_default()
            .iter()
            .map(|(name, score)| Ok(((*name).to_string(), score.number()?)))
            .collect::<Result<_>>()?,
        notes: notes
            .unwrap_or_default()
            .iter()
            .map(|note| Ok(note.string()?.to_string()))
            .collect::<Result<_>>()?,
        weights: weights
            .unwrap_or_default()
            .iter()
            .map(|(space, value)| weights_of(space, value))
            .collect::<Result<_>>()?,
    })
}

fn weights_of(space: &str, value: &Value<'_>) -> Result<PublishedWeights> {
    let (table, at) = (value.table()?, format!("{}.", value.key));
    table.only(&at, "published weights", &["name", "trained"])?;
    let name = table.get(&at, "name").ok_or_else(|| {
        value
            .wrong("has no name")
            .mend("give name = \"timm/resnet18.a1_in1k\", say")
    })?;
    let trained = table.get(&at, "trained").map(|v| v.string()).transpose()?;
    Ok(PublishedWeights {
        space: space.to_string(),
        name: name.string()?.to_string(),
        trained: trained.map(str::to_string),
    })
}

/// Checks the section of `recipe`, if it has one.
pub fn check(recipe: &Recipe) -> Result<()> {
    let Some(published) = &recipe.published else {
        return Ok(());
    };
    let also = published.also.iter().map(|(_, score)| score);
    for score in published.score.iter().chain(also) {
        if !(0.0..=1.0).contains(score) {
            return Err(Error::input(format!("a published score is {score}"))
                .mend("give a number from 0 to 1"));
        }
    }
    if let Some(listings) = published.listings
        && !(1..=MAX_ROWS).contains(&listings)
    {
        let message = format!("{listings} listings (published)");
        return Err(Error::limit(message).mend(format!("give 1 to {MAX_ROWS}")));
    }
    for (at, weights) in published.weights.iter().enumerate() {
        if !recipe.spaces.iter().any(|s| s.name == weights.space) {
            let message = format!("there are published weights for {:?}", weights.space);
            return Err(Error::input(message).mend("name a space of the recipe"));
        }
        let before = &published.weights[..at];
        if before.iter().any(|other| other.space == weights.space) {
            let message = format!("there are published weights for {} twice", weights.space);
            return Err(Error::input(message).mend("name them once"));
        }
    }
    Ok(())
}

/// Prints the section.
pub fn print(published: &Published, out: &mut Lines) {
    out.section("published");
    out.put("system", quoted(&published.system));
    out.put("paper", quoted(&published.paper));
    out.put("where", quoted(&published.place));
    out.put("metric", quoted(&published.metric));
    out.put_some("score", published.score.map(float));
    out.put_some("split", published.split.as_deref().map(quoted));
    out.put_some("listings", published.listings);
    if !published.also.is_empty() {
        let also = published.also.iter();
        let also: Vec<String> = also
            .map(|(name, score)| format!("{} = {}", key(name), float(*score)))
            .collect();
        out.put("also", format!("{{ {} }}", also.join(", ")));
    }
    if !published.notes.is_empty() {
        let notes: Vec<String> = published.notes.iter().map(|note| quoted(note)).collect();
        out.put("notes", format!("[{}]", notes.join(", ")));
    }
    if published.weights.is_empty() {
        return;
    }
    out.section("published.weights");
    for weights in &published.weights {
        let mut entries = vec![format!("name = {}", quoted(&weights.name))];
        let trained = weights.trained.as_deref();
        entries.extend(trained.map(|trained| format!("trained = {}", quoted(trained))));
        out.put(
            &key(&weights.space),
            format!("{{ {} }}", entries.join(", ")),
        );
    }
}
