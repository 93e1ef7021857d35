//! What machine code each kernel must have, as one table.

use super::table::Row;

/// The instructions that the kernels of one name must have.
struct Rule {
    family: &'static str,
    /// The entry point; `*` stands for any characters.
    kernel: &'static str,
    needs: &'static [&'static str],
}

/// Warpgroup products fed by the copy engine: tensor boxes (tiled and im2col) into shared memory.
const HOPPER: &[&str] = &["HGMMA", "UTMALDG"];
/// Warp products fed by asynchronous copies: Hopper's twins on every card from Ampere on.
const AMPERE: &[&str] = &["HMMA", "LDGSTS"];
/// Warp products of what threads load themselves: too small, or not aligned, for copies.
const WARP: &[&str] = &["HMMA"];
/// Products of pairs of halves: the first of each row. (HFMA2 moves constants too, and says nothing.)
const PAIRS: &[&str] = &["HMUL2"];
/// Both.
const AMPERE_PAIRS: &[&str] = &["HMMA", "LDGSTS", "HMUL2"];
/// Products of single values, sums, comparisons.
const PLAIN: &[&str] = &[];

/// The first that fits a kernel holds.
const RULES: &[Rule] = &[
    rule("gemm", "sm90_*", HOPPER),
    rule("gemm", "sm80_*", AMPERE),
    rule("gemm", "gemm_f16_*", AMPERE),
    rule("gemm", "gemm_bf16_*", AMPERE),
    rule("gemm", "gemm_f32_*", PLAIN),
    rule("conv", "conv_depthwise_f16_5x5_*", PAIRS),
    rule("conv", "conv_depthwise_*", PLAIN),
    rule("conv", "sm90_*", HOPPER),
    rule("conv", "sm80_*", AMPERE),
    rule("conv", "conv_f16_*", AMPERE),
    rule("conv", "conv_bf16_*", AMPERE),
    rule("conv", "conv_expand_f16_5x5_*", AMPERE_PAIRS),
    rule("conv", "conv_expand_*", AMPERE),
    rule("conv", "conv_gated_*", AMPERE),
    rule("conv", "conv_narrow_*", WARP),
    rule("conv", "conv_grouped_*", WARP),
    rule("conv", "conv_thin_*", WARP),
    rule("conv", "conv_direct_*", PLAIN),
    rule("conv", "conv_pack_*", PLAIN),
    rule("neighbours", "sm90_*topk_scan*", HOPPER),
    rule("neighbours", "sm90_*topk_wave*", HOPPER),
    rule("neighbours", "topk_scan*", AMPERE),
    rule("neighbours", "topk_join*", AMPERE),
    rule("neighbours", "topk_*", PLAIN),
    rule("neighbours", "fused_scan_*", AMPERE),
    rule("neighbours", "fused_*", PLAIN),
];

/// The families in which a kernel without a rule is an error: those with matrix products.
const STRICT: [&str; 3] = ["gemm", "conv", "neighbours"];

/// Loads from and stores to local memory.
pub const LOCAL: [&str; 2] = ["LDL", "STL"];

const fn rule(family: &'static str, kernel: &'static str, needs: &'static [&'static str]) -> Rule {
    Rule {
        family,
        kernel,
        needs,
    }
}

/// What is wrong with a kernel, a line each.
pub fn faults(row: &Row) -> Vec<String> {
    let (kernel, arch) = (&row.used.kernel, &row.used.arch);
    let name = format!("kernels/{}: {kernel} for {arch}", row.family);
    let mut faults = Vec::new();
    let rule = RULES
        .iter()
        .find(|rule| rule.family == row.family && fits(rule.kernel, kernel));
    match rule {
        Some(rule) => {
            let missing = rule.needs.iter().filter(|need| row.code.count(need) == 0);
            faults.extend(missing.map(|need| format!("{name} has no {need}")));
        }
        None if STRICT.contains(&row.family.as_str()) => faults.push(format!(
            "{name} has no rule; say what code it must have in xtask/src/sass/rules.rs"
        )),
        None => {}
    }
    if !row.meant {
        let used = LOCAL.iter().filter(|name| row.code.count(name) > 0);
        faults.extend(used.map(|used| format!("{name} uses local memory ({used})")));
    }
    faults
}

/// Whether `name` is of the form `pattern`.
fn fits(pattern: &str, name: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == name,
        Some((front, rest)) => {
            let Some(name) = name.strip_prefix(front) else {
                return false;
            };
            (0..=name.len()).any(|at| name.is_char_boundary(at) && fits(rest, &name[at..]))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::dump::Code;
    use super::*;
    use crate::ptxas::Used;

    fn row(family: &str, kernel: &str, arch: &str, code: &[&str]) -> Row {
        Row {
            family: family.into(),
            used: Used {
                kernel: kernel.into(),
                arch: arch.into(),
                ..Used::default()
            },
            meant: false,
            code: Code {
                kernel: kernel.into(),
                arch: arch.into(),
                counts: code.iter().map(|name| (name.to_string(), 1)).collect(),
            },
        }
    }

    #[test]
    fn a_kernel_without_its_instructions_is_named() {
        let full = row("gemm", "sm90_f16_gemm_nt", "sm_90a", HOPPER);
        assert!(faults(&full).is_empty());
        for (family, kernel, arch, code, said) in [
            (
                "gemm",
                "sm90_f16_gemm_nt",
                "sm_90a",
                &["UTMALDG"][..],
                "has no HGMMA",
            ),
            (
                "conv",
                "sm90_f16_conv_group64",
                "sm_90a",
                &["HGMMA"],
                "has no UTMALDG",
            ),
            (
                "gemm",
                "gemm_f16_nt_64",
                "sm_80",
                &["LDGSTS"],
                "has no HMMA",
            ),
            (
                "neighbours",
                "topk_scan",
                "sm_80",
                &["HMMA"],
                "has no LDGSTS",
            ),
            (
                "neighbours",
                "sm90_f16_topk_scan",
                "sm_90a",
                &["HMMA", "LDGSTS"],
                "has no HGMMA",
            ),
            (
                "neighbours",
                "sm90_f16_topk_wave",
                "sm_90a",
                &["HGMMA"],
                "has no UTMALDG",
            ),
            (
                "neighbours",
                "topk_join",
                "sm_80",
                &["LDGSTS"],
                "has no HMMA",
            ),
            ("conv", "quick_conv", "sm_80", &["HMMA"], "has no rule"),
            (
                "norm",
                "row_normalize_f32",
                "sm_80",
                &["LDL"],
                "uses local memory (LDL)",
            ),
            (
                "norm",
                "row_normalize_f32",
                "sm_80",
                &["STL"],
                "uses local memory (STL)",
            ),
        ] {
            let found = faults(&row(family, kernel, arch, code)).join("\n");
            assert!(found.contains(said), "{kernel}: {found:?}");
            assert!(found.starts_with(&format!("kernels/{family}: {kernel} for {arch}")));
        }
        let meant = Row {
            meant: true,
            ..row("norm", "x", "sm_80", &["STL"])
        };
        assert!(faults(&meant).is_empty());
    }

    #[test]
    fn patterns_fit_as_in_a_shell() {
        for (pattern, name, fit) in [
            ("topk_*", "topk_scan", true),
            ("topk_*", "atopk_scan", false),
            ("*depthwise*", "sm80_depthwise_3", true),
            ("a*b*c", "abc", true),
            ("a*b*c", "acb", false),
            ("same", "same", true),
            ("same", "samey", false),
        ] {
            assert_eq!(fits(pattern, name), fit, "{pattern} {name}");
        }
    }
}
