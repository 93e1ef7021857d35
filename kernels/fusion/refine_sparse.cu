// refine_sparse: expansion, blending and concatenation of sparse rows, in f64 and in the host's order, so that
// the results are the host's to the bit. `refine_dense.cu` says what each makes; values that add up to 0, and
// stored zeros, are left out.
//
//   refine_lengths        for each row its largest absolute value and its length divided by that; zeros for a
//                         row of zeros. A row's unit values are v / most / length
//   refine_terms          how many values the rows that are summed have: in all, and for the row with the most
//   refine_mix_sparse     the sums, of unit length
//   refine_concat_sparse  parts side by side
//
// Row i of a matrix is the `counts[i]` values, columns ascending, from starts[i] on. Results stand in no
// order of their own: `cursor`, 0 at first, hands out their places, and ends as their number.
//
// chosen       what refine_choose.cu left: from i * width on
// bad          the first row with a NaN or an infinity; all ones at first
// totals       two numbers, 0 at first
// scratch      for each warp of the grid `room` columns and values; no row has more terms
// Alignment    that of the element
// Launch       refine_lengths, refine_terms: one thread a row. The others: blocks of 128 threads, any number
//              of them, one warp a row at a time. No shared memory. rows from 1.

#include "common/device.h"
#include "common/reduce.h"
#include "fusion/lanes.h"

namespace {

constexpr double CANCELLED = 1e-12;
constexpr int WARPS = 4;

// Sparse rows, and what makes unit rows of them.
struct Sparse {
  const unsigned long long* starts;
  const uint32_t* counts;
  const uint32_t* columns;
  const double* values;
  const double* most;
  const double* lengths;

  __device__ __forceinline__ bool has(long long row) const { return most[row] > 0.0; }
};

// Part of a concatenation: its columns come behind `before` others.
struct Part {
  Sparse x;
  double weight;
  long long before;
};

// One unit row.
struct Line {
  const uint32_t* columns;
  const double* values;
  uint32_t count;
  double most, length;

  __device__ __forceinline__ Line(const Sparse& x, long long row)
      : columns(x.columns + x.starts[row]),
        values(x.values + x.starts[row]),
        count(x.has(row) ? x.counts[row] : 0u),
        most(x.most[row]),
        length(x.lengths[row]) {}

  __device__ __forceinline__ double value(uint32_t i) const { return values[i] / most / length; }

  // How many columns are below `column`, or with `and_it` not above it.
  __device__ __forceinline__ uint32_t before(uint32_t column, bool and_it) const {
    uint32_t low = 0, high = count;
    while (low < high) {
      uint32_t middle = (low + high) / 2;
      if (columns[middle] < column || (and_it && columns[middle] == column)) {
        low = middle + 1;
      } else {
        high = middle;
      }
    }
    return low;
  }
};

struct Out {
  unsigned long long* starts;
  uint32_t* counts;
  uint32_t* columns;
  double* values;
  unsigned long long* cursor;

  // Room for `count` values of `row`. By a whole warp.
  __device__ __forceinline__ unsigned long long take(long long row, uint32_t count, int lane) const {
    unsigned long long start = 0;
    if (lane == 0) {
      start = atomicAdd(cursor, static_cast<unsigned long long>(count));
      starts[row] = start;
      counts[row] = count;
    }
    return __shfl_sync(FULL_WARP, start, 0);
  }
};

// The rows that are summed for one row: itself, and those that were chosen.
struct Summed {
  const Sparse& own;
  const Sparse& others;
  const uint32_t* rows;
  const double* weights;
  long long self;
  int count;

  __device__ __forceinline__ Line line(int part) const {
    return part == 0 ? Line(own, self) : Line(others, rows[part - 1]);
  }
};

// One warp's room.
struct Terms {
  uint32_t* columns;
  double* values;
  int lane;

  // All terms by column, each column's in the order of the rows; gives how many there are.
  __device__ __forceinline__ uint32_t merge(const Summed& rows) const {
    uint32_t total = 0;
    for (int p = 0; p <= rows.count; p++) {
      Line line = rows.line(p);
      for (uint32_t i = lane; i < line.count; i += 32) {
        uint32_t column = line.columns[i], at = i;
        for (int q = 0; q <= rows.count; q++) {
          if (q != p) at += rows.line(q).before(column, q < p);
        }
        columns[at] = column;
        values[at] = p == 0 ? line.value(i) : __dmul_rn(rows.weights[p - 1], line.value(i));
      }
      total += line.count;
    }
    __syncwarp();
    return total;
  }

  // Keeps `value` of `column` where the lane has one, behind the `kept` before it.
  __device__ __forceinline__ uint32_t keep(uint32_t kept, bool has, uint32_t column, double value) const {
    unsigned keeping = __ballot_sync(FULL_WARP, has);
    if (has) {
      uint32_t at = kept + __popc(keeping & ((1u << lane) - 1u));
      columns[at] = column;
      values[at] = value;
    }
    __syncwarp();
    return kept + __popc(keeping);
  }

  // Adds up each column's terms; gives how many sums are not 0. Sums move towards the start, never beyond
  // the terms that were read.
  __device__ __forceinline__ uint32_t add(uint32_t total) const {
    uint32_t kept = 0, last = 0;
    for (uint32_t base = 0; base < total; base += 32) {
      uint32_t i = base + lane;
      uint32_t column = i < total ? columns[i] : 0;
      uint32_t left = __shfl_up_sync(FULL_WARP, column, 1);
      if (lane == 0) left = last;
      last = __shfl_sync(FULL_WARP, column, 31);
      double sum = 0.0;
      if (i < total && (i == 0 || left != column)) {
        for (uint32_t n = i; n < total && columns[n] == column; n++) sum = __dadd_rn(sum, values[n]);
      }
      __syncwarp();
      kept = keep(kept, sum != 0.0, column, sum);
    }
    return kept;
  }

  // The row as it is, without stored zeros.
  __device__ __forceinline__ uint32_t itself(const Line& line) const {
    uint32_t kept = 0;
    for (uint32_t base = 0; base < line.count; base += 32) {
      uint32_t i = base + lane;
      double value = i < line.count ? line.value(i) : 0.0;
      kept = keep(kept, value != 0.0, i < line.count ? line.columns[i] : 0, value);
    }
    return kept;
  }
};

__device__ __forceinline__ void mix(const Summed& rows, double weights, const Terms& terms, const Out& out) {
  uint32_t kept = 0;
  double shrink = 1.0;
  if (rows.own.has(rows.self)) {
    kept = terms.add(terms.merge(rows));
    double length = sqrt(lanes::fold(lanes::squares(0.0, terms.values, kept, terms.lane % lanes::LANES)));
    __syncwarp();
    if (length > __dmul_rn(CANCELLED, weights)) {
      shrink = 1.0 / length;
    } else {
      kept = terms.itself(rows.line(0));
    }
  }
  unsigned long long start = out.take(rows.self, kept, terms.lane);
  for (uint32_t i = terms.lane; i < kept; i += 32) {
    out.columns[start + i] = terms.columns[i];
    out.values[start + i] = __dmul_rn(terms.values[i], shrink);
  }
  __syncwarp();
}

__device__ __forceinline__ void concat(const Part* parts, int count, long long row, const Out& out, int lane) {
  double most = 0.0, square = 0.0;
  uint32_t kept = 0;
  for (int p = 0; p < count; p++) {
    Line line(parts[p].x, row);
    if (line.most > 0.0 && parts[p].weight > most) most = parts[p].weight;
    for (uint32_t base = 0; base < line.count; base += 32) {
      uint32_t i = base + lane;
      kept += __popc(__ballot_sync(FULL_WARP, i < line.count && line.value(i) != 0.0));
    }
  }
  unsigned long long at = out.take(row, kept, lane);
  for (int p = 0; p < count; p++) {
    if (!parts[p].x.has(row)) continue;
    double share = parts[p].weight / most;
    square = lanes::add_product(square, share, share);
  }
  for (int p = 0; p < count; p++) {
    Line line(parts[p].x, row);
    for (uint32_t base = 0; base < line.count; base += 32) {
      uint32_t i = base + lane;
      double value = i < line.count ? line.value(i) : 0.0;
      unsigned keeping = __ballot_sync(FULL_WARP, value != 0.0);
      if (value != 0.0) {
        unsigned long long to = at + __popc(keeping & ((1u << lane) - 1u));
        out.columns[to] = static_cast<uint32_t>(parts[p].before) + line.columns[i];
        out.values[to] = __dmul_rn(parts[p].weight / most / sqrt(square), value);
      }
      at += __popc(keeping);
    }
  }
}

}  // namespace

extern "C" __global__ void refine_lengths(const unsigned long long* starts, const uint32_t* counts,
                                          const double* values, double* most, double* lengths, uint32_t* bad,
                                          int rows) {
  long long row = static_cast<long long>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (row >= rows) return;
  const double* from = values + starts[row];
  uint32_t count = counts[row];
  double largest = 0.0, sum = 0.0;
  bool finite = true;
  for (uint32_t i = 0; i < count; i++) {
    finite = finite && from[i] - from[i] == 0.0;
    largest = fabs(from[i]) > largest ? fabs(from[i]) : largest;
  }
  for (uint32_t i = 0; i < count && largest > 0.0; i++) {
    double v = from[i] / largest;
    sum = lanes::add_product(sum, v, v);
  }
  if (!finite) atomicMin(bad, static_cast<uint32_t>(row));
  most[row] = finite ? largest : 0.0;
  lengths[row] = sqrt(sum);
}

extern "C" __global__ void refine_terms(const uint32_t* own_counts, const double* own_most,
                                        const uint32_t* other_counts, const uint32_t* chosen,
                                        const uint32_t* counts, long long width, unsigned long long* totals,
                                        int rows) {
  long long row = static_cast<long long>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (row >= rows || !(own_most[row] > 0.0)) return;
  unsigned long long terms = own_counts[row];
  for (uint32_t i = 0; i < counts[row]; i++) terms += other_counts[chosen[row * width + i]];
  atomicAdd(&totals[0], terms);
  atomicMax(&totals[1], terms);
}

extern "C" __global__ void __launch_bounds__(WARPS * 32, 4)
refine_mix_sparse(const Sparse* sides, const uint32_t* chosen, const double* weights, const uint32_t* counts,
                  const double* totals, long long width, uint32_t* scratch_columns, double* scratch_values,
                  long long room, unsigned long long* out_starts, uint32_t* out_counts, uint32_t* out_columns,
                  double* out_values, unsigned long long* cursor, int rows) {
  long long worker = static_cast<long long>(blockIdx.x) * WARPS + threadIdx.x / 32;
  Terms terms{scratch_columns + worker * room, scratch_values + worker * room, static_cast<int>(threadIdx.x) % 32};
  Out out{out_starts, out_counts, out_columns, out_values, cursor};
  for (long long row = worker; row < rows; row += static_cast<long long>(gridDim.x) * WARPS) {
    Summed summed{sides[0], sides[1], chosen + row * width, weights + row * width, row,
                  static_cast<int>(counts[row])};
    mix(summed, totals[row], terms, out);
  }
}

extern "C" __global__ void __launch_bounds__(WARPS * 32, 4)
refine_concat_sparse(const Part* parts, int count, unsigned long long* out_starts, uint32_t* out_counts,
                     uint32_t* out_columns, double* out_values, unsigned long long* cursor, int rows) {
  long long worker = static_cast<long long>(blockIdx.x) * WARPS + threadIdx.x / 32;
  Out out{out_starts, out_counts, out_columns, out_values, cursor};
  for (long long row = worker; row < rows; row += static_cast<long long>(gridDim.x) * WARPS) {
    concat(parts, count, row, out, static_cast<int>(threadIdx.x) % 32);
  }
}
