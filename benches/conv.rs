//! The convolutions of the encoders, layer by layer: `cargo bench --bench conv -- [name] [threads]`.
//!
//! Prints a line for each layer: its name, its shape as `benches/peers/conv_torch.py` reads it, the
//! milliseconds of one image (of processor time with one thread), and the rate in GFLOP/s.

use doppel::device::cpu::Kernel;
use doppel::device::cpu::conv::{conv, pack, packed_len};
use doppel::device::cpu::shape::{ConvShape, Tail};
use std::hint::black_box;

/// Name, side of the image, channels, filters, side of a filter, stride, groups.
type Layer = (&'static str, usize, usize, usize, usize, usize, usize);

const LAYERS: &[Layer] = &[
    ("resnet.stem", 512, 3, 64, 7, 2, 1),
    ("resnet.1a", 128, 64, 64, 1, 1, 1),
    ("resnet.1a'", 128, 256, 64, 1, 1, 1),
    ("resnet.1b", 128, 64, 64, 3, 1, 1),
    ("resnet.1c", 128, 64, 256, 1, 1, 1),
    ("resnet.2a", 128, 256, 128, 1, 1, 1),
    ("resnet.2b", 128, 128, 128, 3, 2, 1),
    ("resnet.2d", 128, 256, 512, 1, 2, 1),
    ("resnet.2c", 64, 128, 512, 1, 1, 1),
    ("resnet.2a'", 64, 512, 128, 1, 1, 1),
    ("resnet.2b'", 64, 128, 128, 3, 1, 1),
    ("resnet.3a", 64, 512, 256, 1, 1, 1),
    ("resnet.3b", 64, 256, 256, 3, 2, 1),
    ("resnet.3d", 64, 512, 1024, 1, 2, 1),
    ("resnet.3c", 32, 256, 1024, 1, 1, 1),
    ("resnet.3a'", 32, 1024, 256, 1, 1, 1),
    ("resnet.3b'", 32, 256, 256, 3, 1, 1),
    ("resnet.4a", 32, 1024, 512, 1, 1, 1),
    ("resnet.4b", 32, 512, 512, 3, 2, 1),
    ("resnet.4d", 32, 1024, 2048, 1, 2, 1),
    ("resnet.4c", 16, 512, 2048, 1, 1, 1),
    ("resnet.4a'", 16, 2048, 512, 1, 1, 1),
    ("resnet.4b'", 16, 512, 512, 3, 1, 1),
    ("resnext.1b", 128, 128, 128, 3, 1, 32),
    ("resnext.2b", 128, 256, 256, 3, 2, 32),
    ("resnext.2b'", 64, 256, 256, 3, 1, 32),
    ("resnext.3b", 64, 512, 512, 3, 2, 32),
    ("resnext.3b'", 32, 512, 512, 3, 1, 32),
    ("resnext.4b", 32, 1024, 1024, 3, 2, 32),
    ("resnext.4b'", 16, 1024, 1024, 3, 1, 32),
    ("efficient.stem", 512, 3, 32, 3, 2, 1),
    ("efficient.1p", 256, 32, 16, 1, 1, 1),
    ("efficient.2e", 256, 16, 96, 1, 1, 1),
    ("efficient.2p", 128, 96, 24, 1, 1, 1),
    ("efficient.2e'", 128, 24, 144, 1, 1, 1),
    ("efficient.2p'", 128, 144, 24, 1, 1, 1),
    ("efficient.3p", 64, 144, 40, 1, 1, 1),
    ("efficient.3e", 64, 40, 240, 1, 1, 1),
    ("efficient.4p", 32, 240, 80, 1, 1, 1),
    ("efficient.4e", 32, 80, 480, 1, 1, 1),
    ("efficient.5p", 32, 480, 112, 1, 1, 1),
    ("efficient.5e", 32, 112, 672, 1, 1, 1),
    ("efficient.6p", 16, 672, 192, 1, 1, 1),
    ("efficient.6e", 16, 192, 1152, 1, 1, 1),
    ("efficient.7p", 16, 1152, 320, 1, 1, 1),
    ("efficient.head", 16, 320, 1280, 1, 1, 1),
    ("b3.2e", 256, 24, 144, 1, 1, 1),
    ("b3.3e", 64, 48, 288, 1, 1, 1),
    ("b3.5e", 32, 136, 816, 1, 1, 1),
    ("b3.7p", 16, 1392, 384, 1, 1, 1),
    ("b3.7e", 16, 384, 2304, 1, 1, 1),
    ("b3.head", 16, 384, 1536, 1, 1, 1),
    ("nfnet.stem1", 512, 3, 16, 3, 2, 1),
    ("nfnet.stem2", 256, 16, 32, 3, 1, 1),
    ("nfnet.stem3", 256, 32, 64, 3, 1, 1),
    ("nfnet.stem4", 256, 64, 128, 3, 2, 1),
    ("nfnet.1b", 128, 64, 64, 3, 1, 1),
    ("nfnet.2b", 128, 128, 128, 3, 2, 2),
    ("nfnet.2b'", 64, 128, 128, 3, 1, 2),
    ("nfnet.3b", 64, 384, 384, 3, 2, 6),
    ("nfnet.3b'", 32, 384, 384, 3, 1, 6),
    ("nfnet.4b'", 16, 384, 384, 3, 1, 6),
    ("nfnet.3a", 32, 1536, 384, 1, 1, 1),
    ("nfnet.3c", 32, 384, 1536, 1, 1, 1),
    ("nfnet.head", 16, 1536, 2304, 1, 1, 1),
    ("product.up", 46, 768, 3072, 1, 1, 1),
    ("product.down", 46, 3072, 768, 1, 1, 1),
    ("product.deep", 46, 4096, 1024, 1, 1, 1),
    ("product.one", 1, 4096, 4096, 1, 1, 1),
    ("product.four", 2, 4096, 4096, 1, 1, 1),
    ("product.gate", 1, 1392, 58, 1, 1, 1),
];

fn shape(layer: &Layer) -> ConvShape {
    let (_, side, channels, filters, kernel, stride, groups) = *layer;
    let pad = kernel / 2;
    let out = (side + 2 * pad - kernel) / stride + 1;
    ConvShape {
        height: side,
        width: side,
        channels,
        out_height: out,
        out_width: out,
        filters,
        kernel: [kernel; 2],
        stride: [stride; 2],
        pad: [pad; 2],
        groups,
    }
}

/// Floats that start at a multiple of 64 bytes.
fn aligned(room: &mut Vec<f32>, len: usize) -> &mut [f32] {
    room.resize(len + 16, 0.0);
    let skip = room.as_ptr().align_offset(64);
    &mut room[skip..][..len]
}

/// Seconds: of this process's processors with one thread, so that other programs' turns do not
/// count, and of the wall clock with more.
fn now(threads: usize) -> f64 {
    let clock = match threads {
        1 => libc::CLOCK_PROCESS_CPUTIME_ID,
        _ => libc::CLOCK_MONOTONIC,
    };
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: `time` is a valid place for the answer.
    unsafe { libc::clock_gettime(clock, &mut time) };
    time.tv_sec as f64 + 1e-9 * time.tv_nsec as f64
}

/// Seconds of one call, over half a second: the lower quartile with one thread, the best with more
/// (the wall clock counts other programs' turns too).
fn seconds(threads: usize, mut call: impl FnMut()) -> f64 {
    call();
    let (begin, mut times) = (now(threads), Vec::new());
    while now(threads) - begin < 0.5 {
        let start = now(threads);
        call();
        times.push(now(threads) - start);
    }
    times.sort_by(f64::total_cmp);
    times[if threads == 1 { times.len() / 4 } else { 0 }]
}

fn measure(kernel: Kernel, threads: usize, shape: &ConvShape) -> f64 {
    let mut rng = fastrand::Rng::with_seed(1);
    let mut random = |n: usize| -> Vec<f32> { (0..n).map(|_| rng.f32() - 0.5).collect() };
    let x = random(shape.height * shape.width * shape.channels);
    let (mut room, bias) = (Vec::new(), random(shape.filters));
    let packed = aligned(&mut room, packed_len(kernel, shape));
    let mut filters = |_: usize, row: &mut [f32]| {
        row.copy_from_slice(&random(row.len()));
        Ok(())
    };
    pack(kernel, shape, &mut filters, packed).expect("lengths that agree");
    let mut y = vec![0.0; shape.out_height * shape.out_width * shape.filters];
    let tail = Tail {
        bias: Some(&bias),
        ..Tail::NONE
    };
    seconds(threads, || {
        conv(kernel, shape, black_box(&x), packed, None, &tail, &mut y)
    })
}

fn main() {
    let words: Vec<String> = std::env::args()
        .skip(1)
        .filter(|a| !a.starts_with('-'))
        .collect();
    let name = words.first().map_or("", String::as_str);
    let threads = words.get(1).map_or(2, |t| t.parse().expect("threads"));
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
    let pool = pool.expect("a pool");
    let best = std::env::var("KERNEL").unwrap_or_else(|_| Kernel::best().name().into());
    let kernel = Kernel::available()
        .into_iter()
        .find(|k| k.name() == best)
        .expect("a kernel of this machine");
    println!("# {} {threads} threads", kernel.name());
    for layer in LAYERS.iter().filter(|l| l.0.contains(name)) {
        let s = shape(layer);
        let flops = 2.0 * (s.out_height * s.out_width * s.filters * s.depth()) as f64;
        let time = pool.install(|| measure(kernel, threads, &s));
        println!(
            "{} {} {} {} {} {} {} {:.4} {:.1}",
            layer.0,
            layer.1,
            layer.2,
            layer.3,
            layer.4,
            layer.5,
            layer.6,
            time * 1e3,
            flops / time / 1e9
        );
    }
}
