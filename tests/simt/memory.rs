//! Device memory: ranges that are checked, sentinels, and NaN where nothing was written.

use doppel::device::gpu::driver::{Driver, Launch, Stream};
use doppel::error::Kind;

use crate::card::{block, card};

const DEFAULT: Stream = Stream::DEFAULT;

#[test]
fn bytes_go_there_and_back() {
    let Some(card) = card() else { return };
    for len in [0usize, 1, 7, 255, 256, 257, 70_000] {
        let bytes: Vec<u8> = (0..len).map(|i| (i * 31 % 251) as u8).collect();
        let (from, to) = (card.put(&bytes), card.room::<u8>(len));
        assert_eq!(from.address % 256, 0);
        assert!(to.get().iter().all(|b| *b == 0xff), "fresh memory is NaN");
        // SAFETY: two buffers of `len` bytes.
        unsafe {
            card.driver
                .copy(to.address, from.address, len, DEFAULT)
                .unwrap();
            assert_eq!(to.get(), bytes);
            card.driver.fill(to.address, 9, len / 2, DEFAULT).unwrap();
        }
        let mut expected = bytes.clone();
        expected[..len / 2].fill(9);
        assert_eq!(to.get(), expected);
    }
}

#[test]
fn ranges_that_no_buffer_holds_are_refused() {
    let Some(card) = card() else { return };
    let driver = &card.driver;
    let (a, b) = (card.put(&[1u8; 100]), card.put(&[2u8; 100]));
    let mut out = [0u8; 101];
    // SAFETY: the library checks each of these and touches nothing.
    unsafe {
        for (at, len) in [
            (a.address, 101),
            (a.address + 1, 100),
            (a.address - 1, 1),
            (0, 1),
            (8, 0),
        ] {
            let error = driver.download(at, &mut out[..len], DEFAULT).unwrap_err();
            assert!(
                error.to_string().contains("lie in no one buffer"),
                "{error}"
            );
            assert!(driver.upload(at, &out[..len], DEFAULT).is_err());
            assert!(driver.fill(at, 0, len, DEFAULT).is_err());
            assert!(driver.copy(b.address, at, len, DEFAULT).is_err());
            assert!(driver.copy(at, b.address, len, DEFAULT).is_err());
        }
        assert!(driver.copy(a.address, a.address + 50, 51, DEFAULT).is_err());
        assert!(
            driver.copy(a.address, a.address + 49, 50, DEFAULT).is_err(),
            "overlaps"
        );
        driver.copy(a.address, a.address + 50, 50, DEFAULT).unwrap();
        assert!(driver.free(a.address + 1).is_err());
        let once = driver.alloc(5).unwrap();
        driver.free(once).unwrap();
        assert!(driver.free(once).is_err());
    }
    assert_eq!(a.get(), [1u8; 100]);
}

#[test]
fn memory_ends_somewhere() {
    let Some(card) = card() else { return };
    let memory = card.driver.info().memory as usize;
    for bytes in [memory + 1, usize::MAX, usize::MAX - 2048] {
        assert_eq!(card.driver.alloc(bytes).unwrap_err().kind(), Kind::Limit);
    }
}

#[test]
fn a_write_past_a_buffer_names_kernel_and_buffer() {
    let Some(card) = card() else { return };
    for n in [1usize, 5, 64, 100] {
        let (x, out) = (card.put(&vec![1.5f32; n + 1]), card.room::<f32>(n));
        let args = [x.address, out.address, n as u64];
        let how = Launch::linear(3, 64, 0);
        let error = card
            .run("planted_double_one_more", how, &args)
            .unwrap_err()
            .to_string();
        assert!(error.contains("planted_double_one_more"), "{error}");
        // AddressSanitizer stops at the access; the sentinel is found after the kernel.
        if card.driver.build() == "asan" {
            assert!(error.contains("AddressSanitizer"), "{error}");
        } else {
            let place = format!("({} bytes): at byte {}", 4 * n, 4 * n);
            assert!(
                error.contains("wrote outside buffer") && error.contains(&place),
                "{error}"
            );
        }
        // The sentinels stand again.
        card.driver.check().unwrap();
        card.run("planted_double", how, &args).unwrap();
        assert_eq!(out.get(), vec![3.0f32; n]);
    }
}

#[test]
fn a_write_before_a_buffer_is_found() {
    let Some(card) = card() else { return };
    if card.driver.build() == "asan" {
        return; // there it is the access that is caught, as above
    }
    let x = card.put(&[1.0f32, 2.0]);
    let out = card.room::<f32>(2);
    // The kernel is told that its output begins one element early.
    let error = card
        .run(
            "planted_double",
            block(32, 0),
            &[x.address, out.address - 4, 2],
        )
        .unwrap_err();
    assert!(
        error.to_string().contains("(8 bytes): at byte -1"),
        "{error}"
    );
    card.driver.check().unwrap();
}
