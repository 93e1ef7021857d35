//! A power whose every step is rounded alike on every device.

/// `base` to the power `exponent`, both not negative: squarings for the whole part of the exponent, square
/// roots for the rest. With a base of at most 1 it is within `2^-45` of the power, relative to it, while that
/// is a normal number.
///
/// A library's `pow` differs in its last bits from one device to the next; multiplications and square roots
/// do not.
pub(super) fn power(base: f64, exponent: f64) -> f64 {
    let whole = exponent.trunc();
    let (mut result, mut factor, mut n) = (1.0, base, whole as u32);
    while n > 0 {
        if n % 2 == 1 {
            result *= factor;
        }
        factor *= factor;
        n /= 2;
    }
    let (mut rest, mut root) = (exponent - whole, base);
    while rest > 0.0 {
        rest += rest;
        root = root.sqrt();
        if rest >= 1.0 {
            result *= root;
            rest -= 1.0;
        }
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::MAX_POWER;

    #[test]
    fn it_is_the_power_within_its_bound() {
        let mut random = fastrand::Rng::with_seed(3);
        let mut worst: f64 = 0.0;
        for _ in 0..20_000 {
            let base = if random.bool() {
                random.f64()
            } else {
                1.0 - random.f64() / 64.0
            };
            let exponent = match random.u8(0..4) {
                0 => f64::from(random.u32(0..65)),
                1 => f64::from(random.u32(0..256)) / 4.0,
                2 => random.f64() * MAX_POWER,
                _ => random.f64() * 1e-3,
            };
            let want = base.powf(exponent);
            if want > f64::MIN_POSITIVE {
                worst = worst.max(((power(base, exponent) - want) / want).abs());
            }
        }
        assert!(worst < 2f64.powi(-45), "{worst:e}");
        assert!(worst > 2f64.powi(-54), "{worst:e}");
    }

    #[test]
    fn the_ends_are_exact() {
        for exponent in [0.0, 0.3, 1.0, 2.5, 3.0, 64.0, 5e-324] {
            assert_eq!(power(1.0, exponent), 1.0);
            let zero = if exponent == 0.0 { 1.0 } else { 0.0 };
            assert_eq!(power(0.0, exponent), zero);
        }
        assert_eq!(power(0.25, 2.5), 0.031_25);
        assert_eq!(power(0.7, 1.0), 0.7);
        assert_eq!(power(0.7, 0.0), 1.0);
        assert_eq!(power(1e-300, 64.0), 0.0);
    }
}
