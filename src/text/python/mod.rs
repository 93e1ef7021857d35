//! Python's idea of text: what `str.lower`, `str.isalnum`, `str.isspace` and `unicodedata` say in
//! CPython 3.11 (Unicode 14.0.0).
//!
//! scikit-learn's vocabularies rest on these. A character that later versions of Unicode added has
//! no meaning here: it is no letter, has no lower case and does not decompose, whatever the tables of
//! the Rust release or of a crate know of it. What Unicode 14 assigned keeps its decomposition, its
//! combining class and its lower case for good (Unicode's stability policy), so those come from the
//! standard library and `unicode-normalization`; the tests compare every code point.

mod tables;

use std::sync::LazyLock;

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::canonical_combining_class;

use tables::{ALPHANUMERIC, CASE_IGNORED, CASED, UNASSIGNED};

/// Whether `c` lies in one of the ascending inclusive `ranges`.
fn within(ranges: &[(u32, u32)], c: char) -> bool {
    let c = c as u32;
    let next = ranges.partition_point(|&(first, _)| first <= c);
    next > 0 && ranges[next - 1].1 >= c
}

/// One bit for each character of the basic plane: is it a word character?
static BASIC_WORDS: LazyLock<Box<[u64]>> = LazyLock::new(|| {
    let mut bits = vec![0u64; 1024].into_boxed_slice();
    let ascii = (0..0x80u8).filter(|b| b.is_ascii_alphanumeric() || *b == b'_');
    let others = ALPHANUMERIC.iter().flat_map(|&(a, b)| a..=b);
    for c in ascii
        .map(u32::from)
        .chain(others.take_while(|&c| c < 0x1_0000))
    {
        bits[c as usize / 64] |= 1 << (c % 64);
    }
    bits
});

/// Python's `\w`: `str.isalnum`, or the underscore.
pub fn is_word(c: char) -> bool {
    let code = c as usize;
    match BASIC_WORDS.get(code / 64) {
        Some(bits) => bits >> (code % 64) & 1 == 1,
        None => within(&ALPHANUMERIC, c),
    }
}

/// Python's `\s`: `str.isspace`.
pub fn is_space(c: char) -> bool {
    matches!(
        c,
        '\t'..='\r'
            | '\x1c'..=' '
            | '\u{85}'
            | '\u{a0}'
            | '\u{1680}'
            | '\u{2000}'..='\u{200a}'
            | '\u{2028}'
            | '\u{2029}'
            | '\u{202f}'
            | '\u{205f}'
            | '\u{3000}'
    )
}

/// Appends what `str.lower` makes of `text` to `out`.
pub fn lower_into(text: &str, out: &mut String) {
    out.reserve(text.len());
    for (at, c) in text.char_indices() {
        if c.is_ascii() {
            out.push(c.to_ascii_lowercase());
        } else if c == 'Σ' {
            out.push(if ends_a_word(text, at) { 'ς' } else { 'σ' });
        } else if within(&UNASSIGNED, c) {
            out.push(c);
        } else {
            out.extend(c.to_lowercase());
        }
    }
}

/// Whether the capital sigma at byte `at` stands after a cased letter and before none, characters
/// that case ignores aside (Unicode's condition Final_Sigma).
fn ends_a_word(text: &str, at: usize) -> bool {
    let cased = |c: Option<char>| c.is_some_and(|c| within(&CASED, c));
    let ignored = |c: &char| within(&CASE_IGNORED, *c);
    let before = text[..at].chars().rev().find(|c| !ignored(c));
    cased(before) && !cased(text[at + 'Σ'.len_utf8()..].chars().find(|c| !ignored(c)))
}

/// Calls `each` with the characters of `text` in Unicode 14's form NFKD.
fn decompose(text: &str, mut each: impl FnMut(char)) {
    // An unassigned character has combining class 0, so nothing is reordered across it.
    let mut rest = text;
    while !rest.is_empty() {
        let found = rest
            .char_indices()
            .find(|&(_, c)| !c.is_ascii() && within(&UNASSIGNED, c));
        let (end, next) = found.map_or((rest.len(), rest.len()), |(i, c)| (i, i + c.len_utf8()));
        rest[..end].nfkd().for_each(&mut each);
        rest[end..next].chars().for_each(&mut each);
        rest = &rest[next..];
    }
}

/// Appends `text` to `out` as scikit-learn's `strip_accents_unicode` leaves it: form NFKD less all
/// characters with a combining class.
pub fn strip_unicode_into(text: &str, out: &mut String) {
    if text.is_ascii() {
        out.push_str(text);
        return;
    }
    decompose(text, |c| {
        if c.is_ascii() || canonical_combining_class(c) == 0 || within(&UNASSIGNED, c) {
            out.push(c);
        }
    });
}

/// Appends `text` to `out` as scikit-learn's `strip_accents_ascii` leaves it: the ASCII of form NFKD.
pub fn strip_ascii_into(text: &str, out: &mut String) {
    if text.is_ascii() {
        out.push_str(text);
        return;
    }
    decompose(text, |c| {
        if c.is_ascii() {
            out.push(c);
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tables_ascend_without_touching() {
        for table in [&ALPHANUMERIC[..], &UNASSIGNED, &CASED, &CASE_IGNORED] {
            assert!(table.iter().all(|&(a, b)| a <= b));
            assert!(table.windows(2).all(|w| w[0].1 + 1 < w[1].0));
        }
    }

    #[test]
    fn words_and_spaces_are_pythons() {
        for c in ['a', 'Z', '0', '_', 'é', '²', '½', '٣', 'क', '中', 'Ａ', '𝟘'] {
            assert!(is_word(c), "{c:?}");
        }
        // A vowel sign is a mark; U+1E030 and U+11F04 came with Unicode 15.
        for c in [
            '-',
            ' ',
            'ि',
            '\u{301}',
            '\u{200d}',
            '😀',
            '\u{1e030}',
            '\u{11f04}',
        ] {
            assert!(!is_word(c), "{c:?}");
        }
        assert!(is_space('\u{1c}') && is_space('\u{3000}') && is_space('\u{85}'));
        assert!(!is_space('\u{200b}') && !is_space('\u{180e}'));
    }

    #[test]
    fn lower_knows_the_final_sigma_and_the_dotted_i() {
        let lower = |s: &str| {
            let mut out = String::new();
            lower_into(s, &mut out);
            out
        };
        assert_eq!(lower("ΟΔΟΣ ΣΟΦΟΣ."), "οδος σοφος.");
        assert_eq!(lower("İSTANBUL"), "i\u{307}stanbul");
        assert_eq!(lower("STRAẞE"), "straße");
    }
}
