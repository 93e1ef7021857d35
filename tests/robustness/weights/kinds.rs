//! What people have instead of weights.

use super::*;

fn opened(path: &Path) -> Result<WeightFile, Error> {
    WeightFile::open(path, MAP)
}

#[test]
fn common_mistakes_are_called_by_their_name() {
    let place = Place::new();
    let pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 102469840\n";
    for (name, bytes, words) in [
        ("model.safetensors", &b""[..], "is an empty file"),
        (
            "model.safetensors",
            pointer,
            "is a Git LFS pointer, not the weights of 102469840 bytes",
        ),
        (
            "model.safetensors",
            b"\n<!doctype html>\n<html>",
            "is a web page",
        ),
        (
            "model.safetensors",
            b"{\"error\":\"Repository not found\"}",
            "is JSON text",
        ),
        (
            "model.safetensors",
            b"Entry not found",
            "begins with `Entry not found`",
        ),
        ("model.safetensors", &[0; 4096], "begins with zeros"),
        (
            "model.safetensors",
            b"\x89HDF\r\n\x1a\n\0\0\0\0",
            "an HDF5 file",
        ),
        ("model.safetensors", b"GGUF\x03\0\0\0\0\0", "a GGUF file"),
        ("tf_model.h5", b"\x01\x02\x03", "a Keras file"),
        ("flax_model.msgpack", b"\x01\x02\x03", "a Flax file"),
        ("model.onnx", b"\x01\x02\x03", "an ONNX model"),
    ] {
        let path = place.put(name, bytes);
        says(opened(&path), name, words);
    }
    says(
        opened(&place.path().join("none.safetensors")),
        "none.safetensors",
        "hf download",
    );
    says(
        opened(Path::new("/dev/null")),
        "/dev/null",
        "is not a regular file",
    );
}

#[test]
fn a_pipe_does_not_make_anybody_wait() {
    use std::os::unix::ffi::OsStrExt;
    let place = Place::new();
    let pipe = place.path().join("pipe.safetensors");
    let name = std::ffi::CString::new(pipe.as_os_str().as_bytes()).unwrap();
    // SAFETY: `name` is a NUL-terminated path that lives through the call.
    assert_eq!(unsafe { libc::mkfifo(name.as_ptr(), 0o600) }, 0);
    says(opened(&pipe), "pipe.safetensors", "is not a regular file");
}

#[test]
fn pickles_are_refused_with_the_command_that_converts_them() {
    let place = Place::new();
    let zip = b"PK\x03\x04\0\0\x08\x08\0\0\0\0\0\0archive/data.pkl";
    let pickle = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02M\xe9\x03.";
    for (name, bytes) in [
        ("pytorch_model.bin", &zip[..]),
        ("resnet50.pth", pickle),
        ("last.ckpt", zip),
        ("x.pt", b"\x01\x02"),
        ("renamed.safetensors", zip),
        ("renamed.safetensors", pickle),
        ("no_ending", pickle),
    ] {
        let path = place.put(name, bytes);
        let error = opened(&path).err().expect("an error");
        let line = clear(&error, name);
        assert_eq!(error.kind(), Kind::Unsupported);
        for part in [
            "python -c \"",
            "torch.load(",
            "weights_only=True",
            "save_file(",
            "contiguous()",
        ] {
            assert!(line.contains(part), "{part} is not in: {line}");
        }
        let to = match name {
            "renamed.safetensors" => path.with_extension("converted.safetensors"),
            _ => path.with_extension("safetensors"),
        };
        assert!(
            line.ends_with(&format!(" {} {}", path.display(), to.display())),
            "{line}"
        );
        // What stands between the quotes must reach Python as it is.
        let script = line.split('"').nth(1).unwrap();
        assert!(!script.contains(['$', '`', '\\', '!']), "{script}");
    }
}

#[test]
fn the_content_decides_and_not_the_name() {
    let place = Place::new();
    let good = file(&[("a", &[1], &[4.0])]);
    for name in ["w.bin", "w", "w.safetensors"] {
        let weights = opened(&place.put(name, &good)).unwrap();
        assert_eq!(values(&weights, "a").unwrap(), [4.0]);
    }
    // A header of 640 bytes: the file begins with 80 02, as a pickle does.
    let header = format!("{{{}}}", entry("a", "F32", &[1], 0, 4));
    let padded = header.clone() + &" ".repeat(640 - header.len());
    let bytes = raw(&padded, &4.0f32.to_le_bytes());
    assert_eq!(&bytes[..2], b"\x80\x02");
    let weights = place.open(&bytes).unwrap();
    assert_eq!(values(&weights, "a").unwrap(), [4.0]);
}

#[test]
fn a_folder_stands_for_the_model_in_it() {
    let place = Place::new();
    says(
        opened(place.path()),
        &place.path().display().to_string(),
        "holds no model.safetensors",
    );
    place.put("b.safetensors", &file(&[("a", &[1], &[2.0])]));
    place.put("a.safetensors", &file(&[("a", &[1], &[2.0])]));
    says(
        opened(place.path()),
        "",
        "name the file itself, such as a.safetensors",
    );
    place.put("pytorch_model.bin", b"PK\x03\x04");
    says(
        opened(place.path()),
        "",
        "its pytorch_model.bin is a pickle",
    );
    let to = format!(" {}", place.path().join("model.safetensors").display());
    assert!(
        opened(place.path())
            .err()
            .unwrap()
            .to_string()
            .ends_with(&to)
    );
    place.put("model.safetensors", &file(&[("a", &[1], &[3.0])]));
    let weights = opened(place.path()).unwrap();
    assert_eq!(values(&weights, "a").unwrap(), [3.0]);
    assert_eq!(weights.path(), place.path().join("model.safetensors"));
    // A folder of that name is no file.
    let other = Place::new();
    std::fs::create_dir(other.path().join("model.safetensors")).unwrap();
    says(opened(other.path()), "model.safetensors", "is a folder");
}
