// The cosine that every dense search of doppel ranks by, the same to the last bit on every device, and
// the order in which neighbours stand.
//
// dot(a, b) is a sum in f64 of products that are exact there, in one fixed order: element t goes to lane
// t % 32, a lane adds in ascending t, and the lanes fold in halves (l takes l + 16, then l + 8, ...). It
// is that of src/device/cpu/dot.rs. The cosine is dot(a, b) / sqrt(dot(a, a) dot(b, b)), clamped to
// [-1, 1]: one multiplication, one square root, one division, each correctly rounded.
#pragma once

#include "common/device.h"
#include "common/reduce.h"

namespace exact {

constexpr uint32_t NOBODY = 0xffffffffu;

// By a whole warp; every lane gets the sum.
__device__ __forceinline__ double dot(const float* a, const float* b, int dims, int lane) {
  double sum = 0.0;
  for (int t = lane; t < dims; t += 32) sum += static_cast<double>(a[t]) * static_cast<double>(b[t]);
#pragma unroll
  for (int apart = 16; apart > 0; apart /= 2) sum += __shfl_down_sync(FULL_WARP, sum, apart);
  return __shfl_sync(FULL_WARP, sum, 0);
}

// `aa` and `bb` are dot(a, a) and dot(b, b), neither of them 0.
__device__ __forceinline__ double cosine(double ab, double aa, double bb) {
  double ratio = ab / sqrt(aa * bb);
  return ratio > 1.0 ? 1.0 : ratio < -1.0 ? -1.0 : ratio;
}

// Higher score first, then lower row.
__device__ __forceinline__ bool better(double score, uint32_t row, double other_score, uint32_t other_row) {
  return score > other_score || (score == other_score && row < other_row);
}

// How many of `count` entries stand before (score, row); entries of NOBODY stand nowhere.
__device__ __forceinline__ int rank(const double* scores, const uint32_t* rows, int count, double score,
                                    uint32_t row) {
  int before = 0;
  for (int j = 0; j < count; j++) before += rows[j] != NOBODY && better(scores[j], rows[j], score, row) ? 1 : 0;
  return before;
}

}  // namespace exact
