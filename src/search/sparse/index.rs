//! The inverted index of a gallery, with the norms that let a search leave frequent terms out.
//!
//! Terms are ordered by how many rows hold them; the *rank* of the most frequent is 0. A row's
//! most frequent terms carry little of its TF-IDF norm and most of the work of a search. By
//! Cauchy and Schwarz they add at most the product of two partial norms to a cosine, which is the
//! idea of prefix filtering in all-pairs similarity search (Bayardo, Ma and Srikant, "Scaling up
//! all pairs similarity search", WWW 2007) and of its l2-norm bounds (Anastasiu and Karypis,
//! "L2AP: fast cosine similarity search with prefix L-2 norm bounds", ICDE 2014). Both leave terms
//! out of the index for one threshold; here the index is whole and each query decides how many
//! ranks it can leave, so that the same index serves a threshold that rises with the k-th best.

use super::rows::{Rows, Terms};

/// The most bands that ranks are cut into.
const MAX_BANDS: usize = 48;
/// A partial norm of a unit row is rounded up to one of this many steps.
const NORM_STEPS: f64 = 255.0;

/// A term of one gallery row: the row's group and the value of the unit row there.
#[derive(Debug, Clone, Copy)]
pub(super) struct Posting {
    pub group: u32,
    pub weight: f32,
}

/// All terms of a gallery by rank, and per group the norm of its terms in the first ranks.
pub(super) struct Index {
    groups: usize,
    rank_of: Vec<u32>,
    starts: Vec<usize>,
    postings: Vec<Posting>,
    /// The band of each rank: 0 for the first ranks; a band further on holds more of them.
    band_of: Vec<u8>,
    /// `heavy[b * groups + g]`: the norm of unit row `g` over the ranks of bands `0..=b`, rounded
    /// up to a multiple of `1 / NORM_STEPS`.
    heavy: Vec<u8>,
}

/// `x / sqrt(norm)`, the value of the unit row, to the nearest `f32`.
pub(in crate::search) fn unit(x: f64, norm: f64) -> f32 {
    (x / norm.sqrt()) as f32
}

impl Index {
    /// Indexes the groups of `gallery`, whose columns are already numbered as `terms`.
    pub fn new(gallery: &Rows, terms: &Terms) -> Self {
        let groups = gallery.len();
        let mut count = vec![0u32; terms.len()];
        for g in 0..groups {
            for &t in gallery.row(g).0 {
                count[t as usize] += 1;
            }
        }
        let mut by_rank: Vec<u32> = (0..terms.len() as u32).collect();
        by_rank.sort_unstable_by_key(|&t| (std::cmp::Reverse(count[t as usize]), t));
        let mut rank_of = vec![0u32; terms.len()];
        let mut starts = Vec::with_capacity(terms.len() + 1);
        starts.push(0);
        let mut end = 0;
        for (rank, &t) in by_rank.iter().enumerate() {
            rank_of[t as usize] = rank as u32;
            end += count[t as usize] as usize;
            starts.push(end);
        }
        let mut index = Index {
            groups,
            rank_of,
            starts,
            postings: Vec::new(),
            band_of: bands(terms.len()),
            heavy: Vec::new(),
        };
        index.fill(gallery);
        index
    }

    fn fill(&mut self, gallery: &Rows) {
        let mut next = self.starts.clone();
        let bands = self.band_of.last().map_or(0, |&b| b as usize + 1);
        self.heavy = vec![0; bands * self.groups];
        self.postings = vec![
            Posting {
                group: 0,
                weight: 0.0
            };
            gallery.nnz()
        ];
        for g in 0..self.groups {
            let (terms, values) = gallery.row(g);
            let norm = gallery.norm(g);
            let mut squares = [0.0f64; MAX_BANDS];
            for (&t, &v) in terms.iter().zip(values) {
                let rank = self.rank_of[t as usize] as usize;
                self.postings[next[rank]] = Posting {
                    group: g as u32,
                    weight: unit(v, norm),
                };
                next[rank] += 1;
                squares[self.band_of[rank] as usize] += v * v / norm;
            }
            let mut sum = 0.0;
            for (b, square) in squares[..bands].iter().enumerate() {
                sum += square;
                let steps = (sum.sqrt() * (1.0 + 1e-6) * NORM_STEPS).ceil();
                self.heavy[b * self.groups + g] = steps.min(NORM_STEPS) as u8;
            }
        }
    }

    /// How many groups the gallery has.
    pub fn groups(&self) -> usize {
        self.groups
    }

    /// The rank of a term.
    pub fn rank(&self, term: u32) -> u32 {
        self.rank_of[term as usize]
    }

    /// The groups that hold the term of rank `rank`, ascending.
    pub fn list(&self, rank: u32) -> &[Posting] {
        &self.postings[self.starts[rank as usize]..self.starts[rank as usize + 1]]
    }

    /// The band of a rank.
    pub fn band(&self, rank: u32) -> usize {
        self.band_of[rank as usize] as usize
    }

    /// For each group, the norm of its unit row over bands `0..=band` in steps of [`Self::step`].
    pub fn heavy(&self, band: usize) -> &[u8] {
        &self.heavy[band * self.groups..(band + 1) * self.groups]
    }

    /// What one step of [`Self::heavy`] stands for; 255 of them are the whole norm and a little.
    pub fn step() -> f64 {
        (1.0 + 1e-6) / NORM_STEPS
    }
}

/// Cuts ranks into bands: the first ranks have one of their own, later bands grow by a quarter, and
/// the last one takes all that is left.
fn bands(ranks: usize) -> Vec<u8> {
    let mut band_of = Vec::with_capacity(ranks);
    let (mut band, mut end) = (0u8, 1usize);
    for rank in 0..ranks {
        if rank == end && usize::from(band) + 1 < MAX_BANDS {
            band += 1;
            end = (end + 1).max(end * 5 / 4);
        }
        band_of.push(band);
    }
    band_of
}
