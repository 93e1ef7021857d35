//! Each way in which a header or a value can be wrong.

use super::*;
use doppel::limits::{MAX_WEIGHT_NAME_BYTES, MAX_WEIGHT_RANK, MAX_WEIGHT_TENSORS};

fn opened(header: &str, data: &[u8]) -> Result<WeightFile, Error> {
    Place::new().open(&raw(header, data))
}

#[test]
fn every_cut_and_every_addition_is_an_error() {
    let place = Place::new();
    let whole = file(&[("a", &[2, 2], &[1.0; 4]), ("b.weight", &[3], &[2.0; 3])]);
    place.open(&whole).unwrap();
    for end in 0..whole.len() {
        let error = place.open(&whole[..end]).err().expect("an error");
        clear(&error, "w.safetensors");
    }
    says(
        place.open(&whole[..whole.len() - 1]),
        "w.safetensors",
        "tensor b.weight: the file is cut short",
    );
    says(
        place.open(&whole[..whole.len() - 13]),
        "w.safetensors",
        "tensor a: the file is cut short",
    );
    says(
        place.open(&whole[..20]),
        "w.safetensors",
        "it has 20 bytes, the header",
    );
    let longer = [&whole[..], b"\0"].concat();
    let words = "tensor b.weight: the last one, and 1 bytes follow that belong to none";
    assert_eq!(
        says(place.open(&longer), "w.safetensors", words),
        Kind::Input
    );
}

#[test]
fn overlaps_and_gaps_name_the_tensor() {
    let two = |b: (u64, u64)| {
        let entries = [
            entry("a", "F32", &[2], 0, 8),
            entry("b", "F32", &[2], b.0, b.1),
        ];
        opened(&format!("{{{}}}", entries.join(",")), &[0; 16])
    };
    two((8, 16)).unwrap();
    let words = "tensor b: overlaps tensor a: it begins at byte 4 of the data, the other ends at 8";
    says(two((4, 12)), "w.safetensors", words);
    says(two((0, 8)), "w.safetensors", "tensor b: overlaps tensor a");
    let gap = [
        entry("a", "F32", &[2], 0, 8),
        entry("b", "F32", &[1], 12, 16),
    ];
    let words = "tensor b: the 4 bytes before it belong to no tensor";
    says(
        opened(&format!("{{{}}}", gap.join(",")), &[0; 16]),
        "w.safetensors",
        words,
    );
    let late = format!("{{{}}}", entry("a", "F32", &[2], 8, 16));
    says(
        opened(&late, &[0; 16]),
        "w.safetensors",
        "tensor a: the 8 bytes before it",
    );
    // An empty tensor inside another one overlaps it; between two it does not.
    let inside = [
        entry("a", "F32", &[4], 0, 16),
        entry("z", "F32", &[0], 8, 8),
    ];
    says(
        opened(&format!("{{{}}}", inside.join(",")), &[0; 16]),
        "w.safetensors",
        "tensor z: overlaps",
    );
    let between = [
        entry("a", "F32", &[2], 0, 8),
        entry("z", "F32", &[0, 3], 8, 8),
        entry("b", "F32", &[2], 8, 16),
    ];
    opened(&format!("{{{}}}", between.join(",")), &[0; 16]).unwrap();
}

#[test]
fn a_name_that_comes_twice_is_seen_wherever_it_stands() {
    let (a, b) = (entry("a", "F32", &[1], 0, 4), entry("b", "F32", &[1], 4, 8));
    let again = entry("a", "F32", &[1], 4, 8);
    let escaped = again.replace("\"a\"", "\"\\u0061\"");
    for header in [
        format!("{{{a},{again}}}"),
        format!("{{{a},{b},{again}}}"),
        format!("{{{a},{escaped}}}"),
        format!("{{{a},{a}}}"),
    ] {
        says(
            opened(&header, &[0; 8]),
            "w.safetensors",
            "tensor a: the header names it twice",
        );
    }
    let inner =
        "{\"a\":{\"dtype\":\"F32\",\"dtype\":\"F16\",\"shape\":[1],\"data_offsets\":[0,4]}}";
    says(
        opened(inner, &[0; 4]),
        "w.safetensors",
        "tensor a: the header is wrong: duplicate field",
    );
    let remarks = format!("{{\"__metadata__\":{{\"x\":\"1\",\"x\":\"2\"}},{a}}}");
    says(
        opened(&remarks, &[0; 4]),
        "w.safetensors",
        "the name x comes twice",
    );
    let twice = format!("{{\"__metadata__\":{{}},{a},\"__metadata__\":{{}}}}");
    says(
        opened(&twice, &[0; 4]),
        "w.safetensors",
        "tensor __metadata__: the header names it twice",
    );
}

#[test]
fn shapes_that_overflow_or_do_not_fit_their_place() {
    let one = |dtype: &str, dims: &[u64], end: u64| {
        opened(
            &format!("{{{}}}", entry("conv.weight", dtype, dims, 0, end)),
            &[0; 16],
        )
    };
    one("F32", &[2, 2], 16).unwrap();
    one("F32", &[2, 1, 2, 1], 16).unwrap();
    one("F4", &[32], 16).unwrap();
    let words =
        "tensor conv.weight: shape [2, 3] of F32 takes 24 bytes, but its place in the file has 16";
    says(one("F32", &[2, 3], 16), "w.safetensors", words);
    says(one("F16", &[2, 2], 16), "w.safetensors", "takes 8 bytes");
    says(one("F6_E2M3", &[21], 16), "w.safetensors", "takes 16 bytes");
    for dims in [
        &[1 << 32, 1 << 32][..],
        &[u64::MAX, 2],
        &[1 << 60],
        &[1 << 61, 1 << 61, 1 << 6],
    ] {
        says(one("F32", dims, 16), "w.safetensors", "overflows");
    }
    // A zero does not hide what overflows before it, nor one after it.
    says(
        one("F32", &[u64::MAX, u64::MAX, 0], 0),
        "w.safetensors",
        "overflows",
    );
    says(
        one("F32", &[0, u64::MAX, u64::MAX], 16),
        "w.safetensors",
        "takes 0 bytes",
    );
    says(
        one("F32", &[1; MAX_WEIGHT_RANK + 1], 4),
        "w.safetensors",
        "more than 8 dimensions",
    );
    let backwards = format!("{{{}}}", entry("a", "F32", &[1], 8, 4));
    says(
        opened(&backwards, &[0; 8]),
        "w.safetensors",
        "tensor a: it begins at byte 8 and ends at 4",
    );
    let far = format!(
        "{{{}}}",
        entry("a", "U8", &[u64::MAX >> 3], 0, u64::MAX >> 3)
    );
    says(
        opened(&far, &[0; 8]),
        "w.safetensors",
        "tensor a: the file is cut short",
    );
    let wraps = format!("{{{}}}", entry("a", "U8", &[8], u64::MAX - 8, u64::MAX));
    says(
        opened(&wraps, &[0; 8]),
        "w.safetensors",
        "tensor a: the file is cut short",
    );
}

#[test]
fn a_header_that_is_not_the_formats() {
    for (header, words) in [
        ("{", "EOF while parsing"),
        ("{]", "not what it should be"),
        ("{} x", "trailing characters"),
        ("{}{}", "trailing characters"),
        (
            "{\"a\":1}",
            "tensor a: the header is wrong: invalid type: integer",
        ),
        ("{\"a\":null}", "tensor a: "),
        ("{\"a\":{}}", "missing field `dtype`"),
        (
            "{\"a\":{\"dtype\":\"F32\",\"shape\":[-1],\"data_offsets\":[0,4]}}",
            "integer `-1`",
        ),
        (
            "{\"a\":{\"dtype\":\"F32\",\"shape\":[1.0],\"data_offsets\":[0,4]}}",
            "floating point",
        ),
        (
            "{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0]}}",
            "tuple of size 2",
        ),
        (
            "{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4,8]}}",
            "tensor a: ",
        ),
        (
            "{\"a\":{\"dtype\":\"F32\",\"shape\":[99999999999999999999],\"data_offsets\":[0,4]}}",
            "tensor a: ",
        ),
        (
            "{\"a\":{\"dtype\":\"F32\",\"shape\":1,\"data_offsets\":[0,4]}}",
            "a list of dimensions",
        ),
        (
            "{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4],\"strides\":[1]}}",
            "unknown field `strides`",
        ),
        (
            "{\"a\":{\"dtype\":\"F31\",\"shape\":[1],\"data_offsets\":[0,4]}}",
            "tensor a: its dtype F31 is unknown",
        ),
        ("{\"__metadata__\":{\"x\":1}}", "expected a string"),
        ("{}", "the header names no tensor, yet 4 bytes follow"),
    ] {
        says(opened(header, &[0; 4]), "w.safetensors", words);
    }
    let mut bytes = raw("{\"\u{e9}\":1}", &[]);
    bytes[10] = 0xFF;
    says(Place::new().open(&bytes), "w.safetensors", "not UTF-8");
    let deep = "{\"a\":".to_owned() + &"[".repeat(100_000);
    says(opened(&deep, &[]), "w.safetensors", "tensor a: ");
    // No tensor and no byte is a file all the same; spaces may end the header.
    assert!(opened("{}   ", &[]).unwrap().is_empty());
}

#[test]
fn bounds_hold_before_memory_is_taken() {
    let place = Place::new();
    let mut bytes = raw("{}", &[]);
    bytes[..8].copy_from_slice(&(100u64 << 20).to_le_bytes());
    let kind = says(
        place.open(&bytes),
        "w.safetensors",
        "its header claims 104857600 bytes, over 16777216",
    );
    assert_eq!(kind, Kind::Limit);
    bytes[..8].copy_from_slice(&u64::MAX.to_le_bytes());
    says(
        place.open(&bytes),
        "w.safetensors",
        "its header claims 18446744073709551615 bytes",
    );
    let name = "n".repeat(MAX_WEIGHT_NAME_BYTES);
    opened(&format!("{{{}}}", entry(&name, "F32", &[0], 0, 0)), &[]).unwrap();
    let name = "n".repeat(MAX_WEIGHT_NAME_BYTES + 1);
    let kind = says(
        opened(&format!("{{{}}}", entry(&name, "F32", &[0], 0, 0)), &[]),
        "w.safetensors",
        "has 513 bytes, over 512",
    );
    assert_eq!(kind, Kind::Limit);
    let entries: Vec<String> = (0..MAX_WEIGHT_TENSORS + 2)
        .map(|i| entry(&i.to_string(), "F32", &[0], 0, 0))
        .collect();
    let kind = says(
        opened(&format!("{{{}}}", entries.join(",")), &[]),
        "w.safetensors",
        "more than 100000 tensors",
    );
    assert_eq!(kind, Kind::Limit);
}

/// One tensor of 3 x 2 x 40,000 with one bad element: more than one block, read in several ways.
#[test]
fn the_first_value_that_is_not_finite_is_named_whatever_is_read_first() {
    let place = Place::new();
    let dims = [3, 2, 40_000];
    let count: usize = dims.iter().product();
    for (bad, at) in [
        (f32::NAN, 0),
        (f32::INFINITY, 99_999),
        (f32::NEG_INFINITY, count - 1),
        (f32::from_bits(0x7F80_0001), 4096),
    ] {
        let mut all = vec![f32::MAX; count];
        all[at] = bad;
        all[count - 1] = bad;
        let path = place.put(
            "w.safetensors",
            &file(&[("ok", &[1], &[1.0]), ("c.weight", &dims, &all)]),
        );
        let named = [at / 80_000, at / 40_000 % 2, at % 40_000];
        let words =
            format!("w.safetensors: tensor c.weight: the value at {named:?} is NaN or infinite");
        for options in [MAP, READ] {
            let weights = WeightFile::open(&path, options).unwrap();
            assert_eq!(values(&weights, "ok").unwrap(), [1.0]);
            says(values(&weights, "c.weight"), "w.safetensors", &words);
            // The last piece alone: the tensor's first bad value is named, not the piece's.
            let mut last = [0.0; 7];
            says(
                weights.read("c.weight", count - 7, &mut last),
                "w.safetensors",
                &words,
            );
            if at > 0 {
                weights.read("c.weight", 0, &mut last).unwrap();
                assert_eq!(last, [f32::MAX; 7]);
            }
        }
    }
}

#[test]
fn narrow_types_have_their_own_infinities() {
    let bad = |dtype: &str, bytes: &[u8]| {
        let header = format!("{{{}}}", entry("t", dtype, &[1], 0, bytes.len() as u64));
        let weights = opened(&header, bytes).unwrap();
        values(&weights, "t").unwrap_err().to_string()
    };
    for (dtype, bytes) in [
        ("F16", &0x7C00u16.to_le_bytes()[..]),
        ("F16", &0xFE00u16.to_le_bytes()),
        ("BF16", &0x7F80u16.to_le_bytes()),
        ("BF16", &0xFFC1u16.to_le_bytes()),
        ("F64", &f64::NAN.to_le_bytes()),
    ] {
        let line = bad(dtype, bytes);
        assert!(line.contains("tensor t: the value at [0] is NaN"), "{line}");
    }
    let line = bad("F64", &1e39f64.to_le_bytes());
    assert!(line.contains("too large for f32"), "{line}");
}

#[test]
fn pieces_outside_a_tensor_and_types_that_are_no_weights() {
    let header = [
        entry("a", "F32", &[2, 2], 0, 16),
        entry("n", "I64", &[], 16, 24),
        entry("q", "F8_E4M3", &[2], 24, 26),
    ];
    let weights = opened(&format!("{{{}}}", header.join(",")), &[0; 26]).unwrap();
    let mut out = [0.0; 3];
    weights.read("a", 1, &mut out).unwrap();
    says(
        weights.read("a", 2, &mut out),
        "w.safetensors",
        "tensor a: it has 4 elements, not 3 from 2 on",
    );
    says(
        weights.read("a", usize::MAX, &mut out),
        "w.safetensors",
        "tensor a: it has 4",
    );
    weights.read("a", 4, &mut []).unwrap();
    says(
        weights.read("a", 5, &mut []),
        "w.safetensors",
        "tensor a: it has 4",
    );
    says(
        weights.read("zz", 0, &mut out),
        "w.safetensors",
        "tensor zz: it is missing",
    );
    says(
        values(&weights, "n"),
        "w.safetensors",
        "tensor n: its elements are I64",
    );
    let kind = says(
        values(&weights, "q"),
        "w.safetensors",
        "tensor q: its elements are F8_E4M3",
    );
    assert_eq!(kind, Kind::Unsupported);
    assert_eq!(
        (weights.dims("n"), weights.dims("zz")),
        (Some(&[][..]), None)
    );
    assert_eq!(weights.dtype("n"), Some("I64"));
}
