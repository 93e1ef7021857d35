//! Titles to quantities.

use super::Quantity;
use super::table::{COUNTS, Category, unit};

#[derive(Debug, Clone, PartialEq)]
enum Kind {
    /// A number in each way that it can be read.
    Number(Vec<f64>),
    /// Letters, in lower case.
    Word(String),
    Mark(char),
}

/// A piece of a title; `joined` when nothing stands between it and the piece before.
#[derive(Debug, Clone)]
struct Token {
    kind: Kind,
    joined: bool,
}

/// The largest number that counts as a quantity; larger ones are codes.
const MOST: f64 = 1e7;
/// The most numbers of a product, as in `10 x 20 x 30 cm`.
const MAX_FACTORS: usize = 3;

/// A number with its unit, where it has one.
struct Factor {
    values: Vec<f64>,
    unit: Option<(Category, f64)>,
}

/// The quantities of a title as they come.
pub(super) fn quantities(title: &str) -> Vec<Quantity> {
    let tokens = tokens(&title.to_lowercase());
    let (mut out, mut at) = (Vec::new(), 0);
    while at < tokens.len() {
        let counted = counted(&tokens, at);
        let coded = |at: usize| {
            tokens[at].joined
                && at > 0
                && matches!(&tokens[at - 1].kind, Kind::Word(w) if w != "x" && !COUNTS.contains(&&w[..]))
        };
        match &tokens[at].kind {
            Kind::Number(_) if !coded(at) => {
                let (factors, next) = product(&tokens, at);
                take(&factors, counted, &mut out);
                at = next.max(at + 1);
            }
            _ => at += 1,
        }
    }
    out
}

/// Whether the number at `at` counts pieces by what stands before it: `isi 12`, `x3`.
fn counted(tokens: &[Token], at: usize) -> bool {
    let before = |n: usize| at.checked_sub(n).map(|at| &tokens[at].kind);
    match before(1) {
        Some(Kind::Word(word)) if COUNTS.contains(&&word[..]) => true,
        Some(Kind::Mark(':')) => matches!(before(2), Some(Kind::Word(w)) if w == "isi"),
        _ => false,
    }
}

/// The numbers from `at` that are multiplied by one another, and where they end.
fn product(tokens: &[Token], at: usize) -> (Vec<Factor>, usize) {
    let (mut factors, mut at) = (Vec::new(), at);
    while let Some(Token {
        kind: Kind::Number(values),
        ..
    }) = tokens.get(at)
    {
        at += 1;
        let mut values = values.clone();
        // A range, or a fraction: 100-200 g, 1/2 kg.
        if let (Some(Kind::Mark(mark @ ('-' | '/'))), Some(Kind::Number(second))) = (
            tokens.get(at).map(|t| &t.kind),
            tokens.get(at + 1).map(|t| &t.kind),
        ) {
            match mark {
                '-' => values.extend(second),
                _ => {
                    let (a, b) = (values[0], second[0]);
                    values.extend(second);
                    values.extend((b > 0.0 && a < b).then_some(a / b));
                }
            }
            at += 2;
        }
        let unit = unit_at(tokens, at, values[0]);
        at += usize::from(unit.is_some());
        factors.push(Factor { values, unit });
        let times = matches!(tokens.get(at).map(|t| &t.kind), Some(Kind::Word(w)) if w == "x")
            || matches!(tokens.get(at).map(|t| &t.kind), Some(Kind::Mark('x')));
        let number = matches!(tokens.get(at + 1).map(|t| &t.kind), Some(Kind::Number(_)));
        if !(times && number && factors.len() < MAX_FACTORS) {
            break;
        }
        at += 1;
    }
    (factors, at)
}

/// The unit that stands at `at`, behind a number.
fn unit_at(tokens: &[Token], at: usize, value: f64) -> Option<(Category, f64)> {
    let token = tokens.get(at)?;
    let word = match &token.kind {
        Kind::Word(word) => word,
        Kind::Mark('"' | '”' | '″') if token.joined => return Some((Category::Length, 25.4)),
        _ => return None,
    };
    // 200g3 is a code, 100mlx3 is not.
    let coded = tokens
        .get(at + 1)
        .is_some_and(|next| next.joined && matches!(next.kind, Kind::Number(_)));
    // 4G is a network.
    let network = word == "g" && token.joined && (2.0..=5.0).contains(&value);
    match coded || network {
        true => None,
        false => unit(word),
    }
}

/// What a product says.
fn take(factors: &[Factor], counted: bool, out: &mut Vec<Quantity>) {
    use Category::{Length, Pieces, Size};
    let mut put = |category, value: f64| {
        if value > 0.0 && value <= MOST {
            out.push(Quantity {
                category,
                value: [thousandths(value), 0, 0],
            });
        }
    };
    if let [one] = factors {
        for &value in &one.values {
            match one.unit {
                Some((category, factor)) => put(category, value * factor),
                None if counted => put(Pieces, value),
                None => {}
            }
        }
        return;
    }
    let lengths = factors
        .iter()
        .all(|f| f.unit.is_none_or(|(c, _)| c == Length));
    if !lengths {
        // 3 x 100 ml, 100 ml x 3: what has no unit counts.
        for factor in factors {
            for &value in &factor.values {
                match factor.unit {
                    Some((category, factor)) => put(category, value * factor),
                    None => put(Pieces, value),
                }
            }
        }
        return;
    }
    let last = factors.iter().rev().find_map(|f| f.unit);
    let sides = |scale: &dyn Fn(&Factor) -> f64| {
        let mut sides = [0; 3];
        for (side, factor) in sides.iter_mut().zip(factors) {
            let value = factor.values[0] * scale(factor);
            *side = if value <= MOST { thousandths(value) } else { 0 };
        }
        // 60x90 is 90x60.
        sides.sort_unstable_by(|a, b| b.cmp(a));
        Quantity {
            category: Size,
            value: sides,
        }
    };
    out.push(sides(&|_| 1.0));
    if let Some((_, of_last)) = last {
        out.push(sides(&|f| f.unit.map_or(of_last, |u| u.1)));
    }
}

fn thousandths(value: f64) -> i64 {
    (value * 1000.0).round() as i64
}

/// The pieces of a title in lower case.
fn tokens(title: &str) -> Vec<Token> {
    let mut tokens: Vec<Token> = Vec::new();
    let (mut rest, mut joined) = (title, false);
    while let Some(c) = rest.chars().next() {
        let (kind, length) = if c.is_ascii_digit() {
            let length = number_length(rest);
            (Kind::Number(readings(&rest[..length])), length)
        } else if c.is_alphabetic() {
            let end = rest.find(|c: char| !c.is_alphabetic());
            let end = end.unwrap_or(rest.len());
            let word = &rest[..end];
            // 100mlx3, 3x100: the x is a sign.
            let number = rest[end..].starts_with(|c: char| c.is_ascii_digit());
            let cut = match word.strip_suffix('x') {
                Some(unit) if number && self::unit(unit).is_some() => unit.len(),
                _ => end,
            };
            (Kind::Word(rest[..cut].to_string()), cut)
        } else if c.is_whitespace() {
            joined = false;
            rest = &rest[c.len_utf8()..];
            continue;
        } else {
            let mark = if matches!(c, '×' | '*') { 'x' } else { c };
            (Kind::Mark(mark), c.len_utf8())
        };
        // 3-pack, 250-gb: a hyphen between a number and its unit says nothing.
        let after = |text: &str| text.starts_with(char::is_alphabetic);
        let number = matches!(
            tokens.last(),
            Some(Token {
                kind: Kind::Number(_),
                ..
            })
        );
        let hyphen = joined && number && kind == Kind::Mark('-') && after(&rest[length..]);
        if !hyphen {
            tokens.push(Token { kind, joined });
        }
        joined = true;
        rest = &rest[length..];
    }
    tokens
}

/// How long the number is that `text` begins with: digits, with points or commas between digits.
fn number_length(text: &str) -> usize {
    let bytes = text.as_bytes();
    let digit = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_digit);
    let mut at = 0;
    while digit(at) || (at > 0 && matches!(bytes.get(at), Some(b'.' | b',')) && digit(at + 1)) {
        at += 1;
    }
    at
}

/// The ways to read a number: a point or a comma before three digits may part thousands.
fn readings(text: &str) -> Vec<f64> {
    let parts: Vec<&str> = text.split(['.', ',']).collect();
    let whole: Option<f64> = parts.concat().parse().ok();
    let decimal: Option<f64> = match parts[..] {
        [_] => None,
        [whole, fraction] => format!("{whole}.{fraction}").parse().ok(),
        _ => None,
    };
    let thousands = parts[1..].iter().all(|part| part.len() == 3) && !parts[0].starts_with('0');
    let mut readings: Vec<f64> = decimal.into_iter().collect();
    readings.extend(whole.filter(|_| thousands));
    if readings.is_empty() {
        readings.push(f64::MAX);
    }
    readings
}
