//! What a card's driver can do, behind one trait: the CUDA driver and the simulated card.
//!
//! Addresses are device addresses as plain integers; nothing here can be dereferenced by the host.
//! Kernels are named by symbol; their arguments follow `cuLaunchKernel`: one pointer to each.

use std::ffi::c_void;
use std::ptr::NonNull;

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

/// Work of a stream that was captured, by [`Driver::capture`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Recording(pub u64);

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

/// A tensor in device memory as the card's copy engine knows it: `CUtensorMap`, opaque to everybody but
/// the driver that made it. A kernel takes it as `const __grid_constant__ TensorMap`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C, align(128))]
pub struct TensorMap(pub [u64; 16]);

/// How 16-byte pieces of a tile's lines are interleaved in shared memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Swizzle {
    /// As they stand.
    None,
    /// Within spans of 32 bytes.
    B32,
    /// Within spans of 64 bytes.
    B64,
    /// Within spans of 128 bytes.
    B128,
}

/// The tensor that a map describes. Dimensions stand innermost first.
#[derive(Debug, Clone, PartialEq)]
pub struct TensorShape {
    /// Device address of the first element, aligned to 16.
    pub address: u64,
    /// Bytes of an element: 2 is half precision (or bf16: bits are only copied), 4 is f32.
    pub element: usize,
    /// 1 to 5 sizes.
    pub dims: Vec<u64>,
    /// Bytes from one index to the next of dimensions 1 and on (one fewer than `dims`), multiples of 16.
    pub strides: Vec<u64>,
    /// How tiles lie in shared memory.
    pub swizzle: Swizzle,
    /// What one copy takes.
    pub copy: TensorCopy,
}

/// What one bulk tensor copy takes; what lies outside the tensor reads as 0.
#[derive(Debug, Clone, PartialEq)]
pub enum TensorCopy {
    /// A box of so many elements in each dimension, innermost first; each at most 256.
    Tile(Vec<u32>),
    /// Of images `[c, w, h, n]`: `pixels` places of a window's corner, walked along w, then h, then n
    /// within the bounding box from `lower` to `w + upper`, `h + upper` (exclusive), and `channels`
    /// values of each, at the offset in the window that the copy names
    /// (PTX ISA, "im2col mode").
    Im2col {
        /// First corner in w and h; minus the padding.
        lower: [i32; 2],
        /// Last corner in w and h from the tensor's last element; padding minus the window's reach.
        upper: [i32; 2],
        /// At most 256.
        channels: u32,
        /// At most 1,024.
        pixels: u32,
        /// Steps in w and h.
        steps: [u32; 2],
    },
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

    /// Free and total memory of the card, in bytes.
    fn memory(&self) -> Result<(u64, u64)>;

    /// Allocates `bytes` of page-locked host memory, for copies that run beside other work. It is
    /// plain memory to the host, not write-combined.
    fn host_alloc(&self, bytes: usize) -> Result<NonNull<u8>>;

    /// Frees what [`Driver::host_alloc`] gave.
    ///
    /// # Safety
    /// `at` came from `host_alloc` of this driver, is freed once, and no queued copy uses it.
    unsafe fn host_free(&self, at: NonNull<u8>) -> Result<()>;

    /// Queues a copy of `bytes` of page-locked memory to device address `to`.
    ///
    /// # Safety
    /// `to .. to + bytes` lies within one allocation of this driver, `from .. from + bytes` within
    /// one of [`Driver::host_alloc`]; the host does not write to it until the copy is done.
    unsafe fn upload_locked(
        &self,
        to: u64,
        from: NonNull<u8>,
        bytes: usize,
        stream: Stream,
    ) -> Result<()>;

    /// Queues a copy of device bytes at `from` to page-locked memory.
    ///
    /// # Safety
    /// As [`Driver::upload_locked`]; the host does not touch the memory until the copy is done.
    unsafe fn download_locked(
        &self,
        from: u64,
        to: NonNull<u8>,
        bytes: usize,
        stream: Stream,
    ) -> Result<()>;

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

    /// Describes a tensor for bulk copies; Hopper cards and later.
    fn tensor_map(&self, _shape: &TensorShape) -> Result<TensorMap> {
        let card = &self.info().name;
        Err(crate::Error::unsupported(format!("{card} has no bulk tensor copies")).op("tensor_map"))
    }

    /// A new stream.
    fn stream(&self) -> Result<Stream>;

    /// Waits for a stream of [`Driver::stream`] and gives it back; nothing may name it afterwards.
    fn destroy(&self, stream: Stream) -> Result<()>;

    /// Marks the present end of a stream.
    fn record(&self, stream: Stream) -> Result<Event>;

    /// As [`Driver::record`], with the time at which the stream came there; until
    /// [`Driver::release`].
    fn record_timed(&self, stream: Stream) -> Result<Event>;

    /// Seconds of the card between two timed events; waits on the host for both.
    fn elapsed(&self, from: Event, to: Event) -> Result<f64>;

    /// Gives a timed event back.
    fn release(&self, event: Event) -> Result<()>;

    /// Makes later work of `stream` wait for `event`.
    fn wait(&self, stream: Stream, event: Event) -> Result<()>;

    /// Waits on the host until all work before `event` is done.
    fn reach(&self, event: Event) -> Result<()>;

    /// Waits on the host until all work of `stream` is done, and reports its errors.
    fn sync(&self, stream: Stream) -> Result<()>;

    /// From now on, work that this thread puts on `stream` is taken down and not run. Kernels must
    /// have been launched before. Until [`Driver::captured`], the thread may not allocate, free,
    /// wait, or copy memory that is not page-locked.
    fn capture(&self, stream: Stream) -> Result<()>;

    /// Ends a capture, whatever became of it. The recording holds the arguments and addresses of its
    /// work, not what is there.
    fn captured(&self, stream: Stream) -> Result<Recording>;

    /// Queues the work of a recording.
    ///
    /// # Safety
    /// What was promised of each piece of its work holds still.
    unsafe fn replay(&self, recording: Recording, stream: Stream) -> Result<()>;

    /// Frees a recording; replays that are queued still run.
    fn forget(&self, recording: Recording) -> Result<()>;
}
