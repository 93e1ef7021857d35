//! Planted bugs of the kernels that refine rows and run rules.

use crate::planted::{Bug, bug};

const CHOOSE: &str = "fusion/refine_choose.cu";
const DENSE: &str = "fusion/refine_dense.cu";
const SPARSE: &str = "fusion/refine_sparse.cu";
const LANES: &str = "fusion/lanes.h";
const RULE: &str = "fusion/rule.cu";

const ODD: &str = "fusion::odd_counts_of_rows_columns_and_neighbours";
const WIDE: &str = "fusion::wide_rows_are_summed_in_parts";
const CANCELS: &str = "fusion::a_sum_that_cancels_out_leaves_the_row_itself";
const PARTS: &str = "fusion::parts_side_by_side";
const ERRORS: &str = "fusion::what_cannot_be_refined_is_the_hosts_error";
const MIXED: &str = "fusion::sparse_rows_are_mixed_too";
const STEPS: &str = "fusion::sparse_rows_go_from_step_to_step";
const RANDOM: &str = "fusion_rules::random_rules_over_random_lists";
const LONG: &str = "fusion_rules::long_lists_are_capped";
const LADDER: &str = "fusion_rules::the_rows_of_the_ladder";

pub const BUGS: &[Bug] = &[
    bug(
        "choose_border_blends",
        CHOOSE,
        "lists::distance(score) < near) sum.add",
        "lists::distance(score) <= near) sum.add",
        ODD,
    ),
    bug(
        "choose_rows_of_zeros",
        CHOOSE,
        "!itself && present[row] > 0.0",
        "!itself",
        ODD,
    ),
    bug(
        "choose_power_one_root_short",
        CHOOSE,
        "if (rest >= 1.0)",
        "if (rest > 1.0)",
        ODD,
    ),
    bug(
        "choose_ties_unchecked",
        CHOOSE,
        "bool tie = before == score &&",
        "bool tie = before <= score &&",
        ERRORS,
    ),
    bug(
        "dense_neighbours_not_unit",
        DENSE,
        "__dmul_rn(added.weights[n], other_scales[other])",
        "added.weights[n]",
        ODD,
    ),
    bug(
        "dense_no_barrier_before_squares",
        DENSE,
        "first, count);\n    __syncthreads();\n    if (thread < lanes",
        "first, count);\n    if (thread < lanes",
        ODD,
    ),
    bug(
        "dense_no_barrier_before_the_factor",
        DENSE,
        "  __syncthreads();\n\n  double shrink",
        "\n  double shrink",
        ODD,
    ),
    bug(
        "dense_chunk_not_summed_again",
        DENSE,
        "if (dims > CHUNK) {",
        "if (dims > CHUNK && first > 0) {",
        WIDE,
    ),
    bug(
        "dense_cancelled_sum_kept",
        DENSE,
        "__dmul_rn(CANCELLED, totals[row])",
        "0.0",
        CANCELS,
    ),
    bug(
        "concat_part_of_zeros_weighs",
        DENSE,
        "if (!(parts[p].scales[row] > 0.0)) continue;",
        "",
        PARTS,
    ),
    bug(
        "squares_in_another_order",
        LANES,
        "for (int lane = 0; lane < LANES; lane++) total",
        "for (int lane = LANES - 1; lane >= 0; lane--) total",
        ODD,
    ),
    bug(
        "sparse_ties_of_rows_swapped",
        SPARSE,
        "before(column, q < p)",
        "before(column, q > p)",
        MIXED,
    ),
    bug(
        "sparse_sum_over_a_warps_edge",
        SPARSE,
        "if (lane == 0) left = last;",
        "",
        MIXED,
    ),
    bug(
        "sparse_no_barrier_before_sums_move",
        SPARSE,
        "sum = __dadd_rn(sum, values[n]);\n      }\n      __syncwarp();",
        "sum = __dadd_rn(sum, values[n]);\n      }",
        MIXED,
    ),
    bug(
        "sparse_zeros_kept",
        SPARSE,
        "kept = keep(kept, sum != 0.0, column, sum);",
        "kept = keep(kept, i < total && (i == 0 || left != column), column, sum);",
        MIXED,
    ),
    bug(
        "sparse_columns_not_moved",
        SPARSE,
        "static_cast<uint32_t>(parts[p].before) + line",
        "line",
        STEPS,
    ),
    bug(
        "rule_border_matches",
        RULE,
        "bool near = all || lists::distance(score) < distance;",
        "bool near = all || lists::distance(score) <= distance;",
        RANDOM,
    ),
    bug(
        "rule_unable_rows_match",
        RULE,
        "&& (unable == nullptr || unable[other] == 0)",
        "",
        RANDOM,
    ),
    bug(
        "rule_step_too_late",
        RULE,
        "if (d < swept(op, middle)) {",
        "if (d <= swept(op, middle)) {",
        LADDER,
    ),
    bug(
        "rule_fixed_parts_do_not_count",
        RULE,
        "int step = length > marks[depth] ? 0 : NEVER;",
        "int step = NEVER;",
        LADDER,
    ),
    bug(
        "rule_parts_move_while_looked_at",
        RULE,
        "if (i < end) what = fired[i];\n      __syncwarp();",
        "if (i < end) what = fired[i];",
        LONG,
    ),
    bug(
        "rule_mark_not_shared",
        RULE,
        "    depth++;\n    __syncwarp();\n",
        "    depth++;\n",
        RANDOM,
    ),
    bug(
        "rule_min2_takes_the_border",
        RULE,
        "nearest(source, row, score) && lists::distance(score) < distance;",
        "nearest(source, row, score) && lists::distance(score) <= distance;",
        RANDOM,
    ),
    bug(
        "rule_one_way_is_enough",
        RULE,
        "back = its[n].row == self;",
        "back = true;",
        RANDOM,
    ),
    bug(
        "rule_weaker_evidence_first",
        RULE,
        "return a_margin > b_margin;",
        "return a_margin < b_margin;",
        RANDOM,
    ),
    bug(
        "rule_keeps_one_more",
        RULE,
        "stays = rank < keep;",
        "stays = rank <= keep;",
        LONG,
    ),
    bug(
        "rule_evidence_twice",
        RULE,
        "places[i] = again ? NOWHERE : 0u;",
        "places[i] = 0u;",
        RANDOM,
    ),
];
