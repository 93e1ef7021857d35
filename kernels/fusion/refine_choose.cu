// refine_choose: which rows query expansion and blending add to each row, and by what weights.
//
//   expansion   the best `most` others, each by its score held to 0..1 to the power `alpha`
//   blending    the others with 1 - score < near, each by its score held to 0..1; where the nearest is not
//               among them, that one alone if it has 1 - score < min2
//
// Others are the neighbours of the row's list but the row itself (`same` says that the two sides are the
// same rows) and those whose `present` is not above 0, rows of zeros. What weighs nothing is left out. The
// arithmetic is the host's (src/refine), operation for operation.
//
// present      a number a row of the other side; above 0 for one that is not all zeros
// chosen       row i's rows and weights from i * width on, best first; `counts` how many
// totals       1 and the weights, added in their order
// faults       the first row whose list has a score that is not finite, a neighbour outside the other side,
//              two neighbours out of order: three numbers that are all ones at first
// lists        as lists.h has them
// Alignment    that of the element
// Launch       blocks of any number of threads, one thread a row; no shared memory. rows from 1.

#include "common/device.h"
#include "fusion/lists.h"

namespace {

struct Chosen {
  uint32_t* rows;
  double* weights;
  uint32_t* counts;
  double* totals;
  long long width;
};

__device__ __forceinline__ bool finite(double v) { return v - v == 0.0; }

__device__ __forceinline__ double held(double score) { return score < 0.0 ? 0.0 : score > 1.0 ? 1.0 : score; }

// `base` to the power `exponent`, both not negative: squarings for the whole part, square roots for the
// rest. Each of these is rounded alike on every device.
__device__ __forceinline__ double power(double base, double exponent) {
  auto whole = static_cast<int>(exponent);
  double result = 1.0;
  double factor = base;
  for (int n = whole; n > 0; n /= 2) {
    if (n % 2 == 1) result = __dmul_rn(result, factor);
    factor = __dmul_rn(factor, factor);
  }
  factor = base;
  for (double rest = exponent - whole; rest > 0.0;) {
    rest = __dadd_rn(rest, rest);
    factor = sqrt(factor);
    if (rest >= 1.0) {
      result = __dmul_rn(result, factor);
      rest = __dadd_rn(rest, -1.0);
    }
  }
  return result;
}

// The neighbours that may be added to a row, one after the other.
struct Others {
  const lists::Lists& list;
  const double* present;
  uint32_t* faults;
  unsigned long long start;
  uint32_t count, at, self, others;
  bool same;

  // Reports what no search makes of the whole list.
  __device__ __forceinline__ void check(uint32_t row) const {
    for (uint32_t i = 0; i < count; i++) {
      double score = list.scores[start + i];
      if (!finite(score)) atomicMin(&faults[0], row);
      if (list.rows[start + i] >= others) atomicMin(&faults[1], row);
      if (i == 0) continue;
      double before = list.scores[start + i - 1];
      // Of equal scores only the two zeros differ in their bits; either order of those will do.
      bool zeros = before == score && __double_as_longlong(before) != __double_as_longlong(score);
      bool tie = before == score && (list.rows[start + i - 1] < list.rows[start + i] || zeros);
      if (!(before > score || tie)) atomicMin(&faults[2], row);
    }
  }

  __device__ __forceinline__ bool next(uint32_t& row, double& score) {
    while (at < count) {
      row = list.rows[start + at];
      score = list.scores[start + at];
      at++;
      bool itself = same && row == self;
      if (row < others && !itself && present[row] > 0.0) return true;
    }
    return false;
  }
};

struct Sum {
  const Chosen& to;
  unsigned long long start;
  uint32_t count;
  double total;

  __device__ __forceinline__ void add(uint32_t row, double weight) {
    if (!(weight > 0.0)) return;
    to.rows[start + count] = row;
    to.weights[start + count] = weight;
    total = __dadd_rn(total, weight);
    count++;
  }
};

template <class Choose>
__device__ __forceinline__ void choose(const lists::Lists& list, const double* present, const Chosen& to,
                                       uint32_t* faults, int rows, int others, int same, Choose of) {
  long long row = static_cast<long long>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (row >= rows) return;
  auto self = static_cast<uint32_t>(row);
  Others from{list, present, faults, list.start(row), list.counts[row], 0, self, static_cast<uint32_t>(others), same != 0};
  from.check(self);
  Sum sum{to, static_cast<unsigned long long>(row * to.width), 0, 1.0};
  of(from, sum);
  to.counts[row] = sum.count;
  to.totals[row] = sum.total;
}

}  // namespace

extern "C" __global__ void refine_choose_expand(const uint32_t* list_rows, const double* list_scores,
                                                const unsigned long long* list_starts, const uint32_t* list_counts,
                                                long long list_width, const double* present, uint32_t* chosen,
                                                double* weights, uint32_t* counts, double* totals, long long width,
                                                uint32_t* faults, int rows, int others, int same, int most,
                                                double alpha) {
  lists::Lists list{list_rows, list_scores, list_starts, list_counts, list_width};
  choose(list, present, {chosen, weights, counts, totals, width}, faults, rows, others, same,
         [=](Others& from, Sum& sum) {
           uint32_t row = 0;
           double score = 0.0;
           for (int i = 0; i < most && from.next(row, score); i++) sum.add(row, power(held(score), alpha));
         });
}

extern "C" __global__ void refine_choose_blend(const uint32_t* list_rows, const double* list_scores,
                                               const unsigned long long* list_starts, const uint32_t* list_counts,
                                               long long list_width, const double* present, uint32_t* chosen,
                                               double* weights, uint32_t* counts, double* totals, long long width,
                                               uint32_t* faults, int rows, int others, int same, double near,
                                               double min2) {
  lists::Lists list{list_rows, list_scores, list_starts, list_counts, list_width};
  choose(list, present, {chosen, weights, counts, totals, width}, faults, rows, others, same,
         [=](Others& from, Sum& sum) {
           uint32_t row = 0;
           double score = 0.0;
           if (!from.next(row, score)) return;
           // Without a looser threshold `min2` is a distance that nothing is below.
           if (!(lists::distance(score) < near) && !(lists::distance(score) < min2)) return;
           sum.add(row, held(score));
           if (!(lists::distance(score) < near)) return;
           while (from.next(row, score) && lists::distance(score) < near) sum.add(row, held(score));
         });
}
