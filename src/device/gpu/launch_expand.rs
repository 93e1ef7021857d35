//! A 1x1 convolution and the one of one filter a channel behind it: `kernels/conv/conv_expand.cu`.

use super::driver::{CardInfo, Kernel, Launch};
use super::launch::{Args, Call, Family, by_short};
use super::launch_conv::WINDOWS;
use super::launch_conv_pack::{Filters, Layout};
use super::launch_conv_sm90::Sizes;
use super::launch_gemm::number;
use super::launch_image;
use crate::device::desc::{Buf, DType, Desc};
use crate::device::op::{Epilogue, Op, Window};
use crate::error::{Error, Result};

/// [`Op::ExpandDepthwise`], where it pays.
pub(super) struct Expansions;

impl Family for Expansions {
    fn kernels(
        &self,
        op: &Op,
        ins: &[Desc],
        _card: &CardInfo,
        _has: &dyn Fn(Kernel) -> bool,
    ) -> Option<Vec<Kernel>> {
        let pair = Pair::of(op, ins)?;
        let mut kernels: Vec<Kernel> = pair.filters().kernel().into_iter().collect();
        kernels.push(pair.kernel());
        if pair.average {
            kernels.push(launch_image::finish_kernel(pair.dtype));
        }
        Some(kernels)
    }

    fn workspace(&self, op: &Op, ins: &[Desc], _card: &CardInfo) -> usize {
        Pair::of(op, ins).map_or(0, |pair| pair.packed() + pair.partial())
    }

    fn spared(&self, op: &Op, ins: &[Desc], at: usize, card: &CardInfo) -> usize {
        self.packed(op, ins, at, card).unwrap_or(0)
    }

    fn packed(&self, op: &Op, ins: &[Desc], at: usize, _card: &CardInfo) -> Option<usize> {
        Some(Pair::of(op, ins).filter(|_| at == 2)?.packed())
    }

    fn pack(
        &self,
        op: &Op,
        ins: &[Desc],
        _at: usize,
        row: &mut dyn FnMut(usize, &mut [f32]) -> Result<()>,
    ) -> Result<Vec<u8>> {
        let pair = Pair::of(op, ins).ok_or_else(|| lost(op))?;
        let mut bytes = pair.filters().pack(row)?;
        bytes.resize(pair.packed(), 0);
        Ok(bytes)
    }

    fn run(&self, call: &Call<'_>) -> Result<()> {
        let pair = Pair::of(call.op, call.descs).ok_or_else(|| lost(call.op))?;
        if call.outs[0].desc.is_empty() {
            return Ok(());
        }
        let filters = match call.ins[2].is_packed() {
            true => call.ins[2].address(),
            false => {
                let from = call.ins[2];
                pair.filters()
                    .launch(call.card, from, call.scratch, call.stream)?;
                call.scratch
            }
        };
        pair.launch(call, filters)
    }
}

fn lost(op: &Op) -> Error {
    Error::internal("is not widened here").op(op.name())
}

/// Threads of a block, columns of its results, its channels, and values of a wide pixel.
const THREADS: u32 = 128;
const ACROSS: usize = 8;
const CHANNELS: usize = 64;
const LINE: usize = CHANNELS + 8;

/// The most channels before the first convolution: what tiles compute twice grows with them, and so does
/// shared memory, 90 KiB at the most.
const MOST_CHANNELS: usize = 96;
/// The fewest pixels of an image: wide images of fewer stay in the cache between two kernels.
const LEAST_PIXELS: usize = 256;
/// The most blocks of a grid in y and z.
const MAX_BLOCKS: usize = 65_535;

/// Two convolutions as one.
#[derive(Debug, Clone, Copy)]
struct Pair {
    dtype: DType,
    window: Window,
    expand: Epilogue,
    epilogue: Epilogue,
    average: bool,
    images: usize,
    h: usize,
    w: usize,
    c: usize,
    oh: usize,
    ow: usize,
    o: usize,
    number: usize,
}

impl Pair {
    /// From an operation and its inputs' descriptions, which `Op::infer` accepts; `None` where the two
    /// convolutions by themselves are what is wanted.
    fn of(op: &Op, ins: &[Desc]) -> Option<Pair> {
        let Op::ExpandDepthwise {
            window,
            expand,
            epilogue,
            average,
        } = *op
        else {
            return None;
        };
        let [images, h, w, c] = ins[0].dims[..] else {
            return None;
        };
        let (oh, ow) = window.out("conv", h, w).ok()?;
        let known =
            |&(k, step): &(usize, usize)| window.kernel == [k; 2] && window.stride == [step; 2];
        let pair = Pair {
            dtype: ins[0].dtype,
            window,
            expand,
            epilogue,
            average,
            images,
            h,
            w,
            c,
            oh,
            ow,
            o: ins[1].dims[0],
            number: WINDOWS.iter().position(known)?,
        };
        let plain = !expand.residual && !epilogue.residual;
        let whole = c.is_multiple_of(8) && pair.o.is_multiple_of(8);
        let short = ins[0].dtype.size() == 2;
        let pays = (8..=MOST_CHANNELS).contains(&c) && h.saturating_mul(w) >= LEAST_PIXELS;
        let fits = images <= MAX_BLOCKS && pair.tiles() <= MAX_BLOCKS;
        (plain && whole && short && pays && fits).then_some(pair)
    }

    /// Rows of results of a block.
    fn down(&self) -> usize {
        if self.window.stride[0] == 1 { 8 } else { 4 }
    }

    /// Tiles of an image.
    fn tiles(&self) -> usize {
        self.oh.div_ceil(self.down()) * self.ow.div_ceil(ACROSS)
    }

    fn filters(&self) -> Filters {
        Filters {
            layout: Layout::Places,
            count: self.o,
            inner: 1,
            places: self.window.kernel[0] * self.window.kernel[1],
            dtype: self.dtype,
        }
    }

    /// Bytes of the second convolution's filters as they are read.
    fn packed(&self) -> usize {
        (self.filters().len() * 2).next_multiple_of(256)
    }

    /// Bytes of the sums of tiles for the average.
    fn partial(&self) -> usize {
        match self.average {
            true => self.images * self.tiles() * self.o * 4,
            false => 0,
        }
    }

    fn kernel(&self) -> Kernel {
        let dtype = self.dtype;
        let symbol = match WINDOWS[self.number] {
            (3, 1) => by_short!(dtype, "conv_expand", "_3x3_1"),
            (3, _) => by_short!(dtype, "conv_expand", "_3x3_2"),
            (_, 1) => by_short!(dtype, "conv_expand", "_5x5_1"),
            _ => by_short!(dtype, "conv_expand", "_5x5_2"),
        };
        Kernel {
            family: "conv",
            symbol,
        }
    }

    /// Blocks, threads and dynamic shared memory.
    fn grid(&self) -> Launch {
        let side =
            |count: usize, i: usize| (count - 1) * self.window.stride[i] + self.window.kernel[i];
        let pixels = side(self.down(), 0) * side(ACROSS, 1);
        let line = self.c.next_multiple_of(16) + 8;
        let shared = (pixels.next_multiple_of(16) + CHANNELS) * line + pixels * LINE;
        let across = self.o.div_ceil(CHANNELS);
        Launch {
            grid: [across as u32, self.tiles() as u32, self.images as u32],
            ..Launch::linear(1, THREADS, shared * 2)
        }
    }

    /// `conv::Shape` of the kernels, with the flags of buffers that are aligned.
    fn shape(&self, call: &Call<'_>) -> [usize; 15] {
        let flag = |buf: &Buf, flag: usize| match buf.address().is_multiple_of(16) {
            true => flag,
            false => 0,
        };
        let flags = flag(call.ins[0], 1) | flag(call.outs[0], 2) | flag(call.ins[1], 16);
        let sizes = Sizes {
            dtype: self.dtype,
            window: self.window,
            groups: self.o,
            gate: false,
            images: self.images,
            h: self.h,
            w: self.w,
            c: self.c,
            oh: self.oh,
            ow: self.ow,
            o: self.o,
        };
        sizes.shape(flags)
    }

    fn launch(&self, call: &Call<'_>, filters: u64) -> Result<()> {
        let mut rest = call.ins[3..].iter();
        let mut take = |present: bool| match present {
            true => rest.next().map_or(0, |buf| buf.address()),
            false => 0,
        };
        let partial = match self.average {
            true if call.ins[2].is_packed() => call.scratch,
            true => call.scratch + self.packed() as u64,
            false => 0,
        };
        let args = Args::default()
            .address(call.ins[0].address())
            .address(call.ins[1].address())
            .address(filters)
            .address(call.outs[0].address())
            .address(take(self.expand.scale))
            .address(take(self.expand.bias))
            .address(take(self.epilogue.scale))
            .address(take(self.epilogue.bias))
            .address(partial)
            .ints(&self.shape(call))?
            .int(number(self.expand.act))?
            .int(number(self.epilogue.act))?;
        // SAFETY: the arguments are those of kernels/conv/conv_expand.cu, in order; the engine checked
        // buffers, types and shapes, c and o are multiples of 8, c is at most 96, `filters` are packed and
        // aligned, and the scratch memory has room for them, where they did not come so, and behind them
        // images x tiles x o f32.
        unsafe {
            call.card
                .launch(self.kernel(), &self.grid(), args, call.stream)
        }?;
        if !self.average {
            return Ok(());
        }
        let sizes = [self.images, self.o, self.tiles(), self.oh * self.ow];
        launch_image::finish(call, partial, call.outs[1], None, sizes)
    }
}
