// affine: matrices side by side, each column scaled and shifted.
//
//   out[r][first + j] = act( side[r][j] * scale[first + j] + bias[first + j] ),  side = parts side by side
//   batch_norm: out[r][j] = (x[r][j] - mean[j]) / sqrt(variance[j] + eps) * gamma[j] + beta[j]
//
// Entries      affine_<type>, batch_norm_<type>; in f32, rounded once
// parts        up to 8 matrices of `rows` lines; part i has the columns from ends[i - 1] to ends[i] of their
//              side by side; parts that are not there end where the last one does
// out          rows x columns; this launch writes the columns from `first` on
// scale, bias  `columns` values each, or null
// activation   a number of pointwise/activation.h
// whole        not 0 only if parts and out are aligned to 16 bytes and all ends, `first` and `columns` are
//              multiples of the elements in 16 bytes
// Alignment    that of the element, but for what `whole` promises
// Launch       any grid and blocks in x; no shared memory

#include "common/vector.h"
#include "pointwise/activation.h"

namespace {

constexpr int PARTS = 8;

struct Ends {
  int at[PARTS];
};

template <class T>
struct Side {
  const T* parts[PARTS];
  Ends ends;

  // Values of row `row` from column `column` on, all of one part.
  template <class V>
  __device__ __forceinline__ V at(long long row, int column) const {
    const T* from = parts[0];
    int begin = 0, width = ends.at[0];
#pragma unroll
    for (int i = 1; i < PARTS; i++) {
      if (column >= ends.at[i - 1]) {
        from = parts[i];
        begin = ends.at[i - 1];
        width = ends.at[i] - begin;
      }
    }
    return load_vector<V>(from + row * width + column - begin);
  }

  template <class V>
  __device__ __forceinline__ void some(T* out, const T* scale, const T* bias, long long at, int first, int columns,
                                       int activation) const {
    int width = ends.at[PARTS - 1];
    long long row = at / width;
    int column = static_cast<int>(at % width);
    V v = this->at<V>(row, column);
#pragma unroll
    for (int i = 0; i < V::COUNT; i++) {
      float value = to_float(v.at[i]);
      if (scale != nullptr) value = value * to_float(scale[first + column + i]) + to_float(bias[first + column + i]);
      put_float(v.at + i, activation::apply(activation, value));
    }
    store_vector(out + row * columns + first + column, v);
  }

  __device__ __forceinline__ void all(T* out, const T* scale, const T* bias, int rows, int first, int columns,
                                      int activation, int whole) const {
    constexpr int COUNT = Pack<T>::COUNT;
    long long thread = static_cast<long long>(blockIdx.x) * blockDim.x + threadIdx.x;
    long long threads = static_cast<long long>(gridDim.x) * blockDim.x;
    long long count = static_cast<long long>(rows) * ends.at[PARTS - 1];
    if (whole != 0) {
      for (long long at = thread; at < count / COUNT; at += threads) {
        some<Pack<T>>(out, scale, bias, at * COUNT, first, columns, activation);
      }
    } else {
      for (long long at = thread; at < count; at += threads) {
        some<Pack<T, 1>>(out, scale, bias, at, first, columns, activation);
      }
    }
  }
};

template <class T>
__device__ __forceinline__ void normalize(const T* x, const T* gamma, const T* beta, const T* mean, const T* variance,
                                          T* out, long long count, int columns, float eps) {
  long long step = static_cast<long long>(gridDim.x) * blockDim.x;
  for (long long i = static_cast<long long>(blockIdx.x) * blockDim.x + threadIdx.x; i < count; i += step) {
    int j = static_cast<int>(i % columns);
    float unit = (to_float(x[i]) - to_float(mean[j])) / sqrtf(to_float(variance[j]) + eps);
    put_float(out + i, unit * to_float(gamma[j]) + to_float(beta[j]));
  }
}

}  // namespace

extern "C" __global__ void affine_f16(const __half* p0, const __half* p1, const __half* p2, const __half* p3,
                                      const __half* p4, const __half* p5, const __half* p6, const __half* p7, Ends ends,
                                      const __half* scale, const __half* bias, __half* out, int rows, int first,
                                      int columns, int activation, int whole) {
  const Side<__half> side{{p0, p1, p2, p3, p4, p5, p6, p7}, ends};
  side.all(out, scale, bias, rows, first, columns, activation, whole);
}
extern "C" __global__ void affine_bf16(const __nv_bfloat16* p0, const __nv_bfloat16* p1, const __nv_bfloat16* p2,
                                       const __nv_bfloat16* p3, const __nv_bfloat16* p4, const __nv_bfloat16* p5,
                                       const __nv_bfloat16* p6, const __nv_bfloat16* p7, Ends ends,
                                       const __nv_bfloat16* scale, const __nv_bfloat16* bias, __nv_bfloat16* out,
                                       int rows, int first, int columns, int activation, int whole) {
  const Side<__nv_bfloat16> side{{p0, p1, p2, p3, p4, p5, p6, p7}, ends};
  side.all(out, scale, bias, rows, first, columns, activation, whole);
}
extern "C" __global__ void affine_f32(const float* p0, const float* p1, const float* p2, const float* p3,
                                      const float* p4, const float* p5, const float* p6, const float* p7, Ends ends,
                                      const float* scale, const float* bias, float* out, int rows, int first,
                                      int columns, int activation, int whole) {
  const Side<float> side{{p0, p1, p2, p3, p4, p5, p6, p7}, ends};
  side.all(out, scale, bias, rows, first, columns, activation, whole);
}

extern "C" __global__ void batch_norm_f16(const __half* x, const __half* gamma, const __half* beta, const __half* mean,
                                          const __half* variance, __half* out, long long count, int columns,
                                          float eps) {
  normalize(x, gamma, beta, mean, variance, out, count, columns, eps);
}
extern "C" __global__ void batch_norm_bf16(const __nv_bfloat16* x, const __nv_bfloat16* gamma,
                                           const __nv_bfloat16* beta, const __nv_bfloat16* mean,
                                           const __nv_bfloat16* variance, __nv_bfloat16* out, long long count,
                                           int columns, float eps) {
  normalize(x, gamma, beta, mean, variance, out, count, columns, eps);
}
extern "C" __global__ void batch_norm_f32(const float* x, const float* gamma, const float* beta, const float* mean,
                                          const float* variance, float* out, long long count, int columns, float eps) {
  normalize(x, gamma, beta, mean, variance, out, count, columns, eps);
}
