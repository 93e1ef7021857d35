//! One error for the whole library.
//!
//! An [`Error`] says what went wrong, where (file, row, column), which operation and shapes were
//! involved, and how to mend it; its [`Display`](std::fmt::Display) form is always one line.

use std::fmt;
use std::path::{Path, PathBuf};

/// `std::result::Result` with doppel's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// The class of an [`Error`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Kind {
    /// A file or an argument does not hold what it should.
    Input,
    /// A bound of [`crate::limits`] was passed.
    Limit,
    /// The operating system refused (no such file, no space left, ...).
    Io,
    /// Shapes that do not go together.
    Shape,
    /// Well formed, but not something this build or device can do.
    Unsupported,
    /// A broken promise inside doppel: a bug.
    Internal,
}

#[derive(Debug)]
struct Inner {
    kind: Kind,
    message: String,
    op: Option<&'static str>,
    shapes: Vec<Vec<usize>>,
    path: Option<PathBuf>,
    row: Option<u64>,
    line: Option<u64>,
    column: Option<String>,
    mend: Option<String>,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// What went wrong, where, and how to mend it. Prints as one line.
#[derive(Debug)]
pub struct Error(Box<Inner>);

impl Error {
    /// An error of `kind` with a one-line `message`; line breaks become spaces.
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Error(Box::new(Inner {
            kind,
            message: one_line(&message.into()),
            op: None,
            shapes: Vec::new(),
            path: None,
            row: None,
            line: None,
            column: None,
            mend: None,
            source: None,
        }))
    }

    /// A file or argument that does not hold what it should.
    pub fn input(message: impl Into<String>) -> Self {
        Self::new(Kind::Input, message)
    }

    /// A bound of [`crate::limits`] that was passed.
    pub fn limit(message: impl Into<String>) -> Self {
        Self::new(Kind::Limit, message)
    }

    /// Something this build or device cannot do.
    pub fn unsupported(message: impl Into<String>) -> Self {
        Self::new(Kind::Unsupported, message)
    }

    /// A broken promise inside doppel.
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(Kind::Internal, message)
    }

    /// Two shapes that do not go together in operation `op`.
    pub fn shape(op: &'static str, left: &[usize], right: &[usize]) -> Self {
        let mut error = Self::new(Kind::Shape, "shapes do not go together");
        error.0.op = Some(op);
        error.0.shapes = vec![left.to_vec(), right.to_vec()];
        error
    }

    /// What the operating system said about `path`.
    pub fn io(source: std::io::Error, path: impl AsRef<Path>) -> Self {
        let mut error = Self::new(Kind::Io, source.to_string()).path(path);
        error.0.source = Some(Box::new(source));
        error
    }

    /// Names the operation.
    #[must_use]
    pub fn op(mut self, op: &'static str) -> Self {
        self.0.op = Some(op);
        self
    }

    /// Names the file.
    #[must_use]
    pub fn path(mut self, path: impl AsRef<Path>) -> Self {
        self.0.path = Some(path.as_ref().to_path_buf());
        self
    }

    /// Names the data row: 1 is the first row after the header (or the first row of a matrix).
    #[must_use]
    pub fn row(mut self, row: u64) -> Self {
        self.0.row = Some(row);
        self
    }

    /// Names the line of the file that the row starts on: 1 is the first line.
    #[must_use]
    pub fn line(mut self, line: u64) -> Self {
        self.0.line = Some(line);
        self
    }

    /// Names the column.
    #[must_use]
    pub fn column(mut self, column: impl Into<String>) -> Self {
        self.0.column = Some(column.into());
        self
    }

    /// Says what the reader can do about it.
    #[must_use]
    pub fn mend(mut self, mend: impl Into<String>) -> Self {
        self.0.mend = Some(one_line(&mend.into()));
        self
    }

    /// The class of this error.
    pub fn kind(&self) -> Kind {
        self.0.kind
    }

    /// The message alone, without place and mend.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// The mend alone, when there is one.
    pub fn mending(&self) -> Option<&str> {
        self.0.mend.as_deref()
    }
}

/// Control characters and line breaks become spaces, so that one error stays one line.
fn one_line(text: &str) -> String {
    text.trim()
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let e = &*self.0;
        if let Some(path) = &e.path {
            write!(f, "{}: ", one_line(&path.display().to_string()))?;
        }
        match (e.row, e.line) {
            (Some(row), Some(line)) => write!(f, "row {row} (line {line}): ")?,
            (Some(row), None) => write!(f, "row {row}: ")?,
            (None, Some(line)) => write!(f, "line {line}: ")?,
            (None, None) => {}
        }
        if let Some(column) = &e.column {
            write!(f, "column {}: ", one_line(column))?;
        }
        if let Some(op) = e.op {
            write!(f, "{op}: ")?;
        }
        f.write_str(&e.message)?;
        if let [left, right] = e.shapes.as_slice() {
            write!(f, " ({left:?} and {right:?})")?;
        }
        if let Some(mend) = &e.mend {
            write!(f, "; {mend}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0
            .source
            .as_deref()
            .map(|e| e as &(dyn std::error::Error + 'static))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_names_file_row_column_and_mend() {
        let error = Error::input("duplicate id\n\"a\"")
            .path("l.csv")
            .row(7)
            .line(9)
            .column("posting_id")
            .mend("give each listing an id of its own");
        assert_eq!(
            error.to_string(),
            "l.csv: row 7 (line 9): column posting_id: duplicate id \"a\"; \
             give each listing an id of its own"
        );
    }

    #[test]
    fn shape_errors_carry_the_operation_and_both_shapes() {
        let error = Error::shape("topk", &[3, 4], &[5, 6]);
        assert_eq!(
            error.to_string(),
            "topk: shapes do not go together ([3, 4] and [5, 6])"
        );
        assert_eq!(error.kind(), Kind::Shape);
    }
}
