//! Hopper's other primitives: stmatrix, mbarriers, clusters, registers; and two cards of one library.

use doppel::device::gpu::driver::{Driver, Kernel, Launch, Swizzle, TensorCopy, TensorShape};
use doppel::device::gpu::driver_simt::SimtDriver;
use doppel::error::Kind;

use crate::card::{block, card, hopper, schedules};

#[test]
fn one_library_is_two_cards() {
    let (Some(ampere), Some(hopper)) = (card(), hopper()) else {
        return;
    };
    let (old, new) = (ampere.driver.info(), hopper.driver.info());
    assert_eq!((old.arch, old.shared_per_block), (80, 99 << 10));
    assert_eq!((new.arch, new.shared_per_block), (90, 227 << 10));
    let kernel = Kernel {
        family: "simt",
        symbol: "selftest_registers",
    };
    assert!(!ampere.driver.has(kernel) && hopper.driver.has(kernel));
    let portable = Kernel {
        family: "simt",
        symbol: "planted_turn",
    };
    assert!(ampere.driver.has(portable) && hopper.driver.has(portable));
    let refused = |error: doppel::Error| assert_eq!(error.kind(), Kind::Unsupported, "{error}");
    refused(ampere.launch(kernel, block(384, 0), &[0]).unwrap_err());
    let x = hopper.put(&[1f32; 32]);
    let args = [x.address, x.address];
    // Memory is the library's: both see it.
    let most = Launch::linear(1, 32, 227 << 10);
    hopper.launch(portable, most, &args).unwrap();
    ampere
        .launch(portable, Launch::linear(1, 32, 99 << 10), &args)
        .unwrap();
    let error = ampere
        .launch(portable, most, &args)
        .unwrap_err()
        .to_string();
    assert!(error.contains("are over 101376"), "{error}");
    let pair = Launch {
        cluster: [2, 1, 1],
        ..Launch::linear(2, 32, 128)
    };
    refused(ampere.launch(portable, pair, &args).unwrap_err());
    let shape = TensorShape {
        address: x.address,
        element: 4,
        dims: vec![8, 4],
        strides: vec![32],
        swizzle: Swizzle::None,
        copy: TensorCopy::Tile(vec![8, 4]),
    };
    refused(ampere.driver.tensor_map(&shape).unwrap_err());
    hopper.driver.tensor_map(&shape).unwrap();
    let path = std::env::var_os("DOPPEL_SIMT").unwrap();
    assert!(SimtDriver::open_as(path, 70).is_err());
}

#[test]
fn clusters_that_do_not_fit_are_refused() {
    let Some(card) = hopper() else { return };
    let x = card.put(&[0i32; 64 * 34]);
    let args = [x.address; 3];
    for (grid, cluster, what) in [
        (4, [3, 1, 1], "not a multiple of the cluster"),
        (34, [17, 1, 1], "1 to 16 blocks"),
        (4, [0, 1, 1], "1 to 16 blocks"),
    ] {
        let how = Launch {
            cluster,
            ..Launch::linear(grid, 32, 512)
        };
        let error = card
            .run("selftest_cluster", how, &args)
            .unwrap_err()
            .to_string();
        assert!(error.contains(what), "{error}");
    }
    let pair = Launch {
        cluster: [2, 1, 1],
        ..Launch::linear(2, 32, 0)
    };
    let error = card
        .run("selftest_votes", pair, &[0, 0])
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("clusters are for kernels of files sm90_"),
        "{error}"
    );
}

#[test]
fn matrices_are_stored_by_rows_and_by_columns() {
    let Some(card) = hopper() else { return };
    for schedule in schedules(&card).into_iter().step_by(5) {
        card.driver.set_schedule(schedule);
        for count in [1usize, 2, 4] {
            for transposed in [false, true] {
                // Register m of lane 4r + t holds elements 2t and 2t + 1 of row r of matrix m.
                let fragments: Vec<u16> = (0..32 * count * 2).map(|i| i as u16).collect();
                let (from, out) = (card.put(&fragments), card.room::<u16>(64 * count));
                let args = [count as u64, transposed.into(), from.address, out.address];
                card.run("selftest_stmatrix", block(32, 512), &args)
                    .unwrap();
                for (i, got) in out.get().into_iter().enumerate() {
                    let (m, r, c) = (i / 64, i / 8 % 8, i % 8);
                    let (row, column) = if transposed { (c, r) } else { (r, c) };
                    let lane = row * 4 + column / 2;
                    let expected = fragments[(lane * count + m) * 2 + column % 2];
                    assert_eq!(got, expected, "x{count} {transposed} ({m},{r},{c})");
                }
            }
        }
    }
}

#[test]
fn phases_of_an_mbarrier_hand_values_over() {
    let Some(card) = hopper() else { return };
    for schedule in schedules(&card) {
        card.driver.set_schedule(schedule);
        let (rounds, threads) = (7usize, 40u32);
        let readers = threads as usize - 1;
        let out = card.room::<i32>(rounds * readers);
        let args = [out.address, rounds as u64];
        card.run("selftest_mbarrier", block(threads, 128), &args)
            .unwrap();
        let right = |(i, v): (usize, i32)| v == 100 + (i / readers) as i32;
        assert!(out.get().into_iter().enumerate().all(right), "{schedule:?}");
    }
}

#[test]
fn blocks_of_a_cluster_reach_each_others_memory() {
    let Some(card) = hopper() else { return };
    for (grid, cluster) in [
        ([1, 1, 1], [1, 1, 1]),
        ([4, 1, 1], [2, 1, 1]),
        ([8, 2, 1], [4, 2, 1]),
        ([16, 1, 1], [16, 1, 1]),
    ] {
        let how = Launch {
            grid,
            block: [32, 1, 1],
            shared: 256,
            cluster,
        };
        let (wide, blocks) = (grid[0] as usize, grid.iter().product::<u32>() as usize);
        let size = cluster.iter().product::<u32>() as usize;
        let values: Vec<i32> = (0..blocks as i32 * 32).map(|v| v * 7 + 1).collect();
        let from = card.put(&values);
        // The block of rank `rank` in the cluster whose first block is at (x, y).
        let member = |x: usize, y: usize, rank: usize| {
            let c = cluster[0] as usize;
            x + rank % c + (y + rank / c) * wide
        };
        for schedule in schedules(&card) {
            card.driver.set_schedule(schedule);
            let (out, sums) = (card.room::<i32>(blocks * 33), card.room::<i32>(blocks));
            card.run(
                "selftest_cluster",
                how,
                &[from.address, out.address, sums.address],
            )
            .unwrap();
            let got = out.get();
            for block in 0..blocks {
                let (cx, cy) = (cluster[0] as usize, cluster[1] as usize);
                let (x, y) = (block % wide, block / wide);
                let (x0, y0) = (x / cx * cx, y / cy * cy);
                let rank = x - x0 + (y - y0) * cx;
                let next = (rank + 1) % size;
                let there = &values[member(x0, y0, next) * 32..][..32];
                assert_eq!(
                    &got[block * 33..][..32],
                    there,
                    "block {block} {schedule:?}"
                );
                assert_eq!(got[block * 33 + 32], next as i32);
                if rank == size - 1 {
                    let members = (0..size).map(|r| member(x0, y0, r));
                    let sum: i32 = members.flat_map(|b| &values[b * 32..][..32]).sum();
                    assert_eq!(sums.get()[block], sum);
                }
            }
        }
    }
}

#[test]
fn registers_go_from_one_warpgroup_to_others() {
    let Some(card) = hopper() else { return };
    for schedule in schedules(&card) {
        card.driver.set_schedule(schedule);
        let out = card.room::<i32>(384);
        card.run("selftest_registers", block(384, 0), &[out.address])
            .unwrap();
        assert_eq!(out.get(), [1; 384]);
    }
    // A warpgroup that is not whole.
    let out = card.room::<i32>(64);
    let error = card
        .run("selftest_registers", block(64, 0), &[out.address])
        .unwrap_err();
    assert!(
        error.to_string().contains("warpgroup that is not whole"),
        "{error}"
    );
}

#[test]
fn a_wait_without_end_names_the_barrier_and_what_it_lacks() {
    let Some(card) = hopper() else { return };
    let error = card
        .run("planted_mbarrier_too_few", block(64, 64), &[])
        .unwrap_err()
        .to_string();
    for part in [
        "deadlock: threads 0 to 63 in mbarrier_wait for parity 0 of the mbarrier at byte 0",
        "phase 0, 1 of 64 arrivals and 0 bytes to come",
        "sm90_planted.cu:",
    ] {
        assert!(error.contains(part), "{error}");
    }
}
