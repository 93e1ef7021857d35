//! Reading numbers of a known count, without trust in how many there are.

use std::io::{ErrorKind, Read};

use crate::error::{Error, Kind, Result};

/// How many bytes are read at a time: a multiple of every item's size.
const BLOCK: usize = 1 << 18;

/// What a failed read means: a file that ends too early, or what the system or the unpacker said.
fn failed(error: std::io::Error) -> Error {
    match error.kind() {
        ErrorKind::UnexpectedEof => {
            Error::input("the file ends too early").mend("it was cut short: write or copy it again")
        }
        ErrorKind::Unsupported => Error::unsupported(format!(
            "the archive is of a kind that is not read ({error})"
        ))
        .mend("write it without a password, stored or deflated"),
        ErrorKind::InvalidData | ErrorKind::InvalidInput | ErrorKind::Other => {
            Error::input(format!("the data is damaged ({error})")).mend("write or copy it again")
        }
        _ => Error::new(Kind::Io, error.to_string()).mend("see whether the disk can be read"),
    }
}

/// Fills `buffer`.
pub(super) fn fill(from: &mut impl Read, buffer: &mut [u8]) -> Result<()> {
    from.read_exact(buffer).map_err(failed)
}

/// That nothing is left; a zip member's checksum is compared here.
pub(super) fn finish(from: &mut impl Read) -> Result<()> {
    match from.read(&mut [0; 1]) {
        Ok(0) => Ok(()),
        Ok(_) => Err(Error::input("more data than its header says").mend("write it again")),
        Err(e) => Err(failed(e)),
    }
}

/// Reads `count` items of `size` bytes each and hands them to `take`, a block at a time.
///
/// The caller has compared `count * size` with the length of the file.
pub(super) fn blocks(
    from: &mut impl Read,
    count: usize,
    size: usize,
    mut take: impl FnMut(&[u8]),
) -> Result<()> {
    if size == 0 {
        return Ok(());
    }
    let mut left = count * size;
    let mut buffer = vec![0; left.min(BLOCK / size * size)];
    while left > 0 {
        let block = left.min(buffer.len());
        fill(from, &mut buffer[..block])?;
        take(&buffer[..block]);
        left -= block;
    }
    Ok(())
}

/// Reads `count` numbers, made from their `N` bytes by `make`.
pub(super) fn numbers<const N: usize, T>(
    from: &mut impl Read,
    count: usize,
    make: impl Fn([u8; N]) -> T,
) -> Result<Vec<T>> {
    let mut out = Vec::with_capacity(count);
    blocks(from, count, N, |bytes| {
        out.extend(bytes.as_chunks::<N>().0.iter().map(|item| make(*item)));
    })?;
    Ok(out)
}
