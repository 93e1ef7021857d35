// embed: the sum of one row of each of some tables, and its layer norm, in one pass.
//
//   s[r]   = sum over t of table t [ rows of t [r] ]
//   out[r] = (s[r] - mean) / sqrt(variance + eps) * gamma + beta
//
// in f32, rounded once. Words, positions and token types of a text encoder are three tables.
//
// Entries        embed_f16, embed_bf16, embed_f32
// table0..3      `size` x n each; those from `tables` on are null
// rows0..3       m of u32 each, likewise. They lie on the card, where nobody looks at them before: a row
//                that its table does not have reads nothing, and makes the whole result row NaN.
// gamma, beta    n values each
// out            m x n, overlapping nothing that is read
// whole          1 where everything but the rows is aligned to 16 bytes, n is a multiple of 16 bytes and at
//                most 1,024, else 0
// Alignment      that of the element, but for what `whole` promises
// Launch         blocks of any multiple of 32 threads, one warp a row; grid ceil(m / warps of a block); no
//                shared memory. m, n, tables from 1; tables up to 4.

#include "norm/row.h"

namespace {

constexpr int TABLES = 4;

template <class T>
struct Tables {
  const T* table[TABLES];
  const uint32_t* rows[TABLES];
  int size[TABLES];
  int count;
};

template <class T>
__device__ __forceinline__ void embed(const Tables<T>& tables, const T* gamma, const T* beta, T* out, int m, int n,
                                      float eps, int whole) {
  int lane = static_cast<int>(threadIdx.x) % 32, warp = static_cast<int>(threadIdx.x) / 32;
  long long r = static_cast<long long>(blockIdx.x) * (blockDim.x / 32) + warp;
  if (r >= m) return;  // whole warps leave, and none meets another
  T* to = out + r * n;

  const T* from[TABLES];
  bool known = true;
#pragma unroll
  for (int t = 0; t < TABLES; t++) {
    uint32_t which = t < tables.count ? tables.rows[t][r] : 0;
    bool here = t < tables.count && which < static_cast<uint32_t>(tables.size[t]);
    known &= here || t >= tables.count;
    from[t] = here ? tables.table[t] + static_cast<long long>(which) * n : nullptr;
  }
  if (!known) {
    for (int c = lane; c < n; c += 32) put_float(to + c, NAN);
    return;
  }
  if (whole != 0) {
    row::Held<T> held(lane, n);
#pragma unroll
    for (int t = 0; t < TABLES; t++) {
      if (t < tables.count) held.add(from[t]);
    }
    held.normalize(to, gamma, beta, eps);
    return;
  }
  auto sum = [&](int c) {
    float all = 0.0f;
#pragma unroll
    for (int t = 0; t < TABLES; t++) {
      if (t < tables.count) all += to_float(from[t][c]);
    }
    return all;
  };
  row::normalize(sum, to, gamma, beta, eps, lane, n);
}

}  // namespace

extern "C" __global__ void embed_f16(const __half* table0, const __half* table1, const __half* table2,
                                     const __half* table3, const uint32_t* rows0, const uint32_t* rows1,
                                     const uint32_t* rows2, const uint32_t* rows3, int size0, int size1, int size2,
                                     int size3, const __half* gamma, const __half* beta, __half* out, int tables,
                                     int m, int n, float eps, int whole) {
  const Tables<__half> all{
      {table0, table1, table2, table3}, {rows0, rows1, rows2, rows3}, {size0, size1, size2, size3}, tables};
  embed(all, gamma, beta, out, m, n, eps, whole);
}
extern "C" __global__ void embed_bf16(const __nv_bfloat16* table0, const __nv_bfloat16* table1,
                                      const __nv_bfloat16* table2, const __nv_bfloat16* table3, const uint32_t* rows0,
                                      const uint32_t* rows1, const uint32_t* rows2, const uint32_t* rows3, int size0,
                                      int size1, int size2, int size3, const __nv_bfloat16* gamma,
                                      const __nv_bfloat16* beta, __nv_bfloat16* out, int tables, int m, int n,
                                      float eps, int whole) {
  const Tables<__nv_bfloat16> all{
      {table0, table1, table2, table3}, {rows0, rows1, rows2, rows3}, {size0, size1, size2, size3}, tables};
  embed(all, gamma, beta, out, m, n, eps, whole);
}
extern "C" __global__ void embed_f32(const float* table0, const float* table1, const float* table2,
                                     const float* table3, const uint32_t* rows0, const uint32_t* rows1,
                                     const uint32_t* rows2, const uint32_t* rows3, int size0, int size1, int size2,
                                     int size3, const float* gamma, const float* beta, float* out, int tables, int m,
                                     int n, float eps, int whole) {
  const Tables<float> all{
      {table0, table1, table2, table3}, {rows0, rows1, rows2, rows3}, {size0, size1, size2, size3}, tables};
  embed(all, gamma, beta, out, m, n, eps, whole);
}
