//! Searches where memory is short: smaller slabs, the same lists, and one line where even those do not fit.

use std::sync::Arc;

use doppel::device::gpu::TopKTuning;
use doppel::device::gpu::driver_simt::SimtDriver;
use doppel::device::{DType, Desc, Device, GpuDevice, Stream, Streams, alloc};
use doppel::error::{Kind, Result};
use doppel::lists::Lists;
use doppel::search::{Fuse, Space, TopK, fused_on, hamming_on, sparse_on};
use doppel::tensor::Matrix;

use crate::harness::{light, simulated_driver, values};
use crate::neighbours::Rows;
use crate::neighbours_sparse::{csr, zipf};

/// A simulated card of its own that may take so many bytes.
fn card(arch: u32, most: u64) -> Option<Arc<GpuDevice>> {
    let shared = simulated_driver()?;
    let path = std::env::var_os("DOPPEL_SIMT")?;
    let driver = SimtDriver::open_as(path, arch).unwrap();
    driver.set_schedule(shared.schedule());
    let card = GpuDevice::new(Arc::new(driver));
    card.limit_memory(most);
    Some(Arc::new(card))
}

/// Runs a search with all memory, with less than that took, and with hardly any.
fn squeezed(what: &str, arch: u32, search: &dyn Fn(&GpuDevice) -> Result<Lists>) {
    let Some(free) = card(arch, u64::MAX) else {
        return;
    };
    let want = search(&free).unwrap();
    for part in [3, 2] {
        let most = free.memory_peak() * part / 4;
        let short = card(arch, most).unwrap();
        let have = search(&short).unwrap_or_else(|e| panic!("{what} in {most} bytes: {e}"));
        assert!(have == want, "{what}");
        assert!(short.memory_peak() <= most && short.memory_peak() > most / 8);
    }
    let none = card(arch, 4096).unwrap();
    let error = search(&none).unwrap_err();
    assert_eq!(error.kind(), Kind::Limit, "{what}");
    assert!(
        error.to_string().contains("--device-memory"),
        "{what}: {error}"
    );
}

fn dense(k: usize, join: bool) -> impl Fn(&GpuDevice) -> Result<Lists> {
    move |card| {
        let x = Rows::spread(400, 8, 3);
        let desc = Desc::new(&[400, 8], DType::F32);
        let buf = alloc(card, desc)?;
        let bytes = bytemuck::cast_slice(&x.data);
        card.upload(bytes, &buf, Stream::DEFAULT)?;
        let tuning = TopKTuning {
            join: Some(join),
            ..TopKTuning::default()
        };
        card.topk_tuned(&buf, None, k, None, &tuning)
    }
}

#[test]
fn dense_searches_take_smaller_slabs() {
    if light() {
        return;
    }
    for arch in [80, 90] {
        squeezed("dense", arch, &dense(20, false));
        squeezed("many neighbours", arch, &dense(70, false));
        squeezed("the join", arch, &dense(20, true));
    }
}

#[test]
fn sparse_and_hamming_searches_take_smaller_slabs() {
    let opt = TopK {
        k: 200,
        min_score: None,
    };
    let rows = csr(40, &zipf(300, 40, 4, 1));
    squeezed("sparse", 80, &|card| sparse_on(card, &rows, None, &opt));
    let hashes: Vec<Option<u64>> = values(300, 7)
        .iter()
        .map(|v| Some(u64::from(v.to_bits()).wrapping_mul(0x9e37_79b9_7f4a_7c15)))
        .collect();
    squeezed("hashes", 80, &|card| hamming_on(card, &hashes, None, &opt));
}

#[test]
fn fused_searches_take_smaller_slabs() {
    if light() {
        return;
    }
    let images = Matrix::new(200, 6, values(200 * 6, 2)).unwrap();
    let titles = csr(30, &zipf(200, 30, 4, 5));
    let spaces = [(Space::Dense(&images), 1.0), (Space::Sparse(&titles), 0.5)];
    let opt = TopK {
        k: 9,
        min_score: None,
    };
    let by = Some(Fuse::Mean);
    squeezed("fused", 80, &|card| fused_on(card, &spaces, None, by, &opt));
}
