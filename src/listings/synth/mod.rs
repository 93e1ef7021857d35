//! A made-up marketplace: listings of products that do not exist, as hard to match as real ones.
//!
//! Everything follows from the seed and the number of listings alone, the same on every machine: no
//! draw depends on the order of work, and no arithmetic on a library's rounding.
//!
//! ```text
//! group sizes (published) -> families of products -> each group's titles and photographs -> rows, shuffled
//! ```
//!
//! What makes it hard is what makes the competition's data hard: a product's sellers use other words
//! for it, leave out what tells it apart, and add what sells; a maker's products differ in a colour or
//! an amount; and a photograph is copied, edited, or taken anew.

mod draw;
mod photo;
mod product;
mod sizes;
mod title;
mod words;

use std::collections::BTreeMap;

use rayon::prelude::*;

use crate::error::{Error, Result};
use crate::limits::{MAX_SYNTH_LISTINGS, MAX_SYNTH_SIDE};
use crate::random as rng;
use photo::Photo;
use product::Product;
use rng::Rng;

/// What to make.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SynthOptions {
    /// How many listings, from 2 to [`MAX_SYNTH_LISTINGS`].
    pub listings: usize,
    /// Another seed, another market.
    pub seed: u64,
}

/// A made-up market.
#[derive(Debug)]
pub struct Market {
    /// Its listings, in the order of their rows.
    pub listings: Vec<Made>,
    products: Vec<Product>,
}

/// One made-up listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Made {
    /// What stands in `label_group`; equal for the listings of a product.
    pub label: u32,
    /// The title: ASCII, other characters as the escapes of their bytes.
    pub title: String,
    photo: Photo,
}

impl Made {
    /// The name of the picture's file. Listings may show the very same file.
    pub fn image(&self) -> String {
        self.photo.file_name()
    }

    /// A number that is equal for pictures of the same bytes.
    pub fn picture(&self) -> u64 {
        self.photo.bytes_key()
    }

    /// A hash in the place of the picture's, for a market without pictures: equal where the same
    /// photograph is shown, some bits apart where it was edited, unrelated otherwise.
    pub fn planned_hash(&self) -> u64 {
        self.photo.planned_hash()
    }
}

const FAMILIES: u64 = 1;
const ORDER: u64 = 2;
const SIZES: u64 = 3;
const TITLES: u64 = 4;
const PHOTOS: u64 = 5;
const STOCK: u64 = 6;

/// Makes a market.
///
/// Groups have the sizes of the competition's 34,250 listings, scaled, and at least two listings each.
///
/// # Errors
/// [`Kind::Limit`](crate::error::Kind::Limit) for fewer listings than 2 or more than
/// [`MAX_SYNTH_LISTINGS`].
pub fn market(options: SynthOptions) -> Result<Market> {
    let SynthOptions { listings, seed } = options;
    if !(2..=MAX_SYNTH_LISTINGS).contains(&listings) {
        return Err(Error::limit(format!("{listings} listings cannot be made"))
            .op("synth")
            .mend(format!("ask for 2 to {MAX_SYNTH_LISTINGS}")));
    }
    let mut sizes = sizes::group_sizes(listings);
    Rng::of(seed, SIZES, 0).shuffle(&mut sizes);
    let families = families(sizes.len(), seed);
    let made: Vec<_> = families
        .par_iter()
        .map(|(number, groups)| family(seed, *number, groups, &sizes))
        .collect();
    let (mut rows, mut products) = (
        Vec::with_capacity(listings),
        Vec::with_capacity(sizes.len()),
    );
    for (listings, family) in made {
        rows.extend(listings);
        products.extend(family);
    }
    products.sort_by_key(|(group, _)| *group);
    let products = products.into_iter().map(|(_, product)| product).collect();
    Rng::of(seed, ORDER, 0).shuffle(&mut rows);
    Ok(Market {
        listings: rows,
        products,
    })
}

impl Market {
    /// How many products there are: groups of listings.
    pub fn groups(&self) -> usize {
        self.products.len()
    }

    /// The file of a listing's picture, a JPEG whose longer side has `size` pixels (some sellers save
    /// smaller ones); the same bytes for listings with the same [`Made::picture`].
    ///
    /// # Errors
    /// [`Kind::Limit`](crate::error::Kind::Limit) for a `size` of 0 or above [`MAX_SYNTH_SIDE`].
    pub fn draw(&self, listing: &Made, size: usize) -> Result<Vec<u8>> {
        if !(1..=MAX_SYNTH_SIDE).contains(&size) {
            return Err(
                Error::limit(format!("pictures of {size} pixels cannot be drawn"))
                    .op("synth")
                    .mend(format!("ask for 1 to {MAX_SYNTH_SIDE}")),
            );
        }
        let product = self.products.get(listing.photo.product as usize);
        let product =
            product.ok_or_else(|| Error::internal("a listing of another market").op("synth"))?;
        draw::jpeg(product, &listing.photo, size)
    }
}

/// The groups of each family that has any, and the family's number, in the order of the numbers.
///
/// Families are drawn from a number of them that does not grow with the market, some more often: in a
/// larger market a product has more of its kin around it, as in a larger piece of a real one.
fn families(groups: usize, seed: u64) -> Vec<(u64, Vec<usize>)> {
    let mut members: BTreeMap<u64, Vec<usize>> = BTreeMap::new();
    for group in 0..groups {
        let u = Rng::of(seed, FAMILIES, group as u64).unit();
        let family = (u * (0.3 + 0.7 * u) * FAMILIES_THERE_ARE) as u64;
        members.entry(family).or_default().push(group);
    }
    members.into_iter().collect()
}

/// How many families a seed has; a market shows those that it draws.
const FAMILIES_THERE_ARE: f64 = 10000.0;

/// The listings and the products of one family, whose groups are `groups`.
fn family(
    seed: u64,
    number: u64,
    groups: &[usize],
    sizes: &[usize],
) -> (Vec<Made>, Vec<(usize, Product)>) {
    let products = product::family(seed, number, groups.len());
    let mut stock_rng = Rng::of(seed, STOCK, number);
    let stock = (groups.len() > 1).then(|| (groups[0] as u32, stock_rng.next()));
    let mut kin = Vec::new();
    let mut made = Vec::new();
    for (product, &group) in products.iter().zip(groups) {
        let mut rng = Rng::of(seed, TITLES, group as u64);
        let drafts = title::drafts(product, sizes[group], &kin, &mut rng);
        let mut photo_rng = Rng::of(seed, PHOTOS, group as u64);
        let photos = photo::photos(group as u32, sizes[group], stock, &mut photo_rng);
        for (draft, photo) in drafts.iter().zip(photos) {
            made.push(Made {
                label: label(group, seed),
                title: draft.text(&mut rng),
                photo,
            });
        }
        kin.extend(drafts);
    }
    (made, groups.iter().copied().zip(products).collect())
}

/// A number that says nothing about the group's place; no two groups have the same.
fn label(group: usize, seed: u64) -> u32 {
    let start = rng::mix(seed) as u32;
    (group as u32).wrapping_mul(0x9e37_79b1).wrapping_add(start)
}
