//! A comparison as a picture: bars of F1, and a page with the table beneath.

use std::fmt::Write as _;

use super::Compared;

/// The widest that a bar is, in pixels.
const WIDTH: f64 = 420.0;
/// The height of a line, and of the space between two recipes.
const LINE: f64 = 20.0;
const GAP: f64 = 14.0;

/// The F1 of each line as a bar, as SVG of its own: one group a recipe. With held-out folds a mark says where
/// that F1 is, and a thin line how far folds spread.
pub fn svg(lines: &[Compared]) -> String {
    let label = |line: &Compared| line.variant.chars().count();
    let name = |line: &Compared| line.recipe.chars().count();
    let longest = |count: &dyn Fn(&Compared) -> usize| lines.iter().map(count).max().unwrap_or(0);
    let left = 8.0 * (longest(&label).max(longest(&name) / 2)) as f64 + 24.0;
    let mut body = String::new();
    let mut y = 26.0;
    let mut last: Option<&str> = None;
    for line in lines {
        if last != Some(&line.recipe) {
            if last.is_some() {
                y += GAP;
            }
            last = Some(&line.recipe);
            let name = escaped(&line.recipe);
            let _ = writeln!(body, "<text class=\"name\" x=\"8\" y=\"{y}\">{name}</text>");
            y += LINE;
        }
        bar(line, (left, y), &mut body);
        y += LINE;
    }
    let width = left + WIDTH + 76.0;
    let axis: String = (0..=5)
        .map(|fifth| {
            let x = left + WIDTH * f64::from(fifth) / 5.0;
            format!(
                "<line class=\"axis\" x1=\"{x}\" y1=\"14\" x2=\"{x}\" y2=\"{y}\"/>\
                 <text class=\"tick\" x=\"{x}\" y=\"10\">{}</text>\n",
                f64::from(fifth) / 5.0
            )
        })
        .collect();
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {}\" width=\"{width}\" role=\"img\">\n\
         <title>F1 by recipe and form</title>\n<style>{STYLE}</style>\n{axis}{body}</svg>\n",
        y + 8.0
    )
}

const STYLE: &str = "text{font:13px system-ui,sans-serif;fill:#222}.name{font-weight:600}\
    .tick{font-size:10px;text-anchor:middle;fill:#777}.axis{stroke:#ddd}.label{text-anchor:end}\
    .plain{fill:#7a9cc6}.min2{fill:#3f6fb0}.inb{fill:#1d3f73}.less{fill:#c9a66b}\
    .held{stroke:#c0392b;stroke-width:2}\
    @media(prefers-color-scheme:dark){text{fill:#ddd}.tick{fill:#999}.axis{stroke:#444}}";

fn bar(line: &Compared, (left, y): (f64, f64), body: &mut String) {
    let f1 = line.figures.f1;
    let class = match line.variant.as_str() {
        "plain" => "plain",
        "Min2" => "min2",
        "INB" => "inb",
        _ => "less",
    };
    let label = escaped(&line.variant);
    let (x, top, width) = (left - 6.0, y - 12.0, WIDTH * f1.clamp(0.0, 1.0));
    // Writing to a string does not fail.
    let _ = writeln!(
        body,
        "<text class=\"label\" x=\"{x}\" y=\"{y}\">{label}</text>\
         <rect class=\"{class}\" x=\"{left}\" y=\"{top}\" width=\"{width:.1}\" height=\"15\" rx=\"2\"/>\
         <text x=\"{:.1}\" y=\"{y}\">{f1:.4}</text>",
        left + width + 6.0
    );
    if let Some(held) = &line.held {
        let at = |f1: f64| left + WIDTH * f1.clamp(0.0, 1.0);
        let middle = y - 4.5;
        let _ = writeln!(
            body,
            "<line class=\"held\" x1=\"{:.1}\" y1=\"{middle}\" x2=\"{:.1}\" y2=\"{middle}\"/>\
             <line class=\"held\" x1=\"{:.1}\" y1=\"{top}\" x2=\"{:.1}\" y2=\"{:.1}\"/>",
            at(held.f1 - held.deviation),
            at(held.f1 + held.deviation),
            at(held.f1),
            at(held.f1),
            top + 15.0
        );
    }
}

/// A page of its own: the picture, and the table.
pub fn html(lines: &[Compared], listings: usize) -> String {
    let held = lines.iter().any(|line| line.held.is_some());
    let mut rows = String::new();
    for line in lines {
        let number = |x: Option<f64>| x.map_or_else(String::new, |x| format!("{x:.4}"));
        let folds = line
            .held
            .map(|h| format!("{:.4} ± {:.4}", h.f1, h.deviation));
        let folds = match held {
            true => format!("<td>{}</td>", folds.unwrap_or_default()),
            false => String::new(),
        };
        let f = &line.figures;
        let _ = writeln!(
            rows,
            "<tr><td>{}</td><td>{}</td><td>{:.4}</td><td>{:.4}</td><td>{:.4}</td><td>{:.4}</td>{folds}<td>{}</td></tr>",
            escaped(&line.recipe),
            escaped(&line.variant),
            f.f1,
            f.precision,
            f.recall,
            f.pair_f1,
            number(line.published)
        );
    }
    let folds = match held {
        true => "<th>F1, held out</th>",
        false => "",
    };
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\
         <title>Recipes compared</title>\n<style>{PAGE}</style></head>\n<body>\n<h1>Recipes compared</h1>\n\
         <p>{listings} listings. Published scores are those of the recipe's own source, on other listings.</p>\n\
         <div class=\"scroll\">{}</div>\n<div class=\"scroll\"><table>\n<thead><tr><th>recipe</th><th>form</th><th>F1</th>\
         <th>precision</th><th>recall</th><th>pair F1</th>{folds}<th>published</th></tr></thead>\n\
         <tbody>\n{rows}</tbody></table></div>\n</body></html>\n",
        svg(lines)
    )
}

const PAGE: &str = "body{font:15px system-ui,sans-serif;margin:2rem auto;max-width:60rem;padding:0 1rem;color:#222}\
    .scroll{overflow-x:auto}table{border-collapse:collapse;margin-top:1.5rem}td,th{padding:.3rem .7rem;text-align:left;\
    border-bottom:1px solid #ddd}td:nth-child(n+3){font-variant-numeric:tabular-nums}\
    @media(prefers-color-scheme:dark){body{background:#16181c;color:#ddd}td,th{border-color:#333}}";

fn escaped(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '"' => out.push_str("&quot;"),
            c => out.push(c),
        }
    }
    out
}
