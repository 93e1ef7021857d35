// gemm_f32: a matrix product in single precision, in plain f32 multiply-adds, and its epilogue.
//
//   out[m][n] = act( (sum over k of A(m, k) B(k, n)) * scale[n] + bias[n] + residual[m][n] )
//
// Entries      gemm_f32_<layout>; layout is n or t for A, then for B.
// a            n: m x k, line by line; t: k x m
// b            n: k x n;               t: n x k
// out          m x n; overlaps nothing that is read
// scale, bias  n values each, or null
// residual     m x n, or null
// activation   a number of pointwise/activation.h
// Alignment    that of the element
// Launch       tiles of 64 of m times tiles of 64 of n blocks of 256 threads in x; no dynamic shared
//              memory. m, n from 1, k from 0.
//
// Each thread sums 4 x 4 elements of a 64 x 64 tile, 16 apart so that neighbouring threads store
// neighbouring columns. It is there so that nothing lacks f32; the products that take time are in f16.

#include "gemm/epilogue.h"

namespace {

constexpr int TILE = 64, DEPTH = 16, THREADS = 256, SIDE = 16, EACH = TILE / SIDE;
static_assert(SIDE * SIDE == THREADS, "the threads form a square");
static_assert(TILE * DEPTH % THREADS == 0, "every thread loads as many elements");

// A tile of `depth0 .. +DEPTH` by `extent0 .. +TILE` of a matrix with `extent` rows of `depth` values
// (or, TURNED, `depth` rows of `extent`), as to[depth][extent]; what lies outside becomes 0.
template <bool TURNED>
__device__ __forceinline__ void load(float (&to)[DEPTH][TILE + 1], const float* from, int extent, int depth,
                                     int extent0, int depth0) {
#pragma unroll
  for (int i = 0; i < TILE * DEPTH / THREADS; i++) {
    int at = i * THREADS + static_cast<int>(threadIdx.x);
    int e = TURNED ? at % TILE : at / DEPTH, d = TURNED ? at / TILE : at % DEPTH;
    bool inside = extent0 + e < extent && depth0 + d < depth;
    long long place = TURNED ? static_cast<long long>(depth0 + d) * extent + extent0 + e
                             : static_cast<long long>(extent0 + e) * depth + depth0 + d;
    to[d][e] = inside ? from[place] : 0.0f;
  }
}

struct Tiles {
  float left[DEPTH][TILE + 1], right[DEPTH][TILE + 1];
};

// No template: the simulated card finds shared memory by its section, which g++ does not give to the
// variables of templates.
__device__ __forceinline__ Tiles& shared_tiles() {
  __shared__ Tiles tiles;
  return tiles;
}

template <bool TRANS_A, bool TRANS_B>
__device__ __forceinline__ void product(const float* a, const float* b, const gemm::Epilogue<float>& epilogue,
                                        int depth) {
  auto& [left, right] = shared_tiles();
  int rows = epilogue.rows, columns = epilogue.columns;
  int tile_row, tile_column;
  gemm::place_block(blockIdx.x, (rows - 1) / TILE + 1, (columns - 1) / TILE + 1, &tile_row, &tile_column);
  int row0 = tile_row * TILE, column0 = tile_column * TILE;
  int x = static_cast<int>(threadIdx.x) % SIDE, y = static_cast<int>(threadIdx.x) / SIDE;

  float acc[EACH][EACH] = {};
  for (int k = 0; k < depth; k += DEPTH) {
    load<TRANS_A>(left, a, rows, depth, row0, k);
    load<!TRANS_B>(right, b, columns, depth, column0, k);
    __syncthreads();
#pragma unroll
    for (int d = 0; d < DEPTH; d++) {
#pragma unroll
      for (int i = 0; i < EACH; i++) {
#pragma unroll
        for (int j = 0; j < EACH; j++) acc[i][j] = fmaf(left[d][y + SIDE * i], right[d][x + SIDE * j], acc[i][j]);
      }
    }
    __syncthreads();
  }
#pragma unroll
  for (int i = 0; i < EACH; i++) {
#pragma unroll
    for (int j = 0; j < EACH; j++) epilogue.store(acc[i][j], row0 + y + SIDE * i, column0 + x + SIDE * j);
  }
}

}  // namespace

extern "C" __global__ void __launch_bounds__(256)
gemm_f32_nn(const float* a, const float* b, float* out, const float* scale, const float* bias, const float* residual,
            int m, int n, int k, int activation) {
  product<false, false>(a, b, {out, scale, bias, residual, m, n, activation}, k);
}
extern "C" __global__ void __launch_bounds__(256)
gemm_f32_nt(const float* a, const float* b, float* out, const float* scale, const float* bias, const float* residual,
            int m, int n, int k, int activation) {
  product<false, true>(a, b, {out, scale, bias, residual, m, n, activation}, k);
}
extern "C" __global__ void __launch_bounds__(256)
gemm_f32_tn(const float* a, const float* b, float* out, const float* scale, const float* bias, const float* residual,
            int m, int n, int k, int activation) {
  product<true, false>(a, b, {out, scale, bias, residual, m, n, activation}, k);
}
extern "C" __global__ void __launch_bounds__(256)
gemm_f32_tt(const float* a, const float* b, float* out, const float* scale, const float* bias, const float* residual,
            int m, int n, int k, int activation) {
  product<true, true>(a, b, {out, scale, bias, residual, m, n, activation}, k);
}
