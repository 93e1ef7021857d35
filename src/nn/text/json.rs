//! Small JSON files, read with care: bounded, and one clear line for whatever is wrong.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use serde_json::{Map, Value};

use crate::error::{Error, Result};
use crate::limits;

/// What to do about a damaged file.
pub(super) const DAMAGED: &str = "fetch the file again";

/// The text of a file; `None` where there is none.
pub(super) fn text(path: &Path) -> Result<Option<String>> {
    let told = |e| Error::io(e, path).mend("make it a file that can be read");
    // Without O_NONBLOCK, opening a pipe would wait for its other end.
    let opened = File::options()
        .read(true)
        .custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY)
        .open(path);
    let file = match opened {
        Ok(file) => file,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(told(e)),
    };
    let found = file.metadata().map_err(told)?;
    if !found.is_file() {
        let what = match found.is_dir() {
            true => "is a folder, not a file",
            false => "is not a regular file",
        };
        return Err(Error::input(what).path(path).mend(DAMAGED));
    }
    let most = limits::MAX_CONFIG_BYTES;
    let mut bytes = Vec::new();
    file.take(most + 1).read_to_end(&mut bytes).map_err(told)?;
    if bytes.len() as u64 > most {
        let message = format!("has over {most} bytes, which no such file needs");
        return Err(Error::limit(message).path(path).mend(DAMAGED));
    }
    match String::from_utf8(bytes) {
        Ok(text) => Ok(Some(text)),
        Err(_) => Err(Error::input("is not UTF-8 text").path(path).mend(DAMAGED)),
    }
}

/// A JSON text.
pub(super) fn value(text: &str) -> Result<Value> {
    if text.starts_with('\u{feff}') {
        let message = "begins with a byte order mark, which JSON has not";
        return Err(Error::input(message).mend("save it as UTF-8 without one"));
    }
    serde_json::from_str(text).map_err(|e| Error::input(format!("is not JSON: {e}")).mend(DAMAGED))
}

/// A JSON text that is an object.
pub(super) fn object(text: &str) -> Result<Map<String, Value>> {
    match value(text)? {
        Value::Object(fields) => Ok(fields),
        other => {
            let message = format!("holds {}, not an object", shown(&other));
            Err(Error::input(message).mend(DAMAGED))
        }
    }
}

/// The object in a file; `None` where there is no file.
pub(super) fn object_in(path: &Path) -> Result<Option<Map<String, Value>>> {
    match text(path)? {
        Some(text) => object(&text).map(Some).map_err(|e| e.path(path)),
        None => Ok(None),
    }
}

/// A field that is true or not; not where it is missing or null.
pub(super) fn flag(fields: &Map<String, Value>, key: &str) -> Result<bool> {
    match fields.get(key) {
        None | Some(Value::Null) => Ok(false),
        Some(Value::Bool(set)) => Ok(*set),
        Some(other) => {
            let message = format!("{key} is {}, not true or false", shown(other));
            Err(Error::input(message).mend(DAMAGED))
        }
    }
}

/// A whole number up to `most`.
pub(super) fn whole(key: &str, value: &Value, most: usize) -> Result<usize> {
    match value.as_u64() {
        Some(n) if n <= most as u64 => Ok(n as usize),
        Some(n) => {
            let message = format!("{key} is {n}, over {most}");
            Err(Error::limit(message).mend(DAMAGED))
        }
        None => {
            let message = format!("{key} is {}, not a whole number", shown(value));
            Err(Error::input(message).mend(DAMAGED))
        }
    }
}

/// The beginning of a value, for a message.
pub(super) fn shown(value: &Value) -> String {
    const SHOWN: usize = 60;
    let short = |text: &str| {
        let end = text.char_indices().nth(SHOWN);
        end.map(|(end, _)| format!("{}...", &text[..end]))
    };
    match value {
        Value::String(text) => format!("{:?}", short(text).as_ref().unwrap_or(text)),
        other => {
            let text = other.to_string();
            short(&text).unwrap_or(text)
        }
    }
}
