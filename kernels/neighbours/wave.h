// Waves of a search: tiles whose candidates go to buffers that blocks share. See topk_wave.cu.
//
// Within a wave no threshold changes, so what is appended, and how much, does not depend on the order in
// which tiles are done. Between waves each buffer is cut back, and its row's threshold rises.
#pragma once

#include "neighbours/selection.h"

namespace wave {

using selection::Candidate;

constexpr uint32_t OVERFLOW = 0xffffffffu;  // in place of a count: the candidates did not fit

// One side's rows. They are taken in an order of their own, by position, which spreads rows that stand
// together: `step` has no common divisor with `rows`.
struct Order {
  int rows, step;

  __device__ __forceinline__ uint32_t row_at(int position) const {
    return static_cast<uint32_t>(static_cast<unsigned long long>(position) * static_cast<unsigned>(step) %
                                 static_cast<unsigned>(rows));
  }
};

// The buffers that a wave fills: [row][capacity], and how much was put in, which may be more.
struct Buffers {
  Candidate* candidates;
  uint32_t* counts;
  int capacity;

  __device__ __forceinline__ void put(uint32_t row, float score, uint32_t other) const {
    uint32_t at = atomicAdd(&counts[row], 1u);
    if (at >= static_cast<uint32_t>(capacity)) return;
    store_vector(candidates + static_cast<long long>(row) * capacity + at, make_uint2(__float_as_uint(score), other));
  }
};

// What a warp found and has not put into buffers yet, so that each lane puts one in: the atomics of 32
// candidates are under way together.
constexpr int LANES = 32, GROUP = 4, ROOM = LANES * (GROUP + 1);
constexpr int STAGED_BYTES = ROOM * 12;  // of shared memory, for each warp

// Both sides of a wave. With `joined` they are the same rows, and a pair is put in for both, but within
// a square of SQUARE x SQUARE on the diagonal, which has each pair twice.
template <int SQUARE>
struct Pairs {
  Order left, right;
  Buffers buffers;
  const float *left_least, *right_least;  // thresholds by position; `right_least` is read when joined
  bool joined;

  __device__ __forceinline__ void put(int left_at, int right_at, float score) const {
    if (left_at >= left.rows || right_at >= right.rows) return;
    bool first = score >= left_least[left_at];
    bool second = joined && left_at / SQUARE != right_at / SQUARE && score >= right_least[right_at];
    uint32_t row = left.row_at(left_at), other = right.row_at(right_at);
    if (first) buffers.put(row, score, other);
    if (second) buffers.put(other, score, row);
  }
};

// A warp's part of shared memory; all calls by the whole warp.
template <int SQUARE>
struct Staged {
  uint32_t* words;  // STAGED_BYTES
  const Pairs<SQUARE>& pairs;
  int lane, count = 0;

  __device__ __forceinline__ Staged(uint32_t* words_, const Pairs<SQUARE>& pairs_, int lane_)
      : words(words_), pairs(pairs_), lane(lane_) {}

  // At most GROUP times between two calls of `settle`.
  __device__ __forceinline__ void add(bool reaches, int left_at, int right_at, float score) {
    unsigned all = __ballot_sync(FULL_WARP, reaches);
    if (reaches) {
      uint32_t* to = words + count + __popc(all & ((1u << lane) - 1u));
      to[0] = __float_as_uint(score);
      to[ROOM] = static_cast<uint32_t>(left_at);
      to[2 * ROOM] = static_cast<uint32_t>(right_at);
    }
    count += __popc(all);
  }

  // Leaves less than 32, or with `all` none.
  __device__ __forceinline__ void settle(bool all = false) {
    while (count >= LANES || (all && count > 0)) {
      int some = count < LANES ? count : LANES;
      count -= some;
      __syncwarp();  // what other lanes added
      if (lane < some) {
        const uint32_t* from = words + count + lane;
        pairs.put(static_cast<int>(from[ROOM]), static_cast<int>(from[2 * ROOM]), __uint_as_float(from[0]));
      }
      __syncwarp();  // all have read before more is added
    }
  }
};

// The tiles of a wave that one block does. With `squares` the tile t of a row of squares is that number t
// places on, round the end: numbers 0 .. squares / 2 meet each pair of squares once, but half of the last
// ones when `squares` is even. Without it, t is the tile itself.
struct Share {
  int begin, end;

  __device__ __forceinline__ Share(int first, int last, int chunk, int chunks, int square, int squares) {
    long long count = last - first;
    begin = first + static_cast<int>(count * chunk / chunks);
    end = first + static_cast<int>(count * (chunk + 1) / chunks);
    if (squares > 0 && squares % 2 == 0 && square >= squares / 2) end = min(end, squares / 2);
  }

  static __device__ __forceinline__ int tile(int t, int square, int squares) {
    return squares > 0 ? (square + t) % squares : t;
  }
};

}  // namespace wave
