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
