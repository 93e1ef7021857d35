//! `engine search`.

use std::path::{Path, PathBuf};
use std::time::Instant;

use clap::Args;
use doppel::device::{CpuDevice, Device};
use doppel::embed::store;
use doppel::error::{Error, Kind, Result};
use doppel::listings::{Ledger, Listings};
use doppel::lists::Lists;
use doppel::search::{self, Space, TopK};
use doppel::tensor::{Csr, Matrix};
use serde_json::json;

use crate::common::{Common, Done, peak_memory, seconds};
use crate::matching::different;

#[derive(Args)]
#[command(
    after_help = "Examples:\n  engine search photos.npy -k 50 --out nn.csv\n  engine search \
    photos.npy titles.npz --weights 0.7,0.3 -k 50 --out nn.csv\n  engine search hashes.csv -k 10 \
    --min-score 0.9 --out nn.csv\n\nnn.csv is row,neighbour,score, rows counted from 0, best first, the \
    row itself included. The score is the cosine; for hashes 1 - different bits / 64. Several files are \
    combined by a weighted sum before the best are taken."
)]
pub struct Arguments {
    /// Embeddings (.npy), sparse rows (.npz), or listings with image_phash (.csv)
    #[arg(value_name = "X", required = true)]
    spaces: Vec<PathBuf>,
    /// Find the neighbours of these rows among X instead (one file for each X)
    #[arg(long, value_name = "Q", num_args = 1..)]
    queries: Vec<PathBuf>,
    /// How many neighbours a row gets at most
    #[arg(short, value_name = "K", default_value_t = 50)]
    k: usize,
    /// Keep only neighbours with at least this score
    #[arg(long, value_name = "S", allow_negative_numbers = true)]
    min_score: Option<f64>,
    /// The weight of each X, when there are several
    #[arg(long, value_name = "W,W", value_delimiter = ',')]
    weights: Vec<f64>,
    /// Where the neighbours go
    #[arg(long, value_name = "NN.csv")]
    out: PathBuf,
    #[command(flatten)]
    pub common: Common,
}

/// One file's rows.
enum Rows {
    Dense(Matrix),
    Sparse(Csr),
    Hashes(Vec<Option<u64>>),
}

impl Rows {
    fn read(path: &Path, ledger: &mut Ledger) -> Result<Rows> {
        let extension = path.extension().and_then(|e| e.to_str()).unwrap_or("");
        match extension.to_ascii_lowercase().as_str() {
            "npy" => {
                store::check(path)?;
                Ok(Rows::Dense(store::read_npy(path)?))
            }
            "npz" => {
                store::check(path)?;
                Ok(Rows::Sparse(store::read_npz(path)?))
            }
            "csv" => {
                let listings = Listings::read(path)?;
                if !listings.has_phashes() {
                    return Err(Error::input("has no column image_phash")
                        .path(path)
                        .mend("search takes hashes from that column"));
                }
                ledger.merge(listings.ledger);
                Ok(Rows::Hashes(
                    listings
                        .items
                        .iter()
                        .map(|l| if l.rejected { None } else { l.phash })
                        .collect(),
                ))
            }
            _ => Err(Error::input("is not a kind of file that search knows")
                .path(path)
                .mend("give an .npy, an .npz or a .csv with image_phash")),
        }
    }

    fn len(&self) -> usize {
        match self {
            Rows::Dense(m) => m.rows(),
            Rows::Sparse(m) => m.rows(),
            Rows::Hashes(h) => h.len(),
        }
    }

    fn space(&self, path: &Path) -> Result<Space<'_>> {
        match self {
            Rows::Dense(m) => Ok(Space::Dense(m)),
            Rows::Sparse(m) => Ok(Space::Sparse(m)),
            Rows::Hashes(_) => Err(
                Error::unsupported("hashes cannot be combined with other rows")
                    .path(path)
                    .mend("search them alone"),
            ),
        }
    }
}

pub fn run(a: &Arguments) -> Result<Done> {
    let mut named: Vec<Option<&PathBuf>> = a.spaces.iter().map(Some).collect();
    named.push(Some(&a.out));
    different(&named)?;
    let top = TopK {
        k: a.k,
        min_score: a.min_score,
    };
    top.check()?;
    check_counts(a)?;
    let mut ledger = Ledger::default();
    let gallery = read_all(&a.spaces, &mut ledger)?;
    let queries = read_all(&a.queries, &mut ledger)?;
    let start = Instant::now();
    let (lists, ran) = find(a, &gallery, &queries, &top).map_err(|e| name(e, &a.spaces))?;
    let took = start.elapsed().as_secs_f64();
    search::write_neighbours(&a.out, &lists)?;
    let done = a.common.ledger(&mut ledger, &a.out)?;
    a.common.print(&format!(
        "{} rows, {} neighbours, {} ({})",
        lists.len(),
        lists.pairs(),
        seconds(took),
        a.out.display()
    ));
    a.common.result(&json!({
        "rows": lists.len(),
        "neighbours": lists.pairs(),
        "seconds": took,
        "peak_memory_bytes": peak_memory(),
        "peak_device_memory_bytes": a.common.peak_device_memory(),
        "device": ran,
        "out": a.out,
    }));
    Ok(done)
}

/// An error about a matrix names its file, where there is only one.
fn name(error: Error, paths: &[PathBuf]) -> Error {
    match paths {
        [only] => error.path(only),
        _ => error,
    }
}

fn check_counts(a: &Arguments) -> Result<()> {
    if !a.queries.is_empty() && a.queries.len() != a.spaces.len() {
        return Err(Error::input(format!(
            "{} files of queries for {} files of rows",
            a.queries.len(),
            a.spaces.len()
        ))
        .mend("give one query file for each X, in the same order"));
    }
    if !a.weights.is_empty() && a.weights.len() != a.spaces.len() {
        return Err(Error::input(format!(
            "{} weights for {} files of rows",
            a.weights.len(),
            a.spaces.len()
        ))
        .mend("give one weight for each X, in the same order"));
    }
    Ok(())
}

fn read_all(paths: &[PathBuf], ledger: &mut Ledger) -> Result<Vec<Rows>> {
    let all: Vec<Rows> = paths
        .iter()
        .map(|path| Rows::read(path, ledger))
        .collect::<Result<_>>()?;
    for (rows, path) in all.iter().zip(paths) {
        if rows.len() != all[0].len() {
            return Err(Error::input(format!(
                "has {} rows, but {} has {}",
                rows.len(),
                paths[0].display(),
                all[0].len()
            ))
            .path(path)
            .mend("files that are combined have one row for each listing, in the same order"));
        }
    }
    Ok(all)
}

/// The neighbours, and the kind of device that found them.
fn find(
    a: &Arguments,
    gallery: &[Rows],
    queries: &[Rows],
    top: &TopK,
) -> Result<(Lists, &'static str)> {
    let device = a.common.device()?;
    // Hashes among other rows are refused alike on every device.
    let mixed = gallery.len() > 1 && gallery.iter().any(|r| matches!(r, Rows::Hashes(_)));
    match on(device, a, gallery, queries, top) {
        Err(e) if e.kind() == Kind::Unsupported && device.info().is_card() && !mixed => {}
        done => return done.map(|lists| (lists, device.info().kind)),
    }
    if a.common.insists_on_card() {
        let message = format!("--device {}: has no such search", a.common.device);
        return Err(Error::unsupported(message).mend("use --device cpu"));
    }
    let lists = on(&CpuDevice::default(), a, gallery, queries, top)?;
    Ok((lists, "cpu"))
}

fn on(
    device: &dyn Device,
    a: &Arguments,
    gallery: &[Rows],
    queries: &[Rows],
    top: &TopK,
) -> Result<Lists> {
    match (gallery, queries) {
        ([Rows::Dense(x)], []) => return search::dense_on(device, x, None, top),
        ([Rows::Sparse(x)], []) => return search::sparse_on(device, x, None, top),
        ([Rows::Hashes(x)], []) => return search::hamming_on(device, x, None, top),
        ([Rows::Dense(x)], [Rows::Dense(q)]) => {
            return search::dense_on(device, q, Some(x), top);
        }
        ([Rows::Sparse(x)], [Rows::Sparse(q)]) => {
            return search::sparse_on(device, q, Some(x), top);
        }
        ([Rows::Hashes(x)], [Rows::Hashes(q)]) => {
            return search::hamming_on(device, q, Some(x), top);
        }
        ([_], [_]) => {
            return Err(Error::input("the queries are of another kind than X")
                .mend("give .npy with .npy, .npz with .npz, .csv with .csv"));
        }
        _ => {}
    }
    let x = spaces(gallery, &a.spaces)?;
    if queries.is_empty() {
        return search::fused_on(device, &weighted(x, &a.weights), None, None, top);
    }
    let q = weighted(spaces(queries, &a.queries)?, &a.weights);
    search::fused_on(device, &q, Some(&x), None, top)
}

fn spaces<'a>(rows: &'a [Rows], paths: &[PathBuf]) -> Result<Vec<Space<'a>>> {
    rows.iter().zip(paths).map(|(r, p)| r.space(p)).collect()
}

/// The spaces with their weights, 1 where none was given.
fn weighted<'a>(spaces: Vec<Space<'a>>, weights: &[f64]) -> Vec<(Space<'a>, f64)> {
    let weight = |i: usize| weights.get(i).copied().unwrap_or(1.0);
    spaces
        .into_iter()
        .enumerate()
        .map(|(i, s)| (s, weight(i)))
        .collect()
}
