//! Products: families of one maker that differ in a single thing, which is what makes titles and
//! pictures of different products look alike.

use super::rng::{Rng, mix};
use super::words::{self, Axis, Category};

/// A product: what all listings of a group sell.
#[derive(Debug, Clone)]
pub(crate) struct Product {
    pub(crate) category: &'static Category,
    /// What may be said about it, in the order in which makers say it.
    pub(crate) parts: Vec<Part>,
    /// The place of what is sold among [`Category::nouns`].
    pub(crate) noun: usize,
    /// What its pictures are drawn from; the family has it in common.
    pub(crate) look: u64,
    /// Its place in the family.
    pub(crate) variant: u64,
    /// The place of its colour among [`words::COLOURS`], where it has one.
    pub(crate) colour: Option<usize>,
    /// The lettering on its pictures.
    pub(crate) lettering: String,
}

/// One thing that may be said about a product.
#[derive(Debug, Clone)]
pub(crate) struct Part {
    pub(crate) role: Role,
    pub(crate) said: Said,
}

/// What a part is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// The maker.
    Brand,
    /// The line's own name.
    Name,
    /// What it is.
    Noun,
    /// What it is like.
    Trait,
    /// What tells it from its family.
    Variant,
    /// How much of it there is.
    Measure,
    /// The maker's code.
    Code,
}

/// The words of a part.
#[derive(Debug, Clone)]
pub(crate) enum Said {
    /// An entry of a table, whose forms mean the same.
    Entry(&'static str),
    /// A word of the maker's own.
    Own(String),
    /// An amount with the place of its unit in [`UNITS`].
    Amount(u32, usize),
}

/// Units, the usual spelling first.
pub(crate) const UNITS: &[&[&str]] = &[
    &["gr", "g", "gram"],
    &["kg", "kilo"],
    &["ml", "mL"],
    &["liter", "L", "ltr"],
    &["cm"],
    &["pcs", "pc", "buah", "pack", "lembar"],
];

const WEIGHTS: &[(u32, usize)] = &[
    (10, 0),
    (20, 0),
    (30, 0),
    (50, 0),
    (80, 0),
    (100, 0),
    (150, 0),
    (200, 0),
    (250, 0),
    (400, 0),
    (500, 0),
    (800, 0),
    (1, 1),
    (2, 1),
    (5, 1),
];
const VOLUMES: &[(u32, usize)] = &[
    (5, 2),
    (10, 2),
    (15, 2),
    (20, 2),
    (30, 2),
    (50, 2),
    (60, 2),
    (100, 2),
    (120, 2),
    (150, 2),
    (200, 2),
    (250, 2),
    (350, 2),
    (500, 2),
    (600, 2),
    (1, 3),
    (2, 3),
    (5, 3),
];
const LENGTHS: &[u32] = &[
    8, 10, 12, 15, 18, 20, 25, 28, 30, 35, 40, 45, 50, 60, 70, 80, 90, 100, 120, 150, 160, 180, 200,
];
const PIECES: &[u32] = &[
    2, 3, 4, 5, 6, 8, 10, 12, 15, 20, 24, 25, 30, 36, 40, 50, 60, 100,
];

/// Words that makers like.
const FANCY: &str = "royal,magic,super,star,diamond,aqua,fresh,nature,pure,golden,classic,miracle,secret,dream,\
    angel,ultra,pro,max,lite,prime,neo,sweet,happy,sky,ocean,moon,sunny,crystal,urban,luna,bella,rosa,flora,perfect,\
    expert,active,power,speed,smart,eco,vita,derma,gloss,silk,cotton candy,bunny,panda,tiger,eagle,garuda,mawar,\
    cinta,bunda,kasih,sari,mekar,jaya,abadi,sejahtera,indah,rasa,nusantara,pelangi,bintang,permata,mutiara";

const SYLLABLES: &[&str] = &[
    "ba", "be", "bi", "bo", "bu", "ca", "ce", "da", "de", "di", "do", "fa", "fi", "ga", "go", "ha",
    "in", "ja", "jo", "ka", "ke", "ki", "ko", "la", "le", "li", "lo", "lu", "ma", "me", "mi", "mo",
    "na", "ne", "ni", "no", "nu", "pa", "pe", "pi", "po", "ra", "re", "ri", "ro", "ru", "sa", "se",
    "si", "so", "su", "ta", "te", "ti", "to", "va", "ve", "vi", "wa", "wi", "xa", "ya", "yo", "za",
    "zo",
];
const ENDS: &[&str] = &[
    "", "", "", "", "n", "s", "x", "ra", "ne", "lle", "nt", "tic", "ro", "nia",
];

/// A word that no language has.
pub(crate) fn made_up(rng: &mut Rng, most: usize) -> String {
    let mut word = String::new();
    for _ in 0..2 + rng.below(most - 1) {
        word += rng.pick::<&str>(SYLLABLES);
    }
    word + rng.pick::<&str>(ENDS)
}

/// A maker's code: `a12`, `bx-301`, `m4420`.
fn code(rng: &mut Rng) -> String {
    let mut code = String::new();
    for _ in 0..1 + rng.below(2) {
        code.push(char::from(b'a' + rng.below(26) as u8));
    }
    if rng.chance(250) {
        code.push('-');
    }
    let digits = 1 + rng.below(4);
    (0..digits).for_each(|i| {
        code.push(char::from(
            b'0' + rng.below(10).max(usize::from(i == 0)) as u8,
        ))
    });
    code
}

/// The name of maker `which` of a kind of goods.
fn brand(seed: u64, category: usize, which: usize) -> String {
    let mut rng = Rng::of(seed, BRAND, (category * 10_000 + which) as u64);
    let mut name = made_up(&mut rng, 3);
    if rng.chance(180) {
        name = format!("{name} {}", made_up(&mut rng, 2));
    }
    name
}

const BRAND: u64 = 11;
const FAMILY: u64 = 12;

/// Makers of a kind of goods for each of its weight. The number does not grow with the market, so a
/// larger market has more products that are hard to tell apart, as a real one has.
const MAKERS: usize = 40;

/// The products of family number `family`, `members` of them.
pub(crate) fn family(seed: u64, family: u64, members: usize) -> Vec<Product> {
    let mut rng = Rng::of(seed, FAMILY, family);
    let total: usize = words::categories().map(|c| c.weight).sum();
    let mut at = rng.below(total);
    let (number, category) = words::categories()
        .enumerate()
        .find(|(_, c)| {
            let here = at < c.weight;
            at = at.wrapping_sub(c.weight);
            here
        })
        .unwrap_or_else(|| (0, words::first()));
    let nouns = words::entries(category.nouns);
    let noun = rng.low(nouns.len());
    let mut parts = Vec::new();
    let mut lettering = String::new();
    if rng.chance(10 * category.branded) {
        let name = brand(seed, number, rng.low(MAKERS * category.weight));
        lettering.clone_from(&name);
        parts.push(own(Role::Brand, name));
    }
    let fancy = words::entries(FANCY);
    for _ in 0..*rng.pick(&[0, 1, 1, 1, 2]) {
        let name = match rng.chance(500) {
            true => Said::Entry(fancy[rng.below(fancy.len())]),
            false => Said::Own(made_up(&mut rng, 3)),
        };
        parts.push(Part {
            role: Role::Name,
            said: name,
        });
    }
    parts.push(entry(Role::Noun, nouns[noun]));
    let traits = words::entries(category.traits);
    for _ in 0..1 + rng.below(4) {
        let said = traits[rng.below(traits.len())];
        // Not twice, and not a long sleeve beside a short one.
        let first = |entry: &'static str| entry.split([' ', '|']).next();
        if !parts
            .iter()
            .any(|p| matches!(p.said, Said::Entry(e) if first(e) == first(said)))
        {
            parts.push(entry(Role::Trait, said));
        }
    }
    let axis = *rng.pick(category.axes);
    let second = *rng.pick(category.axes);
    let amount_of = |axis| matches!(axis, Axis::Weight | Axis::Volume);
    let clash = second == axis || (amount_of(axis) && amount_of(second));
    let has_second = !clash && rng.chance(550);
    let coded = rng.chance(10 * category.coded);
    let common_code = code(&mut rng);
    let start = rng.below(10_000);
    let second_start = rng.below(10_000);
    if lettering.is_empty() {
        lettering = made_up(&mut rng, 2);
    }
    let look = rng.next();
    let mut own_words = rng;
    let make = |member: usize| {
        let mut parts = parts.clone();
        let mut colour = None;
        let mut add = |axis: Axis, nth: usize, role: Role| {
            let part = match axis {
                Axis::Colour => {
                    let at = nth % words::COLOURS.len();
                    colour = Some(at);
                    entry(role, words::COLOURS[at].0)
                }
                Axis::Flavour => nth_entry(role, words::FLAVOURS, nth),
                Axis::Fit => nth_entry(role, words::FITS, nth),
                Axis::Phone => nth_entry(role, words::PHONES, nth),
                Axis::Weight => amount(role, WEIGHTS[nth % WEIGHTS.len()]),
                Axis::Volume => amount(role, VOLUMES[nth % VOLUMES.len()]),
                Axis::Length => amount(role, (LENGTHS[nth % LENGTHS.len()], 4)),
                Axis::Pieces => amount(role, (PIECES[nth % PIECES.len()], 5)),
                Axis::Name => own(role, made_up(&mut own_words, 3)),
                Axis::Code => own(role, code(&mut own_words)),
            };
            parts.push(part);
        };
        add(axis, start + member, Role::Variant);
        if has_second {
            add(second, second_start, Role::Measure);
        }
        if coded {
            parts.push(own(Role::Code, common_code.clone()));
        }
        Product {
            category,
            parts,
            noun,
            look: mix(look),
            variant: member as u64,
            colour,
            lettering: lettering.clone(),
        }
    };
    (0..members).map(make).collect()
}

fn own(role: Role, word: String) -> Part {
    Part {
        role,
        said: Said::Own(word),
    }
}

fn entry(role: Role, entry: &'static str) -> Part {
    Part {
        role,
        said: Said::Entry(entry),
    }
}

fn nth_entry(role: Role, table: &'static str, nth: usize) -> Part {
    let entries = words::entries(table);
    entry(role, entries[nth % entries.len()])
}

fn amount(role: Role, (amount, unit): (u32, usize)) -> Part {
    Part {
        role,
        said: Said::Amount(amount, unit),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_products_of_a_family_differ_in_what_tells_them_apart() {
        let mut alone = 0;
        for number in 0..300 {
            let products = family(7, number, 4);
            assert_eq!(products.len(), 4);
            let variant = |p: &Product| {
                let part = p.parts.iter().find(|p| p.role == Role::Variant);
                format!("{:?}", part.unwrap().said)
            };
            let variants: std::collections::HashSet<String> =
                products.iter().map(variant).collect();
            // Words of the maker's own may fall together; tables have more than four entries.
            alone += usize::from(variants.len() == 4);
            let noun = |p: &Product| p.parts.iter().any(|p| p.role == Role::Noun);
            assert!(products.iter().all(noun));
            assert!(products.iter().all(|p| p.look == products[0].look));
            assert!(products.iter().all(|p| !p.lettering.is_empty()));
        }
        assert!(alone >= 298, "{alone}");
    }
}
