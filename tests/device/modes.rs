//! The modes support and perf: what each device runs, and how fast.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use doppel::device::{Act, Buf, DType, Desc, Device, Epilogue, Op, Stream, Support, alloc};

use crate::harness::{FLOATS, cards, devices, inputs};

const fn gemm(trans_a: bool, trans_b: bool, epilogue: Epilogue) -> Op {
    Op::Gemm {
        trans_a,
        trans_b,
        epilogue,
    }
}

/// Every operation with inputs of `rows` x `columns` (products: of `rows` x `columns` x `columns`).
fn catalogue(rows: usize, columns: usize, dtype: DType) -> Vec<(String, Op, Vec<Desc>)> {
    let x = Desc::new(&[rows, columns], dtype);
    let square = Desc::new(&[columns, columns], dtype);
    let column = Desc::new(&[columns], dtype);
    let full = Epilogue {
        scale: true,
        bias: true,
        residual: true,
        act: Act::Gelu,
    };
    let turned = Desc::new(&[columns, rows], dtype);
    let two = vec![x.clone(), x.clone()];
    let with_column = vec![x.clone(), column.clone()];
    let all = [
        (
            "gemm nn",
            gemm(false, false, Epilogue::BARE),
            vec![x.clone(), square.clone()],
        ),
        (
            "gemm nt",
            gemm(false, true, Epilogue::BARE),
            vec![x.clone(), square.clone()],
        ),
        (
            "gemm tn",
            gemm(true, false, Epilogue::BARE),
            vec![turned.clone(), square.clone()],
        ),
        (
            "gemm tt",
            gemm(true, true, Epilogue::BARE),
            vec![turned, square.clone()],
        ),
        (
            "gemm nt, epilogue",
            gemm(false, true, full),
            vec![x.clone(), square, column.clone(), column, x.clone()],
        ),
        ("scale", Op::Scale, with_column.clone()),
        ("bias", Op::Bias, with_column),
        ("add", Op::Add, two.clone()),
        (
            "activation gelu",
            Op::Activation(Act::Gelu),
            vec![x.clone()],
        ),
        (
            "activation_grad gelu",
            Op::ActivationGrad(Act::Gelu),
            two.clone(),
        ),
        ("column_sum", Op::ColumnSum, vec![x.clone()]),
        ("column_dot", Op::ColumnDot, two),
        ("row_normalize", Op::RowNormalize, vec![x.clone()]),
        (
            "softmax_cross_entropy",
            Op::SoftmaxCrossEntropy,
            vec![x, Desc::new(&[rows], DType::U32)],
        ),
    ];
    all.map(|(name, op, ins)| (format!("{name} {dtype}"), op, ins))
        .into()
}

#[test]
fn support() {
    let devices = devices();
    let mut table: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for dtype in FLOATS {
        for (name, op, ins) in catalogue(6, 4, dtype) {
            for device in &devices {
                let word = match device.supports(&op, &ins) {
                    Support::Native => "native".to_owned(),
                    Support::Unfuse => "unfused".to_owned(),
                    Support::No(why) => format!("no: {why}"),
                };
                assert_eq!(word, "native", "{name} on {}", device.info().name);
                table.entry(name.clone()).or_default().push(word);
            }
        }
    }
    let names: Vec<&str> = devices.iter().map(|d| d.info().name.as_str()).collect();
    println!("{:28}{}", "", names.join(" | "));
    for (name, words) in &table {
        println!("{name:28}{}", words.join(" | "));
    }
    assert_eq!(table.len(), 42);
    let mixed = [
        Desc::new(&[2, 2], DType::F16),
        Desc::new(&[2, 2], DType::F32),
    ];
    for card in cards() {
        assert!(matches!(card.supports(&Op::Add, &mixed), Support::No(_)));
        assert!(matches!(
            card.supports(&Op::Add, &mixed[..1]),
            Support::No(_)
        ));
        let wide = [Desc::new(&[1, 1 << 31], DType::F16)];
        assert!(matches!(
            card.supports(&Op::ColumnSum, &wide),
            Support::No(_)
        ));
    }
}

/// Seconds of one run, the best of some.
fn time(device: &dyn Device, op: &Op, descs: &[Desc]) -> f64 {
    let put = |(desc, bytes): &(Desc, Vec<u8>)| {
        let buf = alloc(device, desc.clone()).unwrap();
        device.upload(bytes, &buf, Stream::DEFAULT).unwrap();
        buf
    };
    let ins: Vec<Buf> = inputs(descs, 1).iter().map(put).collect();
    let outs = op
        .infer(descs)
        .unwrap()
        .into_iter()
        .map(|d| alloc(device, d).unwrap());
    let outs: Vec<Buf> = outs.collect();
    let scratch = match device.workspace(op, descs) {
        0 => None,
        n => Some(alloc(device, Desc::new(&[n.div_ceil(4)], DType::F32)).unwrap()),
    };
    let (ins, outs): (Vec<&Buf>, Vec<&Buf>) = (ins.iter().collect(), outs.iter().collect());
    let run = |times: u32| {
        let began = Instant::now();
        for _ in 0..times {
            device
                .run(op, &ins, &outs, scratch.as_ref(), Stream::DEFAULT)
                .unwrap();
        }
        device.sync(Stream::DEFAULT).unwrap();
        began.elapsed().as_secs_f64() / f64::from(times)
    };
    // As often as fits a tenth of a second, five times.
    let once = run(1).max(run(1)).max(1e-6);
    let times = (0.1 / once).clamp(1.0, 1000.0) as u32;
    let rounds = if once > 0.5 { 1 } else { 5 };
    (0..rounds)
        .map(|_| run(times))
        .fold(f64::INFINITY, f64::min)
}

#[test]
fn perf() {
    if std::env::var_os("DOPPEL_PERF").is_none_or(|v| v != "1") {
        println!("skipped: DOPPEL_PERF is not 1");
        return;
    }
    println!(
        "{:38}{:22}{:>12}{:>12}{:>10}",
        "", "device", "us", "GFLOP/s", "GB/s"
    );
    for device in devices() {
        let shapes: &[(usize, usize)] = match device.info().kind {
            "cuda" => &[(4096, 4096), (65_536, 512), (1000, 1001)],
            "cpu" => &[(1024, 512), (1000, 333)],
            _ => &[(96, 64)],
        };
        for &(rows, columns) in shapes {
            for (name, op, ins) in FLOATS
                .into_iter()
                .flat_map(|dtype| catalogue(rows, columns, dtype))
                .filter(|(_, op, ins)| device.supports(op, ins) == Support::Native)
            {
                let (seconds, cost) = (time(&*device, &op, &ins), op.cost(&ins).unwrap());
                println!(
                    "{:38}{:22}{:12.2}{:12.3}{:10.3}",
                    format!("{name} {rows}x{columns}"),
                    device.info().name,
                    seconds * 1e6,
                    cost.flops as f64 / seconds / 1e9,
                    cost.bytes as f64 / seconds / 1e9
                );
            }
        }
        search_perf(&device);
    }
}

/// The dense search, where the device has one: a full product and its choice.
fn search_perf(device: &Arc<dyn Device>) {
    let shapes: &[(usize, usize)] = match device.info().kind {
        "cuda" => &[(34_250, 512), (70_000, 1536)],
        _ => &[(256, 64)],
    };
    for &(rows, dims) in shapes {
        let ins = inputs(&[Desc::new(&[rows, dims], DType::F32)], 1);
        let buf = alloc(&**device, ins[0].0.clone()).unwrap();
        device.upload(&ins[0].1, &buf, Stream::DEFAULT).unwrap();
        let search = || device.topk_dense(&buf, None, 50, None, Stream::DEFAULT);
        if search().is_err() {
            return;
        }
        let began = Instant::now();
        search().unwrap();
        let seconds = began.elapsed().as_secs_f64();
        let flops = 2.0 * (rows * rows * dims) as f64;
        println!(
            "{:38}{:22}{:12.2}{:12.3}",
            format!("topk 50 {rows}x{dims}"),
            device.info().name,
            seconds * 1e6,
            flops / seconds / 1e9
        );
    }
}
