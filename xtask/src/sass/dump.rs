//! Reads what `cuobjdump -sass` prints.

use std::collections::BTreeMap;

/// The machine code of one kernel for one architecture.
#[derive(Debug, Default, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Code {
    pub kernel: String,
    /// `sm_80` or `sm_90a`.
    pub arch: String,
    /// How often each instruction stands in it, by name without modifiers: `HGMMA`, `LDGSTS`.
    pub counts: BTreeMap<String, u64>,
}

impl Code {
    /// How often an instruction stands in it.
    pub fn count(&self, name: &str) -> u64 {
        self.counts.get(name).copied().unwrap_or(0)
    }

    /// All instructions but what only fills a line.
    pub fn instructions(&self) -> u64 {
        let all: u64 = self.counts.values().sum();
        all - self.count("NOP")
    }
}

/// The kernels of a dump, in its order.
pub fn read(dump: &str) -> Vec<Code> {
    let (mut codes, mut arch) = (Vec::<Code>::new(), String::new());
    for line in dump.lines() {
        let line = line.trim();
        if let Some(found) = line.strip_prefix("code for ") {
            arch = found.trim().to_string();
        } else if let Some(kernel) = line.strip_prefix("Function : ") {
            codes.push(Code {
                kernel: kernel.trim().to_string(),
                arch: arch.clone(),
                counts: BTreeMap::new(),
            });
        } else if let (Some(name), Some(code)) = (instruction(line), codes.last_mut()) {
            *code.counts.entry(name.to_string()).or_default() += 1;
        }
    }
    codes
}

/// The `LDGSTS` of `/*0040*/ @!P0 LDGSTS.E.BYPASS.128 [R1], [R2] ; /* 0x... */`.
fn instruction(line: &str) -> Option<&str> {
    let (at, rest) = line.strip_prefix("/*")?.split_once("*/")?;
    // A line that holds the second half of an encoding has `0x` there, or no code behind it.
    if at.is_empty() || !at.bytes().all(|b| b.is_ascii_hexdigit()) {
        return None;
    }
    let code = rest.split_once(';')?.0;
    let mut words = code.split_whitespace().filter(|word| *word != "{");
    let word = words.find(|word| !word.starts_with('@'))?;
    word.split('.').next()
}

#[cfg(test)]
mod tests {
    use super::*;

    pub const DUMP: &str = "
Fatbin elf code:
================
arch = sm_90a

\tcode for sm_90a
\t\tFunction : sm90_f16_gemm
\t.headerflags\t@\"EF_CUDA_SM90\"
        /*0000*/                   LDC R1, c[0x0][0x28] ;            /* 0x00000a00ff017b82 */
                                                                     /* 0x000e220000000800 */
        /*0010*/              @!P0 UTMALDG.2D [UR8], [UR6] ;         /* 0x0000000806007575 */
        /*0020*/                   HGMMA.64x256x16.F32 R24, gdesc[UR4], R24 ; /* 0x03e0000404187df0 */
        /*0030*/                   HGMMA.64x256x16.F32 R24, gdesc[UR8], R24 ; /* 0x03e0000404187df0 */
        /*0040*/                   NOP;                              /* 0x0000000000007918 */
\t\t..........

\tcode for sm_80
\t\tFunction : other
        /*0000*/                   STL [R1], R2 ;                    /* 0x0000000201007387 */
";

    #[test]
    fn kernels_and_their_instructions_are_counted() {
        let codes = read(DUMP);
        assert_eq!(codes.len(), 2);
        let gemm = &codes[0];
        assert_eq!(
            (gemm.kernel.as_str(), gemm.arch.as_str()),
            ("sm90_f16_gemm", "sm_90a")
        );
        assert_eq!(
            (
                gemm.count("HGMMA"),
                gemm.count("UTMALDG"),
                gemm.count("NOP")
            ),
            (2, 1, 1)
        );
        assert_eq!(gemm.instructions(), 4);
        assert_eq!(
            (codes[1].arch.as_str(), codes[1].count("STL")),
            ("sm_80", 1)
        );
    }

    #[test]
    fn what_is_no_instruction_is_passed_over() {
        for line in [
            "",
            "/* 0x000e220000000800 */",
            "/*zz*/ MOV ;",
            "/*0010*/",
            "/**/ MOV ;",
            "/*0010*/ @P0 ;",
        ] {
            assert_eq!(instruction(line), None, "{line}");
        }
        assert!(read("/*0000*/ MOV R1, R2 ;").is_empty());
    }
}
