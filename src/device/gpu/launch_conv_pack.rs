//! The layouts of filters that the kernels of `kernels/conv/` read: packed on the host for plans, or by
//! `kernels/conv/conv_pack.cu` for filters that come as they are published.

use super::driver::{Kernel, Launch, Stream};
use super::launch::{Args, blocks};
use super::memory::Card;
use crate::device::desc::{Buf, DType};
use crate::device::plan::bytes_of;
use crate::error::Result;

/// Values of the fragments of 8 filters for one step of 16 values of k.
const FRAGMENT: usize = 128;

/// How filters `[o, inner, places]` lie in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Layout {
    /// As published.
    Published,
    /// Lines of place by place, channel by channel, padded to a multiple of 8.
    Lines,
    /// Place by place, all filters side by side; one channel a group.
    Places,
    /// Fragments of bundles of so many filters: `kernels/conv/fragments.h`.
    Bundles(usize),
}

/// Filters in a layout: how many, channels of a group, and places of the window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Filters {
    pub layout: Layout,
    pub count: usize,
    pub inner: usize,
    pub places: usize,
    /// The type of the values: f16 or bf16.
    pub dtype: DType,
}

impl Filters {
    /// Values of a line of [`Layout::Lines`].
    pub fn line(&self) -> usize {
        (self.inner * self.places).next_multiple_of(8)
    }

    /// Steps of 16 values of k of a bundle.
    fn steps(&self, bundle: usize) -> usize {
        (self.places * bundle / 8).div_ceil(2)
    }

    /// Values in all.
    pub fn len(&self) -> usize {
        match self.layout {
            Layout::Published | Layout::Places => self.count * self.inner * self.places,
            Layout::Lines => self.count * self.line(),
            Layout::Bundles(bundle) => self.count / 8 * self.steps(bundle) * FRAGMENT,
        }
    }

    /// The kernel that packs them on the card.
    pub fn kernel(&self) -> Option<Kernel> {
        let symbol = match self.layout {
            Layout::Published => return None,
            Layout::Lines => "conv_pack_lines",
            Layout::Places => "conv_pack_places",
            Layout::Bundles(_) => "conv_pack_bundles",
        };
        Some(Kernel {
            family: "conv",
            symbol,
        })
    }

    /// Where value `k` (channel by channel, then place by place) of filter `filter` goes.
    fn place(&self, filter: usize, k: usize) -> usize {
        let (channel, place) = (k / self.places, k % self.places);
        match self.layout {
            Layout::Published => filter * self.inner * self.places + k,
            Layout::Lines => filter * self.line() + place * self.inner + channel,
            Layout::Places => place * self.count + filter,
            Layout::Bundles(bundle) => {
                let within = filter % bundle / self.inner * self.inner + channel;
                let k = place * bundle + within;
                let (step, half, e) = (k / 16, k / 8 % 2, k % 8);
                let lane = filter % 8 * 4 + e / 2;
                let first = (filter / 8 * self.steps(bundle) + step) * FRAGMENT;
                first + lane * 4 + half * 2 + e % 2
            }
        }
    }

    /// The bytes of the layout, from the published rows.
    ///
    /// # Errors
    /// What `row` says.
    pub fn pack(&self, row: &mut dyn FnMut(usize, &mut [f32]) -> Result<()>) -> Result<Vec<u8>> {
        let mut bytes = vec![0; self.len() * 2];
        let mut values = vec![0.0; self.inner * self.places];
        for filter in 0..self.count {
            row(filter, &mut values)?;
            let stored = bytes_of(&values, self.dtype);
            for k in 0..values.len() {
                let at = self.place(filter, k) * 2;
                bytes[at..at + 2].copy_from_slice(&stored[2 * k..2 * k + 2]);
            }
        }
        Ok(bytes)
    }

    /// Queues the packing of published filters to `to`, which has room for them.
    ///
    /// # Errors
    /// Numbers that a kernel does not take, or a failing card.
    pub fn launch(&self, card: &Card, from: &Buf, to: u64, stream: Stream) -> Result<()> {
        let Some(kernel) = self.kernel() else {
            return Ok(());
        };
        let mut args = Args::default()
            .address(from.address())
            .address(to)
            .int(self.count)?;
        args = match self.layout {
            Layout::Places => args.int(self.places)?,
            Layout::Bundles(bundle) => args.int(self.inner)?.int(self.places)?.int(bundle)?,
            _ => args.int(self.inner)?.int(self.places)?.int(self.line())?,
        };
        let how = Launch::linear(blocks(self.len().div_ceil(256).clamp(1, 4096))?, 256, 0);
        // SAFETY: the arguments are those of the entries of kernels/conv/conv_pack.cu, in order; `from`
        // holds o x inner x places values of this card's, and `to` has room for `len` values.
        unsafe { card.launch(kernel, &how, args, stream) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_has_a_place_of_its_own() {
        let cases = [
            (Layout::Lines, 3, 5, 9, 3 * 48),
            (Layout::Places, 16, 1, 9, 144),
            (Layout::Bundles(8), 16, 8, 9, 2 * 5 * 128),
            (Layout::Bundles(8), 8, 4, 9, 5 * 128),
            (Layout::Bundles(32), 64, 32, 9, 8 * 18 * 128),
        ];
        for (layout, count, inner, places, len) in cases {
            let filters = Filters {
                layout,
                count,
                inner,
                places,
                dtype: DType::F16,
            };
            assert_eq!(filters.len(), len, "{layout:?}");
            let mut seen = vec![false; len];
            for at in 0..count * inner * places {
                let place = filters.place(at / (inner * places), at % (inner * places));
                assert!(!std::mem::replace(&mut seen[place], true), "{layout:?}");
            }
        }
    }
}
