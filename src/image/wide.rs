//! The same loop compiled for wider registers.

/// Runs `work`, compiled with AVX2 where the machine has it.
///
/// The loops that go through here are over integers, so their results do not depend on it. `work`
/// must be inlined (`#[inline(always)]`) for the compiler to use the wider registers in it.
#[inline(always)]
pub(super) fn widest<T>(work: impl FnOnce() -> T) -> T {
    #[cfg(target_arch = "x86_64")]
    {
        #[target_feature(enable = "avx2")]
        fn with_avx2<T>(work: impl FnOnce() -> T) -> T {
            work()
        }
        if std::arch::is_x86_feature_detected!("avx2") {
            // SAFETY: the machine has just said that it has AVX2.
            return unsafe { with_avx2(work) };
        }
    }
    work()
}
