// excite: squeeze and excite (Hu et al. 2018) behind the means of images: two layers, each a product with what
// follows it.
//
//   small[j]  = value( act1( (sum over i of x[n][i] first[j][i]) * scale1[j] + bias1[j] ) )
//   out[n][k] = act2( (sum over j of small[j] second[k][j]) * scale2[k] + bias2[k] )
//
// `value` rounds as storing does.
//
// Entries          excite_<type>; sums in f32
// x                images x c;  out: images x o
// first, second    s x c and o x s
// scales, biases   s values each, then o, or null
// widths           how many values one access takes of the lines of `first` and of `second`: the elements in 16
//                  bytes where all lines begin at multiples of 16 bytes, 2 where at multiples of the size of
//                  two values, else 1
// Alignment        that of the element, but for what the widths promise
// Launch           one block of 512 threads an image; c (rounded up to 4) and s f32 of dynamic shared memory
//
// A line of weights is read by as many lanes as it keeps busy, so that a warp reads lines that follow each
// other as one piece. Every block reads all weights, from the cache but for the first: for large layers two
// kernels whose blocks share them are better.

#include "common/reduce.h"
#include "common/vector.h"
#include "pointwise/activation.h"

namespace {

constexpr int THREADS = 512, LANES = 32;

template <int WIDTH>
__device__ __forceinline__ void load_floats(float (&v)[WIDTH], const float* from) {
  if constexpr (WIDTH % 4 == 0) {
#pragma unroll
    for (int i = 0; i < WIDTH; i += 4) {
      auto four = load_vector<float4>(from + i);
      v[i] = four.x, v[i + 1] = four.y, v[i + 2] = four.z, v[i + 3] = four.w;
    }
  } else {
#pragma unroll
    for (int i = 0; i < WIDTH; i++) v[i] = from[i];
  }
}

template <class T>
struct Layer {
  const T *weights, *scale, *bias;
  int lines, depth, activation;

  // The values of all lines, each from `lanes` lanes side by side, a power of two; `put(line, value)` by one
  // of them.
  template <int WIDTH, class F>
  __device__ __forceinline__ void apply(const float* x, F put) const {
    int vectors = (depth - 1) / WIDTH + 1, lanes = 1;
    while (lanes < vectors && lanes < LANES) lanes *= 2;
    int thread = static_cast<int>(threadIdx.x), lane = thread % lanes, each = THREADS / lanes;
    for (int begin = 0; begin < lines; begin += each) {
      int line = begin + thread / lanes;
      float total = 0.0f;
      if (line < lines) {
        const T* from = weights + static_cast<long long>(line) * depth;
#pragma unroll 4
        for (int at = lane * WIDTH; at < depth; at += lanes * WIDTH) {
          auto v = load_vector<Pack<T, WIDTH>>(from + at);
          float factor[WIDTH];
          load_floats(factor, x + at);
#pragma unroll
          for (int i = 0; i < WIDTH; i++) total += to_float(v.at[i]) * factor[i];
        }
      }
      for (int apart = lanes / 2; apart > 0; apart /= 2) total += __shfl_xor_sync(FULL_WARP, total, apart);
      if (line >= lines || lane != 0) continue;
      if (scale != nullptr) total *= to_float(scale[line]);
      if (bias != nullptr) total += to_float(bias[line]);
      put(line, activation::apply(activation, total));
    }
  }
  template <class F>
  __device__ __forceinline__ void apply(int width, const float* x, F put) const {
    switch (width) {
      case 1: return apply<1>(x, put);
      case 2: return apply<2>(x, put);
      default: return apply<Pack<T>::COUNT>(x, put);
    }
  }
};

template <class T>
__device__ __forceinline__ void excite(const T* x, T* out, const Layer<T>& first, const Layer<T>& second, int width1,
                                       int width2) {
  DYNAMIC_SHARED(shared);
  auto* wide = reinterpret_cast<float*>(shared);
  float* small = wide + (first.depth + 3) / 4 * 4;
  long long image = blockIdx.x;
  for (int i = static_cast<int>(threadIdx.x); i < first.depth; i += THREADS) {
    wide[i] = to_float(x[image * first.depth + i]);
  }
  __syncthreads();
  first.apply(width1, wide, [=](int line, float v) {
    T value;
    put_float(&value, v);
    small[line] = to_float(value);
  });
  __syncthreads();
  T* to = out + image * second.lines;
  second.apply(width2, small, [=](int line, float v) { put_float(to + line, v); });
}

}  // namespace

extern "C" __global__ void __launch_bounds__(512)
excite_f16(const __half* x, __half* out, const __half* weights1, const __half* scale1, const __half* bias1,
           const __half* weights2, const __half* scale2, const __half* bias2, int c, int s, int o, int activation1,
           int activation2, int width1, int width2) {
  excite<__half>(x, out, {weights1, scale1, bias1, s, c, activation1}, {weights2, scale2, bias2, o, s, activation2},
                 width1, width2);
}
extern "C" __global__ void __launch_bounds__(512)
excite_bf16(const __nv_bfloat16* x, __nv_bfloat16* out, const __nv_bfloat16* weights1, const __nv_bfloat16* scale1,
            const __nv_bfloat16* bias1, const __nv_bfloat16* weights2, const __nv_bfloat16* scale2,
            const __nv_bfloat16* bias2, int c, int s, int o, int activation1, int activation2, int width1,
            int width2) {
  excite<__nv_bfloat16>(x, out, {weights1, scale1, bias1, s, c, activation1},
                        {weights2, scale2, bias2, o, s, activation2}, width1, width2);
}
extern "C" __global__ void __launch_bounds__(512)
excite_f32(const float* x, float* out, const float* weights1, const float* scale1, const float* bias1,
           const float* weights2, const float* scale2, const float* bias2, int c, int s, int o, int activation1,
           int activation2, int width1, int width2) {
  excite<float>(x, out, {weights1, scale1, bias1, s, c, activation1}, {weights2, scale2, bias2, o, s, activation2},
                width1, width2);
}
