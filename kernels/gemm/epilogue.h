// What a product does with an accumulator before it is stored: act(acc * scale[n] + bias[n] + residual[m][n]).
#pragma once

#include "common/number.h"
#include "pointwise/activation.h"

namespace gemm {

// Null pointers stand for what is not asked for. Scale and bias have `columns` values, residual and out
// are matrices with lines of `columns`; all of one type, aligned to it.
template <class T>
struct Epilogue {
  T* out;
  const T *scale, *bias, *residual;
  int rows, columns, activation;

  __device__ __forceinline__ float value(float acc, int row, int column) const {
    if (scale != nullptr) acc *= to_float(scale[column]);
    if (bias != nullptr) acc += to_float(bias[column]);
    if (residual != nullptr) acc += to_float(residual[static_cast<long long>(row) * columns + column]);
    return activation::apply(activation, acc);
  }

  // Stores one element, if there is such a one.
  __device__ __forceinline__ void store(float acc, int row, int column) const {
    if (row >= rows || column >= columns) return;
    put_float(out + static_cast<long long>(row) * columns + column, value(acc, row, column));
  }
};

// Which tile of a grid of `rows` x `columns` tiles block number `block` computes: bands of 8 rows of
// tiles, column by column within a band, so that blocks that run together share tiles of both factors.
__device__ __forceinline__ void place_block(long long block, int rows, int columns, int* row, int* column) {
  constexpr int BAND = 8;
  long long in_band = static_cast<long long>(BAND) * columns;
  int first = static_cast<int>(block / in_band) * BAND;
  int height = min(BAND, rows - first);
  int within = static_cast<int>(block % in_band);
  *row = first + within % height;
  *column = within / height;
}

}  // namespace gemm
