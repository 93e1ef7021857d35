//! RGB, orientation, resizing and an encoder's inputs against Pillow, torchvision and timm: see
//! `scripts/prepare_goldens.py`. All but lossy WebP is asked for in full, to the last bit.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use doppel::image::{
    Crop, Filter, IMAGENET, INCEPTION, Prepare, Rgb8, decode_rgb, prepare, resize_rgb,
};
use sha2::{Digest, Sha256};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/data/prepare")
}

fn picture(name: &str) -> Vec<u8> {
    std::fs::read(folder().join(name)).unwrap()
}

/// The lines of a list, each as its words.
fn lines(name: &str) -> Vec<Vec<String>> {
    let text = std::fs::read_to_string(folder().join(name)).unwrap();
    let words = |line: &str| line.split(' ').map(str::to_owned).collect();
    text.lines().map(words).collect()
}

fn digest(bytes: &[u8]) -> String {
    let mut text = String::new();
    for byte in Sha256::digest(bytes) {
        write!(text, "{byte:02x}").unwrap();
    }
    text
}

fn sides(text: &str) -> (usize, usize) {
    let (width, height) = text.split_once('x').unwrap();
    (width.parse().unwrap(), height.parse().unwrap())
}

fn filter(name: &str) -> Filter {
    match name {
        "bilinear" => Filter::Bilinear,
        "bicubic" => Filter::Bicubic,
        "lanczos" => Filter::Lanczos,
        other => panic!("{other}"),
    }
}

/// The picture that the script makes by the same formula.
fn made(kind: &str, (width, height): (usize, usize)) -> Rgb8 {
    let sample = |x: u32, y: u32, c: u32| {
        let mut h = x.wrapping_mul(0x9E37_79B1)
            ^ y.wrapping_mul(0x85EB_CA77)
            ^ (c + 1).wrapping_mul(0xC2B2_AE3D);
        for _ in 0..2 {
            h ^= h >> 15;
            h = h.wrapping_mul(0x2C1B_3C6D);
        }
        let noise = (h >> 13) as u8;
        match kind {
            "ramp" => (3 * x + 5 * y + 40 * c) as u8,
            "noise" => noise,
            "extremes" => 255 * (noise & 1),
            "flat" => 201,
            other => panic!("{other}"),
        }
    };
    let mut pixels = Vec::new();
    for y in 0..height as u32 {
        for x in 0..width as u32 {
            pixels.extend([0, 1, 2].map(|c| sample(x, y, c)));
        }
    }
    Rgb8::new(width, height, pixels).unwrap()
}

#[test]
fn colours_and_orientation_equal_pillows() {
    let goldens = lines("rgb.txt");
    let mut wrong = Vec::new();
    for golden in goldens
        .iter()
        .filter(|golden| !golden[0].starts_with("bitmap-5"))
    {
        let [name, stored_sides, stored, turned_sides, turned] = golden.as_slice() else {
            panic!("{golden:?}");
        };
        for (orient, want_sides, want) in
            [(false, stored_sides, stored), (true, turned_sides, turned)]
        {
            let rgb = decode_rgb(&picture(name), orient).unwrap();
            if (rgb.width(), rgb.height()) != sides(want_sides) || &digest(rgb.pixels()) != want {
                wrong.push(format!("{name}, orient {orient}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(goldens.len() >= 65, "{}", goldens.len());
}

/// Eight orientations by three formats show the same picture, once turned.
#[test]
fn every_orientation_is_turned_differently() {
    for ending in ["jpg", "png", "webp"] {
        let mut seen: Vec<Vec<u8>> = Vec::new();
        for number in 1..=8 {
            let bytes = picture(&format!("turned-{number}.{ending}"));
            let rgb = decode_rgb(&bytes, true).unwrap();
            assert_eq!(rgb.width() == 21, number < 5);
            assert!(!seen.contains(&rgb.pixels().to_vec()));
            seen.push(rgb.into_pixels());
        }
    }
}

#[test]
fn resized_pictures_equal_pillows() {
    let goldens = lines("resized.txt");
    let mut wrong = Vec::new();
    for golden in &goldens {
        let [kind, from, to, name, want, first, last] = golden.as_slice() else {
            panic!("{golden:?}");
        };
        let (width, height) = sides(to);
        let resized = resize_rgb(&made(kind, sides(from)), width, height, filter(name)).unwrap();
        assert_eq!((resized.width(), resized.height()), (width, height));
        let pixel = |pixel: &[u8]| format!("{},{},{}", pixel[0], pixel[1], pixel[2]);
        let pixels = resized.pixels();
        let ends = [pixel(&pixels[..3]), pixel(&pixels[pixels.len() - 3..])];
        if ends != [first.clone(), last.clone()] || &digest(pixels) != want {
            wrong.push(golden[..4].join(" "));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(goldens.len() >= 280, "{}", goldens.len());
}

#[test]
fn prepared_pictures_equal_timms() {
    let goldens = lines("prepared.txt");
    let mut wrong = Vec::new();
    for golden in &goldens {
        let [kind, from, size, crop, name, normal, want] = golden.as_slice() else {
            panic!("{golden:?}");
        };
        let how = Prepare {
            size: size.parse().unwrap(),
            crop: match crop.as_str() {
                "squash" => Crop::Squash,
                crop => Crop::Timm {
                    crop_pct: crop.parse().unwrap(),
                },
            },
            filter: filter(name),
            normal: match normal.as_str() {
                "imagenet" => IMAGENET,
                "inception" => INCEPTION,
                other => panic!("{other}"),
            },
        };
        let mut out = vec![f32::NAN; how.values().unwrap()];
        prepare(&made(kind, sides(from)), &how, &mut out).unwrap();
        let bytes: Vec<u8> = out.iter().flat_map(|value| value.to_le_bytes()).collect();
        if &digest(&bytes) != want {
            wrong.push(golden[..6].join(" "));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert_eq!(goldens.len(), 80);
}

/// How far the pixels of `name` are from `want`: the share that is equal, and
/// the most levels apart.
fn apart(name: &str, want: &Rgb8) -> (f64, u8) {
    let got = decode_rgb(&picture(name), false).unwrap();
    assert_eq!((got.width(), got.height()), (want.width(), want.height()));
    let pairs = got.pixels().iter().zip(want.pixels());
    let off: Vec<u8> = pairs.map(|(a, b)| a.abs_diff(*b)).collect();
    let equal = off.iter().filter(|off| **off == 0).count();
    let most = off.iter().max().copied().unwrap_or(0);
    (equal as f64 / off.len() as f64, most)
}

/// Pillow has libwebp; doppel another decoder, which comes to the same pixels.
#[test]
fn lossy_webp_equals_libwebps() {
    for name in ["photo", "fine", "coarse", "lossy-alpha"] {
        let like = format!("lossy/webp-{name}.png");
        let want = decode_rgb(&picture(&like), false).unwrap();
        let (equal, most) = apart(&format!("webp-{name}.webp"), &want);
        assert!(
            equal == 1.0 && most == 0,
            "{name}: {equal} equal, {most} apart"
        );
    }
}

/// Samples of five and six bits are widened by rounding here, by cutting in Pillow.
#[test]
fn bitmaps_of_16_bits_are_within_a_level() {
    for (name, green) in [("555", 31), ("565", 63)] {
        let bytes = picture(&format!("bitmap-{name}.bmp"));
        let at = u32::from_le_bytes(*bytes[10..].first_chunk().unwrap()) as usize;
        let mut pixels = Vec::new();
        // Twelve pixels a row, the last row first.
        for row in bytes[at..].chunks(24).rev() {
            for word in row.as_chunks::<2>().0 {
                let word = u32::from(u16::from_le_bytes(*word));
                let cut = |value: u32, most: u32| ((value & most) * 255 / most) as u8;
                let red = if green == 31 { word >> 10 } else { word >> 11 };
                pixels.extend([cut(red, 31), cut(word >> 5, green), cut(word, 31)]);
            }
        }
        let want = Rgb8::new(12, 7, pixels).unwrap();
        let golden = lines("rgb.txt")
            .into_iter()
            .find(|g| g[0] == format!("bitmap-{name}.bmp"));
        assert_eq!(
            digest(want.pixels()),
            golden.unwrap()[2],
            "Pillow's is computed here"
        );
        let (_, most) = apart(&format!("bitmap-{name}.bmp"), &want);
        assert!(most <= 1, "{name}: {most}");
    }
}
