use super::*;

fn refused(text: &str) -> String {
    let line = TextConfig::parse(text).unwrap_err().to_string();
    assert!(!line.contains('\n'), "{line}");
    line
}

/// The sizes of published encoders as their config.json has them, and how many parameters transformers'
/// own models have.
#[test]
fn published_encoders_have_their_published_numbers_of_parameters() {
    let roberta = r#""vocab_size": 50265, "max_position_embeddings": 514, "type_vocab_size": 1,
        "layer_norm_eps": 1e-05, "pad_token_id": 1"#;
    let minilm = r#""hidden_size": 384, "num_attention_heads": 12, "intermediate_size": 1536"#;
    for (name, text, parameters) in [
        (
            "bert-base-uncased",
            r#"{"model_type": "bert"}"#.into(),
            109_482_240,
        ),
        (
            "bert-large-uncased",
            r#"{"model_type": "bert", "hidden_size": 1024, "num_hidden_layers": 24,
                "num_attention_heads": 16, "intermediate_size": 4096, "vocab_size": 30522}"#
                .into(),
            335_141_888,
        ),
        (
            "bert-base-multilingual-uncased",
            r#"{"model_type": "bert", "vocab_size": 105879}"#.into(),
            167_356_416,
        ),
        (
            "distilbert-base-uncased",
            r#"{"model_type": "distilbert", "dim": 768, "n_layers": 6, "n_heads": 12,
                "hidden_dim": 3072, "vocab_size": 30522, "max_position_embeddings": 512}"#
                .into(),
            66_362_880,
        ),
        (
            "roberta-base",
            format!(r#"{{"model_type": "roberta", {roberta}}}"#),
            124_645_632,
        ),
        (
            "distilroberta-base",
            format!(r#"{{"model_type": "roberta", "num_hidden_layers": 6, {roberta}}}"#),
            82_118_400,
        ),
        (
            "xlm-roberta-base",
            format!(
                r#"{{"model_type": "xlm-roberta", {}}}"#,
                roberta.replace("50265", "250002")
            ),
            278_043_648,
        ),
        (
            "MiniLM-L6-H384-uncased",
            format!(r#"{{"model_type": "bert", "num_hidden_layers": 6, {minilm}}}"#),
            22_713_216,
        ),
        (
            "MiniLM-L12-H384-uncased",
            format!(r#"{{"model_type": "bert", {minilm}}}"#),
            33_360_000,
        ),
    ] {
        let config = TextConfig::parse(&text).unwrap();
        assert_eq!(config.parameters(), parameters, "{name}");
    }
}

/// What transformers 5 takes where a config.json says nothing.
#[test]
fn what_is_not_said_is_the_familys_default() {
    for (kind, parameters, first) in [
        ("bert", 109_482_240, 0),
        ("distilbert", 66_362_880, 0),
        ("roberta", 124_644_864, 2),
        ("xlm-roberta", 109_482_240, 2),
        ("camembert", 109_482_240, 2),
    ] {
        let config = TextConfig::parse(&format!(r#"{{"model_type": "{kind}"}}"#)).unwrap();
        assert_eq!(config.parameters(), parameters, "{kind}");
        assert_eq!(config.first_position, first, "{kind}");
        assert_eq!((config.eps, config.act), (1e-12, Act::Gelu), "{kind}");
        assert_eq!(config.max_tokens(), 512 - first);
    }
    let text = r#"{"model_type": "distilbert", "hidden_size": 24, "num_attention_heads": 2,
        "num_hidden_layers": 1, "layer_norm_eps": 1e-5, "sinusoidal_pos_embds": true}"#;
    let config = TextConfig::parse(text).unwrap();
    assert_eq!((config.hidden, config.heads, config.layers), (24, 2, 1));
    assert_eq!((config.eps, config.types), (1e-12, 0));
    let text = r#"{"model_type": "distilbert", "hidden_size": 24, "dim": 48}"#;
    assert!(refused(text).contains("dim is 48, but hidden_size"));
}

#[test]
fn a_config_that_was_put_together_by_hand_is_checked_too() {
    let mut config = TextConfig::parse(r#"{"model_type": "bert"}"#).unwrap();
    config.heads = 0;
    assert!(config.check().unwrap_err().to_string().contains("0 heads"));
    config.heads = usize::MAX;
    assert!(config.check().is_err());
    config.heads = 12;
    config.check_ids(30522).unwrap();
    let line = config.check_ids(30523).unwrap_err().to_string();
    assert!(
        line.contains("30522") && line.contains("ids up to 30522"),
        "{line}"
    );
    let line = config.check_ids(40000).unwrap_err().to_string();
    assert!(line.contains("39999") && line.contains("30522"), "{line}");
}
