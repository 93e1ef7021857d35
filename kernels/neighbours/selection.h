// Selection by score among a warp's candidates.
#pragma once

#include "common/device.h"
#include "common/reduce.h"

namespace selection {

// A candidate neighbour: the bits of its approximate score, and its row.
using Candidate = uint2;

__device__ __forceinline__ float score_of(Candidate c) { return __uint_as_float(c.x); }

// Numbers in the order of floats; no float has key 0, which stands for no candidate.
__device__ __forceinline__ uint32_t key_of(float v) {
  uint32_t bits = __float_as_uint(v);
  return bits & 0x80000000u ? ~bits : bits | 0x80000000u;
}
__device__ __forceinline__ float of_key(uint32_t key) {
  return __uint_as_float(key & 0x80000000u ? key & 0x7fffffffu : ~key);
}

// The k-th largest key, bit by bit from the top: the largest number that at least k keys reach.
// `count(n)` gives this lane's number of keys >= n. By a whole warp; there must be k keys.
template <class Count>
__device__ __forceinline__ uint32_t kth_largest(int k, Count count) {
  uint32_t found = 0;
  for (int bit = 31; bit >= 0; bit--) {
    uint32_t next = found | 1u << bit;
    int reached = count(next);
#pragma unroll
    for (int apart = 16; apart > 0; apart /= 2) reached += __shfl_xor_sync(FULL_WARP, reached, apart);
    if (reached >= k) found = next;
  }
  return found;
}

}  // namespace selection
