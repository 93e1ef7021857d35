//! Files of word vectors: the text and the binary format of word2vec's own program.
//!
//! Both begin with a line `WORDS SIZE`. Then comes each word, a space and its values: as decimal numbers up
//! to a line break, or as little-endian `f32`, with or without a line break behind them.

use std::collections::HashSet;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use super::check_room;
use crate::error::{Error, Result};
use crate::limits::{MAX_DIMS, MAX_TOKEN_BYTES, MAX_VOCABULARY};
use crate::tensor::Matrix;

/// The longest line of the text format, per value: `-1.23456789012345678e-308` and a space.
const DIGITS: usize = 32;

type Read2<'a> = (&'a dyn Fn(&str) -> bool, usize);

pub(super) fn read(path: &Path, wanted: &dyn Fn(&str) -> bool) -> Result<(Vec<String>, Matrix)> {
    let file = File::open(path).map_err(|e| Error::io(e, path))?;
    let length = file.metadata().map_err(|e| Error::io(e, path))?;
    if !length.is_file() {
        return Err(Error::input("is no file").mend("name a file of word vectors"));
    }
    let mut from = BufReader::with_capacity(1 << 16, file);
    let (count, size) = header(&line(&mut from, 64)?)?;
    let least = (count as u64).saturating_mul(size as u64).saturating_mul(2);
    if least > length.len() {
        return Err(wrong(&format!(
            "promises {count} words of {size} values, and is too short"
        ))
        .mend("is it whole?"));
    }
    let text = is_text(&mut from)?;
    let mut kept = Kept {
        words: Vec::new(),
        seen: HashSet::new(),
        values: Vec::new(),
    };
    for number in 1..=count {
        let read: Read2<'_> = (wanted, size);
        let done = match text {
            true => kept.text(&mut from, read),
            false => kept.binary(&mut from, read),
        };
        done.map_err(|e| of_word(number, &e))?;
    }
    let vectors = Matrix::new(kept.words.len(), size, kept.values)?;
    Ok((kept.words, vectors))
}

fn wrong(message: &str) -> Error {
    Error::input(message).mend("give word vectors in word2vec's text or binary format")
}

fn of_word(number: usize, e: &Error) -> Error {
    Error::new(e.kind(), format!("word {number}: {}", e.message()))
        .mend(e.mending().unwrap_or("is it whole?"))
}

fn header(line: &[u8]) -> Result<(usize, usize)> {
    let numbers = std::str::from_utf8(line).ok().and_then(|text| {
        let (words, size) = text.trim().split_once(' ')?;
        Some((words.trim().parse().ok()?, size.trim().parse().ok()?))
    });
    let Some((words, size)) = numbers else {
        return Err(wrong(
            "does not begin with the numbers of words and of values",
        ));
    };
    if size == 0 || size > MAX_DIMS || words > MAX_VOCABULARY {
        let message = format!("has {words} words of {size} values");
        return Err(Error::limit(message).mend(format!(
            "{MAX_VOCABULARY} words and {MAX_DIMS} values are the most"
        )));
    }
    Ok((words, size))
}

/// Whether the first word is followed by a number in digits.
fn is_text(from: &mut BufReader<File>) -> Result<bool> {
    let ahead = from.fill_buf().map_err(io)?;
    let Some(space) = ahead.iter().position(|&b| b == b' ') else {
        return Ok(true);
    };
    let rest = &ahead[space + 1..ahead.len().min(space + 1 + DIGITS)];
    let end = rest.iter().position(u8::is_ascii_whitespace);
    let number = std::str::from_utf8(&rest[..end.unwrap_or(rest.len())]);
    Ok(number.is_ok_and(|number| number.parse::<f32>().is_ok()))
}

fn io(e: std::io::Error) -> Error {
    Error::input(format!("cannot be read: {e}"))
}

/// The bytes up to the next line break, without it; at most `most`.
fn line(from: &mut impl BufRead, most: usize) -> Result<Vec<u8>> {
    until(from, b'\n', most)
}

fn until(from: &mut impl BufRead, end: u8, most: usize) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut some = from.take(most as u64 + 1);
    some.read_until(end, &mut bytes).map_err(io)?;
    match bytes.pop() {
        Some(last) if last == end => Ok(bytes),
        // The last line of a file may go without a break.
        Some(last) if bytes.len() < most && end == b'\n' => {
            bytes.push(last);
            Ok(bytes)
        }
        Some(_) if bytes.len() >= most => Err(wrong("a line or a word is too long")),
        _ => Err(wrong("the file ends here")),
    }
}

struct Kept {
    words: Vec<String>,
    seen: HashSet<String>,
    values: Vec<f32>,
}

impl Kept {
    /// Takes a word, if it is wanted and new.
    fn word(&mut self, bytes: &[u8], (wanted, size): Read2<'_>) -> Result<bool> {
        let word = String::from_utf8_lossy(bytes);
        if !wanted(&word) || !self.seen.insert(word.to_string()) {
            return Ok(false);
        }
        self.words.push(word.into_owned());
        check_room(self.words.len(), size)?;
        Ok(true)
    }

    fn text(&mut self, from: &mut impl BufRead, read: Read2<'_>) -> Result<()> {
        let line = line(from, MAX_TOKEN_BYTES + DIGITS * read.1)?;
        let line = line.trim_ascii_end();
        let Some(space) = line.iter().position(|&b| b == b' ') else {
            return Err(wrong("has no values"));
        };
        if !self.word(&line[..space], read)? {
            return Ok(());
        }
        let before = self.values.len();
        let numbers = std::str::from_utf8(&line[space..]).unwrap_or("?");
        for number in numbers.split_ascii_whitespace() {
            let value = number.parse().ok().filter(|x: &f32| x.is_finite());
            let value = value.ok_or_else(|| wrong("holds what is no finite number"))?;
            self.values.push(value);
        }
        match self.values.len() - before == read.1 {
            true => Ok(()),
            false => Err(wrong(&format!(
                "has {} values, and {} were promised",
                self.values.len() - before,
                read.1
            ))),
        }
    }

    fn binary(&mut self, from: &mut impl BufRead, read: Read2<'_>) -> Result<()> {
        let word = until(from, b' ', MAX_TOKEN_BYTES)?;
        // A line break that some programs write behind the values.
        let word = word.strip_prefix(b"\n").unwrap_or(&word);
        let mut bytes = vec![0; read.1 * 4];
        from.read_exact(&mut bytes)
            .map_err(|_| wrong("the file ends here"))?;
        if self.word(word, read)? {
            for &bytes in bytes.as_chunks::<4>().0 {
                let value = f32::from_le_bytes(bytes);
                if !value.is_finite() {
                    return Err(wrong("holds what is no finite number"));
                }
                self.values.push(value);
            }
        }
        Ok(())
    }
}
