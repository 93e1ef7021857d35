//! Each reason why there is no card.

use doppel::device::gpu::images::Image;
use doppel::device::gpu::{CudaDriver, NoGpu, probe_with};
use doppel::error::Kind;

use crate::made_up::Library;

/// An image that is never loaded here, so that the outcome is the same in a build without kernels.
static IMAGES: &[Image] = &[Image {
    family: "made_up",
    file: "kernels/made_up/fill.cu",
    archs: &["sm_80", "compute_80"],
    kernels: &["fake_fill"],
    bytes: b"IMAGE",
}];

/// Prints what the probe answers, and checks that opening the card says the same.
pub fn child() {
    let ordinal = std::env::var("TEST_ORDINAL").map_or(0, |n| n.parse().unwrap());
    let images = if std::env::var_os("TEST_NO_IMAGES").is_some() {
        &[]
    } else {
        IMAGES
    };
    match probe_with(ordinal, images) {
        Ok(card) => println!("OUT {card:?}"),
        Err(reason) => {
            println!("OUT {reason}");
            let refused = CudaDriver::open_with(ordinal, images).err().unwrap();
            assert_eq!(refused.kind(), Kind::Unsupported);
            assert_eq!(refused.message(), reason.to_string());
            // A second look gives the same answer.
            assert_eq!(probe_with(ordinal, images), Err(reason));
        }
    }
}

fn answer(library: &Library, set: &[(&str, &str)]) -> String {
    let (out, _) = library.run("probe", set);
    assert_eq!(out.len(), 1, "{out:?}");
    out[0].clone()
}

#[test]
fn no_library_is_a_reason() {
    let said = answer(&Library::broken(), &[]);
    assert_eq!(said, NoGpu::NoLibrary.to_string());
}

#[test]
fn every_fault_of_the_driver_is_one_line() {
    let Some(library) = Library::build(&[]) else {
        return;
    };
    for (set, line) in [
        (("FAKE_FAIL", "cuInit=100"), "the driver finds no card"),
        (
            ("FAKE_FAIL", "cuInit=34"),
            "libcuda is the toolkit's stub, not the driver's",
        ),
        (
            // The stub refuses everything.
            ("FAKE_FAIL", "cuDriverGetVersion=34,cuInit=34"),
            "libcuda is the toolkit's stub, not the driver's",
        ),
        (
            ("FAKE_FAIL", "cuInit=802"),
            "cuInit: CUDA_ERROR_SYSTEM_NOT_READY",
        ),
        (
            ("FAKE_VERSION", "12080"),
            "the driver is for CUDA 12.8, a 13.0 driver is needed",
        ),
        (
            ("FAKE_VERSION", "12990"),
            "the driver is for CUDA 12.99, a 13.0 driver is needed",
        ),
        (
            ("FAKE_VERSION", "0"),
            "the driver is for CUDA 0.0, a 13.0 driver is needed",
        ),
        (("FAKE_COUNT", "0"), "the driver finds no card"),
        (("FAKE_COUNT", "-3"), "the driver finds no card"),
        (
            ("FAKE_FAIL", "cuDeviceGetCount=3"),
            "cuDeviceGetCount: error 3",
        ),
        (
            ("FAKE_ARCH", "75"),
            "Made-up 40 has compute capability 7.5, 8.0 is needed",
        ),
        (
            ("FAKE_FAIL", "cuDeviceTotalMem_v2=999"),
            "cuDeviceTotalMem: error 999",
        ),
        (
            ("FAKE_FAIL", "cuDevicePrimaryCtxRetain=2"),
            "cuDevicePrimaryCtxRetain: CUDA_ERROR_OUT_OF_MEMORY",
        ),
        // A code that no version of the driver had when this was written.
        (
            ("FAKE_FAIL", "cuDevicePrimaryCtxRetain=98765"),
            "cuDevicePrimaryCtxRetain: error 98765",
        ),
        (
            ("FAKE_FAIL", "cuCtxSetCurrent=719"),
            "cuCtxSetCurrent: CUDA_ERROR_LAUNCH_FAILED \
          (unspecified launch failure)",
        ),
        (
            ("TEST_ORDINAL", "2"),
            "there is no card 2: the last of 2 is 1",
        ),
        (
            ("TEST_ORDINAL", "18446744073709551615"),
            "there is no card 18446744073709551615: the \
          last of 2 is 1",
        ),
        (("DOPPEL_NO_GPU", "1"), "switched off by DOPPEL_NO_GPU"),
    ] {
        assert_eq!(
            answer(&library, &[set]),
            format!("no GPU: {line}"),
            "{set:?}"
        );
    }
}

#[test]
fn a_missing_function_is_named_and_an_old_driver_called_old() {
    for name in [
        "cuLaunchKernelEx",
        "cuFuncGetParamInfo",
        "cuDriverGetVersion",
        "cuInit",
    ] {
        let Some(library) = Library::build(&[&format!("-D{name}=renamed")]) else {
            return;
        };
        assert_eq!(
            answer(&library, &[]),
            format!("no GPU: the driver lacks {name}")
        );
        if name != "cuDriverGetVersion" {
            let said = answer(&library, &[("FAKE_VERSION", "12020")]);
            assert_eq!(
                said,
                "no GPU: the driver is for CUDA 12.2, a 13.0 driver is needed"
            );
        }
    }
}

#[test]
fn a_fine_card_is_described_and_its_context_given_back() {
    let Some(library) = Library::build(&[]) else {
        return;
    };
    let (out, log) = library.run("probe", &[("TEST_ORDINAL", "1"), ("DOPPEL_NO_GPU", "0")]);
    assert_eq!(
        out,
        [
            "CardInfo { driver: \"cuda\", name: \"Made-up 41\", arch: 90, multiprocessors: 132, \
          memory: 67108864, shared_per_block: 232448 }"
        ]
    );
    let expected = [
        "cuInit 0",
        "cuDevicePrimaryCtxRetain 41",
        "cuDevicePrimaryCtxRelease_v2 41",
    ];
    assert_eq!(log, expected);
}

#[test]
fn without_kernels_no_context_is_made() {
    let Some(library) = Library::build(&[]) else {
        return;
    };
    let (out, log) = library.run("probe", &[("TEST_NO_IMAGES", "1")]);
    assert!(out[0].starts_with("no GPU: no kernels were "), "{out:?}");
    assert_eq!(log, ["cuInit 0"]);
    // The driver's own fault comes first: it is what has to be mended first.
    let said = answer(
        &library,
        &[("TEST_NO_IMAGES", "1"), ("FAKE_VERSION", "11080")],
    );
    assert!(said.contains("the driver is for CUDA 11.8"), "{said}");
}
