//! The maps of weight files that exist at this moment, in a form that a signal handler may read.
//!
//! A file on a disk can be cut by somebody else while it is mapped; touching what is gone then raises
//! SIGBUS. The library leaves signals alone. A program that wants a line of text instead of a crash
//! installs a handler and asks [`live_map_at`] whose address it was; that takes no lock, allocates
//! nothing and calls nothing.

use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};

use crate::limits::MAX_WEIGHT_MAPS;

/// The longest name that a slot holds, in bytes; of a longer path the end is kept.
pub const NAME_BYTES: usize = 1024;

/// A slot that nobody holds.
const FREE: usize = 0;
/// A slot that is being filled in. No map begins at this address: pages are larger.
const FILLING: usize = 1;

struct Slot {
    /// [`FREE`], [`FILLING`], or the address at which the map begins.
    start: AtomicUsize,
    end: AtomicUsize,
    length: AtomicUsize,
    name: [AtomicU8; NAME_BYTES],
}

static SLOTS: [Slot; MAX_WEIGHT_MAPS] = [const {
    Slot {
        start: AtomicUsize::new(FREE),
        end: AtomicUsize::new(0),
        length: AtomicUsize::new(0),
        name: [const { AtomicU8::new(0) }; NAME_BYTES],
    }
}; MAX_WEIGHT_MAPS];

/// Keeps a slot; the slot is given back when this is dropped, which must be before the map is.
pub(super) struct Registered(&'static Slot);

impl Registered {
    /// Takes a slot for the map at `start..end` of the file called `name`; `None` when all are taken.
    pub(super) fn new(start: usize, end: usize, name: &str) -> Option<Registered> {
        let slot = SLOTS.iter().find(|slot| {
            let taken =
                slot.start
                    .compare_exchange(FREE, FILLING, Ordering::Acquire, Ordering::Relaxed);
            taken.is_ok()
        })?;
        let name = name.as_bytes();
        let tail = &name[name.len().saturating_sub(NAME_BYTES)..];
        for (to, &byte) in slot.name.iter().zip(tail) {
            // One line stays one line, whatever the file is called.
            let byte = if byte.is_ascii_control() { b' ' } else { byte };
            to.store(byte, Ordering::Relaxed);
        }
        slot.length.store(tail.len(), Ordering::Relaxed);
        slot.end.store(end, Ordering::Relaxed);
        slot.start.store(start, Ordering::Release);
        Some(Registered(slot))
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        self.0.start.store(FREE, Ordering::Release);
    }
}

/// Copies the name of the weight file whose map holds `address` into `name` and returns how many
/// bytes that were; `None` when no live map holds it.
///
/// Safe to call from a signal handler.
pub fn live_map_at(address: usize, name: &mut [u8]) -> Option<usize> {
    for slot in &SLOTS {
        let start = slot.start.load(Ordering::Acquire);
        if start <= FILLING || !(start..slot.end.load(Ordering::Relaxed)).contains(&address) {
            continue;
        }
        let length = slot.length.load(Ordering::Relaxed).min(name.len());
        for (to, from) in name[..length].iter_mut().zip(&slot.name) {
            *to = from.load(Ordering::Relaxed);
        }
        // A slot that changed hands meanwhile was not the one that holds the address.
        if slot.start.load(Ordering::Acquire) == start {
            return Some(length);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name_at(address: usize) -> Option<String> {
        let mut name = [0; NAME_BYTES];
        let length = live_map_at(address, &mut name)?;
        Some(String::from_utf8_lossy(&name[..length]).into_owned())
    }

    // Addresses that no process on these machines maps.
    const HIGH: usize = usize::MAX - (1 << 20);

    #[test]
    fn a_map_is_known_while_it_lives() {
        let first = Registered::new(HIGH, HIGH + 4096, "a\nb").unwrap();
        let second = Registered::new(HIGH + 4096, HIGH + 8192, "c").unwrap();
        assert_eq!(name_at(HIGH - 1), None);
        assert_eq!(name_at(HIGH).unwrap(), "a b");
        assert_eq!(name_at(HIGH + 4095).unwrap(), "a b");
        assert_eq!(name_at(HIGH + 4096).unwrap(), "c");
        drop(first);
        assert_eq!(name_at(HIGH), None);
        assert_eq!(name_at(HIGH + 8191).unwrap(), "c");
        drop(second);
        assert_eq!(name_at(HIGH + 8191), None);
    }

    #[test]
    fn a_long_name_keeps_its_end() {
        let at = HIGH + (1 << 16);
        let long = format!("{}/model.safetensors", "x".repeat(3 * NAME_BYTES));
        let held = Registered::new(at, at + 1, &long).unwrap();
        let name = name_at(at).unwrap();
        assert_eq!(name.len(), NAME_BYTES);
        assert!(long.ends_with(&name));
        let mut few = [0; 5];
        assert_eq!(live_map_at(at, &mut few), Some(5));
        drop(held);
    }
}
