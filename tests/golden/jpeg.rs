//! The pixels of JPEG files against Pillow with libjpeg-turbo: see `scripts/jpeg_goldens.py`.
//!
//! Every file is asked for in full: not one bit of one sample may differ.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use doppel::image::{Format, decode, phash};
use image::DynamicImage;
use sha2::{Digest, Sha256};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/data/jpeg")
}

/// What Pillow reads from a file.
struct Golden {
    name: String,
    grey: bool,
    sides: (u32, u32),
    digest: String,
    hash: u64,
    pixels: Option<String>,
}

fn goldens() -> Vec<Golden> {
    let text = std::fs::read_to_string(folder().join("pixels.txt")).unwrap();
    let golden = |line: &str| {
        let fields: Vec<&str> = line.split(' ').collect();
        let (width, height) = fields[2].split_once('x').unwrap();
        Golden {
            name: fields[0].to_owned(),
            grey: fields[1] == "L",
            sides: (width.parse().unwrap(), height.parse().unwrap()),
            digest: fields[3].to_owned(),
            hash: u64::from_str_radix(fields[4], 16).unwrap(),
            pixels: fields.get(5).map(|pixels| (*pixels).to_owned()),
        }
    };
    text.lines().map(golden).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

fn assert_equal(golden: &Golden) {
    let name = &golden.name;
    let bytes = std::fs::read(folder().join(name)).unwrap();
    let decoded = decode(&bytes).unwrap_or_else(|error| panic!("{name}: {error}"));
    assert_eq!(decoded.format(), Format::Jpeg);
    let image = decoded.image();
    assert_eq!((image.width(), image.height()), golden.sides, "{name}");
    let got = match image {
        DynamicImage::ImageLuma8(pixels) if golden.grey => pixels.as_raw(),
        DynamicImage::ImageRgb8(pixels) if !golden.grey => pixels.as_raw(),
        other => panic!("{name}: {:?}", other.color()),
    };
    if let Some(want) = &golden.pixels {
        assert_eq!(&hex(got), want, "{name}");
    }
    assert_eq!(hex(&Sha256::digest(got)), golden.digest, "{name}: pixels");
    assert_eq!(phash(&bytes).unwrap(), golden.hash, "{name}: hash");
}

/// Compares the files whose names start so, and sees that there are as many as there should be.
fn assert_all(start: &str, count: usize) {
    let goldens = goldens();
    let some: Vec<&Golden> = goldens
        .iter()
        .filter(|g| g.name.starts_with(start))
        .collect();
    assert_eq!(some.len(), count, "{start}");
    some.into_iter().for_each(assert_equal);
}

/// 21 sizes from 1 x 1 in 4:4:4, 4:2:2 and 4:2:0, sequential and progressive; grey, CMYK, RGB.
#[test]
fn files_that_pillow_writes() {
    assert_all("pillow-", 21 * 3 * 2 + 4 * 2 * 3);
}

#[test]
fn every_quality() {
    assert_all("quality-", 100);
}

/// 21 sets of sampling factors, interleaved where they may be, in scans of their own, progressive.
#[test]
fn any_sampling_factors_and_any_order_of_scans() {
    let goldens = goldens();
    let ways = ["-together.jpg", "-apart.jpg", "-progressive.jpg"];
    let mut counts = [0; 3];
    for golden in goldens.iter().filter(|g| g.name.starts_with("hand-")) {
        if let Some(way) = ways.iter().position(|way| golden.name.ends_with(way)) {
            assert_equal(golden);
            counts[way] += 1;
        }
    }
    // Of no-codes-apart.jpg the name ends so too.
    assert_eq!(counts, [17, 22, 21]);
}

#[test]
fn colours_by_what_the_segments_say() {
    assert_all("hand-colours-", 10);
    assert_all("hand-inks-", 5);
}

#[test]
fn odd_but_whole_files() {
    for start in [
        "hand-no-codes.",
        "hand-fill-bytes",
        "hand-wide-steps",
        "hand-restart-every-block",
        "hand-long-run",
        "hand-two-and-one",
        "hand-scans-out-of-order",
    ] {
        assert_all(start, 1);
    }
}

/// Photographs of the Grocery data set, and the JPEGs of the pHash tests.
#[test]
fn photographs() {
    assert_all("../phash/photo-", 12);
    assert_all("../phash/jpeg-", 15);
}

#[test]
fn no_file_is_left_out() {
    let listed = goldens()
        .iter()
        .filter(|g| !g.name.starts_with(".."))
        .count();
    let files = std::fs::read_dir(folder()).unwrap();
    let there = files.filter(|f| f.as_ref().unwrap().path().extension() == Some("jpg".as_ref()));
    assert_eq!(listed, there.count());
}
