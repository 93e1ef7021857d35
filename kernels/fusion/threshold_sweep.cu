// threshold_sweep: the dynamic threshold of Tan (section 3.3), row by row.
//
// Each modality m has a table of distance thresholds that loosen from step to step; past its end the
// last one stays. At step t a row's matches are the union over m of its neighbours with
// 1 - score < table_m[t], strictly, the row itself left out. The first step with a match is the last;
// where no step has one, there is none.
//
// Scores and thresholds are f64, and the tables are the host's own numbers: nothing is computed here
// but 1 - score and comparisons, so every device agrees to the bit.
//
// lists       neighbours of modality m and row i at offsets[m * (rows + 1) + i] .. [... + i + 1] of
//             `neighbours` (u32) and `scores` (f64); best first, the row itself among them or not
// tables      modality m's thresholds, which never fall, at tables[starts[m]] .. tables[starts[m + 1]]
// ends        [row][modality]: how far into the row's list its matches reach; all before it match but
//             the row itself
// last        [row]: the step at which the sweep ended, or NEVER
// Alignment   that of the element
// Launch      blocks of a multiple of 32 threads, one warp a row; no shared memory. rows, modalities from 1.

#include "common/device.h"
#include "common/reduce.h"

namespace {

constexpr uint32_t NEVER = 0xffffffffu;

struct List {
  const uint32_t* neighbours;
  const double* scores;
  long long count;
};

struct Evidence {
  const unsigned long long* offsets;
  const uint32_t* neighbours;
  const double* scores;

  __device__ __forceinline__ List list(int modality, long long row, int rows) const {
    const unsigned long long* at = offsets + static_cast<long long>(modality) * (rows + 1) + row;
    unsigned long long start = at[0], end = at[1];
    return {neighbours + start, scores + start, static_cast<long long>(end - start)};
  }
};

// The first place in a list whose entry is not the row itself and does not pass `pass`; the list's
// length if there is none. By a whole warp.
template <class Pass>
__device__ __forceinline__ long long first_failing(const List& list, uint32_t self, int lane, Pass pass) {
  for (long long base = 0; base < list.count; base += 32) {
    long long i = base + lane;
    bool fails = i < list.count && list.neighbours[i] != self && !pass(1.0 - list.scores[i]);
    unsigned failing = __ballot_sync(FULL_WARP, fails);
    if (failing != 0) return base + __ffs(static_cast<int>(failing)) - 1;
  }
  return list.count;
}

// The first step whose threshold `distance` lies below: tables never fall, so by halves.
__device__ __forceinline__ uint32_t first_step(const double* table, int steps, double distance) {
  int low = 0, high = steps;
  while (low < high) {
    int middle = (low + high) / 2;
    if (distance < table[middle]) {
      high = middle;
    } else {
      low = middle + 1;
    }
  }
  return low < steps ? static_cast<uint32_t>(low) : NEVER;
}

__device__ __forceinline__ void sweep(const Evidence& evidence, const double* tables, const int* starts,
                                      uint32_t* ends, uint32_t* last, int rows, int modalities) {
  int lane = static_cast<int>(threadIdx.x) % 32, warps = static_cast<int>(blockDim.x) / 32;
  long long row = static_cast<long long>(blockIdx.x) * warps + threadIdx.x / 32;
  if (row >= rows) return;  // whole warps leave, and none meets another
  auto self = static_cast<uint32_t>(row);

  // A modality has company for the row from the first step that reaches its nearest neighbour.
  uint32_t step = NEVER;
  for (int m = 0; m < modalities; m++) {
    List list = evidence.list(m, row, rows);
    long long nearest = first_failing(list, self, lane, [](double) { return false; });
    if (nearest == list.count) continue;
    step = min(step, first_step(tables + starts[m], starts[m + 1] - starts[m], 1.0 - list.scores[nearest]));
  }
  for (int m = 0; m < modalities; m++) {
    long long end = 0;
    if (step != NEVER) {
      int steps = starts[m + 1] - starts[m];
      double threshold = tables[starts[m] + min(static_cast<int>(step), steps - 1)];
      end = first_failing(evidence.list(m, row, rows), self, lane, [=](double d) { return d < threshold; });
    }
    if (lane == 0) ends[row * modalities + m] = static_cast<uint32_t>(end);
  }
  if (lane == 0) last[row] = step;
}

}  // namespace

extern "C" __global__ void threshold_sweep(const unsigned long long* offsets, const uint32_t* neighbours,
                                           const double* scores, const double* tables, const int* starts,
                                           uint32_t* ends, uint32_t* last, int rows, int modalities) {
  sweep({offsets, neighbours, scores}, tables, starts, ends, last, rows, modalities);
}
