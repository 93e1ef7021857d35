// A sum of squares in the order of the host's `refine::unit::square`, and what the host's arithmetic in f64
// needs to come out the same to the bit: no product is fused into the addition behind it.
#pragma once

#include "common/device.h"
#include "common/reduce.h"

namespace lanes {

// Value t is added in lane t % 16, and the lanes in ascending order.
constexpr int LANES = 16;

__device__ __forceinline__ double add_product(double sum, double a, double b) {
  return __dadd_rn(sum, __dmul_rn(a, b));
}

// Adds the squares of `count` values to `sum`, that of lane `lane` of the 16.
template <class T>
__device__ __forceinline__ double squares(double sum, const T* values, long long count, int lane) {
  for (long long t = lane; t < count; t += LANES) {
    auto v = static_cast<double>(values[t]);
    sum = add_product(sum, v, v);
  }
  return sum;
}

// The sum of the lanes, ascending, of each half of a warp. By a whole warp; every lane gets its half's.
__device__ __forceinline__ double fold(double sum) {
  double total = 0.0;
#pragma unroll
  for (int lane = 0; lane < LANES; lane++) total = __dadd_rn(total, __shfl_sync(FULL_WARP, sum, lane, LANES));
  return total;
}

}  // namespace lanes
