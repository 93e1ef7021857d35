// refine_dense: expansion, blending and concatenation of dense rows, in f64 and in the host's order, so that
// the results are the host's to the bit.
//
//   refine_scale    scales[i] = 1 / |x[i]|, or 0 for a row of zeros
//   refine_mix      out[i] = normalise(own[i] scale_i + sum over chosen j of weight_j scale_j others[j])
//   refine_concat   out[i] = normalise(parts side by side, each of unit length times its weight)
//
// A row of zeros stays one. A sum that is shorter than CANCELLED of its weights has no direction but
// rounding's, and the row stays itself. In refine_concat a part that has zeros for a row weighs nothing
// there; a row that every part has zeros for is one of zeros.
//
// x, own, others   rows x dims of f32, row-major; `others` may be `own`; out is neither
// chosen           what refine_choose.cu left: from i * width on
// bad              the first row with a NaN or an infinity; all ones at first
// parts            one struct Part a part; columns are all parts' together, at least 1
// Alignment        that of the element
// Launch           refine_scale: blocks of a multiple of 32 threads, half a warp a row. refine_mix: a block
//                  of 128 threads a row, 8 (min(dims, CHUNK) + 1) bytes of shared memory. refine_concat:
//                  blocks of a multiple of 32 threads, one warp a row. rows and dims from 1.

#include "common/device.h"
#include "common/reduce.h"
#include "fusion/lanes.h"

namespace {

constexpr double CANCELLED = 1e-12;
constexpr int THREADS = 128;
// Columns that a thread sums at a time, side by side in registers.
constexpr int COLUMNS = 4;
// Sums that shared memory holds; wider rows are summed twice, once for their length.
constexpr int CHUNK = 4096;
static_assert(CHUNK % lanes::LANES == 0, "a chunk must not change which lane a column's square is added in");

struct Part {
  const float* x;
  const double* scales;
  double weight;
  int dims;
  int unused;
};

__device__ __forceinline__ void scale(const float* x, double* scales, uint32_t* bad, int rows, int dims) {
  int lane = static_cast<int>(threadIdx.x) % lanes::LANES;
  long long row = (static_cast<long long>(blockIdx.x) * blockDim.x + threadIdx.x) / lanes::LANES;
  double sum = row < rows ? lanes::squares(0.0, x + row * dims, dims, lane) : 0.0;
  sum = lanes::fold(sum);
  if (lane != 0 || row >= rows) return;
  // A sum of squares of finite f32 is far below this; a NaN is not.
  if (!(sum < 1e200)) atomicMin(bad, static_cast<uint32_t>(row));
  scales[row] = sum > 0.0 ? 1.0 / sqrt(sum) : 0.0;
}

// The rows that are added to one row.
struct Added {
  const uint32_t* rows;
  const double* weights;
  int count;
};

// The sums of the columns `first .. first + count`, which lie in `sums`.
__device__ __forceinline__ void sum_columns(double* sums, const float* own, double own_scale, const float* others,
                                            const double* other_scales, const Added& added, int dims, int first,
                                            int count) {
  auto thread = static_cast<int>(threadIdx.x);
  for (int base = thread; base < count; base += COLUMNS * THREADS) {
    double sum[COLUMNS];
#pragma unroll
    for (int i = 0; i < COLUMNS; i++) {
      int c = base + i * THREADS;
      sum[i] = c < count ? __dmul_rn(own_scale, static_cast<double>(own[first + c])) : 0.0;
    }
    for (int n = 0; n < added.count; n++) {
      long long other = added.rows[n];
      double weight = __dmul_rn(added.weights[n], other_scales[other]);
      const float* from = others + other * dims + first;
#pragma unroll
      for (int i = 0; i < COLUMNS; i++) {
        int c = base + i * THREADS;
        if (c < count) sum[i] = lanes::add_product(sum[i], weight, static_cast<double>(from[c]));
      }
    }
#pragma unroll
    for (int i = 0; i < COLUMNS; i++) {
      int c = base + i * THREADS;
      if (c < count) sums[c] = sum[i];
    }
  }
}

__device__ __forceinline__ void mix(const float* own, const double* own_scales, const float* others,
                                    const double* other_scales, const uint32_t* chosen, const double* weights,
                                    const uint32_t* counts, const double* totals, long long width, float* out,
                                    int dims) {
  DYNAMIC_SHARED(memory);
  auto* factor = reinterpret_cast<double*>(memory);
  double* sums = factor + 1;
  auto thread = static_cast<int>(threadIdx.x);
  long long row = blockIdx.x;
  double own_scale = own_scales[row];
  own += row * dims;
  out += row * dims;
  if (own_scale == 0.0) {
    for (int c = thread; c < dims; c += THREADS) out[c] = 0.0f;
    return;
  }
  Added added{chosen + row * width, weights + row * width, static_cast<int>(counts[row])};

  double square = 0.0;
  for (int first = 0; first < dims; first += CHUNK) {
    int count = min(CHUNK, dims - first);
    sum_columns(sums, own, own_scale, others, other_scales, added, dims, first, count);
    __syncthreads();
    if (thread < lanes::LANES) square = lanes::squares(square, sums, count, thread);
    if (first + CHUNK < dims) __syncthreads();
  }
  if (thread < 32) {
    double length = sqrt(lanes::fold(square));
    if (thread == 0) *factor = length > __dmul_rn(CANCELLED, totals[row]) ? 1.0 / length : 0.0;
  }
  __syncthreads();

  double shrink = *factor;
  for (int first = 0; first < dims; first += CHUNK) {
    int count = min(CHUNK, dims - first);
    if (dims > CHUNK) {
      __syncthreads();
      sum_columns(sums, own, own_scale, others, other_scales, added, dims, first, count);
      __syncthreads();
    }
    for (int c = thread; c < count; c += THREADS) {
      double value = shrink > 0.0 ? __dmul_rn(shrink, sums[c])
                                  : __dmul_rn(own_scale, static_cast<double>(own[first + c]));
      out[first + c] = static_cast<float>(value);
    }
  }
}

__device__ __forceinline__ void concat(const Part* parts, float* out, int rows, int count, int columns) {
  int lane = static_cast<int>(threadIdx.x) % 32, warps = static_cast<int>(blockDim.x) / 32;
  long long row = static_cast<long long>(blockIdx.x) * warps + threadIdx.x / 32;
  if (row >= rows) return;  // whole warps leave, and none meets another
  double most = 0.0;
  for (int p = 0; p < count; p++) {
    if (parts[p].scales[row] > 0.0 && parts[p].weight > most) most = parts[p].weight;
  }
  double square = 0.0;
  for (int p = 0; p < count; p++) {
    if (!(parts[p].scales[row] > 0.0)) continue;
    double share = parts[p].weight / most;
    square = lanes::add_product(square, share, share);
  }
  out += row * columns;
  for (int p = 0; p < count; p++) {
    const Part& part = parts[p];
    const float* x = part.x + row * part.dims;
    double factor = most > 0.0 ? __dmul_rn(part.scales[row], part.weight / most / sqrt(square)) : 0.0;
    for (int c = lane; c < part.dims; c += 32) {
      out[c] = most > 0.0 ? static_cast<float>(__dmul_rn(factor, static_cast<double>(x[c]))) : 0.0f;
    }
    out += part.dims;
  }
}

}  // namespace

extern "C" __global__ void refine_scale(const float* x, double* scales, uint32_t* bad, int rows, int dims) {
  scale(x, scales, bad, rows, dims);
}

extern "C" __global__ void __launch_bounds__(THREADS)
refine_mix(const float* own, const double* own_scales, const float* others, const double* other_scales,
           const uint32_t* chosen, const double* weights, const uint32_t* counts, const double* totals,
           long long width, float* out, int dims) {
  mix(own, own_scales, others, other_scales, chosen, weights, counts, totals, width, out, dims);
}

extern "C" __global__ void refine_concat(const Part* parts, float* out, int rows, int count, int columns) {
  concat(parts, out, rows, count, columns);
}
