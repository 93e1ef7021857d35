//! What an encoder in half precision falls back to when its values overflow: itself in bf16, which has the
//! range of f32 with 8 bits.
//!
//! A row that is not finite is made again, and no other: so a row does not depend on those beside it, nor
//! on where a run was taken up.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::device::{DType, Source};
use crate::error::{Error, Result};

/// Opens an encoder's weights anew.
pub type Reopen = Box<dyn Fn() -> Result<Box<dyn Source>> + Send + Sync>;

/// The same encoder in bf16, planned when it is first wanted.
pub(super) struct Again<E> {
    reopen: Option<Reopen>,
    made: Mutex<Option<Arc<E>>>,
    rows: AtomicUsize,
}

impl<E> Again<E> {
    /// By weights that `reopen` opens; without it, a value that overflows is an error.
    pub(super) fn new(reopen: Option<Reopen>) -> Self {
        Again {
            reopen,
            made: Mutex::new(None),
            rows: AtomicUsize::new(0),
        }
    }

    /// The encoder, which `plan` makes of the weights the first time.
    ///
    /// # Errors
    /// [`Kind::Unsupported`](crate::error::Kind::Unsupported) where the weights cannot be had again; what
    /// opening and planning fail with.
    pub(super) fn get(&self, plan: impl FnOnce(&dyn Source) -> Result<E>) -> Result<Arc<E>> {
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(encoder) = &*made {
            return Ok(Arc::clone(encoder));
        }
        let Some(reopen) = &self.reopen else {
            let message =
                "the encoder's values overflow half precision, or its weights are not finite";
            let mend = "run this encoder in bf16 (--precision bf16), or on the CPU";
            return Err(Error::unsupported(message).mend(mend));
        };
        let encoder = Arc::new(plan(&*reopen()?)?);
        *made = Some(Arc::clone(&encoder));
        Ok(encoder)
    }

    /// Counts rows that were made again.
    pub(super) fn count(&self, rows: usize) {
        self.rows.fetch_add(rows, Ordering::Relaxed);
    }

    /// A line that says how many rows were made again since it was last asked for.
    pub(super) fn note(&self) -> Option<String> {
        let rows = self.rows.swap(0, Ordering::Relaxed);
        let what = match rows {
            0 => return None,
            1 => "1 row overflows half precision and was".to_owned(),
            n => format!("{n} rows overflow half precision and were"),
        };
        let mend = "--precision bf16 spares the first try";
        Some(format!("{what} made again in bf16; {mend}"))
    }
}

/// The numbers of those rows of `dims` values that overflowed when they were computed in `dtype`.
pub(super) fn overflown(rows: &[f32], dims: usize, dtype: DType) -> Vec<usize> {
    if dtype != DType::F16 {
        return Vec::new();
    }
    let rows = rows.chunks_exact(dims.max(1)).enumerate();
    let bad = rows.filter(|(_, row)| row.iter().any(|x| !x.is_finite()));
    bad.map(|(i, _)| i).collect()
}
