//! Against plain loops in f64.

use super::*;
use crate::device::naive;

const ACTS: [Act; 6] = [
    Act::None,
    Act::Relu,
    Act::Silu,
    Act::Gelu,
    Act::Mish,
    Act::Sigmoid,
];

/// Image sizes as `[pixels, channels]`.
const SIZES: [(usize, usize); 9] = [
    (1, 1),
    (7, 1),
    (1, 1000),
    (50, 3),
    (9, 16),
    (33, 17),
    (700, 24),
    (1031, 40),
    (300, 144),
];

fn values(n: usize, seed: u64) -> Vec<f32> {
    let mut random = fastrand::Rng::with_seed(seed);
    (0..n).map(|_| random.f32() * 12.0 - 6.0).collect()
}

/// Every value within rounding of `want`, whose terms are below 200.
fn close(kernel: Kernel, got: &[f32], want: impl Fn(usize) -> f64) {
    for (i, &v) in got.iter().enumerate() {
        let want = want(i);
        let off = (f64::from(v) - want).abs();
        assert!(
            off <= 1e-5 + 1e-6 * want.abs(),
            "{i}: {v} not {want} {}",
            kernel.name()
        );
    }
}

#[test]
fn activations_and_sums() {
    for (pixels, channels) in SIZES {
        let n = pixels * channels;
        let (a, b) = (values(n, 1), values(n, 2));
        for kernel in Kernel::available() {
            for act in ACTS {
                let mut y = vec![f32::NAN; n];
                activation(kernel, act, &a, &mut y);
                close(kernel, &y, |i| naive::activate(act, f64::from(a[i])));
                add(kernel, &a, &b, act, &mut y);
                close(kernel, &y, |i| {
                    naive::activate(act, f64::from(a[i]) + f64::from(b[i]))
                });
            }
        }
    }
}

#[test]
fn batch_norm_of_images_side_by_side() {
    let sizes: [&[usize]; 6] = [
        &[1],
        &[3, 1],
        &[16, 24, 40],
        &[1000],
        &[17, 0, 5, 64],
        &[144],
    ];
    for channels in sizes {
        for pixels in [1, 7, 8, 211] {
            let xs: Vec<Vec<f32>> = channels
                .iter()
                .map(|c| values(c * pixels, *c as u64))
                .collect();
            let parts: Vec<_> = xs
                .iter()
                .map(Vec::as_slice)
                .zip(channels.iter().copied())
                .collect();
            let all: usize = channels.iter().sum();
            let (scale, bias) = (values(all, 3), values(all, 4));
            let mut joined = Vec::new();
            for p in 0..pixels {
                for (x, c) in &parts {
                    joined.extend_from_slice(&x[p * c..][..*c]);
                }
            }
            let mut y = vec![f32::NAN; all * pixels];
            concat(&parts, &mut y);
            assert_eq!(y, joined);
            for kernel in Kernel::available() {
                for act in ACTS {
                    affine(kernel, &parts, &scale, &bias, act, &mut y);
                    let want = |i: usize| {
                        let c = i % all;
                        let v = f64::from(joined[i]) * f64::from(scale[c]) + f64::from(bias[c]);
                        naive::activate(act, v)
                    };
                    close(kernel, &y, want);
                    let mut alone = vec![f32::NAN; y.len()];
                    scale_bias(kernel, &joined, &scale, &bias, act, &mut alone);
                    assert_eq!(y, alone);
                }
            }
        }
    }
}

#[test]
fn gates() {
    for (pixels, channels) in SIZES {
        let n = pixels * channels;
        let (x, gate, r) = (values(n, 1), values(channels, 2), values(n, 3));
        for kernel in Kernel::available() {
            for act in ACTS {
                for residual in [None, Some(&r[..])] {
                    let mut y = vec![f32::NAN; n];
                    gated(kernel, channels, &x, &gate, 0.7, residual, act, &mut y);
                    let want = |i: usize| {
                        let gate = f64::from(gate[i % channels]) * f64::from(0.7f32);
                        let more = residual.map_or(0.0, |r| f64::from(r[i]));
                        naive::activate(act, f64::from(x[i]) * gate + more)
                    };
                    close(kernel, &y, want);
                    let mut z = x.clone();
                    gated_in_place(kernel, channels, &mut z, &gate, 0.7, residual, act);
                    assert_eq!(y, z);
                }
            }
        }
    }
}

#[test]
fn gate_by_hand() {
    for kernel in Kernel::available() {
        let mut y = [0.0; 4];
        let (x, r) = ([1.0, 2.0, 3.0, -4.0], [0.5, 0.5, -9.0, 0.5]);
        gated(kernel, 2, &x, &[2.0, 0.5], 2.0, Some(&r), Act::Relu, &mut y);
        assert_eq!(y, [4.5, 2.5, 3.0, 0.0]);
    }
}

#[test]
fn nan_and_infinity_stay_where_they_are() {
    let mut x = values(37 * 5, 1);
    (x[20], x[184]) = (f32::NAN, f32::INFINITY);
    let ones = [1.0; 5];
    for kernel in Kernel::available() {
        for act in ACTS {
            let mut all = vec![vec![0.0; x.len()]; 4];
            activation(kernel, act, &x, &mut all[0]);
            add(kernel, &x, &vec![1.0; x.len()], act, &mut all[1]);
            scale_bias(kernel, &x, &ones, &ones, act, &mut all[2]);
            gated(kernel, 5, &x, &ones, 1.0, None, act, &mut all[3]);
            for y in all {
                assert!(y.iter().enumerate().all(|(i, v)| v.is_nan() == (i == 20)));
                let last = if act == Act::Sigmoid {
                    1.0
                } else {
                    f32::INFINITY
                };
                assert_eq!(y[184], last);
            }
        }
    }
}

#[test]
fn nothing_at_all() {
    for kernel in Kernel::available() {
        activation(kernel, Act::Silu, &[], &mut []);
        affine(kernel, &[], &[], &[], Act::None, &mut []);
        affine(
            kernel,
            &[(&[], 4)],
            &[1.0; 4],
            &[1.0; 4],
            Act::None,
            &mut [],
        );
        gated(kernel, 3, &[], &[1.0; 3], 1.0, None, Act::None, &mut []);
        gated(kernel, 0, &[], &[], 1.0, None, Act::None, &mut []);
        concat(&[(&[], 4), (&[], 0)], &mut []);
    }
}

#[test]
fn threads_do_not_change_a_bit() {
    let (pixels, channels) = (3000, 41);
    let x = values(pixels * channels, 5);
    let gate = values(channels, 6);
    for kernel in Kernel::available() {
        let results = [1, 3].map(|threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
            let mut y = vec![vec![0.0; x.len()]; 4];
            pool.unwrap().install(|| {
                activation(kernel, Act::Mish, &x, &mut y[0]);
                add(kernel, &x, &x, Act::Gelu, &mut y[1]);
                scale_bias(kernel, &x, &gate, &gate, Act::Silu, &mut y[2]);
                gated(
                    kernel,
                    channels,
                    &x,
                    &gate,
                    1.5,
                    Some(&x),
                    Act::Sigmoid,
                    &mut y[3],
                );
            });
            y
        });
        assert_eq!(results[0], results[1]);
    }
}
