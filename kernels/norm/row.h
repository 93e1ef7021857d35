// A row of a matrix in the registers of a warp, and its layer norm.
//
// Mean and variance are those of the whole row, in f32: first the mean, then the differences from it and
// their own mean, which takes off what rounding left of the first, then their squares. Differences are
// never those of two large sums, so that rows of nearly equal values lose nothing.
#pragma once

#include "common/number.h"
#include "common/reduce.h"

namespace row {

// Elements that one access of 16 bytes takes.
template <class T>
struct alignas(16) Vector {
  static constexpr int COUNT = 16 / sizeof(T);
  T at[COUNT];
};

// Values of a row that a thread holds: rows of up to 32 of that many.
constexpr int HELD = 32;
constexpr int LONGEST = 32 * HELD;

// A row of up to LONGEST values in vectors of 16 bytes: lane i has the vectors i, i + 32 and on.
template <class T>
struct Held {
  static constexpr int COUNT = Vector<T>::COUNT, VECTORS = HELD / COUNT;
  static_assert(HELD % COUNT == 0, "a thread holds whole vectors");

  float v[VECTORS][COUNT] = {};
  int lane, n;

  __device__ __forceinline__ Held(int lane, int n) : lane(lane), n(n) {}

  __device__ __forceinline__ int column(int i) const { return (i * 32 + lane) * COUNT; }

  // Adds the values of a row in memory.
  __device__ __forceinline__ void add(const T* from) {
#pragma unroll
    for (int i = 0; i < VECTORS; i++) {
      if (column(i) >= n) break;
      auto loaded = load_vector<Vector<T>>(from + column(i));
#pragma unroll
      for (int j = 0; j < COUNT; j++) v[i][j] += to_float(loaded.at[j]);
    }
  }

  // Adds the same number to all values.
  __device__ __forceinline__ void add(float number) {
#pragma unroll
    for (int i = 0; i < VECTORS; i++) {
#pragma unroll
      for (int j = 0; j < COUNT; j++) v[i][j] += number;
    }
  }

  // The mean over the row of f(value).
  template <class F>
  __device__ __forceinline__ float mean(F f) const {
    float sum = 0.0f;
#pragma unroll
    for (int i = 0; i < VECTORS; i++) {
      if (column(i) >= n) break;
#pragma unroll
      for (int j = 0; j < COUNT; j++) sum += f(v[i][j]);
    }
    return warp_sum(sum) / static_cast<float>(n);
  }

  // (value - mean) / sqrt(variance + eps) * gamma + beta
  __device__ __forceinline__ void normalize(T* out, const T* gamma, const T* beta, float eps) {
#pragma unroll
    for (int pass = 0; pass < 2; pass++) add(-mean([](float x) { return x; }));
    float by = 1.0f / sqrtf(mean([](float x) { return x * x; }) + eps);
#pragma unroll
    for (int i = 0; i < VECTORS; i++) {
      if (column(i) >= n) break;
      auto times = load_vector<Vector<T>>(gamma + column(i));
      auto plus = load_vector<Vector<T>>(beta + column(i));
      Vector<T> made;
#pragma unroll
      for (int j = 0; j < COUNT; j++) {
        put_float(made.at + j, fmaf(v[i][j] * by, to_float(times.at[j]), to_float(plus.at[j])));
      }
      store_vector(out + column(i), made);
    }
  }
};

// The same for a row of any length and alignment, whose values at(column) are read anew in each pass.
template <class T, class At>
__device__ __forceinline__ void normalize(At at, T* out, const T* gamma, const T* beta, float eps, int lane, int n) {
  auto mean = [&](auto f) {
    float sum = 0.0f;
    for (int c = lane; c < n; c += 32) sum += f(at(c));
    return warp_sum(sum) / static_cast<float>(n);
  };
  float first = mean([](float x) { return x; });
  float rest = mean([=](float x) { return x - first; });
  float by = 1.0f / sqrtf(mean([=](float x) { return (x - first - rest) * (x - first - rest); }) + eps);
  for (int c = lane; c < n; c += 32) {
    put_float(out + c, fmaf((at(c) - first - rest) * by, to_float(gamma[c]), to_float(beta[c])));
  }
}

}  // namespace row
