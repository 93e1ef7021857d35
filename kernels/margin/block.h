// Reductions over a block, for kernels of whole warps: every thread must take part, and every thread gets
// the result. The order of additions depends on the number of threads alone.
#pragma once

#include "common/reduce.h"

namespace {

struct Sum {
  static __device__ __forceinline__ float warp(float v) { return warp_sum(v); }
};
struct Max {
  static __device__ __forceinline__ float warp(float v) { return warp_max(v); }
};

// A place for each warp of the block. No template: the simulated card finds shared memory by its section,
// which g++ does not give to the variables of templates.
__device__ __forceinline__ float* warp_parts() {
  __shared__ float parts[32];
  return parts;
}

// `v` of all threads combined, given to every thread; a thread's `rest` stands for warps that are not.
template <class How>
__device__ __forceinline__ float combine(float v, float rest) {
  float* parts = warp_parts();
  int lane = static_cast<int>(threadIdx.x) % 32, warp = static_cast<int>(threadIdx.x) / 32;
  v = How::warp(v);
  if (lane == 0) parts[warp] = v;
  __syncthreads();
  v = How::warp(lane < static_cast<int>(blockDim.x) / 32 ? parts[lane] : rest);
  __syncthreads();  // `parts` may be written again
  return v;
}

}  // namespace
