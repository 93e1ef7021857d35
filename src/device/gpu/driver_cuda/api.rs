//! The driver's functions, opened at run time.
//!
//! They are looked up once, all of them, before the first is called, so that an older driver is a
//! [`NoGpu`] and no panic. Their results are plain integers, so that a code which a newer driver
//! invents is a number and no undefined behaviour. Their rules stand in the manual of the CUDA
//! 13.0 driver API.

use std::ffi::{CStr, c_char, c_int, c_uint, c_void};
use std::ptr::null;
use std::sync::OnceLock;

use super::sys::{
    self, CUcontext, CUdevice, CUdevice_attribute as DeviceAttribute, CUdeviceptr, CUevent,
    CUfunction, CUgraph, CUgraphExec, CUlaunchConfig, CUmodule, CUresult, CUstream,
};
use crate::device::gpu::driver::{CardInfo, TensorMap};
use crate::device::gpu::probe::{NoGpu, OLDEST_DRIVER};
use crate::error::{Error, Kind};

pub(super) const SUCCESS: c_int = CUresult::CUDA_SUCCESS as c_int;
pub(super) const OUT_OF_MEMORY: c_int = CUresult::CUDA_ERROR_OUT_OF_MEMORY as c_int;

/// Declares the table of the driver's functions under the driver's own names.
macro_rules! functions {
    ($($name:ident($($argument:ty),*);)*) => {
        #[allow(non_snake_case, reason = "the driver's own names")]
        pub(super) struct Api {
            $(pub(super) $name: unsafe extern "C" fn($($argument),*) -> c_int,)*
        }

        impl Api {
            /// Looks all functions up.
            fn find() -> Result<Api, NoGpu> {
                Ok(Api { $($name: {
                    let address = symbol(stringify!($name))?;
                    // SAFETY: the library's function of this name has this signature (CUDA driver
                    // API 13.0); the library is never closed, so the address stays good.
                    unsafe {
                        std::mem::transmute::<
                            *mut c_void,
                            unsafe extern "C" fn($($argument),*) -> c_int,
                        >(address)
                    }
                },)* })
            }
        }
    };
}

functions! {
    cuInit(c_uint);
    cuGetErrorName(c_int, *mut *const c_char);
    cuGetErrorString(c_int, *mut *const c_char);
    cuDeviceGetCount(*mut c_int);
    cuDeviceGet(*mut CUdevice, c_int);
    cuDeviceGetName(*mut c_char, c_int, CUdevice);
    cuDeviceGetAttribute(*mut c_int, c_int, CUdevice);
    cuDeviceTotalMem_v2(*mut usize, CUdevice);
    cuDevicePrimaryCtxRetain(*mut CUcontext, CUdevice);
    cuDevicePrimaryCtxRelease_v2(CUdevice);
    cuCtxSetCurrent(CUcontext);
    cuModuleLoadData(*mut CUmodule, *const c_void);
    cuModuleUnload(CUmodule);
    cuModuleGetFunction(*mut CUfunction, CUmodule, *const c_char);
    cuFuncSetAttribute(CUfunction, c_int, c_int);
    cuFuncGetParamInfo(CUfunction, usize, *mut usize, *mut usize);
    cuLaunchKernelEx(*const CUlaunchConfig, CUfunction, *mut *mut c_void, *mut *mut c_void);
    cuMemAlloc_v2(*mut CUdeviceptr, usize);
    cuMemFree_v2(CUdeviceptr);
    cuMemGetInfo_v2(*mut usize, *mut usize);
    cuMemHostAlloc(*mut *mut c_void, usize, c_uint);
    cuMemFreeHost(*mut c_void);
    cuMemcpyHtoDAsync_v2(CUdeviceptr, *const c_void, usize, CUstream);
    cuMemcpyDtoHAsync_v2(*mut c_void, CUdeviceptr, usize, CUstream);
    cuMemcpyDtoDAsync_v2(CUdeviceptr, CUdeviceptr, usize, CUstream);
    cuMemsetD8Async(CUdeviceptr, u8, usize, CUstream);
    cuStreamCreate(*mut CUstream, c_uint);
    cuStreamDestroy_v2(CUstream);
    cuStreamSynchronize(CUstream);
    cuStreamWaitEvent(CUstream, CUevent, c_uint);
    cuEventCreate(*mut CUevent, c_uint);
    cuEventDestroy_v2(CUevent);
    cuEventRecord(CUevent, CUstream);
    cuEventQuery(CUevent);
    cuEventSynchronize(CUevent);
    cuTensorMapEncodeTiled(
        *mut TensorMap, c_uint, c_uint, *mut c_void, *const u64, *const u64, *const u32, *const u32,
        c_uint, c_uint, c_uint, c_uint
    );
    cuTensorMapEncodeIm2col(
        *mut TensorMap, c_uint, c_uint, *mut c_void, *const u64, *const u64, *const c_int,
        *const c_int, c_uint, c_uint, *const u32, c_uint, c_uint, c_uint, c_uint
    );
    cuEventElapsedTime_v2(*mut f32, CUevent, CUevent);
    cuStreamBeginCapture_v2(CUstream, c_int);
    cuStreamEndCapture(CUstream, *mut CUgraph);
    cuGraphInstantiateWithFlags(*mut CUgraphExec, CUgraph, u64);
    cuGraphLaunch(CUgraphExec, CUstream);
    cuGraphExecDestroy(CUgraphExec);
    cuGraphDestroy(CUgraph);
}

/// The address of a function of the library, which must have been seen to be there.
fn symbol(name: &'static str) -> Result<*mut c_void, NoGpu> {
    // SAFETY: called after `is_culib_present`, so this opens the library that was found there.
    let library = unsafe { sys::culib() };
    // SAFETY: the address alone is taken; nothing is called through this type.
    let found = unsafe { library.get::<*mut c_void>(name.as_bytes()) };
    match found {
        Ok(found) if !found.is_null() => Ok(*found),
        _ => Err(NoGpu::MissingSymbol(name)),
    }
}

/// What a function of the driver refused.
pub(super) struct Refusal {
    pub(super) call: &'static str,
    pub(super) code: c_int,
    pub(super) what: String,
}

impl Api {
    /// The table and the number of cards, found out once in a process.
    pub(super) fn get() -> Result<(&'static Api, usize), NoGpu> {
        static FOUND: OnceLock<Result<(Api, usize), NoGpu>> = OnceLock::new();
        match FOUND.get_or_init(Api::open) {
            Ok((api, cards)) => Ok((api, *cards)),
            Err(reason) => Err(reason.clone()),
        }
    }

    fn open() -> Result<(Api, usize), NoGpu> {
        // SAFETY: opening the driver's library runs its initialisers, which are harmless.
        if !unsafe { sys::is_culib_present() } {
            return Err(NoGpu::NoLibrary);
        }
        let version = symbol("cuDriverGetVersion")?;
        // SAFETY: the driver's function of this name has this signature.
        let version: unsafe extern "C" fn(*mut c_int) -> c_int =
            unsafe { std::mem::transmute(version) };
        let mut found = 0;
        // SAFETY: the pointer is to a live integer; the call needs no initialised driver.
        let code = unsafe { version(&mut found) };
        // An old driver may lack functions: its age says more than which.
        if code == SUCCESS && found < OLDEST_DRIVER {
            return Err(NoGpu::OldDriver { found });
        }
        let api = Api::find()?;
        api.check("cuDriverGetVersion", code)?;
        // SAFETY: 0 is the only flag there is.
        api.check("cuInit", unsafe { (api.cuInit)(0) })?;
        let mut cards = 0;
        // SAFETY: the pointer is to a live integer.
        api.check("cuDeviceGetCount", unsafe {
            (api.cuDeviceGetCount)(&mut cards)
        })?;
        let cards = usize::try_from(cards).unwrap_or(0);
        if cards == 0 {
            Err(NoGpu::NoDevice { asked: 0, found: 0 })
        } else {
            Ok((api, cards))
        }
    }

    /// A code that is not success, with the driver's name and words for it.
    pub(super) fn check(&self, call: &'static str, code: c_int) -> Result<(), Refusal> {
        if code == SUCCESS {
            return Ok(());
        }
        // SAFETY: both functions write a pointer to a constant text, or null.
        let name = unsafe { text(self.cuGetErrorName, code) };
        // SAFETY: as above.
        let words = unsafe { text(self.cuGetErrorString, code) };
        let name = name.unwrap_or_else(|| format!("error {code}"));
        let what = words.map_or(name.clone(), |words| format!("{name} ({words})"));
        Err(Refusal { call, code, what })
    }

    /// One attribute of a card.
    fn attribute(&self, device: CUdevice, which: DeviceAttribute) -> Result<u32, Refusal> {
        let mut value = 0;
        // SAFETY: the pointer is to a live integer; the device came from `cuDeviceGet`.
        let code = unsafe { (self.cuDeviceGetAttribute)(&mut value, which as c_int, device) };
        self.check("cuDeviceGetAttribute", code)?;
        Ok(u32::try_from(value).unwrap_or(0))
    }

    /// The facts of card `ordinal`, without a context.
    pub(super) fn card(&self, ordinal: usize) -> Result<(CUdevice, CardInfo), Refusal> {
        let mut device = 0;
        let number = c_int::try_from(ordinal).unwrap_or(c_int::MAX);
        // SAFETY: the pointer is to a live integer.
        self.check("cuDeviceGet", unsafe {
            (self.cuDeviceGet)(&mut device, number)
        })?;
        let mut name = [0 as c_char; 256];
        // SAFETY: the buffer is as long as the length says; the last byte stays out of it.
        let code = unsafe { (self.cuDeviceGetName)(name.as_mut_ptr(), 255, device) };
        self.check("cuDeviceGetName", code)?;
        // SAFETY: the last byte of the buffer is 0, so the text ends within it.
        let name = unsafe { CStr::from_ptr(name.as_ptr()) }
            .to_string_lossy()
            .into_owned();
        let mut memory = 0;
        // SAFETY: the pointer is to a live integer.
        let code = unsafe { (self.cuDeviceTotalMem_v2)(&mut memory, device) };
        self.check("cuDeviceTotalMem", code)?;
        let of = |which| self.attribute(device, which);
        let major = of(DeviceAttribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR)?;
        let minor = of(DeviceAttribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR)?;
        let shared = of(DeviceAttribute::CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN)?;
        let info = CardInfo {
            driver: "cuda",
            name,
            arch: major.saturating_mul(10).saturating_add(minor),
            multiprocessors: of(DeviceAttribute::CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT)?,
            memory: memory as u64,
            shared_per_block: shared as usize,
        };
        Ok((device, info))
    }
}

/// The driver's text for `code`, if it has one.
///
/// # Safety
/// `of` writes a pointer to a text that ends in 0 and stays, or null, or nothing.
unsafe fn text(
    of: unsafe extern "C" fn(c_int, *mut *const c_char) -> c_int,
    code: c_int,
) -> Option<String> {
    let mut at = null();
    // SAFETY: the pointer is to a live pointer.
    let result = unsafe { of(code, &mut at) };
    // SAFETY: the caller promises a text when the function succeeds and the pointer is not null.
    (result == SUCCESS && !at.is_null())
        .then(|| unsafe { CStr::from_ptr(at) }.to_string_lossy().into_owned())
}

impl From<Refusal> for NoGpu {
    fn from(refusal: Refusal) -> Self {
        match refusal.code {
            c if c == CUresult::CUDA_ERROR_NO_DEVICE as c_int => {
                NoGpu::NoDevice { asked: 0, found: 0 }
            }
            c if c == CUresult::CUDA_ERROR_STUB_LIBRARY as c_int => NoGpu::StubLibrary,
            _ => NoGpu::Refused {
                call: refusal.call,
                what: refusal.what,
            },
        }
    }
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        // What this card or build lacks, in contrast to what went wrong while it worked.
        const LACKS: [CUresult; 5] = [
            CUresult::CUDA_ERROR_NO_BINARY_FOR_GPU,
            CUresult::CUDA_ERROR_INVALID_PTX,
            CUresult::CUDA_ERROR_UNSUPPORTED_PTX_VERSION,
            CUresult::CUDA_ERROR_NOT_FOUND,
            CUresult::CUDA_ERROR_NOT_SUPPORTED,
        ];
        let kind = match refusal.code {
            OUT_OF_MEMORY => Kind::Limit,
            code if LACKS.iter().any(|lack| *lack as c_int == code) => Kind::Unsupported,
            _ => Kind::Internal,
        };
        Error::new(kind, refusal.what).op(refusal.call)
    }
}
