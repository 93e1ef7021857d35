// Reductions over a warp, for whole warps: every lane must take part, and every lane gets the result.
#pragma once

#include "common/device.h"

constexpr unsigned FULL_WARP = 0xffffffffu;

__device__ __forceinline__ float warp_sum(float v) {
#pragma unroll
  for (int apart = 16; apart > 0; apart /= 2) v += __shfl_xor_sync(FULL_WARP, v, apart);
  return v;
}

// The largest; NaN loses against any number, as in fmaxf.
__device__ __forceinline__ float warp_max(float v) {
#pragma unroll
  for (int apart = 16; apart > 0; apart /= 2) v = fmaxf(v, __shfl_xor_sync(FULL_WARP, v, apart));
  return v;
}
