//! Which device a run uses, and what this machine has.

use std::str::FromStr;
use std::sync::Arc;

use super::cpu::Kernel;
use super::{CpuDevice, Device, GpuDevice, Precision, gpu};
use crate::error::{Error, Result};

/// The forms of the CPU's kernels that this machine runs, the fastest, which is the one used, first.
pub fn cpu_kernels() -> Vec<&'static str> {
    Kernel::available().into_iter().map(Kernel::name).collect()
}

/// How much of a card's memory a run may allocate.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum MemoryLimit {
    /// So many bytes.
    Bytes(u64),
    /// A part of what is free, above 0 and up to 1.
    Part(f64),
}

impl FromStr for MemoryLimit {
    type Err = Error;

    /// `BYTES`, with or without K, M or G for 2^10, 2^20 or 2^30 of them, or `FRACTION%`.
    fn from_str(text: &str) -> Result<MemoryLimit> {
        let wrong = || {
            Error::input(format!("{text:?} is no amount of memory"))
                .mend("give bytes, as in 8G or 500M, or a part of what is free, as in 80%")
        };
        if let Some(part) = text.strip_suffix('%') {
            let part: f64 = part.trim().parse().map_err(|_| wrong())?;
            let fits = part > 0.0 && part <= 100.0;
            return fits
                .then_some(MemoryLimit::Part(part / 100.0))
                .ok_or_else(wrong);
        }
        let (digits, shift) = match text.as_bytes().last() {
            Some(b'k' | b'K') => (&text[..text.len() - 1], 10),
            Some(b'm' | b'M') => (&text[..text.len() - 1], 20),
            Some(b'g' | b'G') => (&text[..text.len() - 1], 30),
            _ => (text, 0),
        };
        let number: u64 = digits.trim().parse().map_err(|_| wrong())?;
        let bytes = number.checked_mul(1 << shift).filter(|bytes| *bytes > 0);
        bytes.map(MemoryLimit::Bytes).ok_or_else(wrong)
    }
}

/// Lets `device` allocate no more than `limit` from now on; gives whether it is a card, whose memory can
/// be limited.
///
/// # Errors
/// A card that does not say how much is free.
pub fn limit_memory(device: &dyn Device, limit: MemoryLimit) -> Result<bool> {
    let Some(streams) = device.streams() else {
        return Ok(false);
    };
    streams.limit_memory(match limit {
        MemoryLimit::Bytes(bytes) => bytes,
        MemoryLimit::Part(part) => (streams.memory_left()? as f64 * part) as u64,
    });
    Ok(true)
}

/// As [`open_storing`], storing values as the device does by itself.
///
/// # Errors
/// As [`open_storing`].
pub fn open(name: &str) -> Result<Arc<dyn Device>> {
    open_storing(name, None)
}

/// Opens the device that `--device` names: `auto` (the card if there is one, else the CPU), `cpu`,
/// `cuda[:N]`, or `simt`, the simulated card of the tests, whose library `DOPPEL_SIMT` names. Encoders
/// store values on a card in `storage`, by default in half precision; on the CPU always in f32.
///
/// # Errors
/// [`Kind::Input`](crate::error::Kind::Input) for another word, and
/// [`Kind::Unsupported`](crate::error::Kind::Unsupported) for a card that is not there, with the
/// reason. `auto` takes the CPU then.
pub fn open_storing(name: &str, storage: Option<Precision>) -> Result<Arc<dyn Device>> {
    let storage = storage.unwrap_or(Precision::F16);
    let elsewhere = "use --device cpu, or auto for the best there is";
    let ordinal = match name.split_once(':') {
        None if name == "cpu" => return Ok(Arc::new(CpuDevice::default())),
        None if name == "auto" => {
            return Ok(card(0, storage).unwrap_or_else(|_| Arc::new(CpuDevice::default())));
        }
        None if name == "simt" => return simulated(storage),
        None if name == "cuda" => Some(0),
        Some(("cuda", number)) => number.parse().ok(),
        _ => None,
    };
    match ordinal {
        Some(ordinal) => card(ordinal, storage).map_err(|e| {
            Error::unsupported(format!("--device {name}: {}", e.message())).mend(elsewhere)
        }),
        None => Err(Error::input(format!("--device {name} is not a device"))
            .mend("give auto, cpu or cuda[:N]")),
    }
}

#[cfg(feature = "cuda")]
fn card(ordinal: usize, storage: Precision) -> Result<Arc<dyn Device>> {
    gpu::probe(ordinal)?;
    let driver = Arc::new(gpu::CudaDriver::open(ordinal)?);
    Ok(Arc::new(GpuDevice::new(driver).storing(storage)))
}

#[cfg(not(feature = "cuda"))]
fn card(ordinal: usize, _: Precision) -> Result<Arc<dyn Device>> {
    gpu::probe(ordinal)?;
    Err(Error::unsupported("this build knows no cards"))
}

fn simulated(storage: Precision) -> Result<Arc<dyn Device>> {
    match gpu::driver_simt::SimtDriver::from_env()? {
        Some(driver) => Ok(Arc::new(GpuDevice::new(Arc::new(driver)).storing(storage))),
        None => Err(
            Error::unsupported("--device simt: DOPPEL_SIMT names no library")
                .mend("build it with cargo xtask simt and set DOPPEL_SIMT to its path"),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_of_memory_are_read() {
        let read = |text: &str| text.parse::<MemoryLimit>();
        assert_eq!(read("1000").unwrap(), MemoryLimit::Bytes(1000));
        assert_eq!(read("3k").unwrap(), MemoryLimit::Bytes(3 << 10));
        assert_eq!(read("500M").unwrap(), MemoryLimit::Bytes(500 << 20));
        assert_eq!(read("8G").unwrap(), MemoryLimit::Bytes(8 << 30));
        assert_eq!(read("80%").unwrap(), MemoryLimit::Part(0.8));
        assert_eq!(read("0.5 %").unwrap(), MemoryLimit::Part(0.005));
        for wrong in [
            "",
            "%",
            "G",
            "0",
            "0%",
            "101%",
            "-1",
            "-1%",
            "nan%",
            "1.5G",
            "1T",
            "8GB",
            "é",
            "18446744073709551615G",
        ] {
            let error = read(wrong).unwrap_err().to_string();
            assert!(error.contains("80%"), "{wrong}: {error}");
        }
    }
}
