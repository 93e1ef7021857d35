//! Maps of listings by their vectors: each space alone, and all together.

use std::path::Path;

use rayon::prelude::*;
use serde_json::{Value, json};

use super::Options;
use super::tsne::{self, Map, tsne};
use crate::error::{Error, Result};
use crate::listings::Listings;
use crate::report::{Page, Pictures};
use crate::tensor::{Csr, Matrix};
use crate::text::tfidf::{StopWords, Tfidf, TfidfOptions};

/// The dimensions that TF-IDF rows are brought to.
const TEXT_DIMS: usize = 64;
/// The side of the pictures that are compared pixel by pixel where there is no encoder.
const PIXELS: usize = 12;

/// A map and what is on it.
pub(super) struct Drawn {
    name: String,
    /// What it is made of, for people.
    of: String,
    rows: Vec<u32>,
    map: Map,
    /// The share of each point's ten nearest that are of its group.
    purity: Option<f64>,
}

impl Drawn {
    pub fn figures(&self) -> Value {
        json!({
            "name": self.name,
            "of": self.of,
            "points": self.rows.len(),
            "divergence": self.map.divergence[1],
            "same_group_of_10_nearest": self.purity,
        })
    }

    pub fn pack(&self, page: &mut Page, number: usize) -> Result<()> {
        page.words(&format!("map-rows-{number}"), &self.rows)?;
        let places = self.map.points.iter().flatten();
        let places: Vec<u8> = places.flat_map(|&x| (x as f32).to_le_bytes()).collect();
        page.bytes(&format!("map-{number}"), &places)
    }
}

/// The maps: of each space that is given, of the titles' TF-IDF, of the pictures where no space is given,
/// and of all of them together.
pub(super) fn maps(
    listings: &Listings,
    groups: &[Vec<u32>],
    pictures: &Pictures,
    options: &Options,
) -> Result<Vec<Drawn>> {
    if options.map_points == 0 {
        return Ok(Vec::new());
    }
    let rows = chosen(listings, groups, options)?;
    if rows.len() < 4 {
        return Ok(Vec::new());
    }
    let mut spaces: Vec<(String, String, Matrix)> = Vec::new();
    for (name, file) in &options.embeddings {
        let of = file
            .file_name()
            .map_or(String::new(), |n| n.to_string_lossy().into_owned());
        spaces.push((name.clone(), of, given(listings, file, &rows)?));
    }
    let named = |names: &[&str]| {
        options
            .embeddings
            .iter()
            .any(|(n, _)| names.contains(&n.as_str()))
    };
    if !named(&["image", "photo"])
        && let Some(matrix) = pixels(pictures, &rows)
    {
        let of = format!("pixels, {PIXELS} x {PIXELS}");
        spaces.insert(0, ("image".to_string(), of, matrix));
    }
    if !named(&["title", "text", "tfidf"])
        && let Some(matrix) = titles(listings, &rows, options.seed)?
    {
        spaces.push((
            "text".to_string(),
            "TF-IDF of the titles".to_string(),
            matrix,
        ));
    }
    if spaces.len() > 1 {
        let all = side_by_side(&spaces, rows.len());
        let of: Vec<&str> = spaces.iter().map(|s| s.0.as_str()).collect();
        let name = if spaces.len() == 2 { "both" } else { "all" };
        spaces.push((name.to_string(), of.join(" + "), all));
    }
    let labels = listings.labels();
    let settings = tsne::Options {
        seed: options.seed,
        ..tsne::Options::default()
    };
    let draw = |(name, of, matrix): (String, String, Matrix)| {
        let map = tsne(&matrix, &settings)?;
        let own: Vec<Option<u32>> = rows.iter().map(|&i| labels[i as usize]).collect();
        Ok(Drawn {
            name,
            of,
            purity: purity(&map.points, &own),
            rows: rows.clone(),
            map,
        })
    };
    spaces.into_par_iter().map(draw).collect()
}

/// The listings on the maps, in order: those of the groups asked for, else those of the largest groups.
fn chosen(listings: &Listings, groups: &[Vec<u32>], options: &Options) -> Result<Vec<u32>> {
    let items = &listings.items;
    let mut rows: Vec<u32> = Vec::new();
    if options.groups.is_empty() {
        for group in groups {
            if rows.len() + group.len() > options.map_points {
                break;
            }
            rows.extend(group);
        }
        if groups.is_empty() {
            let usable = items.iter().enumerate().filter(|(_, l)| !l.rejected);
            rows.extend(usable.map(|(i, _)| i as u32).take(options.map_points));
        }
    }
    for label in &options.groups {
        let of = |l: &&u32| items[**l as usize].label_group.as_deref() == Some(label);
        let before = rows.len();
        rows.extend(
            groups
                .iter()
                .filter(|g| g.first().is_some_and(|l| of(&l)))
                .flatten(),
        );
        if rows.len() == before {
            return Err(
                Error::input(format!("no listing has the label_group {label}"))
                    .path(&listings.path)
                    .mend("name groups that are there"),
            );
        }
    }
    rows.truncate(options.map_points);
    rows.sort_unstable();
    rows.dedup();
    Ok(rows)
}

/// Some rows of a file, of unit length.
fn given(listings: &Listings, file: &Path, rows: &[u32]) -> Result<Matrix> {
    let all = crate::embed::store::read_npy(file)?;
    let count = listings.items.len();
    if all.rows() != count {
        return Err(Error::shape("explore", &[all.rows()], &[count])
            .path(file)
            .mend("give one row a listing, in the order of the file"));
    }
    let mut some = Matrix::zeros(rows.len(), all.dims());
    for (to, &from) in rows.iter().enumerate() {
        let row = some.row_mut(to);
        row.copy_from_slice(all.row(from as usize));
        if !crate::embed::normalize(row) {
            return Err(Error::input("a value is not finite")
                .path(file)
                .row(u64::from(from) + 1));
        }
    }
    Ok(some)
}

/// The pictures as a few pixels, less their mean; none where no listing has one.
fn pixels(pictures: &Pictures, rows: &[u32]) -> Option<Matrix> {
    let small: Vec<Option<Vec<f32>>> = rows
        .par_iter()
        .map(|&row| {
            let rgb = pictures.pixels(pictures.file(row as usize)?, 64)?;
            let filter = crate::image::Filter::Bilinear;
            let rgb = crate::image::resize_rgb(&rgb, PIXELS, PIXELS, filter).ok()?;
            Some(rgb.pixels().iter().map(|&x| f32::from(x) / 255.0).collect())
        })
        .collect();
    if small.iter().all(Option::is_none) {
        return None;
    }
    let dims = PIXELS * PIXELS * 3;
    let count = small.iter().flatten().count() as f32;
    let mut mean = vec![0.0f32; dims];
    for row in small.iter().flatten() {
        mean.iter_mut().zip(row).for_each(|(m, x)| *m += x / count);
    }
    let mut matrix = Matrix::zeros(rows.len(), dims);
    for (i, row) in small.iter().enumerate() {
        let Some(row) = row else { continue };
        let to = matrix.row_mut(i);
        to.iter_mut()
            .zip(row.iter().zip(&mean))
            .for_each(|(t, (x, m))| *t = x - m);
        crate::embed::normalize(to);
    }
    Some(matrix)
}

/// TF-IDF of the chosen titles in few dimensions; none where they hold no words.
fn titles(listings: &Listings, rows: &[u32], seed: u64) -> Result<Option<Matrix>> {
    let titles: Vec<Option<&str>> = rows
        .iter()
        .map(|&i| listings.items[i as usize].title.as_deref())
        .collect();
    if titles.iter().all(Option::is_none) {
        return Ok(None);
    }
    let options = TfidfOptions {
        stop_words: StopWords::English,
        max_features: Some(25_000),
        ..TfidfOptions::default()
    };
    let (_, sparse) = Tfidf::fit_transform_or_empty(&titles, &options)?;
    if sparse.nnz() == 0 {
        return Ok(None);
    }
    Ok(Some(reduce(&sparse, TEXT_DIMS, seed)))
}

/// Sparse rows along the directions that hold most of them: a truncated SVD by subspace iteration, whose
/// basis is left as it falls, since distances are the same in any.
fn reduce(x: &Csr, dims: usize, seed: u64) -> Matrix {
    let (n, cols) = (x.rows(), x.cols());
    let dims = dims.min(cols).min(n);
    let mut state = seed ^ 0x9e37_79b9_7f4a_7c15;
    let mut next = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 11) as f64 / (1u64 << 53) as f64 - 0.5
    };
    let mut basis: Vec<Vec<f64>> = (0..dims)
        .map(|_| (0..cols).map(|_| next()).collect())
        .collect();
    orthogonal(&mut basis);
    for _ in 0..6 {
        basis = basis.iter().map(|v| back(x, &along(x, v))).collect();
        orthogonal(&mut basis);
    }
    let mut made = Matrix::zeros(n, dims);
    for (c, v) in basis.iter().enumerate() {
        for (i, value) in along(x, v).into_iter().enumerate() {
            made.row_mut(i)[c] = value as f32;
        }
    }
    made
}

fn along(x: &Csr, v: &[f64]) -> Vec<f64> {
    let row = |i: usize| {
        let (columns, values) = x.row(i);
        columns
            .iter()
            .zip(values)
            .map(|(&c, a)| a * v[c as usize])
            .sum()
    };
    (0..x.rows()).map(row).collect()
}

fn back(x: &Csr, w: &[f64]) -> Vec<f64> {
    let mut sum = vec![0.0; x.cols()];
    for (i, weight) in w.iter().enumerate() {
        let (columns, values) = x.row(i);
        columns
            .iter()
            .zip(values)
            .for_each(|(&c, a)| sum[c as usize] += weight * a);
    }
    sum
}

/// Gram and Schmidt; what is left of nothing stays nothing.
fn orthogonal(basis: &mut [Vec<f64>]) {
    for i in 0..basis.len() {
        let (before, rest) = basis.split_at_mut(i);
        let v = &mut rest[0];
        for _ in 0..2 {
            for other in before.iter() {
                let dot: f64 = v.iter().zip(other).map(|(a, b)| a * b).sum();
                v.iter_mut().zip(other).for_each(|(a, b)| *a -= dot * b);
            }
        }
        let length = v.iter().map(|a| a * a).sum::<f64>().sqrt();
        let scale = if length > 1e-9 { 1.0 / length } else { 0.0 };
        v.iter_mut().for_each(|a| *a *= scale);
    }
}

/// All spaces' rows one beside the other, each of unit length.
fn side_by_side(spaces: &[(String, String, Matrix)], rows: usize) -> Matrix {
    let dims = spaces.iter().map(|s| s.2.dims()).sum();
    let mut all = Matrix::zeros(rows, dims);
    for i in 0..rows {
        let mut at = 0;
        for (_, _, matrix) in spaces {
            let to = &mut all.row_mut(i)[at..at + matrix.dims()];
            to.copy_from_slice(matrix.row(i));
            crate::embed::normalize(to);
            at += matrix.dims();
        }
    }
    all
}

/// The mean share of each labelled point's ten nearest on the map that are of its group, as far as it has so
/// many others.
fn purity(points: &[[f64; 2]], labels: &[Option<u32>]) -> Option<f64> {
    const NEAREST: usize = 10;
    let (mut sum, mut count) = (0.0, 0usize);
    for (i, label) in labels.iter().enumerate() {
        let Some(label) = label else { continue };
        let others = labels.iter().filter(|l| **l == Some(*label)).count() - 1;
        let wanted = others.min(NEAREST);
        if wanted == 0 {
            continue;
        }
        let square = |j: usize| {
            let d = [points[i][0] - points[j][0], points[i][1] - points[j][1]];
            d[0] * d[0] + d[1] * d[1]
        };
        let mut near: Vec<(f64, usize)> = (0..points.len())
            .filter(|&j| j != i)
            .map(|j| (square(j), j))
            .collect();
        let order = |a: &(f64, usize), b: &(f64, usize)| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1));
        near.select_nth_unstable_by(wanted - 1, order);
        let same = near[..wanted]
            .iter()
            .filter(|(_, j)| labels[*j] == Some(*label))
            .count();
        sum += same as f64 / wanted as f64;
        count += 1;
    }
    (count > 0).then(|| sum / count as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reduction_to_all_dimensions_keeps_what_lies_between_rows() {
        // Four rows in the plane of three columns.
        let x = Csr::new(
            3,
            vec![0, 2, 3, 5, 6],
            vec![0, 1, 1, 0, 2, 2],
            vec![1., 2., 3., 1., 1., 4.],
        )
        .unwrap();
        let dot = |a: &[f32], b: &[f32]| -> f64 {
            a.iter()
                .zip(b)
                .map(|(x, y)| f64::from(*x) * f64::from(*y))
                .sum()
        };
        let small = reduce(&x, 3, 1);
        let dense = |i: usize| {
            let mut row = [0.0f32; 3];
            let (c, v) = x.row(i);
            c.iter()
                .zip(v)
                .for_each(|(&c, &v)| row[c as usize] = v as f32);
            row
        };
        for i in 0..4 {
            for j in 0..4 {
                let (a, b) = (dot(small.row(i), small.row(j)), dot(&dense(i), &dense(j)));
                assert!((a - b).abs() < 1e-4, "{i} {j}: {a} {b}");
            }
        }
    }

    #[test]
    fn purity_is_the_share_of_the_own_group() {
        let points = [[0.0, 0.0], [0.1, 0.0], [5.0, 0.0], [5.1, 0.0]];
        let labels = |l: [u32; 4]| l.map(Some);
        assert_eq!(purity(&points, &labels([1, 1, 2, 2])), Some(1.0));
        assert_eq!(purity(&points, &labels([1, 2, 1, 2])), Some(0.0));
        assert_eq!(purity(&points, &[None; 4]), None);
    }
}
