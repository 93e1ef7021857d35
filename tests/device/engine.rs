//! A card's streams, recordings, page-locked memory and limit: what the engine rests on.

use std::sync::Arc;

use doppel::device::gpu::driver::{Driver, Stream};
use doppel::device::gpu::driver_simt::{Order, SimtDriver};
use doppel::device::{
    Act, Buf, DType, Desc, Device, Epilogue, GpuDevice, Graph, HostBuf, Lower, Op, Plan, Precision,
    Runner, Streams, Weights, alloc, bytes_of, values_of,
};
use doppel::error::{Kind, Result};

use crate::harness::{cards, simulated_driver, values};

/// A simulated card of this test's own, whose streams go by `order`.
pub fn simulated(order: Order) -> Option<Arc<SimtDriver>> {
    simulated_driver()?;
    let driver = Arc::new(SimtDriver::from_env().unwrap()?);
    driver.set_streams(Some(order));
    Some(driver)
}

/// Orders that a card may choose among its streams.
fn orders() -> Vec<Order> {
    let random = (1..=8).map(Order::Random);
    [Order::Forward, Order::Reverse]
        .into_iter()
        .chain(random)
        .collect()
}

fn streams(card: &GpuDevice) -> &dyn Streams {
    Device::streams(card).unwrap()
}

// --- The simulated card's streams ---

/// Fills 64 bytes on one stream and copies them on another, with an event between or not.
fn fill_and_copy(driver: &SimtDriver, event: bool) -> [u8; 64] {
    let (a, b) = (driver.alloc(64).unwrap(), driver.alloc(64).unwrap());
    let (one, two) = (driver.stream().unwrap(), driver.stream().unwrap());
    let mut got = [0; 64];
    // SAFETY: all ranges lie within the allocations, which are freed after both streams were waited for.
    unsafe {
        driver.fill(a, 1, 64, one).unwrap();
        driver.fill(a, 2, 64, one).unwrap();
        if event {
            let filled = driver.record(one).unwrap();
            driver.wait(two, filled).unwrap();
        }
        driver.copy(b, a, 64, two).unwrap();
        driver.download(b, &mut got, two).unwrap();
        driver.sync(one).unwrap();
        driver.free(a).unwrap();
        driver.free(b).unwrap();
    }
    driver.destroy(one).unwrap();
    driver.destroy(two).unwrap();
    got
}

#[test]
fn streams_run_out_of_order_but_for_events() {
    let mut wrong = 0;
    for order in orders() {
        let Some(driver) = simulated(order) else {
            return;
        };
        assert_eq!(fill_and_copy(&driver, true), [2; 64], "{order:?}");
        let unordered = fill_and_copy(&driver, false);
        match order {
            Order::Forward => assert_eq!(unordered, [2; 64]),
            Order::Reverse => assert_ne!(unordered, [2; 64]),
            Order::Random(_) => wrong += usize::from(unordered != [2; 64]),
        }
    }
    assert!((1..8).contains(&wrong), "{wrong} of 8 orders");
}

#[test]
fn page_locked_memory_is_read_when_the_copy_runs() {
    let Some(driver) = simulated(Order::Reverse) else {
        return;
    };
    let host = driver.host_alloc(16).unwrap();
    let at = driver.alloc(16).unwrap();
    let mut got = [0; 16];
    // SAFETY: the ranges lie within the allocations; to write to the host's bytes under a copy is what
    // this test is about, and the simulated card reads them in this very thread.
    unsafe {
        host.as_ptr().write_bytes(1, 16);
        driver.upload_locked(at, host, 16, Stream::DEFAULT).unwrap();
        host.as_ptr().write_bytes(2, 16);
        // Neither side may go while the copy is queued.
        assert_eq!(driver.free(at).unwrap_err().kind(), Kind::Internal);
        assert_eq!(driver.host_free(host).unwrap_err().kind(), Kind::Internal);
        driver.download(at, &mut got, Stream::DEFAULT).unwrap();
        assert_eq!(got, [2; 16]);
        // What is not page-locked is no source of such a copy.
        let plain = std::ptr::NonNull::from(&mut got).cast();
        let refused = driver.upload_locked(at, plain, 16, Stream::DEFAULT);
        assert_eq!(refused.unwrap_err().kind(), Kind::Internal);
        driver.free(at).unwrap();
        driver.host_free(host).unwrap();
    }
}

#[test]
fn a_host_buffer_waits_for_its_copies() {
    for order in orders() {
        let Some(driver) = simulated(order) else {
            return;
        };
        let card = GpuDevice::new(driver);
        let streams = streams(&card);
        let (up, down) = (streams.stream().unwrap(), streams.stream().unwrap());
        let (mut from, mut to) = (streams.host(40).unwrap(), streams.host(48).unwrap());
        let buf = alloc(&card, Desc::new(&[10], DType::F32)).unwrap();
        for round in 1..4 {
            from.bytes().unwrap().fill(round);
            streams.upload_from(&mut from, &buf, up).unwrap();
            let there = streams.record(up).unwrap();
            streams.wait(down, there).unwrap();
            streams.download_to(&buf, &mut to, down).unwrap();
            from.bytes().unwrap().fill(99);
            let got = to.bytes().unwrap();
            assert_eq!(got[..40], [round; 40], "{order:?}");
            assert_eq!(got[40..], [0; 8]);
        }
        let small = alloc(&card, Desc::new(&[13], DType::F32)).unwrap();
        let refused = streams.upload_from(&mut from, &small, up).unwrap_err();
        assert_eq!(refused.kind(), Kind::Shape);
        // Dropped while copies are queued: they are waited for.
        streams.upload_from(&mut from, &buf, up).unwrap();
        drop((from, buf));
        streams.destroy(up).unwrap();
        streams.destroy(down).unwrap();
        card.sync(Stream::DEFAULT).unwrap();
    }
}

#[test]
fn time_passes_on_a_card() {
    for card in cards() {
        let streams = streams(&card);
        let stream = streams.stream().unwrap();
        let buf = alloc(&*card, Desc::new(&[1000], DType::F32)).unwrap();
        let seconds = streams
            .time(stream, &mut || card.upload(&[0; 4000], &buf, stream))
            .unwrap();
        assert!((0.0..60.0).contains(&seconds), "{seconds}");
        streams.destroy(stream).unwrap();
    }
}

// --- Plans that are taken down ---

const ROWS: usize = 5;

fn network(rows: usize) -> Graph {
    let linear = Op::Gemm {
        trans_a: false,
        trans_b: true,
        epilogue: Epilogue::BARE,
    };
    let mut graph = Graph::new();
    let mut x = graph.input("x", Desc::new(&[rows, 9], DType::F32));
    for (name, dims) in [("a", [17, 9]), ("b", [20, 17]), ("c", [4, 20])] {
        let weight = graph.param(name, &dims).unwrap();
        x = graph.push(linear, &[x, weight]).unwrap();
        x = graph.push(Op::Activation(Act::Gelu), &[x]).unwrap();
        x = graph.push(Op::RowNormalize, &[x]).unwrap();
    }
    graph.output(&[x]);
    graph
}

fn weights() -> Weights {
    let dims = [("a", [17, 9]), ("b", [20, 17]), ("c", [4, 20])];
    let weight = |(key, dims): (&str, [usize; 2])| {
        let data = values(dims[0] * dims[1], dims[0] as u64);
        (key.to_string(), (dims.to_vec(), data))
    };
    dims.into_iter().map(weight).collect()
}

fn plan(card: &Arc<GpuDevice>) -> Plan {
    let device = Arc::clone(card) as Arc<dyn Device>;
    let how = Lower::Infer(Precision::F16);
    Plan::new(&network(ROWS), &weights(), device, how).unwrap()
}

/// New buffers for the ends of a plan.
fn ends(plan: &Plan) -> (Vec<Buf>, Vec<Buf>) {
    let device = &**plan.device();
    let ins = plan.inputs().iter().map(|(_, d)| d);
    let make = |d: &Desc| alloc(device, d.clone()).unwrap();
    (
        ins.map(make).collect(),
        plan.outputs().iter().map(make).collect(),
    )
}

fn runner(plan: &Arc<Plan>) -> Runner {
    let (ins, outs) = ends(plan);
    Runner::new(Arc::clone(plan), ins, outs).unwrap()
}

fn input(seed: u64) -> Vec<u8> {
    bytes_of(&values(ROWS * 9, seed), DType::F16)
}

/// What a plan makes of an input, launch by launch.
fn plainly(plan: &Plan, input: &[u8]) -> Vec<f32> {
    let (ins, outs) = ends(plan);
    let device = plan.device();
    device.upload(input, &ins[0], Stream::DEFAULT).unwrap();
    plan.run(&[&ins[0]], &[&outs[0]], Stream::DEFAULT).unwrap();
    read(plan, &outs[0], Stream::DEFAULT)
}

fn read(plan: &Plan, buf: &Buf, stream: Stream) -> Vec<f32> {
    let mut bytes = vec![0; buf.desc.bytes()];
    plan.device().download(buf, &mut bytes, stream).unwrap();
    values_of(&bytes, buf.desc.dtype)
}

#[test]
fn a_taped_plan_gives_what_its_launches_give() {
    for card in cards() {
        let plan = Arc::new(plan(&card));
        let streams = streams(&card);
        let stream = streams.stream().unwrap();
        card.sync(Stream::DEFAULT).unwrap();
        let (mut one, mut two) = (runner(&plan), runner(&plan));
        for seed in 1..5 {
            for runner in [&mut one, &mut two] {
                let input = input(seed);
                card.upload(&input, &runner.ins()[0], stream).unwrap();
                assert_eq!(runner.is_taped(), seed > 1);
                runner.run(stream).unwrap();
                assert!(runner.is_taped());
                let have = read(&plan, &runner.outs()[0], stream);
                assert_eq!(have, plainly(&plan, &input), "{seed}");
            }
        }
        streams.destroy(stream).unwrap();
    }
}

#[test]
fn runs_launch_what_the_plan_lists_and_allocate_nothing_after_the_first() {
    let Some(driver) = simulated(Order::Random(3)) else {
        return;
    };
    let card = Arc::new(GpuDevice::new(Arc::clone(&driver) as Arc<dyn Driver>));
    let plan = Arc::new(plan(&card));
    let mut runner = runner(&plan);
    let stream = streams(&card).stream().unwrap();
    card.sync(Stream::DEFAULT).unwrap();
    let launches = plan.launches() as u64;
    let before = driver.launches();
    runner.run(stream).unwrap();
    card.sync(stream).unwrap();
    assert_eq!(
        driver.launches() - before,
        launches,
        "the tape alone runs nothing"
    );
    let allocations = driver.allocations();
    for _ in 0..5 {
        runner.run(stream).unwrap();
    }
    card.sync(stream).unwrap();
    assert_eq!(driver.launches() - before, 6 * launches);
    assert_eq!(driver.allocations(), allocations);
}

#[test]
fn a_plan_has_its_memory_when_it_is_first_wanted_and_shares_it_when_told() {
    let Some(driver) = simulated(Order::Forward) else {
        return;
    };
    let card = Arc::new(GpuDevice::new(Arc::clone(&driver) as Arc<dyn Driver>));
    let plan = plan(&card);
    let left = || streams(&card).memory_left().unwrap();
    let (before, allocations) = (left(), driver.allocations());
    let sized = plan.resized(&network(2)).unwrap();
    assert_eq!(driver.allocations(), allocations);
    sized.reserve().unwrap();
    assert_eq!(before - left(), sized.needs() as u64);
    // A smaller one fits into the memory of a larger one, and not the other way round.
    plan.reserve().unwrap();
    let held = left();
    let beside = plan.resized_beside(&network(3), &plan).unwrap();
    assert_eq!(left(), held);
    let large = plan.resized_beside(&network(400), &beside).unwrap();
    assert_eq!(held - left(), large.needs() as u64);
    drop((sized, plan, beside, large));
    card.sync(Stream::DEFAULT).unwrap();
}

/// Two lanes through three streams, each batch checked; `forget` leaves one kind of event out.
fn lanes(order: Order, forget: Option<usize>) -> Result<bool> {
    let Some(driver) = simulated(order) else {
        return Ok(true);
    };
    let card = Arc::new(GpuDevice::new(driver));
    let plan = Arc::new(plan(&card));
    let streams = streams(&card);
    let [up, compute, down] = [0; 3].map(|_| streams.stream().unwrap());
    card.sync(Stream::DEFAULT)?;
    struct Lane {
        runner: Runner,
        from: HostBuf,
        to: HostBuf,
    }
    let mut all: Vec<Lane> = (0..2)
        .map(|_| Lane {
            runner: runner(&plan),
            from: streams.host(ROWS * 9 * 2).unwrap(),
            to: streams.host(ROWS * 4 * 2).unwrap(),
        })
        .collect();
    let wanted: Vec<Vec<f32>> = (0..7).map(|n| plainly(&plan, &input(n))).collect();
    let mut same = true;
    for n in 0..9 {
        let lane = &mut all[n % 2];
        if n >= 2 {
            let have = values_of(lane.to.bytes()?, DType::F16);
            same &= have == wanted[n - 2];
        }
        if n < 7 {
            lane.from.bytes()?.copy_from_slice(&input(n as u64));
            streams.upload_from(&mut lane.from, &lane.runner.ins()[0], up)?;
            if forget != Some(0) {
                streams.wait(compute, streams.record(up)?)?;
            }
            lane.runner.run(compute)?;
            if forget != Some(1) {
                streams.wait(down, streams.record(compute)?)?;
            }
            streams.download_to(&lane.runner.outs()[0], &mut lane.to, down)?;
        }
    }
    drop(all);
    for stream in [up, compute, down] {
        streams.destroy(stream)?;
    }
    Ok(same)
}

#[test]
fn lanes_overlap_and_give_every_batch_its_own_results() {
    for order in orders() {
        assert!(lanes(order, None).unwrap(), "{order:?}");
    }
}

#[test]
fn an_event_that_is_left_out_shows() {
    if simulated_driver().is_none() {
        return;
    }
    for forget in [0, 1] {
        let wrong = orders().into_iter();
        let wrong = wrong.filter(|&order| !lanes(order, Some(forget)).unwrap());
        assert!(wrong.count() > 3, "event {forget}");
    }
}

#[test]
fn what_a_capture_forbids_is_told_and_memory_that_goes_meanwhile_is_freed_later() {
    for card in cards() {
        let streams = streams(&card);
        let stream = streams.stream().unwrap();
        let mut gone = Some(alloc(&*card, Desc::new(&[64], DType::F32)).unwrap());
        let tape = streams.tape(stream, Vec::new(), &mut || {
            drop(gone.take());
            Ok(())
        });
        tape.unwrap();
        let mut host = streams.host(64).unwrap();
        let buf = alloc(&*card, Desc::new(&[4], DType::F32)).unwrap();
        let tape = streams.tape(stream, Vec::new(), &mut || {
            streams.upload_from(&mut host, &buf, stream)
        });
        assert_eq!(tape.err().map(|e| e.kind()), Some(Kind::Internal));
        let tape = streams.tape(stream, Vec::new(), &mut || card.alloc(8).map(|_| ()));
        assert_eq!(tape.err().map(|e| e.kind()), Some(Kind::Internal));
        // The stream goes on as before.
        card.upload(&[7; 16], &buf, stream).unwrap();
        let mut bytes = [0; 16];
        card.download(&buf, &mut bytes, stream).unwrap();
        assert_eq!(bytes, [7; 16]);
        streams.destroy(stream).unwrap();
    }
}

// --- Memory ---

#[test]
fn a_limit_is_for_all_allocations_together() {
    let Some(driver) = simulated(Order::Forward) else {
        return;
    };
    let card = GpuDevice::new(driver);
    let streams = streams(&card);
    let first = card.alloc(1000).unwrap();
    streams.limit_memory(3000);
    assert_eq!(streams.memory_left().unwrap(), 2000);
    let error = card.alloc(2001).err().unwrap();
    assert_eq!(error.kind(), Kind::Limit);
    assert!(error.to_string().contains("--device-memory"), "{error}");
    assert!(!error.to_string().contains('\n'));
    let second = card.alloc(2000).unwrap();
    assert!(card.alloc(1).is_err());
    drop(first);
    assert_eq!(streams.memory_left().unwrap(), 1000);
    drop(second);
    card.alloc(3000).unwrap();
}

#[test]
fn a_driver_that_refuses_memory_costs_no_room() {
    let Some(driver) = simulated(Order::Forward) else {
        return;
    };
    let card = GpuDevice::new(driver);
    let streams = streams(&card);
    let left = streams.memory_left().unwrap();
    let most = usize::try_from(left).unwrap();
    assert_eq!(card.alloc(most + 1).err().unwrap().kind(), Kind::Limit);
    assert_eq!(streams.memory_left().unwrap(), left);
}
