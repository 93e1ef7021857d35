// attention_rows: multi-head self-attention over packed sequences, for heads of any width and all types.
//
//   out[r] = sum over s of p[r][s] v[s],  p[r] = softmax over s of scale * q[r] . k[s]
//
// What mma_attention.h computes, one warp a row and head, without matrix instructions: for f32, and for
// heads wider than 64 columns, which no published encoder of titles has.
//
// Entries      attention_rows_f16, attention_rows_bf16, attention_rows_f32
// q, k, v, out rows x columns, row r at x + r * columns, head h in the columns from h * width on; out
//              overlaps none of the others
// offsets      sequences + 1 of u32; see sequences.h. Rows of no sequence become NaN.
// Alignment    that of the element
// Launch       blocks of any multiple of 32 threads, one warp a row; x: rows / warps of a block, rounded
//              up; y: heads. No shared memory. sequences, rows, width from 1.
//
// A lane scores one key of 32, and then sums the values of some columns over the 32 keys. Columns come in
// strips of 128; the scores are computed anew for each strip. The softmax is in one sweep, as in
// mma_attention.h.

#include "attention/sequences.h"
#include "common/number.h"

namespace {

constexpr int PARTS = 4;  // columns of a strip that a lane sums
constexpr int STRIP = 32 * PARTS;
constexpr float LOG2_E = 1.44269504f;

template <class T>
__device__ __forceinline__ float score(const T* q, const T* k, int width) {
  float sum = 0.0f;
  for (int c = 0; c < width; c++) sum = fmaf(to_float(q[c]), to_float(k[c]), sum);
  return sum;
}

// The columns from `column0` on of one row and head; `k` and `v` are the sequence's.
template <class T>
__device__ __forceinline__ void strip(const T* q, const T* k, const T* v, T* out, int count, int columns, int width,
                                      int column0, float factor, int lane) {
  float sums[PARTS] = {}, total = 0.0f, largest = -INFINITY;
  for (int key0 = 0; key0 < count; key0 += 32) {
    int key = key0 + lane;
    float mine = -INFINITY;
    if (key < count) mine = score(q, k + static_cast<long long>(key) * columns, width) * factor;
    float most = fmaxf(largest, warp_max(mine));
    float before = exp2f(largest - most), weight = key < count ? exp2f(mine - most) : 0.0f;
    largest = most;
    total = total * before + weight;
#pragma unroll
    for (int i = 0; i < PARTS; i++) sums[i] *= before;
    for (int other = 0; other < min(32, count - key0); other++) {
      float by = __shfl_sync(FULL_WARP, weight, other);
      const T* from = v + static_cast<long long>(key0 + other) * columns;
#pragma unroll
      for (int i = 0; i < PARTS; i++) {
        int column = column0 + i * 32 + lane;
        if (column < width) sums[i] = fmaf(by, to_float(from[column]), sums[i]);
      }
    }
  }
  float by = 1.0f / warp_sum(total);
#pragma unroll
  for (int i = 0; i < PARTS; i++) {
    int column = column0 + i * 32 + lane;
    if (column < width) put_float(out + column, sums[i] * by);
  }
}

template <class T>
__device__ __forceinline__ void attend(const T* q, const T* k, const T* v, T* out, const uint32_t* offsets,
                                       int sequences, int rows, int columns, int width, float scale) {
  int lane = static_cast<int>(threadIdx.x) % 32, warp = static_cast<int>(threadIdx.x) / 32;
  long long row = static_cast<long long>(blockIdx.x) * (blockDim.x / 32) + warp;
  if (row >= rows) return;  // whole warps leave, and none meets another
  long long head = static_cast<long long>(blockIdx.y) * width;
  auto mine = sequences::find<1>(offsets, sequences, rows, static_cast<uint32_t>(row), lane);
  T* to = out + row * columns + head;
  if (mine.first >= mine.end) {
    for (int c = lane; c < width; c += 32) put_float(to + c, NAN);
    return;
  }
  long long begin = static_cast<long long>(mine.begin) * columns + head;
  for (int column0 = 0; column0 < width; column0 += STRIP) {
    strip(q + row * columns + head, k + begin, v + begin, to, mine.end - mine.begin, columns, width, column0,
          scale * LOG2_E, lane);
  }
}

}  // namespace

extern "C" __global__ void attention_rows_f16(const __half* q, const __half* k, const __half* v, __half* out,
                                              const uint32_t* offsets, int sequences, int rows, int columns, int width,
                                              float scale) {
  attend(q, k, v, out, offsets, sequences, rows, columns, width, scale);
}
extern "C" __global__ void attention_rows_bf16(const __nv_bfloat16* q, const __nv_bfloat16* k, const __nv_bfloat16* v,
                                               __nv_bfloat16* out, const uint32_t* offsets, int sequences, int rows,
                                               int columns, int width, float scale) {
  attend(q, k, v, out, offsets, sequences, rows, columns, width, scale);
}
extern "C" __global__ void attention_rows_f32(const float* q, const float* k, const float* v, float* out,
                                              const uint32_t* offsets, int sequences, int rows, int columns, int width,
                                              float scale) {
  attend(q, k, v, out, offsets, sequences, rows, columns, width, scale);
}
