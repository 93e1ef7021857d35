//! Files that change while they are loaded, for real: in processes of their own.

#[path = "../../../src/bin/engine/sigbus.rs"]
mod sigbus;

use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Output};

use super::*;
use crate::memory;

/// What tells this test program that it is the child of one of its tests: the file to work on.
const CHILD: &str = "DOPPEL_TEST_WEIGHTS_CHILD";

/// The file to work on, in a child.
pub fn child() -> Option<PathBuf> {
    std::env::var_os(CHILD).map(PathBuf::from)
}

/// Runs test `name` of the weights' modules again, in a process of its own, with `path` to work on.
pub fn again(name: &str, path: &Path) -> Output {
    rerun(&format!("weights::{name}"), path)
}

/// The same of any module's tests.
pub fn rerun(name: &str, path: &Path) -> Output {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture", "--test-threads=1"])
        .env(CHILD, path)
        // Where a core would be written, if the system writes one.
        .current_dir(path.parent().unwrap())
        .output()
        .unwrap()
}

/// A file of one tensor `big` of 1 MiB of F32, behind a small one.
fn big(place: &Place) -> PathBuf {
    let values = vec![0.25; 1 << 18];
    place.put(
        "big.safetensors",
        &file(&[
            ("small", &[3], &[1.0, 2.0, 3.0]),
            ("big", &[1 << 18], &values),
        ]),
    )
}

pub fn cut(path: &Path, to: u64) {
    std::fs::File::options()
        .write(true)
        .open(path)
        .unwrap()
        .set_len(to)
        .unwrap();
}

/// Reads the small tensor, has the file cut, and reads the big one in pieces.
fn read_while_it_is_cut(weights: &WeightFile, path: &Path) -> Result<(), Error> {
    assert_eq!(values(weights, "small").unwrap(), [1.0, 2.0, 3.0]);
    cut(path, 8192);
    let mut piece = vec![0.0; 576];
    for from in (0..(1 << 18) - 576).step_by(576) {
        weights.read("big", from, &mut piece)?;
    }
    Ok(())
}

#[test]
fn a_file_that_is_cut_while_mapped_ends_the_program_with_one_line() {
    if let Some(path) = child() {
        sigbus::install();
        sigbus::install();
        let weights = WeightFile::open(&path, MAP).unwrap();
        assert!(weights.mapped());
        // Fault in a worker as well as anywhere: packing runs in parallel.
        rayon::join(|| read_while_it_is_cut(&weights, &path).unwrap(), || ());
        std::process::exit(9);
    }
    let place = Place::new();
    let path = big(&place);
    let output = again(
        "live::a_file_that_is_cut_while_mapped_ends_the_program_with_one_line",
        &path,
    );
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    assert_eq!(
        stderr,
        format!(
            "error: {}: the file was cut, or its disk failed, while its weights were loaded; start \
             again when nothing writes to the file, or with --no-mmap\n",
            path.display()
        )
    );
}

#[test]
fn many_threads_that_fault_at_once_say_one_line() {
    if let Some(path) = child() {
        sigbus::install();
        let weights = WeightFile::open(&path, MAP).unwrap();
        cut(&path, 4096);
        let barrier = std::sync::Barrier::new(8);
        std::thread::scope(|scope| {
            for i in 0..8 {
                let (weights, barrier) = (&weights, &barrier);
                scope.spawn(move || {
                    barrier.wait();
                    let mut piece = [0.0; 64];
                    weights.read("big", 4096 + i * 20_000, &mut piece).unwrap();
                });
            }
        });
        std::process::exit(9);
    }
    let place = Place::new();
    let path = big(&place);
    let output = again("live::many_threads_that_fault_at_once_say_one_line", &path);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
    assert!(stderr.ends_with("--no-mmap\n"), "{stderr}");
}

/// Maps a file that is no weights, cuts it, and touches what is gone.
fn fault_elsewhere(path: &Path) {
    let other = path.with_file_name("other");
    std::fs::write(&other, [1; 16384]).unwrap();
    let file = std::fs::File::open(&other).unwrap();
    // SAFETY: only read, through a volatile read below; that it faults is what is tested.
    let map = unsafe { memmap2::Mmap::map(&file) }.unwrap();
    cut(&other, 0);
    // SAFETY: the address lies inside the map.
    let byte = unsafe { std::ptr::read_volatile(map.as_ptr().add(8192)) };
    panic!("read {byte}");
}

#[test]
fn a_fault_outside_the_maps_goes_to_the_handler_before() {
    extern "C" fn before(_signal: libc::c_int) {
        // SAFETY: `_exit` is safe in a handler.
        unsafe { libc::_exit(7) }
    }
    if let Some(path) = child() {
        let handler: extern "C" fn(libc::c_int) = before;
        // SAFETY: `before` has a handler's signature and does only what one may.
        unsafe { libc::signal(libc::SIGBUS, handler as libc::sighandler_t) };
        sigbus::install();
        let _weights = WeightFile::open(&path, MAP).unwrap();
        fault_elsewhere(&path);
    }
    let place = Place::new();
    let path = big(&place);
    let output = again(
        "live::a_fault_outside_the_maps_goes_to_the_handler_before",
        &path,
    );
    assert_eq!(output.status.code(), Some(7), "{output:?}");
    assert!(output.stderr.is_empty(), "{output:?}");
}

#[test]
fn a_fault_outside_the_maps_kills_where_nobody_handled_it_before() {
    if let Some(path) = child() {
        // SAFETY: the default action needs no handler.
        unsafe { libc::signal(libc::SIGBUS, libc::SIG_DFL) };
        sigbus::install();
        let _weights = WeightFile::open(&path, MAP).unwrap();
        fault_elsewhere(&path);
    }
    let place = Place::new();
    let path = big(&place);
    let output = again(
        "live::a_fault_outside_the_maps_kills_where_nobody_handled_it_before",
        &path,
    );
    assert_eq!(output.status.signal(), Some(libc::SIGBUS), "{output:?}");
    assert!(output.stderr.is_empty(), "{output:?}");
}

#[test]
fn a_signal_that_somebody_sent_is_no_fault() {
    if let Some(path) = child() {
        sigbus::install();
        let _weights = WeightFile::open(&path, MAP).unwrap();
        // SAFETY: `raise` has no preconditions.
        unsafe { libc::raise(libc::SIGBUS) };
        // The runtime's own handler, which stood there before, gives the signal its default back.
        // SAFETY: the same.
        unsafe { libc::raise(libc::SIGBUS) };
        std::process::exit(9);
    }
    let place = Place::new();
    let path = big(&place);
    let output = again("live::a_signal_that_somebody_sent_is_no_fault", &path);
    assert_eq!(output.status.signal(), Some(libc::SIGBUS), "{output:?}");
}

#[test]
fn a_file_that_is_cut_while_read_is_an_ordinary_error() {
    let place = Place::new();
    let path = big(&place);
    let weights = WeightFile::open(&path, READ).unwrap();
    let error = read_while_it_is_cut(&weights, &path).unwrap_err();
    let line = clear(&error, "big.safetensors");
    assert!(
        line.contains("ended early: somebody cut it while it was loaded"),
        "{line}"
    );
    says(weights.finish(), "big.safetensors", "to 8192");
}

#[test]
fn finish_sees_every_change_of_size_or_time() {
    let place = Place::new();
    for options in [MAP, READ] {
        let path = big(&place);
        let before = std::fs::metadata(&path).unwrap();
        let weights = WeightFile::open(&path, options).unwrap();
        values(&weights, "small").unwrap();
        weights.finish().unwrap();
        // Longer.
        cut(&path, before.len() + 5);
        let words = format!(
            "changed while it was loaded: from {} bytes to {}",
            before.len(),
            before.len() + 5
        );
        says(weights.finish(), "big.safetensors", &words);
        // The old length, another time.
        cut(&path, before.len());
        let file = std::fs::File::options().write(true).open(&path).unwrap();
        let time = before.modified().unwrap();
        file.set_modified(time + std::time::Duration::from_nanos(1_000_000))
            .unwrap();
        says(
            weights.finish(),
            "big.safetensors",
            "changed while it was loaded; start again",
        );
        file.set_modified(time).unwrap();
        weights.finish().unwrap();
    }
}

/// A file that another one takes the place of is still there for those who have it open.
#[test]
fn a_file_that_is_replaced_as_a_whole_is_read_to_its_end() {
    let place = Place::new();
    for options in [MAP, READ] {
        let path = place.put("w.safetensors", &file(&[("a", &[1], &[1.0])]));
        let weights = WeightFile::open(&path, options).unwrap();
        let new = place.put("new", &file(&[("a", &[1], &[9.0])]));
        std::fs::rename(new, &path).unwrap();
        assert_eq!(values(&weights, "a").unwrap(), [1.0]);
        weights.finish().unwrap();
    }
}

/// Opening and reading 96 MiB row by row takes next to no memory of its own, either way.
#[cfg(target_os = "linux")]
#[test]
fn loading_takes_no_memory_of_its_own() {
    const ROWS: usize = 4096;
    const ROW: usize = 4096;
    if let Some(path) = child() {
        for options in [MAP, READ] {
            let ((), grown) = memory::peak_growth(|| {
                let weights = WeightFile::open(&path, options).unwrap();
                let mut row = vec![0.0; ROW];
                for name in ["wide", "half"] {
                    for i in 0..ROWS {
                        weights.read(name, i * ROW, &mut row).unwrap();
                    }
                    assert_eq!(row, [0.0; ROW]);
                }
                weights.finish().unwrap();
            });
            println!("grown {}", grown.unwrap());
        }
        return;
    }
    let place = Place::new();
    let (wide, half) = ((ROWS * ROW * 4) as u64, (ROWS * ROW * 2) as u64);
    let dims = [ROWS as u64, ROW as u64];
    let header = [
        entry("wide", "F32", &dims, 0, wide),
        entry("half", "F16", &dims, wide, wide + half),
    ];
    let start = raw(&format!("{{{}}}", header.join(",")), &[]);
    let path = place.put("big.safetensors", &start);
    // The rest is zeros that take no room on the disk.
    cut(&path, start.len() as u64 + wide + half);
    let output = again("live::loading_takes_no_memory_of_its_own", &path);
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    let grown: Vec<u64> = text
        .lines()
        .filter_map(|l| l.split("grown ").nth(1)?.trim().parse().ok())
        .collect();
    assert_eq!(grown.len(), 2, "{text}");
    // A row, the widening's block, a thread that looks; not a hundredth of what was read.
    assert!(grown.iter().all(|&g| g < 1 << 20), "{grown:?}");
}

/// The measure itself: it sees memory that was taken and given back.
#[cfg(target_os = "linux")]
#[test]
fn the_measure_sees_memory_that_is_taken() {
    let place = Place::new();
    if child().is_some() {
        let ((), grown) = memory::peak_growth(|| {
            let taken = vec![1u8; 32 << 20];
            std::thread::sleep(std::time::Duration::from_millis(20));
            std::hint::black_box(&taken);
        });
        println!("grown {}", grown.unwrap());
        return;
    }
    let output = again(
        "live::the_measure_sees_memory_that_is_taken",
        &place.put("x", b""),
    );
    let text = String::from_utf8(output.stdout).unwrap();
    let grown: Option<u64> = text
        .lines()
        .find_map(|l| l.split("grown ").nth(1)?.trim().parse().ok());
    assert!(grown.is_some_and(|g| g >= 32 << 20), "{text}");
}
