//! TOML values with their place in the file, so that what is wrong with one is told with key and line.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::near;
use crate::error::{Error, Result};

/// A table of the file.
#[derive(Clone, Copy)]
pub struct Table<'a> {
    text: &'a str,
    table: &'a DeTable<'a>,
}

/// A value of the file, and the key that it stands under.
pub struct Value<'a> {
    text: &'a str,
    /// The way to it: `spaces.photo.size`.
    pub key: String,
    value: &'a Spanned<DeValue<'a>>,
}

/// The line that byte `at` stands on, counted from 1.
pub fn line_of(text: &str, at: usize) -> u64 {
    let before = text.as_bytes().iter().take(at);
    before.filter(|&&byte| byte == b'\n').count() as u64 + 1
}

/// As much of `text` as a message can hold.
pub fn cut(text: &str) -> &str {
    let end = text.char_indices().nth(60);
    end.map_or(text, |(at, _)| &text[..at])
}

impl<'a> Table<'a> {
    /// The whole file.
    pub fn whole(text: &'a str, table: &'a DeTable<'a>) -> Self {
        Table { text, table }
    }

    /// All keys and values, in the order of the file; `at` is the way to this table, with a dot behind it.
    pub fn entries(&self, at: &str) -> Vec<(&'a str, Value<'a>)> {
        let mut entries: Vec<_> = self.table.iter().collect();
        entries.sort_by_key(|(key, _)| key.span().start);
        let value = |(key, value): (&'a Spanned<_>, &'a Spanned<DeValue<'a>>)| {
            let name: &'a std::borrow::Cow<'a, str> = key.get_ref();
            let key = format!("{at}{}", cut(name));
            let text = self.text;
            (&**name, Value { text, key, value })
        };
        entries.into_iter().map(value).collect()
    }

    /// Refuses keys that are not among `known`; `of` says whose keys those are.
    pub fn only(&self, at: &str, of: &str, known: &[&str]) -> Result<()> {
        for (key, value) in self.entries(at) {
            if !known.contains(&key) {
                let error = value.wrong(&format!("is no key of {of}"));
                return Err(match near(key, known.iter().copied()) {
                    Some(meant) => error.mend(format!("did you mean {meant}?")),
                    None => error.mend(format!("its keys are {}", known.join(", "))),
                });
            }
        }
        Ok(())
    }

    /// The value of `key`.
    pub fn get(&self, at: &str, key: &str) -> Option<Value<'a>> {
        let entries = self.entries(at).into_iter();
        entries
            .filter(|&(name, _)| name == key)
            .map(|(_, value)| value)
            .next()
    }
}

impl<'a> Value<'a> {
    /// The line that it stands on.
    pub fn line(&self) -> u64 {
        line_of(self.text, self.value.span().start)
    }

    /// The value `message` what it should not: "is ..." or "has ...".
    pub fn wrong(&self, message: &str) -> Error {
        Error::input(format!("{} {message}", self.key)).line(self.line())
    }

    /// What another check says of this value.
    pub fn refused(&self, e: &Error) -> Error {
        let said: String = e.message().chars().take(200).collect();
        let message = format!("{}: {said}", self.key);
        let error = Error::new(e.kind(), message).line(self.line());
        match e.mending() {
            Some(mend) => error.mend(mend),
            None => error,
        }
    }

    /// The value is of another type than `wanted`.
    fn not(&self, wanted: &str) -> Error {
        let found = match self.value.get_ref() {
            DeValue::String(_) => "text in quotes",
            DeValue::Integer(_) => "a whole number",
            DeValue::Float(_) => "a number with a fraction",
            DeValue::Boolean(_) => "true or false",
            DeValue::Datetime(_) => "a date",
            DeValue::Array(_) => "a list",
            DeValue::Table(_) => "a table",
        };
        self.wrong(&format!("is {found}"))
            .mend(format!("give {wanted}"))
    }

    pub fn string(&self) -> Result<&'a str> {
        match self.value.get_ref() {
            DeValue::String(text) => Ok(text),
            _ => Err(self.not("text in quotes")),
        }
    }

    pub fn boolean(&self) -> Result<bool> {
        match self.value.get_ref() {
            DeValue::Boolean(value) => Ok(*value),
            _ => Err(self.not("true or false")),
        }
    }

    /// Whether the value is a whole number rather than one with a fraction.
    pub fn is_whole(&self) -> bool {
        matches!(self.value.get_ref(), DeValue::Integer(_))
    }

    pub fn number(&self) -> Result<f64> {
        let number = match self.value.get_ref() {
            DeValue::Float(float) => float.as_str().parse::<f64>().ok(),
            DeValue::Integer(_) => return Ok(self.integer()? as f64),
            _ => return Err(self.not("a number")),
        };
        number
            .filter(|x| x.is_finite())
            .ok_or_else(|| self.wrong("is no finite number").mend("give one as 0.5"))
    }

    fn integer(&self) -> Result<i128> {
        match self.value.get_ref() {
            DeValue::Integer(integer) => {
                let read = i128::from_str_radix(integer.as_str(), integer.radix());
                read.map_err(|_| self.wrong("is too large").mend("give a smaller number"))
            }
            _ => Err(self.not("a whole number")),
        }
    }

    /// A whole number from 0 up.
    pub fn count(&self) -> Result<usize> {
        let whole = self.integer()?;
        usize::try_from(whole).map_err(|_| {
            let message = match whole < 0 {
                true => "is negative",
                false => "is too large",
            };
            self.wrong(message).mend("give a whole number from 0 up")
        })
    }

    pub fn list(&self) -> Result<Vec<Value<'a>>> {
        let DeValue::Array(items) = self.value.get_ref() else {
            return Err(self.not("a list, as in [1, 2]"));
        };
        let item = |(i, value)| Value {
            text: self.text,
            key: format!("{}[{}]", self.key, i + 1),
            value,
        };
        Ok(items.iter().enumerate().map(item).collect())
    }

    pub fn table(&self) -> Result<Table<'a>> {
        match self.value.get_ref() {
            DeValue::Table(table) => Ok(Table {
                text: self.text,
                table,
            }),
            _ => Err(self.not("a table, as in { key = value }")),
        }
    }

    pub fn is_string(&self) -> bool {
        matches!(self.value.get_ref(), DeValue::String(_))
    }

    /// One of `names`, which stand with what they mean.
    pub fn one_of<T: Copy>(&self, names: &[(&str, T)]) -> Result<T> {
        let text = self.string()?;
        let found = names.iter().find(|(name, _)| *name == text);
        found.map(|&(_, meaning)| meaning).ok_or_else(|| {
            let list: Vec<String> = names.iter().map(|(name, _)| format!("{name:?}")).collect();
            self.wrong(&format!("is {:?}", cut(text)))
                .mend(format!("give {}", list.join(" or ")))
        })
    }
}
