//! From the bytes of a file to finite f32 values, block by block.

use half::f16;
use half::slice::HalfFloatSliceExt;

use super::file::Shard;
use super::header::Float;
use crate::error::Result;

/// Up to so many values, a short buffer serves: clearing a long one would take longer than the copy.
const FEW: usize = 512;
/// How many values are widened at once; they and their bytes stay in the nearest cache.
const MANY: usize = 4096;

/// Copies the values from element `from` on of the tensor whose bytes begin at `begin` into `out`,
/// widened to f32 (f64: rounded to nearest). Returns the first of them that is not finite.
pub(super) fn widen(
    shard: &Shard,
    begin: u64,
    float: Float,
    from: usize,
    out: &mut [f32],
) -> Result<Option<usize>> {
    if out.len() <= FEW {
        blocks::<FEW>(shard, begin, float, from, out)
    } else {
        blocks::<MANY>(shard, begin, float, from, out)
    }
}

fn blocks<const N: usize>(
    shard: &Shard,
    begin: u64,
    float: Float,
    from: usize,
    out: &mut [f32],
) -> Result<Option<usize>> {
    match float {
        Float::F32 => each::<N, 4>(begin, from, out, |at, block| {
            shard.bytes(at, bytemuck::cast_slice_mut(block))?;
            if cfg!(target_endian = "big") {
                for x in block {
                    *x = f32::from_bits(u32::from_le(x.to_bits()));
                }
            }
            Ok(())
        }),
        Float::F16 => {
            let mut raw = [f16::ZERO; N];
            each::<N, 2>(begin, from, out, |at, block| {
                let raw = &mut raw[..block.len()];
                shard.bytes(at, bytemuck::cast_slice_mut(raw))?;
                if cfg!(target_endian = "big") {
                    for x in &mut *raw {
                        *x = f16::from_bits(u16::from_le(x.to_bits()));
                    }
                }
                raw.convert_to_f32_slice(block);
                Ok(())
            })
        }
        Float::BF16 => {
            let mut raw = [0u16; N];
            each::<N, 2>(begin, from, out, |at, block| {
                let raw = &mut raw[..block.len()];
                shard.bytes(at, bytemuck::cast_slice_mut(raw))?;
                for (to, &x) in block.iter_mut().zip(&*raw) {
                    *to = f32::from_bits(u32::from(u16::from_le(x)) << 16);
                }
                Ok(())
            })
        }
        Float::F64 => {
            let mut raw = [0u64; N];
            each::<N, 8>(begin, from, out, |at, block| {
                let raw = &mut raw[..block.len()];
                shard.bytes(at, bytemuck::cast_slice_mut(raw))?;
                for (to, &x) in block.iter_mut().zip(&*raw) {
                    *to = f64::from_bits(u64::from_le(x)) as f32;
                }
                Ok(())
            })
        }
    }
}

/// Fills `out` in blocks of `N` values of `SIZE` bytes each, and looks at each block while it is near.
fn each<const N: usize, const SIZE: u64>(
    begin: u64,
    from: usize,
    out: &mut [f32],
    mut fill: impl FnMut(u64, &mut [f32]) -> Result<()>,
) -> Result<Option<usize>> {
    let mut first = None;
    for (i, block) in out.chunks_mut(N).enumerate() {
        let done = i * N;
        fill(begin + (from + done) as u64 * SIZE, block)?;
        if first.is_none() && !finite(block) {
            let at = block.iter().position(|x| !x.is_finite());
            first = at.map(|at| done + at);
        }
    }
    Ok(first)
}

/// Whether all values are finite. Without branches, so that it runs on vectors: a value is not finite
/// when its exponent is all ones, and then adding one to the exponent carries into the top bit.
fn finite(values: &[f32]) -> bool {
    let carry = values.iter().fold(0, |all, x| {
        all | ((x.to_bits() & 0x7F80_0000) + 0x0080_0000)
    });
    carry & 0x8000_0000 == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finite_is_what_the_library_says_at_every_edge() {
        for bits in [
            0u32,
            1,
            0x007F_FFFF,
            0x0080_0000,
            0x3F80_0000,
            0x7F7F_FFFF,
            0x7F80_0000,
            0x7F80_0001,
            0x7FC0_0000,
            0x7FFF_FFFF,
        ] {
            for bits in [bits, bits | 0x8000_0000] {
                let x = f32::from_bits(bits);
                assert_eq!(finite(&[1.0, x, -0.0]), x.is_finite(), "{bits:08x}");
            }
        }
        assert!(finite(&[]));
    }
}
