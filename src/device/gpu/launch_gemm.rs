//! Products: `kernels/gemm/`.

use super::driver::{CardInfo, Kernel, Launch, Stream, Swizzle, TensorCopy, TensorShape};
use super::heuristics_gemm::{self as heuristics, GemmPlan};
use super::launch::{Args, Call, Family, blocks};
use super::memory::Card;
use crate::device::desc::{Buf, DType, Desc};
use crate::device::op::{Act, Epilogue, Op};
use crate::error::{Error, Result};

/// [`Op::Gemm`].
pub(super) struct Gemm;

impl Family for Gemm {
    fn kernels(
        &self,
        op: &Op,
        ins: &[Desc],
        card: &CardInfo,
        has: &dyn Fn(Kernel) -> bool,
    ) -> Option<Vec<Kernel>> {
        // Operands that are not aligned as Hopper's kernel wants them fall back to its twin.
        let product = Product::of(op, ins)?;
        let hopper = product.hopper(card, has);
        let hopper = hopper.map(|plan| plan.tile.kernel(product.dtype));
        let twin = product.kernel(card.multiprocessors);
        Some(hopper.into_iter().chain([twin]).collect())
    }

    fn tile(
        &self,
        op: &Op,
        ins: &[Desc],
        card: &CardInfo,
        has: &dyn Fn(Kernel) -> bool,
    ) -> Option<GemmPlan> {
        Product::of(op, ins)?.hopper(card, has)
    }

    fn run(&self, call: &Call<'_>) -> Result<()> {
        let product = Product::of(call.op, call.descs)
            .ok_or_else(|| Error::internal("is no product").op(call.op.name()))?;
        let driver = &call.card.driver;
        let choose = || product.hopper(driver.info(), &|kernel| driver.has(kernel));
        let plan = call.tile.unwrap_or_else(choose);
        gemm(
            call.card,
            &product,
            plan,
            call.ins,
            call.outs[0],
            call.stream,
        )
    }
}

/// Queues a product on a plan in place of the one that is chosen for it.
pub(super) fn planned(
    card: &Card,
    op: &Op,
    ins: &[&Buf],
    out: &Buf,
    plan: &GemmPlan,
    stream: Stream,
) -> Result<()> {
    let descs: Vec<Desc> = ins.iter().map(|buf| buf.desc.clone()).collect();
    let product = Product::of(op, &descs).filter(Product::suits_hopper);
    let product = product.ok_or_else(|| Error::internal("takes no plan").op(op.name()))?;
    gemm(card, &product, Some(*plan), ins, out, stream)
}

/// How one product is stored and how large it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Product {
    trans_a: bool,
    trans_b: bool,
    epilogue: Epilogue,
    m: usize,
    n: usize,
    k: usize,
    dtype: DType,
}

/// What a block of the portable kernels computes: `Wide`, `Large` and `Small` there, and f32's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Block {
    m: usize,
    n: usize,
    threads: u32,
    /// Tiles in flight in shared memory.
    stages: usize,
}

const WIDE: Block = block(128, 256, 256, 3);
const LARGE: Block = block(128, 128, 128, 4);
const SMALL: Block = block(64, 64, 128, 4);
const F32: Block = block(64, 64, 256, 0);

const fn block(m: usize, n: usize, threads: u32, stages: usize) -> Block {
    Block {
        m,
        n,
        threads,
        stages,
    }
}

/// Values of k in a tile, and values behind each of its lines: `DEPTH` and `PADDING` of the kernels.
const DEPTH: usize = 32;
const PADDING: usize = 8;

impl Product {
    /// From a product and its inputs' descriptions.
    fn of(op: &Op, ins: &[Desc]) -> Option<Product> {
        match *op {
            Op::Gemm {
                trans_a,
                trans_b,
                epilogue,
            } => Some(Product::new(trans_a, trans_b, epilogue, ins)),
            _ => None,
        }
    }

    /// From the descriptions of the two factors, which `Op::infer` accepts.
    fn new(trans_a: bool, trans_b: bool, epilogue: Epilogue, ins: &[Desc]) -> Product {
        let (a, b) = (&ins[0].dims, &ins[1].dims);
        let (m, k) = if trans_a { (a[1], a[0]) } else { (a[0], a[1]) };
        Product {
            trans_a,
            trans_b,
            epilogue,
            m,
            n: if trans_b { b[0] } else { b[1] },
            k,
            dtype: ins[0].dtype,
        }
    }

    /// Whether Hopper's kernels are made for it: factors with their values of k side by side, in lines
    /// that begin at multiples of 16 bytes where the matrix does, and pairs of columns.
    fn suits_hopper(&self) -> bool {
        let short = matches!(self.dtype, DType::F16 | DType::BF16);
        let stored = !self.trans_a && self.trans_b && short;
        let aligned = self.k.is_multiple_of(8) && self.n.is_multiple_of(2);
        stored && aligned && self.m > 0 && self.n > 0 && self.k > 0
    }

    /// The plan for a Hopper card that has the kernel.
    fn hopper(&self, card: &CardInfo, has: &dyn Fn(Kernel) -> bool) -> Option<GemmPlan> {
        let plan = || heuristics::plan(self.m, self.n, self.k, card.multiprocessors as usize);
        let plan = self.suits_hopper().then(plan)?;
        let fits = plan.tile.shared() <= card.shared_per_block;
        (fits && has(plan.tile.kernel(self.dtype))).then_some(plan)
    }

    /// What a block of the twin computes. Large tiles read each factor less often; small ones waste less
    /// on a thin result, and fill a card that large ones would leave idle.
    fn block(&self, multiprocessors: u32) -> Block {
        if self.dtype == DType::F32 {
            return F32;
        }
        let fills = |block: Block| {
            let tiles = self.m.div_ceil(block.m) * self.n.div_ceil(block.n);
            tiles >= multiprocessors as usize
        };
        let wide = !self.trans_a && self.trans_b && self.n > 128;
        if self.m.min(self.n) <= 64 || !fills(LARGE) {
            SMALL
        } else if wide && fills(WIDE) {
            WIDE
        } else {
            LARGE
        }
    }

    /// The kernel for that block.
    fn kernel(&self, multiprocessors: u32) -> Kernel {
        let symbol = match (
            self.dtype,
            self.block(multiprocessors).n,
            self.trans_a,
            self.trans_b,
        ) {
            (DType::F16, 256, ..) => "gemm_f16_nt_256",
            (DType::F16, 128, false, false) => "gemm_f16_nn_128",
            (DType::F16, 128, false, true) => "gemm_f16_nt_128",
            (DType::F16, 128, true, false) => "gemm_f16_tn_128",
            (DType::F16, 128, true, true) => "gemm_f16_tt_128",
            (DType::F16, _, false, false) => "gemm_f16_nn_64",
            (DType::F16, _, false, true) => "gemm_f16_nt_64",
            (DType::F16, _, true, false) => "gemm_f16_tn_64",
            (DType::F16, _, true, true) => "gemm_f16_tt_64",
            (DType::BF16, 256, ..) => "gemm_bf16_nt_256",
            (DType::BF16, 128, false, false) => "gemm_bf16_nn_128",
            (DType::BF16, 128, false, true) => "gemm_bf16_nt_128",
            (DType::BF16, 128, true, false) => "gemm_bf16_tn_128",
            (DType::BF16, 128, true, true) => "gemm_bf16_tt_128",
            (DType::BF16, _, false, false) => "gemm_bf16_nn_64",
            (DType::BF16, _, false, true) => "gemm_bf16_nt_64",
            (DType::BF16, _, true, false) => "gemm_bf16_tn_64",
            (DType::BF16, _, true, true) => "gemm_bf16_tt_64",
            (DType::F32 | DType::U32, _, false, false) => "gemm_f32_nn",
            (DType::F32 | DType::U32, _, false, true) => "gemm_f32_nt",
            (DType::F32 | DType::U32, _, true, false) => "gemm_f32_tn",
            (DType::F32 | DType::U32, _, true, true) => "gemm_f32_tt",
        };
        Kernel {
            family: "gemm",
            symbol,
        }
    }

    /// Bytes of dynamic shared memory. A tile of values of k side by side has lines of `DEPTH`, one of
    /// rows side by side has lines of the tile's side.
    fn shared(&self, block: Block) -> usize {
        let stored = |deep: bool, side: usize| match deep {
            true => side * (DEPTH + PADDING),
            false => DEPTH * (side + PADDING),
        };
        let values = stored(!self.trans_a, block.m) + stored(self.trans_b, block.n);
        block.stages * 2 * values
    }
}

/// How many values of 16 bits of a matrix may be read at once: 8 where all of its lines begin at a multiple of 16
/// bytes, 2 at one of 4, else 1.
pub(super) fn width(buf: &Buf) -> usize {
    let line = buf.desc.dims.last().map_or(0, |&n| n as u64 * 2);
    [(16, 8), (4, 2)]
        .into_iter()
        .find(|(bytes, _)| buf.address().is_multiple_of(*bytes) && line.is_multiple_of(*bytes))
        .map_or(1, |(_, values)| values)
}

/// How many columns of the result may be stored at once, and of what the epilogue takes read.
fn out_width(out: &Buf, others: &[&Buf]) -> usize {
    let pairs = others.iter().all(|buf| buf.address().is_multiple_of(4));
    match width(out) {
        8 if pairs => 8,
        1 => 1,
        _ if pairs => 2,
        _ => 1,
    }
}

/// The number of an activation in `kernels/pointwise/activation.h`.
pub(super) fn number(act: Act) -> usize {
    match act {
        Act::None => 0,
        Act::Relu => 1,
        Act::Silu => 2,
        Act::Gelu => 3,
        Act::Mish => 4,
        Act::Sigmoid => 5,
    }
}

/// Queues a product, on Hopper's kernel where there is a plan and the buffers are aligned for it. `ins`
/// are the factors and what the epilogue takes, checked by `Op::infer` and of one type.
fn gemm(
    card: &Card,
    product: &Product,
    plan: Option<GemmPlan>,
    ins: &[&Buf],
    out: &Buf,
    stream: Stream,
) -> Result<()> {
    if out.desc.is_empty() {
        return Ok(());
    }
    let aligned = |buf: &Buf, bytes: u64| buf.address().is_multiple_of(bytes);
    let others = ins[2..].iter().copied().chain([out]);
    let suits = ins[..2].iter().all(|buf| aligned(buf, 16))
        && others.into_iter().all(|buf| aligned(buf, 4));
    match plan.filter(|_| suits) {
        Some(plan) => hopper(card, product, &plan, ins, out, stream),
        None => twin(card, product, ins, out, stream),
    }
}

/// The addresses of the result and of what the epilogue takes, 0 for what is not there; then m, n, k.
fn epilogue(args: Args, product: &Product, ins: &[&Buf], out: &Buf) -> Result<Args> {
    let mut extra = ins[2..].iter();
    let mut address = |present: bool| match present {
        true => extra.next().map_or(0, |b| b.address()),
        false => 0,
    };
    args.address(out.address())
        .address(address(product.epilogue.scale))
        .address(address(product.epilogue.bias))
        .address(address(product.epilogue.residual))
        .int(product.m)?
        .int(product.n)?
        .int(product.k)
}

/// The map of a matrix of 16-bit values, copied by boxes of so many lines of 64 columns.
fn matrix_map(buf: &Buf, lines: usize, columns: usize, box_lines: usize) -> TensorShape {
    TensorShape {
        address: buf.address(),
        element: 2,
        dims: vec![columns as u64, lines as u64],
        strides: vec![columns as u64 * 2],
        swizzle: Swizzle::B128,
        copy: TensorCopy::Tile(vec![heuristics::DEPTH as u32, box_lines as u32]),
    }
}

/// How Hopper's kernel stores its result: `Store` there.
const BULK: usize = 0;
const PAIRS: usize = 1;

fn hopper(
    card: &Card,
    product: &Product,
    plan: &GemmPlan,
    ins: &[&Buf],
    out: &Buf,
    stream: Stream,
) -> Result<()> {
    let &GemmPlan {
        tile,
        cluster,
        grid,
    } = plan;
    let (tile_m, tile_n) = tile.sides();
    let split = *tile == heuristics::SPLIT;
    let share = if split { tile_n } else { tile_n / cluster };
    let map = |shape: &TensorShape| card.driver.tensor_map(shape);
    let a = map(&matrix_map(ins[0], product.m, product.k, tile_m))?;
    let b = map(&matrix_map(ins[1], product.n, product.k, share))?;
    let bulk = product.n.is_multiple_of(8) && out.address().is_multiple_of(16);
    let mut args = Args::default().map(&a).map(&b);
    if !split {
        let panels = || map(&matrix_map(out, product.m, product.n, heuristics::GROUP));
        args = args.map(&if bulk { panels()? } else { a });
    }
    args = epilogue(args, product, ins, out)?.int(number(product.epilogue.act))?;
    if !split {
        args = args.int(if bulk { BULK } else { PAIRS })?;
    }
    let how = Launch {
        cluster: [blocks(cluster)?, 1, 1],
        ..Launch::linear(blocks(grid)?, tile.threads(), tile.shared())
    };
    // SAFETY: the arguments are those of the entries of kernels/gemm/sm90_gemm.h, in order; the
    // engine checked that the buffers are this card's and of the shapes that m, n and k were read from;
    // both factors are aligned to 16 bytes, all else to 4, and lines are too (`suits_hopper`).
    unsafe { card.launch(tile.kernel(product.dtype), &how, args, stream) }
}

/// The kernel for every card from Ampere on, and for f32.
fn twin(card: &Card, product: &Product, ins: &[&Buf], out: &Buf, stream: Stream) -> Result<()> {
    let multiprocessors = card.driver.info().multiprocessors;
    let block = product.block(multiprocessors);
    let args = Args::default()
        .address(ins[0].address())
        .address(ins[1].address());
    let mut args = epilogue(args, product, ins, out)?;
    if product.dtype != DType::F32 {
        args = args.int(width(ins[0]))?.int(width(ins[1]))?;
        args = args.int(out_width(out, &ins[2..]))?;
    }
    args = args.int(number(product.epilogue.act))?;
    let tiles = product.m.div_ceil(block.m) * product.n.div_ceil(block.n);
    let how = Launch::linear(blocks(tiles)?, block.threads, product.shared(block));
    // SAFETY: the arguments are those of the entries of kernels/gemm/mma_gemm.h and gemm_f32.cu, in order; the
    // engine checked that the buffers are this card's, of one type, and of the shapes that m, n and k
    // were read from; the widths promise no more than addresses and lines hold.
    unsafe { card.launch(product.kernel(multiprocessors), &how, args, stream) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn product(m: usize, n: usize, k: usize) -> Product {
        let ins = [
            Desc::new(&[m, k], DType::F16),
            Desc::new(&[n, k], DType::F16),
        ];
        Product::new(false, true, Epilogue::BARE, &ins)
    }

    #[test]
    fn tiles_fit_the_result_and_the_card() {
        assert_eq!(product(1, 4096, 64).block(132), SMALL);
        assert_eq!(product(65, 65, 8).block(1), LARGE);
        assert_eq!(product(65, 129, 8).block(1), WIDE);
        assert_eq!(product(512, 512, 8).block(132), SMALL);
        assert_eq!(product(4096, 768, 8).block(108), LARGE);
        assert_eq!(product(4096, 4096, 8).block(132), WIDE);
    }

    #[test]
    fn hopper_takes_aligned_lines_of_k_and_the_twin_all_else() {
        let hopper = CardInfo {
            driver: "made up",
            name: String::new(),
            arch: 90,
            multiprocessors: 132,
            memory: 0,
            shared_per_block: 227 << 10,
        };
        let taken = |product: Product| product.hopper(&hopper, &|_| true).is_some();
        assert!(taken(product(1, 2, 8)) && taken(product(4096, 768, 768)));
        for other in [product(64, 64, 12), product(64, 63, 64), product(64, 64, 0)] {
            assert!(!taken(other), "{other:?}");
        }
        assert!(!taken(Product {
            trans_b: false,
            ..product(64, 64, 64)
        }));
        assert!(!taken(Product {
            dtype: DType::F32,
            ..product(64, 64, 64)
        }));
        assert_eq!(product(64, 64, 64).hopper(&hopper, &|_| false), None);
        let small = CardInfo {
            shared_per_block: 99 << 10,
            ..hopper.clone()
        };
        assert_eq!(product(4096, 768, 768).hopper(&small, &|_| true), None);
    }

    #[test]
    fn shared_memory_is_what_the_kernels_lay_out() {
        // 4 stages of two tiles of 128 lines of 40 halves; extent-major, 32 lines of 136.
        assert_eq!(product(128, 128, 8).shared(LARGE), 4 * 2 * 2 * 128 * 40);
        let ins = [
            Desc::new(&[8, 128], DType::F16),
            Desc::new(&[8, 128], DType::F16),
        ];
        let turned = Product::new(true, false, Epilogue::BARE, &ins);
        assert_eq!(turned.shared(LARGE), 4 * 2 * 2 * 32 * 136);
        for block in [WIDE, LARGE, SMALL, F32] {
            assert!(product(1, 1, 1).shared(block) <= 96 << 10);
        }
    }
}
