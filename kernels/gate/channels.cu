// channels: small operations along channels and filters.
//
//   channel_conv  out[n][c] = sum over j of x[n][c + j - k / 2] taps[j], zeros beyond the channels
//   standardize   out[f][i] = (w[f][i] - mean of w[f]) / sqrt(variance of w[f] + eps) * gain[f] * scale, the
//                 variance being the biased one
//
// Entries    <operation>_<type>; in f32, rounded once
// x, out     channel_conv: images x c; taps: k values, k odd. standardize: o x depth; gain: o values
// Alignment  that of the element
// Launch     channel_conv: any grid and blocks in x; standardize: o blocks of 256 threads in x, 32 bytes of
//            dynamic shared memory

#include "common/number.h"
#include "common/reduce.h"

namespace {

constexpr int WARPS = 8;

template <class T>
__device__ __forceinline__ void convolve(const T* x, const T* taps, T* out, long long count, int c, int k) {
  long long step = static_cast<long long>(gridDim.x) * blockDim.x;
  for (long long i = static_cast<long long>(blockIdx.x) * blockDim.x + threadIdx.x; i < count; i += step) {
    int channel = static_cast<int>(i % c);
    float total = 0.0f;
    for (int j = 0; j < k; j++) {
      int at = channel + j - k / 2;
      if (at >= 0 && at < c) total += to_float(x[i - channel + at]) * to_float(taps[j]);
    }
    put_float(out + i, total);
  }
}

// The sum over the block, for all threads; `sums` holds one f32 a warp.
__device__ __forceinline__ float block_sum(float v, float* sums) {
  int thread = static_cast<int>(threadIdx.x);
  v = warp_sum(v);
  __syncthreads();
  if (thread % 32 == 0) sums[thread / 32] = v;
  __syncthreads();
  float total = 0.0f;
  for (int i = 0; i < WARPS; i++) total += sums[i];
  return total;
}

template <class T>
__device__ __forceinline__ void standardize(const T* w, const T* gain, T* out, int depth, float eps, float scale) {
  DYNAMIC_SHARED(shared);
  auto* sums = reinterpret_cast<float*>(shared);
  long long first = static_cast<long long>(blockIdx.x) * depth;
  int thread = static_cast<int>(threadIdx.x);
  float sum = 0.0f, squares = 0.0f;
  for (int i = thread; i < depth; i += WARPS * 32) sum += to_float(w[first + i]);
  float mean = block_sum(sum, sums) / static_cast<float>(depth);
  for (int i = thread; i < depth; i += WARPS * 32) {
    float off = to_float(w[first + i]) - mean;
    squares += off * off;
  }
  float variance = block_sum(squares, sums) / static_cast<float>(depth);
  float by = to_float(gain[blockIdx.x]) * scale / sqrtf(variance + eps);
  for (int i = thread; i < depth; i += WARPS * 32) put_float(out + first + i, (to_float(w[first + i]) - mean) * by);
}

}  // namespace

extern "C" __global__ void channel_conv_f16(const __half* x, const __half* taps, __half* out, long long count, int c,
                                            int k) {
  convolve(x, taps, out, count, c, k);
}
extern "C" __global__ void channel_conv_bf16(const __nv_bfloat16* x, const __nv_bfloat16* taps, __nv_bfloat16* out,
                                             long long count, int c, int k) {
  convolve(x, taps, out, count, c, k);
}
extern "C" __global__ void channel_conv_f32(const float* x, const float* taps, float* out, long long count, int c,
                                            int k) {
  convolve(x, taps, out, count, c, k);
}
extern "C" __global__ void __launch_bounds__(256)
standardize_f16(const __half* w, const __half* gain, __half* out, int depth, float eps, float scale) {
  standardize(w, gain, out, depth, eps, scale);
}
extern "C" __global__ void __launch_bounds__(256)
standardize_bf16(const __nv_bfloat16* w, const __nv_bfloat16* gain, __nv_bfloat16* out, int depth, float eps,
                 float scale) {
  standardize(w, gain, out, depth, eps, scale);
}
extern "C" __global__ void __launch_bounds__(256)
standardize_f32(const float* w, const float* gain, float* out, int depth, float eps, float scale) {
  standardize(w, gain, out, depth, eps, scale);
}
