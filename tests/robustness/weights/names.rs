//! What is there against what is wanted: missing, misshapen, superfluous, and under other names.

use super::*;
use doppel::nn::weights::{Extras, check_against};

fn counter(name: &str) -> bool {
    name.ends_with("num_batches_tracked") || name.starts_with("fc.")
}

fn checked(weights: &WeightFile, list: &[(&str, &[usize])]) -> Result<Extras, Error> {
    check_against(weights, &wanted(list), &counter)
}

fn of(tensors: &[(&str, &[usize])]) -> WeightFile {
    let zeros = [0.5; 64];
    let tensors: Vec<(&str, &[usize], &[f32])> = tensors
        .iter()
        .map(|&(n, d)| (n, d, &zeros[..d.iter().product()]))
        .collect();
    Place::new().open(&file(&tensors)).unwrap()
}

const MODEL: &[(&str, &[usize])] = &[
    ("conv1.weight", &[4, 2, 1, 1]),
    ("bn1.weight", &[4]),
    ("bn1.bias", &[4]),
];

fn with(more: &[(&'static str, &'static [usize])]) -> Vec<(&'static str, &'static [usize])> {
    [MODEL, more].concat()
}

#[test]
fn known_extras_are_counted_and_others_named() {
    assert_eq!(checked(&of(MODEL), MODEL).unwrap(), Extras::default());
    assert_eq!(Extras::default().to_string(), "");
    let more = of(&with(&[
        ("fc.weight", &[2]),
        ("fc.bias", &[1]),
        ("bn1.num_batches_tracked", &[1]),
    ]));
    let extras = checked(&more, MODEL).unwrap();
    assert_eq!(
        extras.ignored,
        ["bn1.num_batches_tracked", "fc.bias", "fc.weight"]
    );
    assert_eq!(
        extras.to_string(),
        "ignored 3 tensors that the model has no place for (bn1.num_batches_tracked, fc.bias, ...)"
    );
    let strange = of(&with(&[
        ("fc.weight", &[2]),
        ("zz.w", &[1]),
        ("layer1.w", &[1]),
    ]));
    let words = "tensor layer1.w (and 1 more): the model has no place for it";
    assert_eq!(
        says(checked(&strange, MODEL), "w.safetensors", words),
        Kind::Input
    );
    let one = of(&with(&[("layer1.w", &[1])]));
    says(
        checked(&one, MODEL),
        "w.safetensors",
        "tensor layer1.w: the model has no place for it",
    );
}

#[test]
fn missing_tensors_are_named_in_the_models_order() {
    let few = of(&MODEL[..2]);
    says(
        checked(&few, MODEL),
        "w.safetensors",
        "tensor bn1.bias: it is missing",
    );
    let list = with(&[("a", &[1]), ("b", &[1]), ("c", &[1])]);
    let five = of(&[MODEL, &[("a", &[1][..])]].concat());
    says(
        checked(&five, &list),
        "w.safetensors",
        "tensor b (and 1 more): it is missing",
    );
    let other = of(&[
        ("blocks.0.w", &[1]),
        ("conv_stem.weight", &[2]),
        ("bn1.bias", &[4]),
    ]);
    let words = "holds the weights of another model: 2 of 3 tensors are missing, the first is \
        conv1.weight; there is blocks.0.w";
    says(checked(&other, MODEL), "w.safetensors", words);
    says(
        checked(&of(&[]), MODEL),
        "w.safetensors",
        "it holds none at all",
    );
    // Nothing wanted, nothing there.
    assert_eq!(checked(&of(&[]), &[]).unwrap(), Extras::default());
}

#[test]
fn no_shape_is_bent() {
    for (dims, words) in [
        (
            &[4, 2][..],
            "tensor conv1.weight: its shape is [4, 2], the model's [4, 2, 1, 1]",
        ),
        (
            &[4, 2, 1, 3],
            "tensor conv1.weight: its shape is [4, 2, 1, 3], the model's [4, 2, 1, 1]",
        ),
        (
            &[2, 4, 1, 1],
            "tensor conv1.weight: its shape is [2, 4, 1, 1], the model's",
        ),
        (&[8], "tensor conv1.weight: its shape is [8], the model's"),
    ] {
        let weights = of(&[("conv1.weight", dims), MODEL[1], MODEL[2]]);
        assert_eq!(
            says(checked(&weights, MODEL), "w.safetensors", words),
            Kind::Shape
        );
    }
    let both = of(&[("conv1.weight", &[8]), ("bn1.weight", &[1]), MODEL[2]]);
    says(
        checked(&both, MODEL),
        "w.safetensors",
        "tensor conv1.weight (and 1 more): its shape",
    );
}

#[test]
fn what_is_wanted_must_be_floating_point() {
    let entries = [
        entry("a", "I64", &[1], 0, 8),
        entry("n", "I32", &[1], 8, 12),
    ];
    let bytes = raw(&format!("{{{}}}", entries.join(",")), &[0; 12]);
    let weights = Place::new().open(&bytes).unwrap();
    let list = wanted(&[("a", &[1])]);
    let result = check_against(&weights, &list, &|n| n == "n");
    says(
        result,
        "w.safetensors",
        "tensor a: its elements are I64, which is no type for weights",
    );
}

#[test]
fn a_common_prefix_is_taken_off() {
    for prefix in [
        "module.",
        "model.",
        "backbone.",
        "module.backbone.",
        "a.b.c.",
    ] {
        let names: Vec<String> = MODEL.iter().map(|(n, _)| format!("{prefix}{n}")).collect();
        let tracked = format!("{prefix}bn1.num_batches_tracked");
        let mut tensors: Vec<(&str, &[usize])> = names
            .iter()
            .zip(MODEL)
            .map(|(n, (_, d))| (&n[..], *d))
            .collect();
        tensors.extend([(&tracked[..], &[1][..]), ("fc.weight", &[2])]);
        let weights = of(&tensors).strip_prefix(&wanted(MODEL)).unwrap();
        let extras = checked(&weights, MODEL).unwrap();
        assert_eq!(extras.ignored, ["bn1.num_batches_tracked", "fc.weight"]);
        assert_eq!(values(&weights, "conv1.weight").unwrap(), [0.5; 8]);
    }
}

#[test]
fn a_prefix_is_left_where_it_belongs() {
    // All is there without one, so what has one is something else.
    let plain = of(&with(&[("teacher.bn1.weight", &[4])]));
    let weights = plain.strip_prefix(&wanted(MODEL)).unwrap();
    says(
        checked(&weights, MODEL),
        "w.safetensors",
        "tensor teacher.bn1.weight: the model has no place",
    );
    // Another model altogether.
    let other = of(&[("x.bn1.bias", &[4]), ("x.y", &[1])]);
    let weights = other.strip_prefix(&wanted(MODEL)).unwrap();
    says(
        checked(&weights, MODEL),
        "w.safetensors",
        "3 of 3 tensors are missing",
    );
}

#[test]
fn a_prefix_without_all_still_names_what_is_missing() {
    let weights = of(&[("m.conv1.weight", &[4, 2, 1, 1]), ("m.bn1.weight", &[4])]);
    let weights = weights.strip_prefix(&wanted(MODEL)).unwrap();
    says(
        checked(&weights, MODEL),
        "w.safetensors",
        "tensor bn1.bias: it is missing",
    );
}

#[test]
fn a_model_that_is_there_twice_is_not_guessed_at() {
    let mut tensors = Vec::new();
    for (name, dims) in MODEL {
        tensors.push((format!("teacher.{name}"), *dims));
        tensors.push((format!("student.{name}"), *dims));
    }
    let tensors: Vec<(&str, &[usize])> = tensors.iter().map(|(n, d)| (&n[..], *d)).collect();
    let words = "holds the model twice, under student. and under teacher.";
    says(
        of(&tensors).strip_prefix(&wanted(MODEL)),
        "w.safetensors",
        words,
    );
}

#[test]
fn renaming_maps_old_names_and_refuses_two_that_meet() {
    let old = |name: &str| {
        name.ends_with(".gamma")
            .then(|| name.replace(".gamma", ".weight"))
    };
    let weights = of(&[("norm.gamma", &[2]), ("x", &[1])])
        .rename(&old)
        .unwrap();
    assert_eq!(weights.dims("norm.weight"), Some(&[2][..]));
    assert_eq!(
        (weights.dims("norm.gamma"), weights.dims("x")),
        (None, Some(&[1][..]))
    );
    let both = of(&[("norm.gamma", &[2]), ("norm.weight", &[2])]);
    says(
        both.rename(&old),
        "w.safetensors",
        "another tensor is called norm.weight too",
    );
}
