//! What plans choose once, for all their runs.

use std::sync::Arc;

use doppel::device::gpu::driver::Driver;
use doppel::device::{
    Act, CpuDevice, DType, Desc, Device, Epilogue, Graph, Lower, Op, Plan, Precision, Stream,
    Window, alloc, bytes_of, values_of,
};
use doppel::nn::formula::{self, Stats};

use crate::fusion_counts::{Asked, Counting};
use crate::gemm_sm90::simulated;
use crate::harness::{light, simulated_driver, values};

const CHANNELS: usize = 64;

/// A convolution, one of one filter a channel with its average and a gate, and a product.
fn graph() -> Graph {
    let mut graph = Graph::new();
    let desc = Desc::new(&[1, 14, 14, CHANNELS], DType::F32);
    let x = graph.input("x", desc);
    let conv = |groups| Op::Conv {
        window: Window::square(3, 1, 1),
        groups,
        gate: false,
        epilogue: Epilogue::BARE,
    };
    let all = graph
        .param("all.weight", &[CHANNELS, CHANNELS, 3, 3])
        .unwrap();
    let each = graph.param("each.weight", &[CHANNELS, 1, 3, 3]).unwrap();
    let y = graph.push(conv(1), &[x, all]).unwrap();
    let y = graph.push(Op::Activation(Act::Silu), &[y]).unwrap();
    let z = graph.push(conv(CHANNELS), &[y, each]).unwrap();
    let mean = graph.push(Op::GlobalAverage, &[z]).unwrap();
    let gated = graph.push(Op::Gate, &[z, mean]).unwrap();
    graph.output(&[gated]);
    graph
}

fn planned(device: Arc<dyn Device>, how: Precision) -> Plan {
    let graph = graph();
    let weights = formula::weights(&graph, &Stats::default());
    Plan::new(&graph, &weights, device, Lower::Infer(how)).unwrap()
}

fn outcome(plan: &Plan) -> Vec<f32> {
    let device = &**plan.device();
    let from = alloc(device, plan.inputs()[0].1.clone()).unwrap();
    let bytes = bytes_of(&values(from.desc.len(), 7), from.desc.dtype);
    device.upload(&bytes, &from, Stream::DEFAULT).unwrap();
    let to = alloc(device, plan.outputs()[0].clone()).unwrap();
    plan.run(&[&from], &[&to], Stream::DEFAULT).unwrap();
    let mut bytes = vec![0; to.desc.bytes()];
    device.download(&to, &mut bytes, Stream::DEFAULT).unwrap();
    values_of(&bytes, to.desc.dtype)
}

#[test]
fn runs_choose_no_kernels_and_packed_weights_want_no_scratch_memory() {
    let cards = [simulated_driver(), simulated().map(|(driver, _)| driver)];
    if light() {
        return;
    }
    let want = outcome(&planned(Arc::new(CpuDevice::default()), Precision::F32));
    for driver in cards.into_iter().flatten() {
        let (counting, card) = Counting::over(driver);
        let (card, arch) = (Arc::new(card), counting.info().arch);
        let plan = planned(card.clone(), Precision::F16);
        assert!(counting.looked() > 0);
        // The sums of the average alone: no filters, which are larger.
        let scratch = plan.needs() - plan.arena();
        let filters = CHANNELS * CHANNELS * 9 * 2;
        assert!(scratch > 0 && scratch < filters, "{scratch} of {filters}");
        let wanted = plan
            .shapes()
            .iter()
            .map(|(op, ins)| card.workspace(op, ins));
        assert!(wanted.max().unwrap() >= filters);
        // That itself asked for kernels.
        counting.looked();
        counting.taken();
        let first = outcome(&plan);
        let second = outcome(&plan);
        assert_eq!(counting.looked(), 0, "sm_{arch}");
        assert_eq!(first, second);
        for (i, (a, b)) in first.iter().zip(&want).enumerate() {
            assert!((a - b).abs() < 0.02 * b.abs().max(1.0), "{i}: {a} for {b}");
        }
        let packs = |a: &&Asked| matches!(a, Asked::Launch(name) if name.contains("pack"));
        let asked = counting.taken();
        assert_eq!(asked.iter().find(packs), None, "sm_{arch}");
        let hopper = |a: &Asked| matches!(a, Asked::Launch(name) if name.starts_with("sm90"));
        assert_eq!(asked.iter().any(hopper), arch == 90, "{asked:?}");
    }
}
