//! wgmma against the PTX ISA's description of its fragments and of factors in shared memory.

use half::{bf16, f16};

use crate::card::{Card, Dice, block, hopper, schedules};

/// The row and column of accumulator `i` of a thread of the warpgroup.
fn place_in_d(thread: usize, i: usize) -> (usize, usize) {
    let (warp, group, pair) = (thread / 32, thread % 32 / 4, thread % 4);
    (
        16 * warp + group + i / 2 % 2 * 8,
        i / 4 * 8 + 2 * pair + i % 2,
    )
}

/// Of element `i` of a thread's part of A, 64 x 16.
fn place_in_a(thread: usize, i: usize) -> (usize, usize) {
    let (warp, group, pair) = (thread / 32, thread % 32 / 4, thread % 4);
    (
        16 * warp + group + i / 2 % 2 * 8,
        i / 4 * 8 + 2 * pair + i % 2,
    )
}

/// How a factor lies in shared memory: the swizzle's span (0 is none), and the distances of its
/// descriptor.
#[derive(Clone, Copy, Debug)]
struct Lay {
    span: usize,
    leading: usize,
    stride: usize,
}

impl Lay {
    /// Where value `k` of a row stands, in bytes.
    fn place(&self, row: usize, k: usize) -> usize {
        if self.span == 0 {
            // Pieces of 8 rows x 16 bytes, `leading` apart along k, `stride` apart along rows.
            return row / 8 * self.stride + k / 8 * self.leading + row % 8 * 16 + k % 8 * 2;
        }
        // Rows of `span` bytes; pieces of 16 bytes exchanged by the number of the 128-byte line.
        let at = row / 8 * self.stride + row % 8 * self.span + 2 * k;
        at ^ ((at / 128 % (self.span / 16)) * 16)
    }

    /// Bytes from one piece of 16 values of k to the next.
    fn step(&self) -> usize {
        if self.span == 0 { 2 * self.leading } else { 32 }
    }
}

struct Case {
    kind: u64,
    n: usize,
    steps: usize,
    lay: Lay,
}

impl Case {
    fn check(&self, card: &Card, dice: &mut Dice) {
        let (k, lay) = (16 * self.steps, self.lay);
        let bits = |v: f32| match self.kind {
            1 | 4 => bf16::from_f32(v).to_bits(),
            _ => f16::from_f32(v).to_bits(),
        };
        let value = |b: u16| match self.kind {
            1 | 4 => bf16::from_bits(b).to_f64(),
            _ => f16::from_bits(b).to_f64(),
        };
        let mut matrix =
            |rows: usize| -> Vec<u16> { (0..rows * k).map(|_| bits(dice.float())).collect() };
        let (a, b) = (matrix(64), matrix(self.n));
        let size = |rows: usize| {
            let last = lay
                .place(rows - 1, k - 1)
                .max(lay.place(rows - 1, k - 8) + 15);
            (last + 1).next_multiple_of(1024)
        };
        let mut tiles = vec![0u8; size(64) + size(self.n)];
        for (start, rows, values) in [(0, 64, &a), (size(64), self.n, &b)] {
            for (i, v) in values.iter().enumerate().take(rows * k) {
                let at = start + lay.place(i / k, i % k);
                tiles[at..at + 2].copy_from_slice(&v.to_le_bytes());
            }
        }
        let mut fragments = Vec::new();
        for thread in 0..128 {
            for i in 0..8 * self.steps {
                let (row, column) = place_in_a(thread, i % 8);
                fragments.push(a[row * k + i / 8 * 16 + column]);
            }
        }
        let before = dice.floats(64 * self.n);
        let (tiles_on, fragments) = (card.put(&tiles), card.put(&fragments));
        let d = card.put(&before);
        let args = [
            self.kind,
            self.n as u64,
            lay.span as u64,
            tiles_on.address,
            tiles.len() as u64,
            size(64) as u64,
            lay.leading as u64,
            lay.stride as u64,
            lay.step() as u64,
            self.steps as u64,
            fragments.address,
            d.address,
        ];
        card.run("selftest_wgmma", block(128, tiles.len()), &args)
            .unwrap();
        for (at, (got, before)) in d.get().into_iter().zip(&before).enumerate() {
            let (row, column) = place_in_d(at / (self.n / 2), at % (self.n / 2));
            let terms = (0..k).map(|x| value(a[row * k + x]) * value(b[column * k + x]));
            let first = if self.kind == 3 {
                0.0
            } else {
                f64::from(*before)
            };
            let (sum, size) = terms.fold((first, 1.0), |(s, z), t| (s + t, z + t.abs()));
            let error = (f64::from(got) - sum).abs();
            let most = f64::from(f32::EPSILON) * size * k as f64;
            assert!(
                error <= most,
                "{row}, {column}: {got} for {sum}, {:?}",
                self.lay
            );
        }
    }
}

const B128: Lay = Lay {
    span: 128,
    leading: 16,
    stride: 1024,
};

#[test]
fn products_of_every_layout_kind_and_width_equal_f64() {
    let Some(card) = hopper() else { return };
    let mut dice = Dice(83);
    let lay = |span, leading, stride| Lay {
        span,
        leading,
        stride,
    };
    let layouts = [
        (lay(0, 128, 512), 2),
        (lay(0, 1024, 128), 1),
        (lay(32, 16, 256), 1),
        (lay(64, 16, 512), 2),
        (B128, 4),
        (lay(128, 16, 2048), 3),
    ];
    for schedule in schedules(&card).into_iter().step_by(5) {
        card.driver.set_schedule(schedule);
        for (lay, steps) in layouts {
            for kind in 0..5 {
                let n = 24;
                Case {
                    kind,
                    n,
                    steps,
                    lay,
                }
                .check(&card, &mut dice);
            }
        }
        for n in [8, 256] {
            let (kind, steps, lay) = (0, 4, B128);
            Case {
                kind,
                n,
                steps,
                lay,
            }
            .check(&card, &mut dice);
        }
    }
}

#[test]
fn special_values_go_through_products() {
    let Some(card) = hopper() else { return };
    // Row 0 of B is zeros but for one element; what A holds there comes out in column 0.
    let values = [
        f16::MAX,
        f16::MIN_POSITIVE_SUBNORMAL,
        f16::INFINITY,
        f16::NEG_ZERO,
        f16::MIN_POSITIVE,
    ];
    let mut tiles = vec![0u8; 64 * 128 + 24 * 128];
    for (row, v) in values.iter().enumerate() {
        let at = B128.place(row, 0);
        tiles[at..at + 2].copy_from_slice(&v.to_bits().to_le_bytes());
    }
    let at = 64 * 128 + B128.place(0, 0);
    tiles[at..at + 2].copy_from_slice(&f16::ONE.to_bits().to_le_bytes());
    let (from, d) = (card.put(&tiles), card.put(&vec![0f32; 64 * 24]));
    let args = [
        0,
        24,
        128,
        from.address,
        tiles.len() as u64,
        8192,
        16,
        1024,
        32,
        1,
        0,
        d.address,
    ];
    card.run("selftest_wgmma", block(128, tiles.len()), &args)
        .unwrap();
    let got = d.get();
    for (row, v) in values.iter().enumerate() {
        // Row `row` of warp 0, column 0: accumulator 0 of lane 4 row.
        assert_eq!(got[4 * row * 12], v.to_f32(), "{v:?}");
    }
}
