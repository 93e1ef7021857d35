//! The command line: one file a verb; each parses, calls the library and prints.

mod bench;
mod classify;
mod common;
mod compare;
mod demo;
mod embed;
mod encoder;
mod evaluate;
mod explore;
mod info;
mod matching;
mod pipeline;
mod recipes;
mod search;
mod sigbus;
mod split;
mod synth;
mod tfidf;
mod tune;
mod tune_pairs;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use common::{Common, Done};

/// Finds the listings of a marketplace that sell the same product.
#[derive(Parser)]
#[command(
    name = "engine",
    version,
    propagate_version = true,
    max_term_width = 100
)]
#[command(
    after_help = "Start with `engine demo`. Exit codes: 0 done, 1 done but some listings \
    were rejected (see OUT.rejects.csv), 2 failed."
)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Answer for each listing which others are the same product
    Match(matching::Arguments),
    /// Turn images or titles into vectors, by an encoder with published weights
    Embed(embed::Arguments),
    /// Turn titles into TF-IDF rows, as scikit-learn's TfidfVectorizer does
    Tfidf(tfidf::Arguments),
    /// Find the exact nearest neighbours of each row: dense, sparse, hashes, or several combined
    Search(search::Arguments),
    /// Show what listings are like: one HTML page
    Explore(explore::Arguments),
    /// Label each listing by its nearest others, and say how often that is right
    Classify(classify::Arguments),
    /// Score matches against labelled listings
    Evaluate(evaluate::Arguments),
    /// Choose a recipe's thresholds on labelled listings
    Tune(tune::Arguments),
    /// List the built-in recipes, or show one: the published systems
    Recipes(recipes::Arguments),
    /// Run several recipes on labelled listings: a table and a chart
    Compare(compare::Arguments),
    /// Split labelled listings into folds that share no product
    Split(split::Arguments),
    /// Make up a marketplace, pictures and titles, to try things on
    Synth(synth::Arguments),
    /// Measure the device on the engine's own shapes: a table and JSON
    Bench(bench::Arguments),
    /// Say what this build and this machine can do
    Info(info::Arguments),
    /// Match the listings that doppel ships, to see it work
    Demo(demo::Arguments),
}

impl Verb {
    fn common(&self) -> &Common {
        match self {
            Verb::Match(a) => &a.common,
            Verb::Embed(a) => &a.common,
            Verb::Tfidf(a) => &a.common,
            Verb::Search(a) => &a.common,
            Verb::Explore(a) => &a.common,
            Verb::Classify(a) => &a.common,
            Verb::Evaluate(a) => &a.common,
            Verb::Tune(a) => &a.common,
            Verb::Recipes(a) => &a.common,
            Verb::Compare(a) => &a.common,
            Verb::Split(a) => &a.common,
            Verb::Synth(a) => &a.common,
            Verb::Bench(a) => &a.common,
            Verb::Info(a) => &a.common,
            Verb::Demo(a) => &a.common,
        }
    }

    fn run(&self) -> doppel::Result<Done> {
        self.common().prepare()?;
        match self {
            Verb::Match(a) => matching::run(a),
            Verb::Embed(a) => embed::run(a),
            Verb::Tfidf(a) => tfidf::run(a),
            Verb::Search(a) => search::run(a),
            Verb::Explore(a) => explore::run(a),
            Verb::Classify(a) => classify::run(a),
            Verb::Evaluate(a) => evaluate::run(a),
            Verb::Tune(a) => tune::run(a),
            Verb::Recipes(a) => recipes::run(a),
            Verb::Compare(a) => compare::run(a),
            Verb::Split(a) => split::run(a),
            Verb::Synth(a) => synth::run(a),
            Verb::Bench(a) => bench::run(a),
            Verb::Info(a) => info::run(a),
            Verb::Demo(a) => demo::run(a),
        }
    }
}

fn main() -> ExitCode {
    sigbus::install();
    match Cli::parse().verb.run() {
        Ok(Done::Clean) => ExitCode::SUCCESS,
        Ok(Done::Rejected) => ExitCode::from(1),
        Err(error) => {
            common::say(&format!("error: {error}"));
            ExitCode::from(2)
        }
    }
}
