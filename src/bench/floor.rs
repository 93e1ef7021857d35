//! The least time in which a card could do an operation.

use crate::device::Precision;

/// What a card does at best.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Floor {
    /// Floating-point operations a second with half-precision factors, f32 sums.
    pub flops: f64,
    /// Bytes a second to and from its memory.
    pub bytes: f64,
}

/// A part of a card's name, and what was measured on it with public libraries: the largest dense
/// products on random data, and copies within its memory.
const CARDS: &[(&str, Floor)] = &[(
    "H200",
    Floor {
        flops: 790e12,
        bytes: 4.3e12,
    },
)];

impl Floor {
    /// The floor of the card called `name`, where it is known. That of arithmetic is for values
    /// of 16 bits alone.
    pub fn of(name: &str, precision: Precision) -> Option<Floor> {
        let (_, floor) = CARDS.iter().find(|(part, _)| name.contains(part))?;
        (precision != Precision::F32).then_some(*floor)
    }

    /// Seconds that so much arithmetic and traffic take at least.
    pub fn seconds(&self, flops: u64, bytes: u64) -> f64 {
        (flops as f64 / self.flops).max(bytes as f64 / self.bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_slower_of_arithmetic_and_traffic_counts() {
        let floor = Floor::of("NVIDIA H200", Precision::F16).unwrap();
        assert_eq!(floor.seconds(790_000_000_000, 1), 1e-3);
        assert_eq!(floor.seconds(1, 4_300_000_000), 1e-3);
        assert_eq!(Floor::of("NVIDIA H200", Precision::F32), None);
        assert_eq!(Floor::of("the CPU", Precision::F16), None);
    }
}
