//! A card for a test, buffers on it, and launches.

use std::ffi::c_void;
use std::marker::PhantomData;

use bytemuck::Pod;
use doppel::Result;
use doppel::device::gpu::driver::{
    Driver, Kernel, Launch, Stream, Swizzle, TensorCopy, TensorMap, TensorShape,
};
use doppel::device::gpu::driver_simt::{Schedule, SimtDriver};

/// The card that `DOPPEL_SIMT` names. Without one the test is skipped, or fails where
/// `DOPPEL_SIMT_REQUIRED` is 1.
pub fn card() -> Option<Card> {
    let found = SimtDriver::from_env().expect("DOPPEL_SIMT names a library that does not open");
    if found.is_none() {
        let required = std::env::var("DOPPEL_SIMT_REQUIRED").is_ok_and(|v| v == "1");
        assert!(!required, "no simulated card, and DOPPEL_SIMT_REQUIRED=1");
        println!("skipped: no simulated card (cargo xtask simt)");
    }
    found.map(|driver| Card { driver })
}

/// The same library as a Hopper card.
pub fn hopper() -> Option<Card> {
    card()?;
    let path = std::env::var_os("DOPPEL_SIMT")?;
    let driver = SimtDriver::open_as(path, 90).expect("the library opens again");
    Some(Card { driver })
}

/// All schedules; one alone if the environment names it.
pub fn schedules(card: &Card) -> Vec<Schedule> {
    let named = ["ORDER", "COPY", "MATRIX"]
        .map(|name| format!("DOPPEL_SIMT_{name}"))
        .iter()
        .any(|v| std::env::var(v).is_ok());
    if named {
        vec![card.driver.schedule()]
    } else {
        Schedule::all()
    }
}

pub struct Card {
    pub driver: SimtDriver,
}

impl Card {
    /// A buffer that holds `data`.
    pub fn put<T: Pod>(&self, data: &[T]) -> Buffer<'_, T> {
        let buffer = self.room(data.len());
        // SAFETY: the buffer has just these bytes.
        unsafe {
            let bytes = bytemuck::cast_slice(data);
            self.driver
                .upload(buffer.address, bytes, Stream::DEFAULT)
                .unwrap();
        }
        buffer
    }

    /// A buffer for `len` elements, not written yet.
    pub fn room<T: Pod>(&self, len: usize) -> Buffer<'_, T> {
        let address = self.driver.alloc(len * size_of::<T>()).unwrap();
        Buffer {
            card: self,
            address,
            len,
            kind: PhantomData,
        }
    }

    /// Launches a kernel of `kernels/simt/` with the values' bits as arguments.
    pub fn run(&self, symbol: &'static str, how: Launch, args: &[u64]) -> Result<()> {
        self.launch(
            Kernel {
                family: "simt",
                symbol,
            },
            how,
            args,
        )
    }

    /// The same for a kernel that takes tensor maps before its other arguments.
    pub fn run_mapped(
        &self,
        symbol: &'static str,
        how: Launch,
        maps: &[TensorMap],
        args: &[u64],
    ) -> Result<()> {
        let (mut maps, mut values) = (maps.to_vec(), args.to_vec());
        let mut pointers: Vec<*mut c_void> = Vec::new();
        pointers.extend(
            maps.iter_mut()
                .map(|m| std::ptr::from_mut(m).cast::<c_void>()),
        );
        pointers.extend(
            values
                .iter_mut()
                .map(|v| std::ptr::from_mut(v).cast::<c_void>()),
        );
        let kernel = Kernel {
            family: "simt",
            symbol,
        };
        // SAFETY: as in `launch`, and the maps come first.
        unsafe {
            self.driver
                .launch(kernel, &how, &mut pointers, Stream::DEFAULT)
        }
    }

    /// The map of a matrix of 16-bit values with lines of `stride` values, for boxes of
    /// `tile` lines x values.
    pub fn matrix_map(
        &self,
        address: u64,
        [rows, columns, stride]: [usize; 3],
        tile: [u32; 2],
        swizzle: Swizzle,
    ) -> TensorMap {
        let shape = TensorShape {
            address,
            element: 2,
            dims: vec![columns as u64, rows as u64],
            strides: vec![2 * stride as u64],
            swizzle,
            copy: TensorCopy::Tile(vec![tile[1], tile[0]]),
        };
        self.driver.tensor_map(&shape).unwrap()
    }

    pub fn launch(&self, kernel: Kernel, how: Launch, args: &[u64]) -> Result<()> {
        let mut values = args.to_vec();
        let mut pointers: Vec<*mut c_void> = values
            .iter_mut()
            .map(|v| std::ptr::from_mut(v).cast())
            .collect();
        // SAFETY: each argument has eight bytes, of which the kernel takes the first (little endian);
        // the tests pass what the kernels declare.
        unsafe {
            self.driver
                .launch(kernel, &how, &mut pointers, Stream::DEFAULT)
        }
    }
}

/// Elements on the card; freed at the end, when the sentinels are checked once more.
pub struct Buffer<'a, T> {
    card: &'a Card,
    pub address: u64,
    pub len: usize,
    kind: PhantomData<T>,
}

impl<T: Pod> Buffer<'_, T> {
    pub fn get(&self) -> Vec<T> {
        let mut bytes = vec![0u8; self.len * size_of::<T>()];
        // SAFETY: the buffer has just these bytes.
        unsafe {
            self.card
                .driver
                .download(self.address, &mut bytes, Stream::DEFAULT)
        }
        .unwrap();
        bytemuck::pod_collect_to_vec(&bytes)
    }
}

impl<T> Drop for Buffer<'_, T> {
    fn drop(&mut self) {
        // SAFETY: the address came from `alloc`, and work is done when a launch returns.
        let freed = unsafe { self.card.driver.free(self.address) };
        if !std::thread::panicking() {
            freed.unwrap();
        }
    }
}

/// A block of `threads` threads, and `shared` bytes of dynamic shared memory.
pub fn block(threads: u32, shared: usize) -> Launch {
    Launch::linear(1, threads, shared)
}

/// Numbers without a pattern, from a seed: xorshift.
pub struct Dice(pub u64);

impl Dice {
    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x9e37_79b9_7f4a_7c15)
    }

    /// In -1 .. 1.
    pub fn float(&mut self) -> f32 {
        (self.next() >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    }

    pub fn floats(&mut self, n: usize) -> Vec<f32> {
        (0..n).map(|_| self.float()).collect()
    }
}

#[test]
fn the_card_says_what_it_is_and_has() {
    let Some(card) = card() else { return };
    let info = card.driver.info();
    assert_eq!(
        (info.driver, info.name.as_str(), info.arch),
        ("simt", "simulated card", 80)
    );
    assert!(["plain", "asan", "tsan"].contains(&card.driver.build()));
    assert_eq!(info.shared_per_block, 99 << 10);
    let norm = Kernel {
        family: "norm",
        symbol: "row_normalize_f32_f16",
    };
    assert!(card.driver.has(norm));
    // A kernel is looked for in its own family alone, as on a real card.
    let misplaced = Kernel {
        family: "gemm",
        ..norm
    };
    assert!(!card.driver.has(misplaced));
    let error = card.launch(misplaced, block(32, 0), &[]).unwrap_err();
    assert_eq!(error.kind(), doppel::error::Kind::Unsupported, "{error}");
    assert!(!card.driver.has(Kernel {
        family: "norm",
        symbol: "row_normalize"
    }));
}

#[test]
fn streams_and_events_must_have_been_made() {
    let Some(card) = card() else { return };
    let driver = &card.driver;
    let (first, second) = (driver.stream().unwrap(), driver.stream().unwrap());
    assert!(first != second && first != Stream::DEFAULT);
    let event = driver.record(first).unwrap();
    driver.wait(second, event).unwrap();
    for stream in [Stream::DEFAULT, first, second] {
        driver.sync(stream).unwrap();
    }
    assert!(driver.sync(Stream(second.0 + 1)).is_err());
    assert!(
        driver
            .wait(first, doppel::device::gpu::driver::Event(event.0 + 1))
            .is_err()
    );
}
