//! cp.async: sizes, zero fill, groups.

use doppel::device::gpu::driver_simt::Schedule;

use crate::card::{block, card, schedules};

#[test]
fn asynchronous_copies_fill_with_zeros_past_the_valid_bytes() {
    let Some(card) = card() else { return };
    for (symbol, size) in [
        ("selftest_copy_4", 4),
        ("selftest_copy_8", 8),
        ("selftest_copy_16", 16),
    ] {
        for (threads, rounds) in [(32usize, 1usize), (33, 3), (64, 5)] {
            let bytes = threads * rounds * size;
            let data: Vec<u8> = (0..bytes).map(|i| (i % 250) as u8 + 1).collect();
            let from = card.put(&data);
            let expected: Vec<u8> = (0..bytes)
                .map(|i| {
                    if i % size < i / size % (size + 1) {
                        data[i]
                    } else {
                        0
                    }
                })
                .collect();
            for schedule in schedules(&card) {
                card.driver.set_schedule(schedule);
                let to = card.room::<u8>(bytes);
                let args = [from.address, to.address, rounds as u64];
                card.run(symbol, block(threads as u32, bytes), &args)
                    .unwrap();
                assert_eq!(
                    to.get(),
                    expected,
                    "{symbol} {threads} x {rounds} {schedule:?}"
                );
            }
        }
    }
}

#[test]
fn copies_must_be_aligned_and_land_in_shared_memory() {
    let Some(card) = card() else { return };
    card.driver.set_schedule(Schedule::default());
    let (from, to) = (card.put(&[1u8; 600]), card.room::<u8>(512));
    let at = |offset: u64, shared: usize| {
        let args = [from.address + offset, to.address, 1];
        card.run("selftest_copy_16", block(32, shared), &args)
            .unwrap_err()
            .to_string()
    };
    let error = at(8, 512);
    assert!(
        error.contains("cp.async's source") && error.contains("not aligned to 16"),
        "{error}"
    );
    assert!(
        error.contains("thread (0,0,0)") && error.contains("selftest.cu:"),
        "{error}"
    );
    // The 32 chunks need 512 bytes.
    let error = at(0, 496);
    assert!(
        error.contains("thread (31,0,0)") && error.contains("not in the block's shared"),
        "{error}"
    );
}
