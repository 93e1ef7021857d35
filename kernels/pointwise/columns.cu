// Sums over the rows of a matrix: column_sum and column_dot.
//
//   column_sum  out[n] = sum over m of x[m][n]
//   column_dot  out[n] = sum over m of x[m][n] * y[m][n]
//
// In two launches, so that the order of additions does not depend on which block ends first:
//   column_sum_<type>, column_dot_<type>   block (i, j) sums rows j, j + chunks, ... x 8 of 32 columns to
//                                          partial[j][n], in f32
//   column_finish_<type>                   out[n] = the sum of partial[0 .. chunks][n], rounded once
//
// x, y       rows x columns, line by line
// partial    chunks x columns of f32
// Alignment  that of the element
// Launch     sums: grid (ceil(columns / 32), chunks), blocks of 32 x 8 threads; finish: any grid and
//            blocks in x. rows, columns, chunks from 1; `chunks` is the grid's height.

#include "common/number.h"

namespace {

constexpr int STRIP = 32, LINES = 8;

// The sums of a block's lines become one line of `partial`. No template: the simulated card finds shared
// memory by its section, which g++ does not give to the variables of templates.
__device__ __forceinline__ void add_lines(float total, float* partial, int x, int y, int column, int columns) {
  __shared__ float sums[LINES][STRIP];
  sums[y][x] = total;
  __syncthreads();
  if (y != 0 || column >= columns) return;
  for (int i = 1; i < LINES; i++) total += sums[i][x];
  partial[static_cast<long long>(blockIdx.y) * columns + column] = total;
}

template <class F>
__device__ __forceinline__ void sum(float* partial, int rows, int columns, F value) {
  int x = static_cast<int>(threadIdx.x), y = static_cast<int>(threadIdx.y);
  int column = static_cast<int>(blockIdx.x) * STRIP + x;
  float total = 0.0f;
  if (column < columns) {
    long long step = static_cast<long long>(gridDim.y) * LINES;
    for (long long row = static_cast<long long>(blockIdx.y) * LINES + y; row < rows; row += step) {
      total += value(row * columns + column);
    }
  }
  add_lines(total, partial, x, y, column, columns);
}

template <class T>
__device__ __forceinline__ void finish(const float* partial, T* out, int columns, int chunks) {
  long long step = static_cast<long long>(gridDim.x) * blockDim.x;
  for (long long n = static_cast<long long>(blockIdx.x) * blockDim.x + threadIdx.x; n < columns; n += step) {
    float total = 0.0f;
    for (int i = 0; i < chunks; i++) total += partial[static_cast<long long>(i) * columns + n];
    put_float(out + n, total);
  }
}

}  // namespace

extern "C" __global__ void column_sum_f16(const __half* x, float* partial, int rows, int columns) {
  sum(partial, rows, columns, [=](long long i) { return to_float(x[i]); });
}
extern "C" __global__ void column_sum_bf16(const __nv_bfloat16* x, float* partial, int rows, int columns) {
  sum(partial, rows, columns, [=](long long i) { return to_float(x[i]); });
}
extern "C" __global__ void column_sum_f32(const float* x, float* partial, int rows, int columns) {
  sum(partial, rows, columns, [=](long long i) { return x[i]; });
}

extern "C" __global__ void column_dot_f16(const __half* x, const __half* y, float* partial, int rows, int columns) {
  sum(partial, rows, columns, [=](long long i) { return to_float(x[i]) * to_float(y[i]); });
}
extern "C" __global__ void column_dot_bf16(const __nv_bfloat16* x, const __nv_bfloat16* y, float* partial, int rows,
                                           int columns) {
  sum(partial, rows, columns, [=](long long i) { return to_float(x[i]) * to_float(y[i]); });
}
extern "C" __global__ void column_dot_f32(const float* x, const float* y, float* partial, int rows, int columns) {
  sum(partial, rows, columns, [=](long long i) { return x[i] * y[i]; });
}

extern "C" __global__ void column_finish_f16(const float* partial, __half* out, int columns, int chunks) {
  finish(partial, out, columns, chunks);
}
extern "C" __global__ void column_finish_bf16(const float* partial, __nv_bfloat16* out, int columns, int chunks) {
  finish(partial, out, columns, chunks);
}
extern "C" __global__ void column_finish_f32(const float* partial, float* out, int columns, int chunks) {
  finish(partial, out, columns, chunks);
}
