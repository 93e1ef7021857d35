//! The fusion expression: text to [`Rule`].
//!
//! ```text
//! rule = both { "or" both }
//! both = one { "and" one }
//! one  = NAME "<" DISTANCE | NAME ">" SIMILARITY | "equal" "(" NAME ")"
//!      | "sweep" "(" part { "," part } ")" | "reciprocal" "(" rule ")"
//!      | "min2" "(" rule "," NAME "<" DISTANCE ")" | "(" rule ")"
//! part = NAME "<" LOW "to" HIGH "by" STEP | rule
//! ```

use super::near;
use crate::error::{Error, Result};
use crate::limits::{MAX_EXPRESSION_BYTES, MAX_RULE_DEPTH};
use crate::matching::{Part, Rule, Steps};

/// The words of expressions, which no space may be called by.
pub const KEYWORDS: [&str; 8] = [
    "and",
    "by",
    "equal",
    "min2",
    "or",
    "reciprocal",
    "sweep",
    "to",
];

/// The words that a parenthesis follows.
const FUNCTIONS: [&str; 4] = ["equal", "sweep", "reciprocal", "min2"];

/// The rule that `text` says, over the sources that are called `names`: a source's number is its place
/// there.
///
/// `NAME < D` takes neighbours nearer than the distance `D`, `NAME > S` those with a score above `S`
/// (distances below `1 - S`), `equal(NAME)` all that are listed. `a or b` unites, `a and b` intersects and
/// binds tighter. `sweep(NAME < LOW to HIGH by STEP, ...)` is the dynamic threshold; its other parts are
/// fixed. `reciprocal(a)` keeps what goes both ways; `min2(a, NAME < D)` gives rows left alone their
/// nearest neighbour.
///
/// # Errors
/// [`Kind::Input`](crate::error::Kind::Input) naming the character (counted from 1), what was expected and
/// what stands there; a name that is not in `names`, with the near one; whatever [`Rule::validate`] says;
/// [`Kind::Limit`](crate::error::Kind::Limit) for more than [`MAX_EXPRESSION_BYTES`] or nesting beyond
/// [`MAX_RULE_DEPTH`].
pub fn rule_from_text(text: &str, names: &[&str]) -> Result<Rule> {
    if text.len() > MAX_EXPRESSION_BYTES {
        let message = format!("the expression has {} bytes", text.len());
        return Err(Error::limit(message)
            .op("fusion")
            .mend(format!("{MAX_EXPRESSION_BYTES} is the most")));
    }
    let mut parser = Parser {
        text,
        names,
        tokens: tokens(text)?,
        at: 0,
    };
    let rule = parser.rule(1)?;
    match parser.peek() {
        Token::End => {}
        _ => return Err(parser.unfinished("the end")),
    }
    rule.validate(names.len())
        .map_err(|e| whole(e.kind(), &e))?;
    Ok(rule)
}

/// An error of the whole rule, told as one of the expression.
fn whole(kind: crate::error::Kind, e: &Error) -> Error {
    let error = Error::new(kind, e.message()).op("fusion");
    match e.mending() {
        Some(mend) => error.mend(mend),
        None => error,
    }
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Token<'a> {
    Word(&'a str),
    Number(f64),
    /// One of `< > ( ) ,`.
    Mark(char),
    End,
}

/// The tokens of `text` with the byte each begins at; the last is [`Token::End`].
fn tokens(text: &str) -> Result<Vec<(usize, Token<'_>)>> {
    let bytes = text.as_bytes();
    let run = |from: usize, takes: &dyn Fn(usize) -> bool| {
        let mut end = from + 1;
        while end < bytes.len() && takes(end) {
            end += 1;
        }
        end
    };
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(c) = text[at..].chars().next() {
        let start = at;
        at = match c {
            c if c.is_whitespace() => {
                at += c.len_utf8();
                continue;
            }
            '<' | '>' | '(' | ')' | ',' => {
                found.push((start, Token::Mark(c)));
                start + 1
            }
            c if c.is_ascii_alphabetic() || c == '_' => {
                let end = run(start, &|i| named(char::from(bytes[i])));
                found.push((start, Token::Word(&text[start..end])));
                end
            }
            c if c.is_ascii_digit() || "+-.".contains(c) => {
                let end = run(start, &|i| {
                    let sign = matches!(bytes[i], b'+' | b'-');
                    match sign {
                        true => matches!(bytes[i - 1], b'e' | b'E'),
                        false => bytes[i].is_ascii_alphanumeric() || b"._".contains(&bytes[i]),
                    }
                });
                let word = &text[start..end];
                let number = word.parse::<f64>().ok().filter(|n| n.is_finite());
                let number = number.ok_or_else(|| {
                    wrong(text, start, format!("{} is no number", shown(word)))
                        .mend("write one as .24, 0.24 or 1e-3")
                })?;
                found.push((start, Token::Number(number)));
                end
            }
            c => {
                let error = wrong(text, start, format!("`{c}` means nothing here"));
                return Err(error.mend(match c {
                    '=' => "write `<` for a distance and `>` for a similarity",
                    '|' => "write `or`",
                    '&' => "write `and`",
                    '"' | '\'' | '`' => "write names without quotes",
                    _ => "an expression has names, numbers, `<`, `>`, `(`, `)` and `,`",
                }));
            }
        };
    }
    found.push((text.len(), Token::End));
    Ok(found)
}

/// Whether a name may go on with `c`.
pub fn named(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_' || c == '-'
}

/// An error at byte `at` of `text`.
fn wrong(text: &str, at: usize, message: String) -> Error {
    let character = text[..at].chars().count() + 1;
    Error::input(format!("character {character}: {message}")).op("fusion")
}

/// A piece of the expression for a message, cut where it is long.
fn shown(piece: &str) -> String {
    match piece.char_indices().nth(30) {
        Some((cut, _)) => format!("`{}...`", &piece[..cut]),
        None => format!("`{piece}`"),
    }
}

struct Parser<'a> {
    text: &'a str,
    names: &'a [&'a str],
    tokens: Vec<(usize, Token<'a>)>,
    at: usize,
}

impl<'a> Parser<'a> {
    fn peek(&self) -> Token<'a> {
        self.ahead(0)
    }

    /// The token so many places on.
    fn ahead(&self, places: usize) -> Token<'a> {
        self.tokens
            .get(self.at + places)
            .map_or(Token::End, |&(_, token)| token)
    }

    fn next(&mut self) -> Token<'a> {
        let token = self.peek();
        self.at += 1;
        token
    }

    /// Where the next token begins.
    fn here(&self) -> usize {
        self.tokens
            .get(self.at)
            .map_or(self.text.len(), |&(at, _)| at)
    }

    /// Takes the next token if it is this word.
    fn takes(&mut self, word: &str) -> bool {
        let found = self.peek() == Token::Word(word);
        self.at += usize::from(found);
        found
    }

    fn expected(&self, what: &str) -> Error {
        let (start, end) = (self.here(), self.tokens.get(self.at + 1));
        let found = match self.peek() {
            Token::End => "the expression ends".to_string(),
            _ => {
                let end = end.map_or(self.text.len(), |&(at, _)| at);
                format!("{} stands", shown(self.text[start..end].trim_end()))
            }
        };
        wrong(
            self.text,
            start,
            format!("{found} where {what} was expected"),
        )
    }

    /// A complete rule stands before what is wrong.
    fn unfinished(&self, end: &str) -> Error {
        let error = self.expected(&format!("`and`, `or` or {end}"));
        match self.peek() {
            Token::Word("to" | "by") => {
                error.mend("thresholds go from one to another in a part of sweep(...) alone")
            }
            Token::Word(word) => match near(&word.to_lowercase(), ["and", "or"]) {
                Some(meant) => error.mend(format!("did you mean `{meant}`?")),
                None => error,
            },
            Token::Mark(')') => error.mend("no parenthesis is open here"),
            _ => error,
        }
    }

    fn mark(&mut self, mark: char) -> Result<()> {
        if self.peek() != Token::Mark(mark) {
            return Err(self.expected(&format!("`{mark}`")));
        }
        self.at += 1;
        Ok(())
    }

    fn number(&mut self, what: &str) -> Result<f64> {
        match self.peek() {
            Token::Number(number) => {
                self.at += 1;
                Ok(number)
            }
            _ => Err(self.expected(what)),
        }
    }

    /// The place of the space that is named next.
    fn space(&mut self) -> Result<usize> {
        let word = match self.peek() {
            Token::Word(word) if !KEYWORDS.contains(&word) => word,
            _ => return Err(self.expected("the name of a space")),
        };
        if let Some(place) = self.names.iter().position(|&name| name == word) {
            self.at += 1;
            return Ok(place);
        }
        let error = |message| wrong(self.text, self.here(), message);
        if self.ahead(1) == Token::Mark('(') {
            let error = error(format!("there is no function {}", shown(word)));
            return Err(match near(&word.to_lowercase(), FUNCTIONS) {
                Some(meant) => error.mend(format!("did you mean `{meant}`?")),
                None => error.mend(format!("there are {}", FUNCTIONS.join(", "))),
            });
        }
        let message = error(format!("there is no space {}", shown(word)));
        Err(super::no_space(message, word, self.names))
    }

    fn rule(&mut self, depth: usize) -> Result<Rule> {
        let first = self.both(depth)?;
        if self.peek() != Token::Word("or") {
            return Ok(first);
        }
        let mut rules = vec![first];
        while self.takes("or") {
            rules.push(self.both(depth)?);
        }
        Ok(Rule::Union(rules))
    }

    fn both(&mut self, depth: usize) -> Result<Rule> {
        let first = self.one(depth)?;
        if self.peek() != Token::Word("and") {
            return Ok(first);
        }
        let mut rules = vec![first];
        while self.takes("and") {
            rules.push(self.one(depth)?);
        }
        Ok(Rule::Intersection(rules))
    }

    fn one(&mut self, depth: usize) -> Result<Rule> {
        if depth > MAX_RULE_DEPTH {
            let start = self.here();
            let character = self.text[..start].chars().count() + 1;
            return Err(Error::limit(format!(
                "character {character}: the expression nests deeper than {MAX_RULE_DEPTH}"
            ))
            .op("fusion")
            .mend("write it with fewer levels"));
        }
        match (self.peek(), self.ahead(1)) {
            (Token::Mark('('), _) => {
                self.at += 1;
                let rule = self.rule(depth + 1)?;
                self.close()?;
                Ok(rule)
            }
            (Token::Word(word), Token::Mark('(')) if FUNCTIONS.contains(&word) => {
                self.at += 2;
                let rule = match word {
                    "equal" => Rule::Equal {
                        source: self.space()?,
                    },
                    "sweep" => self.sweep(depth)?,
                    "reciprocal" => self.rule(depth + 1)?.reciprocal(),
                    _ => self.min2(depth)?,
                };
                match word {
                    "equal" | "min2" => self.mark(')')?,
                    _ => self.close()?,
                }
                Ok(rule)
            }
            (Token::Word(word), _) if FUNCTIONS.contains(&word) => {
                self.at += 1;
                Err(self.expected(&format!("`(` behind `{word}`")))
            }
            (Token::Word(word), _) if !KEYWORDS.contains(&word) => {
                let (source, distance) = self.compared()?;
                Ok(Rule::threshold(source, distance))
            }
            _ => Err(self.expected("a rule (as in `NAME < .3`, `equal(NAME)` or `sweep(...)`)")),
        }
    }

    /// The end of a rule in parentheses.
    fn close(&mut self) -> Result<()> {
        match self.peek() {
            Token::Mark(')') => self.mark(')'),
            _ => Err(self.unfinished("`)`")),
        }
    }

    /// `NAME < D` or `NAME > S`: the source and the distance.
    fn compared(&mut self) -> Result<(usize, f64)> {
        let source = self.space()?;
        let (distance, start) = match self.next() {
            Token::Mark('<') => {
                let start = self.here();
                (self.number("a distance")?, start)
            }
            Token::Mark('>') => {
                let start = self.here();
                (1.0 - self.number("a similarity")?, start)
            }
            _ => {
                self.at -= 1;
                return Err(self.expected("`<` and a distance, or `>` and a similarity,"));
            }
        };
        let checked = Rule::threshold(0, distance).validate(1);
        checked.map_err(|e| self.invalid(start, &e))?;
        Ok((source, distance))
    }

    fn sweep(&mut self, depth: usize) -> Result<Rule> {
        let mut parts = Vec::new();
        loop {
            let swept = matches!(
                [1, 2, 3].map(|places| self.ahead(places)),
                [Token::Mark('<'), Token::Number(_), Token::Word("to")]
            );
            parts.push(match swept {
                true => self.swept()?,
                false => Part::Fixed(self.rule(depth + 1)?),
            });
            match self.peek() {
                Token::Mark(',') => self.at += 1,
                Token::Mark(')') => return Ok(Rule::Sweep(parts)),
                _ => return Err(self.unfinished("`,` or `)`")),
            }
        }
    }

    /// `NAME < LOW to HIGH by STEP`.
    fn swept(&mut self) -> Result<Part> {
        let source = self.space()?;
        self.mark('<')?;
        let start = self.here();
        let low = self.number("a distance")?;
        self.at += 1;
        let high = self.number("a distance")?;
        if !self.takes("by") {
            return Err(self.expected("`by` and a step"));
        }
        let steps = Steps::new(low, high, self.number("a step")?);
        let checked = Rule::sweep().over(0, steps).rule().validate(1);
        checked.map_err(|e| self.invalid(start, &e))?;
        Ok(Part::Swept { source, steps })
    }

    fn min2(&mut self, depth: usize) -> Result<Rule> {
        let rule = self.rule(depth + 1)?;
        if self.peek() != Token::Mark(',') {
            return Err(self.unfinished("`,` and the second threshold"));
        }
        self.at += 1;
        let (source, distance) = self.compared()?;
        Ok(rule.min2(source, distance))
    }

    /// Numbers at `start` that [`Rule::validate`] refuses.
    fn invalid(&self, start: usize, e: &Error) -> Error {
        let error = wrong(self.text, start, e.message().to_string());
        match e.mending() {
            Some(mend) => error.mend(mend),
            None => error,
        }
    }
}
