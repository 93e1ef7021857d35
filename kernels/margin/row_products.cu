// row_products: the products of rows of 16-bit values, in f32: a head's cosines.
//
//   out[r][c] = sum over k of a[r][k] b[c][k]
//
// Entries    row_products_f16, row_products_bf16
// a          m x k
// b          n x k
// out        m x n of f32, overlapping neither
// a_width, b_width   how many values of a or b may be read at once: 8 where the matrix and each of its
//            lines begin at a multiple of 16 bytes, 2 at a multiple of 4, else 1
// pairs      1 where out is aligned to 8 bytes and n is even, else 0
// Alignment  that of the element, but for what the widths and `pairs` promise
// Launch     128 threads; ceil(m / 64) * ceil(n / 64) blocks in x, those of the same rows of b side by
//            side, so that b, which is the classes' and large, is read from memory once; 30 KiB of dynamic
//            shared memory. m, n from 1, k from 0.
//
// The main loop is that of gemm/mma_gemm.h; a cosine near a margin's border has no bits to lose, so that
// the sums are stored as they are.

#include "gemm/tile.h"

namespace {

constexpr int STAGES = 3;
using Shape = tile::Shape<64, 64, 2, 2>;
using Left = tile::DepthMajor<Shape::M, Shape::THREADS>;
using Right = tile::DepthMajor<Shape::N, Shape::THREADS>;
constexpr int STAGE = Left::HALVES + Right::HALVES;
static_assert(STAGES >= 2, "a tile must be able to land while another is multiplied");
static_assert(Left::HALVES % tile::VECTOR == 0, "the second operand's tile begins at a multiple of 16 bytes");

template <class T>
__device__ __forceinline__ void products(const T* a, const T* b, float* out, int m, int n, int k, int a_width,
                                         int b_width, int pairs) {
  DYNAMIC_SHARED(shared);
  auto* stages = reinterpret_cast<T*>(shared);
  int tiles = (m - 1) / Shape::M + 1, place = static_cast<int>(blockIdx.x);
  int row0 = place % tiles * Shape::M, column0 = place / tiles * Shape::N;
  int steps = k > 0 ? (k - 1) / tile::DEPTH + 1 : 0;
  auto load = [&](int step) {
    if (step < steps) {
      T* stage = stages + step % STAGES * STAGE;
      Left::load(stage, a, m, k, row0, step, a_width);
      Right::load(stage + Left::HALVES, b, n, k, column0, step, b_width);
    }
    cp_async_commit();  // a group for each step, empty or not, so that waiting can count them
  };

  const Shape shape;
  float acc[Shape::ROWS][Shape::COLUMNS][4] = {};
#pragma unroll
  for (int step = 0; step < STAGES - 1; step++) load(step);
  for (int step = 0; step < steps; step++) {
    cp_async_wait<STAGES - 2>();
    __syncthreads();
    load(step + STAGES - 1);
    const T* stage = stages + step % STAGES * STAGE;
    shape.multiply<Left, Right>(acc, stage, stage + Left::HALVES);
  }
  cp_async_wait<0>();

#pragma unroll
  for (int i = 0; i < Shape::ROWS; i++) {
#pragma unroll
    for (int j = 0; j < Shape::COLUMNS; j++) {
#pragma unroll
      for (int e = 0; e < 4; e += 2) {
        int row = row0 + shape.row(i, e), column = column0 + shape.column(j, e);
        if (row >= m || column >= n) continue;
        float* to = out + static_cast<long long>(row) * n + column;
        if (pairs != 0) {
          store_vector(to, make_float2(acc[i][j][e], acc[i][j][e + 1]));
        } else {
          to[0] = acc[i][j][e];
          if (column + 1 < n) to[1] = acc[i][j][e + 1];
        }
      }
    }
  }
}

}  // namespace

extern "C" __global__ void __launch_bounds__(128)
row_products_f16(const __half* a, const __half* b, float* out, int m, int n, int k, int a_width, int b_width,
                 int pairs) {
  products(a, b, out, m, n, k, a_width, b_width, pairs);
}
extern "C" __global__ void __launch_bounds__(128)
row_products_bf16(const __nv_bfloat16* a, const __nv_bfloat16* b, float* out, int m, int n, int k, int a_width,
                  int b_width, int pairs) {
  products(a, b, out, m, n, k, a_width, b_width, pairs);
}
