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

    /// Eight bytes a step, each multiplied wide and folded, and the last 16 at once; then mixed, since the
    /// lower bits of one product hang on few bits of its factors.
    #[inline]
    pub(super) fn key(self, bytes: &[u8]) -> Key {
        let mut state = self.0 ^ (bytes.len() as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mut rest = bytes;
        while let (Some((block, after)), true) = (rest.split_first_chunk(), rest.len() > 16) {
            state = self.fold(state ^ u64::from_le_bytes(*block), self.0);
            rest = after;
        }
        let ends = if let (Some(first), Some(last)) = (rest.first_chunk(), rest.last_chunk()) {
            (u64::from_le_bytes(*first), u64::from_le_bytes(*last))
        } else if let (Some(first), Some(last)) = (rest.first_chunk(), rest.last_chunk()) {
            (
                u64::from(u32::from_le_bytes(*first)),
                u64::from(u32::from_le_bytes(*last)),
            )
        } else if let (Some(&first), Some(&last)) = (rest.first(), rest.last()) {
            (
                u64::from(first) | u64::from(rest[rest.len() / 2]) << 8,
                u64::from(last),
            )
        } else {
            (0, 0)
        };
        let folded = self.fold(state ^ ends.0, ends.1);
        let mixed = (folded ^ (folded >> 29)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        Key {
            hash: mixed ^ (mixed >> 32),
            ends,
            length: bytes.len() as u32,
        }
    }

    #[inline]
    fn fold(self, a: u64, b: u64) -> u64 {
        let wide = u128::from(a) * u128::from(b ^ self.1);
        (wide as u64) ^ ((wide >> 64) as u64)
    }
}

/// What is looked up of a term. Up to [`SHORT`] bytes, the length and the two ends (which overlap)
/// are the whole term.
#[derive(Debug, Clone, Copy)]
pub(super) struct Key {
    hash: u64,
    ends: (u64, u64),
    length: u32,
}

/// Terms up to this length are compared by their [`Key`] alone.
const SHORT: u32 = 16;

/// One term of a set.
#[derive(Debug)]
struct Entry {
    ends: (u64, u64),
    start: usize,
    length: u32,
}

/// An open hash table over one run of bytes. Callers bring a term with its key, from one [`Seed`].
#[derive(Debug)]
pub(super) struct Terms {
    /// The hash's upper half, then the term's number plus one; 0 is free. A power of two of them, at
    /// most half in use.
    slots: Vec<u64>,
    hashes: Vec<u64>,
    entries: Vec<Entry>,
    bytes: Vec<u8>,
}

const UPPER: u64 = 0xffff_ffff_0000_0000;

impl Terms {
    /// An empty set that takes `terms` terms before it grows.
    pub(super) fn with_capacity(terms: usize) -> Self {
        Terms {
            slots: vec![0; (terms * 2).next_power_of_two().max(64)],
            hashes: Vec::with_capacity(terms),
            entries: Vec::with_capacity(terms),
            bytes: Vec::with_capacity(terms * 8),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.hashes.len()
    }

    /// Term `id`.
    #[inline]
    pub(super) fn get(&self, id: u32) -> &[u8] {
        let entry = &self.entries[id as usize];
        &self.bytes[entry.start..entry.start + entry.length as usize]
    }

    /// The key that term `id` came with.
    pub(super) fn key_of(&self, id: u32) -> Key {
        let entry = &self.entries[id as usize];
        Key {
            hash: self.hashes[id as usize],
            ends: entry.ends,
            length: entry.length,
        }
    }

    /// The slot of `term`, or the free one where it belongs.
    #[inline]
    fn slot(&self, key: &Key, term: &[u8]) -> usize {
        let mask = self.slots.len() - 1;
        let mut at = key.hash as usize & mask;
        loop {
            let slot = self.slots[at];
            if slot == 0
                || (slot & UPPER == key.hash & UPPER && self.is(slot as u32 - 1, key, term))
            {
                return at;
            }
            at = (at + 1) & mask;
        }
    }

    /// Whether term `id` is `term`.
    #[inline]
    fn is(&self, id: u32, key: &Key, term: &[u8]) -> bool {
        let entry = &self.entries[id as usize];
        entry.ends == key.ends
            && entry.length == key.length
            && (key.length <= SHORT || self.get(id) == term)
    }

    /// The number of `term`, when the set has it.
    #[inline]
    pub(super) fn find(&self, key: &Key, term: &[u8]) -> Option<u32> {
        (self.slots[self.slot(key, term)] as u32).checked_sub(1)
    }

    /// The number of `term`, which is `len()` as it was when the term is new. The caller keeps
    /// `len()` below `u32::MAX`.
    #[inline]
    pub(super) fn intern(&mut self, key: &Key, term: &[u8]) -> u32 {
        let at = self.slot(key, term);
        match (self.slots[at] as u32).checked_sub(1) {
            Some(id) => id,
            None => self.insert(at, key, term),
        }
    }

    #[inline(never)]
    fn insert(&mut self, at: usize, key: &Key, term: &[u8]) -> u32 {
        let id = self.len() as u32;
        self.slots[at] = key.hash & UPPER | (u64::from(id) + 1);
        self.hashes.push(key.hash);
        let start = self.bytes.len();
        self.entries.push(Entry {
            ends: key.ends,
            start,
            length: key.length,
        });
        self.bytes.extend_from_slice(term);
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
            assert_eq!(terms.intern(&seed.key(&term), &term), expected);
        }
        assert_eq!(terms.len(), map.len());
        for (term, &id) in &map {
            assert_eq!(terms.get(id), &term[..]);
            assert_eq!(terms.find(&seed.key(term), term), Some(id));
        }
        assert_eq!(terms.find(&seed.key(b"other"), b"other"), None);
    }

    #[test]
    fn equal_hashes_stay_apart() {
        let mut terms = Terms::with_capacity(4);
        let seed = Seed::random();
        // Short terms part by their ends, long ones only in the middle.
        for length in [3, 40] {
            let first = terms.len() as u32;
            let term = |i: u32| {
                let mut term = vec![b'x'; length];
                term[length / 2] = i as u8;
                let key = Key {
                    hash: 7,
                    ..seed.key(&term)
                };
                (term, key)
            };
            for i in 0..256 {
                let (term, key) = term(i);
                assert_eq!(terms.intern(&key, &term), first + i);
            }
            let (term, key) = term(200);
            assert_eq!(terms.find(&key, &term), Some(first + 200));
        }
        assert_eq!(
            terms.find(
                &Key {
                    hash: 7,
                    ..seed.key(b"")
                },
                b""
            ),
            None
        );
    }

    #[test]
    fn a_short_term_is_its_length_and_its_ends() {
        let seed = Seed(3, 5);
        for length in 0..=SHORT as usize {
            let base: Vec<u8> = (0..length as u8).collect();
            for at in 0..length {
                let mut other = base.clone();
                other[at] = 0xff;
                assert_ne!(
                    seed.key(&base).ends,
                    seed.key(&other).ends,
                    "byte {at} of {length}"
                );
            }
        }
    }

    #[test]
    fn hashes_use_every_byte_and_spread() {
        // One product alone spread badly with one seed of thirty.
        (0..100).for_each(|_| spreads(Seed::random()));
    }

    fn spreads(seed: Seed) {
        for length in 1..70 {
            let base = vec![b'a'; length];
            for at in 0..length {
                let mut other = base.clone();
                other[at] = b'b';
                assert_ne!(
                    seed.key(&base).hash,
                    seed.key(&other).hash,
                    "byte {at} of {length}"
                );
            }
            assert_ne!(seed.key(&base).hash, seed.key(&base[1..]).hash);
        }
        let mut low = std::collections::HashSet::new();
        for i in 0..10_000 {
            low.insert(seed.key(format!("term{i}").as_bytes()).hash & 0xffff);
        }
        // 10,000 balls in 65,536 boxes fill about 9,272 of them.
        assert!(low.len() > 9_000, "{}", low.len());
    }
}
