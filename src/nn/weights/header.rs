//! The JSON header of a safetensors file: read with every claim checked against the file's length.
//!
//! Layout (<https://huggingface.co/docs/safetensors>): 8 bytes, little endian, the header's length N;
//! N bytes of JSON, `{"NAME": {"dtype": .., "shape": [..], "data_offsets": [BEGIN, END]}, ..}`, which
//! may end with spaces; the tensors, row-major, little endian, with no gap and no overlap.

use std::collections::HashSet;
use std::fmt;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};

use super::{DAMAGED, short};
use crate::error::{Error, Result};
use crate::limits::{MAX_WEIGHT_NAME_BYTES, MAX_WEIGHT_RANK, MAX_WEIGHT_TENSORS};

/// The element types that are widened to f32.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Float {
    F16,
    BF16,
    F32,
    F64,
}

/// The element type of a tensor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Dtype {
    /// The format's name for it.
    pub(super) name: &'static str,
    bits: u64,
    /// `None` for what is no weight.
    pub(super) float: Option<Float>,
}

/// What the format knows.
const DTYPES: &[(&str, u64, Option<Float>)] = &[
    ("F32", 32, Some(Float::F32)),
    ("F16", 16, Some(Float::F16)),
    ("BF16", 16, Some(Float::BF16)),
    ("F64", 64, Some(Float::F64)),
    ("I64", 64, None),
    ("I32", 32, None),
    ("I16", 16, None),
    ("I8", 8, None),
    ("U64", 64, None),
    ("U32", 32, None),
    ("U16", 16, None),
    ("U8", 8, None),
    ("BOOL", 8, None),
    ("C64", 64, None),
    ("F8_E4M3", 8, None),
    ("F8_E5M2", 8, None),
    ("F8_E8M0", 8, None),
    ("F8_E4M3FNUZ", 8, None),
    ("F8_E5M2FNUZ", 8, None),
    ("F6_E2M3", 6, None),
    ("F6_E3M2", 6, None),
    ("F4", 4, None),
];

impl Dtype {
    fn named(name: &str) -> Option<Dtype> {
        let found = DTYPES.iter().find(|(known, ..)| *known == name);
        found.map(|&(name, bits, float)| Dtype { name, bits, float })
    }
}

/// One tensor of the header, checked.
#[derive(Debug)]
pub(super) struct Tensor {
    pub(super) name: String,
    pub(super) dtype: Dtype,
    pub(super) dims: Vec<usize>,
    /// The product of `dims`.
    pub(super) count: usize,
    /// Where its bytes begin and end, from the first byte after the header on.
    pub(super) begin: u64,
    pub(super) end: u64,
}

/// The tensors of header `text`, in the order of their bytes, checked against the `data` bytes that
/// the file has after the header.
///
/// # Errors
/// Whatever is wrong with the header, the tensor named; the caller names the file.
pub(super) fn parse(text: &[u8], data: u64) -> Result<Vec<Tensor>> {
    let text = std::str::from_utf8(text)
        .map_err(|_| Error::input("the header is not UTF-8 text").mend(DAMAGED))?;
    let mut reading = Reading::default();
    let mut json = serde_json::Deserializer::from_str(text);
    let done = Walk(&mut reading)
        .deserialize(&mut json)
        .and_then(|()| json.end());
    if let Err(error) = done {
        return Err(reading.fault.unwrap_or_else(|| {
            let what = match &reading.at {
                Some(name) => format!("{}the header is wrong", tensor(name)),
                None => "the header is not what it should be".to_owned(),
            };
            Error::input(format!("{what}: {}", short(&error.to_string()))).mend(DAMAGED)
        }));
    }
    let mut tensors = reading.tensors;
    tensors.sort_by(|a, b| (a.begin, a.end, &a.name).cmp(&(b.begin, b.end, &b.name)));
    placed(&tensors, data)?;
    Ok(tensors)
}

/// How messages begin that are about one tensor.
pub(super) fn tensor(name: &str) -> String {
    format!("tensor {}: ", short(name))
}

/// That the tensors, sorted, lie one after the other and fill the file.
fn placed(tensors: &[Tensor], data: u64) -> Result<()> {
    if let Some(cut) = tensors.iter().find(|t| t.end > data) {
        let message = format!(
            "{}the file is cut short: this tensor takes bytes {} to {} of the data, of which there \
             are {data}",
            tensor(&cut.name),
            cut.begin,
            cut.end
        );
        return Err(Error::input(message).mend(DAMAGED));
    }
    let mut before: Option<&Tensor> = None;
    for next in tensors {
        let end = before.map_or(0, |t| t.end);
        if next.begin < end {
            let first = before.map_or("", |t| &t.name);
            let message = format!(
                "{}overlaps tensor {}: it begins at byte {} of the data, the other ends at {end}",
                tensor(&next.name),
                short(first),
                next.begin
            );
            return Err(Error::input(message).mend(DAMAGED));
        }
        if next.begin > end {
            let message = format!(
                "{}the {} bytes before it belong to no tensor",
                tensor(&next.name),
                next.begin - end
            );
            return Err(Error::input(message).mend(DAMAGED));
        }
        before = Some(next);
    }
    let end = before.map_or(0, |t| t.end);
    if end != data {
        let last = before.map_or_else(
            || "the header names no tensor, yet".to_owned(),
            |t| format!("{}the last one, and", tensor(&t.name)),
        );
        let message = format!("{last} {} bytes follow that belong to none", data - end);
        return Err(Error::input(message).mend(DAMAGED));
    }
    Ok(())
}

/// What has been read of the header so far.
#[derive(Default)]
struct Reading {
    tensors: Vec<Tensor>,
    seen: HashSet<String>,
    /// The key whose value is being read.
    at: Option<String>,
    /// What stopped the reading, when that was not JSON's own grammar.
    fault: Option<Error>,
}

impl Reading {
    /// Takes a key; one that stood there before is an error, which a map would hide.
    fn key(&mut self, key: &str) -> Result<()> {
        if key.len() > MAX_WEIGHT_NAME_BYTES {
            let message = format!(
                "{}the name has {} bytes, over {MAX_WEIGHT_NAME_BYTES}",
                tensor(key),
                key.len()
            );
            return Err(Error::limit(message).mend(DAMAGED));
        }
        if self.seen.len() > MAX_WEIGHT_TENSORS {
            let message = format!("the header names more than {MAX_WEIGHT_TENSORS} tensors");
            return Err(Error::limit(message).mend(DAMAGED));
        }
        self.at = Some(key.to_owned());
        if !self.seen.insert(key.to_owned()) {
            let message = format!("{}the header names it twice", tensor(key));
            return Err(Error::input(message).mend("write the file again with each name once"));
        }
        Ok(())
    }

    fn entry(&mut self, name: String, raw: &Raw) -> Result<()> {
        let wrong = |what: String| Error::input(tensor(&name) + &what).mend(DAMAGED);
        let Some(dtype) = Dtype::named(&raw.dtype) else {
            let message = tensor(&name) + &format!("its dtype {} is unknown", short(&raw.dtype));
            return Err(Error::unsupported(message).mend("save it as F32, F16 or BF16"));
        };
        let dims = &raw.shape.0;
        let (begin, end) = raw.data_offsets;
        if begin > end {
            return Err(wrong(format!(
                "it begins at byte {begin} and ends at {end}"
            )));
        }
        let bits = dims.iter().try_fold(dtype.bits, |n, &d| n.checked_mul(d));
        let Some(bits) = bits else {
            return Err(wrong(format!("its shape {dims:?} overflows")));
        };
        if bits != (end - begin).saturating_mul(8) {
            return Err(wrong(format!(
                "shape {dims:?} of {} takes {} bytes, but its place in the file has {}",
                dtype.name,
                bits.div_ceil(8),
                end - begin
            )));
        }
        let fits = dims.iter().map(|&d| usize::try_from(d).ok());
        let dims: Option<Vec<usize>> = fits.collect();
        let sized = dims.and_then(|dims| {
            let count = dims.iter().try_fold(1usize, |n, &d| n.checked_mul(d))?;
            Some((dims, count))
        });
        let Some((dims, count)) = sized else {
            return Err(wrong(format!("its shape {:?} overflows", raw.shape.0)));
        };
        self.tensors.push(Tensor {
            name,
            dtype,
            dims,
            count,
            begin,
            end,
        });
        Ok(())
    }
}

/// One entry as it stands in the header.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    dtype: String,
    shape: Shape,
    data_offsets: (u64, u64),
}

/// A shape of at most [`MAX_WEIGHT_RANK`] dimensions.
struct Shape(Vec<u64>);

impl<'de> Deserialize<'de> for Shape {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Dims;
        impl<'de> Visitor<'de> for Dims {
            type Value = Shape;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of dimensions")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Shape, A::Error> {
                let mut dims = Vec::new();
                while let Some(dim) = list.next_element()? {
                    if dims.len() == MAX_WEIGHT_RANK {
                        return Err(A::Error::custom(format_args!(
                            "a shape of more than {MAX_WEIGHT_RANK} dimensions"
                        )));
                    }
                    dims.push(dim);
                }
                Ok(Shape(dims))
            }
        }
        from.deserialize_seq(Dims)
    }
}

/// The whole header; unlike a map, it sees a key that comes twice.
struct Walk<'a>(&'a mut Reading);

impl<'de> DeserializeSeed<'de> for Walk<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        from.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Walk<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object that maps names to tensors")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let reading = self.0;
        while let Some(key) = map.next_key::<String>()? {
            let mut step = reading.key(&key);
            if step.is_ok() {
                if key == "__metadata__" {
                    map.next_value::<Remarks>()?;
                } else {
                    let raw = map.next_value::<Raw>()?;
                    step = reading.entry(key, &raw);
                }
                reading.at = None;
            }
            if let Err(fault) = step {
                reading.fault = Some(fault);
                return Err(A::Error::custom("see the fault"));
            }
        }
        Ok(())
    }
}

/// `__metadata__`: text by name, which nothing here needs; each name once.
struct Remarks;

impl<'de> Deserialize<'de> for Remarks {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Texts;
        impl<'de> Visitor<'de> for Texts {
            type Value = Remarks;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object that maps names to text")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Remarks, A::Error> {
                let mut seen = HashSet::new();
                while let Some((key, _)) = map.next_entry::<String, String>()? {
                    if seen.contains(&key) {
                        return Err(A::Error::custom(format_args!(
                            "the name {} comes twice",
                            short(&key)
                        )));
                    }
                    seen.insert(key);
                }
                Ok(Remarks)
            }
        }
        from.deserialize_map(Texts)
    }
}
