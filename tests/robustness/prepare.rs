//! Pictures for encoders: EXIF of all kinds of damage, odd requests, tables with bad files.

use std::path::Path;

use doppel::error::Kind;
use doppel::image::{
    Crop, Filter, IMAGENET, ImageFolder, Normal, Prepare, Rgb8, Unique, decode_prepare, decode_rgb,
    prepare, resize_rgb,
};

fn golden(name: &str) -> Vec<u8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/data/prepare");
    std::fs::read(folder.join(name)).unwrap()
}

/// A JPEG with this APP1 segment right after its start.
fn with_segment(jpeg: &[u8], content: &[u8]) -> Vec<u8> {
    let length = (content.len() as u16 + 2).to_be_bytes();
    [&jpeg[..2], b"\xFF\xE1", &length, content, &jpeg[2..]].concat()
}

/// A TIFF directory with entries of twelve bytes, big-endian.
fn directory(at: u32, entries: &[[u8; 12]]) -> Vec<u8> {
    let mut exif = b"Exif\0\0MM\0*".to_vec();
    exif.extend(at.to_be_bytes());
    exif.extend((entries.len() as u16).to_be_bytes());
    exif.extend(entries.concat());
    exif
}

const TURNED: [u8; 12] = [1, 0x12, 0, 3, 0, 0, 0, 1, 0, 6, 0, 0];

fn how(size: usize, crop: Crop) -> Prepare {
    Prepare {
        size,
        crop,
        filter: Filter::Bicubic,
        normal: IMAGENET,
    }
}

#[test]
fn exif_that_cannot_be_read_is_as_good_as_none() {
    let plain = golden("mode-rgb.jpg");
    let upright = decode_rgb(&plain, false).unwrap();
    let whole = directory(8, &[TURNED]);
    let turned = decode_rgb(&with_segment(&plain, &whole), true).unwrap();
    assert_eq!(
        (turned.width(), turned.height()),
        (upright.height(), upright.width())
    );
    let mut broken: Vec<Vec<u8>> = vec![
        b"Exif\0\0".to_vec(),
        b"Exif\0\0XX\0*\0\0\0\x08".to_vec(),
        directory(0xFFFF_FFFF, &[TURNED]),
        directory(0xFFFF_FFF0, &[TURNED]),
        directory(9, &[TURNED]),
        directory(4000, &[TURNED]),
        // Another type, another count, values that mean nothing.
        directory(8, &[[1, 0x12, 0, 2, 0, 0, 0, 1, 0, 6, 0, 0]]),
        directory(8, &[[1, 0x12, 0, 3, 0, 0, 0, 2, 0, 6, 0, 0]]),
        directory(8, &[[1, 0x12, 0, 3, 0, 0, 0, 1, 0, 0, 0, 0]]),
        directory(8, &[[1, 0x12, 0, 3, 0, 0, 0, 1, 0, 9, 0, 0]]),
        directory(8, &[[1, 0x12, 0, 4, 0, 0, 0, 1, 0xFF, 0xFF, 0xFF, 0xFE]]),
        directory(8, &[]),
        b"http://ns.adobe.com/xap/1.0/\0tiff:Orientation".to_vec(),
        b"http://ns.adobe.com/xap/1.0/\0tiff:Orientation=\"".to_vec(),
        b"http://ns.adobe.com/xap/1.0/\0tiff:Orientation=\"x\"".to_vec(),
    ];
    // More entries promised than there are, and every cut that leaves the value out.
    let mut many = directory(8, &[[9; 12]]);
    many[14] = 0xFF;
    broken.push(many);
    broken.extend((6..whole.len() - 2).map(|length| whole[..length].to_vec()));
    for exif in broken {
        let shown = decode_rgb(&with_segment(&plain, &exif), true);
        assert!(shown.unwrap() == upright, "{exif:?}");
    }
    // The first note counts.
    let twice = [[1, 0x12, 0, 3, 0, 0, 0, 1, 0, 1, 0, 0], TURNED];
    let shown = decode_rgb(&with_segment(&plain, &directory(8, &twice)), true).unwrap();
    assert!(shown == upright);
}

#[test]
fn pictures_with_exif_may_be_cut_or_altered_anywhere() {
    let mut random = fastrand::Rng::with_seed(12);
    for name in [
        "turned-6.jpg",
        "turned-6.png",
        "turned-6.webp",
        "turned-xmp.webp",
        "gif-small-frame.gif",
    ] {
        let whole = golden(name);
        for length in 0..whole.len() {
            if let Err(error) = decode_rgb(&whole[..length], true) {
                assert!(!error.to_string().contains('\n'), "{error}");
            }
        }
        for _ in 0..2000 {
            let mut altered = whole.clone();
            for _ in 0..random.usize(1..4) {
                let place = random.usize(0..altered.len());
                altered[place] = random.u8(..);
            }
            match decode_rgb(&altered, true) {
                Ok(rgb) => assert_eq!(rgb.pixels().len(), 3 * rgb.width() * rgb.height()),
                Err(error) => assert!(!error.to_string().contains('\n'), "{error}"),
            }
        }
    }
}

#[test]
fn sizes_that_cannot_be_are_refused() {
    let rgb = Rgb8::new(2, 2, vec![7; 12]).unwrap();
    let none = Rgb8::new(0, 2, vec![]).unwrap();
    for (width, height) in [(0, 3), (3, 0)] {
        let error = resize_rgb(&rgb, width, height, Filter::Lanczos).unwrap_err();
        assert_eq!(error.kind(), Kind::Shape);
    }
    assert_eq!(
        resize_rgb(&none, 3, 3, Filter::Lanczos).unwrap_err().kind(),
        Kind::Shape
    );
    for (width, height) in [(10_001, 1), (9_000, 9_000), (usize::MAX, usize::MAX)] {
        let error = resize_rgb(&rgb, width, height, Filter::Bilinear).unwrap_err();
        assert_eq!(error.kind(), Kind::Limit);
    }
    let timm = |crop_pct| Crop::Timm { crop_pct };
    for bad in [
        how(0, Crop::Squash),
        how(10_001, Crop::Squash),
        how(8_000, Crop::Squash),
        how(usize::MAX, Crop::Squash),
        how(32, timm(0.0)),
        how(32, timm(-1.0)),
        how(32, timm(f64::NAN)),
        how(32, timm(f64::INFINITY)),
        how(32, timm(1e-9)),
        how(32, timm(33.0)),
        Prepare {
            normal: Normal {
                mean: [0.0, f32::NAN, 0.0],
                std: [1.0; 3],
            },
            ..how(8, Crop::Squash)
        },
        Prepare {
            normal: Normal {
                mean: [0.0; 3],
                std: [1.0, 0.0, 1.0],
            },
            ..how(8, Crop::Squash)
        },
    ] {
        let error = prepare(&rgb, &bad, &mut []).unwrap_err();
        assert!(
            matches!(error.kind(), Kind::Input | Kind::Limit),
            "{bad:?}: {error}"
        );
        assert!(error.mending().is_some() && bad.values().is_err());
    }
    let good = how(4, Crop::Squash);
    for length in [0, 47, 49] {
        let error = prepare(&rgb, &good, &mut vec![0.0; length]).unwrap_err();
        assert_eq!(error.kind(), Kind::Shape);
    }
    assert_eq!(
        prepare(&none, &good, &mut [0.0; 48]).unwrap_err().kind(),
        Kind::Shape
    );
    assert!(prepare(&rgb, &good, &mut [0.0; 48]).is_ok());
}

/// The whole of what timm would make first is a billion pixels; only the middle is computed.
#[test]
fn a_line_is_prepared_without_its_ends() {
    let line = Rgb8::new(10_000, 1, [10, 20, 30].repeat(10_000)).unwrap();
    let how = how(300, Crop::Timm { crop_pct: 0.9 });
    let mut out = vec![f32::NAN; how.values().unwrap()];
    prepare(&line, &how, &mut out).unwrap();
    for pixel in out.as_chunks::<3>().0 {
        for (colour, value) in pixel.iter().enumerate() {
            let sample = [10.0, 20.0, 30.0][colour];
            let want = (sample / 255.0 - IMAGENET.mean[colour]) / IMAGENET.std[colour];
            assert_eq!(*value, want);
        }
    }
}

#[test]
fn a_table_has_each_file_once_and_each_bad_row_its_error() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("sub")).unwrap();
    for (name, bytes) in [
        ("a.jpg", golden("mode-rgb.jpg")),
        ("sub/b.png", golden("mode-p.png")),
        ("bad.jpg", b"<html>".to_vec()),
    ] {
        std::fs::write(dir.path().join(name), bytes).unwrap();
    }
    let folder = ImageFolder::open(dir.path()).unwrap();
    let names = [
        Some("./bad.jpg"),
        Some("a.jpg"),
        None,
        Some("none.jpg"),
        Some("./a.jpg"),
        Some("sub/b.png"),
        Some("a.jpg"),
        Some("../a.jpg"),
        Some("bad.jpg"),
    ];
    let unique = Unique::of(&folder, &names);
    let files: Vec<(&str, &[usize])> = unique
        .files
        .iter()
        .map(|f| (f.name.as_str(), &f.rows[..]))
        .collect();
    assert_eq!(
        files,
        [
            ("./bad.jpg", &[0, 8][..]),
            ("a.jpg", &[1, 4, 6]),
            ("sub/b.png", &[5])
        ]
    );
    let rows: Vec<usize> = unique.failures.iter().map(|(row, _)| *row).collect();
    assert_eq!(rows, [3, 7]);
    assert!(unique.failures[0].1.to_string().contains("none.jpg"));
    let how = how(8, Crop::Squash);
    let mut out = vec![0.0; how.values().unwrap()];
    let mut run = |number: usize| {
        let file = &unique.files[number];
        decode_prepare(&folder, (&file.name, &file.file), true, &how, &mut out)
    };
    let error = run(0).unwrap_err();
    assert!(
        error.to_string().contains("bad.jpg: is not an image"),
        "{error}"
    );
    let errors = unique.errors(&folder, &names, 0, &error);
    assert_eq!(
        errors.iter().map(|(row, _)| *row).collect::<Vec<_>>(),
        [0, 8]
    );
    assert!(
        errors[0]
            .1
            .to_string()
            .contains("./bad.jpg: is not an image")
    );
    assert!(!errors[1].1.to_string().contains("./bad.jpg"));
    assert!(
        errors
            .iter()
            .all(|(_, e)| e.mending() == error.mending() && e.kind() == error.kind())
    );
    assert!(unique.errors(&folder, &names, 9, &error).is_empty());
    run(1).unwrap();
    // A file that goes away after it was looked up.
    std::fs::remove_file(dir.path().join("sub/b.png")).unwrap();
    assert!(run(2).unwrap_err().to_string().contains("b.png"));
}
