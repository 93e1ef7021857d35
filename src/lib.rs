//! doppel finds the listings that sell the same product.

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
