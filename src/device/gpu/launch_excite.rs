//! The two layers of squeeze and excite as one: `kernels/gate/excite.cu`.

use super::driver::{CardInfo, Kernel, Launch};
use super::launch::{Args, Call, Family, blocks, by_type};
use super::launch_gemm::number;
use crate::device::desc::{Buf, DType, Desc};
use crate::device::op::{Epilogue, Op};
use crate::error::{Error, Result};

/// [`Op::SqueezeExcite`], where it pays.
pub(super) struct Excites;

/// Threads of a block, which computes one image.
const THREADS: u32 = 512;
/// The most dynamic shared memory that the kernel takes.
const SHARED: usize = 96 << 10;
/// The most weights of both layers, in bytes: each block reads all of them, which for many takes longer than a
/// second launch whose blocks share them. Reasoned, not measured: a multiprocessor takes some 64 bytes a clock
/// from the cache, so that these are 16,000 clocks, about those of two small kernels one behind the other.
const MOST_WEIGHTS: usize = 1 << 20;

impl Family for Excites {
    fn kernels(
        &self,
        op: &Op,
        ins: &[Desc],
        _card: &CardInfo,
        _has: &dyn Fn(Kernel) -> bool,
    ) -> Option<Vec<Kernel>> {
        Layers::of(op, ins).map(|_| vec![kernel(ins[0].dtype)])
    }

    fn run(&self, call: &Call<'_>) -> Result<()> {
        let lost = || Error::internal("is not one kernel here").op(call.op.name());
        let layers = Layers::of(call.op, call.descs).ok_or_else(lost)?;
        match call.outs[0].desc.is_empty() {
            true => Ok(()),
            false => layers.launch(call),
        }
    }
}

fn kernel(dtype: DType) -> Kernel {
    Kernel {
        family: "gate",
        symbol: by_type!(dtype, "excite"),
    }
}

/// Both layers.
struct Layers {
    squeeze: Epilogue,
    excite: Epilogue,
    images: usize,
    c: usize,
    s: usize,
    o: usize,
}

impl Layers {
    /// From an operation and its inputs' descriptions, which `Op::infer` accepts; `None` where two
    /// convolutions are what is wanted.
    fn of(op: &Op, ins: &[Desc]) -> Option<Layers> {
        let Op::SqueezeExcite { squeeze, excite } = *op else {
            return None;
        };
        let [images, _, _, c] = ins[0].dims[..] else {
            return None;
        };
        let layers = Layers {
            squeeze,
            excite,
            images,
            c,
            s: ins[1].dims[0],
            o: ins[2].dims[0],
        };
        let plain = !squeeze.residual && !excite.residual && c > 0 && layers.s > 0;
        let pays = ins[1].bytes() + ins[2].bytes() <= MOST_WEIGHTS;
        (plain && pays && layers.shared() <= SHARED).then_some(layers)
    }

    fn shared(&self) -> usize {
        (self.c.next_multiple_of(4) + self.s) * 4
    }

    fn launch(&self, call: &Call<'_>) -> Result<()> {
        let mut rest = call.ins[3..].iter();
        let mut take = |present: bool| match present {
            true => rest.next().map_or(0, |buf| buf.address()),
            false => 0,
        };
        let args = Args::default()
            .address(call.ins[0].address())
            .address(call.outs[0].address())
            .address(call.ins[1].address())
            .address(take(self.squeeze.scale))
            .address(take(self.squeeze.bias))
            .address(call.ins[2].address())
            .address(take(self.excite.scale))
            .address(take(self.excite.bias))
            .int(self.c)?
            .int(self.s)?
            .int(self.o)?
            .int(number(self.squeeze.act))?
            .int(number(self.excite.act))?
            .int(width(call.ins[1], self.c))?
            .int(width(call.ins[2], self.s))?;
        let how = Launch::linear(blocks(self.images)?, THREADS, self.shared());
        // SAFETY: the arguments are those of kernels/gate/excite.cu, in order; the engine checked buffers,
        // types and shapes; c and s are not 0; the widths promise no more than addresses and lines hold.
        unsafe {
            call.card
                .launch(kernel(call.descs[0].dtype), &how, args, call.stream)
        }
    }
}

/// How many elements of lines of `line` one access may take: those in 16 bytes, 2, or 1.
fn width(buf: &Buf, line: usize) -> usize {
    let size = buf.desc.dtype.size();
    let holds =
        |n: usize| buf.address().is_multiple_of((n * size) as u64) && line.is_multiple_of(n);
    [16 / size, 2].into_iter().find(|&n| holds(n)).unwrap_or(1)
}
