//! Bugs planted into the kernels of text encoders, of preprocessing and of margins.

use crate::planted::{Bug, bug};

const WIDTHS: &str = "text_cards::attention_on_every_width_and_length";
const MANY: &str = "text_cards::attention_over_long_and_many_sequences";
const SCORES: &str = "text_cards::attention_with_scores_of_all_sizes";
const OFFSETS: &str = "text_cards::offsets_that_do_not_rise_over_the_rows_touch_nothing";
const LAYER_NORMS: &str = "text_cards::layer_norms_on_odd_rows";
const EQUAL_VALUES: &str = "text_cards::layer_norms_of_equal_values_are_beta";
const LOOKUPS: &str = "text_cards::lookups_embeddings_and_means_on_odd_rows";
const BAD_ROWS: &str = "text_cards::rows_that_a_table_does_not_have_are_nan";
const SQUASHED: &str = "preprocess::pictures_of_all_sizes_are_squashed_as_on_the_cpu";
const CROPS: &str = "preprocess::crops_are_those_of_the_cpu";
const REDUCED: &str = "preprocess::a_large_picture_becomes_a_few_pixels";
const MARGINS: &str = "margin::margins_and_losses_on_odd_shapes";
const LABELS: &str = "margin::a_label_that_is_no_class_is_an_error_or_nan";
const ROW_PRODUCTS: &str = "margin::products_of_rows_are_f32";
const ENCODERS: &str = "text_cards::encoders_in_miniature_agree_with_the_cpu";

const ATTENTION: &str = "attention/mma_attention.h";
const ATTENTION_ROWS: &str = "attention/attention_rows.cu";
const SEQUENCES: &str = "attention/sequences.h";
const SEGMENTS: &str = "attention/segment_mean.cu";
const LAYER_NORM: &str = "norm/layer_norm.cu";
const ROW: &str = "norm/row.h";
const EMBED: &str = "embedding/embed.cu";
const LOOKUP: &str = "embedding/lookup.cu";
const PREPARE: &str = "preprocess/prepare.cu";
const MARGIN: &str = "margin/margin.cu";
const PRODUCTS: &str = "margin/row_products.cu";

pub const BUGS: &[Bug] = &[
    bug(
        "attention_key_behind_the_end",
        ATTENTION,
        "scores[j][e] = key < rows.end ?",
        "scores[j][e] = key <= rows.end ?",
        WIDTHS,
    ),
    bug(
        "attention_last_keys_lost",
        ATTENTION,
        "if (key0 + j / 2 * 16 < rows.end)",
        "if (key0 + j / 2 * 16 + 1 < rows.end)",
        WIDTHS,
    ),
    bug(
        "attention_sums_not_rescaled",
        ATTENTION,
        "sums[i][e] *= before;",
        "sums[i][e] *= 1.0f;",
        MANY,
    ),
    bug(
        "attention_total_not_rescaled",
        ATTENTION,
        "total[e] *= before;",
        "total[e] *= 1.0f;",
        MANY,
    ),
    bug(
        "attention_largest_of_half_a_row",
        ATTENTION,
        "      most = fmaxf(most, __shfl_xor_sync(FULL_WARP, most, 2));\n",
        "",
        SCORES,
    ),
    bug(
        "attention_scores_in_half_precision",
        ATTENTION,
        "key < rows.end ? scores[j][e] * factor",
        "key < rows.end ? __half2float(__float2half_rn(scores[j][e])) * factor",
        SCORES,
    ),
    bug(
        "attention_values_in_another_order",
        ATTENTION,
        "i / 2 * 8 + quad * 2 + i % 2",
        "i % 2 * 8 + quad * 2 + i / 2",
        WIDTHS,
    ),
    bug(
        "attention_stores_rows_of_the_next",
        ATTENTION,
        "if (row >= rows.end) continue;",
        "",
        WIDTHS,
    ),
    bug(
        "attention_columns_of_the_next_head",
        ATTENTION,
        "if (column + i < width) put_float",
        "put_float",
        WIDTHS,
    ),
    bug(
        "attention_tiles_of_two_sequences",
        SEQUENCES,
        "offsets[i] / UNIT + static_cast<uint32_t>(i)",
        "offsets[i] / UNIT",
        WIDTHS,
    ),
    bug(
        "attention_search_stops_early",
        SEQUENCES,
        "count = min(step, count - past);",
        "count = min(step - 1, count - past);",
        MANY,
    ),
    bug(
        "attention_offsets_unchecked",
        SEQUENCES,
        "begin > end || end > static_cast<uint32_t>(rows) || ",
        "begin > end || end > static_cast<uint32_t>(rows) + 1 || ",
        OFFSETS,
    ),
    bug(
        "attention_rows_total_of_one_lane",
        ATTENTION_ROWS,
        "1.0f / warp_sum(total)",
        "1.0f / total",
        WIDTHS,
    ),
    bug(
        "attention_rows_first_strip_alone",
        ATTENTION_ROWS,
        "column0 < width; column0 += STRIP",
        "column0 < min(width, STRIP); column0 += STRIP",
        WIDTHS,
    ),
    bug(
        "segments_divided_by_one_more",
        SEGMENTS,
        "end > begin ? end - begin : 1u",
        "end - begin + 1u",
        LOOKUPS,
    ),
    bug(
        "segments_unchecked",
        SEGMENTS,
        "begin <= end && end <= static_cast<uint32_t>(rows)",
        "begin <= end && end <= static_cast<uint32_t>(rows) + 1",
        OFFSETS,
    ),
    bug(
        "layer_norm_mean_once",
        ROW,
        "pass < 2",
        "pass < 1",
        EQUAL_VALUES,
    ),
    bug(
        "layer_norm_variance_of_n_less_one",
        ROW,
        "mean([](float x) { return x * x; }) + eps",
        "mean([](float x) { return x * x; }) * n / (n - 1.0f) + eps",
        LAYER_NORMS,
    ),
    bug(
        "layer_norm_last_vector_lost",
        ROW,
        "if (column(i) >= n) break;\n      auto loaded",
        "if (column(i) + COUNT >= n) break;\n      auto loaded",
        LAYER_NORMS,
    ),
    bug(
        "layer_norm_warp_past_the_end",
        LAYER_NORM,
        "if (r >= rows) return;",
        "if (r > rows) return;",
        LAYER_NORMS,
    ),
    bug(
        "layer_norm_gamma_for_beta",
        LAYER_NORM,
        "held.normalize(to, gamma, beta, eps)",
        "held.normalize(to, beta, gamma, eps)",
        ENCODERS,
    ),
    bug(
        "embed_row_unchecked",
        EMBED,
        "which < static_cast<uint32_t>(tables.size[t])",
        "which <= static_cast<uint32_t>(tables.size[t])",
        BAD_ROWS,
    ),
    bug(
        "embed_last_table_lost",
        EMBED,
        "if (t < tables.count) held.add(from[t]);",
        "if (t + 1 < tables.count) held.add(from[t]);",
        ENCODERS,
    ),
    bug(
        "lookup_row_unchecked",
        LOOKUP,
        "which >= static_cast<uint32_t>(size)",
        "which > static_cast<uint32_t>(size)",
        BAD_ROWS,
    ),
    bug(
        "lookup_last_columns_lost",
        LOOKUP,
        "c < n; c += 32) to[c]",
        "c < n - 1; c += 32) to[c]",
        LOOKUPS,
    ),
    bug(
        "prepare_no_barrier_behind_the_first_pass",
        PREPARE,
        "    }\n    __syncthreads();\n#pragma unroll",
        "    }\n#pragma unroll",
        SQUASHED,
    ),
    bug(
        "prepare_no_barrier_behind_the_second_pass",
        PREPARE,
        "    __syncthreads();  // the lines",
        "    // the lines",
        REDUCED,
    ),
    bug(
        "prepare_rows_always_first",
        PREPARE,
        "bool down_first = record[8] != 0;",
        "bool down_first = false;",
        SQUASHED,
    ),
    bug(
        "prepare_sums_cut",
        PREPARE,
        "of[colour] + (1u << (FRACTION_BITS - 1))",
        "of[colour]",
        SQUASHED,
    ),
    bug(
        "prepare_sums_leave_the_range",
        PREPARE,
        "max(0, min(255, value))",
        "value",
        SQUASHED,
    ),
    bug(
        "prepare_last_line_lost",
        PREPARE,
        "outer.end(outer0 + outers - 1);",
        "outer.end(outer0 + outers - 1) - 1;",
        REDUCED,
    ),
    bug(
        "prepare_tiles_from_the_corner",
        PREPARE,
        "if (filled) x += left - x0, y += top - y0;",
        "",
        CROPS,
    ),
    bug(
        "margin_square_unclamped",
        MARGIN,
        "square < 0.0f ? 0.0f : square",
        "square",
        MARGINS,
    ),
    bug(
        "margin_beyond_pi_unseen",
        MARGIN,
        "c > -how.cosine ? border : c - how.margin * how.sine",
        "border",
        MARGINS,
    ),
    bug(
        "margin_hard_by_the_target",
        MARGIN,
        "cosine > border) value",
        "cosine > target) value",
        MARGINS,
    ),
    bug(
        "margin_mean_of_before",
        MARGIN,
        "MOMENTUM * (sum / static_cast<float>(rows)) + (1.0f - MOMENTUM) * before[0]",
        "(1.0f - MOMENTUM) * (sum / static_cast<float>(rows)) + MOMENTUM * before[0]",
        MARGINS,
    ),
    bug(
        "margin_last_part_lost",
        MARGIN,
        "p < count; p += 32) sum",
        "p < count - (count > 1 ? 1 : 0); p += 32) sum",
        MARGINS,
    ),
    bug(
        "margin_label_unchecked",
        MARGIN,
        "float c = label < static_cast<uint32_t>(columns) ? cosines[label] : NAN;",
        "float c = label <= static_cast<uint32_t>(columns) ? cosines[label] : NAN;",
        LABELS,
    ),
    bug(
        "row_products_no_barrier",
        PRODUCTS,
        "    __syncthreads();\n    load(step",
        "    load(step",
        ROW_PRODUCTS,
    ),
    bug(
        "row_products_pair_past_the_edge",
        PRODUCTS,
        "if (column + 1 < n) to[1]",
        "to[1]",
        ROW_PRODUCTS,
    ),
    bug(
        "row_products_rounded",
        PRODUCTS,
        "to[0] = acc[i][j][e];",
        "to[0] = __half2float(__float2half_rn(acc[i][j][e]));",
        ROW_PRODUCTS,
    ),
];
