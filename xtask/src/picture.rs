//! `cargo xtask picture`: docs/demo.svg, drawn from what the demo wrote.
//!
//! Each group of listings that the demo matched is a row: the photographs, the titles, and why
//! they matched. The photographs are the demo's own files, embedded.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::path::Path;
use std::process::ExitCode;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

const COLUMNS: usize = 3;
const ROWS: usize = 4;
const CARD: (usize, usize) = (250, 292);
const PHOTO: usize = 200;

/// One listing's title and image.
struct Item {
    title: String,
    image: String,
}

pub fn main() -> ExitCode {
    let root = crate::root();
    let demo = root.join("target/doppel-demo");
    let out = demo.display().to_string();
    crate::run("cargo", &["run", "--release", "--", "demo", "--out", &out]);
    match draw(&demo) {
        Ok(svg) => {
            let target = root.join("docs/demo.svg");
            if let Err(error) = std::fs::write(&target, svg) {
                eprintln!("error: {}: {error}", target.display());
                return ExitCode::FAILURE;
            }
            println!("drew {}", target.display());
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn read(path: &Path) -> Result<String, String> {
    std::fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()))
}

/// The demo's own files have no quoted fields, so a line splits at its commas.
fn draw(demo: &Path) -> Result<String, String> {
    let listings = read(&demo.join("listings.csv"))?;
    let items: HashMap<&str, Item> = listings
        .lines()
        .skip(1)
        .filter_map(|line| {
            let fields: Vec<&str> = line.split(',').collect();
            let [id, image, _, title, _] = fields[..] else {
                return None;
            };
            Some((
                id,
                Item {
                    title: title.into(),
                    image: image.into(),
                },
            ))
        })
        .collect();
    let pairs = read(&demo.join("pairs.csv"))?;
    let why: HashMap<(&str, &str), String> = pairs
        .lines()
        .skip(1)
        .filter_map(|line| {
            let fields: Vec<&str> = line.split(',').collect();
            let [from, to, score, source, _] = fields[..] else {
                return None;
            };
            let score: f64 = score.parse().ok()?;
            Some(((from, to), format!("{source} {score:.2}")))
        })
        .collect();
    let matches = read(&demo.join("matches.csv"))?;
    let mut taken: Vec<&str> = Vec::new();
    let mut groups: Vec<Vec<&str>> = Vec::new();
    for line in matches.lines().skip(1) {
        let ids: Vec<&str> = line
            .split_once(',')
            .map_or("", |(_, m)| m)
            .split(' ')
            .collect();
        let whole = ids.len() == COLUMNS && !ids.iter().any(|id| taken.contains(id));
        if whole {
            taken.extend(&ids);
            groups.push(ids);
        }
    }
    // Spread over the file, so that the picture shows more than its beginning.
    let step = (groups.len() / ROWS).max(1);
    let shown: Vec<&Vec<&str>> = groups.iter().step_by(step).take(ROWS).collect();
    sheet(demo, &shown, &items, &why)
}

fn sheet(
    demo: &Path,
    groups: &[&Vec<&str>],
    items: &HashMap<&str, Item>,
    why: &HashMap<(&str, &str), String>,
) -> Result<String, String> {
    let (width, height) = (COLUMNS * CARD.0 + 20, groups.len() * CARD.1 + 20);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
         viewBox=\"0 0 {width} {height}\" font-family=\"system-ui, sans-serif\">\n\
         <title>Listings that doppel matched, with the evidence</title>\n\
         <rect width=\"{width}\" height=\"{height}\" fill=\"#f4f5f7\"/>\n"
    );
    for (row, group) in groups.iter().enumerate() {
        for (column, id) in group.iter().enumerate() {
            let Some(item) = items.get(id) else { continue };
            let path = demo.join("images").join(&item.image);
            let bytes = std::fs::read(&path).map_err(|e| format!("{}: {e}", path.display()))?;
            let (x, y) = (10 + column * CARD.0, 10 + row * CARD.1);
            let note = match column {
                0 => "the listing".to_string(),
                _ => format!(
                    "= {}",
                    why.get(&(group[0], *id)).cloned().unwrap_or_default()
                ),
            };
            let color = if column == 0 { "#666a73" } else { "#0a7d33" };
            let _ = write!(
                svg,
                "<g transform=\"translate({x} {y})\"><rect x=\"4\" y=\"4\" width=\"{w}\" \
                 height=\"{h}\" rx=\"8\" fill=\"#fff\"/><image x=\"25\" y=\"14\" width=\"{PHOTO}\" \
                 height=\"{PHOTO}\" href=\"data:image/jpeg;base64,{data}\"/>{title}\
                 <text x=\"14\" y=\"{at}\" font-size=\"13\" fill=\"{color}\">{note}</text></g>\n",
                w = CARD.0 - 8,
                h = CARD.1 - 8,
                data = STANDARD.encode(&bytes),
                title = title(&item.title),
                at = CARD.1 - 16,
                note = escape(&note),
            );
        }
    }
    svg.push_str("</svg>\n");
    Ok(svg)
}

/// The title over at most two lines.
fn title(text: &str) -> String {
    const LINE: usize = 32;
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let last = lines.len() - 1;
        if !lines[last].is_empty() && lines[last].len() + 1 + word.len() > LINE {
            lines.push(String::new());
        }
        if let Some(line) = lines.last_mut() {
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
    }
    lines
        .iter()
        .take(2)
        .enumerate()
        .map(|(i, line)| {
            format!(
                "<text x=\"14\" y=\"{}\" font-size=\"14\" fill=\"#1c1e21\">{}</text>",
                PHOTO + 36 + i * 19,
                escape(line)
            )
        })
        .collect()
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}
