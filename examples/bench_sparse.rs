//! Times the sparse top-k on a matrix that `benches/peers/sparse_topk.py` writes.
//!
//! `bench_sparse MATRIX.bin K MIN_SCORE|none ROUNDS [PAIRS.bin]` prints one line of JSON. The
//! matrix is little-endian: rows, columns and values as three `u64`, the row pointers as `u64`, the
//! columns as `u32`, the values as `f64`. The pairs are `u32` row, `u32` neighbour, `f64` score.

use std::time::Instant;
use std::{env, fs};

use doppel::search::{TopK, sparse};
use doppel::tensor::Csr;
use doppel::{Error, Result};

fn words<const W: usize, T>(
    bytes: &mut &[u8],
    count: usize,
    of: fn([u8; W]) -> T,
) -> Result<Vec<T>> {
    let cut = count
        .checked_mul(W)
        .filter(|&cut| cut <= bytes.len())
        .ok_or_else(|| Error::input("the file ends too early"))?;
    let (head, tail) = bytes.split_at(cut);
    *bytes = tail;
    Ok(head
        .chunks_exact(W)
        .map(|word| of(word.try_into().unwrap_or([0; W])))
        .collect())
}

fn read(path: &str) -> Result<Csr> {
    let file = fs::read(path).map_err(|e| Error::io(e, path))?;
    let mut bytes = file.as_slice();
    let sizes = words(&mut bytes, 3, u64::from_le_bytes)?;
    let (rows, cols, nnz) = (sizes[0] as usize, sizes[1] as usize, sizes[2] as usize);
    let indptr = words(&mut bytes, rows + 1, u64::from_le_bytes)?;
    let indices = words(&mut bytes, nnz, u32::from_le_bytes)?;
    let values = words(&mut bytes, nnz, f64::from_le_bytes)?;
    Csr::new(
        cols,
        indptr.iter().map(|&p| p as usize).collect(),
        indices,
        values,
    )
}

fn main() -> Result<()> {
    let args: Vec<String> = env::args().skip(1).collect();
    let [matrix, k, min_score, rounds, out @ ..] = args.as_slice() else {
        return Err(Error::input(
            "MATRIX.bin K MIN_SCORE|none ROUNDS [PAIRS.bin]",
        ));
    };
    let number = |_| Error::input("K and ROUNDS are whole numbers");
    let opt = TopK {
        k: k.parse().map_err(number)?,
        min_score: min_score.parse().ok(),
    };
    let x = read(matrix)?;
    let mut seconds = Vec::new();
    let mut pairs = 0;
    for _ in 0..rounds.parse::<usize>().map_err(number)?.max(1) {
        let start = Instant::now();
        let lists = sparse(&x, &opt)?;
        seconds.push(start.elapsed().as_secs_f64());
        pairs = lists.pairs();
        if let Some(path) = out.first() {
            let mut bytes = Vec::with_capacity(pairs * 16);
            for (row, list) in lists.iter().enumerate() {
                for (neighbour, score) in list.iter() {
                    bytes.extend((row as u32).to_le_bytes());
                    bytes.extend(neighbour.to_le_bytes());
                    bytes.extend(score.to_le_bytes());
                }
            }
            fs::write(path, bytes).map_err(|e| Error::io(e, path))?;
        }
    }
    println!("{{\"seconds\": {seconds:?}, \"pairs\": {pairs}}}");
    Ok(())
}
