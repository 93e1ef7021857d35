// Which sequence a piece of work is of, where sequences stand one after the other in the rows of a matrix.
//
// Sequence i is in the rows from offsets[i] to offsets[i + 1]; `offsets` has sequences + 1 numbers that
// rise from 0 to the number of rows. They lie on the card, where nobody looks at them before: others lead
// to no access outside `offsets`, nor to one outside the rows.
#pragma once

#include "common/reduce.h"

namespace sequences {

// Rows of queries that one warp takes: those of one fragment of mma.sync.
constexpr int TILE = 16;

// Rows from `first` to `end` of a sequence that begins at row `begin`; none where first >= end.
struct Rows {
  int begin, end, first;
};

// A tile of `UNIT` rows has the number offsets[i] / UNIT + i + t, t being its place in sequence i: so all
// tiles have numbers of their own below rows / UNIT + sequences, and are found without a table. Some
// numbers are no tile's. With a unit of 1, numbers are rows, and sequences do not count.
template <int UNIT>
__device__ __forceinline__ uint32_t number_of(const uint32_t* offsets, int i) {
  return UNIT == 1 ? offsets[i] : offsets[i] / UNIT + static_cast<uint32_t>(i);
}

// The rows of tile `number`: found by the whole warp, which cuts the sequences in 32 parts at a time.
template <int UNIT>
__device__ __forceinline__ Rows find(const uint32_t* offsets, int sequences, int rows, uint32_t number, int lane) {
  const Rows nothing{0, 0, 0};
  int low = 0, count = sequences;
  while (count > 1) {
    int step = (count - 1) / 32 + 1, probe = lane * step;
    bool before = probe < count && number_of<UNIT>(offsets, low + probe) <= number;
    int parts = __popc(__ballot_sync(FULL_WARP, before));
    if (parts == 0) return nothing;
    int past = (parts - 1) * step;
    low += past;
    count = min(step, count - past);
  }
  uint32_t begin = offsets[low], end = offsets[low + 1], start = number_of<UNIT>(offsets, low);
  if (begin > end || end > static_cast<uint32_t>(rows) || number < start) return nothing;
  uint32_t apart = number - start;
  if (apart >= (end - begin + UNIT - 1) / UNIT) return nothing;
  return {static_cast<int>(begin), static_cast<int>(end), static_cast<int>(begin + apart * UNIT)};
}

}  // namespace sequences
