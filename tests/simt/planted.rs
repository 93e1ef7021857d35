//! Bugs on purpose: each must be caught in some schedule of some library, and sound kernels in none.

use doppel::device::gpu::driver::Launch;
use doppel::device::gpu::driver_simt::{Copies, Matrices, Order, Schedule};

use crate::card::{Card, Dice, block, card, schedules};

/// One kernel: how to run it and check its answer, and which libraries catch it.
pub struct Case {
    pub kernel: &'static str,
    run: fn(&Card, &'static str) -> Outcome,
    plain: bool,
    asan: bool,
    tsan: bool,
}

#[derive(Debug, PartialEq)]
pub enum Outcome {
    Right,
    Wrong,
    /// The launch failed.
    Refused(String),
}

impl Outcome {
    /// Of a launch, and of what `right` then finds.
    pub fn of(launched: doppel::Result<()>, right: impl FnOnce() -> bool) -> Outcome {
        match launched {
            Err(error) => Outcome::Refused(error.to_string()),
            Ok(()) if right() => Outcome::Right,
            Ok(()) => Outcome::Wrong,
        }
    }
}

pub const fn sound(kernel: &'static str, run: fn(&Card, &'static str) -> Outcome) -> Case {
    Case {
        kernel,
        run,
        plain: false,
        asan: false,
        tsan: false,
    }
}

pub const fn bug(
    kernel: &'static str,
    run: fn(&Card, &'static str) -> Outcome,
    [plain, asan, tsan]: [bool; 3],
) -> Case {
    Case {
        kernel,
        run,
        plain,
        asan,
        tsan,
    }
}

pub const X: bool = true;
pub const O: bool = false;

/// Columns: plain, asan, tsan.
const CASES: &[Case] = &[
    sound("planted_product", product),
    bug("planted_product_no_first_sync", product, [X, X, X]),
    bug("planted_product_no_second_sync", product, [X, X, X]),
    bug("planted_product_overrun", product, [X, X, X]),
    sound("planted_pipeline", pipeline),
    bug("planted_pipeline_one_wait_less", pipeline, [X, X, X]),
    sound("planted_turn", turn),
    bug("planted_turn_no_syncwarp", turn, [X, X, X]),
    sound("planted_row_sums", row_sums),
    bug("planted_row_sums_wrong_mask", row_sums, [X, X, X]),
    bug("planted_barrier_half", barrier, [X, X, X]),
    bug("planted_barrier_divided", barrier, [X, X, X]),
    bug("planted_barrier_crossed", barrier, [X, X, X]),
    sound("planted_double", double),
    bug("planted_double_one_more", double, [X, X, X]),
    bug("planted_copy_one_more", copy, [X, X, X]),
    bug("planted_double_reads_on", double, [O, X, O]),
    sound("planted_histogram", histogram),
    bug("planted_histogram_uncleared", histogram, [X, X, X]),
    bug("planted_vector_misaligned", vector_misaligned, [X, X, X]),
    bug("planted_dynamic_overrun", dynamic_overrun, [X, X, X]),
    bug("planted_copy_abandoned", copy_abandoned, [X, X, X]),
    bug("planted_blocks_in_order", blocks_in_order, [X, X, X]),
    bug("planted_count_plainly", count_plainly, [O, O, X]),
];

fn product(card: &Card, kernel: &'static str) -> Outcome {
    let n = 24;
    let mut dice = Dice(41);
    let (a, b) = (dice.floats(n * n), dice.floats(n * n));
    let (left, right) = (card.put(&a), card.put(&b));
    let out = card.room::<f32>(n * n);
    let how = Launch {
        grid: [3, 3, 1],
        block: [8, 8, 1],
        shared: 0,
        cluster: [1, 1, 1],
    };
    let args = [left.address, right.address, out.address, n as u64];
    Outcome::of(card.run(kernel, how, &args), || {
        let entry = |i: usize, j: usize| -> f64 {
            (0..n)
                .map(|k| f64::from(a[i * n + k]) * f64::from(b[k * n + j]))
                .sum()
        };
        let near = |i: usize, v: f32| (f64::from(v) - entry(i / n, i % n)).abs() < 1e-4;
        out.get().into_iter().enumerate().all(|(i, v)| near(i, v))
    })
}

fn pipeline(card: &Card, kernel: &'static str) -> Outcome {
    let rows = 7;
    let x = Dice(43).floats(rows * 256);
    let (from, sums) = (card.put(&x), card.room::<f32>(256));
    let args = [from.address, sums.address, rows as u64];
    Outcome::of(card.run(kernel, block(64, 2 * 256 * 4), &args), || {
        let sum = |c: usize| -> f64 { (0..rows).map(|r| f64::from(x[r * 256 + c])).sum() };
        sums.get()
            .into_iter()
            .enumerate()
            .all(|(c, v)| (f64::from(v) - sum(c)).abs() < 1e-5)
    })
}

fn turn(card: &Card, kernel: &'static str) -> Outcome {
    let mut x = Dice(47).floats(32);
    let (from, out) = (card.put(&x), card.room::<f32>(32));
    Outcome::of(
        card.run(kernel, block(32, 128), &[from.address, out.address]),
        || {
            x.reverse();
            out.get() == x
        },
    )
}

fn row_sums(card: &Card, kernel: &'static str) -> Outcome {
    let x = Dice(53).floats(96);
    let (from, out) = (card.put(&x), card.room::<f32>(3));
    Outcome::of(
        card.run(kernel, block(96, 0), &[from.address, out.address]),
        || {
            let sum = |r: usize| -> f64 { x[r * 32..][..32].iter().map(|v| f64::from(*v)).sum() };
            out.get()
                .into_iter()
                .enumerate()
                .all(|(r, v)| (f64::from(v) - sum(r)).abs() < 1e-5)
        },
    )
}

fn barrier(card: &Card, kernel: &'static str) -> Outcome {
    let out = card.room::<f32>(64);
    Outcome::of(card.run(kernel, block(64, 0), &[out.address]), || {
        out.get() == [1.0; 64]
    })
}

fn double(card: &Card, kernel: &'static str) -> Outcome {
    let x = Dice(59).floats(100);
    let (from, out) = (card.put(&x), card.room::<f32>(100));
    let args = [from.address, out.address, 100];
    Outcome::of(card.run(kernel, Launch::linear(4, 32, 0), &args), || {
        out.get().into_iter().zip(&x).all(|(got, v)| got == 2.0 * v)
    })
}

fn copy(card: &Card, kernel: &'static str) -> Outcome {
    let x = Dice(59).floats(100);
    let (from, out) = (card.put(&x), card.room::<f32>(100));
    let args = [from.address, out.address, 100];
    Outcome::of(card.run(kernel, Launch::linear(4, 32, 0), &args), || {
        out.get() == x
    })
}

fn histogram(card: &Card, kernel: &'static str) -> Outcome {
    let mut dice = Dice(61);
    let x: Vec<u8> = (0..500).map(|_| dice.next() as u8).collect();
    let (from, out) = (card.put(&x), card.room::<u32>(256));
    let args = [from.address, out.address, 500];
    Outcome::of(card.run(kernel, block(96, 0), &args), || {
        let mut counts = vec![0u32; 256];
        x.iter().for_each(|v| counts[usize::from(*v)] += 1);
        out.get() == counts
    })
}

fn vector_misaligned(card: &Card, kernel: &'static str) -> Outcome {
    let x = Dice(67).floats(4 * 8 + 1);
    let (from, out) = (card.put(&x), card.room::<f32>(32));
    let args = [from.address, out.address];
    Outcome::of(card.run(kernel, block(8, 0), &args), || out.get() == x[1..])
}

fn dynamic_overrun(card: &Card, kernel: &'static str) -> Outcome {
    let out = card.room::<f32>(32);
    let launched = card.run(kernel, block(32, 4 * 40), &[out.address, 40]);
    Outcome::of(launched, || out.get() == [1.0; 32])
}

fn copy_abandoned(card: &Card, kernel: &'static str) -> Outcome {
    let x = card.put(&[1f32; 32]);
    Outcome::of(card.run(kernel, block(32, 128), &[x.address]), || true)
}

fn blocks_in_order(card: &Card, kernel: &'static str) -> Outcome {
    let x = [1f32, 2.0, 4.0, 8.0, 16.0];
    let (from, sums) = (card.put(&x), card.room::<f32>(5));
    let args = [from.address, sums.address];
    Outcome::of(card.run(kernel, Launch::linear(5, 32, 0), &args), || {
        sums.get() == [1.0, 3.0, 7.0, 15.0, 31.0]
    })
}

fn count_plainly(card: &Card, kernel: &'static str) -> Outcome {
    let count = card.put(&[0i32]);
    Outcome::of(
        card.run(kernel, Launch::linear(2, 48, 0), &[count.address]),
        || count.get() == [96],
    )
}

fn short(schedule: Schedule) -> String {
    let order = match schedule.order {
        Order::Forward => "fwd".to_owned(),
        Order::Reverse => "rev".to_owned(),
        Order::Random(seed) => format!("rand:{seed}"),
    };
    let early = |yes| if yes { "early" } else { "late" };
    let copies = early(schedule.copies == Copies::Early);
    let matrices = early(schedule.matrices == Matrices::Early);
    format!("{order}/{copies}/{matrices}")
}

#[test]
fn every_planted_bug_is_caught_and_no_sound_kernel_is() {
    let Some(card) = card() else { return };
    check_table(&card, CASES);
}

/// Runs every kernel of a table under every schedule: each must be caught where it says so.
pub fn check_table(card: &Card, cases: &[Case]) {
    let build = card.driver.build();
    let mut schedules = schedules(card);
    // Under a sanitizer runs are slow, and any schedule shows what it looks for.
    if build != "plain" && schedules.len() > 1 {
        schedules = vec![schedules[0], schedules[schedules.len() - 1]];
    }
    let mut faults = Vec::new();
    for case in cases {
        let mut row = String::new();
        let mut caught = 0;
        let mut said = String::new();
        for schedule in &schedules {
            card.driver.set_schedule(*schedule);
            let outcome = (case.run)(card, case.kernel);
            caught += usize::from(outcome != Outcome::Right);
            row.push(match outcome {
                Outcome::Right => '.',
                Outcome::Wrong => 'W',
                Outcome::Refused(message) => {
                    said = message;
                    'R'
                }
            });
        }
        eprintln!("{build:5} {:32} {row}  {said}", case.kernel);
        let expected = match build {
            "plain" => case.plain,
            "asan" => case.asan,
            _ => case.tsan,
        };
        // One schedule alone, as the environment may ask for, need not catch everything.
        if (caught > 0 && !expected) || (caught == 0 && expected && schedules.len() > 1) {
            faults.push(format!(
                "{}: caught in {caught} of {}",
                case.kernel,
                schedules.len()
            ));
        }
    }
    let names: Vec<String> = schedules.into_iter().map(short).collect();
    eprintln!(
        "{build}: W wrong answer, R refused, in the schedules {}",
        names.join(" ")
    );
    assert!(faults.is_empty(), "{build}: {}", faults.join("\n"));
}

#[test]
fn every_bug_of_the_table_is_caught_by_some_library() {
    for case in CASES {
        let sound = CASES
            .iter()
            .any(|c| c.kernel != case.kernel && c.kernel.starts_with(case.kernel));
        let caught = case.plain || case.asan || case.tsan;
        assert_eq!(
            caught,
            !sound && case.kernel != "planted_histogram",
            "{}",
            case.kernel
        );
    }
}

/// What a launch of a planted kernel says, threads being taken in `order`.
fn message(card: &Card, order: Order, kernel: &'static str, how: Launch, args: &[u64]) -> String {
    let copies = Copies::Early;
    let matrices = Matrices::Early;
    card.driver.set_schedule(Schedule {
        order,
        copies,
        matrices,
    });
    card.run(kernel, how, args).unwrap_err().to_string()
}

#[test]
fn a_deadlock_names_who_waits_where() {
    let Some(card) = card() else { return };
    let out = card.room::<f32>(64);
    let said = message(
        &card,
        Order::Forward,
        "planted_barrier_half",
        block(64, 0),
        &[out.address],
    );
    for part in [
        "kernel planted_barrier_half, block (0,0,0): deadlock",
        "threads 0 to 31 in __syncthreads at kernels/simt/planted.cu:",
        "32 of 64 threads have ended",
    ] {
        assert!(said.contains(part), "{said}");
    }
    let said = message(
        &card,
        Order::Forward,
        "planted_barrier_crossed",
        block(64, 0),
        &[out.address],
    );
    for part in [
        "threads 0 to 31 in barrier_sync 1 (32 of 64",
        "threads 32 to 63 in barrier_sync 2",
    ] {
        assert!(said.contains(part), "{said}");
    }
    let said = message(
        &card,
        Order::Forward,
        "planted_barrier_divided",
        block(64, 0),
        &[out.address],
    );
    assert!(
        said.contains("thread (32,0,0)") && said.contains("divides the block"),
        "{said}"
    );
}

#[test]
fn a_wrong_mask_names_the_lane() {
    let Some(card) = card() else { return };
    let (x, out) = (card.put(&[1f32; 32]), card.room::<f32>(1));
    let said = message(
        &card,
        Order::Reverse,
        "planted_row_sums_wrong_mask",
        block(32, 0),
        &[x.address, out.address],
    );
    assert!(said.contains("thread (31,0,0)"), "{said}");
    assert!(
        said.contains("__shfl_xor_sync: lane 31 is not in its own mask 0x0000ffff"),
        "{said}"
    );
}

#[test]
fn a_fault_of_the_processor_ends_the_launch_alone() {
    let Some(card) = card() else { return };
    let out = card.room::<f32>(32);
    for _ in 0..3 {
        let far = [out.address, 1 << 60];
        let said = message(
            &card,
            Order::Forward,
            "planted_wild_address",
            block(32, 0),
            &far,
        );
        assert!(
            said.contains("thread (0,0,0)") && said.contains("memory that is nobody's"),
            "{said}"
        );
        assert_eq!(
            turn(&card, "planted_turn"),
            Outcome::Right,
            "the card goes on"
        );
    }
    let said = message(
        &card,
        Order::Forward,
        "planted_deep_stack",
        block(32, 0),
        &[out.address, 5],
    );
    assert!(
        said.contains("thread (0,0,0)") && said.contains("stack of"),
        "{said}"
    );
    assert_eq!(
        turn(&card, "planted_turn"),
        Outcome::Right,
        "the card goes on"
    );
}
