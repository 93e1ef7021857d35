//! Pictures on their way to a card, which resizes, crops and normalises them as [`super::prepare()`] does.

use std::rc::Rc;
use std::sync::Arc;

use super::Rgb8;
use super::filter::{FRACTION_BITS, Kept, Side};
use super::prepare::Prepare;
use super::resize::columns_first;
use crate::device::{Picture, Pictures, Taps};
use crate::error::{Error, Result};

/// No pictures yet, for what `how` makes of them.
///
/// # Errors
/// Those of [`Prepare::check`].
pub fn staging(how: &Prepare) -> Result<Pictures> {
    how.check()?;
    Ok(Pictures::new(how.size, how.normal.mean, how.normal.std))
}

/// Adds a picture to those that [`Device::preprocess`](crate::device::Device::preprocess) prepares: the
/// samples that the card normalises are those of [`super::prepare()`], bit for bit.
///
/// # Errors
/// Those of [`Prepare::check`], a picture without pixels, pictures of another size, or more than a batch
/// holds.
pub fn stage(rgb: &Rgb8, how: &Prepare, pictures: &mut Pictures) -> Result<()> {
    how.check()?;
    let (width, height) = (rgb.width(), rgb.height());
    if pictures.size() != how.size || rgb.pixels().is_empty() {
        let (from, to) = ([height, width, 3], [pictures.size(), pictures.size(), 3]);
        return Err(Error::shape("stage", &from, &to));
    }
    let (part, column, row) = how.part(width, height);
    let side = |from, to, start, count| {
        let side = Side {
            filter: how.filter,
            from,
            to,
            start,
            count,
        };
        taps(side)
    };
    pictures.push(&Picture {
        pixels: rgb.pixels(),
        width,
        height,
        across: &side(width, part.width, part.left, part.columns)?,
        down: &side(height, part.height, part.top, part.rows)?,
        down_first: columns_first((width, height), (part.width, part.height)),
        at: [column, row],
    })
}

thread_local! {
    static TAPS: Kept<Result<Arc<Taps>>> = const { Kept::new() };
}

/// The weights of a side; those of a side that stays are one whole pixel each.
fn taps(side: Side) -> Result<Arc<Taps>> {
    let make = |side: Side| {
        let taps = match side.from == side.to {
            true => {
                let one = [1 << FRACTION_BITS];
                let kept = (side.start..side.start + side.count).map(|at| (at, &one[..]));
                Taps::new(side.from, kept)
            }
            false => {
                let windows = side.windows(1);
                let each = windows.iter().map(|w| (w.first, &w.weights[..]));
                Taps::new(side.from, each)
            }
        };
        Rc::new(taps.map(Arc::new))
    };
    match &*TAPS.with(|kept| kept.get(side, make)) {
        Ok(taps) => Ok(Arc::clone(taps)),
        Err(error) => Err(Error::internal(error.to_string())),
    }
}
