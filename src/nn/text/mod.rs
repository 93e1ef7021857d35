//! Encoders of titles: transformers of BERT's kind under Hugging Face's keys, from the folders that they
//! are published in.
//!
//! ```
//! use doppel::nn::text::{TextBuild, TextConfig, TextPool, text_graph};
//!
//! # fn main() -> doppel::Result<()> {
//! let config = TextConfig::parse(
//!     r#"{"model_type": "bert", "hidden_size": 384, "num_hidden_layers": 6, "num_attention_heads": 12,
//!         "intermediate_size": 1536, "vocab_size": 30522, "max_position_embeddings": 512}"#,
//! )?;
//! // Three titles of 26 tokens in all, one after the other: nothing is padded.
//! let build = TextBuild { tokens: 26, titles: 3, pool: TextPool::Mean };
//! let graph = text_graph(&config, &build)?;
//! assert_eq!(graph.desc(graph.outputs()[0]).dims, [3, 384]);
//! # Ok(())
//! # }
//! ```

mod ahead;
mod build;
mod config;
mod encoder;
mod folder;
mod json;
mod keys;

pub use ahead::{TitleLane, TitleLanes};
pub use build::{TextBuild, text_graph};
pub use config::{TextConfig, TextFamily};
pub use encoder::TextEncoder;
pub use folder::{TextFolder, TextPool};
pub use keys::text_known_extra;
