//! One encoder on demand, for benches/peers/encoders.py: `bench_encoder ARCH SIZE BATCH [profile]`.
//!
//! Every line on standard input is answered with one run of a batch, as a line of JSON. With `profile`
//! it prints instead where one image's time goes, operation by operation, and ends.

use std::collections::BTreeMap;
use std::io::{BufRead, Write};
use std::sync::Arc;
use std::time::Instant;

use doppel::device::{self, DType, Desc, Device, Op, Weights, cpu_kernels};
use doppel::nn::{self, Build, ImageEncoder, ImageOptions};
use timing::{peak_bytes, time, uniform};

mod timing;

/// Weights that keep signals at their size: what is in them does not change the time.
fn weights(arch: &nn::Arch, size: usize) -> doppel::Result<Weights> {
    let graph = nn::graph(arch, &Build::new(1, size))?;
    let mut all = Weights::new();
    for (i, (key, dims)) in nn::params(&graph).into_iter().enumerate() {
        let depth: usize = dims.iter().skip(1).product();
        let mut values = uniform(dims.iter().product(), i as u64);
        let by = if dims.len() > 1 {
            (3.0 / depth as f32).sqrt()
        } else {
            0.1
        };
        let near_one = key.ends_with("var") || dims.len() == 1 && key.ends_with("weight");
        values
            .iter_mut()
            .for_each(|v| *v = *v * by + f32::from(u8::from(near_one)));
        all.insert(key, (dims, values));
    }
    Ok(all)
}

fn profile(encoder: &ImageEncoder) -> doppel::Result<()> {
    let device = encoder.plan().device();
    let (mut by_op, mut total) = (BTreeMap::new(), 0.0);
    for (op, descs) in encoder.plan().shapes() {
        let (us, cost) = (time(&**device, op, descs)?, op.cost(descs)?);
        let out = op.infer(descs)?[0].clone();
        let what = match op {
            Op::Conv { window, groups, .. } => format!(
                "{}x{} s{} g{groups}",
                window.kernel[0], window.kernel[1], window.stride[0]
            ),
            _ => String::new(),
        };
        println!(
            "{us:10.0} us {:8.1} GFLOP/s {:7.1} GB/s  {} {what} {} -> {}",
            cost.flops as f64 / us / 1e3,
            cost.bytes as f64 / us / 1e3,
            op.name(),
            descs[0],
            out
        );
        let name = match op {
            Op::Conv { groups, .. } if *groups > 1 && descs[1].dims[1] == 1 => "depthwise",
            Op::Conv { groups, .. } if *groups > 1 => "grouped conv",
            Op::Conv { window, .. } if window.kernel == [1, 1] => "conv 1x1",
            _ => op.name(),
        };
        let entry = by_op.entry(name).or_insert((0.0, 0.0));
        *entry = (entry.0 + us, entry.1 + cost.flops as f64);
        total += us;
    }
    for (name, (us, flops)) in by_op {
        let share = 100.0 * us / total;
        println!(
            "{name:16} {us:10.0} us {share:5.1} % {:8.1} GFLOP/s",
            flops / us / 1e3
        );
    }
    println!("{:16} {total:10.0} us", "all");
    Ok(())
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [arch, size, batch, rest @ ..] = &words[..] else {
        return Err("usage: bench_encoder ARCH SIZE BATCH [profile]".into());
    };
    let (size, batch): (usize, usize) = (size.parse()?, batch.parse()?);
    let device: Arc<dyn Device> = device::open("cpu")?;
    let mut options = ImageOptions::new(arch);
    options.size = Some(size);
    let encoder = ImageEncoder::new(&options, &weights(nn::arch(arch)?, size)?, device)?;
    if rest.first().is_some_and(|w| w == "profile") {
        return Ok(profile(&encoder)?);
    }
    let images = uniform(Desc::new(&[batch, size, size, 3], DType::F32).len(), 99);
    let mut out = vec![0.0; batch * encoder.dims()];
    for line in std::io::stdin().lock().lines() {
        line?;
        let began = Instant::now();
        encoder.encode(&images, &mut out)?;
        let seconds = began.elapsed().as_secs_f64();
        if !out.iter().all(|v| v.is_finite()) || out.iter().all(|v| *v == 0.0) {
            return Err("the embeddings are not numbers".into());
        }
        let (kernel, flops) = (
            &cpu_kernels()[0],
            encoder.plan().cost()?.flops * batch as u64,
        );
        let gflops = flops as f64 / seconds / 1e9;
        println!(
            "{{\"seconds\": {seconds}, \"gflops\": {gflops:.1}, \"peak_bytes\": {}, \"kernel\": \"{kernel}\"}}",
            peak_bytes()
        );
        std::io::stdout().flush()?;
    }
    Ok(())
}
