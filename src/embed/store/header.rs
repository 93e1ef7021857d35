//! The header of NumPy's `.npy` format, versions 1 to 3.

use std::io::Read;

use super::read::fill;
use crate::error::{Error, Result};
use crate::limits::MAX_FIELD_BYTES;

const MAGIC: &[u8; 6] = b"\x93NUMPY";

/// What one item is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Item {
    F16,
    F32,
    F64,
    I32,
    I64,
    /// So many bytes of text.
    Bytes(usize),
    /// So many characters of four bytes.
    Chars(usize),
    /// Anything else, as the header names it.
    Other(String),
}

impl Item {
    /// Reads NumPy's short name: the byte order, a letter and a size.
    fn parse(descr: &str) -> Item {
        let little = cfg!(target_endian = "little");
        let other = || Item::Other(descr.chars().take(40).collect());
        let (order, name) = match descr.as_bytes().first() {
            Some(b'<' | b'>' | b'|' | b'=') => descr.split_at(1),
            _ => ("=", descr),
        };
        let ordered = order == "<" || (order == "=" && little);
        match name {
            "f2" if ordered => Item::F16,
            "f4" if ordered => Item::F32,
            "f8" if ordered => Item::F64,
            "i4" if ordered => Item::I32,
            "i8" if ordered => Item::I64,
            _ => match (name.split_at_checked(1), order) {
                (Some(("S", size)), _) => size.parse().map_or_else(|_| other(), Item::Bytes),
                (Some(("U", size)), _) if ordered => {
                    size.parse().map_or_else(|_| other(), Item::Chars)
                }
                _ => other(),
            },
        }
    }

    /// How many bytes one item has; `None` for an item that doppel does not read.
    pub(super) fn bytes(&self) -> Option<usize> {
        match self {
            Item::F16 => Some(2),
            Item::F32 | Item::I32 => Some(4),
            Item::F64 | Item::I64 => Some(8),
            Item::Bytes(n) => Some(*n),
            Item::Chars(n) => n.checked_mul(4),
            Item::Other(_) => None,
        }
    }

    /// NumPy's name for it.
    pub(super) fn name(&self) -> String {
        match self {
            Item::F16 => "float16".into(),
            Item::F32 => "float32".into(),
            Item::F64 => "float64".into(),
            Item::I32 => "int32".into(),
            Item::I64 => "int64".into(),
            Item::Bytes(_) | Item::Chars(_) => "text".into(),
            Item::Other(name) => name.clone(),
        }
    }
}

/// What a `.npy` header says.
#[derive(Debug, Clone)]
pub(super) struct Header {
    pub(super) item: Item,
    pub(super) fortran: bool,
    pub(super) shape: Vec<u64>,
    /// How many bytes stand before the data.
    pub(super) bytes: u64,
}

impl Header {
    /// How many bytes the data must have; `None` when that does not fit a number.
    pub(super) fn data_bytes(&self) -> Option<u64> {
        let item = self.item.bytes()? as u64;
        self.shape
            .iter()
            .try_fold(item, |product, &n| product.checked_mul(n))
    }

    /// Reads the header of a file (or member) of `length` bytes.
    pub(super) fn read(from: &mut impl Read, length: u64) -> Result<Header> {
        let mut start = [0; 8];
        fill(from, &mut start)?;
        if start[..6] != *MAGIC {
            return Err(Error::input("is not in NumPy's .npy format").mend(WRITE_IT));
        }
        let (wide, before) = match start[6] {
            1 => (false, 10),
            2 | 3 => (true, 12),
            version => {
                let message = format!("version {version} of the .npy format is unknown");
                return Err(Error::unsupported(message).mend(WRITE_IT));
            }
        };
        let mut four = [0; 4];
        fill(from, &mut four[..if wide { 4 } else { 2 }])?;
        let size = u32::from_le_bytes(four) as u64;
        if size > MAX_FIELD_BYTES as u64 || before + size > length {
            let message = format!("a .npy header of {size} bytes cannot be right");
            return Err(Error::input(message).mend(WRITE_IT));
        }
        let mut text = vec![0; size as usize];
        fill(from, &mut text)?;
        let text = String::from_utf8_lossy(&text);
        let (descr, fortran, shape) = Fields::new(&text)
            .read()
            .ok_or_else(|| Error::input(BROKEN).mend(WRITE_IT))?;
        let item = Item::parse(&descr);
        Ok(Header {
            item,
            fortran,
            shape,
            bytes: before + size,
        })
    }

    /// The bytes of a version 1 header as `numpy.save` writes it: room for the first dimension to
    /// grow, and spaces up to a multiple of 64 bytes.
    pub(super) fn write(descr: &str, shape: &[usize]) -> Vec<u8> {
        let dims: Vec<String> = shape.iter().map(usize::to_string).collect();
        let tuple = match dims.as_slice() {
            [one] => format!("({one},)"),
            _ => format!("({})", dims.join(", ")),
        };
        let mut text =
            format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {tuple}, }}");
        if let Some(first) = dims.first() {
            text.push_str(&" ".repeat(21usize.saturating_sub(first.len())));
        }
        let used = 10 + text.len() + 1;
        text.push_str(&" ".repeat(64 - used % 64));
        text.push('\n');
        let mut out = MAGIC.to_vec();
        out.extend_from_slice(&[1, 0]);
        out.extend_from_slice(&(text.len() as u16).to_le_bytes());
        out.extend_from_slice(text.as_bytes());
        out
    }
}

pub(super) const WRITE_IT: &str = "write it with numpy.save";
const BROKEN: &str = "the .npy header is broken";

/// Reads the header's Python literal: a dict with `descr`, `fortran_order` and `shape`.
struct Fields<'a> {
    rest: &'a str,
}

impl<'a> Fields<'a> {
    fn new(text: &'a str) -> Self {
        Fields { rest: text }
    }

    /// `None` for anything that is not such a dict. A `descr` that is no string (a list of fields)
    /// is returned as `structured`.
    fn read(mut self) -> Option<(String, bool, Vec<u64>)> {
        let (mut descr, mut fortran, mut shape) = (None, None, None);
        self.token("{")?;
        while self.token("}").is_none() {
            let key = self.string()?;
            self.token(":")?;
            match key {
                "descr" if descr.is_none() => match self.string() {
                    Some(name) => descr = Some(name.to_string()),
                    None => {
                        self.token("[")?;
                        return Some(("structured".into(), false, Vec::new()));
                    }
                },
                "fortran_order" if fortran.is_none() => fortran = Some(self.truth()?),
                "shape" if shape.is_none() => shape = Some(self.tuple()?),
                _ => return None,
            }
            if self.token(",").is_none() {
                self.token("}")?;
                break;
            }
        }
        self.rest.trim().is_empty().then_some(())?;
        Some((descr?, fortran?, shape?))
    }

    fn token(&mut self, token: &str) -> Option<()> {
        self.rest = self.rest.trim_start().strip_prefix(token)?;
        Some(())
    }

    fn string(&mut self) -> Option<&'a str> {
        let text = self.rest.trim_start();
        let quote = text.chars().next().filter(|c| matches!(c, '\'' | '"'))?;
        let (inside, rest) = text[1..].split_once(quote)?;
        self.rest = rest;
        Some(inside)
    }

    fn truth(&mut self) -> Option<bool> {
        let yes = self.token("True").is_some();
        if !yes {
            self.token("False")?;
        }
        Some(yes)
    }

    fn tuple(&mut self) -> Option<Vec<u64>> {
        self.token("(")?;
        let mut numbers = Vec::new();
        while self.token(")").is_none() {
            let text = self.rest.trim_start();
            let end = text
                .find(|c: char| !c.is_ascii_digit())
                .unwrap_or(text.len());
            numbers.push(text[..end].parse().ok()?);
            // Python 2 wrote long numbers with an L.
            self.rest = text[end..].strip_prefix('L').unwrap_or(&text[end..]);
            if self.token(",").is_none() {
                self.token(")")?;
                break;
            }
        }
        Some(numbers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Option<(String, bool, Vec<u64>)> {
        Fields::new(text).read()
    }

    #[test]
    fn literals_are_read_in_any_order_and_quotes() {
        let expected = Some(("<f4".to_string(), false, vec![3, 4]));
        for text in [
            "{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }   \n",
            "{\"shape\":(3L,4L),\"fortran_order\":False,\"descr\":\"<f4\"}",
        ] {
            assert_eq!(read(text), expected, "{text}");
        }
        let scalar = read("{'descr':'|S3','fortran_order':True,'shape':()}").unwrap();
        assert!(scalar.1 && scalar.2.is_empty());
        assert_eq!(
            read("{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (3,), }")
                .unwrap()
                .0,
            "structured"
        );
    }

    #[test]
    fn broken_literals_are_none() {
        for text in [
            "",
            "{",
            "{}",
            "{'descr': '<f4', 'fortran_order': False}",
            "{'descr': '<f4', 'fortran_order': 0, 'shape': (3, 4)}",
            "{'descr': '<f4', 'fortran_order': False, 'shape': (-3, 4)}",
            "{'descr': '<f4', 'fortran_order': False, 'shape': (3 4)}",
            "{'descr': '<f4', 'fortran_order': False, 'shape': (,)}",
            "{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999, 4)}",
            "{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': (3, 4)}",
            "{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), 'more': 1}",
            "{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4)} x",
            "{'descr: 4",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    #[test]
    fn names_of_items() {
        assert_eq!(Item::parse("<f4"), Item::F32);
        assert_eq!(Item::parse("|S3"), Item::Bytes(3));
        assert_eq!(Item::parse("<U3"), Item::Chars(3));
        for other in [
            ">f4", "|f4", "", "<", "é4", "<f16", "S", "Sx", ">U3", "|O", "|b1",
        ] {
            assert!(matches!(Item::parse(other), Item::Other(_)), "{other}");
        }
    }

    #[test]
    fn a_header_ends_at_a_multiple_of_64() {
        for shape in [&[][..], &[3], &[3, 4], &[123_456_789, 65_536]] {
            let bytes = Header::write("<f4", shape);
            assert_eq!(bytes.len() % 64, 0, "{shape:?}");
            let header = Header::read(&mut &bytes[..], bytes.len() as u64).unwrap();
            assert_eq!(header.bytes, bytes.len() as u64);
            assert!(
                header
                    .shape
                    .iter()
                    .map(|&n| n as usize)
                    .eq(shape.iter().copied())
            );
        }
    }
}
