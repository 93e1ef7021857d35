// Top-k by cosine, first pass, by waves: launches of tiles that append to buffers which blocks share, and
// between them a cut of each buffer. topk_scan.cu has thresholds, bounds and why no neighbour is lost.
//
//   topk_wave_start          thresholds and counts before the first wave
//   topk_join                a wave of rows with themselves, each pair of tiles computed once for both
//   topk_wave_settle         buffers of PLACES cut back, for k to 64; counts in the form of topk_scan.cu
//   topk_wave_settle_large   buffers of any size cut back by a radix select
//
// The join computes half of the product. Squares of rows stand in a ring; wave by wave every square meets
// those further on, up to half way round, and a pair that reaches the threshold of its one row or of its
// other is put into that row's buffer. All rows see as many others in a wave, and the first wave is the
// square itself, so buffers that take the first wave whole and then k (1 + others / seen) more, with
// room for chance, rarely overflow. That holds for rows in any order: unit rows are taken by position
// (wave.h), so that rows that stand together in a file are spread over all waves.
//
// Within a wave thresholds stand still, and the cut keeps a set that does not depend on the order within
// a buffer; so the candidates are the same whatever the order of blocks, warps and atomics. A buffer into
// which more was put than it holds says OVERFLOW, which topk_exact.cu answers from all rows.
//
// topk_wave_start
//   least      thresholds by position: `floor` for the first `rows`, INFINITY for the other of `places`
//   counts     of `rows` rows, 0
//   Launch     blocks of any number of threads, a thread a place
// topk_join
//   unit       unit rows by position: rows x depth, aligned to 16 bytes
//   least      thresholds by position, a multiple of 128
//   candidates [row][capacity]; counts [row], of the row's own number
//   order_step rows have the number position * order_step modulo rows
//   first, last the wave: numbers of tiles from a row of tiles on, 0 to half of all tiles
//   Launch     ceil(rows / 128) * chunks blocks of 256 threads in x, chunks from 1 to last - first;
//              76,800 bytes of dynamic shared memory
// topk_wave_settle
//   parts      [row][2]: how much of each half of a buffer is filled, OVERFLOW where it did not suffice
//   k          1 to 64
//   Launch     blocks of a multiple of 32 threads, a warp a row
// topk_wave_settle_large
//   k          1 to capacity
//   Launch     one block of 256 threads a row; 8,256 bytes of dynamic shared memory

#include "neighbours/buffers.h"
#include "neighbours/product.h"
#include "neighbours/prune.h"
#include "neighbours/wave.h"

namespace {

using selection::Candidate;
using wave::OVERFLOW;
using Shape = tile::Shape<128, 128, 2, 4>;
using Product = product::Product<Shape, 3>;
using Pairs = wave::Pairs<Shape::M>;

constexpr int PLACES = 2 * prune::CAPACITY, WARPS = Shape::THREADS / 32;
static_assert(Shape::M == Shape::N, "tiles are squares");
static_assert(PLACES >= Shape::N, "the first wave fits");
static_assert(OVERFLOW == prune::OVERFLOW && OVERFLOW == buffers::OVERFLOW, "all say it in one way");
static_assert(wave::GROUP == 4, "a thread's four accumulators of a fragment are looked at together");
static_assert(Product::BYTES + WARPS * wave::STAGED_BYTES <= 96 << 10, "all of it fits every card from Ampere on");

__device__ __forceinline__ void join(const Pairs& pairs, const __half* unit, int depth, int first, int last,
                                     int chunks) {
  DYNAMIC_SHARED(shared);
  int thread = static_cast<int>(threadIdx.x), block = static_cast<int>(blockIdx.x), rows = pairs.left.rows;
  int square = block / chunks, squares = (rows - 1) / Shape::M + 1, row0 = square * Shape::M;
  const wave::Share share(first, last, block % chunks, chunks, square, squares);
  const Shape shape;
  wave::Staged<Shape::M> staged(
      reinterpret_cast<uint32_t*>(shared + Product::BYTES + thread / 32 * wave::STAGED_BYTES), pairs, shape.lane);
  float left_least[Shape::ROWS][2];
#pragma unroll
  for (int i = 0; i < Shape::ROWS; i++) {
    left_least[i][0] = pairs.left_least[row0 + shape.row(i, 0)];
    left_least[i][1] = pairs.left_least[row0 + shape.row(i, 2)];
  }
  Product product = {reinterpret_cast<__half*>(shared), unit, unit, rows, rows, depth, row0};
  auto where = [&](int t) { return wave::Share::tile(t, square, squares); };
  product.run(shape, share.begin, share.end, where, [&](const auto& acc, int t) {
    int column0 = where(t) * Shape::N;
    float right_least[Shape::COLUMNS][2];
#pragma unroll
    for (int j = 0; j < Shape::COLUMNS; j++) {
      float2 both = load_vector<float2>(pairs.right_least + column0 + shape.column(j, 0));
      right_least[j][0] = t > 0 ? both.x : INFINITY;
      right_least[j][1] = t > 0 ? both.y : INFINITY;
    }
#pragma unroll
    for (int i = 0; i < Shape::ROWS; i++) {
#pragma unroll
      for (int j = 0; j < Shape::COLUMNS; j++) {
        bool reaches[4], any = false;
#pragma unroll
        for (int e = 0; e < 4; e++) {
          reaches[e] = acc[i][j][e] >= left_least[i][e / 2] || acc[i][j][e] >= right_least[j][e % 2];
          any = any || reaches[e];
        }
        if (!__any_sync(FULL_WARP, any)) continue;
#pragma unroll
        for (int e = 0; e < 4; e++) {
          staged.add(reaches[e], row0 + shape.row(i, e), column0 + shape.column(j, e), acc[i][j][e]);
        }
        staged.settle();
      }
    }
  });
  staged.settle(true);
}

// By a whole warp, of one row.
__device__ __forceinline__ void settle(Candidate* candidates, uint32_t* counts, uint32_t* parts, float* least,
                                       wave::Order order, int k, float slack, float floor) {
  int lane = static_cast<int>(threadIdx.x) % 32, warps = static_cast<int>(blockDim.x) / 32;
  int at = static_cast<int>(blockIdx.x) * warps + static_cast<int>(threadIdx.x) / 32;
  if (at >= order.rows) return;
  long long row = order.row_at(at);
  uint32_t found = counts[row];
  bool fits = found <= PLACES;
  int count = fits ? static_cast<int>(found) : 0;
  float reached = least[at];
  __syncwarp();  // all lanes have read before one writes
  if (fits && count > k) {
    count = prune::candidates<PLACES>(candidates + row * PLACES, count, k, slack, floor, &reached, lane);
  }
  if (lane == 0) {
    counts[row] = fits ? static_cast<uint32_t>(count) : OVERFLOW;
    least[at] = fits ? reached : INFINITY;
    parts[2 * row] = fits ? static_cast<uint32_t>(min(count, PLACES / 2)) : OVERFLOW;
    parts[2 * row + 1] = fits ? static_cast<uint32_t>(max(count - PLACES / 2, 0)) : OVERFLOW;
  }
}

__device__ __forceinline__ void settle_large(const buffers::Buffers& kept, buffers::Cut cut) {
  auto row = static_cast<int>(blockIdx.x);
  uint32_t found = kept.found[row];
  if (found == OVERFLOW) return;  // the same for all threads
  if (found > static_cast<uint32_t>(kept.capacity)) {
    __syncthreads();  // all have read
    if (threadIdx.x == 0) {
      kept.found[row] = OVERFLOW;
      kept.thresholds[row] = INFINITY;
    }
    return;
  }
  __syncthreads();  // all have read before the count changes
  if (static_cast<int>(found) > cut.k) kept.prune<256>(row, static_cast<int>(found), 0, cut);
}

}  // namespace

extern "C" __global__ void topk_wave_start(float* least, uint32_t* counts, int rows, int places, float floor) {
  long long at = static_cast<long long>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (at >= places) return;
  least[at] = at < rows ? floor : INFINITY;
  if (at < rows) counts[at] = 0;
}

extern "C" __global__ void __launch_bounds__(256, 2)
topk_join(const __half* unit, const float* least, uint2* candidates, uint32_t* counts, int rows, int depth,
          int order_step, int capacity, int first, int last, int chunks) {
  const wave::Order order = {rows, order_step};
  join({order, order, {candidates, counts, capacity}, least, least, true}, unit, depth, first, last, chunks);
}

extern "C" __global__ void topk_wave_settle(uint2* candidates, uint32_t* counts, uint32_t* parts, float* least,
                                            int rows, int order_step, int k, float slack, float floor) {
  settle(candidates, counts, parts, least, {rows, order_step}, k, slack, floor);
}

extern "C" __global__ void __launch_bounds__(256)
topk_wave_settle_large(uint2* candidates, uint32_t* counts, float* least, int capacity, int k, float slack) {
  DYNAMIC_SHARED(shared);
  settle_large({candidates, least, counts, reinterpret_cast<uint32_t*>(shared), capacity, capacity},
               {k, slack, -INFINITY});
}
