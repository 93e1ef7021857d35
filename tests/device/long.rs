//! Matrices of the engine's own lengths on the cards, against the naive twin: sums over thousands of
//! products, rings that go round many times, lists of thousands of rows. They take minutes, so that they
//! run where `DOPPEL_SIMT_LONG` is 1 alone (`cargo xtask simt long`).

use std::sync::Arc;
use std::time::Instant;

use doppel::device::{
    Act, CpuDevice, DType, Desc, Device, Epilogue, GpuDevice, NaiveDevice, Op, Stream, Support,
    Window, bytes_of, values_of,
};
use doppel::search::{TopK, dense};
use doppel::tensor::Matrix;

use crate::conv_sm90::{Case, conv};
use crate::gemm_sm90::{factors, full, gemm, simulated};
use crate::harness::{cards, compare, run, values};
use crate::margin::{KINDS, close, head, limit, margin, outs};
use crate::neighbours::{Rows, brute, same};
use crate::text::{Filled, attention, heads_of};

/// The cards of a long run, the simulated one as an Ampere and as a Hopper card; says so where there are
/// none.
fn long_cards() -> Vec<Arc<GpuDevice>> {
    if std::env::var_os("DOPPEL_SIMT_LONG").is_none_or(|v| v != "1") {
        println!("skipped: DOPPEL_SIMT_LONG is not 1 (cargo xtask simt long)");
        return Vec::new();
    }
    let mut all = cards();
    all.extend(simulated().map(|(_, card)| card));
    if all.is_empty() {
        println!("skipped: no card, and no simulated one");
    }
    all
}

fn in_half(ins: &Filled) -> Filled {
    let one = |(desc, bytes): &(Desc, Vec<u8>)| match desc.dtype {
        DType::F32 => {
            let half = bytes_of(&values_of(bytes, DType::F32), DType::F16);
            (Desc::new(&desc.dims, DType::F16), half)
        }
        _ => (desc.clone(), bytes.clone()),
    };
    ins.iter().map(one).collect()
}

/// `op` on every card against the naive twin.
fn check(cards: &[Arc<GpuDevice>], op: &Op, ins: &Filled, what: &str) {
    let descs: Vec<Desc> = ins.iter().map(|(d, _)| d.clone()).collect();
    let want = run(&NaiveDevice::default(), op, ins).unwrap();
    for card in cards {
        assert_eq!(card.supports(op, &descs), Support::Native, "{what}");
        let began = Instant::now();
        let have = run(&**card, op, ins).unwrap();
        let (seconds, arch) = (began.elapsed().as_secs_f64(), card.card().arch);
        let used = compare(op, ins, &have, &want, what);
        println!("{what} on sm_{arch}: {seconds:.2} s, {used:.2} of what is allowed");
    }
}

/// BERT-base's second product of a layer, and one that is thin and deeper still.
#[test]
fn products_of_thousands() {
    let cards = long_cards();
    if cards.is_empty() {
        return;
    }
    let ins = factors(full(Act::None), [136, 264, 3072], DType::F16, 5);
    check(
        &cards,
        &gemm(full(Act::None)),
        &ins,
        "gemm 136 x 264 x 3,072",
    );
    let ins = factors(Epilogue::BARE, [8, 136, 6144], DType::F16, 6);
    check(&cards, &gemm(Epilogue::BARE), &ins, "gemm 8 x 136 x 6,144");
    let single = |(desc, bytes): &(Desc, Vec<u8>)| {
        let values = values_of(bytes, desc.dtype);
        (
            Desc::new(&desc.dims, DType::F32),
            bytes_of(&values, DType::F32),
        )
    };
    let ins: Filled = factors(Epilogue::BARE, [40, 72, 3072], DType::F16, 7)
        .iter()
        .map(single)
        .collect();
    check(
        &cards,
        &gemm(Epilogue::BARE),
        &ins,
        "gemm f32 40 x 72 x 3,072",
    );
}

/// The last stages of ResNet, EfficientNet and NFNet: hundreds of channels on few pixels.
#[test]
fn convolutions_of_hundreds_of_channels() {
    let cards = long_cards();
    if cards.is_empty() {
        return;
    }
    let cases: [(Case, bool, &str); 4] = [
        (
            (1, 8, 9, 512, 136, Window::square(3, 1, 1), 1),
            false,
            "3x3, 512 channels",
        ),
        (
            (1, 8, 8, 1536, 72, Window::square(1, 1, 0), 1),
            true,
            "1x1 with a gate, 1,536 channels",
        ),
        (
            (1, 16, 15, 768, 768, Window::square(3, 2, 1), 12),
            false,
            "3x3, 12 groups of 64",
        ),
        (
            (2, 17, 16, 1152, 1152, Window::square(5, 1, 2), 1152),
            false,
            "5x5, 1,152 channels alone",
        ),
    ];
    for (case, gate, what) in &cases {
        let (op, ins) = conv(case, *gate, full(Act::Silu), DType::F16);
        check(&cards, &op, &ins, what);
    }
}

/// The longest titles that an encoder takes, and short ones beside them.
#[test]
fn attention_over_titles_of_512_tokens() {
    let cards = long_cards();
    if cards.is_empty() {
        return;
    }
    for (heads, width) in [(2, 64), (3, 32)] {
        let op = attention(heads, 1.0 / (width as f32).sqrt());
        let ins = in_half(&heads_of(heads, width, &[512, 77, 512, 1], 1.5, 9));
        let what = format!("attention of 512 tokens, {heads} heads of {width}");
        check(&cards, &op, &ins, &what);
    }
}

/// Rows in groups, so that scores lie close together where the lists end.
#[test]
fn the_nearest_of_two_thousand_rows() {
    let cards = long_cards();
    if cards.is_empty() {
        return;
    }
    let (rows, dims, k) = (2000, 512, 50);
    let mut data = values(rows * dims, 3);
    for i in 0..rows {
        let (first, noise) = (i / 40 * 40, i % 40);
        for t in 0..dims * usize::from(noise > 0) {
            let own = data[i * dims + t] * 0.02 * (noise / 4) as f32;
            data[i * dims + t] = data[first * dims + t] + own;
        }
    }
    let whole = Rows { dims, data };
    let x = Matrix::new(rows, dims, whole.data.clone()).unwrap();
    let opt = TopK { k, min_score: None };
    let want = dense(&x, &opt).unwrap();
    // What the CPU says is itself held against all pairs, for some rows.
    let some: Vec<usize> = (0..rows).step_by(97).collect();
    let queries: Vec<Vec<f32>> = some.iter().map(|&i| whole.row(i).to_vec()).collect();
    let book = brute(&Rows::new(&queries), &whole, k, None);
    let row = |i: usize| want.row(i).iter().collect::<Vec<(u32, f64)>>();
    for (&i, book) in some.iter().zip(&book) {
        assert_eq!(row(i), *book, "row {i}");
    }
    let all: Vec<Vec<(u32, f64)>> = (0..rows).map(row).collect();
    for card in cards {
        let buf = whole.put(&*card);
        let began = Instant::now();
        let lists = card
            .topk_dense(&buf, None, k, None, Stream::DEFAULT)
            .unwrap();
        let (seconds, arch) = (began.elapsed().as_secs_f64(), card.card().arch);
        same(&lists, &all, &format!("sm_{arch}"));
        println!("top-{k} of {rows} x {dims} on sm_{arch}: {seconds:.2} s");
    }
}

/// The published heads: 11,014 classes, batches of 8 and of 256, rows of 512.
#[test]
fn margins_over_all_classes() {
    let cards = long_cards();
    if cards.is_empty() {
        return;
    }
    let (rows, dims, classes) = (8, 512, 11_014);
    let half = |dims: &[usize], seed| {
        let bytes = bytes_of(&values(dims.iter().product(), seed), DType::F16);
        (Desc::new(dims, DType::F16), bytes)
    };
    let ins = vec![half(&[rows, dims], 1), half(&[classes, dims], 2)];
    check(&cards, &Op::RowProducts, &ins, "cosines of 11,014 classes");
    for kind in KINDS {
        let how = margin(kind, 0.5);
        let ins = head(&how, 256, classes, 4);
        let want = outs(&CpuDevice::default(), &Op::MarginLoss(how), &ins, 0);
        for card in &cards {
            let began = Instant::now();
            let have = outs(&**card, &Op::MarginLoss(how), &ins, 0);
            let (seconds, arch) = (began.elapsed().as_secs_f64(), card.card().arch);
            let what = format!("{kind:?} of 256 x 11,014 on sm_{arch}");
            close(&have[0], &want[0], 2.0 * limit(&how), &what);
            println!("{what}: {seconds:.2} s");
        }
    }
}
