//! Sequential scans (ITU T.81, annex F.2): every coefficient of a block at once.

use super::bits::Bits;
use super::header::{Picture, Scan, Tables, ZIGZAG};
use super::huffman::{Step, Table};
use super::output::Output;
use super::{Block, Coefficients, Damage};

/// A component's codes and the DC value of its last block.
struct Decoder {
    dc: Box<Table>,
    ac: Box<Table>,
    prediction: i32,
}

impl Decoder {
    fn all(scan: &Scan, tables: &Tables) -> Result<Vec<Decoder>, Damage> {
        let of = |part: &super::header::Part| {
            Ok(Decoder {
                dc: tables.dc(part.dc, true)?,
                ac: tables.ac(part.ac, true)?,
                prediction: 0,
            })
        };
        scan.parts.iter().map(of).collect()
    }

    /// Reads a block of zeros full; the place in coded order of the last coefficient set.
    #[inline]
    fn block(&mut self, reader: &mut Bits<'_>, block: &mut Block) -> Result<usize, Damage> {
        let mut bits = *reader;
        let (_, difference) = self.dc.number(&mut bits)?;
        self.prediction = self.prediction.wrapping_add(difference);
        block[0] = self.prediction as i16;
        let mut last = 0;
        let mut k = 1;
        while k < 64 {
            bits.fill();
            // Twice as many bits are there as a code and a number may take.
            if let Some((symbol, number)) = self.ac.quick(&mut bits) {
                last = k + symbol.run();
                block[usize::from(ZIGZAG[last & 127] & 63)] = number as i16;
                k = last + 1;
                if k >= 64 {
                    break;
                }
            }
            let (symbol, number) = match self.ac.step(&mut bits)? {
                Step::Number(symbol, number) => (symbol, number),
                Step::Code(symbol) if symbol.size() == 0 => {
                    // Either sixteen zeros or the end of the block.
                    if symbol.run() != 15 {
                        break;
                    }
                    k += 16;
                    continue;
                }
                Step::Code(symbol) => (symbol, bits.signed(symbol.size())),
            };
            last = k + symbol.run();
            block[usize::from(ZIGZAG[last & 127] & 63)] = number as i16;
            k = last + 1;
        }
        *reader = bits;
        Ok(last)
    }
}

/// Counts units down to each restart marker.
pub(super) struct Restarts {
    interval: usize,
    left: usize,
    number: u8,
}

impl Restarts {
    pub(super) fn new(tables: &Tables) -> Self {
        Restarts {
            interval: tables.restart,
            left: tables.restart,
            number: 0,
        }
    }

    /// Steps over a restart marker where one is due before the next unit; whether it did.
    #[inline]
    pub(super) fn due(&mut self, bits: &mut Bits<'_>) -> Result<bool, Damage> {
        if self.interval == 0 {
            return Ok(false);
        }
        let due = self.left == 0;
        if due {
            bits.restart(self.number)?;
            self.number = (self.number + 1) & 7;
            self.left = self.interval;
        }
        self.left -= 1;
        Ok(due)
    }
}

/// An error when the data ended before what was read of them.
pub(super) fn check_end(bits: &Bits<'_>) -> Result<(), Damage> {
    if bits.overrun() {
        Err(Damage::Ends)
    } else {
        Ok(())
    }
}

/// Reads the only scan of a picture, and makes pixels of each row of units as it comes.
pub(super) fn stream(
    picture: &Picture,
    scan: &Scan,
    tables: &Tables,
    bits: &mut Bits<'_>,
    output: &mut Output,
) -> Result<(), Damage> {
    let mut decoders = Decoder::all(scan, tables)?;
    let mut restarts = Restarts::new(tables);
    for row in 0..picture.mcus_high {
        for unit in 0..picture.mcus_wide {
            if restarts.due(bits)? {
                decoders.iter_mut().for_each(|d| d.prediction = 0);
            }
            for (part, decoder) in scan.parts.iter().zip(&mut decoders) {
                let component = &picture.components[part.component];
                for y in 0..component.v {
                    for x in 0..component.h {
                        let mut block = [0; 64];
                        let last = decoder.block(bits, &mut block)?;
                        let place = (component.h * unit + x, component.v * row + y);
                        output.put_block(part.component, place, &block, last);
                    }
                }
            }
        }
        check_end(bits)?;
        output.finish_row(row);
    }
    Ok(())
}

/// Reads one of several scans into the coefficients.
pub(super) fn scan(
    picture: &Picture,
    scan: &Scan,
    tables: &Tables,
    bits: &mut Bits<'_>,
    coefficients: &mut [Coefficients],
) -> Result<(), Damage> {
    let mut decoders = Decoder::all(scan, tables)?;
    let mut restarts = Restarts::new(tables);
    walk_blocks(picture, scan, |visit| {
        match visit {
            Visit::Unit => {
                if restarts.due(bits)? {
                    decoders.iter_mut().for_each(|d| d.prediction = 0);
                }
            }
            Visit::Block(part, place) => {
                let component = scan.parts[part].component;
                decoders[part].block(bits, &mut coefficients[component].blocks[place])?;
            }
            Visit::RowEnd => check_end(bits)?,
        }
        Ok(())
    })
}

/// What comes next in a scan.
pub(super) enum Visit {
    /// A unit, before its blocks.
    Unit,
    /// A block: its part of the scan, and its place among the component's stored blocks.
    Block(usize, usize),
    /// The end of a row of units.
    RowEnd,
}

/// Goes through a scan's units and blocks in their order (T.81, A.2): a scan of one component has
/// its blocks row by row; one of several has units of `h` by `v` blocks of each.
#[inline]
pub(super) fn walk_blocks(
    picture: &Picture,
    scan: &Scan,
    mut visit: impl FnMut(Visit) -> Result<(), Damage>,
) -> Result<(), Damage> {
    if let [part] = &scan.parts[..] {
        let component = &picture.components[part.component];
        for y in 0..component.blocks_high {
            for x in 0..component.blocks_wide {
                visit(Visit::Unit)?;
                visit(Visit::Block(0, y * component.stored_wide + x))?;
            }
            visit(Visit::RowEnd)?;
        }
        return Ok(());
    }
    for row in 0..picture.mcus_high {
        for unit in 0..picture.mcus_wide {
            visit(Visit::Unit)?;
            for (number, part) in scan.parts.iter().enumerate() {
                let component = &picture.components[part.component];
                for y in 0..component.v {
                    for x in 0..component.h {
                        let down = component.v * row + y;
                        let place = down * component.stored_wide + component.h * unit + x;
                        visit(Visit::Block(number, place))?;
                    }
                }
            }
        }
        visit(Visit::RowEnd)?;
    }
    Ok(())
}
