//! Against a plain loop in double precision, for every form of the kernels.

use super::*;
use crate::device::naive;
use crate::device::op::Act;

/// Everything of one convolution.
struct Case {
    shape: ConvShape,
    x: Vec<f32>,
    filters: Vec<f32>,
    gate: Option<Vec<f32>>,
    scale: Option<Vec<f32>>,
    bias: Option<Vec<f32>>,
    residual: Option<Vec<f32>>,
    act: Act,
}

/// What the extras of a case are.
#[derive(Clone, Copy)]
struct Extras {
    gate: bool,
    scale: bool,
    bias: bool,
    residual: bool,
    act: Act,
}

const PLAIN: Extras = Extras {
    gate: false,
    scale: false,
    bias: false,
    residual: false,
    act: Act::None,
};

impl Case {
    fn new(shape: ConvShape, extras: Extras, seed: u64) -> Case {
        let mut rng = fastrand::Rng::with_seed(seed);
        // Mostly around one, some zeros, some far larger.
        let mut draw = |n: usize| -> Vec<f32> {
            let mut one = || match rng.u8(..) {
                0..8 => 0.0,
                8..12 => 50.0 * (rng.f32() - 0.5),
                _ => 2.0 * rng.f32() - 1.0,
            };
            (0..n).map(|_| one()).collect()
        };
        let out = shape.out_height * shape.out_width * shape.filters;
        Case {
            shape,
            x: draw(shape.height * shape.width * shape.channels),
            filters: draw(shape.filters * shape.depth()),
            gate: extras.gate.then(|| draw(shape.channels)),
            scale: extras.scale.then(|| draw(shape.filters)),
            bias: extras.bias.then(|| draw(shape.filters)),
            residual: extras.residual.then(|| draw(out)),
            act: extras.act,
        }
    }

    fn tail(&self) -> Tail<'_> {
        Tail {
            scale: self.scale.as_deref(),
            bias: self.bias.as_deref(),
            residual: self.residual.as_deref(),
            act: self.act,
        }
    }

    fn run(&self, kernel: Kernel) -> Vec<f32> {
        let mut packed = vec![f32::NAN; packed_len(kernel, &self.shape)];
        let depth = self.shape.depth();
        let mut next = 0;
        let mut filters = |o: usize, row: &mut [f32]| {
            assert_eq!(o, next, "ascending order");
            next += 1;
            row.copy_from_slice(&self.filters[o * depth..][..depth]);
            Ok(())
        };
        pack(kernel, &self.shape, &mut filters, &mut packed).unwrap();
        assert_eq!(next, self.shape.filters);
        let out = self.shape.out_height * self.shape.out_width * self.shape.filters;
        let mut y = vec![f32::NAN; out];
        let gate = self.gate.as_deref();
        conv(
            kernel,
            &self.shape,
            &self.x,
            &packed,
            gate,
            &self.tail(),
            &mut y,
        );
        y
    }

    /// The sum before scale, bias, residual and activation, and the same of absolute values.
    fn sum(&self, row: usize, column: usize, o: usize) -> (f64, f64) {
        let s = &self.shape;
        let (size, filters) = (s.channels / s.groups, s.filters / s.groups);
        let (mut sum, mut magnitude) = (0.0, 0.0);
        for c in 0..size {
            let channel = o / filters * size + c;
            let gate = self.gate.as_ref().map_or(1.0, |g| f64::from(g[channel]));
            for i in 0..s.kernel[0] {
                for j in 0..s.kernel[1] {
                    let y = (row * s.stride[0] + i) as i64 - s.pad[0] as i64;
                    let x = (column * s.stride[1] + j) as i64 - s.pad[1] as i64;
                    if !(0..s.height as i64).contains(&y) || !(0..s.width as i64).contains(&x) {
                        continue;
                    }
                    let at = (y as usize * s.width + x as usize) * s.channels + channel;
                    let w = self.filters[((o * size + c) * s.kernel[0] + i) * s.kernel[1] + j];
                    let product = f64::from(self.x[at]) * gate * f64::from(w);
                    sum += product;
                    magnitude += product.abs();
                }
            }
        }
        (sum, magnitude)
    }

    /// Compares all values: sums of `n` products are off by `n eps` of the sum of magnitudes at
    /// most (Higham 2002, section 3.1), and activations change that little.
    fn check(&self, kernel: Kernel) {
        let got = self.run(kernel);
        let s = &self.shape;
        for (at, got) in got.iter().enumerate() {
            let (pixel, o) = (at / s.filters, at % s.filters);
            let (sum, magnitude) = self.sum(pixel / s.out_width, pixel % s.out_width, o);
            let at_o =
                |v: &Option<Vec<f32>>, none: f64| v.as_ref().map_or(none, |v| f64::from(v[o]));
            let (scale, bias) = (at_o(&self.scale, 1.0), at_o(&self.bias, 0.0));
            let residual = self.residual.as_ref().map_or(0.0, |r| f64::from(r[at]));
            let linear = sum * scale + bias + residual;
            let want = naive::activate(self.act, linear);
            let bound = f64::from(f32::EPSILON)
                * ((s.depth() + 4) as f64 * magnitude * scale.abs() + bias.abs() + residual.abs());
            // No activation is steeper than 1.13; their own error is tested where they are.
            let bound = 1.2 * bound
                + if self.act == Act::None {
                    0.0
                } else {
                    1e-6 * (1.0 + want.abs())
                };
            let off = (f64::from(*got) - want).abs();
            assert!(
                off <= bound,
                "{kernel:?} {s:?} at {at}: {got}, not {want} ({off} > {bound})"
            );
        }
    }
}

/// A shape with any padding above and left, and `more` zeros below and right.
#[allow(clippy::too_many_arguments, reason = "a shape has that many numbers")]
fn shape(
    size: [usize; 2],
    channels: usize,
    filters: usize,
    groups: usize,
    kernel: [usize; 2],
    stride: [usize; 2],
    pad: [usize; 2],
    more: [usize; 2],
) -> ConvShape {
    let out = |d: usize| (size[d] + pad[d] + more[d] - kernel[d]) / stride[d] + 1;
    ConvShape {
        height: size[0],
        width: size[1],
        channels,
        out_height: out(0),
        out_width: out(1),
        filters,
        kernel,
        stride,
        pad,
        groups,
    }
}

fn square(
    size: usize,
    channels: usize,
    filters: usize,
    groups: usize,
    k: usize,
    s: usize,
) -> ConvShape {
    shape(
        [size; 2],
        channels,
        filters,
        groups,
        [k; 2],
        [s; 2],
        [k / 2; 2],
        [k / 2; 2],
    )
}

fn check_all(shapes: &[ConvShape], extras: Extras) {
    for (seed, shape) in shapes.iter().enumerate() {
        let case = Case::new(*shape, extras, seed as u64);
        for kernel in Kernel::available() {
            case.check(kernel);
        }
    }
}

#[test]
fn a_convolution_by_hand() {
    // One channel, a cross-shaped filter, stride 1: every value plus its four neighbours.
    let case = Case {
        shape: square(2, 1, 1, 1, 3, 1),
        x: vec![1.0, 2.0, 4.0, 8.0],
        filters: vec![0.0, 1.0, 0.0, 1.0, 1.0, 1.0, 0.0, 1.0, 0.0],
        gate: None,
        scale: Some(vec![2.0]),
        bias: Some(vec![-20.0]),
        residual: Some(vec![0.0, 0.0, 0.5, 0.0]),
        act: Act::Relu,
    };
    for kernel in Kernel::available() {
        assert_eq!(case.run(kernel), [0.0, 2.0, 6.5, 8.0], "{kernel:?}");
    }
}

#[test]
fn filters_of_one_pixel() {
    let sizes = [
        (1, 1, 1),
        (1, 3, 17),
        (7, 24, 40),
        (5, 40, 24),
        (9, 136, 48),
        (3, 17, 64),
        (13, 64, 96),
    ];
    let mut shapes: Vec<_> = sizes
        .iter()
        .map(|&(s, c, f)| square(s, c, f, 1, 1, 1))
        .collect();
    shapes.push(shape([9, 4], 20, 33, 1, [1, 1], [2, 2], [0, 0], [0, 0]));
    shapes.push(shape([4, 5], 6, 7, 1, [1, 1], [1, 1], [1, 2], [1, 0]));
    check_all(&shapes, PLAIN);
}

#[test]
fn larger_filters_with_any_padding() {
    check_all(
        &[
            square(8, 16, 32, 1, 3, 1),
            square(9, 17, 5, 1, 3, 2),
            square(1, 20, 48, 1, 3, 1),
            square(6, 18, 31, 1, 5, 1),
            square(11, 19, 16, 1, 7, 2),
            shape([6, 7], 18, 20, 1, [3, 3], [2, 2], [0, 0], [1, 1]),
            shape([6, 7], 18, 20, 1, [3, 3], [1, 1], [2, 0], [0, 2]),
            shape([7, 5], 33, 9, 1, [2, 3], [1, 2], [0, 1], [0, 1]),
            shape([3, 3], 16, 16, 1, [5, 5], [1, 1], [4, 4], [4, 4]),
        ],
        PLAIN,
    );
}

#[test]
fn stems_of_few_channels() {
    check_all(
        &[
            square(16, 3, 64, 1, 7, 2),
            square(17, 3, 32, 1, 3, 2),
            square(5, 1, 3, 1, 3, 1),
            square(12, 15, 24, 1, 3, 1),
            square(2, 3, 16, 1, 7, 2),
            shape([16, 17], 3, 24, 1, [3, 3], [2, 2], [0, 0], [1, 1]),
            shape([3, 2], 4, 8, 1, [3, 3], [2, 2], [3, 4], [3, 4]),
            // The padding alone is wider than the result.
            shape([1, 1], 3, 8, 1, [3, 3], [1, 1], [4, 4], [0, 0]),
        ],
        PLAIN,
    );
}

#[test]
fn groups() {
    check_all(
        &[
            // As many filters as channels: 2, 4, 8 take the crossed form.
            square(7, 128, 128, 32, 3, 1),
            square(8, 72, 72, 18, 3, 2),
            square(5, 40, 40, 5, 3, 1),
            square(6, 14, 14, 7, 3, 1),
            square(5, 24, 24, 3, 5, 2),
            square(4, 64, 64, 4, 3, 1),
            square(4, 64, 64, 2, 3, 2),
            shape([6, 7], 20, 20, 5, [3, 3], [2, 2], [0, 1], [1, 1]),
            square(3, 96, 96, 3, 3, 1),
            // Filters and channels differ.
            square(6, 12, 20, 4, 3, 1),
            square(5, 34, 6, 2, 1, 1),
            square(5, 8, 160, 2, 3, 1),
            // Depthwise, with one filter a channel and with two.
            square(6, 19, 19, 19, 3, 1),
            square(6, 5, 10, 5, 5, 2),
        ],
        PLAIN,
    );
}

#[test]
fn products_of_matrices() {
    let sizes = [
        (1, 1, 1),
        (1, 300, 70),
        (2, 64, 48),
        (8, 129, 33),
        (15, 31, 80),
        (200, 70, 50),
    ];
    let shapes: Vec<_> = sizes
        .iter()
        .map(|&(m, k, n)| ConvShape::product(m, k, n))
        .collect();
    check_all(&shapes, PLAIN);
}

#[test]
fn epilogues() {
    let shapes = [
        square(5, 24, 40, 1, 1, 1),
        square(5, 3, 20, 1, 3, 2),
        square(4, 36, 36, 9, 3, 1),
        square(4, 32, 32, 2, 3, 1),
    ];
    let acts = [
        Act::None,
        Act::Relu,
        Act::Silu,
        Act::Gelu,
        Act::Mish,
        Act::Sigmoid,
    ];
    for act in acts {
        for bits in 0..8 {
            let extras = Extras {
                scale: bits & 1 > 0,
                bias: bits & 2 > 0,
                residual: bits & 4 > 0,
                act,
                ..PLAIN
            };
            check_all(&shapes, extras);
        }
    }
}

#[test]
fn gates() {
    let extras = Extras {
        gate: true,
        bias: true,
        ..PLAIN
    };
    // Few pixels: the image is gated; many: the filters.
    let mut shapes = vec![square(3, 72, 24, 1, 1, 1), square(4, 17, 40, 1, 1, 1)];
    shapes.push(square(12, 24, 80, 1, 1, 1));
    check_all(&shapes, extras);
}

#[test]
fn threads_do_not_change_a_bit() {
    // Large enough for several tasks, by pixels and by panels.
    let shapes = [
        square(40, 32, 80, 1, 3, 1),
        square(7, 640, 300, 1, 1, 1),
        square(64, 3, 48, 1, 7, 2),
        square(48, 64, 64, 16, 3, 1),
        ConvShape::product(3, 3000, 900),
    ];
    let pool = |n| {
        rayon::ThreadPoolBuilder::new()
            .num_threads(n)
            .build()
            .unwrap()
    };
    let (one, three) = (pool(1), pool(3));
    for shape in shapes {
        let case = Case::new(shape, PLAIN, 3);
        for kernel in Kernel::available() {
            let bits = |y: Vec<f32>| y.into_iter().map(f32::to_bits).collect::<Vec<_>>();
            let alone = bits(one.install(|| case.run(kernel)));
            assert!(
                alone == bits(three.install(|| case.run(kernel))),
                "{kernel:?} {shape:?}"
            );
        }
    }
}

#[test]
fn a_pixel_does_not_depend_on_its_place() {
    // The same row of pixels, alone and among others, whatever tile it falls into.
    let (k, n) = (70, 50);
    let all = Case::new(ConvShape::product(61, k, n), PLAIN, 8);
    for kernel in Kernel::available() {
        let together = all.run(kernel);
        for row in [0, 1, 12, 30, 60] {
            let mut alone = Case::new(ConvShape::product(1, k, n), PLAIN, 8);
            alone.x = all.x[row * k..][..k].to_vec();
            alone.filters = all.filters.clone();
            assert_eq!(
                alone.run(kernel),
                together[row * n..][..n],
                "{kernel:?} row {row}"
            );
        }
    }
}

#[test]
fn nan_and_infinity_arrive() {
    let mut case = Case::new(square(4, 16, 8, 1, 1, 1), PLAIN, 5);
    case.filters.fill(1.0);
    case.x[0] = f32::NAN;
    case.x[16] = f32::INFINITY;
    for kernel in Kernel::available() {
        let y = case.run(kernel);
        assert!(y[..8].iter().all(|v| v.is_nan()), "{kernel:?}");
        assert!(y[8..16].iter().all(|v| *v == f32::INFINITY), "{kernel:?}");
        assert!(y[16..].iter().all(|v| v.is_finite()), "{kernel:?}");
    }
}

#[test]
fn nothing_to_do() {
    for shape in [ConvShape::product(0, 5, 3), ConvShape::product(5, 3, 0)] {
        for kernel in Kernel::available() {
            assert!(Case::new(shape, PLAIN, 1).run(kernel).is_empty());
        }
    }
    // No channel: only the epilogue is left.
    let extras = Extras {
        bias: true,
        ..PLAIN
    };
    let case = Case::new(ConvShape::product(2, 0, 3), extras, 1);
    for kernel in Kernel::available() {
        let bias = case.bias.as_ref().unwrap();
        assert_eq!(case.run(kernel), [bias.as_slice(), bias].concat());
    }
}

#[test]
fn wrong_lengths_are_errors_of_packing() {
    let kernel = Kernel::best();
    let shape = square(4, 16, 8, 1, 1, 1);
    let mut nothing = |_: usize, _: &mut [f32]| Ok(());
    let error = pack(kernel, &shape, &mut nothing, &mut [0.0; 3]).unwrap_err();
    assert_eq!(error.kind(), crate::error::Kind::Shape);
    let odd = square(4, 16, 8, 3, 1, 1);
    assert!(pack(kernel, &odd, &mut nothing, &mut [0.0; 3]).is_err());
    let mut failing = |_: usize, _: &mut [f32]| Err(Error::input("no such tensor"));
    let mut packed = vec![0.0; packed_len(kernel, &shape)];
    assert!(pack(kernel, &shape, &mut failing, &mut packed).is_err());
}

#[test]
fn wrong_lengths_and_absurd_shapes_never_reach_the_kernels() {
    let good = square(4, 3, 8, 1, 3, 2);
    let run = |shape: ConvShape, x: usize, y: usize| {
        let kernel = Kernel::best();
        let packed = vec![0.0; packed_len(kernel, &good)];
        let (x, mut y) = (vec![0.0; x], vec![0.0; y]);
        std::panic::catch_unwind(move || {
            conv(kernel, &shape, &x, &packed, None, &Tail::NONE, &mut y);
        })
        .is_ok()
    };
    assert!(run(good, 48, 32));
    assert!(!run(good, 47, 32));
    assert!(!run(good, 48, 31));
    let absurd = |change: &dyn Fn(&mut ConvShape)| {
        let mut shape = good;
        change(&mut shape);
        run(shape, 48, 32)
    };
    assert!(!absurd(&|s| s.stride = [usize::MAX / 2, 2]));
    assert!(!absurd(&|s| s.pad[1] = usize::MAX));
    assert!(!absurd(&|s| s.kernel = [1 << 40, 1 << 40]));
    assert!(!absurd(&|s| (s.height, s.channels) = (0, usize::MAX)));
}
