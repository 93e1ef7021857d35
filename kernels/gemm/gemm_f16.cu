// gemm_f16: a matrix product in half precision with f32 accumulators, and its epilogue.
//
//   out[m][n] = act( (sum over k of A(m, k) B(k, n)) * scale[n] + bias[n] + residual[m][n] )
//
// Entries      gemm_f16_<layout>_<tile>; layout is n or t for A, then for B; tile is 128 or 64: a block
//              computes 128 x 128 with 256 threads, or 64 x 64 with 128.
// a            n: m x k, line by line; t: k x m
// b            n: k x n;               t: n x k
// out          m x n; overlaps nothing that is read
// scale, bias  n values each, or null
// residual     m x n, or null
// a_width, b_width   how many halves of a or b may be read at once: 8 where the matrix and each of its
//              lines begin at a multiple of 16 bytes, 2 at a multiple of 4, else 1
// activation   a number of pointwise/activation.h
// Alignment    that of the element, but for what the widths promise
// Launch       tiles of m times tiles of n blocks in x; three stages of both tiles in dynamic shared
//              memory: 51 to 60 KiB for 128, 27 to 30 KiB for 64, by layout (launch_gemm.rs). m, n from 1,
//              k from 0; matrices may have any number of elements, sides below 2^31.
//
// The main loop keeps STAGES tiles of both factors in shared memory: while one is multiplied, the next
// STAGES - 1 are on their way. One barrier a tile: it publishes the tile that has just landed, and it
// frees the one that was multiplied before, which is filled anew right behind it.

#include "gemm/epilogue.h"
#include "gemm/tile.h"

namespace {

constexpr int STAGES = 3;
static_assert(STAGES >= 2, "a tile must be able to land while another is multiplied");

template <bool TURNED, int EXTENT, int THREADS>
struct Stored {
  using Kind = tile::DepthMajor<EXTENT, THREADS>;
};
template <int EXTENT, int THREADS>
struct Stored<true, EXTENT, THREADS> {
  using Kind = tile::ExtentMajor<EXTENT, THREADS>;
};

// A stored m x k has its values of k side by side; B stored k x n has not.
template <bool TRANS_A, bool TRANS_B, class Shape>
__device__ __forceinline__ void product(const __half* a, const __half* b, const gemm::Epilogue<__half>& epilogue,
                                        int depth, int a_width, int b_width) {
  using Left = typename Stored<TRANS_A, Shape::M, Shape::THREADS>::Kind;
  using Right = typename Stored<!TRANS_B, Shape::N, Shape::THREADS>::Kind;
  constexpr int STAGE = Left::HALVES + Right::HALVES;
  static_assert(STAGES * STAGE * 2 <= 96 << 10, "three stages fit the shared memory of every card from Ampere on");
  static_assert(Left::HALVES % tile::VECTOR == 0, "the second operand's tile begins at a multiple of 16 bytes");

  DYNAMIC_SHARED(shared);
  auto* stages = reinterpret_cast<__half*>(shared);
  int rows = epilogue.rows, columns = epilogue.columns;
  int tile_row, tile_column;
  gemm::place_block(blockIdx.x, (rows - 1) / Shape::M + 1, (columns - 1) / Shape::N + 1, &tile_row, &tile_column);
  int row0 = tile_row * Shape::M, column0 = tile_column * Shape::N;

  int steps = (depth - 1) / tile::DEPTH + 1;
  auto load = [&](int step) {
    if (step < steps) {
      __half* stage = stages + step % STAGES * STAGE;
      Left::load(stage, a, rows, depth, row0, step, a_width);
      Right::load(stage + Left::HALVES, b, columns, depth, column0, step, b_width);
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
    const __half* stage = stages + step % STAGES * STAGE;
    shape.template multiply<Left, Right>(acc, stage, stage + Left::HALVES);
  }
  cp_async_wait<0>();

#pragma unroll
  for (int i = 0; i < Shape::ROWS; i++) {
#pragma unroll
    for (int j = 0; j < Shape::COLUMNS; j++) {
#pragma unroll
      for (int e = 0; e < 4; e++) epilogue.store(acc[i][j][e], row0 + shape.row(i, e), column0 + shape.column(j, e));
    }
  }
}

using Large = tile::Shape<128, 128, 2, 4>;
using Small = tile::Shape<64, 64, 2, 2>;

}  // namespace

extern "C" __global__ void __launch_bounds__(256)
gemm_f16_nn_128(const __half* a, const __half* b, __half* out, const __half* scale, const __half* bias,
                const __half* residual, int m, int n, int k, int a_width, int b_width, int activation) {
  product<false, false, Large>(a, b, {out, scale, bias, residual, m, n, activation}, k, a_width, b_width);
}
extern "C" __global__ void __launch_bounds__(256)
gemm_f16_nt_128(const __half* a, const __half* b, __half* out, const __half* scale, const __half* bias,
                const __half* residual, int m, int n, int k, int a_width, int b_width, int activation) {
  product<false, true, Large>(a, b, {out, scale, bias, residual, m, n, activation}, k, a_width, b_width);
}
extern "C" __global__ void __launch_bounds__(256)
gemm_f16_tn_128(const __half* a, const __half* b, __half* out, const __half* scale, const __half* bias,
                const __half* residual, int m, int n, int k, int a_width, int b_width, int activation) {
  product<true, false, Large>(a, b, {out, scale, bias, residual, m, n, activation}, k, a_width, b_width);
}
extern "C" __global__ void __launch_bounds__(256)
gemm_f16_tt_128(const __half* a, const __half* b, __half* out, const __half* scale, const __half* bias,
                const __half* residual, int m, int n, int k, int a_width, int b_width, int activation) {
  product<true, true, Large>(a, b, {out, scale, bias, residual, m, n, activation}, k, a_width, b_width);
}
extern "C" __global__ void __launch_bounds__(128)
gemm_f16_nn_64(const __half* a, const __half* b, __half* out, const __half* scale, const __half* bias,
               const __half* residual, int m, int n, int k, int a_width, int b_width, int activation) {
  product<false, false, Small>(a, b, {out, scale, bias, residual, m, n, activation}, k, a_width, b_width);
}
extern "C" __global__ void __launch_bounds__(128)
gemm_f16_nt_64(const __half* a, const __half* b, __half* out, const __half* scale, const __half* bias,
               const __half* residual, int m, int n, int k, int a_width, int b_width, int activation) {
  product<false, true, Small>(a, b, {out, scale, bias, residual, m, n, activation}, k, a_width, b_width);
}
extern "C" __global__ void __launch_bounds__(128)
gemm_f16_tn_64(const __half* a, const __half* b, __half* out, const __half* scale, const __half* bias,
               const __half* residual, int m, int n, int k, int a_width, int b_width, int activation) {
  product<true, false, Small>(a, b, {out, scale, bias, residual, m, n, activation}, k, a_width, b_width);
}
extern "C" __global__ void __launch_bounds__(128)
gemm_f16_tt_64(const __half* a, const __half* b, __half* out, const __half* scale, const __half* bias,
               const __half* residual, int m, int n, int k, int a_width, int b_width, int activation) {
  product<true, true, Small>(a, b, {out, scale, bias, residual, m, n, activation}, k, a_width, b_width);
}
