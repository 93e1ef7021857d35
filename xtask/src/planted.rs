//! `cargo xtask simt planted`: bugs put into the kernels on purpose, to show that the tests catch them.
//!
//! Each bug is a place of a kernel's source and what stands there instead. The kernels stay clean of
//! it: a variant of the simulated card is built from the changed file, and tests of `tests/device` run
//! on it under some schedules. A bug counts as caught when a test fails that passes without it.

use std::fs;
use std::path::Path;
use std::process::{Command, ExitCode};
use std::time::Instant;

use crate::{
    planted_conv, planted_conv_sm90, planted_fusion, planted_gemm, planted_text, root, simt,
};

#[path = "planted_neighbours.rs"]
mod neighbours;

/// A bug: where it is, what it is, and the test that should see it.
pub struct Bug {
    name: &'static str,
    /// From `kernels/`.
    file: &'static str,
    /// What stands there, just once.
    sound: &'static str,
    /// What the bug makes of it.
    broken: &'static str,
    test: &'static str,
}

/// Order of threads, time of copies and time of a warpgroup's matrix operations of each run.
const SCHEDULES: &[[&str; 3]] = &[
    ["fwd", "early", "early"],
    ["fwd", "late", "early"],
    ["rev", "early", "late"],
    ["rand:1", "early", "early"],
    ["rand:2", "late", "late"],
];

const EPILOGUES: &str = "catalogue::products_in_every_epilogue_and_layout";
const PRODUCTS: &str = "card::long_sums_and_results_of_several_tiles";
const OTHERS: &str = "catalogue::the_other_operations_on_odd_shapes";
const ALIGNMENT: &str = "card::buffers_need_no_more_than_the_alignment_of_an_element";
const CONFIDENT: &str = "card::a_row_that_is_nearly_right_keeps_its_gradient";
const LABELS: &str = "card::a_label_that_is_no_class_reads_nothing_and_makes_the_loss_nan";
const NEAR: &str = "neighbours::near_ties_come_in_the_order_of_their_exact_scores";
const EQUAL: &str = "neighbours::equal_rows_come_in_their_order";
const ALL_EQUAL: &str = "neighbours::all_rows_equal_is_more_than_a_buffer_holds";
const ODD: &str = "neighbours::odd_counts_of_rows_and_dimensions";
const ZEROS: &str = "neighbours::rows_of_zeros_have_no_neighbours_and_are_nobodys";
const LEAST: &str = "neighbours::scores_below_the_least_are_left_out";
const BORDERS: &str = "sweep::scores_on_the_borders";
const SHORT: &str = "sweep::a_modality_that_has_reached_its_end_stays_there";
const LONG: &str = "sweep::long_lists_many_modalities_and_rows_that_may_not_match";

pub const fn bug(
    name: &'static str,
    file: &'static str,
    sound: &'static str,
    broken: &'static str,
    test: &'static str,
) -> Bug {
    Bug {
        name,
        file,
        sound,
        broken,
        test,
    }
}

const GEMM: &str = "gemm/mma_gemm.h";
const GEMM32: &str = "gemm/gemm_f32.cu";
const TILE: &str = "gemm/tile.h";
const EPILOGUE: &str = "gemm/epilogue.h";
const COLUMNS: &str = "pointwise/columns.cu";
const POINTWISE: &str = "pointwise/pointwise.cu";
const ACTIVATION: &str = "pointwise/activation.h";
const SOFTMAX: &str = "margin/softmax_cross_entropy.cu";
const BLOCK: &str = "margin/block.h";
const SCAN: &str = "neighbours/topk_scan.cu";
const PRUNE: &str = "neighbours/prune.h";
const EXACT_PASS: &str = "neighbours/topk_exact.cu";
const EXACT: &str = "neighbours/exact.h";
const SELECTION: &str = "neighbours/selection.h";
const SWEEP: &str = "fusion/threshold_sweep.cu";
const NORM: &str = "norm/row_normalize.cu";

const BUGS: &[Bug] = &[
    bug(
        "gemm_no_barrier",
        GEMM,
        "    __syncthreads();\n    load(step",
        "    load(step",
        PRODUCTS,
    ),
    bug(
        "gemm_one_wait_less",
        GEMM,
        "cp_async_wait<STAGES - 2>",
        "cp_async_wait<STAGES - 1>",
        PRODUCTS,
    ),
    bug(
        "gemm_stage_too_early",
        GEMM,
        "load(step + STAGES - 1, to)",
        "load(step + STAGES - 1, from)",
        PRODUCTS,
    ),
    bug(
        "gemm_last_step_lost",
        GEMM,
        "(depth - 1) / tile::DEPTH + 1",
        "depth / tile::DEPTH",
        EPILOGUES,
    ),
    bug(
        "gemm_k_tail_off_by_one",
        TILE,
        "columns - column0 - column)",
        "columns - column0 - column + 1)",
        EPILOGUES,
    ),
    bug(
        "gemm_half_of_a_pair_lost",
        TILE,
        "2 * i + 1 < valid ?",
        "2 * i + 2 < valid ?",
        EPILOGUES,
    ),
    bug(
        "gemm_pair_tail_kept",
        TILE,
        "safe, 2 * left);",
        "safe, 4);",
        ALIGNMENT,
    ),
    bug(
        "gemm_row_guard_lost",
        TILE,
        "line0 + line < lines ?",
        "line0 + line <= lines ?",
        EPILOGUES,
    ),
    bug(
        "gemm_fragments_swapped",
        TILE,
        "+ matrix % 2 * 8 + lane % 8) * LINE + row0 + matrix / 2 * 8",
        "+ matrix / 2 * 8 + lane % 8) * LINE + row0 + matrix % 2 * 8",
        EPILOGUES,
    ),
    bug(
        "gemm_wrong_bias",
        EPILOGUE,
        "bias[column]",
        "bias[column - column % 2]",
        EPILOGUES,
    ),
    bug(
        "gemm_scale_behind_bias",
        EPILOGUE,
        "acc += to_float(bias[column])",
        "acc += to_float(bias[column]) * (scale != nullptr ? to_float(scale[column]) : 1.0f)",
        EPILOGUES,
    ),
    bug(
        "gemm_stores_past_the_edge",
        EPILOGUE,
        "row >= rows || column >= columns",
        "row >= rows || column > columns",
        EPILOGUES,
    ),
    bug(
        "gemm_blocks_misplaced",
        EPILOGUE,
        "min(BAND, rows - first)",
        "BAND",
        PRODUCTS,
    ),
    bug(
        "gemm_f32_no_second_barrier",
        GEMM32,
        "    }\n    __syncthreads();\n  }",
        "    }\n  }",
        PRODUCTS,
    ),
    bug(
        "gelu_by_tanh",
        ACTIVATION,
        "0.5f * erfcf(-x * SQRT_HALF)",
        "0.5f * (1.0f + tanhf(0.79788456f * (x + 0.044715f * x * x * x)))",
        OTHERS,
    ),
    bug(
        "mish_gradient_sign",
        ACTIVATION,
        "4.0f * (n + 1.0f) * r * r",
        "4.0f * (n - 1.0f) * r * r",
        OTHERS,
    ),
    bug(
        "vector_tail_lost",
        POINTWISE,
        "long long i = vectors * COUNT + thread; i < count",
        "long long i = vectors * COUNT + thread; i < count - 1",
        OTHERS,
    ),
    bug(
        "column_of_first_line",
        POINTWISE,
        "v * to_float(y[first % columns + i])",
        "v * to_float(y[first % columns])",
        OTHERS,
    ),
    bug(
        "column_sum_last_row_lost",
        COLUMNS,
        "row < rows; row",
        "row < rows - 1; row",
        OTHERS,
    ),
    bug(
        "column_sum_no_barrier",
        COLUMNS,
        "total;\n  __syncthreads();",
        "total;",
        OTHERS,
    ),
    bug(
        "column_sum_last_chunk_lost",
        COLUMNS,
        "i < chunks",
        "i < chunks - (chunks > 1 ? 1 : 0)",
        PRODUCTS,
    ),
    bug(
        "softmax_p_rounded_first",
        SOFTMAX,
        "float p = expf(to_float(from[n]) - largest) / sum;",
        "float p = __half2float(__float2half_rn(expf(to_float(from[n]) - largest) / sum));",
        CONFIDENT,
    ),
    bug(
        "softmax_label_unchecked",
        SOFTMAX,
        "bool known = label < static_cast<uint32_t>(columns);",
        "bool known = true;",
        LABELS,
    ),
    bug(
        "softmax_no_first_barrier",
        BLOCK,
        "parts[warp] = v;\n  __syncthreads();",
        "parts[warp] = v;",
        PRODUCTS,
    ),
    bug(
        "softmax_sum_not_shared",
        SOFTMAX,
        "sum = combine<Sum>(sum, 0.0f);\n\n",
        "\n",
        OTHERS,
    ),
    bug(
        "norm_zero_row_divides",
        NORM,
        "sum == 0.0f ? 0.0f :",
        "sum < 0.0f ? 0.0f :",
        "card::rows_of_zeros_stay",
    ),
    bug(
        "topk_no_error_bound",
        PRUNE,
        "selection::of_key(kth) - slack",
        "selection::of_key(kth)",
        NEAR,
    ),
    bug(
        "topk_rescore_no_error_bound",
        EXACT_PASS,
        "selection::of_key(kth) - slack",
        "selection::of_key(kth)",
        NEAR,
    ),
    bug(
        "topk_tie_to_the_higher_row",
        EXACT,
        "row < other_row",
        "row > other_row",
        EQUAL,
    ),
    bug(
        "topk_kth_off_by_one",
        SELECTION,
        "reached >= k",
        "reached >= k - 1",
        ODD,
    ),
    bug(
        "topk_tail_columns_scored",
        SCAN,
        ">= threshold && column < gallery_rows",
        ">= threshold && column <= gallery_rows",
        ODD,
    ),
    bug(
        "topk_zero_rows_scored",
        SCAN,
        "inverse > 0.0 ? 0 : 0x7fff",
        "0",
        ZEROS,
    ),
    bug(
        "topk_no_barrier_before_pruning",
        SCAN,
        "    __syncthreads();\n    for (int row = warp",
        "    for (int row = warp",
        NEAR,
    ),
    bug(
        "topk_overflow_untold",
        SCAN,
        "fits ? static_cast<uint32_t>(kept) : OVERFLOW",
        "static_cast<uint32_t>(min(kept, CAPACITY - Shape::N))",
        ALL_EQUAL,
    ),
    bug(
        "topk_brute_keeps_one_less",
        EXACT_PASS,
        "if (rank < k) {",
        "if (rank < k - 1) {",
        ALL_EQUAL,
    ),
    bug(
        "topk_brute_no_barrier",
        EXACT_PASS,
        "score, row);\n    __syncthreads();",
        "score, row);",
        ALL_EQUAL,
    ),
    bug(
        "topk_least_score_strict",
        EXACT_PASS,
        "score >= min_score",
        "score > min_score",
        LEAST,
    ),
    bug(
        "topk_dot_in_another_order",
        EXACT,
        "int apart = 16; apart > 0; apart /= 2",
        "int apart = 1; apart < 32; apart *= 2",
        ODD,
    ),
    bug(
        "sweep_border_matches",
        SWEEP,
        "return d < threshold;",
        "return d <= threshold;",
        BORDERS,
    ),
    bug(
        "sweep_step_too_early",
        SWEEP,
        "distance < table[middle]",
        "distance <= table[middle]",
        BORDERS,
    ),
    bug(
        "sweep_counts_the_row_itself",
        SWEEP,
        "list.neighbours[i] != self && ",
        "",
        BORDERS,
    ),
    bug(
        "sweep_first_warp_alone",
        SWEEP,
        "return base + __ffs",
        "return __ffs",
        LONG,
    ),
    bug(
        "sweep_past_the_table",
        SWEEP,
        "min(static_cast<int>(step), steps - 1)",
        "static_cast<int>(step)",
        SHORT,
    ),
];

/// The lists of bugs.
const LISTS: &[&[Bug]] = &[
    BUGS,
    planted_conv::BUGS,
    planted_conv_sm90::BUGS,
    planted_fusion::BUGS,
    planted_gemm::BUGS,
    neighbours::BUGS,
    planted_text::BUGS,
];

fn all() -> impl Iterator<Item = &'static Bug> {
    LISTS.iter().copied().flatten()
}

/// The command `cargo xtask simt planted [NAME]...`.
pub fn main(names: &[&str]) -> ExitCode {
    if let Some(unknown) = names.iter().find(|n| all().all(|b| b.name != **n)) {
        eprintln!("error: no planted bug is called {unknown}");
        return ExitCode::from(2);
    }
    match table(names) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(message) => {
            eprintln!("error: {message}");
            ExitCode::FAILURE
        }
    }
}

/// Prints the table; says whether every bug was caught and no sound kernel was.
fn table(names: &[&str]) -> Result<bool, String> {
    let began = Instant::now();
    let chosen: Vec<&Bug> = all()
        .filter(|b| names.is_empty() || names.contains(&b.name))
        .collect();
    let sound = simt::make_plain()?;
    let mut tests: Vec<&str> = chosen.iter().map(|b| b.test).collect();
    tests.sort_unstable();
    tests.dedup();
    println!("without a bug, {} tests:", tests.len());
    let mut well = true;
    for test in tests {
        let outcome = outcomes(&sound, test)?;
        println!("  {outcome}  {test}");
        well &= !outcome.contains('F');
    }
    let heads: Vec<String> = SCHEDULES.iter().map(|s| s.join("/")).collect();
    println!("with a bug (F: caught), under {}:", heads.join(", "));
    let mut missed = Vec::new();
    for bug in &chosen {
        let library = simt::make_variant(bug.name, bug.file, &plant(bug)?)?;
        let outcome = outcomes(&library, bug.test)?;
        println!("  {outcome}  {:32}{}", bug.name, bug.test);
        if !outcome.contains('F') {
            missed.push(bug.name);
        }
    }
    println!(
        "{} of {} bugs caught in {:.0} s{}{}",
        chosen.len() - missed.len(),
        chosen.len(),
        began.elapsed().as_secs_f64(),
        if missed.is_empty() { "" } else { "; missed: " },
        missed.join(", ")
    );
    Ok(well && missed.is_empty())
}

/// The source with the bug in it.
fn plant(bug: &Bug) -> Result<String, String> {
    let path = root().join("kernels").join(bug.file);
    let text = fs::read_to_string(&path).map_err(|e| format!("{}: {e}", path.display()))?;
    match text.matches(bug.sound).count() {
        1 => Ok(text.replace(bug.sound, bug.broken)),
        n => Err(format!(
            "{}: what {} replaces stands in it {n} times",
            bug.file, bug.name
        )),
    }
}

/// A letter for each schedule: p where the test passes, F where it does not.
fn outcomes(library: &Path, test: &str) -> Result<String, String> {
    let one = |schedule: &[&str; 3]| {
        let mut command = Command::new("cargo");
        command.args([
            "test",
            "--quiet",
            "--no-default-features",
            "--test",
            "device",
        ]);
        command.args(["--", "--exact", test]).current_dir(root());
        command
            .env("DOPPEL_SIMT", library)
            .env("DOPPEL_SIMT_REQUIRED", "1");
        for (name, value) in ["ORDER", "COPY", "MATRIX"].iter().zip(schedule) {
            command.env(format!("DOPPEL_SIMT_{name}"), value);
        }
        let out = command
            .output()
            .map_err(|e| format!("cargo did not start: {e}"))?;
        // A test that does not compile, or is not there, says nothing about a bug.
        if !String::from_utf8_lossy(&out.stdout).contains("running 1 test") {
            return Err(format!(
                "{test} did not run: {}",
                String::from_utf8_lossy(&out.stderr)
            ));
        }
        Ok(if out.status.success() { 'p' } else { 'F' })
    };
    SCHEDULES.iter().map(one).collect()
}
