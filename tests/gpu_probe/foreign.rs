//! Streams and memory of the caller's own, on the made-up card.

use std::ffi::c_void;
use std::sync::Arc;

use doppel::device::gpu::driver::Driver;
use doppel::device::gpu::images::Image;
use doppel::device::gpu::{CudaDriver, GpuDevice};
use doppel::device::{Buf, DType, Desc, Device, foreign_memory, foreign_stream};

use crate::made_up::Library;

static IMAGES: &[Image] = &[Image {
    family: "made_up",
    file: "kernels/made_up/fill.cu",
    archs: &["sm_80", "compute_80"],
    kernels: &["fake_fill"],
    bytes: b"PORTABLE",
}];

pub fn child() {
    let driver: Arc<dyn Driver> = Arc::new(CudaDriver::open_with(0, IMAGES).unwrap());
    let card = GpuDevice::new(Arc::clone(&driver));
    let handle = std::ptr::without_provenance_mut::<c_void>(119);
    // SAFETY: the made-up driver takes any number for a stream.
    let stream = unsafe { foreign_stream(handle) }.unwrap();
    let address = driver.alloc(256).unwrap();
    // SAFETY: the allocation has so many bytes, and is freed below, behind the last use.
    let mem = unsafe { foreign_memory(&card, address, 256) }.unwrap();
    let part = Buf::new(Desc::new(&[5], DType::F32), Arc::clone(&mem), 40).unwrap();
    card.upload(&[7; 20], &part, stream).unwrap();
    let mut got = [0; 20];
    card.download(&part, &mut got, stream).unwrap();
    assert_eq!(got, [7; 20]);
    let other = driver.record(stream).unwrap();
    driver.wait(stream, other).unwrap();
    drop((part, mem, card));
    // SAFETY: nobody has it any more. Were it freed before, the made-up driver would refuse.
    unsafe { driver.free(address) }.unwrap();
}

#[test]
fn work_goes_to_the_callers_stream_and_nothing_of_theirs_is_given_back() {
    let Some(library) = Library::build(&[]) else {
        return;
    };
    let (_, log) = library.run("foreign", &[]);
    let has =
        |start: &str, part: &str| log.iter().any(|l| l.starts_with(start) && l.contains(part));
    assert!(has("cuEventRecord", "stream 119"), "{log:#?}");
    assert!(!has("cuStreamDestroy", "119"), "{log:#?}");
    let freed = log.iter().filter(|line| line.starts_with("cuMemFree_v2"));
    let made = log.iter().filter(|line| line.starts_with("cuMemAlloc_v2"));
    assert_eq!(freed.count(), made.count(), "{log:#?}");
}
