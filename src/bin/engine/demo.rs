//! `engine demo`: the whole job on the listings that doppel ships.

use std::path::{Path, PathBuf};
use std::time::Instant;

use clap::Args;
use doppel::error::{Error, Result};
use doppel::evaluate::{Figures, evaluate_file, read_matches};
use doppel::files::write_whole;
use doppel::listings::Listings;
use doppel::nn;
use doppel::recipe::{Job, Side};
use include_dir::{Dir, include_dir};
use serde_json::json;

use crate::common::{Common, Done, peak_memory, seconds, stages_json};
use crate::matching::{Files, Summary, match_listings};
use crate::pipeline::{self, Pipeline};

/// The demo's listings and photographs, inside the binary.
static DATA: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/demo");

#[derive(Args)]
#[command(
    after_help = "Examples:\n  engine demo --out doppel-demo\n  engine demo --encoder \
    timm:efficientnet_b0 --weights weights/"
)]
pub struct Arguments {
    /// The folder for the listings, the photographs and the results; it is made when it is not there
    #[arg(long, value_name = "DIR", default_value = "doppel-demo")]
    out: PathBuf,
    #[command(flatten)]
    pipeline: Pipeline,
    #[command(flatten)]
    pub common: Common,
}

pub fn run(a: &Arguments) -> Result<Done> {
    let recipe = a.pipeline.recipe()?;
    pipeline::once(&a.pipeline.embeddings)?;
    unpack(&a.out)?;
    let start = Instant::now();
    let listings = Listings::read(&a.out.join("listings.csv"))?;
    let (matches, pairs) = (a.out.join("matches.csv"), a.out.join("pairs.csv"));
    let images = a.out.join("images");
    let report = a.out.join("report.html");
    let files = Files {
        out: &matches,
        pairs: Some(&pairs),
        report: Some(&report),
    };
    let job = Job {
        side: Side {
            images: Some(&images),
            given: a.pipeline.given(),
            ..Side::new(&listings)
        },
        insist: a.common.insists_on_card(),
        ..Job::new(&listings, &recipe, a.common.shared_device()?)
    };
    let mut summary = match_listings(&job, files, &a.common)?;
    for note in &summary.outcome.notes {
        a.common.note(note);
    }
    summary.seconds = start.elapsed().as_secs_f64();
    let answers = read_matches(&matches)?;
    let (figures, _) = evaluate_file(&answers, &listings.index_by_id(), &listings.labels())?;
    let done = a.common.ledger(&mut summary.outcome.ledger, &matches)?;
    a.common.print(&story(&listings, &summary, &figures, a));
    a.common.result(&json!({
        "listings": summary.listings,
        "matched": summary.matched,
        "matched_pairs": summary.pairs,
        "f1": figures.f1,
        "precision": figures.precision,
        "recall": figures.recall,
        "seconds": summary.seconds,
        "stages": stages_json(&summary.outcome.stages),
        "peak_memory_bytes": peak_memory(),
        "out": matches,
        "pairs": pairs,
        "report": report,
    }));
    Ok(done)
}

/// Writes the shipped files under `out`; what is there already is written anew.
fn unpack(out: &Path) -> Result<()> {
    let images = out.join("images");
    std::fs::create_dir_all(&images)
        .map_err(|e| Error::io(e, &images).mend("choose another folder with --out"))?;
    let files = DATA.files().chain(DATA.dirs().flat_map(Dir::files));
    for file in files {
        write_whole(out.join(file.path()), |w| w.write_all(file.contents()))?;
    }
    Ok(())
}

/// What a newcomer reads: what was done, how well, how fast, an example, and what to try next.
fn story(listings: &Listings, s: &Summary, f: &Figures, a: &Arguments) -> String {
    let slowest = s
        .outcome
        .stages
        .iter()
        .max_by(|a, b| a.seconds.total_cmp(&b.seconds));
    let mut text = format!(
        "{} listings of a grocery marketplace (real photographs, made-up titles), {}\n\n",
        s.listings,
        seconds(s.seconds)
    );
    text.push_str(&example(listings, s));
    text.push_str(&format!(
        "\nF1 {:.3}   (precision {:.3}, recall {:.3}; {} of {} listings found a match)\n",
        f.f1, f.precision, f.recall, s.matched, s.listings
    ));
    if let Some(stage) = slowest {
        text.push_str(&format!(
            "slowest stage: {} ({})\n",
            stage.label(),
            seconds(stage.seconds)
        ));
    }
    let place = a.out.display();
    text.push_str(&format!(
        "\nwritten: {place}/matches.csv  (posting_id, matches)\n         {place}/pairs.csv    (why each \
         pair matched)\n         {place}/images/      (look at them)\n         {place}/report.html  (open it in a \
         browser)\n\nnow yours:\n  engine match listings.csv --images photos/ --out matches.csv \
         --report report.html\n  engine match --help"
    ));
    if a.pipeline.encoder.is_empty() && a.pipeline.recipe.is_none() {
        text.push_str(&with_encoder(&a.out));
    }
    text
}

/// How the demo runs with an encoder: none is shipped, but there are published weights.
fn with_encoder(out: &Path) -> String {
    let Ok(arch) = nn::arch("efficientnet_b0") else {
        return String::new();
    };
    let place = if out == Path::new("doppel-demo") {
        String::new()
    } else {
        format!(" --out {}", out.display())
    };
    format!(
        "\n\nwith an image encoder (published weights, about 20 MB):\n  hf download {} \
         model.safetensors --local-dir weights/\n  engine demo{place} --encoder timm:{} --weights \
         weights/",
        arch.published, arch.name
    )
}

/// The first listing with two matches or more, and the titles that it found.
fn example(listings: &Listings, s: &Summary) -> String {
    let titles = |i: usize| listings.items[i].title.as_deref().unwrap_or("(no title)");
    let found = s
        .outcome
        .matches
        .iter()
        .enumerate()
        .find(|(_, m)| m.len() > 2);
    let Some((i, matches)) = found else {
        return String::new();
    };
    let mut text = format!("  {}\n", titles(i));
    for m in matches.iter().skip(1) {
        let source = &s.outcome.sources[usize::from(m.source)];
        text.push_str(&format!(
            "    = {}   ({source} {:.2})\n",
            titles(m.row as usize),
            m.score
        ));
    }
    text
}
