// lookup: rows of a table, as they are named.
//
//   out[r] = table[ rows[r] ]
//
// Entries    lookup_f16, lookup_bf16, lookup_f32
// table      size x n
// rows       m of u32. They lie on the card, where nobody looks at them before: a row that the table does
//            not have reads nothing, and its result is NaN.
// out        m x n, not overlapping the table
// whole      1 where table and out are aligned to 16 bytes and n is a multiple of 16 bytes, else 0
// Alignment  that of the element, but for what `whole` promises
// Launch     blocks of any multiple of 32 threads, one warp a row; grid ceil(m / warps of a block); no
//            shared memory. m, n from 1.

#include "norm/row.h"

namespace {

template <class T>
__device__ __forceinline__ void lookup(const T* table, const uint32_t* rows, T* out, int size, int m, int n,
                                       int whole) {
  int lane = static_cast<int>(threadIdx.x) % 32, warp = static_cast<int>(threadIdx.x) / 32;
  long long r = static_cast<long long>(blockIdx.x) * (blockDim.x / 32) + warp;
  if (r >= m) return;  // whole warps leave, and none meets another
  T* to = out + r * n;
  uint32_t which = rows[r];
  if (which >= static_cast<uint32_t>(size)) {
    for (int c = lane; c < n; c += 32) put_float(to + c, NAN);
    return;
  }
  const T* from = table + static_cast<long long>(which) * n;
  constexpr int COUNT = row::Vector<T>::COUNT;
  if (whole != 0) {
    for (int c = lane * COUNT; c < n; c += 32 * COUNT) store_vector(to + c, load_vector<uint4>(from + c));
  } else {
    for (int c = lane; c < n; c += 32) to[c] = from[c];
  }
}

}  // namespace

extern "C" __global__ void lookup_f16(const __half* table, const uint32_t* rows, __half* out, int size, int m, int n,
                                      int whole) {
  lookup(table, rows, out, size, m, n, whole);
}
extern "C" __global__ void lookup_bf16(const __nv_bfloat16* table, const uint32_t* rows, __nv_bfloat16* out, int size,
                                       int m, int n, int whole) {
  lookup(table, rows, out, size, m, n, whole);
}
extern "C" __global__ void lookup_f32(const float* table, const uint32_t* rows, float* out, int size, int m, int n,
                                      int whole) {
  lookup(table, rows, out, size, m, n, whole);
}
