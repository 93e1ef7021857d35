//! One harness for every operation and device: inputs that are not boring, sentinels around the
//! outputs, one rule of tolerance, and the modes test, grad, support and perf.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use doppel::device::gpu::driver_simt::SimtDriver;
use doppel::device::{
    Act, Buf, CpuDevice, DType, Desc, Device, Epilogue, GpuDevice, NaiveDevice, Op, Stream,
    Support, alloc, bytes_of, values_of,
};

use crate::bounds;

/// How far a device's result may be from the naive twin's: rounding when it is stored, and what a
/// sum of `terms` products may lose in f32 before that. `size` is the result on absolute inputs, so
/// the sum's bound is the classical one, `terms * 2^-24 * sum |a||b|` (Higham, Accuracy and Stability,
/// 3.5); activations of the catalogue stretch an error by at most 1.13.
pub fn allowed(dtype: DType, terms: usize, value: f64, size: f64) -> f64 {
    // Both results were rounded when they were stored: half a unit in the last place each, and half the
    // smallest subnormal each.
    let (unit, least) = rounding(dtype);
    let stored = 2.0 * unit * value.abs() + least;
    // Exponentials and divisions of the pointwise operations are good to a few units.
    1.13 * (terms as f64 + 4.0) * 2f64.powi(-24) * size + 1.01 * stored
}

/// What a card's `conv::Paired` (kernels/conv/strip.h) may lose beyond sums in f32: the share of the sum of
/// absolute products, and what is lost where a sum has left the normal range of halves, before the scale.
///
/// A row of `k` products is a chain of `k` roundings to half precision: at step i the error is at most
/// u = 2^-11 of the sum so far, which is at most the row's sum of absolute products (1 + u)^i. Their sum
/// is at most k u / (1 - k u) of it (Higham, 3.1); below 2^-14 each rounding loses 2^-25 at most. Rows are
/// summed in f32.
pub fn paired(kernel: usize) -> (f64, f64) {
    let (k, u) = (kernel as f64, 2f64.powi(-11));
    (k * u / (1.0 - k * u), k * k * 2f64.powi(-25))
}

/// Whether cards run a convolution on `conv::Paired`: 5x5, one filter a channel, in f16.
fn in_pairs(op: &Op, ins: &[(Desc, Vec<u8>)]) -> bool {
    let (Op::Conv { window, groups, .. } | Op::ConvAverage { window, groups, .. }) = *op else {
        return false;
    };
    let (x, filters) = (&ins[0].0, &ins[1].0.dims);
    let each = groups > 1 && filters[..2] == [groups, 1] && groups.is_multiple_of(8);
    let step = window.stride == [1; 2] || window.stride == [2; 2];
    x.dtype == DType::F16 && each && step && window.kernel == [5; 2]
}

/// What a card may lose in pairs of halves, of a result's size and beside it.
fn slip(op: &Op, ins: &[(Desc, Vec<u8>)]) -> (f64, f64) {
    let (Op::Conv { epilogue, .. } | Op::ConvAverage { epilogue, .. }) = *op else {
        return (0.0, 0.0);
    };
    if !in_pairs(op, ins) {
        return (0.0, 0.0);
    }
    let (share, least) = paired(5);
    let scale = match epilogue.scale {
        true => values_of(&ins[2].1, ins[2].0.dtype)
            .iter()
            .fold(0.0, |m: f32, v| m.max(v.abs())),
        false => 1.0,
    };
    (1.13 * share, 1.13 * least * f64::from(scale))
}

/// The unit roundoff of a type, half the distance from 1 to the next number, and its smallest subnormal.
pub fn rounding(dtype: DType) -> (f64, f64) {
    let (unit, least) = match dtype {
        DType::F16 => (-11, -24),
        DType::BF16 => (-8, -133),
        DType::F32 => (-24, -149),
        DType::U32 => return (0.0, 0.0),
    };
    (2f64.powi(unit), 2f64.powi(least))
}

/// The floating types in which a card stores values.
pub const FLOATS: [DType; 3] = [DType::F16, DType::BF16, DType::F32];
/// Those of 16 bits.
pub const SHORTS: [DType; 2] = [DType::F16, DType::BF16];

/// How many products one result of `op` sums.
fn terms(op: &Op, ins: &[Desc]) -> usize {
    if let Some(terms) = bounds::terms(op, ins) {
        return terms;
    }
    match *op {
        Op::Gemm { trans_a, .. } => ins[0].dims[usize::from(!trans_a)],
        Op::ColumnSum | Op::ColumnDot => ins[0].dims[0],
        Op::RowNormalize | Op::RowProducts | Op::SoftmaxCrossEntropy => ins[0].dims[1],
        // In 16 bits a gated value is rounded as if it were stored: one unit roundoff of each product, in
        // units of f32's.
        Op::Conv { gate, .. } => {
            let rounded = match (gate, ins[0].dtype) {
                (false, _) | (_, DType::F32 | DType::U32) => 0,
                (true, DType::F16) => 1 << 13,
                (true, DType::BF16) => 1 << 16,
            };
            ins[1].dims[1..].iter().product::<usize>() + rounded
        }
        Op::Standardize { .. } => ins[0].dims[1..].iter().product(),
        Op::Pool { window, .. } => window.kernel[0] * window.kernel[1],
        Op::GlobalAverage => ins[0].dims[1] * ins[0].dims[2],
        // Powers are good to some units: what is lost in a logarithm is multiplied by the exponent.
        Op::GlobalGem { .. } => ins[0].dims[1] * ins[0].dims[2] + 16,
        Op::ChannelConv => ins[1].len(),
        _ => 1,
    }
}

/// The size of what `op` sums: its result on absolute inputs without the activation, at least the
/// largest input where the operation is pointwise.
fn sizes(op: &Op, ins: &[(Desc, Vec<u8>)]) -> Vec<Vec<f64>> {
    if let Some(sizes) = bounds::sizes(op, ins) {
        return vec![sizes];
    }
    let linear = match *op {
        Op::Gemm {
            trans_a,
            trans_b,
            epilogue,
        } => Op::Gemm {
            trans_a,
            trans_b,
            epilogue: Epilogue {
                act: Act::None,
                ..epilogue
            },
        },
        Op::Conv {
            window,
            groups,
            gate,
            epilogue,
        } => Op::Conv {
            window,
            groups,
            gate,
            epilogue: Epilogue {
                act: Act::None,
                ..epilogue
            },
        },
        Op::Activation(_) => Op::Activation(Act::None),
        Op::ActivationGrad(_) => Op::ActivationGrad(Act::None),
        Op::Affine { .. } => Op::Affine { act: Act::None },
        Op::Gated {
            factor, residual, ..
        } => Op::Gated {
            factor,
            residual,
            act: Act::None,
        },
        other => other,
    };
    let mut absolute: Vec<(Desc, Vec<u8>)> = ins
        .iter()
        .map(|(d, b)| match d.dtype {
            DType::U32 => (d.clone(), b.clone()),
            t => {
                let values: Vec<f32> = values_of(b, t).iter().map(|v| v.abs()).collect();
                (
                    Desc::new(&d.dims, DType::F32),
                    bytes_of(&values, DType::F32),
                )
            }
        })
        .collect();
    if matches!(op, Op::BatchNorm { .. }) {
        // The mean is subtracted: its size adds to that of x.
        let (desc, bytes) = &absolute[3];
        let less: Vec<f32> = values_of(bytes, DType::F32).iter().map(|v| -v).collect();
        absolute[3] = (desc.clone(), bytes_of(&less, DType::F32));
    }
    let most = absolute[0]
        .1
        .chunks_exact(4)
        .map(|w| f32::from_le_bytes([w[0], w[1], w[2], w[3]]));
    let most = f64::from(most.fold(0.0, f32::max));
    let summed = matches!(
        op,
        Op::Gemm { .. } | Op::Conv { .. } | Op::RowProducts | Op::ColumnSum | Op::ColumnDot
    );
    run(&NaiveDevice::default(), &linear, &absolute)
        .unwrap()
        .iter()
        .map(|(d, b)| {
            let floor = if summed { 0.0 } else { 1.0 + most };
            values_of(b, d.dtype)
                .iter()
                .map(|&v| f64::from(v.abs()).max(floor))
                .collect()
        })
        .collect()
}

/// The devices of this run. Those that are not there are named, and count as skipped.
pub fn devices() -> Vec<Arc<dyn Device>> {
    let mut all: Vec<Arc<dyn Device>> = vec![
        Arc::new(CpuDevice::default()),
        Arc::new(NaiveDevice::default()),
    ];
    all.extend(cards().into_iter().map(|card| card as Arc<dyn Device>));
    all
}

/// The cards of this run: the simulated one that `DOPPEL_SIMT` names, and the first real one.
pub fn cards() -> Vec<Arc<GpuDevice>> {
    simulated().into_iter().chain(real()).collect()
}

/// The first real card, one for all tests of the process.
#[cfg(feature = "cuda")]
fn real() -> Option<Arc<GpuDevice>> {
    use doppel::device::gpu::{CudaDriver, probe};
    static CARD: OnceLock<Option<Arc<GpuDevice>>> = OnceLock::new();
    let open = || Arc::new(GpuDevice::new(Arc::new(CudaDriver::open(0).unwrap())));
    let card = CARD.get_or_init(|| probe(0).is_ok().then(open)).clone();
    if card.is_none() {
        println!("not here: a CUDA device; the others are tested");
    }
    card
}

#[cfg(not(feature = "cuda"))]
fn real() -> Option<Arc<GpuDevice>> {
    println!("not here: a CUDA device (built without the feature `cuda`); the others are tested");
    None
}

/// The simulated card's driver, one for all tests of the process.
pub fn simulated_driver() -> Option<Arc<SimtDriver>> {
    static DRIVER: OnceLock<Option<Arc<SimtDriver>>> = OnceLock::new();
    let open = || match SimtDriver::from_env().unwrap() {
        Some(driver) => Some(Arc::new(driver)),
        None if std::env::var_os("DOPPEL_SIMT_REQUIRED").is_some_and(|v| v == "1") => {
            panic!("DOPPEL_SIMT names no library, and DOPPEL_SIMT_REQUIRED is 1")
        }
        None => None,
    };
    let driver = DRIVER.get_or_init(open).clone();
    if driver.is_none() {
        println!("not here: the simulated card (cargo xtask simt); the others are tested");
    }
    driver
}

/// Whether the simulated card is the slow one, with the race detector: races do not depend on values
/// and epilogues, so that a part of the cases will do.
pub fn light() -> bool {
    std::env::var_os("DOPPEL_SIMT").is_some()
        && simulated_driver().is_some_and(|driver| driver.build() == "tsan")
}

/// Whether the simulated card looks for errors of memory or races, and is slow.
pub fn sanitized() -> bool {
    std::env::var_os("DOPPEL_SIMT").is_some()
        && simulated_driver().is_some_and(|driver| driver.build() != "plain")
}

/// All cases, or the first alone where runs are slow.
pub fn thin<T>(cases: Vec<T>) -> impl Iterator<Item = T> {
    let kept = if light() { 1 } else { cases.len() };
    cases.into_iter().take(kept)
}

fn simulated() -> Option<Arc<GpuDevice>> {
    simulated_driver().map(|driver| Arc::new(GpuDevice::new(driver)))
}

/// Values that show mistakes: a counter-based spread in [-1, 1) with outliers, zeros and tiny ones.
pub fn values(n: usize, seed: u64) -> Vec<f32> {
    (0..n as u64)
        .map(|i| {
            let mut z = (i + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15)
                ^ seed.wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            let x = ((z >> 40) as f32 / (1u64 << 23) as f32) - 1.0;
            match z % 97 {
                0 => 0.0,
                1 => x * 8.0,
                2 => x * 1e-4,
                _ => x,
            }
        })
        .collect()
}

/// A buffer of `desc` on `device` in the middle of a larger one that is filled with a pattern, so
/// that a write outside of it shows.
pub struct Guarded {
    pub buf: Buf,
    whole: Buf,
}

const GUARD: usize = 512;
const PATTERN: u8 = 0xa5;

impl Guarded {
    /// The buffer begins `at` bytes, at most 64, behind an aligned address.
    pub fn new_at(device: &dyn Device, desc: Desc, at: usize) -> Guarded {
        let bytes = desc.bytes().next_multiple_of(4) + 2 * GUARD;
        let whole = alloc(device, Desc::new(&[bytes / 4], DType::U32)).unwrap();
        device
            .upload(&vec![PATTERN; bytes], &whole, Stream::DEFAULT)
            .unwrap();
        let buf = Buf::new(desc, Arc::clone(&whole.mem), GUARD + at).unwrap();
        Guarded { buf, whole }
    }

    /// The bytes of the value, after a check that the guards around it are as they were.
    pub fn bytes(&self, device: &dyn Device, what: &str) -> Vec<u8> {
        let mut all = vec![0; self.whole.desc.bytes()];
        device.sync(Stream::DEFAULT).unwrap();
        device
            .download(&self.whole, &mut all, Stream::DEFAULT)
            .unwrap();
        let start = self.buf.at;
        let end = start + self.buf.desc.bytes();
        let touched = |range: &[u8]| range.iter().filter(|&&b| b != PATTERN).count();
        assert_eq!(
            touched(&all[..start]),
            0,
            "{what}: written before the buffer"
        );
        assert_eq!(touched(&all[end..]), 0, "{what}: written behind the buffer");
        all[start..end].to_vec()
    }
}

/// Runs `op` on `device` and gives each output's values; inputs are f32 values or, for labels, u32.
pub fn run(
    device: &dyn Device,
    op: &Op,
    ins: &[(Desc, Vec<u8>)],
) -> doppel::Result<Vec<(Desc, Vec<u8>)>> {
    run_at(device, op, ins, 0)
}

/// The same, with all floats `at` bytes behind an aligned address.
pub fn run_at(
    device: &dyn Device,
    op: &Op,
    ins: &[(Desc, Vec<u8>)],
    at: usize,
) -> doppel::Result<Vec<(Desc, Vec<u8>)>> {
    let descs: Vec<Desc> = ins.iter().map(|(d, _)| d.clone()).collect();
    let from: Vec<Guarded> = ins
        .iter()
        .map(|(d, b)| {
            let guarded = Guarded::new_at(device, d.clone(), at.next_multiple_of(d.dtype.size()));
            device.upload(b, &guarded.buf, Stream::DEFAULT).unwrap();
            guarded
        })
        .collect();
    let to: Vec<Guarded> = op
        .infer(&descs)?
        .into_iter()
        .map(|d| Guarded::new_at(device, d.clone(), at.next_multiple_of(d.dtype.size())))
        .collect();
    let scratch = match device.workspace(op, &descs) {
        0 => None,
        n => Some(alloc(device, Desc::new(&[n.div_ceil(4)], DType::F32))?),
    };
    let (a, b): (Vec<&Buf>, Vec<&Buf>) = (
        from.iter().map(|g| &g.buf).collect(),
        to.iter().map(|g| &g.buf).collect(),
    );
    device.run(op, &a, &b, scratch.as_ref(), Stream::DEFAULT)?;
    let name = format!("{} on {}", op.name(), device.info().name);
    for (guarded, (_, before)) in from.iter().zip(ins) {
        assert_eq!(
            &guarded.bytes(device, &name),
            before,
            "{name}: an input was written"
        );
    }
    Ok(to
        .iter()
        .map(|g| (g.buf.desc.clone(), g.bytes(device, &name)))
        .collect())
}

/// Values with their shapes.
type Filled = Vec<(Desc, Vec<u8>)>;

/// Runs `op` with every weight in the device's own layout, where it has one for any.
pub fn run_packed(
    device: &dyn Device,
    op: &Op,
    ins: &[(Desc, Vec<u8>)],
) -> Option<doppel::Result<Filled>> {
    let descs: Vec<Desc> = ins.iter().map(|(d, _)| d.clone()).collect();
    let sizes: Vec<Option<usize>> = (0..ins.len())
        .map(|at| device.packed(op, &descs, at).filter(|_| at > 0))
        .collect();
    sizes.iter().flatten().next()?;
    let give = || {
        let mut from = Vec::new();
        for (at, (desc, bytes)) in ins.iter().enumerate() {
            let buf = match sizes[at] {
                None => {
                    let buf = alloc(device, desc.clone())?;
                    device.upload(bytes, &buf, Stream::DEFAULT)?;
                    buf
                }
                Some(size) => {
                    let values = values_of(bytes, desc.dtype);
                    let depth = values.len() / desc.dims[0].max(1);
                    let mut next = 0;
                    let mut row = |i: usize, out: &mut [f32]| {
                        assert_eq!((i, out.len()), (next, depth), "rows come once, in order");
                        next += 1;
                        out.copy_from_slice(&values[i * depth..(i + 1) * depth]);
                        Ok(())
                    };
                    let buf = Buf::packed(desc.clone(), device.alloc(size.max(desc.bytes()))?)?;
                    device.pack(op, &descs, at, &mut row, &buf)?;
                    assert_eq!(next, desc.dims[0], "every row is asked for");
                    buf
                }
            };
            from.push(buf);
        }
        let to: Vec<Guarded> = op
            .infer(&descs)?
            .into_iter()
            .map(|d| Guarded::new_at(device, d, 0))
            .collect();
        let (a, b): (Vec<&Buf>, Vec<&Buf>) =
            (from.iter().collect(), to.iter().map(|g| &g.buf).collect());
        let packed: Vec<bool> = sizes.iter().map(Option::is_some).collect();
        let chosen = device.choose(op, &descs, &packed);
        let scratch = match chosen.workspace {
            0 => None,
            n => Some(alloc(device, Desc::new(&[n.div_ceil(4)], DType::F32))?),
        };
        device.run_chosen(&chosen, op, &a, &b, scratch.as_ref(), Stream::DEFAULT)?;
        let name = format!("{} packed on {}", op.name(), device.info().name);
        let done = to
            .iter()
            .map(|g| (g.buf.desc.clone(), g.bytes(device, &name)));
        Ok(done.collect())
    };
    Some(give())
}

/// Compares a card's results with the naive twin's; gives the largest share of the allowance used.
pub fn compare(
    op: &Op,
    ins: &[(Desc, Vec<u8>)],
    have: &[(Desc, Vec<u8>)],
    want: &[(Desc, Vec<u8>)],
    what: &str,
) -> f64 {
    within(op, ins, have, want, what, slip(op, ins))
}

/// Compares results of the CPU, or of sums in f32 alone, likewise.
fn compare_exact(
    op: &Op,
    ins: &[(Desc, Vec<u8>)],
    have: &[(Desc, Vec<u8>)],
    want: &[(Desc, Vec<u8>)],
    what: &str,
) -> f64 {
    within(op, ins, have, want, what, (0.0, 0.0))
}

fn within(
    op: &Op,
    ins: &[(Desc, Vec<u8>)],
    have: &[(Desc, Vec<u8>)],
    want: &[(Desc, Vec<u8>)],
    what: &str,
    (share, least): (f64, f64),
) -> f64 {
    let descs: Vec<Desc> = ins.iter().map(|(d, _)| d.clone()).collect();
    let (terms, sizes) = (terms(op, &descs), sizes(op, ins));
    let mut worst: f64 = 0.0;
    assert_eq!(have.len(), want.len());
    for (((desc, a), (_, b)), sizes) in have.iter().zip(want).zip(&sizes) {
        let (a, b) = (values_of(a, desc.dtype), values_of(b, desc.dtype));
        assert_eq!(a.len(), b.len());
        for (i, (&x, &y)) in a.iter().zip(&b).enumerate() {
            let error = match x.is_nan() && y.is_nan() || x == y {
                true => 0.0,
                false => (f64::from(x) - f64::from(y)).abs(),
            };
            let limit =
                allowed(desc.dtype, terms, f64::from(y), sizes[i]) + share * sizes[i] + least;
            assert!(
                error <= limit,
                "{what}: {op:?} at {i}: {x} for {y}: {error:e} > {limit:e}"
            );
            worst = worst.max(error / limit.max(f64::MIN_POSITIVE));
        }
    }
    worst
}

/// Inputs of `descs`, different for each place.
pub fn inputs(descs: &[Desc], seed: u64) -> Vec<(Desc, Vec<u8>)> {
    let one = |(i, d): (usize, &Desc)| {
        let bytes = match d.dtype {
            DType::U32 => (0..d.len() as u32)
                .flat_map(|l| (l * 7 % 3).to_le_bytes())
                .collect(),
            dtype => bytes_of(&values(d.len(), seed * 31 + i as u64), dtype),
        };
        (d.clone(), bytes)
    };
    descs.iter().enumerate().map(one).collect()
}

/// Inputs of `descs` that `op` has a meaning for: variances and exponents are positive.
pub fn inputs_for(op: &Op, descs: &[Desc], seed: u64) -> Vec<(Desc, Vec<u8>)> {
    let mut all = inputs(descs, seed);
    let (at, least) = match op {
        Op::BatchNorm { .. } => (4, 0.1),
        Op::GlobalGem { .. } => (1, 1.5),
        _ => return all,
    };
    let (desc, bytes) = &mut all[at];
    let values = values_of(bytes, desc.dtype);
    let positive: Vec<f32> = values.iter().map(|v| v.abs() + least).collect();
    *bytes = bytes_of(&positive, desc.dtype);
    all
}

/// Mode test: `op` on every device that runs it natively, against the naive twin. Where runs are slow,
/// one case in five meets a card.
pub fn test(op: &Op, descs: &[Desc], seed: u64) -> usize {
    static CASES: AtomicUsize = AtomicUsize::new(0);
    let with_cards = !light() || CASES.fetch_add(1, Ordering::Relaxed).is_multiple_of(5);
    let naive = NaiveDevice::default();
    let ins = inputs_for(op, descs, seed);
    let want = run(&naive, op, &ins).unwrap();
    let mut compared = 0;
    for device in devices() {
        let host = matches!(device.info().kind, "cpu" | "naive");
        let check = if host { compare_exact } else { compare };
        let meets = with_cards || host;
        if meets && device.supports(op, descs) == Support::Native {
            let have = run(&*device, op, &ins).unwrap();
            check(op, &ins, &have, &want, &device.info().name);
            compared += 1;
            if let Some(have) = run_packed(&*device, op, &ins) {
                check(op, &ins, &have.unwrap(), &want, &device.info().name);
            }
        }
    }
    compared
}
