//! Bugs planted into the kernels of large, sparse, Hamming and fused searches.

use super::{Bug, bug};

const HAMMING: &str = "neighbours/topk_hamming.cu";
const SPARSE: &str = "neighbours/topk_sparse.cu";
const FUSED: &str = "neighbours/topk_fused.cu";
const BUFFERS: &str = "neighbours/buffers.h";

const HASHES: &str = "neighbours_hamming::odd_counts";
const HASH_LEAST: &str = "neighbours_hamming::scores_below_the_least_are_left_out";
const TERMS: &str = "neighbours_sparse::sums_are_made_in_the_order_of_columns";
const CHUNKS: &str = "neighbours_sparse::several_chunks_of_a_gallery";
const CANCELLED: &str = "neighbours_sparse::cancelled_scores_and_pairs_without_a_common_column";
const CUT_BACK: &str = "neighbours_large::buffers_are_cut_back_and_nothing_is_lost";
const MASSES: &str = "neighbours_large::equal_rows_that_no_buffer_holds_come_in_their_order";
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
