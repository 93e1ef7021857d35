//! Host memory as a device's memory, and typed views of it.

use std::cell::UnsafeCell;
use std::sync::Arc;

use memmap2::MmapMut;

use crate::device::desc::{Buf, DType, Home, Mem};
use crate::error::{Error, Result};

/// From this many bytes on memory comes straight from the system: zero without being written, and in
/// large pages where the system has them, which spares the kernels most of their address lookups.
const LARGE: usize = 256 * 1024;

/// 256 bytes, so that host memory is aligned as a card's is.
#[derive(Debug, Clone, Copy)]
#[repr(C, align(256))]
struct Line([u8; 256]);

#[derive(Debug)]
enum Store {
    /// From the allocator.
    Lines(Box<[UnsafeCell<Line>]>),
    /// Pages of the system's; the address was taken once, when they were ours alone.
    Pages { start: *mut u8, _map: MmapMut },
}

/// Zeroed host memory, aligned to 256.
#[derive(Debug)]
pub struct HostMem {
    store: Store,
    bytes: usize,
}

// SAFETY: the memory is only reached through buffers that a device reads and writes inside `run`,
// `upload` and `download`; as on a card, callers order the calls that share a buffer.
unsafe impl Send for HostMem {}
// SAFETY: as for Send.
unsafe impl Sync for HostMem {}

impl HostMem {
    /// `bytes` zero bytes.
    ///
    /// # Errors
    /// [`Kind::Limit`](crate::error::Kind::Limit) when the system has not so much left.
    pub fn new(bytes: usize) -> Result<Self> {
        let store = if bytes < LARGE {
            let lines = (0..bytes.div_ceil(256)).map(|_| UnsafeCell::new(Line([0; 256])));
            Store::Lines(lines.collect())
        } else {
            let mut map = MmapMut::map_anon(bytes).map_err(|e| {
                Error::limit(format!("no memory for {bytes} bytes: {e}"))
                    .mend("use smaller images, or fewer threads")
            })?;
            #[cfg(target_os = "linux")]
            // A wish: without large pages everything works, slower.
            let _ = map.advise(memmap2::Advice::HugePage);
            let start = map.as_mut_ptr();
            Store::Pages { start, _map: map }
        };
        Ok(HostMem { store, bytes })
    }

    /// The same, shared.
    ///
    /// # Errors
    /// As [`HostMem::new`].
    pub fn shared(bytes: usize) -> Result<Arc<dyn Mem>> {
        Ok(Arc::new(HostMem::new(bytes)?))
    }
}

// SAFETY: boxed lines are aligned to 256 and mapped pages to at least 4096; both live as long as
// `self` and never move; `bytes` is at most their size.
unsafe impl Mem for HostMem {
    fn address(&self) -> u64 {
        match &self.store {
            Store::Lines(lines) => lines.as_ptr() as u64,
            Store::Pages { start, .. } => *start as u64,
        }
    }

    fn bytes(&self) -> usize {
        self.bytes
    }

    fn home(&self) -> Home {
        Home::Host
    }
}

/// Refuses a buffer that is not in host memory.
fn on_host(buf: &Buf) -> Result<()> {
    match buf.mem.home() {
        Home::Host => Ok(()),
        Home::Card(_) => Err(Error::internal(format!("{buf:?} is in a card's memory"))),
    }
}

/// The bytes of a buffer in host memory.
///
/// # Errors
/// The buffer is not in host memory.
///
/// # Safety
/// Nobody writes the buffer while the slice lives.
pub unsafe fn bytes(buf: &Buf) -> Result<&[u8]> {
    on_host(buf)?;
    // SAFETY: `Buf::new` checked the range against the memory, which `Mem` promises to be valid for
    // as long as `buf` holds it; the caller promises that nobody writes.
    Ok(unsafe { std::slice::from_raw_parts(buf.address() as *const u8, buf.desc.bytes()) })
}

/// The bytes of a buffer in host memory, to be written.
///
/// # Errors
/// The buffer is not in host memory.
///
/// # Safety
/// Nobody else reads or writes the buffer while the slice lives.
#[expect(
    clippy::mut_from_ref,
    reason = "a buffer is a handle; the memory behind it is interior"
)]
pub unsafe fn bytes_mut(buf: &Buf) -> Result<&mut [u8]> {
    on_host(buf)?;
    // SAFETY: as in `bytes`; the caller promises exclusive use, and `HostMem` is made of cells.
    Ok(unsafe { std::slice::from_raw_parts_mut(buf.address() as *mut u8, buf.desc.bytes()) })
}

/// The values of an f32 buffer in host memory.
///
/// # Errors
/// The buffer is not in host memory, or holds something else.
///
/// # Safety
/// Nobody writes the buffer while the slice lives.
pub unsafe fn f32s(buf: &Buf) -> Result<&[f32]> {
    // SAFETY: passed on to the caller.
    let raw = unsafe { bytes(buf) }?;
    bytemuck::try_cast_slice(raw).map_err(|_| not_f32(buf))
}

/// The values of an f32 buffer in host memory, to be written.
///
/// # Errors
/// The buffer is not in host memory, or holds something else.
///
/// # Safety
/// Nobody else reads or writes the buffer while the slice lives.
#[expect(
    clippy::mut_from_ref,
    reason = "a buffer is a handle; the memory behind it is interior"
)]
pub unsafe fn f32s_mut(buf: &Buf) -> Result<&mut [f32]> {
    // SAFETY: passed on to the caller.
    let raw = unsafe { bytes_mut(buf) }?;
    bytemuck::try_cast_slice_mut(raw).map_err(|_| not_f32(buf))
}

fn not_f32(buf: &Buf) -> Error {
    Error::internal(format!("{buf:?} holds no aligned f32"))
}

/// All floats of the memory behind a packed weight.
///
/// # Errors
/// The buffer is not in host memory.
///
/// # Safety
/// Nobody else writes the memory while the slice lives, and nobody reads it while it is written.
#[expect(
    clippy::mut_from_ref,
    reason = "a buffer is a handle; the memory behind it is interior"
)]
pub unsafe fn whole(buf: &Buf) -> Result<&mut [f32]> {
    on_host(buf)?;
    let (start, floats) = (buf.mem.address() as *mut f32, buf.mem.bytes() / 4);
    // SAFETY: `Mem` promises the range for as long as `buf` holds it, aligned to 256; the caller
    // promises the rest, and `HostMem` is made of cells.
    Ok(unsafe { std::slice::from_raw_parts_mut(start, floats) })
}

/// A buffer's elements as f32, whatever float they are stored in.
///
/// # Errors
/// The buffer is not in host memory, or holds no floats.
///
/// # Safety
/// Nobody writes the buffer during the call.
pub unsafe fn floats(buf: &Buf) -> Result<Vec<f32>> {
    // SAFETY: passed on to the caller.
    let raw = unsafe { bytes(buf) }?;
    match buf.desc.dtype {
        DType::F32 => Ok(bytemuck::cast_slice(raw).to_vec()),
        DType::F16 => Ok(bytemuck::cast_slice::<u8, half::f16>(raw)
            .iter()
            .map(|x| x.to_f32())
            .collect()),
        DType::BF16 => Ok(bytemuck::cast_slice::<u8, half::bf16>(raw)
            .iter()
            .map(|x| x.to_f32())
            .collect()),
        DType::U32 => Err(Error::internal(format!("{buf:?} holds no floats"))),
    }
}

/// A buffer's rows, labels or offsets.
///
/// # Errors
/// The buffer is not in host memory, or holds something else.
///
/// # Safety
/// Nobody writes the buffer during the call.
pub unsafe fn indices(buf: &Buf) -> Result<Vec<u32>> {
    // SAFETY: passed on to the caller.
    let raw = unsafe { bytes(buf) }?;
    match buf.desc.dtype {
        DType::U32 => Ok(bytemuck::pod_collect_to_vec(raw)),
        DType::F16 | DType::BF16 | DType::F32 => {
            Err(Error::internal(format!("{buf:?} holds no rows")))
        }
    }
}

/// Writes values to a buffer, rounded to its element type, nearest and ties to even.
///
/// # Errors
/// The buffer is not in host memory, holds no floats, or has another size.
///
/// # Safety
/// Nobody else reads or writes the buffer during the call.
pub unsafe fn store(buf: &Buf, values: &[f64]) -> Result<()> {
    if values.len() != buf.desc.len() {
        return Err(Error::shape("store", &buf.desc.dims, &[values.len()]));
    }
    // SAFETY: passed on to the caller.
    let raw = unsafe { bytes_mut(buf) }?;
    match buf.desc.dtype {
        DType::F32 => {
            let out: &mut [f32] = bytemuck::cast_slice_mut(raw);
            out.iter_mut().zip(values).for_each(|(o, &v)| *o = v as f32);
        }
        DType::F16 => {
            let out: &mut [half::f16] = bytemuck::cast_slice_mut(raw);
            out.iter_mut()
                .zip(values)
                .for_each(|(o, &v)| *o = half::f16::from_f64(v));
        }
        DType::BF16 => {
            let out: &mut [half::bf16] = bytemuck::cast_slice_mut(raw);
            out.iter_mut()
                .zip(values)
                .for_each(|(o, &v)| *o = half::bf16::from_f64(v));
        }
        DType::U32 => return Err(Error::internal(format!("{buf:?} holds no floats"))),
    }
    Ok(())
}
