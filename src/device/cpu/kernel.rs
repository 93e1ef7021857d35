//! Which form of the kernels runs.

/// A form of the kernels that this machine can run; see [`Kernel::best`].
///
/// A value of this type is the proof that the instructions it stands for are there: the only ways
/// to get one look first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kernel(Level);

/// From the slowest to the fastest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Level {
    /// Plain Rust, any machine.
    Portable,
    /// 256-bit vectors: AVX2 and FMA.
    #[cfg(target_arch = "x86_64")]
    Avx2,
    /// 512-bit vectors: AVX-512 F and BW.
    #[cfg(target_arch = "x86_64")]
    Avx512,
    /// The same with the integer dot-product instructions (VNNI).
    #[cfg(target_arch = "x86_64")]
    Avx512Vnni,
}

impl Kernel {
    /// The fastest form that this machine runs.
    pub fn best() -> Kernel {
        Kernel::available()[0]
    }

    /// Every form that this machine runs, the fastest first; the last one is the portable form.
    pub fn available() -> Vec<Kernel> {
        let mut found = Vec::with_capacity(4);
        #[cfg(target_arch = "x86_64")]
        {
            use std::arch::is_x86_feature_detected as has;
            let avx2 = has!("avx2") && has!("fma") && has!("popcnt");
            let avx512 = avx2 && has!("avx512f") && has!("avx512bw");
            if avx512 && has!("avx512vnni") {
                found.push(Kernel(Level::Avx512Vnni));
            }
            if avx512 {
                found.push(Kernel(Level::Avx512));
            }
            if avx2 {
                found.push(Kernel(Level::Avx2));
            }
        }
        found.push(Kernel(Level::Portable));
        found
    }

    /// What it is called in `engine info` and in bench records.
    pub fn name(self) -> &'static str {
        match self.0 {
            Level::Portable => "portable",
            #[cfg(target_arch = "x86_64")]
            Level::Avx2 => "avx2",
            #[cfg(target_arch = "x86_64")]
            Level::Avx512 => "avx512",
            #[cfg(target_arch = "x86_64")]
            Level::Avx512Vnni => "avx512-vnni",
        }
    }

    pub(super) fn level(self) -> Level {
        self.0
    }
}
