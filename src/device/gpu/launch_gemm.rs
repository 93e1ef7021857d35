//! Products: `kernels/gemm/`.

use super::driver::{CardInfo, Kernel, Launch, Stream};
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
        _has: &dyn Fn(Kernel) -> bool,
    ) -> Option<Vec<Kernel>> {
        Some(vec![Product::of(op, ins)?.kernel(card.multiprocessors)])
    }

    fn run(&self, call: &Call<'_>) -> Result<()> {
        let product = Product::of(call.op, call.descs)
            .ok_or_else(|| Error::internal("is no product").op(call.op.name()))?;
        gemm(call.card, &product, call.ins, call.outs[0], call.stream)
    }
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

/// Tiles in flight in shared memory, values of k in one, and halves behind each of its lines:
/// `STAGES`, `DEPTH` and `PADDING` of the kernels.
const STAGES: usize = 3;
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

    /// The side of the square of the result that one block computes. The large tile reads each factor
    /// half as often; the small one wastes less on a thin result, and fills a card that the large one
    /// would leave idle.
    fn tile(&self, multiprocessors: u32) -> usize {
        if self.dtype == DType::F32 {
            return 64;
        }
        let large = self.m.div_ceil(128) * self.n.div_ceil(128);
        if self.m.min(self.n) <= 64 || large < multiprocessors as usize {
            64
        } else {
            128
        }
    }

    /// The kernel for that tile.
    fn kernel(&self, multiprocessors: u32) -> Kernel {
        let symbol = match (
            self.dtype,
            self.tile(multiprocessors),
            self.trans_a,
            self.trans_b,
        ) {
            (DType::F16, 128, false, false) => "gemm_f16_nn_128",
            (DType::F16, 128, false, true) => "gemm_f16_nt_128",
            (DType::F16, 128, true, false) => "gemm_f16_tn_128",
            (DType::F16, 128, true, true) => "gemm_f16_tt_128",
            (DType::F16, _, false, false) => "gemm_f16_nn_64",
            (DType::F16, _, false, true) => "gemm_f16_nt_64",
            (DType::F16, _, true, false) => "gemm_f16_tn_64",
            (DType::F16, _, true, true) => "gemm_f16_tt_64",
            (_, _, false, false) => "gemm_f32_nn",
            (_, _, false, true) => "gemm_f32_nt",
            (_, _, true, false) => "gemm_f32_tn",
            (_, _, true, true) => "gemm_f32_tt",
        };
        Kernel {
            family: "gemm",
            symbol,
        }
    }

    /// Bytes of dynamic shared memory. A tile of values of k side by side has lines of `DEPTH`, one of
    /// rows side by side has lines of `tile`.
    fn shared(&self, tile: usize) -> usize {
        let depth_major = tile * (DEPTH + PADDING);
        let extent_major = DEPTH * (tile + PADDING);
        let stored = |deep: bool| if deep { depth_major } else { extent_major };
        match self.dtype {
            DType::F16 => STAGES * 2 * (stored(!self.trans_a) + stored(self.trans_b)),
            _ => 0,
        }
    }
}

/// How many halves of a matrix may be read at once: 8 where all of its lines begin at a multiple of 16
/// bytes, 2 at one of 4, else 1.
pub(super) fn width(buf: &Buf) -> usize {
    let line = buf.desc.dims.last().map_or(0, |&n| n as u64 * 2);
    [(16, 8), (4, 2)]
        .into_iter()
        .find(|(bytes, _)| buf.address().is_multiple_of(*bytes) && line.is_multiple_of(*bytes))
        .map_or(1, |(_, halves)| halves)
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

/// Queues a product. `ins` are the factors and what the epilogue takes, checked by `Op::infer` and of
/// one type.
fn gemm(card: &Card, product: &Product, ins: &[&Buf], out: &Buf, stream: Stream) -> Result<()> {
    if out.desc.is_empty() {
        return Ok(());
    }
    let multiprocessors = card.driver.info().multiprocessors;
    let tile = product.tile(multiprocessors);
    let mut extra = ins[2..].iter();
    let mut address = |present: bool| match present {
        true => extra.next().map_or(0, |b| b.address()),
        false => 0,
    };
    let mut args = Args::default()
        .address(ins[0].address())
        .address(ins[1].address())
        .address(out.address())
        .address(address(product.epilogue.scale))
        .address(address(product.epilogue.bias))
        .address(address(product.epilogue.residual))
        .int(product.m)?
        .int(product.n)?
        .int(product.k)?;
    if product.dtype == DType::F16 {
        args = args.int(width(ins[0]))?.int(width(ins[1]))?;
    }
    args = args.int(number(product.epilogue.act))?;
    let tiles = product.m.div_ceil(tile) * product.n.div_ceil(tile);
    let threads = if tile == 64 && product.dtype == DType::F16 {
        128
    } else {
        256
    };
    let how = Launch::linear(blocks(tiles)?, threads, product.shared(tile));
    // SAFETY: the arguments are those of the entries of kernels/gemm/gemm_<type>.cu, in order; the
    // engine checked that the buffers are this card's, of one type, and of the shapes that m, n and k
    // were read from; `width` promises no more than addresses and lines hold.
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
        assert_eq!(product(1, 4096, 64).tile(132), 64);
        assert_eq!(product(65, 65, 8).tile(1), 128);
        assert_eq!(product(512, 512, 8).tile(132), 64);
        assert_eq!(product(4096, 4096, 8).tile(132), 128);
    }

    #[test]
    fn shared_memory_is_what_the_kernels_lay_out() {
        // 3 stages of two tiles of 128 lines of 40 halves; extent-major, 32 lines of 136.
        assert_eq!(product(128, 128, 8).shared(128), 3 * 2 * 2 * 128 * 40);
        let ins = [
            Desc::new(&[8, 128], DType::F16),
            Desc::new(&[8, 128], DType::F16),
        ];
        let turned = Product::new(true, false, Epilogue::BARE, &ins);
        assert_eq!(turned.shared(128), 3 * 2 * 2 * 32 * 136);
        for tile in [64, 128] {
            assert!(product(1, 1, 1).shared(tile) <= 96 << 10);
        }
    }
}
