//! Where a threshold is put between two distances.

/// How far behind the last distance a threshold is put when nothing bounds it.
const MARGIN: f64 = 0.02;

/// A threshold in `(after, until]` and in `[0, within]`: the number of the fewest digits near the middle
/// that lies strictly between the two ends, so that it sits on no distance; the upper end where there is
/// no other. `until` is infinite when no distance follows.
///
/// The two ranges must have a number in common: `until >= 0`, `after < within` and `within >= 0`.
pub(super) fn place(after: f64, until: f64, within: f64) -> f64 {
    let low = after.max(0.0);
    let high = if until.is_finite() {
        until.min(within)
    } else {
        (low + MARGIN).min(within)
    };
    let middle = low + (high - low) / 2.0;
    for digits in 0..=17 {
        // Rust prints the nearest decimal and reads the nearest number.
        let Ok(short) = format!("{middle:.digits$}").parse::<f64>() else {
            break;
        };
        if (short > low || (after < 0.0 && short >= low)) && short < high {
            return short;
        }
    }
    high
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thresholds_are_short_and_lie_between() {
        for (after, until, within, expected) in [
            (0.3, 0.9, 2.0, 0.6),
            (0.31, 0.34, 2.0, 0.33),
            (0.4, 0.5, 2.0, 0.45),
            (0.123, 0.1231, 2.0, 0.12305),
            (f64::NEG_INFINITY, 0.3, 2.0, 0.0),
            (f64::NEG_INFINITY, 0.0, 2.0, 0.0),
            (-0.5, 0.0, 2.0, 0.0),
            // 0.15 as a double lies below itself.
            (0.0, 0.3, 2.0, 0.1),
            (0.6, f64::INFINITY, 2.0, 0.61),
            (0.6, f64::INFINITY, 0.605, 0.603),
            (0.6, 0.9, 0.605, 0.603),
            (1.9, 2.3, 2.0, 1.95),
        ] {
            assert_eq!(place(after, until, within), expected, "{after} {until}");
        }
        // Nothing lies between neighbours: the upper one is the threshold that keeps the lower alone.
        let next = 0.7f64.next_up();
        assert_eq!(place(0.7, next, 2.0), next);
        let mut random = fastrand::Rng::with_seed(3);
        for _ in 0..10_000 {
            let (a, b) = (random.f64() * 2.0, random.f64() * 0.01);
            let (after, until) = (a, a + b * random.f64());
            if after < until {
                let t = place(after, until, 3.0);
                assert!(t > after && t <= until, "{after} {until} {t}");
            }
        }
    }
}
