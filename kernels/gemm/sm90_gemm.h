// The matrix product of sm90_f16_gemm.cu and sm90_bf16_gemm.cu, for Hopper: factors of 16 bits, f32
// accumulators, and its epilogue.
//
//   out[m][n] = act( (sum over k of a[m][k] b[n][k]) * scale[n] + bias[n] + residual[m][n] )
//
// Entries      sm90_<type>_gemm_<M>x<N>: a block computes tiles of M x N; type is f16 or bf16
//              sm90_<type>_gemm_split: tiles of 64 x 64; the blocks of a cluster share k among them
// a            m x k; a map of its lines: boxes of M lines x 64 values, swizzled within 128 bytes
// b            n x k; boxes of N / cluster lines x 64 values, likewise (split: 64 lines)
// out          m x n; overlaps nothing that is read. Its map: boxes of 64 lines x 64 columns, swizzled
//              likewise; used where `store` is BULK alone
// scale, bias  n values each, or null
// residual     m x n, or null
// store        0 (BULK): the copy engine stores the result; lines of out begin at multiples of 16 bytes
//              1 (PAIRS): registers are stored by pairs
// activation   a number of pointwise/activation.h
// Alignment    a and b and each of their lines begin at multiples of 16 bytes, all else at 4; n is even
// Launch       THREADS of the tile (128 for each 64 rows, and 128 more); clusters of 1 or 2 blocks in x,
//              any number of clusters (persistent: cluster c computes tiles c, c + clusters, ...). The
//              blocks of a cluster compute tiles with the same columns, one below the other, and each
//              copies its share of b to all of them. Dynamic shared memory as gemm::Hopper lays it out
//              (heuristics_gemm.rs). split: as many clusters as tiles, each of 1 to 8 blocks, at most
//              ceil(k / 64). m, n, k from 1, sides below 2^31.
#pragma once

#include "gemm/sm90_product.h"

namespace hopper {

// The work of one block.
template <class T, class Tile>
struct Product : Output<T, Tile> {
  const TensorMap &a, &b;
  Grid grid;
  int begin, end, stride, steps;
  uint32_t rank, blocks;

  // Where a block's tile begins. The tiles of a cluster count as one row of the grid.
  __device__ __forceinline__ Corner where(int tile) const {
    Corner at = grid.place(tile);
    return {(at.row * static_cast<int>(blocks) + static_cast<int>(rank)) * Tile::M, at.column * Tile::N};
  }

  __device__ __forceinline__ void load(Corner at, int step, unsigned char* to_a, unsigned char* to_b,
                                       uint64_t* bar) const {
    int k0 = step * DEPTH;
    tensor_load<2>(to_a, a, bar, {k0, at.row});
    if (blocks == 1) {
      tensor_load<2>(to_b, b, bar, {k0, at.column});
    } else {
      int skip = static_cast<int>(rank) * (Tile::N / 2);
      tensor_load_multicast<2>(to_b + skip * LINE, b, bar, {k0, at.column + skip}, BOTH);
    }
  }
};

template <class T, class Tile>
__device__ __forceinline__ void product(const TensorMap& a, const TensorMap& b, const TensorMap& out_map,
                                        const gemm::Epilogue<T>& epilogue, int depth, int store) {
  DYNAMIC_SHARED(shared);
  uint32_t blocks = cluster_blocks();
  const Ring<Tile> ring(shared, shared + Tile::BARRIERS_AT, blocks);
  if (threadIdx.x == 0) {
    tensor_prefetch(a);
    tensor_prefetch(b);
    if (store == BULK) tensor_prefetch(out_map);
  }
  unsigned halve = blocks - 1;  // clusters have 1 or 2 blocks
  int high = (epilogue.rows - 1) / Tile::M + 1, steps = (depth - 1) / DEPTH + 1;
  Grid grid{((high - 1) >> halve) + 1, (epilogue.columns - 1) / Tile::N + 1};
  Product<T, Tile> work{{out_map, epilogue, shared + Tile::PANELS_AT, store}, a, b, grid,
                     static_cast<int>(blockIdx.x >> halve), grid.rows * grid.columns,
                     static_cast<int>(gridDim.x >> halve), steps, cluster_rank(), blocks};
  run<T, Tile, Tile::REGISTERS, Tile::SPARED>(ring, work);
}

// --- Split along k -------------------------------------------------------------------------------

// One tile for a whole cluster, whose blocks take parts of k. Every block leaves its sums in its own
// shared memory, then finishes some of the rows with the sums of all blocks, in their order: the same
// result every time.
using Part = Tile<64, 64, 5>;
constexpr int SUMS_LINE = Part::N + 4;  // floats: neighbouring lines begin 4 banks apart
constexpr int SUMS_AT = Part::RING_BYTES, SUMS_BYTES = Part::M * SUMS_LINE * 4;
constexpr int PART_BARRIERS_AT = SUMS_AT + SUMS_BYTES;
static_assert(PART_BARRIERS_AT % 8 == 0, "barriers are aligned to 8");
static_assert(PART_BARRIERS_AT + Part::BARRIER_BYTES <= SHARED_MOST, "all of it fits a block of Hopper");

// The part of k of one block: a ring of its own, filled by itself.
struct Portion {
  const TensorMap &a, &b;
  Corner at;
  int first, steps;
  int begin = 0, end = 1, stride = 1;

  __device__ __forceinline__ Corner where(int) const { return at; }
  __device__ __forceinline__ void load(Corner, int step, unsigned char* to_a, unsigned char* to_b,
                                       uint64_t* bar) const {
    int k0 = (first + step) * DEPTH;
    tensor_load<2>(to_a, a, bar, {k0, at.row});
    tensor_load<2>(to_b, b, bar, {k0, at.column});
  }
};

// Finishes every `parts`-th row of a tile, a thread two columns of it. By the 128 threads of a warpgroup.
template <class T>
__device__ __forceinline__ void add_up(float* sums, const gemm::Epilogue<T>& epilogue, Corner at, uint32_t rank,
                                       uint32_t parts, unsigned thread) {
  unsigned column = thread % 32 * 2;
  for (uint32_t line = rank + thread / 32 * parts; line < Part::M; line += 4 * parts) {
    float total[4] = {};
    for (uint32_t from = 0; from < parts; from++) {
      auto v = load_vector<float2>(cluster_map(sums, from) + line * SUMS_LINE + column);
      total[0] += v.x, total[1] += v.y;
    }
    int row = at.row + static_cast<int>(line), to = at.column + static_cast<int>(column);
    gemm::Epilogue<T> one = epilogue;
    one.rows = min(epilogue.rows, row + 1);  // the fragment's second row does not exist
    const gemm::Fragments<T> fragments{one, 2};
    fragments.finish(total, row, to);
    fragments.store(total, row, to);
  }
}

template <class T>
__device__ __forceinline__ void split(const TensorMap& a, const TensorMap& b, const gemm::Epilogue<T>& epilogue,
                                      int depth) {
  DYNAMIC_SHARED(shared);
  auto* sums = reinterpret_cast<float*>(shared + SUMS_AT);
  uint32_t parts = cluster_blocks(), rank = cluster_rank();
  Grid grid{(epilogue.rows - 1) / Part::M + 1, (epilogue.columns - 1) / Part::N + 1};
  Corner at = grid.place(static_cast<int>(blockIdx.x / parts));
  int all = (depth - 1) / DEPTH + 1, first = static_cast<int>(all * rank / parts);
  int last = static_cast<int>(all * (rank + 1) / parts);
  const Portion work{a, b, {at.row * Part::M, at.column * Part::N}, first, last - first};
  const Ring<Part> ring(shared, shared + PART_BARRIERS_AT, 1);

  ring.open();
  unsigned warpgroup = threadIdx.x / WARPGROUP, thread = threadIdx.x % WARPGROUP, lane = thread % 32;
  if (warpgroup == 0) {
    if (thread == 0) produce(ring, work);
  } else {
    float acc[Part::N / 2];
    Place<Part::STAGES> at;
    multiply<T, Part>(acc, ring, at, work.steps, 0);
#pragma unroll
    for (unsigned i = 0; i < Part::N / 2; i += 2) {
      unsigned to = (thread / 32 * 16 + lane / 4 + i / 2 % 2 * 8) * SUMS_LINE + i / 4 * 8 + lane % 4 * 2;
      store_vector(sums + to, make_float2(acc[i], acc[i + 1]));
    }
  }
  cluster_sync();
  if (warpgroup == 1) add_up(sums, epilogue, work.at, rank, parts, thread);
  cluster_sync();  // no block ends while another reads its sums
}

using Tile128x256 = Hopper<128, 256, 4, 2, 240, 24>;
using Tile128x192 = Hopper<128, 192, 4, 3, 240, 24>;
using Tile128x128 = Hopper<128, 128, 5, 2, 240, 24>;
using Tile128x64 = Hopper<128, 64, 6, 1, 240, 24>;

}  // namespace hopper
