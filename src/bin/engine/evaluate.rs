//! `engine evaluate`.

use std::path::PathBuf;

use clap::Args;
use doppel::error::Result;
use doppel::evaluate::evaluate_file;
use doppel::listings::Listings;
use serde_json::json;

use crate::common::{Common, Done};

#[derive(Args)]
#[command(
    after_help = "Example:\n  engine evaluate matches.csv listings.csv\n\nF1, precision and \
    recall are means over the listings, as the competition scores them."
)]
pub struct Arguments {
    /// The matches: posting_id,matches
    #[arg(value_name = "MATCHES.csv")]
    matches: PathBuf,
    /// The listings with their label_group
    #[arg(value_name = "LISTINGS.csv")]
    listings: PathBuf,
    #[command(flatten)]
    pub common: Common,
}

pub fn run(a: &Arguments) -> Result<Done> {
    let listings = Listings::read(&a.listings)?;
    listings.require_labels()?;
    let (figures, notes) = evaluate_file(&a.matches, &listings.index_by_id(), &listings.labels())?;
    if notes.missing > 0 {
        a.common.note(&format!(
            "{} listings have no answer: they score 0",
            notes.missing
        ));
    }
    if notes.unknown > 0 {
        a.common.note(&format!(
            "{} answers name an id that is not among the listings: they count as wrong",
            notes.unknown
        ));
    }
    let p = &figures.pairs;
    a.common.print(&format!(
        "F1         {:.4}   (mean over {} listings)\nprecision  {:.4}\nrecall     {:.4}\n\
         F1 of the mean precision and recall  {:.4}\n\
         pairs      {} right, {} wrong, {} missed: precision {:.4}, recall {:.4}, F1 {:.4}",
        figures.f1,
        figures.listings,
        figures.precision,
        figures.recall,
        figures.f1_of_means,
        p.tp,
        p.fp,
        p.fn_,
        figures.pair_precision,
        figures.pair_recall,
        figures.pair_f1
    ));
    let mut value = json!(figures);
    value["missing"] = json!(notes.missing);
    value["unknown"] = json!(notes.unknown);
    a.common.result(&value);
    for reject in listings.ledger.iter().take(20) {
        a.common.note(&format!(
            "row {} of the listings: {}",
            reject.row, reject.reason
        ));
    }
    Ok(if listings.ledger.is_empty() {
        Done::Clean
    } else {
        Done::Rejected
    })
}
