//! Pictures of made-up products: drawn, photographed, edited, and saved as JPEG.
//!
//! Only additions, products, quotients and square roots decide about a pixel, which every machine
//! rounds alike, so a picture has the same bytes everywhere.

mod art;
mod font;
mod scene;
mod shapes;
mod things;
mod worn;

use image::ExtendedColorType;
use image::codecs::jpeg::JpegEncoder;

use super::photo::Photo;
use super::product::Product;
use super::rng::{Rng, mix};
use crate::error::{Error, Result};
use scene::{Edit, Shot};

/// What a picture shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    Stick,
    Compact,
    Tube,
    Box,
    Bottle,
    Jar,
    Pump,
    Sachet,
    Spray,
    Dress,
    Shirt,
    Scarf,
    Trousers,
    Hat,
    Shoe,
    Bag,
    Backpack,
    Wallet,
    Watch,
    Ring,
    Glasses,
    PhoneCase,
    Gadget,
    Cable,
    Pan,
    Cup,
    Cloth,
    Lamp,
    Bear,
    ToyCar,
    Ball,
    Can,
    Book,
}

/// The file of a photograph of `product`, whose longer side has `size` pixels.
pub(super) fn jpeg(product: &Product, photo: &Photo, size: usize) -> Result<Vec<u8>> {
    let mut how = Rng::of(photo.shot ^ mix(photo.edit.unwrap_or(0)), 71, 0);
    let (mut quality, mut size) = (how.range(72, 95) as u8, size);
    if photo.saved != 0 {
        let mut how = Rng::of(photo.saved, 72, 0);
        quality = how.range(45, 90) as u8;
        size = (size * *how.pick(&[4, 4, 4, 3]) / 4).max(1);
    }
    let (width, height, pixels) = pixels(product, photo, size);
    let mut file = Vec::new();
    JpegEncoder::new_with_quality(&mut file, quality)
        .encode(
            &pixels,
            width as u32,
            height as u32,
            ExtendedColorType::Rgb8,
        )
        .map_err(|e| Error::internal(format!("a picture was not saved: {e}")).op("synth"))?;
    Ok(file)
}

fn pixels(product: &Product, photo: &Photo, size: usize) -> (usize, usize, Vec<u8>) {
    let art = shapes::draw(product);
    let shot = Shot::of(photo.shot);
    let edit = photo.edit.map_or_else(Edit::none, Edit::of);
    let side = |share: f32| ((size as f32 * share) as usize).max(1);
    let (width, height) = (side(shot.sides[0]), side(shot.sides[1]));
    let pixel = 2.0 / size as f32;
    let mut grain = mix(photo.shot);
    let noisy = (grain & 7) as f32 * 0.012;
    let mut pixels = Vec::with_capacity(3 * width * height);
    for row in 0..height {
        let y = (row as f32 + 0.5) * pixel - shot.sides[1];
        for column in 0..width {
            let x = (column as f32 + 0.5) * pixel - shot.sides[0];
            let colour = edit.at(&shot, &art, x, y, pixel);
            grain = grain
                .wrapping_mul(0x5851_f42d_4c95_7f2d)
                .wrapping_add(0x1405_7b7e_f767_814f);
            let noise = ((grain >> 56) as f32 - 127.5) * noisy;
            pixels.extend(colour.map(|v| (v + noise).clamp(0.0, 255.0) as u8));
        }
    }
    (width, height, pixels)
}
