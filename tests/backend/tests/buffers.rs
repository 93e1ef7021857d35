//! Buffers, memory of the caller's own, streams and errors.

use std::sync::Arc;

use doppel::device::{
    Buf, CpuDevice, DType, Desc, Device, Op, Stream, Support, alloc, bytes_of, foreign_memory,
};
use doppel::error::Kind;
use doppel_backend_test::{buffer, card, devices, noise, read};

#[test]
fn what_is_uploaded_comes_back_and_parts_of_it_are_buffers() {
    for device in devices() {
        let name = &device.info().name;
        let values = noise(64, 1);
        for dtype in [DType::F16, DType::F32] {
            let whole = buffer(&*device, &[4, 16], dtype, &values);
            let rounded = doppel::device::values_of(&bytes_of(&values, dtype), dtype);
            assert_eq!(read(&*device, &whole), rounded, "{name}");
            // The third row.
            let at = 2 * 16 * dtype.size();
            let row = Buf::new(Desc::new(&[16], dtype), Arc::clone(&whole.mem), at).unwrap();
            assert_eq!(read(&*device, &row), rounded[32..48], "{name}");
            assert!(row.overlaps(&whole));
        }
    }
}

#[test]
fn mistakes_are_errors_of_their_kind() {
    let cpu: Arc<dyn Device> = Arc::new(CpuDevice::default());
    for device in devices() {
        let x = buffer(&*device, &[2, 3], DType::F32, &[0.0; 6]);
        let short = device.upload(&[0; 20], &x, Stream::DEFAULT).unwrap_err();
        assert_eq!(short.kind(), Kind::Shape);
        let y = buffer(&*device, &[3, 2], DType::F32, &[0.0; 6]);
        let sum = alloc(&*device, Desc::new(&[2, 3], DType::F32)).unwrap();
        let shapes = device.run(&Op::Add, &[&x, &y], &[&sum], None, Stream::DEFAULT);
        let shapes = shapes.unwrap_err();
        assert_eq!(shapes.kind(), Kind::Shape);
        assert!(shapes.to_string().contains("add"), "{shapes}");
        // An output that is an input, too.
        assert!(
            device
                .run(&Op::Add, &[&x, &x], &[&x], None, Stream::DEFAULT)
                .is_err()
        );
        assert!(Buf::new(Desc::new(&[7], DType::F32), Arc::clone(&x.mem), 0).is_err());
        if device.info().is_card() {
            let there = buffer(&*cpu, &[2, 3], DType::F32, &[0.0; 6]);
            let other = device.run(&Op::Add, &[&x, &there], &[&sum], None, Stream::DEFAULT);
            assert_eq!(other.unwrap_err().kind(), Kind::Internal);
        }
    }
}

/// Memory of the process, aligned as a device's.
#[repr(align(256))]
struct Mine([f32; 8]);

#[test]
fn the_cpu_works_in_memory_of_the_caller() {
    let cpu = CpuDevice::default();
    let mut mine = Box::new([Mine([1.5; 8]), Mine([0.0; 8])]);
    let at = |mine: &mut Mine| mine.0.as_mut_ptr().expose_provenance() as u64;
    let (from, to) = (at(&mut mine[0]), at(&mut mine[1]));
    // SAFETY: both have 32 bytes and live to the end of the test, and are read by others behind the run.
    let (x, y) = unsafe { (foreign_memory(&cpu, from, 32), foreign_memory(&cpu, to, 32)) };
    let desc = Desc::new(&[8], DType::F32);
    let x = Buf::new(desc.clone(), x.unwrap(), 0).unwrap();
    let y = Buf::new(desc, y.unwrap(), 0).unwrap();
    cpu.run(&Op::Add, &[&x, &x], &[&y], None, Stream::DEFAULT)
        .unwrap();
    assert_eq!(read(&cpu, &y), [3.0; 8]);
    drop((x, y));
    assert_eq!(mine[1].0, [3.0; 8]);
}

#[test]
fn a_card_works_in_memory_and_on_streams_of_the_caller() {
    let Some((card, driver)) = card() else {
        return;
    };
    let desc = Desc::new(&[33], DType::F32);
    assert_eq!(
        card.supports(&Op::Add, &[desc.clone(), desc.clone()]),
        Support::Native
    );
    let bytes = desc.bytes();
    let mine = driver.alloc(512).unwrap();
    let (one, two) = (driver.stream().unwrap(), driver.stream().unwrap());
    let values = noise(33, 5);
    // SAFETY: the allocation has 512 bytes, and is freed last; the upload is waited for.
    let mem = unsafe {
        driver
            .upload(mine, &bytes_of(&values, DType::F32), one)
            .unwrap();
        foreign_memory(&*card, mine, 512).unwrap()
    };
    let x = Buf::new(desc.clone(), Arc::clone(&mem), 0).unwrap();
    let y = Buf::new(desc, mem, 256).unwrap();
    // The second stream goes on where the first has come to.
    let ready = driver.record(one).unwrap();
    driver.wait(two, ready).unwrap();
    card.run(&Op::Add, &[&x, &x], &[&y], None, two).unwrap();
    card.sync(two).unwrap();
    drop((x, y));
    let mut got = vec![0; bytes];
    // SAFETY: the range is within the allocation, which nobody uses any more when it is freed.
    unsafe {
        driver.download(mine + 256, &mut got, two).unwrap();
        driver.free(mine).unwrap();
    }
    let twice: Vec<f32> = values.iter().map(|v| v + v).collect();
    assert_eq!(got, bytes_of(&twice, DType::F32));
}
