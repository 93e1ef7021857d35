//! `cargo xtask simt`: the simulated card's libraries, and its tests.
//!
//! Every `kernels/<family>/*.cu` is compiled by g++ together with the runtime of `kernels/simt/` into
//! `target/simt/libdoppel_simt_{plain,asan,tsan}.so`. Kernels are found by their declaration
//! `extern "C" __global__ void NAME(`; a generated file beside each source registers them.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::sync::Mutex;
use std::thread;
use std::time::Instant;

use crate::{kernel_sources, planted, root};

/// One of the libraries.
struct Build {
    name: &'static str,
    /// Flags of the kernels' files; the runtime's are compiled without a sanitizer.
    kernels: &'static [&'static str],
    runtime: &'static [&'static str],
    link: &'static [&'static str],
    /// The sanitizer's runtime, which must be loaded before anything else.
    preload: Option<&'static str>,
    options: &'static [(&'static str, &'static str)],
    /// The schedule of tests that set none, where the environment has none either.
    schedule: &'static [(&'static str, &'static str)],
}

/// What finds accesses to memory that should be over, or not be there yet.
const ADVERSE: &[(&str, &str)] = &[
    ("DOPPEL_SIMT_ORDER", "rand:1"),
    ("DOPPEL_SIMT_COPY", "late"),
    ("DOPPEL_SIMT_MATRIX", "late"),
];

const BUILDS: &[Build] = &[
    Build {
        name: "plain",
        kernels: &[
            "-O2",
            "-fsanitize=alignment,bounds",
            "-fsanitize-undefined-trap-on-error",
        ],
        runtime: &[],
        link: &[],
        preload: None,
        options: &[],
        schedule: &[],
    },
    Build {
        name: "asan",
        kernels: &[
            "-O1",
            "-fsanitize=address,undefined",
            "-fsanitize-recover=address,undefined",
            "-fsanitize-sections=simt_shared_*",
            "-DSIMT_ASAN",
        ],
        runtime: &["-DSIMT_ASAN"],
        link: &["-fsanitize=address,undefined"],
        preload: Some("libasan.so"),
        options: &[
            (
                "ASAN_OPTIONS",
                "detect_leaks=0:halt_on_error=0:suppress_equal_pcs=0",
            ),
            ("UBSAN_OPTIONS", "halt_on_error=0:report_error_type=1"),
        ],
        schedule: ADVERSE,
    },
    Build {
        name: "tsan",
        kernels: &[
            "-O1",
            "-fsanitize=thread,alignment,bounds",
            "-fsanitize-undefined-trap-on-error",
            "-DSIMT_TSAN",
        ],
        runtime: &["-DSIMT_TSAN"],
        link: &["-fsanitize=thread"],
        preload: Some("libtsan.so"),
        options: &[(
            "TSAN_OPTIONS",
            "halt_on_error=0:exitcode=0:suppress_equal_stacks=0:suppress_equal_addresses=0:\
             ignore_noninstrumented_modules=1:atexit_sleep_ms=0",
        )],
        // Races do not depend on the order.
        schedule: &[],
    },
];

const FLAGS: &[&str] = &[
    "-std=c++17",
    "-g1",
    "-fPIC",
    "-fvisibility=hidden",
    "-fno-exceptions",
    "-fno-omit-frame-pointer",
    "-fno-strict-aliasing",
    "-fstack-clash-protection",
    "-Wall",
    "-Wextra",
    "-Werror",
    "-Wno-unknown-pragmas",
    "-Wno-psabi",
    "-Ikernels",
];

/// Loops of the runtime stay loops: a call of `memset` would be seen by a sanitizer.
const RUNTIME_FLAGS: &[&str] = &["-O2", "-fno-tree-loop-distribute-patterns"];

/// A file of the library's: where it is, and how it is compiled.
struct Unit {
    /// From `kernels/`.
    path: PathBuf,
    source: PathBuf,
    object: PathBuf,
    flags: Vec<String>,
    /// Changes whenever the object must be made anew.
    key: u64,
}

/// The command `cargo xtask simt [test] [plain|asan|tsan]... [--test NAME]...`, `simt planted` or
/// `simt long`.
pub fn main(words: &[&str]) -> ExitCode {
    let (test, words) = match words {
        ["planted", names @ ..] => return planted::main(names),
        ["long", names @ ..] => return long(names),
        ["test", rest @ ..] => (true, rest),
        all => (false, all),
    };
    let mut builds = Vec::new();
    let mut targets = Vec::new();
    let mut words = words.iter();
    while let Some(word) = words.next() {
        if let Some(build) = BUILDS.iter().find(|b| b.name == *word) {
            builds.push(build);
        } else if let (true, "--test", Some(name)) = (test, *word, words.next()) {
            targets.push(*name);
        } else {
            eprintln!(
                "error: simt knows plain, asan, tsan, and simt test also --test NAME; not {word}"
            );
            return ExitCode::from(2);
        }
    }
    if builds.is_empty() {
        builds = BUILDS.iter().collect();
    }
    if targets.is_empty() {
        targets.extend(["simt", "device"]);
    }
    let mut libraries = Vec::new();
    for build in builds {
        match make(build) {
            Ok(library) => libraries.push((build, library)),
            Err(message) => {
                eprintln!("error: {message}");
                return ExitCode::FAILURE;
            }
        }
    }
    if !test {
        return ExitCode::SUCCESS;
    }
    // The card of a build runs one kernel at a time, so that builds beside each other fill the cores.
    let passed = thread::scope(|scope| {
        let targets = &targets;
        let run = |(build, library)| scope.spawn(move || run_tests(build, library, targets));
        let running: Vec<_> = libraries.iter().map(|(b, l)| run((*b, l))).collect();
        // All are waited for, whatever comes of the first.
        let ended = running.into_iter().map(|one| one.join().unwrap_or(false));
        ended.filter(|passed| !passed).count() == 0
    });
    if !passed {
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

/// The tests of long matrices, or those of `names` alone, on the plain library.
fn long(names: &[&str]) -> ExitCode {
    let library = match make_plain() {
        Ok(library) => library,
        Err(message) => {
            eprintln!("error: {message}");
            return ExitCode::FAILURE;
        }
    };
    let began = Instant::now();
    let mut command = Command::new("cargo");
    command.args(["test", "--no-default-features", "--test", "device", "--"]);
    match names {
        [] => command.arg("long::"),
        names => command.args(names.iter().map(|name| format!("long::{name}"))),
    };
    // One at a time, so that each one's seconds are its own.
    command.args(["--test-threads", "1", "--show-output"]);
    command
        .env("DOPPEL_SIMT", library)
        .env("DOPPEL_SIMT_REQUIRED", "1")
        .env("DOPPEL_SIMT_LONG", "1")
        .current_dir(root());
    let passed = command.status().is_ok_and(|status| status.success());
    println!("long matrices: {:.1} s", began.elapsed().as_secs_f64());
    match passed {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}

/// Builds one library, or finds that it is up to date.
fn make(build: &Build) -> Result<PathBuf, String> {
    let began = Instant::now();
    let folder = root().join("target/simt").join(build.name);
    let library = root().join(format!("target/simt/libdoppel_simt_{}.so", build.name));
    let units = units(build, &folder)?;
    let old: Vec<&Unit> = units
        .iter()
        .filter(|unit| !is_current(&unit.object, unit.key))
        .collect();
    compile(&old)?;
    let mut key = DefaultHasher::new();
    units
        .iter()
        .for_each(|unit| (&unit.object, unit.key).hash(&mut key));
    let key = key.finish();
    if old.is_empty() && is_current(&library, key) {
        println!("{} is up to date", library.display());
        return Ok(library);
    }
    link(build, &units, &library)?;
    keep_key(&library, key)?;
    println!(
        "{} built in {:.1} s ({} of {} files compiled)",
        library.display(),
        began.elapsed().as_secs_f64(),
        old.len(),
        units.len()
    );
    Ok(library)
}

fn link(build: &Build, units: &[Unit], library: &Path) -> Result<(), String> {
    let mut linker = compiler();
    linker
        .args(["-shared", "-Wl,--no-undefined", "-o"])
        .arg(library)
        .args(build.link);
    linker
        .args(units.iter().map(|unit| &unit.object))
        .args(["-ldl", "-lpthread"]);
    run(&mut linker)
}

/// The plain library, up to date.
pub fn make_plain() -> Result<PathBuf, String> {
    make(&BUILDS[0])
}

/// The plain library with `text` in place of the kernel source `file` (from `kernels/`); what does not
/// include that file is taken as it was compiled for the plain library, which must be up to date.
pub fn make_variant(name: &str, file: &str, text: &str) -> Result<PathBuf, String> {
    let build = &BUILDS[0];
    let folder = root().join("target/simt/planted").join(name);
    let replaced = folder.join(file);
    let place = replaced.parent().unwrap_or(&folder);
    fs::create_dir_all(place).map_err(|e| said(e, place))?;
    fs::write(&replaced, text).map_err(|e| said(e, &replaced))?;
    let mut units = units(build, &root().join("target/simt").join(build.name))?;
    let changed = Path::new("kernels").join(file);
    for unit in &mut units {
        let source = Path::new("kernels").join(&unit.path);
        let included = kernel_sources::closure(root().as_path(), &source);
        if included.map_err(|e| said(e, &source))?.contains(&changed) {
            unit.object = folder.join(unit.object.file_name().unwrap_or_default());
            // Looked at before the folders of -I. A bug may leave a name without use.
            unit.flags.push(format!("-iquote{}", folder.display()));
            unit.flags.push("-w".into());
        }
    }
    let own: Vec<&Unit> = units
        .iter()
        .filter(|unit| unit.object.starts_with(&folder))
        .collect();
    compile(&own)?;
    let library = folder.join(format!("libdoppel_simt_{name}.so"));
    link(build, &units, &library)?;
    Ok(library)
}

/// Every file that goes into the library.
fn units(build: &Build, folder: &Path) -> Result<Vec<Unit>, String> {
    fs::create_dir_all(folder).map_err(|e| said(e, folder))?;
    let sources = sources()?;
    let mut shared = DefaultHasher::new();
    compiler_version()?.hash(&mut shared);
    FLAGS.hash(&mut shared);
    for (path, text) in &sources {
        if has_ending(path, &["h", "cuh"]) {
            (path, text).hash(&mut shared);
        }
    }
    let shared = shared.finish();
    let mut units = Vec::new();
    let mut seen: BTreeMap<String, PathBuf> = BTreeMap::new();
    for (path, text) in &sources {
        let stem = stem_of(path);
        let is_kernel = has_ending(path, &["cu"]);
        if !is_kernel && !has_ending(path, &["cpp"]) {
            continue;
        }
        let flags: Vec<String> = if is_kernel {
            build.kernels.iter().map(ToString::to_string).collect()
        } else {
            RUNTIME_FLAGS
                .iter()
                .chain(build.runtime)
                .map(ToString::to_string)
                .collect()
        };
        let mut source = root().join("kernels").join(path);
        if is_kernel {
            let names = kernels_in(text);
            for name in &names {
                if let Some(other) = seen.insert(name.clone(), path.clone()) {
                    return Err(format!(
                        "{name} is in {} and {}",
                        other.display(),
                        path.display()
                    ));
                }
            }
            source = folder.join(format!("{stem}.cpp"));
            write_changed(&source, &registration(path, &stem, &names))?;
        }
        let mut key = DefaultHasher::new();
        (shared, path, text, &flags).hash(&mut key);
        let object = folder.join(format!("{stem}.o"));
        units.push(Unit {
            path: path.clone(),
            source,
            object,
            flags,
            key: key.finish(),
        });
    }
    Ok(units)
}

/// All sources under `kernels/`, by their path in it, in order.
fn sources() -> Result<BTreeMap<PathBuf, String>, String> {
    let top = root().join("kernels");
    let mut found = BTreeMap::new();
    let mut open = vec![top.clone()];
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(&folder).map_err(|e| said(e, &folder))? {
            let path = entry.map_err(|e| said(e, &folder))?.path();
            if path.is_dir() {
                open.push(path);
            } else if has_ending(&path, &["cu", "cuh", "h", "cpp"]) {
                let text = fs::read_to_string(&path).map_err(|e| said(e, &path))?;
                let inner = path.strip_prefix(&top).unwrap_or(&path).to_path_buf();
                found.insert(inner, text);
            }
        }
    }
    Ok(found)
}

/// The kernels that a source declares.
fn kernels_in(source: &str) -> Vec<String> {
    let code: Vec<&str> = source
        .lines()
        .map(|l| l.split("//").next().unwrap_or(""))
        .collect();
    let code = code.join("\n");
    let is_name = |c: char| c.is_alphanumeric() || c == '_';
    let mut names = Vec::new();
    for (at, start) in code.match_indices("extern \"C\" __global__ void") {
        let mut rest = code[at + start.len()..].trim_start();
        if let Some(bounds) = rest.strip_prefix("__launch_bounds__") {
            rest = bounds
                .split_once(')')
                .map_or("", |(_, after)| after)
                .trim_start();
        }
        let end = rest.find(|c| !is_name(c)).unwrap_or(rest.len());
        if rest[end..].trim_start().starts_with('(') {
            names.push(rest[..end].to_owned());
        }
    }
    names
}

/// The file that is compiled for a kernel's source: the source itself, and its kernels' registration.
fn registration(path: &Path, stem: &str, names: &[String]) -> String {
    let family = path
        .iter()
        .next()
        .map(|f| f.to_string_lossy())
        .unwrap_or_default();
    let mut text = format!(
        "// Made by `cargo xtask simt` from kernels/{source}.\n\
         #define SIMT_SHARED_SECTION \"simt_shared_{stem}\"\n\
         #include \"{source}\"\n\
         #include \"simt/runtime.h\"\n\
         extern \"C\" __attribute__((weak, visibility(\"hidden\")))\n\
         unsigned char __start_simt_shared_{stem}[], __stop_simt_shared_{stem}[];\n",
        source = path.display(),
    );
    for name in names {
        let _ = writeln!(
            text,
            "static simt::Register register_{name}(\"{family}\", \"{name}\", \"{source}\", simt::Entry<&{name}>::call,\n    \
             simt::Entry<&{name}>::ARGUMENTS, __start_simt_shared_{stem}, __stop_simt_shared_{stem});",
            source = path.display(),
        );
    }
    text
}

/// Compiles the units, as many at a time as there are cores.
fn compile(units: &[&Unit]) -> Result<(), String> {
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    let next = Mutex::new(units.iter());
    let take = || next.lock().ok().and_then(|mut units| units.next().copied());
    let work = || {
        while let Some(unit) = take() {
            let mut command = compiler();
            command
                .arg(format!("-ffile-prefix-map={}/=", root().display()))
                .args(FLAGS);
            command
                .args(&unit.flags)
                .arg("-c")
                .arg(&unit.source)
                .arg("-o")
                .arg(&unit.object);
            run(&mut command)?;
            check_sections(unit)?;
            keep_key(&unit.object, unit.key)?;
        }
        Ok(())
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..workers).map(|_| scope.spawn(work)).collect();
        threads
            .into_iter()
            .map(|thread| {
                thread
                    .join()
                    .unwrap_or_else(|_| Err("a compiling thread broke".into()))
            })
            .fold(Ok(()), Result::and)
    })
}

/// Refuses a kernel's object with a function's static variable outside the section of shared memory:
/// g++ gives no section to the variables of templates, so the card would not know it as shared memory.
fn check_sections(unit: &Unit) -> Result<(), String> {
    if unit.source.starts_with(root().join("kernels")) {
        return Ok(());
    }
    let mut command = Command::new("nm");
    command
        .args(["--demangle", "--defined-only"])
        .arg(&unit.object);
    let out = command
        .output()
        .map_err(|e| format!("nm did not start: {e}"))?;
    let text = String::from_utf8_lossy(&out.stdout);
    // `ADDRESS b NAMESPACE::FUNCTION(PARAMETERS)::VARIABLE`: b is memory that starts as zeros.
    let stray = text.lines().find(|line| {
        let name = line.split_once(" b ").map_or("", |(_, name)| name);
        name.contains(")::") && !name.starts_with("guard variable")
    });
    match stray {
        None => Ok(()),
        Some(line) => Err(format!(
            "{}: {line}: shared memory of a template; declare it in a function that is none",
            unit.source.display()
        )),
    }
}

/// Runs the tests on one library. They go through the schedules themselves.
fn run_tests(build: &Build, library: &Path, targets: &[&str]) -> bool {
    let began = Instant::now();
    let mut runner = vec!["env".to_owned()];
    runner.extend(
        build
            .options
            .iter()
            .map(|(name, value)| format!("{name}={value}")),
    );
    if let Some(runtime) = build.preload {
        let found = compiler()
            .arg(format!("-print-file-name={runtime}"))
            .output();
        let path = found.map(|out| String::from_utf8_lossy(&out.stdout).trim().to_owned());
        runner.push(format!(
            "LD_PRELOAD={}",
            path.unwrap_or_else(|_| runtime.to_owned())
        ));
    }
    let config = format!("target.\"cfg(all())\".runner = {runner:?}");
    let mut command = Command::new("cargo");
    command.args(["test", "--no-default-features", "--config", &config]);
    command.args(targets.iter().flat_map(|name| ["--test", name]));
    command
        .env("DOPPEL_SIMT", library)
        .env("DOPPEL_SIMT_REQUIRED", "1")
        // The race detector's frames are large.
        .env("RUST_MIN_STACK", (64 << 20).to_string())
        .current_dir(root());
    let unset = |(name, _): &&(&str, &str)| std::env::var_os(name).is_none();
    command.envs(build.schedule.iter().filter(unset).copied());
    // Told in one piece, since another build's tests may run meanwhile.
    let ran = command.output();
    println!("{}: {}", build.name, targets.join(", "));
    let passed = match ran {
        Ok(ran) => {
            print!("{}", String::from_utf8_lossy(&ran.stdout));
            eprint!("{}", String::from_utf8_lossy(&ran.stderr));
            ran.status.success()
        }
        Err(error) => {
            eprintln!("error: cargo did not start: {error}");
            false
        }
    };
    let outcome = if passed { "passed" } else { "FAILED" };
    println!(
        "{}: {outcome} in {:.1} s",
        build.name,
        began.elapsed().as_secs_f64()
    );
    passed
}

fn compiler() -> Command {
    let mut command = Command::new("g++");
    command.current_dir(root());
    command
}

fn compiler_version() -> Result<Vec<u8>, String> {
    let out = compiler().arg("--version").output().map_err(|e| {
        format!("g++ did not start ({e}); install it (Debian: apt-get install g++)")
    })?;
    Ok(out.stdout)
}

fn run(command: &mut Command) -> Result<(), String> {
    let line = format!("{command:?}");
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("{line} failed ({status})")),
        Err(error) => Err(format!("{line} did not start: {error}")),
    }
}

/// Whether `made` was made with this key. The key stands beside it.
fn is_current(made: &Path, key: u64) -> bool {
    made.exists() && fs::read_to_string(key_path(made)).is_ok_and(|k| k == key.to_string())
}

fn keep_key(made: &Path, key: u64) -> Result<(), String> {
    let path = key_path(made);
    fs::write(&path, key.to_string()).map_err(|e| said(e, &path))
}

fn key_path(made: &Path) -> PathBuf {
    let mut name = made.as_os_str().to_owned();
    name.push(".key");
    name.into()
}

fn write_changed(path: &Path, text: &str) -> Result<(), String> {
    if fs::read_to_string(path).is_ok_and(|old| old == text) {
        return Ok(());
    }
    fs::write(path, text).map_err(|e| said(e, path))
}

/// `norm/row_normalize.cu` -> `norm_row_normalize`.
fn stem_of(path: &Path) -> String {
    let name = path.with_extension("").display().to_string();
    name.chars()
        .map(|c| if c.is_alphanumeric() { c } else { '_' })
        .collect()
}

fn has_ending(path: &Path, endings: &[&str]) -> bool {
    path.extension()
        .is_some_and(|e| endings.iter().any(|ending| e == *ending))
}

fn said(error: io::Error, path: &Path) -> String {
    format!("{}: {error}", path.display())
}

#[cfg(test)]
mod tests {
    use super::kernels_in;

    #[test]
    fn kernels_are_found_by_their_declaration() {
        let source = "\
            extern \"C\" __global__ void plain(const float* x) {}\n\
            extern \"C\" __global__ void __launch_bounds__(256, 2)\n  bounded(int n) {}\n\
            extern \"C\" __global__ void\nbelow (int n) {}\n\
            // extern \"C\" __global__ void commented(int n) {}\n\
            __global__ void templated(int n) {}\n";
        assert_eq!(kernels_in(source), ["plain", "bounded", "below"]);
    }
}
