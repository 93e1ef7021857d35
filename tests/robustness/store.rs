//! Hostile `.npy`, `.npz` and manifests: one clear error that names the file, and never a panic.

use std::io::{Cursor, Write};
use std::path::{Path, PathBuf};

use doppel::Error;
use doppel::embed::store::{Manifest, NpyDtype, check, read_npy, read_npz, write_npy, write_npz};
use doppel::error::Kind;
use doppel::tensor::{Csr, Matrix};
use serde_json::Value;
use tempfile::TempDir;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/golden/data/tfidf_store")
        .join(name)
}

fn golden_bytes(name: &str) -> Vec<u8> {
    std::fs::read(golden(name)).unwrap()
}

/// A folder to put one hostile file in.
struct Place(TempDir);

impl Place {
    fn new() -> Self {
        Place(tempfile::tempdir().unwrap())
    }

    fn put(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.0.path().join(name);
        // Some file systems flush a file that is cut and written again, but not a new one.
        let _ = std::fs::remove_file(&path);
        std::fs::write(&path, bytes).unwrap();
        path
    }

    fn npy(&self, bytes: &[u8]) -> Result<Matrix, Error> {
        read_npy(self.put("x.npy", bytes))
    }

    fn npz(&self, bytes: &[u8]) -> Result<Csr, Error> {
        read_npz(self.put("x.npz", bytes))
    }
}

/// That an error is one line, names the file and says how to mend it.
fn clear(error: &Error, file: &str) -> String {
    let line = error.to_string();
    assert_eq!(line.lines().count(), 1, "{line}");
    assert!(line.len() < 600, "{line}");
    assert!(line.contains(file), "{line}");
    assert!(error.kind() != Kind::Internal, "{line}");
    line
}

/// The same, and that it has a mend and the words `says`.
#[track_caller]
fn says<T>(result: Result<T, Error>, file: &str, words: &str) -> Kind {
    let error = result.err().expect("an error");
    let line = clear(&error, file);
    assert!(line.contains(words), "{words:?} is not in: {line}");
    assert!(error.mending().is_some(), "{line}");
    error.kind()
}

/// A `.npy` of version `version` with this header and these data.
fn npy(version: u8, header: &str, data: &[u8]) -> Vec<u8> {
    let mut out = b"\x93NUMPY".to_vec();
    out.extend([version, 0]);
    match version {
        1 => out.extend((header.len() as u16).to_le_bytes()),
        _ => out.extend((header.len() as u32).to_le_bytes()),
    }
    out.extend(header.as_bytes());
    out.extend(data);
    out
}

fn header(descr: &str, shape: &str) -> String {
    format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}\n")
}

#[test]
fn a_file_that_is_no_npy_says_so() {
    let place = Place::new();
    for bytes in [
        &b"<!DOCTYPE html><html>"[..],
        &[0; 4096],
        b"posting_id,title\n1,a\n",
        b"PK\x03\x04abcdef",
    ] {
        assert_eq!(says(place.npy(bytes), "x.npy", ".npy format"), Kind::Input);
    }
    for bytes in [&b""[..], b"\x93", b"\x93NUMPY"] {
        says(place.npy(bytes), "x.npy", "ends too early");
    }
    let unknown = npy(9, &header("<f4", "(1, 1)"), &[0; 4]);
    assert_eq!(
        says(place.npy(&unknown), "x.npy", "version 9"),
        Kind::Unsupported
    );
}

#[test]
fn every_cut_of_an_npy_is_an_error() {
    let place = Place::new();
    for name in ["f32.npy", "version2.npy", "version3.npy", "one_value.npy"] {
        let whole = golden_bytes(name);
        place.npy(&whole).unwrap();
        for end in 0..whole.len() {
            clear(&place.npy(&whole[..end]).unwrap_err(), "x.npy");
        }
        let longer = [&whole[..], b"\0"].concat();
        says(place.npy(&longer), "x.npy", "do not make the file's");
    }
}

#[test]
fn claims_are_compared_with_the_length_before_memory_is_taken() {
    let place = Place::new();
    for (shape, words) in [
        ("(1000000000000, 4)", "claims 1000000000000 rows"),
        ("(4, 1000000000000)", "claims 4 rows of 1000000000000"),
        ("(18446744073709551615, 18446744073709551615)", "claims"),
        ("(99999999, 65536)", "do not make the file's"),
        ("(3, 4)", "do not make the file's"),
        ("(0, 4)", "do not make the file's"),
    ] {
        says(
            place.npy(&npy(1, &header("<f4", shape), &[0; 16])),
            "x.npy",
            words,
        );
    }
    for shape in [
        "(99999999999999999999, 4)",
        "(-1, 4)",
        "(2.0, 2)",
        "(2, 2",
        "2, 2",
    ] {
        let broken = npy(1, &header("<f4", shape), &[0; 16]);
        says(place.npy(&broken), "x.npy", "header is broken");
    }
    // A header of 4 GiB, and one that is longer than the file.
    let mut long = npy(2, &header("<f4", "(2, 2)"), &[0; 16]);
    long[8..12].copy_from_slice(&u32::MAX.to_le_bytes());
    says(place.npy(&long), "x.npy", "header of 4294967295 bytes");
    let mut long = npy(1, &header("<f4", "(2, 2)"), &[0; 16]);
    long[8..10].copy_from_slice(&u16::MAX.to_le_bytes());
    says(place.npy(&long), "x.npy", "header of 65535 bytes");
}

#[test]
fn other_arrays_say_what_they_are_and_how_to_save_them() {
    for (name, words, kind) in [
        ("fortran.npy", "ascontiguousarray", Kind::Unsupported),
        ("one_dimension.npy", "1 dimensions", Kind::Input),
        ("three_dimensions.npy", "3 dimensions", Kind::Input),
        ("big_endian.npy", ">f4", Kind::Unsupported),
        ("integers.npy", "int64", Kind::Unsupported),
        ("structured.npy", "structured", Kind::Unsupported),
    ] {
        assert_eq!(says(read_npy(golden(name)), name, words), kind);
    }
    let place = Place::new();
    for descr in ["|O", "<c8", "|S4", "<U1", "|b1", "<f16", "", "<f4\u{7}"] {
        let other = npy(1, &header(descr, "(2, 2)"), &[0; 16]);
        assert_eq!(
            says(place.npy(&other), "x.npy", "not little-endian"),
            Kind::Unsupported
        );
    }
}

#[test]
fn numbers_that_are_not_finite_are_read() {
    let place = Place::new();
    let data: Vec<u8> = [f32::NAN, f32::INFINITY, 1.0, f32::NEG_INFINITY]
        .iter()
        .flat_map(|x| x.to_le_bytes())
        .collect();
    let matrix = place.npy(&npy(1, &header("<f4", "(2, 2)"), &data)).unwrap();
    assert_eq!(matrix.first_not_finite(), Some(0));
    assert!(matrix.row(0)[0].is_nan() && matrix.row(1)[1] == f32::NEG_INFINITY);
}

#[test]
fn what_is_no_regular_file_is_refused() {
    let place = Place::new();
    for path in [
        place.0.path(),
        Path::new("/dev/zero"),
        Path::new("/dev/null"),
    ] {
        let name = path.file_name().unwrap().to_str().unwrap();
        for error in [read_npy(path).unwrap_err(), read_npz(path).unwrap_err()] {
            assert!(clear(&error, name).contains("regular file"), "{error}");
        }
    }
    let missing = place.0.path().join("none.npy");
    assert_eq!(read_npy(&missing).unwrap_err().kind(), Kind::Io);
    assert_eq!(read_npz(&missing).unwrap_err().kind(), Kind::Io);
    assert!(
        read_npy(&missing)
            .unwrap_err()
            .to_string()
            .contains("none.npy")
    );
}

// ------------------------------------------------------------------ npz

const METHOD: CompressionMethod = CompressionMethod::Deflated;

fn archive(members: &[(&str, Vec<u8>)], method: CompressionMethod) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes) in members {
        let options = SimpleFileOptions::default().compression_method(method);
        zip.start_file(*name, options).unwrap();
        zip.write_all(bytes).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

fn whole(numbers: &[i64]) -> Vec<u8> {
    let data: Vec<u8> = numbers.iter().flat_map(|n| n.to_le_bytes()).collect();
    npy(1, &header("<i8", &format!("({},)", numbers.len())), &data)
}

fn real(numbers: &[f64]) -> Vec<u8> {
    let data: Vec<u8> = numbers.iter().flat_map(|n| n.to_le_bytes()).collect();
    npy(1, &header("<f8", &format!("({},)", numbers.len())), &data)
}

type Members = Vec<(&'static str, Vec<u8>)>;

/// A CSR matrix's members, of three rows by four columns when nothing is wrong.
fn members(indptr: &[i64], indices: &[i64], values: &[f64], shape: &[i64]) -> Members {
    vec![
        ("indices.npy", whole(indices)),
        ("indptr.npy", whole(indptr)),
        ("format.npy", npy(1, &header("|S3", "()"), b"csr")),
        ("shape.npy", whole(shape)),
        ("data.npy", real(values)),
    ]
}

fn good() -> Members {
    members(&[0, 2, 2, 3], &[0, 3, 1], &[1.0, 2.0, 3.0], &[3, 4])
}

#[test]
fn the_matrix_that_the_others_break_is_read() {
    let place = Place::new();
    for method in [METHOD, CompressionMethod::Stored] {
        let matrix = place.npz(&archive(&good(), method)).unwrap();
        assert_eq!((matrix.rows(), matrix.cols(), matrix.nnz()), (3, 4, 3));
        assert_eq!(matrix.row(0), (&[0u32, 3][..], &[1.0, 2.0][..]));
    }
    // The format as old SciPy wrote it, and members that are not asked for.
    let mut old = good();
    old[2].1 = npy(1, &header("<U3", "()"), b"c\0\0\0s\0\0\0r\0\0\0");
    old.push(("_is_array.npy", npy(1, &header("|b1", "()"), &[1])));
    old.push(("other.txt", b"hello".to_vec()));
    place.npz(&archive(&old, METHOD)).unwrap();
}

#[test]
fn arrays_that_do_not_go_together_are_refused() {
    let place = Place::new();
    let (p, i, v, s) = ([0, 2, 2, 3], [0, 3, 1], [1.0, 2.0, 3.0], [3, 4]);
    for (broken, words) in [
        (members(&[0, -2, 2, 3], &i, &v, &s), "do not ascend"),
        (members(&[0, 2, 1, 3], &i, &v, &s), "do not ascend"),
        (members(&[1, 2, 2, 3], &i, &v, &s), "do not ascend"),
        (
            members(&[0, i64::MAX, i64::MAX, i64::MAX], &i, &v, &s),
            "9223372036854775807 values",
        ),
        (members(&[0, 2, 2, i64::MIN], &i, &v, &s), "do not ascend"),
        (members(&[0, 2, 3], &i, &v, &s), "3 row pointers for 3 rows"),
        (members(&[], &i, &v, &s), "0 row pointers"),
        (
            members(&[0, 2, 2, 4], &i, &v, &s),
            "4 values by the row pointers",
        ),
        (members(&p, &[0, 3], &v, &s), "2 columns and 3 values"),
        (members(&p, &i, &[1.0], &s), "3 columns and 1 values"),
        (
            members(&p, &[0, 4, 1], &v, &s),
            "row 1: indices.npy: a column lies outside",
        ),
        (
            members(&p, &[0, 3, -1], &v, &s),
            "row 3: indices.npy: a column lies outside",
        ),
        (
            members(&p, &[0, i64::MIN, 1], &v, &s),
            "a column lies outside",
        ),
        (members(&p, &i, &v, &[3]), "1 dimensions"),
        (members(&p, &i, &v, &[3, 4, 5]), "3 dimensions"),
        (members(&p, &i, &v, &[-3, 4]), "claims -3 rows"),
        (members(&p, &i, &v, &[3, 1 << 40]), "claims 3 rows"),
        (members(&p, &i, &v, &[i64::MAX, 4]), "claims"),
    ] {
        says(place.npz(&archive(&broken, METHOD)), "x.npz", words);
    }
}

#[test]
fn members_that_are_wrong_are_named() {
    let place = Place::new();
    for at in 0..5 {
        let name = good()[at].0;
        let mut missing = good();
        missing.remove(at);
        says(place.npz(&archive(&missing, METHOD)), "x.npz", name);
        let mut renamed = good();
        renamed[at].0 = "Data.npy";
        says(place.npz(&archive(&renamed, METHOD)), "x.npz", name);
        let whole = good()[at].1.clone();
        for end in 0..whole.len() {
            let mut cut = good();
            cut[at].1.truncate(end);
            says(place.npz(&archive(&cut, METHOD)), "x.npz", name);
        }
        for garbage in [vec![0; 300], b"text".to_vec(), [&whole[..], b"x"].concat()] {
            let mut broken = good();
            broken[at].1 = garbage;
            says(place.npz(&archive(&broken, METHOD)), "x.npz", name);
        }
        let mut huge = good();
        huge[at].1 = npy(1, &header("<f8", "(1000000000000,)"), &[0; 8]);
        says(place.npz(&archive(&huge, METHOD)), "x.npz", name);
        let mut huge = good();
        huge[at].1 = npy(
            1,
            &header("|O", "(9999999999999999999, 9999999999999999999)"),
            &[0; 8],
        );
        says(place.npz(&archive(&huge, METHOD)), "x.npz", name);
    }
}

#[test]
fn other_forms_and_types_say_what_they_are() {
    for form in ["csc", "coo", "bsr", "dia"] {
        let name = format!("{form}.npz");
        let kind = says(read_npz(golden(&name)), &name, &format!("form '{form}'"));
        assert_eq!(kind, Kind::Unsupported);
    }
    assert_eq!(
        says(read_npz(golden("integers.npz")), "integers.npz", "int64"),
        Kind::Unsupported
    );
    says(read_npz(golden("arrays.npz")), "arrays.npz", "format.npy");
    says(
        read_npz(golden("f32.npy")),
        "f32.npy",
        "not a whole .npz archive",
    );
    says(
        read_npy(golden("csr.npz")),
        "csr.npz",
        "not in NumPy's .npy format",
    );
    let place = Place::new();
    let long_name = [&b"csr"[..], &[7; 13]].concat();
    for (descr, shape, bytes) in [
        ("|S0", "()", &b""[..]),
        ("|S0", "(99999999999, 99999999999)", b""),
        ("|S3", "(1,)", b"csr"),
        ("|S16", "()", &long_name),
        ("<f8", "()", &[0; 8]),
    ] {
        let mut broken = good();
        broken[2].1 = npy(1, &header(descr, shape), bytes);
        clear(&place.npz(&archive(&broken, METHOD)).unwrap_err(), "x.npz");
    }
}

#[test]
fn every_cut_of_an_npz_is_an_error() {
    let place = Place::new();
    for name in ["csr.npz", "stored.npz"] {
        let whole = golden_bytes(name);
        for end in 0..whole.len() {
            clear(&place.npz(&whole[..end]).unwrap_err(), "x.npz");
        }
    }
    for bytes in [&b""[..], &[0; 5000], b"PK\x03\x04", b"<html></html>"] {
        says(place.npz(bytes), "x.npz", "npz archive");
    }
}

/// Changes the two bytes at `local` of every local header and at `central` of every entry of the
/// directory.
fn patch(bytes: &mut [u8], local: usize, central: usize, value: [u8; 2]) {
    let mut patched = 0;
    for at in 0..bytes.len() - 4 {
        let field = match &bytes[at..at + 4] {
            b"PK\x03\x04" => at + local,
            b"PK\x01\x02" => at + central,
            _ => continue,
        };
        bytes[field..field + 2].copy_from_slice(&value);
        patched += 1;
    }
    assert_eq!(patched, 10);
}

#[test]
fn passwords_and_other_compressions_are_unsupported() {
    let place = Place::new();
    let mut locked = archive(&good(), METHOD);
    patch(&mut locked, 6, 8, [1, 0]);
    assert_eq!(
        says(place.npz(&locked), "x.npz", "assword"),
        Kind::Unsupported
    );
    for method in [1u16, 9, 12, 14, 93, 95, 98, 4242] {
        let mut other = archive(&good(), METHOD);
        patch(&mut other, 8, 10, method.to_le_bytes());
        let kind = says(place.npz(&other), "x.npz", "not read");
        assert_eq!(kind, Kind::Unsupported, "method {method}");
    }
}

#[test]
fn a_damaged_member_fails_its_checksum() {
    let place = Place::new();
    let whole = archive(&good(), CompressionMethod::Stored);
    let three = 3f64.to_le_bytes();
    let at = whole.windows(8).position(|w| w == three).unwrap();
    let mut damaged = whole.clone();
    damaged[at + 2] ^= 1;
    says(
        place.npz(&damaged),
        "x.npz",
        "data.npy: the data is damaged",
    );
    place.npz(&whole).unwrap();
}

#[test]
fn a_name_that_stands_twice_is_refused() {
    let place = Place::new();
    let mut twice = archive(&good(), METHOD);
    // Both have ten letters.
    let places: Vec<usize> = (0..twice.len() - 10)
        .filter(|&at| twice[at..].starts_with(b"format.npy"))
        .collect();
    assert_eq!(places.len(), 2);
    for at in places {
        twice[at..at + 10].copy_from_slice(b"indptr.npy");
    }
    clear(&place.npz(&twice).unwrap_err(), "x.npz");
}

#[test]
fn a_bomb_is_refused_before_it_goes_off() {
    let place = Place::new();
    // 600 MiB of zeros in about 600 KiB: row pointers of 78 million empty rows.
    let count = 600 << 17;
    let head = npy(1, &header("<i8", &format!("({count},)")), &[]);
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default()
        .compression_method(METHOD)
        .compression_level(Some(1));
    for (name, bytes) in members(&[0], &[], &[], &[count - 1, 4]) {
        zip.start_file(name, options).unwrap();
        if name != "indptr.npy" {
            zip.write_all(&bytes).unwrap();
            continue;
        }
        zip.write_all(&head).unwrap();
        let zeros = vec![0; 1 << 20];
        for _ in 0..600 {
            zip.write_all(&zeros).unwrap();
        }
    }
    let bomb = zip.finish().unwrap().into_inner();
    assert!(bomb.len() < 8 << 20, "{}", bomb.len());
    assert_eq!(says(place.npz(&bomb), "x.npz", "unpacks from"), Kind::Limit);
}

#[test]
fn a_directory_that_lies_about_sizes_is_refused() {
    let place = Place::new();
    for size in [0u32, 1, 100, u32::MAX - 1] {
        let mut lying = archive(&good(), METHOD);
        for at in 0..lying.len() - 4 {
            match &lying[at..at + 4] {
                b"PK\x03\x04" => lying[at + 22..at + 26].copy_from_slice(&size.to_le_bytes()),
                b"PK\x01\x02" => lying[at + 24..at + 28].copy_from_slice(&size.to_le_bytes()),
                _ => {}
            }
        }
        clear(&place.npz(&lying).unwrap_err(), "x.npz");
    }
}

// ------------------------------------------------------------------ manifests

#[test]
fn a_manifest_that_does_not_fit_is_refused() {
    let place = Place::new();
    let path = place.put("x.npy", &golden_bytes("f32.npy"));
    let manifest = Manifest::of(&path, Value::Null).unwrap();
    manifest.write(&path).unwrap();
    check(&path).unwrap();

    for (field, change) in [
        ("kind", (|m| m.kind = "sparse".into()) as fn(&mut Manifest)),
        ("rows", |m| m.rows += 1),
        ("dims", |m| m.dims -= 1),
        ("dtype", |m| m.dtype = "float16".into()),
        ("sha256", |m| m.sha256 = "0".repeat(64)),
    ] {
        let mut other = manifest.clone();
        change(&mut other);
        other.write(&path).unwrap();
        says(check(&path), "x.npy", &format!("{field} differs"));
    }
    manifest.write(&path).unwrap();
    // The data changed in one bit, with the same shape.
    let mut changed = golden_bytes("f32.npy");
    *changed.last_mut().unwrap() ^= 1;
    place.put("x.npy", &changed);
    says(check(&path), "x.npy", "sha256 differs");
    // The data went.
    std::fs::remove_file(&path).unwrap();
    assert_eq!(check(&path).unwrap_err().kind(), Kind::Io);
}

#[test]
fn a_manifest_that_is_none_is_named() {
    let place = Place::new();
    let path = place.put("x.npy", &golden_bytes("f32.npy"));
    let deep = "[".repeat(100_000);
    let long = format!("\"{}\"", "a".repeat(2 << 20));
    for (text, words) in [
        ("", "not a manifest"),
        ("{}", "not a manifest"),
        ("null", "not a manifest"),
        ("\0\0", "not a manifest"),
        ("{\"rows\": -1}", "not a manifest"),
        (deep.as_str(), "not a manifest"),
        (long.as_str(), "a manifest of"),
    ] {
        place.put("x.npy.json", text.as_bytes());
        says(check(&path), "x.npy.json", words);
    }
    std::fs::remove_file(place.0.path().join("x.npy.json")).unwrap();
    std::fs::create_dir(place.0.path().join("x.npy.json")).unwrap();
    says(check(&path), "x.npy.json", "is a folder");
}

#[test]
fn writing_where_nothing_can_be_written_is_one_line() {
    let place = Place::new();
    let matrix = Matrix::new(1, 2, vec![1.0, 2.0]).unwrap();
    let sparse = Csr::new(4, vec![0, 1], vec![2], vec![0.5]).unwrap();
    let path = place.0.path().join("no/such/folder/x.npy");
    clear(
        &write_npy(&path, &matrix, NpyDtype::F32).unwrap_err(),
        "x.npy",
    );
    clear(&write_npz(&path, &sparse).unwrap_err(), "x.npy");
    clear(&write_npz("/dev/full", &sparse).unwrap_err(), "/dev/full");
    let manifest = Manifest::of(golden("f32.npy"), Value::Null).unwrap();
    clear(&manifest.write(&path).unwrap_err(), "x.npy.json");
}

// ------------------------------------------------------------------ mutations

/// One of several kinds of damage.
fn mutate(bytes: &mut Vec<u8>, random: &mut fastrand::Rng) {
    for _ in 0..random.usize(1..6) {
        if bytes.is_empty() {
            return;
        }
        let at = random.usize(0..bytes.len());
        match random.u8(0..8) {
            0 => bytes[at] ^= 1 << random.u8(0..8),
            1 => bytes[at] = random.u8(..),
            2 => bytes[at] = [0, 0x7f, 0x80, 0xff][random.usize(0..4)],
            3 => bytes.truncate(at),
            4 => bytes.insert(at, random.u8(..)),
            5 => drop(bytes.remove(at)),
            6 => {
                let end = bytes.len().min(at + 8);
                bytes[at..end].fill([0, 0xff][random.usize(0..2)]);
            }
            _ => {
                let end = bytes.len().min(at + random.usize(1..30));
                let piece = bytes[at..end].to_vec();
                let to = random.usize(0..bytes.len());
                bytes.splice(to..to, piece);
            }
        }
    }
}

#[test]
fn no_mutation_panics() {
    let place = Place::new();
    let mut random = fastrand::Rng::with_seed(2024);
    let path = place.put("x.npy", &golden_bytes("one_value.npy"));
    Manifest::of(&path, Value::Null)
        .unwrap()
        .write(&path)
        .unwrap();
    let manifest = std::fs::read(Manifest::path_for(&path)).unwrap();
    let stored = archive(&good(), CompressionMethod::Stored);
    let mut failed = 0;
    for round in 0..2_500 {
        let mut dense = golden_bytes(["f32.npy", "f16.npy", "version3.npy"][round % 3]);
        mutate(&mut dense, &mut random);
        let mut sparse = match round % 3 {
            0 => golden_bytes("csr.npz"),
            1 => golden_bytes("unsorted.npz"),
            _ => stored.clone(),
        };
        mutate(&mut sparse, &mut random);
        let mut beside = manifest.clone();
        mutate(&mut beside, &mut random);
        let (npy, npz) = (place.npy(&dense).map(drop), place.npz(&sparse).map(drop));
        let describe = Manifest::of(place.put("x.npz", &sparse), Value::Null).map(drop);
        place.put("y.npy", &golden_bytes("one_value.npy"));
        place.put("y.npy.json", &beside);
        let checked = check(place.0.path().join("y.npy")).map(drop);
        for (result, file) in [
            (npy, "x.npy"),
            (npz, "x.npz"),
            (describe, "x.npz"),
            (checked, "y.npy"),
        ] {
            if let Err(error) = result {
                clear(&error, file);
                failed += 1;
            }
        }
    }
    // Damage is found nearly always: checksums, lengths, hashes.
    assert!(failed > 5_000, "{failed} of 10,000 were errors");
}
