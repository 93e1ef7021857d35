//! What all launchers share: arguments as `cuLaunchKernel` wants them, and numbers that kernels take.

use std::ffi::c_void;

use super::driver::{Kernel, Launch, Stream};
use super::memory::Card;
use crate::device::desc::DType;
use crate::error::{Error, Result};
use crate::limits::MAX_CARD_SIDE;

/// A kernel's arguments, in order; each takes at most 8 bytes.
#[derive(Default)]
pub(super) struct Args(Vec<u64>);

impl Args {
    /// A device address; 0 is the null pointer.
    pub(super) fn address(self, address: u64) -> Self {
        self.bytes(address.to_ne_bytes())
    }

    /// An `int`.
    ///
    /// # Errors
    /// [`Kind::Limit`](crate::error::Kind::Limit) for a number that is none.
    pub(super) fn int(self, value: usize) -> Result<Self> {
        let narrow = i32::try_from(value);
        let many = |_| Error::limit(format!("{value} is more than {MAX_CARD_SIDE}")).op("launch");
        Ok(self.bytes(narrow.map_err(many)?.to_ne_bytes()))
    }

    /// A `long long`.
    pub(super) fn long(self, value: usize) -> Self {
        self.bytes((value as i64).to_ne_bytes())
    }

    pub(super) fn float(self, value: f32) -> Self {
        self.bytes(value.to_ne_bytes())
    }

    pub(super) fn double(self, value: f64) -> Self {
        self.bytes(value.to_ne_bytes())
    }

    fn bytes<const N: usize>(mut self, bytes: [u8; N]) -> Self {
        // The value's own bytes first, as a pointer to it reads them.
        let mut word = [0; 8];
        word[..N].copy_from_slice(&bytes);
        self.0.push(u64::from_ne_bytes(word));
        self
    }
}

impl Card {
    /// Queues `kernel`.
    ///
    /// # Safety
    /// As [`Driver::launch`](super::driver::Driver::launch): `args` are the kernel's parameters in
    /// number, order and type, and every address among them holds what the kernel's comment says.
    pub(super) unsafe fn launch(
        &self,
        kernel: Kernel,
        how: &Launch,
        mut args: Args,
        stream: Stream,
    ) -> Result<()> {
        let words = args.0.iter_mut();
        let mut pointers: Vec<*mut c_void> = words.map(|w| (w as *mut u64).cast()).collect();
        self.use_stream(stream);
        // SAFETY: the pointers are to the arguments' values, which live through the call; the rest
        // is the caller's promise.
        unsafe { self.driver.launch(kernel, how, &mut pointers, stream) }
    }
}

/// One of two symbols, by type.
pub(super) fn by_type(dtype: DType, f16: &'static str, f32: &'static str) -> &'static str {
    match dtype {
        DType::F16 => f16,
        _ => f32,
    }
}

/// A number of blocks in x.
pub(super) fn blocks(count: usize) -> Result<u32> {
    let most = usize::try_from(i32::MAX).unwrap_or(usize::MAX);
    match u32::try_from(count) {
        Ok(n) if count <= most => Ok(n),
        _ => Err(Error::limit(format!("{count} blocks are too many")).op("launch")),
    }
}
