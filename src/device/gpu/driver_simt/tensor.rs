//! A tensor as the simulated card's library takes it.

use super::super::driver::{Swizzle, TensorCopy, TensorShape};
use crate::error::{Error, Result};

/// [`TensorShape`] as `kernels/simt/tensor_map.h` declares it.
#[repr(C)]
#[derive(Default)]
pub(super) struct RawTensor {
    address: u64,
    dims: [u64; 5],
    strides: [u64; 4],
    rank: u32,
    element: u32,
    swizzle: u32,
    im2col: u32,
    tile: [u32; 5],
    lower: [i32; 2],
    upper: [i32; 2],
    channels: u32,
    pixels: u32,
    steps: [u32; 2],
}

impl RawTensor {
    /// Checks only that the lists are as long as they should be; the library checks what they hold.
    pub(super) fn of(shape: &TensorShape) -> Result<RawTensor> {
        let rank = shape.dims.len();
        let wrong = |what: String| Err(Error::internal(what).op("tensor_map"));
        if !(1..=5).contains(&rank) || shape.strides.len() + 1 != rank {
            let strides = shape.strides.len();
            return wrong(format!("{rank} dimensions and {strides} strides"));
        }
        let mut raw = RawTensor {
            address: shape.address,
            rank: rank as u32,
            element: u32::try_from(shape.element).unwrap_or(u32::MAX),
            swizzle: match shape.swizzle {
                Swizzle::None => 0,
                Swizzle::B32 => 32,
                Swizzle::B64 => 64,
                Swizzle::B128 => 128,
            },
            ..RawTensor::default()
        };
        raw.dims[..rank].copy_from_slice(&shape.dims);
        raw.strides[..rank - 1].copy_from_slice(&shape.strides);
        match &shape.copy {
            TensorCopy::Tile(sizes) if sizes.len() == rank => {
                raw.tile[..rank].copy_from_slice(sizes);
            }
            TensorCopy::Tile(sizes) => {
                let sizes = sizes.len();
                return wrong(format!("a box of {sizes} sizes for {rank} dimensions"));
            }
            TensorCopy::Im2col {
                lower,
                upper,
                channels,
                pixels,
                steps,
            } => {
                raw.im2col = 1;
                (raw.lower, raw.upper) = (*lower, *upper);
                (raw.channels, raw.pixels, raw.steps) = (*channels, *pixels, *steps);
            }
        }
        Ok(raw)
    }
}
