// One spelling for the element types that kernels are templates over: f32, f16 and bf16.
#pragma once

#include <cstring>

#include "common/device.h"

__device__ __forceinline__ float to_float(float v) { return v; }
__device__ __forceinline__ float to_float(__half v) { return __half2float(v); }
__device__ __forceinline__ float to_float(__nv_bfloat16 v) { return __bfloat162float(v); }

// Rounded to nearest, ties to even.
__device__ __forceinline__ void put_float(float* to, float v) { *to = v; }
__device__ __forceinline__ void put_float(__half* to, float v) { *to = __float2half_rn(v); }
__device__ __forceinline__ void put_float(__nv_bfloat16* to, float v) { *to = __float2bfloat16_rn(v); }

// Two neighbours at an address that is aligned to both.
__device__ __forceinline__ float2 load_pair(const float* p) { return load_vector<float2>(p); }
__device__ __forceinline__ float2 load_pair(const __half* p) { return __half22float2(load_vector<__half2>(p)); }
__device__ __forceinline__ float2 load_pair(const __nv_bfloat16* p) {
  return __bfloat1622float2(load_vector<__nv_bfloat162>(p));
}
__device__ __forceinline__ void store_pair(float* p, float a, float b) { store_vector(p, make_float2(a, b)); }
__device__ __forceinline__ void store_pair(__half* p, float a, float b) { store_vector(p, __floats2half2_rn(a, b)); }
__device__ __forceinline__ void store_pair(__nv_bfloat16* p, float a, float b) {
  store_vector(p, __floats2bfloat162_rn(a, b));
}

// What depends on which of the 16-bit types T is: __half or __nv_bfloat16.
template <class T>
struct Short;

template <>
struct Short<__half> {
  using Pair = __half2;
  static constexpr uint32_t ONES = 0x3c003c00u;  // the bits of two ones
  static __device__ __forceinline__ Pair pair(float a, float b) { return __floats2half2_rn(a, b); }
  static __device__ __forceinline__ float2 floats(Pair v) { return __half22float2(v); }
  static __device__ __forceinline__ unsigned bits(__half v) { return __half_as_ushort(v); }
  static __device__ __forceinline__ void mma(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
    mma_f16(d, a, b);
  }
};

template <>
struct Short<__nv_bfloat16> {
  using Pair = __nv_bfloat162;
  static constexpr uint32_t ONES = 0x3f803f80u;
  static __device__ __forceinline__ Pair pair(float a, float b) { return __floats2bfloat162_rn(a, b); }
  static __device__ __forceinline__ float2 floats(Pair v) { return __bfloat1622float2(v); }
  static __device__ __forceinline__ unsigned bits(__nv_bfloat16 v) { return __bfloat16_as_ushort(v); }
  static __device__ __forceinline__ void mma(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
    mma_bf16(d, a, b);
  }
};

// The bits of two values of type T, the first in the lower ones; and back.
template <class T>
__device__ __forceinline__ uint32_t pack_pair(float a, float b) {
  auto pair = Short<T>::pair(a, b);
  uint32_t bits;
  memcpy(&bits, &pair, sizeof(bits));
  return bits;
}
template <class T>
__device__ __forceinline__ float2 unpack_pair(uint32_t bits) {
  typename Short<T>::Pair pair;
  memcpy(&pair, &bits, sizeof(bits));
  return Short<T>::floats(pair);
}
