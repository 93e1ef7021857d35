// Entries of exact scores in shared memory, sorted by a whole block.
#pragma once

#include "common/device.h"
#include "neighbours/exact.h"

namespace sorting {

__device__ __forceinline__ int power_of_two(int count) {
  int size = 1;
  while (size < count) size *= 2;
  return size;
}

// Sorts the entries 0 .. count best first: a bitonic network over the next power of two, whose other
// places this fills with NOBODY; they stand last. By all threads of the block, behind a barrier, which
// also ends it.
template <int THREADS>
__device__ __forceinline__ void sort(double* scores, uint32_t* rows, int count) {
  int thread = static_cast<int>(threadIdx.x), size = power_of_two(count);
  for (int i = count + thread; i < size; i += THREADS) {
    scores[i] = -INFINITY;
    rows[i] = exact::NOBODY;
  }
  __syncthreads();
  for (int run = 2; run <= size; run *= 2) {
    for (int apart = run / 2; apart > 0; apart /= 2) {
      for (int p = thread; p < size / 2; p += THREADS) {
        int i = 2 * p - (p & (apart - 1)), j = i + apart;
        bool descending = (i & run) == 0, swap = exact::better(scores[j], rows[j], scores[i], rows[i]);
        if (swap == descending) {
          double score = scores[i];
          uint32_t row = rows[i];
          scores[i] = scores[j];
          rows[i] = rows[j];
          scores[j] = score;
          rows[j] = row;
        }
      }
      __syncthreads();
    }
  }
}

}  // namespace sorting
