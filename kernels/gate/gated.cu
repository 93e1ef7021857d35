// gated: images times a value per image and channel, and what follows.
//
//   out[n][p][c] = act( x[n][p][c] * gate[n][c] * factor * constant + residual[n][p][c] )
//
// Entries       gated_<type>; in f32, rounded once
// x, residual   images x pixels x c;  out likewise, overlapping nothing that is read
// gate          images x c, or null;  factor: one value, or null;  residual: or null
// size          pixels x c
// activation    a number of pointwise/activation.h
// whole         not 0 only if all but the factor are aligned to 16 bytes and c is a multiple of the elements
//               in 16 bytes
// Alignment     that of the element, but for what `whole` promises
// Launch        any grid and blocks in x; no shared memory

#include "common/vector.h"
#include "pointwise/activation.h"

namespace {

template <class T>
struct Gated {
  T* out;
  const T *x, *gate, *residual;
  float by;
  int c, activation;
  long long size;

  template <class V>
  __device__ __forceinline__ void one(long long at) const {
    V v = load_vector<V>(x + at), g = v, rest = v;
    if (gate != nullptr) g = load_vector<V>(gate + at / size * c + at % c);
    if (residual != nullptr) rest = load_vector<V>(residual + at);
#pragma unroll
    for (int i = 0; i < V::COUNT; i++) {
      float value = to_float(v.at[i]);
      if (gate != nullptr) value *= to_float(g.at[i]);
      value *= by;
      if (residual != nullptr) value += to_float(rest.at[i]);
      put_float(v.at + i, activation::apply(activation, value));
    }
    store_vector(out + at, v);
  }

  __device__ __forceinline__ void all(long long count, int whole) const {
    constexpr int COUNT = Pack<T>::COUNT;
    long long thread = static_cast<long long>(blockIdx.x) * blockDim.x + threadIdx.x;
    long long threads = static_cast<long long>(gridDim.x) * blockDim.x;
    long long vectors = whole != 0 ? count / COUNT : 0;
    for (long long at = thread; at < vectors; at += threads) one<Pack<T>>(at * COUNT);
    for (long long at = vectors * COUNT + thread; at < count; at += threads) one<Pack<T, 1>>(at);
  }
};

template <class T>
__device__ __forceinline__ float product(const T* factor, float constant) {
  return factor == nullptr ? constant : to_float(*factor) * constant;
}

}  // namespace

extern "C" __global__ void gated_f16(const __half* x, __half* out, const __half* gate, const __half* factor,
                                     const __half* residual, float constant, long long count, long long size, int c,
                                     int activation, int whole) {
  Gated<__half>{out, x, gate, residual, product(factor, constant), c, activation, size}.all(count, whole);
}
extern "C" __global__ void gated_bf16(const __nv_bfloat16* x, __nv_bfloat16* out, const __nv_bfloat16* gate,
                                      const __nv_bfloat16* factor, const __nv_bfloat16* residual, float constant,
                                      long long count, long long size, int c, int activation, int whole) {
  Gated<__nv_bfloat16>{out, x, gate, residual, product(factor, constant), c, activation, size}.all(count, whole);
}
extern "C" __global__ void gated_f32(const float* x, float* out, const float* gate, const float* factor,
                                     const float* residual, float constant, long long count, long long size, int c,
                                     int activation, int whole) {
  Gated<float>{out, x, gate, residual, product(factor, constant), c, activation, size}.all(count, whole);
}
