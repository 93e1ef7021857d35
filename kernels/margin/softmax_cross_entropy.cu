// softmax_cross_entropy: the mean loss of a batch of logits, and its gradient.
//
//   p[m][n]     = exp(x[m][n]) / sum over j of exp(x[m][j])
//   loss        = mean over m of -ln p[m][label[m]]
//   grad[m][n]  = (p[m][n] - (n == label[m])) / rows
//
// Everything is f32 until it is stored: p - 1 is formed before rounding, since a p near 1 rounded to
// 16 bits would leave nothing of the gradient of a row that is nearly right.
//
// In two launches:
//   softmax_cross_entropy_<type>   each row's loss to losses[m], and its gradient
//   softmax_cross_entropy_mean     loss[0] = the mean of losses[0 .. rows], in one fixed order
//
// x, grad    rows x columns; grad does not overlap x
// labels     rows of u32, below `columns`. The engine cannot look at labels on the card: a label that is
//            not below `columns` reads nothing out of bounds, makes the loss NaN, and its row's gradient 0.
// losses     rows of f32, scratch
// Alignment  that of the element
// Launch     rows: one block a row, a multiple of 32 threads up to 1024; mean: one block likewise. No
//            dynamic shared memory. rows, columns from 1.

#include "common/number.h"
#include "margin/block.h"

namespace {

template <class T>
__device__ __forceinline__ void row_loss(const T* x, const uint32_t* labels, float* losses, T* grad, int rows,
                                         int columns) {
  long long row = blockIdx.x;
  const T* from = x + row * columns;
  T* to = grad + row * columns;
  int thread = static_cast<int>(threadIdx.x), threads = static_cast<int>(blockDim.x);

  float largest = -INFINITY;
  for (int n = thread; n < columns; n += threads) largest = fmaxf(largest, to_float(from[n]));
  largest = combine<Max>(largest, -INFINITY);
  float sum = 0.0f;
  for (int n = thread; n < columns; n += threads) sum += expf(to_float(from[n]) - largest);
  sum = combine<Sum>(sum, 0.0f);

  uint32_t label = labels[row];
  bool known = label < static_cast<uint32_t>(columns);
  float share = 1.0f / static_cast<float>(rows);
  for (int n = thread; n < columns; n += threads) {
    float p = expf(to_float(from[n]) - largest) / sum;
    float wanted = static_cast<uint32_t>(n) == label ? 1.0f : 0.0f;
    put_float(to + n, known ? (p - wanted) * share : 0.0f);
  }
  if (thread == 0) losses[row] = known ? logf(sum) + (largest - to_float(from[label])) : NAN;
}

}  // namespace

extern "C" __global__ void softmax_cross_entropy_f16(const __half* x, const uint32_t* labels, float* losses,
                                                     __half* grad, int rows, int columns) {
  row_loss(x, labels, losses, grad, rows, columns);
}
extern "C" __global__ void softmax_cross_entropy_bf16(const __nv_bfloat16* x, const uint32_t* labels, float* losses,
                                                      __nv_bfloat16* grad, int rows, int columns) {
  row_loss(x, labels, losses, grad, rows, columns);
}
extern "C" __global__ void softmax_cross_entropy_f32(const float* x, const uint32_t* labels, float* losses,
                                                     float* grad, int rows, int columns) {
  row_loss(x, labels, losses, grad, rows, columns);
}

extern "C" __global__ void softmax_cross_entropy_mean(const float* losses, float* loss, int rows) {
  float sum = 0.0f;
  for (int m = static_cast<int>(threadIdx.x); m < rows; m += static_cast<int>(blockDim.x)) sum += losses[m];
  sum = combine<Sum>(sum, 0.0f);
  if (threadIdx.x == 0) loss[0] = sum / static_cast<float>(rows);
}
