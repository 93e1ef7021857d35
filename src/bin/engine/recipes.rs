//! `engine recipes`.

use std::fmt::Write as _;
use std::path::Path;

use clap::{Args, Subcommand};
use doppel::error::Result;
use doppel::recipe::catalogue::{self, Need};
use doppel::recipe::{Published, Recipe, rule_to_text};
use serde_json::{Value, json};

use crate::common::{Common, Done, out};

#[derive(Args)]
#[command(
    after_help = "Example:\n  engine recipes\n  engine recipes show tan-final\n  engine match listings.csv \
    --images photos/ --recipe tan-final --weights weights/ --out matches.csv\n\nA recipe takes its weights \
    from the folder that --weights names, under the paths that it has written; --embeddings \
    NAME=FILE gives it rows in their place. What `show` prints is a recipe file: it can be kept, changed \
    and named with --recipe FILE.toml."
)]
pub struct Arguments {
    #[command(subcommand)]
    what: Option<What>,
    #[command(flatten)]
    pub common: Common,
}

#[derive(Subcommand)]
enum What {
    /// Print one recipe: its file, where it was published, and what to download
    #[command(after_help = "Example:\n  engine recipes show tan-final > mine.toml")]
    Show {
        /// The recipe, as `engine recipes` lists it, or a file
        #[arg(value_name = "NAME|FILE.toml")]
        name: String,
    },
}

pub fn run(a: &Arguments) -> Result<Done> {
    match &a.what {
        None => list(a)?,
        Some(What::Show { name }) => show(a, name)?,
    }
    Ok(Done::Clean)
}

fn list(a: &Arguments) -> Result<()> {
    let named = |name| catalogue::parse(name, Path::new(""));
    let recipes: Vec<Recipe> = catalogue::names().map(named).collect::<Result<_>>()?;
    if a.common.json {
        let all: Vec<Value> = recipes.iter().map(to_json).collect();
        a.common.result(&Value::Array(all));
        return Ok(());
    }
    let width = |cells: &dyn Fn(&Recipe) -> String| {
        let widths = recipes.iter().map(|r| cells(r).chars().count());
        widths.max().unwrap_or(0)
    };
    let (names, from) = (width(&|r| r.name.clone()), width(&origin));
    let line = |cells: [&str; 5]| {
        let [name, score, from_, needs, about] = cells;
        format!("{name:names$}  {score:8}  {from_:from$}  {needs:5}  {about}")
    };
    let heads = ["name", "score", "published in", "needs", "what it is"];
    a.common.print(&line(heads));
    for recipe in &recipes {
        let published = recipe.published.as_ref();
        let score = published.and_then(|p| p.score);
        let score = score.map_or_else(|| "-".to_string(), digits);
        let about = recipe.about.as_deref().unwrap_or("");
        let cells = [&recipe.name, &score, &origin(recipe), &wants(recipe), about];
        a.common.print(&line(cells));
    }
    a.common.print(
        "\nneeds: encoders of images (i) and of titles (t) whose weights are to be had first, and rows \
         that are to be given (g)",
    );
    Ok(())
}

/// A score with as many digits as scores are printed with: three, or four or six where there are more.
fn digits(score: f64) -> String {
    let shortest = score.to_string();
    let known = shortest.split_once('.').map_or(0, |(_, after)| after.len());
    let digits = match known {
        0..=3 => 3,
        4 => 4,
        _ => 6,
    };
    format!("{score:.digits$}")
}

/// The system and the table.
fn origin(recipe: &Recipe) -> String {
    match &recipe.published {
        Some(p) => match p.place.split_once([',', ';', '(']) {
            Some((first, _)) => format!("{}, {}", p.system, first.trim_end()),
            None => format!("{}, {}", p.system, p.place),
        },
        None => "-".to_string(),
    }
}

/// What a recipe needs beside the listings, in a few letters.
fn wants(recipe: &Recipe) -> String {
    let mut needs = catalogue::needs(recipe);
    // One encoder may stand behind several spaces.
    let mut seen = Vec::new();
    needs.retain(|need| {
        let encoder = (need.encoder.clone(), need.weights.clone());
        let new = !seen.contains(&encoder);
        seen.push(encoder);
        new
    });
    let images = needs.iter().filter(|n| n.encoder.starts_with("timm:"));
    let images = images.count();
    let counts = [
        (images, "i"),
        (needs.len() - images, "t"),
        (catalogue::given(recipe).len(), "g"),
    ];
    let parts = counts.iter().filter(|(count, _)| *count > 0);
    let parts: Vec<String> = parts.map(|(count, of)| format!("{count}{of}")).collect();
    match parts.is_empty() {
        true => "-".to_string(),
        false => parts.join(" "),
    }
}

fn show(a: &Arguments, name: &str) -> Result<()> {
    let (recipe, text) = match catalogue::is_file(name) {
        true => {
            let recipe = Recipe::read_with(Path::new(name), Path::new(""))?;
            let text = recipe.to_toml();
            (recipe, text)
        }
        false => {
            let recipe = catalogue::parse(name, Path::new(""))?;
            let text = catalogue::text(name).unwrap_or_default();
            (recipe, text.to_string())
        }
    };
    if a.common.json {
        let mut value = to_json(&recipe);
        value["toml"] = json!(text);
        a.common.result(&value);
    } else if !a.common.quiet {
        out(&format!("{}\n{}", heading(&recipe), text.trim_end()));
    }
    Ok(())
}

/// What is told of a recipe above its file: as comments, so that all of it is a recipe file.
fn heading(recipe: &Recipe) -> String {
    let mut text = String::new();
    // Writing to a string does not fail.
    let mut line = |words: &str| {
        let _ = match words.is_empty() {
            true => writeln!(text, "#"),
            false => writeln!(text, "# {words}"),
        };
    };
    if let Some(p) = &recipe.published {
        line(&format!("{}: {}", p.system, p.place));
        line(&format!("in {}", p.paper));
        scores(p, &mut line);
        line("");
    }
    let needs = catalogue::needs(recipe);
    for (at, need) in needs.iter().enumerate() {
        let command = need.command();
        let told = needs[..at].iter().any(|other| other.command() == command);
        tell(need, command.is_some() && told, &mut line);
    }
    for space in catalogue::given(recipe) {
        line(&format!(
            "The rows of {space} come with the run: --embeddings {space}={space}.npy"
        ));
    }
    if needs.is_empty() && catalogue::given(recipe).is_empty() {
        line("It needs no weights.");
    }
    line("");
    let (weights, given) = (!needs.is_empty(), catalogue::given(recipe));
    let mut command = format!("engine match listings.csv --recipe {}", recipe.name);
    if needs.iter().any(|n| n.encoder.starts_with("timm:")) {
        command.push_str(" --images photos/");
    }
    if weights {
        command.push_str(" --weights .");
    }
    for space in given {
        let _ = write!(command, " --embeddings {space}={space}.npy");
    }
    command.push_str(" --out matches.csv");
    line(&command);
    text
}

fn scores(p: &Published, line: &mut impl FnMut(&str)) {
    let on = |split: Option<&str>| split.map_or_else(String::new, |s| format!(" on the {s}"));
    if let Some(score) = p.score {
        let listings = p.listings.map(|n| format!(" ({n} listings)"));
        line(&format!(
            "{} {}{}{}",
            p.metric,
            digits(score),
            on(p.split.as_deref()),
            listings.unwrap_or_default()
        ));
    }
    for (split, score) in &p.also {
        let score = digits(*score);
        line(&format!("{} {score}{}", p.metric, on(Some(split))));
    }
}

/// How the weights of one encoder are had; `told`: their command stands above already.
fn tell(need: &Need, told: bool, line: &mut impl FnMut(&str)) {
    let Some(command) = need.command() else {
        line(&format!(
            "{} ({}): weights of your own, at {}",
            need.space,
            need.encoder,
            need.weights.display()
        ));
        return;
    };
    if !told {
        line(&command);
    }
    if let Some(trained) = &need.trained {
        line(&format!(
            "  {}: those are where training began, and alone do not give the score. {trained}",
            need.space
        ));
    }
}

fn to_json(recipe: &Recipe) -> Value {
    let names: Vec<&str> = recipe.spaces.iter().map(|s| s.name.as_str()).collect();
    let need = |need: &Need| {
        json!({
            "space": need.space,
            "encoder": need.encoder,
            "weights": need.weights,
            "name": need.name,
            "trained": need.trained,
            "command": need.command(),
        })
    };
    let published = recipe.published.as_ref().map(|p| {
        let also: serde_json::Map<String, Value> = p
            .also
            .iter()
            .map(|(name, score)| (name.clone(), json!(score)))
            .collect();
        json!({
            "system": p.system,
            "paper": p.paper,
            "where": p.place,
            "metric": p.metric,
            "score": p.score,
            "split": p.split,
            "listings": p.listings,
            "also": also,
            "notes": p.notes,
        })
    });
    json!({
        "name": recipe.name,
        "about": recipe.about,
        "source": recipe.source,
        "published": published,
        "score": recipe.published.as_ref().and_then(|p| p.score),
        "needs": catalogue::needs(recipe).iter().map(need).collect::<Vec<_>>(),
        "given": catalogue::given(recipe),
        "spaces": names,
        "fusion": rule_to_text(&recipe.fusion, &names),
    })
}
