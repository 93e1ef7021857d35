// What Hopper's products and convolutions share behind the main loop: tiles, their order, and how results
// leave.
//
// A result leaves by panels of 64 columns: registers -> stmatrix -> shared memory -> bulk store, which
// overlaps with the next tile's main loop. A panel is 64 lines of 128 bytes for each consumer; a panel's
// memory is written anew once the copy engine has read it.
#pragma once

#include "gemm/epilogue.h"
#include "gemm/sm90_loop.h"

namespace hopper {

enum Store : int { BULK = 0, PAIRS = 1 };

constexpr int PANEL = 64;                            // columns
constexpr int PANEL_BYTES = GROUP_ROWS * PANEL * 2;  // of one consumer
constexpr uint16_t BOTH = 3;                         // blocks of a cluster of two
constexpr int SHARED_MOST = 227 << 10;               // of a block on Hopper
static_assert(PANEL * 2 == LINE, "a line of a panel is the span of the swizzle");

// A kernel's tile, the panels that a consumer has in shared memory, and the registers of a thread.
template <int M, int N, int STAGES, int PANELS_, int REGISTERS_, int SPARED_>
struct Hopper : Tile<M, N, STAGES> {
  using Base = Tile<M, N, STAGES>;
  static constexpr int PANELS = PANELS_, REGISTERS = REGISTERS_, SPARED = SPARED_;
  static constexpr int PANELS_AT = Base::RING_BYTES, BARRIERS_AT = PANELS_AT + Base::CONSUMERS * PANELS * PANEL_BYTES;
  static_assert(BARRIERS_AT + Base::BARRIER_BYTES <= SHARED_MOST, "all of it fits a block of Hopper");
  static_assert(N % (PANEL * PANELS) == 0, "every tile begins with the first panel's memory");
};

struct Corner {
  int row, column;
};

// Tile number `tile` of a grid of `rows` x `columns`: bands of 8 rows, column by column within a band, so
// that blocks that run together share lines of both factors in the L2 cache.
struct Grid {
  int rows, columns;

  __device__ __forceinline__ Corner place(int tile) const {
    constexpr int BAND = 8;
    int in_band = BAND * columns, first = tile / in_band * BAND;
    int height = min(BAND, rows - first), within = tile % in_band;
    return {first + within % height, within / height};
  }
};

// How the accumulators of a tile leave. `out_map` is a map of the result: boxes of 64 lines x 64 columns,
// swizzled within 128 bytes; used where `store` is BULK alone.
template <class T, class Tile>
struct Output {
  const TensorMap& out_map;
  gemm::Epilogue<T> epilogue;
  unsigned char* panels;
  int store;

  // Panel by panel; the accumulators move up behind each, so that one loop's code serves all of them.
  __device__ __forceinline__ void finish(Corner at, float (&acc)[Tile::N / 2], int warpgroup) const {
    int row0 = at.row + warpgroup * GROUP_ROWS, column0 = at.column;
    unsigned warp = threadIdx.x / 32 % 4, lane = threadIdx.x % 32;
    int row = row0 + static_cast<int>(warp * 16 + lane / 4);
    unsigned char* own = panels + warpgroup * Tile::PANELS * PANEL_BYTES;
    int panel = 0;
#pragma unroll 1
    for (; panel < Tile::N / PANEL && column0 + panel * PANEL < epilogue.columns; panel++) {
      int column = column0 + panel * PANEL + static_cast<int>(lane % 4 * 2);
      float(&x)[PANEL / 2] = *reinterpret_cast<float(*)[PANEL / 2]>(&acc);
      const gemm::Fragments<T> fragments{epilogue, 2};
      fragments.finish(x, row, column);
      if (store == PAIRS) {
        fragments.store(x, row, column);
      } else {
        put(own + panel % Tile::PANELS * PANEL_BYTES, x, row0, column0 + panel * PANEL, warpgroup, warp, lane);
      }
#pragma unroll
      for (int i = 0; i < Tile::N / 2 - PANEL / 2; i++) acc[i] = acc[i + PANEL / 2];
    }
    // Panels that the result has not leave empty groups, so that waiting for a panel's memory can count.
    for (; panel < Tile::N / PANEL; panel++) {
      if (threadIdx.x % WARPGROUP == 0) bulk_commit();
    }
  }

  // Stores a panel by way of `to`. By a whole warpgroup, whose first thread starts all its copies.
  __device__ __forceinline__ void put(unsigned char* to, const float (&x)[PANEL / 2], int row0, int column0,
                                      int warpgroup, unsigned warp, unsigned lane) const {
    bool first = warp == 0 && lane == 0;
    if (first) bulk_wait_read<Tile::PANELS - 1>();
    barrier_sync(1 + warpgroup, WARPGROUP);
    // Piece p of line l stands at p ^ (l % 8): two pieces further is a flip of bit 5 or 6.
    unsigned line = warp * 16 + lane % 16, at = line * LINE + (lane / 16 ^ lane % 8) * 16;
#pragma unroll
    for (unsigned i = 0; i < PANEL / 16; i++) {
      const uint32_t r[4] = {pack_pair<T>(x[8 * i], x[8 * i + 1]), pack_pair<T>(x[8 * i + 2], x[8 * i + 3]),
                             pack_pair<T>(x[8 * i + 4], x[8 * i + 5]), pack_pair<T>(x[8 * i + 6], x[8 * i + 7])};
      stmatrix(to + (at ^ i * 32u), r);
    }
    fence_async_shared();
    barrier_sync(1 + warpgroup, WARPGROUP);
    if (first) {
      if (row0 < epilogue.rows) tensor_store<2>(out_map, to, {column0, row0});
      bulk_commit();
    }
  }

  __device__ __forceinline__ void end_of_work() const {
    if (threadIdx.x % WARPGROUP == 0) bulk_wait_read<0>();
  }
};

}  // namespace hopper
