//! How the filters of a convolution are laid out for the kernels.
//!
//! Dense form, `[group][panel][tap][channel][lane]`: a panel is two vectors of filters (the last one
//! of a group may be one or three), so that a step of the kernel reads its weights in one go.
//!
//! Crossed form, `[vector][tap][r][lane]`, for groups of 2, 4 or 8 channels and as many filters:
//! a vector of channels meets weights of the same lanes. Lane `i` of step `r` holds the weight that
//! takes channel `i` to filter `i ^ r`, which is of the same group; the sums of step `r` are brought
//! home by exchanging lanes once, at the end.

use super::super::kernel::{Kernel, Level};
use super::super::shape::ConvShape;
use crate::error::Result;

/// Vectors of a panel.
pub(super) const WIDE: usize = 2;

/// The form of the kernel for a convolution; it depends on channels, filters, groups, and the
/// filters' size, and on nothing else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// Panels of filters, every channel of the group against every filter of it.
    Dense,
    /// Groups of `1 << bits` channels and filters, lane by lane.
    Crossed {
        /// 1, 2 or 3.
        bits: u32,
    },
}

/// Sizes of the packed filters.
#[derive(Debug, Clone, Copy)]
pub(super) struct Layout {
    pub form: Form,
    /// Floats of a vector.
    pub lanes: usize,
    /// Channels of a group.
    pub channels: usize,
    /// Filters of a group.
    pub filters: usize,
    /// Groups.
    pub groups: usize,
    /// Rows and columns of a filter.
    pub kernel: [usize; 2],
}

/// Floats of a vector of `kernel`'s unit.
pub(super) fn lanes(kernel: Kernel) -> usize {
    match kernel.level() {
        Level::Portable => 8,
        #[cfg(target_arch = "x86_64")]
        Level::Avx2 => 8,
        #[cfg(target_arch = "x86_64")]
        Level::Avx512 | Level::Avx512Vnni => 16,
    }
}

impl Layout {
    pub(super) fn new(kernel: Kernel, shape: &ConvShape) -> Layout {
        let groups = shape.groups.max(1);
        let (channels, filters) = (shape.channels / groups, shape.filters / groups);
        let form = match channels {
            2 | 4 | 8 if groups > 1 && channels == filters => Form::Crossed {
                bits: channels.trailing_zeros(),
            },
            _ => Form::Dense,
        };
        Layout {
            form,
            lanes: lanes(kernel),
            channels,
            filters,
            groups,
            kernel: shape.kernel,
        }
    }

    /// Positions of a filter.
    pub(super) fn taps(&self) -> usize {
        self.kernel[0] * self.kernel[1]
    }

    /// Values of one filter.
    pub(super) fn depth(&self) -> usize {
        self.channels * self.taps()
    }

    /// Dense form: vectors of a group's filters.
    fn vectors(&self) -> usize {
        self.filters.div_ceil(self.lanes)
    }

    /// Dense form: panels of a group.
    pub(super) fn panels(&self) -> usize {
        (self.vectors() / WIDE).max(1)
    }

    /// Dense form: panel `p` of `0..groups * panels()`.
    pub(super) fn panel(&self, p: usize) -> Panel {
        let (group, i) = (p / self.panels(), p % self.panels());
        let wide = if i + 1 == self.panels() {
            self.vectors() - WIDE * i
        } else {
            WIDE
        };
        let first = WIDE * i * self.lanes;
        Panel {
            wide,
            channel: group * self.channels,
            filter: group * self.filters + first,
            columns: (wide * self.lanes).min(self.filters - first),
            start: (group * self.vectors() + WIDE * i) * self.lanes * self.depth(),
        }
    }

    /// Crossed form: vectors of all channels.
    pub(super) fn crossed(&self) -> usize {
        (self.channels * self.groups).div_ceil(self.lanes)
    }

    /// Floats of the packed filters.
    pub(super) fn len(&self) -> usize {
        match self.form {
            Form::Dense => self.groups * self.vectors() * self.lanes * self.depth(),
            Form::Crossed { .. } => self.crossed() * self.lanes * self.depth(),
        }
    }

    /// Packs all filters; see [`super::pack`].
    pub(super) fn pack(
        &self,
        filters: &mut dyn FnMut(usize, &mut [f32]) -> Result<()>,
        packed: &mut [f32],
    ) -> Result<()> {
        packed.fill(0.0);
        let mut row = vec![0.0; self.depth()];
        for group in 0..self.groups {
            for f in 0..self.filters {
                let o = group * self.filters + f;
                filters(o, &mut row)?;
                match self.form {
                    Form::Dense => self.place_dense(group, f, &row, packed),
                    Form::Crossed { .. } => self.place_crossed(o, &row, packed),
                }
            }
        }
        Ok(())
    }

    fn place_dense(&self, group: usize, f: usize, row: &[f32], packed: &mut [f32]) {
        let i = (f / (WIDE * self.lanes)).min(self.panels() - 1);
        let panel = self.panel(group * self.panels() + i);
        let width = panel.wide * self.lanes;
        let to = &mut packed[panel.start..][..width * self.depth()];
        let column = group * self.filters + f - panel.filter;
        for (c, values) in row.chunks_exact(self.taps()).enumerate() {
            for (tap, value) in values.iter().enumerate() {
                to[(tap * self.channels + c) * width + column] = *value;
            }
        }
    }

    fn place_crossed(&self, o: usize, row: &[f32], packed: &mut [f32]) {
        let (n, size) = (self.lanes, self.channels);
        let (vector, lane) = (o / n, o % n);
        let to = &mut packed[vector * n * self.depth()..][..n * self.depth()];
        for (c, values) in row.chunks_exact(self.taps()).enumerate() {
            let from = lane / size * size + c;
            for (tap, value) in values.iter().enumerate() {
                to[(tap * size + (from ^ lane)) * n + from] = *value;
            }
        }
    }
}

/// A panel of the dense form.
#[derive(Debug, Clone, Copy)]
pub(super) struct Panel {
    /// Vectors: 1 to 3.
    pub wide: usize,
    /// The first channel of its group.
    pub channel: usize,
    /// Its first filter.
    pub filter: usize,
    /// Its filters.
    pub columns: usize,
    /// Where it starts in the packed filters.
    pub start: usize,
}
