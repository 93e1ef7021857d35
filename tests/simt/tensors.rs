//! Bulk tensor copies, against the PTX ISA's and the driver's description of them, byte by byte.

use doppel::device::gpu::driver::{Driver, Launch, Swizzle, TensorCopy, TensorMap, TensorShape};
use half::f16;

use crate::card::{Buffer, Card, block, hopper, schedules};

/// Where a byte of a box stands in shared memory: pieces of 16 bytes are exchanged within a line of 128
/// bytes, by the line's number.
fn place(byte: usize, swizzle: Swizzle) -> usize {
    let (line, piece, rest) = (byte / 128, byte / 16 % 8, byte % 16);
    let turn = match swizzle {
        Swizzle::None => 0,
        Swizzle::B32 => line % 2,
        Swizzle::B64 => line % 4,
        Swizzle::B128 => line % 8,
    };
    line * 128 + (piece ^ turn) * 16 + rest
}

/// A tensor of bytes without a pattern; its elements are `element` bytes.
struct Tensor<'a> {
    shape: TensorShape,
    data: Vec<u8>,
    buffer: Buffer<'a, u8>,
}

impl<'a> Tensor<'a> {
    /// `dims` innermost first; each line is `more` bytes longer than it must be.
    fn new(
        card: &'a Card,
        element: usize,
        dims: &[u64],
        more: u64,
        swizzle: Swizzle,
        copy: TensorCopy,
    ) -> Self {
        let mut strides = Vec::new();
        let mut size = (dims[0] * element as u64).next_multiple_of(16) + more;
        for d in &dims[1..] {
            strides.push(size);
            size *= d;
        }
        let data: Vec<u8> = (0..size)
            .map(|i| (i.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8 | 1)
            .collect();
        let buffer = card.put(&data);
        let shape = TensorShape {
            address: buffer.address,
            element,
            dims: dims.to_vec(),
            strides,
            swizzle,
            copy,
        };
        Tensor {
            shape,
            data,
            buffer,
        }
    }

    fn map(&self, card: &Card) -> TensorMap {
        card.driver.tensor_map(&self.shape).unwrap()
    }

    /// Where an element begins, if it is inside.
    fn offset(&self, at: &[i64]) -> Option<usize> {
        let s = &self.shape;
        let inside = at
            .iter()
            .zip(&s.dims)
            .all(|(i, d)| (0..*d as i64).contains(i));
        let outer = at[1..]
            .iter()
            .zip(&s.strides)
            .map(|(i, stride)| i * *stride as i64);
        inside.then(|| (at[0] * s.element as i64 + outer.sum::<i64>()) as usize)
    }

    /// What shared memory holds after a copy of the elements `at`, in their order.
    fn image(&self, at: impl Iterator<Item = Vec<i64>>) -> Vec<u8> {
        let e = self.shape.element;
        let line: Vec<u8> = at
            .flat_map(|at| match self.offset(&at) {
                Some(o) => self.data[o..o + e].to_vec(),
                None => vec![0; e],
            })
            .collect();
        let mut image = vec![0; line.len()];
        for (i, byte) in line.into_iter().enumerate() {
            image[place(i, self.shape.swizzle)] = byte;
        }
        image
    }

    /// The elements of a box at `corner`.
    fn tile(&self, corner: &[i32]) -> Vec<Vec<i64>> {
        let TensorCopy::Tile(sizes) = &self.shape.copy else {
            return Vec::new();
        };
        let count: u32 = sizes.iter().product();
        let element = |mut i: u32| -> Vec<i64> {
            let part = |(c, size): (&i32, &u32)| {
                let part = i % size;
                i /= size;
                i64::from(*c) + i64::from(part)
            };
            corner.iter().zip(sizes).map(part).collect()
        };
        (0..count).map(element).collect()
    }
}

const LOADS: [&str; 4] = [
    "selftest_load_2",
    "selftest_load_3",
    "selftest_load_4",
    "selftest_load_5",
];

/// Loads a box and gives what shared memory holds then.
fn load(card: &Card, symbol: &'static str, map: TensorMap, at: &[i32], bytes: usize) -> Vec<u8> {
    let (at, out) = (card.put(at), card.room::<u8>(bytes));
    let how = block(64, 1024 + bytes);
    let args = [at.address, out.address, bytes as u64];
    card.run_mapped(symbol, how, &[map], &args).unwrap();
    out.get()
}

/// Element size, sizes, box, swizzle, corners.
type Box<'a> = (usize, &'a [u64], &'a [u32], Swizzle, &'a [&'a [i32]]);

const BOXES: &[Box] = &[
    (
        2,
        &[100, 37],
        &[64, 16],
        Swizzle::B128,
        &[&[0, 0], &[64, 32], &[-8, -3], &[99, 36]],
    ),
    (
        2,
        &[33, 9],
        &[32, 8],
        Swizzle::B64,
        &[&[0, 0], &[7, 5], &[-31, 8]],
    ),
    (
        4,
        &[21, 30],
        &[8, 24],
        Swizzle::B32,
        &[&[0, 0], &[16, 9], &[-3, -20]],
    ),
    (
        1,
        &[50, 11],
        &[48, 5],
        Swizzle::None,
        &[&[0, 0], &[5, 9], &[-100, 0], &[50, 0]],
    ),
    (
        2,
        &[64, 5, 7],
        &[64, 3, 4],
        Swizzle::B128,
        &[&[0, 0, 0], &[0, 3, 5], &[5, -1, -2]],
    ),
    (
        2,
        &[24, 6, 5, 3],
        &[16, 4, 3, 2],
        Swizzle::B32,
        &[&[0, 0, 0, 0], &[9, 4, 3, 2], &[-1, -1, -1, -1]],
    ),
    (
        8,
        &[5, 3, 2, 4, 3],
        &[2, 2, 3, 2, 2],
        Swizzle::None,
        &[&[0, 0, 0, 0, 0], &[4, -1, 1, 3, 2]],
    ),
];

#[test]
fn boxes_land_swizzled_and_with_zeros_outside_the_tensor() {
    let Some(card) = hopper() else { return };
    for (element, dims, sizes, swizzle, corners) in BOXES {
        let copy = TensorCopy::Tile(sizes.to_vec());
        let tensor = Tensor::new(&card, *element, dims, 32, *swizzle, copy);
        let bytes = sizes.iter().product::<u32>() as usize * element;
        for corner in *corners {
            let expected = tensor.image(tensor.tile(corner).into_iter());
            for schedule in schedules(&card).into_iter().step_by(3) {
                card.driver.set_schedule(schedule);
                let symbol = LOADS[dims.len() - 2];
                let got = load(&card, symbol, tensor.map(&card), corner, bytes);
                assert!(got == expected, "{sizes:?} at {corner:?} {schedule:?}");
            }
        }
    }
}

/// Of images c = 16, h x w = 6 x 7, n = 3: lower and upper corners, steps, pixels, then places
/// [c, w, h, n] and offsets [w, h].
type Window<'a> = (
    [i32; 2],
    [i32; 2],
    [u32; 2],
    u32,
    &'a [([i32; 4], [i32; 2])],
);

const WINDOWS: &[Window] = &[
    // 3 x 3, padded by one: all places of the image.
    (
        [-1, -1],
        [-1, -1],
        [1, 1],
        64,
        &[
            ([0, -1, -1, 0], [0, 0]),
            ([0, -1, -1, 0], [2, 1]),
            ([0, 3, 2, 1], [1, 2]),
        ],
    ),
    // 1 x 1.
    (
        [0, 0],
        [0, 0],
        [1, 1],
        50,
        &[([0, 0, 0, 0], [0, 0]), ([8, 5, 4, 2], [0, 0])],
    ),
    // 3 x 3 in steps of 2, padded by one.
    (
        [-1, -1],
        [-1, -1],
        [2, 2],
        24,
        &[([0, -1, -1, 0], [0, 0]), ([0, 1, 3, 1], [2, 2])],
    ),
    // 7 x 7 in steps of 2, padded by three.
    (
        [-3, -3],
        [-3, -3],
        [2, 2],
        40,
        &[([0, -3, -3, 0], [0, 0]), ([0, -1, 1, 0], [6, 3])],
    ),
    // 3 x 3, not padded.
    (
        [0, 0],
        [-2, -2],
        [1, 1],
        33,
        &[([0, 0, 0, 0], [0, 0]), ([0, 4, 3, 1], [2, 2])],
    ),
];

#[test]
fn im2col_walks_the_places_of_a_window() {
    let Some(card) = hopper() else { return };
    let dims = [16u64, 7, 6, 3];
    for (lower, upper, steps, pixels, copies) in WINDOWS {
        let copy = TensorCopy::Im2col {
            lower: *lower,
            upper: *upper,
            channels: 16,
            pixels: *pixels,
            steps: *steps,
        };
        let tensor = Tensor::new(&card, 2, &dims, 0, Swizzle::B32, copy);
        for (corner, offset) in *copies {
            // All places in their order, first the one that the copy begins at.
            let range = |i: usize| {
                let (size, step) = (dims[i + 1] as i32, steps[i] as usize);
                (lower[i]..size + upper[i])
                    .step_by(step)
                    .collect::<Vec<_>>()
            };
            let (across, down) = (range(0), range(1));
            let all = (0..6).flat_map(|n| {
                let row = |y: i32| across.iter().map(move |x| (n, y, *x)).collect::<Vec<_>>();
                down.iter().flat_map(|y| row(*y)).collect::<Vec<_>>()
            });
            let first = (corner[3], corner[2], corner[1]);
            let places = all.skip_while(|p| *p != first).take(*pixels as usize);
            let elements = places.flat_map(|(n, y, x)| {
                (0..16).map(move |c| {
                    let at = [corner[0] + c, x + offset[0], y + offset[1], n];
                    at.map(i64::from).to_vec()
                })
            });
            let expected = tensor.image(elements);
            assert_eq!(expected.len(), *pixels as usize * 32);
            let at = [&corner[..], &offset[..]].concat();
            for schedule in schedules(&card).into_iter().step_by(3) {
                card.driver.set_schedule(schedule);
                let map = tensor.map(&card);
                let got = load(&card, "selftest_load_im2col", map, &at, expected.len());
                assert!(
                    got == expected,
                    "{lower:?} {steps:?} at {corner:?} {offset:?}"
                );
            }
        }
    }
}

#[test]
fn stores_leave_what_is_outside_the_tensor_alone() {
    let Some(card) = hopper() else { return };
    for (element, dims, sizes, swizzle, corners) in BOXES {
        let symbol = match dims.len() {
            2 => "selftest_store_2",
            5 => "selftest_store_5",
            _ => continue,
        };
        let bytes = sizes.iter().product::<u32>() as usize * element;
        for corner in *corners {
            for schedule in schedules(&card).into_iter().step_by(3) {
                card.driver.set_schedule(schedule);
                let copy = TensorCopy::Tile(sizes.to_vec());
                let tensor = Tensor::new(&card, *element, dims, 32, *swizzle, copy);
                let image: Vec<u8> = (0..bytes).map(|i| (i * 37 % 251) as u8).collect();
                let mut expected = tensor.data.clone();
                for (i, at) in tensor.tile(corner).into_iter().enumerate() {
                    let Some(o) = tensor.offset(&at) else {
                        continue;
                    };
                    for b in 0..*element {
                        expected[o + b] = image[place(i * element + b, *swizzle)];
                    }
                }
                let (at, from) = (card.put(*corner), card.put(&image));
                let args = [at.address, from.address, bytes as u64];
                let map = tensor.map(&card);
                card.run_mapped(symbol, block(64, bytes), &[map], &args)
                    .unwrap();
                assert!(tensor.buffer.get() == expected, "{sizes:?} at {corner:?}");
            }
        }
    }
}

#[test]
fn stores_in_groups_use_their_places_again() {
    let Some(card) = hopper() else { return };
    for schedule in schedules(&card) {
        card.driver.set_schedule(schedule);
        let out = card.room::<f16>(40 * 64);
        let map = card.matrix_map(out.address, [40, 64, 64], [8, 64], Swizzle::B128);
        let args = [5, u64::from(10f32.to_bits())];
        card.run_mapped("selftest_store_groups", block(64, 2048), &[map], &args)
            .unwrap();
        let right = |(i, v): (usize, f16)| v.to_f32() == 10.0 + (i / 512) as f32;
        assert!(out.get().into_iter().enumerate().all(right), "{schedule:?}");
    }
}

#[test]
fn a_multicast_reaches_every_block_of_its_cluster() {
    let Some(card) = hopper() else { return };
    for blocks in [1u32, 2, 4] {
        let rows = 2 * 8 * blocks as usize;
        let data: Vec<u16> = (0..rows * 64).map(|i| i as u16 + 1).collect();
        let from = card.put(&data);
        let map = card.matrix_map(from.address, [rows, 64, 64], [8, 64], Swizzle::None);
        for schedule in schedules(&card) {
            card.driver.set_schedule(schedule);
            let (grid, bytes) = (2 * blocks, 1024 * blocks as usize);
            let how = Launch {
                cluster: [blocks, 1, 1],
                ..Launch::linear(grid, 64, 1024 + bytes)
            };
            let out = card.room::<u16>(grid as usize * data.len());
            let args = [out.address];
            card.run_mapped("selftest_multicast", how, &[map], &args)
                .unwrap();
            let got = out.get();
            assert!(
                got.chunks(data.len()).all(|b| b == data),
                "{blocks} {schedule:?}"
            );
        }
    }
}

#[test]
fn tensors_that_the_copy_engine_cannot_take_are_refused() {
    let Some(card) = hopper() else { return };
    let buffer = card.room::<u8>(64 * 128);
    let good = TensorShape {
        address: buffer.address,
        element: 2,
        dims: vec![64, 64],
        strides: vec![128],
        swizzle: Swizzle::B128,
        copy: TensorCopy::Tile(vec![64, 8]),
    };
    card.driver.tensor_map(&good).unwrap();
    let window = TensorCopy::Im2col {
        lower: [-1, -1],
        upper: [-1, -1],
        channels: 64,
        pixels: 64,
        steps: [1, 1],
    };
    let with = |change: fn(&mut TensorShape)| {
        let mut shape = good.clone();
        change(&mut shape);
        shape
    };
    let image = TensorShape {
        dims: vec![64, 4, 4, 4],
        strides: vec![128, 512, 2048],
        copy: window,
        ..good.clone()
    };
    card.driver.tensor_map(&image).unwrap();
    let steps = |steps| {
        let mut shape = image.clone();
        if let TensorCopy::Im2col { steps: s, .. } = &mut shape.copy {
            *s = steps;
        }
        shape
    };
    for (shape, what) in [
        (with(|s| s.address += 8), "not aligned to 16"),
        (with(|s| s.strides[0] = 136), "multiple of 16"),
        (with(|s| s.strides[0] = 1 << 40), "below 2^40"),
        (with(|s| s.strides[0] = 112), "below what it steps over"),
        (with(|s| s.dims[1] = 65), "lie in no one buffer"),
        (with(|s| s.dims[0] = 0), "a size is 1"),
        (
            with(|s| s.copy = TensorCopy::Tile(vec![64, 257])),
            "1 to 256",
        ),
        (with(|s| s.copy = TensorCopy::Tile(vec![64, 0])), "1 to 256"),
        (
            with(|s| s.copy = TensorCopy::Tile(vec![60, 8])),
            "multiple of 16",
        ),
        (
            with(|s| s.copy = TensorCopy::Tile(vec![72, 8])),
            "as long as the swizzle's span",
        ),
        (
            with(|s| s.copy = TensorCopy::Tile(vec![64])),
            "a box of 1 sizes",
        ),
        (with(|s| s.strides.clear()), "2 dimensions and 0 strides"),
        (with(|s| s.element = 3), "have a size of 3"),
        (steps([9, 1]), "a step is 1 to 8"),
    ] {
        let error = card.driver.tensor_map(&shape).unwrap_err().to_string();
        assert!(error.contains(what), "{error}, not {what}");
    }
}

#[test]
fn copies_that_are_not_aligned_or_not_of_the_map_fail() {
    let Some(card) = hopper() else { return };
    let buffer = card.put(&[1u16; 64 * 64]);
    let map = card.matrix_map(buffer.address, [64, 64, 64], [8, 64], Swizzle::B128);
    let (at, out) = (card.put(&[0i32; 5]), card.room::<u8>(1024));
    let args = [at.address, out.address, 1024];
    let said = |symbol, map, shared| {
        let how = block(64, shared);
        card.run_mapped(symbol, how, &[map], &args)
            .unwrap_err()
            .to_string()
    };
    let error = said("selftest_load_2", map, 1536);
    assert!(
        error.contains("1024 bytes are not in the block's dynamic"),
        "{error}"
    );
    let error = said("selftest_load_3", map, 2048);
    assert!(
        error.contains("of rank 3 with a tensor map of rank 2"),
        "{error}"
    );
    let error = said("selftest_load_im2col", map, 2048);
    assert!(
        error.contains("rank 4 with a tensor map of rank 2"),
        "{error}"
    );
    let mut changed = map;
    changed.0[1] += 16;
    let error = said("selftest_load_2", changed, 2048);
    assert!(error.contains("was not encoded, was changed"), "{error}");
    let gone = {
        let other = card.put(&[1u16; 64 * 64]);
        card.matrix_map(other.address, [64, 64, 64], [8, 64], Swizzle::B128)
    };
    let error = said("selftest_load_2", gone, 2048);
    assert!(error.contains("or its buffer is gone"), "{error}");
    // A window that begins outside the bounding box.
    let image = TensorShape {
        address: buffer.address,
        element: 2,
        dims: vec![64, 4, 4, 4],
        strides: vec![128, 512, 2048],
        swizzle: Swizzle::B128,
        copy: TensorCopy::Im2col {
            lower: [1, 0],
            upper: [0, 0],
            channels: 64,
            pixels: 8,
            steps: [1, 1],
        },
    };
    let error = said(
        "selftest_load_im2col",
        card.driver.tensor_map(&image).unwrap(),
        2048,
    );
    assert!(
        error.contains("w = 0, is outside the bounding box"),
        "{error}"
    );
}
