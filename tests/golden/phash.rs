//! pHash, grey and resizing against ImageHash, Pillow and SciPy: see `scripts/phash_goldens.py`.
//!
//! The `photo-*` pictures are from the Grocery data set (MIT licence, Marcus Klasson and others);
//! all others are made by the script.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use doppel::image::{ImageFolder, decode, luma, phash, phash_gray, phash_many, resize_lanczos_u8};
use sha2::{Digest, Sha256};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/data/phash")
}

fn bytes(name: &str) -> Vec<u8> {
    std::fs::read(folder().join(name)).unwrap()
}

/// File, hash and SHA-256 of the grey pixels, for each picture whose name ends so.
fn goldens(ending: &str) -> Vec<(String, u64, String)> {
    let text = std::fs::read_to_string(folder().join("hashes.txt")).unwrap();
    let line = |line: &str| {
        let mut fields = line.split(' ');
        let mut next = || fields.next().unwrap().to_owned();
        let (name, hash, digest) = (next(), next(), next());
        assert_eq!(hash.len(), 16, "{name}");
        (name, u64::from_str_radix(&hash, 16).unwrap(), digest)
    };
    let all = text.lines().map(line);
    all.filter(|(name, ..)| name.ends_with(ending)).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

fn assert_exact(ending: &str, at_least: usize) {
    let goldens = goldens(ending);
    assert!(goldens.len() >= at_least, "{} {ending}", goldens.len());
    for (name, want, digest) in goldens {
        let grey = luma(&decode(&bytes(&name)).unwrap());
        let got = hex(&Sha256::digest(grey.pixels()));
        assert_eq!(got, digest, "{name}: grey pixels");
        let got = phash_gray(&grey);
        assert_eq!(got, want, "{name}: {got:016x}, not {want:016x}");
        assert_eq!(phash(&bytes(&name)).unwrap(), want, "{name}");
    }
}

#[test]
fn png_equals_imagehash() {
    assert_exact(".png", 70);
}

#[test]
fn bmp_and_gif_and_webp_equal_imagehash() {
    assert_exact(".bmp", 4);
    assert_exact(".gif", 3);
    assert_exact(".webp", 4);
}

#[test]
fn jpeg_equals_imagehash() {
    assert_exact(".jpg", 27);
}

#[test]
fn turning_by_exif_is_not_done() {
    let decoded = decode(&bytes("jpeg-thumbnail.jpg")).unwrap();
    assert_eq!(
        (decoded.image().width(), decoded.image().height()),
        (97, 75)
    );
    assert_eq!(
        phash(&bytes("jpeg-thumbnail.jpg")).unwrap(),
        phash(&bytes("jpeg-baseline.jpg")).unwrap()
    );
}

#[test]
fn resizing_equals_pillow() {
    let mut compared = 0;
    for entry in std::fs::read_dir(folder().join("resized")).unwrap() {
        let path = entry.unwrap().path();
        let want = luma(&decode(&std::fs::read(&path).unwrap()).unwrap());
        let stem = path.file_stem().unwrap().to_str().unwrap();
        let (source, sides) = stem.rsplit_once('.').unwrap();
        let (width, height) = sides.split_once('x').unwrap();
        let grey = luma(&decode(&bytes(&format!("{source}.png"))).unwrap());
        let (width, height) = (width.parse().unwrap(), height.parse().unwrap());
        let got = resize_lanczos_u8(&grey, width, height).unwrap();
        assert_eq!(got, want, "{}", path.display());
        compared += 1;
    }
    assert!(compared >= 15, "{compared}");
}

#[test]
fn resizing_refuses_what_has_no_pixels_or_too_many() {
    let grey = luma(&decode(&bytes("noise-7x5.png")).unwrap());
    for (width, height) in [(0, 3), (3, 0)] {
        let error = resize_lanczos_u8(&grey, width, height).unwrap_err();
        assert_eq!(error.kind(), doppel::error::Kind::Shape);
    }
    for (width, height) in [(usize::MAX, 2), (2, 10_001), (10_000, 10_000)] {
        let error = resize_lanczos_u8(&grey, width, height).unwrap_err();
        assert_eq!(error.kind(), doppel::error::Kind::Limit);
    }
}

#[test]
fn many_keep_their_order_and_decode_a_file_once() {
    let folder = ImageFolder::open(folder()).unwrap();
    let goldens = goldens(".png");
    let mut names: Vec<Option<&str>> = goldens.iter().map(|(n, ..)| Some(n.as_str())).collect();
    names.extend([
        None,
        Some("./ring.png"),
        Some("no.png"),
        Some("ring.png"),
        None,
    ]);
    names.extend([Some("./no.png"), Some("")]);
    let count = names.iter().flatten().count();
    let calls = std::sync::Mutex::new(Vec::new());
    let hashes = phash_many(&folder, &names, &|done| calls.lock().unwrap().push(done));
    assert_eq!(hashes.len(), names.len());
    for (hash, (name, want, _)) in hashes.iter().zip(&goldens) {
        let hash = hash.as_ref().unwrap().as_ref().unwrap();
        assert_eq!(hash, want, "{name}");
    }
    let rest = &hashes[goldens.len()..];
    let ring = goldens.iter().find(|(n, ..)| n == "ring.png").unwrap().1;
    assert!(rest[0].is_none() && rest[4].is_none());
    assert_eq!(*rest[1].as_ref().unwrap().as_ref().unwrap(), ring);
    assert_eq!(*rest[3].as_ref().unwrap().as_ref().unwrap(), ring);
    for (place, what) in [
        (2, "no.png: there is no such"),
        (5, "no.png"),
        (6, "is empty"),
    ] {
        let error = rest[place].as_ref().unwrap().as_ref().unwrap_err();
        assert!(error.to_string().contains(what), "{error}");
    }
    // Three spellings of ring.png are one file, so there are fewer calls than names.
    let calls = calls.into_inner().unwrap();
    assert_eq!(calls.len(), count - 2);
    assert_eq!(calls.iter().max(), Some(&count));
}

#[test]
fn the_answers_do_not_depend_on_the_threads() {
    let folder = ImageFolder::open(folder()).unwrap();
    let goldens = goldens("");
    let names: Vec<Option<&str>> = goldens.iter().map(|(n, ..)| Some(n.as_str())).collect();
    let hashes = |threads: usize| -> Vec<u64> {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
        let all = pool
            .unwrap()
            .install(|| phash_many(&folder, &names, &|_| ()));
        all.into_iter().map(|h| h.unwrap().unwrap()).collect()
    };
    assert_eq!(hashes(1), hashes(3));
}
