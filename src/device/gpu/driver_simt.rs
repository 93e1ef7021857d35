//! The simulated card's driver: kernels compiled for the host, threads as fibres, for tests.
//!
//! `cargo xtask simt` makes the libraries (plain, with AddressSanitizer and UndefinedBehaviorSanitizer,
//! with ThreadSanitizer); [`SimtDriver::open`] opens one, and the environment variable `DOPPEL_SIMT`
//! names it for [`SimtDriver::from_env`]. Streams are lines of work that is run out of order where no
//! event forbids it (`lines`). A kernel's fault names kernel, block, thread and the place in the source;
//! it is the error of its launch where that ran at once, else of the next call that waits.

mod lines;
mod schedule;
mod tensor;

use std::alloc::{Layout, alloc_zeroed, dealloc};
use std::collections::HashMap;
use std::ffi::{CStr, c_char, c_int, c_void};
use std::path::Path;
use std::ptr::NonNull;
use std::sync::{Mutex, MutexGuard, PoisonError};

use libloading::Library;

use self::lines::{Host, Launched, Lines, Source, Until, Work};
use self::schedule::RawSchedule;
pub use self::schedule::{Copies, Matrices, Order, Schedule};
use self::tensor::RawTensor;
use super::driver::{
    CardInfo, Driver, Event, Kernel, Launch, Recording, Stream, TensorMap, TensorShape,
};
use crate::error::{Error, Kind, Result};

/// The form of the library's interface that this file speaks (`kernels/simt/abi.h`).
const ABI_VERSION: u32 = 3;
/// The longest message that a call gives, in bytes.
const MESSAGE_BYTES: usize = 4096;
/// Compute capabilities, times ten, that the card can pass for.
const ARCHS: [u32; 2] = [80, 90];

type Message = *mut c_char;
type Status = c_int;

/// The library's functions, as `kernels/simt/abi.h` declares them.
struct Api {
    kernel_count: unsafe extern "C" fn() -> usize,
    kernel_name: unsafe extern "C" fn(usize) -> *const c_char,
    kernel_family: unsafe extern "C" fn(usize) -> *const c_char,
    kernel_arguments: unsafe extern "C" fn(usize) -> usize,
    argument_bytes: unsafe extern "C" fn(usize, usize) -> usize,
    build: unsafe extern "C" fn() -> *const c_char,
    memory: unsafe extern "C" fn() -> u64,
    kernel_file: unsafe extern "C" fn(usize) -> *const c_char,
    most_shared: unsafe extern "C" fn(u32) -> usize,
    alloc: unsafe extern "C" fn(usize, *mut u64, Message, usize) -> Status,
    free: unsafe extern "C" fn(u64, Message, usize) -> Status,
    upload: unsafe extern "C" fn(u64, *const c_void, usize, Message, usize) -> Status,
    download: unsafe extern "C" fn(u64, *mut c_void, usize, Message, usize) -> Status,
    copy: unsafe extern "C" fn(u64, u64, usize, Message, usize) -> Status,
    fill: unsafe extern "C" fn(u64, u8, usize, Message, usize) -> Status,
    check: unsafe extern "C" fn(Message, usize) -> Status,
    tensor_map: unsafe extern "C" fn(*const RawTensor, *mut TensorMap, Message, usize) -> Status,
    launch: unsafe extern "C" fn(
        usize,
        *const RawShape,
        *mut *mut c_void,
        usize,
        *const RawSchedule,
        Message,
        usize,
    ) -> Status,
}

/// [`Launch`] as the library takes it, and the compute capability of the card.
#[repr(C)]
#[derive(Clone, Copy)]
struct RawShape {
    grid: [u32; 3],
    block: [u32; 3],
    cluster: [u32; 3],
    arch: u32,
    shared: usize,
}

impl Api {
    fn load(library: &Library) -> Result<Api> {
        // SAFETY: `simt_abi_version` has taken nothing and given a u32 in every form of the interface.
        let version =
            unsafe { symbol::<unsafe extern "C" fn() -> u32>(library, "simt_abi_version")?() };
        if version != ABI_VERSION {
            return Err(Error::unsupported(format!(
                "its interface has form {version}, not {ABI_VERSION}"
            ))
            .mend("build it anew: cargo xtask simt"));
        }
        // SAFETY: the types are those of `kernels/simt/abi.h` in the form that was just checked.
        unsafe {
            Ok(Api {
                kernel_count: symbol(library, "simt_kernel_count")?,
                kernel_name: symbol(library, "simt_kernel_name")?,
                kernel_family: symbol(library, "simt_kernel_family")?,
                kernel_file: symbol(library, "simt_kernel_file")?,
                kernel_arguments: symbol(library, "simt_kernel_arguments")?,
                argument_bytes: symbol(library, "simt_argument_bytes")?,
                build: symbol(library, "simt_build")?,
                memory: symbol(library, "simt_memory")?,
                most_shared: symbol(library, "simt_most_shared")?,
                alloc: symbol(library, "simt_alloc")?,
                free: symbol(library, "simt_free")?,
                upload: symbol(library, "simt_upload")?,
                download: symbol(library, "simt_download")?,
                copy: symbol(library, "simt_copy")?,
                fill: symbol(library, "simt_fill")?,
                check: symbol(library, "simt_check")?,
                tensor_map: symbol(library, "simt_tensor_map")?,
                launch: symbol(library, "simt_launch")?,
            })
        }
    }
}

/// A function of the library.
///
/// # Safety
/// `T` is the type of the function called `name`.
unsafe fn symbol<T: Copy>(library: &Library, name: &str) -> Result<T> {
    // SAFETY: the caller's promise.
    let found = unsafe { library.get::<T>(name) };
    found
        .map(|symbol| *symbol)
        .map_err(|error| Error::unsupported(error.to_string()))
}

/// A text of the library's; empty if there is none.
///
/// # Safety
/// `text` is null or a string that lives as long as the library.
unsafe fn text(text: *const c_char) -> String {
    if text.is_null() {
        return String::new();
    }
    // SAFETY: the caller's promise.
    unsafe { CStr::from_ptr(text) }
        .to_string_lossy()
        .into_owned()
}

/// A kernel of the library.
struct Entry {
    family: String,
    index: usize,
    /// Whether its source is a file `sm90_*.cu`, which is compiled for Hopper alone.
    hopper: bool,
}

/// A card in this process's memory. Several drivers of one library share its memory and take turns.
pub struct SimtDriver {
    api: Api,
    info: CardInfo,
    build: String,
    kernels: HashMap<String, Entry>,
    schedule: Mutex<Schedule>,
    lines: Mutex<Lines>,
}

impl SimtDriver {
    /// Opens the library at `path`, with the schedule that `DOPPEL_SIMT_ORDER` (`fwd`, `rev`,
    /// `rand:SEED`), `DOPPEL_SIMT_COPY` and `DOPPEL_SIMT_MATRIX` (`early`, `late`) name, if they are
    /// set. Streams go by the same order. The card is of compute capability 8.0, or what
    /// `DOPPEL_SIMT_ARCH` (`80`, `90`) says. `DOPPEL_SIMT_MEMORY` makes the card's memory smaller, to so
    /// many bytes, and `DOPPEL_SIMT_FAIL_ALLOC` lets the allocation of that number fail, counted from 1.
    ///
    /// A library with a sanitizer needs the sanitizer's runtime to be loaded before the program
    /// (`LD_PRELOAD`); `cargo xtask simt test` does that.
    ///
    /// # Errors
    /// [`Kind::Unsupported`] if there is no such library or it is of another form.
    pub fn open(path: impl AsRef<Path>) -> Result<SimtDriver> {
        let arch = match variable("DOPPEL_SIMT_ARCH") {
            None => ARCHS[0],
            Some(text) => text.parse().map_err(|_| {
                Error::input(format!("DOPPEL_SIMT_ARCH is {text:?}")).mend("give 80 or 90")
            })?,
        };
        SimtDriver::open_as(path, arch)
    }

    /// Opens the library at `path` as a card of compute capability `arch` / 10: 80 is an Ampere card
    /// with 99 KB of shared memory a block, 90 a Hopper card with 227 KB and its own kernels.
    ///
    /// # Errors
    /// Those of [`SimtDriver::open`], and for any other `arch`.
    pub fn open_as(path: impl AsRef<Path>, arch: u32) -> Result<SimtDriver> {
        let path = path.as_ref();
        if !ARCHS.contains(&arch) {
            return Err(
                Error::input(format!("no simulated card is sm_{arch}")).mend("give 80 or 90")
            );
        }
        let mut schedule = Schedule::default();
        if let Some(order) = variable("DOPPEL_SIMT_ORDER") {
            schedule.order = order.parse()?;
        }
        if let Some(copies) = variable("DOPPEL_SIMT_COPY") {
            schedule.copies = copies.parse()?;
        }
        if let Some(matrices) = variable("DOPPEL_SIMT_MATRIX") {
            schedule.matrices = matrices.parse()?;
        }
        // SAFETY: the library's initialisers only link its kernels into a list, and none runs at
        // its end: it is never closed.
        let library = unsafe { Library::new(path) }.map_err(|error| {
            Error::unsupported(error.to_string())
                .path(path)
                .mend("build it: cargo xtask simt")
        })?;
        let api = Api::load(&library).map_err(|error| error.path(path))?;
        // The functions in `api` are good for ever, and a sanitizer keeps pointers into the library.
        std::mem::forget(library);
        // SAFETY: these functions take plain numbers, and their texts are constants of the library.
        let (build, memory, most_shared) =
            unsafe { (text((api.build)()), (api.memory)(), (api.most_shared)(arch)) };
        let kernels = list_kernels(&api);
        let info = CardInfo {
            driver: "simt",
            name: "simulated card".to_owned(),
            arch,
            multiprocessors: 1,
            memory: number("DOPPEL_SIMT_MEMORY")?.map_or(memory, |most| memory.min(most)),
            shared_per_block: most_shared,
        };
        let lazy = schedule.order != Order::Forward || schedule.copies == Copies::Late;
        let driver = SimtDriver {
            api,
            info,
            build,
            kernels,
            schedule: Mutex::new(schedule),
            lines: Mutex::new(Lines::new(lazy.then_some(schedule.order))),
        };
        driver.fail_allocation(number("DOPPEL_SIMT_FAIL_ALLOC")?);
        Ok(driver)
    }

    /// Opens the library that `DOPPEL_SIMT` names; `None` if it is not set, or empty.
    ///
    /// # Errors
    /// Those of [`SimtDriver::open`].
    pub fn from_env() -> Result<Option<SimtDriver>> {
        variable("DOPPEL_SIMT").map(SimtDriver::open).transpose()
    }

    /// How the library was built: `plain`, `asan` or `tsan`.
    pub fn build(&self) -> &str {
        &self.build
    }

    /// Sets how this driver's launches run from now on; for tests.
    pub fn set_schedule(&self, schedule: Schedule) {
        *self.schedule.lock().unwrap_or_else(PoisonError::into_inner) = schedule;
    }

    /// How this driver's launches run.
    pub fn schedule(&self) -> Schedule {
        *self.schedule.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Checks the sentinels around all buffers, of other drivers of the library too.
    ///
    /// # Errors
    /// [`Kind::Internal`] if something wrote outside a buffer; it names the buffer and the byte.
    pub fn check(&self) -> Result<()> {
        // SAFETY: the buffer for the message is as long as it is said to be.
        call("check", |message, bytes| unsafe {
            (self.api.check)(message, bytes)
        })
    }

    /// The kernel, if the library has it and the card can run it.
    fn find(&self, kernel: Kernel) -> Option<&Entry> {
        let runs = |entry: &&Entry| {
            entry.family == kernel.family && (!entry.hopper || self.info.arch >= 90)
        };
        self.kernels.get(kernel.symbol).filter(runs)
    }

    /// Sets in which order work of several streams is run; none runs it when it is asked for. For tests.
    pub fn set_streams(&self, order: Option<Order>) {
        self.lines().set_order(order);
    }

    /// How many allocations of the card's memory were asked for so far; for tests.
    pub fn allocations(&self) -> u64 {
        self.lines().memory.made
    }

    /// Lets the allocation of this number fail, counted from 1; for tests.
    pub fn fail_allocation(&self, number: Option<u64>) {
        self.lines().memory.fail = number;
    }

    /// How many kernels were run so far; for tests.
    pub fn launches(&self) -> u64 {
        self.lines().launched
    }

    fn lines(&self) -> MutexGuard<'_, Lines> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn submit(&self, op: &'static str, stream: Stream, work: Work) -> Result<()> {
        let mut lines = self.lines();
        lines.know(stream, op)?;
        lines.submit(&self.api, stream, work)
    }
}

/// A number that a variable of the environment holds.
fn number(name: &str) -> Result<Option<u64>> {
    let Some(text) = variable(name) else {
        return Ok(None);
    };
    let parsed = text.parse().map(Some);
    parsed.map_err(|_| Error::input(format!("{name} is no number: {text:?}")))
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

fn list_kernels(api: &Api) -> HashMap<String, Entry> {
    // SAFETY: the function takes nothing.
    let count = unsafe { (api.kernel_count)() };
    (0..count)
        .map(|i| {
            // SAFETY: these texts are constants of the library.
            let (name, family, file) = unsafe {
                (
                    text((api.kernel_name)(i)),
                    text((api.kernel_family)(i)),
                    text((api.kernel_file)(i)),
                )
            };
            let hopper = file
                .rsplit('/')
                .next()
                .is_some_and(|f| f.starts_with("sm90_"));
            let entry = Entry {
                family,
                index: i,
                hopper,
            };
            (name, entry)
        })
        .collect()
}

/// Makes a call that can fail, and its error from the status and the message.
fn call(op: &'static str, f: impl FnOnce(Message, usize) -> Status) -> Result<()> {
    let mut message = [0u8; MESSAGE_BYTES];
    let status = f(message.as_mut_ptr().cast(), message.len());
    let kind = match status {
        0 => return Ok(()),
        2 => Kind::Limit,
        3 => Kind::Unsupported,
        _ => Kind::Internal,
    };
    let end = message
        .iter()
        .position(|b| *b == 0)
        .unwrap_or(message.len());
    let message = String::from_utf8_lossy(&message[..end]);
    Err(Error::new(kind, format!("simulated card: {message}")).op(op))
}

impl Driver for SimtDriver {
    fn info(&self) -> &CardInfo {
        &self.info
    }

    fn has(&self, kernel: Kernel) -> bool {
        self.find(kernel).is_some()
    }

    fn alloc(&self, bytes: usize) -> Result<u64> {
        let mut lines = self.lines();
        lines.outside("alloc")?;
        lines.memory.made += 1;
        let used: u64 = lines.memory.card.values().sum();
        let free = self.info.memory.saturating_sub(used);
        if bytes as u64 > free || lines.memory.fail == Some(lines.memory.made) {
            let message = format!("simulated card: {bytes} bytes asked for, {free} left");
            return Err(Error::limit(message).op("alloc"));
        }
        let mut address = 0;
        // SAFETY: `address` and the message's buffer live through the call.
        call("alloc", |message, n| unsafe {
            (self.api.alloc)(bytes, &mut address, message, n)
        })?;
        lines.memory.card.insert(address, bytes as u64);
        Ok(address)
    }

    unsafe fn free(&self, address: u64) -> Result<()> {
        let mut lines = self.lines();
        lines.outside("free")?;
        lines.freed(address)?;
        // SAFETY: the library checks that the address is a buffer's; nothing queued uses it.
        call("free", |message, n| unsafe {
            (self.api.free)(address, message, n)
        })
    }

    fn memory(&self) -> Result<(u64, u64)> {
        let used: u64 = self.lines().memory.card.values().sum();
        Ok((self.info.memory.saturating_sub(used), self.info.memory))
    }

    fn host_alloc(&self, bytes: usize) -> Result<NonNull<u8>> {
        let mut lines = self.lines();
        lines.outside("host_alloc")?;
        // SAFETY: the layout has at least a byte.
        let at = NonNull::new(unsafe { alloc_zeroed(locked_layout(bytes)?) });
        let at = at.ok_or_else(|| Error::limit("no memory is left").op("host_alloc"))?;
        lines.memory.host.insert(at.as_ptr() as u64, bytes as u64);
        Ok(at)
    }

    unsafe fn host_free(&self, at: NonNull<u8>) -> Result<()> {
        let mut lines = self.lines();
        lines.outside("host_free")?;
        let bytes = lines.host_freed(at.as_ptr() as u64)? as usize;
        // SAFETY: `host_alloc` gave the address for so many bytes; `host_freed` has just taken it out
        // of the table, so that it is freed once.
        unsafe { dealloc(at.as_ptr(), locked_layout(bytes)?) };
        Ok(())
    }

    unsafe fn upload_locked(
        &self,
        to: u64,
        from: NonNull<u8>,
        bytes: usize,
        stream: Stream,
    ) -> Result<()> {
        self.lines().locked(Host(from), bytes, "upload_locked")?;
        let source = Source::Locked(Host(from), bytes);
        self.submit("upload_locked", stream, Work::Upload(to, source))
    }

    unsafe fn download_locked(
        &self,
        from: u64,
        to: NonNull<u8>,
        bytes: usize,
        stream: Stream,
    ) -> Result<()> {
        self.lines().locked(Host(to), bytes, "download_locked")?;
        let work = Work::Download(from, Host(to), bytes);
        self.submit("download_locked", stream, work)
    }

    unsafe fn upload(&self, to: u64, from: &[u8], stream: Stream) -> Result<()> {
        self.lines().outside("upload")?;
        let source = Source::Own(from.into());
        self.submit("upload", stream, Work::Upload(to, source))
    }

    unsafe fn download(&self, from: u64, to: &mut [u8], stream: Stream) -> Result<()> {
        let mut lines = self.lines();
        lines.outside("download")?;
        lines.know(stream, "download")?;
        lines.wait(&self.api, Until::Stream(stream))?;
        let (start, bytes) = (to.as_mut_ptr().cast(), to.len());
        // SAFETY: `to` has room for the bytes; the library checks that one buffer holds them. All work
        // of the stream is done.
        call("download", |message, n| unsafe {
            (self.api.download)(from, start, bytes, message, n)
        })
    }

    unsafe fn copy(&self, to: u64, from: u64, bytes: usize, stream: Stream) -> Result<()> {
        self.submit("copy", stream, Work::Copy(to, from, bytes))
    }

    unsafe fn fill(&self, to: u64, value: u8, bytes: usize, stream: Stream) -> Result<()> {
        self.submit("fill", stream, Work::Fill(to, value, bytes))
    }

    unsafe fn launch(
        &self,
        kernel: Kernel,
        how: &Launch,
        args: &mut [*mut c_void],
        stream: Stream,
    ) -> Result<()> {
        self.lines().know(stream, "launch")?;
        let Some(entry) = self.find(kernel) else {
            let name = format!("{}/{}", kernel.family, kernel.symbol);
            return Err(
                Error::unsupported(format!("simulated card: no kernel {name}")).op("launch"),
            );
        };
        let blocks: u64 = how.cluster.iter().map(|n| u64::from(*n)).product();
        if blocks != 1 && self.info.arch < 90 {
            let message = format!(
                "simulated card: {} needs clusters, which start with Hopper",
                kernel.symbol
            );
            return Err(Error::unsupported(message).op("launch"));
        }
        // SAFETY: the functions take plain numbers.
        let sizes: Vec<usize> = unsafe {
            let count = (self.api.kernel_arguments)(entry.index);
            let bytes = |at| (self.api.argument_bytes)(entry.index, at);
            (0..count).map(bytes).collect()
        };
        if sizes.len() != args.len() {
            let (name, takes, given) = (kernel.symbol, sizes.len(), args.len());
            let message = format!("kernel {name} takes {takes} arguments, not {given}");
            return Err(Error::internal(format!("simulated card: {message}")).op("launch"));
        }
        let shape = RawShape {
            grid: how.grid,
            block: how.block,
            cluster: how.cluster,
            arch: self.info.arch,
            shared: how.shared,
        };
        let schedule = RawSchedule::from(self.schedule());
        // SAFETY: the caller promises arguments that match the kernel's parameters.
        let launched = unsafe { Launched::new(entry.index, shape, (args, &sizes), schedule) };
        self.submit("launch", stream, Work::Launch(launched.into()))
    }

    fn tensor_map(&self, shape: &TensorShape) -> Result<TensorMap> {
        if self.info.arch < 90 {
            let message = "simulated card: bulk tensor copies start with Hopper";
            return Err(Error::unsupported(message).op("tensor_map"));
        }
        let raw = RawTensor::of(shape)?;
        let mut map = TensorMap([0; 16]);
        // SAFETY: shape, map and the message's buffer live through the call.
        call("tensor_map", |message, n| unsafe {
            (self.api.tensor_map)(&raw, &mut map, message, n)
        })?;
        Ok(map)
    }

    fn stream(&self) -> Result<Stream> {
        Ok(self.lines().stream())
    }

    fn destroy(&self, stream: Stream) -> Result<()> {
        let mut lines = self.lines();
        lines.outside("destroy")?;
        lines.destroy(&self.api, stream)
    }

    fn record(&self, stream: Stream) -> Result<Event> {
        self.lines().record(&self.api, stream, false)
    }

    fn record_timed(&self, stream: Stream) -> Result<Event> {
        self.lines().record(&self.api, stream, true)
    }

    fn elapsed(&self, from: Event, to: Event) -> Result<f64> {
        self.lines().elapsed(&self.api, from, to)
    }

    fn release(&self, event: Event) -> Result<()> {
        self.lines().release(event)
    }

    fn wait(&self, stream: Stream, event: Event) -> Result<()> {
        self.lines().recorded(event, "wait")?;
        self.submit("wait", stream, Work::Wait(event.0))
    }

    fn reach(&self, event: Event) -> Result<()> {
        let mut lines = self.lines();
        lines.outside("reach")?;
        lines.recorded(event, "reach")?;
        lines.wait(&self.api, Until::Event(event))
    }

    fn sync(&self, stream: Stream) -> Result<()> {
        {
            let mut lines = self.lines();
            lines.outside("sync")?;
            lines.know(stream, "sync")?;
            lines.wait(&self.api, Until::Stream(stream))?;
        }
        self.check()
    }

    fn capture(&self, stream: Stream) -> Result<()> {
        self.lines().capture(stream)
    }

    fn captured(&self, stream: Stream) -> Result<Recording> {
        self.lines().captured(stream)
    }

    unsafe fn replay(&self, recording: Recording, stream: Stream) -> Result<()> {
        self.lines().replay(&self.api, recording, stream)
    }

    fn forget(&self, recording: Recording) -> Result<()> {
        self.lines().forget(recording)
    }
}

/// How page-locked memory is aligned: as the driver's is.
fn locked_layout(bytes: usize) -> Result<Layout> {
    let layout = Layout::from_size_align(bytes.max(1), 256);
    layout.map_err(|_| Error::limit(format!("{bytes} bytes are too many")).op("host_alloc"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_library_is_one_line_with_the_mend() {
        let error = SimtDriver::open("no/such/library.so").err().unwrap();
        assert_eq!(error.kind(), Kind::Unsupported);
        assert!(error.to_string().contains("cargo xtask simt"), "{error}");
    }
}
