// Top-k by cosine, first pass: which pairs may be among a row's k best, by tiles, N x N never stored.
//
//   topk_prepare   rows of f32 made unit rows of f16, and their squared norms in f64
//   topk_scan      unit rows times unit rows; pairs that may matter go to each row's bounded buffer
//
// topk_exact.cu has the second pass. A row keeps a threshold: the k-th best approximate score so far
// less a slack. The product runs at full speed; its epilogue compares accumulators with thresholds and
// rarely appends. A buffer that could not take another tile is pruned to what reaches the threshold.
//
// No neighbour is lost. Let s~ be the approximate score of a pair, s the score that it is ranked by,
// and |s~ - s| <= B for all pairs. Let t be the k-th best s~ so far. Those k pairs have s >= t - B, so
// the k-th best s is at least t - B, and a pair that reaches it has s~ >= t - 2B: what is dropped
// below t - 2B can be no answer, ties included, and t only grows. `slack` is 2B, and `floor` the least
// score asked for less B, both rounded away from losing anything.
//
// B for d dimensions. Let u be a unit row in exact arithmetic, h its halves, and
//   e = 2^-11 + 2^-23 + sqrt(d) 2^-25.
// Rounding to f32 and then to f16 moves a component by at most (2^-11 + 2^-23) |u_i| + 2^-25, the last
// term for subnormal halves; so |h - u| <= e and |h| <= 1 + e, and for two rows
//   |h.h' - u.u'| <= |h - u| |h'| + |u| |h' - u'| <= 2e + e^2.
// Products of halves are exact in f32. A step of a tensor core adds b products to the accumulator: it
// aligns these b + 1 addends to the largest of them, cuts each below F bits under its leading one, adds
// them, and cuts the sum to f32 (Fasi, Higham, Mikaitis and Pranesh 2021). Let u be the larger of 2^-F and
// 2^-23. An addend loses less than u times the largest magnitude met, and so does the sum; that magnitude
// is at most S = sum |h_i h'_i| <= (1 + e)^2, a little more with the errors themselves. So a step loses
// less than (b + 2) u S and all d / b steps less than d (1 + 2 / b) u S, be it one rounding or another.
//   mma.sync: F = 23 or more was measured on Volta, Turing and Ampere, b from 4; b >= 2 gives 2 d 2^-23.
//   wgmma: for Hopper more bits than that, and b = 16, are published for halves. That is not relied
//   on: F = 22, one bit fewer than any card was seen to have, and b >= 8 give 1.25 d 2^-22.
// The second is the larger of the two, and both are allowed on every card: a quarter more than mma.sync
// needs, which is 7 % of B at d = 1536. (The accumulators of 14 bits that are reported of Hopper are those
// of 8-bit factors.) Adding one product after the other in f32 loses d 2^-24 S at most. The ranked score is
// within d 2^-51 of the true cosine. So, with 5 % for the errors of what errors are relative to,
//   B = 2e + e^2 + 1.05 * 1.25 d 2^-22 (1 + e)^2 + 2^-24,
// which src/device/gpu/launch_topk.rs computes; a test there compares it with both kinds of steps.
//
// A row whose candidates within the slack do not fit its buffer says so (OVERFLOW), and topk_exact.cu
// looks at every pair of it.
//
// topk_prepare
//   x         rows x dims of f32
//   unit      rows x depth; depth is dims rounded up to 32, the rest are zeros. Aligned to 16 bytes.
//             Rows of zeros, and rows with a NaN or an infinity, become NaN: no score with them reaches
//             any threshold.
//   norms     rows of f64
//   bad       the lowest row with a NaN or an infinity; all ones before
//   order_step   line p of `unit` is of row p * order_step modulo rows: 1 for the rows' own order, or a
//             number that has no common divisor with rows (wave.h)
//   Launch    blocks of a multiple of 32 threads, one warp a row
// topk_scan
//   queries, gallery   unit rows: query_rows x depth, gallery_rows x depth
//   candidates         [query][chunk][CAPACITY]; counts [query][chunk], OVERFLOW where they did not fit
//   Launch    ceil(query_rows / 128) * chunks blocks of 256 threads in x; 61 KiB of dynamic shared memory.
//             Block b takes rows from 128 (b / chunks), and the (b % chunks)-th part of the gallery;
//             chunks from 1 to the number of tiles of 128 of the gallery.

#include "neighbours/exact.h"
#include "neighbours/product.h"
#include "neighbours/prune.h"
#include "neighbours/wave.h"

namespace {

using prune::CAPACITY;
using prune::OVERFLOW;
using selection::Candidate;
using Shape = tile::Shape<128, 128, 2, 4>;
using Product = product::Product<Shape, 3>;

constexpr int WARPS = Shape::THREADS / 32;
static_assert(CAPACITY >= 2 * Shape::N, "a pruned buffer of at most CAPACITY - N takes a whole tile more");
static_assert(Product::BYTES + 8 * Shape::M <= 96 << 10, "all of it fits every card from Ampere on");

__device__ __forceinline__ void scan(const __half* queries, const __half* gallery, Candidate* candidates,
                                     uint32_t* counts, int query_rows, int gallery_rows, int depth, int k, float slack,
                                     float floor, int chunks) {
  DYNAMIC_SHARED(shared);
  auto* stages = reinterpret_cast<__half*>(shared);
  auto* thresholds = reinterpret_cast<float*>(shared + Product::BYTES);
  auto* found = reinterpret_cast<uint32_t*>(thresholds + Shape::M);
  int thread = static_cast<int>(threadIdx.x), warp = thread / 32;
  int block = static_cast<int>(blockIdx.x), chunk = block % chunks, row0 = block / chunks * Shape::M;
  int tiles = (gallery_rows - 1) / Shape::N + 1;
  int first = static_cast<int>(static_cast<long long>(tiles) * chunk / chunks);
  int last = static_cast<int>(static_cast<long long>(tiles) * (chunk + 1) / chunks);

  auto buffer = [&](int row) {
    return candidates + ((static_cast<long long>(row0) + row) * chunks + chunk) * CAPACITY;
  };
  const Shape shape;
  if (thread < Shape::M) {
    thresholds[thread] = row0 + thread < query_rows ? floor : INFINITY;
    found[thread] = 0;
  }
  Product product = {stages, queries, gallery, query_rows, gallery_rows, depth, row0};
  product.run(shape, first, last, [&](const auto& acc, int t) {
    int column0 = t * Shape::N;
#pragma unroll
    for (int i = 0; i < Shape::ROWS; i++) {
#pragma unroll
      for (int e = 0; e < 4; e++) {
        int row = shape.row(i, e);
        float threshold = thresholds[row];
#pragma unroll
        for (int j = 0; j < Shape::COLUMNS; j++) {
          int column = column0 + shape.column(j, e);
          if (acc[i][j][e] >= threshold && column < gallery_rows) {
            uint32_t at = atomicAdd(&found[row], 1u);
            store_vector(buffer(row) + at, make_uint2(__float_as_uint(acc[i][j][e]), static_cast<uint32_t>(column)));
          }
        }
      }
    }
    __syncthreads();
    for (int row = warp; row < Shape::M; row += WARPS) {
      auto count = static_cast<int>(found[row]);
      if (found[row] == OVERFLOW || count <= CAPACITY - Shape::N) continue;
      float least;
      int kept = prune::candidates(buffer(row), count, k, slack, floor, &least, shape.lane);
      __syncwarp();
      if (shape.lane == 0) {
        bool fits = kept <= CAPACITY - Shape::N;
        found[row] = fits ? static_cast<uint32_t>(kept) : OVERFLOW;
        thresholds[row] = fits ? least : INFINITY;
      }
    }
  });
  if (thread < Shape::M && row0 + thread < query_rows) {
    counts[(static_cast<long long>(row0) + thread) * chunks + chunk] = found[thread];
  }
}

__device__ __forceinline__ void prepare(const float* x, __half* unit, double* norms, uint32_t* bad, wave::Order order,
                                        int dims, int depth) {
  int lane = static_cast<int>(threadIdx.x) % 32, warps = static_cast<int>(blockDim.x) / 32;
  long long at = static_cast<long long>(blockIdx.x) * warps + threadIdx.x / 32;
  if (at >= order.rows) return;  // whole warps leave, and none meets another
  long long row = order.row_at(static_cast<int>(at));
  const float* from = x + row * dims;
  double norm = exact::dot(from, from, dims, lane);
  // A sum of squares of finite f32 is far below this; a NaN is not.
  bool finite = norm < 1e200;
  double inverse = finite && norm > 0.0 ? 1.0 / sqrt(norm) : 0.0;
  for (int c = lane; c < depth; c += 32) {
    __half half = __ushort_as_half(inverse > 0.0 ? 0 : 0x7fff);
    if (inverse > 0.0 && c < dims) half = __float2half_rn(static_cast<float>(static_cast<double>(from[c]) * inverse));
    unit[at * depth + c] = half;
  }
  if (lane == 0) {
    norms[row] = norm;
    if (!finite) atomicMin(bad, static_cast<uint32_t>(row));
  }
}

}  // namespace

extern "C" __global__ void topk_prepare(const float* x, __half* unit, double* norms, uint32_t* bad, int rows, int dims,
                                        int depth, int order_step) {
  prepare(x, unit, norms, bad, {rows, order_step}, dims, depth);
}

extern "C" __global__ void __launch_bounds__(256, 2)
topk_scan(const __half* queries, const __half* gallery, uint2* candidates, uint32_t* counts, int query_rows,
          int gallery_rows, int depth, int k, float slack, float floor, int chunks) {
  scan(queries, gallery, candidates, counts, query_rows, gallery_rows, depth, k, slack, floor, chunks);
}
