//! Weights that are spread over several files.

use super::live::{again, child};
use super::*;

const INDEX: &str = "model.safetensors.index.json";

fn two_files() -> Place {
    let place = Place::new();
    place.put(
        "x-1.safetensors",
        &file(&[("a", &[2], &[1.0, 2.0]), ("b", &[1], &[3.0])]),
    );
    place.put(
        "x-2.safetensors",
        &file(&[("c", &[1], &[f32::NAN]), ("d", &[1], &[5.0])]),
    );
    place
}

fn opened(place: &Place, index: &str) -> Result<WeightFile, Error> {
    place.put(INDEX, index.as_bytes());
    WeightFile::open(place.path(), MAP)
}

#[test]
fn tensors_come_from_the_file_that_they_are_in() {
    let place = two_files();
    let index = r#"{"metadata":{"total_size":20.5,"x":[null]},"weight_map":
        {"a":"x-1.safetensors","d":"x-2.safetensors","c":"x-2.safetensors","b":"x-1.safetensors"}}"#;
    let weights = opened(&place, index).unwrap();
    assert_eq!((weights.len(), weights.mapped()), (4, true));
    for (name, expected) in [("a", &[1.0, 2.0][..]), ("b", &[3.0]), ("d", &[5.0])] {
        assert_eq!(values(&weights, name).unwrap(), expected);
    }
    says(
        values(&weights, "c"),
        "x-2.safetensors",
        "tensor c: the value at [0] is NaN",
    );
    weights.finish().unwrap();
    let direct = WeightFile::open(place.path().join(INDEX), READ).unwrap();
    assert_eq!(
        (values(&direct, "d").unwrap(), direct.mapped()),
        (vec![5.0], false)
    );
    // Any of the files counts.
    let second = place.path().join("x-2.safetensors");
    let longer = [std::fs::read(&second).unwrap(), vec![0]].concat();
    std::fs::write(&second, longer).unwrap();
    says(
        weights.finish(),
        "x-2.safetensors",
        "changed while it was loaded",
    );
}

#[test]
fn an_index_that_does_not_fit_its_files() {
    let place = two_files();
    let all = r#""a":"x-1.safetensors","b":"x-1.safetensors","c":"x-2.safetensors""#;
    let map = |inside: &str| format!("{{\"weight_map\":{{{inside}}}}}");
    for (index, named, words) in [
        (
            map(all),
            "x-2.safetensors",
            "tensor d: the index does not have it in this file",
        ),
        (
            map(&format!(r#"{all},"d":"x-1.safetensors""#)),
            "x-1.safetensors",
            "tensor d: the index has it",
        ),
        (
            map(&format!(
                r#"{all},"d":"x-2.safetensors","e":"x-2.safetensors""#
            )),
            "x-2.safetensors",
            "tensor e: the index has it",
        ),
        (
            map(&format!(r#"{all},"a":"x-2.safetensors""#)),
            INDEX,
            "tensor a comes twice",
        ),
        (
            map(r#""a":"../x-1.safetensors""#),
            INDEX,
            "outside its folder",
        ),
        (map(r#""a":"/etc/passwd""#), INDEX, "outside its folder"),
        (map(r#""a":"..""#), INDEX, "outside its folder"),
        (map(r#""a":"""#), INDEX, "outside its folder"),
        (
            map(r#""a":"gone.safetensors""#),
            "gone.safetensors",
            "No such file",
        ),
        (map(""), INDEX, "names no file"),
        ("{}".to_owned(), INDEX, "missing field `weight_map`"),
        ("[]".to_owned(), INDEX, "is no index of weights"),
        (
            r#"{"weight_map":{"a":1}}"#.to_owned(),
            INDEX,
            "is no index of weights",
        ),
        (String::new(), INDEX, "is no index of weights"),
    ] {
        says(opened(&place, &index), named, words);
    }
    let many: Vec<String> = (0..300)
        .map(|i| format!(r#""{i}":"{i}.safetensors""#))
        .collect();
    let kind = says(
        opened(&place, &map(&many.join(","))),
        INDEX,
        "names 300 files, over 256",
    );
    assert_eq!(kind, Kind::Limit);
    std::fs::remove_file(place.path().join(INDEX)).unwrap();
    std::fs::create_dir(place.path().join(INDEX)).unwrap();
    says(
        WeightFile::open(place.path(), MAP),
        INDEX,
        "is not a regular file",
    );
}

/// More files than there are slots for maps: the rest is read, with the same values. In a process of
/// its own, where it takes no other test's slots.
#[test]
fn more_files_than_maps() {
    let place = Place::new();
    if child().is_none() {
        let output = again("shards::more_files_than_maps", place.path());
        assert!(output.status.success(), "{output:?}");
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(text.contains("read 100 files"), "{text}");
        return;
    }
    let mut map = Vec::new();
    for i in 0..100usize {
        let name = format!("t{i}");
        place.put(
            &format!("{i}.safetensors"),
            &file(&[(&name, &[1], &[i as f32])]),
        );
        map.push(format!(r#""{name}":"{i}.safetensors""#));
    }
    let index = format!("{{\"weight_map\":{{{}}}}}", map.join(","));
    let weights = opened(&place, &index).unwrap();
    assert!(!weights.mapped());
    for i in 0..100 {
        assert_eq!(values(&weights, &format!("t{i}")).unwrap(), [i as f32]);
    }
    weights.finish().unwrap();
    println!("read 100 files");
}
