//! Tensor maps: how the copy engine of a Hopper card is told of a tensor.

use std::ffi::{c_int, c_uint, c_void};

use super::api::Api;
use super::sys::{CUtensorMapDataType, CUtensorMapL2promotion, CUtensorMapSwizzle};
use crate::device::gpu::driver::{CardInfo, Swizzle, TensorCopy, TensorMap, TensorShape};
use crate::error::{Error, Result};

/// The first architecture with a copy engine that takes maps.
const FIRST_ARCH: u32 = 90;
/// No interleaving, and zeros outside the tensor.
const PLAIN: c_uint = 0;

/// Encodes the map of `shape`; the driver checks what the copy engine wants of it.
pub(super) fn encode(api: &Api, info: &CardInfo, shape: &TensorShape) -> Result<TensorMap> {
    if info.arch < FIRST_ARCH {
        let message = format!("{} has no bulk tensor copies", info.name);
        return Err(Error::unsupported(message).op("tensor_map"));
    }
    let rank = shape.dims.len();
    let asked = match &shape.copy {
        TensorCopy::Tile(sides) => sides.len(),
        TensorCopy::Im2col { .. } => 4,
    };
    if !(1..=5).contains(&rank) || asked != rank || shape.strides.len() + 1 != rank {
        return Err(bad(shape, "dimensions, strides and box do not go together"));
    }
    let element = match shape.element {
        1 => CUtensorMapDataType::CU_TENSOR_MAP_DATA_TYPE_UINT8,
        2 => CUtensorMapDataType::CU_TENSOR_MAP_DATA_TYPE_FLOAT16,
        4 => CUtensorMapDataType::CU_TENSOR_MAP_DATA_TYPE_FLOAT32,
        _ => return Err(bad(shape, "elements have 1, 2 or 4 bytes")),
    } as c_uint;
    let swizzle = match shape.swizzle {
        Swizzle::None => CUtensorMapSwizzle::CU_TENSOR_MAP_SWIZZLE_NONE,
        Swizzle::B32 => CUtensorMapSwizzle::CU_TENSOR_MAP_SWIZZLE_32B,
        Swizzle::B64 => CUtensorMapSwizzle::CU_TENSOR_MAP_SWIZZLE_64B,
        Swizzle::B128 => CUtensorMapSwizzle::CU_TENSOR_MAP_SWIZZLE_128B,
    } as c_uint;
    // What misses the L2 cache is read in whole lines of it.
    let promotion = CUtensorMapL2promotion::CU_TENSOR_MAP_L2_PROMOTION_L2_128B as c_uint;

    let mut map = TensorMap([0; 16]);
    let address = shape.address as *mut c_void;
    let (dims, strides) = (shape.dims.as_ptr(), shape.strides.as_ptr());
    let code = match &shape.copy {
        TensorCopy::Tile(sides) => {
            let every = [1u32; 5];
            // SAFETY: the map is as large and aligned as the driver's; dimensions, sides and steps
            // have `rank` elements and strides one fewer, as was checked.
            unsafe {
                (api.cuTensorMapEncodeTiled)(
                    &mut map,
                    element,
                    rank as c_uint,
                    address,
                    dims,
                    strides,
                    sides.as_ptr(),
                    every.as_ptr(),
                    PLAIN,
                    swizzle,
                    promotion,
                    PLAIN,
                )
            }
        }
        TensorCopy::Im2col {
            lower,
            upper,
            channels,
            pixels,
            steps,
        } => {
            let every = [1, steps[0], steps[1], 1];
            let (lower, upper): (*const c_int, *const c_int) = (lower.as_ptr(), upper.as_ptr());
            // SAFETY: as above; a tensor of 4 dimensions has corners of 2.
            unsafe {
                (api.cuTensorMapEncodeIm2col)(
                    &mut map,
                    element,
                    rank as c_uint,
                    address,
                    dims,
                    strides,
                    lower,
                    upper,
                    *channels,
                    *pixels,
                    every.as_ptr(),
                    PLAIN,
                    swizzle,
                    promotion,
                    PLAIN,
                )
            }
        }
    };
    api.check("cuTensorMapEncode", code)
        .map_err(|refusal| super::about(refusal, &format!("{shape:?}")))?;
    Ok(map)
}

fn bad(shape: &TensorShape, why: &str) -> Error {
    Error::internal(format!("{why}: {shape:?}")).op("tensor_map")
}
