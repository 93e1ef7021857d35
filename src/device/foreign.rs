//! Memory and streams of somebody else: of a program that embeds doppel beside other code of its own
//! on the same card.

use std::ffi::c_void;
use std::sync::Arc;

use super::api::Device;
use super::desc::{Home, Mem};
use super::gpu::driver::Stream;
use crate::error::{Error, Result};

/// What every [`Mem`] is aligned to.
const ALIGN: u64 = 256;
/// The upper bits of a [`Stream`] that holds a handle. A driver numbers its own streams from 0 on, and
/// addresses have 48 bits.
const HANDLE: u64 = 0x5354 << HANDLE_BITS;
const HANDLE_BITS: u32 = 48;

/// Memory that the caller frees.
struct Foreign {
    address: u64,
    bytes: usize,
    home: Home,
}

// SAFETY: the caller of `foreign_memory` promised the range for as long as this lives; the alignment was
// checked there.
unsafe impl Mem for Foreign {
    fn address(&self) -> u64 {
        self.address
    }

    fn bytes(&self) -> usize {
        self.bytes
    }

    fn home(&self) -> Home {
        self.home
    }
}

/// Memory of the caller's own as memory of `device`: for [`Buf`](super::Buf)s over it. Nothing is copied,
/// and doppel never frees it.
///
/// `address` is a device address of a card's primary context (a `CUdeviceptr`, PyTorch's `data_ptr()`)
/// or, for the CPU's devices, an address of the process. It is aligned to 256 bytes, as allocations are;
/// a part of one is given as a `Buf` at an offset.
///
/// ```
/// use doppel::device::{self, *};
///
/// # fn main() -> doppel::Result<()> {
/// #[repr(align(256))]
/// struct Mine([f32; 4]);
/// let mut mine = Box::new(Mine([1.0, -2.0, 3.0, -4.0]));
///
/// let cpu = device::open("cpu")?;
/// let address = mine.0.as_mut_ptr().expose_provenance() as u64;
/// // SAFETY: `mine` has 16 bytes, outlives every Buf over it, and nobody else touches it meanwhile.
/// let mem = unsafe { foreign_memory(&*cpu, address, 16) }?;
/// let x = Buf::new(Desc::new(&[4], DType::F32), mem, 0)?;
/// let y = alloc(&*cpu, Desc::new(&[4], DType::F32))?;
/// cpu.run(&Op::Activation(Act::Relu), &[&x], &[&y], None, Stream::DEFAULT)?;
/// let mut bytes = vec![0; 16];
/// cpu.download(&y, &mut bytes, Stream::DEFAULT)?;
/// assert_eq!(values_of(&bytes, DType::F32), [1.0, 0.0, 3.0, 0.0]);
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// [`Kind::Input`](crate::error::Kind::Input) for the null address with bytes, and one that is not
/// aligned.
///
/// # Safety
/// `address .. address + bytes` is valid for reads and writes by this device until the last `Buf` over
/// the memory is gone and every stream that it was used on has been waited for. Until then nobody else
/// writes to what doppel reads, or touches what it writes, but in an order that streams and events give.
pub unsafe fn foreign_memory(
    device: &dyn Device,
    address: u64,
    bytes: usize,
) -> Result<Arc<dyn Mem>> {
    if !address.is_multiple_of(ALIGN) || address == 0 && bytes > 0 {
        let message = format!("memory at {address:#x} is not aligned to {ALIGN} bytes");
        return Err(Error::input(message)
            .op("foreign_memory")
            .mend("give the start of an allocation, and a Buf at an offset in it"));
    }
    // The device's own memory says which address space it is in.
    let home = device.alloc(0)?.home();
    Ok(Arc::new(Foreign {
        address,
        bytes,
        home,
    }))
}

/// A stream of the caller's own (a `CUstream`, PyTorch's `cuda_stream`) as one of a card's driver.
/// doppel puts work on it and waits for it, and never destroys it. The simulated card has no such
/// streams and refuses it where it is used; the CPU's devices run everything at once anyway.
///
/// # Errors
/// [`Kind::Input`](crate::error::Kind::Input) for what is no handle.
///
/// # Safety
/// `handle` is a live stream of the card's primary context, and lives until the device on which it is
/// used is gone with all its buffers: memory is freed only after all streams have been waited for.
pub unsafe fn foreign_stream(handle: *mut c_void) -> Result<Stream> {
    let handle = handle.addr() as u64;
    match handle >> HANDLE_BITS {
        // The null handle is the default stream.
        0 if handle == 0 => Ok(Stream::DEFAULT),
        0 => Ok(Stream(HANDLE | handle)),
        _ => Err(Error::input(format!("{handle:#x} is no stream's handle")).op("foreign_stream")),
    }
}

/// The handle that a stream of [`foreign_stream`] holds.
#[cfg(feature = "cuda")]
pub(super) fn handle(stream: Stream) -> Option<*mut c_void> {
    let handle = stream.0 ^ HANDLE;
    // An opaque handle of the driver's: it is never dereferenced here.
    (handle >> HANDLE_BITS == 0).then(|| std::ptr::without_provenance_mut(handle as usize))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::CpuDevice;
    use crate::error::Kind;

    #[test]
    fn addresses_that_are_no_allocations_are_refused() {
        let cpu = CpuDevice::default();
        for (address, bytes) in [(0, 1), (1, 0), (128, 4), (u64::MAX, 0)] {
            // SAFETY: none of these gives memory.
            let error = unsafe { foreign_memory(&cpu, address, bytes) }
                .err()
                .unwrap();
            assert_eq!(error.kind(), Kind::Input, "{address}");
        }
        // SAFETY: nothing can be read from no bytes.
        assert_eq!(unsafe { foreign_memory(&cpu, 0, 0) }.unwrap().bytes(), 0);
    }

    #[cfg(feature = "cuda")]
    #[test]
    fn a_handle_comes_back_and_numbers_are_none() {
        let at = |n: usize| std::ptr::without_provenance_mut::<c_void>(n);
        for n in [1, 2, 0x7fff_1234_5678] {
            // SAFETY: nothing is put on it.
            let stream = unsafe { foreign_stream(at(n)) }.unwrap();
            assert_eq!(handle(stream).map(|h| h.addr()), Some(n));
        }
        for number in [0, 1, 1 << 40, u64::MAX] {
            assert_eq!(handle(Stream(number)), None);
        }
        // SAFETY: as above.
        unsafe {
            assert_eq!(foreign_stream(at(0)).unwrap(), Stream::DEFAULT);
            assert!(foreign_stream(at(usize::MAX)).is_err());
        }
    }
}
