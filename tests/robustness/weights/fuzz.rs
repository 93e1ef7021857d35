//! Thousands of random changes to a small file: never a panic, and what is taken is what the
//! safetensors package takes too.

use super::*;
use safetensors::SafeTensors;

/// A file with every kind of tensor; small, so that most changes hit something.
fn seed() -> Vec<u8> {
    let entries = [
        entry("a.weight", "F32", &[2, 3], 0, 24),
        entry("a.bias", "F16", &[3], 24, 30),
        entry("b", "BF16", &[], 30, 32),
        entry("n", "I64", &[1], 32, 40),
        entry("d", "F64", &[1, 1], 40, 48),
        entry("e", "F32", &[0, 4], 48, 48),
    ];
    let header = format!(
        "{{\"__metadata__\":{{\"format\":\"pt\"}},{}}}",
        entries.join(",")
    );
    let data: Vec<u8> = (0..48u8).map(|i| i.wrapping_mul(5)).collect();
    raw(&header, &data)
}

/// One of the ways in which a file goes bad.
fn change(bytes: &mut Vec<u8>, random: &mut fastrand::Rng) {
    const PARTS: [&str; 14] = [
        "\"",
        "{",
        "}",
        "[",
        "]",
        ",",
        ":",
        "0",
        "9",
        "-",
        "1e9",
        "null",
        "F32",
        "\"a.bias\"",
    ];
    if bytes.is_empty() {
        return bytes.push(random.u8(..));
    }
    let at = random.usize(..bytes.len());
    match random.u8(..10) {
        0 => bytes[at] ^= 1 << random.u8(..8),
        1 => bytes[at] = random.u8(..),
        2 => bytes.truncate(at),
        3 => bytes.insert(at, random.u8(..)),
        4 => drop(bytes.remove(at)),
        5 => bytes
            .splice(at..at, random.choice(PARTS).unwrap().bytes())
            .for_each(drop),
        6 => {
            // A digit becomes another one.
            let digits: Vec<usize> = (8..bytes.len())
                .filter(|&i| bytes[i].is_ascii_digit())
                .collect();
            if let Some(&at) = random.choice(&digits) {
                bytes[at] = b'0' + random.u8(..10);
            }
        }
        7 => {
            // A piece comes twice, or takes another's place.
            let end = (at + random.usize(1..80)).min(bytes.len());
            let piece = bytes[at..end].to_vec();
            let to = random.usize(..bytes.len());
            let over = if random.bool() {
                (to + piece.len()).min(bytes.len())
            } else {
                to
            };
            bytes.splice(to..over, piece).for_each(drop);
        }
        8 => {
            let length = random.u64(..) >> random.u32(..64);
            let n = bytes.len().min(8);
            bytes[..n].copy_from_slice(&length.to_le_bytes()[..n]);
        }
        _ => bytes.extend((0..random.usize(..20)).map(|_| 0)),
    }
    if random.u8(..4) > 0 && bytes.len() > 8 {
        // Most times the length is put right again, so that the header is what is looked at.
        let end = bytes
            .windows(2)
            .rposition(|w| w == b"}}")
            .map_or(0, |i| i + 2);
        let length = end.saturating_sub(8) as u64;
        bytes[..8].copy_from_slice(&length.to_le_bytes());
    }
}

#[test]
fn no_change_to_a_file_makes_a_panic() {
    let mut random = fastrand::Rng::with_seed(20);
    let place = Place::new();
    let good = seed();
    let weights = place.open(&good).unwrap();
    assert_eq!(weights.len(), 6);
    let (mut taken, mut refused, mut bad_values) = (0, 0, 0);
    for _ in 0..6000 {
        let mut bytes = good.clone();
        for _ in 0..random.usize(1..4) {
            change(&mut bytes, &mut random);
        }
        let theirs = SafeTensors::deserialize(&bytes);
        match place.open(&bytes) {
            Err(error) => {
                refused += 1;
                let line = clear(&error, "w.safetensors");
                // Where the package takes a file, there is a reason of doppel's own.
                let own = [
                    "twice",
                    "unknown field",
                    "no type",
                    "with zeros",
                    "is JSON text",
                ];
                assert!(
                    theirs.is_err() || own.iter().any(|w| line.contains(w)),
                    "{line}"
                );
            }
            Ok(weights) => {
                taken += 1;
                let theirs = theirs.unwrap_or_else(|e| panic!("only doppel takes it: {e}"));
                bad_values += compare(&weights, &theirs);
            }
        }
    }
    assert!(
        taken > 300 && refused > 3000 && bad_values > 10,
        "{taken} {refused} {bad_values}"
    );
}

/// That both readings have the same tensors and values; how many tensors have bad values.
fn compare(weights: &WeightFile, theirs: &SafeTensors) -> usize {
    use safetensors::Dtype;
    assert_eq!(weights.len(), theirs.len());
    let mut bad = 0;
    for (name, view) in theirs.tensors() {
        assert_eq!(weights.dims(&name).unwrap(), view.shape(), "{name}");
        let wide = |x: &[u8]| match view.dtype() {
            Dtype::F32 => Some(f32::from_le_bytes(x.try_into().unwrap())),
            Dtype::F64 => Some(f64::from_le_bytes(x.try_into().unwrap()) as f32),
            Dtype::F16 => Some(half::f16::from_le_bytes(x.try_into().unwrap()).to_f32()),
            Dtype::BF16 => Some(half::bf16::from_le_bytes(x.try_into().unwrap()).to_f32()),
            _ => None,
        };
        let found = values(weights, &name);
        let size = view.dtype().bitsize().div_ceil(8);
        let wanted: Option<Vec<f32>> = match view.dtype() {
            Dtype::F32 | Dtype::F64 | Dtype::F16 | Dtype::BF16 => {
                view.data().chunks(size).map(wide).collect()
            }
            _ => None,
        };
        match (found, wanted) {
            (Ok(found), Some(wanted)) => {
                let bits = |v: &[f32]| v.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
                assert_eq!(bits(&found), bits(&wanted), "{name}");
            }
            (Err(error), Some(wanted)) => {
                clear(&error, "w.safetensors");
                assert!(wanted.iter().any(|x| !x.is_finite()), "{error}");
                bad += 1;
            }
            (Err(error), None) => {
                clear(&error, "w.safetensors");
            }
            (Ok(_), None) => panic!("{name} is no weight"),
        }
    }
    bad
}

#[test]
fn no_change_to_an_index_makes_a_panic() {
    let mut random = fastrand::Rng::with_seed(21);
    let place = Place::new();
    place.put(
        "x.safetensors",
        &file(&[("a", &[1], &[1.0]), ("b", &[1], &[3.0])]),
    );
    let good =
        br#"{"metadata":{"total_size":8},"weight_map":{"a":"x.safetensors","b":"x.safetensors"}}"#;
    let mut taken = 0;
    for _ in 0..1000 {
        let mut bytes = good.to_vec();
        for _ in 0..random.usize(1..3) {
            change(&mut bytes, &mut random);
        }
        if random.bool() {
            // The changes above may have put a length in front.
            bytes
                .splice(..bytes.len().min(8), good[..8].iter().copied())
                .for_each(drop);
        }
        place.put("model.safetensors.index.json", &bytes);
        match WeightFile::open(place.path(), MAP) {
            Ok(weights) => {
                taken += 1;
                assert_eq!(values(&weights, "b").unwrap(), [3.0]);
            }
            Err(error) => drop(clear(&error, "safetensors")),
        }
    }
    assert!(taken > 10, "{taken}");
}
