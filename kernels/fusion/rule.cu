// rule_fire: a matching rule, compiled to postfix form, run row by row; each row by a warp.
//
// A row's evaluation appends what fires, `Fired`, to an array of its own and keeps a stack of marks: how
// much had fired when each was set. What each operation does is said beside its number. In the end the
// answer is put in order: neighbours by their score, higher first, then by row, at most `keep` of them; a
// neighbour's score is that of its strongest evidence, and its evidence stands together, strongest first,
// the same evidence by two ways once. A relation is left as it fired: in it a neighbour is looked up alone.
//
// Scores and thresholds are f64; the arithmetic and the comparisons are the host's (src/matching).
//
// code         `length` operations
// sources      one struct Source a source
// unable       a byte a neighbour, not 0 for a row that stands in no match; or null
// silent       a byte a row that is run, not 0 for one that matches nothing; or null. The same memory where
//              rows are one another's neighbours
// relations    what other programs fired over all rows, for RELATION
// first, count the rows that are run
// rows, apart  how many rows neighbours are of, and not 0 where these are others than those that are run:
//              then none of them is a row's own
// fired        what row first + i fired, `counts[i]` from starts[i] on. Where `ordered` is 0 they stand from
//              i * room on; else `cursor`, 0 at first, hands out the places, and ends as their number
// room         no row fires more; the host adds it up from the program and the lists
// scratch      for each warp of the grid 2 * room firings, and 2 * room `words`, where `ordered` is not 0
// Alignment    that of the element
// Launch       blocks of 128 threads, any number of them; 4 words of shared memory a mark. count from 1.

#include "common/device.h"
#include "common/reduce.h"
#include "fusion/lists.h"

namespace {

enum Kind : int {
  MARK,        // sets a mark
  THRESHOLD,   // fires for the neighbours of `source` with d < x
  EQUAL,       // fires for all neighbours of `source`
  SWEEP,       // takes a mark: the next `count` operations loosen together until something fired since
  SWEPT,       // a modality of a sweep: min(x + t y, z) at step t, which is z from step `last` on
  INTERSECT,   // takes `count` marks, one before each part: keeps what every part fired for
  MIN2,        // takes a mark: where nothing fired since, the nearest of `source` if it has d < x
  BOTH,        // fires what relation `source` has, where that goes both ways
};

struct Op {
  int kind, source, count;
  uint32_t last;
  double x, y, z;
};

struct Source {
  const uint32_t* rows;
  const double* scores;
  const unsigned long long* starts;
  const uint32_t* counts;
  long long width;
};

struct Fired {
  uint32_t row, source;
  double score, threshold;
};

struct Relation {
  const Fired* fired;
  const uint32_t* counts;
  long long room;
};

constexpr int WARPS = 4;
constexpr int NEVER = -1;
constexpr uint32_t NOWHERE = 0xffffffffu;
// A firing that an intersection drops has this bit in its source, which is a u16.
constexpr uint32_t GONE = 0x80000000u;

// Whether (score, row) stands before (other_score, other_row).
__device__ __forceinline__ bool nearer(double score, uint32_t row, double other_score, uint32_t other_row) {
  return score > other_score || (score == other_score && row < other_row);
}

// Of two firings for one row: whether `a` is the stronger. An equality, then the larger margin, then the
// lower source, then the higher threshold.
__device__ __forceinline__ bool stronger(const Fired& a, const Fired& b) {
  bool a_equal = a.threshold >= 1.0, b_equal = b.threshold >= 1.0;
  if (a_equal != b_equal) return a_equal;
  double a_margin = a.score - a.threshold, b_margin = b.score - b.threshold;
  if (a_margin != b_margin) return a_margin > b_margin;
  if (a.source != b.source) return a.source < b.source;
  return a.threshold > b.threshold;
}

// One warp's evaluation of one row.
struct Row {
  const Source* sources;
  const unsigned char* unable;
  const Relation* relations;
  Fired* fired;
  uint32_t* marks;
  int rows, lane;
  // The row, and which neighbour it is itself.
  uint32_t self, own;
  uint32_t length = 0;
  int depth = 0;

  __device__ __forceinline__ lists::Lists list(int source) const {
    const Source& s = sources[source];
    return {s.rows, s.scores, s.starts, s.counts, s.width};
  }

  // Whether neighbour `other` may match the row.
  __device__ __forceinline__ bool able(uint32_t other) const {
    return other != own && other < static_cast<uint32_t>(rows) && (unable == nullptr || unable[other] == 0);
  }

  // Appends what the lanes with `fires` bring, in their order.
  __device__ __forceinline__ void append(bool fires, const Fired& what) {
    unsigned firing = __ballot_sync(FULL_WARP, fires);
    if (fires) fired[length + __popc(firing & ((1u << lane) - 1u))] = what;
    length += __popc(firing);
  }

  __device__ __forceinline__ void mark() {
    if (lane == 0) marks[depth] = length;
    depth++;
  }

  // Fires for the neighbours with d < distance: those of a list, which is best first, up to the first that
  // has not. With `all`, for every one of them.
  __device__ __forceinline__ void below(int source, double distance, double threshold, bool all) {
    lists::Lists from = list(source);
    unsigned long long start = from.start(self);
    uint32_t count = from.counts[self];
    for (uint32_t base = 0; base < count; base += 32) {
      uint32_t i = base + lane;
      bool there = i < count;
      uint32_t row = there ? from.rows[start + i] : self;
      double score = there ? from.scores[start + i] : 0.0;
      bool near = all || lists::distance(score) < distance;
      append(there && near && able(row), {row, static_cast<uint32_t>(source), score, threshold});
      if (__any_sync(FULL_WARP, there && !near)) return;
    }
  }

  // The nearest neighbour that may match; false where there is none.
  __device__ __forceinline__ bool nearest(int source, uint32_t& row, double& score) const {
    lists::Lists from = list(source);
    unsigned long long start = from.start(self);
    uint32_t count = from.counts[self];
    for (uint32_t base = 0; base < count; base += 32) {
      uint32_t i = base + lane;
      unsigned found = __ballot_sync(FULL_WARP, i < count && able(from.rows[start + i]));
      if (found == 0) continue;
      uint32_t at = base + __ffs(static_cast<int>(found)) - 1;
      row = from.rows[start + at];
      score = from.scores[start + at];
      return true;
    }
    return false;
  }

  static __device__ __forceinline__ double swept(const Op& op, int step) {
    double threshold = __dadd_rn(op.x, __dmul_rn(static_cast<double>(step), op.y));
    return threshold < op.z ? threshold : op.z;
  }

  // The first step whose threshold d lies below: thresholds never fall, so by halves.
  static __device__ __forceinline__ int first_step(const Op& op, double d) {
    if (!(d < op.z)) return NEVER;
    int low = 0, high = static_cast<int>(op.last);
    while (low < high) {
      int middle = (low + high) / 2;
      if (d < swept(op, middle)) {
        high = middle;
      } else {
        low = middle + 1;
      }
    }
    return low;
  }

  __device__ __forceinline__ void sweep(const Op* parts, int count) {
    depth--;
    int step = length > marks[depth] ? 0 : NEVER;
    if (step == NEVER) {
      for (int p = 0; p < count; p++) {
        uint32_t row = 0;
        double score = 0.0;
        if (!nearest(parts[p].source, row, score)) continue;
        int first = first_step(parts[p], lists::distance(score));
        if (first != NEVER && (step == NEVER || first < step)) step = first;
      }
    }
    if (step == NEVER) return;
    for (int p = 0; p < count; p++) {
      double distance = swept(parts[p], step);
      below(parts[p].source, distance, 1.0 - distance, false);
    }
  }

  // Whether part `p` of `parts`, which begin at the marks from `first` on, fired for `row`.
  __device__ __forceinline__ bool part_has(int first, int p, int parts, uint32_t row) const {
    uint32_t end = p + 1 < parts ? marks[first + p + 1] : length;
    for (uint32_t i = marks[first + p]; i < end; i++) {
      if (fired[i].row == row) return true;
    }
    return false;
  }

  __device__ __forceinline__ void intersect(int parts) {
    __syncwarp();
    depth -= parts;
    uint32_t start = marks[depth], end = length;
    // All are looked at before any is moved: moving takes the parts apart.
    for (uint32_t base = start; base < end; base += 32) {
      uint32_t i = base + lane;
      bool common = i < end;
      for (int p = 0; common && p < parts; p++) common = part_has(depth, p, parts, fired[i].row);
      if (i < end && !common) fired[i].source |= GONE;
    }
    __syncwarp();
    length = start;
    for (uint32_t base = start; base < end; base += 32) {
      uint32_t i = base + lane;
      Fired what{};
      if (i < end) what = fired[i];
      __syncwarp();
      append(i < end && (what.source & GONE) == 0, what);
      __syncwarp();
    }
  }

  __device__ __forceinline__ void min2(int source, double distance) {
    depth--;
    if (length != marks[depth]) return;
    uint32_t row = 0;
    double score = 0.0;
    bool found = nearest(source, row, score) && lists::distance(score) < distance;
    append(lane == 0 && found, {row, static_cast<uint32_t>(source), score, 1.0 - distance});
  }

  __device__ __forceinline__ void both(const Relation& relation) {
    const Fired* there = relation.fired + self * relation.room;
    uint32_t count = relation.counts[self];
    for (uint32_t base = 0; base < count; base += 32) {
      uint32_t i = base + lane;
      Fired what{};
      bool back = false;
      if (i < count) {
        what = there[i];
        const Fired* its = relation.fired + what.row * relation.room;
        uint32_t others = relation.counts[what.row];
        for (uint32_t n = 0; !back && n < others; n++) back = its[n].row == self;
      }
      append(back, what);
    }
  }

  __device__ __forceinline__ void run(const Op* code, int operations) {
    for (int at = 0; at < operations; at++) {
      const Op& op = code[at];
      switch (op.kind) {
        case MARK: mark(); break;
        case THRESHOLD: below(op.source, op.x, 1.0 - op.x, false); break;
        case EQUAL: below(op.source, 0.0, 1.0, true); break;
        case SWEEP:
          sweep(code + at + 1, op.count);
          at += op.count;
          break;
        case INTERSECT: intersect(op.count); break;
        case MIN2: min2(op.source, op.x); break;
        case BOTH: both(relations[op.source]); break;
        default: break;
      }
      __syncwarp();
    }
  }

  // Puts what fired in the order of rows, each row's strongest first: to `to`.
  __device__ __forceinline__ void order(Fired* to) const {
    for (uint32_t i = lane; i < length; i += 32) {
      Fired own = fired[i];
      uint32_t before = 0;
      for (uint32_t j = 0; j < length; j++) {
        Fired other = fired[j];
        bool first = other.row != own.row      ? other.row < own.row
                     : stronger(other, own)    ? true
                     : stronger(own, other)    ? false
                                               : j < i;
        before += first ? 1 : 0;
      }
      to[before] = own;
    }
    __syncwarp();
  }
};

// Chooses what is kept of firings in the order of `Row::order`: the place of each in the answer, or NOWHERE;
// gives how many are kept. `heads` is room for a word each.
__device__ __forceinline__ uint32_t place(const Fired* fired, uint32_t length, uint32_t keep, uint32_t* heads,
                                          uint32_t* places, int lane) {
  // Where each one's neighbour begins; the same evidence by two ways is told by its place.
  for (uint32_t i = lane; i < length; i += 32) {
    uint32_t head = i;
    bool again = false;
    while (head > 0 && fired[head - 1].row == fired[i].row) {
      head--;
      again = again || (fired[head].source == fired[i].source && fired[head].threshold == fired[i].threshold);
    }
    heads[i] = head;
    places[i] = again ? NOWHERE : 0u;
  }
  __syncwarp();
  uint32_t kept = 0;
  for (uint32_t base = 0; base < length; base += 32) {
    uint32_t i = base + lane;
    uint32_t at = 0, rank = 0;
    bool stays = i < length && places[i] != NOWHERE;
    if (stays) {
      const Fired& own = fired[heads[i]];
      for (uint32_t j = 0; j < length; j++) {
        const Fired& other = fired[heads[j]];
        bool before = nearer(other.score, other.row, own.score, own.row);
        rank += before && heads[j] == j ? 1 : 0;
        bool counts = places[j] != NOWHERE && (before || (heads[j] == heads[i] && j < i));
        at += counts ? 1 : 0;
      }
      stays = rank < keep;
    }
    __syncwarp();
    kept += __popc(__ballot_sync(FULL_WARP, stays));
    if (i < length) places[i] = stays ? at : NOWHERE;
    __syncwarp();
  }
  return kept;
}

struct Answer {
  Fired* fired;
  unsigned long long* starts;
  uint32_t* counts;
  unsigned long long* cursor;
};

// What one row's warp works in.
struct Scratch {
  Fired* fired;
  Fired* sorted;
  uint32_t* heads;
  uint32_t* places;
};

// Puts the answer of a row, which has been run, where the cursor says.
__device__ __forceinline__ void finish(const Row& row, const Scratch& work, const Answer& to, long long at,
                                       uint32_t keep) {
  row.order(work.sorted);
  uint32_t kept = place(work.sorted, row.length, keep, work.heads, work.places, row.lane);
  unsigned long long start = 0;
  if (row.lane == 0) start = atomicAdd(to.cursor, static_cast<unsigned long long>(kept));
  start = __shfl_sync(FULL_WARP, start, 0);
  for (uint32_t i = row.lane; i < row.length; i += 32) {
    if (work.places[i] != NOWHERE) to.fired[start + work.places[i]] = work.sorted[i];
  }
  if (row.lane == 0) {
    to.starts[at] = start;
    to.counts[at] = kept;
  }
}

}  // namespace

extern "C" __global__ void __launch_bounds__(WARPS * 32, 4)
rule_fire(const Op* code, int operations, const Source* sources, const unsigned char* unable,
          const unsigned char* silent, const Relation* relations, Fired* scratch, uint32_t* words, Fired* fired,
          unsigned long long* starts, uint32_t* counts, unsigned long long* cursor, long long room, int rows,
          int apart, int first, int count, int marks, int keep, int ordered) {
  DYNAMIC_SHARED(memory);
  int lane = static_cast<int>(threadIdx.x) % 32, warp = static_cast<int>(threadIdx.x) / 32;
  long long worker = static_cast<long long>(blockIdx.x) * WARPS + warp;
  Scratch work{scratch + worker * 2 * room, scratch + (worker * 2 + 1) * room, words + worker * 2 * room,
               words + (worker * 2 + 1) * room};
  for (long long at = worker; at < count; at += static_cast<long long>(gridDim.x) * WARPS) {
    auto self = static_cast<uint32_t>(first + at);
    Fired* to = ordered != 0 ? work.fired : fired + at * room;
    uint32_t own = apart != 0 ? NOWHERE : self;
    Row row{sources, unable, relations, to, reinterpret_cast<uint32_t*>(memory) + warp * marks, rows, lane, self, own};
    if (silent == nullptr || silent[self] == 0) row.run(code, operations);
    if (ordered != 0) {
      finish(row, work, {fired, starts, counts, cursor}, at, static_cast<uint32_t>(keep));
    } else if (lane == 0) {
      counts[at] = row.length;
    }
    __syncwarp();
  }
}
