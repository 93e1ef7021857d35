//! doppel finds the listings of a marketplace that sell the same product.
//!
//! On a marketplace the same product is posted again and again, with other photographs and other
//! words. doppel reads a CSV of listings and a folder of images, and answers for each listing which
//! others are the same product: at most 50, itself included.
//!
//! # From listings to matches
//!
//! ```text
//!  listings.csv, images/
//!        |
//!    [listings]  read and check; what is wrong goes to the ledger, the rest goes on
//!        |
//!        +----------------------------+
//!        |                            |
//!     [image]  decode, perceptual   [text]  clean, TF-IDF
//!        |     hash                   |
//!        |                            |      [embed] keeps rows on disk: .npy, .npz, manifests
//!        +-------------+--------------+
//!                      |
//!                  [search]   exact top-k: dense, sparse, Hamming, combined      --> NN.csv
//!                      |      (its arithmetic is in [device])
//!                   Lists     for each row its neighbours, best first
//!                      |
//!                 [matching]  thresholds, sweeps, Min2, unions: (row, row, score) alone
//!                      |                                              --> matches.csv, pairs.csv
//!                 [evaluate]  row-wise precision, recall and F1
//!
//!  [recipe] runs the stages one after the other; the binary `engine` is glue over it.
//! ```
//!
//! Imports run one way: `engine` -> [`recipe`] -> the stages -> [`device`] -> [`tensor`] ->
//! [`lists`], [`files`], [`limits`], [`error`]. `tests/tidy.rs` checks that, and that `matching`
//! never sees a tensor and `device` never a listing.
//!
//! Promises that hold everywhere: the same bytes out for the same input whatever the number of
//! threads; files are written whole or not at all; an error is one line that names the file, the
//! row and the mend; no input panics.
//!
//! # Example
//!
//! ```
//! use doppel::listings::Listings;
//! use doppel::recipe::{Job, Quiet, text_phash};
//!
//! # fn main() -> doppel::Result<()> {
//! # let folder = tempfile::tempdir().map_err(|e| doppel::Error::io(e, "."))?;
//! # let path = folder.path().join("listings.csv");
//! # std::fs::write(&path, "posting_id,title\n\
//! #     a,Minyak Goreng Sawit Botol 2 liter\n\
//! #     b,minyak goreng sawit 2 liter\n\
//! #     c,Boneka Beruang Besar\n").map_err(|e| doppel::Error::io(e, &path))?;
//! let listings = Listings::read(&path)?;
//! let device = doppel::device::open("auto")?; // the card if there is one, else the CPU
//! let job = Job { listings: &listings, images: None, device: &*device };
//! let outcome = text_phash(&job, &Quiet)?;
//! let rows: Vec<u32> = outcome.matches.row(0).iter().map(|m| m.row).collect();
//! assert_eq!(rows, [0, 1]); // itself first, then the other bottle of oil
//! # Ok(())
//! # }
//! ```

pub mod device;
pub mod embed;
pub mod error;
pub mod evaluate;
pub mod files;
pub mod image;
pub mod limits;
pub mod listings;
pub mod lists;
pub mod matching;
pub mod recipe;
pub mod search;
pub mod tensor;
pub mod text;

pub use error::{Error, Result};
