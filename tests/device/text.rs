//! Operations on sequences: each on odd shapes and hard values in every form of the CPU's kernels, and
//! what they refuse.

use doppel::device::cpu::Kernel;
use doppel::device::{
    CpuDevice, DType, Desc, Device, NaiveDevice, Op, Scalar, bytes_of, values_of,
};
use doppel::error::Kind;

use crate::harness::{compare, run, run_at, values};

pub type Filled = Vec<(Desc, Vec<u8>)>;

pub const EPS: Scalar = Scalar::new(1e-12);
pub const NORM: Op = Op::LayerNorm { eps: EPS };

/// The CPU with each form of its kernels.
fn forms() -> Vec<CpuDevice> {
    let all = Kernel::available().into_iter();
    all.map(CpuDevice::with_kernel).collect()
}

pub fn floats(dims: &[usize], values: &[f32]) -> (Desc, Vec<u8>) {
    let desc = Desc::new(dims, DType::F32);
    assert_eq!(desc.len(), values.len());
    (desc, bytes_of(values, DType::F32))
}

pub fn words(values: &[u32]) -> (Desc, Vec<u8>) {
    let desc = Desc::new(&[values.len()], DType::U32);
    (desc, values.iter().flat_map(|v| v.to_le_bytes()).collect())
}

/// Seeded values times `by`.
pub fn seeded(dims: &[usize], seed: u64, by: f32) -> (Desc, Vec<u8>) {
    let mut all = values(dims.iter().product(), seed);
    all.iter_mut().for_each(|v| *v *= by);
    floats(dims, &all)
}

pub fn offsets(lengths: &[usize]) -> (Desc, Vec<u8>) {
    let mut all = vec![0];
    for &n in lengths {
        all.push(all[all.len() - 1] + n as u32);
    }
    words(&all)
}

/// Every form, aligned and not, against the naive twin; gives the first form's bytes.
fn check(op: &Op, ins: &Filled) -> Vec<u8> {
    let want = run(&NaiveDevice::default(), op, ins).unwrap();
    let mut first = Vec::new();
    for (i, (kernel, cpu)) in Kernel::available().iter().zip(forms()).enumerate() {
        let have = run(&cpu, op, ins).unwrap();
        compare(op, ins, &have, &want, kernel.name());
        let shifted = run_at(&cpu, op, ins, 4).unwrap();
        assert_eq!(have, shifted, "{} at another address", kernel.name());
        if i == 0 {
            first = have[0].1.clone();
        }
    }
    first
}

pub fn attention(heads: usize, scale: f32) -> Op {
    let scale = Scalar::new(scale);
    Op::Attention { heads, scale }
}

/// q, k and v of `by` times the usual size, over sequences of `lengths`.
pub fn heads_of(heads: usize, width: usize, lengths: &[usize], by: f32, seed: u64) -> Filled {
    let dims = [lengths.iter().sum(), heads * width];
    vec![
        seeded(&dims, seed, by),
        seeded(&dims, seed + 1, by),
        seeded(&dims, seed + 2, 1.0),
        offsets(lengths),
    ]
}

pub const LENGTHS: [usize; 10] = [0, 1, 2, 15, 16, 17, 31, 64, 130, 3];

#[test]
fn attention_on_odd_heads_and_lengths() {
    for (i, (heads, width)) in [
        (1, 1),
        (1, 5),
        (3, 8),
        (12, 3),
        (3, 16),
        (1, 17),
        (12, 32),
        (3, 33),
        (1, 40),
        (3, 64),
        (1, 100),
    ]
    .into_iter()
    .enumerate()
    {
        let op = attention(heads, 1.0 / (width as f32).sqrt());
        let ins = heads_of(heads, width, &LENGTHS, 1.5, 7 * i as u64);
        check(&op, &ins);
    }
}

#[test]
fn attention_over_a_long_sequence() {
    for (heads, width) in [(2, 32), (1, 64)] {
        let op = attention(heads, 1.0 / (width as f32).sqrt());
        check(&op, &heads_of(heads, width, &[512], 2.0, 3));
    }
}

#[test]
fn attention_with_scores_of_all_sizes() {
    let lengths = [5, 33, 1];
    for (i, by) in [0.0, 1e-20, 1e-3, 5.0, 30.0].into_iter().enumerate() {
        for scale in [0.18, -0.18, 0.0] {
            let ins = heads_of(3, 20, &lengths, by, i as u64);
            check(&attention(3, scale), &ins);
        }
    }
    // Scores of 80 and -80, and one that dominates all others.
    let rows = 20;
    let key = |r: usize| match r {
        7 => 90.0,
        r if r % 2 == 0 => 80.0,
        _ => -80.0,
    };
    for top in [7, rows] {
        let k: Vec<f32> = (0..rows)
            .map(|r| if r == 7 && top != 7 { 80.0 } else { key(r) })
            .collect();
        let q: Vec<f32> = (0..rows)
            .map(|r| if r % 3 == 0 { -1.0 } else { 1.0 })
            .collect();
        let v = values(rows, 4);
        let ins = vec![
            floats(&[rows, 1], &q),
            floats(&[rows, 1], &k),
            floats(&[rows, 1], &v),
            offsets(&[rows]),
        ];
        let have = values_of(&check(&attention(1, 1.0), &ins), DType::F32);
        if top == 7 {
            let (y, want) = (have[1], f64::from(v[7]));
            assert!((f64::from(y) - want).abs() < 1e-3, "{y} is not near {want}");
        }
    }
    // Scores of 10^5, far beyond what the exponential holds.
    let q = vec![1e3; rows];
    let k: Vec<f32> = (0..rows).map(|r| r as f32 * 10.0).collect();
    let v = values(rows, 5);
    let ins = vec![
        floats(&[rows, 1], &q),
        floats(&[rows, 1], &k),
        floats(&[rows, 1], &v),
        offsets(&[rows]),
    ];
    let have = values_of(&check(&attention(1, 1.0), &ins), DType::F32);
    assert_eq!(have, vec![v[rows - 1]; rows]);
}

#[test]
fn a_nan_stays_in_its_row() {
    let (rows, width) = (21, 6);
    let ins = heads_of(2, width, &[4, rows - 4], 1.0, 1);
    let mut bad = ins.clone();
    let at = 4 * (7 * 2 * width + 3);
    bad[0].1[at..at + 4].copy_from_slice(&f32::NAN.to_le_bytes());
    for cpu in forms() {
        let op = attention(2, 0.4);
        let clean = values_of(&run(&cpu, &op, &ins).unwrap()[0].1, DType::F32);
        let have = values_of(&run(&cpu, &op, &bad).unwrap()[0].1, DType::F32);
        for (i, (a, b)) in have.iter().zip(&clean).enumerate() {
            let hit = i / (2 * width) == 7 && i % (2 * width) < width;
            assert!(if hit { a.is_nan() } else { a == b }, "{i}: {a} for {b}");
        }
        let mut x = ins[0].clone();
        x.1[at..at + 4].copy_from_slice(&f32::NAN.to_le_bytes());
        let weights = seeded(&[2 * width], 3, 1.0);
        let y = run(&cpu, &NORM, &[x, weights.clone(), weights]).unwrap();
        let y = values_of(&y[0].1, DType::F32);
        let rows = y.chunks_exact(2 * width).enumerate();
        for (r, row) in rows {
            assert!(row.iter().all(|v| v.is_nan() == (r == 7)), "{r}: {row:?}");
        }
    }
}

#[test]
fn a_sequence_does_not_depend_on_its_neighbours() {
    let lengths = [3, 0, 64, 17, 31, 17, 130, 1, 16];
    let starts: Vec<usize> = (0..lengths.len())
        .map(|i| lengths[..i].iter().sum())
        .collect();
    for (heads, width) in [(12, 32), (3, 17), (2, 64)] {
        let n = heads * width;
        let op = attention(heads, 0.2);
        let ins = heads_of(heads, width, &lengths, 1.5, 11);
        for cpu in forms() {
            let all = run(&cpu, &op, &ins).unwrap().remove(0).1;
            let means = run(&cpu, &Op::SegmentMean, &[ins[0].clone(), ins[3].clone()]);
            let means = means.unwrap().remove(0).1;
            for (i, (&start, &len)) in starts.iter().zip(&lengths).enumerate() {
                let part = |bytes: &[u8]| bytes[4 * n * start..][..4 * n * len].to_vec();
                let desc = Desc::new(&[len, n], DType::F32);
                let mut one: Filled = ins[..3]
                    .iter()
                    .map(|(_, b)| (desc.clone(), part(b)))
                    .collect();
                one.push(offsets(&[len]));
                let single = run(&cpu, &op, &one).unwrap();
                assert_eq!(single[0].1, part(&all), "sequence {i}");
                let mean = run(&cpu, &Op::SegmentMean, &[one[0].clone(), one[3].clone()]).unwrap();
                assert_eq!(mean[0].1, means[4 * n * i..][..4 * n], "mean {i}");
            }
        }
    }
}

/// Every operation at a size that several threads share.
fn large() -> Vec<(Op, Filled)> {
    let lengths: Vec<usize> = (0..40).map(|i| i * 37 % 90).collect();
    let (rows, n) = (lengths.iter().sum::<usize>(), 384);
    let x = heads_of(12, 32, &lengths, 1.0, 5);
    let weights = [seeded(&[n], 21, 1.0), seeded(&[n], 22, 1.0)];
    let which = |count: usize, by: usize| -> Vec<u32> {
        (0..rows).map(|i| (i * by % count) as u32).collect()
    };
    let (tokens, places) = (words(&which(500, 77)), words(&which(90, 1)));
    let tables = [seeded(&[500, n], 31, 1.0), seeded(&[90, n], 32, 1.0)];
    let [first, second] = tables.clone();
    let [gamma, beta] = weights.clone();
    let embed = Op::Embed {
        tables: 2,
        eps: EPS,
    };
    let [g, b] = weights;
    vec![
        (attention(12, 0.18), x.clone()),
        (Op::SegmentMean, vec![x[0].clone(), x[3].clone()]),
        (NORM, vec![x[0].clone(), g, b]),
        (Op::Lookup, vec![first.clone(), tokens.clone()]),
        (embed, vec![first, second, tokens, places, gamma, beta]),
    ]
}

#[test]
fn the_number_of_threads_changes_no_bit() {
    let pool = |threads: usize| {
        let builder = rayon::ThreadPoolBuilder::new().num_threads(threads);
        builder.build().unwrap()
    };
    for (op, ins) in large() {
        for cpu in forms() {
            let on = |threads: usize| pool(threads).install(|| run(&cpu, &op, &ins).unwrap());
            let one = on(1);
            assert_eq!(one, on(2), "{op:?}");
            assert_eq!(one, on(3), "{op:?}");
        }
    }
}

#[test]
fn rows_do_not_depend_on_their_neighbours() {
    for (op, ins) in large().into_iter().skip(2) {
        for cpu in forms() {
            let all = run(&cpu, &op, &ins).unwrap().remove(0);
            let n = all.0.dims[1];
            for row in [0, 1, 777, all.0.dims[0] - 1] {
                let one: Filled = ins
                    .iter()
                    .enumerate()
                    .map(|(i, (d, b))| match (op.is_index(i), op == NORM && i == 0) {
                        (true, _) => (Desc::new(&[1], d.dtype), b[4 * row..][..4].to_vec()),
                        (_, true) => (
                            Desc::new(&[1, n], d.dtype),
                            b[4 * n * row..][..4 * n].to_vec(),
                        ),
                        _ => (d.clone(), b.clone()),
                    })
                    .collect();
                let single = run(&cpu, &op, &one).unwrap();
                assert_eq!(single[0].1, all.1[4 * n * row..][..4 * n], "{op:?}");
            }
        }
    }
}

pub const WIDTHS: [usize; 11] = [1, 2, 5, 8, 15, 16, 33, 64, 100, 384, 1024];

#[test]
fn layer_norms_on_odd_rows() {
    for (i, n) in WIDTHS.into_iter().enumerate() {
        for eps in [1e-12, 1e-5, 0.3] {
            let op = Op::LayerNorm {
                eps: Scalar::new(eps),
            };
            for (by, add) in [(1.0, 0.0), (1e-3, 100.0), (1e6, -5e6), (1e-9, 0.0)] {
                let mut x = values(7 * n, i as u64);
                x.iter_mut().for_each(|v| *v = *v * by + add);
                // A row of equal values, and one of zeros.
                x[2 * n..3 * n].fill(0.1);
                x[4 * n..5 * n].fill(0.0);
                let ins = vec![
                    floats(&[7, n], &x),
                    seeded(&[n], 50, 1.0),
                    seeded(&[n], 51, 1.0),
                ];
                check(&op, &ins);
            }
        }
    }
}

/// Values whose mean f32 does not hold exactly, and whose squares it does not hold at all.
#[test]
fn layer_norms_of_hard_rows() {
    for n in WIDTHS {
        let ones = || floats(&[n], &vec![1.0; n]);
        let beta = values(n, 8);
        let op = |eps: f32| Op::LayerNorm {
            eps: Scalar::new(eps),
        };
        let equal = [1000.1f32, -3.3e7, 1e-20, 3e38, 7.0 / 3.0];
        let x: Vec<f32> = equal.iter().flat_map(|&v| vec![v; n]).collect();
        let ins = vec![floats(&[5, n], &x), ones(), floats(&[n], &beta)];
        for cpu in forms() {
            let y = values_of(&run(&cpu, &op(1e-12), &ins).unwrap()[0].1, DType::F32);
            for (i, (y, b)) in y.iter().zip(beta.iter().cycle()).enumerate() {
                assert!((y - b).abs() < 1e-4, "{n}, {i}: {y} is not {b}");
            }
        }
        // What f32 cannot square, with nothing to hide it.
        for by in [3e37, 1e-30, 1e-38] {
            let x: Vec<f32> = (0..3 * n).map(|i| by * (1.0 + (i % 7) as f32)).collect();
            let ins = vec![floats(&[3, n], &x), ones(), floats(&[n], &beta)];
            let eps = if n == 1 { 1e-6 } else { 0.0 };
            let want = run(&NaiveDevice::default(), &op(eps), &ins).unwrap();
            let want = values_of(&want[0].1, DType::F32);
            for cpu in forms() {
                let y = values_of(&run(&cpu, &op(eps), &ins).unwrap()[0].1, DType::F32);
                for (y, want) in y.iter().zip(&want) {
                    assert!((y - want).abs() < 1e-5, "{n}, {by}: {y} is not {want}");
                }
            }
        }
    }
}

/// Tables of several sizes, rows that repeat, and the ends of a table.
pub fn embedding(tables: usize, n: usize, m: usize) -> (Op, Filled) {
    let sizes = [11, 1, 40];
    let mut ins: Filled = (0..tables)
        .map(|t| seeded(&[sizes[t], n], t as u64, 1.0 + t as f32))
        .collect();
    for (t, &size) in sizes[..tables].iter().enumerate() {
        let row = |i: usize| match i {
            0 => size - 1,
            i => i * (t + 3) % size,
        };
        ins.push(words(&(0..m).map(|i| row(i) as u32).collect::<Vec<_>>()));
    }
    ins.extend([seeded(&[n], 60, 1.0), seeded(&[n], 61, 1.0)]);
    (Op::Embed { tables, eps: EPS }, ins)
}

#[test]
fn lookups_and_embeddings_on_odd_rows() {
    for n in WIDTHS {
        for m in [0, 1, 9] {
            for tables in 1..=3 {
                let (op, ins) = embedding(tables, n, m);
                check(&op, &ins);
            }
            let (_, ins) = embedding(1, n, m);
            let have = check(&Op::Lookup, &ins[..2].to_vec());
            let want: Vec<u8> = ins[1]
                .1
                .chunks_exact(4)
                .flat_map(|w| ins[0].1[4 * n * w[0] as usize..][..4 * n].to_vec())
                .collect();
            assert_eq!(have, want, "a lookup copies");
        }
    }
}

#[test]
fn an_embedding_is_a_layer_norm_over_sums_of_lookups_bit_for_bit() {
    for n in WIDTHS {
        let (op, ins) = embedding(3, n, 9);
        for cpu in forms() {
            let one = run(&cpu, &op, &ins).unwrap();
            let part = |t: usize| {
                run(&cpu, &Op::Lookup, &[ins[t].clone(), ins[3 + t].clone()])
                    .unwrap()
                    .remove(0)
            };
            let sum = run(&cpu, &Op::Add, &[part(0), part(1)]).unwrap().remove(0);
            let sum = run(&cpu, &Op::Add, &[sum, part(2)]).unwrap().remove(0);
            let apart = run(&cpu, &NORM, &[sum, ins[6].clone(), ins[7].clone()]).unwrap();
            assert_eq!(one, apart, "{n}");
        }
    }
}

#[test]
fn means_of_sequences() {
    for n in WIDTHS {
        let rows: usize = LENGTHS.iter().sum();
        let x = seeded(&[rows, n], n as u64, 3.0);
        let have = check(&Op::SegmentMean, &vec![x.clone(), offsets(&LENGTHS)]);
        // The empty sequence.
        assert!(have[..4 * n].iter().all(|&b| b == 0));
        let one = vec![x.clone(), offsets(&[rows])];
        check(&Op::SegmentMean, &one);
    }
    let nothing = vec![floats(&[0, 4], &[]), words(&[0])];
    assert!(check(&Op::SegmentMean, &nothing).is_empty());
    let empty = vec![floats(&[0, 4], &[]), words(&[0, 0, 0])];
    assert_eq!(check(&Op::SegmentMean, &empty), [0; 32]);
}

#[test]
fn nothing_is_a_batch() {
    let none = floats(&[0, 6], &[]);
    for ends in [&[0][..], &[0, 0, 0]] {
        let ins = vec![none.clone(), none.clone(), none.clone(), words(ends)];
        assert!(check(&attention(2, 1.0), &ins).is_empty());
    }
    let weights = [seeded(&[6], 1, 1.0), seeded(&[6], 2, 1.0)];
    let [gamma, beta] = weights;
    assert!(check(&NORM, &vec![none, gamma, beta]).is_empty());
}

#[test]
fn half_precision_runs_too() {
    let mut cases = large();
    cases.truncate(5);
    for (op, ins) in cases {
        // Fewer rows: this is the naive loop.
        let keep = |(d, b): &(Desc, Vec<u8>)| match d.dtype {
            DType::U32 => (d.clone(), b.clone()),
            _ => {
                let values = values_of(b, DType::F32);
                let half = Desc::new(&d.dims, DType::F16);
                (half, bytes_of(&values, DType::F16))
            }
        };
        if matches!(op, Op::Attention { .. }) {
            continue;
        }
        let ins: Filled = ins.iter().map(keep).collect();
        let have = run(&CpuDevice::default(), &op, &ins).unwrap();
        let want = run(&NaiveDevice::default(), &op, &ins).unwrap();
        assert_eq!(have[0].0.dtype, DType::F16);
        assert_eq!(have, want, "{op:?}");
    }
    let ins = heads_of(2, 9, &[3, 12], 1.0, 2);
    let half = |(d, b): &(Desc, Vec<u8>)| match d.dtype {
        DType::U32 => (d.clone(), b.clone()),
        _ => (
            Desc::new(&d.dims, DType::F16),
            bytes_of(&values_of(b, DType::F32), DType::F16),
        ),
    };
    let ins: Filled = ins.iter().map(half).collect();
    let op = attention(2, 0.3);
    let have = run(&CpuDevice::default(), &op, &ins).unwrap();
    assert_eq!(have, run(&NaiveDevice::default(), &op, &ins).unwrap());
}

/// The devices that refuse rows and offsets by their values.
fn hosts() -> Vec<Box<dyn Device>> {
    let mut all: Vec<Box<dyn Device>> = vec![Box::new(NaiveDevice::default())];
    all.extend(forms().into_iter().map(|d| Box::new(d) as Box<dyn Device>));
    all
}

#[test]
fn rows_that_a_table_does_not_have_are_errors() {
    for device in hosts() {
        for bad in [11, 12, u32::MAX] {
            let (_, mut ins) = embedding(1, 5, 9);
            ins[1] = words(&[0, 3, bad, 1]);
            let error = run(&*device, &Op::Lookup, &ins[..2]).unwrap_err();
            assert_eq!(error.kind(), Kind::Input, "{error}");
            let line = error.to_string();
            assert!(
                line.contains(&bad.to_string()) && line.contains("11"),
                "{line}"
            );
            assert!(line.contains("lookup") && !line.contains('\n'), "{line}");
        }
        let (op, mut ins) = embedding(2, 5, 3);
        ins[3] = words(&[0, 1, 0]);
        let error = run(&*device, &op, &ins).unwrap_err();
        assert_eq!(error.kind(), Kind::Input, "{error}");
        assert!(error.to_string().contains("embed"), "{error}");
        // A table without rows has none.
        let ins = [floats(&[0, 3], &[]), words(&[0])];
        assert!(run(&*device, &Op::Lookup, &ins).is_err());
    }
}

#[test]
fn offsets_that_do_not_rise_over_all_rows_are_errors() {
    let x = seeded(&[6, 4], 1, 1.0);
    let cases: [&[u32]; 6] = [
        &[0, 5],
        &[0, 7],
        &[1, 6],
        &[0, 4, 3, 6],
        &[0, u32::MAX, 6],
        &[6],
    ];
    for device in hosts() {
        for bad in cases {
            let mean = [x.clone(), words(bad)];
            let qkv = [x.clone(), x.clone(), x.clone(), words(bad)];
            for (op, ins) in [(Op::SegmentMean, &mean[..]), (attention(2, 1.0), &qkv[..])] {
                let error = run(&*device, &op, ins).unwrap_err();
                assert_eq!(error.kind(), Kind::Input, "{bad:?}: {error}");
                let line = error.to_string();
                assert!(
                    line.contains(op.name()) && line.contains("6 rows"),
                    "{line}"
                );
            }
        }
    }
}

#[test]
fn wrong_inputs_are_errors_that_carry_the_shapes() {
    let f = |dims: &[usize]| Desc::new(dims, DType::F32);
    let u = |n: usize| Desc::new(&[n], DType::U32);
    let embed = |tables| Op::Embed { tables, eps: EPS };
    let (x, v) = (f(&[6, 4]), f(&[4]));
    let qkv = |offsets: Desc| vec![x.clone(), x.clone(), x.clone(), offsets];
    let cases = [
        (Op::Lookup, vec![v.clone(), u(3)], "[4]"),
        (
            Op::Lookup,
            vec![x.clone(), Desc::new(&[3, 1], DType::U32)],
            "[6, 4] and [3, 1]",
        ),
        (NORM, vec![v.clone(), v.clone(), v.clone()], "[4]"),
        (NORM, vec![x.clone(), v.clone(), f(&[6])], "[6, 4] and [6]"),
        (NORM, vec![f(&[6, 0]), f(&[0]), f(&[0])], "[6, 0]"),
        (
            embed(1),
            vec![x.clone(), u(3), v.clone(), f(&[3])],
            "[3, 4] and [3]",
        ),
        (
            embed(2),
            vec![x.clone(), f(&[9, 5]), u(3), u(3), v.clone(), v.clone()],
            "[3, 4] and [3, 5]",
        ),
        (
            embed(2),
            vec![x.clone(), x.clone(), u(3), u(2), v.clone(), v.clone()],
            "[3, 4] and [2, 4]",
        ),
        (
            attention(2, 1.0),
            vec![x.clone(), f(&[5, 4]), x.clone(), u(2)],
            "[6, 4] and [5, 4]",
        ),
        (
            attention(2, 1.0),
            vec![x.clone(), x.clone(), f(&[6, 5]), u(2)],
            "[6, 4] and [6, 5]",
        ),
        (attention(3, 1.0), qkv(u(2)), "[6, 4] and [3]"),
        (attention(0, 1.0), qkv(u(2)), "[6, 4] and [0]"),
        (attention(2, 1.0), qkv(u(0)), "[6, 4] and [0]"),
        (
            attention(2, 1.0),
            qkv(Desc::new(&[2, 1], DType::U32)),
            "[6, 4] and [2, 1]",
        ),
        (
            attention(2, 1.0),
            vec![v.clone(), v.clone(), v.clone(), u(2)],
            "[4]",
        ),
        (Op::SegmentMean, vec![x.clone(), u(0)], "[6, 4] and [0]"),
        (Op::SegmentMean, vec![v.clone(), u(2)], "[4]"),
    ];
    for (op, ins, shapes) in cases {
        let error = op.infer(&ins).unwrap_err();
        assert_eq!(error.kind(), Kind::Shape, "{op:?}: {error}");
        let line = error.to_string();
        assert!(line.contains(op.name()) && line.contains(shapes), "{line}");
    }
    // Floats where rows belong, rows where floats belong, and two kinds of floats.
    let half = Desc::new(&[6, 4], DType::F16);
    let rows = Desc::new(&[6, 4], DType::U32);
    let types = [
        (Op::Lookup, vec![x.clone(), f(&[3])]),
        (Op::Lookup, vec![rows.clone(), u(3)]),
        (Op::SegmentMean, vec![x.clone(), f(&[3])]),
        (NORM, vec![x.clone(), v.clone(), u(4)]),
        (NORM, vec![half.clone(), v.clone(), v.clone()]),
        (embed(1), vec![x.clone(), f(&[3]), v.clone(), v.clone()]),
        (embed(1), vec![u(3), x.clone(), v.clone(), v.clone()]),
        (attention(2, 1.0), qkv(f(&[2]))),
        (attention(2, 1.0), vec![x.clone(), half, x.clone(), u(2)]),
    ];
    for (op, ins) in types {
        let error = op.infer(&ins).unwrap_err();
        assert_eq!(error.kind(), Kind::Unsupported, "{op:?}: {error}");
        assert!(error.to_string().contains(op.name()), "{error}");
    }
    let counts = [
        (Op::Lookup, vec![x.clone()]),
        (embed(0), vec![v.clone(), v.clone()]),
        (embed(2), vec![x.clone(), u(3), v.clone(), v.clone()]),
        (NORM, vec![x.clone(), v]),
        (attention(2, 1.0), vec![x.clone(), x, u(2)]),
    ];
    for (op, ins) in counts {
        let error = op.infer(&ins).unwrap_err();
        assert_eq!(error.kind(), Kind::Internal, "{op:?}: {error}");
    }
}
