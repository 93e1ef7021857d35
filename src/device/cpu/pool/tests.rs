//! Against plain loops in f64.

use super::*;

fn values(n: usize, seed: u64) -> Vec<f32> {
    let mut random = fastrand::Rng::with_seed(seed);
    (0..n).map(|_| random.f32() * 4.0 - 2.0).collect()
}

fn shape(
    size: [usize; 2],
    channels: usize,
    k: [usize; 2],
    s: [usize; 2],
    pad: [usize; 2],
) -> PoolShape {
    // As many windows as begin within the image and its padding on the left.
    let out =
        |n: usize, k: usize, s: usize, pad: usize| (n + 2 * pad).saturating_sub(k).div_ceil(s) + 1;
    PoolShape {
        height: size[0],
        width: size[1],
        channels,
        out_height: out(size[0], k[0], s[0], pad[0]),
        out_width: out(size[1], k[1], s[1], pad[1]),
        kernel: k,
        stride: s,
        pad,
    }
}

/// Maxima and means.
fn plain(s: &PoolShape, x: &[f32]) -> (Vec<f32>, Vec<f64>) {
    let (mut most, mut means) = (Vec::new(), Vec::new());
    for o in 0..s.out_height * s.out_width * s.channels {
        let (oy, ox, c) = (
            o / s.channels / s.out_width,
            o / s.channels % s.out_width,
            o % s.channels,
        );
        let mut seen = Vec::new();
        for ky in 0..s.kernel[0] {
            for kx in 0..s.kernel[1] {
                let iy = (oy * s.stride[0] + ky) as isize - s.pad[0] as isize;
                let ix = (ox * s.stride[1] + kx) as isize - s.pad[1] as isize;
                if (0..s.height as isize).contains(&iy) && (0..s.width as isize).contains(&ix) {
                    seen.push(x[(iy as usize * s.width + ix as usize) * s.channels + c]);
                }
            }
        }
        most.push(seen.iter().copied().fold(f32::NEG_INFINITY, f32::max));
        let sum: f64 = seen.iter().map(|&v| f64::from(v)).sum();
        means.push(sum / seen.len().max(1) as f64);
    }
    (most, means)
}

fn check(s: PoolShape) {
    let x = values(s.height * s.width * s.channels, 1);
    let (most, means) = plain(&s, &x);
    for kernel in Kernel::available() {
        let mut y = vec![f32::NAN; most.len()];
        max_pool(kernel, &s, &x, &mut y);
        assert_eq!(y, most, "{s:?}");
        average_pool(kernel, &s, &x, &mut y);
        for (y, want) in y.iter().zip(&means) {
            assert!((f64::from(*y) - want).abs() < 1e-6, "{y} not {want} {s:?}");
        }
    }
}

#[test]
fn windows_of_every_kind() {
    for channels in [1, 3, 16, 17, 24, 40, 144, 1000] {
        check(shape([7, 9], channels, [3, 3], [2, 2], [1, 1]));
        check(shape([6, 5], channels, [2, 2], [2, 2], [0, 0]));
    }
    check(shape([7, 9], 5, [3, 2], [1, 3], [1, 0]));
    check(shape([1, 1], 5, [3, 3], [2, 2], [1, 1]));
    check(shape([1, 1], 5, [1, 1], [1, 1], [0, 0]));
    check(shape([20, 20], 20, [20, 20], [1, 1], [0, 0]));
    // Windows of nothing but padding.
    check(shape([2, 2], 5, [2, 2], [1, 1], [4, 4]));
}

#[test]
fn windows_by_hand() {
    let s = shape([2, 3], 1, [2, 2], [1, 1], [0, 0]);
    let x = [1.0, -2.0, 3.0, 4.0, 5.0, -7.0];
    for kernel in Kernel::available() {
        let mut y = [0.0; 2];
        max_pool(kernel, &s, &x, &mut y);
        assert_eq!(y, [5.0, 5.0]);
        average_pool(kernel, &s, &x, &mut y);
        assert_eq!(y, [2.0, -0.25]);
    }
}

#[test]
fn a_nan_spoils_its_windows_only() {
    for at in 0..9 {
        let s = shape([3, 3], 1, [2, 2], [1, 1], [0, 0]);
        let mut x = values(9, 3);
        x[at] = f32::NAN;
        for kernel in Kernel::available() {
            for pool in [max_pool, average_pool] {
                let mut y = [0.0; 4];
                pool(kernel, &s, &x, &mut y);
                for (i, v) in y.iter().enumerate() {
                    let (down, right) =
                        (at / 3 - (at / 3).min(i / 2), at % 3 - (at % 3).min(i % 2));
                    let within = at / 3 >= i / 2 && at % 3 >= i % 2 && down < 2 && right < 2;
                    assert_eq!(v.is_nan(), within, "{at} {i}");
                }
            }
        }
    }
}

/// Means of powers by f64.
fn gem(pixels: usize, channels: usize, p: f32, eps: f32, x: &[f32]) -> Vec<f64> {
    let (p, eps) = (f64::from(p), f64::from(eps));
    (0..channels)
        .map(|c| {
            let at = |i: usize| f64::from(x[i * channels + c]).max(eps).powf(p);
            ((0..pixels).map(at).sum::<f64>() / pixels as f64).powf(1.0 / p)
        })
        .collect()
}

#[test]
fn means_over_the_image() {
    for channels in [1, 3, 16, 17, 24, 40, 144, 1000] {
        for pixels in [1, 7, 8, 49, 64, 65, 1030] {
            let x = values(pixels * channels, 2);
            for kernel in Kernel::available() {
                let mut y = vec![f32::NAN; channels];
                global_average(kernel, pixels, channels, &x, &mut y);
                for (c, y) in y.iter().enumerate() {
                    let sum: f64 = (0..pixels).map(|i| f64::from(x[i * channels + c])).sum();
                    let want = sum / pixels as f64;
                    assert!((f64::from(*y) - want).abs() < 1e-6, "{y} not {want}");
                }
                for p in [3.0, 1.0, 2.924_1, 0.5, 6.6] {
                    global_gem(kernel, pixels, channels, p, 1e-6, &x, &mut y);
                    for (y, want) in y.iter().zip(gem(pixels, channels, p, 1e-6, &x)) {
                        let off = (f64::from(*y) / want - 1.0).abs();
                        assert!(off < 1e-6, "{y} not {want}, p = {p}, {pixels} x {channels}");
                    }
                }
            }
        }
    }
}

#[test]
fn a_large_image_loses_nothing() {
    // A large offset, so that a running f32 sum would be off by 1e-4 and more.
    let (pixels, channels) = (256 * 256, 3);
    let mut x = values(pixels * channels, 4);
    x.iter_mut().for_each(|v| *v += 100.0);
    let want: Vec<f64> = (0..channels)
        .map(|c| {
            x.iter()
                .skip(c)
                .step_by(channels)
                .map(|&v| f64::from(v))
                .sum::<f64>()
        })
        .map(|sum| sum / pixels as f64)
        .collect();
    for kernel in Kernel::available() {
        let mut y = vec![0.0; channels];
        global_average(kernel, pixels, channels, &x, &mut y);
        for (y, want) in y.iter().zip(&want) {
            assert!((f64::from(*y) - want).abs() < 1e-5, "{y} not {want}");
        }
    }
}

#[test]
fn means_of_nothing_nan_and_infinity() {
    for kernel in Kernel::available() {
        let mut y = [f32::NAN; 2];
        global_average(kernel, 0, 2, &[], &mut y);
        assert_eq!(y, [0.0, 0.0]);
        global_average(kernel, 5, 0, &[], &mut []);
        let x = [f32::NAN, f32::INFINITY, 1.0, 2.0];
        global_average(kernel, 2, 2, &x, &mut y);
        assert!(y[0].is_nan() && y[1] == f32::INFINITY);
        for p in [3.0, 2.5] {
            global_gem(kernel, 2, 2, p, 1e-6, &x, &mut y);
            assert!(y[0].is_nan() && y[1] == f32::INFINITY, "{y:?}");
            // Nothing positive: eps.
            global_gem(kernel, 2, 2, p, 1e-6, &[-1.0, 0.0, -2.0, -3.0], &mut y);
            assert!(y.iter().all(|v| (v / 1e-6 - 1.0).abs() < 1e-5), "{y:?}");
        }
    }
}

#[test]
fn convolution_over_channels() {
    let mut y = [0.0; 4];
    channel_conv(4, &[1.0, 2.0, 3.0, 4.0], &[10.0, 1.0, 100.0], &mut y);
    assert_eq!(y, [201.0, 312.0, 423.0, 34.0]);
    channel_conv(4, &[1.0, 2.0, 3.0, 4.0], &[2.0], &mut y);
    assert_eq!(y, [2.0, 4.0, 6.0, 8.0]);
    let mut one = [0.0];
    channel_conv(1, &[3.0], &[1.0, 2.0, 4.0, 8.0, 16.0], &mut one);
    assert_eq!(one, [12.0]);
    channel_conv(0, &[], &[1.0, 2.0, 3.0], &mut []);
    let (x, w) = (values(1000, 1), values(7, 2));
    let mut y = vec![0.0; 1000];
    channel_conv(1000, &x, &w, &mut y);
    for (c, y) in y.iter().enumerate() {
        let at = |j: usize| {
            (c + j)
                .checked_sub(3)
                .and_then(|i| x.get(i))
                .copied()
                .unwrap_or(0.0)
        };
        let want: f64 = (0..7).map(|j| f64::from(w[j]) * f64::from(at(j))).sum();
        assert!((f64::from(*y) - want).abs() < 1e-6);
    }
}

#[test]
fn threads_do_not_change_a_bit() {
    let (pixels, channels) = (101 * 97, 33);
    let x = values(pixels * channels, 5);
    let s = shape([101, 97], channels, [3, 3], [2, 2], [1, 1]);
    for kernel in Kernel::available() {
        let results = [1, 3].map(|threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
            let mut y = vec![vec![0.0; channels]; 3];
            let mut z = vec![0.0; s.out_height * s.out_width * channels];
            pool.unwrap().install(|| {
                global_average(kernel, pixels, channels, &x, &mut y[0]);
                global_gem(kernel, pixels, channels, 3.0, 1e-6, &x, &mut y[1]);
                global_gem(kernel, pixels, channels, 2.2, 1e-6, &x, &mut y[2]);
                average_pool(kernel, &s, &x, &mut z);
            });
            (y, z)
        });
        assert_eq!(results[0], results[1]);
    }
}
