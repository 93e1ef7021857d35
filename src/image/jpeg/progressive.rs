//! Progressive scans (ITU T.81, annex G): a band of coefficients, a few bits of each.

use super::bits::Bits;
use super::header::{Picture, Scan, Tables, ZIGZAG};
use super::huffman::Table;
use super::sequential::{Restarts, Visit, check_end, walk_blocks};
use super::{Block, Coefficients, Damage};

/// Reads a scan into the coefficients.
pub(super) fn scan(
    picture: &Picture,
    scan: &Scan,
    tables: &Tables,
    bits: &mut Bits<'_>,
    coefficients: &mut [Coefficients],
) -> Result<(), Damage> {
    match (scan.start, scan.high) {
        (0, 0) => dc_first(picture, scan, tables, bits, coefficients),
        (0, _) => dc_refined(picture, scan, tables, bits, coefficients),
        (_, _) => ac(picture, scan, tables, bits, coefficients),
    }
}

fn dc_first(
    picture: &Picture,
    scan: &Scan,
    tables: &Tables,
    bits: &mut Bits<'_>,
    coefficients: &mut [Coefficients],
) -> Result<(), Damage> {
    let codes = scan.parts.iter().map(|part| tables.dc(part.dc, false));
    let codes: Vec<Box<Table>> = codes.collect::<Result<_, _>>()?;
    let mut predictions = vec![0i32; codes.len()];
    let mut restarts = Restarts::new(tables);
    walk_blocks(picture, scan, |visit| {
        match visit {
            Visit::Unit => {
                if restarts.due(bits)? {
                    predictions.fill(0);
                }
            }
            Visit::Block(part, place) => {
                let (_, difference) = codes[part].number(bits)?;
                predictions[part] = predictions[part].wrapping_add(difference);
                let value = (predictions[part] << scan.low) as i16;
                coefficients[scan.parts[part].component].blocks[place][0] = value;
            }
            Visit::RowEnd => check_end(bits)?,
        }
        Ok(())
    })
}

fn dc_refined(
    picture: &Picture,
    scan: &Scan,
    tables: &Tables,
    bits: &mut Bits<'_>,
    coefficients: &mut [Coefficients],
) -> Result<(), Damage> {
    let mut restarts = Restarts::new(tables);
    walk_blocks(picture, scan, |visit| {
        match visit {
            Visit::Unit => {
                restarts.due(bits)?;
            }
            Visit::Block(part, place) => {
                let bit = i16::from(bits.bit()) << scan.low;
                coefficients[scan.parts[part].component].blocks[place][0] |= bit;
            }
            Visit::RowEnd => check_end(bits)?,
        }
        Ok(())
    })
}

/// Scans of AC coefficients: always of one component.
fn ac(
    picture: &Picture,
    scan: &Scan,
    tables: &Tables,
    bits: &mut Bits<'_>,
    coefficients: &mut [Coefficients],
) -> Result<(), Damage> {
    let part = scan.parts.first().ok_or(Damage::Header)?;
    let mut band = Band {
        code: tables.ac(part.ac, false)?,
        start: scan.start,
        end: scan.end,
        low: scan.low,
        ended: 0,
    };
    let Coefficients { blocks, set } = &mut coefficients[part.component];
    let mut restarts = Restarts::new(tables);
    walk_blocks(picture, scan, |visit| {
        match visit {
            Visit::Unit => {
                if restarts.due(bits)? {
                    band.ended = 0;
                }
            }
            Visit::Block(_, place) => {
                let (block, set) = (&mut blocks[place], &mut set[place]);
                if scan.high == 0 {
                    band.first(bits, block, set)?;
                } else {
                    band.refine(bits, block, set)?;
                }
            }
            Visit::RowEnd => check_end(bits)?,
        }
        Ok(())
    })
}

/// A band of AC coefficients.
struct Band {
    code: Box<Table>,
    start: usize,
    end: usize,
    low: u32,
    /// How many blocks, from the next one on, have nothing new left in the band.
    ended: u32,
}

fn place(k: usize) -> usize {
    usize::from(ZIGZAG[k & 127] & 63)
}

impl Band {
    /// The number of blocks that an end-of-band code with this run is for.
    fn end_run(run: usize, bits: &mut Bits<'_>) -> u32 {
        bits.refill();
        (1 << run) + bits.take(run as u32)
    }

    /// The high bits of a block's band.
    #[inline]
    fn first(
        &mut self,
        reader: &mut Bits<'_>,
        block: &mut Block,
        set: &mut u64,
    ) -> Result<(), Damage> {
        if self.ended > 0 {
            self.ended -= 1;
            return Ok(());
        }
        let mut bits = *reader;
        let mut k = self.start;
        while k <= self.end {
            let (symbol, number) = self.code.number(&mut bits)?;
            if symbol.size() > 0 {
                k += symbol.run();
                block[place(k)] = (number << self.low) as i16;
                *set |= 1 << k.min(63);
                k += 1;
            } else if symbol.run() == 15 {
                k += 16;
            } else {
                self.ended = Self::end_run(symbol.run(), &mut bits) - 1;
                break;
            }
        }
        *reader = bits;
        Ok(())
    }

    /// One more bit of a block's band: of the coefficients that have bits, and of new ones.
    fn refine(
        &mut self,
        reader: &mut Bits<'_>,
        block: &mut Block,
        set: &mut u64,
    ) -> Result<(), Damage> {
        let mut bits = *reader;
        let one = 1i16 << self.low;
        let mut k = self.start;
        while self.ended == 0 && k <= self.end {
            let symbol = self.code.symbol(&mut bits)?;
            let mut zeros = symbol.run();
            let new = match symbol.size() {
                0 if zeros < 15 => {
                    self.ended = Self::end_run(zeros, &mut bits);
                    break;
                }
                0 => 0,
                1 if bits.bit() => one,
                1 => -one,
                _ => return Err(Damage::Code),
            };
            // On to the place of the new one, past its run of zeros.
            while k <= self.end {
                let free = self.next_set(*set, k) - k;
                if zeros < free {
                    k += zeros;
                    break;
                }
                zeros -= free;
                k += free;
                if k <= self.end {
                    refine_value(&mut block[place(k)], one, &mut bits);
                    k += 1;
                }
            }
            if new != 0 {
                block[place(k)] = new;
                *set |= 1 << k.min(63);
            }
            k += 1;
        }
        if self.ended > 0 {
            k = self.next_set(*set, k);
            while k <= self.end {
                refine_value(&mut block[place(k)], one, &mut bits);
                k = self.next_set(*set, k + 1);
            }
            self.ended -= 1;
        }
        *reader = bits;
        Ok(())
    }

    /// The next place in the band, from `k` on, whose coefficient is set; one past the band for none.
    #[inline(always)]
    fn next_set(&self, set: u64, k: usize) -> usize {
        let rest = if k < 64 { set >> k } else { 0 };
        let next = k + rest.trailing_zeros() as usize;
        next.min(self.end + 1)
    }
}

/// Reads one more bit of a coefficient that has higher ones; it is set once at most.
#[inline(always)]
fn refine_value(value: &mut i16, one: i16, bits: &mut Bits<'_>) {
    if bits.bit() && *value & one == 0 {
        *value = value.wrapping_add(if *value < 0 { -one } else { one });
    }
}
