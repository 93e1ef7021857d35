//! Every field of a config.json that changes a vector, in forms that are not run, and absurd sizes.

use doppel::error::Kind;
use doppel::nn::text::{TextBuild, TextConfig, TextPool, text_graph};

use super::*;

/// A config.json of `kind` with one more field.
fn with(kind: &str, field: &str) -> String {
    format!(r#"{{"model_type": "{kind}", {field}}}"#)
}

#[test]
fn forms_that_are_not_run_are_named_with_their_value() {
    for (kind, field, words) in [
        (
            "bert",
            r#""position_embedding_type": "relative_key""#,
            "\"relative_key\" is not known",
        ),
        (
            "bert",
            r#""position_embedding_type": "alibi""#,
            "position_embedding_type \"alibi\"",
        ),
        (
            "roberta",
            r#""position_embedding_type": null"#,
            "position_embedding_type null",
        ),
        ("bert", r#""is_decoder": true"#, "is_decoder true"),
        (
            "xlm-roberta",
            r#""add_cross_attention": true"#,
            "add_cross_attention true",
        ),
        (
            "bert",
            r#""is_decoder": 1"#,
            "is_decoder is 1, not true or false",
        ),
        (
            "bert",
            r#""hidden_act": "gelu_new""#,
            "hidden_act \"gelu_new\" is not known; gelu (the exact",
        ),
        ("bert", r#""hidden_act": "gelu_fast""#, "\"gelu_fast\""),
        (
            "roberta",
            r#""hidden_act": "gelu_pytorch_tanh""#,
            "\"gelu_pytorch_tanh\"",
        ),
        ("bert", r#""hidden_act": null"#, "hidden_act null"),
        ("bert", r#""hidden_act": {"a": 1}"#, "hidden_act {\"a\":1}"),
        (
            "distilbert",
            r#""activation": "gelu_10""#,
            "activation \"gelu_10\"",
        ),
        (
            "distilbert",
            r#""sinusoidal_pos_embds": "yes""#,
            "sinusoidal_pos_embds is \"yes\"",
        ),
        (
            "bert",
            r#""pruned_heads": {"0": [1]}"#,
            "pruned_heads {\"0\":[1]}",
        ),
        (
            "bert",
            r#""quantization_config": {"bits": 4}"#,
            "quantization_config",
        ),
        (
            "bert",
            r#""auto_map": {"AutoModel": "jinaai/jina-bert--modeling_bert.JinaBertModel"}"#,
            "auto_map: AutoModel \"jinaai/",
        ),
        (
            "albert",
            r#""embedding_size": 128"#,
            "model_type \"albert\" is not known; bert, distilbert, roberta",
        ),
        (
            "electra",
            r#""embedding_size": 128"#,
            "model_type \"electra\"",
        ),
        ("mpnet", r#""hidden_size": 768"#, "model_type \"mpnet\""),
        (
            "modernbert",
            r#""rope_theta": 1.0"#,
            "model_type \"modernbert\"",
        ),
    ] {
        let folder = Folder::new().with("config.json", with(kind, field));
        assert!(folder.says("config.json", words) != Kind::Io);
    }
    for text in [
        "{}",
        r#"{"model_type": null}"#,
        r#"{"model_type": ["bert"]}"#,
    ] {
        Folder::new()
            .with("config.json", text)
            .says("config.json", "model_type");
    }
    let long = with(&"x".repeat(100_000), r#""a": 1"#);
    Folder::new()
        .with("config.json", long)
        .says("config.json", "xxx...\" is not known");
    for (kind, field) in [
        (
            "bert",
            r#""is_decoder": false, "add_cross_attention": null, "pruned_heads": {}"#,
        ),
        (
            "bert",
            r#""position_embedding_type": "absolute", "hidden_act": "gelu""#,
        ),
        (
            "bert",
            r#""pad_token_id": null, "hidden_dropout_prob": 0.1"#,
        ),
        (
            "distilbert",
            r#""sinusoidal_pos_embds": true, "activation": "gelu_python""#,
        ),
        (
            "distilbert",
            r#""is_decoder": true, "position_embedding_type": "x""#,
        ),
        ("bert", r#""auto_map": {"AutoModelForMaskedLM": "x.Y"}"#),
    ] {
        Folder::new()
            .with("config.json", with(kind, field))
            .opened();
    }
}

#[test]
fn absurd_sizes_are_one_line_before_anything_is_made() {
    let sizes = [
        ("bert", "hidden_size"),
        ("bert", "num_hidden_layers"),
        ("bert", "num_attention_heads"),
        ("bert", "intermediate_size"),
        ("bert", "vocab_size"),
        ("bert", "max_position_embeddings"),
        ("bert", "type_vocab_size"),
        ("roberta", "vocab_size"),
        ("distilbert", "dim"),
        ("distilbert", "hidden_size"),
        ("distilbert", "n_layers"),
        ("distilbert", "n_heads"),
        ("distilbert", "hidden_dim"),
    ];
    for (kind, key) in sizes {
        for (value, words) in [
            ("0", "is 0"),
            ("-1", "is -1, not a whole number"),
            ("12.5", "is 12.5, not a whole number"),
            ("12.0", "is 12.0, not a whole number"),
            ("\"12\"", "is \"12\", not a whole number"),
            ("null", "is null, not a whole number"),
            ("true", "is true, not a whole number"),
            ("[12]", "is [12], not a whole number"),
            ("{\"a\": {}}", "is {\"a\":{}}, not a whole number"),
            ("1e300", "is 1e+300, not a whole number"),
            ("1e999", "is not JSON"),
            ("18446744073709551615", "is 18446744073709551615, over"),
            ("18446744073709551616", "not a whole number"),
            ("1000000000", "is 1000000000, over"),
        ] {
            let text = with(kind, &format!("\"{key}\": {value}"));
            let folder = Folder::new().with("config.json", &text);
            folder.says("config.json", words);
            if !words.contains("JSON") {
                folder.says("config.json", key);
            }
        }
    }
    for (kind, field, words) in [
        (
            "bert",
            r#""hidden_size": 100"#,
            "hidden_size 100 is not a multiple of num_attention_heads 12",
        ),
        (
            "distilbert",
            r#""n_heads": 7"#,
            "dim 768 is not a multiple of n_heads 7",
        ),
        (
            "bert",
            r#""layer_norm_eps": -1e-5"#,
            "layer_norm_eps is -0.00001",
        ),
        ("bert", r#""layer_norm_eps": 0"#, "layer_norm_eps is 0"),
        (
            "bert",
            r#""layer_norm_eps": "1e-5""#,
            "layer_norm_eps is \"1e-5\"",
        ),
        (
            "bert",
            r#""layer_norm_eps": null"#,
            "layer_norm_eps is null",
        ),
        (
            "bert",
            r#""layer_norm_eps": 1e300"#,
            "layer_norm_eps is 1e+300",
        ),
        ("roberta", r#""pad_token_id": null"#, "pad_token_id is null"),
        ("roberta", r#""pad_token_id": -1"#, "pad_token_id is -1"),
        (
            "roberta",
            r#""pad_token_id": 511"#,
            "pad_token_id 511 the first position is 512",
        ),
        (
            "bert",
            r#""hidden_size": 16384, "num_hidden_layers": 256, "num_attention_heads": 64,
               "intermediate_size": 65536"#,
            "GiB of weights; encoders may have 64 GiB",
        ),
        (
            "bert",
            r#""hidden_size": 15360, "vocab_size": 4194304"#,
            "GiB of weights",
        ),
    ] {
        let folder = Folder::new().with("config.json", with(kind, field));
        folder.says("config.json", words);
    }
}

/// A config that a program put together itself, and runs of no or too many tokens.
#[test]
fn graphs_of_absurd_sizes_are_refused() {
    let build = |tokens, titles| TextBuild {
        tokens,
        titles,
        pool: TextPool::Cls,
    };
    let config = TextConfig::parse(CONFIG).unwrap();
    for (tokens, titles) in [
        (0, 1),
        (1, 0),
        (usize::MAX, 1),
        (1, usize::MAX),
        (1 << 21, 3),
    ] {
        let error = text_graph(&config, &build(tokens, titles)).unwrap_err();
        clear(&error);
        assert_eq!(error.kind(), Kind::Limit);
    }
    for change in [
        |c: &mut TextConfig| c.heads = 0,
        |c: &mut TextConfig| c.heads = 7,
        |c: &mut TextConfig| c.hidden = usize::MAX,
        |c: &mut TextConfig| c.layers = usize::MAX,
        |c: &mut TextConfig| c.inner = 0,
        |c: &mut TextConfig| c.positions = 0,
        |c: &mut TextConfig| c.first_position = 64,
        |c: &mut TextConfig| c.types = usize::MAX,
        |c: &mut TextConfig| c.vocabulary = usize::MAX,
    ] {
        let mut config = config.clone();
        change(&mut config);
        clear(&text_graph(&config, &build(8, 2)).unwrap_err());
    }
}
