//! Bad images: names that lead elsewhere, files that are no pictures, files cut short or altered.

use std::path::{Path, PathBuf};

use doppel::Error;
use doppel::error::Kind;
use doppel::image::{Format, ImageFolder, decode, luma, phash, phash_many};
use doppel::limits::MAX_IMAGE_BYTES;

/// One small picture of each format and each way of coding it, from the golden tests.
const PICTURES: [&str; 25] = [
    "jpeg-baseline.jpg",
    "jpeg-444.jpg",
    "jpeg-422.jpg",
    "jpeg-progressive.jpg",
    "jpeg-progressive-restarts.jpg",
    "jpeg-restarts.jpg",
    "jpeg-grey.jpg",
    "jpeg-cmyk.jpg",
    "jpeg-thumbnail.jpg",
    "jpeg-1x1.jpg",
    "mode-rgba.png",
    "mode-palette-16.png",
    "mode-16bit-6.png",
    "mode-grey-1bit.png",
    "flat-one-pixel.png",
    "other-lossless.webp",
    "other-lossy.webp",
    "other-alpha.webp",
    "other-animated.webp",
    "other.gif",
    "other-transparent.gif",
    "other-animated.gif",
    "other-rgb.bmp",
    "other-palette.bmp",
    "other-1bit.bmp",
];

fn picture(name: &str) -> Vec<u8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/data/phash");
    std::fs::read(folder.join(name)).unwrap()
}

/// A folder with one good picture, and a picture beside the folder.
struct Place {
    _dir: tempfile::TempDir,
    outside: PathBuf,
    inside: PathBuf,
    folder: ImageFolder,
}

fn place() -> Place {
    let dir = tempfile::tempdir().unwrap();
    let outside = dir.path().join("outside.png");
    let inside = dir.path().join("images");
    std::fs::create_dir_all(inside.join("sub")).unwrap();
    for path in [
        &outside,
        &inside.join("good.png"),
        &inside.join("sub/deep.png"),
    ] {
        std::fs::write(path, picture("ring.png")).unwrap();
    }
    let folder = ImageFolder::open(&inside).unwrap();
    Place {
        _dir: dir,
        outside,
        inside,
        folder,
    }
}

/// The one line that reading and hashing `name` ends with.
fn refused(folder: &ImageFolder, name: &str) -> String {
    let read = folder.read(name).unwrap_err().to_string();
    let many = phash_many(folder, &[Some(name)], &|_| ());
    let many = many[0].as_ref().unwrap().as_ref().unwrap_err().to_string();
    assert!(!read.is_empty() && !read.contains('\n'), "{read}");
    assert!(many.contains(read.split("; ").next().unwrap_or("")) || name.contains('\0'));
    read
}

fn said(bytes: &[u8]) -> Error {
    let error = decode(bytes).unwrap_err();
    let text = error.to_string();
    assert!(!text.is_empty() && !text.contains('\n'), "{text}");
    assert!(error.mending().is_some(), "no mend: {text}");
    assert_eq!(phash(bytes).unwrap_err().to_string(), text);
    error
}

#[track_caller]
fn assert_says(bytes: &[u8], what: &str) {
    let error = said(bytes).to_string();
    assert!(error.contains(what), "{error}");
}

#[test]
fn names_inside_are_read() {
    let place = place();
    for name in ["good.png", "./good.png", "sub/deep.png", "sub//deep.png"] {
        assert_eq!(place.folder.read(name).unwrap(), picture("ring.png"));
    }
}

#[test]
fn names_that_leave_the_folder() {
    let place = place();
    let absolute = place.inside.join("good.png");
    let outside = place.outside.to_str().unwrap().to_owned();
    for (name, what) in [
        ("../outside.png", "`..`"),
        ("sub/../../outside.png", "`..`"),
        ("sub/../good.png", "`..`"),
        (outside.as_str(), "absolute"),
        (absolute.to_str().unwrap(), "absolute"),
        ("/dev/zero", "absolute"),
        ("good.png\0.jpg", "NUL"),
        ("", "empty"),
        ("  ", "empty"),
    ] {
        let error = refused(&place.folder, name);
        assert!(error.contains(what), "{name}: {error}");
    }
}

#[test]
fn names_without_a_file() {
    let place = place();
    for name in ["none.png", "good.png/x", "none/x.png", &"a".repeat(5000)] {
        let error = refused(&place.folder, name);
        assert!(error.contains("correct its name"), "{error}");
        assert!(error.contains(name), "{error}");
    }
    for name in ["sub", ".", "./", "sub/"] {
        assert!(refused(&place.folder, name).contains("is a folder"));
    }
}

#[test]
fn folders_that_are_none() {
    let place = place();
    let error = ImageFolder::open(place.inside.join("none")).unwrap_err();
    assert!(error.to_string().contains("none: "), "{error}");
    assert!(error.mending().is_some());
    let error = ImageFolder::open(&place.outside).unwrap_err();
    assert!(error.to_string().contains("is not a folder"), "{error}");
}

#[cfg(unix)]
#[test]
fn links_may_stay_inside_and_not_lead_out() {
    use std::os::unix::fs::symlink;
    let place = place();
    let at = |name: &str| place.inside.join(name);
    symlink("good.png", at("stays.png")).unwrap();
    symlink("sub", at("also")).unwrap();
    symlink(at("good.png"), at("stays-absolute.png")).unwrap();
    for name in ["stays.png", "also/deep.png", "stays-absolute.png"] {
        assert_eq!(place.folder.read(name).unwrap(), picture("ring.png"));
    }
    symlink("../outside.png", at("leaves.png")).unwrap();
    symlink(place.inside.parent().unwrap(), at("up")).unwrap();
    symlink("/dev/zero", at("device.png")).unwrap();
    for name in ["leaves.png", "up/outside.png", "device.png"] {
        let error = refused(&place.folder, name);
        assert!(error.contains("leads out"), "{error}");
    }
    symlink("nowhere.png", at("dangling.png")).unwrap();
    symlink("loop.png", at("loop.png")).unwrap();
    for name in ["dangling.png", "loop.png"] {
        assert!(refused(&place.folder, name).contains(name));
    }
    // The folder itself may be reached through a link.
    symlink(&place.inside, place.inside.join("../link")).unwrap();
    let folder = ImageFolder::open(place.inside.join("../link")).unwrap();
    assert!(folder.read("good.png").is_ok());
    // A folder whose name is the start of another's does not hold that other's files.
    let twin = place.inside.join("../images-2");
    std::fs::create_dir(&twin).unwrap();
    std::fs::write(twin.join("x.png"), picture("ring.png")).unwrap();
    symlink("../images-2/x.png", at("twin.png")).unwrap();
    assert!(refused(&place.folder, "twin.png").contains("leads out"));
}

#[cfg(unix)]
#[test]
fn devices_pipes_and_sockets_are_not_opened() {
    use std::os::unix::ffi::OsStrExt;
    let place = place();
    let devices = ImageFolder::open("/dev").unwrap();
    for name in ["null", "zero"] {
        assert!(refused(&devices, name).contains("a device"));
    }
    let path = place.inside.join("pipe.jpg");
    let name = std::ffi::CString::new(path.as_os_str().as_bytes()).unwrap();
    // SAFETY: `name` is a NUL-terminated path that lives through the call.
    assert_eq!(unsafe { libc::mkfifo(name.as_ptr(), 0o600) }, 0);
    assert!(refused(&place.folder, "pipe.jpg").contains("a pipe"));
    let _socket = std::os::unix::net::UnixListener::bind(place.inside.join("s.jpg")).unwrap();
    assert!(refused(&place.folder, "s.jpg").contains("a socket"));
}

#[test]
fn a_file_above_the_limit_is_not_read() {
    let place = place();
    let file = std::fs::File::create(place.inside.join("huge.jpg")).unwrap();
    file.set_len(MAX_IMAGE_BYTES + 1).unwrap();
    let error = place.folder.read("huge.jpg").unwrap_err();
    assert_eq!(error.kind(), Kind::Limit);
    assert!(error.to_string().contains("huge.jpg: has 67108865 bytes"));
    file.set_len(0).unwrap();
    assert_eq!(place.folder.read("huge.jpg").unwrap(), b"");
}

#[test]
fn files_that_are_no_pictures() {
    assert_says(b"", "is an empty file");
    assert_says(
        b"<!DOCTYPE html>\n<html>",
        "is not an image: it begins with `<!DOCTYPE html",
    );
    assert_says(b"\xEF\xBB\xBF\n<html><body>404", "`<html><body>404`");
    assert_says(&[0; 4000], "the bytes 00 00 00 00");
    assert_says(b"II*\0________", "is a TIFF image, which is not read");
    assert_says(b"\0\0\0\x1Cftypheic____", "a HEIC image");
    assert_says(b"%PDF-1.7", "a PDF document");
    assert_says(b"BM", "begins with `BM`");
    assert_says(b"\xFF\xD8\xFF", "cut short");
    assert_says(b"\x89PNG\r\n\x1a\n", "cut short");
    assert_says(b"GIF89a", "cut short");
    assert_says(b"RIFF\x10\0\0\0WEBP", "WebP");
    let error = decode(&vec![0xFF; MAX_IMAGE_BYTES as usize + 1]).unwrap_err();
    assert_eq!(error.kind(), Kind::Limit);
}

#[test]
fn the_name_says_nothing_about_the_format() {
    let place = place();
    for (name, format) in [
        ("jpeg-grey.jpg", Format::Jpeg),
        ("ring.png", Format::Png),
        ("other.gif", Format::Gif),
        ("other-lossy.webp", Format::WebP),
        ("other-rgb.bmp", Format::Bmp),
    ] {
        std::fs::write(place.inside.join("x.tiff"), picture(name)).unwrap();
        let decoded = decode(&place.folder.read("x.tiff").unwrap()).unwrap();
        assert_eq!(decoded.format(), format);
    }
}

/// A decoder that is given part of a file either says so or had all of the picture already.
#[test]
fn cut_files_are_refused_at_every_length() {
    for name in PICTURES {
        let whole = picture(name);
        let want = luma(&decode(&whole).unwrap());
        let step = (whole.len() / 400).max(1);
        let half = whole.len() / 2;
        let near_end = whole.len().saturating_sub(40)..whole.len();
        for length in (0..whole.len()).step_by(step).chain([half]).chain(near_end) {
            match decode(&whole[..length]) {
                Err(error) => assert!(!error.to_string().contains('\n')),
                Ok(decoded) => {
                    assert!(!name.ends_with(".jpg"), "{name} cut at {length}");
                    assert_eq!(luma(&decoded), want, "{name} cut at {length}");
                }
            }
        }
        // Half of an animation may well hold its first frame whole.
        if !name.contains("animated") {
            let error = said(&whole[..half]).to_string();
            assert!(error.contains("cut short"), "{name}: {error}");
        }
    }
}

#[test]
fn what_follows_the_end_of_a_jpeg_does_not_matter() {
    for name in PICTURES.iter().filter(|name| name.ends_with(".jpg")) {
        let whole = picture(name);
        let want = phash(&whole).unwrap();
        let second = picture("jpeg-grey.jpg");
        for tail in [
            &b"\0\0\0"[..],
            b"garbage \xFF\xD8\xFF",
            &second[..],
            &second[..90],
        ] {
            assert_eq!(phash(&[&whole, tail].concat()).unwrap(), want, "{name}");
        }
        // Fill bytes before a marker, a comment, and an end marker within an APP segment.
        let extra = [&whole[..2], b"\xFF\xFF\xFE\0\x04hi\xFF\xE5\0\x04\xFF\xD9"].concat();
        assert_eq!(
            phash(&[&extra, &whole[2..]].concat()).unwrap(),
            want,
            "{name}"
        );
    }
}

/// Headers of files of a few bytes, with the sides to be filled in.
fn headers(width: u32, height: u32) -> Vec<(&'static str, Vec<u8>)> {
    let sides = |bytes: [[u8; 4]; 2]| bytes.concat();
    let (w, h) = (width, height);
    let mut png = b"\x89PNG\r\n\x1a\n".to_vec();
    let mut ihdr = b"IHDR".to_vec();
    ihdr.extend(sides([w.to_be_bytes(), h.to_be_bytes()]));
    ihdr.extend([8, 2, 0, 0, 0]);
    png.extend([0, 0, 0, 13]);
    png.extend(&ihdr);
    png.extend(crc32(&ihdr).to_be_bytes());
    png.extend(chunk(b"IDAT", &[0x78, 0x9C, 3, 0, 0, 0, 0, 1]));
    png.extend(chunk(b"IEND", b""));
    let mut bmp = b"BM\0\0\0\0\0\0\0\0\x36\0\0\0\x28\0\0\0".to_vec();
    bmp.extend(sides([w.to_le_bytes(), h.to_le_bytes()]));
    bmp.extend([1, 0, 24, 0]);
    bmp.extend([0; 24]);
    let mut jpeg = b"\xFF\xD8\xFF\xC0\0\x0B\x08".to_vec();
    jpeg.extend((h as u16).to_be_bytes());
    jpeg.extend((w as u16).to_be_bytes());
    jpeg.extend(b"\x01\x01\x11\0\xFF\xDA\0\x08\x01\x01\0\0\x3F\0\0\0\xFF\xD9");
    let mut gif = b"GIF89a".to_vec();
    gif.extend((w as u16).to_le_bytes());
    gif.extend((h as u16).to_le_bytes());
    gif.extend(b"\x80\0\0\0\0\0\xFF\xFF\xFF;");
    let mut webp = b"RIFF\x1E\0\0\0WEBPVP8X\x0A\0\0\0\0\0\0\0".to_vec();
    webp.extend(&w.wrapping_sub(1).to_le_bytes()[..3]);
    webp.extend(&h.wrapping_sub(1).to_le_bytes()[..3]);
    webp.extend(b"VP8 \0\0\0\0");
    vec![
        ("png", png),
        ("bmp", bmp),
        ("jpeg", jpeg),
        ("gif", gif),
        ("webp", webp),
    ]
}

fn chunk(kind: &[u8; 4], data: &[u8]) -> Vec<u8> {
    let body = [kind, data].concat();
    let length = (data.len() as u32).to_be_bytes();
    [&length[..], &body, &crc32(&body).to_be_bytes()].concat()
}

fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            crc >> 1 ^ (0xEDB8_8320 & (crc & 1).wrapping_neg())
        })
    })
}

#[test]
fn sides_above_the_limits_are_refused_by_the_header_alone() {
    for (width, height) in [(12_000, 12_000), (12_000, 1), (1, 12_000), (8_000, 8_000)] {
        for (kind, bytes) in headers(width, height) {
            let error = said(&bytes);
            assert_eq!(error.kind(), Kind::Limit, "{kind}: {error}");
            let sides = format!("declares {width} x {height} pixels");
            assert!(error.to_string().contains(&sides), "{kind}: {error}");
        }
    }
}

#[test]
fn sides_of_zero_are_refused() {
    for (width, height) in [(0, 5), (5, 0), (0, 0)] {
        for (kind, bytes) in headers(width, height) {
            // WebP writes its sides less one, so it has no zero to write.
            if kind != "webp" {
                let error = said(&bytes);
                assert_eq!(error.kind(), Kind::Input, "{kind}: {error}");
            }
        }
    }
}

/// The whole of a picture must be there, however few bytes it would take.
#[test]
fn a_picture_that_unpacks_to_more_than_it_declares_is_bounded() {
    // 64 MiB of zeros, packed, in a picture that declares 4 x 4.
    let mut png = b"\x89PNG\r\n\x1a\n".to_vec();
    png.extend(chunk(b"IHDR", &[0, 0, 0, 4, 0, 0, 0, 4, 8, 2, 0, 0, 0]));
    let packed = zlib_of_stored_zeros(1 << 20);
    png.extend(chunk(b"zTXt", &[b"Comment\0\0", &packed[..]].concat()));
    png.extend(chunk(b"IDAT", &packed));
    png.extend(chunk(b"IEND", b""));
    // Either answer is fine; what counts is that it comes, and is one line.
    if let Err(error) = decode(&png) {
        assert!(!error.to_string().contains('\n'));
    }
}

/// A zlib stream of `length` zeros in stored blocks.
fn zlib_of_stored_zeros(length: usize) -> Vec<u8> {
    let mut stream = vec![0x78, 0x01];
    let mut left = length;
    while left > 0 {
        let block = left.min(65_535);
        left -= block;
        stream.push(u8::from(left == 0));
        stream.extend((block as u16).to_le_bytes());
        stream.extend((!(block as u16)).to_le_bytes());
        stream.resize(stream.len() + block, 0);
    }
    let sum = (length % 65_521) as u32;
    stream.extend((sum << 16 | 1).to_be_bytes());
    stream
}

/// A progressive JPEG of a few bytes whose coefficients would pass the memory limit.
#[test]
fn coefficients_of_a_progressive_jpeg_are_counted() {
    let mut jpeg = b"\xFF\xD8\xFF\xC2\0\x14\x08".to_vec();
    jpeg.extend(7_000u16.to_be_bytes());
    jpeg.extend(7_000u16.to_be_bytes());
    jpeg.extend(b"\x04\x01\x11\0\x02\x11\0\x03\x11\0\x04\x11\0");
    jpeg.extend(b"\xFF\xDA\0\x08\x01\x01\0\0\0\0\0\xFF\xD9");
    let error = said(&jpeg);
    assert_eq!(error.kind(), Kind::Limit);
    assert!(error.to_string().contains("would take"), "{error}");
}

/// One altered copy: a few bytes changed, a piece cut out, doubled, or put elsewhere.
fn mutate(bytes: &[u8], random: &mut fastrand::Rng) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for _ in 0..random.usize(1..6) {
        let at = random.usize(0..bytes.len());
        let end = (at + random.usize(0..40)).min(bytes.len());
        match random.u8(0..8) {
            0..=2 => bytes[at] = random.u8(..),
            3 => bytes[at] ^= 1 << random.u8(0..8),
            4 => bytes[at] = *random.choice([0, 1, 0x7F, 0x80, 0xFF].iter()).unwrap(),
            5 if end - at < bytes.len() => drop(bytes.drain(at..end)),
            6 => {
                let piece = bytes[at..end].to_vec();
                let to = random.usize(0..bytes.len());
                bytes.splice(to..to, piece);
            }
            _ => {
                // Headers are short; most changes elsewhere only move pixels.
                let early = random.usize(0..bytes.len().min(64));
                bytes[early] = random.u8(..);
            }
        }
    }
    bytes
}

const CHILD: &str = "DOPPEL_MUTATIONS_CHILD";

/// Runs in a child process, so that what it prints can be seen.
#[test]
fn thousands_of_altered_pictures_never_panic_or_print() {
    if std::env::var_os(CHILD).is_some() {
        return mutations();
    }
    let output = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "--nocapture", "--test-threads=1"])
        .arg("images::thousands_of_altered_pictures_never_panic_or_print")
        .env(CHILD, "1")
        .output()
        .unwrap();
    let printed = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{printed}");
    assert_eq!(printed, "");
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(told.contains("1 passed"), "{told}");
}

fn mutations() {
    let mut refused = 0;
    let mut total = 0;
    for (seed, name) in PICTURES.iter().enumerate() {
        let whole = picture(name);
        let mut random = fastrand::Rng::with_seed(seed as u64);
        for _ in 0..400 {
            let altered = mutate(&whole, &mut random);
            total += 1;
            match decode(&altered) {
                Ok(decoded) => {
                    let grey = luma(&decoded);
                    assert_eq!(grey.pixels().len(), grey.width() * grey.height());
                    phash(&altered).unwrap();
                }
                Err(error) => {
                    refused += 1;
                    assert!(!error.to_string().contains('\n'), "{name}: {error}");
                }
            }
        }
    }
    assert!(
        total >= 10_000 && refused > total / 5,
        "{refused} of {total}"
    );
}
