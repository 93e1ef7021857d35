//! Files that the safetensors package wrote, in Python and in Rust.

use super::*;
use safetensors::tensor::{Dtype, TensorView};
use serde_json::Value;

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/golden/weights")
        .join(name)
}

fn expected() -> serde_json::Map<String, Value> {
    let text = std::fs::read_to_string(golden("expected.json")).unwrap();
    let value: Value = serde_json::from_str(&text).unwrap();
    value.as_object().unwrap().clone()
}

/// Compares all of a file with `expected.json`, reading in pieces of `piece`, from the end on when
/// `backwards`.
fn same(weights: &WeightFile, piece: usize, backwards: bool) {
    let expected = expected();
    let mut names: Vec<&str> = weights.names().collect();
    names.sort_unstable();
    let mut wanted: Vec<&str> = expected.keys().map(|k| &k[..]).collect();
    wanted.sort_unstable();
    assert_eq!(names, wanted);
    for (name, entry) in &expected {
        assert_eq!(weights.dtype(name), entry["dtype"].as_str(), "{name}");
        let shape: Vec<usize> = serde_json::from_value(entry["shape"].clone()).unwrap();
        assert_eq!(weights.dims(name).unwrap(), shape, "{name}");
        let Some(bits) = entry.get("bits") else {
            says(values(weights, name), "safetensors", "no type for weights");
            continue;
        };
        let bits: Vec<String> = serde_json::from_value(bits.clone()).unwrap();
        let mut found = vec![f32::NAN; bits.len()];
        let mut pieces: Vec<(usize, &mut [f32])> = found.chunks_mut(piece).enumerate().collect();
        if backwards {
            pieces.reverse();
        }
        for (i, out) in pieces {
            weights.read(name, i * piece, out).unwrap();
        }
        let found: Vec<String> = found
            .iter()
            .map(|x| format!("{:08x}", x.to_bits()))
            .collect();
        assert_eq!(found, bits, "{name}");
    }
    weights.finish().unwrap();
}

#[test]
fn files_of_the_python_package_have_their_values_to_the_bit() {
    for name in [
        "plain.safetensors",
        "odd.safetensors",
        "model.safetensors.index.json",
    ] {
        for options in [MAP, READ] {
            let weights = WeightFile::open(golden(name), options).unwrap();
            same(&weights, 1 << 20, false);
            same(&weights, 1, true);
            same(&weights, 7, false);
            same(&weights, 513, true);
        }
    }
}

#[test]
fn no_tensor_of_the_odd_file_lies_where_its_type_wants_it() {
    let bytes = std::fs::read(golden("odd.safetensors")).unwrap();
    let (header, metadata) = safetensors::SafeTensors::read_metadata(&bytes).unwrap();
    let mut seen = 0;
    for (name, info) in metadata.tensors() {
        let size = info.dtype.bitsize() / 8;
        if size > 1 && info.data_offsets.1 > info.data_offsets.0 {
            seen += 1;
            assert_ne!((8 + header + info.data_offsets.0) % size, 0, "{name}");
        }
    }
    assert!(seen > 8, "{seen}");
}

/// Every bit pattern of the two half types, and long tensors, at an even and an odd place, against the
/// package's own reading of the bytes and the definition of the formats.
#[test]
fn all_halves_are_widened_as_ieee_754_defines_it() {
    let all: Vec<u8> = (0..=u16::MAX).flat_map(u16::to_le_bytes).collect();
    let finite = |exponent: u16| {
        let kept = (0..=u16::MAX).filter(move |b| b & exponent != exponent);
        kept.flat_map(u16::to_le_bytes).collect::<Vec<u8>>()
    };
    let place = Place::new();
    for (name, dtype, exponent) in [("F16", Dtype::F16, 0x7C00), ("BF16", Dtype::BF16, 0x7F80)] {
        let bytes = finite(exponent);
        let count = bytes.len() / 2;
        let view = TensorView::new(dtype, vec![count], &bytes).unwrap();
        let packed = safetensors::serialize([("t", view)], None).unwrap();
        let odd = [
            entry("a", "U8", &[1], 0, 1),
            entry("t", name, &[count as u64], 1, 1 + bytes.len() as u64),
        ];
        let odd = raw(
            &format!("{{{}}}", odd.join(",")),
            &[&[7], &bytes[..]].concat(),
        );
        for file in [packed, odd] {
            let weights = place.open(&file).unwrap();
            let found = values(&weights, "t").unwrap();
            for (pair, x) in bytes.as_chunks::<2>().0.iter().zip(found) {
                let bits = u16::from_le_bytes(*pair);
                assert_eq!(
                    x.to_bits(),
                    defined(bits, dtype).to_bits(),
                    "{name} {bits:04x}"
                );
            }
        }
        // With the others among them, the first of those is named.
        let view = TensorView::new(dtype, vec![1 << 16], &all).unwrap();
        let weights = place
            .open(&safetensors::serialize([("t", view)], None).unwrap())
            .unwrap();
        let words = format!("the value at [{exponent}] is NaN or infinite");
        says(values(&weights, "t"), "w.safetensors", &words);
    }
}

/// A finite half by the formula: sign, power of two, and mantissa.
fn defined(bits: u16, dtype: Dtype) -> f32 {
    let (mantissa_bits, bias) = if dtype == Dtype::F16 {
        (10, 15)
    } else {
        (7, 127)
    };
    let sign = if bits >> 15 == 1 { -1.0 } else { 1.0 };
    let exponent = i32::from((bits & 0x7FFF) >> mantissa_bits);
    let mantissa = f64::from(bits & ((1 << mantissa_bits) - 1)) / f64::from(1 << mantissa_bits);
    let value = match exponent {
        0 => mantissa * 2f64.powi(1 - bias),
        e => (1.0 + mantissa) * 2f64.powi(e - bias),
    };
    (sign * value) as f32
}
