//! `run.sh` with made-up binaries in place of the real ones.

use super::*;

/// A bundle whose programs are shell scripts.
struct Fake {
    folder: tempfile::TempDir,
}

const NO_CARD: &str =
    r#"{"device":"cpu","gpu":{"available":false,"cards":[],"reason":"no GPU: made up"}}"#;
const CARD: &str = r#"{"device":"cuda","gpu":{"available":true,"cards":[{"compute_capability":90,"memory_bytes":1,"name":"Made-up 90"}]},"kernels":[]}"#;
const PASSED: &str = "echo 'test result: ok. 7 passed; 0 failed; 0 ignored'";

impl Fake {
    /// The engine says `info`; its bench writes a record.
    fn new(info: &str) -> Fake {
        let fake = Fake {
            folder: tempfile::tempdir().unwrap(),
        };
        fs::create_dir(fake.folder.path().join("bin")).unwrap();
        fs::write(fake.folder.path().join("run.sh"), RUN).unwrap();
        fs::write(
            fake.folder.path().join("manifest.json"),
            "{\"commit\":\"abc\"}",
        )
        .unwrap();
        let engine = format!(
            "case $1 in info) cat <<'END'\n{info}\nEND\n;; bench) while [ $1 != --out ]; do shift; done; \
             echo '{{\"results\":[]}}' >$2 ;; esac"
        );
        fake.program("bin/engine", &engine);
        fake.program("bin/device", PASSED);
        fake.program("bin/gpu_probe", PASSED);
        fake.program("bin/cublas", "echo 'error: no cuBLAS'; exit 2");
        fake.program(
            "bin/whole_job",
            "while [ $1 != --out ]; do shift; done; echo '{\"seconds\":9}' >$2",
        );
        // A python3 without anything, before the real one.
        fake.program("python3", "echo 'error: no PyTorch' >&2; exit 2");
        fake
    }

    /// Written by a child: a script that this process had open could still be so in one forked
    /// meanwhile by another test, and would not start.
    fn program(&self, name: &str, text: &str) {
        use std::io::Write;
        let mut child = Command::new("sh")
            .args(["-c", "cat >\"$0\" && chmod 755 \"$0\""])
            .arg(self.folder.path().join(name))
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        let script = format!("#!/bin/sh\n{text}\n");
        child
            .stdin
            .take()
            .unwrap()
            .write_all(script.as_bytes())
            .unwrap();
        assert!(child.wait().unwrap().success());
    }

    /// The exit code, what was said, and the record.
    fn run(&self) -> (i32, String, Option<Value>) {
        let folder = self.folder.path();
        let path = std::env::var("PATH").unwrap_or_default();
        let out = Command::new("sh")
            .arg(folder.join("run.sh"))
            .arg("record.json")
            .env("PATH", format!("{}:{path}", folder.display()))
            .current_dir(folder)
            .output()
            .unwrap();
        let record = fs::read_to_string(folder.join("record.json")).ok();
        let record = record.map(|text| serde_json::from_str(&text).unwrap());
        let said = String::from_utf8_lossy(&out.stderr).into_owned();
        (out.status.code().unwrap(), said, record)
    }
}

#[test]
fn without_a_card_it_says_so_and_ends_with_two() {
    let fake = Fake::new(NO_CARD);
    fake.program("bin/device", "touch ran");
    let (code, said, record) = fake.run();
    assert_eq!(code, 2, "{said}");
    assert_eq!(said, "error: nothing was run: no GPU: made up\n");
    assert!(record.is_none() && !fake.folder.path().join("ran").exists());
    fake.program("bin/engine", "exit 1");
    let (code, said, _) = fake.run();
    assert!(code == 2 && said.contains("does not run here"), "{said}");
}

#[test]
fn on_a_card_the_record_has_every_part() {
    let fake = Fake::new(CARD);
    let (code, said, record) = fake.run();
    assert_eq!(code, 0, "{said}");
    let record = record.unwrap();
    assert_eq!(record["card"], "Made-up 90");
    assert_eq!(record["manifest"]["commit"], "abc");
    let seven = json!({"exit": 0, "passed": 7, "failed": 0});
    assert_eq!(record["tests"]["device"], seven);
    assert_eq!(record["tests"]["gpu_probe"], seven);
    for part in ["checked", "bench"] {
        assert_eq!(record[part], json!({"results": []}), "{part}");
    }
    for part in ["cublas", "torch", "sanitizer"] {
        assert_eq!(record[part], Value::Null, "{part}");
    }
    assert_eq!(record["whole_job"]["seconds"], 9, "{said}");
    assert_eq!(record["date"].as_str().unwrap().len(), 10);
    assert!(said.contains("cublas: not run: error: no cuBLAS"), "{said}");
}

#[test]
fn the_tools_that_are_there_are_used() {
    let fake = Fake::new(CARD);
    fake.program("bin/cublas", "echo '{\"cublaslt\":1}' >$2");
    fake.program(
        "python3",
        "case $1 in *torch_gpu.py) echo '{\"torch\":\"3\"}' ;; esac",
    );
    // Of the three tools one finds something.
    fake.program(
        "compute-sanitizer",
        "[ $2 = racecheck ] && exit 9; shift 4; exec \"$@\"",
    );
    let (code, said, record) = fake.run();
    assert_eq!(code, 1, "{said}");
    let record = record.unwrap();
    assert_eq!(record["cublas"]["cublaslt"], 1);
    assert_eq!(record["torch"]["torch"], "3");
    let exits =
        ["memcheck", "racecheck", "synccheck"].map(|c| record["sanitizer"][c]["exit"].clone());
    assert_eq!(exits, [json!(0), json!(9), json!(0)]);
}

#[test]
fn a_failed_test_is_recorded_and_ends_with_one() {
    let fake = Fake::new(CARD);
    let failed = "echo 'test result: FAILED. 5 passed; 2 failed; 0 ignored'; exit 101";
    fake.program("bin/device", failed);
    let (code, said, record) = fake.run();
    assert_eq!(code, 1, "{said}");
    let tests = &record.unwrap()["tests"]["device"];
    assert_eq!(*tests, json!({"exit": 101, "passed": 5, "failed": 2}));
}

#[test]
fn the_executable_is_found_in_cargos_messages() {
    let messages = "noise\n\
        {\"reason\":\"compiler-artifact\",\"target\":{\"name\":\"device\"},\"executable\":null}\n\
        {\"reason\":\"compiler-artifact\",\"target\":{\"name\":\"device\"},\"executable\":\"/a/device-1\"}\n\
        {\"reason\":\"build-finished\",\"success\":true}\n";
    assert_eq!(
        executable_of(messages, "device"),
        Some(PathBuf::from("/a/device-1"))
    );
    assert_eq!(executable_of(messages, "engine"), None);
}
