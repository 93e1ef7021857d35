//! The table of what each kernel takes: `docs/kernels.md`.

use super::dump::Code;
use super::rules::LOCAL;
use crate::ptxas::Used;

/// One kernel for one architecture. Sorted as it stands in the table.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Row {
    pub family: String,
    pub code: Code,
    pub used: Used,
    /// Whether its file says that local memory is meant.
    pub meant: bool,
}

/// The instructions that have a column.
const COLUMNS: [&str; 7] = [
    "HGMMA", "UTMALDG", "UTMASTG", "HMMA", "LDGSTS", "LDSM", "STSM",
];

/// The whole file.
pub fn text(rows: &[Row], version: &str) -> String {
    let mut text = format!(
        "# The kernels' machine code\n\n\
         Made by `cargo xtask sass --write` from what nvcc {version} makes of `kernels/`; CI checks that it is\n\
         current. It says what was compiled, not that it ran: that is in `kernels/VERIFIED.toml`.\n\n\
         Registers are of one thread. Shared memory is the static part; most kernels take more at the launch.\n\
         Instructions are counted as they stand in the code, all forms of a kernel together, loops once. HGMMA is\n\
         a warpgroup's product (wgmma), UTMALDG and UTMASTG are bulk tensor copies, HMMA is a warp's product,\n\
         LDGSTS an asynchronous copy, LDSM and STSM are ldmatrix and stmatrix. Local is LDL and STL, which only\n\
         files that say why may have.\n"
    );
    let mut family = "";
    for row in rows {
        if row.family != family {
            family = &row.family;
            text +=
                &format!("\n## {family}\n\n| kernel | arch | registers | shared | instructions |");
            text.extend(COLUMNS.map(|name| format!(" {name} |")));
            text += " local |\n|---|---|";
            text += &"---:|".repeat(COLUMNS.len() + 4);
            text.push('\n');
        }
        let (used, code) = (&row.used, &row.code);
        text += &format!(
            "| {} | {} | {} | {} | {} |",
            used.kernel,
            used.arch,
            used.registers,
            used.shared,
            code.instructions()
        );
        text.extend(COLUMNS.map(|name| format!(" {} |", shown(code.count(name)))));
        let local = LOCAL.iter().map(|name| code.count(name)).sum();
        text += &format!(" {} |\n", shown(local));
    }
    text
}

/// A number, or nothing for none.
fn shown(count: u64) -> String {
    match count {
        0 => String::new(),
        n => n.to_string(),
    }
}

/// The first line that differs, as it is and as it should be.
pub fn first_difference(have: &str, want: &str) -> String {
    let (mut a, mut b) = (have.lines(), want.lines());
    loop {
        match (a.next(), b.next()) {
            (None, None) => return "line ends differ".into(),
            (x, y) if x == y => {}
            (x, y) => {
                let (x, y) = (x.unwrap_or("(nothing)"), y.unwrap_or("(nothing)"));
                return format!("it says: {x}\nnow:     {y}");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_has_what_the_head_names() {
        let row = Row {
            family: "gemm".into(),
            used: Used {
                kernel: "k".into(),
                arch: "sm_80".into(),
                registers: 128,
                shared: 16,
            },
            meant: false,
            code: super::super::dump::read(
                "code for sm_80\nFunction : k\n/*0000*/ HMMA.16816 ;\n/*0010*/ NOP;\n",
            )
            .remove(0),
        };
        let text = text(&[row.clone(), row], "13.0.88");
        let lines: Vec<&str> = text.lines().filter(|l| l.starts_with('|')).collect();
        let bars = |l: &str| l.matches('|').count();
        assert_eq!(lines.len(), 4, "one head for a family");
        assert!(lines.iter().all(|l| bars(l) == bars(lines[0])), "{text}");
        assert_eq!(
            lines[2],
            "| k | sm_80 | 128 | 16 | 1 |  |  |  | 1 |  |  |  |  |"
        );
        assert!(text.contains("nvcc 13.0.88"));
    }

    #[test]
    fn the_first_difference_is_shown() {
        assert_eq!(
            first_difference("a\nb\n", "a\nc\n"),
            "it says: b\nnow:     c"
        );
        assert_eq!(
            first_difference("a", "a\nb"),
            "it says: (nothing)\nnow:     b"
        );
        assert_eq!(first_difference("a\n", "a"), "line ends differ");
    }
}
