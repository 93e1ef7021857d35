//! What a buffer holds and where it is.

use std::fmt;
use std::sync::Arc;

use crate::error::{Error, Result};

/// The type of a buffer's elements.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DType {
    /// IEEE half precision.
    F16,
    /// The upper half of an IEEE single: its range, with 8 bits of precision.
    BF16,
    /// IEEE single precision.
    F32,
    /// Unsigned 32-bit: labels and rows.
    U32,
}

impl DType {
    /// Bytes of one element.
    pub fn size(self) -> usize {
        match self {
            DType::F16 | DType::BF16 => 2,
            DType::F32 | DType::U32 => 4,
        }
    }
}

impl fmt::Display for DType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            DType::F16 => "f16",
            DType::BF16 => "bf16",
            DType::F32 => "f32",
            DType::U32 => "u32",
        })
    }
}

/// The shape and type of a value, row-major. Matrices are `[rows, columns]`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Desc {
    /// The dimensions, outermost first.
    pub dims: Vec<usize>,
    /// The type of the elements.
    pub dtype: DType,
}

impl Desc {
    /// A shape of `dims` elements of `dtype`.
    pub fn new(dims: &[usize], dtype: DType) -> Self {
        Desc {
            dims: dims.to_vec(),
            dtype,
        }
    }

    /// How many elements.
    pub fn len(&self) -> usize {
        self.dims.iter().product()
    }

    /// Whether there are no elements.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many bytes.
    pub fn bytes(&self) -> usize {
        self.len() * self.dtype.size()
    }

    /// The two dimensions of a matrix.
    ///
    /// # Errors
    /// [`Kind::Shape`](crate::error::Kind::Shape), naming `op`, when there are not two.
    pub fn matrix(&self, op: &'static str) -> Result<(usize, usize)> {
        match self.dims[..] {
            [rows, columns] => Ok((rows, columns)),
            _ => Err(Error::shape(op, &self.dims, &[0, 0]).mend("this operation takes matrices")),
        }
    }
}

impl fmt::Display for Desc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{:?}", self.dtype, self.dims)
    }
}

/// Whose address space memory is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Home {
    /// The process's own: both CPU devices read and write it.
    Host,
    /// A card, by the number that its driver got when it was opened.
    Card(u64),
}

/// Memory of a device, freed when the last [`Buf`] over it goes.
///
/// # Safety
/// `address() .. address() + bytes()` is valid for reads and writes in the address space that
/// `home` names for as long as this lives, is aligned to 256, and never changes.
pub unsafe trait Mem: Send + Sync {
    /// Where it starts, in the device's own address space.
    fn address(&self) -> u64;
    /// How many bytes it has.
    fn bytes(&self) -> usize;
    /// Whose address space that is.
    fn home(&self) -> Home;
}

/// A value in a device's memory: a range of it, with a shape and type.
#[derive(Clone)]
pub struct Buf {
    /// What it holds.
    pub desc: Desc,
    /// The memory that the range is in.
    pub mem: Arc<dyn Mem>,
    /// Where in that memory the range starts, in bytes.
    pub at: usize,
    /// Whether it is a weight in the device's own layout, which fills the whole memory; `desc` is
    /// that of the published one.
    own: bool,
}

impl Buf {
    /// A value of `desc` at byte `at` of `mem`.
    ///
    /// # Errors
    /// [`Kind::Internal`](crate::error::Kind::Internal) when it would reach over the end or is not
    /// aligned to its elements.
    pub fn new(desc: Desc, mem: Arc<dyn Mem>, at: usize) -> Result<Self> {
        let end = at.checked_add(desc.bytes());
        if end.is_none_or(|end| end > mem.bytes()) || !at.is_multiple_of(desc.dtype.size()) {
            return Err(Error::internal(format!(
                "{desc} at {at} is not within {}",
                mem.bytes()
            )));
        }
        Ok(Buf {
            desc,
            mem,
            at,
            own: false,
        })
    }

    /// A weight of `desc` in the device's own layout: all of `mem`.
    ///
    /// # Errors
    /// [`Kind::Internal`](crate::error::Kind::Internal) when the published form would not fit.
    pub fn packed(desc: Desc, mem: Arc<dyn Mem>) -> Result<Self> {
        Ok(Buf {
            own: true,
            ..Buf::new(desc, mem, 0)?
        })
    }

    /// Whether it is a weight in the device's own layout.
    pub fn is_packed(&self) -> bool {
        self.own
    }

    /// The device address of the first element.
    pub fn address(&self) -> u64 {
        self.mem.address() + self.at as u64
    }

    /// Whether two ranges share a byte.
    pub fn overlaps(&self, other: &Buf) -> bool {
        let (a, b) = (self.address(), other.address());
        let (a_end, b_end) = (a + self.desc.bytes() as u64, b + other.desc.bytes() as u64);
        a < b_end && b < a_end
    }
}

impl fmt::Debug for Buf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Buf({} at {:#x})", self.desc, self.address())
    }
}
