//! Lists and rows that stay on the card: [`Fusion`] of a card.

use std::sync::Arc;

use bytemuck::{Pod, Zeroable};

use super::driver::{Kernel, Stream};
use super::engine::GpuDevice;
use super::launch_fusion_dense as dense;
use super::launch_fusion_rule::{self as rules, RuleTuning, Who};
use super::launch_fusion_sparse as sparse;
use super::launch_topk::{self, TopKTuning};
use super::memory::Card;
use crate::device::desc::{Buf, DType, Desc, Mem};
use crate::device::fusion::{CardLists, CardRows, FiredRows, Fusion, Mixing, RuleProgram};
use crate::error::{Error, Result};
use crate::limits::MAX_CARD_SIDE;
use crate::lists::Lists;
use crate::tensor::{Matrix, Rows};

/// A kernel of this family.
pub(super) const fn kernel(symbol: &'static str) -> Kernel {
    Kernel {
        family: "fusion",
        symbol,
    }
}

/// The first `count` values of `T` in `mem`.
pub(super) fn read<T: Pod + Zeroable>(
    card: &Card,
    mem: &Arc<dyn Mem>,
    count: usize,
    stream: Stream,
) -> Result<Vec<T>> {
    let mut values = vec![T::zeroed(); count];
    let bytes = bytemuck::cast_slice_mut(&mut values);
    // A buffer of words, so that its bounds and its device are checked.
    let desc = Desc::new(&[bytes.len() / 4], DType::U32);
    card.download(&Buf::new(desc, Arc::clone(mem), 0)?, bytes, stream)?;
    Ok(values)
}

/// Refuses memory of another device, and less of it than `bytes`.
pub(super) fn owns(card: &Card, mem: &Arc<dyn Mem>, bytes: usize) -> Result<()> {
    let desc = Desc::new(&[bytes.div_ceil(4)], DType::U32);
    card.owns(&Buf::new(desc, Arc::clone(mem), 0)?)
}

/// Refuses lists that are not this card's.
pub(super) fn owns_lists(card: &Card, lists: &CardLists) -> Result<()> {
    owns(card, &lists.rows, 0)?;
    owns(card, &lists.scores, 0)?;
    owns(card, &lists.counts, lists.len * 4)?;
    match &lists.starts {
        Some(starts) => owns(card, starts, lists.len * 8),
        None => owns(card, &lists.rows, lists.len * lists.width * 4),
    }
}

/// Checks the parts of a concatenation as `refine` does.
fn check_parts(parts: &[(&CardRows, f64)]) -> Result<()> {
    let Some(&(first, _)) = parts.first() else {
        return Err(Error::input("no parts")
            .op("concat")
            .mend("give at least one"));
    };
    for (m, &(x, weight)) in parts.iter().enumerate() {
        if !weight.is_finite() || weight <= 0.0 {
            let message = format!("the weight of part {} is {weight}", m + 1);
            let error = Error::input(message).op("concat");
            return Err(error.mend("give a positive weight of common size such as 1"));
        }
        if x.shape()[0] != first.shape()[0] {
            let error = Error::shape("concat", &first.shape(), &x.shape());
            return Err(error.mend("give every part one row a listing"));
        }
        if std::mem::discriminant(x) != std::mem::discriminant(first) {
            let error = Error::unsupported("dense and sparse rows do not stand side by side");
            return Err(error.op("concat"));
        }
    }
    Ok(())
}

/// Refuses more rows than kernels count.
pub(super) fn check_rows(op: &'static str, rows: usize) -> Result<()> {
    match rows > MAX_CARD_SIDE {
        true => {
            Err(Error::unsupported(format!("{rows} rows are more than {MAX_CARD_SIDE}")).op(op))
        }
        false => Ok(()),
    }
}

impl GpuDevice {
    /// [`Fusion::fire`] with a tuning.
    #[doc(hidden)]
    pub fn fire_tuned(
        &self,
        rule: &RuleProgram,
        sources: &[&CardLists],
        unable: Option<&[bool]>,
        cap: usize,
        tuning: &RuleTuning,
    ) -> Result<FiredRows> {
        self.needs(&[rules::KERNEL], "match")?;
        let who = Who::Alike(unable);
        rules::fire(&self.card, rule, sources, who, cap, tuning, Stream::DEFAULT)
    }

    fn put_lists(&self, lists: &Lists, stream: Stream) -> Result<CardLists> {
        check_rows("lists", lists.len())?;
        let (mut rows, mut scores) = (
            Vec::with_capacity(lists.pairs()),
            Vec::with_capacity(lists.pairs()),
        );
        let (mut starts, mut counts) = (Vec::new(), Vec::new());
        for list in lists.iter() {
            starts.push(rows.len() as u64);
            counts.push(list.len() as u32);
            rows.extend_from_slice(list.rows);
            scores.extend_from_slice(list.scores);
        }
        let width = counts.iter().copied().max().unwrap_or(0) as usize;
        Ok(CardLists {
            rows: self.card.array_of(&rows, stream)?,
            scores: self.card.array_of(&scores, stream)?,
            starts: Some(self.card.array_of(&starts, stream)?),
            counts: self.card.array_of(&counts, stream)?,
            len: lists.len(),
            width,
        })
    }

    fn get_lists(&self, lists: &CardLists, stream: Stream) -> Result<Lists> {
        owns_lists(&self.card, lists)?;
        let counts: Vec<u32> = read(&self.card, &lists.counts, lists.len, stream)?;
        let starts: Vec<u64> = match &lists.starts {
            Some(starts) => read(&self.card, starts, lists.len, stream)?,
            None => (0..lists.len as u64)
                .map(|i| i * lists.width as u64)
                .collect(),
        };
        let end = |i: usize| starts[i] as usize + counts[i] as usize;
        let pairs = (0..lists.len).map(end).max().unwrap_or(0);
        let rows: Vec<u32> = read(&self.card, &lists.rows, pairs, stream)?;
        let scores: Vec<f64> = read(&self.card, &lists.scores, pairs, stream)?;
        let row = |i: usize| {
            let range = starts[i] as usize..end(i);
            let rows = rows[range.clone()].iter().copied();
            rows.zip(scores[range].iter().copied())
        };
        Ok(Lists::from_rows((0..lists.len).map(row)))
    }

    fn put_rows(&self, rows: &Rows, stream: Stream) -> Result<CardRows> {
        check_rows("rows", rows.rows())?;
        match rows {
            Rows::Dense(x) => {
                let desc = Desc::new(&[x.rows(), x.dims()], DType::F32);
                let mem = self.card.array_of(x.data(), stream)?;
                Ok(CardRows::Dense(Buf::new(desc, mem, 0)?))
            }
            Rows::Sparse(x) => sparse::put(&self.card, x, stream).map(CardRows::Sparse),
        }
    }

    fn get_rows(&self, rows: &CardRows, stream: Stream) -> Result<Rows> {
        let [count, dims] = rows.shape();
        match rows {
            CardRows::Dense(x) => {
                let mut data = vec![0f32; count * dims];
                let bytes = bytemuck::cast_slice_mut(&mut data);
                self.card.download(x, bytes, stream)?;
                Ok(Rows::Dense(Matrix::new(count, dims, data)?))
            }
            CardRows::Sparse(x) => sparse::get(&self.card, x, stream).map(Rows::Sparse),
        }
    }

    fn near_kept(
        &self,
        [queries, gallery]: [Option<&CardRows>; 2],
        (k, min_score): (usize, Option<f64>),
        tuning: &TopKTuning,
        stream: Stream,
    ) -> Result<CardLists> {
        self.needs(&launch_topk::KERNELS, "topk")?;
        if k > launch_topk::MOST_K {
            let message = format!("lists of {k} neighbours do not stay on a card");
            return Err(Error::unsupported(message).op("topk"));
        }
        let dense = |x: &CardRows| match x {
            CardRows::Dense(x) => self.card.owns(x).map(|()| x.clone()),
            CardRows::Sparse(_) => {
                Err(Error::unsupported("sparse rows are searched elsewhere").op("topk"))
            }
        };
        let gallery = gallery.map(dense).transpose()?;
        let Some(queries) = queries.map(dense).transpose()? else {
            return Err(Error::internal("a search without queries").op("topk"));
        };
        let found = launch_topk::topk_kept(
            &self.card,
            &queries,
            gallery.as_ref(),
            k,
            min_score,
            tuning,
            stream,
        )?;
        Ok(CardLists {
            rows: found.rows,
            scores: found.scores,
            starts: None,
            counts: found.counts,
            len: queries.desc.dims[0],
            width: k,
        })
    }
}

impl Fusion for GpuDevice {
    fn lists(&self, lists: &Lists, stream: Stream) -> Result<CardLists> {
        self.put_lists(lists, stream)
    }

    fn lists_to_host(&self, lists: &CardLists, stream: Stream) -> Result<Lists> {
        self.get_lists(lists, stream)
    }

    fn rows(&self, rows: &Rows, stream: Stream) -> Result<CardRows> {
        self.put_rows(rows, stream)
    }

    fn rows_to_host(&self, rows: &CardRows, stream: Stream) -> Result<Rows> {
        self.get_rows(rows, stream)
    }

    fn near(
        &self,
        queries: &CardRows,
        gallery: Option<&CardRows>,
        k: usize,
        min_score: Option<f64>,
        stream: Stream,
    ) -> Result<CardLists> {
        let tuning = TopKTuning::default();
        self.near_kept([Some(queries), gallery], (k, min_score), &tuning, stream)
    }

    fn mix(
        &self,
        own: &CardRows,
        others: Option<&CardRows>,
        lists: &CardLists,
        how: &Mixing,
        stream: Stream,
    ) -> Result<CardRows> {
        let (card, op) = (&self.card, how.name());
        self.needs(&dense::KERNELS, op)?;
        self.needs(&sparse::KERNELS, op)?;
        owns_lists(card, lists)?;
        match (own, others) {
            (CardRows::Dense(own), None) => {
                dense::mix(card, own, None, lists, how, stream).map(CardRows::Dense)
            }
            (CardRows::Dense(own), Some(CardRows::Dense(others))) => {
                dense::mix(card, own, Some(others), lists, how, stream).map(CardRows::Dense)
            }
            (CardRows::Sparse(own), None) => {
                sparse::mix(card, own, None, lists, how, stream).map(CardRows::Sparse)
            }
            (CardRows::Sparse(own), Some(CardRows::Sparse(others))) => {
                sparse::mix(card, own, Some(others), lists, how, stream).map(CardRows::Sparse)
            }
            (own, Some(others)) => Err(Error::shape(op, &own.shape(), &others.shape())
                .mend("give queries and gallery rows of one space")),
        }
    }

    fn concat(&self, parts: &[(&CardRows, f64)], stream: Stream) -> Result<CardRows> {
        self.needs(&dense::KERNELS, "concat")?;
        self.needs(&sparse::KERNELS, "concat")?;
        check_parts(parts)?;
        let (mut dense, mut sparse) = (Vec::new(), Vec::new());
        for &(part, weight) in parts {
            match part {
                CardRows::Dense(x) => dense.push((x, weight)),
                CardRows::Sparse(x) => sparse.push((x, weight)),
            }
        }
        match sparse.is_empty() {
            true => dense::concat(&self.card, &dense, stream).map(CardRows::Dense),
            false => sparse::concat(&self.card, &sparse, stream).map(CardRows::Sparse),
        }
    }

    fn fire(
        &self,
        rule: &RuleProgram,
        sources: &[&CardLists],
        unable: Option<&[bool]>,
        cap: usize,
        stream: Stream,
    ) -> Result<FiredRows> {
        self.needs(&[rules::KERNEL], "match")?;
        let (tuning, who) = (RuleTuning::default(), Who::Alike(unable));
        rules::fire(&self.card, rule, sources, who, cap, &tuning, stream)
    }

    fn fire_against(
        &self,
        rule: &RuleProgram,
        sources: &[&CardLists],
        [queries, gallery]: [&[bool]; 2],
        cap: usize,
        stream: Stream,
    ) -> Result<FiredRows> {
        self.needs(&[rules::KERNEL], "match")?;
        let (tuning, who) = (RuleTuning::default(), Who::Apart { queries, gallery });
        rules::fire(&self.card, rule, sources, who, cap, &tuning, stream)
    }
}
