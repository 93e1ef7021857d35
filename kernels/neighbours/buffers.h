// Bounded buffers of candidates, for scans whose k is too large for a warp's registers.
//
// Each query has one a part of the gallery: [query][chunk][capacity]. A scan puts in what reaches the
// query's threshold; a buffer that could not take another tile is cut back to what may still be among the
// k best, and the threshold rises to that. What is dropped can be no answer: see topk_scan.cu.
#pragma once

#include "common/device.h"
#include "neighbours/radix.h"
#include "neighbours/selection.h"

namespace buffers {

using selection::Candidate;

constexpr uint32_t OVERFLOW = 0xffffffffu;

// When a score may be dropped: when it is less than the k-th best by more than `slack`, and the k-th best
// is at least `sure` (below which scores say too little).
struct Cut {
  int k;
  float slack, sure;
};

// What an approximate score must reach when the k-th best has this key.
__device__ __forceinline__ float bar(uint32_t kth, Cut cut, float threshold) {
  float score = selection::of_key(kth);
  return score >= cut.sure ? fmaxf(score - cut.slack, threshold) : threshold;
}

// The buffers that one block fills, and its thresholds and counts in shared memory.
struct Buffers {
  Candidate* candidates;  // of the block's first query and its part of the gallery
  float* thresholds;
  uint32_t* found;
  uint32_t* words;  // radix::WORDS
  int stride;  // from one query's buffer to the next
  int capacity;

  __device__ __forceinline__ Candidate* of(int row) const { return candidates + static_cast<long long>(row) * stride; }

  // By any thread; the score has reached the threshold.
  __device__ __forceinline__ void put(int row, float score, uint32_t column) const {
    uint32_t at = atomicAdd(&found[row], 1u);
    store_vector(of(row) + at, make_uint2(__float_as_uint(score), column));
  }

  // Makes room for NEW more candidates in each of the ROWS buffers. By all THREADS threads of the block;
  // begins and ends with a barrier.
  template <int THREADS, int ROWS, int NEW>
  __device__ __forceinline__ void make_room(Cut cut) const {
    static_assert(ROWS <= THREADS, "a thread looks at a row");
    int thread = static_cast<int>(threadIdx.x);
    uint32_t count = thread < ROWS ? found[thread] : 0u;
    // A barrier: what was put in is visible behind it.
    if (!__syncthreads_or(count != OVERFLOW && static_cast<int>(count) > capacity - NEW)) return;
#pragma unroll 1
    for (int row = 0; row < ROWS; row++) {
      uint32_t full = found[row];
      if (full == OVERFLOW || static_cast<int>(full) <= capacity - NEW) continue;  // the same for all threads
      prune<THREADS>(row, static_cast<int>(full), NEW, cut);
    }
    __syncthreads();
  }

  template <int THREADS>
  __device__ __forceinline__ void prune(int row, int count, int room, Cut cut) const {
    int thread = static_cast<int>(threadIdx.x);
    Candidate* buffer = of(row);
    uint32_t kth = radix::kth_largest<THREADS>(cut.k, words, [&](auto visit) {
      for (int i = thread; i < count; i += THREADS) {
        visit(selection::key_of(selection::score_of(load_vector<Candidate>(buffer + i))));
      }
    });
    float least = bar(kth, cut, thresholds[row]);
    if (thread == 0) words[0] = 0;
    __syncthreads();
    for (int base = 0; base < count; base += THREADS) {
      bool keep = base + thread < count;
      Candidate mine = keep ? load_vector<Candidate>(buffer + base + thread) : make_uint2(0u, 0u);
      __syncthreads();  // all have read these before one writes, and no more were kept than read
      if (keep && selection::score_of(mine) >= least) store_vector(buffer + atomicAdd(&words[0], 1u), mine);
    }
    __syncthreads();
    if (thread == 0) {
      bool fits = static_cast<int>(words[0]) <= capacity - room;
      found[row] = fits ? words[0] : OVERFLOW;
      thresholds[row] = fits ? least : INFINITY;
    }
    __syncthreads();
  }
};

// Lists the rows of a query's candidates, of all chunks, that may be among its k best: how many there are,
// or -1 when a buffer overflowed or more than `room` are left. By all threads; ends with a barrier.
template <int THREADS>
__device__ __forceinline__ int gather(const Candidate* candidates, const uint32_t* counts, int chunks, int capacity,
                                      Cut cut, uint32_t* rows, int room, uint32_t* words) {
  int thread = static_cast<int>(threadIdx.x);
  long long total = 0;
  for (int c = 0; c < chunks; c++) {
    if (counts[c] == OVERFLOW) return -1;  // the same for all threads
    total += counts[c];
  }
  float least = -INFINITY;
  if (total > cut.k) {
    uint32_t kth = radix::kth_largest<THREADS>(cut.k, words, [&](auto visit) {
      for (int c = 0; c < chunks; c++) {
        const Candidate* from = candidates + static_cast<long long>(c) * capacity;
        for (int i = thread; i < static_cast<int>(counts[c]); i += THREADS) {
          visit(selection::key_of(selection::score_of(load_vector<Candidate>(from + i))));
        }
      }
    });
    least = bar(kth, cut, -INFINITY);
  }
  if (thread == 0) words[0] = 0;
  __syncthreads();
  for (int c = 0; c < chunks; c++) {
    const Candidate* from = candidates + static_cast<long long>(c) * capacity;
    for (int i = thread; i < static_cast<int>(counts[c]); i += THREADS) {
      Candidate mine = load_vector<Candidate>(from + i);
      if (selection::score_of(mine) < least) continue;
      uint32_t at = atomicAdd(&words[0], 1u);
      if (static_cast<int>(at) < room) rows[at] = mine.y;
    }
  }
  __syncthreads();
  auto kept = static_cast<int>(words[0]);
  return kept > room ? -1 : kept;
}

}  // namespace buffers
