//! Bugs planted into the kernels of the join, and of large, sparse, Hamming and fused searches.

use super::{Bug, bug};

const HAMMING: &str = "neighbours/topk_hamming.cu";
const SPARSE: &str = "neighbours/topk_sparse.cu";
const FUSED: &str = "neighbours/topk_fused.cu";
const BUFFERS: &str = "neighbours/buffers.h";
const WAVE: &str = "neighbours/topk_wave.cu";
const HOPPER_WAVE: &str = "neighbours/sm90_f16_topk_wave.cu";
const SHARED: &str = "neighbours/wave.h";
const LARGE: &str = "neighbours/topk_large.cu";
const RADIX: &str = "neighbours/radix.h";
const SORT: &str = "neighbours/sort.h";
const PRODUCT: &str = "neighbours/product.h";

const HASHES: &str = "neighbours_hamming::odd_counts";
const HASH_LEAST: &str = "neighbours_hamming::scores_below_the_least_are_left_out";
const TERMS: &str = "neighbours_sparse::sums_are_made_in_the_order_of_columns";
const CHUNKS: &str = "neighbours_sparse::several_chunks_of_a_gallery";
const CANCELLED: &str = "neighbours_sparse::cancelled_scores_and_pairs_without_a_common_column";
const CUT_BACK: &str = "neighbours_large::buffers_are_cut_back_and_nothing_is_lost";
const MASSES: &str = "neighbours_large::equal_rows_that_no_buffer_holds_come_in_their_order";
const JOIN: &str = "neighbours_join::odd_counts_of_rows_and_dimensions";
const OWN: &str = "neighbours_join::each_row_of_a_pair_has_its_own_threshold";
const SQUARES: &str = "neighbours_join::several_waves_and_an_even_number_of_squares";
const JOIN_OVER: &str = "neighbours_join::rows_that_no_buffer_holds_are_answered_all_the_same";
const WAVES: &str = "neighbours_large::waves_on_hopper_cards_give_the_same";
const WAVES_OVER: &str = "neighbours_large::waves_that_no_buffer_holds_lose_nothing";
const MANY: &str = "neighbours_large::odd_counts_of_rows_and_neighbours";
const ZEROS: &str = "neighbours_large::zeros_and_least_scores";
const TIES: &str = "neighbours_fused::ties_that_no_buffer_holds_come_in_their_order";
const ODD: &str = "neighbours::odd_counts_of_rows_and_dimensions";
const FORMULAS: &str = "neighbours_fused::dense_and_sparse_spaces_by_every_formula";
const TILES: &str = "neighbours_fused::queries_against_a_gallery_of_several_tiles";
const NEAR: &str = "neighbours_fused::buffers_are_cut_back_and_nothing_is_lost";
const BLANK: &str = "neighbours_fused::rows_that_are_zero_everywhere_are_nobodys";

pub(super) const BUGS: &[Bug] = &[
    bug(
        "hamming_bound_too_tight",
        HAMMING,
        "if (upto >= k) mine",
        "if (upto + 1 >= k) mine",
        HASHES,
    ),
    bug(
        "hamming_tie_to_the_higher_row",
        HAMMING,
        "same & ((1u << lane) - 1u)",
        "same & ~((2u << lane) - 1u)",
        HASHES,
    ),
    bug(
        "hamming_least_strict",
        HAMMING,
        "if (distance <= bound) atomicAdd",
        "if (distance < bound) atomicAdd",
        HASH_LEAST,
    ),
    bug(
        "sparse_terms_in_any_order",
        SPARSE,
        "      __syncthreads();  // the next term's products come behind these\n",
        "",
        TERMS,
    ),
    bug(
        "sparse_product_fused",
        SPARSE,
        "__dadd_rn(*sum, __dmul_rn(weight, values[i]))",
        "fma(weight, values[i], *sum)",
        TERMS,
    ),
    bug(
        "sparse_untouched_scored",
        SPARSE,
        "return sum == 0.0 && signbit(sum);",
        "return false;",
        CANCELLED,
    ),
    bug(
        "sparse_score_of_zero_lost",
        SPARSE,
        "return sum == 0.0 && signbit(sum);",
        "return sum == 0.0;",
        CANCELLED,
    ),
    bug(
        "sparse_chunk_keeps_its_sums",
        SPARSE,
        "        s.sums[i] = -0.0;\n        // At",
        "        // At",
        CHUNKS,
    ),
    bug(
        "large_no_error_bound",
        BUFFERS,
        "fmaxf(score - cut.slack, threshold)",
        "fmaxf(score, threshold)",
        CUT_BACK,
    ),
    bug(
        "large_overflow_untold",
        BUFFERS,
        "found[row] = fits ? words[0] : OVERFLOW;",
        "found[row] = min(words[0], static_cast<uint32_t>(capacity - room));",
        MASSES,
    ),
    bug(
        "join_overflow_untold",
        WAVE,
        "bool fits = found <= PLACES;",
        "bool fits = true;",
        JOIN_OVER,
    ),
    bug(
        "join_threshold_of_another_row",
        WAVE,
        "least[at] = fits ? reached : INFINITY;",
        "least[row] = fits ? reached : INFINITY;",
        JOIN,
    ),
    bug(
        "join_last_ones_left_behind",
        WAVE,
        "  staged.settle(true);\n",
        "",
        JOIN,
    ),
    bug(
        "join_feeds_one_row_of_a_pair",
        WAVE,
        "t > 0 ? both.x : INFINITY",
        "INFINITY",
        JOIN,
    ),
    bug(
        "join_half_way_met_twice",
        SHARED,
        "square >= squares / 2) end = min(end, squares / 2);",
        "square > squares) end = min(end, squares / 2);",
        SQUARES,
    ),
    bug(
        "join_diagonal_fed_twice",
        SHARED,
        "joined && left_at / SQUARE != right_at / SQUARE && score",
        "joined && score",
        JOIN,
    ),
    bug(
        "join_staged_before_they_are_there",
        SHARED,
        "      __syncwarp();  // what other lanes added\n",
        "",
        JOIN,
    ),
    bug(
        "sm90_wave_last_ones_left_behind",
        HOPPER_WAVE,
        "{ staged.settle(true); }",
        "{}",
        JOIN,
    ),
    bug(
        "sm90_wave_half_of_a_square_copied_twice",
        HOPPER_WAVE,
        "{k0, at.column0 + skip}",
        "{k0, at.column0}",
        JOIN,
    ),
    bug(
        "sm90_wave_columns_share_a_threshold",
        HOPPER_WAVE,
        "acc[i] >= least[i / 4 * 2 + i % 2]",
        "acc[i] >= least[i / 4 * 2]",
        OWN,
    ),
    bug(
        "sm90_wave_second_row_is_the_first",
        HOPPER_WAVE,
        "first_row() + e / 2 * 8",
        "first_row() + e % 2 * 8",
        WAVES,
    ),
    bug(
        "wave_large_overflow_untold",
        WAVE,
        "      kept.found[row] = OVERFLOW;\n",
        "      kept.found[row] = kept.capacity;\n",
        WAVES_OVER,
    ),
    bug(
        "large_nobody_listed",
        LARGE,
        "    if (!listed) rows[i] = NOBODY;\n",
        "",
        ZEROS,
    ),
    bug(
        "large_brute_keeps_one_less",
        LARGE,
        "held = min(k, held + count);",
        "held = min(k - 1, held + count);",
        MASSES,
    ),
    bug(
        "radix_sums_of_other_warps_lost",
        RADIX,
        "    for (int w = 0; w < warp; w++) upto += sums[w];\n",
        "",
        CUT_BACK,
    ),
    bug(
        "radix_digits_below_count_all",
        RADIX,
        "    wanted -= sums[WARPS + 1];\n",
        "",
        CUT_BACK,
    ),
    bug(
        "sort_runs_all_one_way",
        SORT,
        "bool descending = (i & run) == 0",
        "bool descending = true",
        MANY,
    ),
    bug(
        "sort_tail_holds_what_was_there",
        SORT,
        "int i = count + thread; i < size",
        "int i = count + 1 + thread; i < size",
        MANY,
    ),
    bug(
        "product_one_wait_less",
        PRODUCT,
        "cp_async_wait<STAGES - 2>();",
        "cp_async_wait<STAGES - 1>();",
        ODD,
    ),
    bug(
        "product_stage_too_early",
        PRODUCT,
        "load(stage == 0 ? STAGES - 1 : stage - 1);",
        "load(stage);",
        ODD,
    ),
    bug(
        "fused_rest_of_another_query",
        FUSED,
        "queries[blockIdx.x], rows, count,",
        "blockIdx.x, rows, count,",
        TIES,
    ),
    bug(
        "fused_lists_begin_anew",
        FUSED,
        "t == first);",
        "false);",
        TILES,
    ),
    bug(
        "fused_share_forgotten",
        FUSED,
        "share * cosine(i, j, e)",
        "cosine(i, j, e)",
        NEAR,
    ),
    bug(
        "fused_blank_rows_listed",
        FUSED,
        " && gallery_there[column] != 0",
        "",
        BLANK,
    ),
    bug(
        "fused_power_of_the_largest_lost",
        FUSED,
        "s[1] * share + 1.0f : s[1] + share",
        "1.0f : s[1] + share",
        NEAR,
    ),
    bug(
        "fused_merge_skips_a_column",
        FUSED,
        "q += right <= left ? 1 : 0;",
        "q += 1;",
        FORMULAS,
    ),
];
