//! Times the dense top-k for a program that runs a rival beside it.
//!
//! ```text
//! bench_topk X.f32 ROWS DIMS K
//! ```
//!
//! `X.f32` is `ROWS x DIMS` little-endian `f32`. For every line on standard input it searches once
//! and answers with one line of JSON: the seconds of the search, and the process's peak memory in
//! bytes. A line with a path also writes the neighbours there: `ROWS x K` little-endian `u32` rows,
//! then as many `f64` scores (shorter lists are filled with `u32::MAX` and -2).

use doppel::search::{TopK, dense};
use doppel::tensor::Matrix;
use std::io::{BufRead, Write};
use std::time::Instant;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [path, rows, dims, k] = args.as_slice() else {
        return Err("usage: bench_topk X.f32 ROWS DIMS K".into());
    };
    let (rows, dims, k): (usize, usize, usize) = (rows.parse()?, dims.parse()?, k.parse()?);
    let x = Matrix::new(rows, dims, read(path)?)?;
    let opt = TopK { k, min_score: None };
    let kernel = doppel::device::cpu::Kernel::best().name();
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        let start = Instant::now();
        let lists = dense(&x, &opt)?;
        let seconds = start.elapsed().as_secs_f64();
        if !line.trim().is_empty() {
            write(line.trim(), &lists, k)?;
        }
        let peak = peak_bytes();
        println!(r#"{{"seconds":{seconds},"peak_bytes":{peak},"kernel":"{kernel}"}}"#);
        std::io::stdout().flush()?;
    }
    Ok(())
}

fn read(path: &str) -> std::io::Result<Vec<f32>> {
    let bytes = std::fs::read(path)?;
    let floats = bytes.chunks_exact(4);
    Ok(floats
        .map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]))
        .collect())
}

fn write(path: &str, lists: &doppel::lists::Lists, k: usize) -> std::io::Result<()> {
    let mut out = std::io::BufWriter::new(std::fs::File::create(path)?);
    for list in lists.iter() {
        for i in 0..k {
            out.write_all(&list.rows.get(i).unwrap_or(&u32::MAX).to_le_bytes())?;
        }
    }
    for list in lists.iter() {
        for i in 0..k {
            out.write_all(&list.scores.get(i).unwrap_or(&-2.0).to_le_bytes())?;
        }
    }
    out.flush()
}

/// The most memory that the process has held, where the system tells (Linux).
fn peak_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:"));
    let kib = line.and_then(|l| l.trim().trim_end_matches(" kB").parse::<u64>().ok());
    kib.unwrap_or(0) * 1024
}
