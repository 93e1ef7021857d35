//! Unit rows.

/// Divides `row` by its Euclidean length, in f64. A row of zeros stays one.
///
/// Returns whether every value is finite; if not, the row is left as it was.
pub fn normalize(row: &mut [f32]) -> bool {
    if row.iter().any(|x| !x.is_finite()) {
        return false;
    }
    let square: f64 = row.iter().map(|&x| f64::from(x) * f64::from(x)).sum();
    if square > 0.0 {
        let length = square.sqrt();
        for x in row {
            *x = (f64::from(*x) / length) as f32;
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_get_length_one_however_large_or_small_they_are() {
        let mut row = [3.0, -4.0];
        assert!(normalize(&mut row));
        assert_eq!(row, [0.6, -0.8]);
        for scale in [f32::MAX, 1e30, 1.0, 1e-30, f32::MIN_POSITIVE, 1e-45] {
            let mut row = [scale, 0.0, -scale, scale, scale];
            assert!(normalize(&mut row));
            assert_eq!(row, [0.5, 0.0, -0.5, 0.5, 0.5], "{scale}");
        }
        let mut zeros = [0.0; 3];
        assert!(normalize(&mut zeros));
        assert_eq!(zeros, [0.0; 3]);
        assert!(normalize(&mut []));
    }

    #[test]
    fn what_is_not_finite_is_told() {
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let mut row = [1.0, bad];
            assert!(!normalize(&mut row));
            assert_eq!(row[0], 1.0);
        }
    }
}
