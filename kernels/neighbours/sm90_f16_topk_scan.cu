// sm90_f16_topk_scan: the first pass of top-k by cosine for Hopper, in place of topk_scan.
//
// What is computed, what is kept and why no neighbour is lost stands in topk_scan.cu; the candidates and
// their counts are the same in form, so that topk_exact.cu follows unchanged. The bound B there allows for
// wgmma, which sums 16 products and the accumulator in a step.
//
// The main loop is that of the product (gemm/sm90_loop.h): 128 queries times 256 rows of the gallery a
// tile. A row of a tile belongs to four lanes of one warp. They hold its threshold and its count in
// registers, so the epilogue needs no barrier and no atomics: accumulators are compared with the
// threshold, and what reaches it takes its place in the row's buffer by the warp's votes. After every 64
// columns the rows whose buffers could not take 64 more are pruned, by the warp that owns them.
//
// queries, gallery   maps of unit rows: query_rows x depth and gallery_rows x depth; boxes of 128 lines
//                    of queries, and of 256 / cluster lines of the gallery, x 64 values, swizzled within
//                    128 bytes; addresses and lines aligned to 16 bytes
// candidates         [query][chunk][CAPACITY]; counts [query][chunk], OVERFLOW where they did not fit
// k                  1 to 64
// slack, floor       as in topk_scan.cu
// Launch             ceil(query tiles of 128 / cluster) * chunks clusters of 1 or 2 blocks of 384 threads
//                    in x. Cluster c takes query tiles from cluster * (c / chunks) on, one a block, and
//                    the (c % chunks)-th part of the gallery; chunks from 1 to the number of tiles of 256
//                    of the gallery. SHARED bytes of dynamic shared memory (launch_topk.rs).

#include "gemm/sm90_loop.h"
#include "neighbours/prune.h"

namespace {

using prune::CAPACITY;
using prune::OVERFLOW;
using selection::Candidate;
using Tile = hopper::Tile<128, 256, 4>;

constexpr int PANEL = 64, PARTS = PANEL / 2;  // columns that are looked at at a time, and a thread's part
constexpr int REGISTERS = 240, SPARED = 24;
constexpr uint16_t BOTH = 3;  // blocks of a cluster of two
static_assert(CAPACITY >= 2 * PANEL, "a pruned buffer of at most CAPACITY - PANEL takes a whole panel more");
static_assert(Tile::N % PANEL == 0, "a tile is whole panels");
static_assert(Tile::RING_BYTES + Tile::BARRIER_BYTES <= 227 << 10, "all of it fits a block of Hopper");

struct Scan {
  const TensorMap &queries, &gallery;
  Candidate* candidates;
  int query_rows, gallery_rows, row0, k, chunk, chunks;
  float slack, floor;
  uint32_t rank, blocks;
  int begin, end, stride, steps;
  // Of the thread's two rows, which it shares with three other lanes.
  float threshold[2];
  uint32_t count[2];

  __device__ __forceinline__ int where(int tile) const { return tile * Tile::N; }

  __device__ __forceinline__ void load(int column0, int step, unsigned char* to_a, unsigned char* to_b,
                                       uint64_t* bar) const {
    int k0 = step * hopper::DEPTH;
    tensor_load<2>(to_a, queries, bar, {k0, row0});
    if (blocks == 1) {
      tensor_load<2>(to_b, gallery, bar, {k0, column0});
    } else {
      int skip = static_cast<int>(rank) * (Tile::N / 2);
      tensor_load_multicast<2>(to_b + skip * hopper::LINE, gallery, bar, {k0, column0 + skip}, BOTH);
    }
  }

  // The first of the thread's rows; the second is 8 below.
  __device__ __forceinline__ int first_row() const {
    unsigned warp = threadIdx.x / 32 - 4;
    return row0 + static_cast<int>(warp * 16 + threadIdx.x % 32 / 4);
  }

  __device__ __forceinline__ Candidate* buffer(int row) const {
    return candidates + (static_cast<long long>(row) * chunks + chunk) * CAPACITY;
  }

  // Before the first tile, by every thread that consumes.
  __device__ __forceinline__ void start() {
    for (int e = 0; e < 2; e++) {
      threshold[e] = first_row() + 8 * e < query_rows ? floor : INFINITY;
      count[e] = 0;
    }
  }

  // Panel by panel; the accumulators move up behind each, so that one loop's code serves all of them.
  __device__ __forceinline__ void finish(int column0, float (&acc)[Tile::N / 2], int) {
#pragma unroll 1
    for (int panel = 0; panel < Tile::N / PANEL && column0 + panel * PANEL < gallery_rows; panel++) {
      float most[2] = {acc[0], acc[2]};
#pragma unroll
      for (int i = 0; i < PARTS; i++) most[i / 2 % 2] = fmaxf(most[i / 2 % 2], acc[i]);
      if (__any_sync(FULL_WARP, most[0] >= threshold[0] || most[1] >= threshold[1])) {
        append(acc, column0 + panel * PANEL);
        make_room();
      }
#pragma unroll
      for (int i = 0; i < Tile::N / 2 - PARTS; i++) acc[i] = acc[i + PARTS];
    }
  }

  // Appends what reaches its row's threshold of the panel that begins with `column0`. By a whole warp.
  __device__ __forceinline__ void append(const float (&acc)[Tile::N / 2], int column0) {
    unsigned lane = threadIdx.x % 32, quad = lane & ~3u;
    Candidate* to[2] = {buffer(first_row()), buffer(first_row() + 8)};
#pragma unroll
    for (int i = 0; i < PARTS; i++) {
      const int e = i / 2 % 2;
      int column = column0 + i / 4 * 8 + static_cast<int>(lane % 4 * 2) + i % 2;
      bool reaches = acc[i] >= threshold[e] && column < gallery_rows;
      unsigned all = __ballot_sync(FULL_WARP, reaches);
      if (all == 0) continue;
      unsigned row = all >> quad & 15u;
      if (reaches) {
        uint32_t at = count[e] + static_cast<uint32_t>(__popc(row & ((1u << lane % 4) - 1u)));
        store_vector(to[e] + at, make_uint2(__float_as_uint(acc[i]), static_cast<uint32_t>(column)));
      }
      count[e] += static_cast<uint32_t>(__popc(row));
    }
  }

  // Prunes the rows of the warp whose buffers could not take another panel.
  __device__ __forceinline__ void make_room() {
    int lane = static_cast<int>(threadIdx.x % 32);
#pragma unroll
    for (int e = 0; e < 2; e++) {
      bool crowded = count[e] != OVERFLOW && count[e] > CAPACITY - PANEL;
      unsigned rows = __ballot_sync(FULL_WARP, crowded && lane % 4 == 0);
      while (rows != 0) {
        int owner = __ffs(static_cast<int>(rows)) - 1;
        rows &= rows - 1;
        auto found = static_cast<int>(__shfl_sync(FULL_WARP, count[e], owner));
        int row = first_row() - lane / 4 + owner / 4 + 8 * e;
        float least;
        __syncwarp();  // what other lanes appended
        int kept = prune::candidates(buffer(row), found, k, slack, floor, &least, lane);
        __syncwarp();
        if (lane / 4 == owner / 4) {
          bool fits = kept <= CAPACITY - PANEL;
          count[e] = fits ? static_cast<uint32_t>(kept) : OVERFLOW;
          threshold[e] = fits ? least : INFINITY;
        }
      }
    }
  }

  __device__ __forceinline__ void end_of_work() const {}
};

__device__ __forceinline__ void scan(const TensorMap& queries, const TensorMap& gallery, Candidate* candidates,
                                     uint32_t* counts, int query_rows, int gallery_rows, int depth, int k, float slack,
                                     float floor, int chunks) {
  DYNAMIC_SHARED(shared);
  uint32_t blocks = cluster_blocks(), rank = cluster_rank();
  const hopper::Ring<Tile> ring(shared, shared + Tile::RING_BYTES, blocks);
  if (threadIdx.x == 0) {
    tensor_prefetch(queries);
    tensor_prefetch(gallery);
  }
  int cluster = static_cast<int>(blockIdx.x / blocks), chunk = cluster % chunks;
  int row0 = (cluster / chunks * static_cast<int>(blocks) + static_cast<int>(rank)) * Tile::M;
  long long tiles = (gallery_rows - 1) / Tile::N + 1;
  int first = static_cast<int>(tiles * chunk / chunks), last = static_cast<int>(tiles * (chunk + 1) / chunks);
  Scan work{queries, gallery, candidates, query_rows, gallery_rows, row0, k, chunk, chunks, slack, floor, rank, blocks,
            first, last, 1, (depth - 1) / hopper::DEPTH + 1, {}, {}};
  bool consumes = threadIdx.x >= hopper::WARPGROUP;
  if (consumes) work.start();
  hopper::run<__half, Tile, REGISTERS, SPARED>(ring, work);
  if (consumes && threadIdx.x % 4 == 0) {
#pragma unroll
    for (int e = 0; e < 2; e++) {
      int row = work.first_row() + 8 * e;
      if (row < query_rows) counts[static_cast<long long>(row) * chunks + chunk] = work.count[e];
    }
  }
}

}  // namespace

extern "C" __global__ void __launch_bounds__(384, 1)
sm90_f16_topk_scan(const __grid_constant__ TensorMap queries, const __grid_constant__ TensorMap gallery,
                   uint2* candidates, uint32_t* counts, int query_rows, int gallery_rows, int depth, int k,
                   float slack, float floor, int chunks) {
  scan(queries, gallery, candidates, counts, query_rows, gallery_rows, depth, k, slack, floor, chunks);
}
