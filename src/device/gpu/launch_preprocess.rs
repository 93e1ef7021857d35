//! Pictures to an encoder's input: `kernels/preprocess/`.

use super::driver::{Kernel, Launch, Stream};
use super::launch::{Args, blocks, by_type};
use super::memory::Card;
use crate::device::desc::{Buf, DType, Desc};
use crate::device::locked::LockedPictures;
use crate::device::pictures::Pictures;
use crate::error::{Error, Result};

/// Pixels on a side of a block's tile, its threads and its shared memory: `prepare.cu`.
const TILE: usize = 32;
const THREADS: u32 = 256;
const SHARED: usize = TILE * TILE * 4;

/// The kernel that stores `dtype`.
pub(super) fn kernel(dtype: DType) -> Kernel {
    Kernel {
        family: "preprocess",
        symbol: by_type!(dtype, "prepare"),
    }
}

/// Uploads `pictures` to `staging` and queues their way into `out`.
pub(super) fn preprocess(
    card: &Card,
    pictures: &Pictures,
    staging: &Buf,
    out: &Buf,
    stream: Stream,
) -> Result<()> {
    let (size, count) = (pictures.size(), pictures.len());
    let wanted = [count, size, size, 3];
    if out.desc.dims != wanted || out.desc.dtype == DType::U32 {
        return Err(Error::shape("preprocess", &wanted, &out.desc.dims));
    }
    if staging.desc.bytes() < pictures.bytes() || staging.overlaps(out) {
        let (have, want) = (staging.desc.bytes(), pictures.bytes());
        let message = format!("staging takes {want} bytes of its own, not {have}");
        return Err(Error::internal(message).op("preprocess"));
    }
    if out.desc.is_empty() {
        return Ok(());
    }
    let (mut at, mut from) = (staging.at, [0; 3]);
    for (part, from) in pictures.parts().into_iter().zip(&mut from) {
        let desc = Desc::new(&[part.len() / 4], DType::U32);
        let to = Buf::new(desc, staging.mem.clone(), at)?;
        card.upload(part, &to, stream)?;
        *from = to.address();
        at += part.len();
    }
    // SAFETY: records and tables name pixels and weights of their own batch alone, as `Pictures` sees to,
    // and were uploaded right before on the same stream; `out` has a square for each picture; the engine
    // checked whose buffers these are.
    unsafe { launch(card, from, pictures.normal(), out, stream) }
}

/// Refuses buffers that a batch in page-locked memory does not go with.
pub(super) fn check_locked(pictures: &LockedPictures, staging: &Buf, out: &Buf) -> Result<()> {
    let size = pictures.size();
    let wanted = [pictures.places(), size, size, 3];
    if out.desc.dims != wanted || out.desc.dtype == DType::U32 {
        return Err(Error::shape("preprocess", &wanted, &out.desc.dims));
    }
    if staging.desc.bytes() < pictures.bytes() || staging.overlaps(out) {
        let (have, want) = (staging.desc.bytes(), pictures.bytes());
        let message = format!("staging takes {want} bytes of its own, not {have}");
        return Err(Error::internal(message).op("preprocess"));
    }
    Ok(())
}

/// Queues the kernel on records, tables and pixels that are on the card.
///
/// # Safety
/// `from` are the addresses of records, tables and pixels, in this order, with a record for each square of
/// `out`. Records and tables name nothing outside of what the stream finds there, in memory of this card
/// that outlives the stream's work, as `out` does, which has four dimensions and overlaps none of it.
pub(super) unsafe fn launch(
    card: &Card,
    from: [u64; 3],
    (mean, std): ([f32; 3], [f32; 3]),
    out: &Buf,
    stream: Stream,
) -> Result<()> {
    let [count, size] = [out.desc.dims[0], out.desc.dims[1]];
    let mut args = Args::default();
    for address in from {
        args = args.address(address);
    }
    args = args.address(out.address()).int(size)?;
    for value in mean.into_iter().chain(std) {
        args = args.float(value);
    }
    let tiles = size.div_ceil(TILE);
    let many = |_| Error::limit(format!("{count} pictures are too many")).op("preprocess");
    let how = Launch {
        grid: [
            blocks(tiles * tiles)?,
            u16::try_from(count).map_err(many)?.into(),
            1,
        ],
        block: [THREADS, 1, 1],
        shared: SHARED,
        cluster: [1, 1, 1],
    };
    // SAFETY: the arguments are those of kernels/preprocess/prepare.cu, and the caller sees to the rest.
    unsafe { card.launch(kernel(out.desc.dtype), &how, args, stream) }
}
