// The matrix product of gemm_f16.cu and gemm_bf16.cu: factors of 16 bits, f32 accumulators, and its epilogue.
//
//   out[m][n] = act( (sum over k of A(m, k) B(k, n)) * scale[n] + bias[n] + residual[m][n] )
//
// Entries      gemm_<type>_<layout>_<tile>; type is f16 or bf16, layout n or t for A, then for B. With
//              tile 256, for nt alone, a block computes 128 x 256 with 256 threads; with 128, 128 x 128
//              with 128; with 64, 64 x 64 with 128.
// a            n: m x k, line by line; t: k x m
// b            n: k x n;               t: n x k
// out          m x n; overlaps nothing that is read
// scale, bias  n values each, or null
// residual     m x n, or null
// a_width, b_width   how many values of a or b may be read at once: 8 where the matrix and each of its
//              lines begin at a multiple of 16 bytes, 2 at a multiple of 4, else 1
// out_width    how many columns of the result may be stored at once, and of scale, bias and residual read:
//              8 where n is a multiple of 8, out begins at a multiple of 16 bytes and the others at one of
//              4; 2 where n is even and all begin at a multiple of 4; else 1
// activation   a number of pointwise/activation.h
// Alignment    that of the element, but for what the widths promise
// Launch       tiles of m times tiles of n blocks in x; the stages of both tiles in dynamic shared memory
//              (launch_gemm.rs). m, n from 1, k from 0; matrices may have any number of elements, sides
//              below 2^31.
//
// The main loop keeps STAGES tiles of both factors in shared memory: while one is multiplied, the next
// STAGES - 1 are on their way. One barrier a tile: it publishes the tile that has just landed, and it
// frees the one that was multiplied before, which is filled anew right behind it. Warps of the larger tiles
// compute 64 x 64: that asks shared memory for 64 bytes in the time that tensor cores take for 64 x 64 x 16.
#pragma once

#include "gemm/epilogue.h"
#include "gemm/tile.h"

namespace gemm {

template <bool TURNED, int EXTENT, int THREADS>
struct Stored {
  using Kind = tile::DepthMajor<EXTENT, THREADS>;
};
template <int EXTENT, int THREADS>
struct Stored<true, EXTENT, THREADS> {
  using Kind = tile::ExtentMajor<EXTENT, THREADS>;
};

// Row by row of fragments; the accumulators move up behind each, so that one loop's code serves all.
template <class Shape, class T>
__device__ __forceinline__ void finish(const Epilogue<T>& epilogue, const Shape& shape,
                                       float (&acc)[Shape::ROWS][Shape::COLUMNS][4], int row0, int column0,
                                       int out_width) {
  const Fragments<T> fragments{epilogue, out_width};
#pragma unroll 1
  for (int i = 0; i < Shape::ROWS; i++) {
    float x[4 * Shape::COLUMNS];
#pragma unroll
    for (int j = 0; j < 4 * Shape::COLUMNS; j++) x[j] = acc[0][j / 4][j % 4];
    int row = row0 + shape.row(i, 0), column = column0 + shape.column(0, 0);
    fragments.finish(x, row, column);
    if (out_width == 8) {
      fragments.store_eights(x, row, column, shape.lane);
    } else {
      fragments.store(x, row, column);
    }
#pragma unroll
    for (int next = 1; next < Shape::ROWS; next++) {
#pragma unroll
      for (int j = 0; j < 4 * Shape::COLUMNS; j++) acc[next - 1][j / 4][j % 4] = acc[next][j / 4][j % 4];
    }
  }
}

// A stored m x k has its values of k side by side; B stored k x n has not.
template <bool TRANS_A, bool TRANS_B, class Shape, int STAGES, class T>
__device__ __forceinline__ void product(const T* a, const T* b, const Epilogue<T>& epilogue, int depth, int a_width,
                                        int b_width, int out_width) {
  using Left = typename Stored<TRANS_A, Shape::M, Shape::THREADS>::Kind;
  using Right = typename Stored<!TRANS_B, Shape::N, Shape::THREADS>::Kind;
  constexpr int STAGE = Left::HALVES + Right::HALVES;
  static_assert(STAGES >= 2, "a tile must be able to land while another is multiplied");
  static_assert(STAGES * STAGE * 2 <= 96 << 10, "all stages fit the shared memory of every card from Ampere on");
  static_assert(Left::HALVES % tile::VECTOR == 0, "the second operand's tile begins at a multiple of 16 bytes");

  DYNAMIC_SHARED(shared);
  auto* stages = reinterpret_cast<T*>(shared);
  int rows = epilogue.rows, columns = epilogue.columns;
  int tile_row, tile_column;
  place_block(blockIdx.x, (rows - 1) / Shape::M + 1, (columns - 1) / Shape::N + 1, &tile_row, &tile_column);
  int row0 = tile_row * Shape::M, column0 = tile_column * Shape::N;

  int steps = (depth - 1) / tile::DEPTH + 1, from = 0, to = STAGES - 1;
  auto load = [&](int step, int stage) {
    if (step < steps) {
      T* at = stages + stage * STAGE;
      Left::load(at, a, rows, depth, row0, step, a_width);
      Right::load(at + Left::HALVES, b, columns, depth, column0, step, b_width);
    }
    cp_async_commit();  // a group for each step, empty or not, so that waiting can count them
  };

  const Shape shape;
  float acc[Shape::ROWS][Shape::COLUMNS][4] = {};
#pragma unroll
  for (int step = 0; step < STAGES - 1; step++) load(step, step);
#pragma unroll 1
  for (int step = 0; step < steps; step++) {
    cp_async_wait<STAGES - 2>();
    __syncthreads();
    load(step + STAGES - 1, to);
    const T* stage = stages + from * STAGE;
    shape.template multiply<Left, Right>(acc, stage, stage + Left::HALVES);
    to = from;
    from = from + 1 == STAGES ? 0 : from + 1;
  }
  cp_async_wait<0>();
  finish(epilogue, shape, acc, row0, column0, out_width);
}

using Wide = tile::Shape<128, 256, 2, 4>;
using Large = tile::Shape<128, 128, 2, 2>;
using Small = tile::Shape<64, 64, 2, 2>;
constexpr int WIDE_STAGES = 3, LARGE_STAGES = 4, SMALL_STAGES = 4;

}  // namespace gemm
