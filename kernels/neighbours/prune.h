// The bounded buffer of a row's candidates, and how it is pruned. See topk_scan.cu for why nothing is lost.
#pragma once

#include "neighbours/selection.h"

namespace prune {

using selection::Candidate;

constexpr int CAPACITY = 256;
constexpr uint32_t OVERFLOW = 0xffffffffu;  // in place of a count: the candidates did not fit

// Drops the candidates of a row that are out of reach, and says how many are left and which threshold
// they reach. By a whole warp; there are more than k candidates, and at most PLACES.
template <int PLACES = CAPACITY>
__device__ __forceinline__ int candidates(Candidate* buffer, int count, int k, float slack, float floor,
                                          float* threshold, int lane) {
  constexpr int EACH = PLACES / 32;
  uint32_t keys[EACH];
#pragma unroll
  for (int i = 0; i < EACH; i++) {
    int at = i * 32 + lane;
    keys[i] = at < count ? selection::key_of(selection::score_of(load_vector<Candidate>(buffer + at))) : 0u;
  }
  uint32_t kth = selection::kth_largest(k, [&](uint32_t least) {
    int reached = 0;
#pragma unroll
    for (int i = 0; i < EACH; i++) reached += keys[i] >= least ? 1 : 0;
    return reached;
  });
  float least = fmaxf(selection::of_key(kth) - slack, floor);
  int kept = 0;
#pragma unroll
  for (int i = 0; i < EACH; i++) {
    bool keep = keys[i] != 0u && selection::of_key(keys[i]) >= least;
    uint32_t row = keep ? buffer[i * 32 + lane].y : 0u;
    unsigned keepers = __ballot_sync(FULL_WARP, keep);
    __syncwarp();  // all lanes have read before one writes, and what is written was read before
    if (keep) {
      int to = kept + __popc(keepers & ((1u << lane) - 1u));
      store_vector(buffer + to, make_uint2(__float_as_uint(selection::of_key(keys[i])), row));
    }
    kept += __popc(keepers);
  }
  *threshold = least;
  return kept;
}

}  // namespace prune
