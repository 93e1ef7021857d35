//! Which device a run uses, and what this machine has.

use std::sync::Arc;

use super::cpu::Kernel;
use super::{CpuDevice, Device, GpuDevice, gpu};
use crate::error::{Error, Result};

/// The forms of the CPU's kernels that this machine runs, the fastest, which is the one used, first.
pub fn cpu_kernels() -> Vec<&'static str> {
    Kernel::available().into_iter().map(Kernel::name).collect()
}

/// Opens the device that `--device` names: `auto` (the card if there is one, else the CPU), `cpu`,
/// `cuda[:N]`, or `simt`, the simulated card of the tests, whose library `DOPPEL_SIMT` names.
///
/// # Errors
/// [`Kind::Input`](crate::error::Kind::Input) for another word, and
/// [`Kind::Unsupported`](crate::error::Kind::Unsupported) for a card that is not there, with the
/// reason. `auto` takes the CPU then.
pub fn open(name: &str) -> Result<Arc<dyn Device>> {
    let elsewhere = "use --device cpu, or auto for the best there is";
    let ordinal = match name.split_once(':') {
        None if name == "cpu" => return Ok(Arc::new(CpuDevice::default())),
        None if name == "auto" => {
            return Ok(card(0).unwrap_or_else(|_| Arc::new(CpuDevice::default())));
        }
        None if name == "simt" => return simulated(),
        None if name == "cuda" => Some(0),
        Some(("cuda", number)) => number.parse().ok(),
        _ => None,
    };
    match ordinal {
        Some(ordinal) => card(ordinal).map_err(|e| {
            Error::unsupported(format!("--device {name}: {}", e.message())).mend(elsewhere)
        }),
        None => Err(Error::input(format!("--device {name} is not a device"))
            .mend("give auto, cpu or cuda[:N]")),
    }
}

#[cfg(feature = "cuda")]
fn card(ordinal: usize) -> Result<Arc<dyn Device>> {
    gpu::probe(ordinal)?;
    Ok(Arc::new(GpuDevice::new(Arc::new(gpu::CudaDriver::open(
        ordinal,
    )?))))
}

#[cfg(not(feature = "cuda"))]
fn card(ordinal: usize) -> Result<Arc<dyn Device>> {
    gpu::probe(ordinal)?;
    Err(Error::unsupported("this build knows no cards"))
}

fn simulated() -> Result<Arc<dyn Device>> {
    match gpu::driver_simt::SimtDriver::from_env()? {
        Some(driver) => Ok(Arc::new(GpuDevice::new(Arc::new(driver)))),
        None => Err(
            Error::unsupported("--device simt: DOPPEL_SIMT names no library")
                .mend("build it with cargo xtask simt and set DOPPEL_SIMT to its path"),
        ),
    }
}
