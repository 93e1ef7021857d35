//! What is measured, listed from plans.

use std::collections::HashMap;

use super::search::TERMS;
use crate::device::{
    Act, DType, Desc, Device, Lower, Margin, MarginKind, Op, Plan, Precision, Scalar,
};
use crate::error::Result;
use crate::limits::MAX_CARD_K;
use crate::nn::text::{TextBuild, TextConfig, TextPool, text_graph};
use crate::nn::{self, Build};

/// How large the cases are.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sizes {
    /// Images of one run.
    pub batch: usize,
    /// Height and width of an image.
    pub side: usize,
    /// Titles of one run of BERT-base, of [`BERT_TOKENS`] tokens each.
    pub titles: usize,
    /// Rows of the searches.
    pub rows: usize,
    /// Classes of the losses.
    pub classes: usize,
    /// How values are stored.
    pub precision: Precision,
}

impl Sizes {
    /// The engine's own sizes at `batch` images: 512 px, 70,000 rows, 11,014 classes.
    pub fn whole(batch: usize, precision: Precision) -> Sizes {
        Sizes {
            batch,
            side: 512,
            titles: 8 * batch,
            rows: 70_000,
            classes: 11_014,
            precision,
        }
    }

    /// What runs in moments on the slowest device.
    pub fn small(precision: Precision) -> Sizes {
        Sizes {
            batch: 1,
            side: 64,
            titles: 3,
            rows: 300,
            classes: 101,
            precision,
        }
    }

    fn dtype(&self) -> DType {
        self.precision.dtype()
    }
}

/// Tokens of a title: the mean of real titles is about 20.
pub const BERT_TOKENS: usize = 20;
/// Neighbours of each row.
const K: usize = 50;
/// Dimensions of the rows that are searched: one encoder's, and three together.
const DIMS: [usize; 2] = [512, 1536];
/// Kinds of evidence that are swept together: images, TF-IDF, titles.
const SPACES: usize = 3;
/// Batches of the losses.
const LOSSES: [usize; 3] = [8, 64, 256];

/// Values of an embedding behind a head.
const HEAD: usize = 512;
/// The papers' margins.
const MARGINS: [(MarginKind, f32); 3] = [
    (MarginKind::Arc, 0.5),
    (MarginKind::Cos, 0.35),
    (MarginKind::Curricular, 0.5),
];

/// The sizes of BERT-base.
const BERT_BASE: &str = r#"{"model_type": "bert", "hidden_size": 768, "num_hidden_layers": 12,
    "num_attention_heads": 12, "intermediate_size": 3072, "hidden_act": "gelu", "layer_norm_eps": 1e-12,
    "max_position_embeddings": 512, "type_vocab_size": 2, "vocab_size": 30522, "pad_token_id": 0}"#;

/// One thing to measure.
#[derive(Debug, Clone, PartialEq)]
pub struct Case {
    /// For people and filters: the operation, its shapes and what is fused.
    pub name: String,
    /// What runs.
    pub work: Work,
    /// Who asks for it, and how often in one run.
    pub uses: Vec<(String, usize)>,
}

/// What runs.
#[derive(Debug, Clone, PartialEq)]
pub enum Work {
    /// An operation of the catalogue on inputs of these shapes.
    Op(Op, Vec<Desc>),
    /// [`Device::topk_dense`] of f32 rows with themselves.
    TopK {
        /// How many rows.
        rows: usize,
        /// Dimensions of each.
        dims: usize,
        /// Neighbours of each.
        k: usize,
    },
    /// A search of another kind, of rows among themselves, from the host and back.
    Search(Search),
    /// [`Device::sweep`] over lists of 50 neighbours a row, from the host and back.
    Sweep {
        /// How many rows.
        rows: usize,
        /// How many lists each has.
        spaces: usize,
    },
}

/// A search of rows that are not dense ones alone.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Search {
    /// Of TF-IDF rows.
    Sparse {
        /// How many rows.
        rows: usize,
        /// Neighbours of each.
        k: usize,
    },
    /// Of hashes of 64 bits.
    Hamming {
        /// How many hashes.
        rows: usize,
        /// Neighbours of each.
        k: usize,
    },
    /// Of dense rows and TF-IDF rows by one score.
    Fused {
        /// How many rows.
        rows: usize,
        /// Dimensions of each dense one.
        dims: usize,
        /// Neighbours of each.
        k: usize,
    },
}

impl Search {
    /// Neighbours of each row.
    pub fn k(self) -> usize {
        match self {
            Search::Sparse { k, .. } | Search::Hamming { k, .. } | Search::Fused { k, .. } => k,
        }
    }

    /// As [`Work::cost`]. What terms in common cost depends on the titles, and is not counted.
    fn cost(self) -> (u64, u64) {
        let values = TERMS as u64 * 12;
        match self {
            Search::Sparse { rows, k } => (0, rows as u64 * (values + 12 * k as u64)),
            Search::Hamming { rows, k } => (0, rows as u64 * (8 + 12 * k as u64)),
            Search::Fused { rows, dims, k } => {
                let (rows, dims, k) = (rows as u64, dims as u64, k as u64);
                (2 * rows * rows * dims, rows * (4 * dims + values + 12 * k))
            }
        }
    }
}

impl Work {
    /// Floating-point operations, and bytes with each value once.
    ///
    /// # Errors
    /// As [`Op::cost`].
    pub fn cost(&self) -> Result<(u64, u64)> {
        match self {
            Work::Op(op, ins) => op.cost(ins).map(|cost| (cost.flops, cost.bytes)),
            &Work::TopK { rows, dims, k } => {
                let (rows, dims, k) = (rows as u64, dims as u64, k as u64);
                // A neighbour is its row and its score: 4 bytes and 8.
                Ok((2 * rows * rows * dims, rows * (4 * dims + 12 * k)))
            }
            &Work::Search(search) => Ok(search.cost()),
            &Work::Sweep { rows, spaces } => Ok((0, (rows * spaces * K * 12) as u64)),
        }
    }
}

/// Every case on `device`, each shape once however many encoders have it.
///
/// # Errors
/// A size that an encoder does not take, named.
pub fn cases(device: &dyn Device, sizes: &Sizes) -> Result<Vec<Case>> {
    let how = Lower::Infer(sizes.precision);
    let mut list = List::default();
    for arch in nn::architectures() {
        let graph = nn::graph(arch, &Build::new(sizes.batch, sizes.side))?;
        for (op, ins) in Plan::shapes_on(&graph, device, how)? {
            list.add(op, ins, arch.name);
        }
    }
    let build = TextBuild {
        tokens: sizes.titles * BERT_TOKENS,
        titles: sizes.titles,
        pool: TextPool::Mean,
    };
    let bert = text_graph(&TextConfig::parse(BERT_BASE)?, &build)?;
    for (op, ins) in Plan::shapes_on(&bert, device, how)? {
        list.add(op, ins, "bert-base");
    }
    for batch in LOSSES {
        let logits = Desc::new(&[batch, sizes.classes], sizes.dtype());
        let labels = Desc::new(&[batch], DType::U32);
        list.add(
            Op::SoftmaxCrossEntropy,
            vec![logits, labels.clone()],
            "losses",
        );
        // The heads of ArcFace and its kin: cosines of embeddings and classes, then the loss.
        let rows = [batch, sizes.classes].map(|n| Desc::new(&[n, HEAD], sizes.dtype()));
        list.add(Op::RowProducts, rows.to_vec(), "losses");
        for (kind, margin) in MARGINS {
            let op = Op::MarginLoss(Margin {
                kind,
                margin: Scalar::new(margin),
                scale: Scalar::new(64.0),
            });
            let cosines = Desc::new(&[batch, sizes.classes], DType::F32);
            let mut ins = vec![cosines, labels.clone()];
            ins.extend((kind == MarginKind::Curricular).then(|| Desc::new(&[1], DType::F32)));
            list.add(op, ins, "losses");
        }
    }
    let mut cases = list.cases;
    cases.extend(searches(sizes.rows));
    cases.push(Case {
        name: format!("sweep {} rows, {SPACES} spaces", sizes.rows),
        work: Work::Sweep {
            rows: sizes.rows,
            spaces: SPACES,
        },
        uses: vec![("matching".into(), 1)],
    });
    Ok(cases)
}

/// Every kind of search of so many rows among themselves.
fn searches(rows: usize) -> Vec<Case> {
    let case = |name: String, work: Work| Case {
        name,
        work,
        uses: vec![("search".into(), 1)],
    };
    let dense = |dims: usize, k: usize| {
        let k = k.min(rows);
        case(
            format!("topk {rows}x{dims} top-{k}"),
            Work::TopK { rows, dims, k },
        )
    };
    let mut cases: Vec<Case> = DIMS.iter().map(|&dims| dense(dims, K)).collect();
    cases.push(dense(DIMS[1], MAX_CARD_K));
    let (k, dims) = (K.min(rows), DIMS[0]);
    for (name, search) in [
        (format!("sparse {rows} rows"), Search::Sparse { rows, k }),
        (
            format!("hamming {rows} hashes"),
            Search::Hamming { rows, k },
        ),
        (
            format!("fused {rows}x{dims} and sparse"),
            Search::Fused { rows, dims, k },
        ),
    ] {
        cases.push(case(format!("topk {name} top-{k}"), Work::Search(search)));
    }
    cases
}

#[derive(Default)]
struct List {
    cases: Vec<Case>,
    at: HashMap<(Op, Vec<Desc>), usize>,
}

impl List {
    fn add(&mut self, op: Op, ins: Vec<Desc>, user: &str) {
        // The same bytes under another shape: nothing runs.
        if op == Op::Flatten {
            return;
        }
        let at = *self.at.entry((op, ins.clone())).or_insert_with(|| {
            self.cases.push(Case {
                name: name(&op, &ins),
                work: Work::Op(op, ins),
                uses: Vec::new(),
            });
            self.cases.len() - 1
        });
        let uses = &mut self.cases[at].uses;
        match uses.iter_mut().find(|(name, _)| name == user) {
            Some((_, times)) => *times += 1,
            None => uses.push((user.to_string(), 1)),
        }
    }
}

/// `gemm f16 16384x64 256x64 nt bias relu`.
fn name(op: &Op, ins: &[Desc]) -> String {
    let shape = |d: &Desc| {
        d.dims
            .iter()
            .map(usize::to_string)
            .collect::<Vec<_>>()
            .join("x")
    };
    let shapes: Vec<String> = match op {
        Op::Gemm { .. } | Op::Conv { .. } | Op::ConvAverage { .. } | Op::RowProducts => {
            ins.iter().take(2).map(shape).collect()
        }
        Op::ExpandDepthwise { .. } | Op::SqueezeExcite { .. } => {
            ins.iter().take(3).map(shape).collect()
        }
        Op::Concat | Op::Affine { .. } => vec![format!("{} parts", ins.len()), shape(&ins[0])],
        _ => ins.iter().take(1).map(shape).collect(),
    };
    let mut words = vec![op.name().to_string(), ins[0].dtype.to_string()];
    words.extend(shapes);
    let flag = |on: bool, word: &str| on.then(|| word.to_string());
    let (epilogue, act) = match *op {
        Op::Gemm {
            trans_a,
            trans_b,
            epilogue,
        } => {
            let letter = |t| if t { 't' } else { 'n' };
            words.push(format!("{}{}", letter(trans_a), letter(trans_b)));
            (Some(epilogue), epilogue.act)
        }
        Op::Conv {
            window,
            groups,
            gate,
            epilogue,
        } => {
            let [height, width] = window.kernel;
            words.push(format!("{height}x{width}/{}", window.stride[0]));
            words.extend((groups > 1).then(|| format!("{groups} groups")));
            words.extend(flag(gate, "gate"));
            (Some(epilogue), epilogue.act)
        }
        Op::ConvAverage {
            window,
            groups,
            epilogue,
        } => {
            let [height, width] = window.kernel;
            words.push(format!("{height}x{width}/{}", window.stride[0]));
            words.extend((groups > 1).then(|| format!("{groups} groups")));
            (Some(epilogue), epilogue.act)
        }
        Op::ExpandDepthwise {
            window, epilogue, ..
        } => {
            let [height, width] = window.kernel;
            words.push(format!("{height}x{width}/{}", window.stride[0]));
            (Some(epilogue), epilogue.act)
        }
        Op::SqueezeExcite { squeeze, .. } => (None, squeeze.act),
        Op::Margin(m) | Op::MarginLoss(m) => {
            words.push(format!("{:?}", m.kind).to_lowercase());
            (None, Act::None)
        }
        Op::Activation(act) | Op::ActivationGrad(act) | Op::Affine { act } => (None, act),
        Op::Gated { act, .. } => (None, act),
        _ => (None, Act::None),
    };
    if let Some(e) = epilogue {
        words.extend(flag(e.scale, "scale"));
        words.extend(flag(e.bias, "bias"));
        words.extend(flag(e.residual, "residual"));
    }
    words.extend((act != Act::None).then(|| format!("{act:?}").to_lowercase()));
    words.join(" ")
}
