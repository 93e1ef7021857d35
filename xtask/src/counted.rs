//! Runs of `cargo test` that count what passed, failed and was skipped.
//!
//! Rust's test harness knows no skip at run time: a test that finds no card prints `skipped: REASON`
//! and returns, and counts as passed there. Here it is taken out of those that passed.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

/// How many tests ended how.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub passed: usize,
    pub failed: usize,
    pub skipped: usize,
}

/// What the harness prints, followed line by line.
#[derive(Default)]
struct Reader {
    counts: Counts,
    /// Within the captured output of tests that passed.
    captured: bool,
    /// The test whose output that is, until it has said that it was skipped.
    test: Option<String>,
}

impl Reader {
    /// Takes a line; gives what is to be shown of it.
    fn line(&mut self, line: &str) -> Option<String> {
        if let Some(result) = line.strip_prefix("test result: ") {
            self.captured = false;
            self.counts.passed += number_before(result, " passed");
            self.counts.failed += number_before(result, " failed");
            return Some(line.to_string());
        }
        match line {
            "successes:" => {
                self.captured = true;
                return None;
            }
            // What failed is shown with its output.
            "failures:" => self.captured = false,
            _ => {}
        }
        if !self.captured {
            return Some(line.to_string());
        }
        if let Some(name) = line
            .strip_prefix("---- ")
            .and_then(|l| l.strip_suffix(" stdout ----"))
        {
            self.test = Some(name.to_string());
        } else if line.starts_with("skipped: ")
            && let Some(name) = self.test.take()
        {
            self.counts.skipped += 1;
            return Some(format!("test {name} ... {line}"));
        }
        None
    }

    fn counts(self) -> Counts {
        let passed = self.counts.passed.saturating_sub(self.counts.skipped);
        Counts {
            passed,
            ..self.counts
        }
    }
}

/// The number that stands right before `word`.
fn number_before(text: &str, word: &str) -> usize {
    let before = text.split(word).next().unwrap_or("");
    before
        .rsplit(|c: char| !c.is_ascii_digit())
        .next()
        .and_then(|n| n.parse().ok())
        .unwrap_or(0)
}

/// Runs `cargo test` in `folder`, showing what it prints but for the output of tests that passed.
/// The second is whether cargo itself was content.
pub fn run(
    folder: &Path,
    arguments: &[&str],
    environment: &[(&str, &Path)],
) -> Result<(Counts, bool), String> {
    println!("$ cargo test {}", arguments.join(" "));
    let mut child = Command::new("cargo")
        .arg("test")
        .args(arguments)
        .args(["--no-fail-fast", "--", "--show-output"])
        .envs(environment.iter().copied())
        .current_dir(folder)
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|e| format!("cargo did not start: {e}"))?;
    let mut reader = Reader::default();
    for line in BufReader::new(child.stdout.take().ok_or("no output")?).lines() {
        let line = line.map_err(|e| format!("cargo's output: {e}"))?;
        if let Some(shown) = reader.line(&line) {
            println!("{shown}");
        }
    }
    let status = child.wait().map_err(|e| format!("cargo: {e}"))?;
    Ok((reader.counts(), status.success()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_skipped_did_not_pass() {
        let text = "\
running 3 tests
test a ... ok
test b ... ok
test c ... FAILED

successes:

---- a stdout ----
skipped: no CUDA device
skipped: and again

---- b stdout ----
something it printed

successes:
    a
    b

failures:

---- c stdout ----
why it failed

failures:
    c

test result: FAILED. 2 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.01s

running 12 tests
test result: ok. 12 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.01s";
        let mut reader = Reader::default();
        let shown: Vec<String> = text.lines().filter_map(|l| reader.line(l)).collect();
        assert!(shown.contains(&"test a ... skipped: no CUDA device".to_string()));
        assert!(!shown.iter().any(|l| l.contains("something it printed")));
        assert!(shown.contains(&"why it failed".to_string()));
        assert_eq!(
            reader.counts(),
            Counts {
                passed: 13,
                failed: 1,
                skipped: 1
            }
        );
    }
}
