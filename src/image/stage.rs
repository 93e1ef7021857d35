//! Pictures on their way to a card, which resizes, crops and normalises them as [`super::prepare()`] does.

use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;

use super::filter::{FRACTION_BITS, Kept, Side};
use super::prepare::{Crop, Prepare};
use super::resample::resample_rows;
use super::resize::columns_first;
use super::{ImageFolder, Rgb8, decode_rgb};
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
    if pictures.size() != how.size {
        let (from, to) = (
            [rgb.height(), rgb.width(), 3],
            [pictures.size(), pictures.size(), 3],
        );
        return Err(Error::shape("stage", &from, &to));
    }
    with_picture(rgb, how, |picture| pictures.push(picture))
}

/// Hands a picture to `put`, as [`stage`] does to its pictures. Where that says that there is no room for
/// it, it is resized here, and `put` gets the square: the card makes the same samples of it.
///
/// # Errors
/// Those of [`stage`], and those of `put`, which takes a square.
pub fn stage_into(
    rgb: &Rgb8,
    how: &Prepare,
    put: &mut dyn FnMut(&Picture<'_>) -> Result<bool>,
) -> Result<()> {
    how.check()?;
    if with_picture(rgb, how, &mut *put)? {
        return Ok(());
    }
    let as_it_is = Prepare {
        crop: Crop::Squash,
        ..*how
    };
    match with_picture(&square(rgb, how), &as_it_is, put)? {
        true => Ok(()),
        false => Err(Error::internal("no room for a picture of its square's size").op("stage")),
    }
}

/// Reads and decodes a file of the folder, as [`super::decode_prepare`] does, and hands it on as
/// [`stage_into`] does.
///
/// # Errors
/// Those of [`ImageFolder::read`], [`decode_rgb`] and [`stage_into`]; each names the file.
pub fn decode_stage(
    folder: &ImageFolder,
    (name, file): (&str, &Path),
    orient: bool,
    how: &Prepare,
    put: &mut dyn FnMut(&Picture<'_>) -> Result<bool>,
) -> Result<()> {
    let bytes = folder.read_resolved(name, file)?;
    let staged = decode_rgb(&bytes, orient).and_then(|rgb| stage_into(&rgb, how, put));
    staged.map_err(|error| error.path(folder.named(name)))
}

/// The samples that are normalised.
fn square(rgb: &Rgb8, how: &Prepare) -> Rgb8 {
    let size = how.size;
    let (part, column, row) = how.part(rgb.width(), rgb.height());
    let mut pixels = vec![0; 3 * size * size];
    resample_rows(rgb, how.filter, part, |y, samples| {
        let start = 3 * (size * (row + y) + column);
        pixels[start..][..samples.len()].copy_from_slice(samples);
    });
    Rgb8::from_parts(size, size, pixels)
}

/// Calls `then` with a picture and how it is resampled.
fn with_picture<T>(
    rgb: &Rgb8,
    how: &Prepare,
    then: impl FnOnce(&Picture<'_>) -> Result<T>,
) -> Result<T> {
    let (width, height) = (rgb.width(), rgb.height());
    if rgb.pixels().is_empty() {
        let (from, to) = ([height, width, 3], [how.size, how.size, 3]);
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
    then(&Picture {
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
