// What a product does with an accumulator before it is stored: act(acc * scale[n] + bias[n] + residual[m][n]).
#pragma once

#include "common/number.h"
#include "common/reduce.h"
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
// `row` + 8 (e / 2) and column `column` + 8 j + e % 2, where `column` is even. `width` says how columns are
// read and stored: 1 alone; 2 by pairs, where their number is even and all matrices are aligned to two
// elements; 8 as 2, but stored by eights: their number is a multiple of 8, and `out` aligned to 16 bytes.
template <class T>
struct Fragments {
  const Epilogue<T>& with;
  int width;

  // Two neighbours of a line; what does not exist is 0.
  __device__ __forceinline__ float2 two(const T* line, int column) const {
    if (width > 1) return column < with.columns ? load_pair(line + column) : make_float2(0.0f, 0.0f);
    return make_float2(column < with.columns ? to_float(line[column]) : 0.0f,
                       column + 1 < with.columns ? to_float(line[column + 1]) : 0.0f);
  }

  template <int COUNT>
  __device__ __forceinline__ void finish(float (&x)[COUNT], int row, int column) const {
    if (with.scale != nullptr) {
#pragma unroll
      for (int i = 0; i < COUNT; i += 4) {
        float2 v = two(with.scale, column + 2 * i);
        x[i] *= v.x, x[i + 1] *= v.y, x[i + 2] *= v.x, x[i + 3] *= v.y;
      }
    }
    if (with.bias != nullptr) {
#pragma unroll
      for (int i = 0; i < COUNT; i += 4) {
        float2 v = two(with.bias, column + 2 * i);
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
          float2 v = two(line, column + 2 * i);
          x[i + e] += v.x, x[i + e + 1] += v.y;
        }
      }
    }
    activate(with.activation, x);
  }

  // Stores what exists of them, alone or by pairs.
  template <int COUNT>
  __device__ __forceinline__ void store(const float (&x)[COUNT], int row, int column) const {
#pragma unroll
    for (int e = 0; e < 4; e += 2) {
      if (row + 4 * e >= with.rows) break;
      T* line = with.out + static_cast<long long>(row + 4 * e) * with.columns;
#pragma unroll
      for (int i = 0; i < COUNT; i += 4) {
        int at = column + 2 * i;
        if (width > 1) {
          if (at < with.columns) store_pair(line + at, x[i + e], x[i + e + 1]);
        } else {
          if (at < with.columns) put_float(line + at, x[i + e]);
          if (at + 1 < with.columns) put_float(line + at + 1, x[i + e + 1]);
        }
      }
    }
  }

  // Stores what exists of them by eights: the four lanes of a row trade pairs of columns, so that each has
  // all of every fourth group. By a whole warp.
  template <int COUNT>
  __device__ __forceinline__ void store_eights(const float (&x)[COUNT], int row, int column, int lane) const {
    static_assert(COUNT % 16 == 0, "each of four lanes takes as many groups");
#pragma unroll
    for (int e = 0; e < 4; e += 2) {
#pragma unroll
      for (int i = 0; i < COUNT; i += 16) {
        uint32_t v[4];
#pragma unroll
        for (int j = 0; j < 4; j++) v[j] = pack_pair<T>(x[i + 4 * j + e], x[i + 4 * j + e + 1]);
        trade(v[0], v[1], 1, lane), trade(v[2], v[3], 1, lane);
        trade(v[0], v[2], 2, lane), trade(v[1], v[3], 2, lane);
        int at = column - lane % 4 * 2 + 2 * i + lane % 4 * 8;
        if (row + 4 * e < with.rows && at < with.columns) {
          T* to = with.out + static_cast<long long>(row + 4 * e) * with.columns + at;
          store_vector(to, make_uint4(v[0], v[1], v[2], v[3]));
        }
      }
    }
  }

 private:
  // The lane with bit `apart` gives the low value for the high one of its neighbour without it.
  static __device__ __forceinline__ void trade(uint32_t& low, uint32_t& high, int apart, int lane) {
    bool upper = (lane & apart) != 0;
    uint32_t got = __shfl_xor_sync(FULL_WARP, upper ? low : high, apart);
    low = upper ? got : low;
    high = upper ? high : got;
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
