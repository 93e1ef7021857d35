//! The steps that clean titles, by name, in the order that a recipe gives them.

use std::borrow::Cow;

use waken_snowball::Algorithm;

use super::{PROMO, decode_escapes};

/// One step of cleaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CleanStep {
    /// Lower case.
    Lower,
    /// Literal `\xNN` escapes become text; see [`decode_escapes`].
    Escapes,
    /// Words by which sellers praise an offer ([`PROMO`], in any case) go.
    Promo,
    /// English words become their stems, by Snowball's English stemmer.
    StemEnglish,
    /// Indonesian words become their stems, by Snowball's Indonesian stemmer.
    StemIndonesian,
}

/// The steps with their names in a recipe.
pub const CLEAN_STEPS: &[(&str, CleanStep)] = &[
    ("lower", CleanStep::Lower),
    ("escapes", CleanStep::Escapes),
    ("promo", CleanStep::Promo),
    ("stem_english", CleanStep::StemEnglish),
    ("stem_indonesian", CleanStep::StemIndonesian),
];

impl CleanStep {
    /// The step's name in a recipe.
    pub fn name(self) -> &'static str {
        let found = CLEAN_STEPS.iter().find(|(_, step)| *step == self);
        found.map_or("", |(name, _)| name)
    }

    /// The title after this step.
    pub fn apply(self, title: &str) -> String {
        match self {
            CleanStep::Lower => title.to_lowercase(),
            CleanStep::Escapes => decode_escapes(title),
            CleanStep::Promo => without_promo(title),
            CleanStep::StemEnglish => stemmed(title, Algorithm::English),
            CleanStep::StemIndonesian => stemmed(title, Algorithm::Indonesian),
        }
    }
}

/// `title` after all `steps`, one after the other. Without steps it is the title itself.
///
/// ```
/// use doppel::text::clean::{CleanStep, clean};
/// let steps = [CleanStep::Lower, CleanStep::Promo, CleanStep::StemEnglish];
/// assert_eq!(clean("PROMO! Running Shoes", &steps), "! run shoe");
/// ```
pub fn clean<'a>(title: &'a str, steps: &[CleanStep]) -> Cow<'a, str> {
    let done = |title: Cow<'a, str>, step: &CleanStep| Cow::Owned(step.apply(&title));
    steps.iter().fold(Cow::Borrowed(title), done)
}

/// `title` with each word changed by `word`, or left out; what stands between words stays, and runs of white
/// space that would be left behind become one space.
///
/// A word is a run of letters, digits and underscores.
pub(super) fn words(title: &str, word: impl Fn(&str) -> Option<Cow<'_, str>>) -> String {
    let mut out = String::with_capacity(title.len());
    let mut rest = title;
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    while !rest.is_empty() {
        let end = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
        let (found, after) = rest.split_at(end);
        match word(found) {
            Some(kept) => out.push_str(&kept),
            None if out.is_empty() || out.ends_with(char::is_whitespace) => {
                rest = after.trim_start();
                continue;
            }
            None => {}
        }
        let end = after.find(is_word).unwrap_or(after.len());
        let (between, next) = after.split_at(end);
        out.push_str(between);
        rest = next;
    }
    out
}

fn without_promo(title: &str) -> String {
    let kept = words(title, |word| match PROMO.contains(&&*word.to_lowercase()) {
        true => None,
        false => Some(Cow::Borrowed(word)),
    });
    kept.trim_end().to_string()
}

/// The longest word that is stemmed, in bytes; longer ones are no words of a language.
const MAX_STEM_BYTES: usize = 64;

/// Each word of lower-case letters a to z as its stem: other words (of other scripts, with digits) stay, as do
/// those in upper case, which the stemmers do not know.
fn stemmed(title: &str, by: Algorithm) -> String {
    words(title, |word| {
        let plain = word.bytes().all(|b| b.is_ascii_lowercase());
        Some(
            match plain && !word.is_empty() && word.len() <= MAX_STEM_BYTES {
                true => Cow::Owned(waken_snowball::stem(by, word).into_owned()),
                false => Cow::Borrowed(word),
            },
        )
    })
}

#[cfg(test)]
mod tests {
    use super::CleanStep::*;
    use super::*;

    #[test]
    fn promo_words_go_and_what_stands_between_stays() {
        let cases = [
            ("", ""),
            ("PROMO Sabun Mandi MURAH", "Sabun Mandi"),
            ("promo diskon harga gratis", ""),
            ("Sabun (READY STOCK) 200 g", "Sabun ( ) 200 g"),
            ("[promo] sabun", "[] sabun"),
            ("sabun promosi-sabun", "sabun -sabun"),
            ("promotional", "promotional"),
            ("sabun  murah  cair", "sabun  cair"),
        ];
        for (title, cleaned) in cases {
            assert_eq!(Promo.apply(title), cleaned, "{title:?}");
        }
    }

    #[test]
    fn stems_are_those_of_snowball() {
        let english = "running shoes, batteries and organizers GIFTS 3in1";
        assert_eq!(
            StemEnglish.apply(english),
            "run shoe, batteri and organiz GIFTS 3in1"
        );
        // Of Snowball's own vocabulary.
        let indonesian = "minuman makanan pembersih kebutuhan bajunya pelembab";
        let stems = "minum makan bersih butuh baju lembab";
        assert_eq!(StemIndonesian.apply(indonesian), stems);
    }

    #[test]
    fn steps_run_in_the_order_given() {
        let title = r"PROMO Caf\xc3\xa9 Bags";
        assert_eq!(clean(title, &[]), title);
        assert_eq!(
            clean(title, &[Lower, Promo, StemEnglish]),
            r"caf\xc3\xa9 bag"
        );
        assert_eq!(clean(title, &[Escapes, Lower, Promo]), "café bags");
        // Upper case is not stemmed.
        assert_eq!(clean("BAGS", &[StemEnglish, Lower]), "bags");
    }

    #[test]
    fn every_step_has_one_name() {
        for (at, (name, step)) in CLEAN_STEPS.iter().enumerate() {
            assert_eq!(step.name(), *name);
            assert!(
                CLEAN_STEPS[..at]
                    .iter()
                    .all(|(n, s)| n != name && s != step)
            );
        }
        assert!(PROMO.windows(2).all(|w| w[0] != w[1]));
    }

    #[test]
    fn any_word_can_be_stemmed() {
        let mut random = fastrand::Rng::with_seed(3);
        for _ in 0..5000 {
            let length = random.usize(0..14);
            let letters =
                (0..length).map(|_| char::from(b"aeiounmgbkpdtrslyhj"[random.usize(0..19)]));
            let word: String = letters.collect();
            for step in [StemEnglish, StemIndonesian] {
                let stem = step.apply(&word);
                assert!(
                    stem.len() <= word.len() + 1 && stem.is_empty() == word.is_empty(),
                    "{word} {stem}"
                );
            }
        }
    }
}
