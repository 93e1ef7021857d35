//! Launches: their shapes, their arguments, and the places of threads.

use doppel::device::gpu::driver::{Driver, Kernel, Launch, Stream};
use doppel::error::Kind;

use crate::card::{block, card, schedules};

fn shape(grid: [u32; 3], block: [u32; 3]) -> Launch {
    Launch {
        grid,
        block,
        shared: 0,
        cluster: [1, 1, 1],
    }
}

#[test]
fn threads_know_their_places_in_three_dimensions() {
    let Some(card) = card() else { return };
    for (grid, threads) in [
        ([1, 1, 1], [1, 1, 1]),
        ([3, 2, 2], [5, 3, 4]),
        ([2, 1, 3], [33, 2, 1]),
    ] {
        for schedule in schedules(&card) {
            card.driver.set_schedule(schedule);
            let blocks = grid.iter().product::<u32>() as usize;
            let per_block = threads.iter().product::<u32>() as usize;
            let out = card.room::<[u32; 2]>(blocks * per_block);
            card.run("selftest_places", shape(grid, threads), &[out.address])
                .unwrap();
            let pack = |i: usize, d: [u32; 3]| {
                let (x, y) = (d[0] as usize, d[1] as usize);
                ((i % x) + ((i / x % y) << 10) + ((i / (x * y)) << 20)) as u32
            };
            for (i, got) in out.get().into_iter().enumerate() {
                assert_eq!(
                    got,
                    [pack(i % per_block, threads), pack(i / per_block, grid)]
                );
            }
        }
    }
}

#[test]
fn shapes_that_no_card_takes_are_refused() {
    let Some(card) = card() else { return };
    let out = card.room::<[u32; 2]>(1);
    let refused = [
        ([0, 1, 1], [32, 1, 1]),
        ([1, 1, 1], [32, 0, 1]),
        ([1, 1, 1], [1025, 1, 1]),
        ([1, 1, 1], [32, 33, 1]),
        ([1, 1, 1], [1, 1, 65]),
        ([1, 65_536, 1], [1, 1, 1]),
        ([1, 1, 65_536], [1, 1, 1]),
        ([u32::MAX, 1, 1], [1, 1, 1]),
    ];
    for (grid, threads) in refused {
        let error = card
            .run("selftest_places", shape(grid, threads), &[out.address])
            .unwrap_err();
        assert!(
            error.to_string().contains("kernel selftest_places: the "),
            "{error}"
        );
    }
    let shared = card.driver.info().shared_per_block;
    let x = card.put(&[0f32; 32]);
    let args = [x.address, x.address];
    card.run("planted_turn", block(32, shared), &args).unwrap();
    assert!(
        card.run("planted_turn", block(32, shared + 1), &args)
            .is_err()
    );
    let clusters = Launch {
        cluster: [2, 1, 1],
        ..shape([2, 1, 1], [32, 1, 1])
    };
    let error = card
        .run("selftest_places", clusters, &[out.address])
        .unwrap_err();
    assert_eq!(error.kind(), Kind::Unsupported);
}

#[test]
fn the_number_of_arguments_is_checked() {
    let Some(card) = card() else { return };
    for args in [&[][..], &[0, 0]] {
        let error = card.run("selftest_places", block(1, 0), args).unwrap_err();
        assert!(error.to_string().contains("takes 1 arguments"), "{error}");
    }
    let kernel = Kernel {
        family: "simt",
        symbol: "selftest_places",
    };
    // SAFETY: no argument is read: the count is refused first.
    let error = unsafe {
        card.driver
            .launch(kernel, &block(1, 0), &mut [], Stream(99))
    }
    .unwrap_err();
    assert!(error.to_string().contains("stream 99"), "{error}");
}

#[test]
fn launches_from_several_threads_take_turns() {
    let Some(card) = card() else { return };
    std::thread::scope(|scope| {
        for seed in 0..4 {
            let card = &card;
            scope.spawn(move || {
                for _ in 0..5 {
                    let x: Vec<f32> = (0..32).map(|i| (i + seed) as f32).collect();
                    let (from, out) = (card.put(&x), card.room::<f32>(32));
                    card.run("planted_turn", block(32, 128), &[from.address, out.address])
                        .unwrap();
                    let turned: Vec<f32> = x.into_iter().rev().collect();
                    assert_eq!(out.get(), turned);
                }
            });
        }
    });
}
