//! What a file is that should hold weights, from its first bytes, and what to do about it when it
//! does not; the name is asked only when the bytes say nothing.

use std::path::Path;

use super::{DAMAGED, short};
use crate::error::{Error, Result};
use crate::limits::MAX_WEIGHT_HEADER_BYTES;

/// How many bytes are looked at.
pub(super) const START: usize = 512;

/// What to do where no other program converts: names and layouts differ as well.
const FETCH: &str = "fetch the PyTorch model's model.safetensors instead, as \
    `hf download REPOSITORY model.safetensors` does";

/// The length of the header of a safetensors file of `whole` bytes that begins with `start`.
///
/// # Errors
/// Says what the file is when it is no safetensors file; the caller names it. The length may still be
/// larger than the file.
pub(super) fn header_length(start: &[u8], whole: u64, path: &Path) -> Result<u64> {
    if start.is_empty() {
        return Err(Error::input("is an empty file").mend(FETCH));
    }
    let length = start.first_chunk::<8>().map(|n| u64::from_le_bytes(*n));
    let brace = start.get(8) == Some(&b'{');
    // First of all: a header of 640 bytes makes the file begin as a pickle does.
    if let Some(length) = length
        && brace
        && length <= MAX_WEIGHT_HEADER_BYTES
    {
        return Ok(length);
    }
    if let Some(error) = by_content(start, path).or_else(|| by_name(path)) {
        return Err(error);
    }
    let damaged = |message: String| Err(Error::input(message).mend(DAMAGED));
    match length {
        None => damaged(format!(
            "is too short for a safetensors file: {whole} bytes"
        )),
        Some(0) => damaged(
            "begins with zeros, where a safetensors file has its header's length: a download that \
             was not finished"
                .into(),
        ),
        Some(length) if length > MAX_WEIGHT_HEADER_BYTES && brace => {
            let most = MAX_WEIGHT_HEADER_BYTES;
            let message = format!("its header claims {length} bytes, over {most}");
            Err(Error::limit(message).mend(DAMAGED))
        }
        Some(_) if whole == 8 => damaged("is cut short: it ends before its header".into()),
        Some(_) => Err(Error::input(format!(
            "is not a safetensors file: it begins with {}",
            quoted(start)
        ))
        .mend(FETCH)),
    }
}

/// The error for a file whose bytes, or else name, tell what it is.
fn by_content(start: &[u8], path: &Path) -> Option<Error> {
    const KNOWN: [(&[u8], &str); 9] = [
        (b"\x89HDF\r\n\x1a\n", "an HDF5 file, as Keras writes"),
        (b"GGUF", "a GGUF file"),
        (b"\x93NUMPY", "a NumPy array"),
        (b"\x1F\x8B", "gzip-compressed"),
        (b"BZh", "bzip2-compressed"),
        (b"\xFD7zXZ", "xz-compressed"),
        (b"7z\xBC\xAF", "a 7-Zip archive"),
        (b"%PDF-", "a PDF document"),
        (b"TFL3", "a TensorFlow Lite model"),
    ];
    if start.starts_with(b"PK\x03\x04") || start.starts_with(b"PK\x05\x06") {
        return Some(torch("a ZIP archive, as torch.save writes", path));
    }
    if let [0x80, 2..=5, ..] = start {
        return Some(torch("a pickle, as torch.save wrote before 1.6", path));
    }
    if start.get(257..262) == Some(b"ustar") {
        return Some(torch("a tar archive, as old torch.save wrote", path));
    }
    if let Some((_, what)) = KNOWN.iter().find(|(magic, _)| start.starts_with(magic)) {
        return Some(foreign(what));
    }
    match start {
        // A map of few entries (or one of 16 or 32 bits) whose first key is text.
        [0x81..=0x8F, 0xA1..=0xBF | 0xD9, ..]
        | [0xDE, _, _, 0xA1..=0xBF | 0xD9, ..]
        | [0xDF, _, _, _, _, 0xA1..=0xBF | 0xD9, ..] => {
            return Some(foreign("MessagePack, as Flax writes"));
        }
        // The fields of a protobuf: ir_version, then the producer's name, the graph or the opsets.
        [0x08, 1..=32, 0x12 | 0x1A | 0x3A | 0x42, ..] => return Some(foreign("an ONNX model")),
        _ => {}
    }
    by_text(start.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(start))
}

/// Text where weights should be: pages, pointers, answers of a server.
fn by_text(start: &[u8]) -> Option<Error> {
    let text = start.trim_ascii_start();
    if text.starts_with(b"version https://git-lfs.github.com/") {
        let size = text
            .split(|&b| b == b'\n')
            .find_map(|line| std::str::from_utf8(line.strip_prefix(b"size ")?).ok());
        let size = size.and_then(|n| n.trim().parse::<u64>().ok());
        let of = size.map_or(String::new(), |n| format!(" of {n} bytes"));
        return Some(
            Error::input(format!(
                "is a Git LFS pointer, not the weights{of} themselves"
            ))
            .mend("run `git lfs pull` there, or fetch the file with `hf download`"),
        );
    }
    if text.first() == Some(&b'<') {
        return Some(Error::input("is a web page, not weights").mend(FETCH));
    }
    if text.first() == Some(&b'{') {
        return Some(Error::input("is JSON text, not weights").mend(FETCH));
    }
    None
}

/// The same by the end of the name, for content that says nothing.
fn by_name(path: &Path) -> Option<Error> {
    let ending = path.extension()?.to_str()?.to_ascii_lowercase();
    match &*ending {
        "bin" | "pth" | "pt" | "ckpt" | "pkl" => Some(torch(
            &format!("a .{ending} file, as torch.save writes"),
            path,
        )),
        "h5" | "keras" | "hdf5" => Some(foreign("a Keras file")),
        "msgpack" => Some(foreign("a Flax file")),
        "onnx" => Some(foreign("an ONNX model")),
        "gguf" | "npz" | "npy" | "pb" | "tflite" => Some(foreign(&format!("a .{ending} file"))),
        _ => None,
    }
}

/// A pickle: running it could run anything, so doppel does not; PyTorch reads only tensors from it.
fn torch(what: &str, path: &Path) -> Error {
    let mut to = path.with_extension("safetensors");
    if to == path {
        to = path.with_extension("converted.safetensors");
    }
    Error::unsupported(format!("is {what}, which is not read")).mend(conversion(path, &to))
}

fn foreign(what: &str) -> Error {
    Error::unsupported(format!("is {what}, which is not read")).mend(FETCH)
}

/// The command that writes the tensors of the PyTorch file `from` as the safetensors file `to`.
///
/// `weights_only` reads tensors and never runs what a pickle says; each tensor is made contiguous and
/// its own, as safetensors refuses shared memory. Checkpoints of training runs have the weights one
/// level deeper.
pub(super) fn conversion(from: &Path, to: &Path) -> String {
    format!(
        "convert it: python -c \"import sys, torch; from safetensors.torch import save_file; \
         s = torch.load(sys.argv[1], map_location='cpu', weights_only=True); \
         s = next((s[k] for k in ('state_dict', 'model') if isinstance(s.get(k), dict)), s); \
         save_file({{k: v.detach().clone().contiguous() for k, v in s.items() if torch.is_tensor(v)}}, \
         sys.argv[2])\" {} {}",
        argument(from),
        argument(to)
    )
}

/// A path as a shell's argument.
fn argument(path: &Path) -> String {
    let text = path.to_string_lossy();
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+=:@,".contains(c);
    if !text.is_empty() && !text.starts_with('-') && text.chars().all(plain) {
        return text.into_owned();
    }
    // A name that begins with a dash would be taken for an option.
    let text = if text.starts_with('-') {
        format!("./{text}")
    } else {
        text.into_owned()
    };
    format!("'{}'", text.replace('\'', "'\\''"))
}

/// The first bytes for a message: text as text, anything else in hexadecimal.
fn quoted(start: &[u8]) -> String {
    let line = start.split(|b| matches!(b, b'\r' | b'\n')).next();
    let line = line.unwrap_or_default();
    let line = &line[..line.len().min(24)];
    if line.len() >= 4 && line.iter().all(|b| (b' '..=b'~').contains(b)) {
        return format!("`{}`", short(&String::from_utf8_lossy(line)));
    }
    let hex: Vec<String> = start.iter().take(8).map(|b| format!("{b:02x}")).collect();
    format!("the bytes {}", hex.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(start: &[u8], name: &str) -> String {
        header_length(start, start.len() as u64, Path::new(name))
            .unwrap_err()
            .to_string()
    }

    #[test]
    fn a_header_length_that_looks_like_a_pickle_or_a_page_is_a_length() {
        // 0x280, the space, `<` and `{` are lengths like any others.
        for length in [0x280u64, 0x0380, b'<'.into(), b'{'.into(), 0x7b20] {
            let bytes = [&length.to_le_bytes()[..], b"{"].concat();
            let found = header_length(&bytes, 9, Path::new("m.pth")).unwrap();
            assert_eq!(found, length);
        }
    }

    #[test]
    fn formats_of_others_are_known_by_content() {
        for (start, what) in [
            (&b"PK\x03\x04\0\0"[..], "a ZIP archive"),
            (b"\x80\x02\x8a\nl\xfc\x9cF\xf9", "a pickle"),
            (b"\x80\x04\x95", "a pickle"),
            (b"\x89HDF\r\n\x1a\n\0", "an HDF5 file"),
            (b"\x81\xa6params\x85", "MessagePack"),
            (b"\xde\x00\x20\xa4bert", "MessagePack"),
            (b"\x08\x07\x12\x07pytorch", "an ONNX model"),
            (b"\x1f\x8b\x08\0\0\0\0\0", "gzip-compressed"),
            (b"<!DOCTYPE html>", "a web page"),
            (b"\xEF\xBB\xBF \r\n<html>", "a web page"),
            (b"{\"error\": \"not found\"}", "JSON text"),
        ] {
            let line = said(start, "x.safetensors");
            assert!(line.contains(what), "{line}");
        }
    }

    #[test]
    fn the_name_speaks_where_the_content_does_not() {
        assert!(said(b"\x01\x02\x03", "x.PTH").contains("torch.load"));
        assert!(said(b"\x01\x02\x03", "x.h5").contains("Keras"));
        assert!(said(b"\x01\x02\x03", "x").contains("too short"));
        assert!(said(&[0; 64], "x").contains("begins with zeros"));
        assert!(said(b"posting_id,title", "x").contains("`posting_id,title`"));
        assert!(said(&[0xFF; 64], "x").contains("the bytes ff ff"));
    }

    #[test]
    fn paths_are_safe_in_a_shell() {
        assert_eq!(argument(Path::new("a/b-1.bin")), "a/b-1.bin");
        assert_eq!(argument(Path::new("a b.bin")), "'a b.bin'");
        assert_eq!(argument(Path::new("-x.bin")), "'./-x.bin'");
        assert_eq!(argument(Path::new("it's $(x).bin")), "'it'\\''s $(x).bin'");
    }
}
