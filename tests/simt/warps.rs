//! Shuffles, votes, barriers and atomics, against what the CUDA guide says of them.

use doppel::device::gpu::driver::Launch;

use crate::card::{Dice, block, card, schedules};

/// The lane that is read, by the guide's words: segments of `width` lanes are warps of their own,
/// and a lane that would read past its segment keeps its own value. Only `xor` may read an earlier
/// segment.
fn source(kind: u32, lane: u32, by: u32, width: u32) -> u32 {
    let segment = lane / width;
    let inside = |l: i64| l >= 0 && l / i64::from(width) == i64::from(segment);
    let wanted = match kind {
        0 => return segment * width + by % width,
        1 => i64::from(lane) - i64::from(by),
        2 => i64::from(lane) + i64::from(by),
        _ if (lane ^ by) / width < segment => return lane ^ by,
        _ => i64::from(lane ^ by),
    };
    if inside(wanted) { wanted as u32 } else { lane }
}

#[test]
fn shuffles_read_the_lanes_they_should() {
    let Some(card) = card() else { return };
    let values: Vec<i32> = (0..32).map(|l| 1000 + l * l).collect();
    let (from, out) = (card.put(&values), card.room::<i32>(32));
    for kind in 0..4u32 {
        for width in [1u32, 2, 4, 8, 16, 32] {
            for by in [0u32, 1, 2, 3, 5, 7, 8, 15, 16, 17, 30, 31] {
                let args = [
                    kind.into(),
                    by.into(),
                    width.into(),
                    from.address,
                    out.address,
                ];
                card.run("selftest_shuffle", block(32, 0), &args).unwrap();
                for (lane, got) in out.get().into_iter().enumerate() {
                    let expected = values[source(kind, lane as u32, by, width) as usize];
                    assert_eq!(
                        got, expected,
                        "kind {kind} width {width} by {by} lane {lane}"
                    );
                }
            }
        }
    }
}

#[test]
fn shuffles_refuse_what_is_undefined() {
    let Some(card) = card() else { return };
    let (from, out) = (card.put(&[0i32; 32]), card.room::<i32>(32));
    let try_it = |kind: u64, by: i32, width: i32, threads: u32| {
        let args = [
            kind,
            by as u32 as u64,
            width as u32 as u64,
            from.address,
            out.address,
        ];
        card.run("selftest_shuffle", block(threads, 0), &args)
            .map_err(|e| e.to_string())
    };
    assert!(
        try_it(0, 0, 3, 32)
            .unwrap_err()
            .contains("width 3 is not a power of two")
    );
    assert!(try_it(0, 0, 0, 32).is_err() && try_it(0, 0, 64, 32).is_err());
    assert!(
        try_it(1, 32, 32, 32)
            .unwrap_err()
            .contains("__shfl_up_sync by 32")
    );
    assert!(try_it(3, -1, 32, 32).is_err());
    // A block of 20 threads has no lanes 20 to 31, which the full mask names.
    let error = try_it(0, 0, 32, 20).unwrap_err();
    assert!(
        error.contains("names lanes that have ended or never were (0xfff00000)"),
        "{error}"
    );
    assert!(error.contains("kernels/simt/selftest.cu:"), "{error}");
    assert_eq!(try_it(0, 40, 8, 32), Ok(()));
}

#[test]
fn halves_of_a_warp_go_their_own_ways() {
    let Some(card) = card() else { return };
    let values: Vec<f64> = (0..32).map(|l| f64::from(l * l) + 0.5).collect();
    let from = card.put(&values);
    for schedule in schedules(&card) {
        card.driver.set_schedule(schedule);
        let (turned, sums) = (card.room::<f64>(32), card.room::<f32>(32));
        let args = [from.address, turned.address, sums.address];
        card.run("selftest_half_warps", block(32, 0), &args)
            .unwrap();
        let mut expected = values.clone();
        expected.rotate_left(1);
        assert_eq!(turned.get(), expected);
        let sums = sums.get();
        let low: f64 = values[..16].iter().sum();
        let high: f64 = values[16..].iter().sum();
        assert!(sums[..16].iter().all(|s| f64::from(*s) == low), "{sums:?}");
        assert_eq!(f64::from(sums[16]), high);
    }
}

#[test]
fn warps_reduce_to_every_lane() {
    let Some(card) = card() else { return };
    let mut values = Dice(3).floats(64);
    values[40] = f32::NAN;
    values[41] = 7.0;
    let from = card.put(&values);
    let (sums, largest) = (card.room::<f32>(64), card.room::<f32>(64));
    let args = [from.address, sums.address, largest.address];
    card.run("selftest_warp_reduce", block(64, 0), &args)
        .unwrap();
    let expected: f64 = values[..32].iter().map(|v| f64::from(*v)).sum();
    let (sums, largest) = (sums.get(), largest.get());
    assert!(
        sums[..32]
            .iter()
            .all(|s| (f64::from(*s) - expected).abs() < 1e-5)
    );
    assert!(sums[32..].iter().all(|s| s.is_nan()));
    let top = values[..32].iter().copied().fold(f32::MIN, f32::max);
    assert!(largest[..32].iter().all(|v| *v == top));
    assert!(
        largest[32..].iter().all(|v| *v == 7.0),
        "fmaxf leaves NaN out"
    );
}

#[test]
fn votes_count_predicates() {
    let Some(card) = card() else { return };
    let mut dice = Dice(11);
    let random: Vec<i32> = (0..96).map(|_| (dice.next() % 3) as i32 - 1).collect();
    let one: Vec<i32> = (0..96).map(|t| i32::from(t == 70)).collect();
    for predicates in [random, one, vec![0; 96], vec![-5; 96]] {
        let from = card.put(&predicates);
        for schedule in schedules(&card) {
            card.driver.set_schedule(schedule);
            let out = card.room::<[u32; 4]>(96);
            card.run("selftest_votes", block(96, 0), &[from.address, out.address])
                .unwrap();
            let count = predicates.iter().filter(|p| **p != 0).count() as u32;
            let block_votes = u32::from(count > 0) | u32::from(count == 96) << 1;
            for (t, got) in out.get().into_iter().enumerate() {
                let warp = &predicates[t / 32 * 32..][..32];
                let ballot = (0..32)
                    .filter(|l| warp[*l] != 0)
                    .map(|l| 1u32 << l)
                    .sum::<u32>();
                let votes = u32::from(ballot != 0) | u32::from(ballot == u32::MAX) << 1;
                assert_eq!(got, [ballot, votes, count, block_votes], "thread {t}");
            }
        }
    }
}

#[test]
fn named_barriers_hand_over_between_warps() {
    let Some(card) = card() else { return };
    let values: Vec<i32> = (0..96).map(|v| v * 3 + 1).collect();
    let from = card.put(&values);
    for schedule in schedules(&card) {
        card.driver.set_schedule(schedule);
        let out = card.room::<i32>(96);
        let args = [from.address, out.address];
        card.run("selftest_named_barriers", block(192, 384), &args)
            .unwrap();
        let expected: Vec<i32> = (0..96).map(|t| values[t / 32 * 32 + 31 - t % 32]).collect();
        assert_eq!(out.get(), expected);
    }
}

#[test]
fn atomics_lose_nothing() {
    let Some(card) = card() else { return };
    let values: Vec<i32> = (0..150).map(|v| (v * 37 % 151) - 75).collect();
    let from = card.put(&values);
    for schedule in schedules(&card) {
        card.driver.set_schedule(schedule);
        let ints = card.put(&[0i32, i32::MIN, i32::MAX, 0, -1]);
        let (wide, sums) = (card.put(&[5u64]), card.put(&[0f32, 0.0]));
        let order = card.room::<i32>(150);
        let args = [
            &from.address,
            &ints.address,
            &wide.address,
            &sums.address,
            &order.address,
        ];
        card.run(
            "selftest_atomics",
            Launch::linear(3, 50, 0),
            &args.map(|a| *a),
        )
        .unwrap();
        let sum: i32 = values.iter().sum();
        let at_seven = values.iter().position(|v| *v == 7).unwrap() as i32;
        let (low, high) = (*values.iter().min().unwrap(), *values.iter().max().unwrap());
        assert_eq!(ints.get(), [sum, high, low, 150, at_seven]);
        assert_eq!(wide.get(), [5 + 150 * (1 << 33)]);
        assert_eq!(sums.get(), [sum as f32, sum as f32]);
        let mut tickets = order.get();
        tickets.sort_unstable();
        assert_eq!(tickets, (0..150).collect::<Vec<i32>>());
    }
}

#[test]
fn a_fence_and_a_ticket_order_blocks() {
    let Some(card) = card() else { return };
    let values: Vec<f32> = (0..5 * 32).map(|v| v as f32).collect();
    let from = card.put(&values);
    for schedule in schedules(&card) {
        card.driver.set_schedule(schedule);
        let (partial, tickets) = (card.room::<f32>(5), card.put(&[0u32]));
        let total = card.room::<f32>(1);
        let args = [
            from.address,
            partial.address,
            tickets.address,
            total.address,
        ];
        card.run("selftest_last_block", Launch::linear(5, 32, 0), &args)
            .unwrap();
        assert_eq!(total.get(), [values.iter().sum::<f32>()]);
    }
}
