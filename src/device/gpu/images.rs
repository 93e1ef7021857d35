//! The kernels that were built in: one image (a fatbin) for each file of `kernels/`.
//!
//! `build.rs` writes the tables of this module. Without nvcc there are no images, and
//! [`WHY_NONE`] says so.

use super::driver::Kernel;

/// One compiled file of `kernels/`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Image {
    /// The folder of `kernels/` that the file is in.
    pub family: &'static str,
    /// The file, from the repository's root.
    pub file: &'static str,
    /// What is in it: `sm_80`, `sm_90a` (machine code), `compute_80` (PTX).
    pub archs: &'static [&'static str],
    /// The symbols of its kernels, sorted.
    pub kernels: &'static [&'static str],
    /// The fatbin, aligned to 64 bytes.
    pub bytes: &'static [u8],
}

/// A folder of `kernels/`, whether its kernels were built in or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Family {
    /// The folder's name.
    pub name: &'static str,
    /// SHA-256 over its sources and the headers that they read, in hexadecimal: what
    /// `kernels/VERIFIED.toml` records of a run.
    pub hash: &'static str,
}

/// Embedded bytes have no alignment of their own; the driver reads words from an image.
#[repr(C, align(64))]
#[allow(dead_code, reason = "a build without kernels embeds nothing")]
struct Aligned<T: ?Sized>(T);

include!(concat!(env!("OUT_DIR"), "/images.rs"));

impl Image {
    /// How well this image suits a card of compute capability `arch` / 10: 0 is not at all, 1 is
    /// PTX that the driver compiles, 2 is machine code, 3 is machine code for this card alone.
    pub fn suits(&self, arch: u32) -> u32 {
        self.archs
            .iter()
            .map(|has| suits(has, arch))
            .max()
            .unwrap_or(0)
    }
}

/// How well code for `has` suits a card; see [`Image::suits`].
fn suits(has: &str, arch: u32) -> u32 {
    let (kind, number) = has.split_once('_').unwrap_or((has, ""));
    let own = number.strip_suffix('a');
    let Ok(number) = own.unwrap_or(number).parse::<u32>() else {
        return 0;
    };
    match (kind, own.is_some()) {
        ("sm", true) if number == arch => 3,
        // Machine code runs on later cards of the same major version.
        ("sm", false) if number / 10 == arch / 10 && number <= arch => 2,
        ("compute", false) if number <= arch => 1,
        _ => 0,
    }
}

/// The image that has `kernel` for a card of compute capability `arch` / 10: the best suited one.
pub fn find(images: &'static [Image], kernel: Kernel, arch: u32) -> Option<&'static Image> {
    images
        .iter()
        .filter(|image| image.family == kernel.family && image.kernels.contains(&kernel.symbol))
        .filter(|image| image.suits(arch) > 0)
        .max_by_key(|image| image.suits(arch))
}

#[cfg(test)]
mod tests {
    use super::*;

    static SOME: &[Image] = &[
        Image {
            family: "gemm",
            file: "kernels/gemm/gemm.cu",
            archs: &["sm_80", "compute_80"],
            kernels: &["gemm", "both"],
            bytes: b"1",
        },
        Image {
            family: "gemm",
            file: "kernels/gemm/sm90_gemm.cu",
            archs: &["sm_90a"],
            kernels: &["sm90_gemm", "both"],
            bytes: b"2",
        },
    ];

    fn bytes(family: &'static str, symbol: &'static str, arch: u32) -> Option<&'static [u8]> {
        find(SOME, Kernel { family, symbol }, arch).map(|image| image.bytes)
    }

    #[test]
    fn machine_code_runs_within_its_major_version_and_ptx_from_its_own_on() {
        let cards = [75, 80, 86, 89, 90, 100, 120];
        let all = |has| cards.map(|arch| suits(has, arch));
        assert_eq!(all("sm_80"), [0, 2, 2, 2, 0, 0, 0]);
        assert_eq!(all("compute_80"), [0, 1, 1, 1, 1, 1, 1]);
        assert_eq!(all("sm_90a"), [0, 0, 0, 0, 3, 0, 0]);
        assert_eq!(all("sm_86"), [0, 0, 2, 2, 0, 0, 0]);
        for odd in ["", "sm", "sm_", "sm_a", "x_80", "compute_90a", "sm_-1"] {
            assert_eq!(all(odd), [0; 7], "{odd}");
        }
    }

    #[test]
    fn the_best_suited_image_is_found() {
        assert_eq!(bytes("gemm", "both", 90), Some(&b"2"[..]));
        assert_eq!(bytes("gemm", "both", 89), Some(&b"1"[..]));
        assert_eq!(bytes("gemm", "both", 75), None);
        assert_eq!(bytes("gemm", "gemm", 90), Some(&b"1"[..]));
        assert_eq!(bytes("gemm", "sm90_gemm", 90), Some(&b"2"[..]));
        assert_eq!(bytes("gemm", "sm90_gemm", 120), None);
        assert_eq!(bytes("norm", "gemm", 90), None);
        assert_eq!(bytes("gemm", "gem", 90), None);
    }

    #[test]
    fn what_was_built_in_is_whole() {
        assert_eq!(IMAGES.is_empty(), !WHY_NONE.is_empty());
        assert_eq!(
            IMAGES.is_empty(),
            NVCC.is_empty() || WHY_NONE.contains("source tree")
        );
        for image in IMAGES {
            // The magic number of a fatbin.
            assert_eq!(
                image.bytes.get(..4),
                Some(&[0x50, 0xed, 0x55, 0xba][..]),
                "{image:?}"
            );
            assert_eq!(image.bytes.as_ptr().align_offset(64), 0, "{}", image.file);
            assert!(!image.kernels.is_empty(), "{}", image.file);
            let hopper = image.file.contains("/sm90_");
            assert_eq!(
                [80, 90].map(|a| image.suits(a) > 0),
                [!hopper, true],
                "{}",
                image.file
            );
            assert!(
                FAMILIES.iter().any(|family| family.name == image.family),
                "{}",
                image.file
            );
        }
        for family in FAMILIES {
            assert_eq!(family.hash.len(), 64, "{}", family.name);
            assert!(
                family.hash.bytes().all(|b| b.is_ascii_hexdigit()),
                "{}",
                family.name
            );
        }
    }
}
