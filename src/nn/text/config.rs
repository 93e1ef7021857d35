//! What a transformer is made of, as its config.json says.

use serde_json::{Map, Value};

use super::json::{self, shown};
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

/// The values of `model_type` that are read.
const KNOWN: &str = "bert, distilbert, roberta, xlm-roberta and camembert are";

impl TextConfig {
    /// Reads the text of a config.json. What it does not say is what transformers takes then: the
    /// sizes of the family's base model. Fields that change no vector (dropout, types of numbers, the
    /// training's own) are not looked at; DistilBERT's layer norms have an eps of 1e-12 whatever the
    /// file says, as transformers has them.
    ///
    /// # Errors
    /// What is not JSON; a family or a form of it that is not known (positions that are not a table's,
    /// decoders, another GELU than the exact one, code of its own); a size that is not a whole number,
    /// is zero or beyond [`limits`]; a hidden size that the heads do not divide.
    pub fn parse(text: &str) -> Result<TextConfig> {
        let fields = Fields(json::object(text)?);
        let (family, words) = fields.family()?;
        fields.refuse(family)?;
        let names = Names::of(family);
        let config = TextConfig {
            family,
            hidden: fields.size(names.hidden, 768, limits::MAX_HIDDEN)?,
            layers: fields.size(names.layers, names.depth, limits::MAX_LAYERS)?,
            heads: fields.size(names.heads, 12, limits::MAX_HIDDEN)?,
            inner: fields.size(names.inner, 3072, limits::MAX_INNER)?,
            vocabulary: fields.size(&["vocab_size"], words, limits::MAX_VOCABULARY)?,
            positions: fields.size(&["max_position_embeddings"], 512, limits::MAX_POSITIONS)?,
            types: match family {
                TextFamily::DistilBert => 0,
                _ => fields.size(&["type_vocab_size"], 2, limits::MAX_POSITIONS)?,
            },
            first_position: match family {
                TextFamily::Roberta => {
                    1 + fields.count("pad_token_id", 1, limits::MAX_POSITIONS)?
                }
                _ => 0,
            },
            eps: match family {
                TextFamily::DistilBert => 1e-12,
                _ => fields.eps()?,
            },
            act: fields.act(names.act)?,
        };
        config.check()?;
        Ok(config)
    }

    /// That a graph can be made: all sizes within [`limits`], and going together.
    pub(super) fn check(&self) -> Result<()> {
        let sizes = [
            ("values of a token", self.hidden, limits::MAX_HIDDEN),
            ("layers", self.layers, limits::MAX_LAYERS),
            ("heads", self.heads, limits::MAX_HIDDEN),
            ("values between products", self.inner, limits::MAX_INNER),
            ("words", self.vocabulary, limits::MAX_VOCABULARY),
            ("positions", self.positions, limits::MAX_POSITIONS),
            ("token types", self.types.max(1), limits::MAX_POSITIONS),
        ];
        for (what, n, most) in sizes {
            if !(1..=most).contains(&n) {
                let message = format!("an encoder with {n} {what}");
                return Err(Error::limit(message).mend(format!("1 to {most} are possible")));
            }
        }
        let names = Names::of(self.family);
        if !self.hidden.is_multiple_of(self.heads) {
            let message = format!(
                "{} {} is not a multiple of {} {}",
                names.hidden[0], self.hidden, names.heads[0], self.heads
            );
            return Err(Error::input(message).mend(OTHER));
        }
        if self.first_position >= self.positions {
            let message = format!(
                "has max_position_embeddings {}, and with pad_token_id {} the first position is {}",
                self.positions,
                self.first_position.saturating_sub(1),
                self.first_position
            );
            return Err(Error::input(message).mend(OTHER));
        }
        let bytes = self.parameters() * 4;
        if bytes > limits::MAX_TEXT_BYTES {
            let most = limits::MAX_TEXT_BYTES >> 30;
            let message = format!("asks for {} GiB of weights", bytes >> 30);
            return Err(Error::limit(message).mend(format!("encoders may have {most} GiB")));
        }
        Ok(())
    }

    /// The most tokens of a title, special ones included.
    pub fn max_tokens(&self) -> usize {
        self.positions - self.first_position
    }

    /// That a tokenizer which gives ids below `ids` fits the table of words. Call it before weights are
    /// packed: the check of each title would find such an id only when one comes.
    ///
    /// # Errors
    /// [`Kind::Input`](crate::error::Kind::Input) when there are more ids than words; both are named.
    pub fn check_ids(&self, ids: usize) -> Result<()> {
        match ids <= self.vocabulary {
            true => Ok(()),
            false => Err(Error::input(format!(
                "the tokenizer has ids up to {}, and vocab_size is {}",
                ids - 1,
                self.vocabulary
            ))
            .mend("fetch the tokenizer and the weights of the same encoder")),
        }
    }

    /// How many weights the encoder is published with: those that run, and the pooler of BERT and
    /// RoBERTa, which does not (sentence-transformers pools the last layer's tokens itself).
    pub fn parameters(&self) -> u64 {
        let [hidden, inner] = [self.hidden as u64, self.inner as u64];
        let rows = (self.vocabulary + self.positions + self.types) as u64;
        let norm = 2 * hidden;
        let square = hidden * (hidden + 1);
        let layer = 4 * square + 2 * norm + hidden * inner + inner + inner * hidden + hidden;
        let pooler = match self.family {
            TextFamily::DistilBert => 0,
            TextFamily::Bert | TextFamily::Roberta => square,
        };
        rows * hidden + norm + self.layers as u64 * layer + pooler
    }
}

/// What to do about a config.json that makes no encoder.
const OTHER: &str = "fetch config.json again, or take another encoder";

/// How a family calls its sizes; DistilBERT's may stand under BERT's names too.
struct Names {
    hidden: &'static [&'static str],
    layers: &'static [&'static str],
    heads: &'static [&'static str],
    inner: &'static [&'static str],
    act: &'static str,
    /// Layers where the file does not say.
    depth: usize,
}

impl Names {
    fn of(family: TextFamily) -> Names {
        match family {
            TextFamily::Bert | TextFamily::Roberta => Names {
                hidden: &["hidden_size"],
                layers: &["num_hidden_layers"],
                heads: &["num_attention_heads"],
                inner: &["intermediate_size"],
                act: "hidden_act",
                depth: 12,
            },
            TextFamily::DistilBert => Names {
                hidden: &["dim", "hidden_size"],
                layers: &["n_layers", "num_hidden_layers"],
                heads: &["n_heads", "num_attention_heads"],
                inner: &["hidden_dim"],
                act: "activation",
                depth: 6,
            },
        }
    }
}

/// The fields of a config.json.
struct Fields(Map<String, Value>);

impl Fields {
    /// The family, and how many words it has where the file does not say.
    fn family(&self) -> Result<(TextFamily, usize)> {
        let Some(name) = self.0.get("model_type") else {
            return Err(Error::input("has no model_type").mend(format!("{KNOWN} known")));
        };
        match name.as_str() {
            Some("bert") => Ok((TextFamily::Bert, 30522)),
            Some("distilbert") => Ok((TextFamily::DistilBert, 30522)),
            Some("roberta") => Ok((TextFamily::Roberta, 50265)),
            Some("xlm-roberta" | "camembert") => Ok((TextFamily::Roberta, 30522)),
            _ => {
                let message = format!("model_type {} is not known", shown(name));
                Err(Error::unsupported(message).mend(KNOWN))
            }
        }
    }

    /// Refuses forms of the families that give other vectors.
    fn refuse(&self, family: TextFamily) -> Result<()> {
        let no = |key: &str, value: &Value, mend: &str| {
            let message = format!("{key} {} is not known", shown(value));
            Err(Error::unsupported(message).mend(mend))
        };
        // Published under names such as bert, with arithmetic that only their own code knows.
        if let Some(code) = self.0.get("auto_map").and_then(|m| m.get("AutoModel")) {
            let mend = "take an encoder that transformers runs without trust_remote_code";
            return no("auto_map: AutoModel", code, mend);
        }
        if family == TextFamily::DistilBert {
            // Its table of positions is published whether it was computed or learnt.
            json::flag(&self.0, "sinusoidal_pos_embds")?;
        } else {
            let kind = self.0.get("position_embedding_type");
            if let Some(kind) = kind.filter(|k| k.as_str() != Some("absolute")) {
                let mend = "take an encoder with \"absolute\" positions";
                return no("position_embedding_type", kind, mend);
            }
            for key in ["is_decoder", "add_cross_attention"] {
                if json::flag(&self.0, key)? {
                    let mend = "take an encoder: its tokens see those behind them too";
                    return no(key, &Value::Bool(true), mend);
                }
            }
        }
        let empty = |v: &Value| match v {
            Value::Null => true,
            Value::Object(fields) => fields.is_empty(),
            _ => false,
        };
        for (key, mend) in [
            ("pruned_heads", "save the encoder without pruned heads"),
            (
                "quantization_config",
                "take the weights in F32, F16 or BF16",
            ),
        ] {
            if let Some(value) = self.0.get(key).filter(|v| !empty(v)) {
                return no(key, value, mend);
            }
        }
        Ok(())
    }

    /// A whole number from 1 to `most` under one of `keys`, `default` where there is none.
    fn size(&self, keys: &[&'static str], default: usize, most: usize) -> Result<usize> {
        let mut found = None;
        for &key in keys.iter().filter(|&&key| self.0.contains_key(key)) {
            let n = self.count(key, default, most)?;
            if n == 0 {
                let message = format!("{key} is 0");
                return Err(Error::input(message).mend(format!("1 to {most} are possible")));
            }
            if let Some((other, m)) = found.filter(|&(_, m)| m != n) {
                let message = format!("{other} is {m}, but {key}, another name for it, is {n}");
                return Err(Error::input(message).mend("leave the right one"));
            }
            found = Some((key, n));
        }
        Ok(found.map_or(default, |(_, n)| n))
    }

    /// A whole number up to `most`, `default` where it is missing.
    fn count(&self, key: &'static str, default: usize, most: usize) -> Result<usize> {
        let Some(value) = self.0.get(key) else {
            return Ok(default);
        };
        json::whole(key, value, most)
    }

    fn eps(&self) -> Result<f32> {
        let Some(value) = self.0.get("layer_norm_eps") else {
            return Ok(1e-12);
        };
        match value.as_f64().map(|e| e as f32) {
            Some(eps) if eps > 0.0 && eps <= 1.0 => Ok(eps),
            _ => {
                let message = format!("layer_norm_eps is {}", shown(value));
                Err(Error::input(message).mend("a number above 0 and up to 1 is possible"))
            }
        }
    }

    fn act(&self, key: &'static str) -> Result<Act> {
        let Some(value) = self.0.get(key) else {
            return Ok(Act::Gelu);
        };
        match value.as_str() {
            Some("gelu" | "gelu_python") => Ok(Act::Gelu),
            Some("relu") => Ok(Act::Relu),
            Some("silu" | "swish") => Ok(Act::Silu),
            Some("mish") => Ok(Act::Mish),
            Some("sigmoid") => Ok(Act::Sigmoid),
            Some("linear") => Ok(Act::None),
            _ => {
                let message = format!("{key} {} is not known", shown(value));
                let mend = "gelu (the exact one), relu, silu, swish, mish, sigmoid and linear are";
                Err(Error::unsupported(message).mend(mend))
            }
        }
    }
}

#[cfg(test)]
mod tests;
