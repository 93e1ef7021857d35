//! Page-locked memory, times, streams that end, and captured work.

use std::ptr::NonNull;

use doppel::device::gpu::CudaDriver;
use doppel::device::gpu::driver::{Driver, Event, Launch, Recording, Stream};
use doppel::error::{Kind, Result};

use crate::card::{FILL, Fill, lines};
use crate::made_up::Library;

/// The bytes of page-locked memory.
fn bytes_at<'a>(at: NonNull<u8>, bytes: usize) -> &'a mut [u8] {
    // SAFETY: the tests below pass an allocation of so many bytes, touch it through one slice at a
    // time, and wait for the copies first.
    unsafe { std::slice::from_raw_parts_mut(at.as_ptr(), bytes) }
}

/// What every card must do, the real one too.
pub fn locked(card: &CudaDriver) {
    let bytes = 5000;
    let (from, to) = (
        card.host_alloc(bytes).unwrap(),
        card.host_alloc(bytes).unwrap(),
    );
    let empty = card.host_alloc(0).unwrap();
    let at = card.alloc(bytes).unwrap();
    let (up, down) = (card.stream().unwrap(), card.stream().unwrap());
    bytes_at(from, bytes).fill(3);
    bytes_at(to, bytes).fill(0);
    let start = card.record_timed(up).unwrap();
    // SAFETY: all ranges lie within the allocations above, which are freed after a wait.
    unsafe {
        card.upload_locked(at, from, bytes, up).unwrap();
        card.upload_locked(at, from, 0, up).unwrap();
        let there = card.record(up).unwrap();
        card.wait(down, there).unwrap();
        card.download_locked(at, to, bytes, down).unwrap();
        card.download_locked(at, to, 0, down).unwrap();
    }
    let end = card.record_timed(down).unwrap();
    card.reach(end).unwrap();
    assert_eq!(bytes_at(to, bytes), [3; 5000]);
    assert!(card.elapsed(start, end).unwrap() >= 0.0);
    for event in [start, end] {
        card.wait(up, event).unwrap();
        card.release(event).unwrap();
        assert_eq!(card.release(event).unwrap_err().kind(), Kind::Internal);
    }
    assert!(card.elapsed(start, end).is_err());
    assert!(card.reach(Event(u64::MAX)).is_err());
    for stream in [up, down] {
        card.destroy(stream).unwrap();
        assert_eq!(card.sync(stream).unwrap_err().kind(), Kind::Internal);
        assert!(card.destroy(stream).is_err());
    }
    assert!(card.destroy(Stream::DEFAULT).is_err());
    // SAFETY: allocated above, freed once, all work was waited for.
    unsafe {
        card.free(at).unwrap();
        for at in [from, to, empty] {
            card.host_free(at).unwrap();
        }
    }
}

#[test]
fn page_locked_copies_run_beside_and_everything_is_given_back() {
    let Some(library) = Library::build(&[]) else {
        return;
    };
    let (_, log) = library.run("locked", &[]);
    assert_eq!(
        lines(&log, "cuMemHostAlloc"),
        [
            "cuMemHostAlloc 5000 0",
            "cuMemHostAlloc 5000 0",
            "cuMemHostAlloc 1 0"
        ]
    );
    assert_eq!(
        lines(&log, "cuMemcpyHtoDAsync_v2"),
        ["cuMemcpyHtoDAsync_v2 5000 stream 2 late"]
    );
    // Two events take times (flags 0), one takes none.
    assert_eq!(lines(&log, "cuEventCreate 0").len(), 2);
    for (made, gone) in [
        ("cuMemHostAlloc", "cuMemFreeHost"),
        ("cuStreamCreate", "cuStreamDestroy_v2"),
        ("cuEventCreate", "cuEventDestroy_v2"),
    ] {
        assert_eq!(lines(&log, made).len(), lines(&log, gone).len(), "{made}");
    }
}

/// Captures two fills, runs them once and forgets them; gives how often they would have to show.
pub fn recording(card: &CudaDriver) -> Result<Recording> {
    let at = card.alloc(400)?;
    let how = Launch::linear(1, 32, 0);
    // A kernel's first launch loads it, which a capture does not allow.
    // SAFETY: the arguments are those of the kernel; 100 floats fit, all through.
    unsafe {
        card.launch(
            FILL,
            &how,
            &mut Fill(at, 0.0, 100).pointers(),
            Stream::DEFAULT,
        )
    }?;
    card.sync(Stream::DEFAULT)?;
    card.capture(Stream::DEFAULT)?;
    for (value, count) in [(1.5, 100), (2.5, 50)] {
        let mut fill = Fill(at, value, count);
        // SAFETY: as above.
        unsafe { card.launch(FILL, &how, &mut fill.pointers(), Stream::DEFAULT) }?;
    }
    let recording = card.captured(Stream::DEFAULT)?;
    let mut got = [9; 400];
    // SAFETY: within the allocation.
    unsafe { card.download(at, &mut got, Stream::DEFAULT) }?;
    // Nothing ran yet.
    assert_eq!(got, [0; 400]);
    let other = card.stream()?;
    // SAFETY: the work's memory is still allocated.
    unsafe { card.replay(recording, other) }?;
    card.sync(other)?;
    // SAFETY: within the allocation.
    unsafe { card.download(at, &mut got, Stream::DEFAULT) }?;
    let floats: Vec<f32> = bytemuck::pod_collect_to_vec(&got);
    assert_eq!(floats[..50], [2.5; 50]);
    assert_eq!(floats[50..], [1.5; 50]);
    card.forget(recording)?;
    // SAFETY: all work was waited for.
    unsafe { card.free(at) }?;
    Ok(recording)
}

pub fn graphs(card: &CudaDriver) {
    let recording = recording(card).unwrap();
    // SAFETY: it is refused, since it was forgotten.
    let gone = unsafe { card.replay(recording, Stream::DEFAULT) }.unwrap_err();
    assert_eq!(gone.kind(), Kind::Internal);
    assert!(card.forget(recording).is_err());
}

#[test]
fn captured_work_runs_when_it_is_replayed() {
    let Some(library) = Library::build(&[]) else {
        return;
    };
    let (_, log) = library.run("graphs", &[]);
    assert_eq!(
        lines(&log, "cuStreamBeginCapture_v2"),
        // 1 is thread-local (cuda.h).
        ["cuStreamBeginCapture_v2 stream 1 mode 1"]
    );
    assert_eq!(
        lines(&log, "cuStreamEndCapture"),
        ["cuStreamEndCapture 2 pieces"]
    );
    assert_eq!(lines(&log, "cuGraphLaunch"), ["cuGraphLaunch stream 2"]);
    assert_eq!(lines(&log, "cuGraphDestroy").len(), 1);
    assert_eq!(lines(&log, "cuGraphExecDestroy").len(), 1);
}

/// What a capture does not allow ends it with an error, and the card goes on working.
pub fn broken(card: &CudaDriver) {
    card.capture(Stream::DEFAULT).unwrap();
    let inside = card.alloc(8).unwrap_err();
    assert!(inside.to_string().starts_with("cuMemAlloc: "), "{inside}");
    let error = card.captured(Stream::DEFAULT).unwrap_err();
    assert_eq!(error.kind(), Kind::Internal);
    assert!(error.to_string().starts_with("cuStreamEndCapture: "));
    recording(card).unwrap();
}

#[test]
fn a_capture_in_which_memory_is_asked_for_is_lost() {
    let Some(library) = Library::build(&[]) else {
        return;
    };
    library.run("broken", &[]);
}
