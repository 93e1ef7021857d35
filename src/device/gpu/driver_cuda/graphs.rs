//! Work that was captured from a stream: graphs that are ready to be launched.

use std::collections::HashMap;
use std::ffi::c_int;
use std::ptr::null_mut;

use super::api::{Api, SUCCESS};
use super::sys::{CUgraphExec, CUstream, CUstreamCaptureMode};
use crate::device::gpu::driver::Recording;
use crate::error::{Error, Result};

/// Graphs by number.
#[derive(Default)]
pub(super) struct Graphs {
    made: u64,
    ready: HashMap<u64, CUgraphExec>,
}

/// Begins a capture that other threads need not know of.
pub(super) fn begin(api: &Api, stream: CUstream) -> Result<()> {
    let mode = CUstreamCaptureMode::CU_STREAM_CAPTURE_MODE_THREAD_LOCAL as c_int;
    // SAFETY: the stream is live and of the current context.
    let code = unsafe { (api.cuStreamBeginCapture_v2)(stream, mode) };
    Ok(api.check("cuStreamBeginCapture", code)?)
}

/// Ends a capture and makes its work ready to be launched.
pub(super) fn end(api: &Api, stream: CUstream) -> Result<CUgraphExec> {
    let (mut graph, mut ready) = (null_mut(), null_mut());
    // SAFETY: the pointer is to a live handle, the stream is live and of the current context.
    let code = unsafe { (api.cuStreamEndCapture)(stream, &mut graph) };
    api.check("cuStreamEndCapture", code)?;
    if graph.is_null() {
        return Err(Error::internal("the capture was invalid").op("cuStreamEndCapture"));
    }
    // SAFETY: the pointer is to a live handle, the graph is live.
    let made = unsafe { (api.cuGraphInstantiateWithFlags)(&mut ready, graph, 0) };
    // What is ready does not need the graph any more. SAFETY: the graph is live and nobody else has it.
    let gone = unsafe { (api.cuGraphDestroy)(graph) };
    api.check("cuGraphInstantiate", made)?;
    if gone != SUCCESS {
        // SAFETY: just made, and nobody else has it.
        unsafe { (api.cuGraphExecDestroy)(ready) };
    }
    api.check("cuGraphDestroy", gone)?;
    Ok(ready)
}

impl Graphs {
    pub(super) fn keep(&mut self, graph: CUgraphExec) -> Recording {
        self.made += 1;
        self.ready.insert(self.made, graph);
        Recording(self.made)
    }

    pub(super) fn find(&self, recording: Recording) -> Result<CUgraphExec> {
        let found = self.ready.get(&recording.0).copied();
        found.ok_or_else(|| unknown(recording))
    }

    pub(super) fn take(&mut self, recording: Recording) -> Result<CUgraphExec> {
        self.ready
            .remove(&recording.0)
            .ok_or_else(|| unknown(recording))
    }

    /// Takes all graphs out.
    pub(super) fn all(&mut self) -> Vec<CUgraphExec> {
        self.ready.drain().map(|(_, graph)| graph).collect()
    }
}

fn unknown(recording: Recording) -> Error {
    Error::internal(format!("this driver has no recording {}", recording.0))
}
