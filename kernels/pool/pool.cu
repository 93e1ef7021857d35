// pool: the largest value or the mean of each window of an image, channel by channel.
//
// Entries      max_pool_<type>      padding is never the largest
//              average_pool_<type>  padding does not count; summed in f32
// x            images x h x w x c;  out: images x oh x ow x c, overlapping nothing
// whole        not 0 only if both are aligned to 16 bytes and c is a multiple of the elements in 16 bytes
// Alignment    that of the element, but for what `whole` promises
// Launch       any grid and blocks in x; no shared memory. Every window holds at least one pixel.

#include <math.h>

#include "common/vector.h"

namespace {

// The window of one result: which of the image's rows and columns it covers.
struct Frame {
  int h, w, c, oh, ow, kh, kw, stride_y, stride_x, pad_y, pad_x;
};

template <bool MAX, class V, class T>
__device__ __forceinline__ void one(T* out, const T* x, const Frame& f, long long at) {
  int vectors = f.c / V::COUNT, channel = static_cast<int>(at % vectors) * V::COUNT;
  long long pixel = at / vectors;
  int column = static_cast<int>(pixel % f.ow) * f.stride_x - f.pad_x;
  int row = static_cast<int>(pixel / f.ow % f.oh) * f.stride_y - f.pad_y;
  const T* image = x + pixel / f.ow / f.oh * f.h * f.w * f.c + channel;
  int top = max(row, 0), bottom = min(row + f.kh, f.h), left = max(column, 0), right = min(column + f.kw, f.w);
  float kept[V::COUNT];
#pragma unroll
  for (int i = 0; i < V::COUNT; i++) kept[i] = MAX ? -INFINITY : 0.0f;
  for (int y = top; y < bottom; y++) {
    for (int j = left; j < right; j++) {
      V v = load_vector<V>(image + (static_cast<long long>(y) * f.w + j) * f.c);
#pragma unroll
      for (int i = 0; i < V::COUNT; i++) kept[i] = MAX ? fmaxf(kept[i], to_float(v.at[i])) : kept[i] + to_float(v.at[i]);
    }
  }
  float count = static_cast<float>(max((bottom - top) * (right - left), 1));
  V result;
#pragma unroll
  for (int i = 0; i < V::COUNT; i++) put_float(result.at + i, MAX ? kept[i] : kept[i] / count);
  store_vector(out + at * V::COUNT, result);
}

template <bool MAX, class T>
__device__ __forceinline__ void pool(const T* x, T* out, int images, const Frame& f, int whole) {
  long long thread = static_cast<long long>(blockIdx.x) * blockDim.x + threadIdx.x;
  long long threads = static_cast<long long>(gridDim.x) * blockDim.x;
  long long count = static_cast<long long>(images) * f.oh * f.ow * f.c;
  if (whole != 0) {
    for (long long at = thread; at < count / Pack<T>::COUNT; at += threads) one<MAX, Pack<T>>(out, x, f, at);
  } else {
    for (long long at = thread; at < count; at += threads) one<MAX, Pack<T, 1>>(out, x, f, at);
  }
}

}  // namespace

extern "C" __global__ void max_pool_f16(const __half* x, __half* out, int images, Frame frame, int whole) {
  pool<true>(x, out, images, frame, whole);
}
extern "C" __global__ void max_pool_bf16(const __nv_bfloat16* x, __nv_bfloat16* out, int images, Frame frame,
                                         int whole) {
  pool<true>(x, out, images, frame, whole);
}
extern "C" __global__ void max_pool_f32(const float* x, float* out, int images, Frame frame, int whole) {
  pool<true>(x, out, images, frame, whole);
}
extern "C" __global__ void average_pool_f16(const __half* x, __half* out, int images, Frame frame, int whole) {
  pool<false>(x, out, images, frame, whole);
}
extern "C" __global__ void average_pool_bf16(const __nv_bfloat16* x, __nv_bfloat16* out, int images, Frame frame,
                                             int whole) {
  pool<false>(x, out, images, frame, whole);
}
extern "C" __global__ void average_pool_f32(const float* x, float* out, int images, Frame frame, int whole) {
  pool<false>(x, out, images, frame, whole);
}
