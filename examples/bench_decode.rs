//! Times decoding and preparing JPEG files for a program that runs a rival beside it.
//!
//! ```text
//! bench_decode FOLDER SIZE decode|resize|prepare
//! ```
//!
//! Reads all files of the folder into memory, in the order of their names. For every line on
//! standard input it works through all of them on rayon's pool and answers with one line of JSON:
//! the seconds, the pictures and the process's peak memory. `decode` stops at RGB, `resize` goes on
//! to `SIZE x SIZE` pixels (bilinear), `prepare` to normalised `f32`. A line with a path also writes
//! the last step's bytes of the first 64 files there, one after the other.

use std::error::Error;
use std::io::{BufRead, Write};
use std::time::Instant;

use doppel::image::{Crop, Filter, IMAGENET, Prepare, decode_rgb, prepare, resize_rgb};
use rayon::prelude::*;

/// What is done to a file.
fn work(bytes: &[u8], size: usize, step: &str, out: &mut Vec<f32>) -> doppel::Result<Vec<u8>> {
    let rgb = decode_rgb(bytes, true)?;
    if step == "decode" {
        return Ok(rgb.into_pixels());
    }
    if step == "resize" {
        return Ok(resize_rgb(&rgb, size, size, Filter::Bilinear)?.into_pixels());
    }
    let how = Prepare {
        size,
        crop: Crop::Squash,
        filter: Filter::Bilinear,
        normal: IMAGENET,
    };
    out.resize(how.values()?, 0.0);
    prepare(&rgb, &how, out)?;
    Ok(Vec::new())
}

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [folder, size, step] = args.as_slice() else {
        return Err("usage: bench_decode FOLDER SIZE decode|resize|prepare".into());
    };
    let size: usize = size.parse()?;
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        paths.push(entry?.path());
    }
    paths.sort();
    let files: Vec<Vec<u8>> = paths.iter().map(std::fs::read).collect::<Result<_, _>>()?;
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        let start = Instant::now();
        let made: Vec<usize> = files
            .par_iter()
            .map_init(Vec::new, |out, bytes| {
                work(bytes, size, step, out).map(|pixels| pixels.len())
            })
            .collect::<doppel::Result<_>>()?;
        let seconds = start.elapsed().as_secs_f64();
        if !line.trim().is_empty() {
            let mut file = std::fs::File::create(line.trim())?;
            for bytes in files.iter().take(64) {
                file.write_all(&work(bytes, size, step, &mut Vec::new())?)?;
            }
        }
        let (pictures, peak) = (made.len(), peak_bytes());
        println!(r#"{{"seconds":{seconds},"pictures":{pictures},"peak_bytes":{peak}}}"#);
        std::io::stdout().flush()?;
    }
    Ok(())
}

/// The most memory that this process held at once, in bytes; 0 where the system does not say.
fn peak_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmHWM:"));
    let word = line.and_then(|line| line.split_whitespace().nth(1));
    word.and_then(|kib| kib.parse::<u64>().ok()).unwrap_or(0) * 1024
}
