//! The store beside files that NumPy and SciPy wrote (`scripts/tfidf_goldens.py store`).

use std::io::Read;
use std::path::{Path, PathBuf};

use doppel::embed::store::{Manifest, NpyDtype, check, read_npy, read_npz, write_npy, write_npz};
use doppel::tensor::{Csr, Matrix};
use serde_json::{Value, json};

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/golden/data/tfidf_store")
        .join(name)
}

fn expected(kind: &str) -> Vec<(String, Value)> {
    let text = std::fs::read(data("expected.json")).unwrap();
    let all: Value = serde_json::from_slice(&text).unwrap();
    all[kind]
        .as_object()
        .unwrap()
        .iter()
        .map(|(k, v)| (k.clone(), v.clone()))
        .collect()
}

fn numbers(value: &Value) -> Vec<u64> {
    let number = |v: &Value| {
        v.as_u64()
            .unwrap_or_else(|| v.as_str().unwrap().parse().unwrap())
    };
    value.as_array().unwrap().iter().map(number).collect()
}

/// The bits of a number, all NaNs alike.
fn bits(x: f32) -> u32 {
    if x.is_nan() {
        f32::NAN.to_bits()
    } else {
        x.to_bits()
    }
}

fn wide_bits(x: f64) -> u64 {
    if x.is_nan() {
        f64::NAN.to_bits()
    } else {
        x.to_bits()
    }
}

#[test]
fn numpys_files_are_read_bit_for_bit() {
    let files = expected("dense");
    assert_eq!(files.len(), 7);
    for (name, file) in files {
        let matrix = read_npy(data(&name)).unwrap();
        let shape = numbers(&file["shape"]);
        assert_eq!(
            [matrix.rows() as u64, matrix.dims() as u64],
            shape[..],
            "{name}"
        );
        let theirs = numbers(&file["bits"]);
        assert_eq!(matrix.data().len(), theirs.len());
        for (ours, theirs) in matrix.data().iter().zip(theirs) {
            assert_eq!(
                bits(*ours),
                bits(f32::from_bits(theirs as u32)),
                "{name}: {ours}"
            );
        }
    }
}

#[test]
fn scipys_files_are_read_bit_for_bit() {
    let files = expected("sparse");
    assert_eq!(files.len(), 9);
    for (name, file) in files {
        let matrix = read_npz(data(&name)).unwrap();
        assert_eq!(
            [matrix.rows() as u64, matrix.cols() as u64],
            numbers(&file["shape"])[..]
        );
        let pointers: Vec<u64> = matrix.indptr().iter().map(|&n| n as u64).collect();
        assert_eq!(pointers, numbers(&file["indptr"]), "{name}");
        let columns: Vec<u64> = matrix.indices().iter().map(|&n| n as u64).collect();
        assert_eq!(columns, numbers(&file["indices"]), "{name}");
        for (ours, theirs) in matrix.values().iter().zip(numbers(&file["bits"])) {
            assert_eq!(
                wide_bits(*ours),
                wide_bits(f64::from_bits(theirs)),
                "{name}: {ours}"
            );
        }
    }
}

#[test]
fn ours_has_the_bytes_of_numpy_save() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.npy");
    for (name, dtype) in [("f32.npy", NpyDtype::F32), ("f16.npy", NpyDtype::F16)] {
        let matrix = read_npy(data("f32.npy")).unwrap();
        write_npy(&path, &matrix, dtype).unwrap();
        assert_eq!(
            std::fs::read(&path).unwrap(),
            std::fs::read(data(name)).unwrap(),
            "{name}"
        );
    }
    for name in ["no_rows.npy", "one_value.npy"] {
        write_npy(&path, &read_npy(data(name)).unwrap(), NpyDtype::F32).unwrap();
        assert_eq!(
            std::fs::read(&path).unwrap(),
            std::fs::read(data(name)).unwrap(),
            "{name}"
        );
    }
}

/// The members of an archive, unpacked.
fn members(path: &Path) -> Vec<(String, Vec<u8>)> {
    let mut zip = zip::ZipArchive::new(std::fs::File::open(path).unwrap()).unwrap();
    (0..zip.len())
        .map(|i| {
            let mut member = zip.by_index(i).unwrap();
            let mut bytes = Vec::new();
            member.read_to_end(&mut bytes).unwrap();
            (member.name().unwrap().to_string(), bytes)
        })
        .collect()
}

#[test]
fn our_members_have_the_bytes_of_save_npz() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.npz");
    for name in ["csr.npz", "no_values.npz", "no_rows.npz", "no_columns.npz"] {
        let matrix = read_npz(data(name)).unwrap();
        write_npz(&path, &matrix).unwrap();
        assert_eq!(members(&path), members(&data(name)), "{name}");
    }
}

#[test]
fn what_is_written_is_read_back_and_has_the_same_bytes_each_time() {
    let folder = tempfile::tempdir().unwrap();
    let (a, b) = (folder.path().join("a.npz"), folder.path().join("b.npz"));
    let mut random = fastrand::Rng::with_seed(8);
    let (mut indptr, mut indices, mut values) = (vec![0], Vec::new(), Vec::new());
    for _ in 0..3_000 {
        for column in 0..40u32 {
            if random.f32() < 0.2 {
                indices.push(column * 1_000);
                values.push(random.f64() - 0.5);
            }
        }
        indptr.push(indices.len());
    }
    let sparse = Csr::new(40_000, indptr, indices, values).unwrap();
    write_npz(&a, &sparse).unwrap();
    assert_eq!(read_npz(&a).unwrap(), sparse);
    write_npz(&b, &sparse).unwrap();
    assert_eq!(std::fs::read(&a).unwrap(), std::fs::read(&b).unwrap());

    // More values than one block of the reader or the writer holds.
    let dense: Vec<f32> = (0..301 * 517).map(|_| random.f32() * 4.0 - 2.0).collect();
    let dense = Matrix::new(301, 517, dense).unwrap();
    write_npy(&a, &dense, NpyDtype::F32).unwrap();
    assert_eq!(read_npy(&a).unwrap(), dense);
    write_npy(&a, &dense, NpyDtype::F16).unwrap();
    let halves = read_npy(&a).unwrap();
    for (half, whole) in halves.data().iter().zip(dense.data()) {
        assert_eq!(*half, half::f16::from_f32(*whole).to_f32());
    }
}

#[test]
fn a_manifest_says_what_the_file_holds() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.npy");
    std::fs::copy(data("f16.npy"), &path).unwrap();
    assert_eq!(check(&path).unwrap(), None);
    let settings = json!({"encoder": "timm:resnet18", "size": 224});
    let manifest = Manifest::of(&path, settings.clone()).unwrap();
    assert_eq!(
        (manifest.kind.as_str(), manifest.rows, manifest.dims),
        ("dense", 7, 5)
    );
    assert_eq!(
        (manifest.dtype.as_str(), manifest.sha256.len()),
        ("float16", 64)
    );
    manifest.write(&path).unwrap();
    assert_eq!(Manifest::path_for(&path), folder.path().join("x.npy.json"));
    let read = check(&path).unwrap().unwrap();
    assert_eq!(read, manifest);
    assert_eq!(read.settings, settings);

    let sparse = Manifest::of(data("csr.npz"), Value::Null).unwrap();
    assert_eq!(
        (sparse.kind.as_str(), sparse.rows, sparse.dims),
        ("sparse", 9, 6)
    );
    assert_eq!(sparse.dtype, "float64");
}

#[test]
fn a_manifests_hash_is_sha_256() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("one.npy");
    std::fs::copy(data("one_value.npy"), &path).unwrap();
    let manifest = Manifest::of(&path, Value::Null).unwrap();
    // By sha256sum.
    assert_eq!(
        manifest.sha256,
        "472f53c798658df3041c610d426018d80d637760a5817032eef40f280f89cb0b"
    );
}
