//! A set of byte strings, numbered from 0 in the order in which they came.

use std::hash::{BuildHasher, RandomState};

/// The two secret halves of a hash. They are drawn anew for each fit, so that no list of titles can
/// be made to collide; nothing that leaves this module depends on them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Seed(u64, u64);

impl Seed {
    pub(super) fn random() -> Self {
        let state = RandomState::new();
        Seed(state.hash_one(1u8), state.hash_one(2u8))
    }

    /// Sixteen bytes a step, each multiplied wide and folded.
    #[inline]
    pub(super) fn hash(self, bytes: &[u8]) -> u64 {
        let mut state = self.0 ^ (bytes.len() as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mut rest = bytes;
        while let Some((block, after)) = rest.split_first_chunk::<16>() {
            state = self.fold(state ^ word(block, 0), word(block, 8));
            rest = after;
        }
        let (a, b) = if let (Some(first), Some(last)) = (rest.first_chunk(), rest.last_chunk()) {
            (u64::from_le_bytes(*first), u64::from_le_bytes(*last))
        } else if let (Some(first), Some(last)) = (rest.first_chunk(), rest.last_chunk()) {
            (
                u32::from_le_bytes(*first) as u64,
                u32::from_le_bytes(*last) as u64,
            )
        } else if let (Some(&first), Some(&last)) = (rest.first(), rest.last()) {
            (
                first as u64 | (rest[rest.len() / 2] as u64) << 8,
                last as u64,
            )
        } else {
            (0, 0)
        };
        self.fold(state ^ a, b)
    }

    #[inline]
    fn fold(self, a: u64, b: u64) -> u64 {
        let wide = u128::from(a) * u128::from(b ^ self.1);
        (wide as u64) ^ ((wide >> 64) as u64)
    }
}

/// Eight of sixteen bytes as a number.
#[inline]
fn word(block: &[u8; 16], at: usize) -> u64 {
    let mut eight = [0; 8];
    eight.copy_from_slice(&block[at..at + 8]);
    u64::from_le_bytes(eight)
}

/// An open hash table over one run of bytes. Callers bring the hash, always from one [`Seed`].
#[derive(Debug)]
pub(super) struct Terms {
    /// The hash's upper half, then the term's number plus one; 0 is free. A power of two of them, at
    /// most half in use.
    slots: Vec<u64>,
    hashes: Vec<u64>,
    /// Where each term starts in `bytes`, and a last entry for the end.
    starts: Vec<usize>,
    bytes: Vec<u8>,
}

const UPPER: u64 = 0xffff_ffff_0000_0000;

impl Terms {
    /// An empty set that takes `terms` terms before it grows.
    pub(super) fn with_capacity(terms: usize) -> Self {
        Terms {
            slots: vec![0; (terms * 2).next_power_of_two().max(64)],
            hashes: Vec::with_capacity(terms),
            starts: vec![0],
            bytes: Vec::with_capacity(terms * 8),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.hashes.len()
    }

    /// Term `id`.
    #[inline]
    pub(super) fn get(&self, id: u32) -> &[u8] {
        &self.bytes[self.starts[id as usize]..self.starts[id as usize + 1]]
    }

    /// The hash that term `id` came with.
    pub(super) fn hash_of(&self, id: u32) -> u64 {
        self.hashes[id as usize]
    }

    /// The slot of `term`, or the free one where it belongs.
    #[inline]
    fn slot(&self, hash: u64, term: &[u8]) -> usize {
        let mask = self.slots.len() - 1;
        let mut at = hash as usize & mask;
        loop {
            let slot = self.slots[at];
            if slot == 0 || (slot & UPPER == hash & UPPER && self.get(slot as u32 - 1) == term) {
                return at;
            }
            at = (at + 1) & mask;
        }
    }

    /// The number of `term`, when the set has it.
    #[inline]
    pub(super) fn find(&self, hash: u64, term: &[u8]) -> Option<u32> {
        (self.slots[self.slot(hash, term)] as u32).checked_sub(1)
    }

    /// The number of `term`, which is `len()` as it was when the term is new. The caller keeps
    /// `len()` below `u32::MAX`.
    #[inline]
    pub(super) fn intern(&mut self, hash: u64, term: &[u8]) -> u32 {
        let at = self.slot(hash, term);
        match (self.slots[at] as u32).checked_sub(1) {
            Some(id) => id,
            None => self.insert(at, hash, term),
        }
    }

    #[inline(never)]
    fn insert(&mut self, at: usize, hash: u64, term: &[u8]) -> u32 {
        let id = self.len() as u32;
        self.slots[at] = hash & UPPER | (u64::from(id) + 1);
        self.hashes.push(hash);
        self.bytes.extend_from_slice(term);
        self.starts.push(self.bytes.len());
        if self.len() * 2 > self.slots.len() {
            self.grow();
        }
        id
    }

    fn grow(&mut self) {
        let mask = self.slots.len() * 2 - 1;
        let mut slots = vec![0; mask + 1];
        for (id, &hash) in self.hashes.iter().enumerate() {
            let mut at = hash as usize & mask;
            while slots[at] != 0 {
                at = (at + 1) & mask;
            }
            slots[at] = hash & UPPER | (id as u64 + 1);
        }
        self.slots = slots;
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    #[test]
    fn numbers_are_those_of_a_map() {
        let seed = Seed::random();
        let mut random = fastrand::Rng::with_seed(3);
        let mut terms = Terms::with_capacity(0);
        let mut map: HashMap<Vec<u8>, u32> = HashMap::new();
        for _ in 0..20_000 {
            let length = random.usize(0..40);
            let term: Vec<u8> = (0..length).map(|_| random.u8(0..2)).collect();
            let next = map.len() as u32;
            let expected = *map.entry(term.clone()).or_insert(next);
            assert_eq!(terms.intern(seed.hash(&term), &term), expected);
        }
        assert_eq!(terms.len(), map.len());
        for (term, &id) in &map {
            assert_eq!(terms.get(id), &term[..]);
            assert_eq!(terms.find(seed.hash(term), term), Some(id));
        }
        assert_eq!(terms.find(seed.hash(b"other"), b"other"), None);
    }

    #[test]
    fn equal_hashes_stay_apart() {
        let mut terms = Terms::with_capacity(4);
        for i in 0..300u32 {
            assert_eq!(terms.intern(7, &i.to_le_bytes()), i);
        }
        assert_eq!(terms.find(7, &200u32.to_le_bytes()), Some(200));
        assert_eq!(terms.find(7, b""), None);
    }

    #[test]
    fn hashes_use_every_byte_and_spread() {
        let seed = Seed::random();
        for length in 1..70 {
            let base = vec![b'a'; length];
            for at in 0..length {
                let mut other = base.clone();
                other[at] = b'b';
                assert_ne!(seed.hash(&base), seed.hash(&other), "byte {at} of {length}");
            }
            assert_ne!(seed.hash(&base), seed.hash(&base[1..]));
        }
        let mut low = std::collections::HashSet::new();
        for i in 0..10_000 {
            low.insert(seed.hash(format!("term{i}").as_bytes()) & 0xffff);
        }
        // 10,000 balls in 65,536 boxes fill about 9,272 of them.
        assert!(low.len() > 9_000, "{}", low.len());
    }
}
