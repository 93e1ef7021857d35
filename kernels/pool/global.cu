// global: one value of all pixels of an image, channel by channel, in two launches, so that the order of
// additions does not depend on which block ends first.
//
//   average  out[n][c] = mean over the pixels of x
//   gem      out[n][c] = (mean over the pixels of max(x, eps)^p)^(1/p)
//
//   global_average_<type>, global_gem_<type>   block (i, j, n) sums part j of the pixels of image n, for 32
//                                              neighbouring channels, to partial[n][j][c], in f32
//   global_finish_<type>                       out[n][c] = the sum of partial[n][0 .. parts][c] divided by
//                                              `pixels`, to the power of 1 / p if `power` is not null
//
// x          images x pixels x c;  out: images x c;  partial: images x parts x c of f32
// power      p, one value
// Alignment  that of the element
// Launch     sums: grid (ceil(c / 32), parts, images), blocks of 32 x 8 threads, 1 KiB of dynamic shared
//            memory; finish: any grid and blocks in x

#include <math.h>

#include "common/number.h"

namespace {

constexpr int STRIP = 32, LINES = 8;

template <class T, class F>
__device__ __forceinline__ void sum(const T* x, float* partial, int pixels, int c, F value) {
  DYNAMIC_SHARED(shared);
  auto* sums = reinterpret_cast<float*>(shared);  // [LINES][STRIP]
  int lane = static_cast<int>(threadIdx.x), line = static_cast<int>(threadIdx.y);
  int channel = static_cast<int>(blockIdx.x) * STRIP + lane;
  const T* image = x + static_cast<long long>(blockIdx.z) * pixels * c + channel;
  float total = 0.0f;
  if (channel < c) {
    int step = static_cast<int>(gridDim.y) * LINES;
    for (int pixel = static_cast<int>(blockIdx.y) * LINES + line; pixel < pixels; pixel += step) {
      total += value(to_float(image[static_cast<long long>(pixel) * c]));
    }
  }
  sums[line * STRIP + lane] = total;
  __syncthreads();
  if (line != 0 || channel >= c) return;
  for (int i = 1; i < LINES; i++) total += sums[i * STRIP + lane];
  partial[(static_cast<long long>(blockIdx.z) * gridDim.y + blockIdx.y) * c + channel] = total;
}

template <class T>
__device__ __forceinline__ void finish(const float* partial, T* out, const T* power, int images, int c, int parts,
                                       int pixels) {
  long long step = static_cast<long long>(gridDim.x) * blockDim.x, count = static_cast<long long>(images) * c;
  for (long long i = static_cast<long long>(blockIdx.x) * blockDim.x + threadIdx.x; i < count; i += step) {
    const float* from = partial + i / c * parts * c + i % c;
    float total = 0.0f;
    for (int part = 0; part < parts; part++) total += from[static_cast<long long>(part) * c];
    float mean = total / static_cast<float>(pixels);
    put_float(out + i, power == nullptr ? mean : powf(mean, 1.0f / to_float(*power)));
  }
}

}  // namespace

extern "C" __global__ void global_average_f16(const __half* x, float* partial, int pixels, int c) {
  sum(x, partial, pixels, c, [](float v) { return v; });
}
extern "C" __global__ void global_average_bf16(const __nv_bfloat16* x, float* partial, int pixels, int c) {
  sum(x, partial, pixels, c, [](float v) { return v; });
}
extern "C" __global__ void global_average_f32(const float* x, float* partial, int pixels, int c) {
  sum(x, partial, pixels, c, [](float v) { return v; });
}
extern "C" __global__ void global_gem_f16(const __half* x, float* partial, int pixels, int c, const __half* power,
                                          float eps) {
  float p = to_float(*power);
  sum(x, partial, pixels, c, [=](float v) { return powf(fmaxf(v, eps), p); });
}
extern "C" __global__ void global_gem_bf16(const __nv_bfloat16* x, float* partial, int pixels, int c,
                                           const __nv_bfloat16* power, float eps) {
  float p = to_float(*power);
  sum(x, partial, pixels, c, [=](float v) { return powf(fmaxf(v, eps), p); });
}
extern "C" __global__ void global_gem_f32(const float* x, float* partial, int pixels, int c, const float* power,
                                          float eps) {
  float p = *power;
  sum(x, partial, pixels, c, [=](float v) { return powf(fmaxf(v, eps), p); });
}
extern "C" __global__ void global_finish_f16(const float* partial, __half* out, const __half* power, int images, int c,
                                             int parts, int pixels) {
  finish(partial, out, power, images, c, parts, pixels);
}
extern "C" __global__ void global_finish_bf16(const float* partial, __nv_bfloat16* out, const __nv_bfloat16* power,
                                              int images, int c, int parts, int pixels) {
  finish(partial, out, power, images, c, parts, pixels);
}
extern "C" __global__ void global_finish_f32(const float* partial, float* out, const float* power, int images, int c,
                                             int parts, int pixels) {
  finish(partial, out, power, images, c, parts, pixels);
}
