//! Bugs for Hopper's products and its top-k scan.

use crate::planted::{Bug, bug};

const LOOP: &str = "gemm/sm90_loop.h";
const OUTPUT: &str = "gemm/sm90_product.h";
const PRODUCT: &str = "gemm/sm90_gemm.h";
const SCAN: &str = "neighbours/sm90_f16_topk_scan.cu";
const PRUNE: &str = "neighbours/prune.h";

const ROUND: &str = "gemm_sm90::a_cluster_goes_round_its_ring";
const PARTS: &str = "gemm_sm90::sums_of_two_parts_are_exchanged";
const SEARCH: &str = "gemm_sm90::a_scan_of_more_than_a_buffer_holds";
const SCHEDULES: &str = "gemm_sm90::every_schedule_gives_the_same";
const NOBODY: &str = "gemm_sm90::rows_that_the_gallery_has_not_are_nobodys";

pub const BUGS: &[Bug] = &[
    bug(
        "sm90_full_not_awaited",
        LOOP,
        "    mbarrier_wait(&ring.full[at.stage], at.parity);\n    uint64_t skip",
        "    uint64_t skip",
        ROUND,
    ),
    bug(
        "sm90_released_before_it_is_read",
        LOOP,
        "    wgmma_wait<1>();  // the step before has read its stage",
        "    wgmma_wait<2>();",
        ROUND,
    ),
    bug(
        "sm90_sums_not_awaited",
        LOOP,
        "  wgmma_wait<0>();\n  ring.release(before);",
        "  wgmma_wait<1>();\n  ring.release(before);",
        ROUND,
    ),
    bug(
        "sm90_fewer_bytes_expected",
        LOOP,
        "mbarrier_arrive_expect(&ring.full[at.stage], Tile::STAGE)",
        "mbarrier_arrive_expect(&ring.full[at.stage], Tile::A_BYTES)",
        ROUND,
    ),
    bug(
        "sm90_empty_one_round_late",
        LOOP,
        "at.parity ^ 1);",
        "at.parity);",
        ROUND,
    ),
    bug(
        "sm90_other_block_not_awaited",
        LOOP,
        "Tile::CONSUMERS * blocks);",
        "Tile::CONSUMERS);",
        ROUND,
    ),
    bug(
        "sm90_groups_of_lines_too_near",
        LOOP,
        "SPAN = 8 * LINE",
        "SPAN = 4 * LINE",
        ROUND,
    ),
    bug(
        "sm90_next_16_values_too_near",
        LOOP,
        "skip + k * 2",
        "skip + k",
        ROUND,
    ),
    bug(
        "sm90_ends_while_it_is_written_to",
        LOOP,
        "    work.end_of_work();\n  }\n  ring.meet();",
        "    work.end_of_work();\n  }",
        ROUND,
    ),
    bug(
        "sm90_panel_not_swizzled",
        OUTPUT,
        "(lane / 16 ^ lane % 8) * 16",
        "(lane / 16) * 16",
        ROUND,
    ),
    bug(
        "sm90_panel_stored_before_it_is_whole",
        OUTPUT,
        "    fence_async_shared();\n    barrier_sync(1 + warpgroup, WARPGROUP);",
        "    fence_async_shared();",
        ROUND,
    ),
    bug(
        "sm90_panel_not_fenced",
        OUTPUT,
        "    fence_async_shared();\n",
        "",
        ROUND,
    ),
    bug(
        "sm90_panel_written_while_it_is_read",
        OUTPUT,
        "bulk_wait_read<Tile::PANELS - 1>()",
        "bulk_wait_read<Tile::PANELS>()",
        ROUND,
    ),
    bug(
        "sm90_missing_panels_not_counted",
        OUTPUT,
        "      if (threadIdx.x % WARPGROUP == 0) bulk_commit();\n",
        "",
        SCHEDULES,
    ),
    bug(
        "sm90_share_in_the_wrong_half",
        PRODUCT,
        "to_b + skip * LINE",
        "to_b + (Tile::N / 2 - skip) * LINE",
        ROUND,
    ),
    bug(
        "sm90_sums_read_before_they_are_there",
        PRODUCT,
        "  cluster_sync();\n  if (warpgroup == 1)",
        "  __syncthreads();\n  if (warpgroup == 1)",
        PARTS,
    ),
    bug(
        "sm90_sums_gone_before_they_are_read",
        PRODUCT,
        "  cluster_sync();  // no block ends while another reads its sums\n",
        "",
        PARTS,
    ),
    bug(
        "sm90_scan_buffer_overrun",
        SCAN,
        "count[e] > CAPACITY - PANEL;",
        "count[e] > CAPACITY;",
        SEARCH,
    ),
    bug(
        "sm90_scan_rows_that_are_not_there",
        SCAN,
        "acc[i] >= threshold[e] && column < gallery_rows",
        "acc[i] >= threshold[e]",
        NOBODY,
    ),
    bug(
        "sm90_scan_places_taken_twice",
        SCAN,
        "__popc(row & ((1u << lane % 4) - 1u))",
        "__popc(row & ((1u << lane % 2) - 1u))",
        SEARCH,
    ),
    bug(
        "sm90_scan_kept_by_the_wrong_row",
        SCAN,
        "if (lane / 4 == owner / 4) {",
        "if (lane % 4 == owner % 4) {",
        SEARCH,
    ),
    bug(
        "sm90_prune_overwrites_what_is_unread",
        PRUNE,
        "    __syncwarp();  // all lanes have read before one writes, and what is written was read before\n    if (keep) {\n      int to = kept +",
        "    if (keep) {\n      int to = 1 + kept +",
        SEARCH,
    ),
];
