//! A pipeline as data: the spaces that listings are compared in, and the rule that fuses them.

use std::path::PathBuf;

use super::after::{After, Conflicts};
use super::{EncoderSpec, PairSpec, Published, TextSpec};
use crate::limits::MAX_MATCHES;
use crate::matching::Rule;
use crate::refine::{Blend, Expand};
use crate::search::Fuse;
use crate::text::clean::CleanStep;
use crate::text::tfidf::{StopWords, TfidfOptions};
use crate::text::word2vec::Word2VecOptions;

/// A pipeline from listings to matches.
#[derive(Debug, Clone, PartialEq)]
pub struct Recipe {
    /// What it is called; `default`, or what its file says.
    pub name: String,
    /// What it does, in a sentence.
    pub about: Option<String>,
    /// Where it was published: paper, table, row.
    pub source: Option<String>,
    /// The most neighbours that a search takes for a listing, itself included.
    pub neighbours: usize,
    /// The most matches of a listing, itself included; at most [`MAX_MATCHES`].
    pub matches: usize,
    /// The spaces; one that is made of others stands behind them.
    pub spaces: Vec<Space>,
    /// Which neighbours match. Its sources are places in `spaces`.
    pub fusion: Rule,
    /// What is done to the matches then.
    pub after: After,
    /// What the thresholds were chosen on, when that is known.
    pub tuned: Option<Tuned>,
    /// What was published of it.
    pub published: Option<Published>,
}

/// What thresholds were chosen on; thresholds depend on the number of listings.
#[derive(Debug, Clone, PartialEq)]
pub struct Tuned {
    /// How many listings there were.
    pub listings: usize,
    /// The mean F1 there.
    pub f1: Option<f64>,
}

/// One kind of evidence: what rows are compared, and what is done to them first.
#[derive(Debug, Clone, PartialEq)]
pub struct Space {
    /// What it is called, in the rule and in `pairs.csv`.
    pub name: String,
    /// Where its rows come from.
    pub of: Of,
    /// What is done to titles first, in this order; for spaces of titles alone.
    pub clean: Vec<CleanStep>,
    /// What is done to them, in this order.
    pub refine: Vec<Step>,
    /// The rows are compared as they stand, and their distance is the Euclidean one divided by this; else they
    /// are of unit length, and it is the cosine one.
    pub euclidean: Option<f64>,
}

/// Where a space's rows come from.
#[derive(Debug, Clone, PartialEq)]
pub enum Of {
    /// Perceptual hashes: the column, else the image. Scores are `1 - different bits / 64`.
    Phash,
    /// TF-IDF of the titles: sparse rows.
    Tfidf {
        /// scikit-learn's options.
        options: TfidfOptions,
        /// Turn literal `\xNN` escapes into text first.
        decode_escapes: bool,
    },
    /// word2vec: the sums of the titles' words' vectors, learnt from the titles or read from a file.
    Word2Vec {
        /// How they are learnt, or the file.
        options: Word2VecOptions,
        /// Turn literal `\xNN` escapes into text first.
        decode_escapes: bool,
    },
    /// The colours of the images: [`descriptor`](crate::image::descriptor)s of their
    /// [`palette`](crate::image::palette)s.
    Colours {
        /// How many colours a palette has.
        clusters: usize,
        /// What the starts of k-means are drawn by.
        seed: u64,
    },
    /// An encoder of images: dense unit rows.
    Image {
        /// The encoder, its weights and how images are prepared.
        encoder: EncoderSpec,
        /// Images that are encoded together; see [`batch_for`](crate::embed::batch_for).
        batch: Option<usize>,
    },
    /// An encoder of titles: dense unit rows.
    Text {
        /// The encoder's folder and what is overridden of it.
        encoder: TextSpec,
        /// Turn literal `\xNN` escapes into text first.
        decode_escapes: bool,
    },
    /// Rows of a file, `.npy` or `.npz`, one a listing.
    File(PathBuf),
    /// Rows that the run is given by name (`--embeddings NAME=FILE`); it fails without them.
    Given,
    /// Other spaces' unit rows, weighted, side by side, and of unit length again; see
    /// [`refine::concat`](crate::refine::concat).
    Concat(Vec<(usize, f64)>),
    /// Other spaces' similarities, combined before the nearest are taken; it has no rows of its own, so
    /// nothing refines it.
    Fused {
        /// Places of the spaces in [`Recipe::spaces`], and their weights.
        spaces: Vec<(usize, f64)>,
        /// How the similarities become one.
        by: Fuse,
    },
    /// Another space's neighbours (its place in [`Recipe::spaces`]), with percentiles in the place of their
    /// scores: the distance of a pair is the share of all kept pairs of neighbours that are more similar. It
    /// has no rows of its own.
    Ranked(usize),
    /// The probability that a classifier gives to each pair, by the difference of the two listings' vectors
    /// in other spaces, each of unit length, side by side. It has no rows of its own.
    Pair {
        /// Places of the spaces in [`Recipe::spaces`].
        spaces: Vec<usize>,
        /// The classifier.
        classifier: PairSpec,
    },
}

/// A change of a space's rows by their own neighbourhoods. Each step searches the rows as the step before
/// left them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Step {
    /// Query expansion: the expanded row takes the row's place.
    Expand(Expand),
    /// Query expansion in another form.
    ExpandBy(Expansion),
    /// One stage of neighbourhood blending.
    Blend {
        /// Its thresholds.
        blend: Blend,
        /// The space whose neighbours are blended (a place in [`Recipe::spaces`]), as it stands when all
        /// of its own steps are done; the space itself, as this step finds it, when there is none.
        by: Option<usize>,
        /// Neighbours that conflict with the row are none.
        conflicts: Conflicts,
    },
}

/// Query expansion in another form than [`Step::Expand`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Expansion {
    /// How many rows, and which power.
    pub expand: Expand,
    /// What the power is taken of.
    pub weight: Weight,
    /// The expanded row stands beside the row as it was, each of unit length and the whole again; else it
    /// takes its place.
    pub beside: bool,
}

/// What a neighbour's weight is a power of.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Weight {
    /// Its similarity `s`, as in alpha query expansion.
    #[default]
    Similarity,
    /// `1 + s`, which is `2 - d`: the database augmentation of the competition's fifth place.
    OnePlus,
}

impl Of {
    /// Whether the rows are made of titles, which can be cleaned first.
    pub fn reads_titles(&self) -> bool {
        matches!(
            self,
            Of::Tfidf { .. } | Of::Word2Vec { .. } | Of::Text { .. }
        )
    }

    /// Whether the rows are learnt from all listings, so that some of them have other rows alone.
    pub fn is_learnt(&self) -> bool {
        match self {
            Of::Tfidf { .. } => true,
            Of::Word2Vec { options, .. } => options.vectors.is_none(),
            _ => false,
        }
    }

    /// Whether there are pairs' scores and no rows.
    pub fn is_scores(&self) -> bool {
        matches!(self, Of::Fused { .. } | Of::Pair { .. } | Of::Ranked(_))
    }
}

impl Space {
    /// A space that nothing refines.
    pub fn new(name: &str, of: Of) -> Self {
        Space {
            name: name.to_string(),
            of,
            clean: Vec::new(),
            refine: Vec::new(),
            euclidean: None,
        }
    }
}

impl Recipe {
    /// What `match` does unless told otherwise: equal perceptual hashes united with one sweep (Tan, section
    /// 3.3 and Table 1) over what there is of: the space `image` (L .24, H .50, S .01 in cosine distance),
    /// the titles' TF-IDF `tfidf` (.25, .50, .20) and the space `title` (.08, .30, .01). See
    /// [`Rule::default_fusion`].
    pub fn default_with(image: Option<Of>, title: Option<Of>) -> Self {
        let words = Of::Tfidf {
            options: tfidf_options(),
            decode_escapes: false,
        };
        let mut spaces = vec![Space::new("phash", Of::Phash), Space::new("tfidf", words)];
        let mut add = |name: &str, of: Option<Of>| {
            spaces.push(Space::new(name, of?));
            Some(spaces.len() - 1)
        };
        let (image, title) = (add("image", image), add("title", title));
        Recipe {
            name: "default".into(),
            about: None,
            source: None,
            neighbours: MAX_MATCHES,
            matches: MAX_MATCHES,
            fusion: Rule::default_fusion(0, 1, image, title),
            spaces,
            after: After::default(),
            tuned: None,
            published: None,
        }
    }
}

/// The TF-IDF settings of Tan's paper (section 4.2): English stop words, at most 25,000 features.
pub fn tfidf_options() -> TfidfOptions {
    TfidfOptions {
        stop_words: StopWords::English,
        max_features: Some(25_000),
        ..TfidfOptions::default()
    }
}
