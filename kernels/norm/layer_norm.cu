// layer_norm: each row less its mean, divided by its deviation, times gamma plus beta.
//
//   out[r][c] = (x[r][c] - mean[r]) / sqrt(variance[r] + eps) * gamma[c] + beta[c]
//
// the variance being the biased one, everything in f32 and rounded once. A row with a NaN or an infinity
// gives NaN throughout.
//
// Entries      layer_norm_f16, layer_norm_bf16, layer_norm_f32
// x, out       rows x n; out does not overlap x
// gamma, beta  n values each
// whole        1 where all four are aligned to 16 bytes, n is a multiple of 16 bytes and at most 1,024, else 0
// Alignment    that of the element, but for what `whole` promises
// Launch       blocks of any multiple of 32 threads, one warp a row; grid ceil(rows / warps of a block); no
//              shared memory. rows, n from 1.
//
// A row is read once, 16 bytes at a time, and stays in registers (row.h); without `whole`, element by
// element and once a pass.

#include "norm/row.h"

namespace {

template <class T>
__device__ __forceinline__ void layer_norm(const T* x, const T* gamma, const T* beta, T* out, int rows, int n,
                                           float eps, int whole) {
  int lane = static_cast<int>(threadIdx.x) % 32, warp = static_cast<int>(threadIdx.x) / 32;
  long long r = static_cast<long long>(blockIdx.x) * (blockDim.x / 32) + warp;
  if (r >= rows) return;  // whole warps leave, and none meets another
  const T* from = x + r * n;
  T* to = out + r * n;
  if (whole != 0) {
    row::Held<T> held(lane, n);
    held.add(from);
    held.normalize(to, gamma, beta, eps);
  } else {
    row::normalize([=](int c) { return to_float(from[c]); }, to, gamma, beta, eps, lane, n);
  }
}

}  // namespace

extern "C" __global__ void layer_norm_f16(const __half* x, const __half* gamma, const __half* beta, __half* out,
                                          int rows, int n, float eps, int whole) {
  layer_norm(x, gamma, beta, out, rows, n, eps, whole);
}
extern "C" __global__ void layer_norm_bf16(const __nv_bfloat16* x, const __nv_bfloat16* gamma,
                                           const __nv_bfloat16* beta, __nv_bfloat16* out, int rows, int n, float eps,
                                           int whole) {
  layer_norm(x, gamma, beta, out, rows, n, eps, whole);
}
extern "C" __global__ void layer_norm_f32(const float* x, const float* gamma, const float* beta, float* out, int rows,
                                          int n, float eps, int whole) {
  layer_norm(x, gamma, beta, out, rows, n, eps, whole);
}
