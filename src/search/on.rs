//! Search on a device that the caller opened: the same call for the CPU and for a card.

use super::{
    Fuse, Space, TopK, combined, combined_against, dense, dense_against, fused, fused_against,
    hamming, hamming_against, sparse, sparse_against,
};
use crate::device::{Buf, DType, Desc, Device, Stream, alloc};
use crate::error::Result;
use crate::lists::Lists;
use crate::tensor::{Csr, Matrix};

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

/// [`sparse`](super::sparse()), or with a gallery [`sparse_against`](super::sparse_against), on `device`; as
/// [`dense_on`].
///
/// # Errors
/// As [`dense_on`].
pub fn sparse_on(
    device: &dyn Device,
    rows: &Csr,
    gallery: Option<&Csr>,
    opt: &TopK,
) -> Result<Lists> {
    if device.info().is_card() {
        return sparse_cut_on(device, rows, gallery, opt, None);
    }
    match gallery {
        None => sparse(rows, opt),
        Some(gallery) => sparse_against(rows, gallery, opt),
    }
}

/// [`hamming`](super::hamming()), or with a gallery [`hamming_against`](super::hamming_against), on
/// `device`; as [`dense_on`].
///
/// # Errors
/// As [`dense_on`].
pub fn hamming_on(
    device: &dyn Device,
    hashes: &[Option<u64>],
    gallery: Option<&[Option<u64>]>,
    opt: &TopK,
) -> Result<Lists> {
    if device.info().is_card() {
        opt.check()?;
        return device.topk_hamming(hashes, gallery, opt.k, opt.min_score, Stream::DEFAULT);
    }
    match gallery {
        None => hamming(hashes, opt),
        Some(gallery) => hamming_against(hashes, gallery, opt),
    }
}

/// [`fused`](super::fused), or without `by` [`combined`](super::combined), with a gallery
/// [`fused_against`](super::fused_against) or [`combined_against`](super::combined_against), on `device`;
/// as [`dense_on`].
///
/// # Errors
/// As [`dense_on`].
pub fn fused_on(
    device: &dyn Device,
    spaces: &[(Space<'_>, f64)],
    gallery: Option<&[Space<'_>]>,
    by: Option<Fuse>,
    opt: &TopK,
) -> Result<Lists> {
    if device.info().is_card() {
        return fused_cut_on(device, spaces, gallery, by, opt, None);
    }
    match (gallery, by) {
        (None, None) => combined(spaces, opt),
        (None, Some(by)) => fused(spaces, by, opt),
        (Some(gallery), None) => combined_against(spaces, gallery, opt),
        (Some(gallery), Some(by)) => fused_against(spaces, gallery, by, opt),
    }
}

/// [`sparse_on`] a card, with so many queries at a time and so many rows of a gallery in a block.
#[doc(hidden)]
pub fn sparse_cut_on(
    device: &dyn Device,
    rows: &Csr,
    gallery: Option<&Csr>,
    opt: &TopK,
    cut: Option<[usize; 2]>,
) -> Result<Lists> {
    super::sparse::on_card(device, rows, gallery, opt, cut)
}

/// [`fused_on`] a card, with so many queries at a time.
#[doc(hidden)]
pub fn fused_cut_on(
    device: &dyn Device,
    spaces: &[(Space<'_>, f64)],
    gallery: Option<&[Space<'_>]>,
    by: Option<Fuse>,
    opt: &TopK,
    slab: Option<usize>,
) -> Result<Lists> {
    super::combined::on_card(device, spaces, gallery, by, opt, slab)
}

fn upload(device: &dyn Device, x: &Matrix) -> Result<Buf> {
    let buf = alloc(device, Desc::new(&[x.rows(), x.dims()], DType::F32))?;
    device.upload(bytemuck::cast_slice(x.data()), &buf, Stream::DEFAULT)?;
    Ok(buf)
}
