//! How far a device is from the naive twin, on the shapes that are measured but small.

use std::sync::Arc;

use super::cases::{Case, Work};
use super::fill;
use super::record::family;
use super::time::Bench;
use crate::device::{Buf, DType, Desc, Device, NaiveDevice, Op, Stream, Support, alloc, values_of};
use crate::error::{Error, Result};

/// The errors of one case.
#[derive(Debug, Clone, PartialEq)]
pub struct Checked {
    /// As [`Case::name`].
    pub name: String,
    /// The family of kernels that ran.
    pub family: String,
    /// The largest difference over the largest value of either, over all outputs: symmetric, and 0 is
    /// the best. What is not finite in one alone is infinitely far.
    pub error: f64,
}

/// Runs a case on the device and on the naive twin; `None` where the device does not run it, or
/// what it gives is compared elsewhere (a search's answers are compared to the bit by the tests).
///
/// # Errors
/// Too little memory, or a failing device.
pub fn check(bench: &Bench, case: &Case) -> Result<Option<Checked>> {
    let Work::Op(op, ins) = &case.work else {
        return Ok(None);
    };
    if bench.device.supports(op, ins) != Support::Native {
        return Ok(None);
    }
    let naive: Arc<dyn Device> = Arc::new(NaiveDevice::default());
    let have = outputs(&*bench.device, op, ins)?;
    let want = outputs(&*naive, op, ins)?;
    let mut error: f64 = 0.0;
    for (a, b) in have.iter().zip(&want) {
        error = error.max(distance(a, b)?);
    }
    let card = bench.card.as_deref();
    Ok(Some(Checked {
        name: case.name.clone(),
        family: family(card, &case.work).to_string(),
        error,
    }))
}

fn outputs(device: &dyn Device, op: &Op, ins: &[Desc]) -> Result<Vec<Vec<f32>>> {
    let from = fill::filled(device, op, ins)?;
    let descs = op.infer(ins)?;
    let to: Vec<Buf> = descs
        .into_iter()
        .map(|desc| alloc(device, desc))
        .collect::<Result<_>>()?;
    let scratch = match device.workspace(op, ins) {
        0 => None,
        n => Some(alloc(device, Desc::new(&[n.div_ceil(4)], DType::F32))?),
    };
    let (ins, outs): (Vec<&Buf>, Vec<&Buf>) = (from.iter().collect(), to.iter().collect());
    device.run(op, &ins, &outs, scratch.as_ref(), Stream::DEFAULT)?;
    device.sync(Stream::DEFAULT)?;
    let read = |buf: &Buf| {
        let mut bytes = vec![0; buf.desc.bytes()];
        device.download(buf, &mut bytes, Stream::DEFAULT)?;
        Ok(match buf.desc.dtype {
            DType::U32 => bytes
                .chunks_exact(4)
                .map(|w| u32::from_le_bytes([w[0], w[1], w[2], w[3]]) as f32)
                .collect(),
            dtype => values_of(&bytes, dtype),
        })
    };
    to.iter().map(read).collect()
}

/// The largest difference over the largest value of either.
fn distance(a: &[f32], b: &[f32]) -> Result<f64> {
    if a.len() != b.len() {
        return Err(Error::shape("check", &[a.len()], &[b.len()]));
    }
    let (mut size, mut far) = (0f64, 0f64);
    for (&x, &y) in a.iter().zip(b) {
        let (x, y) = (f64::from(x), f64::from(y));
        let same = x == y || x.is_nan() && y.is_nan();
        match x.is_finite() && y.is_finite() {
            true => {
                size = size.max(x.abs()).max(y.abs());
                far = far.max((x - y).abs());
            }
            false if same => {}
            false => return Ok(f64::INFINITY),
        }
    }
    Ok(if far == 0.0 { 0.0 } else { far / size })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_are_symmetric_and_see_everything() {
        let d = |a: &[f32], b: &[f32]| distance(a, b).unwrap();
        assert_eq!(d(&[1.0, -2.0], &[1.0, -2.0]), 0.0);
        assert_eq!(d(&[1.0, 0.0], &[1.0, 0.5]), 0.5);
        assert_eq!(d(&[1.0, 0.5], &[1.0, 0.0]), 0.5);
        // Too small counts as much as too large.
        assert_eq!(d(&[0.0], &[4.0]), 1.0);
        assert_eq!(d(&[f32::NAN], &[1.0]), f64::INFINITY);
        assert_eq!(d(&[1.0], &[f32::INFINITY]), f64::INFINITY);
        assert_eq!(d(&[f32::NAN], &[f32::NAN]), 0.0);
        assert!(distance(&[1.0], &[]).is_err());
    }
}
