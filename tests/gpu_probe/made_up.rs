//! Builds the made-up libcuda and runs children with it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A folder with a libcuda in it, and a log of what was asked of that.
pub struct Library {
    folder: tempfile::TempDir,
}

/// Whether gcc can be started; says so where it cannot.
fn gcc() -> bool {
    let there = Command::new("gcc")
        .arg("--version")
        .output()
        .is_ok_and(|out| out.status.success());
    if !there {
        println!("skipped: gcc is not there to build the made-up libcuda");
    }
    there
}

impl Library {
    /// Builds the library with `flags`, or says that the test is skipped.
    pub fn build(flags: &[&str]) -> Option<Library> {
        if !gcc() {
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        let source = folder.path().join("fake_libcuda.c");
        fs::write(&source, include_str!("fake_libcuda.c")).unwrap();
        let out = Command::new("gcc")
            .args([
                "-std=gnu11",
                "-Wall",
                "-Wextra",
                "-Werror",
                "-O1",
                "-shared",
                "-fPIC",
            ])
            .args(flags)
            .arg("-o")
            .arg(folder.path().join("libcuda.so.1"))
            .arg(&source)
            .output()
            .unwrap();
        assert!(
            out.status.success(),
            "{}",
            String::from_utf8_lossy(&out.stderr)
        );
        // Where a real driver is installed, this name would be found there first.
        fs::copy(
            folder.path().join("libcuda.so.1"),
            folder.path().join("libcuda.so"),
        )
        .unwrap();
        Some(Library { folder })
    }

    /// A folder where the names of libcuda are files that no loader takes, so that a real driver
    /// behind it in the search stays hidden.
    pub fn broken() -> Library {
        let folder = tempfile::tempdir().unwrap();
        for name in ["libcuda.so", "libcuda.so.1"] {
            fs::write(
                folder.path().join(name),
                "no library at all, but long enough ".repeat(99),
            )
            .unwrap();
        }
        Library { folder }
    }

    /// Runs a child with this library and these variables: what it printed after `OUT `, line by
    /// line, and the library's log. A child that fails fails the test.
    pub fn run(&self, scenario: &str, set: &[(&str, &str)]) -> (Vec<String>, Vec<String>) {
        let log = self.log();
        let _ = fs::remove_file(&log);
        let mut command = Command::new(std::env::current_exe().unwrap());
        command
            .args(["--exact", "child", "--nocapture", "--test-threads=1"])
            .env_remove("DOPPEL_NO_GPU")
            .env("DOPPEL_TEST_CHILD", scenario)
            .env("LD_LIBRARY_PATH", self.folder.path())
            .env("FAKE_LOG", &log);
        for (name, value) in set {
            command.env(name, value);
        }
        let out = command.output().unwrap();
        let said = String::from_utf8_lossy(&out.stdout).into_owned();
        let complaint = String::from_utf8_lossy(&out.stderr);
        assert!(
            out.status.success(),
            "{scenario} {set:?}:\n{said}\n{complaint}"
        );
        let log = fs::read_to_string(&log).unwrap_or_default();
        // The test's own name may stand before the first line.
        let out = said.lines().filter_map(|line| line.split_once("OUT "));
        let out = out.map(|(_, line)| line.to_string()).collect();
        (out, log.lines().map(str::to_string).collect())
    }

    fn log(&self) -> PathBuf {
        self.folder.path().join("log")
    }
}

/// NVIDIA's own header checks that the made-up functions have the driver's signatures.
#[test]
fn the_made_up_driver_has_the_signatures_of_the_real_one() {
    let include =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("target/cuda-toolkit/nvidia/cu13/include");
    if !include.join("cuda.h").is_file() {
        println!("skipped: no cuda.h; run: cargo xtask cuda-toolkit");
        return;
    }
    let include = format!("-I{}", include.display());
    let _ = Library::build(&["-DFAKE_HEADER", &include]);
}
