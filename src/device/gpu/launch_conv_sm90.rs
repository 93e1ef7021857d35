//! Convolutions on Hopper cards: `kernels/conv/sm90_conv.h`.

use super::driver::{CardInfo, Kernel, Launch, Stream, Swizzle, TensorCopy, TensorShape};
use super::heuristics_gemm::{self as heuristics, GemmPlan};
use super::launch::{Args, blocks, by_short};
use super::memory::Card;
use crate::device::desc::DType;
use crate::device::op::Window;
use crate::error::Result;

/// Columns of the kernels' tiles.
const TILES: [usize; 3] = [256, 128, 64];
/// How the kernel stores its result: `Store` there.
const BULK: usize = 0;
const PAIRS: usize = 1;

/// The sizes of a convolution of 16-bit values.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sizes {
    pub(super) dtype: DType,
    pub(super) window: Window,
    pub(super) groups: usize,
    pub(super) gate: bool,
    pub(super) images: usize,
    pub(super) h: usize,
    pub(super) w: usize,
    pub(super) c: usize,
    pub(super) oh: usize,
    pub(super) ow: usize,
    pub(super) o: usize,
}

/// The addresses of a convolution; 0 for what is not there. Filters stand in lines of `line` values, place
/// by place.
#[derive(Debug, Clone, Copy)]
pub(super) struct Addresses {
    pub(super) x: u64,
    pub(super) filters: u64,
    pub(super) line: usize,
    pub(super) out: u64,
    pub(super) gate: u64,
    pub(super) scale: u64,
    pub(super) bias: u64,
    pub(super) residual: u64,
}

impl Addresses {
    /// Whether the kernel can read and store by its widths.
    pub(super) fn aligned(&self) -> bool {
        let pairs = [self.out, self.gate, self.scale, self.bias, self.residual];
        let wide = [self.x, self.filters, self.line as u64 * 2];
        wide.iter().all(|at| at.is_multiple_of(16)) && pairs.iter().all(|at| at.is_multiple_of(4))
    }
}

impl Sizes {
    /// `conv::Shape` of the kernels: `flags` says which buffers are aligned.
    pub(super) fn shape(&self, flags: usize) -> [usize; 15] {
        let Window {
            kernel,
            stride,
            pad,
        } = self.window;
        [
            self.images,
            self.h,
            self.w,
            self.c,
            self.oh,
            self.ow,
            self.o,
            kernel[0],
            kernel[1],
            stride[0],
            stride[1],
            pad[0],
            pad[1],
            self.groups,
            flags,
        ]
    }

    fn rows(&self) -> usize {
        self.images * self.oh * self.ow
    }

    fn places(&self) -> usize {
        self.window.kernel[0] * self.window.kernel[1]
    }

    /// Whether the kernels are made for it: whole pieces of 16 bytes of a pixel, pairs of filters, groups
    /// of whole tiles, a window that the copy engine can walk, and a gate in front of single pixels alone.
    pub(super) fn suits(&self) -> bool {
        let Window {
            kernel,
            stride,
            pad,
        } = self.window;
        let (inner, each) = (self.c / self.groups, self.o / self.groups);
        let whole = self.groups == 1 || (inner.is_multiple_of(64) && each.is_multiple_of(64));
        let walks = kernel.iter().all(|&k| k <= 64)
            && stride.iter().all(|&s| s <= 8)
            && pad.iter().all(|&p| p <= 64);
        let gate = !self.gate || (self.places() == 1 && self.groups == 1);
        self.c.is_multiple_of(8)
            && self.o.is_multiple_of(2)
            && self.rows() > 0
            && self.rows() < i32::MAX as usize
            && whole
            && walks
            && gate
    }

    /// The plan for a Hopper card that has the kernel.
    pub(super) fn plan(
        &self,
        card: &CardInfo,
        has: &dyn Fn(Kernel) -> bool,
    ) -> Option<(GemmPlan, Kernel)> {
        if !self.suits() {
            return None;
        }
        let each = self.o / self.groups;
        let takes = |columns: usize| {
            let fits = self.groups == 1 || each.is_multiple_of(columns);
            fits && TILES.contains(&columns)
        };
        let inner = (self.c / self.groups).next_multiple_of(heuristics::DEPTH);
        let depth = inner * self.places();
        let multiprocessors = card.multiprocessors as usize;
        let plan =
            heuristics::persistent_plan(self.rows(), self.o, depth, multiprocessors, &takes)?;
        let kernel = self.kernel(&plan)?;
        (plan.tile.shared() <= card.shared_per_block && has(kernel)).then_some((plan, kernel))
    }

    /// The kernel of a plan, if there is one for its tile.
    pub(super) fn kernel(&self, plan: &GemmPlan) -> Option<Kernel> {
        let dtype = self.dtype;
        let symbol = match (plan.tile.sides().1, self.gate) {
            (256, false) => by_short!(dtype, "sm90", "_conv_128x256"),
            (256, true) => by_short!(dtype, "sm90", "_conv_gated_128x256"),
            (128, false) => by_short!(dtype, "sm90", "_conv_128x128"),
            (128, true) => by_short!(dtype, "sm90", "_conv_gated_128x128"),
            (64, false) => by_short!(dtype, "sm90", "_conv_128x64"),
            (64, true) => by_short!(dtype, "sm90", "_conv_gated_128x64"),
            _ => return None,
        };
        Some(Kernel {
            family: "conv",
            symbol,
        })
    }

    /// The map of the images: 64 channels under the windows of a tile's pixels.
    fn images_map(&self, x: u64, pixels: usize) -> TensorShape {
        let Window {
            kernel,
            stride,
            pad,
        } = self.window;
        let line = self.c as u64 * 2;
        let (w, h) = (self.w as u64, self.h as u64);
        let reach = |side: usize| pad[side + 2] as i32 - (kernel[side] as i32 - 1);
        TensorShape {
            address: x,
            element: 2,
            dims: vec![self.c as u64, w, h, self.images as u64],
            strides: vec![line, line * w, line * w * h],
            swizzle: Swizzle::B128,
            copy: TensorCopy::Im2col {
                lower: [-(pad[1] as i32), -(pad[0] as i32)],
                upper: [reach(1), reach(0)],
                channels: heuristics::DEPTH as u32,
                pixels: pixels as u32,
                steps: [stride[1] as u32, stride[0] as u32],
            },
        }
    }

    /// Queues the convolution. `shape` is `conv::Shape` of the kernels, and `activation` a number of
    /// `kernels/pointwise/activation.h`.
    pub(super) fn launch(
        &self,
        card: &Card,
        (plan, kernel): &(GemmPlan, Kernel),
        at: &Addresses,
        shape: &[usize; 15],
        activation: usize,
        stream: Stream,
    ) -> Result<()> {
        let (tile_m, tile_n) = plan.tile.sides();
        let lines = |address: u64, count: usize, columns: usize, lines: usize| TensorShape {
            address,
            element: 2,
            dims: vec![columns as u64, count as u64],
            strides: vec![columns as u64 * 2],
            swizzle: Swizzle::B128,
            copy: TensorCopy::Tile(vec![heuristics::DEPTH as u32, lines as u32]),
        };
        let map = |shape: &TensorShape| card.driver.tensor_map(shape);
        let x = map(&self.images_map(at.x, tile_m))?;
        let filters = map(&lines(at.filters, self.o, at.line, tile_n / plan.cluster))?;
        let bulk = self.o.is_multiple_of(8) && at.out.is_multiple_of(16);
        let panels = || map(&lines(at.out, self.rows(), self.o, heuristics::GROUP));
        let args = Args::default()
            .map(&x)
            .map(&filters)
            .map(&if bulk { panels()? } else { x })
            .address(at.out)
            .address(at.gate)
            .address(at.scale)
            .address(at.bias)
            .address(at.residual)
            .ints(shape)?
            .int(activation)?
            .int(if bulk { BULK } else { PAIRS })?;
        let how = Launch {
            cluster: [blocks(plan.cluster)?, 1, 1],
            ..Launch::linear(blocks(plan.grid)?, plan.tile.threads(), plan.tile.shared())
        };
        // SAFETY: the arguments are those of kernels/conv/sm90_conv.h, in order; the caller's buffers
        // are this card's and of these sizes, the filters in lines as `line` says, and `aligned` held.
        unsafe { card.launch(*kernel, &how, args, stream) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn card() -> CardInfo {
        CardInfo {
            driver: "cuda",
            name: "a Hopper card".into(),
            arch: 90,
            multiprocessors: 132,
            memory: 1 << 30,
            shared_per_block: 227 << 10,
        }
    }

    fn sizes(c: usize, o: usize, side: usize, kernel: usize, groups: usize) -> Sizes {
        Sizes {
            dtype: DType::F16,
            window: Window::square(kernel, 1, kernel / 2),
            groups,
            gate: false,
            images: 32,
            h: side,
            w: side,
            c,
            oh: side,
            ow: side,
            o,
        }
    }

    fn columns(sizes: &Sizes) -> Option<usize> {
        let plan = sizes.plan(&card(), &|_| true);
        plan.map(|(plan, _)| plan.tile.sides().1)
    }

    #[test]
    fn convolutions_of_the_encoders_get_tiles_that_fit() {
        assert_eq!(columns(&sizes(64, 64, 128, 3, 1)), Some(64));
        assert_eq!(columns(&sizes(256, 256, 32, 3, 1)), Some(256));
        assert_eq!(
            columns(&sizes(2048, 512, 16, 1, 1)).map(|n| n >= 128),
            Some(true)
        );
        // Groups of 64 channels, and what the kernels are not made for.
        assert_eq!(columns(&sizes(256, 256, 32, 3, 4)), Some(64));
        assert_eq!(columns(&sizes(128, 128, 32, 3, 32)), None);
        assert_eq!(columns(&sizes(3, 64, 512, 7, 1)), None);
        let gate = Sizes {
            gate: true,
            ..sizes(240, 40, 64, 1, 1)
        };
        assert_eq!(columns(&gate), Some(64));
        assert_eq!(columns(&Sizes { groups: 4, ..gate }), None);
        assert!(gate.plan(&card(), &|_| false).is_none());
        let older = CardInfo {
            shared_per_block: 99 << 10,
            ..card()
        };
        assert!(gate.plan(&older, &|_| true).is_none());
    }

    #[test]
    fn the_window_walks_between_its_first_and_last_place() {
        let stem = Sizes {
            window: Window::same(3, 2, 32, 32),
            oh: 16,
            ow: 16,
            ..sizes(64, 64, 32, 3, 1)
        };
        let map = stem.images_map(4096, 128);
        let TensorCopy::Im2col {
            lower,
            upper,
            steps,
            ..
        } = map.copy
        else {
            panic!("{map:?}");
        };
        // Padding of 0 before and 1 behind: corners 0, 2, ..., 30.
        assert_eq!((lower, upper, steps), ([0, 0], [-1, -1], [2, 2]));
        let places = (32 + upper[0] - lower[0] + 1) / 2;
        assert_eq!(places, 16);
    }
}
