use serde_json::json;

use super::*;
use crate::tensor::Csr;

fn key(text: &str) -> Key {
    // A number that text does not bring back to the last bit in every reader.
    Key::new(json!({"stage": text, "of": [0.1 + 0.2, 1e-7, 5], "none": null}))
}

fn told() -> Told {
    Told {
        items: 7,
        rejects: vec![Reject {
            row: 3,
            line: 4,
            posting_id: "a, \"b\"\u{7}\n".into(),
            column: "image".into(),
            reason: "\u{e9}: cut short".into(),
        }],
        notes: vec!["a note".into(), String::new()],
    }
}

fn dense() -> Made {
    let data = vec![1.0, -0.0, f32::MIN_POSITIVE / 4.0, 0.1, 3.4e38, -7.25];
    Made::Rows(Rows::Dense(Matrix::new(3, 2, data).unwrap()))
}

fn sparse() -> Made {
    let values = vec![0.1 + 0.2, 0.0, -0.0, 1e-310];
    let rows = Csr::new(9, vec![0, 2, 2, 4], vec![1, 8, 0, 3], values).unwrap();
    Made::Rows(Rows::Sparse(rows))
}

/// Ties, zeros of both signs and a list of none, as `best_first` has them.
fn lists() -> Made {
    Made::Lists(Lists::from_rows([
        vec![(0, 1.0), (2, 1.0), (1, 0.1 + 0.2)],
        vec![],
        vec![(1, 0.0), (5, 0.0), (0, -0.0), (3, -0.0), (2, -0.5)],
    ]))
}

/// The same with the two zeros as one number.
fn lists_of_one_zero() -> Made {
    Made::Lists(Lists::from_rows([
        vec![(0, 1.0)],
        vec![(0, -0.0), (1, 0.0), (3, -0.0), (5, 0.0), (2, -0.5)],
    ]))
}

fn hashes() -> Made {
    Made::Hashes(vec![
        Some(0),
        None,
        Some(u64::MAX),
        Some(0x0123_4567_89ab_cdef),
    ])
}

fn all() -> [(&'static str, Made); 8] {
    [
        ("image", dense()),
        ("no rows", Made::Rows(Rows::Dense(Matrix::zeros(0, 5)))),
        ("tfidf", sparse()),
        ("tfidf.nn", lists()),
        ("one.nn", lists_of_one_zero()),
        ("none.nn", Made::Lists(Lists::default())),
        ("phash", hashes()),
        ("no hashes", Made::Hashes(Vec::new())),
    ]
}

/// Equal to the last bit, signs of zeros included.
fn bits(made: &Made) -> String {
    format!("{made:?}")
}

fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    let mut names: Vec<String> = entries
        .map(|e| e.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn what_is_kept_comes_back_to_the_last_bit() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("work");
    for again in [false, true] {
        let work = Work::open(&folder).unwrap();
        for (name, made) in all() {
            let found = work.find(name, &key(name)).unwrap();
            assert_eq!(found.is_some(), again, "{name}");
            let kept = match found {
                Some(kept) => kept,
                None => work.keep(name, &key(name), made.clone(), told()).unwrap(),
            };
            assert_eq!(bits(&kept.read().unwrap()), bits(&made), "{name}");
            assert_eq!(kept.told, told());
            assert_eq!(kept.digest, key(name).digest());
            assert!(work.find(name, &key("other")).unwrap().is_none());
        }
    }
    let text = std::fs::read_to_string(folder.join("phash.csv")).unwrap();
    assert_eq!(
        text,
        "row,image_phash\n1,0000000000000000\n2,\n3,ffffffffffffffff\n4,0123456789abcdef\n"
    );
    let work = Work::open(&folder).unwrap();
    work.clear().unwrap();
    for (name, _) in all() {
        assert!(work.find(name, &key(name)).unwrap().is_none());
    }
}

#[test]
fn another_key_or_kind_takes_the_place_of_the_old_one() {
    let dir = tempfile::tempdir().unwrap();
    let work = Work::open(dir.path().join("work")).unwrap();
    let keep = |key: &Key, made: Made| work.keep("x", key, made, Told::default()).unwrap();
    for made in [dense(), lists(), sparse(), hashes(), dense()] {
        keep(&key("old"), made.clone());
        keep(&key("new"), made.clone());
        assert!(work.find("x", &key("old")).unwrap().is_none());
        let found = work.find("x", &key("new")).unwrap().unwrap();
        assert_eq!(bits(&found.read().unwrap()), bits(&made));
        assert_eq!(names(work.folder().unwrap()).len(), 4, "{made:?}");
    }
}

#[test]
fn neighbours_that_are_not_best_first_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let work = Work::open(dir.path()).unwrap();
    for bad in [
        vec![(0, 0.5), (1, 0.6)],
        vec![(1, 0.5), (0, 0.5)],
        vec![(1, 0.5), (1, 0.5)],
    ] {
        let lists = Made::Lists(Lists::from_rows([bad]));
        let kept = work.keep("x", &key("x"), lists, Told::default());
        assert!(kept.is_err());
    }
}

/// With a bit of each byte flipped, cut, and with more at the end.
fn damaged(whole: &[u8]) -> Vec<Vec<u8>> {
    let flipped = |at: usize| {
        let mut bytes = whole.to_vec();
        bytes[at] ^= 1 << (at % 8);
        bytes
    };
    let mut all: Vec<Vec<u8>> = (0..whole.len()).map(flipped).collect();
    all.extend([0, 1, whole.len() / 2, whole.len() - 1].map(|n| whole[..n].to_vec()));
    all.push([whole, b"\n"].concat());
    all
}

#[test]
fn every_flipped_bit_is_noticed_or_harmless() {
    let mut noticed = 0;
    for (name, made) in all() {
        let dir = tempfile::tempdir().unwrap();
        let work = Work::open(dir.path()).unwrap();
        work.keep(name, &key(name), made.clone(), told()).unwrap();
        for file in names(dir.path()) {
            let path = dir.path().join(&file);
            let whole = std::fs::read(&path).unwrap();
            for bytes in damaged(&whole) {
                std::fs::write(&path, &bytes).unwrap();
                match work.find(name, &key(name)).unwrap() {
                    None => noticed += 1,
                    Some(kept) => {
                        let read = kept.read().unwrap();
                        assert_eq!(bits(&read), bits(&made), "{file}, {name}");
                        assert_eq!(kept.told, told(), "{file}, {name}");
                    }
                }
            }
            std::fs::write(&path, &whole).unwrap();
        }
    }
    assert!(noticed > 3000, "{noticed}");
}

#[test]
fn a_folder_is_made_marked_and_used_by_one_run() {
    let dir = tempfile::tempdir().unwrap();
    let message = |path: &Path| Work::open(path).unwrap_err().to_string();
    let folder = dir.path().join("work");
    let work = Work::open(&folder).unwrap();
    assert!(message(&folder).contains("in use by another run"));
    assert!(message(&folder).contains("work"));
    std::fs::write(folder.join(".doppel-x.partial"), "half").unwrap();
    drop(work);
    drop(Work::open(&folder).unwrap());
    assert_eq!(names(&folder), ["doppel-work"]);
    // A run that kept nothing removes the folder that it made.
    let vain = dir.path().join("vain");
    drop(Work::open(&vain).unwrap());
    assert!(!vain.exists());
    // A mark that a killed run had not filled yet.
    std::fs::write(folder.join("doppel-work"), "").unwrap();
    drop(Work::open(&folder).unwrap());

    let file = dir.path().join("file");
    std::fs::write(&file, "mine").unwrap();
    assert!(message(&file).contains("is a file"), "{}", message(&file));
    assert!(message(&dir.path().join("gone/work")).contains("gone/work"));
    let others = dir.path().join("others");
    std::fs::create_dir(&others).unwrap();
    std::fs::write(others.join("photo.jpg"), "mine").unwrap();
    assert!(message(&others).contains("left alone"));
    assert_eq!(names(&others), ["photo.jpg"]);
    assert_eq!(std::fs::read(&file).unwrap(), b"mine");
}

/// Puts rows `from..to` of ten, noting how far it has come after each.
fn put(growing: &mut Growing<'_>, range: std::ops::Range<usize>) {
    for row in range {
        growing.put(row, &[row as f32, -1.0]).unwrap();
        std::thread::sleep(std::time::Duration::from_millis(110));
        growing.checkpoint(row + 1, &mut || told().rejects).unwrap();
    }
}

#[test]
fn rows_go_on_where_they_were_cut_off() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("work");
    let begin = |work: &Work, key: &Key, to: usize| {
        let mut growing = work.begin_rows("x", key, 10, 2).unwrap();
        let from = growing.resumed();
        put(&mut growing, from..to);
        // Rows that come after the last note do not count.
        growing.put(9, &[5.0, 5.0]).unwrap();
        from
    };
    let work = Work::open(&folder).unwrap();
    assert_eq!(begin(&work, &key("a"), 3), 0);
    drop(work);
    let work = Work::open(&folder).unwrap();
    let resumed = begin(&work, &key("a"), 4);
    assert!((1..=3).contains(&resumed), "{resumed}");
    // Another key begins anew, and so does the first one then.
    assert_eq!(begin(&work, &key("b"), 2), 0);
    assert_eq!(begin(&work, &key("a"), 3), 0);
    let mut growing = work.begin_rows("x", &key("a"), 10, 2).unwrap();
    let resumed = growing.resumed();
    assert!(resumed > 0);
    assert_eq!(growing.earlier(), told().rejects);
    put(&mut growing, resumed..6);
    let kept = growing.finish(told()).unwrap();
    let made = kept.read().unwrap();
    let Made::Rows(Rows::Dense(rows)) = &*made else {
        panic!("{made:?}")
    };
    for row in 0..10 {
        let wanted = if row < 6 {
            [row as f32, -1.0]
        } else {
            [0.0; 2]
        };
        assert_eq!(rows.row(row), wanted, "{row}");
    }
    let plain = dir.path().join("plain.npy");
    crate::embed::store::write_npy(&plain, rows, crate::embed::store::NpyDtype::F32).unwrap();
    let bytes = |path: &Path| std::fs::read(path).unwrap();
    assert!(bytes(&plain) == bytes(&folder.join("x.npy")));
    assert_eq!(
        names(&folder),
        ["doppel-work", "x.npy", "x.npy.json", "x.told.json"]
    );
    assert!(work.find("x", &key("a")).unwrap().is_some());
}

#[test]
fn what_has_come_so_far_is_only_used_when_it_is_whole() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("work");
    let work = Work::open(&folder).unwrap();
    let mut growing = work.begin_rows("x", &key("a"), 10, 2).unwrap();
    put(&mut growing, 0..2);
    drop(growing);
    let files = ["x.npy.growing", "x.npy.growing.json"];
    let whole = files.map(|f| std::fs::read(folder.join(f)).unwrap());
    let restore = || {
        for (file, bytes) in files.iter().zip(&whole) {
            std::fs::write(folder.join(file), bytes).unwrap();
        }
    };
    let resumed = || {
        let growing = work.begin_rows("x", &key("a"), 10, 2).unwrap();
        let resumed = growing.resumed();
        let kept = growing.finish(Told::default()).unwrap().read().unwrap();
        (resumed, bits(&kept))
    };
    let (good, rows) = resumed();
    assert!(good > 0);
    for (file, bytes) in files.iter().zip(&whole) {
        for at in 0..bytes.len() {
            restore();
            let mut broken = bytes.clone();
            broken[at] ^= 1 << (at % 8);
            std::fs::write(folder.join(file), broken).unwrap();
            let (found, read) = resumed();
            // A flip in a row that is not there yet is wiped out.
            assert!(found == 0 || (found == good && read == rows), "{file} {at}");
        }
        restore();
        std::fs::remove_file(folder.join(file)).unwrap();
        std::fs::remove_file(folder.join("x.npy")).unwrap();
        assert_eq!(resumed().0, 0);
    }
    // Cut off between the file's name and its manifest.
    restore();
    std::fs::rename(folder.join(files[0]), folder.join("x.npy")).unwrap();
    assert_eq!(resumed(), (good, rows));
}

#[test]
fn hashes_go_on_where_they_were_cut_off() {
    let dir = tempfile::tempdir().unwrap();
    let work = Work::open(dir.path()).unwrap();
    let mut growing = work.begin_hashes("phash", &key("a"), 3).unwrap();
    growing.hashes[1] = Some(u64::MAX);
    std::thread::sleep(std::time::Duration::from_millis(110));
    growing.checkpoint(2, &told().rejects).unwrap();
    growing.hashes[2] = Some(1);
    drop(growing);
    assert_eq!(work.begin_hashes("phash", &key("b"), 3).unwrap().resumed, 0);
    assert_eq!(work.begin_hashes("phash", &key("a"), 4).unwrap().resumed, 0);
    let growing = work.begin_hashes("phash", &key("a"), 3).unwrap();
    assert_eq!((growing.resumed, &growing.earlier), (2, &told().rejects));
    assert_eq!(growing.hashes, [None, Some(u64::MAX), None]);
    let kept = growing.finish(told()).unwrap();
    assert_eq!(
        bits(&kept.read().unwrap()),
        bits(&Made::Hashes(vec![None, Some(u64::MAX), None]))
    );
    assert_eq!(
        names(dir.path()),
        [
            "doppel-work",
            "phash.csv",
            "phash.csv.json",
            "phash.told.json"
        ]
    );
}
