// The k-th largest of many keys, found by a whole block digit by digit: 11, 11 and 10 bits.
#pragma once

#include "common/device.h"
#include "common/reduce.h"

namespace radix {

constexpr int BINS = 2048;
// Words of shared memory that a selection writes on: the counts, a sum a warp, and what was found.
constexpr int WORDS = BINS + 16;

// `each(visit)` calls visit(key) for every key of the calling thread; there must be k keys. By all THREADS
// threads, which get the same key. Begins and ends with no barrier of its own: what the keys are read
// from must be visible, and `words` may be used again behind the next barrier.
template <int THREADS, class Each>
__device__ __forceinline__ uint32_t kth_largest(int k, uint32_t* words, Each each) {
  constexpr int MINE = BINS / THREADS, WARPS = THREADS / 32;
  static_assert(BINS % THREADS == 0, "every thread sums as many bins");
  static_assert(WARPS + 2 <= WORDS - BINS, "a sum for each warp, the bin and what stands above it");
  uint32_t* sums = words + BINS;
  int thread = static_cast<int>(threadIdx.x), warp = thread / 32, lane = thread % 32;
  uint32_t found = 0, wanted = static_cast<uint32_t>(k);
  int shift = 32;
#pragma unroll 1
  for (int digit = 0; digit < 3; digit++) {
    int bits = digit < 2 ? 11 : 10, above = shift;
    shift -= bits;
    for (int i = thread; i < BINS; i += THREADS) words[i] = 0;
    __syncthreads();
    each([&](uint32_t key) {
      bool same = (static_cast<unsigned long long>(key ^ found) >> above) == 0ull;
      if (same) atomicAdd(&words[key >> shift & ((1u << bits) - 1u)], 1u);
    });
    __syncthreads();
    // Thread 0 has the highest bins.
    int top = BINS - 1 - thread * MINE;
    uint32_t own = 0;
#pragma unroll
    for (int i = 0; i < MINE; i++) own += words[top - i];
    uint32_t upto = own;
#pragma unroll
    for (int apart = 1; apart < 32; apart *= 2) {
      uint32_t other = __shfl_up_sync(FULL_WARP, upto, apart);
      if (lane >= apart) upto += other;
    }
    if (lane == 31) sums[warp] = upto;
    __syncthreads();
    for (int w = 0; w < warp; w++) upto += sums[w];
    uint32_t before = upto - own;
    if (before < wanted && upto >= wanted) {
      int bin = top;
      while (before + words[bin] < wanted) before += words[bin--];
      sums[WARPS] = static_cast<uint32_t>(bin);
      sums[WARPS + 1] = before;
    }
    __syncthreads();
    found |= sums[WARPS] << shift;
    wanted -= sums[WARPS + 1];
  }
  return found;
}

}  // namespace radix
