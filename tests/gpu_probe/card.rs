//! Memory, launches, streams and events, on the made-up card and on a real one.

use std::ffi::c_void;

use doppel::device::gpu::driver::{Driver, Event, Kernel, Launch, Stream};
use doppel::device::gpu::images::{IMAGES, Image};
use doppel::device::gpu::{CudaDriver, probe};
use doppel::error::{Error, Kind};

use crate::made_up::Library;
use crate::streams;

/// A portable file and one for Hopper; both have `fake_fill`.
pub static MADE_UP: &[Image] = &[
    Image {
        family: "made_up",
        file: "kernels/made_up/fill.cu",
        archs: &["sm_80", "compute_80"],
        kernels: &["fake_fill", "fake_none", "fake_missing"],
        bytes: b"PORTABLE",
    },
    Image {
        family: "made_up",
        file: "kernels/made_up/sm90_fill.cu",
        archs: &["sm_90a"],
        kernels: &["fake_fill"],
        bytes: b"HOPPER90",
    },
];
pub const FILL: Kernel = Kernel {
    family: "made_up",
    symbol: "fake_fill",
};
const NONE: Kernel = Kernel {
    family: "made_up",
    symbol: "fake_none",
};

pub fn child(scenario: &str) {
    let card = CudaDriver::open_with(0, MADE_UP).unwrap();
    match scenario {
        "memory" => {
            memory(&card);
            exhausted(&card);
        }
        "launch" => launch(&card),
        "attributes" => attributes(&card),
        "portable" => portable(&card),
        "events" => events(&card),
        "locked" => streams::locked(&card),
        "graphs" => streams::graphs(&card),
        "broken" => streams::broken(&card),
        "refusals" => refusals(&card),
        other => panic!("no scenario {other}"),
    }
}

pub fn lines<'a>(log: &'a [String], starts: &str) -> Vec<&'a str> {
    log.iter()
        .map(String::as_str)
        .filter(|line| line.starts_with(starts))
        .collect()
}

fn noise(bytes: usize, seed: u64) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(seed);
    (0..bytes).map(|_| random.u8(..)).collect()
}

// --- Memory ---

/// What every card must do, the real one too.
fn memory(card: &CudaDriver) {
    let (free, total) = card.memory().unwrap();
    assert!(free <= total && total > 0);
    // Several staging buffers long, and no multiple of one.
    let bytes = (11 << 20) + 13;
    let (a, b) = (card.alloc(bytes).unwrap(), card.alloc(bytes).unwrap());
    let empty = [card.alloc(0).unwrap(), card.alloc(0).unwrap()];
    assert!(
        [a, b, empty[0], empty[1]]
            .iter()
            .all(|at| *at != 0 && at % 256 == 0)
    );
    assert_ne!(empty[0], empty[1]);

    let side = card.stream().unwrap();
    let want = noise(bytes, 1);
    let mut sent = want.clone();
    let mut got = vec![0; bytes];
    // SAFETY: all ranges lie within the allocations above, which are freed last, after a wait.
    unsafe {
        card.upload(a, &sent, side).unwrap();
        // The host's bytes are the caller's again at once.
        sent.fill(0x55);
        let sent_all = card.record(side).unwrap();
        card.wait(Stream::DEFAULT, sent_all).unwrap();
        card.fill(b, 7, bytes, Stream::DEFAULT).unwrap();
        card.copy(b + 5, a + 1, bytes - 9, Stream::DEFAULT).unwrap();
        card.download(b, &mut got, Stream::DEFAULT).unwrap();
    }
    assert_eq!(got[..5], [7; 5]);
    assert_eq!(got[5..bytes - 4], want[1..bytes - 8]);
    assert_eq!(got[bytes - 4..], [7; 4]);

    // From another thread, small and many: each upload stays whole.
    let parts: Vec<Vec<u8>> = (0..40).map(|n| noise(1 + n * 37, 100 + n as u64)).collect();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut at = a;
            for part in &parts {
                // SAFETY: all parts together are shorter than the allocation.
                unsafe { card.upload(at, part, Stream::DEFAULT) }.unwrap();
                at += part.len() as u64;
            }
        });
    });
    let whole: Vec<u8> = parts.concat();
    let mut got = vec![0; whole.len()];
    // SAFETY: ranges of no bytes touch nothing, whatever the address; the download is within `a`.
    unsafe {
        card.upload(1, &[], side).unwrap();
        card.download(1, &mut [], side).unwrap();
        card.copy(1, 2, 0, side).unwrap();
        card.fill(1, 9, 0, side).unwrap();
        card.download(a, &mut got, Stream::DEFAULT).unwrap();
    }
    assert_eq!(got, whole);
    card.sync(side).unwrap();
    for at in [a, b, empty[0], empty[1]] {
        // SAFETY: each came from `alloc` and is freed once; all work was waited for.
        unsafe { card.free(at) }.unwrap();
    }
}

/// A card without room says how much there is.
fn exhausted(card: &CudaDriver) {
    let error = card.alloc((64 << 20) + 1).unwrap_err();
    assert_eq!(error.kind(), Kind::Limit);
    assert_eq!(
        error.to_string(),
        "cuMemAlloc: 67108865 bytes of the card's memory: 67108864 of 67108864 are free; use a \
         smaller batch"
    );
    assert_eq!(
        card.alloc(usize::MAX - 300).unwrap_err().kind(),
        Kind::Limit
    );
    // And goes on working.
    let at = card.alloc(1000).unwrap();
    // SAFETY: just allocated, in no use.
    unsafe { card.free(at) }.unwrap();
}

#[test]
fn memory_moves_as_asked_and_is_given_back() {
    let Some(library) = Library::build(&[]) else {
        return;
    };
    let (_, log) = library.run("memory", &[]);
    assert_eq!(
        lines(&log, "cuMemAlloc_v2 0"),
        Vec::<&str>::new(),
        "0 bytes were asked for"
    );
    assert_eq!(
        log.iter().rfind(|l| l.starts_with("cuMemFree_v2")).unwrap(),
        "cuMemFree_v2 left 0"
    );
    // Every upload went through page-locked memory, and two buffers were enough.
    assert!(
        lines(&log, "cuMemcpyHtoDAsync_v2")
            .iter()
            .all(|line| line.ends_with(" late"))
    );
    assert!(lines(&log, "cuMemcpyHtoDAsync_v2").len() >= 43);
    assert_eq!(
        lines(&log, "cuMemHostAlloc"),
        ["cuMemHostAlloc 4194304 0"; 2]
    );
    // All that was made is destroyed, and the context last.
    for (made, gone) in [
        ("cuMemHostAlloc", "cuMemFreeHost"),
        ("cuStreamCreate", "cuStreamDestroy_v2"),
        ("cuEventCreate", "cuEventDestroy_v2"),
        ("cuMemAlloc_v2", "cuMemFree_v2"),
        ("cuDevicePrimaryCtxRetain", "cuDevicePrimaryCtxRelease_v2"),
    ] {
        assert_eq!(lines(&log, made).len(), lines(&log, gone).len(), "{made}");
    }
    assert_eq!(log.last().unwrap(), "cuDevicePrimaryCtxRelease_v2 40");
    // Streams do not wait for the legacy default stream; events take no times.
    assert!(
        lines(&log, "cuStreamCreate")
            .iter()
            .all(|line| *line == "cuStreamCreate 1")
    );
    assert!(
        lines(&log, "cuEventCreate")
            .iter()
            .all(|line| *line == "cuEventCreate 2")
    );
}

// --- Launches ---

/// The arguments of `fake_fill(float* to, float value, int count)`.
pub struct Fill(pub u64, pub f32, pub i32);

impl Fill {
    pub fn pointers(&mut self) -> [*mut c_void; 3] {
        [
            (&raw mut self.0).cast(),
            (&raw mut self.1).cast(),
            (&raw mut self.2).cast(),
        ]
    }
}

fn launch(card: &CudaDriver) {
    assert!(card.has(FILL) && card.has(NONE));
    assert!(!card.has(Kernel {
        family: "other",
        symbol: "fake_fill"
    }));
    let at = card.alloc(400).unwrap();
    let stream = card.stream().unwrap();
    let mut got = [0u8; 400];
    let how = Launch {
        grid: [3, 2, 1],
        block: [64, 2, 1],
        ..Launch::linear(1, 1, 0)
    };
    // SAFETY: the arguments are those of the kernel; 100 floats fit; the download waits.
    unsafe {
        card.fill(at, 0, 400, stream).unwrap();
        let mut fill = Fill(at, 1.5, 99);
        card.launch(FILL, &how, &mut fill.pointers(), stream)
            .unwrap();
        // The values were copied: changing them now changes nothing.
        fill = Fill(0, 9.0, 0);
        assert_eq!(fill.2, 0);
        card.download(at, &mut got, stream).unwrap();
        card.launch(NONE, &Launch::linear(1, 32, 0), &mut [], Stream::DEFAULT)
            .unwrap();
    }
    let (filled, rest) = got.split_at(396);
    assert!(filled.chunks_exact(4).all(|b| b == 1.5f32.to_le_bytes()));
    assert_eq!(rest, [0; 4]);
    refused_launches(card, at);
    // SAFETY: all work was waited for.
    unsafe { card.free(at) }.unwrap();
}

/// Launches that must be refused before the driver sees them, or in its words.
fn refused_launches(card: &CudaDriver, at: u64) {
    let one = Launch::linear(1, 32, 0);
    let try_one = |kernel, how: &Launch, count: usize| -> Error {
        let mut fill = Fill(at, 0.0, 0);
        // SAFETY: either the arguments fit the kernel, or it is refused, which is the test.
        let result =
            unsafe { card.launch(kernel, how, &mut fill.pointers()[..count], Stream::DEFAULT) };
        result.unwrap_err()
    };
    let error = try_one(FILL, &one, 2);
    assert_eq!(error.kind(), Kind::Internal);
    assert_eq!(
        error.to_string(),
        "made_up/fake_fill takes 3 arguments, not 2"
    );
    assert!(
        try_one(NONE, &one, 1)
            .to_string()
            .contains("takes 0 arguments, not 1")
    );

    let error = try_one(
        Kernel {
            symbol: "sm90_other",
            ..FILL
        },
        &one,
        3,
    );
    assert_eq!(error.kind(), Kind::Unsupported);
    assert_eq!(
        error.to_string(),
        "no kernel made_up/sm90_other for compute capability 90"
    );
    let error = try_one(
        Kernel {
            symbol: "fake_missing",
            ..FILL
        },
        &one,
        3,
    );
    assert_eq!(error.kind(), Kind::Unsupported);
    assert_eq!(
        error.to_string(),
        "cuModuleGetFunction: made_up/fake_missing: CUDA_ERROR_NOT_FOUND"
    );
    let error = try_one(FILL, &Launch::linear(1, 32, 232_449), 3);
    assert_eq!(error.kind(), Kind::Unsupported);
    assert!(
        error
            .to_string()
            .contains("needs 232449 bytes of shared memory of 232448")
    );
    assert!(
        card.load(Kernel {
            symbol: "fake_missing",
            ..FILL
        })
        .is_err()
    );
    assert!(card.load(FILL).is_ok());
}

#[test]
fn a_launch_carries_its_shape_its_stream_and_its_arguments() {
    let Some(library) = Library::build(&[]) else {
        return;
    };
    let (_, log) = library.run("launch", &[]);
    assert_eq!(
        lines(&log, "cuLaunchKernelEx"),
        [
            "cuLaunchKernelEx fake_fill grid 3 2 1 block 64 2 1 shared 0 stream 2 args 3fc00000 \
             00000063",
            "cuLaunchKernelEx fake_none grid 1 1 1 block 32 1 1 shared 0 stream 1 args",
        ]
    );
    // Each module is loaded once and the best suited one is taken; nothing was set unasked.
    assert_eq!(
        lines(&log, "cuModuleLoadData"),
        ["cuModuleLoadData HOPPER90", "cuModuleLoadData PORTABLE"]
    );
    assert_eq!(lines(&log, "cuModuleUnload").len(), 2);
    assert_eq!(lines(&log, "cuModuleGetFunction fake_fill").len(), 1);
    assert!(lines(&log, "cuFuncSetAttribute").is_empty());
}

fn attributes(card: &CudaDriver) {
    let go = |shared, cluster| {
        let how = Launch {
            shared,
            cluster,
            ..Launch::linear(16, 32, 0)
        };
        // SAFETY: the kernel has no parameters.
        unsafe { card.launch(NONE, &how, &mut [], Stream::DEFAULT) }.unwrap();
    };
    let alone = [1, 1, 1];
    for shared in [49_152, 49_153, 100_000, 60_000, 100_000, 232_448] {
        go(shared, alone);
    }
    for cluster in [[2, 1, 1], [2, 2, 2], [16, 1, 1], [4, 4, 1]] {
        go(0, cluster);
    }
}

#[test]
fn shared_memory_and_clusters_are_asked_for_when_they_are_needed() {
    let Some(library) = Library::build(&[]) else {
        return;
    };
    let (_, log) = library.run("attributes", &[]);
    // 8 is the most dynamic shared memory, 14 allows clusters over 8 blocks (cuda.h).
    assert_eq!(
        lines(&log, "cuFuncSetAttribute"),
        [
            "cuFuncSetAttribute fake_none 8 49153",
            "cuFuncSetAttribute fake_none 8 100000",
            "cuFuncSetAttribute fake_none 8 232448",
            "cuFuncSetAttribute fake_none 14 1",
        ]
    );
    let launches = lines(&log, "cuLaunchKernelEx");
    let clusters: Vec<Option<&str>> = launches
        .iter()
        .map(|line| {
            line.split_once(" attribute ")
                .map(|(_, rest)| rest.trim_end_matches(" args"))
        })
        .collect();
    assert_eq!(clusters[..6], [None; 6]);
    // 4 is the cluster's dimension (cuda.h).
    let expected = ["4: 2 1 1", "4: 2 2 2", "4: 16 1 1", "4: 4 4 1"].map(Some);
    assert_eq!(clusters[6..], expected);
}

fn portable(card: &CudaDriver) {
    card.load(FILL).unwrap();
    let how = Launch {
        cluster: [2, 1, 1],
        ..Launch::linear(2, 32, 0)
    };
    // SAFETY: the kernel has no parameters.
    let launched = unsafe { card.launch(NONE, &how, &mut [], Stream::DEFAULT) };
    if card.info().arch >= 90 {
        launched.unwrap();
        return;
    }
    let error = launched.unwrap_err();
    assert_eq!(error.kind(), Kind::Unsupported);
    assert_eq!(
        error.to_string(),
        "made_up/fake_none needs clusters, which start with Hopper"
    );
}

#[test]
fn a_card_that_is_no_hopper_gets_the_portable_code_and_an_older_one_no_clusters() {
    let Some(library) = Library::build(&[]) else {
        return;
    };
    for (arch, launches) in [("80", 0), ("86", 0), ("89", 0), ("100", 1), ("120", 1)] {
        let (_, log) = library.run("portable", &[("FAKE_ARCH", arch)]);
        assert_eq!(
            lines(&log, "cuModuleLoadData"),
            ["cuModuleLoadData PORTABLE"],
            "{arch}"
        );
        assert_eq!(lines(&log, "cuLaunchKernelEx").len(), launches, "{arch}");
    }
}

// --- Streams and events ---

fn events(card: &CudaDriver) {
    let other = card.stream().unwrap();
    let mut first = None;
    for n in 0..1000 {
        let event = card.record(Stream::DEFAULT).unwrap();
        first.get_or_insert(event);
        if n % 10 == 9 {
            // Nine of ten still stand open when the next is recorded.
            card.sync(Stream::DEFAULT).unwrap();
        }
    }
    let open = card.record(Stream::DEFAULT).unwrap();
    card.wait(other, open).unwrap();
    card.wait(other, first.unwrap()).unwrap();
    for error in [
        card.wait(other, Event(open.0 + 1)).unwrap_err(),
        card.wait(Stream(7), open).unwrap_err(),
        card.record(Stream(u64::MAX)).unwrap_err(),
        card.sync(Stream(2)).unwrap_err(),
    ] {
        assert_eq!(error.kind(), Kind::Internal);
        assert!(
            error.to_string().starts_with("this driver made no "),
            "{error}"
        );
    }
}

#[test]
fn events_that_have_passed_are_used_again() {
    let Some(library) = Library::build(&[]) else {
        return;
    };
    let (_, log) = library.run("events", &[]);
    assert_eq!(lines(&log, "cuEventRecord").len(), 1001);
    assert!(
        lines(&log, "cuEventCreate").len() <= 80,
        "{}",
        lines(&log, "cuEventCreate").len()
    );
    // The first event had passed long before: nothing to wait for.
    let waits = lines(&log, "cuStreamWaitEvent");
    let last = lines(&log, "cuEventRecord").last().copied().unwrap();
    let event = last.split(' ').nth(2).unwrap();
    assert_eq!(
        waits,
        [format!("cuStreamWaitEvent stream 2 event {event} 0")]
    );
    assert_eq!(
        lines(&log, "cuEventDestroy_v2").len(),
        lines(&log, "cuEventCreate").len()
    );
}

/// Every call is refused in turn: an error that names the call, of the right kind.
fn refusals(card: &CudaDriver) {
    let fail = std::env::var("FAKE_FAIL").unwrap();
    let at = || card.alloc(4).unwrap();
    let result = match fail.split_once('=').unwrap().0 {
        "cuMemAlloc_v2" => card.alloc(8).map(|_| ()),
        "cuMemGetInfo_v2" => card.memory().map(|_| ()),
        // SAFETY: an allocation, freed once.
        "cuMemFree_v2" => unsafe { card.free(at()) },
        // SAFETY: an allocation of one byte or more, as all below.
        "cuMemcpyDtoHAsync_v2" => unsafe { card.download(at(), &mut [0], Stream::DEFAULT) },
        // SAFETY: as above.
        "cuMemcpyDtoDAsync_v2" => unsafe { card.copy(at(), at(), 1, Stream::DEFAULT) },
        // SAFETY: as above.
        "cuMemsetD8Async" => unsafe { card.fill(at(), 0, 1, Stream::DEFAULT) },
        "cuLaunchKernelEx" | "cuModuleLoadData" | "cuFuncSetAttribute" => {
            let how = Launch::linear(1, 32, 50_000);
            // SAFETY: the kernel has no parameters.
            unsafe { card.launch(NONE, &how, &mut [], Stream::DEFAULT) }
        }
        "cuStreamSynchronize" => card.sync(Stream::DEFAULT),
        "cuStreamDestroy_v2" => card.stream().and_then(|s| card.destroy(s)),
        "cuMemFreeHost" => {
            let at = card.host_alloc(8).unwrap();
            // SAFETY: an allocation, freed once.
            unsafe { card.host_free(at) }
        }
        "cuEventElapsedTime_v2" => {
            let event = card.record_timed(Stream::DEFAULT).unwrap();
            card.elapsed(event, event).map(|_| ())
        }
        call if call.starts_with("cuGraph") || call.contains("Capture") => {
            streams::recording(card).map(|_| ())
        }
        "cuStreamWaitEvent" => {
            let event = card.record(Stream::DEFAULT).unwrap();
            card.wait(Stream::DEFAULT, event)
        }
        // SAFETY: an allocation of as many bytes. All else is part of an upload.
        _ => unsafe { card.upload(at(), &[1, 2, 3, 4], Stream::DEFAULT) },
    };
    let error = result.unwrap_err();
    println!("OUT {:?} {error}", error.kind());
}

#[test]
fn a_refusal_names_the_call_and_the_drivers_words() {
    let Some(library) = Library::build(&[]) else {
        return;
    };
    let launched = "made_up/fake_none with Launch { grid: [1, 1, 1], block: [32, 1, 1], shared: \
                    50000, cluster: [1, 1, 1] }: CUDA_ERROR_OUT_OF_MEMORY";
    for (fail, said) in [
        (
            "cuMemGetInfo_v2=719",
            "Internal cuMemGetInfo: CUDA_ERROR_LAUNCH_FAILED (unspecified \
          launch failure)",
        ),
        (
            "cuMemFree_v2=1",
            "Internal cuMemFree: CUDA_ERROR_INVALID_VALUE",
        ),
        (
            "cuMemHostAlloc=2",
            "Limit cuMemHostAlloc: CUDA_ERROR_OUT_OF_MEMORY",
        ),
        (
            "cuMemcpyHtoDAsync_v2=1",
            "Internal cuMemcpyHtoDAsync: CUDA_ERROR_INVALID_VALUE",
        ),
        (
            "cuEventSynchronize=719",
            "Internal cuEventSynchronize: CUDA_ERROR_LAUNCH_FAILED \
          (unspecified launch failure)",
        ),
        (
            "cuEventCreate=2",
            "Limit cuEventCreate: CUDA_ERROR_OUT_OF_MEMORY",
        ),
        (
            "cuEventRecord=1",
            "Internal cuEventRecord: CUDA_ERROR_INVALID_VALUE",
        ),
        (
            "cuMemcpyDtoHAsync_v2=1",
            "Internal cuMemcpyDtoHAsync: CUDA_ERROR_INVALID_VALUE",
        ),
        (
            "cuMemcpyDtoDAsync_v2=1",
            "Internal cuMemcpyDtoDAsync: CUDA_ERROR_INVALID_VALUE",
        ),
        (
            "cuMemsetD8Async=1",
            "Internal cuMemsetD8Async: CUDA_ERROR_INVALID_VALUE",
        ),
        (
            "cuLaunchKernelEx=2",
            &format!("Limit cuLaunchKernelEx: {launched}"),
        ),
        (
            "cuModuleLoadData=209",
            "Unsupported cuModuleLoadData: kernels/made_up/fill.cu: error 209",
        ),
        (
            "cuModuleLoadData=222",
            "Unsupported cuModuleLoadData: kernels/made_up/fill.cu: error 222",
        ),
        (
            "cuFuncSetAttribute=1",
            "Internal cuFuncSetAttribute: made_up/fake_none: \
          CUDA_ERROR_INVALID_VALUE",
        ),
        (
            "cuStreamSynchronize=719",
            "Internal cuStreamSynchronize: CUDA_ERROR_LAUNCH_FAILED \
          (unspecified launch failure)",
        ),
        (
            "cuMemFreeHost=1",
            "Internal cuMemFreeHost: CUDA_ERROR_INVALID_VALUE",
        ),
        (
            "cuStreamDestroy_v2=1",
            "Internal cuStreamDestroy: CUDA_ERROR_INVALID_VALUE",
        ),
        (
            "cuEventElapsedTime_v2=1",
            "Internal cuEventElapsedTime: CUDA_ERROR_INVALID_VALUE",
        ),
        (
            "cuStreamBeginCapture_v2=1",
            "Internal cuStreamBeginCapture: CUDA_ERROR_INVALID_VALUE",
        ),
        (
            "cuStreamEndCapture=901",
            "Internal cuStreamEndCapture: CUDA_ERROR_STREAM_CAPTURE_INVALIDATED",
        ),
        (
            "cuGraphInstantiateWithFlags=2",
            "Limit cuGraphInstantiate: CUDA_ERROR_OUT_OF_MEMORY",
        ),
        (
            "cuGraphLaunch=1",
            "Internal cuGraphLaunch: CUDA_ERROR_INVALID_VALUE",
        ),
        (
            "cuGraphDestroy=1",
            "Internal cuGraphDestroy: CUDA_ERROR_INVALID_VALUE",
        ),
        (
            "cuGraphExecDestroy=1",
            "Internal cuGraphExecDestroy: CUDA_ERROR_INVALID_VALUE",
        ),
        (
            "cuStreamWaitEvent=1",
            "Internal cuStreamWaitEvent: CUDA_ERROR_INVALID_VALUE",
        ),
    ] {
        let (out, _) = library.run("refusals", &[("FAKE_FAIL", fail)]);
        assert_eq!(out, [said], "{fail}");
    }
    // Refused although there is room: the driver's own words and what it says is free.
    let (out, _) = library.run("refusals", &[("FAKE_FAIL", "cuMemAlloc_v2=2")]);
    assert!(
        out[0].starts_with("Limit cuMemAlloc: 8 bytes of the card's memory"),
        "{out:?}"
    );
}

// --- A real card ---

#[test]
fn a_real_card_keeps_what_it_is_given_and_takes_every_kernel() {
    if let Err(reason) = probe(0) {
        println!("skipped: no CUDA device ({reason})");
        return;
    }
    let card = CudaDriver::open(0).unwrap();
    memory(&card);
    streams::locked(&card);
    let events: Vec<Event> = (0..500)
        .map(|_| card.record(Stream::DEFAULT).unwrap())
        .collect();
    let other = card.stream().unwrap();
    for event in &events {
        card.wait(other, *event).unwrap();
    }
    card.sync(other).unwrap();
    for image in IMAGES {
        for symbol in image.kernels {
            let kernel = Kernel {
                family: image.family,
                symbol,
            };
            assert_eq!(
                card.has(kernel),
                image.suits(card.info().arch) > 0,
                "{kernel:?}"
            );
            if card.has(kernel) {
                card.load(kernel).unwrap();
            }
        }
    }
    assert_eq!(card.alloc(1 << 60).unwrap_err().kind(), Kind::Limit);
}
