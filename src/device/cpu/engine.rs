//! The CPU as a device: products through blocked kernels, the rest in plain loops over rows.

use std::sync::Arc;

use super::host::{HostMem, floats, store};
use super::images;
use super::kernel::Kernel;
use super::text;
use crate::device::api::{Device, DeviceInfo, Support, check};
use crate::device::desc::{Buf, Desc, Mem};
use crate::device::gpu::driver::Stream;
use crate::device::naive;
use crate::device::op::{Act, Op};
use crate::error::Result;

/// The process's own cores.
#[derive(Debug)]
pub struct CpuDevice {
    info: DeviceInfo,
    kernel: Kernel,
}

impl CpuDevice {
    /// The same with another form of the kernels than the fastest.
    pub fn with_kernel(kernel: Kernel) -> Self {
        CpuDevice {
            kernel,
            ..CpuDevice::default()
        }
    }
}

impl Default for CpuDevice {
    fn default() -> Self {
        CpuDevice {
            info: DeviceInfo {
                kind: "cpu",
                name: "the CPU".into(),
            },
            kernel: Kernel::best(),
        }
    }
}

impl Device for CpuDevice {
    fn info(&self) -> &DeviceInfo {
        &self.info
    }

    fn supports(&self, op: &Op, _: &[Desc]) -> Support {
        match op {
            Op::ConvAverage { .. } | Op::ExpandDepthwise { .. } | Op::SqueezeExcite { .. } => {
                Support::Unfuse
            }
            _ => Support::Native,
        }
    }

    fn alloc(&self, bytes: usize) -> Result<Arc<dyn Mem>> {
        HostMem::shared(bytes)
    }

    fn upload(&self, from: &[u8], to: &Buf, _: Stream) -> Result<()> {
        naive::upload(from, to)
    }

    fn download(&self, from: &Buf, to: &mut [u8], _: Stream) -> Result<()> {
        naive::download(from, to)
    }

    fn packed(&self, op: &Op, ins: &[Desc], at: usize) -> Option<usize> {
        images::packed(self.kernel, op, ins, at)
    }

    fn pack(
        &self,
        op: &Op,
        ins: &[Desc],
        _: usize,
        row: &mut dyn FnMut(usize, &mut [f32]) -> Result<()>,
        to: &Buf,
    ) -> Result<()> {
        images::pack(self.kernel, op, ins, row, to)
    }

    fn run(&self, op: &Op, ins: &[&Buf], outs: &[&Buf], _: Option<&Buf>, _: Stream) -> Result<()> {
        check(op, ins, outs)?;
        if images::runs(op, ins) {
            return images::run(self.kernel, op, ins, outs[0]);
        }
        if text::runs(op, ins) {
            return text::run(self.kernel, op, ins, outs[0]);
        }
        match op {
            Op::Gemm { .. } => product(op, ins, outs[0]),
            Op::RowProducts => product(&naive::PRODUCTS, ins, outs[0]),
            Op::Margin(margin) | Op::MarginLoss(margin) => {
                super::margin::run(op, margin, ins, outs)
            }
            _ => naive::plain(op, ins, outs),
        }
    }

    fn sync(&self, _: Stream) -> Result<()> {
        Ok(())
    }
}

/// `act(op(A) op(B) * scale + bias + residual)` in f32.
fn product(op: &Op, ins: &[&Buf], out: &Buf) -> Result<()> {
    let Op::Gemm {
        trans_a,
        trans_b,
        epilogue,
    } = *op
    else {
        return Ok(());
    };
    // SAFETY: callers order the calls that share a buffer, as `Device` asks.
    let read = |i: usize| unsafe { floats(ins[i]) };
    let (a, b) = (read(0)?, read(1)?);
    let (ad, bd) = (&ins[0].desc.dims, &ins[1].desc.dims);
    let (m, k) = if trans_a {
        (ad[1], ad[0])
    } else {
        (ad[0], ad[1])
    };
    let n = if trans_b { bd[0] } else { bd[1] };
    let (a_row, a_col) = if trans_a {
        (1, m as isize)
    } else {
        (k as isize, 1)
    };
    let (b_row, b_col) = if trans_b {
        (1, k as isize)
    } else {
        (n as isize, 1)
    };
    let mut acc = vec![0.0f32; m * n];
    if m * n * k > 0 {
        // SAFETY: the shapes were checked by `Op::infer`, so the three slices hold m*k, k*n and m*n
        // elements, and the strides address no other.
        unsafe {
            gemm::gemm(
                m,
                n,
                k,
                acc.as_mut_ptr(),
                1,
                n as isize,
                false,
                a.as_ptr(),
                a_col,
                a_row,
                b.as_ptr(),
                b_col,
                b_row,
                0.0,
                1.0,
                false,
                false,
                false,
                gemm::Parallelism::Rayon(0),
            );
        }
    }
    let mut next = 2;
    let mut extra = |present: bool| -> Result<Option<Vec<f32>>> {
        let at = next;
        next += usize::from(present);
        if present {
            read(at).map(Some)
        } else {
            Ok(None)
        }
    };
    let (scale, bias) = (extra(epilogue.scale)?, extra(epilogue.bias)?);
    let residual = extra(epilogue.residual)?;
    let values: Vec<f64> = acc
        .iter()
        .enumerate()
        .map(|(i, &v)| {
            let j = i % n;
            let mut v = v * scale.as_ref().map_or(1.0, |s| s[j]);
            v += bias.as_ref().map_or(0.0, |s| s[j]);
            v += residual.as_ref().map_or(0.0, |r| r[i]);
            if epilogue.act == Act::None {
                f64::from(v)
            } else {
                naive::activate(epilogue.act, f64::from(v))
            }
        })
        .collect();
    // SAFETY: `check` found the output apart from every input.
    unsafe { store(out, &values) }
}
