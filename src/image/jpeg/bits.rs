//! The bits of a scan's coded data.

use super::Damage;
use super::markers::next_ff;

/// Reads bits, highest first, and takes out the zero bytes that follow each FF.
///
/// At a marker, or at the end of the file, zeros follow without end; [`Bits::overrun`] tells.
/// Copying it is cheap: hot loops work on a copy that stays in registers.
#[derive(Clone, Copy)]
pub(super) struct Bits<'a> {
    data: &'a [u8],
    /// The next byte to take in.
    at: usize,
    /// The bits taken in, the next one highest. Below the first `count` there may be later bits of
    /// the data, never anything else.
    buffer: u64,
    count: u32,
    /// How many of all the bits taken in were made up after the end.
    padding: u32,
}

impl<'a> Bits<'a> {
    /// The most that [`Bits::peek`] and [`Bits::take`] may use after one [`Bits::refill`].
    pub(super) const FILLED: u32 = 32;

    /// As many after one [`Bits::fill`].
    pub(super) const FULL: u32 = 56;

    /// The bits of `data` from byte `at` on.
    pub(super) fn new(data: &'a [u8], at: usize) -> Self {
        Bits {
            data,
            at,
            buffer: 0,
            count: 0,
            padding: 0,
        }
    }

    /// Sees to it that [`Bits::FILLED`] bits are there.
    #[inline(always)]
    pub(super) fn refill(&mut self) {
        if self.count < Self::FILLED {
            self.fill();
        }
    }

    /// Sees to it that [`Bits::FULL`] bits are there.
    #[inline(always)]
    pub(super) fn fill(&mut self) {
        if let Some(eight) = self.data.get(self.at..).and_then(<[u8]>::first_chunk) {
            let word = u64::from_be_bytes(*eight);
            // A byte of `word` is FF where the same byte of its complement is zero.
            let none = !word;
            let ff = none.wrapping_sub(0x0101_0101_0101_0101) & word & 0x8080_8080_8080_8080;
            if ff == 0 {
                self.buffer |= word >> self.count;
                let bytes = (63 - self.count) / 8;
                self.at += bytes as usize;
                self.count += 8 * bytes;
                return;
            }
        }
        *self = self.refilled_bytewise();
    }

    /// Takes in byte after byte. By value, so that the caller's copy need not live in memory.
    #[cold]
    #[inline(never)]
    fn refilled_bytewise(self) -> Self {
        let mut bits = self;
        while bits.count < Self::FULL {
            let byte = match bits.next_byte() {
                Some(byte) => u64::from(byte),
                None => {
                    bits.padding += 8;
                    0
                }
            };
            bits.buffer |= byte << (56 - bits.count);
            bits.count += 8;
        }
        bits
    }

    /// The next byte of coded data; `None` at a marker or the end.
    fn next_byte(&mut self) -> Option<u8> {
        let byte = *self.data.get(self.at)?;
        if byte != 0xFF {
            self.at += 1;
            return Some(byte);
        }
        // Any number of FFs may stand before the byte that says what they mean.
        let mut after = self.at + 1;
        while *self.data.get(after)? == 0xFF {
            after += 1;
        }
        if self.data[after] != 0 {
            return None;
        }
        self.at = after + 1;
        Some(0xFF)
    }

    /// The next `n` bits, 1 to 32 of them, without moving on.
    #[inline(always)]
    pub(super) fn peek(&self, n: u32) -> u32 {
        (self.buffer >> (64 - n)) as u32
    }

    /// Moves on by `n` bits.
    #[inline(always)]
    pub(super) fn skip(&mut self, n: u32) {
        self.buffer <<= n;
        self.count -= n;
    }

    /// The next `n` bits, 0 to 16 of them.
    #[inline(always)]
    pub(super) fn take(&mut self, n: u32) -> u32 {
        // In two steps, so that n may be zero.
        let bits = (self.buffer >> 1 >> (63 - n)) as u32;
        self.skip(n);
        bits
    }

    /// The next bit, with a refill of its own.
    #[inline(always)]
    pub(super) fn bit(&mut self) -> bool {
        self.refill();
        self.take(1) == 1
    }

    /// The signed number that follows a code of `size` bits, 0 to 15 (T.81, F.2.2.1, EXTEND).
    #[inline(always)]
    pub(super) fn signed(&mut self, size: u32) -> i32 {
        let bits = self.take(size) as i32;
        // The lower half of the range stands for the negative numbers.
        let negative = bits < 1 << size >> 1;
        bits + if negative { 1 - (1 << size) } else { 0 }
    }

    /// Whether more bits were used than there are.
    pub(super) fn overrun(&self) -> bool {
        self.padding > self.count
    }

    /// Drops what is left before the restart marker of this number, and goes on after it.
    pub(super) fn restart(&mut self, number: u8) -> Result<(), Damage> {
        if self.overrun() {
            return Err(Damage::Ends);
        }
        let mut at = self.at;
        loop {
            at = next_ff(self.data, at) + 1;
            match self.data.get(at) {
                Some(0x00 | 0xFF) => {}
                Some(byte) if *byte == 0xD0 + number => break,
                _ => return Err(Damage::Restart),
            }
        }
        *self = Bits::new(self.data, at + 1);
        Ok(())
    }

    /// A place at or before the marker that ends the coded data.
    pub(super) fn place(&self) -> usize {
        self.at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_are_those_of_the_bytes_without_the_stuffing() {
        let mut random = fastrand::Rng::with_seed(3);
        for _ in 0..200 {
            let mut plain = Vec::new();
            let mut stuffed = Vec::new();
            for _ in 0..random.usize(0..60) {
                let byte = if random.u8(0..6) == 0 {
                    0xFF
                } else {
                    random.u8(..)
                };
                plain.push(byte);
                stuffed.push(byte);
                if byte == 0xFF {
                    stuffed.push(0);
                }
            }
            stuffed.extend([0xFF, 0xD9, 1, 2, 3, 4, 5, 6, 7, 8]);
            let mut bits = Bits::new(&stuffed, 0);
            let mut used = 0;
            while used < 8 * plain.len() {
                bits.refill();
                let n = random.usize(0..17).min(8 * plain.len() - used);
                let want = (used..used + n).fold(0, |value, bit| {
                    value << 1 | u32::from(plain[bit / 8] >> (7 - bit % 8) & 1)
                });
                assert_eq!(bits.take(n as u32), want);
                used += n;
            }
            assert!(!bits.overrun());
            assert!(!bits.bit());
            assert!(bits.overrun());
        }
    }

    #[test]
    fn signed_numbers_are_those_of_the_standard() {
        for (size, bits, want) in [
            (0, 0, 0),
            (1, 0, -1),
            (1, 1, 1),
            (2, 0, -3),
            (2, 1, -2),
            (2, 2, 2),
            (3, 3, -4),
            (10, 0x37F, 0x37F),
            (10, 0, -1023),
        ] {
            let byte = if size == 0 { 0 } else { bits << (16 - size) };
            let data = u16::to_be_bytes(byte);
            let mut reader = Bits::new(&data, 0);
            reader.refill();
            assert_eq!(reader.signed(size), want, "{size} {bits}");
        }
    }

    #[test]
    fn restarts_are_found_in_their_order_alone() {
        let data = [1, 2, 3, 0xFF, 0, 9, 0xFF, 0xFF, 0xD3, 0x80, 0xFF, 0xD4];
        let mut bits = Bits::new(&data, 0);
        bits.refill();
        assert!(matches!(bits.restart(2), Err(Damage::Restart)));
        assert!(bits.restart(3).is_ok());
        assert!(bits.bit());
        assert!(bits.restart(4).is_ok());
        assert!(matches!(bits.restart(5), Err(Damage::Restart)));
    }
}
