//! Titles, as sellers write them: some words of the product's, some of their own, in an order that is
//! theirs, with slips.

use super::product::{Part, Product, Role, Said, UNITS, made_up};
use super::rng::Rng;
use super::words::{self, forms};

/// A title in pieces, so that another seller can copy it and change some.
#[derive(Debug, Clone)]
pub(crate) struct Draft {
    pieces: Vec<Piece>,
    case: Case,
    joints: Joints,
}

#[derive(Debug, Clone)]
struct Piece {
    /// The place among the product's parts that this says; `None` for the seller's own words.
    part: Option<usize>,
    text: String,
}

#[derive(Debug, Clone, Copy)]
enum Case {
    AsIs,
    Title,
    Upper,
}

/// What stands between the pieces.
#[derive(Debug, Clone, Copy)]
enum Joints {
    Spaces,
    Dashes,
    Commas,
    Slashes,
}

/// The fewest and the most words of a title.
const WORDS: std::ops::RangeInclusive<usize> = 3..=25;

/// Who writes titles, in shares of a thousand. Measured: see `tests/ops/synth.rs`.
const COPIES: u32 = 300;
const KEEP: [(Role, u32); 7] = [
    (Role::Brand, 930),
    (Role::Name, 900),
    (Role::Noun, 940),
    (Role::Trait, 720),
    (Role::Variant, 660),
    (Role::Measure, 640),
    (Role::Code, 720),
];
const FIRST_FORM: u32 = 720;
const TYPO: u32 = 22;
const ESCAPED: u32 = 20;
const STORE: u32 = 90;

/// Characters that a crawl left as the escapes of their UTF-8 bytes.
const ESCAPES: &[&str] = &[
    "\\xe2\\x9c\\xa8",
    "\\xf0\\x9f\\x94\\xa5",
    "\\xe2\\x9d\\xa4",
    "\\xc2\\xae",
    "\\xe2\\x80\\x93",
    "\\xe2\\xad\\x90",
    "\\xe3\\x80\\x90",
    "\\xf0\\x9f\\x92\\xaf",
    "\\xe2\\x80\\x9d",
    "\\xef\\xbc\\x8c",
];

/// The titles of a group's listings; `kin` are drafts of the family's other products.
pub(crate) fn drafts(product: &Product, size: usize, kin: &[Draft], rng: &mut Rng) -> Vec<Draft> {
    let mut drafts: Vec<Draft> = Vec::with_capacity(size);
    for _ in 0..size {
        let draft = if !drafts.is_empty() && rng.chance(COPIES) {
            let mut draft = rng.pick(&drafts).clone();
            draft.change(product, rng);
            draft
        } else if !kin.is_empty() && rng.chance(COPIES / 2) {
            let mut draft = rng.pick(kin).clone();
            draft.retell(product, rng);
            draft.change(product, rng);
            draft
        } else {
            Draft::fresh(product, rng)
        };
        drafts.push(draft);
    }
    drafts
}

impl Draft {
    fn fresh(product: &Product, rng: &mut Rng) -> Draft {
        let mut pieces = Vec::new();
        for (i, part) in product.parts.iter().enumerate() {
            if rng.chance(keep(part.role)) {
                pieces.push(Piece {
                    part: Some(i),
                    text: say(part, rng),
                });
            }
        }
        let noun = product.parts.iter().position(|p| p.role == Role::Noun);
        if let Some(i) = noun
            && (rng.chance(160) || pieces.is_empty())
        {
            // Once more in the other language, for both kinds of searchers; or at least.
            pieces.push(Piece {
                part: Some(i),
                text: say(&product.parts[i], rng),
            });
        }
        reorder(&mut pieces, rng);
        let promo = *rng.pick(&[0, 0, 0, 1, 1, 2, 3]);
        let keywords = *rng.pick(&[0, 0, 0, 1, 1, 2, 2, 3, 5]);
        for _ in 0..keywords {
            let table = words::entries(product.category.keywords);
            let text = form(table[rng.low(table.len())], rng);
            pieces.push(Piece { part: None, text });
        }
        for _ in 0..promo {
            pieces_insert(&mut pieces, promo_word(rng), rng);
        }
        if rng.chance(STORE) {
            let text = store(rng);
            pieces.push(Piece { part: None, text });
        }
        Draft {
            pieces,
            case: *rng.pick(&[
                Case::Title,
                Case::Title,
                Case::Title,
                Case::AsIs,
                Case::AsIs,
                Case::Upper,
            ]),
            joints: match rng.below(20) {
                0 | 1 => Joints::Dashes,
                2 => Joints::Commas,
                3 => Joints::Slashes,
                _ => Joints::Spaces,
            },
        }
    }

    /// What a seller changes in a title that is copied.
    fn change(&mut self, product: &Product, rng: &mut Rng) {
        for _ in 0..*rng.pick(&[0, 1, 1, 2, 2, 3, 4]) {
            match rng.below(6) {
                0 if self.pieces.len() > 4 => {
                    let at = rng.below(self.pieces.len());
                    self.pieces.remove(at);
                }
                1 => {
                    let at = rng.below(self.pieces.len());
                    if let Some(part) = self.pieces[at].part {
                        self.pieces[at].text = say(&product.parts[part], rng);
                    }
                }
                2 => reorder(&mut self.pieces, rng),
                3 => {
                    let part = rng.below(product.parts.len());
                    if self.pieces.iter().all(|p| p.part != Some(part)) {
                        let text = say(&product.parts[part], rng);
                        self.pieces.push(Piece {
                            part: Some(part),
                            text,
                        });
                    }
                }
                _ => pieces_insert(&mut self.pieces, promo_word(rng), rng),
            }
        }
        if rng.chance(300) {
            self.case = *rng.pick(&[Case::Title, Case::AsIs, Case::Upper]);
        }
    }

    /// The same title for another product of the family; now and then the seller forgets to.
    fn retell(&mut self, product: &Product, rng: &mut Rng) {
        for piece in &mut self.pieces {
            let Some(i) = piece.part else { continue };
            let part = &product.parts[i];
            if part.role == Role::Variant && rng.chance(920) {
                piece.text = say(part, rng);
            }
        }
    }

    /// The title as it is posted.
    pub(crate) fn text(&self, rng: &mut Rng) -> String {
        let mut words: Vec<String> = Vec::new();
        let mut pieces = self.pieces.clone();
        while count(&pieces) < *WORDS.start() {
            pieces_insert(&mut pieces, promo_word(rng), rng);
        }
        for (i, piece) in pieces.iter().enumerate() {
            let text = match rng.chance(8) {
                true => format!("({})", piece.text),
                false => piece.text.clone(),
            };
            let text = match (i, self.joints, rng.chance(300)) {
                (1.., Joints::Dashes, true) => format!("- {text}"),
                (1.., Joints::Slashes, true) => format!("/ {text}"),
                (_, Joints::Commas, true) if i + 1 < pieces.len() => format!("{text},"),
                _ => text,
            };
            words.extend(text.split(' ').map(|w| slip(w, rng)));
        }
        if rng.chance(25) {
            let again = rng.pick(&words).clone();
            words.push(again);
        }
        words.truncate(*WORDS.end() - 2);
        let mut title = words.join(" ");
        title = match self.case {
            Case::AsIs => title,
            Case::Upper => title.to_uppercase(),
            Case::Title => capitals(&title),
        };
        if rng.chance(ESCAPED) {
            title = escaped(&title, rng);
        }
        title
    }
}

fn keep(role: Role) -> u32 {
    KEEP.iter()
        .find(|(r, _)| *r == role)
        .map_or(1000, |(_, p)| *p)
}

fn count(pieces: &[Piece]) -> usize {
    pieces.iter().map(|p| p.text.split(' ').count()).sum()
}

/// A part in words.
fn say(part: &Part, rng: &mut Rng) -> String {
    match &part.said {
        Said::Entry(entry) => form(entry, rng),
        Said::Own(word) => match word.split_once(['-', ' ']) {
            Some((a, b)) if rng.chance(250) => format!("{a}{b}"),
            _ => word.clone(),
        },
        Said::Amount(amount, unit) => {
            let names = UNITS[*unit];
            let name = match rng.chance(700) {
                true => names[0],
                false => rng.pick::<&str>(names),
            };
            let pieces = names[0] == "pcs";
            match rng.below(10) {
                0..=3 => format!("{amount} {name}"),
                4 if pieces => format!("isi {amount}"),
                5 if pieces => format!("isi {amount} {name}"),
                6 if !pieces => format!("@{amount}{name}"),
                7 if names[0] == "kg" => format!("{}gr", amount * 1000),
                7 if names[0] == "liter" => format!("{}ml", amount * 1000),
                _ => format!("{amount}{name}"),
            }
        }
    }
}

/// One of an entry's forms, the first most often.
fn form(entry: &'static str, rng: &mut Rng) -> String {
    let forms = forms(entry);
    let chosen = match rng.chance(FIRST_FORM) {
        true => forms[0],
        false => forms[rng.below(forms.len())],
    };
    chosen.to_string()
}

fn promo_word(rng: &mut Rng) -> String {
    let table = words::entries(words::PROMO);
    form(table[rng.low(table.len())], rng)
}

/// A shop's own mark.
fn store(rng: &mut Rng) -> String {
    match rng.below(4) {
        0 => format!("by {}", made_up(rng, 3)),
        1 => format!("{} shop", made_up(rng, 2)),
        2 => format!("{}{}", made_up(rng, 2), rng.below(100)),
        _ => format!("{}{:03}", made_up(rng, 2), rng.below(1000)),
    }
}

/// Puts a seller's words in front, at the end, or between.
fn pieces_insert(pieces: &mut Vec<Piece>, text: String, rng: &mut Rng) {
    let at = match rng.below(5) {
        0 | 1 => 0,
        2 | 3 => pieces.len(),
        _ => rng.below(pieces.len() + 1),
    };
    pieces.insert(at, Piece { part: None, text });
}

/// The order of a seller: the maker's, what it is first, or no order at all.
fn reorder(pieces: &mut [Piece], rng: &mut Rng) {
    match rng.below(20) {
        0..=8 => {}
        9..=13 if pieces.len() > 1 => {
            let turn = 1 + rng.below(pieces.len() - 1);
            pieces.rotate_left(turn);
        }
        14..=16 if pieces.len() > 1 => {
            let at = rng.below(pieces.len() - 1);
            pieces.swap(at, at + 1);
        }
        _ => rng.shuffle(pieces),
    }
}

/// A word as it is typed: short forms and slips of the finger.
fn slip(word: &str, rng: &mut Rng) -> String {
    if rng.chance(60)
        && let Some((_, short)) = words::SHORT.iter().find(|(long, _)| *long == word)
    {
        return (*short).to_string();
    }
    let long = word.len() > 3 && word.bytes().all(|b| b.is_ascii_alphabetic());
    if !long || !rng.chance(TYPO) {
        return word.to_string();
    }
    let mut letters: Vec<char> = word.chars().collect();
    let at = 1 + rng.below(letters.len() - 2);
    match rng.below(4) {
        0 => letters.swap(at, at + 1),
        1 => {
            letters.remove(at);
        }
        2 => letters.insert(at, letters[at]),
        _ => letters[at] = *rng.pick(&['a', 'i', 'e', 'o', 'u', 'k', 'n', 's']),
    }
    letters.into_iter().collect()
}

/// `Baju Anak 10gr`.
fn capitals(title: &str) -> String {
    let mut out = String::with_capacity(title.len());
    let mut start = true;
    for c in title.chars() {
        out.push(if start { c.to_ascii_uppercase() } else { c });
        start = !c.is_ascii_alphanumeric();
    }
    out
}

/// Some characters of other scripts, as the bytes that the crawl left.
fn escaped(title: &str, rng: &mut Rng) -> String {
    let mark = rng.pick::<&str>(ESCAPES);
    match rng.below(4) {
        0 => format!("{mark} {title} {mark}"),
        1 => format!("{mark}{title}"),
        2 => format!("{title} {mark}"),
        _ => title.replacen(' ', &format!(" {mark} "), 1 + rng.below(2)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::listings::synth::product::family;

    #[test]
    fn no_title_is_empty_however_little_there_is_to_say() {
        let mut rng = Rng::of(7, 99, 0);
        for number in 0..2_000 {
            let mut product = family(7, number, 1).remove(0);
            product.parts.retain(|p| p.role == Role::Noun);
            for draft in drafts(&product, 8, &[], &mut rng) {
                let title = draft.text(&mut rng);
                assert!(WORDS.contains(&title.split(' ').count()), "{title}");
                assert!(title.split(' ').all(|w| !w.is_empty()), "{title}");
            }
        }
    }

    #[test]
    fn amounts_are_spelled_in_many_ways_and_mean_the_same() {
        let part = |amount, unit| Part {
            role: Role::Measure,
            said: Said::Amount(amount, unit),
        };
        let mut rng = Rng::of(7, 99, 1);
        let mut ways = |part: &Part| -> std::collections::BTreeSet<String> {
            (0..400).map(|_| say(part, &mut rng)).collect()
        };
        let grams = ways(&part(200, 0));
        assert!(
            ["200 gr", "200gr", "200g", "@200gr"]
                .iter()
                .all(|w| grams.contains(*w)),
            "{grams:?}"
        );
        assert!(ways(&part(2, 1)).contains("2000gr"));
        assert!(ways(&part(2, 3)).contains("2000ml"));
        assert!(ways(&part(12, 5)).contains("isi 12"));
    }

    #[test]
    fn capitals_and_slips() {
        assert_eq!(capitals("baju anak (10gr)"), "Baju Anak (10gr)");
        let mut rng = Rng::of(7, 99, 2);
        let typed: Vec<String> = (0..4_000).map(|_| slip("panjang", &mut rng)).collect();
        let other = typed.iter().filter(|w| *w != "panjang").count();
        assert!((200..500).contains(&other), "{other}");
        assert!(typed.iter().any(|w| w == "pjg"));
        assert!((0..1000).all(|_| slip("pcs", &mut rng) == "pcs"));
    }
}
