//! Refining on a device that the caller opened: the same calls for the CPU and for a card.

use super::{Blend, Expand, blend, blend_against, concat, expand, expand_against};
use crate::device::{CardRows, Device, Mixing, Stream};
use crate::error::{Kind, Result};
use crate::lists::Lists;
use crate::tensor::Rows;

impl From<&Expand> for Mixing {
    fn from(e: &Expand) -> Self {
        Mixing::Expand {
            most: e.k.saturating_sub(1),
            alpha: e.alpha,
        }
    }
}

impl From<&Blend> for Mixing {
    fn from(b: &Blend) -> Self {
        Mixing::Blend {
            distance: b.distance,
            min2: b.min2,
        }
    }
}

/// [`expand`](super::expand), or with a gallery [`expand_against`](super::expand_against), on `device`.
/// The rows are the same to the bit wherever they are computed.
///
/// # Errors
/// As on the CPU; [`Kind::Limit`](crate::error::Kind::Limit) when a card's memory does not suffice.
pub fn expand_on(
    device: &dyn Device,
    rows: &Rows,
    gallery: Option<&Rows>,
    lists: &Lists,
    e: &Expand,
) -> Result<Rows> {
    let host = || match gallery {
        None => expand(rows, lists, e),
        Some(gallery) => expand_against(rows, gallery, lists, e),
    };
    if !device.info().is_card() {
        return host();
    }
    e.check()?;
    or_host(mix(device, rows, gallery, lists, &Mixing::from(e)), host)
}

/// [`blend`](super::blend), or with a gallery [`blend_against`](super::blend_against), on `device`. The rows
/// are the same to the bit wherever they are computed.
///
/// # Errors
/// As on the CPU; [`Kind::Limit`](crate::error::Kind::Limit) when a card's memory does not suffice.
pub fn blend_on(
    device: &dyn Device,
    rows: &Rows,
    gallery: Option<&Rows>,
    lists: &Lists,
    b: &Blend,
) -> Result<Rows> {
    let host = || match gallery {
        None => blend(rows, lists, b),
        Some(gallery) => blend_against(rows, gallery, lists, b),
    };
    if !device.info().is_card() {
        return host();
    }
    b.check()?;
    or_host(mix(device, rows, gallery, lists, &Mixing::from(b)), host)
}

/// [`concat`](super::concat) on `device`. The rows are the same to the bit wherever they are computed.
///
/// # Errors
/// As on the CPU; [`Kind::Limit`](crate::error::Kind::Limit) when a card's memory does not suffice.
pub fn concat_on(device: &dyn Device, parts: &[(&Rows, f64)]) -> Result<Rows> {
    if !device.info().is_card() {
        return concat(parts);
    }
    let joined = || {
        let card = device.fusion()?;
        let kept = parts
            .iter()
            .map(|(rows, _)| card.rows(rows, Stream::DEFAULT));
        let kept = kept.collect::<Result<Vec<CardRows>>>()?;
        let weights = parts.iter().map(|(_, weight)| *weight);
        let parts: Vec<(&CardRows, f64)> = kept.iter().zip(weights).collect();
        card.rows_to_host(&card.concat(&parts, Stream::DEFAULT)?, Stream::DEFAULT)
    };
    or_host(joined(), || concat(parts))
}

/// [`blend_stages`](super::blend_stages) over a search for the `k` best rows on a card, with `min_score` those
/// of at least that. Rows and neighbours stay there from the first stage to the last; dense rows alone.
///
/// # Errors
/// As [`blend_stages`](super::blend_stages) and [`Fusion::near`](crate::device::Fusion::near);
/// [`Kind::Unsupported`](crate::error::Kind::Unsupported) where the device keeps no rows, or searches for
/// fewer neighbours.
pub fn blend_stages_kept(
    device: &dyn Device,
    rows: &Rows,
    stages: &[Blend],
    k: usize,
    min_score: Option<f64>,
) -> Result<Rows> {
    stages.iter().try_for_each(Blend::check)?;
    let card = device.fusion()?;
    let mut kept = card.rows(rows, Stream::DEFAULT)?;
    for b in stages {
        let lists = card.near(&kept, None, k, min_score, Stream::DEFAULT)?;
        kept = card.mix(&kept, None, &lists, &Mixing::from(b), Stream::DEFAULT)?;
    }
    card.rows_to_host(&kept, Stream::DEFAULT)
}

fn mix(
    device: &dyn Device,
    rows: &Rows,
    gallery: Option<&Rows>,
    lists: &Lists,
    how: &Mixing,
) -> Result<Rows> {
    let card = device.fusion()?;
    let own = card.rows(rows, Stream::DEFAULT)?;
    let others = gallery
        .map(|rows| card.rows(rows, Stream::DEFAULT))
        .transpose()?;
    let lists = card.lists(lists, Stream::DEFAULT)?;
    let mixed = card.mix(&own, others.as_ref(), &lists, how, Stream::DEFAULT)?;
    card.rows_to_host(&mixed, Stream::DEFAULT)
}

/// What the card made, or what the host makes of that which the card has no form of.
fn or_host(made: Result<Rows>, host: impl FnOnce() -> Result<Rows>) -> Result<Rows> {
    match made {
        Err(e) if e.kind() == Kind::Unsupported => host(),
        made => made,
    }
}
