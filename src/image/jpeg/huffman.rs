//! Huffman codes (ITU T.81, annexes C and F.2.2.3).

use super::Damage;
use super::bits::Bits;

/// A code as the file gives it: how many codes there are of each length, and their symbols.
#[derive(Clone)]
pub(super) struct Code {
    pub(super) counts: [u8; 16],
    pub(super) symbols: Vec<u8>,
}

/// Codes up to this many bits are looked up at once.
const QUICK: u32 = 11;

/// A code made ready for decoding.
///
/// An entry of `quick`, by the next [`QUICK`] bits: the length in bits 0 to 7 and the symbol in bits
/// 8 to 15, length 0 for a longer code. Where the number that follows the code is within the same
/// bits, it is in bits 16 to 31 and the length is of both; it is never zero.
pub(super) struct Table {
    quick: [u32; 1 << QUICK],
    /// By length: the end of its codes, as the first 16 bits of what comes after them.
    ends: [u32; 17],
    /// By length: the place of its first symbol less its first code.
    starts: [i32; 17],
    symbols: [u8; 256],
}

/// One step of decoding.
pub(super) enum Step {
    /// A code and the number that follows it, both used up.
    Number(Symbol, i32),
    /// A code, used up; the number that may follow it is not.
    Code(Symbol),
}

/// A symbol: of an AC code, the run of zeros and the size of the number.
#[derive(Clone, Copy)]
pub(super) struct Symbol(u8);

impl Symbol {
    #[inline(always)]
    pub(super) fn run(self) -> usize {
        usize::from(self.0 >> 4)
    }

    #[inline(always)]
    pub(super) fn size(self) -> u32 {
        u32::from(self.0 & 15)
    }
}

impl Table {
    /// A code whose symbols are sizes of DC differences.
    pub(super) fn for_dc(code: &Code) -> Result<Box<Table>, Damage> {
        if code.symbols.iter().any(|symbol| *symbol > 15) {
            return Err(Damage::Table);
        }
        Self::new(code)
    }

    /// A code whose symbols are runs and sizes.
    pub(super) fn for_ac(code: &Code) -> Result<Box<Table>, Damage> {
        Self::new(code)
    }

    fn new(code: &Code) -> Result<Box<Table>, Damage> {
        let mut table = Box::new(Table {
            quick: [0; 1 << QUICK],
            ends: [0; 17],
            starts: [0; 17],
            symbols: [0; 256],
        });
        let given = table.symbols.get_mut(..code.symbols.len());
        given.ok_or(Damage::Table)?.copy_from_slice(&code.symbols);
        let mut next = 0u32;
        let mut place = 0usize;
        for (length, count) in (1u32..).zip(code.counts) {
            let count = usize::from(count);
            let symbols = code
                .symbols
                .get(place..place + count)
                .ok_or(Damage::Table)?;
            if next + count as u32 > 1 << length {
                return Err(Damage::Table);
            }
            table.starts[length as usize] = place as i32 - next as i32;
            for symbol in symbols {
                table.enter(next, length, *symbol);
                next += 1;
            }
            place += count;
            table.ends[length as usize] = next << (16 - length);
            next <<= 1;
        }
        Ok(table)
    }

    /// Fills in the entries that begin with a code.
    fn enter(&mut self, code: u32, length: u32, symbol: u8) {
        if length > QUICK {
            return;
        }
        let free = QUICK - length;
        let size = Symbol(symbol).size();
        let first = (code << free) as usize;
        for (rest, entry) in (0u32..).zip(&mut self.quick[first..first + (1 << free)]) {
            *entry = u32::from(symbol) << 8 | length;
            if size > 0 && size <= free {
                let bits = (rest >> (free - size)) as i32;
                let negative = bits < 1 << (size - 1);
                let number = bits + if negative { 1 - (1 << size) } else { 0 };
                *entry = (number as u32) << 16 | u32::from(symbol) << 8 | (length + size);
            }
        }
    }

    /// The next code, and the number after it when both are short.
    ///
    /// Needs 16 bits, so that after a refill there is room for the number.
    #[inline(always)]
    pub(super) fn step(&self, bits: &mut Bits<'_>) -> Result<Step, Damage> {
        let entry = self.quick[bits.peek(QUICK) as usize];
        let length = entry & 0xFF;
        let number = entry as i32 >> 16;
        if number != 0 {
            bits.skip(length);
            return Ok(Step::Number(Symbol((entry >> 8) as u8), number));
        }
        if length != 0 {
            bits.skip(length);
            return Ok(Step::Code(Symbol((entry >> 8) as u8)));
        }
        let (length, symbol) = self.longer(bits.peek(16))?;
        bits.skip(length);
        Ok(Step::Code(symbol))
    }

    /// The next code and the number after it, when both are within [`QUICK`] bits; else nothing is
    /// used up.
    #[inline(always)]
    pub(super) fn quick(&self, bits: &mut Bits<'_>) -> Option<(Symbol, i32)> {
        let entry = self.quick[bits.peek(QUICK) as usize];
        let number = entry as i32 >> 16;
        (number != 0).then(|| {
            bits.skip(entry & 0xFF);
            (Symbol((entry >> 8) as u8), number)
        })
    }

    /// The length and symbol of a code that is not in the quick table.
    #[cold]
    #[inline(never)]
    fn longer(&self, next: u32) -> Result<(u32, Symbol), Damage> {
        for length in QUICK + 1..=16 {
            let at = length as usize;
            if next < self.ends[at] {
                let place = (next >> (16 - length)) as i32 + self.starts[at];
                let symbol = self.symbols.get(place as usize).ok_or(Damage::Code)?;
                return Ok((length, Symbol(*symbol)));
            }
        }
        Err(Damage::Code)
    }

    /// The next symbol and the number after it (0 where its size is 0); does its own refill.
    #[inline(always)]
    pub(super) fn number(&self, bits: &mut Bits<'_>) -> Result<(Symbol, i32), Damage> {
        bits.refill();
        Ok(match self.step(bits)? {
            Step::Number(symbol, number) => (symbol, number),
            Step::Code(symbol) => (symbol, bits.signed(symbol.size())),
        })
    }

    /// The next symbol alone, for codes that other bits follow; does its own refill.
    #[inline(always)]
    pub(super) fn symbol(&self, bits: &mut Bits<'_>) -> Result<Symbol, Damage> {
        bits.refill();
        let next = bits.peek(16);
        let (length, symbol) = self.shorter(next).map_or_else(|| self.longer(next), Ok)?;
        bits.skip(length);
        Ok(symbol)
    }

    /// As [`Table::longer`], by the quick table.
    #[inline(always)]
    fn shorter(&self, next: u32) -> Option<(u32, Symbol)> {
        let entry = self.quick[(next >> (16 - QUICK)) as usize];
        let symbol = Symbol((entry >> 8) as u8);
        let number = if entry >> 16 == 0 { 0 } else { symbol.size() };
        let length = entry & 0xFF;
        (length != 0).then(|| (length - number, symbol))
    }
}

/// The codes of T.81, annex K.3, which a file without tables means (Motion JPEG leaves them out):
/// for luminance or chrominance, DC or AC.
pub(super) fn usual(chrominance: bool, ac: bool) -> Code {
    let (counts, symbols): ([u8; 16], &[u8]) = match (ac, chrominance) {
        (false, false) => ([0, 1, 5, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0], &DC_SIZES),
        (false, true) => ([0, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0], &DC_SIZES),
        (true, false) => (
            [0, 2, 1, 3, 3, 2, 4, 3, 5, 5, 4, 4, 0, 0, 1, 125],
            &AC_LUMINANCE,
        ),
        (true, true) => (
            [0, 2, 1, 2, 4, 4, 3, 4, 7, 5, 4, 4, 0, 1, 2, 119],
            &AC_CHROMINANCE,
        ),
    };
    Code {
        counts,
        symbols: symbols.to_vec(),
    }
}

const DC_SIZES: [u8; 12] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11];

#[rustfmt::skip]
const AC_LUMINANCE: [u8; 162] = [
    0x01, 0x02, 0x03, 0x00, 0x04, 0x11, 0x05, 0x12, 0x21, 0x31, 0x41, 0x06, 0x13, 0x51, 0x61, 0x07,
    0x22, 0x71, 0x14, 0x32, 0x81, 0x91, 0xA1, 0x08, 0x23, 0x42, 0xB1, 0xC1, 0x15, 0x52, 0xD1, 0xF0,
    0x24, 0x33, 0x62, 0x72, 0x82, 0x09, 0x0A, 0x16, 0x17, 0x18, 0x19, 0x1A, 0x25, 0x26, 0x27, 0x28,
    0x29, 0x2A, 0x34, 0x35, 0x36, 0x37, 0x38, 0x39, 0x3A, 0x43, 0x44, 0x45, 0x46, 0x47, 0x48, 0x49,
    0x4A, 0x53, 0x54, 0x55, 0x56, 0x57, 0x58, 0x59, 0x5A, 0x63, 0x64, 0x65, 0x66, 0x67, 0x68, 0x69,
    0x6A, 0x73, 0x74, 0x75, 0x76, 0x77, 0x78, 0x79, 0x7A, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88, 0x89,
    0x8A, 0x92, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99, 0x9A, 0xA2, 0xA3, 0xA4, 0xA5, 0xA6, 0xA7,
    0xA8, 0xA9, 0xAA, 0xB2, 0xB3, 0xB4, 0xB5, 0xB6, 0xB7, 0xB8, 0xB9, 0xBA, 0xC2, 0xC3, 0xC4, 0xC5,
    0xC6, 0xC7, 0xC8, 0xC9, 0xCA, 0xD2, 0xD3, 0xD4, 0xD5, 0xD6, 0xD7, 0xD8, 0xD9, 0xDA, 0xE1, 0xE2,
    0xE3, 0xE4, 0xE5, 0xE6, 0xE7, 0xE8, 0xE9, 0xEA, 0xF1, 0xF2, 0xF3, 0xF4, 0xF5, 0xF6, 0xF7, 0xF8,
    0xF9, 0xFA,
];

#[rustfmt::skip]
const AC_CHROMINANCE: [u8; 162] = [
    0x00, 0x01, 0x02, 0x03, 0x11, 0x04, 0x05, 0x21, 0x31, 0x06, 0x12, 0x41, 0x51, 0x07, 0x61, 0x71,
    0x13, 0x22, 0x32, 0x81, 0x08, 0x14, 0x42, 0x91, 0xA1, 0xB1, 0xC1, 0x09, 0x23, 0x33, 0x52, 0xF0,
    0x15, 0x62, 0x72, 0xD1, 0x0A, 0x16, 0x24, 0x34, 0xE1, 0x25, 0xF1, 0x17, 0x18, 0x19, 0x1A, 0x26,
    0x27, 0x28, 0x29, 0x2A, 0x35, 0x36, 0x37, 0x38, 0x39, 0x3A, 0x43, 0x44, 0x45, 0x46, 0x47, 0x48,
    0x49, 0x4A, 0x53, 0x54, 0x55, 0x56, 0x57, 0x58, 0x59, 0x5A, 0x63, 0x64, 0x65, 0x66, 0x67, 0x68,
    0x69, 0x6A, 0x73, 0x74, 0x75, 0x76, 0x77, 0x78, 0x79, 0x7A, 0x82, 0x83, 0x84, 0x85, 0x86, 0x87,
    0x88, 0x89, 0x8A, 0x92, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99, 0x9A, 0xA2, 0xA3, 0xA4, 0xA5,
    0xA6, 0xA7, 0xA8, 0xA9, 0xAA, 0xB2, 0xB3, 0xB4, 0xB5, 0xB6, 0xB7, 0xB8, 0xB9, 0xBA, 0xC2, 0xC3,
    0xC4, 0xC5, 0xC6, 0xC7, 0xC8, 0xC9, 0xCA, 0xD2, 0xD3, 0xD4, 0xD5, 0xD6, 0xD7, 0xD8, 0xD9, 0xDA,
    0xE2, 0xE3, 0xE4, 0xE5, 0xE6, 0xE7, 0xE8, 0xE9, 0xEA, 0xF2, 0xF3, 0xF4, 0xF5, 0xF6, 0xF7, 0xF8,
    0xF9, 0xFA,
];

#[cfg(test)]
mod tests {
    use super::*;

    /// Codes from their definition: in order of length, each one more than the one before.
    fn by_definition(code: &Code) -> Vec<(u32, u32, u8)> {
        let mut codes = Vec::new();
        let mut next = 0;
        for (length, count) in (1..).zip(code.counts) {
            for _ in 0..count {
                codes.push((length, next, code.symbols[codes.len()]));
                next += 1;
            }
            next <<= 1;
        }
        codes
    }

    #[test]
    fn every_code_and_number_is_read_back() {
        for (chrominance, ac) in [(false, false), (true, false), (false, true), (true, true)] {
            let code = usual(chrominance, ac);
            let table = Table::for_ac(&code).ok().unwrap();
            for (length, bits, symbol) in by_definition(&code) {
                let size = u32::from(symbol & 15);
                for number in [0, 1, (1 << size) - 1, 1 << size >> 1] {
                    if number >> size != 0 {
                        continue;
                    }
                    let all =
                        u64::from(bits) << (64 - length) | number << 1 << (63 - length - size);
                    // The bits after the code do not matter.
                    for rest in [0, u64::MAX >> 1 >> (length + size - 1)] {
                        let mut data = Vec::new();
                        for byte in (all | rest).to_be_bytes() {
                            data.push(byte);
                            if byte == 0xFF {
                                data.push(0);
                            }
                        }
                        let mut reader = Bits::new(&data, 0);
                        assert_eq!(table.symbol(&mut reader).ok().unwrap().0, symbol);
                        reader.refill();
                        let want = reader.signed(size);
                        let mut reader = Bits::new(&data, 0);
                        let (read, got) = table.number(&mut reader).ok().unwrap();
                        assert_eq!((read.0, got), (symbol, want));
                        assert_eq!(reader.bit(), rest != 0);
                    }
                }
            }
        }
    }

    #[test]
    fn codes_that_do_not_exist_are_told() {
        let one = Code {
            counts: [0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
            symbols: vec![5],
        };
        let table = Table::for_dc(&one).ok().unwrap();
        let data = [0x40; 12];
        let mut bits = Bits::new(&data, 0);
        assert!(matches!(table.symbol(&mut bits), Err(Damage::Code)));
        let too_many = |counts| {
            Table::for_ac(&Code {
                counts,
                symbols: vec![1; 40],
            })
            .is_err()
        };
        let mut counts = [0; 16];
        counts[0] = 3;
        assert!(too_many(counts));
        counts[0] = 2;
        assert!(!too_many(counts));
        counts[15] = 1;
        assert!(too_many(counts));
        counts[0] = 0;
        counts[7] = 41;
        assert!(too_many(counts));
        let large = Code {
            counts: one.counts,
            symbols: vec![16],
        };
        assert!(Table::for_dc(&large).is_err() && Table::for_ac(&large).is_ok());
    }
}
