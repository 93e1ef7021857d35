// The shape of a convolution, as all kernels of this family take it, and what they share.
#pragma once

#include "common/number.h"
#include "pointwise/activation.h"

namespace conv {

constexpr int VECTOR = 8;  // values of 16 bits in the 16 bytes that one access moves

// Images [images, h, w, c] and results [images, oh, ow, o]; a window of kh x kw that steps by stride and
// begins pad above and to the left of the image. All 15 are from 0 to 2^31 - 1.
struct Shape {
  int images, h, w, c, oh, ow, o, kh, kw, stride_y, stride_x, pad_y, pad_x, groups;
  int aligned;  // the sum of the flags below: whose lines all begin at multiples of 16 bytes
};

constexpr int X = 1, OUT = 2, RESIDUAL = 4, GATE = 8;

// Values of type T, f16 or bf16.
template <class T>
struct alignas(16) Values {
  T at[VECTOR];
};

// The 8 values at `from`, of which `valid` exist; the others are 0.
template <class T>
__device__ __forceinline__ Values<T> load_values(const T* from, int valid, bool aligned) {
  if (aligned && valid >= VECTOR) return load_vector<Values<T>>(from);
  Values<T> v;
#pragma unroll
  for (int i = 0; i < VECTOR; i++) {
    if (i < valid) {
      v.at[i] = from[i];
    } else {
      put_float(v.at + i, 0.0f);
    }
  }
  return v;
}

// Stores the first `valid` of 8 values.
template <class T>
__device__ __forceinline__ void store_values(T* to, const Values<T>& v, int valid, bool aligned) {
  if (aligned && valid >= VECTOR) {
    store_vector(to, v);
    return;
  }
#pragma unroll
  for (int i = 0; i < VECTOR; i++) {
    if (i < valid) to[i] = v.at[i];
  }
}

// The activation of 8 values; one branch for all of them.
template <int KIND>
__device__ __forceinline__ void activate(float (&v)[VECTOR]) {
#pragma unroll
  for (int i = 0; i < VECTOR; i++) v[i] = activation::apply(KIND, v[i]);
}
__device__ __forceinline__ void activate(int kind, float (&v)[VECTOR]) {
  switch (kind) {
    case activation::RELU: return activate<activation::RELU>(v);
    case activation::SILU: return activate<activation::SILU>(v);
    case activation::GELU: return activate<activation::GELU>(v);
    case activation::MISH: return activate<activation::MISH>(v);
    case activation::SIGMOID: return activate<activation::SIGMOID>(v);
    default: return;
  }
}

// What a convolution does with an accumulator: act(acc * scale[o] + bias[o] + residual). Null pointers
// stand for what is not asked for.
template <class T>
struct Tail {
  const T *scale, *bias, *residual;
  int activation;

  // 8 neighbouring filters from `filter` on, of which `valid` exist; `at` is the first one's place in the
  // result.
  __device__ __forceinline__ Values<T> apply(const float (&acc)[VECTOR], int filter, long long at, int valid,
                                             bool aligned) const {
    Values<T> rest = {}, out;
    float v[VECTOR];
    if (residual != nullptr) rest = load_values(residual + at, valid, aligned);
#pragma unroll
    for (int i = 0; i < VECTOR; i++) {
      v[i] = acc[i];
      if (i < valid) {
        if (scale != nullptr) v[i] *= to_float(scale[filter + i]);
        if (bias != nullptr) v[i] += to_float(bias[filter + i]);
        if (residual != nullptr) v[i] += to_float(rest.at[i]);
      }
    }
    activate(activation, v);
#pragma unroll
    for (int i = 0; i < VECTOR; i++) put_float(out.at + i, v[i]);
    return out;
  }
};

}  // namespace conv
