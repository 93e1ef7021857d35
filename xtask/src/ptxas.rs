//! Reads what `ptxas -v` says of a compiled file. Shared by `build.rs` and the tests here.

use std::collections::BTreeSet;

/// What one compilation said.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// The entry points by symbol, over all architectures.
    pub kernels: BTreeSet<String>,
    /// Local memory: spilled registers and stack frames, one line each.
    pub slow: Vec<String>,
    /// Messages C7500 to C7599: wgmma instructions that run one after the other, or need waits.
    pub serialised: Vec<String>,
}

/// Reads the log of `nvcc -Xptxas=-v`.
pub fn read(log: &str) -> Report {
    let mut report = Report::default();
    let mut entry = String::from("?");
    for line in log.lines() {
        if let Some(rest) = line.split("Compiling entry function '").nth(1) {
            let mut quoted = rest.split('\'');
            let name = quoted.next().unwrap_or_default();
            let arch = quoted.nth(1).unwrap_or_default();
            report.kernels.insert(name.to_string());
            entry = format!("{name} for {arch}");
        } else if line.contains("bytes stack frame") {
            let numbers: Vec<u64> = line
                .split_whitespace()
                .filter_map(|word| word.parse().ok())
                .collect();
            if let [stack, stores, loads] = numbers[..]
                && stack + stores + loads > 0
            {
                report.slow.push(format!(
                    "{entry} uses local memory: {stack} bytes of stack, {stores} spilled, {loads} \
                     loaded back"
                ));
            }
        } else if is_serialised(line) {
            report.serialised.push(line.trim().to_string());
        }
    }
    report
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
ptxas info    : Used 9 registers, used 0 barriers, 368 bytes cmem[0]
";

    #[test]
    fn entries_spills_and_serialised_instructions_are_found() {
        let report = read(LOG);
        let names: Vec<&String> = report.kernels.iter().collect();
        assert_eq!(names, ["fill_f32", "spills"]);
        assert_eq!(
            report.slow,
            [
                "spills for sm_80 uses local memory: 648 bytes of stack, 708 spilled, 1116 loaded back"
            ]
        );
        assert_eq!(report.serialised.len(), 1);
        assert!(report.serialised[0].contains("(C7511)"));
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
