// Bugs on purpose between blocks (see planted.cu). In a file without static shared memory, so that the
// race detector takes blocks for unordered.

#include "common/device.h"

// A running sum over blocks: each takes what the block before it wrote, as if blocks ran in order.
extern "C" __global__ void planted_blocks_in_order(const float* x, float* sums) {
  float before = blockIdx.x == 0 ? 0.0f : sums[blockIdx.x - 1];
  if (threadIdx.x == 0) sums[blockIdx.x] = before + x[blockIdx.x];
}
// All threads add to one place without an atomic.
extern "C" __global__ void planted_count_plainly(int* count) { *count = *count + 1; }
