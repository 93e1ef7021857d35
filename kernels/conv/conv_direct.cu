// conv_direct: a convolution of any shape, one thread a result: for what no other kernel of the family
// takes (single precision, odd groups). Filters are read as they are published.
//
//   out[n][y][x][f] = act( (sum over i, j, k of x[n][y sy - py + i][x sx - px + j][g ci + k] gate[n][g ci + k]
//                     filters[f][k][i][j]) * scale[f] + bias[f] + residual[n][y][x][f] )
//
// Entries      conv_direct_<type>
// x            images x h x w x c;  out, residual: images x oh x ow x o, overlapping nothing else
// filters      o x (c / groups) x kh x kw
// gate         images x c, or null;  scale, bias: o values each, or null;  residual: or null
// activation   a number of pointwise/activation.h
// Alignment    that of the element
// Launch       any grid and blocks in x; no shared memory.

#include "conv/shape.h"

namespace {

template <class T>
__device__ __forceinline__ float sum(const T* x, const T* filters, const T* gate, const conv::Shape& s, int image,
                                     int y, int column, int filter) {
  int inner = s.c / s.groups, from = filter / (s.o / s.groups) * inner;
  const T* own = filters + static_cast<long long>(filter) * inner * s.kh * s.kw;
  float total = 0.0f;
  for (int i = 0; i < s.kh; i++) {
    int row = y * s.stride_y - s.pad_y + i;
    if (row < 0 || row >= s.h) continue;
    for (int j = 0; j < s.kw; j++) {
      int place = column * s.stride_x - s.pad_x + j;
      if (place < 0 || place >= s.w) continue;
      const T* pixel = x + ((static_cast<long long>(image) * s.h + row) * s.w + place) * s.c + from;
      for (int k = 0; k < inner; k++) {
        float value = to_float(pixel[k]);
        if (gate != nullptr) value *= to_float(gate[static_cast<long long>(image) * s.c + from + k]);
        total += value * to_float(own[(k * s.kh + i) * s.kw + j]);
      }
    }
  }
  return total;
}

template <class T>
__device__ __forceinline__ void convolve(const T* x, const T* filters, T* out, const T* gate, const T* scale,
                                         const T* bias, const T* residual, const conv::Shape& s, int activation) {
  long long count = static_cast<long long>(s.images) * s.oh * s.ow * s.o;
  long long step = static_cast<long long>(gridDim.x) * blockDim.x;
  for (long long at = static_cast<long long>(blockIdx.x) * blockDim.x + threadIdx.x; at < count; at += step) {
    int filter = static_cast<int>(at % s.o);
    long long pixel = at / s.o;
    int column = static_cast<int>(pixel % s.ow), y = static_cast<int>(pixel / s.ow % s.oh);
    int image = static_cast<int>(pixel / s.ow / s.oh);
    float v = sum(x, filters, gate, s, image, y, column, filter);
    if (scale != nullptr) v *= to_float(scale[filter]);
    if (bias != nullptr) v += to_float(bias[filter]);
    if (residual != nullptr) v += to_float(residual[at]);
    put_float(out + at, activation::apply(activation, v));
  }
}

}  // namespace

extern "C" __global__ void __launch_bounds__(256)
conv_direct_f16(const __half* x, const __half* filters, __half* out, const __half* gate, const __half* scale,
                const __half* bias, const __half* residual, conv::Shape shape, int activation) {
  convolve(x, filters, out, gate, scale, bias, residual, shape, activation);
}
extern "C" __global__ void __launch_bounds__(256)
conv_direct_bf16(const __nv_bfloat16* x, const __nv_bfloat16* filters, __nv_bfloat16* out, const __nv_bfloat16* gate,
                 const __nv_bfloat16* scale, const __nv_bfloat16* bias, const __nv_bfloat16* residual,
                 conv::Shape shape, int activation) {
  convolve(x, filters, out, gate, scale, bias, residual, shape, activation);
}
extern "C" __global__ void __launch_bounds__(256)
conv_direct_f32(const float* x, const float* filters, float* out, const float* gate, const float* scale,
                const float* bias, const float* residual, conv::Shape shape, int activation) {
  convolve(x, filters, out, gate, scale, bias, residual, shape, activation);
}
