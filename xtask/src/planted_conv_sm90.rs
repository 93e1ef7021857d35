//! Bugs for Hopper's convolutions.

use crate::planted::{Bug, bug};

const CONV: &str = "conv/sm90_conv.h";

const TILES: &str = "conv_sm90::every_tile_alone_and_in_clusters";
const WINDOWS: &str = "conv_sm90::windows_that_reach_beside_the_image";
const GROUPS: &str = "conv_sm90::groups_of_64_channels";
const GATES: &str = "conv_sm90::gates_multiply_on_the_way";
const SCHEDULES: &str = "conv_sm90::every_schedule_gives_the_same";

pub const BUGS: &[Bug] = &[
    bug(
        "sm90_conv_gate_stage_not_awaited",
        CONV,
        "    mbarrier_wait(&ring.full[at.stage], at.parity);\n    const unsigned char* a",
        "    const unsigned char* a",
        SCHEDULES,
    ),
    bug(
        "sm90_conv_gate_released_too_early",
        CONV,
        "    wgmma_wait<0>();\n    ring.release(at.stage);",
        "    ring.release(at.stage);\n    wgmma_wait<0>();",
        SCHEDULES,
    ),
    bug(
        "sm90_conv_gate_wrong_swizzle",
        CONV,
        "((2 * k + lane / 16) ^ line % 8) * 16",
        "(2 * k + lane / 16) * 16",
        GATES,
    ),
    bug(
        "sm90_conv_gate_of_one_image",
        CONV,
        "high = gate + static_cast<long long>(min((row + 8) / pixels, s.images - 1)) * s.c;",
        "high = low;",
        GATES,
    ),
    bug(
        "sm90_conv_window_transposed",
        CONV,
        "{static_cast<uint16_t>(place % s.kw), static_cast<uint16_t>(place / s.kw)}",
        "{static_cast<uint16_t>(place / s.kw), static_cast<uint16_t>(place % s.kw)}",
        WINDOWS,
    ),
    bug(
        "sm90_conv_padding_forgotten",
        CONV,
        "spot.y = pixel / s.ow * s.stride_y - s.pad_y;",
        "spot.y = pixel / s.ow * s.stride_y;",
        TILES,
    ),
    bug(
        "sm90_conv_first_group_for_all",
        CONV,
        "spot.channel = spot.column / (s.o / s.groups) * (s.c / s.groups);",
        "spot.channel = 0;",
        GROUPS,
    ),
];
