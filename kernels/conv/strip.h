// Strips of results of a convolution of one filter a channel: a row of their windows at a time, 8 channels a
// thread, in one of two forms.
//
//   Exact    products and sums in f32. A value is converted once for all the results that it goes into.
//   Paired   products of a row of the window are summed in pairs of halves, two channels an instruction, and
//            the row's sum is added to f32 ("flushed") behind its last product. A row of K products is a chain
//            of K roundings to half precision, each of at most 2^-11 of the sum so far: a result is off by at
//            most K 2^-11 of the sum of its products' absolute values, and by K K 2^-25 where sums are so small
//            that halves have no more bits for them. A row's sum beyond 65504 is infinite, and stays so.
//
// Instructions of one row of the window for 4 results of 8 channels, with loads and addresses, in the machine
// code for sm_80 (counted, not timed), and of all its rows for one result:
//
//                  Exact       Paired
//   3x3, step 1    232   22    176   17     An H200 can issue 28 instructions of a thread while memory moves the
//   3x3, step 2    276   26    196   18     4 bytes of a result where the step is 1, and 70 for 10 bytes where it
//   5x5, step 1    346   54    226   35     is 2; finishing a result comes on top. So 3x3 is Exact: its sums lie
//   5x5, step 2    388   61    248   39     under the copies. 5x5 is Paired, but in bf16, whose 8 bits are too
//                                           few for a sum of products.
#pragma once

#include <type_traits>

#include "conv/shape.h"

namespace conv {

// 8 channels of a pixel or of a filter's place, by twos.
template <class T>
struct Pairs {
  typename Short<T>::Pair at[VECTOR / 2];
};

template <class T>
__device__ __forceinline__ Pairs<T> load_pairs(const T* from) {
  auto bits = load_vector<uint4>(from);
  Pairs<T> v;
  static_assert(sizeof(bits) == sizeof(v), "one access moves all of them");
  memcpy(&v, &bits, sizeof(v));
  return v;
}

// The channels at `from`, or zeros.
template <bool ALIGNED, class T>
__device__ __forceinline__ Pairs<T> load_pairs(const T* from, bool there) {
  if (ALIGNED && there) return load_pairs(from);
  Pairs<T> v;
#pragma unroll
  for (int i = 0; i < VECTOR / 2; i++) {
    v.at[i] = there ? Short<T>::pair(to_float(from[2 * i]), to_float(from[2 * i + 1])) : Short<T>::pair(0.0f, 0.0f);
  }
  return v;
}

// A row of products for STRIP results that are STEP pixels apart: first its K weights, then its pixels from
// the left.
template <class T, int K, int STEP, int STRIP>
struct Exact {
  float weights[K][VECTOR];

  __device__ __forceinline__ void weight(int j, const Pairs<T>& packed) {
#pragma unroll
    for (int e = 0; e < VECTOR / 2; e++) {
      float2 pair = Short<T>::floats(packed.at[e]);
      weights[j][2 * e] = pair.x, weights[j][2 * e + 1] = pair.y;
    }
  }
  __device__ __forceinline__ void pixel(float (&acc)[STRIP][VECTOR], int at, const Pairs<T>& packed) {
    float value[VECTOR];
#pragma unroll
    for (int e = 0; e < VECTOR / 2; e++) {
      float2 pair = Short<T>::floats(packed.at[e]);
      value[2 * e] = pair.x, value[2 * e + 1] = pair.y;
    }
#pragma unroll
    for (int p = 0; p < STRIP; p++) {
      int j = at - p * STEP;
      if (j < 0 || j >= K) continue;
#pragma unroll
      for (int e = 0; e < VECTOR; e++) acc[p][e] += value[e] * weights[j][e];
    }
  }
};

template <class T, int K, int STEP, int STRIP>
struct Paired {
  static_assert(std::is_same_v<T, __half>, "fewer bits than those of halves are too few for a sum");
  Pairs<T> weights[K], sums[STRIP];

  __device__ __forceinline__ void weight(int j, const Pairs<T>& packed) { weights[j] = packed; }
  __device__ __forceinline__ void pixel(float (&acc)[STRIP][VECTOR], int at, const Pairs<T>& packed) {
#pragma unroll
    for (int p = 0; p < STRIP; p++) {
      int j = at - p * STEP;
      if (j < 0 || j >= K) continue;
#pragma unroll
      for (int e = 0; e < VECTOR / 2; e++) {
        auto by = weights[j].at[e];
        auto& sum = sums[p].at[e];
        sum = j == 0 ? __hmul2(packed.at[e], by) : __hfma2(packed.at[e], by, sum);
        if (j < K - 1) continue;
        float2 row = Short<T>::floats(sum);
        acc[p][2 * e] += row.x, acc[p][2 * e + 1] += row.y;
      }
    }
  }
};

}  // namespace conv
