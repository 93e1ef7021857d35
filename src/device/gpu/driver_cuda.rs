//! The CUDA driver behind [`Driver`].
//!
//! Compiled and tested against a made-up driver library only; whether it ran on a card, and how
//! well, stands in `kernels/VERIFIED.toml`.
//!
//! Any thread may call; each call makes the card's primary context the thread's own first. Modules
//! are loaded when a kernel of theirs is first launched. Uploads pass through page-locked buffers.

mod api;
mod code;
mod events;
mod graphs;
mod tensor;

use std::ffi::{c_uint, c_void};
use std::mem::MaybeUninit;
use std::ptr::{NonNull, copy_nonoverlapping, null_mut};
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock};

use cudarc::driver::sys;
use sys::{CUcontext, CUdevice, CUevent, CUlaunchAttribute, CUlaunchConfig, CUstream};

use self::api::{Api, OUT_OF_MEMORY, Refusal, SUCCESS};
use self::code::{Code, Function, about, allow, function_of, load, named};
use self::events::Events;
use self::graphs::Graphs;
use super::driver::{
    CardInfo, Driver, Event, Kernel, Launch, Recording, Stream, TensorMap, TensorShape,
};
use super::images::{self, IMAGES, Image};
use super::probe::{NoGpu, OLDEST_CARD, allowed};
use crate::device::foreign;
use crate::error::{Error, Result};

/// Bytes of one staging buffer; uploads pass through two.
const STAGE: usize = 4 << 20;

/// The card's primary context, held until this is dropped.
struct Context {
    api: &'static Api,
    device: CUdevice,
    raw: CUcontext,
}

impl Context {
    fn new(api: &'static Api, device: CUdevice) -> Result<Self, Refusal> {
        let mut raw = null_mut();
        // SAFETY: the pointer is to a live handle; the device came from `cuDeviceGet`.
        let code = unsafe { (api.cuDevicePrimaryCtxRetain)(&mut raw, device) };
        api.check("cuDevicePrimaryCtxRetain", code)?;
        Ok(Context { api, device, raw })
    }

    /// Makes this the calling thread's context: most calls work on the current one.
    fn enter(&self) -> Result<(), Refusal> {
        // SAFETY: the context is retained as long as `self` lives.
        self.api.check("cuCtxSetCurrent", unsafe {
            (self.api.cuCtxSetCurrent)(self.raw)
        })
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        // SAFETY: retained once by `new`, released once here. A refusal has nobody to go to.
        unsafe { (self.api.cuDevicePrimaryCtxRelease_v2)(self.device) };
    }
}

/// The card's facts, and its context if `kernels` are there; for [`super::probe`].
pub(super) fn look(ordinal: usize, kernels: Result<(), NoGpu>) -> Result<CardInfo, NoGpu> {
    open(ordinal, kernels).map(|(_, info)| info)
}

fn open(ordinal: usize, kernels: Result<(), NoGpu>) -> Result<(Context, CardInfo), NoGpu> {
    let (api, found) = Api::get()?;
    if ordinal >= found {
        return Err(NoGpu::NoDevice {
            asked: ordinal,
            found,
        });
    }
    let (device, info) = api.card(ordinal)?;
    if info.arch < OLDEST_CARD {
        return Err(NoGpu::OldCard {
            name: info.name,
            arch: info.arch,
        });
    }
    kernels?;
    let context = Context::new(api, device)?;
    context.enter()?;
    Ok((context, info))
}

/// A page-locked buffer, and the event after the last copy out of it.
struct Stage {
    buffer: *mut u8,
    done: CUevent,
}

/// A CUDA card.
///
/// Dropping it gives back all that it made, [`Driver::alloc`]'s memory too once the last user of
/// the card's primary context is gone.
pub struct CudaDriver {
    code: Mutex<Code>,
    events: Mutex<Events>,
    graphs: Mutex<Graphs>,
    stages: Mutex<Vec<Stage>>,
    /// [`Stream`] numbers are places here; 0 is the default stream. Null is one that was given back.
    streams: RwLock<Vec<CUstream>>,
    images: &'static [Image],
    info: CardInfo,
    context: Context,
}

// SAFETY: the driver's functions may be called from any thread with the context current, which
// every method makes it; the handles are changed behind the locks alone, and the context and the
// staging buffers belong to this value.
unsafe impl Send for CudaDriver {}
// SAFETY: as for Send.
unsafe impl Sync for CudaDriver {}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What the locks guard is changed in single steps, so a panic elsewhere leaves it whole.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl CudaDriver {
    /// Opens card `ordinal`, from 0 on, with the kernels that were built in.
    ///
    /// # Errors
    /// [`Kind::Unsupported`](crate::error::Kind::Unsupported) with the words of [`NoGpu`].
    pub fn open(ordinal: usize) -> Result<CudaDriver> {
        Self::open_with(ordinal, IMAGES)
    }

    /// Opens card `ordinal` with these images in place of those built in.
    ///
    /// # Errors
    /// As [`CudaDriver::open`].
    pub fn open_with(ordinal: usize, images: &'static [Image]) -> Result<CudaDriver> {
        let kernels = allowed(images);
        if let Err(reason @ (NoGpu::SwitchedOff | NoGpu::NotBuilt)) = kernels {
            return Err(reason.into());
        }
        let (context, info) = open(ordinal, kernels)?;
        let driver = CudaDriver {
            code: Mutex::default(),
            events: Mutex::default(),
            graphs: Mutex::default(),
            stages: Mutex::default(),
            streams: RwLock::default(),
            images,
            info,
            context,
        };
        driver.stream()?;
        Ok(driver)
    }

    /// Loads a kernel ahead of its first launch.
    ///
    /// # Errors
    /// [`Kind::Unsupported`](crate::error::Kind::Unsupported) when this card or build lacks it.
    pub fn load(&self, kernel: Kernel) -> Result<()> {
        let api = self.enter()?;
        self.function(api, &mut lock(&self.code), kernel)
            .map(|_| ())
    }

    fn enter(&self) -> Result<&'static Api> {
        self.context.enter()?;
        Ok(self.context.api)
    }

    /// The handle of a stream.
    fn raw(&self, stream: Stream) -> Result<CUstream> {
        if let Some(handle) = foreign::handle(stream) {
            return Ok(handle.cast());
        }
        let streams = self.streams.read().unwrap_or_else(PoisonError::into_inner);
        let at = usize::try_from(stream.0).unwrap_or(usize::MAX);
        streams
            .get(at)
            .copied()
            .filter(|raw| !raw.is_null())
            .ok_or_else(|| Error::internal(format!("this driver made no stream {}", stream.0)))
    }

    /// A new staging buffer.
    fn stage(&self, api: &Api) -> Result<Stage> {
        let done = events::event(api, false)?;
        let mut buffer = null_mut();
        // SAFETY: the pointer is to a live pointer; the context is current.
        let code = unsafe { (api.cuMemHostAlloc)(&mut buffer, STAGE, 0) };
        if code != SUCCESS {
            // SAFETY: the event is new and nobody else has it.
            unsafe { (api.cuEventDestroy_v2)(done) };
        }
        api.check("cuMemHostAlloc", code)?;
        Ok(Stage {
            buffer: buffer.cast(),
            done,
        })
    }

    /// Looks a kernel up, and loads its image the first time.
    fn function<'a>(
        &self,
        api: &Api,
        code: &'a mut Code,
        kernel: Kernel,
    ) -> Result<&'a mut Function> {
        if !code.functions.contains_key(&kernel) {
            let image = images::find(self.images, kernel, self.info.arch)
                .ok_or_else(|| self.lacks(kernel))?;
            let module = load(api, &mut code.modules, image)?;
            code.functions
                .insert(kernel, function_of(api, module, kernel)?);
        }
        code.functions
            .get_mut(&kernel)
            .ok_or_else(|| self.lacks(kernel))
    }

    fn lacks(&self, kernel: Kernel) -> Error {
        let arch = self.info.arch;
        Error::unsupported(format!(
            "no kernel {} for compute capability {arch}",
            named(kernel)
        ))
    }
}

impl Driver for CudaDriver {
    fn info(&self) -> &CardInfo {
        &self.info
    }

    fn has(&self, kernel: Kernel) -> bool {
        images::find(self.images, kernel, self.info.arch).is_some()
    }

    fn alloc(&self, bytes: usize) -> Result<u64> {
        let api = self.enter()?;
        let mut at = 0;
        // The driver refuses 0 bytes. SAFETY: the pointer is to a live integer.
        let code = unsafe { (api.cuMemAlloc_v2)(&mut at, bytes.max(1)) };
        if code == OUT_OF_MEMORY
            && let Ok((free, total)) = self.memory()
        {
            let message = format!("{bytes} bytes of the card's memory: {free} of {total} are free");
            return Err(Error::limit(message)
                .op("cuMemAlloc")
                .mend("use a smaller batch"));
        }
        api.check("cuMemAlloc", code)?;
        Ok(at)
    }

    unsafe fn free(&self, address: u64) -> Result<()> {
        let api = self.enter()?;
        // SAFETY: the caller promises an allocation that is freed once and in no use.
        Ok(api.check("cuMemFree", unsafe { (api.cuMemFree_v2)(address) })?)
    }

    fn memory(&self) -> Result<(u64, u64)> {
        let api = self.enter()?;
        let (mut free, mut total) = (0, 0);
        // SAFETY: both pointers are to live integers; the context is current.
        let code = unsafe { (api.cuMemGetInfo_v2)(&mut free, &mut total) };
        api.check("cuMemGetInfo", code)?;
        Ok((free as u64, total as u64))
    }

    fn host_alloc(&self, bytes: usize) -> Result<NonNull<u8>> {
        let api = self.enter()?;
        let mut at = null_mut();
        // The driver refuses 0 bytes. SAFETY: the pointer is to a live pointer.
        let code = unsafe { (api.cuMemHostAlloc)(&mut at, bytes.max(1), 0) };
        if code == OUT_OF_MEMORY {
            let message = format!("{bytes} bytes of page-locked host memory");
            return Err(Error::limit(message)
                .op("cuMemHostAlloc")
                .mend("use a smaller batch"));
        }
        api.check("cuMemHostAlloc", code)?;
        NonNull::new(at.cast()).ok_or_else(|| Error::internal("no memory").op("cuMemHostAlloc"))
    }

    unsafe fn host_free(&self, at: NonNull<u8>) -> Result<()> {
        let api = self.enter()?;
        // SAFETY: the caller promises an allocation that is freed once and in no use.
        let code = unsafe { (api.cuMemFreeHost)(at.as_ptr().cast()) };
        Ok(api.check("cuMemFreeHost", code)?)
    }

    unsafe fn upload_locked(
        &self,
        to: u64,
        from: NonNull<u8>,
        bytes: usize,
        stream: Stream,
    ) -> Result<()> {
        let raw = self.raw(stream)?;
        if bytes == 0 {
            return Ok(());
        }
        let api = self.enter()?;
        // SAFETY: the caller promises both ranges until the copy is done.
        let code = unsafe {
            (api.cuMemcpyHtoDAsync_v2)(to, from.as_ptr().cast_const().cast(), bytes, raw)
        };
        Ok(api.check("cuMemcpyHtoDAsync", code)?)
    }

    unsafe fn download_locked(
        &self,
        from: u64,
        to: NonNull<u8>,
        bytes: usize,
        stream: Stream,
    ) -> Result<()> {
        let raw = self.raw(stream)?;
        if bytes == 0 {
            return Ok(());
        }
        let api = self.enter()?;
        // SAFETY: the caller promises both ranges until the copy is done.
        let code = unsafe { (api.cuMemcpyDtoHAsync_v2)(to.as_ptr().cast(), from, bytes, raw) };
        Ok(api.check("cuMemcpyDtoHAsync", code)?)
    }

    unsafe fn upload(&self, to: u64, from: &[u8], stream: Stream) -> Result<()> {
        let raw = self.raw(stream)?;
        let mut to = to;
        for part in from.chunks(STAGE) {
            let api = self.enter()?;
            let mut stages = lock(&self.stages);
            if stages.len() < 2 {
                let stage = self.stage(api)?;
                stages.push(stage);
            } else {
                // The buffer used longest ago.
                stages.rotate_left(1);
            }
            let Some(stage) = stages.last() else {
                return Err(Error::internal("no staging buffer"));
            };
            // SAFETY: the event is the stage's own; one never recorded has passed.
            api.check("cuEventSynchronize", unsafe {
                (api.cuEventSynchronize)(stage.done)
            })?;
            // SAFETY: a part is at most as long as the buffer, no copy out of the buffer is under
            // way (the event has passed), and the lock keeps other threads from it.
            unsafe { copy_nonoverlapping(part.as_ptr(), stage.buffer, part.len()) };
            // SAFETY: the caller promises that the target lies within an allocation; the buffer is
            // not written before the event below has passed.
            let code =
                unsafe { (api.cuMemcpyHtoDAsync_v2)(to, stage.buffer.cast(), part.len(), raw) };
            api.check("cuMemcpyHtoDAsync", code)?;
            // SAFETY: event and stream are live and of this context.
            let code = unsafe { (api.cuEventRecord)(stage.done, raw) };
            if code != SUCCESS {
                // Nothing marks the end of this copy: wait for it. SAFETY: the stream is live.
                unsafe { (api.cuStreamSynchronize)(raw) };
            }
            api.check("cuEventRecord", code)?;
            to += part.len() as u64;
        }
        Ok(())
    }

    unsafe fn download(&self, from: u64, to: &mut [u8], stream: Stream) -> Result<()> {
        let raw = self.raw(stream)?;
        if to.is_empty() {
            return Ok(());
        }
        let api = self.enter()?;
        let (at, bytes) = (to.as_mut_ptr().cast(), to.len());
        // SAFETY: the caller promises the source, `to` is the target and borrowed until the wait
        // below is over.
        let copied = unsafe { (api.cuMemcpyDtoHAsync_v2)(at, from, bytes, raw) };
        // Also after a refusal, so that nothing writes to `to` later. SAFETY: the stream is live.
        let waited = unsafe { (api.cuStreamSynchronize)(raw) };
        api.check("cuMemcpyDtoHAsync", copied)?;
        Ok(api.check("cuStreamSynchronize", waited)?)
    }

    unsafe fn copy(&self, to: u64, from: u64, bytes: usize, stream: Stream) -> Result<()> {
        let raw = self.raw(stream)?;
        if bytes == 0 {
            return Ok(());
        }
        let api = self.enter()?;
        // SAFETY: the caller promises both ranges.
        let code = unsafe { (api.cuMemcpyDtoDAsync_v2)(to, from, bytes, raw) };
        Ok(api.check("cuMemcpyDtoDAsync", code)?)
    }

    unsafe fn fill(&self, to: u64, value: u8, bytes: usize, stream: Stream) -> Result<()> {
        let raw = self.raw(stream)?;
        if bytes == 0 {
            return Ok(());
        }
        let api = self.enter()?;
        // SAFETY: the caller promises the range.
        let code = unsafe { (api.cuMemsetD8Async)(to, value, bytes, raw) };
        Ok(api.check("cuMemsetD8Async", code)?)
    }

    unsafe fn launch(
        &self,
        kernel: Kernel,
        how: &Launch,
        args: &mut [*mut c_void],
        stream: Stream,
    ) -> Result<()> {
        let raw = self.raw(stream)?;
        let api = self.enter()?;
        let mut code = lock(&self.code);
        let function = self.function(api, &mut code, kernel)?;
        allow(api, &self.info, function, kernel, how)?;
        if let Some(expected) = function.parameters.filter(|n| *n != args.len()) {
            let (name, given) = (named(kernel), args.len());
            return Err(Error::internal(format!(
                "{name} takes {expected} arguments, not {given}"
            )));
        }
        let function = function.raw;
        drop(code);

        // SAFETY: an attribute is plain integers, for which zeros are a value.
        let mut cluster: CUlaunchAttribute = unsafe { MaybeUninit::zeroed().assume_init() };
        cluster.id = sys::CUlaunchAttributeID::CU_LAUNCH_ATTRIBUTE_CLUSTER_DIMENSION;
        cluster.value.clusterDim.x = how.cluster[0];
        cluster.value.clusterDim.y = how.cluster[1];
        cluster.value.clusterDim.z = how.cluster[2];
        let config = CUlaunchConfig {
            gridDimX: how.grid[0],
            gridDimY: how.grid[1],
            gridDimZ: how.grid[2],
            blockDimX: how.block[0],
            blockDimY: how.block[1],
            blockDimZ: how.block[2],
            // At most what the card has, which was seen to fit.
            sharedMemBytes: how.shared as c_uint,
            hStream: raw,
            attrs: &mut cluster,
            numAttrs: c_uint::from(how.cluster != [1, 1, 1]),
        };
        // SAFETY: the caller promises arguments that match the kernel's parameters and addresses
        // that stay valid; the driver copies the values before it returns.
        let result =
            unsafe { (api.cuLaunchKernelEx)(&config, function, args.as_mut_ptr(), null_mut()) };
        let refused = |refusal| about(refusal, &format!("{} with {how:?}", named(kernel)));
        api.check("cuLaunchKernelEx", result).map_err(refused)
    }

    fn tensor_map(&self, shape: &TensorShape) -> Result<TensorMap> {
        tensor::encode(self.context.api, &self.info, shape)
    }

    fn stream(&self) -> Result<Stream> {
        let api = self.enter()?;
        let mut stream = null_mut();
        let flags = sys::CUstream_flags_enum::CU_STREAM_NON_BLOCKING as c_uint;
        // SAFETY: the pointer is to a live handle; the context is current.
        api.check("cuStreamCreate", unsafe {
            (api.cuStreamCreate)(&mut stream, flags)
        })?;
        let mut streams = self.streams.write().unwrap_or_else(PoisonError::into_inner);
        streams.push(stream);
        Ok(Stream(streams.len() as u64 - 1))
    }

    fn destroy(&self, stream: Stream) -> Result<()> {
        let raw = self.raw(stream)?;
        if stream == Stream::DEFAULT {
            return Err(Error::internal("the default stream stays"));
        }
        let api = self.enter()?;
        // SAFETY: the stream is live and of this context.
        let waited = unsafe { (api.cuStreamSynchronize)(raw) };
        let mut streams = self.streams.write().unwrap_or_else(PoisonError::into_inner);
        let place = streams.iter_mut().find(|s| **s == raw);
        let Some(place) = place else {
            return Err(Error::internal("a stream was given back twice"));
        };
        *place = null_mut();
        // SAFETY: the stream is live, and its place was just emptied, so it is destroyed once.
        let code = unsafe { (api.cuStreamDestroy_v2)(raw) };
        api.check("cuStreamSynchronize", waited)?;
        Ok(api.check("cuStreamDestroy", code)?)
    }

    fn record(&self, stream: Stream) -> Result<Event> {
        let (raw, api) = (self.raw(stream)?, self.enter()?);
        lock(&self.events).record(api, raw)
    }

    fn record_timed(&self, stream: Stream) -> Result<Event> {
        let (raw, api) = (self.raw(stream)?, self.enter()?);
        lock(&self.events).record_timed(api, raw)
    }

    fn elapsed(&self, from: Event, to: Event) -> Result<f64> {
        let api = self.enter()?;
        lock(&self.events).elapsed(api, from, to)
    }

    fn release(&self, event: Event) -> Result<()> {
        let api = self.enter()?;
        lock(&self.events).release(api, event)
    }

    fn wait(&self, stream: Stream, event: Event) -> Result<()> {
        let (raw, api) = (self.raw(stream)?, self.enter()?);
        // Held during the call, so that the event is not taken back and recorded anew before it.
        let events = lock(&self.events);
        let Some(event) = events.find(event)? else {
            return Ok(());
        };
        // SAFETY: event and stream are live and of this context.
        let code = unsafe { (api.cuStreamWaitEvent)(raw, event, 0) };
        Ok(api.check("cuStreamWaitEvent", code)?)
    }

    fn reach(&self, event: Event) -> Result<()> {
        let api = self.enter()?;
        // Not held during the call: an event that passes meanwhile and is recorded anew is waited
        // for a little longer, which is harmless.
        let Some(event) = lock(&self.events).find(event)? else {
            return Ok(());
        };
        // SAFETY: events are destroyed by Drop or `release` alone, so this one is live.
        let code = unsafe { (api.cuEventSynchronize)(event) };
        Ok(api.check("cuEventSynchronize", code)?)
    }

    fn capture(&self, stream: Stream) -> Result<()> {
        let (raw, api) = (self.raw(stream)?, self.enter()?);
        graphs::begin(api, raw)
    }

    fn captured(&self, stream: Stream) -> Result<Recording> {
        let (raw, api) = (self.raw(stream)?, self.enter()?);
        let graph = graphs::end(api, raw)?;
        Ok(lock(&self.graphs).keep(graph))
    }

    unsafe fn replay(&self, recording: Recording, stream: Stream) -> Result<()> {
        let (raw, api) = (self.raw(stream)?, self.enter()?);
        let graphs = lock(&self.graphs);
        // SAFETY: the graph is kept by the lock until the call is over; the rest is the caller's
        // promise.
        let code = unsafe { (api.cuGraphLaunch)(graphs.find(recording)?, raw) };
        Ok(api.check("cuGraphLaunch", code)?)
    }

    fn forget(&self, recording: Recording) -> Result<()> {
        let api = self.enter()?;
        let graph = lock(&self.graphs).take(recording)?;
        // SAFETY: the graph was kept once and is destroyed once; the driver lets launches of it end.
        let code = unsafe { (api.cuGraphExecDestroy)(graph) };
        Ok(api.check("cuGraphExecDestroy", code)?)
    }

    fn sync(&self, stream: Stream) -> Result<()> {
        let raw = self.raw(stream)?;
        let api = self.enter()?;
        // SAFETY: the stream is live and of this context.
        Ok(api.check("cuStreamSynchronize", unsafe {
            (api.cuStreamSynchronize)(raw)
        })?)
    }
}

impl Drop for CudaDriver {
    fn drop(&mut self) {
        if self.context.enter().is_err() {
            return;
        }
        let api = self.context.api;
        let streams = self
            .streams
            .get_mut()
            .unwrap_or_else(PoisonError::into_inner);
        let stages = self
            .stages
            .get_mut()
            .unwrap_or_else(PoisonError::into_inner);
        let events = self
            .events
            .get_mut()
            .unwrap_or_else(PoisonError::into_inner);
        let code = self.code.get_mut().unwrap_or_else(PoisonError::into_inner);
        let graphs = self
            .graphs
            .get_mut()
            .unwrap_or_else(PoisonError::into_inner);
        // SAFETY: all handles were made by this value, in the context that is current, and are
        // destroyed once; the streams are waited for first, so no copy or kernel is under way.
        // Refusals have nobody to go to.
        unsafe {
            for stream in streams.drain(..).filter(|s| !s.is_null()) {
                (api.cuStreamSynchronize)(stream);
                (api.cuStreamDestroy_v2)(stream);
            }
            for stage in stages.drain(..) {
                (api.cuMemFreeHost)(stage.buffer.cast());
                (api.cuEventDestroy_v2)(stage.done);
            }
            for graph in graphs.all() {
                (api.cuGraphExecDestroy)(graph);
            }
            for event in events.all() {
                (api.cuEventDestroy_v2)(event);
            }
            for module in code.modules.values() {
                (api.cuModuleUnload)(*module);
            }
        }
    }
}
