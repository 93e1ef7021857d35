//! Events by number.

use std::collections::HashMap;
use std::ffi::c_uint;
use std::ptr::null_mut;

use super::api::{Api, SUCCESS};
use super::sys::{self, CUevent, CUstream};
use crate::device::gpu::driver::Event;
use crate::error::{Error, Result};

/// Events kept before those that have passed are taken back.
const EVENTS: usize = 64;

/// Events by number. One without a time that has passed is taken back: to wait for it is to wait for
/// nothing.
#[derive(Default)]
pub(super) struct Events {
    made: u64,
    /// Sorted by number.
    open: Vec<(u64, CUevent)>,
    spare: Vec<CUevent>,
    /// Those that take times, until they are given back.
    timed: HashMap<u64, CUevent>,
}

/// A new event.
pub(super) fn event(api: &Api, timed: bool) -> Result<CUevent> {
    let mut event = null_mut();
    let flags = match timed {
        true => sys::CUevent_flags_enum::CU_EVENT_DEFAULT,
        false => sys::CUevent_flags_enum::CU_EVENT_DISABLE_TIMING,
    };
    // SAFETY: the pointer is to a live handle; the caller made a context current.
    api.check("cuEventCreate", unsafe {
        (api.cuEventCreate)(&mut event, flags as c_uint)
    })?;
    Ok(event)
}

impl Events {
    /// Records an event without a time.
    pub(super) fn record(&mut self, api: &Api, stream: CUstream) -> Result<Event> {
        if self.open.len() >= EVENTS && self.spare.is_empty() {
            let Events { open, spare, .. } = self;
            open.retain(|(_, event)| {
                // SAFETY: the event is live; a fault of earlier work is reported by `sync`.
                let passed = unsafe { (api.cuEventQuery)(*event) } == SUCCESS;
                if passed {
                    spare.push(*event);
                }
                !passed
            });
        }
        let event = match self.spare.pop() {
            Some(event) => event,
            None => self::event(api, false)?,
        };
        // SAFETY: event and stream are live and of this context.
        let code = unsafe { (api.cuEventRecord)(event, stream) };
        if code != SUCCESS {
            self.spare.push(event);
        }
        api.check("cuEventRecord", code)?;
        let number = self.number();
        self.open.push((number, event));
        Ok(Event(number))
    }

    /// Records an event with its time.
    pub(super) fn record_timed(&mut self, api: &Api, stream: CUstream) -> Result<Event> {
        let event = self::event(api, true)?;
        // SAFETY: event and stream are live and of this context.
        let code = unsafe { (api.cuEventRecord)(event, stream) };
        if code != SUCCESS {
            // SAFETY: the event is new and nobody else has it.
            unsafe { (api.cuEventDestroy_v2)(event) };
        }
        api.check("cuEventRecord", code)?;
        let number = self.number();
        self.timed.insert(number, event);
        Ok(Event(number))
    }

    /// Seconds between two events with times.
    pub(super) fn elapsed(&self, api: &Api, from: Event, to: Event) -> Result<f64> {
        let time = |event: Event| {
            let found = self.timed.get(&event.0).copied();
            found.ok_or_else(|| Error::internal(format!("event {} has no time", event.0)))
        };
        let (from, to) = (time(from)?, time(to)?);
        let mut milliseconds = 0.0;
        for event in [from, to] {
            // SAFETY: the event is live: `release` wants this value alone.
            api.check("cuEventSynchronize", unsafe {
                (api.cuEventSynchronize)(event)
            })?;
        }
        // SAFETY: the pointer is to a live number; both events are live and have passed.
        api.check("cuEventElapsedTime", unsafe {
            (api.cuEventElapsedTime_v2)(&mut milliseconds, from, to)
        })?;
        Ok(f64::from(milliseconds) / 1e3)
    }

    /// Destroys an event with a time.
    pub(super) fn release(&mut self, api: &Api, event: Event) -> Result<()> {
        let Some(event) = self.timed.remove(&event.0) else {
            return Err(Error::internal(format!("event {} has no time", event.0)));
        };
        // SAFETY: the event was live and has just left its only place.
        let code = unsafe { (api.cuEventDestroy_v2)(event) };
        Ok(api.check("cuEventDestroy", code)?)
    }

    /// The event of a number; none if it has passed and was taken back.
    pub(super) fn find(&self, event: Event) -> Result<Option<CUevent>> {
        if event.0 >= self.made {
            let message = format!("this driver made no event {}", event.0);
            return Err(Error::internal(message));
        }
        if let Some(timed) = self.timed.get(&event.0) {
            return Ok(Some(*timed));
        }
        let found = self.open.binary_search_by_key(&event.0, |(n, _)| *n);
        Ok(found.ok().map(|at| self.open[at].1))
    }

    /// Takes all events out.
    pub(super) fn all(&mut self) -> Vec<CUevent> {
        let open = self.open.drain(..).map(|(_, event)| event);
        let timed = self.timed.drain().map(|(_, event)| event);
        open.chain(self.spare.drain(..)).chain(timed).collect()
    }

    fn number(&mut self) -> u64 {
        self.made += 1;
        self.made - 1
    }
}
