// One spelling for the element types that kernels are templates over: f32 and f16.
#pragma once

#include <cstring>

#include "common/device.h"

__device__ __forceinline__ float to_float(float v) { return v; }
__device__ __forceinline__ float to_float(__half v) { return __half2float(v); }


// Rounded to nearest, ties to even.
__device__ __forceinline__ void put_float(float* to, float v) { *to = v; }
__device__ __forceinline__ void put_float(__half* to, float v) { *to = __float2half_rn(v); }

// Two neighbours at an address that is aligned to both.
__device__ __forceinline__ float2 load_pair(const __half* p) { return __half22float2(load_vector<__half2>(p)); }
__device__ __forceinline__ void store_pair(__half* p, float a, float b) { store_vector(p, __floats2half2_rn(a, b)); }
__device__ __forceinline__ float2 load_pair(const float* p) { return load_vector<float2>(p); }
__device__ __forceinline__ void store_pair(float* p, float a, float b) { store_vector(p, make_float2(a, b)); }

// The bits of two halves, the first in the lower ones.
__device__ __forceinline__ uint32_t pack_pair(float a, float b) {
  __half2 pair = __floats2half2_rn(a, b);
  uint32_t bits;
  memcpy(&bits, &pair, sizeof(bits));
  return bits;
}
