//! Images: safe reading, decoding under limits, grey, resizing, the perceptual hash.
//!
//! ```text
//! listing's image name -> ImageFolder -> bytes -> decode -> luma -> resize_lanczos_u8 -> phash_gray
//!                         (stays inside)          (limits)                    phash, phash_many
//! ```
//!
//! Every file here is a stranger's. A name may lead out of the folder or to a device, a header may
//! promise a hundred gigabytes, half the file may be missing, and a decoder may panic: each of
//! these is one [`crate::Error`], and nothing else happens.

mod dct;
mod decode;
mod folder;
mod gray;
mod jpeg;
mod many;
mod phash;
mod quiet;
mod resize;
mod sniff;
mod wide;

pub use decode::{Decoded, decode};
pub use folder::ImageFolder;
pub use gray::{Gray, luma};
pub use many::phash_many;
pub use phash::{phash, phash_gray};
pub use resize::resize_lanczos_u8;
pub use sniff::Format;
