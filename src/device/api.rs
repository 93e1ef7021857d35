//! A device: where the operations of the catalogue run.

use std::sync::Arc;

use super::desc::{Buf, Desc, Mem};
use super::gpu::driver::Stream;
use super::op::Op;
use crate::error::{Error, Result};

/// What a device says of itself.
#[derive(Debug, Clone, PartialEq)]
pub struct DeviceInfo {
    /// `naive`, `cpu`, `cuda` or `simt`.
    pub kind: &'static str,
    /// The name for people.
    pub name: String,
}

/// Whether a device runs an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Support {
    /// As it stands.
    Native,
    /// After [`Op::unfuse`].
    Unfuse,
    /// Not at all, and why.
    No(&'static str),
}

/// Where arithmetic runs. Takes buffers and a stream, never host slices but to upload and download.
pub trait Device: Send + Sync {
    /// What it is.
    fn info(&self) -> &DeviceInfo;

    /// Whether it runs `op` on these inputs.
    fn supports(&self, op: &Op, ins: &[Desc]) -> Support;

    /// Allocates `bytes` of this device's memory, aligned to 256.
    ///
    /// # Errors
    /// [`Kind::Limit`](crate::error::Kind::Limit) when there is not so much left.
    fn alloc(&self, bytes: usize) -> Result<Arc<dyn Mem>>;

    /// Copies host bytes into a buffer of the same size.
    ///
    /// # Errors
    /// The sizes differ, the buffer is of another device, or the device fails.
    fn upload(&self, from: &[u8], to: &Buf, stream: Stream) -> Result<()>;

    /// Copies a buffer to host bytes of the same size, and waits for them.
    ///
    /// # Errors
    /// The sizes differ, the buffer is of another device, or the device fails.
    fn download(&self, from: &Buf, to: &mut [u8], stream: Stream) -> Result<()>;

    /// Bytes of scratch memory that `op` wants on these inputs.
    fn workspace(&self, _op: &Op, _ins: &[Desc]) -> usize {
        0
    }

    /// Runs one operation. Outputs overlap neither each other nor the inputs.
    ///
    /// # Errors
    /// What [`Op::infer`] says of the inputs; outputs of another shape; an operation that
    /// [`Device::supports`] does not call native; a failing device.
    fn run(
        &self,
        op: &Op,
        ins: &[&Buf],
        outs: &[&Buf],
        workspace: Option<&Buf>,
        stream: Stream,
    ) -> Result<()>;

    /// Waits for all work of a stream.
    ///
    /// # Errors
    /// What the work failed with.
    fn sync(&self, stream: Stream) -> Result<()>;
}

/// Allocates a buffer of `desc` on `device`.
///
/// # Errors
/// As [`Device::alloc`].
pub fn alloc(device: &dyn Device, desc: Desc) -> Result<Buf> {
    let mem = device.alloc(desc.bytes())?;
    Buf::new(desc, mem, 0)
}

/// The checks that every device makes before it runs an operation.
pub(super) fn check(op: &Op, ins: &[&Buf], outs: &[&Buf]) -> Result<()> {
    let descs: Vec<Desc> = ins.iter().map(|b| b.desc.clone()).collect();
    let wanted = op.infer(&descs)?;
    if wanted.len() != outs.len() {
        return Err(Error::internal(format!("gives {} outputs", wanted.len())).op(op.name()));
    }
    for (i, (want, out)) in wanted.iter().zip(outs).enumerate() {
        if *want != out.desc {
            return Err(Error::shape(op.name(), &want.dims, &out.desc.dims));
        }
        if ins
            .iter()
            .chain(&outs[..i])
            .any(|other| other.overlaps(out))
        {
            return Err(Error::internal("an output overlaps another buffer").op(op.name()));
        }
    }
    Ok(())
}
