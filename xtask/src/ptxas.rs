//! Reads what `ptxas -v` says of a compiled file, and says what of it fails the build. Shared by
//! `build.rs` and `cargo xtask`.
//!
//! Local memory (spilled registers, a stack frame) is the card's slowest, so no kernel may use it. A
//! portable file in which it is meant says so in a line that starts with [`MEANT`] and gives the reason;
//! in a tuned kernel, named `sm80_*` or `sm90_*` or in a file of such a name, it is an error always.

use std::collections::BTreeSet;

/// What one compilation said.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// The entry points by symbol, over all architectures.
    pub kernels: BTreeSet<String>,
    /// What each kernel takes on each architecture, in order.
    pub used: Vec<Used>,
    /// Local memory: the kernel's name, and a line on its spilled registers and stack frame.
    pub slow: Vec<(String, String)>,
    /// Messages C7500 to C7599: wgmma instructions that run one after the other, or need waits.
    pub serialised: Vec<String>,
}

/// What one kernel takes of a multiprocessor.
#[derive(Debug, Default, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Used {
    /// The entry point.
    pub kernel: String,
    /// `sm_80` or `sm_90a`.
    pub arch: String,
    /// Registers of a thread.
    pub registers: u64,
    /// Bytes of static shared memory of a block; what a launch adds is the launcher's affair.
    pub shared: u64,
}

/// How the line starts that says why a portable file's kernels use local memory.
pub const MEANT: &str = "// Local memory: ";

/// What fails the build in what `ptxas` said of the file `stem` with the text `source`; else the
/// warnings that it leaves.
///
/// # Errors
/// One line: serialised wgmma, local memory that is not meant, no kernel, or a mangled name.
pub fn check(report: &Report, stem: &str, source: &str) -> Result<Vec<String>, String> {
    let telling = report
        .serialised
        .iter()
        .find(|line| line.contains("serialized"));
    if let Some(line) = telling.or(report.serialised.first()) {
        return Err(format!("wgmma runs one after the other: {line}"));
    }
    if report.kernels.is_empty() {
        return Err("no kernel in it".into());
    }
    if let Some(name) = report.kernels.iter().find(|name| name.starts_with("_Z")) {
        return Err(format!("{name} is a kernel without extern \"C\""));
    }
    let meant = source.lines().any(|line| {
        line.strip_prefix(MEANT)
            .is_some_and(|why| !why.trim().is_empty())
    });
    for (kernel, line) in &report.slow {
        if tuned(stem) || tuned(kernel) {
            return Err(format!("{line}; a tuned kernel may use none"));
        }
        if !meant {
            return Err(format!(
                "{line}; use less, or say why in a line `{MEANT}REASON` of the file"
            ));
        }
    }
    Ok(report.slow.iter().map(|(_, line)| line.clone()).collect())
}

/// Whether a file or a kernel of this name is written for one generation of cards.
fn tuned(name: &str) -> bool {
    name.starts_with("sm80_") || name.starts_with("sm90_")
}

/// Reads the log of `nvcc -Xptxas=-v`.
pub fn read(log: &str) -> Report {
    let mut report = Report::default();
    let (mut kernel, mut arch) = (String::from("?"), String::from("?"));
    for line in log.lines() {
        if let Some(rest) = line.split("Compiling entry function '").nth(1) {
            let mut quoted = rest.split('\'');
            kernel = quoted.next().unwrap_or_default().to_string();
            arch = quoted.nth(1).unwrap_or_default().to_string();
            report.kernels.insert(kernel.clone());
        } else if line.contains("bytes stack frame") {
            let numbers: Vec<u64> = line
                .split_whitespace()
                .filter_map(|word| word.parse().ok())
                .collect();
            if let [stack, stores, loads] = numbers[..]
                && stack + stores + loads > 0
            {
                let line = format!(
                    "{kernel} for {arch} uses local memory: {stack} bytes of stack, {stores} spilled, \
                     {loads} loaded back"
                );
                report.slow.push((kernel.clone(), line));
            }
        } else if let Some(registers) = before(line, " registers") {
            report.used.push(Used {
                kernel: kernel.clone(),
                arch: arch.clone(),
                registers,
                shared: before(line, " bytes smem").unwrap_or(0),
            });
        } else if is_serialised(line) {
            report.serialised.push(line.trim().to_string());
        }
    }
    report
}

/// The number right before `words`.
fn before(line: &str, words: &str) -> Option<u64> {
    let front = line.split_once(words)?.0;
    front.rsplit([' ', ',']).next()?.parse().ok()
}

/// Whether a line has a message `(C75..)`.
fn is_serialised(line: &str) -> bool {
    line.match_indices("(C75").any(|(at, start)| {
        let rest = line.as_bytes().get(at + start.len()..at + start.len() + 3);
        matches!(rest, Some([a, b, b')']) if a.is_ascii_digit() && b.is_ascii_digit())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: &str = "\
ptxas info    : (C7511) Potential Performance Loss: wgmma.mma_async instructions are serialized
ptxas info    : 0 bytes gmem
ptxas info    : Compiling entry function 'spills' for 'sm_80'
ptxas info    : Function properties for spills
    648 bytes stack frame, 708 bytes spill stores, 1116 bytes spill loads
ptxas info    : Used 32 registers, used 1 barriers, 648 bytes cumulative stack size
ptxas info    : Compiling entry function 'fill_f32' for 'sm_90a'
ptxas info    : Function properties for fill_f32
    0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads
ptxas info    : Used 9 registers, used 0 barriers, 8320 bytes smem, 368 bytes cmem[0]
";
    const FINE: &str = "\
ptxas info    : Compiling entry function 'fill' for 'sm_80'
    0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads
ptxas info    : Used 9 registers
";

    #[test]
    fn entries_spills_and_serialised_instructions_are_found() {
        let report = read(LOG);
        let names: Vec<&String> = report.kernels.iter().collect();
        assert_eq!(names, ["fill_f32", "spills"]);
        assert_eq!(
            report.slow,
            [(
                "spills".to_string(),
                "spills for sm_80 uses local memory: 648 bytes of stack, 708 spilled, 1116 loaded back"
                    .to_string()
            )]
        );
        assert_eq!(report.serialised.len(), 1);
        assert!(report.serialised[0].contains("(C7511)"));
        let used: Vec<(&str, u64, u64)> = report
            .used
            .iter()
            .map(|u| (u.arch.as_str(), u.registers, u.shared))
            .collect();
        assert_eq!(used, [("sm_80", 32, 0), ("sm_90a", 9, 8320)]);
    }

    #[test]
    fn what_fails_the_build_is_one_clear_line() {
        let fails = |log: &str, stem: &str, source: &str| check(&read(log), stem, source).err();
        assert_eq!(check(&read(FINE), "sm90_x", ""), Ok(Vec::new()));
        let said = fails(LOG, "x", "").unwrap_or_default();
        assert!(
            said.contains("one after the other") && said.contains("C7511"),
            "{said}"
        );
        assert_eq!(fails("", "x", "").as_deref(), Some("no kernel in it"));
        let said = fails(&FINE.replace("fill", "_Z4fillv"), "x", "").unwrap_or_default();
        assert!(said.contains("extern"), "{said}");

        let spills = FINE.replace("0 bytes stack", "8 bytes stack");
        let meant = format!("{MEANT}the rows' own lists");
        let said = fails(&spills, "fill", "").unwrap_or_default();
        assert!(
            said.starts_with("fill for sm_80 uses local memory: 8 bytes of stack"),
            "{said}"
        );
        assert!(said.contains(MEANT), "{said}");
        assert_eq!(
            check(&read(&spills), "fill", &meant).map(|w| w.len()),
            Ok(1)
        );
        // A reason is part of it.
        assert!(fails(&spills, "fill", MEANT).is_some());
        for (stem, kernel) in [("sm90_fill", "fill"), ("fill", "sm80_f16_fill")] {
            let log = spills.replace("fill", kernel);
            let said = fails(&log, stem, &meant).unwrap_or_default();
            assert!(said.ends_with("a tuned kernel may use none"), "{said}");
        }
    }

    #[test]
    fn other_messages_and_broken_lines_say_nothing() {
        assert_eq!(read(""), Report::default());
        let odd = "(C7601) x\n(C75\n(C75ab)\n 9 bytes stack frame\nCompiling entry function '";
        let report = read(odd);
        assert!(
            report.slow.is_empty() && report.serialised.is_empty(),
            "{report:?}"
        );
        assert_eq!(read("(C7599) x").serialised.len(), 1);
    }
}
