//! Bugs for the kernels of images.

use crate::planted::{Bug, bug};

const TILES: &str = "images_half::tiles_of_pixels_and_filters";
const FEW: &str = "images_half::convolutions_over_few_pixels";
const GROUPS: &str = "images_half::convolutions_in_small_groups";
const EACH: &str = "images_half::convolutions_of_one_filter_a_channel";
const ROWS: &str = "images_half::rows_of_large_windows_are_summed_by_themselves";
const AVERAGE: &str = "images_half::depthwise_convolutions_with_the_average_of_their_result";
const PAIR: &str = "expand::widened_and_convolved";
const PAIR_MEANS: &str = "expand::with_the_average_of_the_result";
const OTHERS: &str = "images_half::the_other_operations_in_half_precision";

const LAYERS: &str = "excite::both_layers_at_once";

const CONV: &str = "conv/mma_conv.h";
const THIN: &str = "conv/conv_thin.cu";
const GROUPED: &str = "conv/conv_grouped.cu";
const DEPTHWISE: &str = "conv/conv_depthwise.cu";
const STRIP: &str = "conv/strip.h";
const EXPAND: &str = "conv/conv_expand.cu";
const FRAGMENTS: &str = "conv/fragments.h";
const POOL: &str = "pool/pool.cu";
const GLOBAL: &str = "pool/global.cu";
const GATED: &str = "gate/gated.cu";
const EXCITE: &str = "gate/excite.cu";
const AFFINE: &str = "gate/affine.cu";

pub const BUGS: &[Bug] = &[
    bug(
        "conv_no_barrier",
        CONV,
        "    __syncthreads();\n    load(step",
        "    load(step",
        TILES,
    ),
    bug(
        "conv_one_wait_less",
        CONV,
        "cp_async_wait<STAGES - 2>",
        "cp_async_wait<STAGES - 1>",
        TILES,
    ),
    bug(
        "conv_gate_of_the_tile_before",
        CONV,
        "windows.gates(gates, gate, step + 1)",
        "windows.gates(gates, gate, step)",
        TILES,
    ),
    bug(
        "conv_window_one_place_late",
        CONV,
        "if (++dx == s.kw) {\n        dx = 0;",
        "if (++dx == s.kw) {\n        dx = 1;",
        TILES,
    ),
    bug(
        "thin_a_warp_is_not_added",
        THIN,
        "for (int w = 0; w < WARPS; w++)",
        "for (int w = 1; w < WARPS; w++)",
        FEW,
    ),
    bug(
        "thin_no_barrier",
        THIN,
        "  __syncthreads();\n  int row",
        "  int row",
        FEW,
    ),
    bug(
        "grouped_no_wait",
        GROUPED,
        "  cp_async_wait<0>();\n",
        "",
        GROUPS,
    ),
    bug(
        "grouped_results_over_pixels",
        GROUPED,
        "  __syncthreads();\n#pragma unroll\n  for (int i = 0; i < FRAGMENTS; i++) {\n#pragma unroll\n    for (int j = 0; j < TILES; j++) {\n#pragma unroll\n      for (int e",
        "#pragma unroll\n  for (int i = 0; i < FRAGMENTS; i++) {\n#pragma unroll\n    for (int j = 0; j < TILES; j++) {\n#pragma unroll\n      for (int e",
        GROUPS,
    ),
    bug(
        "grouped_neighbour_group_counts",
        FRAGMENTS,
        "filter % bundle / inner != channel / inner",
        "filter % bundle / inner > channel / inner",
        GROUPS,
    ),
    bug(
        "depthwise_row_below_the_image",
        DEPTHWISE,
        "line < 0 || line >= s.h",
        "line < 0 || line > s.h",
        EACH,
    ),
    bug(
        "depthwise_strips_overlap",
        STRIP,
        "= pair.y;\n    }\n#pragma unroll\n    for (int p = 0; p < STRIP; p++) {\n      int j = at - p * STEP;",
        "= pair.y;\n    }\n#pragma unroll\n    for (int p = 0; p < STRIP; p++) {\n      int j = at - p;",
        EACH,
    ),
    bug(
        "depthwise_no_flush_between_rows",
        STRIP,
        "if (j < K - 1) continue;\n        float2 row = Short<T>::floats(sum);",
        "if (j < K - 1) continue;\n        sum = __hadd2(sum, Short<T>::pair(acc[p][2 * e], acc[p][2 * e + 1]));\n        float2 row = Short<T>::floats(sum);\n        acc[p][2 * e] = acc[p][2 * e + 1] = 0.0f;",
        ROWS,
    ),
    bug(
        "depthwise_rows_are_added_too_early",
        STRIP,
        "if (j < K - 1) continue;",
        "if (j < K - 2) continue;",
        EACH,
    ),
    bug(
        "depthwise_sums_without_barrier",
        DEPTHWISE,
        "  __syncthreads();\n",
        "",
        AVERAGE,
    ),
    bug(
        "depthwise_sum_of_the_last_strip_lost",
        DEPTHWISE,
        "for (int i = 0; i < strips; i++) total",
        "for (int i = 0; i + 1 < strips; i++) total",
        AVERAGE,
    ),
    bug(
        "expand_bias_beside_the_image",
        EXPAND,
        "inside ? v[2 * j] : 0.0f",
        "v[2 * j]",
        PAIR,
    ),
    bug(
        "expand_no_barrier",
        EXPAND,
        "first, s, at, depth);\n  __syncthreads();",
        "first, s, at, depth);",
        PAIR,
    ),
    bug(
        "expand_last_step_of_channels_lost",
        EXPAND,
        "k < depth; k += 16",
        "k + 16 < depth; k += 16",
        PAIR,
    ),
    bug(
        "expand_sum_of_the_last_strip_lost",
        EXPAND,
        "i < THREADS / LANES; i++",
        "i + 1 < THREADS / LANES; i++",
        PAIR_MEANS,
    ),
    bug(
        "pool_padding_counts",
        POOL,
        "top = max(row, 0)",
        "top = row",
        OTHERS,
    ),
    bug(
        "pool_window_too_narrow",
        POOL,
        "min(column + f.kw, f.w)",
        "min(column + f.kw - 1, f.w)",
        OTHERS,
    ),
    bug(
        "global_no_barrier",
        GLOBAL,
        "  __syncthreads();\n",
        "",
        OTHERS,
    ),
    bug(
        "global_first_part_alone",
        GLOBAL,
        "part < parts; part++",
        "part < 1; part++",
        OTHERS,
    ),
    bug(
        "gated_by_the_first_image",
        GATED,
        "gate + at / size * c + at % c",
        "gate + at % c",
        OTHERS,
    ),
    bug(
        "gated_residual_of_the_first_vector",
        GATED,
        "load_vector<V>(residual + at)",
        "load_vector<V>(residual + at % c)",
        OTHERS,
    ),
    bug(
        "excite_no_barrier_between_the_layers",
        EXCITE,
        "  __syncthreads();\n  T* to",
        "  T* to",
        LAYERS,
    ),
    bug(
        "excite_lanes_of_the_next_line_count",
        EXCITE,
        "int apart = lanes / 2; apart > 0",
        "int apart = lanes; apart > 0",
        LAYERS,
    ),
    bug(
        "excite_first_lines_of_a_block_alone",
        EXCITE,
        "scale[line]",
        "scale[line % each]",
        LAYERS,
    ),
    bug(
        "affine_part_too_early",
        AFFINE,
        "column >= ends.at[i - 1]",
        "column > ends.at[i - 1]",
        OTHERS,
    ),
    bug(
        "affine_scale_of_the_first_launch",
        AFFINE,
        "to_float(scale[first + column + i])",
        "to_float(scale[column + i])",
        OTHERS,
    ),
];
