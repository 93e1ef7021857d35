//! Against plain loops in f64.

use super::*;
use crate::device::naive;
use crate::device::op::Act;
use crate::error::Error;

fn values(n: usize, seed: u64) -> Vec<f32> {
    let mut random = fastrand::Rng::with_seed(seed);
    (0..n).map(|_| random.f32() * 4.0 - 2.0).collect()
}

fn shape(
    size: [usize; 2],
    channels: usize,
    k: [usize; 2],
    s: [usize; 2],
    pad: [usize; 4],
) -> ConvShape {
    let out = |n: usize, k: usize, s: usize, pads: usize| (n + pads - k) / s + 1;
    ConvShape {
        height: size[0],
        width: size[1],
        channels,
        out_height: out(size[0], k[0], s[0], pad[0] + pad[2]),
        out_width: out(size[1], k[1], s[1], pad[1] + pad[3]),
        filters: channels,
        kernel: k,
        stride: s,
        pad: [pad[0], pad[1]],
        groups: channels,
    }
}

/// The result, its means over pixels, and for every value the sum of the terms' sizes.
fn plain(s: &ConvShape, x: &[f32], w: &[f32], tail: &Tail) -> (Vec<f64>, Vec<f64>, Vec<f64>) {
    let (c, taps) = (s.channels, s.kernel[0] * s.kernel[1]);
    let (mut y, mut sizes, mut means) = (Vec::new(), Vec::new(), vec![0.0; c]);
    for o in 0..s.out_height * s.out_width * c {
        let (oy, ox, o_c) = (o / c / s.out_width, o / c % s.out_width, o % c);
        let (mut sum, mut size) = (0.0, 0.0);
        for t in 0..taps {
            let iy = (oy * s.stride[0] + t / s.kernel[1]) as isize - s.pad[0] as isize;
            let ix = (ox * s.stride[1] + t % s.kernel[1]) as isize - s.pad[1] as isize;
            if iy < 0 || ix < 0 || iy >= s.height as isize || ix >= s.width as isize {
                continue;
            }
            let v = x[(iy as usize * s.width + ix as usize) * c + o_c];
            let term = f64::from(v) * f64::from(w[o_c * taps + t]);
            sum += term;
            size += term.abs();
        }
        let scale = f64::from(tail.scale.map_or(1.0, |v| v[o_c]));
        let bias = f64::from(tail.bias.map_or(0.0, |v| v[o_c]));
        let residual = f64::from(tail.residual.map_or(0.0, |v| v[o]));
        let v = naive::activate(tail.act, sum * scale + bias + residual);
        means[o_c] += v / (s.out_height * s.out_width) as f64;
        y.push(v);
        sizes.push(size * scale.abs() + bias.abs() + residual.abs() + 1.0);
    }
    (y, means, sizes)
}

fn packed(s: &ConvShape, w: &[f32]) -> Vec<f32> {
    let taps = s.kernel[0] * s.kernel[1];
    let mut packed = vec![f32::NAN; packed_len(s)];
    let mut filters = |o: usize, row: &mut [f32]| {
        row.copy_from_slice(&w[o * taps..][..taps]);
        Ok(())
    };
    pack(s, &mut filters, &mut packed).unwrap();
    packed
}

fn compare(s: &ConvShape, tail: &Tail, x: &[f32], w: &[f32]) {
    let (want, want_means, sizes) = plain(s, x, w, tail);
    let packed = packed(s, w);
    for kernel in Kernel::available() {
        let mut y = vec![f32::NAN; want.len()];
        let mut means = vec![f32::NAN; s.channels];
        depthwise(kernel, s, x, &packed, tail, &mut y, Some(&mut means));
        for i in 0..y.len() {
            let off = (f64::from(y[i]) - want[i]).abs();
            let what = format!("{} {i} {s:?}", kernel.name());
            assert!(off <= 2e-6 * sizes[i], "{} not {} {what}", y[i], want[i]);
        }
        for (mean, want) in means.iter().zip(&want_means) {
            let off = (f64::from(*mean) - want).abs();
            assert!(off <= 3e-6 * (1.0 + want.abs()), "{mean} not {want} {s:?}");
        }
        let mut again = vec![f32::NAN; want.len()];
        depthwise(kernel, s, x, &packed, tail, &mut again, None);
        assert_eq!(y, again);
    }
}

fn check_shape(s: ConvShape) {
    let taps = s.kernel[0] * s.kernel[1];
    let x = values(s.height * s.width * s.channels, 1);
    let w = values(s.channels * taps, 2);
    let scale = values(s.channels, 3);
    let bias = values(s.channels, 4);
    let residual = values(s.out_height * s.out_width * s.channels, 5);
    compare(&s, &Tail::NONE, &x, &w);
    let mut tail = Tail {
        scale: None,
        bias: Some(&bias),
        residual: None,
        act: Act::Silu,
    };
    compare(&s, &tail, &x, &w);
    tail.scale = Some(&scale);
    tail.residual = Some(&residual);
    tail.act = Act::Relu;
    compare(&s, &tail, &x, &w);
}

#[test]
fn every_kernel_stride_and_channel_count() {
    for channels in [1, 3, 16, 17, 24, 40, 144] {
        for (k, pad) in [(3, 1), (5, 2), (7, 3)] {
            for stride in [1, 2] {
                let size = [9, 23];
                check_shape(shape(size, channels, [k, k], [stride, stride], [pad; 4]));
            }
        }
    }
    check_shape(shape([5, 5], 1000, [3, 3], [1, 1], [1; 4]));
}

#[test]
fn widths_around_a_block() {
    for width in 1..=26 {
        check_shape(shape([4, width], 19, [3, 3], [1, 1], [1; 4]));
        check_shape(shape([4, width], 19, [5, 5], [2, 2], [2; 4]));
    }
}

#[test]
fn uneven_padding_kernels_and_strides() {
    // The padding of TensorFlow's "same" with stride 2: nothing above and left.
    check_shape(shape([16, 34], 24, [3, 3], [2, 2], [0, 0, 1, 1]));
    check_shape(shape([16, 34], 24, [5, 5], [2, 2], [1, 1, 2, 2]));
    check_shape(shape([6, 20], 17, [3, 3], [1, 1], [0; 4]));
    check_shape(shape([6, 20], 17, [3, 3], [2, 1], [2, 0, 1, 3]));
    check_shape(shape([6, 20], 70, [3, 3], [1, 2], [1; 4]));
    check_shape(shape([11, 13], 70, [1, 5], [1, 1], [0, 2, 0, 2]));
    check_shape(shape([11, 13], 130, [4, 2], [3, 3], [1, 1, 0, 0]));
    check_shape(shape([7, 9], 5, [1, 1], [1, 1], [0; 4]));
    check_shape(shape([12, 12], 16, [9, 9], [1, 1], [4; 4]));
    // Windows that miss the image.
    check_shape(shape([2, 3], 16, [3, 3], [1, 1], [5; 4]));
    check_shape(shape([2, 3], 16, [2, 3], [1, 1], [5; 4]));
    // One pixel.
    check_shape(shape([1, 1], 40, [3, 3], [1, 1], [1; 4]));
    check_shape(shape([1, 1], 40, [5, 5], [2, 2], [2; 4]));
}

#[test]
fn a_case_by_hand() {
    // 1 2 3 / 4 5 6 under a cross of ones with padding 1.
    let s = shape([2, 3], 1, [3, 3], [1, 1], [1; 4]);
    let x = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
    let w = [0.0, 1.0, 0.0, 1.0, 1.0, 1.0, 0.0, 1.0, 0.0];
    for kernel in Kernel::available() {
        let (mut y, mut mean) = ([0.0; 6], [0.0]);
        depthwise(kernel, &s, &x, &w, &Tail::NONE, &mut y, Some(&mut mean));
        assert_eq!(y, [7.0, 11.0, 11.0, 10.0, 17.0, 14.0]);
        assert_eq!(mean, [70.0 / 6.0]);
    }
}

#[test]
fn a_nan_stays_in_its_window_and_its_channel() {
    let s = shape([7, 19], 20, [3, 3], [1, 1], [1; 4]);
    let mut x = values(7 * 19 * 20, 7);
    x[(3 * 19 + 9) * 20 + 17] = f32::NAN;
    x[13] = f32::INFINITY;
    let packed = packed(&s, &vec![1.0; 9 * 20]);
    for kernel in Kernel::available() {
        let (mut y, mut means) = (vec![0.0; x.len()], vec![0.0; 20]);
        depthwise(
            kernel,
            &s,
            &x,
            &packed,
            &Tail::NONE,
            &mut y,
            Some(&mut means),
        );
        for (i, v) in y.iter().enumerate() {
            let (row, column, c) = (i / 20 / 19, i / 20 % 19, i % 20);
            let near = row.abs_diff(3) <= 1 && column.abs_diff(9) <= 1 && c == 17;
            assert_eq!(v.is_nan(), near, "{row} {column} {c}");
            let near = row <= 1 && column <= 1 && c == 13;
            assert_eq!(v.is_infinite(), near, "{row} {column} {c}");
        }
        assert!(means[17].is_nan() && means[13] == f32::INFINITY);
        assert!(means[16].is_finite());
    }
}

#[test]
fn threads_do_not_change_a_bit() {
    let s = shape([61, 67], 72, [5, 5], [1, 1], [2; 4]);
    let (x, w) = (values(61 * 67 * 72, 8), values(25 * 72, 9));
    let packed = packed(&s, &w);
    let tail = Tail {
        act: Act::Mish,
        ..Tail::NONE
    };
    for kernel in Kernel::available() {
        let results = [1, 3].map(|threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
            let (mut y, mut means) = (vec![0.0; x.len()], vec![0.0; 72]);
            pool.unwrap()
                .install(|| depthwise(kernel, &s, &x, &packed, &tail, &mut y, Some(&mut means)));
            (y, means)
        });
        assert_eq!(results[0], results[1]);
    }
}

#[test]
fn nothing_to_do_and_faults_of_filters() {
    let mut s = shape([4, 4], 8, [3, 3], [1, 1], [1; 4]);
    let fault = pack(&s, &mut |_, _| Err(Error::input("torn")), &mut [0.0; 72]);
    assert!(fault.is_err());
    (s.out_height, s.out_width) = (0, 0);
    let mut means = [1.0; 8];
    let packed = vec![1.0; 72];
    for kernel in Kernel::available() {
        depthwise(
            kernel,
            &s,
            &[1.0; 128],
            &packed,
            &Tail::NONE,
            &mut [],
            Some(&mut means),
        );
        assert_eq!(means, [0.0; 8]);
    }
}
