//! The keys of published text encoders: older names, and what a file may hold beside the encoder.

use super::config::TextFamily;

/// The name that a tensor has today: files from before 2019 call a layer norm's two `gamma` and `beta`.
pub(super) fn modern(name: &str) -> Option<String> {
    let of = |old: &str, new: &str| Some(format!("{}{new}", name.strip_suffix(old)?));
    of("LayerNorm.gamma", "LayerNorm.weight").or_else(|| of("LayerNorm.beta", "LayerNorm.bias"))
}

/// Whether published files of the family hold a weight of this key (the family's prefix taken off) that
/// the encoder has no use for: heads of other tasks, the pooler, counters.
pub fn text_known_extra(family: TextFamily, key: &str) -> bool {
    let own: &[&str] = match family {
        TextFamily::Bert => &["cls.", "pooler.", "classifier.", "qa_outputs."],
        TextFamily::DistilBert => &[
            "vocab_transform.",
            "vocab_layer_norm.",
            "vocab_projector.",
            "pre_classifier.",
            "classifier.",
            "qa_outputs.",
        ],
        TextFamily::Roberta => &["lm_head.", "pooler.", "classifier.", "qa_outputs."],
    };
    let known = own.iter().any(|prefix| key.starts_with(prefix));
    known || matches!(key, "embeddings.position_ids" | "embeddings.token_type_ids")
}

/// The same for a file whose encoder stands under `prefix`, which is taken off: heads stand beside the
/// encoder (`cls.predictions.bias` beside `bert.encoder...`), so under a shorter prefix or none.
pub(super) fn extra_beside(family: TextFamily, prefix: &str, key: &str) -> bool {
    let shorter = prefix.match_indices('.').map(|(dot, _)| &prefix[..=dot]);
    let mut rests = shorter.filter_map(|p| key.strip_prefix(p));
    text_known_extra(family, key) || rests.any(|rest| text_known_extra(family, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_stand_beside_the_encoder_under_any_part_of_its_prefix() {
        let bert = TextFamily::Bert;
        for (prefix, key) in [
            ("", "pooler.dense.weight"),
            ("bert.", "cls.predictions.bias"),
            ("model.bert.", "model.cls.predictions.bias"),
            ("0.auto_model.", "embeddings.position_ids"),
        ] {
            assert!(extra_beside(bert, prefix, key), "{prefix} {key}");
        }
        for (prefix, key) in [
            ("", "model.cls.predictions.bias"),
            ("model.bert.", "other.cls.predictions.bias"),
            ("bert.", "lm_head.bias"),
            ("bert.", "encoder.layer.12.output.dense.bias"),
            ("bert.", "clsx"),
        ] {
            assert!(!extra_beside(bert, prefix, key), "{prefix} {key}");
        }
        assert_eq!(
            modern("bert.embeddings.LayerNorm.gamma").as_deref(),
            Some("bert.embeddings.LayerNorm.weight")
        );
        assert_eq!(modern("gamma"), None);
    }
}
