//! Against a plain loop in double precision, for every form of the kernels.

use super::*;
use crate::device::naive;
use crate::device::op::Act;

/// Values around one with zeros and outliers.
fn draw(rng: &mut fastrand::Rng, n: usize) -> Vec<f32> {
    let mut one = || match rng.u8(..) {
        0..8 => 0.0,
        8..12 => 50.0 * (rng.f32() - 0.5),
        _ => 2.0 * rng.f32() - 1.0,
    };
    (0..n).map(|_| one()).collect()
}

/// A shape with padding above and left, and `more` zeros below and right.
fn shape(
    size: [usize; 2],
    channels: usize,
    filters: usize,
    pad: [usize; 2],
    more: [usize; 2],
) -> ConvShape {
    let out = |d: usize| size[d] + pad[d] + more[d] - 2;
    ConvShape {
        height: size[0],
        width: size[1],
        channels,
        out_height: out(0),
        out_width: out(1),
        filters,
        kernel: [3, 3],
        stride: [1, 1],
        pad,
        groups: 1,
    }
}

fn padded(size: [usize; 2], channels: usize, filters: usize) -> ConvShape {
    shape(size, channels, filters, [1, 1], [1, 1])
}

/// One convolution: an image after the other, filters, scale, bias, residual.
struct Case {
    shape: ConvShape,
    images: usize,
    x: Vec<f32>,
    filters: Vec<f32>,
    extras: [Option<Vec<f32>>; 3],
    act: Act,
}

impl Case {
    fn new(shape: ConvShape, images: usize, extras: usize, act: Act, seed: u64) -> Case {
        let mut rng = fastrand::Rng::with_seed(seed);
        let out = images * shape.out_height * shape.out_width * shape.filters;
        let lens = [shape.filters, shape.filters, out];
        Case {
            shape,
            images,
            x: draw(
                &mut rng,
                images * shape.height * shape.width * shape.channels,
            ),
            filters: draw(&mut rng, shape.filters * shape.depth()),
            extras: [0, 1, 2].map(|i| (extras >> i & 1 > 0).then(|| draw(&mut rng, lens[i]))),
            act,
        }
    }

    fn run(&self, kernel: Kernel) -> Vec<f32> {
        let (s, depth) = (&self.shape, self.shape.depth());
        let mut packed = vec![f32::NAN; packed_len(kernel, s)];
        let mut filters = |o: usize, row: &mut [f32]| {
            row.copy_from_slice(&self.filters[o * depth..][..depth]);
            Ok(())
        };
        pack(kernel, s, &mut filters, &mut packed).unwrap();
        let mut y = vec![f32::NAN; self.images * s.out_height * s.out_width * s.filters];
        let [scale, bias, residual] = self.extras.each_ref().map(|v| v.as_deref());
        let act = self.act;
        let tail = Tail {
            scale,
            bias,
            residual,
            act,
        };
        winograd(kernel, s, self.images, &self.x, &packed, &tail, &mut y);
        y
    }

    /// The sum of one value before the epilogue, and that of absolute values.
    fn sum(&self, image: usize, row: usize, column: usize, o: usize) -> (f64, f64) {
        let s = &self.shape;
        let (mut sum, mut size) = (0.0, 0.0);
        for tap in 0..9 {
            let y = (row + tap / 3).wrapping_sub(s.pad[0]);
            let x = (column + tap % 3).wrapping_sub(s.pad[1]);
            if y >= s.height || x >= s.width {
                continue;
            }
            for c in 0..s.channels {
                let at = ((image * s.height + y) * s.width + x) * s.channels + c;
                let w = self.filters[(o * s.channels + c) * 9 + tap];
                let product = f64::from(self.x[at]) * f64::from(w);
                sum += product;
                size += product.abs();
            }
        }
        (sum, size)
    }

    /// The largest error, as a share of `terms 2^-24 max(sum |a| |b|)`: the maximum is that over the
    /// image, for a tile's values share their rounding errors. An activation adds its own.
    fn worst(&self, kernel: Kernel) -> f64 {
        let (s, got) = (&self.shape, self.run(kernel));
        let (mut most, mut off) = (0f64, 0f64);
        for (at, got) in got.iter().enumerate() {
            let (pixel, o) = (at / s.filters, at % s.filters);
            let (row, column) = (pixel / s.out_width, pixel % s.out_width);
            let (sum, size) = self.sum(row / s.out_height, row % s.out_height, column, o);
            let [scale, bias, residual] = self.extras.each_ref().map(Option::as_ref);
            let scale = scale.map_or(1.0, |v| f64::from(v[o]));
            let bias = bias.map_or(0.0, |v| f64::from(v[o]));
            let residual = residual.map_or(0.0, |v| f64::from(v[at]));
            let want = naive::activate(self.act, sum * scale + bias + residual);
            let own = if self.act == Act::None { 0.0 } else { 1e-6 };
            most = most.max(size * scale.abs() + bias.abs() + residual.abs());
            off = off.max((f64::from(*got) - want).abs() - own * (1.0 + want.abs()));
            assert!(got.is_finite());
        }
        off / ((s.depth() + 4) as f64 * 2f64.powi(-24) * most)
    }
}

#[test]
fn any_size_padding_and_channels() {
    let mut shapes = vec![
        shape([3, 3], 16, 16, [0, 0], [0, 0]),
        shape([6, 9], 18, 20, [2, 0], [0, 2]),
        shape([7, 5], 33, 9, [0, 1], [2, 0]),
        padded([19, 23], 40, 50),
        padded([12, 12], 48, 40),
        padded([8, 9], 1, 1),
    ];
    for side in 1..10 {
        shapes.push(padded([side, 11 - side], 17 + side, 30 + side));
    }
    for (seed, shape) in shapes.into_iter().enumerate() {
        let case = Case::new(shape, 1 + seed % 3, 0, Act::None, seed as u64);
        for kernel in Kernel::available() {
            let worst = case.worst(kernel);
            assert!(worst < 0.5, "{kernel:?} {shape:?}: {worst}");
        }
    }
}

#[test]
fn epilogues() {
    let acts = [
        Act::None,
        Act::Relu,
        Act::Silu,
        Act::Gelu,
        Act::Mish,
        Act::Sigmoid,
    ];
    for (i, act) in acts.into_iter().enumerate() {
        for extras in 0..8 {
            let case = Case::new(
                padded([6, 7], 20, 37),
                2,
                extras,
                act,
                (i * 8 + extras) as u64,
            );
            for kernel in Kernel::available() {
                let worst = case.worst(kernel);
                assert!(worst < 0.5, "{kernel:?} {act:?} {extras}: {worst}");
            }
        }
    }
}

#[test]
fn errors_stay_far_below_the_bound_of_the_direct_sum() {
    for (channels, bound) in [(32, 0.1), (64, 0.05), (128, 0.03)] {
        let case = Case::new(padded([12, 12], channels, 32), 1, 0, Act::None, 7);
        for kernel in Kernel::available() {
            let worst = case.worst(kernel);
            assert!(worst < bound, "{kernel:?} {channels}: {worst}");
        }
    }
}

#[test]
fn neither_threads_nor_other_images_change_a_bit() {
    let pool = |n| {
        rayon::ThreadPoolBuilder::new()
            .num_threads(n)
            .build()
            .unwrap()
    };
    let (one, three) = (pool(1), pool(3));
    for shape in [padded([40, 41], 32, 80), padded([7, 7], 64, 300)] {
        let all = Case::new(shape, 3, 7, Act::Relu, 3);
        let size = shape.height * shape.width * shape.channels;
        let to = shape.out_height * shape.out_width * shape.filters;
        for kernel in Kernel::available() {
            let bits = |y: Vec<f32>| y.into_iter().map(f32::to_bits).collect::<Vec<_>>();
            let together = bits(one.install(|| all.run(kernel)));
            assert!(
                together == bits(three.install(|| all.run(kernel))),
                "{kernel:?}"
            );
            let mut last = Case::new(shape, 3, 7, Act::Relu, 3);
            last.images = 1;
            last.x = all.x[2 * size..].to_vec();
            last.extras[2] = all.extras[2].as_ref().map(|r| r[2 * to..].to_vec());
            assert!(together[2 * to..] == bits(three.install(|| last.run(kernel))));
        }
    }
}

#[test]
fn wrong_lengths_and_shapes_are_refused() {
    let (kernel, good) = (Kernel::best(), padded([4, 4], 16, 8));
    let mut nothing = |_: usize, _: &mut [f32]| Ok(());
    assert!(pack(kernel, &good, &mut nothing, &mut [0.0; 3]).is_err());
    let stride = ConvShape {
        stride: [2, 2],
        ..good
    };
    let mut packed = vec![0.0; packed_len(kernel, &good)];
    assert!(pack(kernel, &stride, &mut nothing, &mut packed).is_err());
    let run = |shape: ConvShape, x: usize, y: usize| {
        let (packed, x, mut y) = (packed.clone(), vec![0.0; x], vec![0.0; y]);
        std::panic::catch_unwind(move || {
            winograd(kernel, &shape, 1, &x, &packed, &Tail::NONE, &mut y);
        })
        .is_ok()
    };
    assert!(run(good, 256, 128));
    assert!(!run(good, 255, 128));
    assert!(!run(good, 256, 127));
    assert!(!run(stride, 256, 128));
}
