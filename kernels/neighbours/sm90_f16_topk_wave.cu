// sm90_f16_topk_wave: a wave of a search by cosine for Hopper: topk_join with wgmma, and the first pass of
// searches for more than 64 neighbours in place of topk_scan_large.
//
// What a wave is, what is put into which buffer and why no neighbour is lost stands in topk_wave.cu and
// topk_scan.cu. The main loop is that of the product (gemm/sm90_loop.h): 128 queries times 256 rows of the
// gallery a tile. The squares of a join are of 256 rows: two tiles of queries, which a cluster shares.
// Accumulators are looked at by panels of 64 columns; what reaches a threshold is staged by the warp and
// put into buffers 32 candidates at a time, so that their atomics are under way together.
//
// queries, gallery   maps of unit rows by position: query_rows x depth and gallery_rows x depth; boxes of
//                    128 lines of queries, and of 256 / cluster lines of the gallery, x 64 values,
//                    swizzled within 128 bytes; addresses and lines aligned to 16 bytes
// left_least         thresholds of queries by position, a multiple of 256 of them
// right_least        those of the gallery; read in a join alone, where they are left_least
// candidates         [query][capacity]; counts [query], of the query's own number
// left_step, right_step   rows have the number position * step modulo rows
// squares            0, or for a join of equal sides how many squares of 256 they are
// first, last        the wave: tiles of 256 of the gallery, or of a join numbers of squares from a query's
//                    own on, 0 to half of all
// Launch             ceil(query tiles of 128 / cluster) * chunks clusters of 1 or 2 blocks of 384 threads
//                    in x, of 2 for a join; chunks from 1 to last - first. SHARED bytes of dynamic shared
//                    memory (launch_topk/sm90.rs).

#include "gemm/sm90_loop.h"
#include "neighbours/wave.h"

namespace {

using selection::Candidate;
using Tile = hopper::Tile<128, 256, 4>;
using Pairs = wave::Pairs<Tile::N>;
using Staged = wave::Staged<Tile::N>;

constexpr int PANEL = 64, PARTS = PANEL / 2;  // columns that are looked at at a time, and a thread's part
constexpr int REGISTERS = 240, SPARED = 24;
constexpr int WARPS = Tile::CONSUMERS * 4;
constexpr uint16_t BOTH = 3;  // blocks of a cluster of two
static_assert(Tile::N % PANEL == 0, "a tile is whole panels");
static_assert(Tile::N == 2 * Tile::M, "a cluster of two has a square of a join");
static_assert(wave::GROUP == 4, "a fragment's four accumulators are looked at together");
static_assert(Tile::RING_BYTES + Tile::BARRIER_BYTES + WARPS * wave::STAGED_BYTES <= 227 << 10,
              "all of it fits a block of Hopper");

struct Wave {
  const TensorMap &queries, &gallery;
  const Pairs& pairs;
  Staged& staged;
  int row0, square, squares;
  uint32_t rank, blocks;
  int begin, end, stride, steps;
  float threshold[2];  // of the thread's two rows

  struct Place {
    int column0;
    bool own;  // the square on the diagonal, or no join
  };

  __device__ __forceinline__ Place where(int t) const {
    return {wave::Share::tile(t, square, squares) * Tile::N, squares == 0 || t == 0};
  }

  __device__ __forceinline__ void load(Place at, int step, unsigned char* to_a, unsigned char* to_b,
                                       uint64_t* bar) const {
    int k0 = step * hopper::DEPTH;
    tensor_load<2>(to_a, queries, bar, {k0, row0});
    if (blocks == 1) {
      tensor_load<2>(to_b, gallery, bar, {k0, at.column0});
    } else {
      int skip = static_cast<int>(rank) * (Tile::N / 2);
      tensor_load_multicast<2>(to_b + skip * hopper::LINE, gallery, bar, {k0, at.column0 + skip}, BOTH);
    }
  }

  // The first of the thread's rows; the second is 8 below.
  __device__ __forceinline__ int first_row() const {
    unsigned warp = threadIdx.x / 32 - 4;
    return row0 + static_cast<int>(warp * 16 + threadIdx.x % 32 / 4);
  }

  // Before the first tile, by every thread that consumes.
  __device__ __forceinline__ void start() {
    threshold[0] = pairs.left_least[first_row()];
    threshold[1] = pairs.left_least[first_row() + 8];
  }

  // Panel by panel; the accumulators move up behind each, so that one loop's code serves all of them.
  __device__ __forceinline__ void finish(Place at, float (&acc)[Tile::N / 2], int) {
#pragma unroll 1
    for (int panel = 0; panel < Tile::N / PANEL && at.column0 + panel * PANEL < pairs.right.rows; panel++) {
      look(acc, at.column0 + panel * PANEL, at.own);
#pragma unroll
      for (int i = 0; i < Tile::N / 2 - PARTS; i++) acc[i] = acc[i + PARTS];
    }
  }

  // Stages what reaches a threshold of the panel that begins with `column0`. By a whole warp.
  __device__ __forceinline__ void look(const float (&acc)[Tile::N / 2], int column0, bool own) {
    int column = column0 + static_cast<int>(threadIdx.x % 4 * 2);
    float least[PARTS / 2];
    unsigned reaches = 0;
#pragma unroll
    for (int j = 0; j < PARTS / 4; j++) {
      float2 both = make_float2(INFINITY, INFINITY);
      if (!own) both = load_vector<float2>(pairs.right_least + column + j * 8);
      least[2 * j] = both.x;
      least[2 * j + 1] = both.y;
    }
#pragma unroll
    for (int i = 0; i < PARTS; i++) {
      bool reach = acc[i] >= threshold[i / 2 % 2] || acc[i] >= least[i / 4 * 2 + i % 2];
      reaches |= reach ? 1u << i : 0u;
    }
    if (!__any_sync(FULL_WARP, reaches != 0)) return;
#pragma unroll
    for (int j = 0; j < PARTS / 4; j++) {
      if (!__any_sync(FULL_WARP, (reaches >> 4 * j & 15u) != 0)) continue;
#pragma unroll
      for (int e = 0; e < 4; e++) {
        staged.add((reaches >> (4 * j + e) & 1u) != 0, first_row() + e / 2 * 8, column + j * 8 + e % 2,
                   acc[4 * j + e]);
      }
      staged.settle();
    }
  }

  __device__ __forceinline__ void end_of_work() const { staged.settle(true); }
};

__device__ __forceinline__ void scan(const TensorMap& queries, const TensorMap& gallery, const Pairs& pairs, int depth,
                                     int squares, int first, int last, int chunks) {
  DYNAMIC_SHARED(shared);
  uint32_t blocks = cluster_blocks(), rank = cluster_rank();
  const hopper::Ring<Tile> ring(shared, shared + Tile::RING_BYTES, blocks);
  if (threadIdx.x == 0) {
    tensor_prefetch(queries);
    tensor_prefetch(gallery);
  }
  int cluster = static_cast<int>(blockIdx.x / blocks);
  int row0 = (cluster / chunks * static_cast<int>(blocks) + static_cast<int>(rank)) * Tile::M;
  int square = row0 / Tile::N;
  const wave::Share share(first, last, cluster % chunks, chunks, square, squares);
  bool consumes = threadIdx.x >= hopper::WARPGROUP;
  unsigned warp = consumes ? threadIdx.x / 32 - 4 : 0;
  Staged staged(reinterpret_cast<uint32_t*>(shared + Tile::RING_BYTES + Tile::BARRIER_BYTES +
                                            warp * wave::STAGED_BYTES),
                pairs, static_cast<int>(threadIdx.x % 32));
  Wave work{queries, gallery, pairs, staged, row0, square, squares, rank, blocks, share.begin, share.end, 1,
            (depth - 1) / hopper::DEPTH + 1, {}};
  if (consumes) work.start();
  hopper::run<__half, Tile, REGISTERS, SPARED>(ring, work);
}

}  // namespace

extern "C" __global__ void __launch_bounds__(384, 1)
sm90_f16_topk_wave(const __grid_constant__ TensorMap queries, const __grid_constant__ TensorMap gallery,
                   const float* left_least, const float* right_least, uint2* candidates, uint32_t* counts,
                   int query_rows, int gallery_rows, int depth, int left_step, int right_step, int capacity,
                   int squares, int first, int last, int chunks) {
  const Pairs pairs = {{query_rows, left_step},
                       {gallery_rows, right_step},
                       {candidates, counts, capacity},
                       left_least,
                       right_least,
                       squares > 0};
  scan(queries, gallery, pairs, depth, squares, first, last, chunks);
}
