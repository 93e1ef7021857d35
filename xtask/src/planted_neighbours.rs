//! Bugs planted into the kernels of large, sparse, Hamming and fused searches.

use super::{Bug, bug};

const HAMMING: &str = "neighbours/topk_hamming.cu";
const SPARSE: &str = "neighbours/topk_sparse.cu";
const LARGE: &str = "neighbours/topk_large.cu";
const FUSED: &str = "neighbours/topk_fused.cu";
const PRODUCT: &str = "neighbours/product.h";
const RADIX: &str = "neighbours/radix.h";
const BUFFERS: &str = "neighbours/buffers.h";
const SORT: &str = "neighbours/sort.h";

const HASHES: &str = "neighbours_hamming::odd_counts";
const HASH_TILES: &str = "neighbours_hamming::a_gallery_of_several_tiles";
const HASH_LEAST: &str = "neighbours_hamming::scores_below_the_least_are_left_out";
const TERMS: &str = "neighbours_sparse::sums_are_made_in_the_order_of_columns";
const CHUNKS: &str = "neighbours_sparse::several_chunks_of_a_gallery";
const CANCELLED: &str = "neighbours_sparse::cancelled_scores_and_pairs_without_a_common_column";
const LONG: &str = "neighbours_sparse::a_query_of_more_terms_than_a_block_has_threads";
const CUT_BACK: &str = "neighbours_large::buffers_are_cut_back_and_nothing_is_lost";
const NEARER: &str = "neighbours_large::rows_that_come_ever_nearer_fill_buffers_often";
const MASSES: &str = "neighbours_large::equal_rows_that_no_buffer_holds_come_in_their_order";
const ODD: &str = "neighbours_large::odd_counts_of_rows_and_neighbours";
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
        "hamming_no_barrier_behind_a_tile",
        HAMMING,
        "      __syncthreads();\n      for (int i = thread; i < count",
        "      for (int i = thread; i < count",
        HASH_TILES,
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
        "sparse_buffer_too_full",
        SPARSE,
        "> room - STEP;",
        "> room;",
        CHUNKS,
    ),
    bug(
        "sparse_terms_of_one_batch",
        SPARSE,
        "base < query.count; base",
        "base < min(query.count, THREADS); base",
        LONG,
    ),
    bug(
        "large_no_error_bound",
        BUFFERS,
        "fmaxf(score - cut.slack, threshold)",
        "fmaxf(score, threshold)",
        CUT_BACK,
    ),
    bug(
        "large_buffer_too_full",
        BUFFERS,
        "static_cast<int>(count) > capacity - NEW)",
        "static_cast<int>(count) > capacity)",
        NEARER,
    ),
    bug(
        "large_overflow_untold",
        BUFFERS,
        "found[row] = fits ? words[0] : OVERFLOW;",
        "found[row] = min(words[0], static_cast<uint32_t>(capacity - room));",
        MASSES,
    ),
    bug(
        "large_writes_before_all_have_read",
        BUFFERS,
        "      __syncthreads();  // all have read these before one writes, and no more were kept than read\n",
        "",
        NEARER,
    ),
    bug(
        "radix_digit_of_other_keys",
        RADIX,
        "if (same) atomicAdd",
        "atomicAdd",
        ODD,
    ),
    bug(
        "radix_kth_off_by_one",
        RADIX,
        "before + words[bin] < wanted",
        "before + words[bin] < wanted - 1",
        NEARER,
    ),
    bug(
        "sort_no_barrier",
        SORT,
        "      }\n      __syncthreads();\n    }",
        "      }\n    }",
        ODD,
    ),
    bug(
        "sort_tail_unfilled",
        SORT,
        "rows[i] = exact::NOBODY;",
        "rows[i] = 0;",
        ODD,
    ),
    bug(
        "large_tail_columns_scored",
        LARGE,
        ">= threshold && column < gallery_rows",
        ">= threshold && column <= gallery_rows",
        ODD,
    ),
    bug(
        "large_brute_skips_rows",
        LARGE,
        "base += count;",
        "base += ROOM;",
        MASSES,
    ),
    bug(
        "product_stage_too_early",
        PRODUCT,
        "load(stage == 0 ? STAGES - 1 : stage - 1);",
        "load(stage);",
        CUT_BACK,
    ),
    bug(
        "product_no_barrier",
        PRODUCT,
        "        __syncthreads();\n        load(",
        "        load(",
        CUT_BACK,
    ),
    bug(
        "fused_lists_begin_anew",
        FUSED,
        "t == first);",
        "false);",
        TILES,
    ),
    bug(
        "fused_cursor_one_too_far",
        FUSED,
        "cursors[t - origin] = at;",
        "cursors[t - origin] = at + 1;",
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
        "fused_sums_not_cleared",
        FUSED,
        "i < Shape::M * Shape::N; i += THREADS) sums[i] = 0;",
        "i < Shape::M; i += THREADS) sums[i] = 0;",
        TILES,
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
