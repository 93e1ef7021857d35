// segment_mean: the mean over the rows of each sequence.
//
//   out[i][c] = (sum over r of x[r][c]) / (offsets[i + 1] - offsets[i]),  r from offsets[i] to offsets[i + 1]
//
// A sequence without rows gives zeros. Offsets that do not rise, or reach over the rows, read nothing
// outside and give NaN.
//
// Entries    segment_mean_f16, segment_mean_bf16, segment_mean_f32
// x          rows x columns
// offsets    sequences + 1 of u32; see sequences.h
// out        sequences x columns, not overlapping x
// whole      1 where x and out are aligned to 16 bytes and columns is a multiple of 16 bytes, else 0
// Alignment  that of the element, but for what `whole` promises
// Launch     blocks of any number of threads; x: sequences; y: columns / columns of a block, rounded up,
//            where a thread takes 16 bytes of columns if `whole`, else one column. No shared memory.
//
// Sums are f32, in the order of the rows.

#include "norm/row.h"

namespace {

template <class T, class V>
__device__ __forceinline__ void mean(const T* x, const uint32_t* offsets, T* out, int rows, int columns) {
  constexpr int COUNT = sizeof(V) / sizeof(T);
  long long sequence = blockIdx.x;
  long long column = (static_cast<long long>(blockIdx.y) * blockDim.x + threadIdx.x) * COUNT;
  if (column >= columns) return;
  uint32_t begin = offsets[sequence], end = offsets[sequence + 1];
  bool known = begin <= end && end <= static_cast<uint32_t>(rows);
  float sums[COUNT] = {};
  for (uint32_t row = begin; known && row < end; row++) {
    V loaded = load_vector<V>(x + static_cast<long long>(row) * columns + column);
    const T* values = reinterpret_cast<const T*>(&loaded);
#pragma unroll
    for (int i = 0; i < COUNT; i++) sums[i] += to_float(values[i]);
  }
  float count = static_cast<float>(end > begin ? end - begin : 1u);
  V made;
  T* values = reinterpret_cast<T*>(&made);
#pragma unroll
  for (int i = 0; i < COUNT; i++) put_float(values + i, known ? sums[i] / count : NAN);
  store_vector(out + sequence * columns + column, made);
}

template <class T>
__device__ __forceinline__ void mean(const T* x, const uint32_t* offsets, T* out, int rows, int columns, int whole) {
  if (whole != 0) {
    mean<T, row::Vector<T>>(x, offsets, out, rows, columns);
  } else {
    mean<T, T>(x, offsets, out, rows, columns);
  }
}

}  // namespace

extern "C" __global__ void segment_mean_f16(const __half* x, const uint32_t* offsets, __half* out, int rows,
                                            int columns, int whole) {
  mean(x, offsets, out, rows, columns, whole);
}
extern "C" __global__ void segment_mean_bf16(const __nv_bfloat16* x, const uint32_t* offsets, __nv_bfloat16* out,
                                             int rows, int columns, int whole) {
  mean(x, offsets, out, rows, columns, whole);
}
extern "C" __global__ void segment_mean_f32(const float* x, const uint32_t* offsets, float* out, int rows, int columns,
                                            int whole) {
  mean(x, offsets, out, rows, columns, whole);
}
