//! How many groups there are of each size: the competition's counts, scaled.

/// Listings of the published counts.
#[cfg(test)]
pub(super) const PUBLISHED_LISTINGS: usize = 34_250;

/// `(size, groups)` of the competition's 34,250 listings in 11,014 groups. Sizes 2 to 12 and 51 are
/// published; between them the 149 groups that are left, with 2,911 listings, fall off smoothly.
const PUBLISHED: [(usize, usize); 43] = [
    (2, 6979),
    (3, 1779),
    (4, 862),
    (5, 468),
    (6, 282),
    (7, 154),
    (8, 118),
    (9, 91),
    (10, 48),
    (11, 38),
    (12, 39),
    (13, 23),
    (14, 19),
    (15, 15),
    (16, 13),
    (17, 10),
    (18, 9),
    (19, 7),
    (20, 6),
    (21, 5),
    (22, 5),
    (23, 4),
    (24, 4),
    (25, 3),
    (26, 3),
    (27, 2),
    (28, 2),
    (29, 2),
    (30, 2),
    (31, 2),
    (32, 2),
    (33, 1),
    (34, 1),
    (35, 1),
    (36, 1),
    (37, 1),
    (38, 1),
    (39, 1),
    (40, 1),
    (41, 1),
    (42, 1),
    (43, 1),
    (51, 7),
];

/// The size of each group, rising; they sum to `listings`, which is at least 2.
///
/// Each size gets its published share of groups, rounded down; what is left becomes one more group of
/// the sizes that lost most (ties: the smaller size), as long as they fit, then pairs, and a last
/// single listing joins a pair.
pub(super) fn group_sizes(listings: usize) -> Vec<usize> {
    let all: usize = PUBLISHED.iter().map(|(size, groups)| size * groups).sum();
    let share = |groups: usize| (groups as u128 * listings as u128, all as u128);
    let mut counts: Vec<(usize, usize)> = PUBLISHED
        .iter()
        .map(|&(size, groups)| (size, (share(groups).0 / share(groups).1) as usize))
        .collect();
    let mut left = listings - counts.iter().map(|(size, n)| size * n).sum::<usize>();
    let mut order: Vec<usize> = (0..counts.len()).collect();
    let lost = |i: usize| share(PUBLISHED[i].1).0 % share(PUBLISHED[i].1).1;
    order.sort_by_key(|&i| (std::cmp::Reverse(lost(i)), i));
    for i in order {
        if lost(i) > 0 && counts[i].0 <= left {
            counts[i].1 += 1;
            left -= counts[i].0;
        }
    }
    counts[0].1 += left / 2;
    if left % 2 == 1 {
        // What is left is below the smallest size that did not fit, so there is a pair to join.
        counts[0].1 -= 1;
        counts[1].1 += 1;
    }
    let of_size = |&(size, n): &(usize, usize)| std::iter::repeat_n(size, n);
    counts.iter().flat_map(of_size).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_of_listings_comes_out_exactly() {
        for listings in (2..3000).chain([6_851, 70_000, 999_999]) {
            let sizes = group_sizes(listings);
            assert_eq!(sizes.iter().sum::<usize>(), listings);
            assert!(sizes.iter().all(|s| (2..=51).contains(s)), "{listings}");
            assert!(sizes.is_sorted());
        }
        assert_eq!(group_sizes(2), [2]);
        assert_eq!(group_sizes(3), [3]);
        assert_eq!(PUBLISHED_LISTINGS, 34_250);
    }

    #[test]
    fn other_sizes_keep_the_shares() {
        let sizes = group_sizes(2 * PUBLISHED_LISTINGS);
        for (size, groups) in PUBLISHED {
            let got = sizes.iter().filter(|s| **s == size).count();
            assert_eq!(got, 2 * groups, "{size}");
        }
        let pairs = group_sizes(3_000).iter().filter(|s| **s == 2).count();
        assert!((600..=625).contains(&pairs), "{pairs}");
    }
}
