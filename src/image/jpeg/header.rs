//! What stands before the coded data: the frame, the tables, and each scan's header.

use super::huffman::{Code, Table, usual};
use super::{Block, Coefficients, Damage};

/// For each place in a block's coded order, its place row by row (T.81, figure A.6: zigzag).
///
/// A run may lead past the end; libjpeg takes that for the last place, without a warning.
pub(super) const ZIGZAG: [u8; 128] = zigzag();

const fn zigzag() -> [u8; 128] {
    let mut order = [63; 128];
    let (mut row, mut column) = (0usize, 0usize);
    let mut place = 0;
    while place < 64 {
        order[place] = (8 * row + column) as u8;
        place += 1;
        // Up and right on even diagonals, down and left on odd ones, turning at the sides.
        if (row + column).is_multiple_of(2) {
            if column == 7 {
                row += 1;
            } else {
                column += 1;
                row = row.saturating_sub(1);
            }
        } else if row == 7 {
            column += 1;
        } else {
            row += 1;
            column = column.saturating_sub(1);
        }
    }
    order
}

/// One colour of the picture.
pub(super) struct Component {
    pub(super) id: u8,
    /// Samples across and down in a unit of the picture, 1 to 4.
    pub(super) h: usize,
    pub(super) v: usize,
    /// The number of its quantisation table.
    pub(super) quantisation: usize,
    /// Samples across and down that belong to the picture.
    pub(super) width: usize,
    pub(super) height: usize,
    /// Blocks that hold them.
    pub(super) blocks_wide: usize,
    pub(super) blocks_high: usize,
    /// Blocks in whole units, as an interleaved scan has them.
    pub(super) stored_wide: usize,
    pub(super) stored_high: usize,
}

/// The frame.
pub(super) struct Picture {
    pub(super) width: usize,
    pub(super) height: usize,
    pub(super) progressive: bool,
    pub(super) components: Vec<Component>,
    /// The largest sampling factors.
    pub(super) max_h: usize,
    pub(super) max_v: usize,
    /// Units of `8 * max_h` by `8 * max_v` pixels.
    pub(super) mcus_wide: usize,
    pub(super) mcus_high: usize,
}

impl Picture {
    /// The frame of a header; `None` for a kind that is not read here.
    pub(super) fn new(marker: u8, segment: &[u8]) -> Result<Option<Picture>, Damage> {
        let &[precision, h1, h0, w1, w0, count, ref rest @ ..] = segment else {
            return Err(Damage::Header);
        };
        let given = rest.as_chunks::<3>().0;
        if rest.len() != 3 * usize::from(count) {
            return Err(Damage::Header);
        }
        let read = matches!(marker, 0xC0..=0xC2) && precision == 8 && matches!(count, 1 | 3 | 4);
        if !read {
            return Ok(None);
        }
        let mut factors: Vec<(usize, usize)> = Vec::new();
        for [_, factor, _] in given {
            factors.push((usize::from(factor >> 4), usize::from(factor & 15)));
        }
        if count == 1 {
            // A picture of one colour has blocks row by row, whatever its factors.
            factors = vec![(1, 1)];
        }
        if factors
            .iter()
            .any(|(h, v)| !(1..=4).contains(h) || !(1..=4).contains(v))
        {
            return Err(Damage::Header);
        }
        let max_h = factors.iter().map(|(h, _)| *h).max().unwrap_or(1);
        let max_v = factors.iter().map(|(_, v)| *v).max().unwrap_or(1);
        if factors
            .iter()
            .any(|(h, v)| max_h % h != 0 || max_v % v != 0)
        {
            return Ok(None);
        }
        let width = usize::from(u16::from_be_bytes([w1, w0]));
        let height = usize::from(u16::from_be_bytes([h1, h0]));
        let mcus_wide = width.div_ceil(8 * max_h);
        let mcus_high = height.div_ceil(8 * max_v);
        let component = |(&[id, _, quantisation], (h, v)): (&[u8; 3], (usize, usize))| Component {
            id,
            h,
            v,
            quantisation: usize::from(quantisation),
            width: (width * h).div_ceil(max_h),
            height: (height * v).div_ceil(max_v),
            blocks_wide: (width * h).div_ceil(8 * max_h),
            blocks_high: (height * v).div_ceil(8 * max_v),
            stored_wide: mcus_wide * h,
            stored_high: mcus_high * v,
        };
        Ok(Some(Picture {
            width,
            height,
            progressive: marker == 0xC2,
            components: given.iter().zip(factors).map(component).collect(),
            max_h,
            max_v,
            mcus_wide,
            mcus_high,
        }))
    }

    /// The memory that all coefficients take.
    pub(super) fn coefficient_bytes(&self) -> u64 {
        let blocks = |c: &Component| (c.stored_wide * c.stored_high) as u64;
        self.components.iter().map(blocks).sum::<u64>() * Coefficients::BLOCK_BYTES
    }
}

/// A component's part in a scan, with the numbers of its codes.
pub(super) struct Part {
    pub(super) component: usize,
    pub(super) dc: usize,
    pub(super) ac: usize,
}

/// A scan's header.
pub(super) struct Scan {
    pub(super) parts: Vec<Part>,
    /// The first and last coefficient of the band, in coded order.
    pub(super) start: usize,
    pub(super) end: usize,
    /// The bit position of the scan before, 0 for none, and of this one.
    pub(super) high: u32,
    pub(super) low: u32,
}

impl Scan {
    pub(super) fn new(segment: &[u8], picture: &Picture) -> Result<Scan, Damage> {
        let (&count, rest) = segment.split_first().ok_or(Damage::Header)?;
        let count = usize::from(count);
        let (parts, band) = rest.split_at_checked(2 * count).ok_or(Damage::Header)?;
        let &[start, end, position] = band else {
            return Err(Damage::Header);
        };
        let mut scan = Scan {
            parts: Vec::with_capacity(count),
            start: usize::from(start),
            end: usize::from(end),
            high: u32::from(position >> 4),
            low: u32::from(position & 15),
        };
        for [id, codes] in parts.as_chunks().0 {
            let mut numbered = picture.components.iter().enumerate();
            let free = |number| scan.parts.iter().all(|part| part.component != number);
            let found = numbered.find(|(number, c)| c.id == *id && free(*number));
            scan.parts.push(Part {
                component: found.ok_or(Damage::Header)?.0,
                dc: usize::from(codes >> 4),
                ac: usize::from(codes & 15),
            });
        }
        let blocks = |part: &Part| {
            let component = &picture.components[part.component];
            component.h * component.v
        };
        // T.81, B.2.3: at most ten blocks in a unit.
        let unit: usize = scan.parts.iter().map(blocks).sum();
        if scan.parts.is_empty() || scan.parts.len() > 1 && unit > 10 {
            return Err(Damage::Header);
        }
        if picture.progressive && !scan.progresses() {
            return Err(Damage::Header);
        }
        Ok(scan)
    }

    /// Whether the band and bit positions are ones that a progressive scan may have.
    fn progresses(&self) -> bool {
        let band = if self.start == 0 {
            self.end == 0
        } else {
            self.start <= self.end && self.end < 64 && self.parts.len() == 1
        };
        let refines = self.high == 0 || self.low + 1 == self.high;
        band && refines && self.low <= 13
    }
}

/// The tables in force, and what the application segments say of the colours.
#[derive(Default)]
pub(super) struct Tables {
    /// Row by row.
    pub(super) quantisation: [Option<Block>; 4],
    dc: [Option<Code>; 4],
    ac: [Option<Code>; 4],
    /// Units between restart markers, 0 for no such markers.
    pub(super) restart: usize,
    pub(super) jfif: bool,
    /// The transform that an Adobe segment names.
    pub(super) adobe: Option<u8>,
}

impl Tables {
    /// Takes in a segment of quantisation tables (T.81, B.2.4.1).
    pub(super) fn quantisation(&mut self, mut segment: &[u8]) -> Result<(), Damage> {
        while let Some((&head, rest)) = segment.split_first() {
            let table = self.quantisation.get_mut(usize::from(head & 15));
            let bytes = if head >> 4 == 0 { 1 } else { 2 };
            let (values, rest) = rest.split_at_checked(64 * bytes).ok_or(Damage::Table)?;
            let mut ordered = [0; 64];
            for (value, place) in values.chunks_exact(bytes).zip(ZIGZAG) {
                let value = value.iter().fold(0, |v, byte| v << 8 | u16::from(*byte));
                // Steps of 16 bits are used modulo 2^16, as libjpeg-turbo's registers have them.
                ordered[usize::from(place)] = value as i16;
            }
            *table.ok_or(Damage::Table)? = Some(ordered);
            segment = rest;
        }
        Ok(())
    }

    /// Takes in a segment of Huffman codes (T.81, B.2.4.2).
    pub(super) fn huffman(&mut self, mut segment: &[u8]) -> Result<(), Damage> {
        while let Some((&head, rest)) = segment.split_first() {
            let class = if head >> 4 == 0 {
                &mut self.dc
            } else {
                &mut self.ac
            };
            let code = class.get_mut(usize::from(head & 15)).ok_or(Damage::Table)?;
            let (counts, rest) = rest.split_first_chunk::<16>().ok_or(Damage::Table)?;
            let total = counts.iter().map(|count| usize::from(*count)).sum();
            if head >> 4 > 1 || total > 256 {
                return Err(Damage::Table);
            }
            let (symbols, rest) = rest.split_at_checked(total).ok_or(Damage::Table)?;
            *code = Some(Code {
                counts: *counts,
                symbols: symbols.to_vec(),
            });
            segment = rest;
        }
        Ok(())
    }

    pub(super) fn restart_interval(&mut self, segment: &[u8]) -> Result<(), Damage> {
        let interval = segment.try_into().map_err(|_| Damage::Header)?;
        self.restart = usize::from(u16::from_be_bytes(interval));
        Ok(())
    }

    pub(super) fn jfif(&mut self, segment: &[u8]) {
        self.jfif |= segment.len() >= 14 && segment.starts_with(b"JFIF\0");
    }

    pub(super) fn adobe(&mut self, segment: &[u8]) {
        if segment.len() >= 12 && segment.starts_with(b"Adobe") {
            self.adobe = Some(segment[11]);
        }
    }

    /// The DC code of this number. A sequential picture without one (`or_usual`) means the usual one.
    pub(super) fn dc(&self, number: usize, or_usual: bool) -> Result<Box<Table>, Damage> {
        match self.dc.get(number) {
            Some(Some(code)) => Table::for_dc(code),
            Some(None) if or_usual && number < 2 => Table::for_dc(&usual(number == 1, false)),
            _ => Err(Damage::NoTable),
        }
    }

    /// The AC code of this number; see [`Tables::dc`].
    pub(super) fn ac(&self, number: usize, or_usual: bool) -> Result<Box<Table>, Damage> {
        match self.ac.get(number) {
            Some(Some(code)) => Table::for_ac(code),
            Some(None) if or_usual && number < 2 => Table::for_ac(&usual(number == 1, true)),
            _ => Err(Damage::NoTable),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zigzag_starts_ends_and_turns_where_the_standard_says() {
        let start = [0, 1, 8, 16, 9, 2, 3, 10, 17, 24, 32, 25, 18, 11, 4, 5];
        assert_eq!(ZIGZAG[..16], start);
        assert_eq!(ZIGZAG[35..44], [56, 57, 50, 43, 36, 29, 22, 15, 23]);
        assert_eq!(
            ZIGZAG[58..],
            [[61, 54, 47, 55, 62, 63].as_slice(), &[63; 64]].concat()[..]
        );
        let mut sorted = ZIGZAG[..64].to_vec();
        sorted.sort_unstable();
        assert!(sorted.iter().copied().eq(0..64));
    }
}
