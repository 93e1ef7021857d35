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

// An activation of many values: chosen once, not for each of them.
template <int COUNT>
__device__ __forceinline__ void activate(int kind, float (&x)[COUNT]) {
  auto all = [&x](auto f) {
#pragma unroll
    for (int i = 0; i < COUNT; i++) x[i] = f(x[i]);
  };
  switch (kind) {
    case activation::RELU: return all([](float v) { return activation::apply(activation::RELU, v); });
    case activation::SILU: return all([](float v) { return activation::apply(activation::SILU, v); });
    case activation::GELU: return all([](float v) { return activation::apply(activation::GELU, v); });
    case activation::MISH: return all([](float v) { return activation::apply(activation::MISH, v); });
    case activation::SIGMOID: return all([](float v) { return activation::apply(activation::SIGMOID, v); });
    default: return;
  }
}

// The epilogue of a tensor core's fragments of COUNT / 4 groups of 8 columns: x[4 j + e] stands for row
// `row` + 8 (e / 2) and column `column` + 8 j + e % 2, where `column` is even. WIDTH is 2 where columns
// are read and stored by pairs (an even number of them, all matrices aligned to two elements), else 1.
template <int WIDTH>
struct Fragments {
  static_assert(WIDTH == 1 || WIDTH == 2, "elements alone or by pairs");

  // Two neighbours of a line of `columns`, of which those that do not exist are 0.
  template <class T>
  static __device__ __forceinline__ float2 two(const T* line, int column, int columns) {
    if constexpr (WIDTH == 2) {
      return column < columns ? load_pair(line + column) : make_float2(0.0f, 0.0f);
    } else {
      return make_float2(column < columns ? to_float(line[column]) : 0.0f,
                         column + 1 < columns ? to_float(line[column + 1]) : 0.0f);
    }
  }

  template <class T, int COUNT>
  static __device__ __forceinline__ void finish(const Epilogue<T>& with, float (&x)[COUNT], int row, int column) {
    if (with.scale != nullptr) {
#pragma unroll
      for (int i = 0; i < COUNT; i += 4) {
        float2 v = two(with.scale, column + 2 * i, with.columns);
        x[i] *= v.x, x[i + 1] *= v.y, x[i + 2] *= v.x, x[i + 3] *= v.y;
      }
    }
    if (with.bias != nullptr) {
#pragma unroll
      for (int i = 0; i < COUNT; i += 4) {
        float2 v = two(with.bias, column + 2 * i, with.columns);
        x[i] += v.x, x[i + 1] += v.y, x[i + 2] += v.x, x[i + 3] += v.y;
      }
    }
    if (with.residual != nullptr) {
#pragma unroll
      for (int e = 0; e < 4; e += 2) {
        if (row + 4 * e >= with.rows) break;
        const T* line = with.residual + static_cast<long long>(row + 4 * e) * with.columns;
#pragma unroll
        for (int i = 0; i < COUNT; i += 4) {
          float2 v = two(line, column + 2 * i, with.columns);
          x[i + e] += v.x, x[i + e + 1] += v.y;
        }
      }
    }
    activate(with.activation, x);
  }

  // Stores what exists of them.
  template <class T, int COUNT>
  static __device__ __forceinline__ void store(const Epilogue<T>& with, const float (&x)[COUNT], int row,
                                               int column) {
#pragma unroll
    for (int e = 0; e < 4; e += 2) {
      if (row + 4 * e >= with.rows) break;
      T* line = with.out + static_cast<long long>(row + 4 * e) * with.columns;
#pragma unroll
      for (int i = 0; i < COUNT; i += 4) {
        int at = column + 2 * i;
        if constexpr (WIDTH == 2) {
          if (at < with.columns) store_pair(line + at, x[i + e], x[i + e + 1]);
        } else {
          if (at < with.columns) put_float(line + at, x[i + e]);
          if (at + 1 < with.columns) put_float(line + at + 1, x[i + e + 1]);
        }
      }
    }
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
