//! Pictures to an encoder's input: `kernels/preprocess/`.

use super::driver::{Kernel, Launch, Stream};
use super::launch::{Args, blocks, by_type};
use super::memory::Card;
use crate::device::desc::{Buf, DType, Desc};
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
        symbol: by_type(dtype, "prepare_f16", "prepare_f32"),
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
    let mut at = staging.at;
    let mut args = Args::default();
    for part in pictures.parts() {
        let desc = Desc::new(&[part.len() / 4], DType::U32);
        let to = Buf::new(desc, staging.mem.clone(), at)?;
        card.upload(part, &to, stream)?;
        args = args.address(to.address());
        at += part.len();
    }
    args = args.address(out.address()).int(size)?;
    let (mean, std) = pictures.normal();
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
    // SAFETY: the arguments are those of kernels/preprocess/prepare.cu. Records and tables name pixels
    // and weights of their own batch alone, as `Pictures` sees to, and were uploaded right before on the
    // same stream; `out` has a square for each picture; the engine checked whose buffers these are.
    unsafe { card.launch(kernel(out.desc.dtype), &how, args, stream) }
}
