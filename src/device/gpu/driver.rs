//! What a card's driver can do, behind one trait: the CUDA driver and the simulated card.
//!
//! Addresses are device addresses as plain integers; nothing here can be dereferenced by the host.
//! Kernels are named by symbol; their arguments follow `cuLaunchKernel`: one pointer to each.

use std::ffi::c_void;

use crate::error::Result;

/// An ordered queue of work on the card. [`Stream::DEFAULT`] is always there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Stream(pub u64);

impl Stream {
    /// The stream that every driver has.
    pub const DEFAULT: Stream = Stream(0);
}

/// A point in a stream's order, made by [`Driver::record`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Event(pub u64);

/// What a card is.
#[derive(Debug, Clone, PartialEq)]
pub struct CardInfo {
    /// `cuda` or `simt`.
    pub driver: &'static str,
    /// The card's name, as its driver gives it.
    pub name: String,
    /// Compute capability times ten: 80, 90, ...
    pub arch: u32,
    /// How many multiprocessors.
    pub multiprocessors: u32,
    /// Device memory in bytes.
    pub memory: u64,
    /// The most dynamic shared memory of a block, in bytes (opt-in).
    pub shared_per_block: usize,
}

/// The shape of one launch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Launch {
    /// Blocks in x, y, z.
    pub grid: [u32; 3],
    /// Threads of a block in x, y, z.
    pub block: [u32; 3],
    /// Dynamic shared memory in bytes.
    pub shared: usize,
    /// Blocks of a cluster in x, y, z; `[1, 1, 1]` is no cluster.
    pub cluster: [u32; 3],
}

impl Launch {
    /// A launch of `grid` blocks of `block` threads in x, with `shared` bytes of dynamic shared memory.
    pub fn linear(grid: u32, block: u32, shared: usize) -> Self {
        Launch {
            grid: [grid, 1, 1],
            block: [block, 1, 1],
            shared,
            cluster: [1, 1, 1],
        }
    }
}

/// A kernel: the file family its code is in (`kernels/<family>/`) and its symbol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Kernel {
    /// `gemm`, `norm`, `neighbours`, `fusion`, ...
    pub family: &'static str,
    /// The `extern "C"` entry.
    pub symbol: &'static str,
}

/// A card's driver. All methods may be called from any thread.
///
/// # Errors
/// [`Kind::Unsupported`](crate::error::Kind::Unsupported) for what this card or build lacks,
/// [`Kind::Limit`](crate::error::Kind::Limit) when memory is exhausted,
/// [`Kind::Internal`](crate::error::Kind::Internal) for any other refusal, each naming the call.
pub trait Driver: Send + Sync + 'static {
    /// What the card is.
    fn info(&self) -> &CardInfo;

    /// Whether this driver has the kernel (a portable build may lack Hopper's).
    fn has(&self, kernel: Kernel) -> bool;

    /// Allocates `bytes` of device memory, aligned to 256; 0 bytes give a valid address too.
    fn alloc(&self, bytes: usize) -> Result<u64>;

    /// Frees what [`Driver::alloc`] gave.
    ///
    /// # Safety
    /// `address` came from `alloc` of this driver, is freed once, and no queued work uses it.
    unsafe fn free(&self, address: u64) -> Result<()>;

    /// Copies host bytes to device address `to`; `from` may be reused when this returns.
    ///
    /// # Safety
    /// `to .. to + from.len()` lies within one allocation of this driver.
    unsafe fn upload(&self, to: u64, from: &[u8], stream: Stream) -> Result<()>;

    /// Copies device bytes at `from` to the host and waits for them.
    ///
    /// # Safety
    /// `from .. from + to.len()` lies within one allocation of this driver.
    unsafe fn download(&self, from: u64, to: &mut [u8], stream: Stream) -> Result<()>;

    /// Copies `bytes` from one device address to another.
    ///
    /// # Safety
    /// Both ranges lie within allocations of this driver and do not overlap.
    unsafe fn copy(&self, to: u64, from: u64, bytes: usize, stream: Stream) -> Result<()>;

    /// Sets `bytes` bytes at `to` to `value`.
    ///
    /// # Safety
    /// The range lies within one allocation of this driver.
    unsafe fn fill(&self, to: u64, value: u8, bytes: usize, stream: Stream) -> Result<()>;

    /// Queues a kernel. `args[i]` points to the i-th argument's value, of the type the kernel
    /// declares; the values are copied before this returns.
    ///
    /// # Safety
    /// The arguments match the kernel's parameters in number, order and type, and every device
    /// address among them is valid for what the kernel does with it until the work has run.
    unsafe fn launch(
        &self,
        kernel: Kernel,
        how: &Launch,
        args: &mut [*mut c_void],
        stream: Stream,
    ) -> Result<()>;

    /// A new stream.
    fn stream(&self) -> Result<Stream>;

    /// Marks the present end of a stream.
    fn record(&self, stream: Stream) -> Result<Event>;

    /// Makes later work of `stream` wait for `event`.
    fn wait(&self, stream: Stream, event: Event) -> Result<()>;

    /// Waits on the host until all work of `stream` is done, and reports its errors.
    fn sync(&self, stream: Stream) -> Result<()>;
}
