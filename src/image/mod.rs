//! Images: safe reading, decoding under limits, grey and RGB, resizing, the perceptual hash, the
//! inputs of encoders.
//!
//! ```text
//! listing's image name -> ImageFolder -> bytes -> decode -> luma -> resize_lanczos_u8 -> phash_gray
//!                         (stays inside)          (limits)                    phash, phash_many
//!
//! names of all listings -> Unique -> each file's bytes -> decode_rgb -> prepare -> [size, size, 3]
//!                          (once)    decode_prepare       (EXIF, RGB)   (resize, crop, normalise)
//!                                                           |
//!                                                           +-> stage, stage_into -> the same on a card
//! ```
//!
//! Every file here is a stranger's. A name may lead out of the folder or to a device, a header may
//! promise a hundred gigabytes, half the file may be missing, and a decoder may panic: each of
//! these is one [`crate::Error`], and nothing else happens.

mod colours;
mod dct;
mod decode;
mod filter;
mod folder;
mod gif;
mod gray;
mod jpeg;
mod many;
mod orient;
mod phash;
mod prepare;
mod resample;
mod resize;
mod rgb;
mod sniff;
mod stage;
mod unique;
mod weigh;
mod wide;

pub use colours::{COLOUR_DIMS, Share, descriptor, palette};
pub use decode::{Decoded, decode};
pub use filter::Filter;
pub use folder::ImageFolder;
pub use gray::{Gray, luma};
pub use many::{Hashed, phash_from, phash_many};
pub use phash::{phash, phash_gray};
pub use prepare::{Crop, IMAGENET, INCEPTION, Normal, Prepare, decode_prepare, prepare};
pub use resample::resize_rgb;
pub use resize::resize_lanczos_u8;
pub use rgb::{Rgb8, decode_rgb, decode_rgb_phash, to_rgb};
pub use sniff::Format;
pub use stage::{decode_stage, stage, stage_into, staging};
pub use unique::{Unique, UniqueFile};
