//! The encoders by name, with what their published weights expect of an image.
//!
//! The figures are those of timm 1.0.31: `resolve_data_config` of each name's default weights, with
//! the size that the weights were trained at (`input_size`; timm uses `test_input_size` on request
//! alone).

use crate::error::{Error, Result};

/// What an encoder is made of.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Family {
    /// He et al. 2016; Xie et al. 2017 with groups.
    Residual {
        /// Blocks of three convolutions rather than two.
        bottleneck: bool,
        /// Blocks of each stage.
        depths: [usize; 4],
        /// Groups of the middle convolution.
        groups: usize,
        /// Channels of a group at 64 planes.
        base: usize,
    },
    /// Huang et al. 2017: growth 32.
    Dense {
        /// Layers of each block.
        depths: [usize; 4],
    },
    /// Tan and Le 2019.
    Efficient {
        /// Multiplies the channels.
        width: f64,
        /// Multiplies the blocks.
        depth: f64,
        /// TensorFlow's "same" padding and epsilon.
        tensorflow: bool,
    },
    /// Brock et al. 2021 in timm's light form, with efficient channel attention.
    NormFree {
        /// Blocks of each stage.
        depths: [usize; 4],
    },
}

/// An encoder of images, and how to prepare images for its published weights.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Arch {
    /// timm's name.
    pub name: &'static str,
    /// Height and width that the weights were trained at, in pixels.
    pub size: usize,
    /// The part of the shorter side that the centre crop keeps.
    pub crop_pct: f32,
    /// Resize both sides to size / crop_pct, whatever the shape, before the crop (timm's crop mode
    /// `squash`), rather than the shorter one (`center`).
    pub squash: bool,
    /// How to resize: `bicubic` or `bilinear`.
    pub filter: &'static str,
    /// Subtracted from each channel of an image in 0..1.
    pub mean: [f32; 3],
    /// Then divided by.
    pub std: [f32; 3],
    /// How many features it gives.
    pub width: usize,
    /// Where its default weights are published: `hf download PUBLISHED model.safetensors`.
    pub published: &'static str,
    pub(super) family: Family,
}

const IMAGENET_MEAN: [f32; 3] = [0.485, 0.456, 0.406];
const IMAGENET_STD: [f32; 3] = [0.229, 0.224, 0.225];

const fn arch_of(
    name: &'static str,
    (size, crop_pct): (usize, f32),
    width: usize,
    published: &'static str,
    family: Family,
) -> Arch {
    Arch {
        name,
        size,
        crop_pct,
        squash: false,
        filter: "bicubic",
        mean: IMAGENET_MEAN,
        std: IMAGENET_STD,
        width,
        published,
        family,
    }
}

/// Images prepared with a mean and deviation of a half (Inception's).
const fn halves(mut arch: Arch) -> Arch {
    arch.mean = [0.5; 3];
    arch.std = [0.5; 3];
    arch
}

const fn squashed(mut arch: Arch) -> Arch {
    arch.squash = true;
    arch
}

const fn efficient(width: f64, depth: f64) -> Family {
    Family::Efficient {
        width,
        depth,
        tensorflow: false,
    }
}

const fn tf(width: f64, depth: f64) -> Family {
    Family::Efficient {
        width,
        depth,
        tensorflow: true,
    }
}

const fn residual(bottleneck: bool, depths: [usize; 4], groups: usize, base: usize) -> Family {
    Family::Residual {
        bottleneck,
        depths,
        groups,
        base,
    }
}

#[rustfmt::skip]
static ARCHITECTURES: [Arch; 28] = [
    arch_of("resnet18", (224, 0.95), 512, "timm/resnet18.a1_in1k", residual(false, [2, 2, 2, 2], 1, 64)),
    arch_of("resnet50", (224, 0.95), 2048, "timm/resnet50.a1_in1k", residual(true, [3, 4, 6, 3], 1, 64)),
    arch_of("resnext50_32x4d", (224, 0.95), 2048, "timm/resnext50_32x4d.a1h_in1k", residual(true, [3, 4, 6, 3], 32, 4)),
    arch_of("densenet121", (224, 0.875), 1024, "timm/densenet121.ra_in1k", Family::Dense { depths: [6, 12, 24, 16] }),
    arch_of("efficientnet_b0", (224, 0.875), 1280, "timm/efficientnet_b0.ra_in1k", efficient(1.0, 1.0)),
    halves(arch_of("efficientnet_b1", (240, 0.9), 1280, "timm/efficientnet_b1.ra4_e3600_r240_in1k", efficient(1.0, 1.1))),
    arch_of("efficientnet_b2", (256, 0.875), 1408, "timm/efficientnet_b2.ra_in1k", efficient(1.1, 1.2)),
    arch_of("efficientnet_b3", (288, 0.875), 1536, "timm/efficientnet_b3.ra2_in1k", efficient(1.2, 1.4)),
    arch_of("efficientnet_b4", (320, 0.875), 1792, "timm/efficientnet_b4.ra2_in1k", efficient(1.4, 1.8)),
    squashed(arch_of("efficientnet_b5", (448, 1.0), 2048, "timm/efficientnet_b5.sw_in12k_ft_in1k", efficient(1.6, 2.2))),
    arch_of("tf_efficientnet_b0", (224, 0.875), 1280, "timm/tf_efficientnet_b0.ns_jft_in1k", tf(1.0, 1.0)),
    arch_of("tf_efficientnet_b1", (240, 0.882), 1280, "timm/tf_efficientnet_b1.ns_jft_in1k", tf(1.0, 1.1)),
    arch_of("tf_efficientnet_b2", (260, 0.89), 1408, "timm/tf_efficientnet_b2.ns_jft_in1k", tf(1.1, 1.2)),
    arch_of("tf_efficientnet_b3", (300, 0.904), 1536, "timm/tf_efficientnet_b3.ns_jft_in1k", tf(1.2, 1.4)),
    arch_of("tf_efficientnet_b4", (380, 0.922), 1792, "timm/tf_efficientnet_b4.ns_jft_in1k", tf(1.4, 1.8)),
    arch_of("tf_efficientnet_b5", (456, 0.934), 2048, "timm/tf_efficientnet_b5.ns_jft_in1k", tf(1.6, 2.2)),
    arch_of("tf_efficientnet_b6", (528, 0.942), 2304, "timm/tf_efficientnet_b6.ns_jft_in1k", tf(1.8, 2.6)),
    arch_of("tf_efficientnet_b7", (600, 0.949), 2560, "timm/tf_efficientnet_b7.ns_jft_in1k", tf(2.0, 3.1)),
    arch_of("tf_efficientnet_b0_ns", (224, 0.875), 1280, "timm/tf_efficientnet_b0.ns_jft_in1k", tf(1.0, 1.0)),
    arch_of("tf_efficientnet_b1_ns", (240, 0.882), 1280, "timm/tf_efficientnet_b1.ns_jft_in1k", tf(1.0, 1.1)),
    arch_of("tf_efficientnet_b2_ns", (260, 0.89), 1408, "timm/tf_efficientnet_b2.ns_jft_in1k", tf(1.1, 1.2)),
    arch_of("tf_efficientnet_b3_ns", (300, 0.904), 1536, "timm/tf_efficientnet_b3.ns_jft_in1k", tf(1.2, 1.4)),
    arch_of("tf_efficientnet_b4_ns", (380, 0.922), 1792, "timm/tf_efficientnet_b4.ns_jft_in1k", tf(1.4, 1.8)),
    arch_of("tf_efficientnet_b5_ns", (456, 0.934), 2048, "timm/tf_efficientnet_b5.ns_jft_in1k", tf(1.6, 2.2)),
    arch_of("tf_efficientnet_b6_ns", (528, 0.942), 2304, "timm/tf_efficientnet_b6.ns_jft_in1k", tf(1.8, 2.6)),
    arch_of("tf_efficientnet_b7_ns", (600, 0.949), 2560, "timm/tf_efficientnet_b7.ns_jft_in1k", tf(2.0, 3.1)),
    arch_of("eca_nfnet_l0", (224, 0.9), 2304, "timm/eca_nfnet_l0.ra2_in1k", Family::NormFree { depths: [1, 2, 6, 3] }),
    arch_of("eca_nfnet_l1", (256, 0.9), 3072, "timm/eca_nfnet_l1.ra2_in1k", Family::NormFree { depths: [2, 4, 12, 6] }),
];

/// Every encoder there is.
pub fn architectures() -> &'static [Arch] {
    &ARCHITECTURES
}

/// The encoder of a name: timm's own (`efficientnet_b0`), the older `tf_efficientnet_b5_ns`, or the
/// published form with its tag (`efficientnet_b0.ra_in1k`, also behind `timm/`).
///
/// # Errors
/// [`Kind::Input`](crate::error::Kind::Input) for another name, with the nearest ones; for a tag other
/// than the default one, whose weights may want images prepared otherwise, with that one.
pub fn arch(name: &str) -> Result<&'static Arch> {
    if let Some(found) = ARCHITECTURES.iter().find(|a| a.name == name) {
        return Ok(found);
    }
    let bare = name.strip_prefix("timm/").unwrap_or(name);
    let tagged = |a: &&Arch| a.published.strip_prefix("timm/") == Some(bare);
    // The last one: the name that says which weights they are.
    if let Some(found) = ARCHITECTURES.iter().rfind(tagged) {
        return Ok(found);
    }
    if let Some((stem, tag)) = bare.split_once('.')
        && let Some(known) = ARCHITECTURES.iter().find(|a| a.name == stem)
    {
        return Err(
            Error::input(format!("{stem} is not known with the tag {tag:?}")).mend(format!(
                "give {stem}, which prepares images as {} wants them",
                known.published
            )),
        );
    }
    let mut near: Vec<(usize, &str)> = ARCHITECTURES
        .iter()
        .map(|a| (distance(bare, a.name), a.name))
        .collect();
    near.sort_unstable();
    let names: Vec<&str> = near.iter().take(4).map(|&(_, n)| n).collect();
    Err(Error::input(format!("{name:?} is not an encoder"))
        .mend(format!("the nearest names are {}", names.join(", "))))
}

/// How many letters to insert, delete or replace to make `b` of `a` (Levenshtein 1966); names longer
/// than any encoder's are as far as can be.
pub(crate) fn distance(a: &str, b: &str) -> usize {
    const LONG: usize = 64;
    if a.len() > LONG {
        return usize::MAX;
    }
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut corner = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let replaced = corner + usize::from(x != y);
            corner = row[j + 1];
            row[j + 1] = replaced.min(corner + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tags_and_old_names_are_known() {
        for a in architectures() {
            assert_eq!(arch(a.name).unwrap().name, a.name);
            let tagged = arch(a.published).unwrap();
            assert_eq!((tagged.size, tagged.width), (a.size, a.width));
        }
        let names = |n: &str| arch(n).unwrap().name;
        assert_eq!(names("efficientnet_b0.ra_in1k"), "efficientnet_b0");
        assert_eq!(
            names("tf_efficientnet_b5.ns_jft_in1k"),
            "tf_efficientnet_b5_ns"
        );
        assert_eq!(names("timm/eca_nfnet_l1.ra2_in1k"), "eca_nfnet_l1");
    }

    #[test]
    fn another_name_is_an_error_with_the_nearest() {
        for (name, near) in [
            ("efficentnet_b0", "efficientnet_b0"),
            ("resnet-50", "resnet50"),
            ("", "resnet18"),
        ] {
            let error = arch(name).unwrap_err().to_string();
            assert!(error.contains(near), "{error}");
            assert!(!error.contains('\n'));
        }
        let error = arch("resnet50.tv_in1k").unwrap_err().to_string();
        assert!(error.contains("resnet50.a1_in1k"), "{error}");
        assert!(arch(&"x".repeat(1 << 20)).is_err());
        assert!(arch("résnet\n18").is_err());
    }

    #[test]
    fn the_distance_counts_edits() {
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("abc", ""), 3);
        assert_eq!(distance("abc", "abc"), 0);
    }
}
