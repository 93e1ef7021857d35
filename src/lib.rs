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
//!     [image]  decode, perceptual   [text]  clean, TF-IDF, tokenise
//!        |     hash, prepare          |
//!     [embed]  load || encode by   [embed]  sort by length, encode by [nn], write
//!        |     [nn] || write          |
//!        +-------------+--------------+     [embed] keeps rows on disk: .npy, .npz, manifests
//!                      |
//!                  [search]   exact top-k: dense, sparse, Hamming, fused         --> NN.csv
//!                      |      (its arithmetic is in [device])
//!                   Lists     for each row its neighbours, best first
//!                      |  \
//!                      |   [refine]  query expansion, blending: better rows, searched again
//!                      |
//!                 [matching]  thresholds, sweeps, Min2, unions: (row, row, score) alone
//!                      |                                              --> matches.csv, pairs.csv
//!                  [groups]   sets in which all match one another, where a recipe asks for them
//!                      |
//!                 [evaluate]  row-wise precision, recall and F1; thresholds from labelled listings
//!
//!  [recipe] is a pipeline as data, often a TOML file; it runs the stages one after the other and keeps
//!  what each made in a folder, so that a run that was killed goes on from there. The binary `engine` is
//!  glue over it.
//! ```
//!
//! Imports run one way: `engine` -> [`recipe`] -> the stages -> [`nn`] -> [`device`] -> [`tensor`]
//! -> [`lists`], [`files`], [`limits`], [`error`]. `tests/tidy.rs` checks that, and that `matching`
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
//! use doppel::recipe::{self, Job, Quiet, Recipe};
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
//! let recipe = Recipe::default_with(None, None); // equal hashes, and a sweep over TF-IDF
//! let outcome = recipe::run(&Job::new(&listings, &recipe, device), &Quiet)?;
//! let rows: Vec<u32> = outcome.matches.row(0).iter().map(|m| m.row).collect();
//! assert_eq!(rows, [0, 1]); // itself first, then the other bottle of oil
//! # Ok(())
//! # }
//! ```
//!
//! # The spine: operations, graphs, devices
//!
//! An operation ([`device::Op`]) is data: it knows its shapes, its cost and its unfused form. An
//! architecture is one static [`device::Graph`], written once. Lowered for inference, per-column
//! scales fold into the weights and what follows a product becomes its epilogue; lowered for
//! training, neither happens, and [`device::Graph::backward`] appends the gradients as more
//! operations. A [`device::Plan`] is a lowered graph on a [`device::Device`]:
//!
//! ```text
//!   Graph --backward--> Graph --lower--> Plan --run--> Device
//!                                                        |-- naive  f64, the oracle of the tests
//!                                                        |-- cpu    blocked kernels, AVX-512 / AVX2 / portable
//!                                                        `-- card   kernels/*.cu behind a Driver:
//!                                                             |-- cuda  the CUDA driver, loaded at run time
//!                                                             `-- simt  the same sources on a simulated card
//! ```
//!
//! ```
//! use doppel::device::{self, *};
//!
//! # fn main() -> doppel::Result<()> {
//! // relu(x W^T * gamma + beta): a product, a scale, a bias and an activation.
//! let mut graph = Graph::new();
//! let x = graph.input("x", Desc::new(&[2, 3], DType::F32));
//! let w = graph.param("fc.weight", &[4, 3])?;
//! let (gamma, beta) = (graph.param("bn.weight", &[4])?, graph.param("bn.bias", &[4])?);
//! let product = Op::Gemm { trans_a: false, trans_b: true, epilogue: Epilogue::BARE };
//! let mut y = graph.push(product, &[x, w])?;
//! y = graph.push(Op::Scale, &[y, gamma])?;
//! y = graph.push(Op::Bias, &[y, beta])?;
//! y = graph.push(Op::Activation(Act::Relu), &[y])?;
//! graph.output(&[y]);
//!
//! let weights = Weights::from([
//!     ("fc.weight".to_string(), (vec![4, 3], vec![1.0; 12])),
//!     ("bn.weight".to_string(), (vec![4], vec![0.5; 4])),
//!     ("bn.bias".to_string(), (vec![4], vec![-2.0, -1.0, 0.0, 1.0])),
//! ]);
//! let cpu = device::open("cpu")?;
//! let plan = Plan::new(&graph, &weights, cpu.clone(), Lower::Infer(Precision::F32))?;
//! assert_eq!(plan.launches(), 1); // the scale is in the weights, the rest in the epilogue
//!
//! let input = alloc(&*cpu, Desc::new(&[2, 3], DType::F32))?;
//! let output = alloc(&*cpu, Desc::new(&[2, 4], DType::F32))?;
//! cpu.upload(&bytes_of(&[1.0, 1.0, 1.0, 0.0, 0.0, 1.0], DType::F32), &input, Stream::DEFAULT)?;
//! plan.run(&[&input], &[&output], Stream::DEFAULT)?;
//! let mut bytes = vec![0; output.desc.bytes()];
//! cpu.download(&output, &mut bytes, Stream::DEFAULT)?;
//! assert_eq!(values_of(&bytes, DType::F32), [0.0, 0.5, 1.5, 2.5, 0.0, 0.0, 0.5, 1.5]);
//! # Ok(())
//! # }
//! ```

pub mod bench;
pub mod classify;
pub mod device;
pub mod embed;
pub mod error;
pub mod evaluate;
pub mod explore;
pub mod files;
pub mod groups;
pub mod image;
pub mod limits;
pub mod listings;
pub mod lists;
pub mod matching;
pub mod nn;
pub mod pairs;
mod quiet;
mod random;
pub mod recipe;
pub mod refine;
pub mod report;
pub mod search;
pub mod tensor;
pub mod text;

pub use error::{Error, Result};
