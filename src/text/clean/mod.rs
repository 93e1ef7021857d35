//! Titles as text: what is done to them before they are tokenised, when it is asked for.

mod steps;
mod words;

pub use steps::{CLEAN_STEPS, CleanStep, clean};
pub use words::PROMO;

/// Turns literal `\xNN` byte escapes into the UTF-8 text that they spell.
///
/// The competition's titles hold such escapes (671 of 34,250 rows). A run of escapes is read as
/// bytes; what is valid UTF-8 becomes text, any other byte stays as it was written. Everything else
/// in the title is untouched.
///
/// ```
/// assert_eq!(doppel::text::clean::decode_escapes(r"Caf\xc3\xa9 \xf0\x9f"), r"Café \xf0\x9f");
/// ```
pub fn decode_escapes(title: &str) -> String {
    let mut out = String::with_capacity(title.len());
    let mut rest = title;
    while let Some(at) = rest.find("\\x") {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        let mut bytes = Vec::new();
        while let Some(byte) = escape(rest) {
            bytes.push(byte);
            rest = &rest[4..];
        }
        if bytes.is_empty() {
            out.push_str("\\x");
            rest = &rest[2..];
        }
        for chunk in bytes.utf8_chunks() {
            out.push_str(chunk.valid());
            for byte in chunk.invalid() {
                out.push_str(&format!("\\x{byte:02x}"));
            }
        }
    }
    out.push_str(rest);
    out
}

/// The byte of a leading `\xNN`.
fn escape(text: &str) -> Option<u8> {
    let digits = text.strip_prefix("\\x")?.get(..2)?;
    if !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
        return None;
    }
    u8::from_str_radix(digits, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_become_text_and_the_rest_stays() {
        let cases = [
            ("", ""),
            ("plain title", "plain title"),
            (r"\xe2\x80\x93", "–"),
            (r"a\xe2\x80\x93b\xC3\xA9", "a–bé"),
            (r"ends in \x", r"ends in \x"),
            (r"bad \xzz and \x+1", r"bad \xzz and \x+1"),
            (r"lone \xff byte", r"lone \xff byte"),
            (r"cut \xe2\x80", r"cut \xe2\x80"),
            (r"ASCII \x41", "ASCII A"),
            (r"\\x41", r"\A"),
            ("é\\xé", "é\\xé"),
        ];
        for (title, text) in cases {
            assert_eq!(decode_escapes(title), text, "{title}");
        }
    }
}
