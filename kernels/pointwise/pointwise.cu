// Operations that treat every element alike: scale, bias, add, activation and its gradient.
//
//   scale            out[i] = x[i] * y[i % columns]
//   bias             out[i] = x[i] + y[i % columns]
//   add              out[i] = x[i] + y[i]
//   activation       out[i] = act(x[i])
//   activation_grad  out[i] = act'(x[i]) * y[i]
//
// Entries     <operation>_<type> for type in {f16, bf16, f32}; computed in f32, rounded once.
// x, out      `count` elements; out overlaps nothing that is read
// y           `columns` elements for scale and bias, else `count`; activation has none
// activation  a number of pointwise/activation.h
// whole       not 0 only if x, y and out are aligned to 16 bytes and, for scale and bias, `columns` is a
//             multiple of the elements in 16 bytes: then threads move 16 bytes at a time
// Alignment   that of the element, but for what `whole` promises
// Launch      blocks of any number of threads in x, any grid; no shared memory. count from 1.

#include "common/number.h"
#include "pointwise/activation.h"

namespace {

template <class T>
struct alignas(16) Vector {
  static constexpr int COUNT = 16 / sizeof(T);
  T at[COUNT];
};

// out[i] = f(x[i], first, i - first) for all i, `first` being a vector's first element or i itself.
template <class T, class F>
__device__ __forceinline__ void for_each(T* out, const T* x, long long count, int whole, F f) {
  long long thread = static_cast<long long>(blockIdx.x) * blockDim.x + threadIdx.x;
  long long threads = static_cast<long long>(gridDim.x) * blockDim.x;
  constexpr int COUNT = Vector<T>::COUNT;
  long long vectors = whole != 0 ? count / COUNT : 0;
  for (long long v = thread; v < vectors; v += threads) {
    Vector<T> in = load_vector<Vector<T>>(x + v * COUNT), result;
#pragma unroll
    for (int i = 0; i < COUNT; i++) put_float(result.at + i, f(to_float(in.at[i]), v * COUNT, i));
    store_vector(out + v * COUNT, result);
  }
  for (long long i = vectors * COUNT + thread; i < count; i += threads) put_float(out + i, f(to_float(x[i]), i, 0));
}

template <class T>
__device__ __forceinline__ void scale(T* out, const T* x, const T* y, long long count, int columns, int whole) {
  for_each(out, x, count, whole, [=](float v, long long first, int i) { return v * to_float(y[first % columns + i]); });
}

template <class T>
__device__ __forceinline__ void bias(T* out, const T* x, const T* y, long long count, int columns, int whole) {
  for_each(out, x, count, whole, [=](float v, long long first, int i) { return v + to_float(y[first % columns + i]); });
}

template <class T>
__device__ __forceinline__ void add(T* out, const T* x, const T* y, long long count, int whole) {
  for_each(out, x, count, whole, [=](float v, long long first, int i) { return v + to_float(y[first + i]); });
}

template <class T>
__device__ __forceinline__ void activate(T* out, const T* x, long long count, int kind, int whole) {
  for_each(out, x, count, whole, [=](float v, long long, int) { return activation::apply(kind, v); });
}

template <class T>
__device__ __forceinline__ void activate_grad(T* out, const T* x, const T* y, long long count, int kind, int whole) {
  for_each(out, x, count, whole, [=](float v, long long first, int i) {
    return activation::derivative(kind, v) * to_float(y[first + i]);
  });
}

}  // namespace

extern "C" __global__ void scale_f16(__half* out, const __half* x, const __half* y, long long count, int columns,
                                     int whole) {
  scale(out, x, y, count, columns, whole);
}
extern "C" __global__ void scale_bf16(__nv_bfloat16* out, const __nv_bfloat16* x, const __nv_bfloat16* y,
                                      long long count, int columns, int whole) {
  scale(out, x, y, count, columns, whole);
}
extern "C" __global__ void scale_f32(float* out, const float* x, const float* y, long long count, int columns,
                                     int whole) {
  scale(out, x, y, count, columns, whole);
}

extern "C" __global__ void bias_f16(__half* out, const __half* x, const __half* y, long long count, int columns,
                                    int whole) {
  bias(out, x, y, count, columns, whole);
}
extern "C" __global__ void bias_bf16(__nv_bfloat16* out, const __nv_bfloat16* x, const __nv_bfloat16* y,
                                     long long count, int columns, int whole) {
  bias(out, x, y, count, columns, whole);
}
extern "C" __global__ void bias_f32(float* out, const float* x, const float* y, long long count, int columns,
                                    int whole) {
  bias(out, x, y, count, columns, whole);
}

extern "C" __global__ void add_f16(__half* out, const __half* x, const __half* y, long long count, int whole) {
  add(out, x, y, count, whole);
}
extern "C" __global__ void add_bf16(__nv_bfloat16* out, const __nv_bfloat16* x, const __nv_bfloat16* y,
                                    long long count, int whole) {
  add(out, x, y, count, whole);
}
extern "C" __global__ void add_f32(float* out, const float* x, const float* y, long long count, int whole) {
  add(out, x, y, count, whole);
}

extern "C" __global__ void activation_f16(__half* out, const __half* x, long long count, int activation, int whole) {
  activate(out, x, count, activation, whole);
}
extern "C" __global__ void activation_bf16(__nv_bfloat16* out, const __nv_bfloat16* x, long long count,
                                           int activation, int whole) {
  activate(out, x, count, activation, whole);
}
extern "C" __global__ void activation_f32(float* out, const float* x, long long count, int activation, int whole) {
  activate(out, x, count, activation, whole);
}

extern "C" __global__ void activation_grad_f16(__half* out, const __half* x, const __half* y, long long count,
                                               int activation, int whole) {
  activate_grad(out, x, y, count, activation, whole);
}
extern "C" __global__ void activation_grad_bf16(__nv_bfloat16* out, const __nv_bfloat16* x, const __nv_bfloat16* y,
                                                long long count, int activation, int whole) {
  activate_grad(out, x, y, count, activation, whole);
}
extern "C" __global__ void activation_grad_f32(float* out, const float* x, const float* y, long long count,
                                               int activation, int whole) {
  activate_grad(out, x, y, count, activation, whole);
}
