// One spelling for the element types that kernels are templates over: f32 and f16.
#pragma once

#include "common/device.h"

__device__ __forceinline__ float to_float(float v) { return v; }
__device__ __forceinline__ float to_float(__half v) { return __half2float(v); }

// Rounded to nearest, ties to even.
__device__ __forceinline__ void put_float(float* to, float v) { *to = v; }
__device__ __forceinline__ void put_float(__half* to, float v) { *to = __float2half_rn(v); }
