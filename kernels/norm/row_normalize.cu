// row_normalize: each row of a matrix divided by its Euclidean norm.
//
//   unit[r][c]  = x[r][c] / |x[r]|   for c < dims, rounded to the output's type
//   unit[r][c]  = 0                  for dims <= c < unit_stride, so that a GEMM may read whole vectors
//   inverse[r]  = 1 / |x[r]|         if `inverse` is not null
//
// A row of zeros gives zeros and an inverse of 0. A row with a NaN or an infinity gives NaN throughout
// its first `dims` columns and in its inverse. Norms are taken in f32 of the row times a power of two
// that brings its largest element near 1: so no row overflows or vanishes, and f32's own range is the
// only bound. An inverse over f32's largest number (norms below 2.9e-39) is given as that number.
//
// Entries   row_normalize_<in>_<out> for in, out of {f32, f16}, and row_normalize_bf16_bf16
// x         rows x dims, row r at x + r * x_stride
// unit      rows x unit_stride, row r at unit + r * unit_stride; unit_stride >= dims; not overlapping x
// inverse   rows, or null
// Alignment that of the element; strides are in elements and may be odd.
// Launch    blocks of any multiple of 32 threads, one warp a row; grid ceil(rows / warps of a block);
//           no shared memory. `rows` may be 0 only if nothing is launched.

#include "common/number.h"
#include "common/reduce.h"

namespace {

constexpr float LARGEST = 3.402823466e+38f;
constexpr unsigned NOT_A_NUMBER = 0x7fffffffu;

// The power of two that brings a number in the binade of `largest` to [1, 2); for subnormals, as near
// as a normal power of two comes.
__device__ __forceinline__ float scale_for(float largest) {
  int exponent = static_cast<int>(__float_as_uint(largest) >> 23 & 255u) - 127;
  exponent = max(-126, min(126, exponent));
  return __uint_as_float(static_cast<unsigned>(127 - exponent) << 23);
}

template <class In, class Out>
__device__ __forceinline__ void normalize(const In* x, Out* unit, float* inverse, int rows, int dims, int x_stride,
                                          int unit_stride) {
  int lane = static_cast<int>(threadIdx.x) % 32;
  int warp = static_cast<int>(threadIdx.x) / 32, warps = static_cast<int>(blockDim.x) / 32;
  long long row = static_cast<long long>(blockIdx.x) * warps + warp;
  if (row >= rows) return;  // whole warps leave, and none meets another
  const In* from = x + row * x_stride;
  Out* to = unit + row * unit_stride;

  float largest = 0.0f;
  for (int c = lane; c < dims; c += 32) largest = fmaxf(largest, fabsf(to_float(from[c])));
  float scale = scale_for(warp_max(largest));

  float sum = 0.0f;
  for (int c = lane; c < dims; c += 32) {
    float v = to_float(from[c]) * scale;
    sum = fmaf(v, v, sum);
  }
  sum = warp_sum(sum);
  // An infinite element makes the sum infinite, as no finite row can.
  float reciprocal = sum == 0.0f ? 0.0f : sum <= LARGEST ? 1.0f / sqrtf(sum) : __uint_as_float(NOT_A_NUMBER);

  for (int c = lane; c < unit_stride; c += 32) {
    put_float(to + c, c < dims ? to_float(from[c]) * scale * reciprocal : 0.0f);
  }
  if (inverse != nullptr && lane == 0) {
    float whole = scale * reciprocal;
    inverse[row] = whole > LARGEST ? LARGEST : whole;
  }
}

}  // namespace

extern "C" __global__ void row_normalize_f32_f32(const float* x, float* unit, float* inverse, int rows, int dims,
                                                 int x_stride, int unit_stride) {
  normalize(x, unit, inverse, rows, dims, x_stride, unit_stride);
}

extern "C" __global__ void row_normalize_f32_f16(const float* x, __half* unit, float* inverse, int rows, int dims,
                                                 int x_stride, int unit_stride) {
  normalize(x, unit, inverse, rows, dims, x_stride, unit_stride);
}

extern "C" __global__ void row_normalize_f16_f32(const __half* x, float* unit, float* inverse, int rows, int dims,
                                                 int x_stride, int unit_stride) {
  normalize(x, unit, inverse, rows, dims, x_stride, unit_stride);
}

extern "C" __global__ void row_normalize_f16_f16(const __half* x, __half* unit, float* inverse, int rows, int dims,
                                                 int x_stride, int unit_stride) {
  normalize(x, unit, inverse, rows, dims, x_stride, unit_stride);
}

extern "C" __global__ void row_normalize_bf16_bf16(const __nv_bfloat16* x, __nv_bfloat16* unit, float* inverse,
                                                   int rows, int dims, int x_stride, int unit_stride) {
  normalize(x, unit, inverse, rows, dims, x_stride, unit_stride);
}
