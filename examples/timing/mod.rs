//! What the examples that time encoders share: made-up values, and the time of one operation.

use std::time::Instant;

use doppel::device::{Buf, Desc, Device, Op, Stream, alloc};

/// A value in [-1, 1) from a counter.
pub fn value(i: u64) -> f32 {
    let mut z = i.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    (z >> 40) as f32 / (1u64 << 23) as f32 - 1.0
}

/// `n` of them; another `seed` gives others.
pub fn uniform(n: usize, seed: u64) -> Vec<f32> {
    let first = seed * 0x1_0000_0000;
    (0..n as u64).map(|i| value(first + i)).collect()
}

/// Offsets of titles of equal length, or rows that the shapes allow.
fn rows(op: &Op, descs: &[Desc], at: usize) -> Vec<u32> {
    let n = descs[at].len();
    match op {
        Op::Attention { .. } | Op::SegmentMean => {
            let all = descs[0].dims[0];
            (0..n).map(|i| (i * all / (n - 1)) as u32).collect()
        }
        Op::Embed { tables, .. } => {
            let most = descs[at - tables].dims[0];
            (0..n).map(|i| ((i * 7919) % most) as u32).collect()
        }
        _ => (0..n).map(|i| (i % descs[0].dims[0]) as u32).collect(),
    }
}

/// Microseconds of one operation, the best of some, with weights in the device's own layout.
pub fn time(device: &dyn Device, op: &Op, descs: &[Desc]) -> doppel::Result<f64> {
    let mut ins = Vec::new();
    for (at, desc) in descs.iter().enumerate() {
        let values = uniform(desc.len(), at as u64);
        let buf = match device.packed(op, descs, at) {
            Some(bytes) => {
                let buf = Buf::packed(desc.clone(), device.alloc(bytes.max(desc.bytes()))?)?;
                let depth: usize = desc.dims[1..].iter().product();
                let mut row = |i: usize, out: &mut [f32]| {
                    out.copy_from_slice(&values[i * depth..(i + 1) * depth]);
                    Ok(())
                };
                device.pack(op, descs, at, &mut row, &buf)?;
                buf
            }
            None => {
                let buf = alloc(device, desc.clone())?;
                match op.is_index(at) {
                    true => {
                        let rows = rows(op, descs, at);
                        device.upload(bytemuck::cast_slice(&rows), &buf, Stream::DEFAULT)?;
                    }
                    false => {
                        device.upload(bytemuck::cast_slice(&values), &buf, Stream::DEFAULT)?;
                    }
                }
                buf
            }
        };
        ins.push(buf);
    }
    let outs: Vec<Buf> = op
        .infer(descs)?
        .into_iter()
        .map(|d| alloc(device, d))
        .collect::<doppel::Result<_>>()?;
    let (ins, outs): (Vec<&Buf>, Vec<&Buf>) = (ins.iter().collect(), outs.iter().collect());
    let mut best = f64::INFINITY;
    for _ in 0..7 {
        let began = Instant::now();
        device.run(op, &ins, &outs, None, Stream::DEFAULT)?;
        best = best.min(began.elapsed().as_secs_f64() * 1e6);
    }
    Ok(best)
}

/// The most memory that the process ever had, in bytes.
pub fn peak_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|l| l.starts_with("VmHWM:"));
    let kib = line.and_then(|l| l.split_whitespace().nth(1)?.parse::<u64>().ok());
    kib.unwrap_or(0) * 1024
}
