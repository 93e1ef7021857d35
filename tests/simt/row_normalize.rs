//! The kernel `row_normalize` against f64.

use doppel::device::gpu::driver::{Kernel, Launch};
use half::f16;

use crate::card::{Card, Dice, card, schedules};

/// One matrix and how it lies.
struct Case {
    rows: usize,
    dims: usize,
    /// Elements from one row to the next, of the input and of the output.
    strides: [usize; 2],
    half_in: bool,
    half_out: bool,
    inverse: bool,
}

impl Case {
    fn symbol(&self) -> &'static str {
        match (self.half_in, self.half_out) {
            (false, false) => "row_normalize_f32_f32",
            (false, true) => "row_normalize_f32_f16",
            (true, false) => "row_normalize_f16_f32",
            (true, true) => "row_normalize_f16_f16",
        }
    }

    /// Runs the kernel on `x`, `rows * strides[0]` elements; gives the unit rows and the inverses.
    fn run(&self, card: &Card, x: &[f32], threads: u32) -> (Vec<f32>, Vec<f32>) {
        let halves: Vec<u16> = x.iter().map(|v| f16::from_f32(*v).to_bits()).collect();
        let (wide, narrow) = (card.put(x), card.put(&halves));
        let n = self.rows * self.strides[1];
        let (out, out_halves) = (card.room::<f32>(n), card.room::<u16>(n));
        let inverse = card.room::<f32>(self.rows);
        let args = [
            if self.half_in {
                narrow.address
            } else {
                wide.address
            },
            if self.half_out {
                out_halves.address
            } else {
                out.address
            },
            if self.inverse { inverse.address } else { 0 },
            self.rows as u64,
            self.dims as u64,
            self.strides[0] as u64,
            self.strides[1] as u64,
        ];
        let grid = self.rows.div_ceil(threads as usize / 32) as u32;
        let kernel = Kernel {
            family: "norm",
            symbol: self.symbol(),
        };
        card.launch(kernel, Launch::linear(grid, threads, 0), &args)
            .unwrap();
        let unit = if self.half_out {
            out_halves
                .get()
                .into_iter()
                .map(|b| f16::from_bits(b).to_f32())
                .collect()
        } else {
            out.get()
        };
        (unit, inverse.get())
    }

    /// Checks every element against f64.
    fn check(&self, x: &[f32], unit: &[f32], inverse: &[f32]) {
        for r in 0..self.rows {
            let row = &x[r * self.strides[0]..][..self.dims];
            let row: Vec<f64> = row
                .iter()
                .map(|v| {
                    if self.half_in {
                        f16::from_f32(*v).to_f64()
                    } else {
                        f64::from(*v)
                    }
                })
                .collect();
            let norm = row.iter().map(|v| v * v).sum::<f64>().sqrt();
            let out = &unit[r * self.strides[1]..][..self.strides[1]];
            for (c, v) in row.iter().enumerate() {
                let expected = if norm == 0.0 { 0.0 } else { v / norm };
                self.check_element(f64::from(out[c]), expected, &format!("row {r} column {c}"));
            }
            assert!(
                out[self.dims..].iter().all(|v| v.to_bits() == 0),
                "row {r}: the rest is zero"
            );
            if self.inverse {
                let expected = if norm == 0.0 {
                    0.0
                } else {
                    (1.0 / norm).min(f64::from(f32::MAX))
                };
                let got = f64::from(inverse[r]);
                assert!(
                    (got - expected).abs() <= 1e-6 * expected,
                    "row {r}: {got} {expected}"
                );
            } else {
                assert!(inverse[r].is_nan(), "nothing was asked for");
            }
        }
    }

    fn check_element(&self, got: f64, expected: f64, place: &str) {
        // f16 rounds to 11 bits, or to steps of 2^-24; f32 sums and divides on the way.
        let rounding = if self.half_out {
            expected.abs() / 2048.0 + 2f64.powi(-25)
        } else {
            1e-44
        };
        let error = (got - expected).abs();
        assert!(
            error <= rounding + 1e-6 * expected.abs(),
            "{place}: {got} for {expected}"
        );
    }
}

/// All four pairs of types, with and without inverses.
fn kinds() -> impl Iterator<Item = (bool, bool, bool)> {
    (0..8).map(|i| (i & 1 != 0, i & 2 != 0, i & 4 != 0))
}

#[test]
fn odd_shapes_equal_f64_in_every_schedule() {
    let Some(card) = card() else { return };
    let mut dice = Dice(23);
    let shapes = [
        (1, 1, 0, 0),
        (3, 33, 2, 7),
        (9, 31, 0, 1),
        (5, 100, 1, 28),
        (2, 257, 0, 0),
    ];
    for (rows, dims, more_in, more_out) in shapes {
        for (half_in, half_out, inverse) in kinds() {
            let strides = [dims + more_in, dims + more_out];
            let case = Case {
                rows,
                dims,
                strides,
                half_in,
                half_out,
                inverse,
            };
            // What lies between rows must not be read.
            let mut x = vec![f32::NAN; rows * strides[0]];
            for r in 0..rows {
                x[r * strides[0]..][..dims].copy_from_slice(&dice.floats(dims));
            }
            for (i, schedule) in schedules(&card).into_iter().enumerate() {
                card.driver.set_schedule(schedule);
                let (unit, inverse) = case.run(&card, &x, [32, 64, 256][i % 3]);
                case.check(&x, &unit, &inverse);
            }
        }
    }
}

#[test]
fn zeros_stay_zeros_and_sizes_do_not_matter() {
    let Some(card) = card() else { return };
    let mut dice = Dice(29);
    let dims = 45;
    // Zeros, minus zeros, one element alone, huge, tiny, subnormal, all equal, an outlier.
    let fills: [fn(usize, f32) -> f32; 9] = [
        |_, _| 0.0,
        |_, _| -0.0,
        |c, _| if c == 44 { -3.0 } else { 0.0 },
        |_, v| v * 3.0e38,
        |_, v| v * 1.0e-30,
        |_, v| v * 1.0e-40,
        |_, _| f32::from_bits(1),
        |_, _| 65_504.0,
        |c, v| if c == 7 { 1.0e30 } else { v },
    ];
    let rows = fills.len();
    let x: Vec<f32> = fills
        .iter()
        .flat_map(|f| (0..dims).map(|c| f(c, dice.float())).collect::<Vec<_>>())
        .collect();
    let case = |half_out| Case {
        rows,
        dims,
        strides: [dims, dims],
        half_in: false,
        half_out,
        inverse: true,
    };
    for half_out in [false, true] {
        let (unit, inverse) = case(half_out).run(&card, &x, 128);
        case(half_out).check(&x, &unit, &inverse);
    }
    // As f16: what fits it, the rest of these rows become zeros or infinities.
    let fits: Vec<f32> = x.iter().map(|v| v.clamp(-60_000.0, 60_000.0)).collect();
    let narrow = Case {
        half_in: true,
        ..case(true)
    };
    let (unit, inverse) = narrow.run(&card, &fits, 128);
    narrow.check(&fits, &unit, &inverse);
}

#[test]
fn a_row_with_nan_or_infinity_is_nan_and_spoils_no_other() {
    let Some(card) = card() else { return };
    let dims = 40;
    let mut x = Dice(31).floats(6 * dims);
    x[dims + 3] = f32::NAN;
    x[2 * dims + 39] = f32::INFINITY;
    x[3 * dims..4 * dims].fill(f32::NAN);
    x[4 * dims] = f32::NEG_INFINITY;
    for (half_in, half_out) in [(false, false), (true, true)] {
        let case = Case {
            rows: 6,
            dims,
            strides: [dims, dims + 4],
            half_in,
            half_out,
            inverse: true,
        };
        let (unit, inverse) = case.run(&card, &x, 64);
        for r in 0..6 {
            let spoilt = (1..5).contains(&r);
            let row = &unit[r * (dims + 4)..][..dims + 4];
            assert!(
                row[..dims].iter().all(|v| v.is_nan() == spoilt),
                "row {r}: {row:?}"
            );
            assert_eq!(row[dims..], [0.0; 4]);
            assert_eq!(inverse[r].is_nan(), spoilt);
        }
    }
}

#[test]
fn a_row_does_not_depend_on_its_batch() {
    let Some(card) = card() else { return };
    let (rows, dims) = (11, 77);
    let x = Dice(37).floats(rows * dims);
    let case = |rows| Case {
        rows,
        dims,
        strides: [dims, dims],
        half_in: false,
        half_out: false,
        inverse: true,
    };
    let (all, inverses) = case(rows).run(&card, &x, 256);
    for r in 0..rows {
        let (one, inverse) = case(1).run(&card, &x[r * dims..][..dims], 32);
        assert_eq!(one, all[r * dims..][..dims], "row {r}, bit for bit");
        assert_eq!(inverse, inverses[r..][..1]);
    }
}
