//! Learns word2vec vectors from listings' titles and writes the titles' rows, for a comparison.
//!
//! ```text
//! word2vec_rows LISTINGS.csv KIND EPOCHS MIN_COUNT SEED OUT.npy
//! ```
//!
//! `KIND` is `skip-gram` or `cbow`. Rows are sums of 50 values, one a listing.

use std::error::Error;

use doppel::embed::store;
use doppel::listings::Listings;
use doppel::text::word2vec::{Kind, Word2Vec, Word2VecOptions};

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [listings, kind, epochs, min_count, seed, out] = args.as_slice() else {
        return Err("usage: word2vec_rows LISTINGS.csv KIND EPOCHS MIN_COUNT SEED OUT.npy".into());
    };
    let options = Word2VecOptions {
        kind: match kind.as_str() {
            "skip-gram" => Kind::SkipGram,
            "cbow" => Kind::Cbow,
            other => return Err(format!("no kind {other}").into()),
        },
        epochs: epochs.parse()?,
        min_count: min_count.parse()?,
        seed: seed.parse()?,
        ..Word2VecOptions::default()
    };
    let listings = Listings::read(listings.as_ref())?;
    let titles: Vec<Option<&str>> = listings.items.iter().map(|l| l.title.as_deref()).collect();
    let model = Word2Vec::train(&titles, &options)?;
    store::write_npy(out, &model.rows(&titles, &options)?, store::NpyDtype::F32)?;
    println!("{}", model.words().len());
    Ok(())
}
