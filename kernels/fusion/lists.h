// Neighbour lists as kernels of this family read them.
#pragma once

#include "common/device.h"

namespace lists {

// Row i's neighbours, best first, are the `counts[i]` pairs of `rows` and `scores` from `starts[i]` on, or
// from i * width on where `starts` is null.
struct Lists {
  const uint32_t* rows;
  const double* scores;
  const unsigned long long* starts;
  const uint32_t* counts;
  long long width;

  __device__ __forceinline__ unsigned long long start(long long row) const {
    return starts != nullptr ? starts[row] : static_cast<unsigned long long>(row * width);
  }
};

// Cosine distance.
__device__ __forceinline__ double distance(double score) { return 1.0 - score; }

}  // namespace lists
