//! Which device a run uses, and what this machine has.

use crate::error::{Error, Result};

/// What the CPU offers to the kernels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CpuInfo {
    /// The vector extensions that it has, of those that doppel has kernels for.
    pub features: Vec<&'static str>,
}

/// What this CPU offers.
pub fn cpu_info() -> CpuInfo {
    let mut features = Vec::new();
    #[cfg(target_arch = "x86_64")]
    {
        let found = [
            ("avx2", std::arch::is_x86_feature_detected!("avx2")),
            ("fma", std::arch::is_x86_feature_detected!("fma")),
            ("avx512f", std::arch::is_x86_feature_detected!("avx512f")),
            (
                "avx512bf16",
                std::arch::is_x86_feature_detected!("avx512bf16"),
            ),
            (
                "avx512vpopcntdq",
                std::arch::is_x86_feature_detected!("avx512vpopcntdq"),
            ),
        ];
        features.extend(
            found
                .iter()
                .filter(|(_, there)| *there)
                .map(|(name, _)| *name),
        );
    }
    CpuInfo { features }
}

/// Why there is no GPU, in one line.
pub fn no_gpu_reason() -> String {
    "no GPU: this build has no CUDA kernels yet".to_string()
}

/// The device that `--device` names: `auto`, `cpu` or `cuda[:N]`.
///
/// # Errors
/// [`Kind::Input`](crate::error::Kind::Input) for another word, and
/// [`Kind::Unsupported`](crate::error::Kind::Unsupported) for a card that is not there.
pub fn select(name: &str) -> Result<&'static str> {
    let card = match name.split_once(':') {
        None if name == "auto" || name == "cpu" => return Ok("cpu"),
        None => name == "cuda",
        Some((kind, number)) => kind == "cuda" && number.parse::<u32>().is_ok(),
    };
    if !card {
        return Err(Error::input(format!("--device {name} is not a device"))
            .mend("give auto, cpu or cuda[:N]"));
    }
    Err(
        Error::unsupported(format!("--device {name}: {}", no_gpu_reason()))
            .mend("use --device cpu, or auto for the best there is"),
    )
}
