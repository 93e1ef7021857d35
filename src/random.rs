//! Numbers that are the same on every machine and under every version of every crate.

/// A splitmix64 stream (Steele, Lea and Flood, "Fast splittable pseudorandom number generators").
#[derive(Debug, Clone)]
pub(crate) struct Rng(u64);

const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

/// The finaliser of splitmix64: a bijection that spreads every bit.
pub(crate) fn mix(x: u64) -> u64 {
    let x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

impl Rng {
    /// The stream of one thing: `what` names the kind of thing, `which` the one.
    pub(crate) fn of(seed: u64, what: u64, which: u64) -> Self {
        let kind = mix(seed.wrapping_add(STEP)) ^ mix(what.wrapping_mul(STEP));
        Rng(mix(
            kind.wrapping_add(which.wrapping_mul(0xd1b5_4a32_d192_ed03))
        ))
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(STEP);
        mix(self.0)
    }

    /// A number below `n`, which is at least 1.
    pub(crate) fn below(&mut self, n: usize) -> usize {
        ((u128::from(self.next()) * n as u128) >> 64) as usize
    }

    /// A number from `low` to `high`, both included.
    pub(crate) fn range(&mut self, low: i32, high: i32) -> i32 {
        low + self.below((high - low + 1) as usize) as i32
    }

    /// True `p` times in a thousand.
    pub(crate) fn chance(&mut self, p: u32) -> bool {
        self.below(1000) < p as usize
    }

    /// From 0 to less than 1, in steps of 2^-53.
    pub(crate) fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// A place below `n` where low ones are likelier: the square of an even draw.
    pub(crate) fn low(&mut self, n: usize) -> usize {
        let u = self.unit();
        ((u * u * n as f64) as usize).min(n - 1)
    }

    pub(crate) fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len())]
    }

    pub(crate) fn shuffle<T>(&mut self, all: &mut [T]) {
        for i in (1..all.len()).rev() {
            all.swap(i, self.below(i + 1));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The bytes of every made-up market rest on these.
    #[test]
    fn the_stream_is_pinned() {
        // splitmix64 from the state 0, as published.
        let mut zero = Rng(0);
        assert_eq!(zero.next(), 0xe220_a839_7b1d_cdaf);
        assert_eq!(zero.next(), 0x6e78_9e6a_a1b9_65f4);
        let mut rng = Rng::of(7, 1, 2);
        let mut seen = [0; 10];
        (0..10_000).for_each(|_| seen[rng.below(10)] += 1);
        assert!(seen.iter().all(|n| (880..1120).contains(n)), "{seen:?}");
        assert!((0..1000).all(|_| (-2..=2).contains(&rng.range(-2, 2))));
        assert!((0..1000).all(|_| rng.low(3) < 3 && rng.unit() < 1.0));
        assert!(!(0..1000).any(|_| rng.chance(0)) && (0..1000).all(|_| rng.chance(1000)));
    }
}
