//! Every name of the catalogue: timm's settings, and timm's list of keys and shapes.

use std::collections::BTreeMap;
use std::fs;

use doppel::nn::formula::{self, Stats};
use doppel::nn::{self, Build};
use sha2::{Digest, Sha256};

use crate::common::{file, published};

/// The catalogue as timm has it.
fn catalogue() -> serde_json::Map<String, serde_json::Value> {
    serde_json::from_str(&fs::read_to_string(file("catalogue.json")).unwrap()).unwrap()
}

#[test]
fn every_name_wants_timms_keys_and_shapes() {
    let catalogue = catalogue();
    for arch in nn::architectures() {
        let params = nn::params(&nn::graph(arch, &Build::new(1, 96)).unwrap());
        let mut lines: Vec<String> = params
            .iter()
            .map(|(key, dims)| format!("{key} {dims:?}").replace(", ", ","))
            .collect();
        lines.sort();
        let timms = arch.name.strip_suffix("_ns").unwrap_or(arch.name);
        let want = published(&file("shapes.zip"), timms);
        let beside = |a: &[String], b: &[String]| -> Vec<String> {
            a.iter().filter(|x| !b.contains(x)).cloned().collect()
        };
        let (more, less) = (beside(&lines, &want), beside(&want, &lines));
        assert!(
            lines == want,
            "{}: not timm's: {more:?}; missing: {less:?}",
            arch.name
        );
        let statistic = |key: &str| key.contains(".running_");
        let count: usize = params
            .iter()
            .filter(|(key, _)| !statistic(key))
            .map(|(_, dims)| dims.iter().product::<usize>())
            .sum();
        assert_eq!(
            count as u64, catalogue[arch.name]["parameters"],
            "{}",
            arch.name
        );
    }
}

#[test]
fn the_catalogue_is_timms() {
    let catalogue = catalogue();
    let ours: Vec<&str> = nn::architectures().iter().map(|a| a.name).collect();
    assert_eq!(ours.len(), catalogue.len());
    for arch in nn::architectures() {
        let want = &catalogue[arch.name];
        let close = |x: f32, y: &serde_json::Value| x == y.as_f64().unwrap() as f32;
        assert_eq!(want["published"], arch.published);
        assert_eq!(want["size"], arch.size);
        assert_eq!(want["width"], arch.width);
        assert_eq!(want["squash"], arch.squash);
        assert_eq!(want["filter"], arch.filter);
        assert!(close(arch.crop_pct, &want["crop_pct"]), "{}", arch.name);
        for c in 0..3 {
            assert!(close(arch.mean[c], &want["mean"][c]), "{}", arch.name);
            assert!(close(arch.std[c], &want["std"][c]), "{}", arch.name);
        }
    }
}

/// The formula's bits are the same in both languages.
#[test]
fn weights_and_images_have_the_bits_of_the_script() {
    let text = fs::read_to_string(file("bits.json")).unwrap();
    let want: BTreeMap<String, String> = serde_json::from_str(&text).unwrap();
    let stats = Stats::parse("bn1 0.123 1.7").unwrap();
    for (what, hash) in &want {
        let words: Vec<&str> = what.split(' ').collect();
        let number = |w: &str| w.parse::<usize>().unwrap();
        let values = match words[0] {
            "image" => {
                let (which, size) = (number(words[1]), number(words[2]));
                formula::image(which, size)
            }
            key => {
                let dims: Vec<usize> = words[1..].iter().map(|w| number(w)).collect();
                formula::tensor(key, &dims, &stats)
            }
        };
        let bytes: Vec<u8> = values.iter().flat_map(|x| x.to_le_bytes()).collect();
        let got: String = Sha256::digest(&bytes)
            .iter()
            .map(|b| format!("{b:02x}"))
            .collect();
        assert_eq!(got, *hash, "{what}");
    }
    assert!(want.len() > 15);
}
