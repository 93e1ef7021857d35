//! Pictures prepared on a card against those that the CPU prepares: equal to the bit.

use std::sync::Arc;

use doppel::device::{
    CpuDevice, DType, Desc, Device, GpuDevice, Picture, Pictures, Stream, Taps, alloc, values_of,
};
use doppel::error::Kind;
use doppel::image::{
    Crop, Filter, IMAGENET, INCEPTION, Normal, Prepare, Rgb8, prepare, stage, staging,
};

use crate::harness::{Guarded, cards, thin};

/// Noise with runs of black and white, where a sum may leave the range of a sample.
pub fn picture(width: usize, height: usize, seed: u64) -> Rgb8 {
    let sample = |i: usize| {
        let z = (i as u64 / 3 + 1)
            .wrapping_mul(0x9e37_79b9_7f4a_7c15)
            .wrapping_add(seed);
        let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        match z >> 61 {
            0 => 0,
            1 => 255,
            _ => (z >> (8 * (i % 3))) as u8,
        }
    };
    Rgb8::new(width, height, (0..3 * width * height).map(sample).collect()).unwrap()
}

fn prepared(card: &GpuDevice, pictures: &Pictures, dtype: DType) -> Vec<f32> {
    let size = pictures.size();
    let desc = Desc::new(&[pictures.len(), size, size, 3], dtype);
    let out = Guarded::new_at(card, desc, dtype.size());
    let staging = Desc::new(&[pictures.bytes() / 4], DType::U32);
    let staging = Guarded::new_at(card, staging, 0);
    let stream = Stream::DEFAULT;
    card.preprocess(pictures, &staging.buf, &out.buf, stream)
        .unwrap();
    staging.bytes(card, "preprocess");
    values_of(&out.bytes(card, "preprocess"), dtype)
}

/// All pictures in one batch, on every card, against the CPU's `prepare`.
fn check(how: &Prepare, all: &[Rgb8]) {
    let mut want = vec![0.0; all.len() * how.values().unwrap()];
    let mut pictures = staging(how).unwrap();
    for (rgb, square) in all.iter().zip(want.chunks_mut(how.values().unwrap())) {
        prepare(rgb, how, square).unwrap();
        stage(rgb, how, &mut pictures).unwrap();
    }
    for card in cards() {
        let have = prepared(&card, &pictures, DType::F32);
        let first = have
            .iter()
            .zip(&want)
            .position(|(a, b)| a.to_bits() != b.to_bits());
        assert_eq!(have.len(), want.len());
        let side = how.size;
        let at = first.map(|i| {
            [
                i / (3 * side * side),
                i / (3 * side) % side,
                i / 3 % side,
                i % 3,
            ]
        });
        assert_eq!(at, None, "picture, row, column, colour of {how:?}");
        let halves = prepared(&card, &pictures, DType::F16);
        let rounded = want.iter().map(|&x| half::f16::from_f32(x).to_f32());
        assert!(
            halves.iter().copied().eq(rounded),
            "{how:?} in half precision"
        );
        let short = prepared(&card, &pictures, DType::BF16);
        let rounded = want.iter().map(|&x| half::bf16::from_f32(x).to_f32());
        assert!(short.iter().copied().eq(rounded), "{how:?} in bf16");
    }
}

fn how(size: usize, crop: Crop, filter: Filter, normal: Normal) -> Prepare {
    Prepare {
        size,
        crop,
        filter,
        normal,
    }
}

/// Sides that grow, shrink, shrink far and stay; wide, tall and single pixels; all in one batch.
const SIDES: [(usize, usize); 12] = [
    (33, 47),
    (1, 1),
    (90, 31),
    (31, 90),
    (40, 40),
    (200, 3),
    (3, 200),
    (40, 77),
    (77, 40),
    (150, 150),
    (20, 160),
    (39, 41),
];

fn pictures(count: usize) -> Vec<Rgb8> {
    let sides = SIDES.iter().take(count).enumerate();
    sides
        .map(|(i, &(w, h))| picture(w, h, 91 * i as u64))
        .collect()
}

#[test]
fn pictures_of_all_sizes_are_squashed_as_on_the_cpu() {
    let all = pictures(SIDES.len());
    for (filter, normal) in thin(vec![
        (Filter::Bicubic, IMAGENET),
        (Filter::Bilinear, INCEPTION),
        (Filter::Lanczos, IMAGENET),
    ]) {
        check(&how(40, Crop::Squash, filter, normal), &all);
    }
}

/// One tile, its borders, and several.
#[test]
fn squares_of_all_sizes() {
    for size in thin(vec![33, 1, 7, 32, 64, 71]) {
        check(
            &how(size, Crop::Squash, Filter::Bicubic, IMAGENET),
            &pictures(5),
        );
    }
}

/// The middle of the resized picture, on both sides of every tile; above 1 it stands in black.
#[test]
fn crops_are_those_of_the_cpu() {
    let all = pictures(SIDES.len());
    for (crop_pct, filter) in thin(vec![
        (0.875, Filter::Bicubic),
        (1.0, Filter::Bilinear),
        (0.5, Filter::Bicubic),
        (1.4, Filter::Bicubic),
    ]) {
        let normal = Normal {
            mean: [0.1, 0.5, 0.9],
            std: [1.0, 0.2, -3.0],
        };
        check(&how(40, Crop::Timm { crop_pct }, filter, normal), &all);
    }
    let crop = Crop::Timm { crop_pct: 6.0 };
    check(&how(71, crop, Filter::Bilinear, IMAGENET), &pictures(3));
}

/// Windows of hundreds of pixels, which take many steps of a block.
#[test]
fn a_large_picture_becomes_a_few_pixels() {
    let all = [picture(900, 301, 3), picture(200, 1100, 4)];
    for filter in thin(vec![Filter::Bilinear, Filter::Lanczos]) {
        check(&how(3, Crop::Squash, filter, IMAGENET), &all);
    }
}

/// A flat picture stays what it is, whatever it is resized by: the weights sum to one.
#[test]
fn a_picture_of_one_colour_stays_so() {
    for card in cards() {
        let how = how(
            35,
            Crop::Squash,
            Filter::Lanczos,
            Normal {
                mean: [0.0; 3],
                std: [1.0; 3],
            },
        );
        let flat = Rgb8::new(50, 21, [7, 130, 255].repeat(50 * 21)).unwrap();
        let mut pictures = staging(&how).unwrap();
        stage(&flat, &how, &mut pictures).unwrap();
        let have = prepared(&card, &pictures, DType::F32);
        for pixel in have.chunks_exact(3) {
            assert_eq!(pixel, [7.0 / 255.0, 130.0 / 255.0, 1.0]);
        }
    }
}

#[test]
fn a_batch_is_used_again() {
    let how = how(9, Crop::Squash, Filter::Bilinear, IMAGENET);
    let mut pictures = staging(&how).unwrap();
    for card in cards() {
        let none = prepared(&card, &pictures, DType::F32);
        assert!(none.is_empty());
        let mut of = |rgb: &Rgb8| {
            pictures.clear();
            stage(rgb, &how, &mut pictures).unwrap();
            prepared(&card, &pictures, DType::F32)
        };
        let (a, b) = (picture(20, 11, 1), picture(20, 11, 2));
        let first = of(&a);
        assert_ne!(of(&b), first);
        assert_eq!(of(&a), first);
        pictures.clear();
    }
}

#[test]
fn what_does_not_fit_is_one_line() {
    let how = how(9, Crop::Squash, Filter::Bilinear, IMAGENET);
    let mut pictures = staging(&how).unwrap();
    let none = Rgb8::new(0, 4, Vec::new()).unwrap();
    assert_eq!(
        stage(&none, &how, &mut pictures).unwrap_err().kind(),
        Kind::Shape
    );
    let other = Prepare { size: 10, ..how };
    let rgb = picture(5, 4, 1);
    assert_eq!(
        stage(&rgb, &other, &mut pictures).unwrap_err().kind(),
        Kind::Shape
    );
    assert!(staging(&Prepare { size: 0, ..how }).is_err());
    stage(&rgb, &how, &mut pictures).unwrap();
    let run = |device: &dyn Device, bytes: usize, dims: &[usize], dtype| {
        let staging = alloc(device, Desc::new(&[bytes / 4], DType::U32)).unwrap();
        let out = alloc(device, Desc::new(dims, dtype)).unwrap();
        let stream = Stream::DEFAULT;
        let error = device
            .preprocess(&pictures, &staging, &out, stream)
            .unwrap_err();
        assert!(!error.to_string().contains('\n'), "{error}");
        error.kind()
    };
    let (bytes, dims) = (pictures.bytes(), [1, 9, 9, 3]);
    for card in cards() {
        assert_eq!(run(&*card, bytes - 4, &dims, DType::F16), Kind::Internal);
        assert_eq!(run(&*card, bytes, &[2, 9, 9, 3], DType::F16), Kind::Shape);
        assert_eq!(run(&*card, bytes, &[1, 9, 9, 4], DType::F32), Kind::Shape);
        assert_eq!(run(&*card, bytes, &dims, DType::U32), Kind::Shape);
    }
    assert_eq!(
        run(&CpuDevice::default(), bytes, &dims, DType::F32),
        Kind::Unsupported
    );
}

/// Weights that a caller made: a picture turned by no filter, half of it black.
#[test]
fn a_callers_own_weights() {
    let one = [1 << 22];
    let taps = |side: usize, from: usize, count: usize| {
        let windows = (from..from + count).map(|at| (at, &one[..]));
        Arc::new(Taps::new(side, windows).unwrap())
    };
    let rgb = picture(6, 5, 9);
    for (card, down_first) in cards().iter().flat_map(|c| [(c, false), (c, true)]) {
        let mut pictures = Pictures::new(8, [0.0; 3], [1.0; 3]);
        let (across, down) = (taps(6, 2, 3), taps(5, 1, 4));
        let picture = Picture {
            pixels: rgb.pixels(),
            width: 6,
            height: 5,
            across: &across,
            down: &down,
            down_first,
            at: [4, 2],
        };
        pictures.push(&picture).unwrap();
        let have = prepared(card, &pictures, DType::F32);
        for (i, &value) in have.iter().enumerate() {
            let (x, y, c) = (i / 3 % 8, i / 24, i % 3);
            let want = match (4..7).contains(&x) && (2..6).contains(&y) {
                true => rgb.pixels()[3 * (6 * (y - 2 + 1) + x - 4 + 2) + c],
                false => 0,
            };
            assert_eq!(value, f32::from(want) / 255.0, "{x}, {y}, {c}");
        }
    }
}
