//! Search on a device that the caller opened: the same call for the CPU and for a card.

use super::{TopK, dense, dense_against};
use crate::device::{Buf, DType, Desc, Device, Stream, alloc};
use crate::error::Result;
use crate::lists::Lists;
use crate::tensor::Matrix;

/// [`dense`](super::dense), or with a gallery [`dense_against`](super::dense_against), on `device`.
/// The lists are the same to the bit wherever they are computed.
///
/// # Errors
/// As on the CPU; [`Kind::Unsupported`](crate::error::Kind::Unsupported) for more neighbours than the
/// card's search gives, [`Kind::Limit`](crate::error::Kind::Limit) when its memory does not suffice.
pub fn dense_on(
    device: &dyn Device,
    rows: &Matrix,
    gallery: Option<&Matrix>,
    opt: &TopK,
) -> Result<Lists> {
    if !device.info().is_card() {
        return match gallery {
            None => dense(rows, opt),
            Some(gallery) => dense_against(rows, gallery, opt),
        };
    }
    opt.check()?;
    let queries = upload(device, rows)?;
    let gallery = gallery.map(|g| upload(device, g)).transpose()?;
    device.topk_dense(
        &queries,
        gallery.as_ref(),
        opt.k,
        opt.min_score,
        Stream::DEFAULT,
    )
}

fn upload(device: &dyn Device, x: &Matrix) -> Result<Buf> {
    let buf = alloc(device, Desc::new(&[x.rows(), x.dims()], DType::F32))?;
    device.upload(bytemuck::cast_slice(x.data()), &buf, Stream::DEFAULT)?;
    Ok(buf)
}
