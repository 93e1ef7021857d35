//! Is there a card? The answer is a card's facts or one line that says why not; never a panic.

use std::fmt;

use super::driver::CardInfo;
use super::images::{FAMILIES, IMAGES, Image, NVCC, WHY_NONE};
use crate::error::Error;

/// The oldest driver that can run what nvcc 13.0 makes, as `cuDriverGetVersion` counts.
pub const OLDEST_DRIVER: i32 = 13_000;
/// The oldest card, as compute capability times ten.
pub const OLDEST_CARD: u32 = 80;
/// The environment variable that switches cards off, when it is set to anything but `0`.
pub const SWITCH: &str = "DOPPEL_NO_GPU";

/// Why there is no card to work on. Prints as one line, `no GPU: reason`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum NoGpu {
    /// The environment variable [`SWITCH`] is set.
    SwitchedOff,
    /// The library was built without the feature `cuda`.
    NotBuilt,
    /// The driver is there, but no kernels were built in.
    NoKernels(&'static str),
    /// No `libcuda` could be opened.
    NoLibrary,
    /// The `libcuda` that was found is the toolkit's stub to link with.
    StubLibrary,
    /// The driver is older than [`OLDEST_DRIVER`].
    OldDriver {
        /// Its version, as `cuDriverGetVersion` counts.
        found: i32,
    },
    /// The driver lacks a function.
    MissingSymbol(&'static str),
    /// There is no card of this number.
    NoDevice {
        /// The number asked for, from 0 on.
        asked: usize,
        /// How many cards there are.
        found: usize,
    },
    /// The card is older than [`OLDEST_CARD`].
    OldCard {
        /// Its name.
        name: String,
        /// Its compute capability times ten.
        arch: u32,
    },
    /// The driver refused: no context could be made, say.
    Refused {
        /// The function that refused.
        call: &'static str,
        /// The driver's name and words for it.
        what: String,
    },
}

impl fmt::Display for NoGpu {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no GPU: ")?;
        let version = |v: &i32| format!("{}.{}", v / 1000, v % 1000 / 10);
        match self {
            NoGpu::SwitchedOff => write!(f, "switched off by {SWITCH}"),
            NoGpu::NotBuilt => f.write_str("built without the feature `cuda`"),
            NoGpu::NoKernels("") => f.write_str("no kernels were given"),
            NoGpu::NoKernels(why) => write!(f, "no kernels were built in: {why}"),
            NoGpu::NoLibrary => f.write_str("the NVIDIA driver's libcuda was not found"),
            NoGpu::StubLibrary => f.write_str("libcuda is the toolkit's stub, not the driver's"),
            NoGpu::OldDriver { found } => {
                let (found, needed) = (version(found), version(&OLDEST_DRIVER));
                write!(
                    f,
                    "the driver is for CUDA {found}, a {needed} driver is needed"
                )
            }
            NoGpu::MissingSymbol(name) => write!(f, "the driver lacks {name}"),
            NoGpu::NoDevice { found: 0, .. } => f.write_str("the driver finds no card"),
            NoGpu::NoDevice { asked, found } => {
                write!(
                    f,
                    "there is no card {asked}: the last of {found} is {}",
                    found - 1
                )
            }
            NoGpu::OldCard { name, arch } => {
                let of = |n: u32| format!("{}.{}", n / 10, n % 10);
                let (arch, needed) = (of(*arch), of(OLDEST_CARD));
                write!(
                    f,
                    "{name} has compute capability {arch}, {needed} is needed"
                )
            }
            NoGpu::Refused { call, what } => write!(f, "{call}: {what}"),
        }
    }
}

impl std::error::Error for NoGpu {}

impl From<NoGpu> for Error {
    fn from(reason: NoGpu) -> Self {
        Error::unsupported(reason.to_string()).mend("use the CPU")
    }
}

/// Whether [`SWITCH`] is set.
fn switched_off() -> bool {
    std::env::var_os(SWITCH).is_some_and(|value| !value.is_empty() && value != "0")
}

/// What can be said without making a context: cards may be used, and there are kernels to run.
pub(super) fn allowed(images: &[Image]) -> Result<(), NoGpu> {
    if switched_off() {
        return Err(NoGpu::SwitchedOff);
    }
    if cfg!(not(feature = "cuda")) {
        return Err(NoGpu::NotBuilt);
    }
    if images.is_empty() {
        Err(NoGpu::NoKernels(WHY_NONE))
    } else {
        Ok(())
    }
}

/// Looks at card `ordinal` (from 0 on), makes a context on it and gives that back.
///
/// # Errors
/// Why this card cannot be used.
pub fn probe(ordinal: usize) -> Result<CardInfo, NoGpu> {
    probe_with(ordinal, IMAGES)
}

/// [`probe`] for these images in place of those built in.
///
/// # Errors
/// Why this card cannot be used.
pub fn probe_with(ordinal: usize, images: &[Image]) -> Result<CardInfo, NoGpu> {
    let allowed = allowed(images);
    match allowed {
        // A driver's fault says more than missing kernels do.
        Ok(()) | Err(NoGpu::NoKernels(_)) => look(ordinal, allowed),
        Err(reason) => Err(reason),
    }
}

#[cfg(feature = "cuda")]
fn look(ordinal: usize, allowed: Result<(), NoGpu>) -> Result<CardInfo, NoGpu> {
    super::driver_cuda::look(ordinal, allowed)
}

#[cfg(not(feature = "cuda"))]
fn look(_: usize, _: Result<(), NoGpu>) -> Result<CardInfo, NoGpu> {
    Err(NoGpu::NotBuilt)
}

/// The cards that can be used, in the driver's order from card 0 up to the first that cannot.
pub fn cards() -> Vec<CardInfo> {
    (0..).map_while(|ordinal| probe(ordinal).ok()).collect()
}

/// A few lines for people: the cards, or why there is none, and each family of kernels with what
/// was built of it and the start of its sources' hash.
pub fn describe() -> String {
    let mut lines = Vec::new();
    match probe(0) {
        Err(reason) => lines.push(reason.to_string()),
        Ok(first) => {
            let all = std::iter::once(first).chain((1..).map_while(|n| probe(n).ok()));
            lines.extend(all.enumerate().map(|(at, card)| {
                format!(
                    "cuda:{at} {}, compute capability {}.{}, {} multiprocessors, {} MiB",
                    card.name,
                    card.arch / 10,
                    card.arch % 10,
                    card.multiprocessors,
                    card.memory >> 20
                )
            }));
        }
    }
    lines.push(match NVCC {
        "" => format!("kernels: {WHY_NONE}"),
        version => format!("kernels: built with nvcc {version}"),
    });
    for family in families() {
        let archs = if family.archs.is_empty() {
            "-".into()
        } else {
            family.archs.join(" ")
        };
        let (name, kernels) = (family.name, family.kernels.len());
        lines.push(format!(
            "{name} {} ({kernels} kernels: {archs})",
            &family.hash[..12]
        ));
    }
    lines.join("\n")
}

/// A family of kernels, and what was built in of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FamilyInfo {
    /// The folder of `kernels/`.
    pub name: &'static str,
    /// SHA-256 of its sources, in hexadecimal.
    pub hash: &'static str,
    /// The architectures built in, sorted; none without nvcc.
    pub archs: Vec<&'static str>,
    /// The kernels built in, sorted.
    pub kernels: Vec<&'static str>,
}

/// The families of kernels, built in or not, sorted by name.
pub fn families() -> Vec<FamilyInfo> {
    let info = |family: &super::images::Family| {
        let own = || IMAGES.iter().filter(|image| image.family == family.name);
        let mut archs: Vec<_> = own().flat_map(|image| image.archs).copied().collect();
        let mut kernels: Vec<_> = own().flat_map(|image| image.kernels).copied().collect();
        for list in [&mut archs, &mut kernels] {
            list.sort_unstable();
            list.dedup();
        }
        FamilyInfo {
            name: family.name,
            hash: family.hash,
            archs,
            kernels,
        }
    };
    FAMILIES.iter().map(info).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_is_one_line_that_says_no_gpu() {
        let refused = NoGpu::Refused {
            call: "cuInit",
            what: "CUDA_ERROR_UNKNOWN".into(),
        };
        let old_card = NoGpu::OldCard {
            name: "Tesla T4".into(),
            arch: 75,
        };
        for (reason, line) in [
            (NoGpu::SwitchedOff, "no GPU: switched off by DOPPEL_NO_GPU"),
            (NoGpu::NotBuilt, "no GPU: built without the feature `cuda`"),
            (NoGpu::NoKernels("x"), "no GPU: no kernels were built in: x"),
            (
                NoGpu::NoLibrary,
                "no GPU: the NVIDIA driver's libcuda was not found",
            ),
            (
                NoGpu::StubLibrary,
                "no GPU: libcuda is the toolkit's stub, not the driver's",
            ),
            (
                NoGpu::OldDriver { found: 12_080 },
                "no GPU: the driver is for CUDA 12.8, a 13.0 driver is needed",
            ),
            (
                NoGpu::MissingSymbol("cuInit"),
                "no GPU: the driver lacks cuInit",
            ),
            (
                NoGpu::NoDevice { asked: 3, found: 0 },
                "no GPU: the driver finds no card",
            ),
            (
                NoGpu::NoDevice { asked: 2, found: 2 },
                "no GPU: there is no card 2: the last of 2 is 1",
            ),
            (
                old_card,
                "no GPU: Tesla T4 has compute capability 7.5, 8.0 is needed",
            ),
            (refused, "no GPU: cuInit: CUDA_ERROR_UNKNOWN"),
        ] {
            assert_eq!(reason.to_string(), line);
            let error = Error::from(reason);
            assert_eq!(error.kind(), crate::error::Kind::Unsupported);
            assert_eq!(error.to_string(), format!("{line}; use the CPU"));
        }
    }

    #[test]
    fn families_and_description_agree() {
        let all = families();
        assert_eq!(all.len(), FAMILIES.len());
        let kernels: usize = all.iter().map(|family| family.kernels.len()).sum();
        assert_eq!(
            kernels,
            IMAGES
                .iter()
                .map(|image| image.kernels.len())
                .sum::<usize>()
        );
        let text = describe();
        assert!(
            all.iter().all(|family| text.contains(family.name)),
            "{text}"
        );
        assert_eq!(cards().is_empty(), text.starts_with("no GPU: "), "{text}");
    }
}
