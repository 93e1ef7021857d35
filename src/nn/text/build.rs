//! A text encoder's graph, over titles that stand one after the other.

use super::config::{TextConfig, TextFamily};
use super::folder::TextPool;
use crate::device::{Act, DType, Desc, Epilogue, Graph, Op, Scalar, Value};
use crate::error::{Error, Result};
use crate::limits;

/// How much a run takes, and what becomes of the tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TextBuild {
    /// Tokens of all titles.
    pub tokens: usize,
    /// Titles.
    pub titles: usize,
    /// How a title's tokens become one vector.
    pub pool: TextPool,
}

/// The graph of an encoder over `titles` titles that stand one after the other in `tokens` rows.
///
/// Inputs, all u32: `words [tokens]`, `positions [tokens]`, `types [tokens]` (where the encoder has token
/// types), `offsets [titles + 1]` (title `i` is in the rows from `offsets[i]` to `offsets[i + 1]`) and
/// with [`TextPool::Cls`] `starts [titles]`. Output: f32 `[titles, hidden]`, pooled and not normalised.
/// Weights have Hugging Face's keys and shapes, without the family's prefix; see [`crate::nn::params`].
///
/// # Errors
/// [`Kind::Limit`](crate::error::Kind::Limit) for no tokens or titles, or too many; sizes that do not go
/// together, as [`TextConfig::parse`] says.
pub fn text_graph(config: &TextConfig, build: &TextBuild) -> Result<Graph> {
    config.check()?;
    let limit = |what: &str, n: usize, most: usize| match (1..=most).contains(&n) {
        true => Ok(()),
        false => Err(Error::limit(format!("{n} {what}")).mend(format!("give 1 to {most}"))),
    };
    limit("tokens", build.tokens, limits::MAX_RUN_TOKENS)?;
    limit("titles", build.titles, limits::MAX_RUN_TOKENS)?;
    let mut net = Net {
        graph: Graph::new(),
        config,
        keys: Keys::of(config.family),
    };
    let rows = |n: usize| Desc::new(&[n], DType::U32);
    let words = net.graph.input("words", rows(build.tokens));
    let positions = net.graph.input("positions", rows(build.tokens));
    let types = (config.types > 0).then(|| net.graph.input("types", rows(build.tokens)));
    let offsets = net.graph.input("offsets", rows(build.titles + 1));
    let starts =
        (build.pool == TextPool::Cls).then(|| net.graph.input("starts", rows(build.titles)));
    let mut x = net.embed(words, positions, types)?;
    for layer in 0..config.layers {
        let last = layer + 1 == config.layers;
        x = net.layer(x, offsets, layer, starts.filter(|_| last))?;
    }
    let pooled = match build.pool {
        TextPool::Mean => net.graph.push(Op::SegmentMean, &[x, offsets])?,
        TextPool::Cls => x,
    };
    net.graph.output(&[pooled]);
    Ok(net.graph)
}

/// The names of a layer's parts.
struct Keys {
    layer: &'static str,
    query: &'static str,
    key: &'static str,
    value: &'static str,
    mixed: &'static str,
    mixed_norm: &'static str,
    wide: &'static str,
    narrow: &'static str,
    norm: &'static str,
}

impl Keys {
    fn of(family: TextFamily) -> Keys {
        match family {
            TextFamily::Bert | TextFamily::Roberta => Keys {
                layer: "encoder.layer",
                query: "attention.self.query",
                key: "attention.self.key",
                value: "attention.self.value",
                mixed: "attention.output.dense",
                mixed_norm: "attention.output.LayerNorm",
                wide: "intermediate.dense",
                narrow: "output.dense",
                norm: "output.LayerNorm",
            },
            TextFamily::DistilBert => Keys {
                layer: "transformer.layer",
                query: "attention.q_lin",
                key: "attention.k_lin",
                value: "attention.v_lin",
                mixed: "attention.out_lin",
                mixed_norm: "sa_layer_norm",
                wide: "ffn.lin1",
                narrow: "ffn.lin2",
                norm: "output_layer_norm",
            },
        }
    }
}

struct Net<'a> {
    graph: Graph,
    config: &'a TextConfig,
    keys: Keys,
}

impl Net<'_> {
    fn embed(&mut self, words: Value, positions: Value, types: Option<Value>) -> Result<Value> {
        let c = self.config;
        let mut sum = self.lookup("word_embeddings", c.vocabulary, words)?;
        if let Some(types) = types {
            let kind = self.lookup("token_type_embeddings", c.types, types)?;
            sum = self.graph.push(Op::Add, &[sum, kind])?;
        }
        let place = self.lookup("position_embeddings", c.positions, positions)?;
        sum = self.graph.push(Op::Add, &[sum, place])?;
        self.norm(sum, "embeddings.LayerNorm")
    }

    fn lookup(&mut self, table: &str, count: usize, rows: Value) -> Result<Value> {
        let key = format!("embeddings.{table}.weight");
        let table = self.graph.param(&key, &[count, self.config.hidden])?;
        self.graph.push(Op::Lookup, &[table, rows])
    }

    /// Attention and two products, a layer norm behind each (Vaswani et al. 2017, section 3.1). With
    /// `only`, what is behind the attention is done for these rows alone: nobody reads the others.
    fn layer(
        &mut self,
        x: Value,
        offsets: Value,
        layer: usize,
        only: Option<Value>,
    ) -> Result<Value> {
        let (hidden, inner, heads) = (self.config.hidden, self.config.inner, self.config.heads);
        let at = format!("{}.{layer}", self.keys.layer);
        let key = |part: &str| format!("{at}.{part}");
        let q = self.linear(x, &key(self.keys.query), hidden)?;
        let k = self.linear(x, &key(self.keys.key), hidden)?;
        let v = self.linear(x, &key(self.keys.value), hidden)?;
        let scale = Scalar::new(1.0 / ((hidden / heads) as f32).sqrt());
        let op = Op::Attention { heads, scale };
        let (mut mixed, mut x) = (self.graph.push(op, &[q, k, v, offsets])?, x);
        if let Some(rows) = only {
            mixed = self.graph.push(Op::Lookup, &[mixed, rows])?;
            x = self.graph.push(Op::Lookup, &[x, rows])?;
        }
        let mixed = self.linear(mixed, &key(self.keys.mixed), hidden)?;
        let sum = self.graph.push(Op::Add, &[mixed, x])?;
        let x = self.norm(sum, &key(self.keys.mixed_norm))?;
        let mut y = self.linear(x, &key(self.keys.wide), inner)?;
        if self.config.act != Act::None {
            y = self.graph.push(Op::Activation(self.config.act), &[y])?;
        }
        let y = self.linear(y, &key(self.keys.narrow), hidden)?;
        let sum = self.graph.push(Op::Add, &[y, x])?;
        self.norm(sum, &key(self.keys.norm))
    }

    /// `x W^T + b`
    fn linear(&mut self, x: Value, key: &str, out: usize) -> Result<Value> {
        let inner = self.graph.desc(x).dims[1];
        let weight = self.graph.param(&format!("{key}.weight"), &[out, inner])?;
        let bias = self.graph.param(&format!("{key}.bias"), &[out])?;
        let product = Op::Gemm {
            trans_a: false,
            trans_b: true,
            epilogue: Epilogue::BARE,
        };
        let y = self.graph.push(product, &[x, weight])?;
        self.graph.push(Op::Bias, &[y, bias])
    }

    fn norm(&mut self, x: Value, key: &str) -> Result<Value> {
        let hidden = [self.config.hidden];
        let gamma = self.graph.param(&format!("{key}.weight"), &hidden)?;
        let beta = self.graph.param(&format!("{key}.bias"), &hidden)?;
        let eps = Scalar::new(self.config.eps);
        self.graph.push(Op::LayerNorm { eps }, &[x, gamma, beta])
    }
}
