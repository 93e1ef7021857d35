//! What a transformer is made of, as its config.json says.

use serde_json::{Map, Value};

use crate::device::Act;
use crate::error::{Error, Result};
use crate::limits;

/// Which published form an encoder has: its keys, and how positions are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TextFamily {
    /// BERT (Devlin et al. 2019), MiniLM and the like: `model_type` bert.
    Bert,
    /// DistilBERT (Sanh et al. 2019): no token types, keys of its own.
    DistilBert,
    /// RoBERTa (Liu et al. 2019), DistilRoBERTa, XLM-RoBERTa, CamemBERT: positions count from the
    /// padding's id plus one.
    Roberta,
}

/// An encoder's sizes.
#[derive(Debug, Clone, PartialEq)]
pub struct TextConfig {
    /// Which keys, and how positions count.
    pub family: TextFamily,
    /// Values of a token.
    pub hidden: usize,
    /// Layers.
    pub layers: usize,
    /// Attention heads of a layer; `hidden` is a multiple.
    pub heads: usize,
    /// Values of a token between a layer's two last products.
    pub inner: usize,
    /// Rows of the table of words.
    pub vocabulary: usize,
    /// Rows of the table of positions.
    pub positions: usize,
    /// Rows of the table of token types; 0 where there is none.
    pub types: usize,
    /// The position of a title's first token.
    pub first_position: usize,
    /// Added to the variance by layer norms.
    pub eps: f32,
    /// Between a layer's two last products.
    pub act: Act,
}

impl TextConfig {
    /// Reads the text of a config.json.
    ///
    /// # Errors
    /// What is not JSON; a family or a form of it that is not known; a size that is missing, not a whole
    /// number, zero or beyond [`limits`]; a hidden size that the heads do not divide.
    pub fn parse(text: &str) -> Result<TextConfig> {
        let value: Value =
            serde_json::from_str(text).map_err(|e| Error::input(format!("is not JSON: {e}")))?;
        let Value::Object(fields) = value else {
            return Err(Error::input("is not an object"));
        };
        let fields = Fields(fields);
        let family = fields.family()?;
        let distil = family == TextFamily::DistilBert;
        let name = |bert: &'static str, own: &'static str| if distil { own } else { bert };
        let pad = fields.count("pad_token_id", 1, limits::MAX_VOCABULARY, true)?;
        let config = TextConfig {
            family,
            hidden: fields.size(name("hidden_size", "dim"), limits::MAX_HIDDEN)?,
            layers: fields.size(name("num_hidden_layers", "n_layers"), limits::MAX_LAYERS)?,
            heads: fields.size(name("num_attention_heads", "n_heads"), limits::MAX_HIDDEN)?,
            inner: fields.size(name("intermediate_size", "hidden_dim"), limits::MAX_INNER)?,
            vocabulary: fields.size("vocab_size", limits::MAX_VOCABULARY)?,
            positions: fields.size("max_position_embeddings", limits::MAX_POSITIONS)?,
            types: match distil {
                true => 0,
                false => fields.count("type_vocab_size", 2, limits::MAX_POSITIONS, false)?,
            },
            first_position: match family {
                TextFamily::Roberta => pad + 1,
                _ => 0,
            },
            eps: fields.eps()?,
            act: fields.act(name("hidden_act", "activation"))?,
        };
        if !config.hidden.is_multiple_of(config.heads) {
            return Err(Error::input(format!(
                "hidden size {} is not a multiple of its {} heads",
                config.hidden, config.heads
            )));
        }
        if config.first_position >= config.positions {
            return Err(Error::input(format!(
                "has {} positions, and the first is {}",
                config.positions, config.first_position
            )));
        }
        Ok(config)
    }

    /// The most tokens of a title, special ones included.
    pub fn max_tokens(&self) -> usize {
        self.positions - self.first_position
    }
}

/// The fields of a config.json.
struct Fields(Map<String, Value>);

impl Fields {
    fn family(&self) -> Result<TextFamily> {
        let known = "bert, distilbert, roberta, xlm-roberta and camembert are";
        let Some(name) = self.0.get("model_type").and_then(Value::as_str) else {
            return Err(Error::input("has no model_type").mend(format!("{known} known")));
        };
        match name {
            "bert" => Ok(TextFamily::Bert),
            "distilbert" => Ok(TextFamily::DistilBert),
            "roberta" | "xlm-roberta" | "camembert" => Ok(TextFamily::Roberta),
            other => Err(
                Error::unsupported(format!("model_type {other:?} is not known"))
                    .mend(known.to_string()),
            ),
        }
    }

    /// A whole number from 1 to `most`.
    fn size(&self, key: &'static str, most: usize) -> Result<usize> {
        match self.count(key, 0, most, true)? {
            0 => Err(Error::input(format!("{key} is missing or 0"))),
            n => Ok(n),
        }
    }

    /// A whole number up to `most`, `default` where it is missing (or null).
    fn count(&self, key: &'static str, default: usize, most: usize, _zero: bool) -> Result<usize> {
        let value = match self.0.get(key) {
            None | Some(Value::Null) => return Ok(default),
            Some(value) => value,
        };
        match value.as_u64() {
            Some(n) if n <= most as u64 => Ok(n as usize),
            Some(n) => Err(Error::limit(format!("{key} is {n}, over {most}"))),
            None => Err(Error::input(format!(
                "{key} is {value}, not a whole number"
            ))),
        }
    }

    fn eps(&self) -> Result<f32> {
        match self.0.get("layer_norm_eps") {
            None | Some(Value::Null) => Ok(1e-12),
            Some(value) => match value.as_f64().map(|e| e as f32) {
                Some(eps) if eps.is_finite() && eps >= 0.0 => Ok(eps),
                _ => Err(Error::input(format!("layer_norm_eps is {value}"))),
            },
        }
    }

    fn act(&self, key: &'static str) -> Result<Act> {
        match self.0.get(key).map(|v| v.as_str().unwrap_or("")) {
            None | Some("gelu") => Ok(Act::Gelu),
            Some("relu") => Ok(Act::Relu),
            Some("silu" | "swish") => Ok(Act::Silu),
            Some("mish") => Ok(Act::Mish),
            Some(other) => Err(Error::unsupported(format!("{key} {other:?} is not known"))
                .mend("gelu, relu, silu and mish are")),
        }
    }
}
