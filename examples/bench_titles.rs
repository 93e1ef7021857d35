//! One text encoder on demand, for benches/peers/text_encoders.py:
//! `bench_titles CONFIG.json TOKENS BATCH [profile]` with made-up weights and token ids, or
//! `bench_titles FOLDER TITLES.txt` from text to vectors, a title a line.
//!
//! Every line on standard input is answered with one run, as a line of JSON. With `profile` it prints
//! instead where one run's time goes, operation by operation, and ends.

use std::collections::BTreeMap;
use std::io::{BufRead, Write};
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use doppel::device::{self, Desc, Device, Source, cpu_kernels};
use doppel::nn::params;
use doppel::nn::text::{TextBuild, TextConfig, TextEncoder, TextFolder, TextPool, text_graph};
use doppel::nn::weights::OpenOptions;
use doppel::text::tokenize::{TokenizeOptions, Tokenizer};
use timing::{peak_bytes, time, value};

mod timing;

/// Weights that keep signals at their size: what is in them does not change the time.
struct Made(Vec<(String, Vec<usize>)>);

impl Source for Made {
    fn dims(&self, key: &str) -> Option<&[usize]> {
        let found = self.0.iter().find(|(k, _)| k == key);
        found.map(|(_, dims)| &dims[..])
    }

    fn read(&self, key: &str, from: usize, out: &mut [f32]) -> doppel::Result<()> {
        let dims = self.dims(key).unwrap_or(&[]);
        let (by, more) = match dims {
            [_, depth] => ((3.0 / *depth as f32).sqrt(), 0.0),
            _ => (0.1, f32::from(u8::from(key.ends_with("weight")))),
        };
        let seed = key
            .bytes()
            .fold(7u64, |h, b| h.wrapping_mul(131) + u64::from(b));
        for (i, out) in out.iter_mut().enumerate() {
            *out = value(seed.wrapping_add((from + i) as u64)) * by + more;
        }
        Ok(())
    }
}

fn profile(encoder: &TextEncoder, tokens: usize, batch: usize) -> doppel::Result<()> {
    let build = TextBuild {
        tokens: tokens * batch,
        titles: batch,
        pool: encoder.pool(),
    };
    let plan = encoder
        .plan()
        .resized(&text_graph(encoder.config(), &build)?)?;
    let (mut by_op, mut total) = (BTreeMap::new(), 0.0);
    let mut known: BTreeMap<String, f64> = BTreeMap::new();
    for (op, descs) in plan.shapes() {
        let shown: Vec<String> = descs.iter().map(Desc::to_string).collect();
        let what = format!("{op:?} {}", shown.join(" "));
        let us = match known.get(&what) {
            Some(&us) => us,
            None => time(&**plan.device(), op, descs)?,
        };
        let cost = op.cost(descs)?;
        if known.insert(what, us).is_none() {
            println!(
                "{us:10.0} us {:8.1} GFLOP/s {:7.1} GB/s  {} {} {}",
                cost.flops as f64 / us / 1e3,
                cost.bytes as f64 / us / 1e3,
                op.name(),
                shown[0],
                shown[1]
            );
        }
        let entry = by_op.entry(op.name()).or_insert((0.0, 0.0));
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

/// Answers every line of standard input with a run's seconds and the vectors' sum.
fn serve(
    dims: usize,
    count: usize,
    mut run: impl FnMut(&mut [f32]) -> doppel::Result<usize>,
) -> Result<(), Box<dyn std::error::Error>> {
    let mut out = vec![0.0; count * dims];
    for line in std::io::stdin().lock().lines() {
        line?;
        let began = Instant::now();
        let tokens = run(&mut out)?;
        let seconds = began.elapsed().as_secs_f64();
        if !out.iter().all(|v| v.is_finite()) || out.iter().all(|v| *v == 0.0) {
            return Err("the embeddings are not numbers".into());
        }
        let kernel = &cpu_kernels()[0];
        println!(
            "{{\"seconds\": {seconds}, \"tokens\": {tokens}, \"peak_bytes\": {}, \"kernel\": \"{kernel}\"}}",
            peak_bytes()
        );
        std::io::stdout().flush()?;
    }
    Ok(())
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let device: Arc<dyn Device> = device::open("cpu")?;
    match &words[..] {
        [folder, titles] => {
            let folder = TextFolder::open(folder)?;
            let options = TokenizeOptions {
                max_tokens: folder.max_tokens,
                lowercase: folder.lowercase,
            };
            let tokenizer = Tokenizer::open(&folder.path, &options)?;
            let how = OpenOptions::default();
            let (encoder, _) = TextEncoder::open(&folder, folder.pool, how, device)?;
            let text = std::fs::read_to_string(titles)?;
            let titles: Vec<&str> = text.lines().collect();
            serve(encoder.dims(), titles.len(), |out| {
                let ids = tokenizer.encode_many(&titles);
                let ids: Vec<Vec<u32>> = ids.into_iter().collect::<doppel::Result<_>>()?;
                let ids: Vec<&[u32]> = ids.iter().map(|t| &t[..]).collect();
                encoder.encode(&ids, out)?;
                Ok(ids.iter().map(|t| t.len()).sum())
            })
        }
        [config, tokens, batch, rest @ ..] => {
            let config = TextConfig::parse(&std::fs::read_to_string(Path::new(config))?)?;
            let (tokens, batch): (usize, usize) = (tokens.parse()?, batch.parse()?);
            let build = TextBuild {
                tokens: 1,
                titles: 1,
                pool: TextPool::Mean,
            };
            let made = Made(params(&text_graph(&config, &build)?));
            let encoder = TextEncoder::new(&config, TextPool::Mean, &made, device)?;
            if rest.first().is_some_and(|w| w == "profile") {
                return Ok(profile(&encoder, tokens, batch)?);
            }
            let most = config.vocabulary as u64;
            let ids: Vec<u32> = (0..(tokens * batch) as u64)
                .map(|i| (i.wrapping_mul(7919) % most) as u32)
                .collect();
            let titles: Vec<&[u32]> = ids.chunks(tokens).collect();
            serve(encoder.dims(), batch, |out| {
                encoder.encode(&titles, out)?;
                Ok(ids.len())
            })
        }
        _ => {
            Err("usage: bench_titles CONFIG.json TOKENS BATCH [profile] | FOLDER TITLES.txt".into())
        }
    }
}
