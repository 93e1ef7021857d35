//! What is told a model of a pair.

use std::sync::Arc;

use rayon::prelude::*;

use super::graph::{density, page_rank};
use crate::error::Result;
use crate::listings::Listing;
use crate::lists::Lists;
use crate::pairs::Table;
use crate::recipe::run::Run;
use crate::tensor::Rows;
use crate::text::units::Quantities;

/// The most characters of a title that its edit distance counts.
const MAX_EDIT_CHARS: usize = 200;
/// Of so many nearest listings the mean similarity is told.
const NEAREST: [usize; 3] = [5, 15, 30];

/// A space, as far as pairs are told of it.
pub(in crate::recipe) struct SpaceFacts {
    name: String,
    lists: Lists,
    rows: Option<Arc<Rows>>,
    /// The lengths of the rows.
    lengths: Vec<f64>,
    density: [Vec<f64>; 3],
    page_rank: Vec<f64>,
}

/// A listing's title, as far as pairs are told of it.
pub(in crate::recipe) struct Facts {
    chars: Vec<char>,
    /// Words, each once, in order.
    words: Vec<String>,
    /// Those with a digit.
    codes: Vec<String>,
    quantities: Quantities,
}

impl SpaceFacts {
    /// Those of gathered spaces and their neighbours.
    pub fn all(run: &Run<'_>, used: &[usize], lists: Vec<Lists>) -> Result<Vec<SpaceFacts>> {
        let spaces = used.iter().zip(lists);
        spaces
            .map(|(&space, lists)| {
                let rows = run.rows(space)?;
                let lengths = rows.as_deref().map(lengths).unwrap_or_default();
                Ok(SpaceFacts {
                    name: run.name(space).to_string(),
                    density: NEAREST.map(|k| density(&lists, k)),
                    page_rank: page_rank(&lists),
                    lists,
                    rows,
                    lengths,
                })
            })
            .collect()
    }

    /// The similarity of two rows: of the rows where there are any, else as far as one lists the other.
    fn similarity(&self, a: usize, b: usize) -> f64 {
        let product = match self.rows.as_deref() {
            None => {
                let listed =
                    |i: usize, j: usize| self.place(i, j).map(|p| self.lists.row(i).scores[p]);
                return listed(a, b).or_else(|| listed(b, a)).unwrap_or(0.0);
            }
            Some(Rows::Dense(x)) => {
                let pairs = x.row(a).iter().zip(x.row(b));
                pairs
                    .map(|(x, y)| f64::from(*x) * f64::from(*y))
                    .sum::<f64>()
            }
            Some(Rows::Sparse(x)) => sparse(x.row(a), x.row(b)),
        };
        let lengths = self.lengths[a] * self.lengths[b];
        if lengths > 0.0 {
            product / lengths
        } else {
            0.0
        }
    }

    /// The place of `b` among the neighbours of `a`.
    fn place(&self, a: usize, b: usize) -> Option<usize> {
        let list = self.lists.row(a).rows;
        list.iter().position(|&j| j as usize == b)
    }

    fn rank(&self, a: usize, b: usize) -> f64 {
        let last = self.lists.row(a).len().max(NEAREST[2]);
        self.place(a, b).unwrap_or(last) as f64
    }

    fn names(&self, out: &mut Vec<String>) {
        let name = &self.name;
        out.push(format!("{name} similarity"));
        for what in ["rank", "page rank", "density 5", "density 15", "density 30"] {
            out.extend([format!("{name} {what} low"), format!("{name} {what} high")]);
        }
        out.push(format!("{name} above density"));
    }

    fn tell(&self, a: usize, b: usize, out: &mut Vec<f32>) {
        let similarity = self.similarity(a, b);
        out.push(similarity as f32);
        let mut both = |x: f64, y: f64| out.extend([x.min(y) as f32, x.max(y) as f32]);
        both(self.rank(a, b), self.rank(b, a));
        both(self.page_rank[a], self.page_rank[b]);
        for density in &self.density {
            both(density[a], density[b]);
        }
        let near = self.density[0][a].max(self.density[0][b]);
        out.push((similarity - near) as f32);
    }
}

fn lengths(rows: &Rows) -> Vec<f64> {
    let length = |values: &mut dyn Iterator<Item = f64>| values.map(|v| v * v).sum::<f64>().sqrt();
    match rows {
        Rows::Dense(x) => (0..x.rows())
            .map(|i| length(&mut x.row(i).iter().map(|v| f64::from(*v))))
            .collect(),
        Rows::Sparse(x) => (0..x.rows())
            .map(|i| length(&mut x.row(i).1.iter().copied()))
            .collect(),
    }
}

/// The product of two sparse rows, whose columns rise.
fn sparse(a: (&[u32], &[f64]), b: (&[u32], &[f64])) -> f64 {
    let (mut x, mut y, mut sum) = (0, 0, 0.0);
    while x < a.0.len() && y < b.0.len() {
        match a.0[x].cmp(&b.0[y]) {
            std::cmp::Ordering::Less => x += 1,
            std::cmp::Ordering::Greater => y += 1,
            std::cmp::Ordering::Equal => {
                sum += a.1[x] * b.1[y];
                (x, y) = (x + 1, y + 1);
            }
        }
    }
    sum
}

/// The titles of listings.
pub(in crate::recipe) fn facts(items: &[Listing]) -> Vec<Facts> {
    let fact = |l: &Listing| {
        let title = l.title.as_deref().filter(|_| !l.rejected).unwrap_or("");
        let lower = title.to_lowercase();
        let words = lower.split(|c: char| !c.is_alphanumeric());
        let mut words: Vec<String> = words.filter(|w| !w.is_empty()).map(String::from).collect();
        words.sort_unstable();
        words.dedup();
        let code = |w: &&String| w.chars().any(|c| c.is_ascii_digit());
        Facts {
            chars: lower.chars().take(MAX_EDIT_CHARS).collect(),
            codes: words.iter().filter(code).cloned().collect(),
            quantities: Quantities::of(title),
            words,
        }
    };
    items.par_iter().map(fact).collect()
}

const TITLE: [&str; 12] = [
    "edit distance",
    "title length low",
    "title length high",
    "words low",
    "words high",
    "words shared",
    "words shared of fewer",
    "codes shared",
    "codes apart",
    "longest code shared",
    "units conflict",
    "units agree",
];

fn tell_titles(a: &Facts, b: &Facts, out: &mut Vec<f32>) {
    let longest = a.chars.len().max(b.chars.len()).max(1);
    let edits = edit_distance(&a.chars, &b.chars) as f32 / longest as f32;
    out.push(edits);
    let mut both = |x: usize, y: usize| out.extend([x.min(y) as f32, x.max(y) as f32]);
    both(a.chars.len(), b.chars.len());
    both(a.words.len(), b.words.len());
    let shared = shared(&a.words, &b.words).count();
    let either = (a.words.len() + b.words.len() - shared).max(1);
    let fewer = a.words.len().min(b.words.len()).max(1);
    out.push(shared as f32 / either as f32);
    out.push(shared as f32 / fewer as f32);
    let codes: Vec<&String> = self::shared(&a.codes, &b.codes).collect();
    out.push(codes.len() as f32);
    out.push((a.codes.len() + b.codes.len() - 2 * codes.len()) as f32);
    out.push(codes.iter().map(|c| c.len()).max().unwrap_or(0) as f32);
    let conflict = a.quantities.conflicts(&b.quantities);
    out.push(f32::from(u8::from(conflict)));
    let all = b.quantities.all();
    let agree = a.quantities.all().iter().any(|q| all.contains(q));
    out.push(f32::from(u8::from(agree)));
}

/// What two sorted lists share.
fn shared<'a>(a: &'a [String], b: &'a [String]) -> impl Iterator<Item = &'a String> {
    a.iter().filter(|word| b.binary_search(word).is_ok())
}

/// Levenshtein's distance.
pub(super) fn edit_distance(a: &[char], b: &[char]) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut corner = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let replaced = corner + usize::from(x != y);
            corner = row[j + 1];
            row[j + 1] = replaced.min(corner + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

/// The names of the features, and the features of each pair. Both ways a pair has the same ones.
pub(in crate::recipe) fn features(
    spaces: &[SpaceFacts],
    titles: &[Facts],
    pairs: &[(u32, u32)],
) -> Result<(Vec<String>, Table)> {
    let mut names = Vec::new();
    spaces.iter().for_each(|space| space.names(&mut names));
    let titled = titles.iter().any(|t| !t.words.is_empty());
    if titled {
        names.extend(TITLE.map(String::from));
    }
    let rows: Vec<Vec<f32>> = pairs
        .par_iter()
        .map(|&(a, b)| {
            let (a, b) = (a as usize, b as usize);
            let mut row = Vec::with_capacity(names.len());
            spaces.iter().for_each(|space| space.tell(a, b, &mut row));
            if titled {
                tell_titles(&titles[a], &titles[b], &mut row);
            }
            row
        })
        .collect();
    let table = Table::new(names.len(), rows.concat())?;
    Ok((names, table))
}
