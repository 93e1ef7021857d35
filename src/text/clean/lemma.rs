//! English words as they stand in a dictionary, as far as that can be told without one.
//!
//! WordNet's morphy takes endings off and asks its dictionary whether a word is left. Here is no dictionary: the
//! irregular forms that titles of goods may hold stand in a list, regular plurals lose their ending where it
//! is plain, and everything else stays: verbs in `-ing` and `-ed`, plurals in `-oes` and `-ves`, words of
//! other languages. A stemmer behind this step takes most of that.

/// Irregular forms and their words, in the order of the alphabet. Words that only look like plurals stand for
/// themselves.
#[rustfmt::skip]
const IRREGULAR: &[(&str, &str)] = &[
    ("ate", "eat"), ("axes", "axe"), ("began", "begin"), ("best", "well"), ("better", "well"), ("bitten", "bite"),
    ("blown", "blow"), ("bought", "buy"), ("broke", "break"), ("broken", "break"), ("brought", "bring"),
    ("built", "build"), ("business", "business"), ("calves", "calf"), ("caught", "catch"), ("children", "child"),
    ("chose", "choose"), ("chosen", "choose"), ("cookies", "cookie"), ("cut", "cut"), ("dice", "die"),
    ("done", "do"), ("drawn", "draw"), ("driven", "drive"), ("driving", "drive"), ("eaten", "eat"),
    ("elves", "elf"), ("feet", "foot"), ("felt", "feel"), ("firemen", "fireman"), ("fishermen", "fisherman"),
    ("flown", "fly"), ("found", "find"), ("frozen", "freeze"), ("geese", "goose"), ("gentlemen", "gentleman"),
    ("given", "give"), ("gone", "go"), ("got", "get"), ("grown", "grow"), ("halves", "half"), ("heard", "hear"),
    ("held", "hold"), ("hidden", "hide"), ("hoodies", "hoodie"), ("indices", "index"), ("jeans", "jeans"),
    ("kept", "keep"), ("knew", "know"), ("knives", "knife"), ("known", "know"), ("leaves", "leaf"),
    ("left", "leave"), ("lens", "lens"), ("lies", "lie"), ("lives", "life"), ("loaves", "loaf"), ("lost", "lose"),
    ("made", "make"), ("matrices", "matrix"), ("men", "man"), ("mice", "mouse"), ("movies", "movie"),
    ("news", "news"), ("oxen", "ox"), ("paid", "pay"), ("people", "people"), ("pies", "pie"), ("policemen", "policeman"),
    ("ran", "run"), ("rookies", "rookie"), ("said", "say"), ("saw", "see"), ("scarves", "scarf"), ("seen", "see"),
    ("selfies", "selfie"), ("sent", "send"), ("series", "series"), ("shelves", "shelf"), ("shown", "show"),
    ("smoothies", "smoothie"), ("sold", "sell"), ("species", "species"), ("stood", "stand"), ("taken", "take"),
    ("taught", "teach"), ("teeth", "tooth"), ("thieves", "thief"), ("thought", "think"), ("threw", "throw"),
    ("thrown", "throw"), ("ties", "tie"), ("told", "tell"), ("took", "take"), ("torn", "tear"),
    ("underwear", "underwear"), ("went", "go"), ("wives", "wife"), ("wolves", "wolf"), ("women", "woman"),
    ("wore", "wear"), ("worn", "wear"), ("woven", "weave"), ("written", "write"), ("wrote", "write"),
    ("zombies", "zombie"),
];

/// Endings of regular plurals, and what stands in their place.
const PLURALS: [(&str, &str); 6] = [
    ("sses", "ss"),
    ("ches", "ch"),
    ("shes", "sh"),
    ("xes", "x"),
    ("zzes", "zz"),
    ("ies", "y"),
];

/// Letters before an `s` that make it a plural's, in words of five letters or more.
const BEFORE_S: &str = "bcdegklmnprtw";

/// The word in the dictionary; `word` is in lower case.
pub(super) fn lemma(word: &str) -> String {
    if let Ok(found) = IRREGULAR.binary_search_by_key(&word, |entry| entry.0) {
        return IRREGULAR[found].1.to_string();
    }
    let long = word.len() >= 5 && word.bytes().all(|b| b.is_ascii_lowercase());
    if !long {
        return word.to_string();
    }
    for (ending, instead) in PLURALS {
        if let Some(stem) = word.strip_suffix(ending) {
            return format!("{stem}{instead}");
        }
    }
    match word.strip_suffix('s') {
        Some(stem) if stem.ends_with(|c| BEFORE_S.contains(c)) => stem.to_string(),
        _ => word.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn irregular_forms_are_sorted_and_found() {
        assert!(IRREGULAR.windows(2).all(|w| w[0].0 < w[1].0));
        for (form, word) in [
            ("feet", "foot"),
            ("women", "woman"),
            ("axes", "axe"),
            ("zombies", "zombie"),
        ] {
            assert_eq!(lemma(form), word);
        }
    }

    #[test]
    fn plain_plurals_lose_their_ending_and_the_rest_stays() {
        for (form, word) in [
            ("batteries", "battery"),
            ("glasses", "glass"),
            ("watches", "watch"),
            ("brushes", "brush"),
            ("boxes", "box"),
            ("shoes", "shoe"),
            ("cases", "case"),
            ("books", "book"),
            // No plurals, of other languages, or not to be told without a dictionary.
            ("glass", "glass"),
            ("gas", "gas"),
            ("bus", "bus"),
            ("lens", "lens"),
            ("kulkas", "kulkas"),
            ("permen", "permen"),
            ("halus", "halus"),
            ("manis", "manis"),
            ("canned", "canned"),
            ("teks", "teks"),
        ] {
            assert_eq!(lemma(form), word);
        }
    }
}
