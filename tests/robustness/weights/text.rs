//! Text encoders out of files as they are published: prefixes, older names, heads beside the encoder; and
//! what loading one costs.

use std::sync::Arc;

use doppel::device::CpuDevice;
use doppel::nn::params;
use doppel::nn::text::{TextBuild, TextConfig, TextEncoder, TextFolder, TextPool, text_graph};

use super::live::{again, child, cut};
use super::*;
use crate::memory;

const BERT: &str = r#"{"model_type": "bert", "hidden_size": 24, "num_hidden_layers": 2,
    "num_attention_heads": 2, "intermediate_size": 40, "vocab_size": 90,
    "max_position_embeddings": 64}"#;
const DISTIL: &str = r#"{"model_type": "distilbert", "dim": 24, "n_layers": 2, "n_heads": 2,
    "hidden_dim": 40, "vocab_size": 90, "max_position_embeddings": 64}"#;
const ROBERTA: &str = r#"{"model_type": "roberta", "hidden_size": 24, "num_hidden_layers": 2,
    "num_attention_heads": 2, "intermediate_size": 40, "vocab_size": 90, "type_vocab_size": 1,
    "max_position_embeddings": 40}"#;

/// A tensor: its name, type and shape.
type Entry = (String, &'static str, Vec<u64>);

/// What the encoder of a config.json wants.
fn wanted(config: &str) -> Vec<Entry> {
    let config = TextConfig::parse(config).unwrap();
    let build = TextBuild {
        tokens: 1,
        titles: 1,
        pool: TextPool::Mean,
    };
    params(&text_graph(&config, &build).unwrap())
        .into_iter()
        .map(|(name, dims)| (name, "F32", dims.iter().map(|&d| d as u64).collect()))
        .collect()
}

/// A file of zeros with these tensors, which takes no room on the disk.
fn zeros(place: &Place, name: &str, list: &[Entry]) {
    let (mut entries, mut at) = (Vec::new(), 0u64);
    for (name, dtype, dims) in list {
        let size = if *dtype == "I64" { 8 } else { 4 };
        let end = at + size * dims.iter().product::<u64>();
        entries.push(entry(name, dtype, dims, at, end));
        at = end;
    }
    let start = raw(&format!("{{{}}}", entries.join(",")), &[]);
    let path = place.put(name, &start);
    cut(&path, start.len() as u64 + at);
}

fn open(place: &Place, how: OpenOptions) -> Result<(TextEncoder, String), Error> {
    let folder = TextFolder::open(place.path())?;
    let device = Arc::new(CpuDevice::default());
    let (encoder, extras) = TextEncoder::open(&folder, folder.pool, how, device)?;
    Ok((encoder, extras.to_string()))
}

/// A folder with this config.json and these tensors.
fn folder(config: &str, list: &[Entry]) -> Place {
    let place = Place::new();
    place.put("config.json", config.as_bytes());
    zeros(&place, "model.safetensors", list);
    place
}

/// The encoder's tensors under `prefix`, others as they stand.
fn under(prefix: &str, config: &str, others: &[(&str, &'static str, &[u64])]) -> Vec<Entry> {
    let own = wanted(config)
        .into_iter()
        .map(|(name, dtype, dims)| (format!("{prefix}{name}"), dtype, dims));
    let others = others
        .iter()
        .map(|(name, dtype, dims)| (name.to_string(), *dtype, dims.to_vec()));
    own.chain(others).collect()
}

/// google-bert/bert-base-uncased as it is published: a prefix, the older names of layer norms, and both
/// heads of its training beside the encoder.
fn published() -> Vec<Entry> {
    let others: [(&str, &str, &[u64]); 10] = [
        ("bert.embeddings.position_ids", "I64", &[1, 64]),
        ("bert.pooler.dense.weight", "F32", &[24, 24]),
        ("bert.pooler.dense.bias", "F32", &[24]),
        ("cls.predictions.bias", "F32", &[90]),
        ("cls.predictions.decoder.weight", "F32", &[90, 24]),
        ("cls.predictions.transform.dense.weight", "F32", &[24, 24]),
        ("cls.predictions.transform.LayerNorm.gamma", "F32", &[24]),
        ("cls.predictions.transform.LayerNorm.beta", "F32", &[24]),
        ("cls.seq_relationship.weight", "F32", &[2, 24]),
        ("cls.seq_relationship.bias", "F32", &[2]),
    ];
    let mut list = under("bert.", BERT, &others);
    for (name, ..) in &mut list {
        for (new, old) in [("weight", "gamma"), ("bias", "beta")] {
            if let Some(start) = name.strip_suffix(&format!("LayerNorm.{new}")) {
                *name = format!("{start}LayerNorm.{old}");
            }
        }
    }
    list
}

#[test]
fn files_as_they_are_published_open_and_their_extras_are_counted() {
    let place = folder(BERT, &published());
    for how in [MAP, READ] {
        let (encoder, ignored) = open(&place, how).unwrap();
        assert_eq!(encoder.dims(), 24);
        assert!(ignored.contains("ignored 10 tensors"), "{ignored}");
    }
    let distil: [(&str, &str, &[u64]); 5] = [
        ("vocab_transform.weight", "F32", &[24, 24]),
        ("vocab_layer_norm.bias", "F32", &[24]),
        ("vocab_projector.bias", "F32", &[90]),
        ("pre_classifier.weight", "F32", &[24, 24]),
        ("qa_outputs.weight", "F32", &[2, 24]),
    ];
    let roberta: [(&str, &str, &[u64]); 5] = [
        ("lm_head.bias", "F32", &[90]),
        ("lm_head.layer_norm.weight", "F32", &[24]),
        ("roberta.pooler.dense.bias", "F32", &[24]),
        ("roberta.embeddings.position_ids", "I64", &[1, 40]),
        ("classifier.out_proj.weight", "F32", &[2, 24]),
    ];
    let learnt: [(&str, &str, &[u64]); 2] = [
        ("embeddings.position_ids", "I64", &[1, 64]),
        ("pooler.dense.weight", "F32", &[24, 24]),
    ];
    let nested: [(&str, &str, &[u64]); 2] = [
        ("module.cls.predictions.bias", "F32", &[90]),
        ("module.bert.pooler.dense.bias", "F32", &[24]),
    ];
    for (config, prefix, others, count) in [
        (DISTIL, "distilbert.", &distil[..], 5),
        (DISTIL, "", &distil, 5),
        (ROBERTA, "roberta.", &roberta, 5),
        (BERT, "", &learnt, 2),
        (BERT, "module.bert.", &nested, 2),
        (BERT, "0.auto_model.", &[], 0),
        (ROBERTA, "model.", &[], 0),
    ] {
        let place = folder(config, &under(prefix, config, others));
        let (_, ignored) = open(&place, MAP).unwrap();
        let words = match count {
            0 => String::new(),
            n => format!("ignored {n} tensors"),
        };
        assert!(ignored.starts_with(&words), "{prefix}: {ignored}");
        assert_eq!(ignored.is_empty(), count == 0, "{prefix}: {ignored}");
    }
}

#[test]
fn tensors_that_lack_or_are_too_many_are_named() {
    let file = "model.safetensors";
    let changed = |change: &dyn Fn(&mut Vec<Entry>)| {
        let mut list = published();
        change(&mut list);
        open(&folder(BERT, &list), MAP)
    };
    let key = "encoder.layer.1.attention.self.key.bias";
    let lost = changed(&|list| list.retain(|(n, ..)| !n.ends_with(key)));
    says(lost, file, key);
    let norm = changed(&|list| list.retain(|(n, ..)| n != "bert.embeddings.LayerNorm.beta"));
    says(norm, file, "embeddings.LayerNorm.bias");
    for name in [
        "bert.encoder.layer.2.output.dense.bias",
        "head.weight",
        "lm_head.bias",
        "bert.embeddings.extra.weight",
        "2.linear.weight",
    ] {
        let more = changed(&|list| list.push((name.into(), "F32", vec![3])));
        let shown = name.strip_prefix("bert.").unwrap_or(name);
        says(
            more,
            file,
            &format!("{shown}: the model has no place for it"),
        );
    }
    let table = |n: &str| n == "bert.embeddings.word_embeddings.weight";
    let shape = changed(&|list| {
        let found = list.iter_mut().find(|(n, ..)| table(n)).unwrap();
        found.2 = vec![91, 24];
    });
    let kind = says(shape, file, "its shape is [91, 24], the model's [90, 24]");
    assert_eq!(kind, Kind::Shape);
    let whole = changed(&|list| list.iter_mut().find(|(n, ..)| table(n)).unwrap().1 = "I64");
    says(whole, file, "its elements are I64");
    let both = changed(&|list| {
        let name = "bert.embeddings.LayerNorm.weight";
        list.push((name.into(), "F32", vec![24]));
    });
    says(both, file, "LayerNorm.gamma: another tensor is called");
    // A config of another model is not taken for this file's.
    let place = folder(DISTIL, &published());
    says(open(&place, MAP), file, "the weights of another model");
}

/// A larger config than its file would be an error before any weight is packed.
#[test]
fn a_config_of_another_size_costs_nothing() {
    let large = BERT.replace("\"vocab_size\": 90", "\"vocab_size\": 4000000");
    let large = large.replace("\"hidden_size\": 24", "\"hidden_size\": 1024");
    let place = folder(&large, &published());
    says(open(&place, MAP), "model.safetensors", "its shape is");
}

#[test]
fn weights_are_found_where_the_folder_has_them() {
    // In the transformer's own folder.
    let place = Place::new();
    let list = r#"[{"path": "0_Transformer", "type": "sentence_transformers.models.Transformer"},
        {"path": "1_Pooling", "type": "sentence_transformers.models.Pooling"}]"#;
    place.put("modules.json", list.as_bytes());
    for name in ["0_Transformer", "1_Pooling"] {
        std::fs::create_dir(place.path().join(name)).unwrap();
    }
    place.put("0_Transformer/config.json", BERT.as_bytes());
    place.put("1_Pooling/config.json", br#"{"pooling_mode": "cls"}"#);
    zeros(&place, "0_Transformer/model.safetensors", &published());
    let (encoder, _) = open(&place, MAP).unwrap();
    assert_eq!(encoder.pool(), TextPool::Cls);

    // In two files with an index.
    let place = Place::new();
    place.put("config.json", BERT.as_bytes());
    let list = published();
    let (one, two) = list.split_at(20);
    let mut index = Vec::new();
    for (file, part) in [("a.safetensors", one), ("b.safetensors", two)] {
        zeros(&place, file, part);
        index.extend(part.iter().map(|(n, ..)| format!("\"{n}\": \"{file}\"")));
    }
    let text = format!("{{\"weight_map\": {{{}}}}}", index.join(", "));
    place.put("model.safetensors.index.json", text.as_bytes());
    assert!(open(&place, MAP).unwrap().1.contains("ignored 10 tensors"));

    // As a pickle alone, or not at all.
    let place = Place::new();
    place.put("config.json", BERT.as_bytes());
    says(
        open(&place, MAP),
        "holds no model.safetensors",
        "hf download",
    );
    place.put("pytorch_model.bin", b"PK\x03\x04");
    says(open(&place, MAP), "pytorch_model.bin", "is a pickle");
}

/// A folder with a module behind the pooling opens for those who ask for what is before it.
#[test]
fn a_module_behind_the_pooling_is_refused_unless_it_is_not_wanted() {
    let place = folder(BERT, &published());
    let list = r#"[{"path": "", "type": "sentence_transformers.models.Transformer"},
        {"path": "1_Pooling", "type": "sentence_transformers.models.Pooling"},
        {"path": "2_Dense", "type": "sentence_transformers.models.Dense"}]"#;
    place.put("modules.json", list.as_bytes());
    std::fs::create_dir(place.path().join("1_Pooling")).unwrap();
    place.put("1_Pooling/config.json", b"{}");
    let kind = says(
        open(&place, MAP),
        "modules.json",
        "models.Dense\", is not run; ask for raw",
    );
    assert_eq!(kind, Kind::Unsupported);
    let mut folder = TextFolder::open(place.path()).unwrap();
    folder.refused = None;
    let device = Arc::new(CpuDevice::default());
    TextEncoder::open(&folder, folder.pool, MAP, device).unwrap();
}

/// The design's bound, for an encoder whose table of words is most of it.
#[cfg(target_os = "linux")]
#[test]
fn a_large_table_of_words_loads_in_little_more_than_its_packed_size() {
    const NAME: &str = "text::a_large_table_of_words_loads_in_little_more_than_its_packed_size";
    const LARGE: &str = r#"{"model_type": "bert", "hidden_size": 256, "num_hidden_layers": 2,
        "num_attention_heads": 4, "intermediate_size": 1024, "vocab_size": 60000}"#;
    if let Some(path) = child() {
        let open = |how| {
            let folder = TextFolder::open(&path).unwrap();
            let device = Arc::new(CpuDevice::default());
            TextEncoder::open(&folder, folder.pool, how, device).unwrap()
        };
        for how in [MAP, READ] {
            let (loaded, grown) = memory::peak_growth(|| open(how));
            println!("grown {} {}", grown.unwrap(), loaded.0.plan().packed());
        }
        return;
    }
    let place = folder(LARGE, &wanted(LARGE));
    let output = again(NAME, place.path());
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    let numbers = text.lines().filter_map(|l| l.split("grown ").nth(1));
    let pairs: Vec<Vec<u64>> = numbers
        .map(|l| l.split_whitespace().map(|n| n.parse().unwrap()).collect())
        .collect();
    assert_eq!(pairs.len(), 2, "{text}");
    let published = 4 * TextConfig::parse(LARGE).unwrap().parameters();
    for pair in pairs {
        let [grown, packed] = pair[..] else {
            panic!("{text}")
        };
        println!("{grown} bytes for {packed} packed, {published} published");
        assert!(grown * 10 <= packed * 12, "{grown} for {packed}");
        assert!(
            packed < published + published / 10,
            "{packed} for {published}"
        );
        assert!(grown * 2 > published, "{grown}: was it loaded?");
    }
}
