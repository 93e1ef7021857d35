//! `engine bench`: small shapes, on the CPU and on the simulated card.

use crate::tools::{Bench, Value};

/// What the record says of each case, by its name.
fn results<'a>(record: &'a Value, key: &str) -> &'a Vec<Value> {
    record[key].as_array().unwrap()
}

#[test]
fn the_cpu_is_measured_on_the_shapes_of_the_encoders() {
    let bench = Bench::new();
    let line = "bench --small --rounds 2 --filter resnet18 --device cpu --json --out record.json";
    let record = bench.engine(line).ends(0).json();
    assert_eq!(record["device"]["kind"], "cpu");
    let all = results(&record, "results");
    // 20 convolutions, of which some are alike, the stem's pool and the global one.
    assert!((10..25).contains(&all.len()), "{all:#?}");
    for one in all {
        let name = one["name"].as_str().unwrap();
        assert!(one["microseconds"].as_f64().unwrap() > 0.0, "{name}");
        assert_eq!(one["rounds"].as_array().unwrap().len(), 2, "{name}");
        assert!(one["uses"]["resnet18"].as_u64().unwrap() > 0, "{name}");
    }
    let flops: u64 = all
        .iter()
        .map(|one| one["flops"].as_u64().unwrap() * one["uses"]["resnet18"].as_u64().unwrap())
        .sum();
    // 19.0 GFLOP at 512 px are 0.297 at 64.
    assert!((250_000_000..350_000_000).contains(&flops), "{flops}");
    let sum = &results(&record, "encoders")
        .iter()
        .find(|e| e["name"] == "resnet18")
        .unwrap();
    assert_eq!(sum["not_measured"], 0);
    assert_eq!(bench.names(), ["record.json"]);
    assert!(bench.read("record.json").ends_with("}\n"));
}

#[test]
fn the_check_compares_with_the_oracle() {
    let bench = Bench::new();
    let record = bench
        .engine("bench --check --filter bert-base --device cpu --json")
        .ends(0)
        .json();
    let all = results(&record, "checked");
    let names: Vec<&str> = all.iter().map(|c| c["name"].as_str().unwrap()).collect();
    for part in ["gemm", "attention", "embed", "layer_norm", "segment_mean"] {
        assert!(
            names.iter().any(|n| n.starts_with(part)),
            "{part}: {names:?}"
        );
    }
    for one in all {
        assert!(one["error"].as_f64().unwrap() < 1e-5, "{one}");
    }
}

#[test]
fn searches_and_losses_are_listed_at_the_engines_sizes() {
    let bench = Bench::new();
    let out = bench.engine("bench --list --device cpu").ends(0).out;
    for name in [
        "topk 70000x512 top-50",
        "topk 70000x1536 top-50",
        "topk 70000x1536 top-1024",
        "topk sparse 70000 rows top-50",
        "topk hamming 70000 hashes top-50",
        "topk fused 70000x512 and sparse top-50",
        "softmax_cross_entropy f32 256x11014",
        "gemm f32 160x768 3072x768 nt bias gelu",
        "conv f32 1x512x512x3 64x3x7x7 7x7/2 bias relu",
    ] {
        assert!(
            out.lines().any(|line| line == name),
            "{name} is not in: {out}"
        );
    }
}

#[test]
fn a_filter_that_fits_nothing_and_a_card_that_is_not_there_end_with_two() {
    let bench = Bench::new();
    let ran = bench.engine("bench --filter nothing_of_this_name --device cpu");
    assert_eq!(ran.code, 2);
    assert!(ran.err.contains("engine bench --list"), "{}", ran.err);
    let ran = bench.engine("bench --device cuda:977");
    assert_eq!(ran.code, 2);
    assert!(ran.err.contains("no GPU: "), "{}", ran.err);
}

#[test]
fn the_simulated_card_names_its_kernels() {
    if std::env::var_os("DOPPEL_SIMT").is_none_or(|path| path.is_empty()) {
        println!("skipped: no simulated card (cargo xtask simt test)");
        return;
    }
    let bench = Bench::new();
    let checked = bench
        .engine("bench --check --filter row --device simt --json")
        .ends(0)
        .json();
    let checked = results(&checked, "checked");
    let sweep = checked.iter().find(|one| one["family"] == "fusion");
    assert_eq!(sweep.map(|one| &one["error"]), Some(&0.0.into()));
    // Sparse rows fused with dense ones too.
    for (filter, count) in [("hamming", 1), ("sparse", 2)] {
        let line = format!("bench --check --filter {filter} --device simt --json");
        let checked = bench.engine(&line).ends(0).json();
        let checked = results(&checked, "checked");
        assert_eq!(checked.len(), count, "{filter}");
        for one in checked {
            assert_eq!(one["family"], "neighbours", "{one}");
            assert_eq!(one["error"], 0.0, "{one}");
        }
    }
    let line = "bench --small --rounds 1 --filter softmax_cross_entropy --device simt --json";
    let record = bench.engine(line).ends(0).json();
    let all = results(&record, "results");
    assert_eq!(all.len(), 3);
    for one in all {
        assert_eq!(one["family"], "margin");
        assert!(one["name"].as_str().unwrap().contains(" f16 "), "{one}");
        let kernels = one["kernels"].as_array().unwrap();
        assert!(kernels[0].as_str().unwrap().starts_with("softmax"), "{one}");
        assert!(one["floor_share"].is_null());
    }
}
