//! Modules and kernels, loaded when they are first asked for.

use std::collections::HashMap;
use std::ffi::{CString, c_int};
use std::ptr::null_mut;

use super::api::{Api, Refusal, SUCCESS};
use super::sys::{CUfunction, CUfunction_attribute as FunctionAttribute, CUmodule, CUresult};
use crate::device::gpu::driver::{CardInfo, Kernel, Launch};
use crate::device::gpu::images::Image;
use crate::error::{Error, Result};

/// Dynamic shared memory that every kernel may have without asking, in bytes.
const SHARED_UNASKED: usize = 48 << 10;
/// Blocks of a cluster that every Hopper card can hold.
const CLUSTER_UNASKED: u64 = 8;

/// A kernel that was looked up.
#[derive(Clone, Copy)]
pub(super) struct Function {
    pub(super) raw: CUfunction,
    /// How many parameters it has, where the driver says.
    pub(super) parameters: Option<usize>,
    /// The dynamic shared memory that it may have by now, in bytes.
    shared: usize,
    /// Whether clusters over [`CLUSTER_UNASKED`] were allowed.
    big_clusters: bool,
}

/// Modules and kernels, loaded when they are first asked for.
#[derive(Default)]
pub(super) struct Code {
    /// By the image's address.
    pub(super) modules: HashMap<*const u8, CUmodule>,
    pub(super) functions: HashMap<Kernel, Function>,
}

pub(super) fn named(kernel: Kernel) -> String {
    format!("{}/{}", kernel.family, kernel.symbol)
}

/// The module of an image, loaded if it is not yet.
pub(super) fn load(
    api: &Api,
    modules: &mut HashMap<*const u8, CUmodule>,
    image: &'static Image,
) -> Result<CUmodule> {
    let at = image.bytes.as_ptr();
    if let Some(module) = modules.get(&at) {
        return Ok(*module);
    }
    let mut module = null_mut();
    // SAFETY: the image is a whole fatbin as nvcc wrote it, which knows its own length, and lives
    // as long as the process; the context is current.
    let code = unsafe { (api.cuModuleLoadData)(&mut module, at.cast()) };
    api.check("cuModuleLoadData", code)
        .map_err(|refusal| about(refusal, image.file))?;
    modules.insert(at, module);
    Ok(module)
}

pub(super) fn function_of(api: &Api, module: CUmodule, kernel: Kernel) -> Result<Function> {
    let symbol = CString::new(kernel.symbol)
        .map_err(|_| Error::internal(format!("{} is no symbol", named(kernel))))?;
    let mut raw = null_mut();
    // SAFETY: the pointer is to a live handle, the module is loaded, the name ends in 0.
    let code = unsafe { (api.cuModuleGetFunction)(&mut raw, module, symbol.as_ptr()) };
    api.check("cuModuleGetFunction", code)
        .map_err(|r| about(r, &named(kernel)))?;
    let mut parameters = 0;
    let end = loop {
        let (mut offset, mut size) = (0, 0);
        // SAFETY: the function is loaded, and both pointers are to live integers.
        let code = unsafe { (api.cuFuncGetParamInfo)(raw, parameters, &mut offset, &mut size) };
        if code != SUCCESS {
            break code;
        }
        parameters += 1;
    };
    // One past the last parameter is an invalid value; anything else says nothing of the number.
    let known = end == CUresult::CUDA_ERROR_INVALID_VALUE as c_int;
    let parameters = known.then_some(parameters);
    Ok(Function {
        raw,
        parameters,
        shared: SHARED_UNASKED,
        big_clusters: false,
    })
}

/// A refusal with what it was about.
pub(super) fn about(refusal: Refusal, what: &str) -> Error {
    Error::from(Refusal {
        what: format!("{what}: {}", refusal.what),
        ..refusal
    })
}

/// Asks the driver for what a launch needs beyond the usual: shared memory, big clusters.
pub(super) fn allow(
    api: &Api,
    info: &CardInfo,
    function: &mut Function,
    kernel: Kernel,
    how: &Launch,
) -> Result<()> {
    if how.shared > info.shared_per_block {
        let (name, most) = (named(kernel), info.shared_per_block);
        let message = format!(
            "{name} needs {} bytes of shared memory of {most}",
            how.shared
        );
        return Err(Error::unsupported(message));
    }
    let set = |which: FunctionAttribute, value: c_int| {
        // SAFETY: the function is loaded; the driver checks the value.
        let code = unsafe { (api.cuFuncSetAttribute)(function.raw, which as c_int, value) };
        api.check("cuFuncSetAttribute", code)
            .map_err(|r| about(r, &named(kernel)))
    };
    let blocks: u64 = how.cluster.iter().map(|n| u64::from(*n)).product();
    let mut big_clusters = function.big_clusters;
    if blocks != 1 && info.arch < 90 {
        return Err(Error::unsupported(format!(
            "{} needs clusters, which start with Hopper",
            named(kernel)
        )));
    }
    if blocks > CLUSTER_UNASKED && !big_clusters {
        set(
            FunctionAttribute::CU_FUNC_ATTRIBUTE_NON_PORTABLE_CLUSTER_SIZE_ALLOWED,
            1,
        )?;
        big_clusters = true;
    }
    let mut shared = function.shared;
    if how.shared > shared {
        let bytes = c_int::try_from(how.shared).unwrap_or(c_int::MAX);
        set(
            FunctionAttribute::CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES,
            bytes,
        )?;
        shared = how.shared;
    }
    (function.shared, function.big_clusters) = (shared, big_clusters);
    Ok(())
}
