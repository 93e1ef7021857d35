//! What all launchers share: arguments as `cuLaunchKernel` wants them, and numbers that kernels take.

use std::ffi::c_void;

use super::driver::{CardInfo, Kernel, Launch, Stream, TensorMap};
use super::heuristics_gemm::GemmPlan;
use super::memory::Card;
use crate::device::desc::{Buf, Desc};
use crate::device::op::Op;
use crate::error::{Error, Result};
use crate::limits::MAX_CARD_SIDE;

/// What one operation runs on. Everything was checked by `Op::infer`; all buffers are this card's.
#[derive(Clone, Copy)]
pub(super) struct Call<'a> {
    pub(super) card: &'a Card,
    pub(super) op: &'a Op,
    pub(super) ins: &'a [&'a Buf],
    /// The descriptions of `ins`.
    pub(super) descs: &'a [Desc],
    pub(super) outs: &'a [&'a Buf],
    /// Scratch memory of [`Family::workspace`] bytes but for [`Family::spared`], or the null pointer where
    /// that is 0.
    pub(super) scratch: u64,
    /// What [`Family::tile`] chose, where it was asked before.
    pub(super) tile: Option<Option<GemmPlan>>,
    pub(super) stream: Stream,
}

/// Launchers of a family of operations: which kernels they take, and how they are launched.
pub(super) trait Family: Sync {
    /// The kernels that run `op` on these inputs, or `None` where it is another family's. `has` says
    /// which kernels this build and card have.
    fn kernels(
        &self,
        op: &Op,
        ins: &[Desc],
        card: &CardInfo,
        has: &dyn Fn(Kernel) -> bool,
    ) -> Option<Vec<Kernel>>;

    /// Whether the inputs may be of several floating types.
    fn mixed(&self) -> bool {
        false
    }

    /// Bytes of scratch memory; see [`Device::workspace`](crate::device::Device::workspace).
    fn workspace(&self, _op: &Op, _ins: &[Desc], _card: &CardInfo) -> usize {
        0
    }

    /// How many of those bytes are not wanted where input `at` is packed.
    fn spared(&self, _op: &Op, _ins: &[Desc], _at: usize, _card: &CardInfo) -> usize {
        0
    }

    /// The plan of Hopper's kernel for `op`, if that runs it.
    fn tile(
        &self,
        _op: &Op,
        _ins: &[Desc],
        _card: &CardInfo,
        _has: &dyn Fn(Kernel) -> bool,
    ) -> Option<GemmPlan> {
        None
    }

    /// See [`Device::packed`](crate::device::Device::packed).
    fn packed(&self, _op: &Op, _ins: &[Desc], _at: usize, _card: &CardInfo) -> Option<usize> {
        None
    }

    /// The bytes that [`Device::pack`](crate::device::Device::pack) puts into the buffer of
    /// [`Family::packed`] bytes.
    fn pack(
        &self,
        op: &Op,
        _ins: &[Desc],
        _at: usize,
        _row: &mut dyn FnMut(usize, &mut [f32]) -> Result<()>,
    ) -> Result<Vec<u8>> {
        Err(Error::internal("has no layout of its own").op(op.name()))
    }

    /// Queues the operation.
    fn run(&self, call: &Call<'_>) -> Result<()>;
}

/// A kernel's arguments, in order: words, and values by their bytes.
#[derive(Default)]
pub(super) struct Args(Vec<Arg>);

enum Arg {
    Word(u64),
    Ints(Box<[i32]>),
    Map(Box<TensorMap>),
}

impl Args {
    /// A tensor map, as a `const __grid_constant__ TensorMap`.
    pub(super) fn map(mut self, map: &TensorMap) -> Self {
        self.0.push(Arg::Map(Box::new(*map)));
        self
    }

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

    /// A struct of `int`s, by value.
    ///
    /// # Errors
    /// As [`Args::int`].
    pub(super) fn ints(mut self, values: &[usize]) -> Result<Self> {
        let narrow = values.iter().map(|&v| i32::try_from(v).ok()).collect();
        let many = || Error::limit(format!("more than {MAX_CARD_SIDE}")).op("launch");
        self.0.push(Arg::Ints(Option::ok_or_else(narrow, many)?));
        Ok(self)
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
        self.0.push(Arg::Word(u64::from_ne_bytes(word)));
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
        let values = args.0.iter_mut().map(|arg| match arg {
            Arg::Word(word) => (word as *mut u64).cast(),
            Arg::Ints(ints) => ints.as_mut_ptr().cast(),
            Arg::Map(map) => (&mut **map as *mut TensorMap).cast(),
        });
        let mut pointers: Vec<*mut c_void> = values.collect();
        self.use_stream(stream);
        // SAFETY: the pointers are to the arguments' values, which live through the call; the rest
        // is the caller's promise.
        unsafe { self.driver.launch(kernel, how, &mut pointers, stream) }
    }
}

/// The symbol of a kernel that each floating type has: `scale_f16`, `scale_bf16` and `scale_f32` of
/// `"scale"`. Whether the card has it is asked where kernels are chosen.
macro_rules! by_type {
    ($dtype:expr, $name:literal) => {
        match $dtype {
            DType::F16 => concat!($name, "_f16"),
            DType::BF16 => concat!($name, "_bf16"),
            DType::F32 | DType::U32 => concat!($name, "_f32"),
        }
    };
}
pub(super) use by_type;

/// The symbol of a kernel for values of 16 bits: `conv_f16_64x64` and `conv_bf16_64x64` of `"conv"` and
/// `"_64x64"`.
macro_rules! by_short {
    ($dtype:expr, $front:literal, $back:literal) => {
        match $dtype {
            DType::BF16 => concat!($front, "_bf16", $back),
            DType::F16 | DType::F32 | DType::U32 => concat!($front, "_f16", $back),
        }
    };
}
pub(super) use by_short;

/// A number of blocks in x.
pub(super) fn blocks(count: usize) -> Result<u32> {
    let most = usize::try_from(i32::MAX).unwrap_or(usize::MAX);
    match u32::try_from(count) {
        Ok(n) if count <= most => Ok(n),
        _ => Err(Error::limit(format!("{count} blocks are too many")).op("launch")),
    }
}
