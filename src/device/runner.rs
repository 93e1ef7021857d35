//! A plan over buffers that stay: on a card its launches are taken down once and put on a stream as one.

use std::sync::Arc;

use super::desc::{Buf, Desc};
use super::gpu::Tape;
use super::gpu::driver::Stream;
use super::plan::Plan;
use crate::error::{Error, Result};

/// A plan with the buffers that it reads and writes.
///
/// Several runners may share a plan: their runs use the plan's memory one after the other, on one
/// stream.
pub struct Runner {
    plan: Arc<Plan>,
    ins: Vec<Buf>,
    outs: Vec<Buf>,
    tape: Option<Tape>,
}

impl Runner {
    /// `plan` over these buffers.
    ///
    /// # Errors
    /// A buffer of another shape or type; too little memory for the plan.
    pub fn new(plan: Arc<Plan>, ins: Vec<Buf>, outs: Vec<Buf>) -> Result<Runner> {
        let wanted = plan.inputs().iter().map(|(_, desc)| desc);
        let wanted: Vec<&Desc> = wanted.chain(plan.outputs()).collect();
        let given: Vec<&Desc> = ins.iter().chain(&outs).map(|buf| &buf.desc).collect();
        if wanted.len() != given.len() || ins.len() != plan.inputs().len() {
            return Err(Error::shape("plan", &[wanted.len()], &[given.len()]));
        }
        if let Some((want, have)) = wanted.iter().zip(&given).find(|(a, b)| a != b) {
            return Err(Error::shape("plan", &want.dims, &have.dims));
        }
        plan.reserve()?;
        Ok(Runner {
            plan,
            ins,
            outs,
            tape: None,
        })
    }

    /// The buffers that it reads, in the plan's order.
    pub fn ins(&self) -> &[Buf] {
        &self.ins
    }

    /// The buffers that it writes, in the plan's order.
    pub fn outs(&self) -> &[Buf] {
        &self.outs
    }

    /// Whether its launches were taken down, so that a run is one call.
    pub fn is_taped(&self) -> bool {
        self.tape.is_some()
    }

    /// Queues one run. The first launches everything one by one, which also loads the kernels, and then
    /// takes it down where the device can; later ones play that.
    ///
    /// # Errors
    /// A failing device.
    pub fn run(&mut self, stream: Stream) -> Result<()> {
        let device = Arc::clone(self.plan.device());
        let Some(streams) = device.streams() else {
            return self.launch(stream);
        };
        if let Some(tape) = &self.tape {
            return streams.play(tape, stream);
        }
        self.launch(stream)?;
        let ends = self.ins.iter().chain(&self.outs);
        let mut holds: Vec<_> = ends.map(|buf| Arc::clone(&buf.mem)).collect();
        holds.extend(self.plan.holds()?);
        self.tape = Some(streams.tape(stream, holds, &mut || self.launch(stream))?);
        Ok(())
    }

    fn launch(&self, stream: Stream) -> Result<()> {
        let ins: Vec<&Buf> = self.ins.iter().collect();
        let outs: Vec<&Buf> = self.outs.iter().collect();
        self.plan.run(&ins, &outs, stream)
    }
}
