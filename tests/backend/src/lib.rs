//! A program that embeds doppel as a backend: it opens a device, gives it buffers and gets answers. It
//! stands apart from doppel's own tests so that it can see nothing but the public interface, as
//! `docs/backend.md` describes it.

use std::sync::Arc;

use doppel::device::gpu::driver::Driver;
use doppel::device::gpu::driver_simt::SimtDriver;
use doppel::device::{
    Buf, CpuDevice, DType, Desc, Device, GpuDevice, Stream, alloc, bytes_of, values_of,
};

/// The devices that an embedder can open here: the CPU, and the simulated card where `DOPPEL_SIMT`
/// names its library.
pub fn devices() -> Vec<Arc<dyn Device>> {
    let mut all: Vec<Arc<dyn Device>> = vec![Arc::new(CpuDevice::default())];
    all.extend(card().map(|(card, _)| card as Arc<dyn Device>));
    all
}

/// The simulated card and its driver; says so where there is none.
pub fn card() -> Option<(Arc<GpuDevice>, Arc<dyn Driver>)> {
    let driver = SimtDriver::from_env().expect("DOPPEL_SIMT names the simulated card's library");
    if driver.is_none() {
        let required = std::env::var_os("DOPPEL_SIMT_REQUIRED").is_some_and(|v| v == "1");
        assert!(!required, "the simulated card is missing");
        println!("not here: the simulated card (cargo xtask simt)");
    }
    let driver: Arc<dyn Driver> = Arc::new(driver?);
    Some((Arc::new(GpuDevice::new(Arc::clone(&driver))), driver))
}

/// A buffer with these values.
pub fn buffer(device: &dyn Device, dims: &[usize], dtype: DType, values: &[f32]) -> Buf {
    let buf = alloc(device, Desc::new(dims, dtype)).expect("memory");
    device
        .upload(&bytes_of(values, dtype), &buf, Stream::DEFAULT)
        .expect("an upload");
    buf
}

/// What a buffer holds.
pub fn read(device: &dyn Device, buf: &Buf) -> Vec<f32> {
    let mut bytes = vec![0; buf.desc.bytes()];
    device
        .download(buf, &mut bytes, Stream::DEFAULT)
        .expect("a download");
    values_of(&bytes, buf.desc.dtype)
}

/// Values in [-1, 1), the same for the same seed.
pub fn noise(count: usize, seed: u64) -> Vec<f32> {
    doppel::bench::spread(count, seed).collect()
}
