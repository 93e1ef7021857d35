//! Which photograph a listing shows: its seller's own, another's, or another's that was edited.

use super::rng::{Rng, mix};

/// A listing's picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Photo {
    /// The group whose product it shows, which may be one of the same family.
    pub(crate) product: u32,
    /// The photograph: what the camera saw.
    pub(crate) shot: u64,
    /// What a seller did to it, if anything.
    pub(crate) edit: Option<u64>,
    /// How it was saved; 0 as it came from the camera.
    pub(crate) saved: u64,
    /// Which file of the same bytes.
    pub(crate) copy: u32,
}

/// In shares of a thousand, for every listing of a group but the first: the same photograph again ...
const AGAIN: u32 = 260;
/// ... an edited one ...
const EDITED: u32 = 330;
/// ... and in a family of several products one that the maker hands out for all of them.
const STOCK: u32 = 50;

/// The photographs of a group's listings. `stock` is the family's: the group whose product it shows,
/// and the shot.
pub(crate) fn photos(
    group: u32,
    size: usize,
    stock: Option<(u32, u64)>,
    rng: &mut Rng,
) -> Vec<Photo> {
    let mut photos: Vec<Photo> = Vec::with_capacity(size);
    for i in 0..size {
        let photo = match stock {
            Some((product, shot)) if rng.chance(STOCK) => Photo {
                product,
                shot,
                edit: None,
                saved: 0,
                copy: (group << 8) | i as u32,
            },
            _ => one(group, &photos, rng),
        };
        photos.push(photo);
    }
    photos
}

fn one(group: u32, before: &[Photo], rng: &mut Rng) -> Photo {
    let again = rng.chance(AGAIN);
    let edited = rng.chance(EDITED);
    if before.is_empty() || !(again || edited) {
        return Photo {
            product: group,
            shot: rng.next(),
            edit: None,
            saved: 0,
            copy: 0,
        };
    }
    let mut photo = *rng.pick(before);
    if !again {
        photo.edit = Some(rng.next() | 1);
        photo.copy = 0;
        return photo;
    }
    match rng.below(10) {
        // The very file.
        0..=2 => {}
        // A copy of it.
        3..=5 => photo.copy = before.len() as u32,
        // Saved anew.
        _ => {
            photo.saved = rng.next() | 1;
            photo.copy = 0;
        }
    }
    photo
}

impl Photo {
    /// The name of its file: equal for the very same file alone.
    pub(crate) fn file_name(&self) -> String {
        let a = self.bytes_key();
        let b = mix(a ^ mix(u64::from(self.copy) + 1));
        format!("{a:016x}{b:016x}.jpg")
    }

    /// Equal for files of the same bytes.
    pub(crate) fn bytes_key(&self) -> u64 {
        let edit = self.edit.map_or(0, mix);
        mix(mix(self.shot ^ mix(edit.wrapping_add(self.saved)))
            .wrapping_add(u64::from(self.product)))
    }

    /// A hash in the place of the picture's, where none is drawn: half of the bits are set, as in a
    /// perceptual hash; an edit moves a few, and saving anew moves some now and then.
    pub(crate) fn planned_hash(&self) -> u64 {
        let mut hash = balanced(self.shot);
        if let Some(edit) = self.edit {
            let mut rng = Rng::of(edit, EDIT, 0);
            if !rng.chance(UNSEEN_EDIT) {
                let moves = 1 + rng.low(18);
                move_bits(&mut hash, moves, &mut rng);
            }
        }
        if self.saved != 0 {
            let mut rng = Rng::of(self.saved, SAVED, 0);
            if rng.chance(SEEN_SAVING) {
                move_bits(&mut hash, 1, &mut rng);
            }
        }
        hash
    }
}

const EDIT: u64 = 31;
const SAVED: u64 = 32;
const HASH: u64 = 33;
/// Of a thousand edits, how many leave the hash as it was.
const UNSEEN_EDIT: u32 = 130;
/// Of a thousand files saved anew, how many have another hash.
const SEEN_SAVING: u32 = 280;

/// 32 of 64 bits.
fn balanced(shot: u64) -> u64 {
    let mut rng = Rng::of(shot, HASH, 0);
    let mut places: [u8; 64] = std::array::from_fn(|i| i as u8);
    rng.shuffle(&mut places);
    places[..32].iter().fold(0, |bits, place| bits | 1 << place)
}

/// Moves `moves` set bits to places that were clear.
fn move_bits(hash: &mut u64, moves: usize, rng: &mut Rng) {
    let mut moved = 0;
    while moved < moves {
        let (from, to) = (rng.below(64), rng.below(64));
        if *hash >> from & 1 == 1 && *hash >> to & 1 == 0 {
            *hash ^= 1 << from | 1 << to;
            moved += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_bytes_and_hashes_follow_what_was_done() {
        let first = Photo {
            product: 3,
            shot: 99,
            edit: None,
            saved: 0,
            copy: 0,
        };
        let copy = Photo { copy: 1, ..first };
        let saved = Photo { saved: 5, ..first };
        let other = Photo { shot: 98, ..first };
        assert_eq!(first.bytes_key(), copy.bytes_key());
        assert_eq!(first.planned_hash(), copy.planned_hash());
        let all = [first, copy, saved, other].map(|p| p.file_name());
        for (i, name) in all.iter().enumerate() {
            assert!(name.len() == 36 && name.ends_with(".jpg"), "{name}");
            assert!(!all[..i].contains(name));
        }
        assert_ne!(first.bytes_key(), saved.bytes_key());
        assert_eq!(first.planned_hash().count_ones(), 32);
        let apart = |a: &Photo, b: &Photo| (a.planned_hash() ^ b.planned_hash()).count_ones();
        assert!(apart(&first, &other) > 12);
        let (mut equal, mut sum) = (0, 0);
        for edit in 0..1000 {
            let edited = Photo {
                edit: Some(edit),
                ..first
            };
            let bits = apart(&first, &edited);
            assert!(bits <= 38 && edited.planned_hash().count_ones() == 32);
            equal += u32::from(bits == 0);
            sum += bits;
        }
        assert!((80..200).contains(&equal), "{equal}");
        assert!((8_000..16_000).contains(&sum), "{sum}");
    }

    #[test]
    fn the_first_listing_of_a_group_has_a_photograph_of_its_own() {
        for group in 0..200 {
            let photos = photos(group, 5, None, &mut Rng::of(1, 2, u64::from(group)));
            let first = photos[0];
            assert!(first.edit.is_none() && first.saved == 0 && first.product == group);
        }
    }
}
