//! How much memory of its own a piece of work takes: pages of files do not count.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

/// The anonymous memory that this process holds now, in bytes; `None` where the system does not tell.
pub fn anonymous() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|l| l.starts_with("RssAnon:"))?;
    let kib: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kib * 1024)
}

/// Does `work` and returns its result with how far this process's anonymous memory rose above where
/// it stood before, at its highest; `None` where the system does not tell.
///
/// Another thread looks every fifth of a millisecond, so that what lives shorter may be missed. All of
/// the process is measured: call it in a process of its own.
pub fn peak_growth<T>(work: impl FnOnce() -> T) -> (T, Option<u64>) {
    let Some(before) = anonymous() else {
        return (work(), None);
    };
    let (highest, stop) = (AtomicU64::new(before), AtomicBool::new(false));
    let look = || highest.fetch_max(anonymous().unwrap_or(0), Ordering::Relaxed);
    let result = std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                look();
                std::thread::sleep(Duration::from_micros(200));
            }
        });
        let result = work();
        stop.store(true, Ordering::Relaxed);
        result
    });
    look();
    let highest = highest.load(Ordering::Relaxed);
    (result, Some(highest.saturating_sub(before)))
}
