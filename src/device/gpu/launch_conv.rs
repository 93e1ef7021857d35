//! Convolutions: `kernels/conv/`.

use super::driver::{CardInfo, Kernel, Launch};
use super::heuristics_gemm::GemmPlan;
use super::launch::{Args, Call, Family, blocks, by_short, by_type};
use super::launch_conv_pack::{Filters, Layout};
use super::launch_conv_sm90::{Addresses, Sizes};
use super::launch_gemm::number;
use super::launch_image;
use crate::device::desc::{Buf, DType, Desc};
use crate::device::op::{Epilogue, Op, Window};
use crate::error::{Error, Result};

/// [`Op::Conv`], and [`Op::ConvAverage`] of one filter a channel.
pub(super) struct Convolutions;

impl Family for Convolutions {
    fn kernels(
        &self,
        op: &Op,
        ins: &[Desc],
        card: &CardInfo,
        has: &dyn Fn(Kernel) -> bool,
    ) -> Option<Vec<Kernel>> {
        let conv = Conv::of(op, ins)?;
        let form = conv.form(card);
        if conv.average && !matches!(form, Form::Depthwise(_)) {
            return None;
        }
        let mut kernels: Vec<Kernel> = conv.filters(form).kernel().into_iter().collect();
        kernels.push(conv.kernel(form));
        // Images that are not aligned as Hopper's kernel wants them fall back to its twin.
        let hopper = conv.hopper(form).and_then(|sizes| sizes.plan(card, has));
        kernels.extend(hopper.map(|(_, kernel)| kernel));
        if let Form::Tiles(_) = form {
            kernels.push(conv.kernel(Form::Narrow));
        }
        if conv.average {
            kernels.push(launch_image::finish_kernel(conv.dtype));
        }
        Some(kernels)
    }

    fn workspace(&self, op: &Op, ins: &[Desc], card: &CardInfo) -> usize {
        Conv::of(op, ins).map_or(0, |conv| {
            let form = conv.form(card);
            conv.packed(form) + conv.partial(form)
        })
    }

    fn spared(&self, op: &Op, ins: &[Desc], at: usize, card: &CardInfo) -> usize {
        self.packed(op, ins, at, card).unwrap_or(0)
    }

    fn tile(
        &self,
        op: &Op,
        ins: &[Desc],
        card: &CardInfo,
        has: &dyn Fn(Kernel) -> bool,
    ) -> Option<GemmPlan> {
        let conv = Conv::of(op, ins)?;
        let sizes = conv.hopper(conv.form(card))?;
        sizes.plan(card, has).map(|(plan, _)| plan)
    }

    fn packed(&self, op: &Op, ins: &[Desc], at: usize, card: &CardInfo) -> Option<usize> {
        let conv = Conv::of(op, ins).filter(|_| at == 1)?;
        Some(conv.packed(conv.form(card))).filter(|&bytes| bytes > 0)
    }

    fn pack(
        &self,
        op: &Op,
        ins: &[Desc],
        _at: usize,
        row: &mut dyn FnMut(usize, &mut [f32]) -> Result<()>,
    ) -> Result<Vec<u8>> {
        let conv = Conv::of(op, ins).ok_or_else(|| lost(op))?;
        // The layout is the same for all tiles, so that it does not depend on the card.
        let mut bytes = conv.filters(conv.kind()).pack(row)?;
        bytes.resize(conv.packed(conv.kind()), 0);
        Ok(bytes)
    }

    fn run(&self, call: &Call<'_>) -> Result<()> {
        let conv = Conv::of(call.op, call.descs).ok_or_else(|| lost(call.op))?;
        if call.outs[0].desc.is_empty() {
            return Ok(());
        }
        let mut form = conv.form(call.card.driver.info());
        let filters = conv.filters(form);
        let weights = match (filters.layout, call.ins[1].is_packed()) {
            (Layout::Published, _) | (_, true) => call.ins[1].address(),
            _ => {
                filters.launch(call.card, call.ins[1], call.scratch, call.stream)?;
                call.scratch
            }
        };
        if conv.on_hopper(call, form, weights)? {
            return Ok(());
        }
        if let Form::Tiles(_) | Form::Thin = form
            && !aligned(call.ins[0], conv.c)
        {
            form = Form::Narrow;
        }
        match form {
            Form::Depthwise(_) => conv.depthwise(call, form, weights),
            _ => conv.launch(call, form, weights),
        }
    }
}

/// Queues a convolution on a plan of Hopper's kernel in place of the one that is chosen for it.
pub(super) fn planned(call: &Call<'_>, plan: &GemmPlan) -> Result<()> {
    let refused = || Error::internal("takes no plan").op(call.op.name());
    let conv = Conv::of(call.op, call.descs).ok_or_else(refused)?;
    let form = conv.kind();
    let sizes = conv.hopper(form).filter(Sizes::suits).ok_or_else(refused)?;
    let kernel = sizes.kernel(plan).ok_or_else(refused)?;
    let filters = conv.filters(form);
    filters.launch(call.card, call.ins[1], call.scratch, call.stream)?;
    match conv.on_plan(call, form, call.scratch, &(*plan, kernel))? {
        true => Ok(()),
        false => Err(refused()),
    }
}

fn lost(op: &Op) -> Error {
    Error::internal("is no convolution").op(op.name())
}

/// Pixels and filters of the tile that a block computes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Tile(usize, usize);

/// Which kernels run a convolution.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// `conv_<type>_<tile>` and `conv_gated_<type>_<tile>`.
    Tiles(Tile),
    /// `conv_narrow_<type>_64x64`.
    Narrow,
    /// `conv_thin_<type>`.
    Thin,
    /// `conv_depthwise_<type>`, by its number.
    Depthwise(usize),
    /// `conv_grouped_<type>`, by channels of a bundle.
    Bundles(usize),
    /// `conv_direct`.
    Direct,
}

/// One convolution.
#[derive(Debug, Clone, Copy)]
struct Conv {
    window: Window,
    groups: usize,
    gate: bool,
    epilogue: Epilogue,
    average: bool,
    dtype: DType,
    images: usize,
    h: usize,
    w: usize,
    c: usize,
    oh: usize,
    ow: usize,
    o: usize,
}

/// Values of k in a tile, values behind each of its lines, and tiles in flight: `tile::DEPTH`,
/// `tile::PADDING` and `STAGES` of the kernels.
const DEPTH: usize = 32;
const PADDING: usize = 8;
const STAGES: usize = 3;
/// The most dynamic shared memory that the kernels take.
const SHARED: usize = 96 << 10;
/// So many pixels at most are few: a tile of 64 would be mostly empty, or lie alone on the card.
const FEW: usize = 64;

/// Side of a tile of pixels and channels of `conv_grouped`, and bytes of a pixel in shared memory.
const SIDE: usize = 8;
const CHANNELS: usize = 64;
const PIXEL: usize = (CHANNELS + 8) * 2;

/// Threads, pixels of a strip and rows of strips of a thread of `conv_depthwise`.
const THREADS: usize = 128;
const STRIP: usize = 4;
const ROWS: usize = 2;
/// Windows and steps of `conv_depthwise`, by number.
pub(super) const WINDOWS: [(usize, usize); 4] = [(3, 1), (3, 2), (5, 1), (5, 2)];

/// The most blocks of a grid in y and z.
const MAX_BLOCKS: usize = 65_535;

impl Conv {
    /// From an operation and its inputs' descriptions, which `Op::infer` accepts.
    fn of(op: &Op, ins: &[Desc]) -> Option<Conv> {
        let (window, groups, gate, epilogue, average) = match *op {
            Op::Conv {
                window,
                groups,
                gate,
                epilogue,
            } => (window, groups, gate, epilogue, false),
            Op::ConvAverage {
                window,
                groups,
                epilogue,
            } => (window, groups, false, epilogue, true),
            _ => return None,
        };
        let [images, h, w, c] = ins[0].dims[..] else {
            return None;
        };
        let (oh, ow) = window.out("conv", h, w).ok()?;
        Some(Conv {
            window,
            groups,
            gate,
            epilogue,
            average,
            dtype: ins[0].dtype,
            images,
            h,
            w,
            c,
            oh,
            ow,
            o: ins[1].dims[0],
        })
    }

    fn rows(&self) -> usize {
        self.images * self.oh * self.ow
    }

    /// The kind of kernel, with a tile that may not be the best.
    fn kind(&self) -> Form {
        let (inner, each) = (self.c / self.groups, self.o / self.groups);
        if self.dtype.size() != 2 || self.rows() > i32::MAX as usize {
            return Form::Direct;
        }
        let [kh, kw] = self.window.kernel;
        let known =
            |&(k, step): &(usize, usize)| [kh, kw] == [k; 2] && self.window.stride == [step; 2];
        if inner == 1 && each == 1 && self.c.is_multiple_of(8) && self.groups > 1 {
            let fits = self.images <= MAX_BLOCKS && self.cut().tiles <= MAX_BLOCKS;
            let number = WINDOWS.iter().position(known).filter(|_| fits);
            return number.map_or(Form::Direct, Form::Depthwise);
        }
        let bundle = inner.max(8);
        let small = matches!(inner, 4 | 8 | 16 | 32) && self.c.is_multiple_of(bundle);
        if self.groups > 1 && small && inner == each && self.halo() <= SHARED {
            return Form::Bundles(bundle);
        }
        match (self.groups, inner.is_multiple_of(8)) {
            (_, true) => Form::Tiles(Tile(64, 64)),
            (1, false) => Form::Narrow,
            _ => Form::Direct,
        }
    }

    /// The kernels for inputs that are aligned to 16 bytes.
    fn form(&self, card: &CardInfo) -> Form {
        match self.kind() {
            Form::Tiles(_) if self.groups == 1 && !self.gate && self.rows() <= FEW => Form::Thin,
            Form::Tiles(_) => Form::Tiles(self.tile(card.multiprocessors as usize)),
            other => other,
        }
    }

    /// The tile that one block computes. A large one reads pixels and filters less often; a small one
    /// wastes less beside the last filters, and fills a card that large ones would leave idle.
    fn tile(&self, multiprocessors: usize) -> Tile {
        let (rows, each) = (self.rows(), self.o / self.groups);
        let fills = |t: Tile| {
            rows.div_ceil(t.0) * each.div_ceil(t.1) * self.groups >= multiprocessors.max(1)
        };
        let padded = |n: usize| each.div_ceil(n) * n;
        let wide = padded(128) * 5 <= padded(64) * 6;
        match (
            rows <= 64,
            wide && fills(Tile(128, 128)),
            fills(Tile(128, 64)),
        ) {
            (true, ..) => Tile(64, 64),
            (_, true, _) => Tile(128, 128),
            (_, _, true) => Tile(128, 64),
            _ => Tile(64, 64),
        }
    }

    fn filters(&self, form: Form) -> Filters {
        Filters {
            layout: match form {
                Form::Tiles(_) | Form::Narrow | Form::Thin => Layout::Lines,
                Form::Depthwise(_) => Layout::Places,
                Form::Bundles(bundle) => Layout::Bundles(bundle),
                Form::Direct => Layout::Published,
            },
            count: self.o,
            inner: self.c / self.groups,
            places: self.window.kernel[0] * self.window.kernel[1],
            dtype: self.dtype,
        }
    }

    /// Bytes of the packed filters, or 0 where the published ones are read.
    fn packed(&self, form: Form) -> usize {
        let filters = self.filters(form);
        match filters.layout {
            Layout::Published => 0,
            _ => (filters.len() * 2).next_multiple_of(256),
        }
    }

    /// Bytes of the sums of tiles for the average.
    fn partial(&self, form: Form) -> usize {
        match (form, self.average) {
            (Form::Depthwise(_), true) => self.images * self.cut().tiles * self.c * 4,
            _ => 0,
        }
    }

    fn kernel(&self, form: Form) -> Kernel {
        let dtype = self.dtype;
        let symbol = match (form, self.gate) {
            (Form::Tiles(Tile(128, 128)), false) => by_short!(dtype, "conv", "_128x128"),
            (Form::Tiles(Tile(128, 128)), true) => by_short!(dtype, "conv_gated", "_128x128"),
            (Form::Tiles(Tile(128, _)), false) => by_short!(dtype, "conv", "_128x64"),
            (Form::Tiles(Tile(128, _)), true) => by_short!(dtype, "conv_gated", "_128x64"),
            (Form::Tiles(_), false) => by_short!(dtype, "conv", "_64x64"),
            (Form::Tiles(_), true) => by_short!(dtype, "conv_gated", "_64x64"),
            (Form::Narrow, _) => by_short!(dtype, "conv_narrow", "_64x64"),
            (Form::Thin, _) => by_short!(dtype, "conv_thin", ""),
            (Form::Depthwise(number), _) => match WINDOWS[number] {
                (3, 1) => by_short!(dtype, "conv_depthwise", "_3x3_1"),
                (3, _) => by_short!(dtype, "conv_depthwise", "_3x3_2"),
                (_, 1) => by_short!(dtype, "conv_depthwise", "_5x5_1"),
                _ => by_short!(dtype, "conv_depthwise", "_5x5_2"),
            },
            (Form::Bundles(8), _) => by_short!(dtype, "conv_grouped", "_8"),
            (Form::Bundles(16), _) => by_short!(dtype, "conv_grouped", "_16"),
            (Form::Bundles(_), _) => by_short!(dtype, "conv_grouped", "_32"),
            (Form::Direct, _) => by_type!(dtype, "conv_direct"),
        };
        Kernel {
            family: "conv",
            symbol,
        }
    }

    /// Blocks, threads and dynamic shared memory.
    fn grid(&self, form: Form) -> Result<Launch> {
        let each = self.o / self.groups;
        let tiles = |Tile(m, n): Tile| {
            let count = self.rows().div_ceil(m) * each.div_ceil(n) * self.groups;
            let threads = if m == 128 { 256 } else { 128 };
            let shared = STAGES * (m + n) * (DEPTH + PADDING) * 2;
            Ok(Launch::linear(blocks(count)?, threads, shared))
        };
        match form {
            Form::Tiles(tile) => tiles(tile),
            Form::Narrow => tiles(Tile(64, 64)),
            Form::Thin => {
                let count = self.rows().div_ceil(16) * self.o.div_ceil(16);
                Ok(Launch::linear(blocks(count)?, 256, 8 * 16 * 16 * 4))
            }
            Form::Bundles(_) => {
                let tiles = self.images * self.oh.div_ceil(SIDE) * self.ow.div_ceil(SIDE);
                let count = tiles * self.c.div_ceil(CHANNELS);
                Ok(Launch::linear(blocks(count)?, 128, self.halo()))
            }
            Form::Depthwise(_) => {
                let cut = self.cut();
                let across = (self.c / 8).div_ceil(cut.lanes);
                let shared = if self.average { THREADS * 8 * 4 } else { 0 };
                Ok(Launch {
                    grid: [across as u32, cut.tiles as u32, self.images as u32],
                    ..Launch::linear(1, THREADS as u32, shared)
                })
            }
            Form::Direct => {
                let count = (self.rows() * self.o).div_ceil(256).clamp(1, 1 << 20);
                Ok(Launch::linear(blocks(count)?, 256, 0))
            }
        }
    }

    /// Shared memory of a block of `conv_grouped`: the pixels under its windows, or its results.
    fn halo(&self) -> usize {
        let side = |i: usize| (SIDE - 1) * self.window.stride[i] + self.window.kernel[i];
        let pixels = side(0).saturating_mul(side(1));
        pixels.saturating_mul(PIXEL).max(SIDE * SIDE * PIXEL * 2)
    }

    fn cut(&self) -> Cut {
        Cut::new(self.c / 8, self.oh, self.ow)
    }

    /// The gate, what the epilogue takes (0 where there is no such), and the flags of alignment.
    fn extras(&self, call: &Call<'_>) -> ([u64; 4], usize) {
        let mut rest = call.ins[2..].iter();
        let mut flags = 0;
        let mut take = |present: bool, flag: usize, line: usize| match present {
            true => rest.next().map_or(0, |buf| {
                flags |= if aligned(buf, line) { flag } else { 0 };
                buf.address()
            }),
            false => 0,
        };
        let addresses = [
            take(self.gate, 8, self.c),
            take(self.epilogue.scale, 0, 1),
            take(self.epilogue.bias, 0, 1),
            take(self.epilogue.residual, 4, self.o),
        ];
        let each = self.o / self.groups;
        let whole = self.groups == 1 || each.is_multiple_of(8) || each == 1;
        flags &= if whole { usize::MAX } else { !4 };
        flags |= usize::from(aligned(call.ins[0], self.c));
        flags |= if whole && aligned(call.outs[0], self.o) {
            2
        } else {
            0
        };
        (addresses, flags)
    }

    /// The sizes for Hopper's kernel, where the filters stand as it reads them.
    fn hopper(&self, form: Form) -> Option<Sizes> {
        let lines = matches!(form, Form::Tiles(_)) && !self.average;
        lines.then(|| self.sizes())
    }

    fn sizes(&self) -> Sizes {
        Sizes {
            dtype: self.dtype,
            window: self.window,
            groups: self.groups,
            gate: self.gate,
            images: self.images,
            h: self.h,
            w: self.w,
            c: self.c,
            oh: self.oh,
            ow: self.ow,
            o: self.o,
        }
    }

    /// Queues the convolution on Hopper's kernel, if the card has it and it takes these buffers.
    fn on_hopper(&self, call: &Call<'_>, form: Form, weights: u64) -> Result<bool> {
        let driver = &call.card.driver;
        let plan = self.hopper(form).and_then(|sizes| match call.tile {
            Some(tile) => tile.and_then(|plan| Some((plan, sizes.kernel(&plan)?))),
            None => sizes.plan(driver.info(), &|kernel| driver.has(kernel)),
        });
        match plan {
            Some(plan) => self.on_plan(call, form, weights, &plan),
            None => Ok(false),
        }
    }

    /// The same on a plan.
    fn on_plan(
        &self,
        call: &Call<'_>,
        form: Form,
        weights: u64,
        plan: &(GemmPlan, Kernel),
    ) -> Result<bool> {
        let ([gate, scale, bias, residual], flags) = self.extras(call);
        let at = Addresses {
            x: call.ins[0].address(),
            filters: weights,
            line: self.filters(form).line(),
            out: call.outs[0].address(),
            gate,
            scale,
            bias,
            residual,
        };
        let Some(sizes) = self.hopper(form).filter(|_| at.aligned()) else {
            return Ok(false);
        };
        let act = number(self.epilogue.act);
        sizes.launch(
            call.card,
            plan,
            &at,
            &self.sizes().shape(flags),
            act,
            call.stream,
        )?;
        Ok(true)
    }

    fn launch(&self, call: &Call<'_>, form: Form, weights: u64) -> Result<()> {
        let ([gate, scale, bias, residual], flags) = self.extras(call);
        let mut args = Args::default()
            .address(call.ins[0].address())
            .address(weights)
            .address(call.outs[0].address());
        if !matches!(form, Form::Bundles(_)) {
            args = args.address(gate);
        }
        args = args
            .address(scale)
            .address(bias)
            .address(residual)
            .ints(&self.sizes().shape(flags))?;
        if let Form::Tiles(_) | Form::Narrow | Form::Thin = form {
            args = args.int(self.filters(form).line())?;
        }
        args = args.int(number(self.epilogue.act))?;
        // SAFETY: the arguments are those of mma_conv.h, conv_thin.cu, conv_grouped.cu and
        // conv_direct.cu in kernels/conv/, in order; the engine checked buffers, types and shapes;
        // `weights` holds the filters in the layout of the form; `flags` promise no more than addresses
        // and lines hold, and tiles and conv_thin run on aligned images alone.
        unsafe {
            call.card
                .launch(self.kernel(form), &self.grid(form)?, args, call.stream)
        }
    }

    fn depthwise(&self, call: &Call<'_>, form: Form, weights: u64) -> Result<()> {
        let ([_, scale, bias, residual], flags) = self.extras(call);
        let cut = self.cut();
        let partial = match self.average {
            true if call.ins[1].is_packed() => call.scratch,
            true => call.scratch + self.packed(form) as u64,
            false => 0,
        };
        let args = Args::default()
            .address(call.ins[0].address())
            .address(weights)
            .address(call.outs[0].address())
            .address(scale)
            .address(bias)
            .address(residual)
            .address(partial)
            .ints(&self.sizes().shape(flags))?
            .int(cut.lanes)?
            .int(cut.across)?
            .int(number(self.epilogue.act))?;
        // SAFETY: the arguments are those of kernels/conv/conv_depthwise.cu, in order; the engine checked
        // buffers, types and shapes, c is a multiple of 8, and the scratch memory has the packed filters,
        // where they did not come so, and behind them images x tiles x c f32.
        unsafe {
            call.card
                .launch(self.kernel(form), &self.grid(form)?, args, call.stream)
        }?;
        if !self.average {
            return Ok(());
        }
        let [n, pixels] = [self.images, self.oh * self.ow];
        launch_image::finish(
            call,
            partial,
            call.outs[1],
            None,
            [n, self.c, cut.tiles, pixels],
        )
    }
}

/// How `conv_depthwise` cuts images into tiles.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Cut {
    /// Threads side by side, each on 8 channels.
    lanes: usize,
    /// Strips side by side in a tile.
    across: usize,
    /// Tiles of an image.
    tiles: usize,
}

impl Cut {
    /// For images of `vectors` times 8 channels and results of `oh x ow` pixels.
    fn new(vectors: usize, oh: usize, ow: usize) -> Cut {
        // Threads that are idle, in parts of all: beside the last channels, and beyond the last strip.
        let used = |lanes: usize| {
            let channels = vectors as f64 / (vectors.div_ceil(lanes) * lanes) as f64;
            channels * (THREADS / lanes * lanes) as f64 / THREADS as f64
        };
        let lanes = (4..=32).fold(8, |best, lanes| match used(lanes) > used(best) + 0.01 {
            true => lanes,
            false => best,
        });
        let strips = THREADS / lanes;
        let across = ow.div_ceil(STRIP).min(4).min(strips).max(1);
        let down = strips / across * ROWS;
        Cut {
            lanes,
            across,
            tiles: ow.div_ceil(across * STRIP) * oh.div_ceil(down),
        }
    }
}

/// Whether a value and each of its lines of `line` 16-bit values begin at a multiple of 16 bytes.
fn aligned(buf: &Buf, line: usize) -> bool {
    buf.address().is_multiple_of(16) && line.is_multiple_of(8)
}
