//! Bad JPEGs: headers that contradict themselves, coded data that are damaged, kinds that are rare.

use std::path::{Path, PathBuf};

use doppel::Error;
use doppel::error::Kind;
use doppel::image::{decode, phash};
use doppel::limits::MAX_JPEG_SCANS;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/data/jpeg")
}

fn file(name: &str) -> Vec<u8> {
    std::fs::read(folder().join(name)).unwrap()
}

/// What a file is refused with: one line, with a mend, and no decoder having given up.
#[track_caller]
fn refused(bytes: &[u8]) -> Error {
    let error = decode(bytes).unwrap_err();
    let text = error.to_string();
    assert!(!text.contains('\n') && !text.contains("gave up"), "{text}");
    assert!(error.mending().is_some(), "no mend: {text}");
    assert_eq!(phash(bytes).unwrap_err().to_string(), text);
    error
}

#[track_caller]
fn assert_says(bytes: &[u8], what: &str) {
    let error = refused(bytes).to_string();
    assert!(error.contains(what), "{error}");
}

/// A segment of a file: where it begins (at FF) and ends, and its marker.
struct Segment {
    start: usize,
    end: usize,
    marker: u8,
}

/// The segments of a whole file without stray bytes, up to its end marker.
fn segments(bytes: &[u8]) -> Vec<Segment> {
    let mut found = Vec::new();
    let mut at = 2;
    while at + 4 <= bytes.len() {
        let marker = bytes[at + 1];
        let coded = bytes[at] != 0xFF || matches!(marker, 0 | 0xD0..=0xD7);
        if coded {
            at += 1;
            continue;
        }
        let end = at + 2 + usize::from(u16::from_be_bytes([bytes[at + 2], bytes[at + 3]]));
        found.push(Segment {
            start: at,
            end,
            marker,
        });
        at = end;
    }
    found
}

/// The file with each segment of `marker` changed.
fn with(bytes: &[u8], marker: u8, change: impl Fn(&[u8]) -> Vec<u8>) -> Vec<u8> {
    let mut out = Vec::new();
    let mut at = 0;
    for segment in segments(bytes) {
        if segment.marker == marker {
            out.extend(&bytes[at..segment.start]);
            out.extend(change(&bytes[segment.start..segment.end]));
            at = segment.end;
        }
    }
    assert!(at > 0, "no segment {marker:x}");
    out.extend(&bytes[at..]);
    out
}

/// The file with one byte of each segment of `marker` changed; 0 is the marker's own FF.
fn poked(bytes: &[u8], marker: u8, place: usize, byte: u8) -> Vec<u8> {
    with(bytes, marker, |segment| {
        let mut segment = segment.to_vec();
        segment[place] = byte;
        segment
    })
}

const FRAME: u8 = 0xC0;
const CODES: u8 = 0xC4;
const STEPS: u8 = 0xDB;
const INTERVAL: u8 = 0xDD;
const SCAN: u8 = 0xDA;

fn usual() -> Vec<u8> {
    file("pillow-33x31-420.jpg")
}

fn progressive() -> Vec<u8> {
    file("pillow-33x31-420-p.jpg")
}

#[test]
fn frames_that_contradict_themselves() {
    let what = "header contradicts itself";
    // Sampling factors of the first component.
    for factors in [0x00, 0x01, 0x10, 0x52, 0x25, 0xFF] {
        assert_says(&poked(&usual(), FRAME, 11, factors), what);
    }
    // More components than the segment has room for, and fewer.
    for count in [2, 4, 255] {
        assert_says(&poked(&usual(), FRAME, 9, count), what);
    }
    // Two frames.
    let doubled = with(&usual(), FRAME, |segment| [segment, segment].concat());
    assert_says(&doubled, what);
    // A restart interval of three bytes.
    let interval = with(&usual(), SCAN, |scan| {
        [b"\xFF\xDD\0\x05\0\0\0", scan].concat()
    });
    assert_says(&interval, what);
}

#[test]
fn scans_that_contradict_the_frame() {
    let what = "header contradicts itself";
    // An unknown component, one twice, more than there are, none.
    for (place, byte) in [(5, 9), (7, 1), (4, 4), (4, 0), (4, 2)] {
        assert_says(&poked(&usual(), SCAN, place, byte), what);
    }
    // Eleven blocks in a unit.
    let wide = file("hand-24-12-11-apart.jpg");
    let scan = b"\xFF\xDA\0\x0C\x03\x01\0\x02\0\x03\0\0\x3F\0";
    assert_says(&with(&wide, SCAN, |_| scan.to_vec()), what);
    // Bands and bits that no progressive scan has: of the scans with one component.
    let grey = file("pillow-grey-33x31-p.jpg");
    for (place, byte) in [(7, 9), (8, 64), (8, 1), (9, 0x31), (9, 0x0E), (9, 0x1E)] {
        assert_says(&poked(&grey, SCAN, place, byte), what);
    }
}

#[test]
fn tables_that_are_missing_or_malformed() {
    assert_says(
        &with(&usual(), STEPS, |_| Vec::new()),
        "table that it uses is missing",
    );
    assert_says(
        &with(&progressive(), CODES, |_| Vec::new()),
        "table that it uses is missing",
    );
    // The number of a component's steps, and of a scan's codes.
    assert_says(
        &poked(&usual(), FRAME, 12, 3),
        "table that it uses is missing",
    );
    assert_says(
        &poked(&usual(), SCAN, 6, 0x77),
        "table that it uses is missing",
    );
    let what = "table is not well formed";
    for (marker, place, byte) in [
        // Number 4; two bytes a step in a segment for one; class 2; three codes of one bit; a code
        // more than there is room for.
        (STEPS, 4, 4),
        (STEPS, 4, 0x10),
        (CODES, 4, 0x20),
        (CODES, 4, 0x04),
        (CODES, 5, 3),
        (CODES, 20, 255),
    ] {
        assert_says(&poked(&usual(), marker, place, byte), what);
    }
    // A DC difference of 16 bits.
    let large = with(&usual(), CODES, |segment| {
        let mut segment = segment.to_vec();
        if segment[4] >> 4 == 0 {
            segment[21] = 16;
        }
        segment
    });
    assert_says(&large, what);
}

/// Without tables of codes a sequential file means the usual ones; Pillow writes those.
#[test]
fn codes_may_be_left_out_of_a_sequential_file() {
    let whole = file("quality-050.jpg");
    let without = with(&whole, CODES, |_| Vec::new());
    assert_eq!(phash(&without).unwrap(), phash(&whole).unwrap());
    let (with, without) = (decode(&whole).unwrap(), decode(&without).unwrap());
    assert_eq!(with.image().as_bytes(), without.image().as_bytes());
}

#[test]
fn coded_data_that_end_early() {
    for name in [
        "pillow-33x31-420.jpg",
        "pillow-33x31-420-p.jpg",
        "hand-11-11-11-apart.jpg",
    ] {
        let whole = file(name);
        let ends: Vec<usize> = segments(&whole)
            .iter()
            .filter(|s| s.marker == SCAN)
            .map(|s| s.end)
            .collect();
        // Nothing at all after a scan's header, and then the end marker.
        for end in ends {
            let cut = [&whole[..end], b"\xFF\xD9"].concat();
            assert_says(&cut, "data end before the picture does");
        }
    }
    // Most of the data, of the only scan.
    let whole = usual();
    let start = segments(&whole).last().unwrap().end;
    for length in start..whole.len() - 20 {
        let cut = [&whole[..length], b"\xFF\xD9"].concat();
        if !cut.ends_with(b"\xFF\xFF\xD9") {
            assert_says(&cut, "data end before the picture does");
        }
    }
}

#[test]
fn a_colour_in_no_scan() {
    let whole = file("hand-11-11-11-apart.jpg");
    let last = segments(&whole)
        .into_iter()
        .rfind(|s| s.marker == CODES)
        .unwrap();
    let earlier: Vec<Segment> = segments(&whole);
    let scans: Vec<&Segment> = earlier.iter().filter(|s| s.marker == SCAN).collect();
    assert_eq!(scans.len(), 3);
    assert!(scans[1].end < last.start);
    let cut = [&whole[..last.start], b"\xFF\xD9"].concat();
    assert_says(&cut, "one of its colours is in no JPEG scan");
}

#[test]
fn codes_that_do_not_exist() {
    // The usual codes have none of all ones.
    let whole = file("quality-050.jpg");
    let start = segments(&whole).last().unwrap().end;
    let ones = [0xFF, 0].repeat(40);
    let bad = [&whole[..start], &ones, b"\xFF\xD9"].concat();
    assert_says(&bad, "a code that does not exist");
}

#[test]
fn restart_markers_missing_or_out_of_order() {
    let whole = file("hand-restart-every-block.jpg");
    let start = segments(&whole).last().unwrap().end;
    let is_restart = |at: &usize| whole[*at] == 0xFF && (0xD0..0xD8).contains(&whole[at + 1]);
    let markers: Vec<usize> = (start..whole.len() - 2).filter(is_restart).collect();
    assert_eq!(markers.len(), 143);
    let what = "restart marker is missing or out of order";
    for at in [markers[0], markers[9], markers[142]] {
        let mut other = whole.clone();
        other[at + 1] ^= 1;
        assert_says(&other, what);
        let without = [&whole[..at], &whole[at + 2..]].concat();
        refused(&without);
    }
    // An interval other than the file's.
    for interval in [2, 7, 142] {
        refused(&poked(&whole, INTERVAL, 5, interval));
    }
    // Bytes before a marker that belong to nothing are stepped over, as libjpeg does.
    let stray = [&whole[..markers[3]], b"\x12\x34", &whole[markers[3]..]].concat();
    assert_eq!(phash(&stray).unwrap(), phash(&whole).unwrap());
}

#[test]
fn scans_are_counted_before_any_is_decoded() {
    let whole = file("hand-11-11-11-apart.jpg");
    let all = segments(&whole);
    let first = all.iter().find(|s| s.marker == SCAN).unwrap();
    let next = all.iter().find(|s| s.start > first.start).unwrap();
    let scan = &whole[first.start..next.start];
    let times = |more: usize| {
        let copies = scan.repeat(more);
        [&whole[..next.start], &copies, &whole[next.start..]].concat()
    };
    let want = decode(&whole).unwrap();
    let most = decode(&times(MAX_JPEG_SCANS - 3)).unwrap();
    assert_eq!(want.image().as_bytes(), most.image().as_bytes());
    let error = refused(&times(MAX_JPEG_SCANS - 2));
    assert_eq!(error.kind(), Kind::Limit);
    assert!(error.to_string().contains("more than 100 scans"), "{error}");
}

/// Scans of their own need all coefficients in memory; that is counted for a sequential file too.
#[test]
fn memory_is_counted_by_blocks() {
    let whole = file("hand-44-22-24-apart.jpg");
    let large = with(&whole, 0xC1, |segment| {
        let mut segment = segment.to_vec();
        segment[5..9].copy_from_slice(&[0x1B, 0x58, 0x1B, 0x58]);
        segment
    });
    // 7000 x 7000 pixels: 1.75 samples of two bytes a pixel fit, and 3 of RGB beside them, so that
    // the data are looked at; with four components at full size they do not.
    assert_says(&large, "is damaged");
    let four = with(&file("hand-11-11-11-11-apart.jpg"), 0xC1, |segment| {
        let mut segment = segment.to_vec();
        segment[5..9].copy_from_slice(&[0x1B, 0x58, 0x1B, 0x58]);
        segment
    });
    let error = refused(&four);
    assert_eq!(error.kind(), Kind::Limit);
    assert!(error.to_string().contains("would take"), "{error}");
}

/// Arithmetic coding, lossless and hierarchical files, 12 bits, two components, and factors that do
/// not divide: left to the other decoder, which reads none of these.
#[test]
fn rare_kinds_are_refused_in_one_line() {
    for marker in [0xC3, 0xC5, 0xC6, 0xC7, 0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF] {
        refused(&poked(&usual(), FRAME, 1, marker));
    }
    refused(&poked(&usual(), FRAME, 4, 12));
    let two = with(&usual(), FRAME, |segment| {
        let mut segment = segment[..segment.len() - 3].to_vec();
        (segment[3], segment[9]) = (14, 2);
        segment
    });
    refused(&two);
    // Three samples beside two.
    let mut uneven = poked(&usual(), FRAME, 11, 0x31);
    uneven = poked(&uneven, FRAME, 14, 0x21);
    if let Err(error) = decode(&uneven) {
        assert!(!error.to_string().contains('\n'), "{error}");
    }
}

/// One altered copy; changes fall on headers, on the start of coded data, and anywhere.
fn altered(bytes: &[u8], random: &mut fastrand::Rng) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    let starts: Vec<usize> = segments(&bytes).iter().map(|s| s.start).collect();
    for _ in 0..random.usize(1..5) {
        let near = *random.choice(&starts).unwrap() + random.usize(0..30);
        let at = [near, random.usize(..)][random.usize(0..2)] % bytes.len();
        let end = (at + random.usize(0..30)).min(bytes.len());
        match random.u8(0..7) {
            0..=2 => bytes[at] = random.u8(..),
            3 => bytes[at] ^= 1 << random.u8(0..8),
            4 => bytes[at] = *random.choice([0, 1, 0x10, 0x80, 0xFF].iter()).unwrap(),
            5 if end - at < bytes.len() => drop(bytes.drain(at..end)),
            _ => {
                let piece = bytes[at..end].to_vec();
                let to = random.usize(0..bytes.len());
                bytes.splice(to..to, piece);
            }
        }
    }
    bytes
}

/// Thousands of altered files: each is a picture of its declared sides or one line, and no decoder
/// ever panics (that would be caught, and say so).
#[test]
fn altered_files_never_panic() {
    let mut names: Vec<PathBuf> = std::fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension() == Some("jpg".as_ref()))
        .filter(|path| path.metadata().unwrap().len() < 4000)
        .collect();
    names.sort();
    let (mut read, mut told) = (0, 0);
    for (seed, name) in names.iter().enumerate() {
        let whole = std::fs::read(name).unwrap();
        let mut random = fastrand::Rng::with_seed(seed as u64);
        for _ in 0..30 {
            match decode(&altered(&whole, &mut random)) {
                Ok(decoded) => {
                    let image = decoded.image();
                    let pixels = image.width() as usize * image.height() as usize;
                    let bytes = pixels * usize::from(image.color().bytes_per_pixel());
                    assert_eq!(image.as_bytes().len(), bytes);
                    read += 1;
                }
                Err(error) => {
                    let text = error.to_string();
                    assert!(!text.contains('\n') && !text.contains("gave up"), "{text}");
                    assert!(error.mending().is_some(), "{text}");
                    told += 1;
                }
            }
        }
    }
    assert!(read > 1000 && told > 2000, "{read} read, {told} refused");
}
