//! A pipeline, from listings to matches: which evidence is gathered and how it is fused.
//!
//! [`run`] is what `engine match` does. Unless told otherwise it needs no weights: equal perceptual
//! hashes united with the TF-IDF sweep of Tan's Table 1. A [`Job`] may have an encoder of images, one of
//! titles, or both: their neighbours join the sweep. [`embed_images`] and [`embed_titles`] make an
//! encoder's vectors of listings.

mod after;
pub mod catalogue;
pub mod compare;
mod embed;
mod encoder;
mod file;
mod hashes;
mod job;
mod pair;
mod pairs;
mod program;
mod published;
mod rows;
mod run;
mod spec;
mod stages;
mod sweep;
mod synth;
mod text;
mod titles;
mod tune;
pub mod work;

pub use after::{After, Conflicts, GROUP};
pub use embed::{Embedded, ImageWork, embed_images, embed_images_into};
pub use encoder::{EncoderSpec, Framing, OpenEncoder};
use file::near;
pub use file::{KEYWORDS, rule_from_text, rule_to_text};
pub use job::{Given, Job, Outcome, Side};
pub use pair::{DEFAULT_PAIRS, PAIR_TENSORS, PairSpec};
pub use pairs::{PAIRS, PairFold, PairOptions, PairOutcome, PairRule, train_pairs};
pub use program::program;
pub use published::{Published, PublishedWeights};
pub use rows::{SpaceRows, space_rows};
pub use run::{Evidence, Run, run, run_with_evidence};
pub use spec::{Expansion, Of, Recipe, Space, Step, Tuned, Weight, tfidf_options};
pub use stages::{Clock, Quiet, Stage, Watch};
pub use synth::{SynthJob, Synthesised, synth};
pub use text::{NEEDED, OpenText, ReadText, TextSpec};
pub use titles::{EmbeddedTitles, TitleWork, embed_titles, embed_titles_into};
pub use tune::{
    Fit, Fold, Folds, Held, Score, Sizes, SpaceCurve, StageCurve, TuneOptions, TuneOutcome, tune,
};
