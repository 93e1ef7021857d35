//! `engine split`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use doppel::error::{Error, Result};
use doppel::listings::{Listings, folds};
use serde_json::json;

use crate::common::{Common, Done};

#[derive(Args)]
#[command(
    after_help = "Example:\n  engine split listings.csv --folds 5 --by label_group --out folds/\n\n\
    Writes DIR/folds.csv (all columns and the fold) and DIR/fold-K.csv, each fold's own listings. \
    Groups go to folds from the largest down (ties: the one that comes first in the file), each to \
    the fold with the fewest listings so far (ties: the lower fold)."
)]
pub struct Arguments {
    /// The listings with their label_group
    #[arg(value_name = "LISTINGS.csv")]
    listings: PathBuf,
    /// How many folds
    #[arg(long, value_name = "K", default_value_t = 5)]
    folds: usize,
    /// What two folds never share
    #[arg(long, value_enum, default_value = "label_group")]
    by: By,
    /// Folds share neither label, hash, image nor title
    #[arg(long)]
    linked: bool,
    /// The folder for the folds; it is made when it is not there
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    #[command(flatten)]
    pub common: Common,
}

#[derive(Clone, Copy, ValueEnum)]
#[value(rename_all = "snake_case")]
enum By {
    LabelGroup,
}

pub fn run(a: &Arguments) -> Result<Done> {
    let By::LabelGroup = a.by;
    let mut listings = Listings::read(&a.listings)?;
    listings.require_labels()?;
    let rows: Vec<usize> = (0..listings.items.len())
        .filter(|&i| listings.items[i].usable() && !listings.items[i].rejected)
        .collect();
    let fold = if a.linked {
        folds::linked_k_fold(&listings, a.folds)?
    } else {
        let groups: Vec<Option<&str>> = listings
            .items
            .iter()
            .map(|l| l.label_group.as_deref())
            .collect();
        folds::group_k_fold(&groups, a.folds)?
    };
    std::fs::create_dir_all(&a.out).map_err(|e| Error::io(e, &a.out))?;
    let named: Vec<String> = fold.iter().map(u32::to_string).collect();
    let all = a.out.join("folds.csv");
    listings.write_subset(&rows, &[("fold", &named)], &all)?;
    let mut sizes = Vec::with_capacity(a.folds);
    for k in 0..a.folds as u32 {
        let own: Vec<usize> = rows.iter().copied().filter(|&i| fold[i] == k).collect();
        listings.write_subset(&own, &[], &a.out.join(format!("fold-{k}.csv")))?;
        sizes.push(own.len());
    }
    let done = a.common.ledger(&mut listings.ledger, &all)?;
    let text: Vec<String> = sizes.iter().map(usize::to_string).collect();
    a.common.print(&format!(
        "{} folds of {} listings ({})",
        a.folds,
        text.join(", "),
        a.out.display()
    ));
    a.common
        .result(&json!({"folds": a.folds, "sizes": sizes, "linked": a.linked, "out": a.out}));
    Ok(done)
}
