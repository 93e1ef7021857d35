//! One HTML file of a template, styles, scripts and packed blocks.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Component, Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::write::GzEncoder;
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::error::{Error, Result};
use crate::files::write_whole;

/// A script of the page, and what it is called in a debugger.
#[derive(Debug, Clone, Copy)]
pub struct Asset {
    name: &'static str,
    text: &'static str,
}

impl Asset {
    /// A script called `name`.
    pub const fn new(name: &'static str, text: &'static str) -> Self {
        Asset { name, text }
    }
}

/// A page on its way.
pub struct Page {
    /// The most bytes that it may have.
    most: usize,
    title: &'static str,
    body: &'static str,
    style: String,
    script: String,
    blocks: String,
}

impl Page {
    /// A page of at most `most` bytes, without data. All scripts are one, so that what one defines the next may use.
    pub fn within(
        most: usize,
        title: &'static str,
        body: &'static str,
        styles: &[&str],
        scripts: &[Asset],
    ) -> Self {
        let mut script = String::from("\"use strict\";\n");
        for asset in scripts {
            // Writing to a string does not fail.
            let _ = writeln!(script, "// {}.js\n{}", asset.name, asset.text);
        }
        Page {
            most,
            title,
            body,
            style: styles.concat(),
            script,
            blocks: String::new(),
        }
    }

    /// How many bytes of text it may still take.
    pub fn room(&self) -> usize {
        // The head, and where small pictures begin.
        const KEPT: usize = 400_000;
        let has = self.body.len() + self.style.len() + self.script.len() + self.blocks.len();
        self.most.saturating_sub(has + KEPT)
    }

    /// Adds bytes, packed.
    ///
    /// # Errors
    /// None in practice: packing writes to memory.
    pub fn bytes(&mut self, name: &str, bytes: &[u8]) -> Result<()> {
        let mut gz = GzEncoder::new(Vec::new(), Compression::new(6));
        let fail = |e| Error::io(e, name);
        gz.write_all(bytes).map_err(fail)?;
        let packed = gz.finish().map_err(fail)?;
        self.text(name, &STANDARD.encode(packed));
        Ok(())
    }

    /// Adds numbers, little-endian.
    ///
    /// # Errors
    /// As [`Page::bytes`].
    pub fn words(&mut self, name: &str, words: &[u32]) -> Result<()> {
        let bytes: Vec<u8> = words.iter().flat_map(|w| w.to_le_bytes()).collect();
        self.bytes(name, &bytes)
    }

    /// Adds short numbers, little-endian.
    ///
    /// # Errors
    /// As [`Page::bytes`].
    pub fn shorts(&mut self, name: &str, shorts: &[u16]) -> Result<()> {
        let bytes: Vec<u8> = shorts.iter().flat_map(|w| w.to_le_bytes()).collect();
        self.bytes(name, &bytes)
    }

    /// Adds a value as JSON.
    ///
    /// # Errors
    /// As [`Page::bytes`].
    pub fn json(&mut self, name: &str, value: &impl Serialize) -> Result<()> {
        let json = serde_json::to_vec(value)
            .map_err(|e| Error::internal(format!("{name} is no JSON: {e}")))?;
        self.bytes(name, &json)
    }

    /// Adds base64 as it is.
    pub fn text(&mut self, name: &str, base64: &str) {
        // Writing to a string does not fail.
        let _ = writeln!(
            self.blocks,
            "<script type=\"application/octet-stream\" id=\"b-{name}\">{base64}</script>"
        );
    }

    /// The page.
    pub fn html(&self) -> String {
        let hash = |text: &str| STANDARD.encode(Sha256::digest(text.as_bytes()));
        let mut html = String::with_capacity(self.blocks.len() + self.script.len() + 65_536);
        // Writing to a string does not fail.
        let _ = write!(
            html,
            "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; \
             script-src 'sha256-{}'; style-src 'sha256-{}'; img-src data: file: 'self'; \
             base-uri 'none'; form-action 'none'\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <meta name=\"color-scheme\" content=\"light dark\">\n\
             <meta name=\"referrer\" content=\"no-referrer\">\n\
             <title>{}</title>\n<style>{}</style>\n</head>\n<body>\n{}\n{}<script>{}</script>\n\
             </body>\n</html>\n",
            hash(&self.script),
            hash(&self.style),
            self.title,
            self.style,
            self.body,
            self.blocks,
            self.script
        );
        html
    }

    /// Writes the page, whole or not at all, and gives its bytes.
    ///
    /// # Errors
    /// More bytes than it may have; what the disk says.
    pub fn write(&self, path: &Path) -> Result<usize> {
        let html = self.html();
        if html.len() > self.most {
            let message = format!(
                "the report would have {} bytes, and may have {}",
                html.len(),
                self.most
            );
            return Err(Error::limit(message)
                .path(path)
                .mend("report on fewer listings"));
        }
        write_whole(path, |out| out.write_all(html.as_bytes()))?;
        Ok(html.len())
    }
}

/// The way from the folder of the file `from` to the folder `to`, with `/` between names; the whole path
/// where there is no other way.
pub fn relative(from: &Path, to: &Path) -> String {
    let whole = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_path_buf());
    let from = match from.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => whole(folder),
        _ => whole(Path::new(".")),
    };
    let to = whole(to);
    let common = from.components().zip(to.components());
    let common = common.take_while(|(a, b)| a == b).count();
    if common == 0 {
        return to.to_string_lossy().into_owned();
    }
    let up = from.components().skip(common).map(|_| Component::ParentDir);
    let path: PathBuf = up.chain(to.components().skip(common)).collect();
    let names: Vec<_> = path
        .components()
        .map(|c| c.as_os_str().to_string_lossy())
        .collect();
    names.join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_reached_from_a_file() {
        let dir = tempfile::tempdir().unwrap();
        for folder in ["a/b", "a/photos", "c"] {
            std::fs::create_dir_all(dir.path().join(folder)).unwrap();
        }
        let at = |name: &str| dir.path().join(name);
        assert_eq!(relative(&at("a/r.html"), &at("a/photos")), "photos");
        assert_eq!(relative(&at("a/b/r.html"), &at("c")), "../../c");
        assert_eq!(relative(&at("c/r.html"), &at("c")), "");
    }

    #[test]
    fn only_its_own_script_may_run() {
        let mut page = Page::within(
            10_000,
            "t",
            "<main></main>",
            &["p{}"],
            &[Asset::new("a", "let x = 1;")],
        );
        page.json("meta", &"</script><script>alert(1)</script>")
            .unwrap();
        let html = page.html();
        assert!(html.contains("default-src 'none'"));
        assert_eq!(html.matches("<script").count(), 2);
        assert!(!html.contains("alert"));
        let script = &html[html.rfind("<script>").unwrap() + 8..html.rfind("</script>").unwrap()];
        let hash = STANDARD.encode(Sha256::digest(script.as_bytes()));
        assert!(
            html.contains(&format!("script-src 'sha256-{hash}'")),
            "{html}"
        );
    }
}
