// Tiles of a product in shared memory, for kernels whose main loop is cp.async -> ldmatrix -> mma.sync.
//
// A product C[m][n] = sum over k of A[m][k] B[n][k] is cut into tiles of EXTENT rows (of A or of B) and
// DEPTH values of k. An operand is stored in one of two ways, and its tile in shared memory likewise:
//
//   DepthMajor   the values of k of a row lie side by side:    global line = row, column = k
//   ExtentMajor  the rows of a value of k lie side by side:    global line = k,   column = row
//
// Values have 16 bits: f16 or bf16. Lines of a tile are 8 values longer than they need be, so that the 8
// addresses of an ldmatrix fall in different banks: lines of 80, 144 and 272 bytes are 5, 9 and 17 times
// 16, all odd.
#pragma once

#include "common/number.h"

namespace tile {

constexpr int DEPTH = 32;   // values of k in a tile
constexpr int VECTOR = 8;   // values in the 16 bytes that one thread copies at a time
constexpr int PADDING = 8;  // values between the end of a line and the next

// Copies the 8 values at `from`, of which `valid` (0 to 8) exist, to shared memory; the others become 0.
// `width` is how many values one access may take: 8 or 2 where lines begin at multiples of 16 or 4
// bytes, else 1. `safe` is any readable address with the same alignment.
template <class T>
__device__ __forceinline__ void copy_vector(T* to, const T* from, const T* safe, int valid, int width) {
  if (width == VECTOR) {
    cp_async<16>(to, valid > 0 ? from : safe, 2 * valid);
  } else if (width == 2) {
#pragma unroll
    for (int i = 0; i < VECTOR; i += 2) {
      int left = max(0, min(2, valid - i));
      cp_async<4>(to + i, left > 0 ? from + i : safe, 2 * left);
    }
  } else {
    unsigned packed[VECTOR / 2];
#pragma unroll
    for (int i = 0; i < VECTOR / 2; i++) {
      unsigned low = 2 * i < valid ? Short<T>::bits(from[2 * i]) : 0u;
      unsigned high = 2 * i + 1 < valid ? Short<T>::bits(from[2 * i + 1]) : 0u;
      packed[i] = high << 16 | low;
    }
    store_vector(to, make_uint4(packed[0], packed[1], packed[2], packed[3]));
  }
}

// Copies a tile of LINES x COLUMNS values from a matrix of `lines` x `columns` with lines of `columns`;
// what lies outside becomes 0. All THREADS threads of the block take part.
template <int LINES, int COLUMNS, int THREADS, class T>
__device__ __forceinline__ void copy_tile(T* to, const T* from, int lines, int columns, int line0, int column0,
                                          int width) {
  constexpr int VECTORS = COLUMNS / VECTOR;
  static_assert(COLUMNS % VECTOR == 0, "a line is a whole number of vectors");
  static_assert(LINES * VECTORS % THREADS == 0, "every thread copies as many vectors");
#pragma unroll
  for (int i = 0; i < LINES * VECTORS / THREADS; i++) {
    int at = i * THREADS + static_cast<int>(threadIdx.x);
    int line = at / VECTORS, column = at % VECTORS * VECTOR;
    int valid = line0 + line < lines ? max(0, min(VECTOR, columns - column0 - column)) : 0;
    const T* source = from + static_cast<long long>(line0 + line) * columns + column0 + column;
    copy_vector(to + line * (COLUMNS + PADDING) + column, source, from, valid, width);
  }
}

// An operand whose values of k lie side by side.
template <int EXTENT_, int THREADS>
struct DepthMajor {
  static constexpr int EXTENT = EXTENT_, LINE = DEPTH + PADDING, HALVES = EXTENT * LINE;
  static_assert(LINE % VECTOR == 0, "every line of a tile begins at a multiple of 16 bytes");
  static_assert(LINE / VECTOR % 2 == 1, "8 neighbouring lines begin in 8 different groups of 4 banks");

  // Tile number `step` along k of the rows from `row0`; `rows` x `depth` is the whole matrix.
  template <class T>
  static __device__ __forceinline__ void load(T* tile, const T* matrix, int rows, int depth, int row0, int step,
                                              int width) {
    copy_tile<EXTENT, DEPTH, THREADS>(tile, matrix, rows, depth, row0, step * DEPTH, width);
  }

  // The fragment of A for rows row0 .. +16 and k0 .. +16: lanes 0-15 name the rows' first 8 values of k,
  // lanes 16-31 the other 8.
  template <class T>
  static __device__ __forceinline__ void left(uint32_t (&a)[4], const T* tile, int row0, int k0, int lane) {
    ldmatrix(a, tile + (row0 + lane % 16) * LINE + k0 + lane / 16 * 8);
  }

  // The fragments of B for two neighbouring groups of 8 rows: b[0], b[1] of the first, b[2], b[3] of the
  // second.
  template <class T>
  static __device__ __forceinline__ void right(uint32_t (&b)[4], const T* tile, int row0, int k0, int lane) {
    int matrix = lane / 8;
    ldmatrix(b, tile + (row0 + matrix / 2 * 8 + lane % 8) * LINE + k0 + matrix % 2 * 8);
  }
};

// An operand whose rows lie side by side; ldmatrix turns its 8 x 8 matrices.
template <int EXTENT_, int THREADS>
struct ExtentMajor {
  static constexpr int EXTENT = EXTENT_, LINE = EXTENT + PADDING, HALVES = DEPTH * LINE;
  static_assert(LINE % VECTOR == 0, "every line of a tile begins at a multiple of 16 bytes");
  static_assert(LINE / VECTOR % 2 == 1, "8 neighbouring lines begin in 8 different groups of 4 banks");

  template <class T>
  static __device__ __forceinline__ void load(T* tile, const T* matrix, int rows, int depth, int row0, int step,
                                              int width) {
    copy_tile<DEPTH, EXTENT, THREADS>(tile, matrix, depth, rows, step * DEPTH, row0, width);
  }

  template <class T>
  static __device__ __forceinline__ void left(uint32_t (&a)[4], const T* tile, int row0, int k0, int lane) {
    int matrix = lane / 8;
    ldmatrix_trans(a, tile + (k0 + matrix / 2 * 8 + lane % 8) * LINE + row0 + matrix % 2 * 8);
  }

  template <class T>
  static __device__ __forceinline__ void right(uint32_t (&b)[4], const T* tile, int row0, int k0, int lane) {
    int matrix = lane / 8;
    ldmatrix_trans(b, tile + (k0 + matrix % 2 * 8 + lane % 8) * LINE + row0 + matrix / 2 * 8);
  }
};

// How the warps of a block share its tile of C, and one warp's part of it. The thread's accumulators
// c[i][j][e] stand for row row(i, e) and column column(j, e) of the tile.
template <int M_, int N_, int WARPS_M_, int WARPS_N_>
struct Shape {
  static constexpr int M = M_, N = N_, WARPS_M = WARPS_M_, WARPS_N = WARPS_N_, THREADS = 32 * WARPS_M * WARPS_N;
  static constexpr int WARP_M = M / WARPS_M, WARP_N = N / WARPS_N;
  static constexpr int ROWS = WARP_M / 16, COLUMNS = WARP_N / 8;
  static_assert(M % (16 * WARPS_M) == 0, "a warp's rows are whole fragments of 16");
  static_assert(N % (16 * WARPS_N) == 0, "a warp's columns are whole pairs of fragments of 8");
  static_assert(DEPTH % 16 == 0, "a tile's depth is whole fragments of 16");

  int lane, row0, column0;

  __device__ __forceinline__ Shape() {
    int thread = static_cast<int>(threadIdx.x), warp = thread / 32;
    lane = thread % 32;
    row0 = warp % WARPS_M * WARP_M;
    column0 = warp / WARPS_M * WARP_N;
  }

  __device__ __forceinline__ int row(int i, int e) const { return row0 + i * 16 + e / 2 * 8 + lane / 4; }
  __device__ __forceinline__ int column(int j, int e) const { return column0 + j * 8 + lane % 4 * 2 + e % 2; }

  // Adds the product of one tile of A and one of B.
  template <class Left, class Right, class T>
  __device__ __forceinline__ void multiply(float (&c)[ROWS][COLUMNS][4], const T* a, const T* b) const {
    static_assert(Left::EXTENT == M && Right::EXTENT == N, "the operands' tiles have the block's extents");
#pragma unroll
    for (int k = 0; k < DEPTH; k += 16) {
      uint32_t left[ROWS][4], right[COLUMNS / 2][4];
#pragma unroll
      for (int i = 0; i < ROWS; i++) Left::left(left[i], a, row0 + i * 16, k, lane);
#pragma unroll
      for (int j = 0; j < COLUMNS / 2; j++) Right::right(right[j], b, column0 + j * 16, k, lane);
#pragma unroll
      for (int i = 0; i < ROWS; i++) {
#pragma unroll
        for (int j = 0; j < COLUMNS; j++) {
          const uint32_t fragment[2] = {right[j / 2][j % 2 * 2], right[j / 2][j % 2 * 2 + 1]};
          Short<T>::mma(c[i][j], left[i], fragment);
        }
      }
    }
  }
};

}  // namespace tile
